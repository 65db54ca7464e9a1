"""SNACK Request: what an initiator asks to have sent again, or acknowledges (RFC 7143 section 11.16)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ietpy.errors import Reject
from ietpy.iscsi.deferred import tasks_of
from ietpy.iscsi.errors import RejectReason, ServiceFailure
from ietpy.iscsi.pdu import BHS_SIZE, NO_TAG
from ietpy.iscsi.retention import Read, Retention, count
from ietpy.iscsi.scattered import give_up
from ietpy.iscsi.transfer import send_r2t

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection

_run: Final = struct.Struct(">8xII").unpack  # BegRun and RunLength in bytes 32 to 47
_TYPE: Final = 0x0F


class Snack(NamedTuple):
    """The fields of a SNACK Request; ``mark`` is its Target Transfer Tag or SNACK Tag."""

    lun: int
    tag: int
    mark: int
    first: int
    run: int


def request(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """SNACK Request: recovery within a connection needs ErrorRecoveryLevel 1."""
    retention: Retention | None = connection.retention
    if retention is None:
        raise Reject(RejectReason.SNACK_REJECT, "a SNACK Request at ErrorRecoveryLevel 0")
    kind = flags & _TYPE
    if kind >= len(_KINDS):
        raise Reject(RejectReason.PROTOCOL_ERROR, f"SNACK type {kind}; 0 to 3 are defined")
    if connection.staged_size > retention.limit:
        _end(connection, tag)
        raise Reject(RejectReason.SNACK_REJECT, "too much was asked for again and is still to be sent")
    _KINDS[kind](connection, retention, Snack(lun, tag, word20, *_run(tail)))


def _end(connection: Connection, tag: int) -> None:
    """A command whose status was not sent ends when a SNACK for it is refused so (section 7.8)."""
    session: Any = connection.session
    task = session.tasks.get(tag)
    if task is not None and task.connection is connection:
        give_up(connection, task, ServiceFailure.SNACK_REJECTED, final=0)


def data_or_r2t(connection: Connection, retention: Retention, asked: Snack) -> None:
    """Data-In or R2T PDUs, as the task reads or writes."""
    session: Any = connection.session
    if asked.mark != NO_TAG:
        raise Reject(RejectReason.INVALID_PDU_FIELD, f"Target Transfer Tag {asked.mark:#x} of a SNACK for data")
    task = session.tasks.get(asked.tag)
    if task is not None and task.connection is connection:
        _r2ts(connection, task, asked)
    elif asked.tag in retention.tasks:
        retention.tasks[asked.tag].repeat_data(connection, asked.first, asked.run)
    elif asked.first or asked.run or all(
        task.tag != asked.tag or task.connection is not connection for task in tasks_of(session)
    ):
        raise Reject(RejectReason.PROTOCOL_ERROR, f"nothing was sent for task {asked.tag:#x}, or it is acknowledged")


def _r2ts(connection: Connection, task: Any, asked: Snack) -> None:
    """R2Ts are acknowledged by the end of the data they ask for."""
    outstanding = {each[3]: each for each in task.transfer.sequences if each[0] != NO_TAG}
    if asked.run:
        numbers: Sequence[int] = range(asked.first, asked.first + min(asked.run, len(outstanding) + 1))
    else:
        numbers = [number for number in sorted(outstanding) if number >= asked.first]
    if not outstanding.keys() >= set(numbers) or not (numbers or not asked.first):
        raise Reject(
            RejectReason.PROTOCOL_ERROR,
            f"R2TSN {asked.first}, run length {asked.run}; outstanding are {sorted(outstanding)}",
            task.transfer.r2t_sn,
        )
    count(connection, len(numbers) * BHS_SIZE)
    for number in numbers:
        send_r2t(connection, task, outstanding[number])


def status(connection: Connection, retention: Retention, asked: Snack) -> None:
    """PDUs with a StatSN."""
    if asked.tag != NO_TAG or asked.mark != NO_TAG:
        raise Reject(RejectReason.INVALID_PDU_FIELD, "a Status SNACK whose tags are not the reserved ones")
    retention.repeat(asked.first, asked.run)


def data_ack(connection: Connection, retention: Retention, asked: Snack) -> None:
    """The answer to the A bit of a Data-In."""
    usual = asked.tag == NO_TAG and not asked.run
    if not usual or not retention.acknowledge_data(asked.mark, asked.lun, asked.first):
        raise Reject(
            RejectReason.INVALID_DATA_ACK, f"a DataACK up to {asked.first} with Target Transfer Tag {asked.mark:#x}"
        )


def r_data(connection: Connection, retention: Retention, asked: Snack) -> None:
    """All Data-In that is not acknowledged, in PDUs of another length."""
    if asked.first or asked.run or asked.mark in (0, NO_TAG):
        raise Reject(RejectReason.INVALID_PDU_FIELD, "an R-Data SNACK with a run, or without a SNACK Tag")
    read = retention.tasks.get(asked.tag)
    if not isinstance(read, Read):
        raise Reject(RejectReason.PROTOCOL_ERROR, f"no Data-In was sent for task {asked.tag:#x}, or it is acknowledged")
    read.resegment(connection, asked.mark)


#: Section 11.16.1.
_KINDS: Final = (data_or_r2t, status, data_ack, r_data)
