"""One connection's thread: receive, let the core parse, execute what cannot wait, flush once per batch.

The connection's lock is held while its core is used and its outbox sent, never while waiting for bytes. Workers take
it to complete the tasks that went to them.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Final

from ietpy.errors import FormatError
from ietpy.iscsi import task_management
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.session import Session
from ietpy.iscsi.task_management import Function
from ietpy.scsi.task import Task
from ietpy.server.egress import flush
from ietpy.server.workers import WorkerPool

if TYPE_CHECKING:
    from ietpy.server.listener import Server

log = logging.getLogger(__name__)

#: How long a reinstated session's successor waits for work of the old one that a device still holds (seconds).
REINSTATEMENT_WAIT: Final = 30.0


class Pump:
    """Moves one connection's bytes. ``run`` is the body of its thread and the thread entry point of the server."""

    def __init__(self, server: Server, sock: socket.socket, connection: Connection) -> None:
        self.server = server
        self.sock = sock
        self.connection = connection
        connection.owner = self
        self.lock = threading.Lock()
        self.workers: WorkerPool | None = None
        #: Tasks on workers; ``quiet`` is notified when there are none.
        self.running = 0
        self.quiet = threading.Condition(self.lock)
        self.finished = threading.Event()
        #: The pump of the session this one replaces, to be waited for before the first command.
        self.predecessor: Pump | None = None

    def run(self) -> None:
        """Serve until logout, loss, or ``close``; then end the session."""
        try:
            if self.predecessor is not None:
                self.predecessor.finished.wait(REINSTATEMENT_WAIT)
                self.predecessor = None
            self._serve()
        except FormatError as problem:
            log.warning("%s: connection dropped: %s", self.server.name_of(self.sock), problem)
        except OSError as problem:
            log.info("%s: connection lost: %s", self.server.name_of(self.sock), problem)
        except Exception as mistake:  # ours; it costs this connection and no other
            log.critical(
                "internal error on %s: %r", self.server.name_of(self.sock), mistake,
                exc_info=log.isEnabledFor(logging.DEBUG),
            )
        finally:
            self._end()

    def _serve(self) -> None:
        connection, sock, lock = self.connection, self.sock, self.lock
        receive, space, received = sock.recv_into, connection.space, connection.received
        assert connection.session is not None
        if connection.session.target is not None:
            self.workers = self.server.workers(connection.session.target)
        count = 0  # what came behind the login is in the window already
        while True:
            with lock:
                tasks = received(count)
                for task in tasks:
                    if task.nexus.lu.execute(task):
                        complete(connection, task)
                    else:
                        self._hand_over(task)
                tasks.clear()
                flush(connection, sock)
                if connection.closing:
                    if connection.problem:
                        log.warning("%s: connection closed: %s", self.server.name_of(sock), connection.problem)
                    return
                room = space()  # workers give chunks back under the lock, so chunks are chosen under it
            if connection.functions:
                self._finish_functions()
            count = receive(room)
            if not count:
                return

    def _hand_over(self, task: Task) -> None:
        self.connection.defer(task)
        self.running += 1
        assert self.workers is not None
        self.workers.submit(self._work, task)

    def _work(self, task: Task) -> None:
        """Execute one task on a worker, unless it was aborted while it waited, and answer it."""
        if task.aborted_by is None:
            task.nexus.lu.execute(task)
        connection = self.connection
        with self.lock:
            function = connection.finish(task)
            self.running -= 1
            if not self.running:
                self.quiet.notify_all()
            if not self.finished.is_set():
                self._flush_or_close()
        if function is not None:
            function.connection.owner.answer(function)

    def _flush_or_close(self) -> None:
        try:
            flush(self.connection, self.sock)
        except OSError:
            self.close()  # the pump's own thread sees the end and says so

    def _finish_functions(self) -> None:
        """Wait for other connections' work that a task management function aborted (``task_management``)."""
        functions, self.connection.functions = self.connection.functions, []
        for function in functions:
            for other in list(function.others):
                owner: Pump = other.owner
                with owner.lock:
                    task_management.abort(function, other)
            assert self.connection.session is not None
            assert self.connection.session.device is not None
            with self.connection.session.device.lock:
                finished = function.finished()
            if finished:
                self.answer(function)

    def answer(self, function: Function) -> None:
        """Send the answer to a function of this connection."""
        with self.lock:
            if self.finished.is_set():
                return
            task_management.answer(function)
            self._flush_or_close()
        for other in function.closing:
            other.owner.close()

    def tick(self, now: float) -> None:
        """Let the core look at the clock, unless the connection is busy: then it is alive."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            if not self.finished.is_set():
                self.connection.tick(now)
                self._flush_or_close()
                if self.connection.closing:
                    self.close()
        finally:
            self.lock.release()

    def close(self) -> None:
        """Make the pump's thread end; any thread may ask."""
        with contextlib.suppress(OSError):  # gone already
            self.sock.shutdown(socket.SHUT_RDWR)

    def stop_receiving(self) -> None:
        """Take no more requests but finish and answer those that came."""
        with contextlib.suppress(OSError):  # gone already
            self.sock.shutdown(socket.SHUT_RD)

    def _end(self) -> None:
        """Wait for what workers still run, leave the target, close the socket."""
        session: Session | None = self.connection.session
        with self.lock:
            while self.running:
                self.quiet.wait()
            if session is not None:
                session.end()
            self.finished.set()
        self.sock.close()
        self.server.forget(self)
