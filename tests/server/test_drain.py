"""A logical unit that was removed: its store is let go when no command can touch it any more, and not before."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
READ_4_MIB = bytes.fromhex("28 00 00000000 00 2000 00")

Eventually = Callable[[Callable[[], bool]], None]


def remove(served: Any) -> Callable[[], bool]:
    unit = served.lu.device.remove(0)
    busy: Callable[[], bool] = served.server.under_way(unit)
    return busy


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
