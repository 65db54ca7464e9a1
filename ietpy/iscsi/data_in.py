"""Answers to commands: Data-In, status, residuals (RFC 7143 sections 11.4 and 11.7).

Status rides in the last Data-In where it may; what is sent straight from a file is ``streaming``'s.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ietpy.iscsi.errors import ServiceFailure
from ietpy.iscsi.outbox import DIGEST_SIZE, SLAB_SIZE, pack_digest
from ietpy.iscsi.pdu import (
    BHS_SIZE,
    COMMAND_READ,
    DATA_IN,
    FINAL,
    HAS_STATUS,
    NO_TAG,
    OVERFLOW,
    SCSI_RESPONSE,
    UNDERFLOW,
    Opcode,
)
from ietpy.iscsi.streaming import stream
from ietpy.scsi.status import Status
from ietpy.scsi.store import Extent
from ietpy.scsi.task import Task
from ietpy.wire.crc32c import crc32c
from ietpy.wire.serial import MASK

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.function import Function
    from ietpy.iscsi.transfer import Transfer
    from ietpy.scsi.task_set import Place

_pack_header: Final = DATA_IN.codec.pack
#: Of an answer that is one PDU: bytes 0 to 3, DataSegmentLength, Initiator Task Tag, Target Transfer Tag, StatSN,
#: ExpCmdSN, MaxCmdSN, Residual Count. What is between is zero.
_pack_whole: Final = struct.Struct(">II8xIIIII8xI").pack_into
# Plain integers: an enum member costs a conversion in each pack.
_DATA_IN: Final = int(Opcode.DATA_IN)
_RESPONSE: Final = int(Opcode.SCSI_RESPONSE)
_LAST: Final = FINAL | HAS_STATUS
_WHOLE: Final = Opcode.DATA_IN << 24 | _LAST << 16
_WHOLE_SHORT: Final = _WHOLE | UNDERFLOW << 16
_ANSWER: Final = Opcode.SCSI_RESPONSE << 24 | FINAL << 16
_CHECK_CONDITION: Final = int(Status.CHECK_CONDITION)
_TASK_ABORTED: Final = int(Status.TASK_ABORTED)
_BUSY: Final = int(Status.BUSY)


def complete(connection: Connection, task: Task) -> None:
    """Put the answer to an executed task into the outbox and recycle the task."""
    session: Any = connection.session
    if session.short:
        session.withheld += task.credit
        max_cmd_sn = session.max_cmd_sn
    else:
        session.max_cmd_sn = max_cmd_sn = (session.max_cmd_sn + task.credit) & MASK
    data = task.data_in
    if data is None:
        used = connection.used
        if task.wanted != task.expected or task.sense or not connection.plain or used + BHS_SIZE > SLAB_SIZE:
            _respond(connection, task, task.wanted)
        else:
            # The good path of a write: a SCSI Response of one header.
            stat_sn = connection.stat_sn
            connection.stat_sn = (stat_sn + 1) & MASK
            _pack_whole(
                connection.slab, used, _ANSWER | task.status, 0, task.tag, 0, stat_sn, session.exp_cmd_sn, max_cmd_sn, 0
            )
            connection.used = used + BHS_SIZE
    elif data is connection.reserved and connection.plain and not connection.data_digest:
        # The good path: one Data-In with status, lying in the slab as a whole.
        length = len(data)
        short = task.expected - length
        if short < 0 or not task.flags & COMMAND_READ or length & 3:
            _send_data(connection, task, data)
        else:
            used = connection.used
            stat_sn = connection.stat_sn
            connection.stat_sn = (stat_sn + 1) & MASK
            _pack_whole(
                connection.slab, used, (_WHOLE_SHORT if short else _WHOLE) | task.status, length, task.tag, NO_TAG,
                stat_sn, session.exp_cmd_sn, max_cmd_sn, short,
            )
            connection.used = used + BHS_SIZE + length
            connection.reserved = None
    elif data is connection.reserved:
        _send_digested(connection, task, data)
    else:
        _send_data(connection, task, data)
    if task.special or task.chunks:
        recycle(connection, task)
    else:
        task.data_in = None
        connection.free.append(task)


def fail(connection: Connection, task: Task, failure: ServiceFailure) -> None:
    """End a task the transport itself cannot carry out."""
    task.status = _CHECK_CONDITION
    task.sense = failure.sense(task.nexus.lu.descriptor_sense)
    task.data_in = None
    complete(connection, task)


def busy(connection: Connection, task: Task) -> None:
    """End a task that may be tried again when there is room for it."""
    task.status, task.sense, task.data_in = _BUSY, b"", None
    complete(connection, task)


def recycle(connection: Connection, task: Task) -> None:
    """Let go of everything a task held, for its next use."""
    task.data_in = None
    if task.chunks:
        connection.window.unpin(*task.chunks)
        task.chunks = task.data = ()
        task.data_length = 0
    if task.special:
        task.data = ()
        if task.transfer is not None:
            _leave_memory(connection, task.transfer)
            task.transfer = None
        if task.place is not None:
            leave(connection, task.place)
        restore(connection, task)
    connection.free.append(task)


def restore(connection: Connection, task: Task) -> None:
    """Make a task, which may be new, as plain ones always are."""
    task.special = False
    task.unstable = task.plan = None
    task.connection = connection
    task.sink = connection.take
    task.may_block = False
    task.credit = 1
    task.data_length = 0
    task.began = 0.0


def _leave_memory(connection: Connection, transfer: Transfer) -> None:
    """The room of a write that has ended is for others, who are in ``enabled``."""
    session: Any = connection.session
    memory = session.node.memory
    if transfer.room or transfer in memory.waiting:
        connection.enabled.extend(memory.leave(session, transfer))
        reopen(connection)


def reopen(connection: Connection) -> None:
    """Open the command window again, if no write of the session waits for memory any more."""
    session: Any = connection.session
    if session.short and not session.node.memory.awaited_by(session):
        session.short = False
        credit, session.withheld = session.withheld, 0
        grant(connection, credit)


def grant(connection: Connection, credit: int) -> None:
    """Make room in the command window where no answer says so."""
    session: Any = connection.session
    if session.short:
        session.withheld += credit
    elif credit:
        session.max_cmd_sn = (session.max_cmd_sn + credit) & MASK
        tell_window(connection)


def tell_window(connection: Connection) -> None:
    """Have the initiator told of the window, by another connection of the session if this one is going."""
    if connection.closing or connection.stranded:
        session: Any = connection.session
        for other in session.serving()[:1]:
            other.untold = True
    else:
        connection.untold = True


def leave(connection: Connection, place: Place) -> None:
    """A task for which others may have waited has ended; who must be told of it is in ``enabled``."""
    session: Any = connection.session
    with session.device.lock:
        enabled = place.leave()
    if enabled:
        connection.enabled.extend(enabled)


def abandon(connection: Connection, task: Task) -> list[Function]:
    """End a task on a worker that was aborted (section 11.5.1); the functions that waited for nothing else.

    It has no answer but TASK ABORTED, where others aborted it and the logical unit is to say so.
    """
    session: Any = connection.session
    if isinstance(task.data_in, memoryview):
        connection.pool.give(task.data_in)
    functions: Sequence[Function] = task.aborted_by or ()
    task.aborted_by = None
    with session.device.lock:
        for function in functions:
            function.tasks.discard(task)
        finished = [function for function in functions if function.finished()]
    if functions and not connection.closing and all(function.is_told(task) for function in functions):
        tell_aborted(connection, task)
    else:
        untold = connection.untold
        grant(connection, task.credit)
        if any(function.connection is connection for function in functions):
            connection.untold = untold  # the response to the function will say it
        recycle(connection, task)
    return finished


def tell_aborted(connection: Connection, task: Task) -> None:
    """End a task that another nexus has aborted with the status that says so (SAM-5 section 5.6)."""
    task.status = _TASK_ABORTED
    task.sense = b""
    task.data_in = None
    complete(connection, task)


def residual(expected: int, wanted: int) -> tuple[int, int]:
    """(O or U flag, Residual Count) when ``wanted`` bytes met an expected data transfer length (section 11.4.5)."""
    if wanted > expected:
        return OVERFLOW, min(wanted - expected, MASK)
    if wanted < expected:
        return UNDERFLOW, expected - wanted
    return 0, 0


def _respond(connection: Connection, task: Task, wanted: int) -> None:
    flag, count = residual(task.expected, wanted)
    _send_response(connection, task, FINAL | flag, count)


def _send_response(connection: Connection, task: Task, flags: int, count: int) -> None:
    """A SCSI Response; sense data goes in its data segment behind a two-byte length (section 11.4.7)."""
    session: Any = connection.session
    sense = task.sense if task.status == _CHECK_CONDITION else b""
    header = SCSI_RESPONSE.codec.pack(
        _RESPONSE, flags, 0, task.status, 0, task.tag, 0, connection.next_stat_sn(), session.exp_cmd_sn,
        session.max_cmd_sn, 0, 0, count,
    )
    connection.send(header, len(sense).to_bytes(2, "big") + sense if sense else b"")


def _send_data(connection: Connection, task: Task, data: bytes | memoryview | Extent) -> None:
    """Data-In in as many PDUs and sequences as negotiated, then the status.

    Sequences end with the F bit at MaxBurstLength, PDUs at the initiator's MaxRecvDataSegmentLength.
    """
    session: Any = connection.session
    wanted = len(data)
    expected = task.expected if task.flags & COMMAND_READ else 0
    length = min(wanted, expected)
    flag, count = residual(expected, wanted)
    if isinstance(data, Extent):
        stream(connection, task, data, length, flag, count)
        return
    if data is connection.reserved:
        # Its header's place lies before it, but this answer needs more than that: set this part of the slab aside.
        connection.skip_reserved()
    elif isinstance(data, memoryview) and connection.retention is None:
        connection.staged.append(data)
        connection.staged_size += len(data)
    if not length:
        _send_response(connection, task, FINAL | flag, count)
        return
    if connection.retention is not None:
        connection.retention.answer(task, data, length, (flag, count))
        return
    burst, limit = session.parameters.max_burst_length, connection.transmit_limit
    data_sn = offset = 0
    while True:
        end = offset + min(length - offset, limit, burst - offset % burst)
        if end == length:
            break
        connection.send(
            _pack_header(
                _DATA_IN, 0 if end % burst else FINAL, 0, 0, 0, task.tag, NO_TAG, 0, session.exp_cmd_sn,
                session.max_cmd_sn, data_sn, offset, 0,
            ),
            data[offset:end],
        )
        offset = end
        data_sn += 1
    connection.send(
        _pack_header(
            _DATA_IN, _LAST | flag, task.status, 0, 0, task.tag, NO_TAG, connection.next_stat_sn(),
            session.exp_cmd_sn, session.max_cmd_sn, data_sn, offset, count,
        ),
        data[offset:length] if offset or length < wanted else data,
    )


def _send_digested(connection: Connection, task: Task, data: memoryview) -> None:
    """As the good path of a read in ``complete``, with digests."""
    length = len(data)
    short = task.expected - length
    if short < 0 or not task.flags & COMMAND_READ or length & 3:
        _send_data(connection, task, data)
        return
    session: Any = connection.session
    slab = connection.slab
    used = connection.used
    end = used + BHS_SIZE
    _pack_whole(
        slab, used, (_WHOLE_SHORT if short else _WHOLE) | task.status, length, task.tag, NO_TAG,
        connection.next_stat_sn(), session.exp_cmd_sn, session.max_cmd_sn, short,
    )
    if connection.header_digest:
        pack_digest(slab, end, crc32c(connection.slab_view[used:end]))
        end += DIGEST_SIZE
    end += length
    if connection.data_digest:
        pack_digest(slab, end, crc32c(data))
        end += DIGEST_SIZE
    connection.used = end
    connection.reserved = None
