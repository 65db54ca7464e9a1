"""Looking out for the next request for a moment before sleeping until it comes.

To wake a sleeping thread on another processor takes longer than a small command does. So where the next request has
come quickly before, the thread that waits for it asks for it again and again, for at most ``SPIN_SECONDS``. That is a
connection's own only while no other connection has requests: those are then served together (``server/crowd.py``). One
that was looking out in vain does without for a while, so who sends seldom costs next to nothing.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from ietpy.server.listener import Server

#: What a wake-up costs at most, and with it the answer's way and the next request's (2026-11, two virtual processors).
SPIN_SECONDS: Final = 100e-6
#: After so many requests at once there are more on their way; they come together if one sleeps meanwhile.
FEW: Final = 4
#: Times that pass without looking out, when it was in vain time after time.
_LONGEST_PAUSE: Final = 255


def _undisturbed() -> bool:
    return False


Found = TypeVar("Found")


class LookOut(Generic[Found]):
    """``poll(0)``: what has come; lets other threads of ours run, and raises nothing where nothing came."""

    def __init__(self, poll: Callable[[float], Found]) -> None:
        self._poll = poll
        self._pause = 0
        self._pauses = 0  #: how long the next pause will be

    def look(self, disturbed: Callable[[], bool] = _undisturbed) -> Found | None:
        """What has come; nothing when sleeping is better, or when ``disturbed``."""
        if self._pause:
            self._pause -= 1
            return None
        poll, end = self._poll, monotonic() + SPIN_SECONDS
        while not (found := poll(0)):
            os.sched_yield()  # other processes may need this processor, the initiator's perhaps
            if disturbed() or monotonic() > end:
                self._pause = self._pauses = min(2 * self._pauses + 1, _LONGEST_PAUSE)
                return None
        self._pauses >>= 1
        return found


class Spinner:
    """Of one connection. ``Server.latest`` is that of the connection whose requests came last."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        self._out = LookOut(poll.poll)

    def spin(self, few: bool) -> bool:
        """Look out, after a batch that had few requests or not. Whether others have had requests since the last one."""
        server = self._server
        latest = server.latest
        if latest is not self:
            server.latest = self
            return latest is not None
        if few:
            self._out.look(self._disturbed)
        return False

    def _disturbed(self) -> bool:
        return self._server.latest is not self
