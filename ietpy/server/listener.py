"""Portals, logins and the life of connections.

One thread accepts and serves the logins of all connections (``logins``), so that until a login succeeds a connection
costs no thread; then it gets a pump of its own.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from ietpy.events import Event, confess
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG, portal_name
from ietpy.iscsi.session import Session
from ietpy.iscsi.target import IscsiNode, Portal, TargetNode
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.server import resting
from ietpy.server.accepting import Acceptor
from ietpy.server.capacity import Capacity, most_connections
from ietpy.server.crowd import Crowd
from ietpy.server.drain import still_busy
from ietpy.server.facts import connection_facts, usage_facts
from ietpy.server.farewell import CLOSING_SECONDS, drop, end_sessions, part, say_farewell
from ietpy.server.handover import Passage
from ietpy.server.latency import Measuring
from ietpy.server.line import Line
from ietpy.server.logins import HalfOpen, Logins
from ietpy.server.pacing import Pacing
from ietpy.server.portals import Portals
from ietpy.server.pressure import STAGED_LIMIT, Pressure, allowance, waits
from ietpy.server.pump import Pump
from ietpy.server.services import Jobs, rejected, serve
from ietpy.server.spinning import Spinner
from ietpy.server.stuck import Watch
from ietpy.server.throttle import source
from ietpy.server.workers import WorkerPool

log = logging.getLogger(__name__)

_PAUSE: Final = 0.01  #: seconds between looks at sessions that end
#: A peer that takes no answer for this long is given up (seconds).
SEND_SECONDS: Final = 30
#: Discovery sessions at once from one address: each has a thread, and whoever may discover needs no secret for it.
DISCOVERIES_PER_ADDRESS: Final = 64


def _nothing() -> None:
    pass


def _is_of(pump: Pump, target: TargetNode) -> bool:
    session = pump.connection.session
    return session is not None and session.target is target


class Server:
    """Serves an ``IscsiNode`` on listening sockets, from ``start`` to ``stop``.

    ``sockets`` are of IET's portal group; ``listen`` adds others.
    """

    def __init__(self, node: IscsiNode, sockets: Sequence[socket.socket] = ()) -> None:
        self.node = node
        node.memory.watch, node.rejected = self.watch, rejected
        self._lock = threading.Lock()
        self._pumps: dict[Pump, threading.Thread] = {}
        self._workers: dict[TargetNode, WorkerPool] = {}
        self._selector = selectors.DefaultSelector()
        self._logins = Logins(self, self._selector)
        self._acceptor = Acceptor(self._logins, self.portal, lambda: self._portals.rest())
        self._portals = Portals(self._selector, self._acceptor.accept, self._wake_up)
        node.addresses = self._portals.told_to
        self._wake_receive, self._wake_send = socket.socketpair()
        self._stopping = False
        self.capacity = Capacity(most_connections())
        node.check_room, node.source = self.capacity.check, source
        self._thread: threading.Thread | None = None  #: made after the forks of detaching, by ``start``
        #: Called when a session has begun or ended, in whatever thread that happens; must not wait.
        self.sessions_changed: Callable[[], None] = _nothing
        self.crowd, self.stuck = Crowd(), Watch()
        self._pressure = Pressure(node.memory.limit // 2)
        self.allowance = STAGED_LIMIT  #: what a connection may have staged (``pressure``)
        self.measuring = Measuring()
        self.measure: Callable[[], None] = self.measuring.asked  #: somebody looks at sessions
        self.pacing = Pacing()
        self.latest: Spinner | None = None  #: of the connection whose requests came last
        #: Whether tasks may be waiting for an initiator, which is to be given up in time.
        self._attentive = False
        #: Lines of sessions that have lost connections with tasks to be reassigned.
        self._kept: set[Line] = set()
        self._jobs = Jobs(self._wake_up)
        self.listen(sockets)
        self._later: deque[Callable[[], None]] = deque()  #: for the listener's thread to do
        node.serve = lambda target: serve(target, self._jobs, self.later)
        for target in node.targets.values():
            node.serve(target)

    # What others ask ----------------------------------------------------------------------------------------------

    def portals(self) -> list[Portal]:
        """Numeric addresses, with their zones, and ports listened on."""
        return self._portals.all()

    def listen(self, sockets: Iterable[socket.socket], group: int = PORTAL_GROUP_TAG, advertised: str = "") -> None:
        """Accept on these, too, as ``portals.Portals.add`` has them."""
        self._portals.add(sockets, group, advertised)

    def portal(self, portal: socket.socket | Portal) -> Portal | None:
        """What a listening socket is, or a portal that another process listens on for us; None if it is gone."""
        return self._portals.of(portal)

    def told(self, portals: Iterable[Portal]) -> None:
        """Another process listens on these for us, and on no others."""
        self._portals.tell(portals)

    def take_over(self, sock: socket.socket, passage: Passage) -> None:
        """Go on with a login that this process has accepted and begun."""
        self.later(lambda: self._serve(partial(self._logins.take_over, passage), sock))

    def pass_on(self, send: Callable[[socket.socket, Passage], None]) -> None:
        """Hand logins of the targets of a ``Signpost`` over by ``send``, which must not wait; OSError if it cannot."""
        self._logins.send = send

    def share_guesses(self, tell: Callable[[str, str, float], None]) -> None:
        """Have ``tell`` hear of all guesses of secrets, for other processes; it must not wait."""
        self._logins.throttle.tell = tell

    def hear_of_guess(self, event: str, source: str, now: float) -> None:
        """Another process has told of a guess."""
        self.later(lambda: self._logins.throttle.hear_of(event, source, now))

    def leave(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these no more and close them; connections that came by them stay."""
        self._portals.remove(sockets, listening=self._thread is not None and not self._stopping)

    def sessions(self) -> list[dict[str, Any]]:
        """Plain facts about every connection of every session, in the order of their logins; lost ones come last."""
        with self._lock:
            pumps = list(self._pumps)
        lost = [each.owner for session in self.node.sessions() for each in session.stranded]
        pumps += [pump for pump in lost if pump not in pumps]
        return [facts for pump in pumps if (facts := connection_facts(pump)) is not None]

    def usage(self) -> list[dict[str, Any]]:
        """Plain facts about what this process, and each that works for it, uses, and how logins went."""
        with self._lock:
            pumps = list(self._pumps)
        return [usage_facts(self.node, pumps, self._logins)]

    def end_connection(self, connection: Connection) -> None:
        """Close a session's connection; any thread may ask. Its tasks are ended by its own thread."""
        drop(connection)

    def under_way(self, unit: LogicalUnit) -> Callable[[], bool]:
        """After ``unit`` was removed: a function that says whether commands may still touch its store (``drain``)."""
        with self._lock:
            pumps = list(self._pumps)
        commands = still_busy(pumps, unit)
        return lambda: commands() or self._jobs.under_way(unit)  # in this order: a command may begin a job

    def pulse(self, patience: float) -> list[tuple[str, Callable[[], bool]]]:
        """Ask for signs of life: of what, and whether it has come, which is to be asked after ``patience`` seconds."""
        beat = threading.Event()
        self.later(beat.set)
        return [("the listener", beat.is_set)]

    def follow(self, target: TargetNode) -> None:
        """Take over options of a target that were changed while it is served: Wthreads, NOPInterval, rates."""
        with self._lock:
            pool = self._workers.get(target)
        if pool is not None:
            pool.resize(target.wthreads)
        self.pacing.review()
        self._wake_up()

    def retire(self, target: TargetNode) -> None:
        """A target that has no session is served no more: its workers end."""
        with self._lock:
            pool = self._workers.pop(target, None)
        if pool is not None:
            pool.close()

    def workers(self, target: TargetNode) -> WorkerPool:
        """The worker pool of a target."""
        with self._lock:
            if target not in self._workers:
                self._workers[target] = WorkerPool(target.name, target.wthreads)
            return self._workers[target]

    def watch(self) -> None:
        """A task waits for others, or for memory they hold: see that they end, looking at the clock."""
        if not self._attentive:
            self._attentive = True
            self._wake_up()

    def keep(self, line: Line) -> None:
        """Connections were lost whose tasks may be reassigned: see that they end in time."""
        self._kept.add(line)
        self._wake_up()

    def forget(self, pump: Pump) -> None:
        """A pump has ended."""
        with self._lock:
            self._pumps.pop(pump, None)
            self.allowance = allowance(self.node.memory.limit, len(self._pumps))
        self.capacity.leave(pump)
        self.sessions_changed()

    def name_of(self, sock: socket.socket) -> str:
        """The peer's address for log lines."""
        try:
            peer = sock.getpeername()
        except OSError:
            return "a peer that has gone"
        return portal_name(peer[0], peer[1])

    # Life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start accepting. Threads begin here, none before."""
        self._wake_receive.setblocking(False)
        self._wake_send.setblocking(False)
        self._selector.register(self._wake_receive, selectors.EVENT_READ, self._woken)
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()
        self._jobs.start()

    def stop(self, timeout: float) -> bool:
        """Stop accepting, ask for logouts, let commands that came finish, close connections.

        Returns whether all ended within ``timeout``, of which those who do not log out take LOGOUT_SECONDS. May be
        called again to wait for what had not ended.
        """
        deadline = time.monotonic() + timeout
        first = not self._stopping
        if first:
            self._stopping = True
            self._jobs.stop()
            self.pacing.close()
            self._wake_up()
            if self._thread is not None:
                self._thread.join(max(timeout, CLOSING_SECONDS))  # what it looks at is closed next
            self._portals.close()
            for sock in (self._wake_receive, self._wake_send):
                sock.close()
            self._selector.close()
        with self._lock:
            pumps = dict(self._pumps)
        if first:
            say_farewell(pumps, timeout)
        part(pumps, self._stranded(), deadline)
        clean = self._jobs.join(deadline) and not any(thread.is_alive() for thread in pumps.values())
        if clean:
            with self._lock:  # targets may still be removed
                pools = list(self._workers.values())
            for pool in pools:
                pool.close()
            self.crowd.close()
        return clean

    def dismiss(self, target: TargetNode, timeout: float) -> None:
        """As ``stop`` does, end all sessions of a target that nobody can log in to any more."""
        deadline = time.monotonic() + timeout
        while (target.sessions or target.ending) and (left := deadline - time.monotonic()) > 0:
            with self._lock:
                pumps = {pump: thread for pump, thread in self._pumps.items() if _is_of(pump, target)}
            say_farewell(pumps, left)
            part(pumps, [pump for pump in self._stranded() if _is_of(pump, target)], deadline)
            time.sleep(_PAUSE)  # a login that had ended just before may not have its thread yet

    def end_sessions(self, sessions: Sequence[Session], timeout: float) -> list[bool]:
        """End these; of each, whether its initiator logged out (``farewell.end_sessions``)."""
        with self._lock:
            pumps = dict(self._pumps)
        return end_sessions(sessions, pumps, self._stranded(), timeout)

    def _stranded(self) -> list[Pump]:
        return [pump for line in tuple(self._kept) for pump in tuple(line.stranded)]

    def later(self, word: Callable[[], None]) -> None:
        """Have the listener's thread call ``word`` soon, where no lock is held; it must not wait."""
        self._later.append(word)
        self._wake_up()

    def _wake_up(self) -> None:
        """Have the listener's thread look at the clock again."""
        with contextlib.suppress(OSError):  # words enough are waiting for it, or it has ended
            self._wake_send.send(b"x")

    def _woken(self, sock: socket.socket) -> None:
        sock.recv(4096)

    def _run(self) -> None:
        while not self._stopping:
            if not self._acceptor.rest_until:
                self._portals.follow()
            for key, _ in self._selector.select(self._patience()):
                assert isinstance(key.fileobj, socket.socket)
                self._serve(key.data, key.fileobj)
            self._look_at_clock()
        self._logins.drop_all()

    def _serve(self, handler: Callable[[socket.socket], None], sock: socket.socket) -> None:
        """Handle one ready socket. A mistake of ours may cost the connection it happens on, never the others."""
        try:
            handler(sock)
        except Exception as mistake:
            confess(log, "internal error on %s: %r", self.name_of(sock), mistake)
            self._logins.drop(sock)

    def _patience(self) -> float | None:
        """Seconds until the clock matters: a login's deadline, or a second for all that ``tick`` and jobs wait for."""
        now = time.monotonic()
        due = self._logins.due()
        waits = [] if due is None else [due - now]
        if self._acceptor.rest_until:
            waits.append(self._acceptor.rest_until - now)
        looks = (self.stuck.due(self._pumps), self._pressure.due(len(self._pumps)))
        waits += [look - now for look in looks if look is not None]
        if self._attentive or self._kept or self._jobs.waiting or (
            self._pumps and any(target.nop_interval for target in self.node.targets.values())
        ):
            waits.append(1.0)
        return max(0.0, min(waits)) if waits else None

    def _look_at_clock(self) -> None:
        while self._later:
            self._later.popleft()()
        now = time.monotonic()
        self._acceptor.look_at_clock(now)
        self._logins.look_at_clock(now)
        with self._lock:
            pumps = list(self._pumps)
        self.stuck.look(pumps, now)
        self._pressure.look(now, pumps)
        if self._jobs.waiting:
            self._jobs.start()
        for line in tuple(self._kept):
            self._kept.discard(line)  # before one looks: who strands a connection now says so again
            line.post(partial(line.tick, now))
            if line.stranded:
                self._kept.add(line)
        if self._attentive or any(target.nop_interval for target in self.node.targets.values()):
            for pump in pumps:
                pump.tick(now)
            self._attentive = False  # before one looks: a task that begins to wait now says so itself
            if any(waits(pump) for pump in pumps):
                self._attentive = True

    # Logins -------------------------------------------------------------------------------------------------------

    def new_pump(self, sock: socket.socket, connection: Connection) -> Pump:
        return Pump(self, sock, connection)

    def promote(self, login: HalfOpen) -> None:
        """The login is over: from here the connection has a thread."""
        login.sock.setblocking(True)
        login.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        resting.patience(login.sock, resting.QUIET_SECONDS)
        login.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_SECONDS * 1000)
        thread = threading.Thread(target=login.pump.run, name=f"session-{login.sock.fileno()}", daemon=True)
        with self._lock:
            self._pumps[login.pump] = thread
            self.allowance = allowance(self.node.memory.limit, len(self._pumps))
        self.capacity.enter(login.pump, login.source)
        try:
            thread.start()
        except RuntimeError as problem:  # the system has no thread left
            Event.THREADS.tell(log, "%s: connection dropped: %s", self.name_of(login.sock), problem)
            login.pump.abandon()
        else:
            self._bound_discoveries(login)
            self.sessions_changed()

    def _bound_discoveries(self, login: HalfOpen) -> None:
        """An address that begins one discovery session too many loses its oldest."""
        if login.connection.session is None or login.connection.session.target is not None:
            return
        with self._lock:
            sessions = [(pump, pump.connection.session) for pump in self._pumps if not pump.connection.closing]
        found = [
            pump for pump, session in sessions
            if session is not None and session.target is None and session.source == login.source
        ]
        if len(found) > DISCOVERIES_PER_ADDRESS:
            Event.DISCOVERY_LIMIT.tell(
                log, "%s: dropped, %d discovery sessions at once from one address are the limit",
                self.name_of(found[0].sock), DISCOVERIES_PER_ADDRESS, peer=login.source,
            )
            found[0].close()
