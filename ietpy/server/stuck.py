"""Commands that wait for a medium for too long, found by looking at them every few seconds: commands pay nothing.

A look notes what workers execute and what connections' own threads do; what was there before keeps its time. Who asks
what is stuck (``facts``) takes no lock. A command that waits for a worker is not stuck: what the workers do is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ietpy.events import Event
from ietpy.iscsi.session import Session
from ietpy.scsi.device_server import DeviceServer
from ietpy.scsi.task import Task
from ietpy.server.pump import Pump

log = logging.getLogger(__name__)

LONG: Final = 10.0  #: seconds after which a command is stuck
EVERY: Final = 2.0  #: seconds between looks while something is under way
IDLE: Final = 3.0  #: while nothing is
#: What is still stuck is told again when it has been for twice as long as the last time, at most after so long.
LONGEST_SILENCE: Final = 3600.0

#: A Task is used again for other commands, so one is known by its numbers too; whole batches, by their connection.
Key = tuple[object, ...]


@dataclass(slots=True)
class _Seen:
    """``unit``: whose command; ``name``, ``initiator``: of what the command is, and whose; as long as it lasts."""

    unit: DeviceServer
    name: str
    initiator: str
    since: float


@dataclass(slots=True)
class _Told:
    """Of a unit: since when commands are stuck, and when that is to be told again."""

    since: float
    again: float


class Watch:
    """Looked at by one thread. ``clock``: seconds that only go forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Key, _Seen] = {}  #: replaced, never changed
        self._told: dict[DeviceServer, _Told] = {}
        self._next = 0.0

    def due(self, pumps: Collection[Pump]) -> float | None:
        """When to look the next time; None while there is nothing to look at, or to take back."""
        return self._next if pumps or self._seen else None

    def look(self, pumps: Iterable[Pump], now: float) -> None:
        """Note what is under way, and log what has been for too long; unless the last look was a moment ago."""
        if now < self._next:
            return
        seen: dict[Key, _Seen] = {}
        for pump in pumps:
            for key, note in _under_way(pump):
                seen[key] = self._seen.get(key) or note(now)
        self._seen = seen
        self._next = now + (EVERY if seen else IDLE)
        self._tell(now)

    def facts(self) -> list[dict[str, Any]]:
        """What is stuck, oldest first: target, LUN, command, initiator, and for how many seconds at least."""
        now = self._clock()
        found = sorted(self._stuck(now), key=lambda each: each.since)
        return [
            {
                "target": each.unit.device.name, "lun": each.unit.number, "command": each.name,
                "initiator": each.initiator, "seconds": round(now - each.since),
            }
            for each in found
        ]

    def _stuck(self, now: float) -> list[_Seen]:
        return [each for each in self._seen.values() if now - each.since >= LONG]

    def _tell(self, now: float) -> None:
        """One line for each unit, when it begins, at growing intervals, and when it is over."""
        stuck: dict[DeviceServer, list[_Seen]] = {}
        for each in self._stuck(now):
            stuck.setdefault(each.unit, []).append(each)
        for unit, commands in stuck.items():
            oldest = min(commands, key=lambda each: each.since)
            age = now - oldest.since
            told = self._told.get(unit)
            if told is None or now >= told.again:
                more = f", and {len(commands) - 1} more" if len(commands) > 1 else ""
                Event.IO_STUCK.tell(
                    log, "LUN %s of %s: %s of %s has been waiting for its medium for %.0f s%s",
                    unit.number, unit.device.name, oldest.name, oldest.initiator, age, more,
                    target=unit.device.name, lun=unit.number, command=oldest.name, initiator=oldest.initiator,
                    seconds=round(age), commands=len(commands),
                )
                since = oldest.since if told is None else told.since
                self._told[unit] = _Told(since, now + min(max(age, LONG), LONGEST_SILENCE))
        for unit in self._told.keys() - stuck.keys():
            told = self._told.pop(unit)
            Event.IO_MOVES.tell(
                log, "LUN %s of %s is not stuck any more; it was for %.0f s",
                unit.number, unit.device.name, now - told.since, target=unit.device.name, lun=unit.number,
            )


def _under_way(pump: Pump) -> Iterator[tuple[Key, Callable[[float], _Seen]]]:
    """What workers execute of a session, and the batch that a thread of its own is at; how to note it."""
    session, line = pump.connection.session, pump.line
    if session is None or session.target is None:
        return
    waiting: set[Task] = set()
    waiting.update(*(each.parked.waiting() for each in (*line.members, *line.stranded)))
    for task in tuple(session.running):
        if task not in waiting:
            yield (task, task.tag, task.cmd_sn), partial(_seen, session, task, "")
    batch = tuple(session.ready) if line.executing else ()
    for task in batch[:1]:
        more = f" (or one of {len(batch) - 1} executed after it)" if len(batch) > 1 else ""
        yield (line, task, task.tag, task.cmd_sn), partial(_seen, session, task, more)


def _seen(session: Session, task: Task, more: str, now: float) -> _Seen:
    unit = task.nexus.lu
    return _Seen(unit, unit.name_of(task.cdb) + more, session.initiator, now)
