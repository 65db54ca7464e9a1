"""The iSCSI node and its targets: who is there, who may ask, which sessions exist (RFC 7143 sections 4.2.5, 4.2.7)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ietpy.errors import LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.memory import LIMIT, Memory
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG
from ietpy.iscsi.tally import Tally
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.port_groups import set_ports
from ietpy.scsi.view import EVERYTHING, View
from ietpy.wire.buffers import Budget, Chunk

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session

QUEUED_COMMANDS: Final = 128  #: requests an initiator may have under way where nothing is configured (decisions 7)


@dataclass(frozen=True, slots=True)
class Accounts:
    """CHAP accounts of one scope. ``incoming`` maps user to secret; authentication is required when it has any."""

    incoming: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    outgoing: tuple[str, str] | None = field(default=None, repr=False)
    #: Names of the algorithms that are accepted (``iscsi.chap.ALGORITHMS``); empty: all.
    algorithms: tuple[str, ...] = ()
    #: Why every login of this scope must fail (a mistake that would otherwise open it), else empty.
    closed: str = ""

    @property
    def required(self) -> bool:
        return bool(self.incoming) or bool(self.closed)

    def of(self, user: str, free: bool = False) -> Accounts:
        """What is left for an initiator that must be ``user``; empty: anybody. An unknown one is nobody.

        ``free``: it needs no account.
        """
        if free:
            return replace(self, incoming={})
        if not user:
            return self
        known = {name: secret for name, secret in self.incoming.items() if name == user}
        return replace(self, incoming=known, closed=self.closed or ("" if known else "its account does not exist"))

    def takes(self, algorithm: str) -> bool:
        """Whether an initiator may prove itself by this algorithm."""
        return not self.algorithms or algorithm in self.algorithms


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is at the other end: numeric addresses without port, and the name it gave.

    ``group``: the tag of the portal group by which it came.
    """

    initiator: str
    peer: str
    local: str
    group: int = PORTAL_GROUP_TAG


class Portal(NamedTuple):
    """An address to be told to initiators, numeric and without zone, and its portal group.

    ``advertised``: what they are told instead, as a TargetAddress without tag; empty: nothing else.
    """

    address: str
    port: int
    group: int = PORTAL_GROUP_TAG
    advertised: str = ""


