"""Mode pages, MODE SENSE and MODE SELECT (SPC-4 sections 6.9 to 6.12, 7.5; SBC-3 section 6.5).

A page is one row: its default bytes, and the bits an initiator may change. Saving is not supported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.attention import MODE_PARAMETERS_CHANGED
from ietpy.scsi.command import BLOCKS, Blocks
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter, list_length_error
from ietpy.scsi.status import SenseKey
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

#: PAGE CONTROL of MODE SENSE.
_CHANGEABLE: Final = 1
_DEFAULT: Final = 2
_SAVED: Final = 3

_ALL_PAGES: Final = 0x3F
_ALL_SUBPAGES: Final = 0xFF

#: The DEVICE-SPECIFIC PARAMETER of direct access devices (SBC-3 section 6.5.1).
_WP: Final = 0x80
_DPOFUA: Final = 0x10


@dataclass(frozen=True, slots=True)
class Header:
    """Mode parameter header (SPC-4 section 7.5.4) and where the CDB says what.

    ``width`` is the number of bytes of its length fields.
    """

    size: int
    width: int


SHORT: Final = Header(4, 1)
LONG: Final = Header(8, 2)

_LONGLBA: Final = 0x01  #: byte 4 of the long header
_LLBAA: Final = 0x10  #: byte 1 of MODE SENSE(10)
_DBD: Final = 0x08

#: SBC-3 sections 6.5.2.2 and 6.5.2.3.
SHORT_DESCRIPTOR: Final = Layout("short LBA mode parameter block descriptor", 8, (
    ("blocks", "I"), ("block_length", "I"),
))
LONG_DESCRIPTOR: Final = Layout("long LBA mode parameter block descriptor", 16, (
    ("blocks", "Q"), ("_reserved", "4x"), ("block_length", "I"),
))


@dataclass(frozen=True, slots=True)
class Bit:
    """A bit of a page an initiator may change: where it is, its value and default, how to set it."""

    byte: int
    mask: int
    current: Callable[[LogicalUnit], bool]
    default: Callable[[LogicalUnit], bool]
    change: Callable[[LogicalUnit, bool], None]


@dataclass(frozen=True, slots=True)
class ModePage:
    """``fixed``: the whole page with all changeable bits zero."""

    code: int
    name: str
    fixed: Callable[[LogicalUnit], bytes]
    bits: tuple[Bit, ...] = ()

    def values(self, lu: LogicalUnit, page_control: int) -> bytes:
        """Current, changeable or default values."""
        page = bytearray(self.fixed(lu))
        if page_control == _CHANGEABLE:
            page[2:] = bytes(len(page) - 2)
        for bit in self.bits:
            value = True
            if page_control != _CHANGEABLE:
                value = (bit.default if page_control == _DEFAULT else bit.current)(lu)
            page[bit.byte] |= bit.mask if value else 0
        return bytes(page)


def _constant(page: str) -> Callable[[LogicalUnit], bytes]:
    content = bytes.fromhex(page)
    return lambda lu: content


def _format_device(lu: LogicalUnit) -> bytes:
    """256 sectors per track; the sector size is the block size."""
    return bytes.fromhex("03 16 0000 0000 0000 0000 0100") + lu.block_size.to_bytes(2, "big") + bytes.fromhex(
        "0000 0000 0000 0C 000000"
    )


def _rigid_disk_geometry(lu: LogicalUnit) -> bytes:
    """64 heads of 256 sectors, as many cylinders as that takes."""
    cylinders = min(lu.blocks >> 14, 0xFFFFFF)
    return b"\x04\x16" + cylinders.to_bytes(3, "big") + b"\x40" + bytes(14) + b"\x3a\x98\0\0"


_WCE: Final = Bit(
    2, 0x04,
    current=lambda lu: not lu.write_through,
    default=lambda lu: lu.configured_write_cache,
    change=lambda lu, enabled: lu.set_write_cache(enabled),
)
_SWP: Final = Bit(
    4, 0x08,
    current=lambda lu: lu.software_write_protect,
    default=lambda lu: False,
    change=lambda lu, enabled: lu.set_software_write_protect(enabled),
)

#: In the order MODE SENSE returns them. Where IET had the page, the values are its own, but 0Ah says that
#: simple tasks may be reordered (QUEUE ALGORITHM MODIFIER 1), and no self-test time.
MODE_PAGES: Final[Mapping[int, ModePage]] = MappingProxyType({page.code: page for page in (
    ModePage(0x01, "Read-Write Error Recovery", _constant("01 0A" + "00" * 10)),
    ModePage(0x02, "Disconnect-Reconnect", _constant("02 0E 80 80 00 0A" + "00" * 10)),
    ModePage(0x03, "Format Device", _format_device),
    ModePage(0x04, "Rigid Disk Geometry", _rigid_disk_geometry),
    ModePage(0x08, "Caching", _constant("08 12 10 00 FFFF 0000 FFFF FFFF 80 14" + "00" * 6), (_WCE,)),
    ModePage(0x0A, "Control", _constant("0A 0A 02 10" + "00" * 8), (_SWP,)),
    ModePage(0x1C, "Informational Exceptions Control", _constant("1C 0A 08" + "00" * 9)),
)})


# MODE SENSE


def _descriptor(lu: LogicalUnit, long: bool) -> bytes:
    if long:
        return LONG_DESCRIPTOR.pack(blocks=lu.blocks, block_length=lu.block_size)
    return SHORT_DESCRIPTOR.pack(blocks=min(lu.blocks, 0xFFFF_FFFF), block_length=lu.block_size)


def _pages(lu: LogicalUnit, page_control: int, code: int, subpage: int) -> bytes:
    """Page 00h is vendor specific and empty, as it was with IET."""
    if subpage not in (0, _ALL_SUBPAGES):
        raise invalid_field(3)
    if code == _ALL_PAGES:
        return b"".join(page.values(lu, page_control) for page in MODE_PAGES.values())
    if code == 0:
        return b""
    if code not in MODE_PAGES:
        raise invalid_field(2, 5)
    return MODE_PAGES[code].values(lu, page_control)


def sense(lu: LogicalUnit, header: Header, cdb: bytes) -> bytes:
    """MODE SENSE parameter data in full."""
    page_control = cdb[2] >> 6
    if page_control == _SAVED:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.SAVING_PARAMETERS_NOT_SUPPORTED)
    long = header is LONG and bool(cdb[1] & _LLBAA)
    pages = _pages(lu, page_control, cdb[2] & 0x3F, cdb[3])
    descriptor = b"" if cdb[1] & _DBD else _descriptor(lu, long)
    specific = _DPOFUA | (_WP if lu.write_protected else 0)
    length = header.size - header.width + len(descriptor) + len(pages)
    middle = bytes((0, specific)) if header is SHORT else bytes((0, specific, _LONGLBA if long else 0, 0))
    head = length.to_bytes(header.width, "big") + middle + len(descriptor).to_bytes(header.width, "big")
    return head + descriptor + pages


# MODE SELECT


def _check_descriptor(lu: LogicalUnit, data: bytes, start: int, long: bool) -> None:
    """The block length is what it is; the number of blocks may be said right, or left open."""
    layout = LONG_DESCRIPTOR if long else SHORT_DESCRIPTOR
    values = layout.unpack(data, start)
    most = 0xFFFF_FFFF_FFFF_FFFF if long else 0xFFFF_FFFF
    if values["blocks"] not in (0, most, lu.blocks):
        raise invalid_parameter(start)
    if values["block_length"] & 0xFFFFFF != lu.block_size:
        raise invalid_parameter(start + layout.size - 3)


def _skip_head(lu: LogicalUnit, header: Header, data: bytes) -> int:
    """Where the pages begin, behind the header and the checked block descriptor."""
    if len(data) < header.size:
        raise list_length_error()
    length = int.from_bytes(data[header.size - header.width:header.size], "big")
    long = header is LONG and bool(data[4] & _LONGLBA)
    if len(data) < header.size + length:
        raise list_length_error()
    if length:
        if length != (LONG_DESCRIPTOR if long else SHORT_DESCRIPTOR).size:
            raise invalid_parameter(header.size - header.width)
        _check_descriptor(lu, data, header.size, long)
    return header.size + length


def _changes(lu: LogicalUnit, data: bytes, start: int) -> list[tuple[Bit, bool]]:
    """What the page at ``start`` changes. Everything but its changeable bits must be as it is."""
    page = MODE_PAGES.get(data[start] & 0x7F)  # PS is reserved in MODE SELECT; SPF makes it another page
    if page is None:
        raise invalid_parameter(start, 5)
    current = page.values(lu, 0)
    if data[start + 1] != len(current) - 2:
        raise invalid_parameter(start + 1)
    if len(data) < start + len(current):
        raise list_length_error()
    mask = page.values(lu, _CHANGEABLE)
    for place in range(2, len(current)):
        stray = (data[start + place] ^ current[place]) & ~mask[place]
        if stray:
            raise invalid_parameter(start + place, stray.bit_length() - 1)
    return [
        (bit, bool(data[start + bit.byte] & bit.mask))
        for bit in page.bits
        if (data[start + bit.byte] ^ current[bit.byte]) & bit.mask
    ]


def select(lu: LogicalUnit, header: Header, task: Task, length: int) -> Blocks | None:
    """Check the whole parameter list, then change what it changes and tell the other nexuses.

    PF must be set: vendor specific parameters do not exist here. A list of no bytes changes nothing.
    """
    if not length:
        return None
    if not task.cdb[1] & 0x10:
        raise invalid_field(1, 4)
    if not task.may_block:
        return BLOCKS
    data = b"".join(task.data)[:length]
    if len(data) < length:
        raise list_length_error()
    with lu.device.lock:
        changes = []
        start = _skip_head(lu, header, data)
        while start < len(data):
            if len(data) < start + 2:
                raise list_length_error()
            changes += _changes(lu, data, start)
            start += 2 + data[start + 1]
        cached = not lu.write_through
        for bit, value in changes:
            bit.change(lu, value)
        if changes:
            lu.tell_others(task.nexus, MODE_PARAMETERS_CHANGED)
    if cached and lu.write_through:
        lu.store.flush()
    return None
