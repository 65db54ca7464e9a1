"""Task management functions (RFC 7143 sections 4.2.3, 11.5, 11.6; SAM-5 section 7).

An answer is sent only when the aborted work can do no more harm: tasks on a worker are waited for, and tasks that
other connections execute in their own threads are waited for by taking those connections' locks once, which is the
server's part (``Connection.functions``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ietpy.iscsi.pdu import FINAL, IMMEDIATE, TASK_MANAGEMENT_RESPONSE, Opcode
from ietpy.scsi import attention
from ietpy.scsi.lun import decode
from ietpy.scsi.task import Task
from ietpy.wire.serial import MASK, before

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session
    from ietpy.scsi.logical_unit import LogicalUnit

# Section 11.6.1
COMPLETE: Final = 0
NO_SUCH_TASK: Final = 1
NO_SUCH_LUN: Final = 2
NO_REASSIGNMENT: Final = 4
NOT_SUPPORTED: Final = 5

_ref_cmd_sn: Final = struct.Struct(">I12x").unpack


class Function:
    """A function under way: whom to answer, with what, and what must end first.

    ``units`` are the logical units whose tasks end, ``clears`` says that other initiators are told by a unit
    attention. ``others`` are connections still to be visited by ``abort``; ``tasks`` are aborted tasks that workers
    still run; ``closing`` are connections to be closed after the answer. Changed under the device's lock.
    """

    __slots__ = ("answered", "clears", "closing", "connection", "others", "response", "tag", "tasks", "units")

    def __init__(self, connection: Connection, tag: int) -> None:
        self.connection = connection
        self.tag = tag
        self.response = COMPLETE
        self.units: Sequence[LogicalUnit] = ()
        self.clears = False
        self.others: list[Connection] = []
        self.tasks: set[Task] = set()
        self.closing: list[Connection] = []
        self.answered = False

    def finished(self) -> bool:
        """Whether the answer may go now; True once only."""
        if self.tasks or self.others or self.answered:
            return False
        self.answered = True
        return True


class Request(NamedTuple):
    """The fields of a Task Management Function Request its handlers look at."""

    lun: int
    referenced_tag: int
    ref_cmd_sn: int


Handler = Callable[["Connection", Function, Request], int]


def request(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """Task Management Function Request (section 11.5)."""
    session: Any = connection.session
    if not opcode & IMMEDIATE:
        session.max_cmd_sn = (session.max_cmd_sn + 1) & MASK
    function = Function(connection, tag)
    handler = FUNCTIONS.get(flags & 0x7F, not_supported)
    with session.device.lock:
        function.response = handler(connection, function, Request(lun, word20, _ref_cmd_sn(tail)[0]))
        finished = function.finished()
    if function.others:
        connection.functions.append(function)
    if finished:
        answer(function)


def answer(function: Function) -> None:
    """Queue the response. The caller holds the lock of ``function.connection``."""
    connection = function.connection
    session: Any = connection.session
    connection.send(
        TASK_MANAGEMENT_RESPONSE.pack(
            opcode=Opcode.TASK_MANAGEMENT_RESPONSE, flags=FINAL, response=function.response,
            initiator_task_tag=function.tag, stat_sn=connection.next_stat_sn(), exp_cmd_sn=session.exp_cmd_sn,
            max_cmd_sn=session.max_cmd_sn,
        )
    )
    if function.closing:
        connection.closing = True


def abort_task(connection: Connection, function: Function, asked: Request) -> int:
    """ABORT TASK; one not yet arrived counts as aborted when it comes (section 11.6.1 a, b)."""
    session: Any = connection.session
    task = next((each for each in _tasks(connection) if each.tag == asked.referenced_tag), None)
    if task is not None:
        _end(function, connection, [task])
        return COMPLETE
    if before(asked.ref_cmd_sn, session.exp_cmd_sn) or before(session.max_cmd_sn, asked.ref_cmd_sn):
        return NO_SUCH_TASK
    session.held[asked.ref_cmd_sn] = None
    return COMPLETE


def abort_task_set(connection: Connection, function: Function, asked: Request) -> int:
    """ABORT TASK SET: this session's tasks on the logical unit."""
    session: Any = connection.session
    lu = _logical_unit(session, asked.lun)
    if lu is None:
        return NO_SUCH_LUN
    function.units = (lu,)
    abort(function, connection)
    return COMPLETE


