"""The outbox is drained in order, in as few calls as the kernel allows, by whoever holds the connection's lock.

Only the connection's own threads may wait for a peer that does not take its answers; others send what fits.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from ietpy.iscsi.connection import Connection, Piece
from ietpy.iscsi.data_in import StreamedStatus
from ietpy.scsi.store import Extent

_IOV_MAX: Final = 1024  #: sendmsg's limit (UIO_MAXIOV)
_ZEROS: Final = bytes(64 * 1024)


class Egress:
    """Sends one connection's outbox; ``unsent`` is what the socket did not take yet."""

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        self._connection = connection
        self._sock = sock
        self.unsent: list[Piece] = []

    def flush(self) -> None:
        """Send everything, waiting for the peer as long as the socket's send timeout allows.

        Raises OSError when the peer is gone or takes nothing for that long.
        """
        pieces = self._connection.take_outbox()
        if self.unsent:
            pieces = [*self.unsent, *pieces]
            self.unsent = []
        try:
            if len(pieces) == 1 and type(pieces[0]) is memoryview:
                self._sock.sendall(pieces[0])
            elif pieces:
                self._send_pieces(pieces)
        except OSError:
            self._connection.closing = True  # nobody knows where the stream broke off: nothing may follow
            raise
        self._connection.sent()

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
        self._connection.sent()
        return True

    def _send_pieces(self, pieces: list[Piece]) -> None:
        buffers: list[bytes | memoryview] = []
        for piece in pieces:
            if isinstance(piece, Extent):
                self._send_buffers(buffers, socket.MSG_MORE)
                buffers.clear()
                self._send_extent(piece)
            elif isinstance(piece, StreamedStatus):
                buffers.append(piece.pdu())
            elif len(piece):
                buffers.append(piece)
        self._send_buffers(buffers, 0)

    def _send_buffers(self, buffers: list[bytes | memoryview], flags: int) -> None:
        first = 0
        while first < len(buffers):
            group = buffers[first : first + _IOV_MAX]
            first += len(group)
            sent = self._sock.sendmsg(group, (), flags | (socket.MSG_MORE if first < len(buffers) else 0))
            for buffer in group:
                if sent >= len(buffer):
                    sent -= len(buffer)
                else:
                    self._sock.sendall(memoryview(buffer)[sent:], flags)
                    sent = 0

    def _send_extent(self, extent: Extent) -> None:
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
        if left and isinstance(extent.context, StreamedStatus):
            extent.context.short = True
        while left:
            self._sock.sendall(_ZEROS[:left])
            left -= min(left, len(_ZEROS))
