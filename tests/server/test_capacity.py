"""Places for connections: how many there are, and whose they are."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.errors import LoginFailure
from ietpy.initiator.errors import LoginRefused
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.errors import LoginStatus
from ietpy.server import capacity
from ietpy.server.capacity import Capacity, ask_for_descriptors, most_connections

GIB = 1 << 30


@pytest.mark.parametrize(
    ("descriptors", "memory", "most"),
    [
        (1 << 20, 64 * GIB, capacity.CONNECTIONS_AT_ONCE),
        (resource.RLIM_INFINITY, 64 * GIB, capacity.CONNECTIONS_AT_ONCE),
        (1 << 20, GIB, 256),
        (1024, 64 * GIB, 1024 - 10 - 512 - 64),
        (64, 64 * GIB, capacity.FEWEST),
        (1 << 20, GIB // 1024, capacity.FEWEST),
    ],
)
def test_as_many_as_descriptors_and_memory_allow(
    descriptors: int, memory: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (descriptors, descriptors))
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PHYS_PAGES": memory // 4096, "SC_PAGE_SIZE": 4096}[name])
    monkeypatch.setattr(os, "listdir", lambda path: ["0"] * 10)
    assert most_connections() == most


@pytest.mark.parametrize(
    ("soft", "hard", "asked"),
    [
        (1024, 1 << 20, capacity.DESCRIPTORS),
        (1024, 4096, 4096),
        (1024, resource.RLIM_INFINITY, capacity.DESCRIPTORS),
        (1 << 18, 1 << 20, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_the_soft_limit_is_raised(
    soft: int, hard: int, asked: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: made.append(limits))
    ask_for_descriptors()
    assert made == ([] if asked is None else [(asked, hard)])


def test_who_may_not_raise_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    ask_for_descriptors()


def refused(places: Capacity, address: str) -> bool:
    try:
        places.check(address)
    except LoginFailure as failure:
        return failure.status == LoginStatus.OUT_OF_RESOURCES
    return False


def test_one_address_has_half_of_all_places() -> None:
    places = Capacity(4)
    for who in ("first", "second"):
        places.check("192.0.2.1")
        places.enter(who, "192.0.2.1")
    assert refused(places, "192.0.2.1")
    assert not refused(places, "192.0.2.2")
    places.leave("first")
    places.leave("first")
    assert not refused(places, "192.0.2.1")


def test_an_ipv6_network_counts_as_one() -> None:
    places = Capacity(2)
    places.enter("first", "2001:db8::")
    assert refused(places, "2001:db8::7")
    assert not refused(places, "2001:db8:0:1::7")


def test_more_than_all_is_refused() -> None:
    places = Capacity(2)
    for number in (1, 2):
        places.enter(number, f"192.0.2.{number}")
    assert refused(places, "192.0.2.3")
    places.leave(1)
    places.leave(2)
    assert not refused(places, "192.0.2.3")


def test_the_server_counts(served: Any, eventually: Callable[..., None]) -> None:
    """Of a refused login the initiator hears that it may be tried again; who replaces a session is let in."""
    served.server.capacity.most = 4
    first, second = served.connect(), served.connect(isid=b"\x80\0\0\0\0\2")
    for plan in (LoginPlan(target=served.target.name, isid=b"\x80\0\0\0\0\3"), LoginPlan()):
        client = served.dial()
        with pytest.raises(LoginRefused) as refusal:
            client.login(plan)
        assert refusal.value.status == LoginStatus.OUT_OF_RESOURCES
        assert client.closed_by_target()
    served.dial(source="127.0.0.2").login(LoginPlan(target=served.target.name, isid=b"\x80\0\0\0\0\4"))
    again = served.connect(isid=b"\x80\0\0\0\0\2")
    assert second.closed_by_target()
    first.logout()
    eventually(lambda: len(served.server.sessions()) == 2)
    served.connect(isid=b"\x80\0\0\0\0\3").test_unit_ready(0)
    again.test_unit_ready(0)


def test_a_connection_of_a_session_is_counted_too(served: Any) -> None:
    served.target.key_values = {"MaxConnections": 4}
    served.server.capacity.most = 4
    leader = served.connect(keys={"MaxConnections": "4"})
    second = served.dial()
    second.join(leader, 1)
    third = served.dial()
    with pytest.raises(LoginRefused):
        third.join(leader, 2)
    served.dial().join(leader, 1)  # it takes the place of the one before
    assert second.closed_by_target()
