"""Sessions: connections, command numbering, the nexuses behind LUNs, and tasks that outlive the batch they came in.

A session is changed by the holder of its lock; what other sessions and logins may touch (``Task.aborted_by``,
``TargetNode.sessions``, ``Session.connections`` and ``present``) is changed under the SCSI device's lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ietpy.errors import LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.keys import RECOVERS_CONNECTIONS, SAM_5_LEVEL
from ietpy.iscsi.tally import Tally
from ietpy.iscsi.target import Asker, IscsiNode, SessionKey, TargetNode, command_window
from ietpy.scsi.attention import LUNS_CHANGED
from ietpy.scsi.lun import decode, encode
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.pace import meter, slow
from ietpy.scsi.task import Task
from ietpy.scsi.transport_id import lower_case
from ietpy.scsi.view import View
from ietpy.wire.serial import MASK

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.function import Function
    from ietpy.iscsi.login import LoginResult


class Session:
    """One iSCSI session (RFC 7143 section 4.3) with its connections.

    ``exp_cmd_sn`` moves with each numbered request that arrives in order; ``max_cmd_sn`` moves by one with each
    that is finished, so their distance is the room left in the command queue (4.2.2.1) and never shrinks backwards.
    """

    __slots__ = (
        "asker", "begun", "connections", "device", "dormant", "enabled", "exp_cmd_sn", "functions", "held", "initiator",
        "isid", "key", "line", "logouts", "managing", "max_cmd_sn", "meter", "nexuses", "node", "parameters", "port",
        "present", "ready", "revoked", "running", "shared", "short", "source", "stranded", "tally", "target", "tasks",
        "tsih", "user", "view", "withheld",
    )

    def __init__(self, node: IscsiNode, result: LoginResult, connection: Connection, asker: Asker) -> None:
        self.node = node
        self.target: TargetNode | None = result.target
        self.device = result.target.device if result.target is not None else None
        #: Those that serve, by CID (section 11.12.7); replaced as a whole, so anybody may read it.
        self.connections: Mapping[int, Connection] = {result.cid: connection}
        #: These and those that were replaced and whose tasks have not all ended.
        self.present: set[Connection] = {connection}
        #: Whether it may have several connections, now or when one is replaced while its tasks go on.
        level = result.parameters.error_recovery_level
        self.shared = result.parameters.max_connections > 1 or level >= RECOVERS_CONNECTIONS
        #: Lost connections whose tasks may be reassigned, and until when (``recovery``); replaced as a whole.
        self.stranded: Mapping[Connection, float | None] = {}
        #: What its connections have in common: the server's lock, and see ``Connection``.
        self.line = connection.line
        self.ready = connection.ready
        self.enabled = connection.enabled
        self.functions = connection.functions
        self.asker = asker
        self.source = node.source(asker.peer)  #: who its memory is counted with
        self.initiator = result.initiator_name
        self.isid = result.isid
        #: SAM-5 initiator port name as iSCSI forms it (section 4.2.7.2).
        name = lower_case(result.initiator_name)
        self.port = f"{name},i,0x{result.isid.hex()}"
        self.key = SessionKey(name, result.isid, asker.group)
        self.parameters = result.parameters
        self.user = result.user
        self.tsih = 0
        self.exp_cmd_sn = result.cmd_sn
        self.max_cmd_sn = (result.cmd_sn + command_window(result.target) - 1) & MASK
        #: Whether a write waits for memory (``memory``), and by how much ``max_cmd_sn`` did not move because of that.
        self.short = False
        self.withheld = 0
        #: Requests that came before their turn, by CmdSN: connection, fields, header. None: aborted, or to be ignored.
        #: Functions that wait for the commands before them, by CmdSN and Initiator Task Tag.
        self.held: dict[Any, Any] = {}
        #: Logouts of a connection asked for on another: both, and the Initiator Task Tag to answer (``logout``).
        self.logouts: list[tuple[Connection, Connection, int]] = []
        #: Initiator Task Tags of functions that are not answered yet.
        self.managing: set[int] = set()
        #: Nexuses by the 8-byte LUN field as it stands in requests.
        self.nexuses: dict[int, Nexus] = {}
        #: What the initiator has of the device, and nexuses with units it has no more, whose last tasks may still run.
        self.view = result.terms.view
        self.revoked: list[Nexus] = []
        self.meter = meter(self.view.rates)
        #: Tasks waiting for data, by Initiator Task Tag, tasks waiting for others, and tasks on workers.
        self.tasks: dict[int, Task] = {}
        self.dormant: set[Task] = set()
        self.running: set[Task] = set()
        #: Of these, PREEMPT AND ABORT commands that are not to be answered before tasks of others have ended.
        self.begun: dict[Task, Function] = {}
        self.tally = Tally(sessions=1)

    def nexus(self, lun_field: int) -> Nexus:
        """The nexus for a LUN field: of the logical unit, or of the device's answer for absent ones."""
        device = self.device
        if device is None:
            raise ValueError("a discovery session has no logical units")
        with device.lock:
            lun = decode(lun_field)
            number = self.view.unit(lun)
            if lun is None or number not in device.logical_units:
                return device.nexus(number, self.port, self.key.group, view=self.view)
            # One nexus, whichever way its LUN is written: peripheral or flat addressing.
            known = self.nexuses.get(encode(lun))
            nexus = device.nexus(number, self.port, self.key.group, view=self.view) if known is None else known
            slow(nexus, self.meter)
            nexus.queries = self.parameters.protocol_level >= SAM_5_LEVEL
            self.nexuses[encode(lun)] = self.nexuses[lun_field] = nexus
            return nexus

    @property
    def attached(self) -> frozenset[Nexus]:
        """All nexuses that may have tasks; needs no lock.

        Copying either is one step, and none leaves the one before it is in the other.
        """
        return frozenset((*self.nexuses.values(), *self.revoked))

    def see(self, view: View) -> None:
        """The initiator has this of the device from now on, and is told so. The caller holds the device's lock."""
        if view == self.view:
            return
        told = view.units != self.view.units
        if view.rates != self.view.rates:
            self.meter = meter(view.rates)
        self.view = view
        kept: dict[int, Nexus] = {}
        for field, nexus in self.nexuses.items():
            if view.unit(decode(field)) == nexus.number:
                kept[field] = nexus
            elif nexus not in self.revoked:
                self.revoked.append(nexus)
        self.nexuses = kept
        for nexus in set(kept.values()):
            nexus.lu.review(nexus, view)
            slow(nexus, self.meter)
        if told and self.device is not None:
            self.device.tell(LUNS_CHANGED, set(kept.values()))
        for nexus in self.revoked:
            nexus.lu.revoke(nexus, view)

    def replaced(self) -> list[Session]:
        """The sessions this one reinstates (section 6.3.5) whose tasks have not all ended: not only the last."""
        if self.target is None or self.device is None:
            return []
        with self.device.lock:
            return [each for each in self.target.ending if each.key == self.key]

    def join(self, connection: Connection, cid: int) -> Connection | None:
        """Take in a connection; the one whose CID it has, which it replaces (section 6.3.4).

        The caller holds the device's lock. Raises LoginFailure (0206) where MaxConnections are there.
        """
        old = self.connections.get(cid)
        if old is None and len(self.connections) >= self.parameters.max_connections:
            limit = self.parameters.max_connections
            raise LoginFailure(LoginStatus.TOO_MANY_CONNECTIONS, f"the session has its MaxConnections {limit}")
        self.connections = {**self.connections, cid: connection}
        self.present.add(connection)
        return old

    def serving(self, besides: Connection | None = None) -> list[Connection]:
        """Those in their full feature phase that take part; without one."""
        return [
            each for each in self.connections.values()
            if each is not besides and each.handlers and not (each.closing or each.stranded)
        ]

    def leave(self, connection: Connection) -> bool:
        """A connection is closed and all its tasks have ended; whether the session has ended with it."""
        lock = self.node.lock if self.device is None else self.device.lock
        with lock:
            self.present.discard(connection)
            self.connections = {cid: each for cid, each in self.connections.items() if each is not connection}
            if self.present:
                return False
            self.end()
            return True

    def end(self) -> None:
        """Leave the target: nexuses detached, the slot free. The caller has seen every task end."""
        self.node.give_tsih_back(self)
        if self.target is None or self.device is None:
            return
        with self.device.lock:
            for nexus in self.attached:
                nexus.lu.detach(nexus)
            self.nexuses.clear()
            there = len(self.target.sessions) + len(self.target.ending)
            self.target.ending.discard(self)
            if self.target.sessions.get(self.key) is self:
                del self.target.sessions[self.key]
            if len(self.target.sessions) + len(self.target.ending) < there:  # once
                self.target.past.add(self.tally)


