"""What a connection has to send: one slab with headers and small payload, and other pieces, in order.

Memory is lent, never copied: a piece stays as it is until ``sent``. Headers, digests and padding (RFC 7143 sections
11.2.3 and 11.2.4) are packed into the slab while there is room, so what lies side by side leaves as one buffer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ietpy.iscsi.pdu import BHS_SIZE
from ietpy.iscsi.streaming import StreamedStatus
from ietpy.scsi.store import Extent
from ietpy.wire.buffers import StagingPool, forget, pages
from ietpy.wire.crc32c import crc32c, digest

if TYPE_CHECKING:
    from ietpy.iscsi.retention import Retention

#: Outgoing headers and small payloads of one batch; what does not fit takes buffers of its own.
SLAB_SIZE: Final = 256 * 1024
DIGEST_SIZE: Final = 4
#: What goes into the slab for a PDU besides its data: header, digests, padding.
_AROUND_DATA: Final = BHS_SIZE + DIGEST_SIZE + 3 + DIGEST_SIZE
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length modulo 4
_pack_length: Final = struct.Struct(">I").pack_into
#: Digests go out least significant byte first (section 13.1).
pack_digest: Final = struct.Struct("<I").pack_into

Piece = bytes | memoryview | Extent | StreamedStatus


class Outbox:
    """The sending half of a connection; see there for who may call it. ``slab[mark:used]`` is not queued yet."""

    def __init__(self) -> None:
        self.pool = StagingPool()
        self.stage = self.pool.take
        self.header_digest = False
        self.data_digest = False
        #: The initiator's MaxRecvDataSegmentLength, and how much data may lie in the slab.
        self.transmit_limit = 0
        self.inline_limit = 0
        self.slab = pages(SLAB_SIZE)
        self.slab_view = memoryview(self.slab)
        self.used = 0
        self.mark = 0
        self.header_size = BHS_SIZE
        #: Headers may be packed into the slab as they are: no digest is to be added, and no copy to be kept.
        self.plain = True
        #: What may have to be sent again; None at ErrorRecoveryLevel 0.
        self.retention: Retention | None = None
        #: The part of the slab lent by ``sink``, behind room for a header.
        self.reserved: memoryview | None = None
        self.take = self.sink  # bound once; every task carries it
        self.outbox: list[Piece] = []
        self.staged: list[memoryview] = []
        self.staged_size = 0

    def sink(self, length: int) -> memoryview:
        """Memory for Data-In of a task executed in the connection's own thread, behind its header if it fits."""
        first = self.used + self.header_size
        if length <= self.inline_limit and first + length + 8 <= SLAB_SIZE:
            self.reserved = view = self.slab_view[first : first + length]
            return view
        return self.stage(length)

    def skip_reserved(self) -> None:
        """Keep what ``sink`` lent out of the slab's next use until it is sent; its header will be sent apart."""
        if self.reserved is not None:
            if self.used != self.mark:
                self.outbox.append(self.slab_view[self.mark : self.used])
            self.used = self.mark = self.used + self.header_size + len(self.reserved)
            self.reserved = None

    def append(self, piece: Piece) -> None:
        """Put a piece into the outbox behind everything put there before."""
        used = self.used
        if used != self.mark:
            self.outbox.append(self.slab_view[self.mark : used])
            self.mark = used
        self.outbox.append(piece)

    def send(self, header: bytes, data: bytes | memoryview = b"") -> None:
        """Queue a PDU: its header with DataSegmentLength filled in here, digests and padding as negotiated."""
        size = len(data)
        if self.retention is not None:
            self.retention.note(header, data)
        slab, used = self.slab, self.used
        end = used + BHS_SIZE
        if used + _AROUND_DATA > SLAB_SIZE:
            self._send_apart(header, data)
            return
        slab[used:end] = header
        if size:
            _pack_length(slab, used + 4, size)
        if self.header_digest:
            pack_digest(slab, end, crc32c(self.slab_view[used:end]))
            end += DIGEST_SIZE
        if not size:
            self.used = end
            return
        self.outbox += self.slab_view[self.mark : end], data
        self.mark = end
        padding = _PADDING[size & 3]
        if padding:
            slab[end : end + len(padding)] = padding
            end += len(padding)
        if self.data_digest:
            pack_digest(slab, end, digest((data, padding)))
            end += DIGEST_SIZE
        self.used = end

    def _send_apart(self, header: bytes, data: bytes | memoryview) -> None:
        """As ``send``, with nothing in the slab, which is full."""
        size = len(data)
        if size:
            header = header[:4] + size.to_bytes(4, "big") + header[8:]
        self.append(header + crc32c(header).to_bytes(4, "little") if self.header_digest else header)
        if size:
            self.append(data)
            padding = _PADDING[size & 3]
            if self.data_digest:
                self.append(padding + digest((data, padding)).to_bytes(4, "little"))
            elif padding:
                self.append(padding)

    def sent(self) -> None:
        """Everything taken has left: the memory it lay in may be used again."""
        self.used = self.mark = 0
        self.reserved = None
        if self.staged:
            for view in self.staged:
                self.pool.give(view)
            self.staged.clear()
            self.staged_size = 0

    def let_go(self) -> None:
        """Give back the memory of answers, unless some are on their way."""
        self.pool.let_go()
        if not self.used:
            forget(self.slab)
