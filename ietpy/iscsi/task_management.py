"""Task management functions (RFC 7143 sections 4.2.3, 11.5, 11.6; RFC 7144; SAM-5 section 7).

An answer is sent only when the aborted work can do no more harm: tasks on a worker are waited for, and tasks that
other connections execute in their own threads are waited for by taking those connections' locks once, which is the
server's part (``Connection.functions``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ietpy.iscsi import ordering, recovery
from ietpy.iscsi.data_in import leave, tell_aborted
from ietpy.iscsi.deferred import discard, take_back, tasks_of
from ietpy.iscsi.function import (
    COMPLETE,
    NO_REASSIGNMENT,
    NO_SUCH_LUN,
    NO_SUCH_TASK,
    NOT_AUTHORIZED,
    NOT_SUPPORTED,
    REJECTED,
    SUCCEEDED,
    Function,
)
from ietpy.iscsi.keys import RECOVERS_CONNECTIONS, SAM_5_LEVEL
from ietpy.iscsi.pdu import FINAL, IMMEDIATE, NO_TAG, TASK_MANAGEMENT_RESPONSE, Opcode
from ietpy.scsi import attention
from ietpy.scsi.lun import decode
from ietpy.scsi.status import SenseKey
from ietpy.scsi.task import Task
from ietpy.wire.serial import MASK, before

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus

_numbers: Final = struct.Struct(">II8x").unpack  # RefCmdSN and ExpDataSN in bytes 32 to 47


class Request(NamedTuple):
    """The fields of a Task Management Function Request its handlers look at."""

    lun: int
    referenced_tag: int
    ref_cmd_sn: int
    exp_data_sn: int


_HELD_TAG: Final = 3  #: the Initiator Task Tag among the fields of a held request (``full_feature.Handler``)
Handler = Callable[["Connection", Function, Request], int]


def request(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """Task Management Function Request (section 11.5)."""
    session: Any = connection.session
    if not opcode & IMMEDIATE:
        session.max_cmd_sn = (session.max_cmd_sn + 1) & MASK
    code = flags & 0x7F
    if opcode & IMMEDIATE and ordering.is_ahead(session, cmd_sn):
        if code in _FOR_UNITS:
            ordering.wait(connection, (opcode, flags, lun, tag, word20, cmd_sn, tail, data, length))
            return
        if code in _FOR_TARGET:
            ordering.plug(connection, cmd_sn)
    function = Function(connection, tag)
    function.fenced = code in _FOR_UNITS or code in _FOR_TARGET
    known = code < FIRST_OF_SAM_5 or session.parameters.protocol_level >= SAM_5_LEVEL
    handler = FUNCTIONS.get(code, not_supported) if known else not_supported
    session.tally.functions[handler.__name__] += 1
    with session.device.lock:
        function.response = handler(connection, function, Request(lun, word20, *_numbers(tail)))
        finished = function.finished()
    session.managing.add(tag)
    connection.untold = False  # the response will say what the window is
    if function.others:
        connection.functions.append(function)
    if finished:
        answer(function)
    if function.then is not None:
        function.then()


def answer(function: Function) -> None:
    """Queue the response. The caller holds the lock of ``function.connection``."""
    connection = function.connection
    session: Any = connection.session
    if function.fenced and not function.closing:
        function.fenced = False
        if ordering.fence(function, answer):
            return
    session.managing.discard(function.tag)
    connection.send(
        TASK_MANAGEMENT_RESPONSE.pack(
            opcode=Opcode.TASK_MANAGEMENT_RESPONSE, flags=FINAL, response=function.response,
            information=function.information, initiator_task_tag=function.tag, stat_sn=connection.next_stat_sn(),
            exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn,
        )
    )
    for each in function.closing:
        if each.session is session:
            each.recoverable, each.closing = False, True


def abort_task(connection: Connection, function: Function, asked: Request) -> int:
    """ABORT TASK; one not yet arrived counts as aborted when it comes (section 11.6.1 a, b)."""
    session: Any = connection.session
    if asked.referenced_tag in session.managing:
        return REJECTED
    task = _referenced(session, asked)
    if task is not None:
        _end(function, session, [task])
        return COMPLETE
    if _logical_unit(session, asked.lun) is None:
        return NO_SUCH_LUN
    if before(asked.ref_cmd_sn, session.exp_cmd_sn) or before(session.max_cmd_sn, asked.ref_cmd_sn):
        return NO_SUCH_TASK
    held = session.held.get(asked.ref_cmd_sn)
    if held is not None and held[1][_HELD_TAG] != asked.referenced_tag:
        return NO_SUCH_TASK
    session.held[asked.ref_cmd_sn] = None
    return COMPLETE


def abort_task_set(connection: Connection, function: Function, asked: Request) -> int:
    """ABORT TASK SET: this session's tasks on the logical unit."""
    session: Any = connection.session
    lu = _logical_unit(session, asked.lun)
    if lu is None:
        return NO_SUCH_LUN
    function.numbers = (lu.number,)
    abort(function, session)
    return COMPLETE


