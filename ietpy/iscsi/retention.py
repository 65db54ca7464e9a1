"""What may have to be sent again at ErrorRecoveryLevel 1 and 2 (RFC 7143 sections 4.2.2, 7.8, 11.7.2, 11.16).

At level 0 nothing of this exists (``Connection.retention`` is None). Above it every PDU with a StatSN is kept until an
ExpStatSN acknowledges it; of a read also its data, in the memory it was read into, never as a promise of a file. R2Ts
are not kept: those that may be asked for again are the ``sequences`` of their ``Transfer``.

Memory is bounded: from half of ``limit`` on reads ask for acknowledgement (the A bit), beyond it the data of the oldest
is let go, and a SNACK for it is refused (reason 03), so its initiator ends the task as it would at level 0.

To answer a task again on another connection (TASK REASSIGN, section 7.2.2) take ``tasks.get(tag)`` of the old
connection's retention, and call ``move(connection, exp_data_sn)`` of what is there: it sends what is missing of the
data, then the status with a StatSN of the new connection, whose retention keeps it from then on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import Reject
from ietpy.iscsi.errors import RejectReason, ServiceFailure
from ietpy.iscsi.pdu import ACKNOWLEDGE, BHS_SIZE, DATA_IN, FINAL, HAS_STATUS, NO_TAG, SCSI_RESPONSE, Opcode
from ietpy.scsi.status import Status
from ietpy.scsi.task import Task
from ietpy.wire.serial import before

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.framing import Framer, Request

#: Data of reads kept for one connection (bytes), PDUs with a StatSN, and A bits a DataACK may still answer.
RETAINED_LIMIT: Final = 16 * 1024 * 1024
STATUSES_LIMIT: Final = 4096
ASKING_LIMIT: Final = 256
#: Staged so that ``Connection.sent`` settles the account of what is not staged but kept.
_NOTHING: Final = memoryview(b"")

_exp_stat_sn: Final = struct.Struct(">28xI").unpack_from
_tag_and_stat_sn: Final = struct.Struct(">16xI4xI").unpack_from
_window: Final = struct.Struct(">II").pack  # ExpCmdSN and MaxCmdSN, bytes 28 to 35

#: Their StatSN is used once; Data-In has one in ``Read``, and a NOP-In only if it answers (section 4.2.2.2).
_WITH_STATUS: Final = frozenset((
    Opcode.NOP_IN, Opcode.SCSI_RESPONSE, Opcode.TASK_MANAGEMENT_RESPONSE, Opcode.TEXT_RESPONSE,
    Opcode.LOGOUT_RESPONSE, Opcode.ASYNC_MESSAGE, Opcode.REJECT,
))


class Kept:
    """One PDU with a StatSN, as it was sent."""

    __slots__ = ("data", "header", "tag")

    def __init__(self, tag: int, header: bytes, data: bytes) -> None:
        self.tag = tag
        self.header = header
        self.data = data

    def repeat(self, connection: Connection) -> None:
        """Send it again: a replica but for ExpCmdSN and MaxCmdSN."""
        session: Any = connection.session
        count(connection, BHS_SIZE + len(self.data))
        window = _window(session.exp_cmd_sn, session.max_cmd_sn)
        connection.send(self.header[:28] + window + self.header[36:], self.data)

    def move(self, connection: Connection, exp_data_sn: int) -> None:
        """Send it on this connection, with a StatSN of this connection."""
        self.header = self.header[:24] + connection.next_stat_sn().to_bytes(4, "big") + self.header[28:]
        self.repeat(connection)

    def repeat_data(self, connection: Connection, first: int, run: int) -> None:
        """There is no Data-In here to send again."""
        raise Reject(RejectReason.PROTOCOL_ERROR, "it has no Data-In PDUs, and no R2T is outstanding")


class Read:
    """The answer to a read: Data-In PDUs, the last with the status unless that comes ``apart``, with ``snack_tag``.

    ``first`` is the DataSN due next, and ``offset`` its place, as far as the initiator has acknowledged (DataACK).
    PDUs from there on have ``segment`` bytes at most; ``count`` is their number in all. ``data`` is None once let go.
    """

    __slots__ = (
        "apart", "burst", "count", "data", "first", "length", "lu", "lun_field", "offset", "residual", "segment",
        "snack_tag", "stat_sn", "status", "tag", "transfer_tag",
    )

    def __init__(
        self, connection: Connection, task: Task, data: bytes | memoryview, length: int, residual: tuple[int, int]
    ) -> None:
        session: Any = connection.session
        self.tag = task.tag
        self.lu = task.nexus.lu
        self.lun_field = task.lun_field
        self.data: bytes | memoryview | None = data
        self.length = length
        self.residual = residual
        self.status = task.status
        self.stat_sn = connection.next_stat_sn()
        self.burst = session.parameters.max_burst_length
        self.segment = connection.transmit_limit
        self.first = 0
        self.offset = 0
        self.apart = False
        self.snack_tag = 0
        #: Of the DataACK it asks for; NO_TAG: for none.
        self.transfer_tag = NO_TAG
        self.count = sum(1 for _ in self._segments())

    def _segments(self) -> Iterator[tuple[int, int, int]]:
        """(DataSN, offset, offset behind) of each PDU that is not acknowledged."""
        data_sn, offset = self.first, self.offset
        while offset < self.length:
            end = offset + min(self.length - offset, self.segment, self.burst - offset % self.burst)
            yield data_sn, offset, end
            data_sn, offset = data_sn + 1, end

    def send(self, connection: Connection, first: int = 0, stop: int | None = None) -> None:
        """Send the PDUs with DataSN ``first`` to before ``stop``."""
        data = self.data
        if data is None:
            raise Reject(RejectReason.SNACK_REJECT, "its data was let go, as too much of it was not acknowledged")
        session: Any = connection.session
        stop = self.count if stop is None else stop
        for data_sn, offset, end in self._segments():
            if not first <= data_sn < stop:
                continue
            flags = FINAL if end == self.length or end % self.burst == 0 else 0
            status: dict[str, int] = {}
            if end == self.length and self.transfer_tag != NO_TAG:
                flags |= ACKNOWLEDGE
                status = {"lun": self.lun_field}
            if end == self.length and not self.apart:
                flags |= HAS_STATUS | self.residual[0]
                status |= {"status": self.status, "stat_sn": self.stat_sn, "residual_count": self.residual[1]}
            header = DATA_IN.pack(
                opcode=Opcode.DATA_IN, flags=flags, initiator_task_tag=self.tag,
                target_transfer_tag=self.transfer_tag if flags & ACKNOWLEDGE else NO_TAG,
                exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn, data_sn=data_sn, buffer_offset=offset,
                **status,
            )
            count(connection, BHS_SIZE + end - offset)
            connection.send(header, data[offset:end])

    def repeat(self, connection: Connection) -> None:
        """Send the PDU with the status again."""
        if not self.apart:
            self.send(connection, self.count - 1)
            return
        session: Any = connection.session
        count(connection, BHS_SIZE)
        connection.send(SCSI_RESPONSE.pack(
            opcode=Opcode.SCSI_RESPONSE, flags=FINAL | self.residual[0], status=self.status,
            initiator_task_tag=self.tag, snack_tag=self.snack_tag, stat_sn=self.stat_sn,
            exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn, exp_data_sn=self.count,
            residual_count=self.residual[1],
        ))

    def repeat_data(self, connection: Connection, first: int, run: int) -> None:
        """Send ``run`` Data-In PDUs from DataSN ``first`` on again (section 11.16; 0: all there are).

        Raises Reject for what was not sent, or acknowledged.
        """
        if not first and not run:
            first = self.first
        stop = first + run if run else self.count
        if not self.first <= first < stop <= self.count:
            raise Reject(
                RejectReason.PROTOCOL_ERROR,
                f"DataSN {first} to {stop - 1}; {self.first} to {self.count - 1} were sent and are not acknowledged",
                self.count,
            )
        if self.segment > connection.transmit_limit:
            raise Reject(
                RejectReason.PROTOCOL_ERROR, "MaxRecvDataSegmentLength became less, which an R-Data SNACK is for"
            )
        self.send(connection, first, stop)

    def resegment(self, connection: Connection, snack_tag: int) -> None:
        """Send all data that is not acknowledged once more, in PDUs as long as they now may be (section 11.16.3).

        The status comes behind it, apart and with the SNACK Tag, under the StatSN it had.
        """
        if self.data is None:
            self.send(connection)  # to refuse it
        self.segment = connection.transmit_limit
        self.apart = True
        self.snack_tag = snack_tag
        self.count = self.first + sum(1 for _ in self._segments())
        self.send(connection)
        self.repeat(connection)

    def acknowledge(self, data_sn: int) -> bool:
        """The initiator has all before ``data_sn`` (section 11.16.2); whether that is possible."""
        if not self.first <= data_sn <= self.count:
            return False
        places = {number: offset for number, offset, _ in self._segments()}
        self.first, self.offset = data_sn, places.get(data_sn, self.length)
        return True

    def move(self, connection: Connection, exp_data_sn: int) -> None:
        """Send it on this connection, from DataSN ``exp_data_sn`` on, with a StatSN of this connection.

        If its data was let go the task ends with "SNACK rejected" (section 11.4.7.2).
        """
        self.stat_sn = connection.next_stat_sn()
        self.transfer_tag, self.snack_tag = NO_TAG, 0
        self.apart = exp_data_sn >= self.count
        if self.data is None and not self.apart:
            self._send_failure(connection)
            return
        if connection.retention is not None:
            connection.retention.keep(self)
        if self.apart:
            self.repeat(connection)
            return
        if self.segment > connection.transmit_limit:
            self.segment = connection.transmit_limit
            self.count = self.first + sum(1 for _ in self._segments())
            exp_data_sn = self.first
        self.send(connection, exp_data_sn)

    def _send_failure(self, connection: Connection) -> None:
        session: Any = connection.session
        sense = ServiceFailure.SNACK_REJECTED.sense(self.lu.descriptor_sense)
        header = SCSI_RESPONSE.pack(
            opcode=Opcode.SCSI_RESPONSE, flags=FINAL, status=int(Status.CHECK_CONDITION), initiator_task_tag=self.tag,
            stat_sn=self.stat_sn, exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn,
            exp_data_sn=self.count,
        )
        connection.send(header, len(sense).to_bytes(2, "big") + sense)


class Retention:
    """What one connection keeps. ``acknowledged``: the last ExpStatSN; ``limit``: bytes of data."""

    def __init__(self, connection: Connection, limit: int = RETAINED_LIMIT) -> None:
        self.connection = connection
        self.acknowledged = connection.stat_sn
        self.limit = limit
        self.size = 0
        #: By StatSN, in its order; and those of SCSI tasks by Initiator Task Tag.
        self.statuses: dict[int, Kept | Read] = {}
        self.tasks: dict[int, Kept | Read] = {}
        #: Reads with data, oldest first; those that asked for a DataACK by Target Transfer Tag, with data or not.
        self.reads: dict[Read, None] = {}
        self.asking: dict[int, Read] = {}

    def requests(self, framer: Framer) -> Iterator[Request]:
        """The requests of ``framer``, each taken for what its ExpStatSN acknowledges."""
        for request in framer.requests():
            self.acknowledge(_exp_stat_sn(framer.header())[0])
            yield request

    def note(self, header: bytes, data: bytes | memoryview) -> None:
        """A PDU is sent; one that has a StatSN is kept when it is sent for the first time."""
        if header[0] not in _WITH_STATUS:
            return
        tag, stat_sn = _tag_and_stat_sn(header)
        if stat_sn in self.statuses or (header[0] == Opcode.NOP_IN and tag == NO_TAG):
            return
        kept = self.statuses[stat_sn] = Kept(tag, header, bytes(data))
        if header[0] == Opcode.SCSI_RESPONSE:
            self.tasks[tag] = kept
        if len(self.statuses) > STATUSES_LIMIT:
            self._forget(next(iter(self.statuses)))

    def answer(self, task: Task, data: bytes | memoryview, length: int, residual: tuple[int, int]) -> None:
        """Answer a read with ``length`` bytes of ``data``, and keep that."""
        read = Read(self.connection, task, data, length, residual)
        self.keep(read)
        if self.size * 2 > self.limit:
            read.transfer_tag = self.connection.new_tag()
            self.asking[read.transfer_tag] = read
            if len(self.asking) > ASKING_LIMIT:
                del self.asking[next(iter(self.asking))]
        read.send(self.connection)
        while self.size > self.limit:
            self._let_go(next(iter(self.reads)))

    def keep(self, read: Read) -> None:
        """Keep the answer to a read; its StatSN is of this connection."""
        self.statuses[read.stat_sn] = self.tasks[read.tag] = read
        if read.data is not None:
            self.reads[read] = None
            self.size += len(read.data)

    def withdraw(self, tag: int) -> Kept | Read:
        """Keep the answer to a task no longer, so that another connection may."""
        kept = self.tasks.pop(tag)
        del self.statuses[next(stat_sn for stat_sn, each in self.statuses.items() if each is kept)]
        if isinstance(kept, Read):
            self.asking.pop(kept.transfer_tag, None)
            self.reads.pop(kept, None)
            self.size -= len(kept.data or b"")
        return kept

    def acknowledge(self, exp_stat_sn: int) -> None:
        """The initiator has all statuses before ``exp_stat_sn``. One that was not sent yet says nothing."""
        if not before(self.acknowledged, exp_stat_sn) or before(self.connection.stat_sn, exp_stat_sn):
            return
        self.acknowledged = exp_stat_sn
        while self.statuses:
            stat_sn = next(iter(self.statuses))
            if not before(stat_sn, exp_stat_sn):
                break
            self._forget(stat_sn)

    def acknowledge_data(self, transfer_tag: int, lun_field: int, data_sn: int) -> bool:
        """A DataACK (section 11.16.2); whether it answers an A bit.

        It may come when the data was let go, and its own ExpStatSN may have acknowledged the status before.
        """
        read = self.asking.get(transfer_tag)
        if read is None or read.lun_field != lun_field or not read.acknowledge(data_sn):
            return False
        if data_sn == read.count:
            del self.asking[transfer_tag]
            self._let_go(read)
        return True

    def repeat(self, first: int, run: int) -> None:
        """Send the statuses from StatSN ``first`` on again (section 11.16; ``run`` 0: all there are).

        Raises Reject for what was not sent, is acknowledged, or was let go.
        """
        if not first and not run:
            first = self.acknowledged
        last = first + run - 1 if run else self.connection.stat_sn - 1
        if before(first, self.acknowledged) or not before(last, self.connection.stat_sn):
            raise Reject(
                RejectReason.PROTOCOL_ERROR,
                f"StatSN {first:#x} to {last:#x}; {self.acknowledged:#x} to {self.connection.stat_sn - 1:#x} were sent"
                " and are not acknowledged",
            )
        for stat_sn in [each for each in self.statuses if not before(each, first) and not before(last, each)]:
            self.statuses[stat_sn].repeat(self.connection)

    def _forget(self, stat_sn: int) -> None:
        kept = self.statuses.pop(stat_sn)
        if self.tasks.get(kept.tag) is kept:
            del self.tasks[kept.tag]
        if isinstance(kept, Read):
            self._let_go(kept)

    def _let_go(self, read: Read) -> None:
        """Keep the data of a read no longer. It may still be queued, so its memory is left to the collector."""
        if read in self.reads and read.data is not None:
            del self.reads[read]
            self.size -= len(read.data)
            read.data = None


def count(connection: Connection, size: int) -> None:
    """Bytes on their way that are not staged; they are settled when all was sent."""
    connection.staged.append(_NOTHING)
    connection.staged_size += size