def establish(
    node: IscsiNode, result: LoginResult, connection: Connection, asker: Asker
) -> tuple[Session, Sequence[Connection]]:
    """Make or find the session a successful login asks for; also the connections that end with that.

    These are of the sessions it reinstates (section 6.3.5), or the connection it does (6.3.4).

    Raises LoginFailure when the request names a session that cannot take it, there is no room, or who may log in
    was changed since the login began.
    """
    if result.tsih_requested:
        return _join(node, result, connection)
    session = Session(node, result, connection, asker)
    target = result.target
    if target is None:
        with node.lock:
            _check(result, node)
        node.check_room(asker.peer)
        node.take_tsih(session)
        portal = (asker.local, connection.local_port)  # sections 7.4.2.1 and 7.4.2.2
        return session, node.discover(session, (session.key, result.named.lower() or portal))
    with target.device.lock:
        _check_target(node, target, result)
        old = target.sessions.get(session.key)
        target.check_room(session.key)
        if old is None:
            node.check_room(asker.peer)
        node.take_tsih(session)
        target.sessions[session.key] = session
        if old is not None:
            target.ending.add(old)
        return session, [each for ended in session.replaced() for each in ended.present]


def _join(node: IscsiNode, result: LoginResult, connection: Connection) -> tuple[Session, Sequence[Connection]]:
    """Add a connection to a session, or replace one (section 6.3.1)."""
    target = result.target
    if target is not None:
        with target.device.lock:
            _check_target(node, target, result)
            key = SessionKey(lower_case(result.initiator_name), result.isid, connection.asker.group)
            session = target.session(key, result.tsih_requested)
            if session is not None:
                if (session.user, session.view) != (result.user, result.terms.view):
                    problem = "the session was begun by another user, or from where more or less is to be seen"
                    raise LoginFailure(LoginStatus.CANNOT_INCLUDE_IN_SESSION, problem)
                if result.cid not in session.connections:
                    node.check_room(connection.asker.peer)
                old = session.join(connection, result.cid)
                return session, () if old is None else (old,)
    problem = f"this initiator port has no session with TSIH {result.tsih_requested}; log in with TSIH 0"
    raise LoginFailure(LoginStatus.SESSION_DOES_NOT_EXIST, problem)


def _check_target(node: IscsiNode, target: TargetNode, result: LoginResult) -> None:
    if node.targets.get(target.name.lower()) is not target:
        raise LoginFailure(LoginStatus.TARGET_REMOVED, f"{target.name} was removed during the login")
    _check(result, target)


def _check(result: LoginResult, scope: IscsiNode | TargetNode) -> None:
    """Raise LoginFailure (0301: initiators try again) unless ``scope`` still lets in whom it let in then."""
    if result.revision != scope.revision:
        problem = "who may log in was changed during the login, which may be tried again"
        raise LoginFailure(LoginStatus.SERVICE_UNAVAILABLE, problem)
