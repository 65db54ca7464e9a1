"""How long commands take: from the receive call that completed a batch to the end of the one that sent its answers.

Of a command that somebody else executes (a worker, or its thread in a moment: ``employing``) until its answer is
queued. So the network has no part in it, nor what an initiator's data takes to come; a command of a batch takes as long
as all of it, as its answer leaves with theirs. The clock is looked at twice for a batch, while somebody wants to know
(``Measuring``), and else not at all (docs/decisions 89).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from ietpy.scsi.statistics import Latency

if TYPE_CHECKING:
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.task import Task


#: Seconds for which it is measured after somebody asked for sessions; he may do so again.
ASKED_SECONDS: Final = 300.0


class Measuring:
    """Of a server: whether commands are measured, and until when (``time.monotonic``)."""

    __slots__ = ("on", "until")

    def __init__(self) -> None:
        self.on, self.until = False, 0.0

    def go_on(self, seconds: float) -> None:
        """From now on for so long."""
        self.until = max(self.until, monotonic() + seconds)
        self.on = True

    def asked(self) -> None:
        """Somebody looks at sessions, and may do so again."""
        self.go_on(ASKED_SECONDS)

    def ended(self, now: float) -> None:
        """It is so late: end, if it is time."""
        if now > self.until:
            self.on = False


class Stopwatch:
    """Of a session; used by the holder of its lock. ``began``: when the batch at hand came; 0.0: nobody measures."""

    __slots__ = ("_seen", "began")

    def __init__(self) -> None:
        self.began = 0.0
        self._seen: list[Nexus] = []

    def saw(self, tasks: Sequence[Task]) -> None:
        """These are the batch."""
        self._seen = [task.nexus for task in tasks]

    def handed_over(self, task: Task) -> None:
        """Somebody else executes one of the batch: it is on its own."""
        task.began = self.began
        if task.nexus in self._seen:
            self._seen.remove(task.nexus)

    def sent(self) -> float:
        """The answers to the others have left; the time it is (``time.monotonic``)."""
        now, seen = monotonic(), self._seen
        if seen:
            first = seen[0]
            if seen.count(first) == len(seen):
                _took(first, now - self.began, len(seen))
            else:
                for nexus, commands in Counter(seen).items():
                    _took(nexus, now - self.began, commands)
            self._seen = []
        return now


def worked(tasks: Sequence[Task]) -> None:
    """These were executed by somebody else, and are about to be answered."""
    now = monotonic()
    for task in tasks:
        if task.began:
            _took(task.nexus, now - task.began, 1)


def _took(nexus: Nexus, seconds: float, commands: int) -> None:
    if nexus.latency is None:
        nexus.latency = Latency()
    nexus.latency.took(seconds, commands)
