"""Connections in their login phase, all served by the listener's thread, so that until it succeeds a login costs none.

Each has its time (``LOGIN_SECONDS``) and its place: so many in all, so many from one address. Between our challenge and
the proof that answers it an address which got secrets wrong waits (``throttle``): its sockets are not read meanwhile.
"""

from __future__ import annotations

import logging
import secrets
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ietpy.errors import FormatError
from ietpy.events import Event
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.session import Session
from ietpy.iscsi.target import Asker, IscsiNode, Portal
from ietpy.server.handover import Elsewhere, Passage
from ietpy.server.pump import Pump
from ietpy.server.throttle import FREE, MEMORY, Throttle, source

log = logging.getLogger(__name__)

#: A login must be over within this many seconds (peers: LIO 15).
LOGIN_SECONDS: Final = 15.0
#: Connections in login phase at once; one more costs another its place (IET: 32, without a time limit).
LOGINS_AT_ONCE: Final = 512
#: Of these, how many from one address: whoever dials without logging in keeps nobody else out.
LOGINS_PER_ADDRESS: Final = 64
#: So many from one address are not more than others have.
FAIR_SHARE: Final = 16


def plain(address: str) -> str:
    """A numeric address without its zone."""
    return address.partition("%")[0]


class HalfOpen:
    """A connection in its login phase. ``portal``: what it was accepted on, here or by another process."""

    def __init__(self, sock: socket.socket, address: str, portal: socket.socket | Portal, deadline: float) -> None:
        self.sock = sock
        self.portal = portal
        self.source = source(address)
        self.deadline = deadline
        self.heard = False  #: what follows our challenge is listened to
        self.waits = False  #: it is not yet, and the socket not looked at
        #: All that came, and how much was sent: for the process that has its target (``Passage``).
        self.received = bytearray()
        self.sent = 0
        self.connection: Connection
        self.pump: Pump


class Listener(Protocol):
    """What logins ask of the server."""

    node: IscsiNode

    def new_pump(self, sock: socket.socket, connection: Connection) -> Pump: ...

    def promote(self, login: HalfOpen) -> None: ...

    def portal(self, portal: socket.socket | Portal) -> Portal | None: ...

    def name_of(self, sock: socket.socket) -> str: ...


