"""A connection that is quiet gives its memory back, and works on when its peer does."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from ietpy.iscsi.connection import Connection
from ietpy.server import resting
from tests.memory import resident


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released whenever a connection has given its memory back, which takes a moment instead of ten seconds."""
    monkeypatch.setattr(resting, "QUIET_SECONDS", 0.02)
    let_go = Connection.let_go
    done = threading.Semaphore(0)

    def noted(self: Connection) -> None:
        let_go(self)
        done.release()

    monkeypatch.setattr(Connection, "let_go", noted)
    return done


def held(served: Any) -> int:
    """Bytes of the connections' receive windows and slabs that are there."""
    connections = [pump.connection for pump in served.server._pumps]
    return sum(resident(each.window.chunk.buffer) + resident(each.slab) for each in connections)


@pytest.mark.parametrize("keys", [{}, {"MaxConnections": "2"}], ids=["alone", "shared"])
def test_memory_is_given_back_while_nothing_comes(
    served: Any, rested: threading.Semaphore, keys: dict[str, str]
) -> None:
    served.target.key_values = {"MaxConnections": 2}
    client = served.connect(keys=keys)
    for turn in range(3):
        data = bytes((turn + 1,)) * 65536
        client.write(0, 0, data)
        assert client.read(0, 0, 8) == data[:4096]
        assert rested.acquire(timeout=20)
        while held(served):  # rested in the middle of it, as it may here, it does so again
            assert rested.acquire(timeout=20)


def test_a_quiet_connection_is_woken_by_nothing(served: Any, rested: threading.Semaphore) -> None:
    client = served.connect()
    assert rested.acquire(timeout=20)
    while rested.acquire(blocking=False):
        pass
    (pump,) = served.server._pumps
    waits = pump.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
    assert waits == bytes(16)
    client.read(0, 0, 1)
    assert rested.acquire(timeout=20)


@pytest.mark.parametrize("keys", [{}, {"MaxConnections": "2"}], ids=["alone", "shared"])
def test_word_left_while_it_gives_its_memory_back_is_read(
    served: Any, rested: threading.Semaphore, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str]
) -> None:
    """A worker's, for instance: nothing else would wake the connection, and its command would not be answered."""
    served.target.key_values = {"MaxConnections": 2}
    let_go = Connection.let_go
    read = threading.Event()

    def interrupted(self: Connection) -> None:
        self.line.post(read.set)
        let_go(self)

    monkeypatch.setattr(Connection, "let_go", interrupted)
    served.connect(keys=keys)
    assert rested.acquire(timeout=20)
    assert read.wait(20)


def test_a_connection_that_ends_gives_its_memory_back(served: Any, rested: threading.Semaphore) -> None:
    client = served.connect()
    client.write(0, 0, bytes(65536))
    (pump,) = served.server._pumps
    client.close()
    assert pump.left.wait(20)
    connection = pump.connection
    assert resident(connection.window.chunk.buffer) + resident(connection.slab) == 0
