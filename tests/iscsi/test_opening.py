"""Who begins a login, from its first keys alone."""

from __future__ import annotations

import pytest

from ietpy.errors import LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.opening import ALIAS_LIMIT, FIRST_KEYS, alias, identify, take_names


def test_names_are_taken_and_the_rest_is_left() -> None:
    pairs, known = [("InitiatorName", "iqn.i"), ("X-a", "1"), ("SessionType", "Normal")], {}
    take_names(pairs, known)
    assert (pairs, known) == ([("X-a", "1")], {"InitiatorName": "iqn.i", "SessionType": "Normal"})
    pairs = [("InitiatorName", "iqn.i")]
    take_names(pairs, known)
    assert pairs == []


@pytest.mark.rfc7143("13.4-2", "13.5-2")
@pytest.mark.parametrize("name", sorted(FIRST_KEYS))
def test_names_do_not_change_and_come_first(name: str) -> None:
    for known in ({"InitiatorName": "iqn.i", name: "one"}, {"X": "a first request had others"}):
        with pytest.raises(LoginFailure, match=f"{name} changed") as caught:
            take_names([(name, "two")], dict(known))
        assert caught.value.status == LoginStatus.INITIATOR_ERROR


@pytest.mark.parametrize(("keys", "found"), [
    ({"InitiatorName": "i"}, ("i", False)), ({"InitiatorName": "i", "SessionType": "Normal"}, ("i", False)),
    ({"InitiatorName": "i", "SessionType": "Discovery"}, ("i", True)),
])
def test_identify(keys: dict[str, str], found: tuple[str, bool]) -> None:
    assert identify(keys) == found


@pytest.mark.rfc7143("6.3-2", "11.12.10-1")
@pytest.mark.parametrize(("keys", "status"), [
    ({}, LoginStatus.MISSING_PARAMETER), ({"InitiatorName": "i" * 224}, LoginStatus.INITIATOR_ERROR),
    ({"InitiatorName": "i\n"}, LoginStatus.INITIATOR_ERROR),
    ({"InitiatorName": "i", "SessionType": "Both"}, LoginStatus.SESSION_TYPE_NOT_SUPPORTED),
])
def test_nobody(keys: dict[str, str], status: LoginStatus) -> None:
    with pytest.raises(LoginFailure) as caught:
        identify(keys)
    assert caught.value.status == status


@pytest.mark.parametrize(("text", "told"), [
    ("", ""), ("Büro 3", "Büro 3"), ("a" * 300, "a" * ALIAS_LIMIT), ("é" * 200, "é" * 127), ("two\nlines", ""),
    ("\udcff", ""),
])
def test_alias(text: str, told: str) -> None:
    assert alias(text) == told
