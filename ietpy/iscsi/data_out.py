"""Data-Out: immediate and unsolicited data, R2T, and the order in which they must come (RFC 7143 sections 11.7, 11.8).

A task's data is a list of views into receive chunks, in order; nothing is gathered. One R2T is outstanding per task:
MaxOutstandingR2T is a limit, not a duty.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ietpy.iscsi.data_in import complete, fail, tell_aborted
from ietpy.iscsi.deferred import expect
from ietpy.iscsi.errors import ServiceFailure
from ietpy.iscsi.pdu import BHS_SIZE, FINAL, NO_TAG, READY_TO_TRANSFER, Opcode
from ietpy.scsi.task import Task

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection

_sequence_fields: Final = struct.Struct(">4xII4x").unpack  # DataSN and Buffer Offset in bytes 32 to 47
_pack_r2t: Final = READY_TO_TRANSFER.codec.pack_into
_R2T: Final = int(Opcode.READY_TO_TRANSFER)


class Transfer:
    """How far the data of a write has come.

    ``needed`` bytes are what the CDB asks for and the initiator has; the sequence now expected has transfer tag
    ``tag`` (NO_TAG: unsolicited), its next PDU has ``data_sn``, and it ends at offset ``end``. ``aborted``: when it has
    ended the initiator is told that others aborted the task (sections 11.4.2 and 11.5.1).
    """

    __slots__ = ("aborted", "data_sn", "end", "needed", "pieces", "r2t_sn", "received", "tag")

    def __init__(self, needed: int, end: int) -> None:
        self.needed = needed
        self.end = end
        self.received = 0
        self.tag = NO_TAG
        self.data_sn = 0
        self.r2t_sn = 0
        self.pieces: list[memoryview] = []
        self.aborted = False


def begin(connection: Connection, task: Task, data: Sequence[memoryview], length: int) -> None:
    """Take a write command with its immediate data: ready if that is all, else wait for the rest."""
    session: Any = connection.session
    parameters = session.parameters
    wanted = task.wanted = task.nexus.lu.data_out_length(task)
    expected = task.expected
    needed = wanted if wanted < expected else expected
    final = task.flags & FINAL
    if length > expected or (length and (length > parameters.first_burst_length or not parameters.immediate_data)):
        fail(connection, task, ServiceFailure.UNEXPECTED_UNSOLICITED_DATA)
    elif length >= needed and final:
        if length:
            task.chunks = connection.framer.retain()
            task.data = data if length == needed else _cut(data, needed)
            task.data_length = needed
        connection.ready.append(task)
    elif not final and parameters.initial_r2t:
        fail(connection, task, ServiceFailure.UNEXPECTED_UNSOLICITED_DATA)
    else:
        limit = min(expected, parameters.first_burst_length)
        transfer = task.transfer = Transfer(needed, length if final else limit)
        expect(connection, task)
        task.chunks = []
        if length:
            _take(connection, task, transfer, data, length)
        if final:
            _solicit(connection, task, transfer)


def data_out(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, transfer_tag: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """SCSI Data-Out (section 11.7). Data for a task that ended meanwhile is dropped: it was under way already."""
    session: Any = connection.session
    task = session.tasks.get(tag)
    if task is None:
        return
    transfer: Transfer = task.transfer
    data_sn, offset = _sequence_fields(tail)
    received = transfer.received
    if transfer_tag != transfer.tag or data_sn != transfer.data_sn or offset != received:
        _end(connection, task, ServiceFailure.SEQUENCE_ERROR)
        return
    final = flags & FINAL
    after = received + length
    if after > transfer.end or (final and after < transfer.end and transfer.tag != NO_TAG):
        _end(connection, task, ServiceFailure.INCORRECT_AMOUNT_OF_DATA)
        return
    transfer.data_sn = data_sn + 1
    if length:
        _take(connection, task, transfer, data, length)
    if final:
        _solicit(connection, task, transfer)
    elif after == transfer.end:  # the sequence is full, yet not said to be over
        _end(connection, task, ServiceFailure.SEQUENCE_ERROR)


def lost(connection: Connection, tag: int) -> None:
    """A Data-Out whose digest did not fit ends its task (section 7.8)."""
    session: Any = connection.session
    task = session.tasks.get(tag)
    if task is not None:
        _end(connection, task, ServiceFailure.CRC_ERROR)


def _take(
    connection: Connection, task: Task, transfer: Transfer, data: Sequence[memoryview], length: int
) -> None:
    """Add data that came in order; what exceeds the need of the CDB is dropped."""
    received = transfer.received
    transfer.received = received + length
    useful = transfer.needed - received
    if useful > 0:
        task.chunks.extend(connection.framer.retain())
        transfer.pieces.extend(data if length <= useful else _cut(data, useful))


def _cut(data: Sequence[memoryview], length: int) -> list[memoryview]:
    """The first ``length`` bytes of ``data``."""
    kept = []
    for view in data:
        if length <= 0:
            break
        kept.append(view[:length])
        length -= len(view)
    return kept


def _solicit(connection: Connection, task: Task, transfer: Transfer) -> None:
    """A sequence is over: the task is ready, or the next R2T asks for more."""
    session: Any = connection.session
    received, needed = transfer.received, transfer.needed
    if transfer.aborted:
        del session.tasks[task.tag]
        tell_aborted(connection, task)
        return
    if received >= needed:
        del session.tasks[task.tag]
        task.data = transfer.pieces
        task.data_length = needed
        connection.ready.append(task)
        return
    if transfer.r2t_sn == 0 and task.nexus.lu.refuse_early(task):
        del session.tasks[task.tag]
        complete(connection, task)
        return
    length = min(needed - received, session.parameters.max_burst_length)
    transfer.tag = tag = connection.new_tag()
    transfer.end = received + length
    transfer.data_sn = 0
    values = (
        _R2T, FINAL, 0, task.lun_field, task.tag, tag, connection.stat_sn, session.exp_cmd_sn, session.max_cmd_sn,
        transfer.r2t_sn, received, length,
    )
    transfer.r2t_sn += 1
    used = connection.used
    if connection.header_size == BHS_SIZE and used + BHS_SIZE <= len(connection.slab):
        _pack_r2t(connection.slab, used, *values)
        connection.used = used + BHS_SIZE
    else:
        connection.send(READY_TO_TRANSFER.codec.pack(*values))


def _end(connection: Connection, task: Task, failure: ServiceFailure) -> None:
    session: Any = connection.session
    del session.tasks[task.tag]
    fail(connection, task, failure)
