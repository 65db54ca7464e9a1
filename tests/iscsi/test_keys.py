"""The rows of RFC 7143 section 13 against the standard's own table: kind, range, default."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi.keys import KEY_BY_NAME, KEY_NAME_LIMIT, KEYS, Parameters, Result

#: name, how it is settled, default, lowest and highest value (peers 6e)
NUMBERS = [
    ("MaxConnections", Result.MIN, 1, 1, 65535),
    ("MaxRecvDataSegmentLength", Result.DECLARE, 8192, 512, 2**24 - 1),
    ("MaxBurstLength", Result.MIN, 262144, 512, 2**24 - 1),
    ("FirstBurstLength", Result.MIN, 65536, 512, 2**24 - 1),
    ("DefaultTime2Wait", Result.MAX, 2, 0, 3600),
    ("DefaultTime2Retain", Result.MIN, 20, 0, 3600),
    ("MaxOutstandingR2T", Result.MIN, 1, 1, 65535),
    ("ErrorRecoveryLevel", Result.MIN, 0, 0, 2),
    ("iSCSIProtocolLevel", Result.MIN, 1, 0, 31),
]
BOOLEANS = [
    ("InitialR2T", Result.OR, True), ("ImmediateData", Result.AND, True),
    ("DataPDUInOrder", Result.OR, True), ("DataSequenceInOrder", Result.OR, True),
]


@pytest.mark.parametrize(("name", "result", "default", "low", "high"), NUMBERS, ids=[row[0] for row in NUMBERS])
def test_numbers(name: str, result: Result, default: int, low: int, high: int) -> None:
    key = KEY_BY_NAME[name]
    assert (key.result, key.default) == (result, default)
    assert key.value.parse(str(low)) == key.value.parse(hex(low)) == low
    assert key.value.parse(str(high)) == high
    for outside in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"from {low} to {high}"):
            key.value.parse(str(outside))


@pytest.mark.parametrize(("name", "result", "default"), BOOLEANS, ids=[row[0] for row in BOOLEANS])
def test_booleans(name: str, result: Result, default: bool) -> None:
    key = KEY_BY_NAME[name]
    assert (key.result, key.default) == (result, default)
    assert [key.value.parse(word) for word in ("Yes", "No")] == [True, False]
    for word in ("yes", "NO", "1", ""):
        with pytest.raises(ValueError, match="Yes or No"):
            key.value.parse(word)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_rows_are_consistent(key: Any) -> None:
    assert len(key.name) <= KEY_NAME_LIMIT
    assert KEY_BY_NAME[key.name] is key
    assert bool(key.cap) <= bool(key.peer) <= (key.result is Result.DECLARE)
    if key.default is not None:
        assert key.value.parse(key.value.render(key.default)) == key.default
        assert key.value.parse(key.value.render(key.offer)) == key.offer
    if key.attribute:
        held = getattr(Parameters(), key.attribute)
        assert held == (False if key.result is Result.LIST else key.default)


@pytest.mark.parametrize(("name", "configured", "wish"), [
    pytest.param("MaxBurstLength", {}, 1048576, id="ours, above the default"),
    pytest.param("InitialR2T", {}, True, id="the default"),
    pytest.param("MaxBurstLength", {"MaxBurstLength": 4096}, 4096, id="configured"),
    pytest.param("MaxConnections", {"MaxConnections": 100}, 8, id="the most that is served"),
    pytest.param("DefaultTime2Retain", {"DefaultTime2Retain": 20}, 0, id="of use at a higher level only"),
    pytest.param("DefaultTime2Retain", {"DefaultTime2Retain": 20, "ErrorRecoveryLevel": 2}, 20, id="and there it is"),
    pytest.param("DataPDUInOrder", {"DataPDUInOrder": False}, False, id="configured, a boolean"),
])
def test_wish(name: str, configured: dict[str, Any], wish: Any) -> None:
    assert KEY_BY_NAME[name].wish(configured) == wish
