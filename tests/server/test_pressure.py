"""Answers that nobody reads: how much a connection may have staged, and who goes when it is too much for all."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.scsi.status import Status
from ietpy.server import employing, pressure
from ietpy.server.pressure import BEHIND_SECONDS, STAGED_AT_LEAST, STAGED_LIMIT, Pressure, allowance
from tests.server.conftest import BLOCKS, NAME

LIMIT = 100 << 20


class Idle:
    """As much of a pump as pressure looks at, with so many MiB staged."""

    def __init__(self, staged: int, under_way: int = 0) -> None:
        self.name = f"{staged} MiB"
        self.connection = SimpleNamespace(
            staged_size=staged << 20, closing=False, asker=SimpleNamespace(peer="192.0.2.1")
        )
        self.parked = SimpleNamespace(size=under_way << 20)
        self.egress = SimpleNamespace(rounds=0)

    def close(self) -> None:
        self.connection.closing = True


def gone(pumps: list[Idle]) -> list[str]:
    return [each.name for each in pumps if each.connection.closing]


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch) -> Pressure:
    monkeypatch.setattr(pressure, "FEW", 1)
    return Pressure(LIMIT)


def test_who_holds_most_goes_first_and_no_more_than_must(weighed: Pressure) -> None:
    pumps: Any = [Idle(20), Idle(50), Idle(0), Idle(10), Idle(30, 20)]
    weighed.look(0.0, pumps)
    weighed.look(BEHIND_SECONDS - 1, pumps)
    assert gone(pumps) == []
    weighed.look(BEHIND_SECONDS, pumps)
    assert gone(pumps) == ["50 MiB"]


def test_nobody_goes_while_there_is_room(weighed: Pressure) -> None:
    pumps: Any = [Idle(50), Idle(50)]
    for now in (0.0, 100.0):
        weighed.look(now, pumps)
    assert gone(pumps) == []


def test_who_has_taken_all_there_was_is_not_behind(weighed: Pressure) -> None:
    """He has asked for more meanwhile."""
    pumps: Any = [Idle(90), Idle(50)]
    for now in range(20):
        pumps[0].egress.rounds += 1
        weighed.look(float(now), pumps)
    assert gone(pumps) == ["50 MiB"]


def test_it_looks_seldom_where_nothing_waits_to_be_sent(weighed: Pressure) -> None:
    weighed.look(0.0, [Idle(1)])  # type: ignore[list-item]
    assert weighed.due(1) == 1.0
    weighed.look(1.0, [Idle(0)])  # type: ignore[list-item]
    assert weighed.due(1) == 1.0 + BEHIND_SECONDS


def test_it_does_not_look_at_all_of_them_whenever_something_happens(weighed: Pressure) -> None:
    weighed.look(0.0, [Idle(1)])  # type: ignore[list-item]
    weighed.look(0.5, [])
    assert weighed.due(0) == 1.0  # it still has the one


def test_where_few_are_left_it_lets_go_of_those_it_saw() -> None:
    weighed = Pressure(LIMIT)
    pumps: Any = [Idle(1) for _ in range(pressure.FEW)]
    weighed.look(0.0, pumps)
    assert weighed.due(1) == 1.0
    weighed.look(1.0, pumps[1:])
    assert weighed.due(1) is None


def test_who_goes_already_is_not_told_again(weighed: Pressure, caplog: pytest.LogCaptureFixture) -> None:
    pumps: Any = [Idle(110)]
    for now in (0.0, 10.0, 11.0, 12.0):
        weighed.look(now, pumps)
    assert caplog.text.count("does not take its answers, 110 MiB") == 1


# With a server ----------------------------------------------------------------------------------------------------


def deaf(served: Any, number: int) -> Any:
    """A session whose peer has next to no room for answers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", served.port))
    client = served.adopt(sock)
    client.login(LoginPlan(target=NAME, isid=b"\x80\0\0\0\1" + bytes((number,)), keys={"DataDigest": "CRC32C"}))
    assert client.command(0, bytes(6)).status == 2
    return client


def read(blocks: int) -> bytes:
    return b"\x28\0\0\0\0\0\0" + blocks.to_bytes(2, "big")


def test_those_who_do_not_read_go_when_it_is_too_much(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Four of them hold as much as one may; the healthy one beside them sees nothing of it."""
    monkeypatch.setattr(pressure, "BEHIND_SECONDS", 0.5)
    served.server._pressure.limit = 3 * BLOCKS * 512
    healthy = served.connect()
    clients = [deaf(served, number) for number in range(4)]
    for client in clients:
        client.submit(0, read(BLOCKS), read=BLOCKS * 512)
    eventually(lambda: len(served.server.sessions()) == 4)
    assert "connection dropped: it does not take its answers, 4 MiB, and all together have 16 MiB" in caplog.text
    assert healthy.read(0, 0, 8) == bytes(4096)


def test_workers_read_no_more_than_may_wait_to_be_sent(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    """Each of them might read as much as a command may; what is beyond the bound waits for those before."""
    monkeypatch.setattr(employing, "UNDER_WAY", 2 * 4096)
    served.store.hold()
    client = served.connect()
    for _ in range(16):
        client.submit(0, read(8), read=4096)
    for _ in range(3):
        assert served.store.entered.acquire(timeout=20)
    (sole,) = served.server._pumps
    eventually(lambda: len(sole.parked) == 13)
    assert (sole.parked.running, sole.parked.size) == (3, 3 * 4096)
    assert not served.store.entered.acquire(blocking=False)
    served.store.open_gate()
    assert [client.wait(tag).data for tag in list(client.session.tasks)] == [bytes(4096)] * 16
    assert sole.parked.size == 0


@pytest.mark.parametrize("waits", [False, True])
def test_a_large_read_for_which_there_is_no_memory_may_be_tried_again(served: Any, waits: bool) -> None:
    """In place, and on a worker: BUSY, and nothing is counted for it afterwards."""
    if waits:
        served.batch()
    client = served.connect(keys={"DataDigest": "CRC32C"})
    served.node.staging.limit = BLOCKS * 512
    (owner,) = served.server._pumps
    assert served.node.staging.take("another", BLOCKS * 512)
    assert client.wait(client.submit(0, read(BLOCKS), read=BLOCKS * 512)).status == Status.BUSY
    assert client.read(0, 0, 2048) == bytes(1 << 20)  # which is no large one
    served.node.staging.give("another", BLOCKS * 512)
    for _ in range(3):
        assert client.read(0, 0, BLOCKS) == bytes(BLOCKS * 512)
    assert owner.connection.pool.budget is served.node.staging


@pytest.mark.parametrize(("connections", "mine"), [
    (0, STAGED_LIMIT), (1, STAGED_LIMIT), (64, STAGED_LIMIT), (128, STAGED_LIMIT // 2), (1 << 20, STAGED_AT_LEAST),
])
def test_many_have_less_each(connections: int, mine: int) -> None:
    assert allowance(64 * STAGED_LIMIT, connections) == mine


def test_the_allowance_follows_the_number_of_connections(served: Any, eventually: Callable[..., None]) -> None:
    served.node.memory.limit = STAGED_LIMIT
    first, second = served.connect(), served.connect(isid=b"\x80\0\0\0\0\2")
    assert served.server.allowance == STAGED_LIMIT // 2
    second.logout()
    eventually(lambda: served.server.allowance == STAGED_LIMIT)
    first.test_unit_ready(0)
