"""MODE SENSE and MODE SELECT (SPC-4 sections 6.11 to 6.14); the pages are rows of ``mode``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.attention import MODE_PARAMETERS_CHANGED
from ietpy.scsi.cache import write_back
from ietpy.scsi.cdb import field
from ietpy.scsi.command import BLOCKS, Access, Blocks, CommandSet, Result
from ietpy.scsi.mode import CHANGEABLE, CURRENT, MODE_PAGES, PAGE_CODE, SAVED, SPF, Field, ModePage, save
from ietpy.scsi.nexus import PROTECTED
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter, list_length_error
from ietpy.scsi.status import SenseKey
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.state import UnitState
    from ietpy.scsi.task import Task

MODE: Final = CommandSet("SPC-4 mode parameters")

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


_SHORT: Final = Header(4, 1)
_LONG: Final = Header(8, 2)

_LONGLBA: Final = 0x01  #: byte 4 of the long header
_LLBAA: Final = 0x10  #: byte 1 of MODE SENSE(10)
_DBD: Final = 0x08
_PF: Final = 0x10  #: byte 1 of MODE SELECT
_SP: Final = 0x01

#: SBC-3 sections 6.5.2.2 and 6.5.2.3.
SHORT_DESCRIPTOR: Final = Layout("short LBA mode parameter block descriptor", 8, (
    ("blocks", "I"), ("block_length", "I"),
))
LONG_DESCRIPTOR: Final = Layout("long LBA mode parameter block descriptor", 16, (
    ("blocks", "Q"), ("_reserved", "4x"), ("block_length", "I"),
))


# MODE SENSE


def _descriptor(lu: LogicalUnit, long: bool) -> bytes:
    if long:
        return LONG_DESCRIPTOR.pack(blocks=lu.blocks, block_length=lu.block_size)
    return SHORT_DESCRIPTOR.pack(blocks=min(lu.blocks, 0xFFFF_FFFF), block_length=lu.block_size)


def _pages(code: int, subpage: int) -> list[ModePage]:
    """What PAGE CODE and SUBPAGE CODE ask for (SPC-4 table 198).

    Page 00h is vendor specific and empty, as it was with IET.
    """
    if code == _ALL_PAGES and subpage not in (0, _ALL_SUBPAGES):
        raise invalid_field(3)
    pages = [
        page for page in MODE_PAGES.values()
        if code in (_ALL_PAGES, page.code) and subpage in (_ALL_SUBPAGES, page.subpage)
    ]
    if not pages and (code or subpage not in (0, _ALL_SUBPAGES)):
        raise invalid_field(3) if not code or (code, 0) in MODE_PAGES else invalid_field(2, 5)
    return pages


def _sense(lu: LogicalUnit, header: Header, task: Task) -> bytes:
    """MODE SENSE parameter data in full. WP is also for whom may only read (``Nexus.view``)."""
    cdb = task.cdb
    page_control = cdb[2] >> 6
    if page_control == SAVED and lu.state is None:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.SAVING_PARAMETERS_NOT_SUPPORTED)
    long = header is _LONG and bool(cdb[1] & _LLBAA)
    pages = b"".join(page.values(lu, page_control) for page in _pages(cdb[2] & PAGE_CODE, cdb[3]))
    descriptor = b"" if cdb[1] & _DBD else _descriptor(lu, long)
    protected = lu.write_protected or task.nexus.barrier & PROTECTED
    specific = _DPOFUA | (_WP if protected else 0)
    length = header.size - header.width + len(descriptor) + len(pages)
    middle = bytes((0, specific)) if header is _SHORT else bytes((0, specific, _LONGLBA if long else 0, 0))
    head = length.to_bytes(header.width, "big") + middle + len(descriptor).to_bytes(header.width, "big")
    return head + descriptor + pages


@MODE.command(
    0x1A, "MODE SENSE(6)", usage="1A 08 FF FF FF 00", access=Access.MANAGE, allocation=field(4, 1)
)
def mode_sense_6(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.13."""
    return _sense(lu, _SHORT, task)


