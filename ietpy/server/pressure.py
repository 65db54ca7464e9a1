"""What answers take that their peers do not read: for each connection it is bounded, and for all together here.

A connection has its ``allowance`` staged, and what ``parking.UNDER_WAY`` says on workers; and a command of its own
thread, and one of a worker, more. Those of more than a MiB have a budget for all (``wire.buffers.Budget``), and who
finds no room there is told BUSY. A peer has ``listener.SEND_SECONDS`` to take some of what there is for him. When all
together have more than half of the budget that is too long: those who have not taken all that was for them for
``BEHIND_SECONDS`` are given up, those who hold most first, until the others have no more than that (decisions 65).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ietpy.events import Event

if TYPE_CHECKING:
    from ietpy.server.pump import Pump

log = logging.getLogger(__name__)

#: A batch is sent in parts when its answers take more memory than this (bytes), and no worker gets a task while more
#: waits to be sent; where there are many connections it is less.
STAGED_LIMIT: Final = 4 * 1024 * 1024
STAGED_AT_LEAST: Final = 128 * 1024
BEHIND_SECONDS: Final = 5.0
#: So few connections cannot hold much.
FEW: Final = 4


def allowance(budget: int, connections: int) -> int:
    """Bytes that one of so many connections may have staged."""
    return max(STAGED_AT_LEAST, min(STAGED_LIMIT, budget // max(1, connections)))


def waits(pump: Pump) -> bool:
    """Whether tasks wait for others, or for memory, or a function for its peer; needs no lock."""
    session, connection = pump.connection.session, pump.connection
    return session is not None and bool(
        session.dormant or session.short or connection.node.memory.turned_away or connection.pings.fences
    )


class Pressure:
    """For the listener's thread; takes no lock."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: Of connections with something staged: how often all of theirs had left, and since when that is so.
        self._behind: dict[Pump, tuple[int, float]] = {}
        self._next = 0.0

    def due(self, connections: int) -> float | None:
        """When to look the next time; None while there is nothing to look at, or to let go of."""
        return self._next if connections >= FEW or self._behind else None

    def look(self, now: float, pumps: Sequence[Pump]) -> None:
        """Give up who must be; unless the last look was a moment ago, or there are few."""
        if now < self._next:
            return
        staged = {pump: pump.connection.staged_size + pump.parked.size for pump in pumps} if len(pumps) >= FEW else {}
        behind = {}
        for pump, size in staged.items():
            rounds = pump.egress.rounds
            if size:
                before = self._behind.get(pump)
                behind[pump] = before if before is not None and before[0] == rounds else (rounds, now)
        self._behind = behind
        self._next = now + (1.0 if behind else BEHIND_SECONDS)  # with many idle connections that is not often
        total = sum(staged.values())
        for pump in sorted(behind, key=lambda pump: -staged[pump]):
            if total <= self.limit:
                break
            if now - behind[pump][1] >= BEHIND_SECONDS and not pump.connection.closing:
                Event.PEER_NOT_READING.tell(
                    log, "%s: connection dropped: it does not take its answers, %d MiB, and all together have %d MiB",
                    pump.name, staged[pump] >> 20, total >> 20,
                    peer=pump.connection.asker.peer,
                )
                pump.close()
                total -= staged[pump]
