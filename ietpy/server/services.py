"""What SCSI devices ask of the server that serves them (``ScsiDevice.served``)."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ietpy.errors import StoreError
from ietpy.events import Event, confess
from ietpy.iscsi import async_messages, task_management
from ietpy.iscsi.target import TargetNode
from ietpy.scsi.attention import UnitAttention
from ietpy.scsi.device_server import DeviceServer
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.task import Task

if TYPE_CHECKING:
    from ietpy.server.line import Line
    from ietpy.server.pump import Pump

log = logging.getLogger(__name__)

Job: TypeAlias = "Callable[[], None]"


def serve(target: TargetNode, jobs: Jobs, later: Callable[[Job], None]) -> None:
    """Offer the services to a target's device. ``later`` has somebody else do something, who holds no lock."""
    target.device.served(
        quiesce=lambda: quiesce(target),
        background=jobs.begin,
        stopping=lambda: jobs.stopping,
        abort_tasks=abort_tasks,
        keeping=threading.Lock(),
        report=lambda attention, nexuses: later(partial(report, target, attention, nexuses)),
        fault=fault,
        clock=time.monotonic,
    )


def report(target: TargetNode, attention: UnitAttention, nexuses: Collection[Nexus]) -> None:
    """Have the sessions of these nexuses told at once of an attention. Never waits."""
    with target.device.lock:
        sessions = tuple(target.sessions.values())
    for session in sessions:
        line: Line = session.line
        line.post(partial(async_messages.report, session, attention, nexuses))


def fault(unit: DeviceServer, error: StoreError, cdb: bytes) -> None:
    """Log why a store failed; initiators are told no more than that it did."""
    command = unit.name_of(cdb) if cdb else ""
    Event.IO_FAILED.tell(
        log, "LUN %s of %s: %s%s", unit.number, unit.device.name, f"{command} failed: " if command else "", error,
        target=unit.device.name, lun=unit.number, command=command, errno=error.errno,
    )


def rejected(peer: str, reason: int, why: str) -> None:
    """Log that a request was answered with a Reject."""
    Event.REQUEST_REJECTED.tell(
        log, "%s: a request is rejected (reason %#04x)%s", peer, reason, f": {why}" if why else "", peer=peer
    )


def quiesce(target: TargetNode) -> None:
    """Return when every session's thread has been between two tasks; none waits for its peer then.

    A thread says that it does not execute before it reads its inbox. So if it seems to execute after word was left
    there, it will read that.
    """
    with target.device.lock:
        sessions = (*target.sessions.values(), *target.ending)
    waited_for = []
    for session in sessions:
        line: Line = session.line
        if line.executing:
            been = threading.Event()
            line.post(been.set)
            if line.executing:
                waited_for.append(been)
    for been in waited_for:
        been.wait()


def abort_tasks(unit: LogicalUnit, nexuses: Sequence[Nexus], author: Task) -> None:
    """Abort these nexuses' tasks; ``author``, on a worker, is answered when they have ended. Never waits."""
    pump: Pump = author.connection.owner
    pump.spread(task_management.preempt(author, unit, nexuses))


class Jobs:
    """What goes on behind commands: a thread each, from ``start`` on. ``delayed`` is called when none can be had."""

    def __init__(self, delayed: Callable[[], None]) -> None:
        self.stopping = False
        self._delayed = delayed
        self._lock = threading.Lock()
        self._started = False
        self._waiting: deque[tuple[LogicalUnit, Job]] = deque()
        self._running: dict[threading.Thread, LogicalUnit] = {}

    @property
    def waiting(self) -> bool:
        """Whether a job has no thread yet; ``start`` tries again."""
        return self._started and bool(self._waiting)

    def begin(self, unit: LogicalUnit, job: Job) -> None:
        """Run ``job``, which does something to the medium of ``unit``; not if everything ends."""
        with self._lock:
            if not self.stopping:
                self._waiting.append((unit, job))
        if self._started and not self.start():
            self._delayed()

    def start(self) -> bool:
        """Give the jobs that wait a thread; whether all have one. They wait until this is called first."""
        with self._lock:
            self._started = True
            while self._waiting:
                unit, job = self._waiting[0]
                thread = threading.Thread(
                    target=self._run, args=(unit, job), name=f"background-{unit.number}", daemon=True
                )
                self._running[thread] = unit
                try:
                    thread.start()
                except RuntimeError:  # the system has no thread left
                    del self._running[thread]
                    return False
                self._waiting.popleft()
        return True

    def _run(self, unit: LogicalUnit, job: Job) -> None:
        try:
            job()
        except Exception as mistake:
            name = f"LUN {unit.number} of {unit.device.name}"
            confess(log, "internal error in the background of %s: %r", name, mistake)
        with self._lock:
            del self._running[threading.current_thread()]

    def under_way(self, unit: LogicalUnit) -> bool:
        """Whether a job may still touch the store of ``unit``."""
        with self._lock:
            return unit in self._running.values() or any(unit is each for each, _ in self._waiting)

    def stop(self) -> None:
        """Everything ends: the jobs are told, and no other begins."""
        with self._lock:
            self.stopping = True
            self._waiting.clear()

    def join(self, deadline: float) -> bool:
        """Wait for the jobs until then (``time.monotonic``); whether all have ended."""
        with self._lock:
            threads = list(self._running)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
