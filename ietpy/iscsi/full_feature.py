"""The full feature phase: opcode to handler, one table for normal sessions and one for discovery (RFC 7143 section 11).

A handler takes the fields of a request that is in order; it queues an answer, readies a task, or raises Reject.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import FormatError, Reject
from ietpy.iscsi import allegiance, data_out, logout, pings, snack, task_management
from ietpy.iscsi.data_in import fail, restore
from ietpy.iscsi.deferred import tasks_of
from ietpy.iscsi.discovery import TextExchange
from ietpy.iscsi.errors import RejectReason, ServiceFailure
from ietpy.iscsi.pdu import (
    BHS_SIZE,
    COMMAND_READ,
    COMMAND_WRITE,
    FINAL,
    IMMEDIATE,
    NO_TAG,
    NOP_IN,
    OPCODE_MASK,
    TEXT_RESPONSE,
    Opcode,
)
from ietpy.scsi.status import TaskAttribute
from ietpy.scsi.task import Task
from ietpy.wire.serial import MASK

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.login import LoginResult
    from ietpy.iscsi.session import Session

#: (connection, opcode byte, flags, LUN, Initiator Task Tag, word 20, CmdSN, bytes 32 to 47, data, its length)
Handler = Callable[["Connection", int, int, int, int, int, int, bytes, Sequence[memoryview], int], None]

_ATTRIBUTE: Final = 0x07
_SIMPLE: Final = int(TaskAttribute.SIMPLE)
#: Immediate commands taken at once; initiators use them for task management, seldom for commands.
IMMEDIATE_LIMIT: Final = 32
_LAST_ATTRIBUTE: Final = 4  #: ACA; 5 to 7 are reserved (section 11.3.1)
#: Opcode byte and flags of what ``take_plain`` takes: whole, UNTAGGED or SIMPLE, to be executed in its turn.
_PLAIN_READS: Final = frozenset(Opcode.SCSI_COMMAND << 8 | FINAL | COMMAND_READ | each for each in (0, _SIMPLE))
_PLAIN_WRITES: Final = frozenset(Opcode.SCSI_COMMAND << 8 | FINAL | COMMAND_WRITE | each for each in (0, _SIMPLE))
_unpack_command: Final = struct.Struct(">H2xIQIII4x16s").unpack_from


def take_plain(connection: Connection, session: Any) -> bool:
    """The good path: take SCSI Commands in a window of requests up to the first that is anything out of the ordinary.

    It judges nothing: what it takes, ``framing``, ``scsi_command`` and ``data_out.begin`` would take just so, in three
    times the steps, and what is left is theirs. No request may be half taken, or wait for its turn. True: none is left.
    """
    window, free, append = connection.window, connection.free, connection.ready.append
    position, end, chunk = window.start, window.end, window.chunk
    buffer, pinned = chunk.buffer, (chunk,)
    nexuses, waiting, extents = session.nexuses, session.tasks, connection.extents
    exp_cmd_sn, closed = session.exp_cmd_sn, (session.max_cmd_sn + 1) & MASK
    while end - position >= BHS_SIZE:
        kind, length, lun, tag, expected, cmd_sn, cdb = _unpack_command(buffer, position)
        if cmd_sn != exp_cmd_sn or cmd_sn == closed or tag == NO_TAG or tag in waiting or lun not in nexuses:
            break
        if not free:
            free.append(new_task(connection))
        task = free[-1]
        task.nexus = nexuses[lun]
        task.cdb = cdb
        task.expected = expected
        task.extents = extents
        if kind in _PLAIN_READS and not length:
            task.wanted = 0
            position += BHS_SIZE
        elif kind in _PLAIN_WRITES and 0 < length <= connection.immediate_limit and length == expected:
            first, last = position + BHS_SIZE, position + BHS_SIZE + length
            if last > end or length & 3 or task.nexus.lu.data_out_length(task) != length:
                break
            task.wanted = task.data_length = length
            task.data = (chunk.view[first:last],)
            task.chunks = pinned
            chunk.pins += 1
            position = last
        else:
            break
        task.tag = tag
        task.lun_field = lun
        task.cmd_sn = cmd_sn
        task.flags = kind & 0xFF
        task.attribute = kind & _ATTRIBUTE
        append(free.pop())
        exp_cmd_sn = (cmd_sn + 1) & MASK
    session.exp_cmd_sn = exp_cmd_sn
    window.start = position
    window.need = BHS_SIZE
    return position == end


def new_task(connection: Connection) -> Task:
    """A task as ``Connection.free`` has them, and ``data_in.recycle`` makes them again."""
    task = Task()
    restore(connection, task)
    return task


def scsi_command(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, expected: int, cmd_sn: int, cdb: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """SCSI Command (section 11.3): ready at once, or once its data has come."""
    session: Any = connection.session
    if tag == NO_TAG or tag in session.tasks:
        _refuse_tag(tag)
    if opcode & IMMEDIATE:
        _bound_immediate(session)
    attribute = flags & _ATTRIBUTE
    extents = connection.extents
    if attribute > _SIMPLE:
        extents = False  # what is promised is read late: not if others wait for the end of this task
        if attribute > _LAST_ATTRIBUTE:
            raise Reject(RejectReason.PROTOCOL_ERROR, f"task attribute {attribute}, which is reserved")
    nexus = session.nexuses.get(lun) or session.nexus(lun)
    task = connection.free.pop() if connection.free else new_task(connection)
    task.special = attribute > _SIMPLE or opcode & IMMEDIATE != 0
    task.nexus = nexus
    task.tag = tag
    task.lun_field = lun
    task.cmd_sn = cmd_sn
    task.cdb = cdb
    task.flags = flags
    task.attribute = attribute
    task.expected = expected
    task.credit = 0 if opcode & IMMEDIATE else 1
    task.extents = extents
    if not flags & COMMAND_WRITE:
        # What a command wanted to write that is said to move nothing is an overflow.
        task.wanted = 0 if flags & COMMAND_READ or expected else nexus.lu.data_out_length(task)
        if length or not flags & FINAL:
            fail(connection, task, ServiceFailure.UNEXPECTED_UNSOLICITED_DATA)
        else:
            connection.ready.append(task)
    elif flags & COMMAND_READ and expected:
        task.wanted = 0
        data_out.refuse(connection, task, ServiceFailure.BIDIRECTIONAL)
    else:
        data_out.begin(connection, task, data, length)


def _refuse_tag(tag: int) -> None:
    """Section 11.2.1.8."""
    if tag == NO_TAG:
        raise Reject(RejectReason.INVALID_PDU_FIELD, "Initiator Task Tag ffffffff, which is no task's")
    raise Reject(RejectReason.TASK_IN_PROGRESS, f"Initiator Task Tag {tag:#x} is in use")


def _with_a_tag(handler: Handler) -> Handler:
    """A handler of requests whose tag must be a task's, and no other's."""

    def check(
        connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
        data: Sequence[memoryview], length: int,
    ) -> None:
        session: Any = connection.session
        if tag == NO_TAG or tag in session.tasks:
            _refuse_tag(tag)
        handler(connection, opcode, flags, lun, tag, word20, cmd_sn, tail, data, length)

    return check


def _bound_immediate(session: Session) -> None:
    """Immediate commands are outside the window, so they are counted instead (section 4.2.2.1)."""
    live = sum(not task.credit for task in tasks_of(session))
    if live >= IMMEDIATE_LIMIT:
        raise Reject(RejectReason.IMMEDIATE_COMMAND_REJECT, f"{IMMEDIATE_LIMIT} immediate commands are under way")


def _credit(session: Session, opcode: int) -> None:
    """A numbered request that is answered at once makes room for the next."""
    if not opcode & IMMEDIATE:
        session.max_cmd_sn = (session.max_cmd_sn + 1) & MASK


def nop_out(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, transfer_tag: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """NOP-Out (section 11.18): a ping is echoed, an answer to ours is noted."""
    session: Any = connection.session
    if tag == NO_TAG and not opcode & IMMEDIATE:
        raise Reject(RejectReason.INVALID_PDU_FIELD, "a NOP-Out that is not immediate and wants no answer")
    if transfer_tag != NO_TAG:
        pings.answered(connection, transfer_tag, lun)
    if tag == NO_TAG:
        return
    if tag in session.tasks:
        _refuse_tag(tag)
    _credit(session, opcode)
    connection.send(
        NOP_IN.pack(
            opcode=Opcode.NOP_IN, flags=FINAL, lun=lun, initiator_task_tag=tag, target_transfer_tag=NO_TAG,
            stat_sn=connection.next_stat_sn(), exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn,
        ),
        b"".join(data)[: connection.transmit_limit],
    )


def text_exchange(connection: Connection, result: LoginResult) -> TextExchange:
    """The connection's text negotiations."""
    return TextExchange(
        connection.node, result.target, connection.asker, connection.local_port, result.parameters
    )


