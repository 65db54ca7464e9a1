"""When a logical unit was removed: until when its store is still used by commands that were under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ietpy.iscsi.session import Session
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.task import Task
from ietpy.server.pump import Pump


def still_busy(pumps: Iterable[Pump], unit: LogicalUnit) -> Callable[[], bool]:
    """A function that never waits and says whether the store of ``unit`` may still be touched.

    Call after the removal and before its number is given to another unit. Requests that come later see that the unit
    is gone (``Nexus.barrier``), and connections that never asked for the unit do not matter.
    """
    nexuses = frozenset(unit.nexuses)
    left = [_leaving(pump, nexuses) for pump in pumps if _has_one_of(pump, nexuses)]

    def busy() -> bool:
        left[:] = [each for each in left if next(each, True) is None]
        return bool(left)

    return busy


def _has_one_of(pump: Pump, nexuses: frozenset[Nexus]) -> bool:
    session = pump.connection.session
    return session is not None and not nexuses.isdisjoint(session.attached)


def _leaving(pump: Pump, nexuses: frozenset[Nexus]) -> Iterator[None]:
    """Ends when nothing of ``nexuses`` is left on a connection, whatever else keeps it busy.

    Workers' tasks are noted only when what the connection's own thread executed at the removal has left: it may have
    handed one over after the removal. A Task is used again for other commands, so a command is known by its numbers.
    """
    session = pump.connection.session
    assert session is not None
    yield from _sending(pump)
    tasks = {task: _numbers(task) for task in tuple(session.running) if task.nexus in nexuses}
    while tasks := {task: numbers for task, numbers in tasks.items() if _runs(session, task, numbers)}:
        yield
    yield from _sending(pump)  # an Extent in an outbox is read when it is sent


def _runs(session: Session, task: Task, numbers: tuple[int, int]) -> bool:
    return task in session.running and _numbers(task) == numbers


def _numbers(task: Task) -> tuple[int, int]:
    return task.tag, task.cmd_sn


def _sending(pump: Pump) -> Iterator[None]:
    rounds = pump.egress.rounds
    while not _settled(pump, rounds):
        yield


def _settled(pump: Pump, rounds: int) -> bool:
    """Whether all that was queued when ``egress.rounds`` was ``rounds`` has left. Never waits: busy is not settled.

    A round that ends may have begun before, so it takes two, or one look at an idle connection.
    """
    if pump.finished.is_set() or pump.egress.rounds - rounds >= 2:
        return True
    line = pump.line
    if not line.lock.acquire(blocking=False):
        return False
    try:
        return pump.connection.nothing_queued() and not pump.egress.unsent
    finally:
        line.lock.release()
        line.attend()
