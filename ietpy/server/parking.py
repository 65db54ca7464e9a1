"""Tasks of one connection that go to workers: which are next, and which of them make one job.

Tasks that need the same done for them share a job (``DeviceServer.shares``). A unit has one such job at a time: those
that come meanwhile make the next one the larger, and a device that is stuck keeps no more than one worker.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from ietpy.scsi import joint
from ietpy.scsi.limits import MAXIMUM_TRANSFER
from ietpy.scsi.status import TaskAttribute

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

#: No worker gets another task of a connection whose tasks there read more than this (bytes).
UNDER_WAY: Final = 8 * 1024 * 1024
_HEAD_OF_QUEUE: Final = int(TaskAttribute.HEAD_OF_QUEUE)


class Job(NamedTuple):
    """For one worker. ``unit``: whose tasks share it; None: it is one task's alone, which reads ``size`` bytes.

    What those that share read is little (``scsi.limits.JOINT_TRANSFER``), and not counted.
    """

    tasks: deque[Task]
    unit: LogicalUnit | None
    size: int = 0

    @property
    def wanted(self) -> list[Task]:
        """Those that were not aborted while they waited."""
        return [task for task in self.tasks if task.aborted_by is None]

    def execute(self) -> None:
        """Do it; waits for the device."""
        tasks = self.wanted
        if tasks and self.unit is not None:
            joint.work(self.unit, tasks)
        elif tasks:
            tasks[0].nexus.lu.execute(tasks[0])


class Parking:
    """Used by the holder of the session's lock. ``running`` counts jobs that have been taken and have not ended, and
    ``size`` the bytes that they read."""

    __slots__ = ("_busy", "_shared", "running", "size", "turns")

    def __init__(self) -> None:
        self.running = self.size = 0
        self.turns: deque[Job] = deque()  #: in the order in which they are taken
        self._shared: dict[LogicalUnit, Job] = {}  #: those that can still grow
        self._busy: set[LogicalUnit] = set()  #: that have a shared job now

    def __len__(self) -> int:
        return sum(len(job.tasks) for job in (*self.turns, *self._waiting()))

    def _waiting(self) -> list[Job]:
        """What is kept from its turn."""
        return [job for unit, job in self._shared.items() if unit in self._busy]

    def add(self, task: Task) -> None:
        unit = task.nexus.lu.shares(task)
        head = task.attribute == _HEAD_OF_QUEUE
        if unit is None:
            size = 0 if task.data_length else min(task.expected, MAXIMUM_TRANSFER)
            job = Job(deque((task,)), None, size)
        elif unit in self._shared:
            tasks = self._shared[unit].tasks
            tasks.appendleft(task) if head else tasks.append(task)
            return
        else:
            job = self._shared[unit] = Job(deque((task,)), unit)
            if unit in self._busy:
                return
        self.turns.appendleft(job) if head else self.turns.append(job)

    def take(self) -> Job | None:
        """The next job, if there is one; ``ended`` when it was done."""
        if not self.turns:
            return None
        job = self.turns.popleft()
        self.running += 1
        if job.unit is not None:
            del self._shared[job.unit]
            self._busy.add(job.unit)
        self.size += job.size
        return job

    def waiting(self) -> set[Task]:
        """Those no worker has; needs no lock."""
        return {task for job in (*self.turns, *self._shared.values()) for task in tuple(job.tasks)}

    def ended(self, job: Job) -> None:
        self.running -= 1
        self.size -= job.size
        if job.unit is not None:
            self._busy.remove(job.unit)
            if job.unit in self._shared:
                self.turns.append(self._shared[job.unit])

    def clear(self) -> list[Task]:
        """Take away all tasks that no worker has."""
        tasks = [task for job in (*self.turns, *self._waiting()) for task in job.tasks]
        self.turns.clear()
        self._shared.clear()
        return tasks
