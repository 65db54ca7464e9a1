"""What the connections of one session share: a lock, and what others have left word of.

The lock is held while the core of any of them is used and their outboxes are filled, never while waiting for bytes.
Everybody else (workers, other sessions' task management) leaves word in ``inbox`` and reads it himself if the lock is
free; who holds it reads it before he is through, and while he sends at the latest after the send timeout.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ietpy.iscsi import recovery
from ietpy.iscsi.transfer import Turn
from ietpy.server.ending import left
from ietpy.server.latency import Stopwatch

if TYPE_CHECKING:
    from ietpy.server.pump import Pump


class Line:
    """Of one session; before its login a connection has one of its own. ``members`` are the pumps that use it."""

    __slots__ = ("enabled", "executing", "inbox", "lock", "members", "stranded", "watch")

    def __init__(self, pump: Pump) -> None:
        self.lock = threading.Lock()
        #: What to do under the lock, in order; see the module's text.
        self.inbox: deque[Callable[[], None]] = deque()
        #: Of any session's tasks, those whose turn has come with the end of ours (``Connection.enabled``).
        self.enabled: deque[Turn] = pump.connection.enabled
        #: Whether the holder of the lock may be executing a batch at this moment; for ``services.quiesce``.
        self.executing = False
        self.members: list[Pump] = [pump]
        #: Pumps that have ended, and whose connections have tasks to be reassigned (``iscsi/recovery.py``).
        self.stranded: list[Pump] = []
        self.watch = Stopwatch()

    def post(self, word: Callable[[], None]) -> None:
        """Have ``word`` called under the lock, here and now if it is free. Never waits."""
        self.inbox.append(word)
        self.attend()

    def attend(self) -> None:
        """Read the inbox, unless someone holds the lock: then he will before he is through."""
        while self.inbox and self.lock.acquire(blocking=False):
            try:
                self.read()
                for member in self.members:
                    member.flush_now()
            finally:
                self.lock.release()

    def read(self) -> None:
        """Do what the inbox says, and pass on what comes of it; the caller holds the lock and flushes."""
        inbox, enabled = self.inbox, self.enabled
        while inbox or enabled:
            if enabled:
                self._pass_on()
            else:
                self.guarded(inbox.popleft())
        gone = [pump for pump in self.stranded if not pump.connection.stranded]
        if not gone:
            return
        for pump in gone:
            self.stranded.remove(pump)
            recovery.give_up(pump.connection)  # unless it was: who closed it may have left word, or not yet
            left(pump)
            pump.server.sessions_changed()
        self.read()

    def tick(self, now: float) -> None:
        """Look at the clock for connections whose tasks were not reassigned; under the lock."""
        for pump in self.stranded[:1]:
            assert pump.connection.session is not None
            recovery.tick(pump.connection.session, now)

    def between(self) -> None:
        """Read what lies in the inbox while a member sends; what words leave there is for later."""
        for _ in range(len(self.inbox)):
            self.guarded(self.inbox.popleft())
            self._pass_on()

    def _pass_on(self) -> None:
        """Tell whose turn has come with the end of tasks of ours."""
        enabled = self.enabled
        while enabled:
            place = enabled.popleft()
            owner: Pump = place.task.connection.owner
            if owner.line is self:
                owner.begin(place)
            else:
                owner.line.post(lambda owner=owner, place=place: owner.begin(place))  # type: ignore[misc]

    def guarded(self, action: Callable[[], object]) -> None:
        """Do what another thread asks for; a mistake of ours costs this session, not that thread."""
        try:
            action()
        except Exception as mistake:
            for member in self.members:
                member.confess(mistake)
