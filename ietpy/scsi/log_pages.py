"""Log pages, LOG SENSE and LOG SELECT (SPC-4 sections 6.7, 6.8 and 7.3; SBC-3 section 6.4).

A page is one row: its parameters, each with its value. Nothing is saved; only the counters of page 19h can be reset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.scsi.attention import LOG_PARAMETERS_CHANGED
from ietpy.scsi.cdb import field
from ietpy.scsi.command import BLOCKS, UNKNOWN_OPERATION, Access, CommandSet, Result
from ietpy.scsi.sense import invalid_field, invalid_parameter, list_length_error
from ietpy.scsi.statistics import Counters
from ietpy.scsi.vpd import threshold_exponent
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

LOGS: Final = CommandSet("SPC-4 logs")

#: PAGE CONTROL; without meaning for list parameters (SPC-4 table 184).
_CUMULATIVE: Final = 1
_DEFAULT_CUMULATIVE: Final = 3

_DS: Final = 0x80  #: the parameters of the page are not saved
_SPF: Final = 0x40
_PAGE_CODE: Final = 0x3F
_ALL_SUBPAGES: Final = 0xFF
_HEADER: Final = 4  #: bytes, of a page and of a parameter

#: Parameter control bytes (SPC-4 tables 354 and 356): TSD, as nothing is saved, and FORMAT AND LINKING.
_UNBOUNDED_COUNTER: Final = 0x20 | 0x02
_BINARY_LIST: Final = 0x20 | 0x03
#: Bits of it that LOG SELECT ignores: DU of lists and of default values, TMC as nothing is compared.
_DU: Final = 0x80
_TMC: Final = 0x0C


@dataclass(frozen=True, slots=True)
class LogParameter:
    """One log parameter (SPC-4 section 7.3.2.2)."""

    code: int
    control: int
    value: bytes

    def pack(self) -> bytes:
        return self.code.to_bytes(2, "big") + bytes((self.control, len(self.value))) + self.value

    def ignored(self, default: bool) -> bytes:
        """The bits of ``pack()`` that LOG SELECT of default or of other values ignores."""
        always = self.control == _BINARY_LIST or default
        return bytes((0, 0, _TMC | (_DU if always else 0), 0)) + bytes(len(self.value))


#: The parameters of a page in ascending order, of counters the current values or (False) the defaults.
Parameters = Callable[["LogicalUnit", bool], Sequence[LogParameter]]


@dataclass(frozen=True, slots=True)
class LogPage:
    """``parameters`` is None for the page that lists the pages. ``waits``: telling may wait for a device.

    ``available``: which logical units have it. ``unready``: also told while the unit is sanitized (SBC-3 section
    4.11.2). ``reset`` sets its counters to their defaults, which are zero.
    """

    code: int
    name: str
    parameters: Parameters | None
    available: Callable[[LogicalUnit], bool] | None = None
    waits: bool = False
    unready: bool = False
    reset: Callable[[LogicalUnit], None] | None = None


# Logical Block Provisioning (SBC-3 section 6.4.5)

_DEDICATED: Final = 0x01  #: SCOPE: other logical units do not change the count
#: How many pieces of the medium's map are looked at before the rest is taken to be like them: a second, or less.
_PIECES: Final = 65536

#: SBC-3 table 200.
RESOURCE_COUNT: Final = Layout("LBA mapping resource count log parameter value", 8, (
    ("count", "I"), ("scope", "B"), ("_reserved", "3x"),
))


def _maps(lu: LogicalUnit) -> bool:
    """if the medium tells what is mapped"""
    # One that promises zeros where nothing is mapped does (``BackingStore.mapped``), no other.
    return lu.capabilities.discard_zeroes


def _mapped_bytes(lu: LogicalUnit) -> int:
    size = lu.blocks << lu.shift
    seen = mapped = pieces = 0
    while seen < size and pieces < _PIECES:
        allocated, length = lu.store.mapped(seen, size - seen)
        mapped += length if allocated else 0
        seen += length
        pieces += 1
    return mapped * size // max(seen, 1)


def _provisioning(lu: LogicalUnit, current: bool) -> Sequence[LogParameter]:
    """Used LBA mapping resources. What the file system has left is not told: others use it, too."""
    exponent = threshold_exponent(lu)
    count = -(-_mapped_bytes(lu) >> lu.shift >> exponent)
    return (LogParameter(0x0002, _BINARY_LIST, RESOURCE_COUNT.pack(count=count, scope=_DEDICATED)),)


# General Statistics and Performance (SPC-4 section 7.3.6)

#: SPC-4 table 377.
ACCESS_STATISTICS: Final = Layout("General Access Statistics and Performance log parameter value", 64, (
    ("reads", "Q"), ("writes", "Q"), ("blocks_received", "Q"), ("blocks_transmitted", "Q"), ("read_intervals", "Q"),
    ("write_intervals", "Q"), ("weighted_commands", "Q"), ("weighted_intervals", "Q"),
))
#: A time interval of zero seconds, and so no time in intervals: nothing is timed, and no command has a priority.
_NO_TIME: Final = bytes(8)


def _statistics(lu: LogicalUnit, current: bool) -> Sequence[LogParameter]:
    counted = lu.statistics().since(lu.log_start) if current else Counters()
    return (
        LogParameter(0x0001, _UNBOUNDED_COUNTER, ACCESS_STATISTICS.pack(
            reads=counted.reads, writes=counted.writes, blocks_received=counted.blocks_written,
            blocks_transmitted=counted.blocks_read,
        )),
        LogParameter(0x0002, _UNBOUNDED_COUNTER, _NO_TIME),
        LogParameter(0x0003, _BINARY_LIST, _NO_TIME),
    )


def _reset_statistics(lu: LogicalUnit) -> None:
    lu.log_start = lu.statistics()


# Pages of constants

_NO_TEMPERATURE: Final = 0xFF


def _constant(code: int, value: bytes) -> Parameters:
    parameters = (LogParameter(code, _BINARY_LIST, value),)
    return lambda lu, current: parameters


#: In ascending order, as they are listed.
LOG_PAGES: Final[Mapping[int, LogPage]] = MappingProxyType({page.code: page for page in (
    LogPage(0x00, "Supported Log Pages", None),
    LogPage(0x0C, "Logical Block Provisioning", _provisioning, available=_maps, waits=True),
    LogPage(0x0D, "Temperature", _constant(0x0000, bytes((0, _NO_TEMPERATURE))), unready=True),
    # There is no spindle, no date of manufacture and no end of life: no start-stop cycle was ever seen.
    LogPage(0x0E, "Start-Stop Cycle Counter", _constant(0x0004, bytes(4))),
    LogPage(0x19, "General Statistics and Performance", _statistics, reset=_reset_statistics),
    # No exception is pending, and none ever will be. In the vendor specific byte disks tell their greatest temperature.
    LogPage(0x2F, "Informational Exceptions", _constant(0x0000, bytes((0, 0, _NO_TEMPERATURE, _NO_TEMPERATURE)))),
)})


def _page(lu: LogicalUnit, code: int) -> LogPage | None:
    page = LOG_PAGES.get(code)
    return None if page is None or not (page.available is None or page.available(lu)) else page


def _asked(lu: LogicalUnit, cdb: bytes) -> LogPage:
    """The page that PAGE CODE and SUBPAGE CODE of a CDB name."""
    page = _page(lu, cdb[2] & _PAGE_CODE)
    if page is None:
        raise invalid_field(2, 5)
    if cdb[3] not in (0, _ALL_SUBPAGES):
        raise invalid_field(3)
    return page


# LOG SENSE


def _list(lu: LogicalUnit, page: LogPage, subpages: bool) -> bytes:
    """Supported pages, pages with subpages, or subpages of one page (SPC-4 sections 7.3.18 to 7.3.20)."""
    pages = [each for each in LOG_PAGES if _page(lu, each)] if page.parameters is None else [page.code]
    if not subpages:
        return bytes(pages)
    return b"".join(bytes((each, 0, each, _ALL_SUBPAGES)) for each in pages)


@LOGS.command(
    0x4D, "LOG SENSE", usage="4D 00 FF FF 00 FF FF FF FF 00", access=Access.STATE, allocation=field(7, 2), unready=True
)
def log_sense(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.8. SP is refused as a reserved bit; thresholds are zero, as nothing is compared with them."""
    page = _asked(lu, task.cdb)
    subpage = task.cdb[3]
    if subpage or not page.unready:
        _check_ready(lu)
    pointer = int.from_bytes(task.cdb[5:7], "big")
    if subpage or page.parameters is None:
        if pointer:
            raise invalid_field(5)
        flags, body = _SPF if subpage else 0, _list(lu, page, bool(subpage))
    else:
        if page.waits and not task.may_block:
            return BLOCKS
        parameters = page.parameters(lu, task.cdb[2] >> 6 == _CUMULATIVE)
        if pointer > parameters[-1].code:
            raise invalid_field(5)
        flags, body = _DS, b"".join(each.pack() for each in parameters if each.code >= pointer)
    return bytes((flags | page.code, subpage)) + len(body).to_bytes(2, "big") + body


