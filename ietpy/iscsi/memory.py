"""How much data of unfinished writes all sessions together may hold (RFC 7143 sections 4.2.2.1 and 11.8).

A write takes room for all its data before its first R2T and gives it back when its task ends, so one that was let in
never waits again and nobody waits for ever. One that finds no room waits, without an R2T, and the oldest goes first.
A session that has nothing under way is always let in: its peer may be the only one that sends. What all hold is so at
most the limit and one write of each session. Writes that wait for their turn (task attributes) are not under way, as
the one they wait for may need memory; so where tasks order others it may be more, up to the command window.

While a write of a session waits, its command window closes: commands that finish make no room for others
(``Session.short``).

Data nobody asked for cannot wait. It is counted, and bounded by FirstBurstLength and the command window.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from ietpy.iscsi.session import Session
    from ietpy.iscsi.transfer import Transfer

#: Bytes, where the machine has enough of them.
LIMIT: Final = 256 * 1024 * 1024


def _nothing() -> None:
    """Where nobody looks at the clock."""


class Memory:
    """``limit`` in bytes; one session has at most half of it, but for its first write. ``lock`` guards everything.

    ``watch`` is called when a write begins to wait, so that somebody sees whether those who have the room send their
    data (``pings.overdue``); it must not wait.
    """

    def __init__(self, lock: AbstractContextManager[Any], limit: int = LIMIT) -> None:
        self.lock = lock
        self.limit = limit
        self.used = 0
        self.watch: Callable[[], None] = _nothing
        #: Oldest first.
        self.waiting: dict[Transfer, Session] = {}
        self._shares: dict[Session, int] = {}
        self._admitted: Counter[Session] = Counter()

    def occupy(self, session: Session, transfer: Transfer, size: int) -> None:
        """Count ``size`` bytes that come without being asked for."""
        with self.lock:
            self._take(session, transfer, size)

    def admit(self, session: Session, transfer: Transfer) -> bool:
        """Whether there is room for all that ``transfer`` needs; else it waits, and ``leave`` says when it may go on.

        The caller holds the session's lock.
        """
        with self.lock:
            self.waiting[transfer] = session
            if transfer in self._grant():
                return True
        session.short = True
        self.watch()
        return False

    def leave(self, session: Session, transfer: Transfer) -> list[Transfer]:
        """``transfer`` has ended: those that may go on now, of any session. Their connections are to be told."""
        with self.lock:
            self.waiting.pop(transfer, None)
            self._take(session, transfer, -transfer.room)
            return self._stand_still(session, transfer)

    def rest(self, session: Session, transfer: Transfer) -> list[Transfer]:
        """The task of ``transfer`` has its data and waits for others, one of which may wait here; as ``leave``.

        It keeps its room. Until ``resume`` it is not under way, so it keeps nobody of its session from being let in.
        """
        with self.lock:
            return self._stand_still(session, transfer)

    def resume(self, session: Session, transfer: Transfer) -> None:
        """The turn of a task that rested has come."""
        with self.lock:
            if not transfer.admitted:
                transfer.admitted = True
                self._admitted[session] += 1

    def awaited_by(self, session: Session) -> bool:
        """Whether a write of ``session`` waits."""
        with self.lock:
            return session in self.waiting.values()

    def _stand_still(self, session: Session, transfer: Transfer) -> list[Transfer]:
        if transfer.admitted:
            transfer.admitted = False
            self._admitted[session] -= 1
            if not self._admitted[session]:
                del self._admitted[session]
        return self._grant()

    def _grant(self) -> list[Transfer]:
        granted = []
        spent = False  # once the oldest finds no room, younger ones take none of what it waits for
        for transfer, session in self.waiting.items():
            size = transfer.needed - transfer.room
            if self._admitted[session]:
                if self._shares.get(session, 0) + size > self.limit // 2:
                    continue
                spent = spent or self.used + size > self.limit
                if spent:
                    continue
            self._take(session, transfer, size)
            transfer.admitted = True
            self._admitted[session] += 1
            granted.append(transfer)
        for transfer in granted:
            del self.waiting[transfer]
        return granted

    def _take(self, session: Session, transfer: Transfer, size: int) -> None:
        transfer.room += size
        self.used += size
        share = self._shares.get(session, 0) + size
        if share:
            self._shares[session] = share
        else:
            self._shares.pop(session, None)