@MODE.command(
    0x5A, "MODE SENSE(10)", usage="5A 18 FF FF 00 00 00 FF FF 00", access=Access.MANAGE,
    allocation=field(7, 2),
)
def mode_sense_10(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.14."""
    return _sense(lu, _LONG, task)


# MODE SELECT


def _check_descriptor(lu: LogicalUnit, data: bytes, start: int, long: bool) -> None:
    """The block length is what it is; a capacity that cannot change makes NUMBER OF LOGICAL BLOCKS ignored."""
    layout = LONG_DESCRIPTOR if long else SHORT_DESCRIPTOR
    values = layout.unpack(data, start)
    length, width = (values["block_length"], 4) if long else (values["block_length"] & 0xFFFFFF, 3)
    if length != lu.block_size:
        raise invalid_parameter(start + layout.size - width)


def _skip_head(lu: LogicalUnit, header: Header, data: bytes) -> int:
    """Where the pages begin, behind the header and the checked block descriptor."""
    if len(data) < header.size:
        raise list_length_error()
    length = int.from_bytes(data[header.size - header.width:header.size], "big")
    long = header is _LONG and bool(data[4] & _LONGLBA)
    if data[header.width]:  # MEDIUM TYPE
        raise invalid_parameter(header.width)
    if len(data) < header.size + length:
        raise list_length_error()
    if length:
        if length != (LONG_DESCRIPTOR if long else SHORT_DESCRIPTOR).size:
            raise invalid_parameter(header.size - header.width)
        _check_descriptor(lu, data, header.size, long)
    return header.size + length


def _page_at(data: bytes, start: int) -> ModePage:
    """The page whose header is at ``start``; PS is reserved in MODE SELECT, and ignored."""
    if len(data) < start + 2:
        raise list_length_error()
    subpage = data[start + 1] if data[start] & SPF else 0
    page = MODE_PAGES.get((data[start] & PAGE_CODE, subpage))
    if page is None or bool(page.subpage) != bool(data[start] & SPF):
        raise invalid_parameter(start, 5)
    return page


def _values_at(lu: LogicalUnit, page: ModePage, data: bytes, start: int) -> dict[Field, int]:
    """The fields of the page at ``start``. Everything else in it must be as it is."""
    current = page.values(lu, CURRENT)
    parameters = start + page.header
    if len(data) < parameters:
        raise list_length_error()
    length = int.from_bytes(data[start + page.header // 2:parameters], "big")
    if length != len(current) - page.header:
        raise invalid_parameter(start + page.header // 2)
    if len(data) < start + len(current):
        raise list_length_error()
    mask = page.values(lu, CHANGEABLE)
    for place in range(page.header, len(current)):
        stray = (data[start + place] ^ current[place]) & ~mask[place]
        if stray:
            raise invalid_parameter(start + place, stray.bit_length() - 1)
    values = {each: each.read(data, start) for each in page.fields}
    for each, value in values.items():
        if value not in each.accepted:
            raise invalid_parameter(start + each.byte, each.mask.bit_length() - 1)
    return values


def _wanted(lu: LogicalUnit, header: Header, data: bytes) -> dict[Field, int]:
    """What a parameter list asks for, all of it checked; of a page that comes twice the second holds."""
    wanted: dict[Field, int] = {}
    start = _skip_head(lu, header, data)
    while start < len(data):
        page = _page_at(data, start)
        wanted |= _values_at(lu, page, data, start)
        start += len(page.fixed(lu))
    return wanted


def _keep(lu: LogicalUnit, state: UnitState, wanted: dict[Field, int]) -> bool:
    """Save all parameters as they will be; whether that changes what was saved."""
    try:
        return save(lu, state, wanted)
    except StoreError:
        raise CheckCondition(SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE) from None


def _apply(lu: LogicalUnit, author: Nexus, wanted: dict[Field, int], saved: bool) -> bool:
    """Make parameters current and tell the other nexuses if that changes them, or they were saved.

    Whether the cache has to be flushed now: write caching is off, or the medium was write protected (SPC-4 section
    7.5.8, SBC-3 section 6.5.5), and there may be something in it: also if that was tried before, and has failed, or is
    just being tried. The caller holds the device's lock.
    """
    changes = {each: value for each, value in wanted.items() if value != each.current(lu)}
    for each, value in changes.items():
        each.change(lu, value)
    if changes or saved:
        lu.tell_others(author, MODE_PARAMETERS_CHANGED)
    protected = lu.software_write_protect and not lu.read_only
    return lu.cached is not None and (lu.write_through or protected)


def _select(lu: LogicalUnit, header: Header, task: Task, length: int) -> Blocks | None:
    """Check the whole parameter list, then change what it changes. A list of no bytes changes nothing, but saves."""
    _check_cdb(lu, task.cdb, length)
    state = lu.state if task.cdb[1] & _SP else None
    if not length and state is None:
        return None
    if not task.may_block:
        return BLOCKS
    data = task.parameter_list(length)
    with lu.device.keeping:
        wanted = _wanted(lu, header, data) if length else {}
        saved = state is not None and _keep(lu, state, wanted)
        with lu.device.lock:
            flush = _apply(lu, task.nexus, wanted, saved)
    if flush:
        with lu.exclusion.sole(0, lu.blocks << lu.shift):
            pass  # writes that were admitted under the old parameters are over
        write_back(lu)
    return None


def _check_cdb(lu: LogicalUnit, cdb: bytes, length: int) -> None:
    """PF must be set, as there are no vendor specific parameters; SP needs a place to save to."""
    if length and not cdb[1] & _PF:
        raise invalid_field(1, 4)
    if cdb[1] & _SP and lu.state is None:
        raise invalid_field(1, 0)


def _list_6(lu: LogicalUnit, cdb: bytes) -> int:
    return cdb[4]


def _list_10(lu: LogicalUnit, cdb: bytes) -> int:
    return cdb[7] << 8 | cdb[8]


def _early(list_length: Callable[[LogicalUnit, bytes], int]) -> Callable[[LogicalUnit, bytes], None]:
    def refuse(lu: LogicalUnit, cdb: bytes) -> None:
        _check_cdb(lu, cdb, list_length(lu, cdb))

    return refuse


@MODE.command(
    0x15, "MODE SELECT(6)", usage="15 11 00 00 FF 00", access=Access.MANAGE, data_out=_list_6, refuse=_early(_list_6)
)
def mode_select_6(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.11."""
    return _select(lu, _SHORT, task, _list_6(lu, task.cdb))


@MODE.command(
    0x55, "MODE SELECT(10)", usage="55 11 00 00 00 00 00 FF FF 00", access=Access.MANAGE, data_out=_list_10,
    refuse=_early(_list_10),
)
def mode_select_10(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.12."""
    return _select(lu, _LONG, task, _list_10(lu, task.cdb))