class Logins:
    """The logins under way, by descriptor. Only the listener's thread calls any of it."""

    def __init__(self, listener: Listener, selector: selectors.BaseSelector) -> None:
        self._listener = listener
        self._selector = selector
        #: In the order they came, as those that have not said a whole request yet.
        self._open: dict[int, HalfOpen] = {}
        self._unanswered: dict[HalfOpen, None] = {}
        self._counts: Counter[str] = Counter()  #: by source
        self.results: Counter[str] = Counter()  #: how logins ended, by name of their status or what kept them from one
        self.throttle = Throttle()
        #: Has another process go on with a login, if there are others.
        self.send: Callable[[socket.socket, Passage], None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def make_room(self) -> None:
        """Before a connection is accepted: with all places taken, the address that has most of them loses one."""
        if len(self._open) >= LOGINS_AT_ONCE:
            self.give_way(f"{LOGINS_AT_ONCE} logins at once are the limit")

    def give_way(self, why: str) -> bool:
        """The address with most of the logins loses one, or any one if that is few; False if there are none."""
        if not self._open:
            return False
        most = max(self._counts.values())
        if most <= FAIR_SHARE:
            self._drop_one(why, len(self._open))
        else:
            self._drop_one(why, most, lambda login: self._counts[login.source] == most)
        return True

    def begin(self, sock: socket.socket, peer: str, portal: socket.socket, group: int) -> None:
        """A connection was accepted from the numeric address ``peer``, by a portal of the group with this tag."""
        self._begin(HalfOpen(sock, plain(peer), portal, time.monotonic() + LOGIN_SECONDS), peer, group)

    def take_over(self, passage: Passage, sock: socket.socket) -> None:
        """Go on with a login that another process has begun."""
        try:
            peer = sock.getpeername()[0]
        except OSError as problem:  # reset meanwhile
            Event.LOGIN_LOST.tell(log, "%s: connection lost during login: %s", self._listener.name_of(sock), problem)
            sock.close()
            return
        self.make_room()
        sock.setblocking(False)
        login = HalfOpen(sock, plain(peer), passage.portal, passage.deadline)
        self._begin(login, peer, passage.portal.group)
        if self._has_portal(login):
            space, count = login.connection.space(), len(passage.received)
            if count > len(space):
                Event.CONNECTION_DROPPED.tell(
                    log, "%s: connection dropped: too much came behind its login", self._listener.name_of(sock),
                    peer=login.source,
                )
                self._drop(login)
                return
            space[:count] = passage.received
            self._take(login, count, passage.sent)

    def _hand_over(self, login: HalfOpen, target: str) -> None:
        portal = self._listener.portal(login.portal)
        with login.sock:
            if portal is not None and self.send is not None:
                try:
                    self.send(login.sock, Passage(target, portal, login.deadline, bytes(login.received), login.sent))
                except OSError as problem:
                    Event.HANDOVER_FAILED.tell(
                        log, "%s: connection dropped: %s", self._listener.name_of(login.sock), problem,
                        peer=login.source,
                    )

    def _begin(self, login: HalfOpen, peer: str, group: int) -> None:
        sock = login.sock
        if self._counts[login.source] >= LOGINS_PER_ADDRESS:
            why = f"{LOGINS_PER_ADDRESS} logins at once from one address are the limit"
            self._drop_one(why, LOGINS_PER_ADDRESS, lambda other: other.source == login.source)
        local = sock.getsockname()

        def on_login(session: Session, replaced: Sequence[Connection]) -> None:
            login.pump.succeed(session, replaced)

        asker = Asker("", plain(peer), plain(local[0]), group)
        login.connection = Connection(self._listener.node, asker, local[1], secrets.token_bytes, on_login)
        login.pump = self._listener.new_pump(sock, login.connection)
        self._open[sock.fileno()] = login
        self._unanswered[login] = None
        self._counts[login.source] += 1
        self._selector.register(sock, selectors.EVENT_READ, self._bytes)

    def _bytes(self, sock: socket.socket) -> None:
        """Some came on ``sock``, or its end."""
        login = self._open.get(sock.fileno())
        if login is None:
            return  # dropped while its bytes were waiting to be looked at
        if not self._has_portal(login):
            return
        space = login.connection.space()
        try:
            count = sock.recv_into(space)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if self.send is not None:
            login.received += space[:count]
        self._take(login, count)

    def _has_portal(self, login: HalfOpen) -> bool:
        """Whether its portal is still there; else it is dropped, as its group may have other targets by now."""
        if self._listener.portal(login.portal) is not None:
            return True
        name = self._listener.name_of(login.sock)
        Event.LOGIN_DROPPED.tell(log, "%s: dropped, its portal was closed before its login was over", name)
        self._drop(login)
        return False

    def _take(self, login: HalfOpen, count: int, said: int = 0) -> None:
        """So many bytes came. ``said``: of the answers so many bytes were sent by another process."""
        sock, connection, name = login.sock, login.connection, self._listener.name_of
        try:
            if not count:
                raise ConnectionResetError("the peer closed the connection")
            with login.pump.line.lock:  # a session just made may be visited by a reset
                connection.received(count)
                if said:
                    login.pump.egress.skip(said)
                login.sent += sum(len(piece) for piece in connection.outbox if isinstance(piece, bytes))
                if login.sent:
                    self._unanswered.pop(login, None)
                if (connection.login is not None or connection.closing) and not login.pump.egress.flush_now():
                    raise ConnectionAbortedError("the peer does not take its answers")
            login.pump.line.attend()  # to what was left in its inbox meanwhile
        except Elsewhere as found:
            self._forget(login)
            self._hand_over(login, found.target.name)
            return
        except FormatError as problem:
            self.results["malformed"] += 1
            Event.CONNECTION_DROPPED.tell(log, "%s: connection dropped: %s", name(sock), problem, peer=login.source)
        except OSError as problem:
            self.results["lost"] += 1
            Event.LOGIN_LOST.tell(log, "%s: connection lost during login: %s", name(sock), problem, peer=login.source)
            self._count(login)  # an answer that nobody waited for was given all the same
        else:
            if connection.closing:
                self._refused(login)
            elif connection.login is None:
                self.results["success"] += 1
                if login.heard:
                    self.throttle.right(login.source, time.monotonic())
                self._forget(login)
                self._listener.promote(login)
                return
            else:
                if connection.login.challenged and not login.heard:
                    self._selector.unregister(sock)
                    login.waits = True
                    self._hear(login, time.monotonic())
                return
        self._drop(login)

    # Secrets --------------------------------------------------------------------------------------------------------

    def _hear(self, login: HalfOpen, now: float) -> None:
        """Listen to a proof whose turn has come."""
        if self.throttle.ready(login.source) <= now:
            self.throttle.heard(login.source, now)
            login.heard, login.waits = True, False
            self._selector.register(login.sock, selectors.EVENT_READ, self._bytes)

    def _count(self, login: HalfOpen) -> int:
        """How many wrong secrets there are from where this login came, if it had one; else 0."""
        half = login.connection.login
        return self.throttle.wrong(login.source, time.monotonic()) if half is not None and half.guessed else 0

    def _refused(self, login: HalfOpen) -> None:
        """Say so; of many wrong secrets only that there are many."""
        name, problem = self._listener.name_of(login.sock), login.connection.problem
        half = login.connection.login
        if half is not None:
            self.results[LoginStatus(half.status).name.lower()] += 1
        wrong = self._count(login)
        level = logging.WARNING if wrong <= FREE else logging.DEBUG
        Event.LOGIN_REFUSED.tell(
            log, "%s: login refused: %s", name, problem, peer=login.source, level=level,
            **login.connection.named,
        )
        if wrong == FREE:
            Event.SECRETS_GUESSED.tell(
                log, "%s: %d wrong secrets from there; from now on they are heard at growing intervals and no longer"
                " listed, until there was none for %d min", login.source, wrong, MEMORY // 60, peer=login.source,
            )

    # The clock ------------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When the clock matters next (``time.monotonic``); None while it does not."""
        return min((
            min(login.deadline, self.throttle.ready(login.source)) if login.waits else login.deadline
            for login in self._open.values()
        ), default=None)

    def look_at_clock(self, now: float) -> None:
        for login in [login for login in self._open.values() if login.deadline <= now]:
            name = self._listener.name_of(login.sock)
            self.results["timeout"] += 1
            Event.LOGIN_TIMEOUT.tell(log, "%s: no login within %d s", name, LOGIN_SECONDS, peer=login.source)
            self._drop(login)
        for login in [login for login in self._open.values() if login.waits]:  # in the order they came
            self._hear(login, now)
        for whose, wrong in self.throttle.forget(now):
            Event.SECRETS_GUESSED.tell(
                log, "%s: %d wrong secrets in all; none for %d min", whose, wrong, MEMORY // 60, peer=whose
            )

    # The end --------------------------------------------------------------------------------------------------------

    def drop(self, sock: socket.socket) -> None:
        """End the login on ``sock``, if there is one."""
        login = self._open.get(sock.fileno())
        if login is not None:
            self._drop(login)

    def drop_all(self) -> None:
        for login in list(self._open.values()):
            self._drop(login)

    def _drop_one(self, why: str, places: int, eligible: Callable[[HalfOpen], bool] | None = None) -> None:
        """Of those who have not said a whole request yet the oldest, if they have more than half of the places.

        So a crowd that says little drops out before who is getting on, and where all others got on who has just come
        is not the one to go. Else the oldest.
        """
        little = list(filter(eligible, self._unanswered))
        login = little[0] if len(little) > places // 2 else next(filter(eligible, self._open.values()))
        Event.LOGIN_LIMIT.tell(log, "%s: dropped, %s", self._listener.name_of(login.sock), why, peer=login.source)
        self._drop(login)

    def _drop(self, login: HalfOpen) -> None:
        if login.connection.login is not None:
            login.connection.login.abandoned()
        self._forget(login)
        if login.connection.session is not None:
            login.pump.abandon()
        else:
            login.sock.close()

    def _forget(self, login: HalfOpen) -> None:
        if not login.waits:
            self._selector.unregister(login.sock)
        del self._open[login.sock.fileno()]
        self._unanswered.pop(login, None)
        self._counts[login.source] -= 1
        if not self._counts[login.source]:
            del self._counts[login.source]
