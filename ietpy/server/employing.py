"""Who executes what a connection has parked: workers, or for a moment its own thread.

Many devices answer sooner than a worker is awake. So a connection begins itself what goes to a device in batches, and
waits for it, but no longer than ``PATIENCE``: then a worker waits for the rest, and there is no difference for anybody
else. The caller of all this holds the session's lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from ietpy.scsi import joint
from ietpy.scsi.status import Status
from ietpy.server.parking import UNDER_WAY

if TYPE_CHECKING:
    from ietpy.scsi.joint import Moving
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task
    from ietpy.server.parking import Job
    from ietpy.server.pump import Pump

#: Seconds: many times what a solid state device takes, and little beside what a disk that turns does.
PATIENCE: Final = 0.002
_BUSY: Final = int(Status.BUSY)


def employ(pump: Pump) -> None:
    """Give parked tasks to workers."""
    for job in _jobs(pump):
        _employ(pump, job)


def here(pump: Pump) -> None:
    """As ``employ``, in the connection's own thread, which may wait a moment."""
    begun: list[tuple[Job, Moving]] = []
    guarded = pump.line.guarded  # else what was begun before a mistake would be left as it is
    for job in _jobs(pump):
        if job.unit is None:
            _employ(pump, job)
        else:
            guarded(partial(_begin, pump, job, job.unit, begun))
    deadline = time.monotonic() + PATIENCE
    for job, moving in begun:
        guarded(partial(_end, pump, job, moving, deadline))


def _begin(pump: Pump, job: Job, unit: LogicalUnit, begun: list[tuple[Job, Moving]]) -> None:
    try:
        moving = joint.begin(unit, job.wanted)
    except BaseException:
        _break_off(pump, job)
        raise
    if moving is None:
        _employ(pump, job)
    else:
        begun.append((job, moving))


def _end(pump: Pump, job: Job, moving: Moving, deadline: float) -> None:
    if not moving.wait(max(0.0, deadline - time.monotonic())):
        _leave(pump, job, partial(_finish, job, moving), at_once=True)
        return
    try:
        left = moving.conclude()
    except BaseException:
        _break_off(pump, job)
        raise
    if left:
        _leave(pump, job, partial(_go_on, job, left))
    else:
        pump.worked(job)


def _break_off(pump: Pump, job: Job) -> None:
    """Have a job end when the mistake has been confessed, which closes the connection: nothing is answered then."""
    pump.line.inbox.append(partial(pump.worked, job))


def _jobs(pump: Pump) -> Iterator[Job]:
    """What is parked: no more than workers may have, and nothing whose answer could not leave yet.

    So a peer that does not read bounds what is staged for it, whatever it asks for.
    """
    workers, parked, connection = pump.workers, pump.parked, pump.connection
    if workers is None:
        return
    limit, allowance = workers.limit, pump.server.allowance
    while parked.running < limit and parked.size <= UNDER_WAY and connection.staged_size <= allowance:
        job = parked.take()
        if job is None:
            return
        yield job


def _employ(pump: Pump, job: Job) -> None:
    try:
        _give(pump, job, job.execute)
    except RuntimeError:  # the system has no thread left
        for task in job.tasks:
            task.status, task.sense = _BUSY, b""
        pump.line.inbox.append(partial(pump.worked, job))


def _leave(pump: Pump, job: Job, action: Callable[[], None], at_once: bool = False) -> None:
    """To a worker, the end of what was begun. ``at_once``: it has claims, which all workers may be waiting for."""
    try:
        _give(pump, job, action, at_once)
    except RuntimeError:  # the system has no thread left, and it must be ended
        _work(pump, job, action)


def _give(pump: Pump, job: Job, action: Callable[[], None], at_once: bool = False) -> None:
    """Have a worker do ``action``, then answer the tasks of ``job``. Raises RuntimeError where there is none."""
    assert pump.workers is not None
    pump.workers.submit(partial(_work, pump, job), action, at_once)


def _work(pump: Pump, job: Job, action: Callable[[], None]) -> None:
    pump.line.guarded(action)
    pump.line.post(partial(pump.worked, job))


def _finish(job: Job, moving: Moving) -> None:
    moving.wait()
    if left := moving.conclude():
        _go_on(job, left)


def _go_on(job: Job, left: list[Task]) -> None:
    assert job.unit is not None
    joint.work(job.unit, left)
