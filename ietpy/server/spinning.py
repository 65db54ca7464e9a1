"""Looking out for the next request for a moment before sleeping until it comes.

To wake a sleeping thread on another processor takes longer than a small command does. So where the next request has
come quickly before, a connection's thread asks for it again and again, for at most ``SPIN_SECONDS``. It does so only
while no other connection has requests: else its processor, and the interpreter, are better left to those. One that was
looking out in vain does without for a while, so who sends seldom costs next to nothing.
"""

from __future__ import annotations

import os
import select
import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ietpy.server.listener import Server

#: What a wake-up costs at most, and with it the answer's way and the next request's (2026-11, two virtual processors).
SPIN_SECONDS: Final = 100e-6
#: After so many requests at once there are more on their way; they come together if one sleeps meanwhile.
FEW: Final = 4
#: Batches that pass without looking out, when it was in vain time after time.
_LONGEST_PAUSE: Final = 255


class Spinner:
    """Of one connection. ``Server.latest`` is that of the connection whose requests came last."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        self._poll = poll.poll  # lets other threads of ours run, and raises nothing where nothing came
        self._pause = 0
        self._pauses = 0  #: how long the next pause will be

    def spin(self, few: bool) -> None:
        """Return when a request has come, or when sleeping is better; after a batch, which had few requests or not."""
        server, poll = self._server, self._poll
        if server.latest is not self:
            server.latest = self
            return
        if not few:
            return
        if self._pause:
            self._pause -= 1
            return
        end = monotonic() + SPIN_SECONDS
        while not poll(0):
            os.sched_yield()  # other processes may need this processor, the initiator's perhaps
            if server.latest is not self or monotonic() > end:
                self._pause = self._pauses = min(2 * self._pauses + 1, _LONGEST_PAUSE)
                return
        self._pauses >>= 1
