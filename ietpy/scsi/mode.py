"""Mode pages (SPC-4 section 7.5, SBC-3 section 6.5): their bytes, what initiators may change, and what is kept.

A page is one row: its fixed bytes, and the fields that may change. All pages are shared by all I_T nexuses (VPD page
87h says so). What MODE SELECT saves is section ``mode`` of the unit's state: the values of all fields by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.scsi.attention import MODE_PARAMETERS_CHANGED
from ietpy.scsi.cache import write_back
from ietpy.scsi.sense import CheckCondition

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.state import UnitState

#: PAGE CONTROL of MODE SENSE (SPC-4 table 197).
CURRENT: Final = 0
CHANGEABLE: Final = 1
DEFAULT: Final = 2
SAVED: Final = 3

PAGE_CODE: Final = 0x3F  #: byte 0 of a page, as SPF and PS
SPF: Final = 0x40  #: the page has a SUBPAGE CODE
_PS: Final = 0x80  #: the page can be saved

_SECTION: Final = "mode"


@dataclass(frozen=True, slots=True)
class Field:
    """What an initiator may change: where it is (``mask`` in ``byte``), how to read and set it.

    Values are right-aligned. ``name`` is the standard's, once in all pages; saved values are kept by it.
    """

    name: str
    byte: int
    mask: int
    current: Callable[[LogicalUnit], int]
    default: Callable[[LogicalUnit], int]
    change: Callable[[LogicalUnit, int], None]
    accepted: tuple[int, ...] = (0, 1)

    @property
    def shift(self) -> int:
        return (self.mask & -self.mask).bit_length() - 1

    def read(self, data: bytes, start: int) -> int:
        """The value in the page at ``start``."""
        return (data[start + self.byte] & self.mask) >> self.shift

    def value(self, lu: LogicalUnit, page_control: int) -> int:
        """Current, default or saved value, or all ones where it can change."""
        if page_control == CURRENT:
            return self.current(lu)
        if page_control == CHANGEABLE:
            return self.mask >> self.shift
        default = self.default(lu)
        return default if page_control == DEFAULT else saved(lu).get(self.name, default)


@dataclass(frozen=True, slots=True)
class ModePage:
    """``fixed``: the whole page, header included, with all fields zero."""

    code: int
    name: str
    fixed: Callable[[LogicalUnit], bytes]
    fields: tuple[Field, ...] = ()
    subpage: int = 0

    @property
    def header(self) -> int:
        """Bytes before the parameters (SPC-4 section 7.5.7)."""
        return 4 if self.subpage else 2

    def values(self, lu: LogicalUnit, page_control: int) -> bytes:
        """The page as MODE SENSE returns it."""
        page = bytearray(self.fixed(lu))
        if page_control == CHANGEABLE:
            page[self.header:] = bytes(len(page) - self.header)
        for field in self.fields:
            page[field.byte] |= field.value(lu, page_control) << field.shift
        if self.fields and lu.state is not None:
            page[0] |= _PS
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


def _never(lu: LogicalUnit) -> int:
    return 0


_CACHING: Final = (
    Field(
        "WCE", 2, 0x04,
        current=lambda lu: int(not lu.write_through),
        default=lambda lu: int(lu.configured_write_cache),
        change=lambda lu, value: lu.set_write_cache(bool(value)),
    ),
)


def _interlock(lu: LogicalUnit, value: int) -> None:
    lu.unit_attention_interlock = value


def _descriptor_sense(lu: LogicalUnit, value: int) -> None:
    lu.descriptor_sense = bool(value)


def _task_aborted_status(lu: LogicalUnit, value: int) -> None:
    lu.task_aborted_status = bool(value)


#: SPC-4 section 7.5.8.
_CONTROL: Final = (
    Field(
        "TST", 2, 0xE0, lambda lu: int(lu.separate_task_sets), _never,
        lambda lu, value: lu.set_task_set_type(bool(value)),
    ),
    Field("D_SENSE", 2, 0x04, lambda lu: int(lu.descriptor_sense), _never, _descriptor_sense),
    Field("UA_INTLCK_CTRL", 4, 0x30, lambda lu: lu.unit_attention_interlock, _never, _interlock, accepted=(0, 2, 3)),
    Field(
        "SWP", 4, 0x08, lambda lu: int(lu.software_write_protect), _never,
        lambda lu, value: lu.set_software_write_protect(bool(value)),
    ),
    Field("TAS", 5, 0x40, lambda lu: int(lu.task_aborted_status), _never, _task_aborted_status),
)

_PAGES: Final = (
    ModePage(0x01, "Read-Write Error Recovery", _constant("01 0A" + "00" * 10)),
    ModePage(0x02, "Disconnect-Reconnect", _constant("02 0E 80 80 00 0A" + "00" * 10)),
    ModePage(0x03, "Format Device", _format_device),
    ModePage(0x04, "Rigid Disk Geometry", _rigid_disk_geometry),
    ModePage(0x08, "Caching", _constant("08 12 10 00 FFFF 0000 FFFF FFFF" + "00" * 8), _CACHING),
    ModePage(0x0A, "Control", _constant("0A 0A 02 10" + "00" * 8), _CONTROL),
    ModePage(0x0A, "Control Extension", _constant("4A 01 001C 01" + "00" * 27), subpage=0x01),
    ModePage(0x1C, "Informational Exceptions Control", _constant("1C 0A 08" + "00" * 9)),
    ModePage(
        0x1C, "Logical Block Provisioning", _constant("5C 02 0014" + "00" * 12 + "01 02 0000 00000000"), subpage=0x02
    ),
)

#: By code and subpage code, in the order MODE SENSE returns them. Where IET had the page, the values are its own but
#: for what would be untrue: 08h keeps no order (FSW) and has no segments, 0Ah says that simple tasks may be reordered
#: (QUEUE ALGORITHM MODIFIER 1), and no self-test time. 0Ah/01h: the ALUA state may change implicitly (IALUAE).
#: 1Ch/02h: the threshold on used resources, which THRESHOLD EXPONENT of VPD page B2h asks for, is disabled.
MODE_PAGES: Final[Mapping[tuple[int, int], ModePage]] = MappingProxyType({
    (page.code, page.subpage): page for page in _PAGES
})
FIELDS: Final = tuple(field for page in _PAGES for field in page.fields)


# What is kept


def saved(lu: LogicalUnit) -> Mapping[str, int]:
    """Saved values by field; those never saved are missing, and have their default."""
    return (lu.state and lu.state.get(_SECTION)) or {}


def restore(lu: LogicalUnit) -> None:
    """Give all fields their saved values, or their defaults. Raises ValueError for a state that cannot be used."""
    kept = saved(lu)
    known = {field.name: field for field in FIELDS}
    if not isinstance(kept, dict) or not kept.keys() <= known.keys():
        raise ValueError(
            f"saved mode parameters of LUN {lu.number}: {kept!r} was found; an object with numbers for"
            f" {', '.join(known)} is accepted; remove {_SECTION!r} from its state to begin with the defaults"
        )
    for name, field in known.items():
        value = field.value(lu, SAVED)
        if type(value) is not int or value not in field.accepted:
            raise ValueError(
                f"saved mode parameters of LUN {lu.number}: {name} is {value!r};"
                f" {', '.join(map(str, field.accepted))} are accepted; remove {_SECTION!r} from its state to begin with"
                " the defaults"
            )
        field.change(lu, value)


def configure(lu: LogicalUnit, write_cache: bool, read_only: bool) -> None:
    """The unit is configured otherwise while it serves; initiators are told.

    What one of them has saved outranks the write cache that is configured. One that ends is emptied in the background.
    """
    with lu.device.lock:
        filled = not lu.write_through
        if write_cache != lu.configured_write_cache:
            lu.configured_write_cache = write_cache
            lu.set_write_cache(bool(saved(lu).get("WCE", write_cache)))
        lu.read_only = read_only
        lu.set_software_write_protect(lu.software_write_protect)
        lu.device.tell(MODE_PARAMETERS_CHANGED, lu.nexuses)
        emptied = filled and lu.write_through
    if emptied:
        lu.device.background(lu, partial(_empty, lu))


def _empty(lu: LogicalUnit) -> None:
    with lu.exclusion.sole(0, lu.blocks << lu.shift):
        pass  # writes that were admitted under the old parameters are over
    with suppress(CheckCondition):  # the transport has heard of it, and so do initiators who ask
        write_back(lu)


def save(lu: LogicalUnit, state: UnitState, changes: Mapping[Field, int]) -> bool:
    """Keep the values of all fields, with these changes; False where they are kept already. May wait for a device.

    Raises StoreError; then what was kept before is.
    """
    values = {field.name: changes.get(field, field.current(lu)) for field in FIELDS}
    if values == state.get(_SECTION):
        return False
    state.put(_SECTION, values)
    return True