def _check_ready(lu: LogicalUnit) -> None:
    """Raise while the unit is not ready for commands that need no medium but are not exempted, either."""
    with lu.device.lock:
        obstacle = lu.obstacle(UNKNOWN_OPERATION)
    if obstacle is not None:
        raise obstacle


# LOG SELECT

_PCR: Final = 0x02
_SP: Final = 0x01

_list_length = field(7, 2)


def _data_out(lu: LogicalUnit, cdb: bytes) -> int:
    return _list_length(cdb)


def _refuse_select(lu: LogicalUnit, cdb: bytes) -> None:
    """SPC-4 section 6.7.1 and table 186."""
    if not _list_length(cdb):
        _asked(lu, cdb)
        if cdb[1] & _SP and cdb[2] >> 6 <= _CUMULATIVE:
            raise invalid_field(1, 0)  # current values would be saved
        return
    if cdb[1] & _PCR:
        raise invalid_field(1, 1)
    if cdb[2] & _PAGE_CODE:
        raise invalid_field(2, 5)
    if cdb[3]:
        raise invalid_field(3)


@LOGS.command(
    0x4C, "LOG SELECT", usage="4C 03 FF FF 00 00 00 FF FF 00", access=Access.MANAGE, data_out=_data_out,
    refuse=_refuse_select,
)
def log_select(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.7: counters can be reset. No parameter can be changed, so a list must say what is so already."""
    _refuse_select(lu, task.cdb)
    length = _list_length(task.cdb)
    control = task.cdb[2] >> 6
    if not length:
        if task.cdb[1] & _PCR or control == _DEFAULT_CUMULATIVE:
            _reset(lu, task)
        return None
    if not task.may_block:
        return BLOCKS
    data = task.parameter_list(length)
    _check_list(lu, data, control, saves=bool(task.cdb[1] & _SP) and control <= _CUMULATIVE)
    return None


def _reset(lu: LogicalUnit, task: Task) -> None:
    """The page the CDB names, or all of them (SPC-4 table 185)."""
    code, subpage = task.cdb[2] & _PAGE_CODE, task.cdb[3]
    pages = LOG_PAGES.values() if not code and not subpage else (LOG_PAGES[code],)
    with lu.device.lock:
        for page in pages:
            if page.reset is not None:
                page.reset(lu)
                lu.tell_others(task.nexus, LOG_PARAMETERS_CHANGED)


def _check_list(lu: LogicalUnit, data: bytes, control: int, *, saves: bool) -> None:
    """Pages and parameters in ascending order, all with the values they have (SPC-4 section 7.3.2)."""
    default = control > _CUMULATIVE
    place, last = 0, -1
    while place < len(data):
        if len(data) - place < _HEADER:
            raise list_length_error()
        code = data[place] & _PAGE_CODE
        page = _page(lu, code)
        if page is None or page.parameters is None or code <= last:
            raise invalid_parameter(place, 5)
        if data[place] & _SPF or data[place + 1]:
            raise invalid_parameter(place + 1)
        if saves and not data[place] & _DS:
            raise invalid_parameter(place, 7)
        end = place + _HEADER + int.from_bytes(data[place + 2:place + _HEADER], "big")
        if end > len(data):
            raise invalid_parameter(place + 2)
        _check_parameters(page.parameters(lu, control == _CUMULATIVE), data[:end], place + _HEADER, default)
        place, last = end, code


def _check_parameters(parameters: Sequence[LogParameter], data: bytes, place: int, default: bool) -> None:
    """``data`` ends with the page; its parameters begin at ``place``."""
    expected = {each.code: (each.pack(), each.ignored(default)) for each in parameters}
    last = -1
    while place < len(data):
        code = int.from_bytes(data[place:place + 2], "big")
        if code not in expected or code <= last:
            raise invalid_parameter(place)
        packed, ignored = expected[code]
        for at, (byte, mask) in enumerate(zip(packed, ignored, strict=True), place):
            if at == len(data) or (data[at] ^ byte) & ~mask:
                raise invalid_parameter(at)
        place, last = place + len(packed), code
