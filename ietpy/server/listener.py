"""Portals, logins and the life of connections.

One thread accepts and serves logins of all connections at once, so that until a login succeeds a connection costs no
thread; then it gets a pump of its own.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import secrets
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from ietpy.errors import FormatError
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.session import Session
from ietpy.iscsi.target import Asker, IscsiNode, TargetNode
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.server.drain import still_busy
from ietpy.server.interfaces import addresses_of_host
from ietpy.server.pump import Pump
from ietpy.server.services import Jobs, serve
from ietpy.server.workers import WorkerPool

log = logging.getLogger(__name__)

#: A login must be over within this many seconds (peers: LIO 15).
LOGIN_SECONDS: Final = 15.0
#: Connections in login phase at once; one more costs the oldest its place (IET: 32, without a time limit).
LOGINS_AT_ONCE: Final = 256
#: After accept fails for want of descriptors, the listener rests this long.
EXHAUSTED_SECONDS: Final = 1.0

_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
#: What a closed connection may take to notice, once ``stop``'s time is over (seconds).
CLOSING_SECONDS: Final = 1.0
#: A peer that takes no answer for this long is given up (seconds).
SEND_SECONDS: Final = 30

_WILDCARDS: Final = frozenset(("0.0.0.0", "::"))


def _nothing() -> None:
    pass


def _plain(address: str) -> str:
    """A numeric address without its zone."""
    return address.partition("%")[0]


class _Login:
    """A connection in its login phase."""

    __slots__ = ("connection", "deadline", "pump", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.connection: Connection
        self.pump: Pump


class Server:
    """Serves an ``IscsiNode`` on listening sockets, from ``start`` to ``stop``."""

    def __init__(self, node: IscsiNode, sockets: Sequence[socket.socket]) -> None:
        self.node = node
        node.addresses = self.addresses
        self._sockets = list(sockets)
        self._portals = [sock.getsockname()[:2] for sock in sockets]
        self._lock = threading.Lock()
        self._pumps: dict[Pump, threading.Thread] = {}
        self._workers: dict[TargetNode, WorkerPool] = {}
        self._selector = selectors.DefaultSelector()
        self._logins: dict[int, _Login] = {}
        self._wake_receive, self._wake_send = socket.socketpair()
        self._stopping = False
        self._rest_until = 0.0
        self._thread: threading.Thread | None = None  #: made after the forks of detaching, by ``start``
        #: Called when a session has begun or ended, in whatever thread that happens; must not wait.
        self.sessions_changed: Callable[[], None] = _nothing
        #: Whether tasks may be waiting for an initiator, which is to be given up in time.
        self._attentive = False
        self._jobs = Jobs(self._wake_up)
        node.serve = lambda target: serve(target, self._jobs)
        for target in node.targets.values():
            node.serve(target)

    # What others ask ----------------------------------------------------------------------------------------------

    def portals(self) -> list[tuple[str, int]]:
        """Numeric addresses and ports listened on."""
        return list(self._portals)

    def sessions(self) -> list[dict[str, Any]]:
        """Plain facts about every live session, in the order of their logins."""
        with self._lock:
            pumps = list(self._pumps)
        facts = []
        for pump in pumps:
            session = pump.connection.session
            if session is not None:
                facts.append({
                    "tsih": session.tsih,
                    "isid": session.isid.hex(),
                    "cid": session.cid,
                    "initiator": session.initiator,
                    "address": session.asker.peer,
                    "portal": session.asker.local,
                    "target": session.target.name if session.target is not None else None,
                    "user": session.user,
                    "header_digest": session.parameters.header_digest,
                    "data_digest": session.parameters.data_digest,
                    "closing": pump.connection.closing,
                })
        return facts

    def end_session(self, session: Session) -> None:
        """Close a session's connection; any thread may ask. Its tasks are ended by its own thread."""
        session.connection.owner.close()

    def under_way(self, unit: LogicalUnit) -> Callable[[], bool]:
        """After ``unit`` was removed: a function that says whether commands may still touch its store (``drain``)."""
        with self._lock:
            pumps = list(self._pumps)
        commands = still_busy(pumps, unit)
        return lambda: commands() or self._jobs.under_way(unit)  # in this order: a command may begin a job

    def follow(self, target: TargetNode) -> None:
        """Take over options of a target that were changed while it is served: Wthreads, NOPInterval."""
        with self._lock:
            pool = self._workers.get(target)
        if pool is not None:
            pool.resize(target.wthreads)
        self._wake_up()

    def retire(self, target: TargetNode) -> None:
        """A target that has no session is served no more: its workers end."""
        with self._lock:
            pool = self._workers.pop(target, None)
        if pool is not None:
            pool.close()

    def addresses(self, local: str, port: int) -> Sequence[tuple[str, int]]:
        """Portals to name to someone who reached ``local``: that one, then others of its family (iet-compat 8.4)."""
        found = {(local, port): None}
        family_mark = ":" in local
        for address, listening in self._portals:
            if (":" in address) != family_mark:
                continue
            if address in _WILDCARDS:
                found.update(((each, listening), None) for each in addresses_of_host(family_mark))
            else:
                found[_plain(address), listening] = None
        return tuple(found)

    def workers(self, target: TargetNode) -> WorkerPool:
        """The worker pool of a target."""
        with self._lock:
            if target not in self._workers:
                self._workers[target] = WorkerPool(target.name, target.wthreads)
            return self._workers[target]

    def watch(self) -> None:
        """A task waits for others: see that they end, looking at the clock."""
        if not self._attentive:
            self._attentive = True
            self._wake_up()

    def forget(self, pump: Pump) -> None:
        """A pump has ended."""
        with self._lock:
            self._pumps.pop(pump, None)
        self.sessions_changed()

    def name_of(self, sock: socket.socket) -> str:
        """The peer's address for log lines."""
        try:
            peer = sock.getpeername()
        except OSError:
            return "a peer that has gone"
        return f"{peer[0]}:{peer[1]}"

    # Life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start accepting. Threads begin here, none before."""
        for sock in self._sockets:
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, self._accept)
        self._wake_receive.setblocking(False)
        self._wake_send.setblocking(False)
        self._selector.register(self._wake_receive, selectors.EVENT_READ, self._woken)
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()
        self._jobs.start()

    def stop(self, timeout: float) -> bool:
        """Stop accepting, let commands that came finish, close connections; whether all ended within ``timeout``.

        May be called again to wait for what had not ended.
        """
        deadline = time.monotonic() + timeout
        if not self._stopping:
            self._stopping = True
            self._jobs.stop()
            self._wake_up()
            if self._thread is not None:
                self._thread.join(timeout)
            for sock in (*self._sockets, self._wake_receive, self._wake_send):
                sock.close()
            self._selector.close()
        with self._lock:
            pumps = dict(self._pumps)
        for pump in pumps:
            pump.stop_receiving()
        for thread in pumps.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        for pump, thread in pumps.items():
            if thread.is_alive():
                pump.close()
        for thread in pumps.values():
            thread.join(max(0.0, deadline + CLOSING_SECONDS - time.monotonic()))
        clean = self._jobs.join(deadline) and not any(thread.is_alive() for thread in pumps.values())
        if clean:
            with self._lock:  # targets may still be removed
                pools = list(self._workers.values())
            for pool in pools:
                pool.close()
        return clean

    def _wake_up(self) -> None:
        """Have the listener's thread look at the clock again."""
        with contextlib.suppress(OSError):  # words enough are waiting for it, or it has ended
            self._wake_send.send(b"x")

    def _woken(self, sock: socket.socket) -> None:
        sock.recv(4096)

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(self._patience()):
                assert isinstance(key.fileobj, socket.socket)
                self._serve(key.data, key.fileobj)
            self._look_at_clock()
        for login in list(self._logins.values()):
            self._drop(login)

    def _serve(self, handler: Callable[[socket.socket], None], sock: socket.socket) -> None:
        """Handle one ready socket. A mistake of ours may cost the connection it happens on, never the others."""
        try:
            handler(sock)
        except Exception as mistake:
            debug = log.isEnabledFor(logging.DEBUG)
            log.critical("internal error on %s: %r", self.name_of(sock), mistake, exc_info=debug)
            login = self._logins.get(sock.fileno())
            if login is not None:
                self._drop(login)

    def _patience(self) -> float | None:
        """Seconds until the clock matters: a login's deadline, or a second for all that ``tick`` and jobs wait for."""
        now = time.monotonic()
        waits = [login.deadline - now for login in self._logins.values()]
        if self._rest_until:
            waits.append(self._rest_until - now)
        if self._attentive or self._jobs.waiting or (
            self._pumps and any(target.nop_interval for target in self.node.targets.values())
        ):
            waits.append(1.0)
        return max(0.0, min(waits)) if waits else None

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if 0.0 < self._rest_until <= now:
            self._rest_until = 0.0
            for sock in self._sockets:
                self._selector.register(sock, selectors.EVENT_READ, self._accept)
        for login in [login for login in self._logins.values() if login.deadline <= now]:
            log.warning("%s: no login within %d s", self.name_of(login.sock), LOGIN_SECONDS)
            self._drop(login)
        if self._jobs.waiting:
            self._jobs.start()
        if self._attentive or any(target.nop_interval for target in self.node.targets.values()):
            with self._lock:
                pumps = list(self._pumps)
            for pump in pumps:
                pump.tick(now)
            self._attentive = False  # before one looks: a task that begins to wait now says so itself
            if any(pump.waits for pump in pumps):
                self._attentive = True

    # Logins -------------------------------------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        if self._rest_until:
            return  # another portal found no descriptor left a moment ago
        if len(self._logins) >= LOGINS_AT_ONCE:
            oldest = min(self._logins.values(), key=lambda login: login.deadline)
            log.warning("%s: dropped, %d logins at once are the limit", self.name_of(oldest.sock), LOGINS_AT_ONCE)
            self._drop(oldest)
        try:
            sock, peer = listening.accept()
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno in _EXHAUSTED:
                log.warning("cannot accept connections for %.0f s: %s", EXHAUSTED_SECONDS, problem.strerror)
                self._rest_until = time.monotonic() + EXHAUSTED_SECONDS
                for each in self._sockets:
                    self._selector.unregister(each)
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        local = sock.getsockname()
        login = _Login(sock, time.monotonic() + LOGIN_SECONDS)

        def on_login(session: Session, old: Session | None) -> None:
            login.pump.predecessors = [other.connection.owner for other in session.replaced()]
            if old is not None:
                old.connection.owner.close()

        asker = Asker("", _plain(peer[0]), _plain(local[0]))
        login.connection = Connection(self.node, asker, local[1], secrets.token_bytes, on_login)
        login.pump = Pump(self, sock, login.connection)
        self._logins[sock.fileno()] = login
        self._selector.register(sock, selectors.EVENT_READ, self._login_bytes)

    def _login_bytes(self, sock: socket.socket) -> None:
        login = self._logins.get(sock.fileno())
        if login is None:
            return  # dropped while its bytes were waiting to be looked at
        connection = login.connection
        try:
            count = sock.recv_into(connection.space())
        except BlockingIOError:
            return
        except OSError:
            count = 0
        try:
            if not count:
                raise ConnectionResetError("the peer closed the connection")
            with login.pump.lock:  # a session just made may be visited by a reset
                connection.received(count)
                if (connection.login is not None or connection.closing) and not login.pump.egress.flush_now():
                    raise ConnectionAbortedError("the peer does not take its answers")
            login.pump.attend()  # to what was left in its inbox meanwhile
        except FormatError as problem:
            log.warning("%s: connection dropped: %s", self.name_of(sock), problem)
        except OSError as problem:
            log.info("%s: connection lost during login: %s", self.name_of(sock), problem)
        else:
            if connection.closing:
                log.warning("%s: login refused: %s", self.name_of(sock), connection.problem)
            elif connection.login is None:
                self._promote(login)
                return
            else:
                return
        self._drop(login)

    def _promote(self, login: _Login) -> None:
        """The login is over: from here the connection has a thread."""
        self._selector.unregister(login.sock)
        del self._logins[login.sock.fileno()]
        login.sock.setblocking(True)
        login.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        login.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_SECONDS * 1000)
        thread = threading.Thread(target=login.pump.run, name=f"session-{login.sock.fileno()}", daemon=True)
        with self._lock:
            self._pumps[login.pump] = thread
        try:
            thread.start()
        except RuntimeError as problem:  # the system has no thread left
            log.warning("%s: connection dropped: %s", self.name_of(login.sock), problem)
            login.pump.abandon()
        else:
            self.sessions_changed()

    def _drop(self, login: _Login) -> None:
        if login.connection.login is not None:
            login.connection.login.abandoned()
        self._selector.unregister(login.sock)
        del self._logins[login.sock.fileno()]
        if login.connection.session is not None:
            login.pump.abandon()
        else:
            login.sock.close()