def clear_task_set(connection: Connection, function: Function, asked: Request) -> int:
    """CLEAR TASK SET: everybody's tasks on the logical unit, unless each nexus has a task set of its own (TST)."""
    session: Any = connection.session
    lu = _logical_unit(session, asked.lun)
    if lu is None:
        return NO_SUCH_LUN
    if lu.separate_task_sets:
        return abort_task_set(connection, function, asked)
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
    """TARGET WARM RESET: every logical unit the initiator knows (section 11.5.1)."""
    session: Any = connection.session
    view, units = session.view, session.device.logical_units
    _reset(function, [lu for number, lu in units.items() if view.has(number)], everything=view.units is None)
    return COMPLETE


def target_cold_reset(connection: Connection, function: Function, asked: Request) -> int:
    """TARGET COLD RESET: as warm, and every session of the target ends (section 11.5.1).

    Not for who has less of the target than these may have.
    """
    session: Any = connection.session
    if not session.view.whole:
        return NOT_AUTHORIZED
    target_warm_reset(connection, function, asked)
    function.closing = [each for other in _sessions(session) for each in other.present]
    return COMPLETE


def not_supported(connection: Connection, function: Function, asked: Request) -> int:
    """CLEAR ACA (NormACA is 0), and functions this protocol level does not define."""
    return NOT_SUPPORTED


def task_reassign(connection: Connection, function: Function, asked: Request) -> int:
    """TASK REASSIGN needs ErrorRecoveryLevel 2; it takes effect behind its answer (section 11.5.1)."""
    session: Any = connection.session
    if session.parameters.error_recovery_level < RECOVERS_CONNECTIONS:
        return NO_REASSIGNMENT
    if asked.referenced_tag in session.managing:
        return REJECTED
    response, function.then = recovery.reassign(connection, asked.referenced_tag, asked.exp_data_sn)
    return response


def query_task(connection: Connection, function: Function, asked: Request) -> int:
    """QUERY TASK: whether it is in the task set."""
    session: Any = connection.session
    if _logical_unit(session, asked.lun) is None:
        return NO_SUCH_LUN
    if asked.referenced_tag in session.managing:
        return REJECTED
    return COMPLETE if _referenced(session, asked) is None else SUCCEEDED


def query_task_set(connection: Connection, function: Function, asked: Request) -> int:
    """QUERY TASK SET: whether any task of this session is."""
    session: Any = connection.session
    lu = _logical_unit(session, asked.lun)
    if lu is None:
        return NO_SUCH_LUN
    return SUCCEEDED if any(task.nexus.number == lu.number for task in tasks_of(session)) else COMPLETE


def nexus_reset(connection: Connection, function: Function, asked: Request) -> int:
    """I_T NEXUS RESET: this session's tasks on all logical units, what they remember of its nexuses, its connections.

    RFC 7144 section 6.3: as if all connections had timed out.
    """
    session: Any = connection.session
    _end(function, session, tasks_of(session))
    for nexus in set(session.nexuses.values()):
        nexus.lu.nexus_reset(nexus)
    function.closing = list(session.present)
    return COMPLETE


def query_asynchronous_event(connection: Connection, function: Function, asked: Request) -> int:
    """QUERY ASYNCHRONOUS EVENT: whether a unit attention is pending, and which (SAM-5 section 7.10)."""
    session: Any = connection.session
    if _logical_unit(session, asked.lun) is None:
        return NO_SUCH_LUN
    nexus = session.nexus(asked.lun)
    pending = attention.first(nexus)
    if pending is None:
        return COMPLETE
    depth = _ONE if len(nexus.attentions) == 1 else _SEVERAL
    function.information = bytes((depth | SenseKey.UNIT_ATTENTION,)) + pending.asc.to_bytes(2, "big")
    return SUCCEEDED


#: UADE DEPTH: how many unit attentions are pending.
_ONE: Final = 0x10
_SEVERAL: Final = 0x20