class SessionKey(NamedTuple):
    """What names a session's I_T nexus on its target (section 4.4.3): who has it again reinstates it (6.3.5).

    The same ISID by another portal group is another nexus.
    """

    initiator: str  #: in lower case
    isid: bytes
    group: int = PORTAL_GROUP_TAG


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an initiator that may use a target does so: with which view, and as which user; empty: any.

    ``free``: without CHAP, whatever accounts there are.
    """

    view: View = EVERYTHING
    user: str = ""
    free: bool = False


UNRESTRICTED: Final = Terms()


def unrestricted(asker: Asker) -> Terms:
    """The terms of a target that has none."""
    return UNRESTRICTED


def everybody(asker: Asker) -> bool:
    """The access rule of a target without restrictions."""
    return True


class TargetNode:
    """One iSCSI target and the SCSI device behind it. ``name`` is kept as written; compare with ``name.lower()``."""

    def __init__(
        self,
        name: str,
        device: ScsiDevice,
        *,
        accounts: Accounts | None = None,
        admits: Callable[[Asker], bool] = everybody,
        terms: Callable[[Asker], Terms | None] = unrestricted,
        key_values: Mapping[str, Any] | None = None,
        max_sessions: int = 0,
        queued_commands: int = QUEUED_COMMANDS,
        wthreads: int = 8,
        nop_interval: int = 0,
        nop_timeout: int = 0,
    ) -> None:
        self.name = name
        self.device = device
        self.accounts = accounts or Accounts()
        self.admits = admits
        #: None: they say nothing of him. He cannot log in, but for a session that is there what held goes on.
        self.terms = terms
        #: How often these and ``portal_groups`` have changed: a login ends under the rules it began with, or never.
        self.revision = 0
        #: Values the configuration names, by key name, over ``Key.offer`` (plus MaxXmitDataSegmentLength).
        self.key_values: Mapping[str, Any] = key_values or {}
        self.max_sessions = max_sessions
        self.queued_commands = queued_commands
        self.wthreads = wthreads
        self.nop_interval = nop_interval
        self.nop_timeout = nop_timeout
        #: What people call it (section 13.6), else empty.
        self.alias = ""
        #: TargetAddress to answer normal logins with (01/01), else empty.
        self.redirect = ""
        #: Tags of the portal groups by which it is there; each is a target port of its SCSI device.
        self.portal_groups: tuple[int, ...] = (PORTAL_GROUP_TAG,)
        #: Live sessions; changed under the device's lock.
        self.sessions: dict[SessionKey, Session] = {}
        #: Sessions that were replaced and whose last tasks still run.
        self.ending: set[Session] = set()
        #: What was counted of sessions that have ended.
        self.past = Tally()

    def tally(self) -> Tally:
        """What was counted of all sessions it had and has."""
        with self.device.lock:
            counted = Tally()
            counted.add(self.past)
            for session in (*self.sessions.values(), *self.ending):
                counted.add(session.tally)
            return counted

    @property
    def ending_only(self) -> bool:
        """Whether it has sessions, and all of them are about to end."""
        with self.device.lock:
            sessions = list(self.sessions.values())
            return bool(sessions or self.ending) and all(
                each.closing for session in sessions for each in session.connections.values()
            )

    def let_in(
        self, accounts: Accounts, admits: Callable[[Asker], bool], terms: Callable[[Asker], Terms | None] | None = None
    ) -> None:
        """Change who may log in, at once and together; logins under way are refused (``session.establish``).

        ``terms`` belong to ``admits``. Views change for sessions, too; who may log in, and as whom, for logins alone.
        """
        with self.device.lock:
            if (accounts, admits) == (self.accounts, self.admits):
                return
            self.accounts, self.admits = accounts, admits
            self.terms = terms or self.terms
            self.revision += 1
            for session in (*self.sessions.values(), *self.ending):
                found = [self.terms(each.asker) for each in session.present]
                views = [terms.view for terms in found if terms is not None]
                if views:  # where its connections come from, not all may have the same any more
                    session.see(reduce(View.shared_with, views))

    def session(self, key: SessionKey, tsih: int) -> Session | None:
        """The live session of this nexus, if ``tsih`` is its (section 6.3.1)."""
        session = self.sessions.get(key)
        return session if session is not None and session.tsih == tsih else None

    def offer(self, portal_groups: tuple[int, ...]) -> None:
        """Be there by these portal groups, by tag; sessions by others go on, logins under way by them are refused.

        A tag is the relative identifier of its target port, too, so it is 1 at least.
        """
        with self.device.lock:
            if portal_groups != self.portal_groups:
                self.portal_groups = portal_groups
                self.revision += 1
                set_ports(self.device, portal_groups)

    def check_room(self, key: SessionKey) -> None:
        """Raise LoginFailure (0206, as IET: iet-compat 2.2) when MaxSessions admits no session of this nexus.

        One that is reinstated takes no more room.
        """
        if key not in self.sessions and 0 < self.max_sessions <= len(self.sessions):
            raise LoginFailure(LoginStatus.TOO_MANY_CONNECTIONS, f"{self.name} has its MaxSessions {self.max_sessions}")


#: Command window of a discovery session, which has one request in flight.
DISCOVERY_WINDOW: Final = 2


def command_window(target: TargetNode | None) -> int:
    """MaxCmdSN - ExpCmdSN + 1 of a new session (section 4.2.2.1); None for discovery."""
    return DISCOVERY_WINDOW if target is None else target.queued_commands


_TSIHS: Final = 0xFFFF  #: 0 is none (section 11.12.6)


def _room_for_all(address: str) -> None:
    """Before there is a server."""


def _nobody_serves(target: TargetNode) -> None:
    """Before there is a server."""


def _where_reached(asker: Asker, port: int) -> Sequence[Portal]:
    return (Portal(asker.local, port, asker.group),)


def _nobody_hears(peer: str, reason: int, why: str) -> None:
    """Before there is a server."""


class IscsiNode:
    """All targets of one daemon, and what discovery answers with.

    ``addresses(local, port)`` lists the portals to name to an asker who reached ``local``:``port``, that one first.
    ``lock`` guards ``targets``, ``discovery``, TSIHs and what ``memory`` counts, of which there are so many bytes.
    """

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        *,
        discovery: Accounts | None = None,
        addresses: Callable[[Asker, int], Sequence[Portal]] = _where_reached,
        memory: int = LIMIT,
    ) -> None:
        self.lock = lock
        self.memory = Memory(lock, memory)
        #: What reads of more than a MiB may have together, where their data is not a file's to send.
        self.staging = Budget(lock, memory)
        self.chunks: list[Chunk] = []  #: receive memory that no connection needs at the moment
        self.discovery = discovery or Accounts()
        self.revision = 0  #: how often ``discovery`` has changed
        self.addresses = addresses
        #: In file order, by lower-case name.
        self.targets: dict[str, TargetNode] = {}
        #: Told of each target before anybody can find it; the server's.
        self.serve: Callable[[TargetNode], None] = _nobody_serves
        #: Raises LoginFailure when there may be no more connections, in all or from this address; the server's.
        self.check_room: Callable[[str], None] = _room_for_all
        #: Who a numeric address is counted with; the server's.
        self.source: Callable[[str], str] = str
        #: Told of each request that is answered with a Reject: whose, the reason, and a sentence; the server's.
        self.rejected: Callable[[str, int, str], None] = _nobody_hears
        #: CHAP challenges outstanding on any connection, so that one reflected on another is known.
        self.open_challenges: set[bytes] = set()
        self._tsihs: dict[int, Session] = {}
        #: Discovery sessions by place (``discover``).
        self._discoveries: dict[Hashable, Session] = {}
        self._last_tsih = 0

    def add(self, target: TargetNode) -> None:
        """Serve ``target``; by one caller at a time. Raises ValueError if the name is taken."""
        if target.name.lower() in self.targets:
            raise ValueError(f"target {target.name} exists already")
        self.serve(target)
        self.offer_again(target)

    def offer_again(self, target: TargetNode) -> None:
        """Take back what ``remove`` did."""
        with self.lock:
            self.targets = {**self.targets, target.name.lower(): target}

    def remove(self, target: TargetNode) -> None:
        """Stop offering ``target`` to new logins."""
        with self.lock:
            self.targets = {name: other for name, other in self.targets.items() if other is not target}

    def let_discover(self, accounts: Accounts) -> None:
        """Change who may discover; logins under way are refused."""
        with self.lock:
            if accounts != self.discovery:
                self.discovery = accounts
                self.revision += 1

    def find(self, name: str, asker: Asker) -> tuple[TargetNode, int] | None:
        """The target of this name if ``asker`` may use it, and the revision of the rules that say so.

        Hidden ones, and those that are not in the portal group it came by, look like missing ones. They take as long,
        too: rules may read files, so those of another target are asked for one that is missing.
        """
        target = self.targets.get(name.lower())
        if target is None:
            for other in islice(self.targets.values(), 1):
                other.admits(asker)
            return None
        revision = target.revision  # before the rules are asked: they may change meanwhile
        admitted = target.admits(asker)
        return (target, revision) if admitted and asker.group in target.portal_groups else None

    def visible(self, asker: Asker) -> list[TargetNode]:
        """Targets ``asker`` may use, newest first as IET listed them."""
        return [target for target in reversed(self.targets.values()) if target.admits(asker)]

    def take_tsih(self, session: Session) -> None:
        """Give ``session`` a Target Session Identifying Handle no other has: 1 to 65535 in turn.

        Raises LoginFailure when there is none left.
        """
        with self.lock:
            if len(self._tsihs) >= _TSIHS:
                raise LoginFailure(LoginStatus.OUT_OF_RESOURCES, f"there are {_TSIHS} sessions, as many as can be")
            while (tsih := self._last_tsih % _TSIHS + 1) in self._tsihs:
                self._last_tsih = tsih
            self._last_tsih = session.tsih = tsih
            self._tsihs[tsih] = session

    def discover(self, session: Session, place: Hashable) -> tuple[Connection, ...]:
        """A discovery session begins, the one of this place; the connections of the one before.

        That one is reinstated (section 7.4.2). ``place``: initiator port and portal, or the target it is named after.
        """
        with self.lock:
            old = self._discoveries.get(place)
            self._discoveries = {**self._discoveries, place: session}
        return () if old is None else tuple(old.present)

    def sessions(self) -> list[Session]:
        """All there are, also those that have only lost connections (``recovery``)."""
        with self.lock:
            return list(self._tsihs.values())

    def give_tsih_back(self, session: Session) -> None:
        """``session`` has ended; harmless when it had."""
        with self.lock:
            if self._tsihs.get(session.tsih) is session:
                del self._tsihs[session.tsih]
            self._discoveries = {place: each for place, each in self._discoveries.items() if each is not session}
