"""Data-Out: immediate and unsolicited data, and what R2Ts asked for (RFC 7143 sections 11.3, 11.7).

What comes in order is taken here; what does not is judged, and where negotiated taken, by ``scattered``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ietpy.iscsi import scattered
from ietpy.iscsi.data_in import fail
from ietpy.iscsi.deferred import expect
from ietpy.iscsi.errors import ServiceFailure
from ietpy.iscsi.pdu import FINAL, NO_TAG
from ietpy.iscsi.transfer import Transfer, cut, over, solicit, take
from ietpy.scsi.task import Task

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection

_sequence_fields: Final = struct.Struct(">4xII4x").unpack  # DataSN and Buffer Offset in bytes 32 to 47


def begin(connection: Connection, task: Task, data: Sequence[memoryview], length: int) -> None:
    """Take a write command with its immediate data: ready if that is all, else wait for the rest."""
    session: Any = connection.session
    parameters = session.parameters
    wanted = task.wanted = task.nexus.lu.data_out_length(task)
    expected = task.expected
    needed = wanted if wanted < expected else expected
    final = task.flags & FINAL
    if length > expected or (length and (length > parameters.first_burst_length or not parameters.immediate_data)):
        refuse(connection, task, ServiceFailure.UNEXPECTED_UNSOLICITED_DATA)
    elif length >= needed and final:
        if length:
            task.chunks = connection.framer.retain()
            task.data = data if length == needed else cut(data, 0, needed)
            task.data_length = needed
        connection.ready.append(task)
    elif not final and parameters.initial_r2t:
        refuse(connection, task, ServiceFailure.UNEXPECTED_UNSOLICITED_DATA)
    else:
        transfer = task.transfer = Transfer(task, needed)
        expect(connection, task)
        task.chunks = []
        if length:
            take(connection, task, transfer, data, length)
        if final:
            transfer.asked = length
            solicit(connection, task, transfer)
            if transfer.sequences:
                transfer.expect_next()
        else:  # the command is the first part of the unsolicited sequence
            stop = min(expected, parameters.first_burst_length)
            transfer.expect_unsolicited(0, stop)
            if not session.node.memory.occupy(session, transfer, min(needed, stop)):
                transfer.put_off(connection, task)


def refuse(connection: Connection, task: Task, failure: ServiceFailure) -> None:
    """Fail a write, at once or when the unsolicited data that its F bit announces has come (section 11.17.1)."""
    if task.flags & FINAL:
        fail(connection, task, failure)
        return
    transfer = task.transfer = Transfer(task, 0)
    expect(connection, task)
    task.chunks = []
    transfer.expect_unsolicited(0, task.expected)
    transfer.give_up(connection, task, failure)


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
    final = flags & FINAL
    if (
        transfer_tag != transfer.tag or data_sn != transfer.data_sn or offset != received
        or (lun != task.lun_field and transfer_tag != NO_TAG)
    ):
        scattered.data_out(connection, task, final, lun, transfer_tag, data_sn, offset, data, length)
        return
    after = received + length
    if after > transfer.end or (final and after < transfer.end and scattered.is_short(task, transfer_tag)):
        scattered.give_up(connection, task, ServiceFailure.INCORRECT_AMOUNT_OF_DATA, final)
        return
    transfer.data_sn = data_sn + 1
    if length:
        take(connection, task, transfer, data, length)
    if final:
        over(connection, task, transfer)
    elif after == transfer.end:  # the sequence is full, yet not said to be over
        scattered.give_up(connection, task, ServiceFailure.SEQUENCE_ERROR, final)


def lost(connection: Connection, flags: int, tag: int, transfer_tag: int, tail: bytes, length: int) -> None:
    """The digest of a Data-Out does not fit its data, which was rejected (section 7.8)."""
    session: Any = connection.session
    task = session.tasks.get(tag)
    if task is not None and task.connection is connection:
        data_sn, offset = _sequence_fields(tail)
        scattered.lost(connection, task, flags & FINAL, transfer_tag, data_sn, offset, length)
