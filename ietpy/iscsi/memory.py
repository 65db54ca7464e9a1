"""How much data of unfinished writes all sessions together may hold (RFC 7143 sections 4.2.2.1 and 11.8).

A write takes room for all its data before its first R2T and gives it back when its task ends, so one that was let in
never waits again and nobody waits for ever. One that finds no room waits, without an R2T, and the oldest goes first.
A session that has nothing under way is let in beyond that: its peer may be the only one that sends. What all hold then
is twice the limit at most, and what one address holds is the limit; but a write of ``SMALL`` bytes is let in whatever
the others have, and so is one of any size when nobody has anything under way. Writes that wait for their turn (task
attributes) are not under way, as the one they wait for may need memory; so where tasks order others it may be more, up
to the command window.

While a write of a session waits, its command window closes: commands that finish make no room for others
(``Session.short``).

Data nobody asked for cannot wait. It is counted, and bounded by FirstBurstLength and the command window; what is too
much for all together is dropped, and its command ends with BUSY (SAM-5 section 5.3.1).
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
#: Bytes of a write that is let in where its session has nothing else under way.
SMALL: Final = 128 * 1024
#: Who has room that others wait for sends so many bytes, or all that is left, in the time he has for an answer
#: (``pings``): else one byte now and then would keep it.
STEP: Final = 256 * 1024


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
        self._by_source: dict[str, int] = {}
        #: Data that nobody asked for found no room, and there is not much yet.
        self.turned_away = False

    @property
    def scarce(self) -> bool:
        """Whether others want what is held; needs no lock."""
        return bool(self.waiting) or self.turned_away

    def occupy(self, session: Session, transfer: Transfer, size: int) -> bool:
        """Count ``size`` bytes that come without being asked for; False if that is too much, and they are not kept."""
        with self.lock:
            if self._fits(session, size) or (size <= SMALL and session not in self._shares):
                self._take(session, transfer, size)
                return True
            self.turned_away = True
        self.watch()
        return False

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
        # Once the oldest finds no room, younger ones take none of what it waits for.
        spent = full = False
        for transfer, session in self.waiting.items():
            size = transfer.needed - transfer.room
            if self._admitted[session]:
                if self._shares.get(session, 0) + size > self.limit // 2:
                    continue
                spent = spent or self.used + size > self.limit
                if spent:
                    continue
            elif size > SMALL and self._admitted:
                full = full or self.used + size > 2 * self.limit
                if full or not self._fits(session, size):
                    continue
            self._take(session, transfer, size)
            transfer.admitted = True
            self._admitted[session] += 1
            granted.append(transfer)
        for transfer in granted:
            del self.waiting[transfer]
        return granted

    def _fits(self, session: Session, size: int) -> bool:
        """Whether more than the limit may be held for this, as far as it goes."""
        held = self._by_source.get(session.source, 0)
        return self.used + size <= 2 * self.limit and held + size <= self.limit

    def _take(self, session: Session, transfer: Transfer, size: int) -> None:
        transfer.room += size
        self.used += size
        if self.used <= self.limit:
            self.turned_away = False
        share = self._shares.get(session, 0) + size
        if share:
            self._shares[session] = share
        else:
            self._shares.pop(session, None)
        held = self._by_source.get(session.source, 0) + size
        if held:
            self._by_source[session.source] = held
        else:
            self._by_source.pop(session.source, None)