def text_request(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, transfer_tag: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """Text Request (section 11.10)."""
    session: Any = connection.session
    answer_flags, answer_tag, answer = connection.text.receive(flags, tag, transfer_tag, lun, b"".join(data))
    _credit(session, opcode)
    connection.follow_parameters()
    connection.send(
        TEXT_RESPONSE.pack(
            opcode=Opcode.TEXT_RESPONSE, flags=answer_flags, lun=lun, initiator_task_tag=tag,
            target_transfer_tag=answer_tag, stat_sn=connection.next_stat_sn(), exp_cmd_sn=session.exp_cmd_sn,
            max_cmd_sn=session.max_cmd_sn,
        ),
        answer,
    )


def refuse(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """Anything this phase has no place for (sections 4.3, 11.17.1)."""
    raise Reject(RejectReason.COMMAND_NOT_SUPPORTED, f"opcode {opcode & OPCODE_MASK:#04x} in this phase")


def login_again(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """A Login Request after login breaks the protocol beyond repair (section 6.3)."""
    raise FormatError("a Login Request in the full feature phase")


def refuse_unfit(
    connection: Connection, opcode: int, flags: int, tag: int, word20: int, tail: bytes, length: int
) -> None:
    """Reject a request that cannot be taken as it came, and see to the task its data belonged to.

    Its CmdSN is not used up (section 7.3).
    """
    if connection.framer.fault is RejectReason.DATA_DIGEST_ERROR:
        session: Any = connection.session
        session.tally.data_digest_errors += 1
    connection.reject(connection.framer.fault, connection.framer.header())
    if opcode & OPCODE_MASK == Opcode.DATA_OUT:
        data_out.lost(connection, flags, tag, word20, tail, length)


def _table(rows: dict[Opcode, Handler]) -> tuple[Handler, ...]:
    return tuple(rows.get(opcode, refuse) for opcode in range(OPCODE_MASK + 1))  # type: ignore[call-overload]


_NORMAL: Final[dict[Opcode, Handler]] = {
    Opcode.NOP_OUT: nop_out,
    Opcode.SCSI_COMMAND: scsi_command,
    Opcode.TASK_MANAGEMENT_REQUEST: _with_a_tag(task_management.request),
    Opcode.LOGIN_REQUEST: login_again,
    Opcode.TEXT_REQUEST: _with_a_tag(text_request),
    Opcode.DATA_OUT: data_out.data_out,
    Opcode.LOGOUT_REQUEST: _with_a_tag(logout.request),
    Opcode.SNACK_REQUEST: snack.request,
}
NORMAL: Final = _table(_NORMAL)
SHARED: Final = _table({**_NORMAL, Opcode.DATA_OUT: allegiance.take_data_out})

#: A discovery session takes SendTargets and the Logout that closes it, and nothing else (section 4.3).
DISCOVERY: Final = _table({
    Opcode.LOGIN_REQUEST: login_again,
    Opcode.TEXT_REQUEST: _with_a_tag(text_request),
    Opcode.LOGOUT_REQUEST: _with_a_tag(logout.of_discovery),
})


def handlers(session: Session) -> Sequence[Handler]:
    """The table for the connections of a session."""
    if session.target is None:
        return DISCOVERY
    return SHARED if session.shared else NORMAL
