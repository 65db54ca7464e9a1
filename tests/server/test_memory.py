"""Big writes of several sessions at once: what they hold is bounded, and all of them end well."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ietpy.iscsi import data_out
from ietpy.iscsi.memory import Memory
from ietpy.iscsi.transfer import Transfer

SIZE = 128 * 1024
LIMIT = 3 * SIZE
SESSIONS, WRITES = 4, 6


class Held:
    """Bytes of write data of unfinished tasks, counted where they come and where they go."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.bytes = self.peak = 0

    def add(self, count: int) -> None:
        with self.lock:
            self.bytes += count
            self.peak = max(self.peak, self.bytes)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    take, leave = data_out.take, Memory.leave

    def taken(connection: Any, task: Any, transfer: Transfer, data: Any, length: int) -> None:
        held.add(length)
        take(connection, task, transfer, data, length)

    def left(self: Memory, session: Any, transfer: Transfer) -> list[Transfer]:
        held.add(-transfer.received)
        return leave(self, session, transfer)

    monkeypatch.setattr(data_out, "take", taken)
    monkeypatch.setattr(Memory, "leave", left)
    return held


def test_big_writes_of_many_hold_no_more_than_they_may(served: Any, held: Held) -> None:
    served.node.memory.limit = LIMIT
    waited: list[None] = []
    served.node.memory.watch = lambda: waited.append(None)
    keys = {"ImmediateData": "No", "InitialR2T": "Yes", "MaxBurstLength": "32768"}
    clients = [served.connect(isid=bytes((0x80, 0, 0, 0, 0, number)), keys=keys) for number in range(SESSIONS)]

    def write(number: int) -> None:
        client = clients[number]
        tags = [
            client.submit(0, b"\x2a\0" + (block * SIZE // 512).to_bytes(4, "big") + b"\0\x01\0\0", write=fill(block))
            for block in range(number * WRITES, (number + 1) * WRITES)
        ]
        for tag in tags:
            assert client.wait(tag).status == 0

    threads = [threading.Thread(target=write, args=(number,)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    content = served.path.read_bytes()
    for block in range(SESSIONS * WRITES):
        assert content[block * SIZE : (block + 1) * SIZE] == fill(block), block
    assert waited
    assert SIZE <= held.peak <= LIMIT + SESSIONS * SIZE
    assert held.bytes == served.node.memory.used == 0
    assert not served.node.memory.waiting


def fill(block: int) -> bytes:
    return bytes((block + 1,)) * SIZE


def test_memory_is_counted_with_the_network_of_an_ipv6_address(served: Any) -> None:
    """As places for connections are."""
    assert served.node.source("2001:db8::1") == served.node.source("2001:db8::2") != served.node.source("2001:db8:1::2")
    served.node.source = lambda address: f"whoever is near {address}"
    served.connect()
    (pump,) = served.server._pumps
    assert pump.connection.session.source == pump.connection.pool.owner == "whoever is near 127.0.0.1"
