"""The parameter list of EXTENDED COPY (SPC-4 sections 6.4.3 to 6.4.6), and what VPD page 8Fh says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.sense import CheckCondition, invalid_parameter, list_length_error
from ietpy.scsi.status import SenseKey
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.device_server import DeviceServer

#: Limits of one parameter list, told by RECEIVE COPY OPERATING PARAMETERS and VPD page 8Fh.
MAXIMUM_CSCDS: Final = 16
MAXIMUM_SEGMENTS: Final = 64
MAXIMUM_LIST: Final = 2304  #: bytes of all descriptors together

#: EXTENDED COPY (LID1) parameter list header (section 6.4.3.1).
HEADER: Final = Layout("EXTENDED COPY parameter list header", 16, (
    ("list_identifier", "B"), ("usage", "B"), ("cscd_length", "H"), ("_reserved", "4x"), ("segment_length", "I"),
    ("inline_length", "I"),
))
#: Identification Descriptor CSCD descriptor (section 6.4.5.3).
CSCD: Final = Layout("identification descriptor CSCD descriptor", 32, (
    ("type", "B"), ("peripheral", "B"), ("relative_initiator_port", "H"), ("code_set", "B"), ("designator_type", "B"),
    ("_reserved", "x"), ("designator_length", "B"), ("designator", "20s"), ("disk_block_length", "I"),
))
#: Block device to block device copy (section 6.4.6.3).
SEGMENT: Final = Layout("block device to block device segment descriptor", 28, (
    ("type", "B"), ("flags", "B"), ("length", "H"), ("source", "H"), ("destination", "H"), ("_reserved", "2x"),
    ("blocks", "H"), ("source_lba", "Q"), ("destination_lba", "Q"),
))
IDENTIFICATION_CSCD: Final = 0xE4
BLOCK_TO_BLOCK: Final = 0x02
#: Ascending, as they are reported.
DESCRIPTOR_TYPES: Final = (BLOCK_TO_BLOCK, IDENTIFICATION_CSCD)
LIST_MOST: Final = HEADER.size + MAXIMUM_LIST
#: As many copies as one initiator has list identifiers.
CONCURRENT: Final = 255
BLOCK_GRANULARITY: Final = 9  #: log2 of the smallest block

_LONGEST_DESIGNATOR: Final = 20
_DC: Final = 0x02  #: the blocks counted are the destination's
_NUL: Final = 0x20  #: the bits left of it, LU ID TYPE, are obsolete
_DEVICE_TYPE: Final = 0x1F
_BLOCK_LENGTH: Final = 0xFFFFFF  #: DISK BLOCK LENGTH; the byte before it is flags
#: LIST ID USAGE (section 6.4.3.2): whether a result is kept under the LIST IDENTIFIER.
_KEPT: Final[Mapping[int, bool]] = MappingProxyType({0: True, 2: True, 3: False})


def aborted(asc: Asc, place: int, residual: int | None = None) -> CheckCondition:
    """COPY ABORTED, pointing into the parameter list. ``residual``: destination blocks not copied, if some were."""
    return CheckCondition(
        SenseKey.COPY_ABORTED, asc, field=(place, None), in_cdb=False, information=residual
    )


@dataclass(frozen=True, slots=True)
class Cscd:
    """A copy source or copy destination; ``designator`` has 20 bytes at most, ``length`` is that of the whole."""

    code_set: int
    kind: int
    designator: bytes
    length: int
    block_length: int
    device_type: int
    null: bool

    def names(self, code_set: int, kind: int, value: bytes) -> bool:
        """Whether this is the logical unit with that designator.

        One of more than 20 bytes (IET's: T10 vendor identification and a hash) does not fit the descriptor and is named
        by its first 20.
        """
        return (self.code_set, self.kind, self.length) == (code_set, kind, len(value)) and (
            self.designator == value[:_LONGEST_DESIGNATOR]
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """``source`` and ``destination`` are indices of CSCDs; ``counts_destination``: ``blocks`` are of its size."""

    source: int
    destination: int
    blocks: int
    source_lba: int
    destination_lba: int
    counts_destination: bool


@dataclass(frozen=True, slots=True)
class CopyList:
    """``identifier`` is None where no result shall be kept."""

    identifier: int | None
    cscds: Sequence[Cscd]
    segments: Sequence[Segment]

    def cscd_place(self, index: int) -> int:
        """Where a CSCD descriptor begins in the parameter list."""
        return HEADER.size + CSCD.size * index

    def segment_place(self, index: int) -> int:
        """Where a segment descriptor begins in the parameter list."""
        return self.cscd_place(len(self.cscds)) + SEGMENT.size * index


def parse(data: bytes) -> CopyList:
    """The whole list, checked before anything is copied. Raises CheckCondition."""
    if len(data) < HEADER.size:
        raise list_length_error()
    header = HEADER.unpack(data)
    usage = header["usage"] >> 3 & 3
    if usage not in _KEPT:
        raise invalid_parameter(1, 4)
    if not _KEPT[usage] and header["list_identifier"]:
        raise invalid_parameter(0)
    if header["inline_length"]:
        raise invalid_parameter(12)
    described = header["cscd_length"] + header["segment_length"]
    if described > MAXIMUM_LIST or HEADER.size + described > len(data):
        raise list_length_error()
    middle = HEADER.size + header["cscd_length"]
    return CopyList(
        header["list_identifier"] if _KEPT[usage] else None,
        _cscds(data, middle),
        _segments(data, middle, HEADER.size + described),
    )


def _cscds(data: bytes, end: int) -> list[Cscd]:
    places = range(HEADER.size, end, CSCD.size)
    if len(places) > MAXIMUM_CSCDS:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.TOO_MANY_TARGET_DESCRIPTORS)
    return [_cscd(data, place, end) for place in places]


def _cscd(data: bytes, place: int, end: int) -> Cscd:
    if data[place] != IDENTIFICATION_CSCD:
        raise CheckCondition(
            SenseKey.ILLEGAL_REQUEST, Asc.UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE, field=(place, None), in_cdb=False
        )
    if place + CSCD.size > end:
        raise list_length_error()
    fields = CSCD.unpack(data, place)
    if fields["designator_type"] & 0x30:  # of a port or of a device: no logical unit
        raise invalid_parameter(place + 5, 5)
    length = fields["designator_length"]
    return Cscd(
        fields["code_set"] & 0x0F, fields["designator_type"] & 0x0F, fields["designator"][:length], length,
        fields["disk_block_length"] & _BLOCK_LENGTH, fields["peripheral"] & _DEVICE_TYPE,
        bool(fields["peripheral"] & _NUL),
    )


def _segments(data: bytes, place: int, end: int) -> list[Segment]:
    found: list[Segment] = []
    while place < end:
        if len(found) == MAXIMUM_SEGMENTS:
            raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.TOO_MANY_SEGMENT_DESCRIPTORS)
        if data[place] != BLOCK_TO_BLOCK:
            raise CheckCondition(
                SenseKey.ILLEGAL_REQUEST, Asc.UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE, field=(place, None),
                in_cdb=False,
            )
        if place + SEGMENT.size > end:
            raise list_length_error()
        fields = SEGMENT.unpack(data, place)
        if fields["length"] != SEGMENT.size - 4:
            raise invalid_parameter(place + 2)
        found.append(Segment(
            fields["source"], fields["destination"], fields["blocks"], fields["source_lba"],
            fields["destination_lba"], bool(fields["flags"] & _DC),
        ))
        place += SEGMENT.size
    return found


# VPD page 8Fh (section 7.8.17)

#: Parameter Data third-party copy descriptor after its header (section 7.8.17.5).
_PARAMETER_DATA: Final = Layout("Parameter Data third-party copy descriptor", 28, (
    ("_reserved", "4x"), ("maximum_cscds", "H"), ("maximum_segments", "H"), ("maximum_list", "I"),
    ("maximum_inline", "I"), ("_reserved", "12x"),
))
#: General Copy Operations third-party copy descriptor after its header (section 7.8.17.10).
_GENERAL: Final = Layout("General Copy Operations third-party copy descriptor", 32, (
    ("total_concurrent", "I"), ("maximum_concurrent", "I"), ("maximum_segment_length", "I"),
    ("data_granularity", "B"), ("inline_granularity", "B"), ("_reserved", "18x"),
))
_OPERATION_CODES: Final = (0x83, 0x84)


def _descriptor(kind: int, content: bytes) -> bytes:
    content += bytes(-len(content) % 4)
    return kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content


def third_party_copy_page(lu: DeviceServer) -> bytes:
    """Content of the Third-party Copy VPD page: the five descriptors that are mandatory."""
    commands = b""
    for opcode in _OPERATION_CODES:
        actions = bytes(row.service_action or 0 for row in lu.rows if row.opcode == opcode)
        commands += bytes((opcode, len(actions))) + actions
    types = bytes(DESCRIPTOR_TYPES)
    return b"".join((
        _descriptor(0x0001, bytes((len(commands),)) + commands),
        _descriptor(0x0004, _PARAMETER_DATA.pack(
            maximum_cscds=MAXIMUM_CSCDS, maximum_segments=MAXIMUM_SEGMENTS, maximum_list=MAXIMUM_LIST,
        )),
        _descriptor(0x0008, bytes((len(types),)) + types),
        _descriptor(0x000C, bytes(2)),  # no well known CSCD descriptor IDs
        _descriptor(0x8001, _GENERAL.pack(
            total_concurrent=CONCURRENT, maximum_concurrent=CONCURRENT, data_granularity=BLOCK_GRANULARITY,
        )),
    ))
