"""The outbox is drained in order, in as few calls as the kernel allows."""

from __future__ import annotations

import os
import socket
from typing import Final

from ietpy.iscsi.connection import Connection, Piece
from ietpy.iscsi.data_in import StreamedStatus
from ietpy.scsi.store import Extent

_IOV_MAX: Final = 1024  #: sendmsg's limit (UIO_MAXIOV)
_ZEROS: Final = bytes(64 * 1024)


def flush(connection: Connection, sock: socket.socket) -> None:
    """Send everything in the outbox. Raises OSError when the peer is gone. The caller holds the connection's lock."""
    pieces = connection.take_outbox()
    if len(pieces) == 1 and type(pieces[0]) is memoryview:
        sock.sendall(pieces[0])
    elif pieces:
        _send_pieces(sock, pieces)
    connection.sent()


def _send_pieces(sock: socket.socket, pieces: list[Piece]) -> None:
    buffers: list[bytes | memoryview] = []
    for piece in pieces:
        if isinstance(piece, Extent):
            _send_buffers(sock, buffers, socket.MSG_MORE)
            buffers.clear()
            _send_extent(sock, piece)
        elif isinstance(piece, StreamedStatus):
            buffers.append(piece.pdu())
        elif len(piece):
            buffers.append(piece)
    _send_buffers(sock, buffers, 0)


def _send_buffers(sock: socket.socket, buffers: list[bytes | memoryview], flags: int) -> None:
    first = 0
    while first < len(buffers):
        group = buffers[first : first + _IOV_MAX]
        first += len(group)
        sent = sock.sendmsg(group, (), flags | (socket.MSG_MORE if first < len(buffers) else 0))
        for buffer in group:
            if sent >= len(buffer):
                sent -= len(buffer)
            else:
                sock.sendall(memoryview(buffer)[sent:], flags)
                sent = 0


def _send_extent(sock: socket.socket, extent: Extent) -> None:
    """Send the bytes of a file. Its header has left, so what the file does not give is filled up with zeros."""
    offset, left = extent.offset, extent.length
    out = sock.fileno()
    while left:
        try:
            sent = os.sendfile(out, extent.fd, offset, left)
        except (BrokenPipeError, ConnectionError, TimeoutError):
            raise
        except OSError:
            sent = 0
        if not sent:
            break
        offset += sent
        left -= sent
    if left and isinstance(extent.context, StreamedStatus):
        extent.context.short = True
    while left:
        sock.sendall(_ZEROS[:left])
        left -= min(left, len(_ZEROS))
