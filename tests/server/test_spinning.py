"""Looking out for a request before sleeping: when, by whom, and how it is given up. The clock is the test's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.server import spinning
from ietpy.server.spinning import SPIN_SECONDS, Spinner


class Watched:
    """A spinner whose looks are counted; each takes a quarter of the time it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server: Any = SimpleNamespace(latest=None)
        self.peer, self.sock = socket.socketpair()
        self.spinner = self.server.latest = Spinner(self.server, self.sock)
        self.now = 0.0
        self.yields = 0
        monkeypatch.setattr(spinning, "monotonic", lambda: self.now)
        monkeypatch.setattr(spinning.os, "sched_yield", self.look)

    def look(self) -> None:
        self.yields += 1
        self.now += SPIN_SECONDS / 4

    def spin(self, few: bool = True) -> int:
        """How often it looked in vain."""
        before = self.yields
        self.spinner.spin(few)
        return self.yields - before


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(monkeypatch)
    with made.peer, made.sock:
        yield made


def test_a_request_that_is_there_is_not_waited_for(watched: Watched) -> None:
    watched.peer.send(b"x")
    assert watched.spin() == 0
    watched.sock.recv(1)
    assert watched.spin() > 0  # no pause followed


def test_a_peer_that_goes_is_noticed(watched: Watched) -> None:
    watched.peer.close()
    assert watched.spin() == 0
    assert watched.spinner._out._pauses == 0


def test_it_gives_up_and_pauses_longer_each_time(watched: Watched) -> None:
    assert 4 <= watched.spin() <= 6
    pauses = []
    for _ in range(10):
        pauses.append(0)
        while not watched.spin():
            pauses[-1] += 1
    assert pauses == [1, 3, 7, 15, 31, 63, 127, 255, 255, 255]


def test_one_success_halves_the_next_pause(watched: Watched) -> None:
    for _ in range(1 + 1 + 1 + 3 + 1):
        watched.spin()
    assert watched.spinner._out._pauses == 7
    watched.spinner._out._pause = 0
    watched.peer.send(b"x")
    watched.spin()
    assert watched.spinner._out._pauses == 3


def test_many_requests_at_once_are_slept_for(watched: Watched) -> None:
    assert watched.spin(few=False) == 0


def test_only_the_connection_that_is_alone_looks_out(watched: Watched) -> None:
    other = watched.server.latest = object()
    assert watched.spin() == 0
    assert watched.server.latest is not other
    assert watched.spin() > 0


def test_it_says_whether_others_have_requests(watched: Watched) -> None:
    watched.server.latest = None
    assert not watched.spinner.spin(True)  # the first of all
    assert not watched.spinner.spin(True)
    watched.server.latest = object()
    assert watched.spinner.spin(True)
    assert not watched.spinner.spin(False)


def test_a_connection_with_many_requests_is_not_alone_either(watched: Watched) -> None:
    watched.server.latest = object()
    watched.spin(few=False)
    assert watched.server.latest is watched.spinner


def test_another_connections_requests_end_it(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spinning.os, "sched_yield", lambda: setattr(watched.server, "latest", object()))
    watched.spin()
    assert watched.now == 0.0
    assert watched.spinner._out._pauses == 1
