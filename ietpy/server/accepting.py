"""Connections are accepted as long as there are descriptors for them; then those go who have not logged in.

Where that brings none, nobody is accepted for a while: who waits in the queue stays there, and sessions go on. To hang
up on him by means of a descriptor kept for that would bring nobody in sooner (decisions 64).
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import time
from collections.abc import Callable
from typing import Final

from ietpy.events import Event
from ietpy.iscsi.target import Portal
from ietpy.server.logins import Logins

log = logging.getLogger(__name__)

#: After accept fails for want of descriptors, the listener rests this long.
EXHAUSTED_SECONDS: Final = 1.0
#: Connections accepted in a row, before others are listened to.
AT_ONCE: Final = 32

_NO_DESCRIPTOR: Final = frozenset((errno.EMFILE, errno.ENFILE))
_EXHAUSTED: Final = _NO_DESCRIPTOR | {errno.ENOBUFS, errno.ENOMEM}


class Acceptor:
    """``rest``: have nobody listened to who is not accepted yet. For the listener's thread alone."""

    def __init__(self, logins: Logins, portal: Callable[[socket.socket], Portal | None], rest: Callable[[], None]):
        self._logins = logins
        self._portal = portal
        self._rest = rest
        self.rest_until = 0.0

    def look_at_clock(self, now: float) -> None:
        if 0.0 < self.rest_until <= now:
            self.rest_until = 0.0

    def accept(self, listening: socket.socket) -> None:
        """Someone waits there. What one round does not take, the next one does."""
        waiting = select.poll()
        waiting.register(listening, select.POLLIN)
        for _ in range(AT_ONCE):
            if self.rest_until:
                return  # another portal, perhaps, found no descriptor left a moment ago
            if not waiting.poll(0):
                return  # nobody is to make room for nobody, and without descriptors accept fails for nobody too
            self._logins.make_room()
            try:
                sock, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno not in _EXHAUSTED:
                    return  # of the connection alone, which has gone (accept(2))
                if problem.errno not in _NO_DESCRIPTOR or not self._logins.give_way("no descriptor is left"):
                    why = problem.strerror
                    Event.DESCRIPTORS.tell(log, "cannot accept connections for %.0f s: %s", EXHAUSTED_SECONDS, why)
                    self.rest_until = time.monotonic() + EXHAUSTED_SECONDS
                    self._rest()
                continue
            portal = self._portal(listening)
            if portal is None:
                sock.close()
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._logins.begin(sock, peer[0], listening, portal.group)
