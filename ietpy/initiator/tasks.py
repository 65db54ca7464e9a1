"""One SCSI command from the initiator's side: what it sends, and whether what comes back is right.

RFC 7143 sections 11.3 to 11.8 and 4.2.2.3 (DataSN). A task speaks in header fields; ``session`` makes PDUs of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ietpy.initiator.errors import TargetFault
from ietpy.initiator.framing import Pdu
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import ACKNOWLEDGE, COMMAND_READ, COMMAND_WRITE, FINAL, HAS_STATUS, NO_TAG, OVERFLOW, UNDERFLOW
from ietpy.scsi.status import Status, TaskAttribute

#: What may come in a Data-In: every status that needs no sense data (section 11.7.3).
_STATUS_WITH_DATA: Final = frozenset({Status.GOOD, Status.CONDITION_MET, 0x10, 0x14})


@dataclass(frozen=True, slots=True)
class Response:
    """How a command ended.

    ``residual`` is in bytes: positive for an underflow, negative for an overflow. ``response`` is the iSCSI service
    response (section 11.4.3), 0 when the command completed at the target.
    """

    status: int
    sense: bytes = b""
    data: bytes = b""
    residual: int = 0
    response: int = 0

    @property
    def good(self) -> bool:
        return self.response == 0 and self.status == Status.GOOD


@dataclass(frozen=True, slots=True)
class DataOut:
    """One SCSI Data-Out PDU to send."""

    lun: int
    target_transfer_tag: int
    data_sn: int
    buffer_offset: int
    data: bytes
    final: bool


class ScsiTask:
    """A command in flight. ``read``: bytes wanted from the target; ``write``: bytes for it; never both.

    ``lun`` is the eight-byte field as a number. Raises ValueError for a command that reads and writes.
    """

    def __init__(
        self,
        tag: int,
        lun: int,
        cdb: bytes,
        parameters: Parameters,
        *,
        read: int = 0,
        write: bytes = b"",
        attribute: int = TaskAttribute.SIMPLE,
    ) -> None:
        if read and write:
            raise ValueError("a command either reads or writes; bidirectional commands are not supported")
        self.tag = tag
        self.lun = lun
        self.cdb = cdb
        self.attribute = attribute
        self.expected = read or len(write)
        self._keys = parameters
        self._reads = bool(read)
        self._write = write
        self._read = bytearray(read)
        self._ranges: list[tuple[int, int]] = []  # what Data-In brought, where order is not promised
        self._received = 0
        self._burst = 0
        self._data_sn = 0
        self._r2t_sn = 0
        self._solicited = self._unsolicited_length()
        #: Of an R-Data SNACK; the answer to it comes with this tag (section 11.16.3).
        self.snack_tag = 0
        self._acknowledged = (0, 0, 0)  # DataSN, bytes and ranges, as the last DataACK said
        self._in_order = parameters.data_pdu_in_order and parameters.data_sequence_in_order

    # -- what the initiator sends ----------------------------------------------------------------------------

    @property
    def immediate_data(self) -> bytes:
        """Data of the SCSI Command PDU itself (section 13.11)."""
        if not self._keys.immediate_data:
            return b""
        return self._write[: min(self._keys.first_burst_length, self._keys.max_xmit_data_segment_length)]

    def _unsolicited_length(self) -> int:
        """Bytes sent without an R2T (section 13.10): all of the first burst, or what fits into the command."""
        if self._keys.initial_r2t:
            return len(self.immediate_data)
        return min(len(self._write), self._keys.first_burst_length)

    @property
    def flags(self) -> int:
        """Byte 1 of the SCSI Command (section 11.3.1): F unless unsolicited Data-Out PDUs follow."""
        follow = self._unsolicited_length() > len(self.immediate_data)
        direction = COMMAND_READ if self._reads else COMMAND_WRITE if self._write else 0
        return (0 if follow else FINAL) | direction | self.attribute

    def unsolicited(self) -> Iterator[DataOut]:
        """The Data-Out PDUs that follow the command without being asked for."""
        start = len(self.immediate_data)
        return self._sequence(0, NO_TAG, start, self._unsolicited_length() - start)

    def _sequence(self, lun: int, tag: int, offset: int, length: int) -> Iterator[DataOut]:
        end, step = offset + length, self._keys.max_xmit_data_segment_length
        for data_sn, start in enumerate(range(offset, end, step)):
            stop = min(start + step, end)
            yield DataOut(lun, tag, data_sn, start, self._write[start:stop], stop == end)

    @property
    def reads(self) -> bool:
        return self._reads

    @property
    def received_pdus(self) -> int:
        """How many Data-In or R2T PDUs have come."""
        return self._data_sn if self._reads else self._r2t_sn

    def rewind(self, r2t_sn: int) -> None:
        """The task was reassigned, and this is the first R2T since. Raises TargetFault if it leaves any out."""
        if r2t_sn > self._r2t_sn:
            raise TargetFault("11.8.2", f"R2TSN is {r2t_sn} where {self._r2t_sn} or one before it was due")
        self._r2t_sn = r2t_sn

    # -- what the target sends -------------------------------------------------------------------------------

    def ready_to_transfer(self, pdu: Pdu) -> Iterator[DataOut]:
        """The sequence an R2T asks for. Raises TargetFault (section 11.8)."""
        header = pdu.header
        offset, length = header["buffer_offset"], header["desired_data_transfer_length"]
        if not self._write:
            raise TargetFault("11.8", f"an R2T came for a command that writes nothing ({pdu})")
        if header["r2t_sn"] != self._r2t_sn:
            raise TargetFault("11.8.2", f"R2TSN is {header['r2t_sn']} where {self._r2t_sn} was due")
        if header["target_transfer_tag"] == NO_TAG:
            raise TargetFault("11.8.5", "the Target Transfer Tag of an R2T is the reserved one")
        if header["lun"] != self.lun:
            raise TargetFault("11.8.5", f"the R2T names LUN {header['lun']:#x}, the command {self.lun:#x}")
        if not 0 < length <= self._keys.max_burst_length:
            raise TargetFault(
                "11.8.4", f"an R2T asks for {length} bytes; MaxBurstLength is {self._keys.max_burst_length}"
            )
        if offset + length > len(self._write):
            raise TargetFault("11.8.4", f"an R2T asks for bytes {offset} to {offset + length} of {len(self._write)}")
        again = self._keys.error_recovery_level and offset + length <= self._solicited  # a recovery R2T
        if self._keys.data_sequence_in_order and offset != self._solicited and not again:
            raise TargetFault("13.19", f"an R2T asks for offset {offset} where {self._solicited} comes next")
        self._r2t_sn += 1
        self._solicited += 0 if again else length
        return self._sequence(self.lun, header["target_transfer_tag"], offset, length)

    def acknowledge(self) -> None:
        """All Data-In so far is acknowledged, and will not come again."""
        self._acknowledged = self._data_sn, self._received, len(self._ranges)

    def restart(self, snack_tag: int) -> int:
        """Forget all Data-In that is not acknowledged: it comes again, cut anew. The DataSN it begins with."""
        self.snack_tag = snack_tag
        self._data_sn, self._received, ranges = self._acknowledged
        del self._ranges[ranges:]
        self._burst = self._received % self._keys.max_burst_length
        return self._data_sn

    def data_in(self, pdu: Pdu) -> Response | None:
        """Take one Data-In; the Response if it carries the status. Raises TargetFault (section 11.7)."""
        header, flags = pdu.header, pdu.header["flags"]
        if not self._reads:
            raise TargetFault("11.7", f"Data-In came for a command that reads nothing ({pdu})")
        if header["data_sn"] != self._data_sn:
            raise TargetFault("11.7.5", f"DataSN is {header['data_sn']} where {self._data_sn} was due")
        if flags & ACKNOWLEDGE and not self._keys.error_recovery_level:
            raise TargetFault("11.7.2", "the A bit is set, but ErrorRecoveryLevel is 0")
        self._data_sn += 1
        self._place(header["buffer_offset"], pdu.data)
        self._burst += len(pdu.data)
        if self._burst > self._keys.max_burst_length:
            raise TargetFault(
                "13.13",
                f"a Data-In sequence of {self._burst} bytes; MaxBurstLength is {self._keys.max_burst_length}",
            )
        if flags & FINAL:
            self._burst = 0
        if not flags & HAS_STATUS:
            if flags & (OVERFLOW | UNDERFLOW):
                raise TargetFault("11.7.3", f"residual flags {flags:#04x} without the S bit")
            return None
        if self.snack_tag:
            raise TargetFault("11.16.3", "Data-In carries the status, which a SCSI Response with the SNACK Tag must")
        if not flags & FINAL:
            raise TargetFault("11.7.3", "the S bit is set without the F bit")
        if header["status"] not in _STATUS_WITH_DATA:
            raise TargetFault("11.7.3", f"Data-In carries status {header['status']:#04x}, which needs a SCSI Response")
        return self._finish(Response(header["status"], residual=self._residual(pdu, 0)))

    def _place(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > self.expected:
            raise TargetFault("11.7.6", f"Data-In brings bytes {offset} to {end}; {self.expected} were expected")
        if self._in_order and offset != self._received:
            raise TargetFault("13.18", f"Data-In has Buffer Offset {offset} where {self._received} comes next")
        if any(offset < other_end and start < end for start, other_end in self._ranges):
            raise TargetFault("11.7.6", f"Data-In brings bytes {offset} to {end} a second time")
        if not self._in_order:
            self._ranges.append((offset, end))
        self._read[offset:end] = data
        self._received += len(data)

    def response(self, pdu: Pdu) -> Response:
        """The end of the command by SCSI Response. Raises TargetFault (section 11.4)."""
        header, data = pdu.header, pdu.data
        service = header["response"]
        if service and header["flags"] & (OVERFLOW | UNDERFLOW):
            raise TargetFault("11.4.1", "residual flags are set, but the command did not complete at the target")
        if header["snack_tag"] != self.snack_tag:
            raise TargetFault("11.4.4", f"SNACK Tag {header['snack_tag']:#x} where {self.snack_tag:#x} was asked for")
        if self._burst:
            raise TargetFault("11.7.1", f"a Data-In sequence ended after {self._burst} bytes without the F bit")
        sent = (0,) if service else (self._data_sn,) if self._reads else (0, self._r2t_sn)
        if header["exp_data_sn"] not in sent:
            raise TargetFault("11.4.8", f"ExpDataSN is {header['exp_data_sn']}; {sent[-1]} PDUs were sent")
        if header["bidirectional_residual_count"]:
            raise TargetFault("11.4.6", "a bidirectional residual count for a command of one direction")
        sense = sense_of(data)
        if service == 0 and header["status"] == Status.CHECK_CONDITION and not sense:
            raise TargetFault("11.4.7", "CHECK CONDITION came without sense data")
        return self._finish(Response(header["status"], sense, b"", self._residual(pdu, service), service))

    def _residual(self, pdu: Pdu, service: int) -> int:
        """The signed residual count (section 11.4.5), checked against the bytes that really moved."""
        flags, count = int(pdu.header["flags"]), int(pdu.header["residual_count"])
        under, over = bool(flags & UNDERFLOW), bool(flags & OVERFLOW)
        if under and over:
            raise TargetFault("11.4.1", "residual overflow and underflow are both set")
        if (under or over) != bool(count):
            raise TargetFault("11.4.5", f"the residual count is {count} with flags {flags:#04x}")
        if under and count > self.expected:
            raise TargetFault("11.4.5", f"a residual of {count} bytes out of {self.expected}")
        due = self.expected - (count if under else 0)
        if self._reads and not service and self._received != due:
            raise TargetFault(
                "11.4.5", f"{self._received} bytes came; the residual count says {due} of {self.expected}"
            )
        return -count if over else count

    def _finish(self, response: Response) -> Response:
        if self._write and response.good and not response.residual and self._solicited < len(self._write):
            raise TargetFault(
                "11.8", f"GOOD status, but only {self._solicited} of {len(self._write)} bytes were asked for"
            )
        if not self._reads:
            return response
        end = self._received if self._in_order else max((end for _, end in self._ranges), default=0)
        data = bytes(self._read[:end])
        return Response(response.status, response.sense, data, response.residual, response.response)


def sense_of(data: bytes) -> bytes:
    """Sense data of a SCSI Response's data segment (section 11.4.7.1). Raises TargetFault if it is cut."""
    if not data:
        return b""
    length = int.from_bytes(data[:2], "big")
    if len(data) < 2 + length:
        raise TargetFault("11.4.7.1", f"SenseLength is {length}, but {len(data) - 2} bytes follow it")
    return data[2 : 2 + length]
