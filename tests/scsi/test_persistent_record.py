"""What is kept of persistent reservations over a loss of power (SPC-4 section 5.13.5)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, dictionaries, integers, none, sampled_from, text

from ietpy.scsi.nexus import ItNexus
from ietpy.scsi.persistent import MOST_REGISTRATIONS, Persistent, Reservations, ReservationType
from ietpy.scsi.persistent_record import keep, restore
from tests.scsi.conftest import Kept

A, B = "iqn.x:a,i,0x000000000001", "iqn.x:b,i,0x000000000002"
GOOD: dict[str, Any] = {"registrations": [[A, "00000000000000ff"], [B, "ffffffffffffffff"]], "type": 5, "holder": A}


def test_nothing_is_kept_to_begin_with() -> None:
    for state in (None, Kept()):
        persistent = restore(state, 0)
        assert isinstance(persistent, Persistent)
        assert (persistent.now, persistent.generation, persistent.coming) == (Reservations(), 0, None)


def test_restored() -> None:
    now = restore(Kept(reservations=GOOD), 0).now
    assert now == Reservations(
        {ItNexus(A): 0xFF, ItNexus(B): 0xFFFF_FFFF_FFFF_FFFF},
        ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY, ItNexus(A), aptpl=True,
    )
    state = Kept()
    keep(state, now)
    assert state.get("reservations") == GOOD


def test_other_target_ports_than_the_first_are_named() -> None:
    """So what was kept while there was one target port means the same, and is kept in the same words."""
    two = {"registrations": [[A, "0" * 15 + "1"], [A, "0" * 15 + "2", 2]], "type": 1, "holder": [A, 2]}
    now = restore(Kept(reservations=two), 0).now
    assert now.registrations == {ItNexus(A, 1): 1, ItNexus(A, 2): 2}
    assert now.holder == ItNexus(A, 2)
    state = Kept()
    keep(state, now)
    assert state.get("reservations") == two


@pytest.mark.parametrize(("kept", "words"), [
    pytest.param([], "[] was found", id="a list"),
    pytest.param("x" * 200, "xxx... was found", id="a long text"),
    pytest.param({}, "{} was found; an object with", id="nothing in it"),
    pytest.param({**GOOD, "scope": 0}, "an object with registrations, type and holder is accepted", id="more"),
    pytest.param({**GOOD, "registrations": None}, "registrations are None; a list of 1024", id="no list"),
    pytest.param({**GOOD, "registrations": {A: "1"}}, "registrations are {", id="an object"),
    pytest.param(
        {**GOOD, "registrations": [[f"{n}", "1" * 16] for n in range(MOST_REGISTRATIONS + 1)]}, "1024 at most",
        id="too many",
    ),
    pytest.param({**GOOD, "registrations": [*GOOD["registrations"], [A, "1" * 16]]}, "registered twice", id="twice"),
    *(
        pytest.param({**GOOD, "registrations": [pair]}, "is registered; the name of an initiator port", id=str(pair))
        for pair in (
            None, A, [A], [1, "1" * 16], ["", "1" * 16], ["a\0", "1" * 16], ["a" * 513, "1" * 16],
            ["\ud800", "1" * 16], [A, 1], [A, ""], [A, "1" * 15], [A, "1" * 17], [A, "0" * 16], [A, "F" * 16],
            [A, "0x" + "1" * 14], [A, "1" * 15 + "\n"], [A, "1" * 16, 0], [A, "1" * 16, 65536], [A, "1" * 16, True],
            [A, "1" * 16, "2"], [A, "1" * 16, 2, 2],
        )
    ),
    *(
        pytest.param({**GOOD, "type": kind}, f"type is {kind!r}; null, 1, 3, 5, 6, 7, 8 are accepted", id=f"{kind!r}")
        for kind in (0, 2, 4, 9, -1, 5.0, True, "5", [5])
    ),
    pytest.param({**GOOD, "holder": None}, "holder is None; a registered port", id="nobody holds it"),
    pytest.param({**GOOD, "holder": "c"}, "holder is 'c'; a registered port", id="a stranger holds it"),
    pytest.param({**GOOD, "holder": [A]}, "holder is [", id="a list holds it"),
    *(
        pytest.param({**GOOD, "holder": holder}, "a registered port is accepted", id=f"{holder}")
        for holder in ([A, 2], [A, "1"], [A, 1, 1], [], 5)
    ),
    pytest.param({**GOOD, "type": None}, "type None has holder", id="holder of nothing"),
    pytest.param({**GOOD, "type": 7}, "type 7 has holder", id="one holds what all hold"),
    pytest.param({"registrations": [], "type": 8, "holder": None}, "one registration at least", id="none of all"),
])
def test_a_state_that_cannot_be_used(kept: Any, words: str) -> None:
    with pytest.raises(ValueError, match="persistent reservations of LUN 7: ") as raised:
        restore(Kept(reservations=kept), 7)
    assert words in str(raised.value)
    assert "remove 'reservations' from its state" in str(raised.value)


def test_a_logical_unit_with_such_a_state_is_not_made(make_disk: Any) -> None:
    with pytest.raises(ValueError, match="persistent reservations of LUN 0"):
        make_disk(state=Kept(reservations={**GOOD, "holder": "c"}))


@given(
    registrations=dictionaries(
        text(min_size=1, max_size=20).filter(lambda port: "\0" not in port and _encodes(port)),
        integers(1, 0xFFFF_FFFF_FFFF_FFFF), max_size=4,
    ),
    kind=none() | sampled_from(ReservationType), aptpl=booleans(), data=integers(min_value=0),
)
def test_what_is_kept_is_restored(
    registrations: dict[str, int], kind: ReservationType | None, aptpl: bool, data: int
) -> None:
    nexuses = {ItNexus(port, data % 3 + 1): key for port, key in registrations.items()}
    before = Reservations(MappingProxyType(nexuses), aptpl=aptpl)
    if nexuses and kind is not None:
        before = before.reserved(kind, list(nexuses)[data % len(nexuses)])
    state = Kept(reservations=GOOD)
    keep(state, before)
    after = restore(state, 0).now
    assert after == (before if aptpl else Reservations())
    assert list(after.registrations) == (list(nexuses) if aptpl else [])


def _encodes(port: str) -> bool:
    try:
        port.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
