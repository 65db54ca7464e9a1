"""A connection whose peer has sent nothing for a while gives its memory back; then nothing wakes it but a request.

The socket's receive timeout tells, so it costs no clock that ticks.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ietpy.server.pump import Pump

#: Shorter pauses happen while work goes on, and touching the memory again costs more than a small batch (seconds).
QUIET_SECONDS: Final = 10.0

_ROUND: Final = 1_000_000


def patience(sock: socket.socket, seconds: float) -> None:
    """Have a receive call raise BlockingIOError after so long; 0: never."""
    whole, part = divmod(round(seconds * _ROUND), _ROUND)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", whole, part))


def rest(pump: Pump, room: memoryview) -> int:
    """Receive into ``room`` after all, however long it takes."""
    with pump.line.lock:
        pump.connection.let_go()
    pump.line.attend()  # to word left meanwhile, by a worker perhaps: nobody else will
    patience(pump.sock, 0)
    count = pump.sock.recv_into(room)
    with contextlib.suppress(OSError):  # closed meanwhile
        patience(pump.sock, QUIET_SECONDS)
    return count
