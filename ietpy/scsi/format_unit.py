"""FORMAT UNIT (SBC-3 section 5.3): all blocks are written anew. Their size and number cannot change.

There are no defects and no protection information, so what asks for them is refused and what leaves them out is taken.
An interrupted format is not resumed: the medium format is corrupt, as after a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.command import BLOCKS, Access, CommandSet, Result
from ietpy.scsi.operation import Kind, Operation, Pass, filling, noted
from ietpy.scsi.readiness import FORMAT_UNIT, Readiness
from ietpy.scsi.sense import invalid_field, invalid_parameter, list_length_error
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.store import BackingStore
    from ietpy.scsi.task import Task

FORMATTING: Final = CommandSet("SBC-3 format")

_LONGLIST: Final = 0x20  #: byte 1 of the CDB
_FMTDATA: Final = 0x10
_DEFECT_LIST_FORMAT: Final = 0x07
_PHYSICAL_SECTOR: Final = 5  #: the last format defined (SBC-3, Address descriptor formats)
_A_DAY: Final = 86_400  #: seconds

#: SBC-3 section 5.3.2.2.
SHORT_HEADER: Final = Layout("FORMAT UNIT short parameter list header", 4, (
    ("protection_usage", "B"), ("options", "B"), ("defect_list_length", "H"),
))
LONG_HEADER: Final = Layout("FORMAT UNIT long parameter list header", 8, (
    ("protection_usage", "B"), ("options", "B"), ("_reserved", "x"), ("protection_interval", "B"),
    ("defect_list_length", "I"),
))
_FOV: Final = 0x80
_FORMAT_OPTIONS: Final = 0x78  #: DPRY, DCRT, STPF, IP: valid with FOV
_IP: Final = 0x08
_IMMED: Final = 0x02

#: SBC-3 section 5.3.2.3, before the INITIALIZATION PATTERN.
PATTERN_DESCRIPTOR: Final = Layout("initialization pattern descriptor", 4, (
    ("flags", "B"), ("type", "B"), ("length", "H"),
))
_SI: Final = 0x20
_DEFAULT_PATTERN: Final = 0
_REPEAT: Final = 1


def _ended(readiness: Readiness, record: Mapping[str, Any], success: bool) -> None:
    readiness.format_corrupt = not success


_KIND: Final = Kind(
    "format", Asc.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS, Asc.FORMAT_COMMAND_FAILED, clears=("format",),
    resumed=False, ended=_ended,
)


def restore(lu: LogicalUnit) -> None:
    """Take up what the unit's state says of formatting: one that was begun and did not succeed."""
    lu.readiness.format_corrupt = noted(lu, _KIND) is not None


def _longest_list(lu: LogicalUnit, cdb: bytes) -> int:
    return LONG_HEADER.size + PATTERN_DESCRIPTOR.size + lu.block_size if cdb[1] & _FMTDATA else 0


def _refuse(lu: LogicalUnit, cdb: bytes) -> None:
    form = cdb[1] & _DEFECT_LIST_FORMAT
    if form and (not cdb[1] & _FMTDATA or form > _PHYSICAL_SECTOR):
        raise invalid_field(1, 2)
    lu.check_writable()


@FORMATTING.command(
    FORMAT_UNIT, "FORMAT UNIT", usage="04 3F 00 00 00 00", access=Access.WRITE, data_out=_longest_list, announced=True,
    refuse=_refuse, timeout=_A_DAY,
)
def format_unit(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.3. FMTPINFO is refused as reserved bits; without a parameter list the defaults hold."""
    _refuse(lu, task.cdb)
    if not task.may_block:
        return BLOCKS
    options, way = 0, _emptied(lu)
    if task.cdb[1] & _FMTDATA:
        options, way = _parameters(lu, b"".join(task.data), LONG_HEADER if task.cdb[1] & _LONGLIST else SHORT_HEADER)
    Operation(lu, _KIND, (way,), {}).perform(task, bool(options & _IMMED))
    return None


def _parameters(lu: LogicalUnit, data: bytes, header: Layout) -> tuple[int, Pass]:
    """The options of the parameter list, and what is to be done with the blocks."""
    if len(data) < header.size:
        raise list_length_error()
    fields = header.unpack(data)
    options = fields["options"]
    if fields["protection_usage"]:
        raise invalid_parameter(0)
    if fields.get("protection_interval"):
        raise invalid_parameter(3)
    stray = options & ~(_FOV | _FORMAT_OPTIONS | _IMMED) or (0 if options & _FOV else options & _FORMAT_OPTIONS)
    if stray:
        raise invalid_parameter(1, stray.bit_length() - 1)
    if fields["defect_list_length"]:
        raise invalid_parameter(header.size // 2)
    return options, _initialization(lu, data, header.size) if options & _IP else _emptied(lu)


def _emptied(lu: LogicalUnit) -> Pass:
    """The default: zeros, which nothing is kept for where the medium is thin."""

    def empty(store: BackingStore, offset: int, length: int) -> None:
        (store.discard if store.capabilities.discard_zeroes else store.zero)(offset, length)

    return empty


def _initialization(lu: LogicalUnit, data: bytes, start: int) -> Pass:
    """What the initialization pattern descriptor asks for: the default pattern are zeros, with space kept for them.

    SI: the pattern is really written, to all there is; see ``sanitize`` for what cannot be reached.
    """
    if len(data) < start + PATTERN_DESCRIPTOR.size:
        raise list_length_error()
    fields = PATTERN_DESCRIPTOR.unpack(data, start)
    kind, length = fields["type"], fields["length"]
    if fields["flags"] & ~_SI:
        raise invalid_parameter(start, (fields["flags"] & ~_SI).bit_length() - 1)
    if kind not in (_DEFAULT_PATTERN, _REPEAT):
        raise invalid_parameter(start + 1)
    if length > lu.block_size or bool(length) != (kind == _REPEAT):
        raise invalid_parameter(start + 2)
    place = start + PATTERN_DESCRIPTOR.size
    if len(data) < place + length:
        raise list_length_error()
    if kind == _REPEAT or fields["flags"] & _SI:
        return filling(data[place:place + length] or b"\0", lu.block_size)

    def zero(store: BackingStore, offset: int, length: int) -> None:
        store.zero(offset, length)

    return zero
