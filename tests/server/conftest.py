"""A server on loopback in this process, with a store whose every call can be held back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.target import IscsiNode, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.store import Capabilities, Extent, Move
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from ietpy.stores.fileio import FileStore
from tests.batches import MadeBatch

NAME = "iqn.2026-11.test.server:disk"
BLOCKS = 8192


class GatedStore:
    """A file store in front of a gate: ``hold`` makes reads and writes wait on workers until ``open_gate``.

    With ``commits`` those wait instead of writes; ``fail`` is the errno they fail with, if not 0. ``moved``: of how
    many each ``move`` was, ``begun`` each ``begin``, which there is with ``begins``.
    """

    def __init__(self, path: Path) -> None:
        self.inner = FileStore(str(path))
        self.capabilities = Capabilities(immediate=True, extents=True)
        self.block_size, self.physical_block_size, self.size = 512, 512, self.inner.size
        self._gate = threading.Event()
        self._gate.set()
        self.entered = threading.Semaphore(0)
        self.commits = self.fail = 0
        self.moved: list[int] = []
        self.begun: list[int] = []
        self.begins = False
        self.undone: dict[int, StoreError | BlockingIOError] = {}

    def hold(self) -> None:
        self._gate.clear()

    def open_gate(self) -> None:
        self._gate.set()

    def read(self, offset: int, buffer: memoryview) -> None:
        self.entered.release()
        assert self._gate.wait(30)
        self.inner.read(offset, buffer)

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        return self._gate.is_set() and self.inner.read_now(offset, buffer)

    def extent(self, offset: int, length: int) -> Extent | None:
        return self.inner.extent(offset, length) if self._gate.is_set() else None

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        if not self.capabilities.commits:
            self.entered.release()
            assert self._gate.wait(30)
        self.inner.write(offset, views, fua)

    def move(self, moves: Sequence[Move]) -> list[StoreError | None]:
        self.moved.append(len(moves))
        self.entered.release()
        assert self._gate.wait(30)
        for move in moves:
            if move.writes:
                self.inner.write(move.offset, move.views, False)
            else:
                self.inner.read(move.offset, *move.views)
        return [None] * len(moves)

    @property
    def losses(self) -> int:
        return self.inner.losses

    def begin(self, moves: Sequence[Move]) -> MadeBatch | None:
        if not self.begins:
            return None
        self.begun.append(len(moves))
        self.entered.release()
        return MadeBatch(self.inner, moves, lambda seconds: self._gate.wait(30 if seconds is None else 0), self.undone)

    def mark(self) -> int | None:
        return self.inner.mark()

    def commit(self, mark: int) -> None:
        self.commits += 1
        self.entered.release()
        assert self._gate.wait(30)
        if self.fail:
            raise StoreError(self.fail, "injected")
        self.inner.commit(mark)

    def flush(self) -> None:
        self.inner.flush()

    def discard(self, offset: int, length: int) -> None:
        self.inner.discard(offset, length)

    def zero(self, offset: int, length: int) -> None:
        self.inner.zero(offset, length)

    def close(self) -> None:
        self.inner.close()


class Served:
    """The running server and its parts."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(BLOCKS * 512))
        self.path = path
        self.store = GatedStore(path)
        device = ScsiDevice(NAME, threading.RLock())
        self.lu = LogicalUnit(self.store, iet_identity(NAME, 0), device=device, number=0, write_cache=True)
        device.add(0, self.lu)
        self.target = TargetNode(NAME, device, queued_commands=16, wthreads=4)
        self.node = IscsiNode(threading.RLock())
        self.node.add(self.target)
        self.server = Server(self.node, bind("127.0.0.1", 0))
        self.port = self.server.portals()[0][1]
        self.clients: list[Client] = []

    def write_through(self) -> None:
        """Have writes executed in place, and then made stable by workers."""
        self.store.capabilities = self.lu.capabilities = replace(self.store.capabilities, commits=True)
        self.lu.set_write_cache(False)

    def batch(self, write_cache: bool = False) -> None:
        """Have reads and writes be moved many at once."""
        self.store.capabilities = self.lu.capabilities = Capabilities(batches=True)
        self.lu._immediate = False
        self.lu.set_write_cache(write_cache)

    def dial(self, source: str = "127.0.0.1") -> Client:
        """A connection from an address of the loopback network."""
        client = Client(socket.create_connection(("127.0.0.1", self.port), 10, (source, 0)))
        self.clients.append(client)
        return client

    def adopt(self, sock: socket.socket) -> Client:
        """A connection made elsewhere."""
        self.clients.append(Client(sock))
        return self.clients[-1]

    def connect(self, **plan: Any) -> Client:
        client = self.dial()
        client.login(LoginPlan(target=NAME, **plan))
        assert client.command(0, bytes(6)).status == 2  # the unit attention of a new nexus
        return client

    def __enter__(self) -> Served:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.store.open_gate()
        for client in self.clients:
            client.close()
        self.server.stop(20)
        self.store.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    threads = set(threading.enumerate())
    with Served(tmp_path / "disk.img") as served:
        yield served
    assert set(threading.enumerate()) <= threads, "the server left threads behind"


@pytest.fixture
def slow_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[threading.Event, threading.Event]]:
    """Have one command of this operation code take from the first event until the second."""

    def arrange(code: int) -> tuple[threading.Event, threading.Event]:
        inside, go_on = threading.Event(), threading.Event()
        execute = LogicalUnit.execute

        def slowly(unit: LogicalUnit, task: Any) -> bool:
            if task.cdb[0] == code and not inside.is_set():
                inside.set()
                assert go_on.wait(20)
            return execute(unit, task)

        monkeypatch.setattr(LogicalUnit, "execute", slowly)
        return inside, go_on

    return arrange


def replace_while_writing(served: Any, old: Client, log_in: Callable[[Client], object]) -> None:
    """Have another connection take the place of ``old``, by ``log_in``, while that writes: it waits for the end."""
    served.lu.set_write_cache(False)
    served.store.hold()
    old.submit(0, bytes.fromhex("2a 00 00000000 00 0008 00"), write=b"o" * 4096)
    assert served.store.entered.acquire(timeout=20)
    new = served.dial()
    results: list[bytes] = []

    def work() -> None:
        log_in(new)
        new.write(0, 0, b"n" * 4096)
        results.append(new.read(0, 0, 8))

    thread = threading.Thread(target=work)
    thread.start()
    assert old.closed_by_target()
    assert results == []
    served.store.open_gate()
    thread.join(20)
    assert results == [b"n" * 4096]
