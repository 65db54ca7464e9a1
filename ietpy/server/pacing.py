"""Tasks that wait for their turn by ``scsi.pace``: one thread for all of them, as long as there are any."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ietpy.events import Event
from ietpy.scsi import pace
from ietpy.scsi.task_set import State

if TYPE_CHECKING:
    from ietpy.scsi.task_set import Place
    from ietpy.server.line import Line

log = logging.getLogger(__name__)

#: Seconds for which the thread stays where nothing waits any more: something often does a moment later.
_LINGER: Final = 1.0


class _Waiting(NamedTuple):
    """Smallest first: by when it is due, and of those that are at once in the order of coming."""

    due: float
    number: int
    line: Line
    place: Place


class Pacing:
    """``hold`` may be called with any lock; what is due is told to the task's session, as a word (``Line.post``)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, line: Line, place: Place) -> None:
        """``place.grant`` says how long its task is to wait."""
        assert place.grant is not None
        entry = _Waiting(self._clock() + place.grant.wait, next(self._numbers), line, place)
        with self._changed:
            heapq.heappush(self._waiting, entry)
            self._changed.notify()
            if self._thread is None:
                self._start()

    def review(self) -> None:
        """Limits have changed: who waits for what holds no longer goes on."""
        with self._changed:
            self._waiting = [
                each._replace(due=0.0) if _outdated(each.place) else each for each in self._waiting
            ]
            heapq.heapify(self._waiting)
            self._changed.notify()

    def close(self) -> None:
        """The end is near: nobody waits any more."""
        with self._changed:
            self._closed = True
            self._waiting = [each._replace(due=0.0) for each in self._waiting]
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="pacing", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # the system has none left; the next one tries again
            Event.THREADS.tell(log, "a limit of rates is not kept: %s", problem)
            for each in self._take(float("inf")):
                each.line.inbox.append(partial(_release, each.place))  # whoever has the lock reads it
        else:
            self._thread = thread

    def _run(self) -> None:
        while True:
            with self._changed:
                found = self._take(float("inf") if self._closed else self._clock())
                if not found and not self._await():
                    self._thread = None
                    return
            for each in found:
                each.line.post(partial(_release, each.place))

    def _take(self, until: float) -> list[_Waiting]:
        """Those that are due."""
        found = []
        while self._waiting and self._waiting[0].due <= until:
            found.append(heapq.heappop(self._waiting))
        return found

    def _await(self) -> bool:
        """Wait until something may be due; False: nothing has been for long."""
        if self._waiting:
            self._changed.wait(max(0.0, self._waiting[0].due - self._clock()))
            return True
        return not self._closed and self._changed.wait(_LINGER)


def _outdated(place: Place) -> bool:
    nexus = place.task.nexus
    return place.task.place is not place or place.grant is None or place.grant.meters != pace.meters_of(nexus)


def _release(place: Place) -> None:
    """A task has waited long enough, in the line of its session. Unless it waits for others, too, it goes on."""
    place.grant = None
    if place.task.place is place and place.state is State.ENABLED:
        place.task.connection.owner.begin(place)
