"""Bytes to requests: header and data segments, digests, segments that arrive in pieces (RFC 7143 sections 7.8, 11.2).

The good path is one unpack per request. A long data segment that is cut by a receive call is not moved together
but handed on as several views, so payload is never copied.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from ietpy.errors import FormatError, HeaderDigestError
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pdu import BHS_SIZE, COMMAND_READ, COMMAND_WRITE, OPCODE_MASK, Opcode
from ietpy.wire.buffers import Chunk, ReceiveWindow
from ietpy.wire.crc32c import crc32c, digest

#: ``pdu.REQUEST`` without bytes 2 and 3 and ExpStatSN, which no full-feature handler uses at ErrorRecoveryLevel 0.
_unpack_request: Final = struct.Struct(">BB2xIQIII4x16s").unpack_from
_digest_at: Final = struct.Struct("<I").unpack_from

NOTHING: Final[tuple[memoryview, ...]] = ()

#: Opcode byte, flags, LUN, Initiator Task Tag, word 20, CmdSN, bytes 32 to 47 (with an extended CDB's rest behind
#: them), data, DataSegmentLength. The data is None when the request must be rejected; ``Framer.fault`` says why.
Request = tuple[int, int, int, int, int, int, bytes, Sequence[memoryview] | None, int]

_AHS_HEAD: Final = 3  #: AHSLength, which does not count itself and the next, and AHSType
_AHS_CODE: Final = 0x3F  #: of AHSType; its other bits are reserved (11.2.2.1)
_EXTENDED_CDB: Final = 1
_READ_LENGTH: Final = 2
#: The least AHSLength of each: a reserved byte, and a byte of the CDB, or a length (11.2.2.3, 11.2.2.4).
_AHS_SHORTEST: Final = {_EXTENDED_CDB: 2, _READ_LENGTH: 5}
_BOTH_WAYS: Final = COMMAND_READ | COMMAND_WRITE


class Framer:
    """Requests of the full feature phase out of a receive window."""

    __slots__ = (
        "_at", "_chunks", "_data", "_missing", "_segments", "cut", "data_digest", "fault", "header_digest", "limit",
        "window",
    )

    def __init__(self, window: ReceiveWindow, header_digest: bool, data_digest: bool, limit: int) -> None:
        self.window = window
        self.header_digest = header_digest
        self.data_digest = data_digest
        #: Longest data segment taken: the MaxRecvDataSegmentLength this side declared.
        self.limit = limit
        #: Why the request last handed out has no data, if its data is None.
        self.fault = RejectReason.DATA_DIGEST_ERROR
        self._at = 0
        #: A request whose data comes in pieces: its header (empty: there is none), additional header segments, the
        #: pieces, their pinned chunks, and what is missing.
        self.cut = b""
        self._segments = b""
        self._data: list[memoryview] = []
        self._chunks: list[Chunk] = []
        self._missing = 0

    def requests(self) -> Iterator[Request]:
        """Each complete request in the window, consumed as it is taken. Raises FormatError if one cannot be."""
        if self.cut:
            request = self._rest()
            if request is None:
                return
            yield request
            self._forget()
        window = self.window
        buffer, view, end = window.chunk.buffer, window.chunk.view, window.end
        position = window.start
        plain = not self.header_digest
        data_digest = self.data_digest
        while end - position >= BHS_SIZE:
            opcode, flags, lengths, lun, tag, word20, cmd_sn, tail = _unpack_request(buffer, position)
            if lengths == 0 and plain:
                self._at = position
                position += BHS_SIZE
                window.start = position
                yield opcode, flags, lun, tag, word20, cmd_sn, tail, NOTHING, 0
                continue
            length = lengths & 0xFFFFFF
            first = position + BHS_SIZE + (lengths >> 24 << 2) + (0 if plain else 4)
            last = first + length
            after = last + (-length & 3) + (4 if data_digest and length else 0)
            if end < after:
                window.need = after - position
                if window.need > window.move_limit and end >= first:
                    self._begin(position, first, length)
                return
            if length > self.limit or (
                not plain and crc32c(view[position : first - 4]) != _digest_at(buffer, first - 4)[0]
            ):
                self._check_header(position, first, length)
            self._at = position
            position = after
            window.start = position
            if data_digest and length and crc32c(view[first : after - 4]) != _digest_at(buffer, after - 4)[0]:
                self.fault = RejectReason.DATA_DIGEST_ERROR
                yield opcode, flags, lun, tag, word20, cmd_sn, tail, None, length
            elif lengths >> 24:
                cdb = self._extended(opcode, flags, tail, view[self._at + BHS_SIZE :][: lengths >> 24 << 2])
                data = None if cdb is None else (view[first:last],) if length else NOTHING
                yield opcode, flags, lun, tag, word20, cmd_sn, cdb or tail, data, length
            elif not length:
                yield opcode, flags, lun, tag, word20, cmd_sn, tail, NOTHING, 0
            else:
                yield opcode, flags, lun, tag, word20, cmd_sn, tail, (view[first:last],), length
        window.need = BHS_SIZE

    def header(self) -> bytes:
        """The basic header segment of the request last handed out, as a Reject must carry it."""
        return self.cut or bytes(self.window.chunk.view[self._at : self._at + BHS_SIZE])

    def retain(self) -> list[Chunk]:
        """Keep the data of the request last handed out; the chunks to ``window.unpin`` when done with it."""
        chunks = [*self._chunks, self.window.chunk]
        for chunk in chunks:
            chunk.pins += 1
        return chunks

    def _check_header(self, position: int, first: int, length: int) -> None:
        window = self.window
        if self.header_digest:
            digested = window.chunk.view[position : first - 4]
            if crc32c(digested) != _digest_at(window.chunk.buffer, first - 4)[0]:
                raise HeaderDigestError("a header digest does not fit its header")  # section 7.8: no answer is possible
        if length > self.limit:
            raise FormatError(f"a data segment of {length} bytes where {self.limit} were declared as the most")

    def _begin(self, position: int, first: int, length: int) -> None:
        """Start collecting a cut data segment in pieces; what came of it stays where it is."""
        window = self.window
        self._check_header(position, first, length)
        self.cut = bytes(window.chunk.view[position : position + BHS_SIZE])
        self._segments = bytes(window.chunk.view[position + BHS_SIZE :][: self.cut[4] << 2])
        self._missing = length
        window.start = first
        self._rest()

    def _rest(self) -> Request | None:
        """The request in pieces once its last byte came, else None with everything received put to use."""
        window = self.window
        opcode, flags, lengths, lun, tag, word20, cmd_sn, tail = _unpack_request(self.cut)
        length = lengths & 0xFFFFFF
        trailer = (-length & 3) + (4 if self.data_digest else 0)
        came = window.end - window.start
        if came < self._missing + trailer:
            if came >= self._missing or window.end == window.size:
                self._take_piece(min(came, self._missing))
            window.need = trailer if not self._missing else 0
            return None
        last = window.start + self._missing
        if self._missing:
            self._data.append(window.chunk.view[window.start : last])
        window.start = last + trailer
        if self.data_digest:
            padding = window.chunk.view[last : window.start - 4]
            if digest((*self._data, padding)) != _digest_at(window.chunk.buffer, window.start - 4)[0]:
                self.fault = RejectReason.DATA_DIGEST_ERROR
                return opcode, flags, lun, tag, word20, cmd_sn, tail, None, length
        cdb = self._extended(opcode, flags, tail, self._segments) if self._segments else tail
        data = None if cdb is None else self._data
        return opcode, flags, lun, tag, word20, cmd_sn, cdb or tail, data, length

    def _extended(self, opcode: int, flags: int, cdb: bytes, segments: bytes | memoryview) -> bytes | None:
        """A CDB with what additional header segments of a SCSI Command add to it (section 11.2.2); None: a fault.

        The length of a bidirectional read goes with R and W; it is not looked at, as no command here reads and writes.
        """
        added: bytes | memoryview = b""
        seen: set[int] = set()
        at = 0
        while at < len(segments):
            length, code = int.from_bytes(segments[at : at + 2], "big"), segments[at + 2] & _AHS_CODE
            end = at + _AHS_HEAD + length
            shortest = _AHS_SHORTEST.get(code)
            if opcode & OPCODE_MASK == Opcode.SCSI_COMMAND and shortest is None:
                self.fault = RejectReason.PROTOCOL_ERROR  # a reserved code (section 11)
                return None
            misplaced = code in seen or (code == _READ_LENGTH and flags & _BOTH_WAYS != _BOTH_WAYS)
            if shortest is None or length < shortest or end + -end % 4 > len(segments) or misplaced:
                self.fault = RejectReason.INVALID_PDU_FIELD
                return None
            if code == _EXTENDED_CDB:
                added = segments[at + _AHS_HEAD + 1 : end]
            seen.add(code)
            at = end + -end % 4
        if opcode & OPCODE_MASK != Opcode.SCSI_COMMAND:
            self.fault = RejectReason.INVALID_PDU_FIELD
            return None
        return cdb + added

    def _take_piece(self, size: int) -> None:
        """Set ``size`` received bytes aside as a piece of the data; the rest goes to a fresh chunk if this is full."""
        window = self.window
        if size:
            self._data.append(window.chunk.view[window.start : window.start + size])
            self._chunks.append(window.pin())
            window.start += size
            self._missing -= size
        if window.start == window.size:
            window.fresh()

    def _forget(self) -> None:
        for chunk in self._chunks:
            self.window.unpin(chunk)
        self.cut, self._segments, self._data, self._chunks, self._missing = b"", b"", [], [], 0
