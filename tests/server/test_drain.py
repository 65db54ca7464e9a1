"""A logical unit that was removed: its store is let go when no command can touch it any more, and not before."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.iscsi import deferred
from ietpy.iscsi.connection import Connection
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit

NAME = "iqn.2026-11.test.server:disk"
READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
READ_4_MIB = bytes.fromhex("28 00 00000000 00 2000 00")

Eventually = Callable[[Callable[[], bool]], None]


def remove(served: Any) -> Callable[[], bool]:
    unit = served.lu.device.remove(0)
    busy: Callable[[], bool] = served.server.under_way(unit)
    return busy


@pytest.fixture
def other(served: Any, tmp_path: Path) -> Iterator[Any]:
    """The store of a second LUN, 1, of the same target."""
    path = tmp_path / "other.img"
    path.write_bytes(bytes(8 << 20))
    store = type(served.store)(path)
    device = served.target.device
    device.add(1, LogicalUnit(store, iet_identity("x", 1), device=device, number=1, write_cache=True))
    yield store
    store.open_gate()
    served.server.stop(20)
    store.close()


@contextmanager
def keeping_busy(client: Any, cdb: bytes, length: int, depth: int) -> Iterator[None]:
    """Always ``depth`` reads of LUN 1 under way."""
    over = threading.Event()

    def work() -> None:
        tags: list[int] = []
        while tags or not over.is_set():
            while len(tags) < depth and not over.is_set():
                tags.append(client.submit(1, cdb, read=length))
            client.wait(tags.pop(0))

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join(30)
    assert not thread.is_alive()


def test_without_sessions_nothing_is_under_way(served: Any) -> None:
    assert not remove(served)()


def test_an_idle_session_holds_nothing(served: Any, eventually: Eventually) -> None:
    client = served.connect()
    client.read(0, 0, 1)
    busy = remove(served)
    eventually(lambda: not busy())
    assert client.command(0, bytes(6)).status == 2


def test_what_a_worker_executes_holds_the_store(served: Any, eventually: Eventually) -> None:
    client = served.connect()
    served.store.hold()
    tag = client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    busy = remove(served)
    assert busy()
    assert busy()
    served.store.open_gate()
    assert client.wait(tag).status == 0
    eventually(lambda: not busy())


def test_a_command_that_comes_later_does_not_hold_it(served: Any, eventually: Eventually) -> None:
    client = served.connect()
    busy = remove(served)
    served.store.hold()
    assert client.command(0, READ_10, read=4096).status == 2  # it sees no unit
    eventually(lambda: not busy())


def test_what_was_promised_and_not_sent_holds_it(served: Any, eventually: Eventually) -> None:
    """An Extent is read when it is sent, and the peer does not take it yet."""
    client = served.connect()
    (pump,) = served.server._pumps
    pump.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.read(0, 0, 1)
    tags = [client.submit(0, READ_4_MIB, read=4 << 20) for _ in range(4)]
    eventually(lambda: pump.egress.busy)
    busy = remove(served)
    assert busy()
    for tag in tags:
        client.wait(tag)
    eventually(lambda: not busy())


def test_a_session_that_ended_holds_nothing(served: Any, eventually: Eventually) -> None:
    client = served.connect()
    (pump,) = served.server._pumps
    busy = remove(served)
    client.close()
    assert pump.finished.wait(20)
    assert not busy()


def test_the_successor_of_a_unit_does_not_shorten_the_wait(served: Any, eventually: Eventually) -> None:
    client = served.connect()
    served.store.hold()
    tag = client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    busy = remove(served)
    served.target.device.add(0, type(served.lu)(
        served.store, served.lu.identity, device=served.target.device, number=0
    ))
    assert client.command(0, bytes(6)).status == 2  # adopts the nexus for the new unit
    assert busy()
    served.store.open_gate()
    client.wait(tag)
    eventually(lambda: not busy())


def test_a_connection_that_is_never_idle_does_not_hold_it(served: Any, other: Any, eventually: Eventually) -> None:
    client = served.connect()
    assert client.command(1, bytes(6)).status == 2
    with keeping_busy(client, READ_4_MIB, 4 << 20, 6):
        busy = remove(served)
        eventually(lambda: not busy())


def test_a_connection_between_two_looks_at_a_busy_lock(served: Any) -> None:
    """Whatever holds the lock: two rounds of sending say that what was queued before has left."""
    served.connect()
    (pump,) = served.server._pumps
    with pump.line.lock:
        busy = remove(served)
        assert busy()
        pump.egress.rounds += 1
        assert busy()  # this one may have begun before
        pump.egress.rounds += 1
        assert busy()  # now the answers of workers
        pump.egress.rounds += 2
        assert not busy()


def test_tasks_used_again_for_other_commands_do_not_hold_it(served: Any, other: Any) -> None:
    client = served.connect()
    assert client.command(1, bytes(6)).status == 2
    served.store.hold()
    tag = client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    (pump,) = served.server._pumps
    (task,) = pump.connection.session.running
    busy = remove(served)
    assert client.command(1, bytes(6)).status == 2  # the LUNs have changed
    with pump.line.lock:
        pass
    assert busy()
    other.hold()
    served.store.open_gate()
    client.wait(tag)
    second = client.submit(1, READ_10, read=4096)
    assert other.entered.acquire(timeout=20)
    assert pump.connection.session.running == {task}
    with pump.line.lock:
        pass
    assert not busy()
    other.open_gate()
    client.wait(second)


def test_who_never_asked_for_the_unit_does_not_hold_it(served: Any, other: Any, eventually: Eventually) -> None:
    """A peer of another unit, or of another target, may read as slowly as it likes."""
    client = served.dial()
    client.login(LoginPlan(target=NAME))
    assert client.command(1, bytes(6)).status == 2
    (pump,) = served.server._pumps
    pump.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    tags = [client.submit(1, READ_4_MIB, read=4 << 20) for _ in range(2)]
    eventually(lambda: pump.egress.busy)
    assert not remove(served)()
    for tag in tags:
        client.wait(tag)


def test_a_command_handed_over_during_the_removal_holds_it(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """The connection's own thread found that it would wait, the unit goes, and only then a worker gets it.

    That worker passes the barrier late, when another command has made the nexus one of the unit's successor.
    """
    client = served.connect()
    (pump,) = served.server._pumps
    handing, removed, started, go_on = (threading.Event() for _ in range(4))
    defer = deferred.defer

    def late(connection: Connection, task: Any, grant: Any) -> bool:
        handing.set()
        assert removed.wait(20)
        return defer(connection, task, grant)

    execute = LogicalUnit.execute

    def slow(unit: LogicalUnit, task: Any) -> bool:
        if task.may_block:
            started.set()
            assert go_on.wait(20)
        return execute(unit, task)

    monkeypatch.setattr(deferred, "defer", late)
    monkeypatch.setattr(LogicalUnit, "execute", slow)
    tag = client.submit(0, bytes.fromhex("35").ljust(10, b"\0"))
    assert handing.wait(20)
    busy = remove(served)
    removed.set()
    assert started.wait(20)
    served.target.device.add(0, type(served.lu)(
        served.store, served.lu.identity, device=served.target.device, number=0
    ))
    assert client.command(0, bytes(6)).status == 2
    for _ in range(3):
        with pump.line.lock:
            pass  # idle now, as far as can be seen
        assert busy()
    go_on.set()
    client.wait(tag)
    eventually(lambda: not busy())