def clear_task_set(connection: Connection, function: Function, asked: Request) -> int:
    """CLEAR TASK SET: everybody's tasks on the logical unit; the others are told by a unit attention."""
    session: Any = connection.session
    lu = _logical_unit(session, asked.lun)
    if lu is None:
        return NO_SUCH_LUN
    function.clears = True
    _abort_everywhere(function, (lu,))
    return COMPLETE


def logical_unit_reset(connection: Connection, function: Function, asked: Request) -> int:
    """LOGICAL UNIT RESET (SAM-5 section 6.3.3)."""
    session: Any = connection.session
    lu = _logical_unit(session, asked.lun)
    if lu is None:
        return NO_SUCH_LUN
    _reset(function, (lu,))
    return COMPLETE


def target_warm_reset(connection: Connection, function: Function, asked: Request) -> int:
    """TARGET WARM RESET: every logical unit of the target."""
    session: Any = connection.session
    _reset(function, tuple(session.device.logical_units.values()))
    return COMPLETE


def target_cold_reset(connection: Connection, function: Function, asked: Request) -> int:
    """TARGET COLD RESET: as warm, and every session of the target ends (section 11.5.1)."""
    session: Any = connection.session
    target_warm_reset(connection, function, asked)
    function.closing = [other.connection for other in _sessions(session)]
    return COMPLETE


def not_supported(connection: Connection, function: Function, asked: Request) -> int:
    """CLEAR ACA (NormACA is 0), and functions this protocol level does not define."""
    return NOT_SUPPORTED


def task_reassign(connection: Connection, function: Function, asked: Request) -> int:
    """TASK REASSIGN needs ErrorRecoveryLevel 2."""
    return NO_REASSIGNMENT


#: Section 11.5.1
FUNCTIONS: Final[dict[int, Handler]] = {
    1: abort_task,
    2: abort_task_set,
    4: clear_task_set,
    5: logical_unit_reset,
    6: target_warm_reset,
    7: target_cold_reset,
    8: task_reassign,
}


def _logical_unit(session: Session, lun: int) -> LogicalUnit | None:
    number = decode(lun)
    return None if number is None or session.device is None else session.device.logical_units.get(number)


def _sessions(session: Session) -> Iterable[Session]:
    assert session.target is not None
    return (*session.target.sessions.values(), *session.target.ending)


def _abort_everywhere(function: Function, units: Sequence[LogicalUnit]) -> None:
    """Abort this connection's tasks now; the others are visited by the server, under their own locks."""
    function.units = units
    session: Any = function.connection.session
    abort(function, function.connection)
    function.others = [other.connection for other in _sessions(session) if other is not session]


def _reset(function: Function, units: Sequence[LogicalUnit]) -> None:
    _abort_everywhere(function, units)
    for lu in units:
        lu.reset()


def abort(function: Function, connection: Connection) -> bool:
    """Abort what ``function`` asks for among a connection's tasks; whether the function may be answered now.

    The caller holds the connection's lock.
    """
    session: Any = connection.session
    with session.device.lock:
        tasks = [task for task in _tasks(connection) if task.nexus.lu in function.units]
        if function.clears and connection is not function.connection:
            for nexus in {task.nexus for task in tasks}:
                attention.establish(nexus, attention.COMMANDS_CLEARED)
        _end(function, connection, tasks)
        if connection in function.others:
            function.others.remove(connection)
            return function.finished()
        return False


def _tasks(connection: Connection) -> Iterable[Task]:
    """All tasks of a connection: waiting for data, on workers, and of the batch at hand."""
    session: Any = connection.session
    return (*session.tasks.values(), *session.running, *connection.ready)


def _end(function: Function, connection: Connection, tasks: Iterable[Task]) -> None:
    """Workers' tasks are marked and waited for; those waiting for data or for their turn end here."""
    for task in tasks:
        if not task.may_block:
            connection.discard(task)
        else:
            task.aborted_by = [*(task.aborted_by or ()), function]
            function.tasks.add(task)
