"""Data-In that is sent straight from a file, and the status behind it (docs/decisions/0014).

Status never rides in it: the payload can still fail once its header has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ietpy.iscsi.errors import ServiceFailure
from ietpy.iscsi.pdu import DATA_IN, FINAL, NO_TAG, SCSI_RESPONSE, Opcode
from ietpy.scsi.status import Status
from ietpy.scsi.store import Extent
from ietpy.scsi.task import Task
from ietpy.wire.crc32c import crc32c

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection

_pack_data_in: Final = DATA_IN.codec.pack
_pack_response: Final = SCSI_RESPONSE.codec.pack
# Plain integers: an enum member costs a conversion in each pack.
_DATA_IN: Final = int(Opcode.DATA_IN)
_RESPONSE: Final = int(Opcode.SCSI_RESPONSE)
_CHECK_CONDITION: Final = int(Status.CHECK_CONDITION)


class StreamedStatus:
    """The SCSI Response behind streamed Data-In; what it says is known once the file gave what was promised or not.

    The extents before it carry it as ``context``; ``short`` is set by whoever could not send one whole. ``header`` is
    that of the good case.
    """

    __slots__ = ("_descriptor_sense", "_header_digest", "header", "short")

    def __init__(self, header_digest: bool, descriptor_sense: bool) -> None:
        self.header = b""
        self._header_digest = header_digest
        self._descriptor_sense = descriptor_sense
        self.short = False

    def pdu(self) -> bytes:
        """The response; its StatSN was taken when the data was queued, so the order of statuses holds."""
        if not self.short:
            return _digested(self.header, self._header_digest)
        sense = ServiceFailure.SHORT_EXTENT.sense(self._descriptor_sense)
        data = len(sense).to_bytes(2, "big") + sense
        header = self.header[:3] + bytes((_CHECK_CONDITION,)) + len(data).to_bytes(4, "big") + self.header[8:]
        return _digested(header, self._header_digest) + data


def _digested(header: bytes, header_digest: bool) -> bytes:
    return header + crc32c(header).to_bytes(4, "little") if header_digest else header


def stream(connection: Connection, task: Task, extent: Extent, length: int, flags: int, count: int) -> None:
    """Data-In from ``extent``, then a SCSI Response of its own."""
    session: Any = connection.session
    connection.pings.streamed[task.nexus] = task.cmd_sn, task.credit
    header_digest = connection.header_digest
    status = StreamedStatus(header_digest, task.nexus.lu.descriptor_sense)
    burst, limit = session.parameters.max_burst_length, connection.transmit_limit
    data_sn = offset = 0
    while offset < length:
        size = min(length - offset, limit, burst - offset % burst)
        end = offset + size
        header = _pack_data_in(
            _DATA_IN, FINAL if end == length or end % burst == 0 else 0, 0, size, 0, task.tag, NO_TAG, 0,
            session.exp_cmd_sn, session.max_cmd_sn, data_sn, offset, 0,
        )
        connection.append(_digested(header, header_digest) if header_digest else header)
        piece = extent if size == len(extent) else Extent(extent.fd, extent.offset + offset, size)
        piece.context = status
        connection.append(piece)
        if size & 3:
            connection.append(bytes(-size & 3))
        offset = end
        data_sn += 1
    status.header = _pack_response(
        _RESPONSE, FINAL | flags, 0, task.status, 0, task.tag, 0, connection.next_stat_sn(), session.exp_cmd_sn,
        session.max_cmd_sn, data_sn, 0, count,
    )
    connection.append(status)
