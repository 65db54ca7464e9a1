"""A target in memory and a connection to it without sockets: bytes in, bytes out, the same every time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator

from ietpy.errors import FormatError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, TimedOut
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.deferred import withdraw
from ietpy.iscsi.target import Accounts, Asker, IscsiNode, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.wire.buffers import ReceiveWindow
from tests.adversarial.world import BOTH_WAYS, LOCKED, MUTUAL, PLAIN, SECRET
from tests.iscsi.conftest import MemoryStore

BLOCKS = 256
IMAGE = b"".join(block.to_bytes(4, "big") * 128 for block in range(BLOCKS))


class Memory:
    """A node with the targets PLAIN (open), LOCKED (CHAP) and BOTH_WAYS (CHAP of both sides)."""

    def __init__(self) -> None:
        self.node = IscsiNode(threading.RLock())
        self.store = MemoryStore(BLOCKS)
        self.store.data[:] = IMAGE
        joe = {"joe": SECRET}
        for name, accounts in (
            (PLAIN, Accounts()), (LOCKED, Accounts(joe)), (BOTH_WAYS, Accounts(joe, ("itself", MUTUAL))),
        ):
            device = ScsiDevice(name, threading.RLock())
            device.add(0, LogicalUnit(self.store, iet_identity(name, 0), device=device, number=0, write_cache=True))
            self.node.add(TargetNode(name, device, accounts=accounts, queued_commands=64))


class Wire:
    """One connection to it. ``dropped``: it must close without an answer; ``closing``: with what was answered."""

    def __init__(self, memory: Memory, window: int = 8192) -> None:
        self._drawn = 0
        self.connection = Connection(
            memory.node, Asker("", "192.0.2.2", "192.0.2.1"), 3260, self._entropy, lambda session, replaced: None,
            ReceiveWindow(window),
        )
        self.connection.owner = self
        self.dropped = False

    def _entropy(self, size: int) -> bytes:
        """Bytes that differ from call to call and not from run to run."""
        self._drawn += 1
        return (self._drawn * 0x9E3779B97F4A7C15 % (1 << 61)).to_bytes(8, "big").ljust(size, b"\x5c")[:size]

    @property
    def closing(self) -> bool:
        return self.dropped or self.connection.closing

    def feed(self, stream: bytes, sizes: Iterable[int] = ()) -> bytes:
        """Hand over ``stream`` in pieces of these sizes, the last one the rest; what the target sends."""
        sent = bytearray()
        for piece in _cut(stream, sizes):
            at = 0
            while at < len(piece) and not self.closing:
                space = self.connection.space()
                size = min(len(space), len(piece) - at)
                space[:size] = piece[at : at + size]
                at += size
                login = self.connection.login is not None
                sent += self._received(size)
                if login and self.connection.login is None and not self.closing:
                    sent += self._received(0)
        return bytes(sent)

    def end(self) -> None:
        """The connection is lost; its session leaves the target."""
        self.connection.closing = True
        if self.connection.login is not None:
            self.connection.login.abandoned()
        if self.connection.session is not None:
            withdraw(self.connection)
            self.connection.session.leave(self.connection)

    def _received(self, count: int) -> bytes:
        try:
            tasks = self.connection.received(count)
        except FormatError:
            self.dropped = True
            return b""
        for task in tasks:
            assert task.nexus.lu.execute(task), "nothing waits in memory"
            complete(task.connection, task)
        tasks.clear()
        sent = b"".join(self.connection.take_outbox())  # type: ignore[arg-type]
        self.connection.sent()
        return sent


def _cut(stream: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        if at >= len(stream):
            return
        yield stream[at : at + size]
        at += size
    if at < len(stream):
        yield stream[at:]


class MemoryClient(Client):
    """The initiator's own client on a ``Wire``. What it sent between two answers is a turn, kept in ``turns``."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(socket.socket())
        self.wire = wire
        self.turns: list[bytes] = []
        self.answers: list[bytes] = []
        self._unsent = self._unread = b""

    def send_pdu(self, data: bytes, *, timeout: float | None = None) -> None:
        self._unsent += data

    def _receive(self, deadline: float) -> bytes:
        if self._unsent:
            self.turns.append(self._unsent)
            self.answers.append(self.wire.feed(self._unsent))
            self._unread += self.answers[-1]
            self._unsent = b""
        if not self._unread:
            raise ConnectionLost("closed") if self.wire.closing else TimedOut("nothing more comes")
        data, self._unread = self._unread, b""
        return data
