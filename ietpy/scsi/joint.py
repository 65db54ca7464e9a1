"""What one worker does for many tasks at once: it makes writes stable that are in the cache, or moves their data.

Of reads and writes on a store that moves in batches, only those that nothing stands in the way of are moved so. Those
that need no flush may also be begun by who must not wait, and left to a worker if they take long (``begin``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from ietpy.errors import StoreError
from ietpy.scsi.command import BLOCKS, Blocks
from ietpy.scsi.limits import JOINT_TRANSFER
from ietpy.scsi.status import TaskAttribute
from ietpy.scsi.store import Move

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.store import Batch, BatchingStore
    from ietpy.scsi.task import Task

_SIMPLE: Final = int(TaskAttribute.SIMPLE)


class Plan(NamedTuple):
    """What a READ or WRITE moves."""

    unit: LogicalUnit
    offset: int
    length: int
    writes: bool
    fua: int


def plan(lu: LogicalUnit, task: Task, offset: int, length: int, writes: bool, fua: int) -> Blocks:
    """A task that was admitted would wait; note what it would do, if that may be done in a batch."""
    if (
        lu.capabilities.batches and 0 < length <= JOINT_TRANSFER and not task.nexus.barrier
        and task.attribute <= _SIMPLE and (not writes or task.data_length == length)
    ):
        task.plan = Plan(lu, offset, length, writes, fua)
    return BLOCKS


def unit_of(task: Task) -> LogicalUnit | None:
    """Whose tasks are done together with this one."""
    if task.unstable is not None:
        return task.unstable[0]
    return None if task.plan is None else task.plan.unit


def work(lu: LogicalUnit, tasks: Sequence[Task]) -> None:
    """Do what is left of tasks of which ``unit_of`` says ``lu``; it waits for the device."""
    plans = [task.plan for task in tasks if task.plan is not None]
    if plans:
        _perform(lu, tasks, plans)
    else:
        _commit(lu, tasks)


def _commit(lu: LogicalUnit, tasks: Sequence[Task]) -> None:
    """Make ``unstable`` writes stable, all together."""
    marks = [task.unstable[1] for task in tasks if task.unstable is not None]
    try:
        lu.store.commit(min(marks))
    except StoreError as error:
        for task in tasks:
            lu.fail_store(task, error, writing=True)


def _perform(lu: LogicalUnit, tasks: Sequence[Task], plans: Sequence[Plan]) -> None:
    """Move all together, if nothing has come in the way since they were admitted; else one after another."""
    if len(tasks) > 1:
        with lu.exclusion.together((plan.offset, plan.length) for plan in plans) as free:
            if free and _unhindered(lu, tasks, plans):
                _move(lu, tasks, plans)
                return
    order = sorted(range(len(tasks)), key=lambda n: lu.exclusion.busy(plans[n].offset, plans[n].length))
    for task in (tasks[n] for n in order):  # who has to wait for a claim keeps no other waiting
        if task.aborted_by is None:
            task.nexus.lu.execute(task)


class Moving:
    """Tasks whose data is on its way: once ``wait`` has said that it has arrived, ``conclude``."""

    __slots__ = ("_batch", "_claims", "_plans", "_tasks", "_unit")

    def __init__(
        self, unit: LogicalUnit, tasks: Sequence[Task], plans: Sequence[Plan], batch: Batch, claims: ExitStack
    ) -> None:
        self._unit = unit
        self._tasks = tasks
        self._plans = plans
        self._batch = batch
        self._claims = claims

    def wait(self, seconds: float | None = None) -> bool:
        return self._batch.wait(seconds)

    def conclude(self) -> list[Task]:
        """The tasks that ``work`` has to do again, or at all; the others have what they are to be answered with."""
        unit, batch = self._unit, self._batch
        left: list[Task] = []
        done: list[tuple[Task, Plan]] = []
        with self._claims:  # and the batch
            for number, (task, plan) in enumerate(zip(self._tasks, self._plans, strict=True)):
                try:
                    problem = batch.failure(number)
                    if plan.writes and unit.write_through:  # the cache was disabled meanwhile
                        raise BlockingIOError
                    if problem is None and not plan.writes:
                        task.data_in = view = task.sink(plan.length)
                        view[:] = batch.data(number)
                except BlockingIOError:
                    left.append(task)
                    continue
                except StoreError as error:
                    problem = error
                if problem is not None:
                    unit.fail_store(task, problem, plan.writes)
                    continue
                done.append((task, plan))
        _count(unit, done)
        return left


def begin(unit: LogicalUnit, tasks: Sequence[Task]) -> Moving | None:
    """Begin to move the data of tasks of which ``unit_of`` says ``unit``; None where ``work`` must, as that waits."""
    plans = [task.plan for task in tasks if task.plan is not None]
    if not plans or any(plan.writes and (plan.fua or unit.write_through) for plan in plans):
        return None
    with ExitStack() as claims:
        if not claims.enter_context(unit.exclusion.together((plan.offset, plan.length) for plan in plans)):
            return None
        if not _unhindered(unit, tasks, plans):
            return None
        moves = [
            Move(plan.offset, plan.length, task.data if plan.writes else (), plan.writes)
            for task, plan in zip(tasks, plans, strict=True)
        ]
        batch = cast("BatchingStore", unit.store).begin(moves)
        if batch is None:
            return None
        claims.callback(batch.close)
        return Moving(unit, tasks, plans, batch, claims.pop_all())


def _unhindered(lu: LogicalUnit, tasks: Sequence[Task], plans: Sequence[Plan]) -> bool:
    """Whether executing them again would find nothing new; asked inside their claims, as ``Readiness.writing``."""
    return (
        lu.readiness.condition() is None
        and not any(task.nexus.barrier or task.nexus.lu is not lu for task in tasks)
        and max(plan.offset + plan.length for plan in plans) <= lu.blocks << lu.shift
        and not (lu.write_protected and any(plan.writes for plan in plans))
    )


def _move(lu: LogicalUnit, tasks: Sequence[Task], plans: Sequence[Plan]) -> None:
    """Move their data, and flush once for all writes that must be stable before they are answered."""
    moves: list[Move] = []
    moving: list[Task] = []
    for task, plan in zip(tasks, plans, strict=True):
        try:
            views = task.data if plan.writes else (task.sink(plan.length),)
        except StoreError as error:
            lu.fail_store(task, error, plan.writes)
            continue
        moves.append(Move(plan.offset, plan.length, views, plan.writes))
        moving.append(task)
    losses = lu.store.losses
    errors = cast("BatchingStore", lu.store).move(moves)
    flushed = None
    if any(plan.writes and (plan.fua or lu.write_through) for plan in plans):
        flushed = _flush(lu, losses)
    done: list[tuple[Task, Move]] = []
    for task, move, failed in zip(moving, moves, errors, strict=True):
        problem = failed or (flushed if move.writes else None)
        if problem is not None:
            lu.fail_store(task, problem, move.writes)
            continue
        if not move.writes:
            task.data_in = move.views[0]
        done.append((task, move))
    _count(lu, done)


def _count(lu: LogicalUnit, done: Sequence[tuple[Task, Move | Plan]]) -> None:
    with lu.device.lock:
        for task, each in done:
            blocks = each.length >> lu.shift
            for counters in (lu.record.deferred, task.nexus.deferred):
                if each.writes:
                    counters.writes += 1
                    counters.blocks_written += blocks
                else:
                    counters.reads += 1
                    counters.blocks_read += blocks


def _flush(lu: LogicalUnit, losses: int) -> StoreError | None:
    try:
        lu.store.commit(losses)
    except StoreError as error:
        return error
    return None