#: Functions of many tasks: of logical units, and of the target.
_FOR_UNITS: Final = frozenset((2, 4, 5))
_FOR_TARGET: Final = frozenset((6, 7, 11))
#: Section 11.5.1; those of RFC 7144 need its iSCSIProtocolLevel.
FIRST_OF_SAM_5: Final = 9
FUNCTIONS: Final[dict[int, Handler]] = {
    1: abort_task,
    2: abort_task_set,
    4: clear_task_set,
    5: logical_unit_reset,
    6: target_warm_reset,
    7: target_cold_reset,
    8: task_reassign,
    9: query_task,
    10: query_task_set,
    11: nexus_reset,
    12: query_asynchronous_event,
}


def _logical_unit(session: Session, lun: int) -> LogicalUnit | None:
    number = session.view.unit(decode(lun))
    return None if number is None or session.device is None else session.device.logical_units.get(number)


def _referenced(session: Session, asked: Request) -> Task | None:
    """The task of this tag on this logical unit."""
    number = decode(asked.lun)
    return next((
        task for task in tasks_of(session)
        if task.tag == asked.referenced_tag and decode(task.lun_field) == number
    ), None)


def _sessions(session: Session) -> Iterable[Session]:
    assert session.target is not None
    return (*session.target.sessions.values(), *session.target.ending)


def _abort_everywhere(function: Function, units: Sequence[LogicalUnit], everything: bool = False) -> None:
    """Abort this session's tasks now; the others are visited by the server, under their own locks."""
    function.address(units, everything)
    session: Any = function.connection.session
    abort(function, session)
    function.others = [other for other in _sessions(session) if other is not session]


def preempt(author: Task, lu: LogicalUnit, nexuses: Collection[Nexus]) -> Function:
    """PREEMPT AND ABORT (SPC-4 section 5.13.11.2.6): ``author``, on a worker, is answered when it has ended all tasks.

    It is in the ``begun`` of its session until then. The server visits ``others``, and says ``author_executed``.
    """
    session: Any = author.connection.session
    function = session.begun[author] = Function(author.connection, NO_TAG)
    function.address((lu,))
    function.nexuses = frozenset(nexuses)
    function.clears = True
    function.author = author
    function.tasks = {author}
    with session.device.lock:
        function.others = [
            other for other in _sessions(session)
            if not function.nexuses.isdisjoint(other.attached)
        ]
    return function


def author_executed(author: Task) -> list[Function] | None:
    """A task on a worker was executed: the functions that may be answered now. None: it did not begin one.

    Other preemptions wait for it no longer: of those that abort each other's tasks none would ever end.
    """
    session: Any = author.connection.session
    function = session.begun.get(author)
    if function is None:
        return None
    with session.device.lock:
        function.executed = True
        waiting = [function, *(each for each in author.aborted_by or () if each.author is not None)]
        for each in waiting:
            each.tasks.discard(author)
        return [each for each in waiting if each.finished()]


def _reset(function: Function, units: Sequence[LogicalUnit], everything: bool = False) -> None:
    _abort_everywhere(function, units, everything)
    for lu in units:
        lu.reset()


def abort(function: Function, session: Session) -> bool:
    """Abort what ``function`` asks for among a session's tasks; whether the function may be answered now.

    The caller holds the session's lock.
    """
    assert session.device is not None
    with session.device.lock:
        tasks = [task for task in tasks_of(session) if function.concerns(task)]
        if function.clears and session is not function.connection.session:
            for nexus in {task.nexus for task in tasks if not function.is_told(task)}:
                attention.establish(nexus, attention.COMMANDS_CLEARED)
        _end(function, session, tasks)
        if session in function.others:
            function.others.remove(session)
            return function.finished()
        return False


def _end(function: Function, session: Session, tasks: Iterable[Task]) -> None:
    """Workers' tasks are marked and waited for; those that wait end here."""
    for task in tasks:
        connection: Connection = task.connection
        session.tally.aborted += task.aborted_by is None
        if task.may_block:
            task.aborted_by = [*(task.aborted_by or ()), function]
            begun = session.begun.get(task)
            if function.author is None or begun is None or not begun.executed:  # see ``author_executed``
                function.tasks.add(task)
        elif function.is_told(task) and not connection.closing:
            _tell(connection, task)
        else:
            discard(connection, task)


def _tell(connection: Connection, task: Task) -> None:
    """TASK ABORTED, when the initiator has sent what it was asked for (section 11.4.2); nobody waits for that."""
    session: Any = connection.session
    if session.tasks.get(task.tag) is not task or not task.transfer.sequences:
        take_back(connection, task)
        tell_aborted(connection, task)
        return
    task.transfer.instead = tell_aborted
    if task.place is not None:
        leave(connection, task.place)
