"""PDUs to bytes and bytes to PDUs (RFC 7143 sections 11.2 and 13.1), with every field open to the caller.

Sending takes anything, since adversarial tests need the wrong bytes too; receiving judges only what makes a frame a
frame: lengths and digests. What the fields may say is ``numbering``'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ietpy.initiator.errors import TargetFault
from ietpy.iscsi.pdu import BHS_SIZE, IMMEDIATE, LAYOUTS, OPCODE_MASK, REQUEST, Opcode
from ietpy.wire.crc32c import digest
from ietpy.wire.layout import Layout

_DIGEST_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class Pdu:
    """One received PDU. ``opcode`` without the I bit; ``header`` by the field names of its layout in ``pdu.LAYOUTS``
    (of ``REQUEST`` for an opcode nobody knows); ``data`` without padding; ``raw`` the 48 bytes as they came."""

    opcode: int
    header: Mapping[str, Any]
    data: bytes
    raw: bytes
    ahs: bytes = b""

    def __str__(self) -> str:
        return f"{layout_of(self.opcode).dump(self.raw)}, {len(self.data)} bytes of data"


def layout_of(opcode: int) -> Layout:
    """The header layout of ``opcode``; ``REQUEST`` for one nobody knows."""
    return LAYOUTS[Opcode(opcode)] if opcode in LAYOUTS else REQUEST


def padding(length: int) -> int:
    """Bytes that bring ``length`` to the next multiple of four (RFC 7143 section 11.1)."""
    return -length % 4


def build_pdu(
    opcode: int,
    data: bytes = b"",
    *,
    header_digest: bool = False,
    data_digest: bool = False,
    immediate: bool = False,
    ahs: bytes = b"",
    spoil_header: bool = False,
    spoil_data: bool = False,
    **fields: Any,
) -> bytes:
    """A whole PDU: header, AHS, digests, data and padding.

    ``fields`` go into the opcode's layout and win over what would be computed: ``opcode_byte`` for byte 0, ``lengths``
    for TotalAHSLength and DataSegmentLength. ``spoil_header`` and ``spoil_data`` flip a bit of the digest. Raises
    KeyError for a field the opcode's header does not have.
    """
    layout = layout_of(opcode)
    first = fields.pop("opcode_byte", opcode | (IMMEDIATE if immediate else 0))
    ahs += bytes(padding(len(ahs)))
    fields.setdefault("lengths", (len(ahs) // 4) << 24 | len(data))
    header = layout.pack(opcode=first, **fields) + ahs
    pieces = [header]
    if header_digest:
        pieces.append((digest([header]) ^ spoil_header).to_bytes(_DIGEST_SIZE, "little"))
    if data:
        padded = data + bytes(padding(len(data)))
        pieces.append(padded)
        if data_digest:
            pieces.append((digest([padded]) ^ spoil_data).to_bytes(_DIGEST_SIZE, "little"))
    return b"".join(pieces)


class Framer:
    """Cuts a byte stream into PDUs.

    ``header_digest`` and ``data_digest`` may be switched between two calls of ``next_pdu``: they hold from the next
    PDU on. ``longest`` is the largest data segment this side declared it can take.
    """

    def __init__(self, longest: int) -> None:
        self.header_digest = False
        self.data_digest = False
        self.longest = longest
        #: Whether PDUs with a wrong data digest are discarded, as ErrorRecoveryLevel 1 allows, and how many were.
        self.forgiving = False
        self.discarded = 0
        self._window = bytearray()

    def feed(self, data: bytes) -> None:
        """Append what the network brought."""
        self._window += data

    @property
    def pending(self) -> int:
        """Bytes that do not make a PDU yet."""
        return len(self._window)

    def next_pdu(self) -> Pdu | None:
        """The next whole PDU, or None until more bytes come. Raises TargetFault for lengths and digests."""
        if len(self._window) < BHS_SIZE:
            return None
        ahs_length, data_length = self._window[4] * 4, int.from_bytes(self._window[5:8], "big")
        if data_length > self.longest:
            raise TargetFault(
                "13.12",
                f"a data segment of {data_length} bytes came; MaxRecvDataSegmentLength is {self.longest}",
            )
        header_end = BHS_SIZE + ahs_length
        data_start = header_end + (_DIGEST_SIZE if self.header_digest else 0)
        data_end = data_start + data_length + padding(data_length)
        end = data_end + (_DIGEST_SIZE if self.data_digest and data_length else 0)
        if len(self._window) < end:
            return None
        frame = bytes(self._window[:end])
        del self._window[:end]
        self._check_digest("header", frame[:header_end], frame[header_end:data_start])
        try:
            self._check_digest("data", frame[data_start:data_end], frame[data_end:end])
        except TargetFault:
            if not self.forgiving:
                raise
            self.discarded += 1
            return self.next_pdu()
        if any(frame[data_start + data_length : data_end]):
            raise TargetFault("11.1", "padding bytes are not zero; they should be, or they leak memory")
        raw = frame[:BHS_SIZE]
        opcode = raw[0] & OPCODE_MASK
        data = frame[data_start : data_start + data_length]
        return Pdu(opcode, layout_of(opcode).unpack(raw), data, raw, frame[BHS_SIZE:header_end])

    @staticmethod
    def _check_digest(what: str, covered: bytes, came: bytes) -> None:
        if came and int.from_bytes(came, "little") != digest([covered]):
            raise TargetFault(
                "13.1", f"the {what} digest is {came.hex()}, which is not the CRC32C of {len(covered)} bytes"
            )


def extended_cdb(cdb: bytes) -> bytes:
    """The Extended CDB additional header segment (section 11.2.2.3), empty for CDBs of up to 16 bytes."""
    if len(cdb) <= 16:
        return b""
    rest = cdb[16:]
    return (len(rest) + 1).to_bytes(2, "big") + b"\x01\x00" + rest
