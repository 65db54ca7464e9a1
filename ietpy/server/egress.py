"""The outbox is drained in order, in as few calls as the kernel allows, by whoever holds the connection's lock.

Only the connection's own threads may wait for a peer that does not take its answers; others send what fits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final

from ietpy.iscsi.connection import Connection
from ietpy.iscsi.outbox import Piece
from ietpy.iscsi.streaming import StreamedStatus
from ietpy.scsi.store import Extent

_IOV_MAX: Final = 1024  #: sendmsg's limit (UIO_MAXIOV)
_ZEROS: Final = bytes(64 * 1024)
_BUFFER: Final = (memoryview, bytes)


def _nothing() -> None:
    pass


class Egress:
    """Sends one connection's outbox; ``unsent`` is what the socket did not take yet."""

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        self._connection = connection
        self._sock = sock
        self.unsent: list[Piece] = []
        self.busy = False  #: within ``flush``
        self.rounds = 0  #: how often everything that was queued at the time has left

    def flush(self, between: Callable[[], object] = _nothing) -> None:
        """Send everything, waiting for the peer as long as the socket's send timeout allows.

        ``between`` is called when a system call had to stop before the end, so a peer that reads slowly keeps it
        waiting for one send timeout at most. It may queue more, which is sent as well; it must not send.
        Raises OSError when the peer is gone or takes nothing for the whole timeout.
        """
        connection = self._connection
        self.busy = True
        try:
            while True:
                pieces = connection.take_outbox()
                if self.unsent:
                    pieces, self.unsent = [*self.unsent, *pieces], []
                if len(pieces) == 1 and type(pieces[0]) is memoryview:
                    self._send(pieces[0], 0, between)
                elif pieces:
                    self._send_pieces(pieces, between)
                self.rounds += 1
                if connection.nothing_queued():
                    break
        except OSError:
            connection.closing = True  # nobody knows where the stream broke off: nothing may follow
            raise
        finally:
            self.busy = False
        connection.sent()

    def flush_now(self) -> bool:
        """Send what the socket takes at once; whether that was everything. Raises OSError when the peer is gone.

        Extents are left to ``flush``: reading them may wait for a disk.
        """
        unsent = self.unsent = [*self.unsent, *self._connection.take_outbox()]
        while unsent:
            group: list[bytes | memoryview] = []
            for piece in unsent[:_IOV_MAX]:
                if isinstance(piece, Extent):
                    break
                group.append(piece.pdu() if isinstance(piece, StreamedStatus) else piece)
            if not group:
                return False
            try:
                sent = self._sock.sendmsg(group, (), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            for count, buffer in enumerate(group):
                if sent < len(buffer):
                    unsent[: count + 1] = [memoryview(buffer)[sent:]]
                    return False
                sent -= len(buffer)
            del unsent[: len(group)]
        self.rounds += 1
        self._connection.sent()
        return True

    def skip(self, count: int) -> None:
        """Of the answers of a login the first ``count`` bytes were sent before this process had its socket."""
        answers = b"".join(piece for piece in self._connection.take_outbox() if isinstance(piece, bytes))
        self.unsent.append(memoryview(answers)[count:])

    def _send_pieces(self, pieces: list[Piece], between: Callable[[], object]) -> None:
        buffers: list[bytes | memoryview] = []
        for piece in pieces:
            if isinstance(piece, _BUFFER):
                buffers.append(piece)
            elif isinstance(piece, Extent):
                self._send_buffers(buffers, socket.MSG_MORE, between)
                buffers.clear()
                self._send_extent(piece, between)
            else:
                buffers.append(piece.pdu())
        self._send_buffers(buffers, 0, between)

    def _send_buffers(
        self, buffers: list[bytes | memoryview], flags: int, between: Callable[[], object]
    ) -> None:
        first = 0
        while first < len(buffers):
            group = buffers[first : first + _IOV_MAX]
            first += len(group)
            sent = self._sock.sendmsg(group, (), flags | (socket.MSG_MORE if first < len(buffers) else 0))
            if sent == sum(map(len, group)):
                continue
            for buffer in group:
                if sent >= len(buffer):
                    sent -= len(buffer)
                else:
                    between()
                    self._send(memoryview(buffer)[sent:], flags, between)
                    sent = 0

    def _send(self, view: memoryview, flags: int, between: Callable[[], object]) -> None:
        while (sent := self._sock.send(view, flags)) < len(view):
            between()
            view = view[sent:]

    def _send_extent(self, extent: Extent, between: Callable[[], object]) -> None:
        """Send the bytes of a file. Its header has left, so what the file does not give is filled up with zeros."""
        offset, left = extent.offset, extent.length
        out = self._sock.fileno()
        while left:
            try:
                sent = os.sendfile(out, extent.fd, offset, left)
            except (ConnectionError, BlockingIOError, TimeoutError):
                raise  # the peer's fault, not the file's
            except OSError:
                sent = 0
            if not sent:
                break
            offset += sent
            left -= sent
            between()
        if left and isinstance(extent.context, StreamedStatus):
            extent.context.short = True
        while left:
            self._send(memoryview(_ZEROS)[:left], 0, between)
            left -= min(left, len(_ZEROS))
