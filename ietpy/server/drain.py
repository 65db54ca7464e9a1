"""When a logical unit was removed: until when its store is still used by commands that were under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.task import Task
from ietpy.server.pump import Pump


def still_busy(pumps: Iterable[Pump], unit: LogicalUnit) -> Callable[[], bool]:
    """A function that never waits and says whether the store of ``unit`` may still be touched.

    Call after the removal and before its number is given to another unit. Requests that come later see that the unit
    is gone (``Nexus.barrier``), so it is enough that each connection was once idle, with nothing unsent (an Extent in
    an outbox is read when it is sent), and that what workers had of the unit at the removal is over.
    """
    left = {pump: _tasks_of(pump, unit) for pump in pumps}

    def busy() -> bool:
        for pump, tasks in list(left.items()):
            if pump.quiet(tasks):
                del left[pump]
        return bool(left)

    return busy


def _tasks_of(pump: Pump, unit: LogicalUnit) -> frozenset[Task]:
    """What workers have of ``unit`` on this connection; copying a set is one step, so its lock is not needed."""
    session = pump.connection.session
    running = () if session is None else tuple(session.running)
    return frozenset(task for task in running if task.nexus.lu is unit)
