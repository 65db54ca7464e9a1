"""One connection's thread: receive, let the core parse, execute what cannot wait, flush once per batch.

Where several connections are busy it lends its connection to the crowd (``server/crowd.py``) and sleeps.

The session's lock (``line``) is held while the connection's core is used and its outbox sent, never while waiting for
bytes. Nobody but the connection's own threads ever waits for its peer, so a client that does not read its answers keeps
nobody else waiting.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ietpy.errors import FormatError, HeaderDigestError
from ietpy.events import Event, confess
from ietpy.iscsi import deferred, recovery, task_management
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.function import Function
from ietpy.iscsi.pings import hold_back
from ietpy.iscsi.session import Session
from ietpy.iscsi.transfer import Turn
from ietpy.scsi.pace import PACED, granted
from ietpy.scsi.status import TaskAttribute
from ietpy.scsi.task import Task
from ietpy.server import employing, ending, latency, sharing
from ietpy.server.crowd import Member
from ietpy.server.egress import Egress
from ietpy.server.line import Line
from ietpy.server.parking import Job, Parking
from ietpy.server.resting import rest
from ietpy.server.spinning import FEW, Spinner
from ietpy.server.workers import WorkerPool

if TYPE_CHECKING:
    from ietpy.server.listener import Server

log = logging.getLogger(__name__)

#: How long a new session waits for work of the one it replaces that a device still holds (seconds).
REINSTATEMENT_WAIT: Final = 30.0
_ORDERED: Final = int(TaskAttribute.ORDERED)

TAKES_NOTHING: Final = "the initiator does not take its answers"


class Pump:
    """Moves one connection's bytes. ``run`` is the body of its thread."""

    def __init__(self, server: Server, sock: socket.socket, connection: Connection) -> None:
        self.server = server
        self.sock = sock
        self.name = server.name_of(sock)  #: for log lines, also when the peer has gone
        self.since = time.time()  #: seconds of the epoch
        self.connection = connection
        connection.owner = self
        self.egress = Egress(connection, sock)
        self.line = connection.line = Line(self)
        self.workers: WorkerPool | None = None
        self.parked = Parking()  #: tasks that go to workers when there is room
        self.finished = threading.Event()
        #: Of the connections this one replaces, alone or with their sessions: waited for before the first command.
        self.predecessors: list[threading.Event] = []
        self.draining = False  #: whether it was us who stopped receiving
        #: Set when nothing of the connection is left in its session; at ErrorRecoveryLevel 2 long after ``finished``.
        self.left = threading.Event()
        self.ending = False
        self.sender: threading.Thread | None = None

    # The connection's own thread ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until logout, loss, or ``close``; then end the session."""
        try:
            self._await_predecessors()
            self._join()
            session = self.connection.session
            assert session is not None
            if session.target is not None:
                self.workers = self.server.workers(session.target)
            if session.shared:
                sharing.serve(self)
            else:
                self._serve()
        except FormatError as problem:
            if isinstance(problem, HeaderDigestError) and self.connection.session is not None:
                self.connection.session.tally.header_digest_errors += 1
            self._give_up(Event.CONNECTION_DROPPED, "connection dropped", problem)
        except BlockingIOError:
            self._give_up(Event.PEER_NOT_READING, "connection dropped", TAKES_NOTHING)
        except OSError as problem:
            self._give_up(Event.CONNECTION_LOST, "connection lost", problem)
        except Exception as mistake:  # ours; it costs this connection and no other
            self.confess(mistake)
        finally:
            ending.end(self)

    def _await_predecessors(self) -> None:
        deadline = time.monotonic() + REINSTATEMENT_WAIT
        for finished in self.predecessors:
            if not finished.wait(max(0.0, deadline - time.monotonic())):
                raise FormatError(f"work of what it replaces has not ended within {REINSTATEMENT_WAIT:.0f} s")
        self.predecessors = []

    def succeed(self, session: Session, replaced: Sequence[Connection]) -> None:
        """The login has made, or joined, this session, and ends these connections."""
        self.line = session.line
        for each in replaced:
            owner: Pump = each.owner
            if each.session is session:
                self.predecessors.append(owner.finished)
                owner.close()
            else:
                self.predecessors.append(owner.left)
                owner.end()

    def _join(self) -> None:
        """From here the connection takes part in what its session shares."""
        line, connection = self.line, self.connection
        with line.lock:
            if self not in line.members:
                line.members.append(self)
            if connection.recoverable:
                assert connection.session is not None
                recovery.release(connection.session, connection.cid)

    def _give_up(self, event: Event, what: str, why: object) -> None:
        event.tell(log, "%s: %s: %s", self.name, what, why, peer=self.connection.asker.peer, **self.connection.named)
        self.close()

    def _serve(self) -> None:
        connection, line, egress, measuring = self.connection, self.line, self.egress, self.server.measuring
        lock, inbox, between, watch = line.lock, line.inbox, line.between, line.watch
        receive, space, tasks = self.sock.recv_into, connection.space, connection.ready
        parked, crowd = self.parked, self.server.crowd
        spinner = Spinner(self.server, self.sock)
        spin, member = spinner.spin, Member(self, spinner)
        count = 0  # what came behind the login is in the window already
        began = 0.0
        while True:
            with lock:
                watch.began = began
                many = self.batch(count)
                if parked.turns:
                    employing.here(self)
                while tasks:  # answers of much memory leave before more are made
                    line.read()
                    egress.flush(between)
                    self._execute(tasks)
                    self.employ()
                if inbox or connection.enabled:
                    line.read()
                egress.flush(between)
                if began:
                    measuring.ended(watch.sent())
                self.employ()
                room = space()  # workers give chunks back under the lock, so chunks are chosen under it
            if connection.functions:
                self.spread_functions()
            if inbox:
                line.attend()
            if connection.closing:
                self.say_why()
                return
            if spin(many <= FEW and not self.parked.running) and crowd.open and member.stay():
                count, began = 0, watch.began
                continue
            try:
                count = receive(room)
            except BlockingIOError:
                count = rest(self, room)
            if not count:
                return
            began = time.monotonic() if measuring.on else 0.0

    def say_why(self) -> None:
        """Log what made the core close the connection, unless that is an orderly logout."""
        why, peer = self.connection.problem, self.connection.asker.peer
        if why:
            Event.CONNECTION_CLOSED.tell(
                log, "%s: connection closed: %s", self.name, why, peer=peer, **self.connection.named
            )

    def batch(self, count: int) -> int:
        """Take what was received, and execute it; how many commands that were."""
        connection = self.connection
        tasks = connection.received(count)
        many = len(tasks)
        connection.tally.commands += many
        if count and self.line.watch.began:
            self.line.watch.saw(tasks)
        self._execute(tasks)
        return many

    def _execute(self, tasks: list[Task]) -> None:
        """Execute a batch, or so much of it as may be staged: nobody shall ask for too much at once. Never waits."""
        connection, line, allowance = self.connection, self.line, self.server.allowance
        line.executing = True
        for task in tasks:
            if task.attribute == _ORDERED and connection.pings.streamed:
                hold_back(connection, task)
            lu = task.nexus.lu
            if (task.data_length and lu.writes_wait) or not lu.execute(task):
                self.hand_over(task)
                continue
            complete(connection, task)
            if connection.staged_size > allowance:
                del tasks[: tasks.index(task) + 1]  # those executed must not be there to be aborted while we send
                line.executing = False
                return
        tasks.clear()
        line.executing = False

    def hand_over(self, task: Task) -> None:
        """A task cannot be executed here and now: it is a worker's, or waits for others. ``employ`` when all are."""
        if self.line.watch.began:
            self.line.watch.handed_over(task)
        grant = None
        if task.nexus.barrier & PACED:
            with task.nexus.device.lock:
                grant = granted(task)
        if deferred.defer(self.connection, task, grant):
            self.parked.add(task)
        else:
            if grant is not None and task.place is not None:
                self.server.pacing.hold(self.line, task.place)
            self.server.watch()

    def begin(self, place: Turn) -> None:
        """The turn of a task that waited for others has come."""
        task = deferred.enable(self.connection, place)
        if task is not None:
            self.parked.add(task)
            self.employ()

    def employ(self) -> None:
        """Give parked tasks to workers; asked for with every batch, and most have none."""
        if self.parked.turns:
            employing.employ(self)

    def spread_functions(self) -> None:
        """Ask the other sessions to abort their part of task management functions (``task_management``)."""
        functions = self.connection.functions
        with contextlib.suppress(IndexError):  # another connection's thread may be at it as well
            while functions:
                self.spread(functions.popleft())

    def spread(self, function: Function) -> None:
        """Leave word with the sessions it is still to visit; any thread that holds no lock may."""
        for other in list(function.others):
            line: Line = other.line
            line.post(partial(self._abort, function, other))

    def abandon(self) -> None:
        """End a session whose thread could not be had."""
        self.close()
        ending.end(self)

    # Word from others -----------------------------------------------------------------------------------------------

    def flush_now(self) -> None:
        """Send what the peer takes at once; the rest gets a thread that may wait."""
        if self.connection.closing or self.connection.stranded or self.finished.is_set():
            return  # nothing follows the answer that closes (RFC 7143 section 11.14)
        if self.predecessors:
            return  # the login is not over for the initiator until the work of the session it replaces is
        try:
            if self.egress.flush_now():
                self.employ()
            elif self.sender is None and not self.egress.busy:
                sender = threading.Thread(target=self._send_rest, name="sender", daemon=True)
                sender.start()
                self.sender = sender
        except RuntimeError as problem:  # the system has no thread left
            self._give_up(Event.THREADS, "connection dropped", problem)
        except OSError as problem:
            self._give_up(Event.CONNECTION_LOST, "connection lost", problem)

    def _send_rest(self) -> None:
        with self.line.lock:
            self.line.guarded(self._flush_waiting)
            self.sender = None
        self.line.attend()

    def _flush_waiting(self) -> None:
        session = self.connection.session
        try:
            if session is not None and session.shared:
                sharing.flush(self)
            else:
                self.egress.flush(self.line.between)
        except BlockingIOError:
            self._give_up(Event.PEER_NOT_READING, "connection dropped", TAKES_NOTHING)
        except OSError as problem:
            self._give_up(Event.CONNECTION_LOST, "connection lost", problem)
        else:
            self.connection.heard = True  # who takes his answers is alive
            self.employ()

    def worked(self, job: Job) -> None:
        """Answer the tasks of a job that is done; the caller holds the session's lock."""
        self.parked.ended(job)
        if self.server.measuring.on:
            latency.worked(job.tasks)
        for task in job.tasks:
            connection: Connection = task.connection
            session = connection.session
            functions = task_management.author_executed(task) if session is not None and session.begun else None
            for function in deferred.finish(connection, task) if functions is None else functions:
                self.answer(function)

    def _abort(self, function: Function, other: Session) -> None:
        """Abort another session's part of a function of ours, under its lock."""
        if task_management.abort(function, other):
            self.answer(function)

    def answer(self, function: Function) -> None:
        """Have a function that is finished answered by its own connection."""
        owner: Pump = function.connection.owner
        owner.line.post(partial(owner._say, function))

    def _say(self, function: Function) -> None:
        if function.author is not None:
            for other in deferred.finish(function.author.connection, function.author):
                self.answer(other)
            return
        session = self.connection.session
        if function.closing and self.egress.busy and not (session is not None and session.shared):
            self.line.inbox.append(partial(self._say, function))  # its answer must leave before the end
            return
        if not (self.connection.closing or self.finished.is_set()):
            task_management.answer(function)
            if function.closing:
                with contextlib.suppress(OSError):  # gone already
                    self.egress.flush_now()
        elif session is not None:
            session.managing.discard(function.tag)  # nobody is there to be answered
        for closed in function.closing:
            closed.owner.end()

    def tick(self, now: float) -> None:
        """Let the core look at the clock, unless the connection is busy: then it is alive, or its sends time out.

        Never put off: a ping of a second ago that is sent now would count as unanswered at once.
        """
        line = self.line
        if line.lock.acquire(blocking=False):
            try:
                line.guarded(partial(self._tick, now))
                self.flush_now()
            finally:
                line.lock.release()
            line.attend()

    def _tick(self, now: float) -> None:
        closing = self.connection.closing or self.finished.is_set()
        self.connection.tick(now)
        if self.connection.problem and not closing:  # else somebody else closes it at this moment
            self._give_up(Event.CONNECTION_CLOSED, "connection closed", self.connection.problem)

    def confess(self, mistake: Exception) -> None:
        """A mistake of ours ends this connection, with all that could be taken over."""
        confess(log, "internal error on %s: %r", self.name, mistake)
        self.end()

    # The socket -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Make the pump's thread end; any thread may ask. Nothing is sent any more."""
        self.connection.stranded = self.connection.recoverable
        self.connection.closing = True
        with contextlib.suppress(OSError):  # gone already
            self.sock.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """As ``close``, and nothing of the connection is kept for another one."""
        self.connection.recoverable = False
        self.close()
        if self.finished.is_set():
            self.line.post(partial(recovery.give_up, self.connection))

    def stop_receiving(self) -> None:
        """Take no more requests but finish and answer those that came."""
        self.draining = True
        self.connection.recoverable = False
        with contextlib.suppress(OSError):  # gone already
            self.sock.shutdown(socket.SHUT_RD)
