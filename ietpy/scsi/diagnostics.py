"""Self-test, diagnostic pages and the echo buffer (SPC-4 sections 5.15, 6.18, 6.28, 6.42, 6.49 and 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import field
from ietpy.scsi.command import BLOCKS, Access, CommandSet, Result
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter
from ietpy.scsi.status import SenseKey

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

DIAGNOSTICS: Final = CommandSet("SPC-4 diagnostics")

# Self-test and diagnostic pages

_PF: Final = 0x10
_SELFTEST: Final = 0x04
_PCV: Final = 0x01
_PAGE_HEADER: Final = 4
_SUPPORTED_PAGES: Final = 0x00  #: the only diagnostic page (SPC-4 section 7.2.4)
_SUPPORTED_PAGES_PAGE: Final = bytes((_SUPPORTED_PAGES, 0, 0, 1, _SUPPORTED_PAGES))

_page_list_length = field(3, 2)


def _page_list_out(lu: LogicalUnit, cdb: bytes) -> int:
    return _page_list_length(cdb)


def _refuse_diagnostic(lu: LogicalUnit, cdb: bytes) -> None:
    """SPC-4 table 320. Without PF a list would be vendor specific; the self-test has no page, so no format of it."""
    length = _page_list_length(cdb)
    if cdb[1] & _SELFTEST and cdb[1] & _PF:
        raise invalid_field(1, 4)
    if length and cdb[1] & _SELFTEST:
        raise invalid_field(3)
    if length and not cdb[1] & _PF:
        raise invalid_field(1, 4)
    if 0 < length < _PAGE_HEADER:
        raise invalid_field(3)


@DIAGNOSTICS.command(
    0x1D, "SEND DIAGNOSTIC", usage="1D 17 00 FF FF 00", access=Access.MANAGE, data_out=_page_list_out,
    refuse=_refuse_diagnostic,
)
def send_diagnostic(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.42: the default self-test, or one diagnostic page.

    SELF-TEST CODE is refused as reserved bits: there is no short or extended self-test. The default one does nothing
    DEVOFFL or UNITOFFL would have to allow.
    """
    _refuse_diagnostic(lu, task.cdb)
    if task.cdb[1] & _SELFTEST:
        return _self_test(lu, task)
    length = _page_list_length(task.cdb)
    data = task.parameter_list(length)
    if length:
        _check_page(data)
    return None


def _check_page(data: bytes) -> None:
    """A request for the supported pages, which RECEIVE DIAGNOSTIC RESULTS returns anyway; it is four bytes long."""
    page_length = int.from_bytes(data[2:_PAGE_HEADER], "big")
    if _PAGE_HEADER + page_length > len(data):
        raise invalid_field(3)
    if data[0] != _SUPPORTED_PAGES:
        raise invalid_parameter(0)
    if page_length:
        raise invalid_parameter(2)
    if len(data) > _PAGE_HEADER:
        raise invalid_parameter(_PAGE_HEADER)


def _self_test(lu: LogicalUnit, task: Task) -> Result:
    """Whether the first and the last block can be read (SPC-4 section 5.15.2)."""
    if not task.may_block:
        return BLOCKS
    scratch = memoryview(bytearray(lu.block_size))
    try:
        for lba in {0, lu.blocks - 1} if lu.blocks else ():
            lu.store.read(lba << lu.shift, scratch)
    except StoreError as error:
        lu.device.fault(lu, error, task.cdb)
        raise CheckCondition(SenseKey.HARDWARE_ERROR, Asc.LOGICAL_UNIT_FAILED_SELF_TEST) from None
    return None


@DIAGNOSTICS.command(
    0x1C, "RECEIVE DIAGNOSTIC RESULTS", usage="1C 01 FF FF FF 00", access=Access.MANAGE, allocation=field(3, 2)
)
def receive_diagnostic_results(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.28. Without PCV it is the page SEND DIAGNOSTIC asked for: there is only one."""
    if task.cdb[1] & _PCV and task.cdb[2] != _SUPPORTED_PAGES:
        raise invalid_field(2)
    return _SUPPORTED_PAGES_PAGE


# Buffers

_MODE: Final = 0x1F
_DESCRIPTOR: Final = 0x03
#: Of 1Ah only an expander makes more (SPC-4 sections 6.18.8, 6.49.13).
_ECHO_MODES: Final = (0x0A, 0x1A)
_ECHO_DESCRIPTOR: Final = 0x0B
_ECHO_CAPACITY: Final = 4096  #: bytes; the most the standard allows
#: EBOS: every nexus finds what it has written itself (SPC-4 section 6.18.7).
_ECHO_BUFFER: Final = bytes((0x01, 0)) + _ECHO_CAPACITY.to_bytes(2, "big")
#: There is no buffer for the data mode, whatever its number: OFFSET BOUNDARY and BUFFER CAPACITY 0.
_NO_BUFFER: Final = bytes(4)

_buffer_length = field(6, 3)


@DIAGNOSTICS.command(
    0x3C, "READ BUFFER", usage="3C 1F FF FF FF FF FF FF FF 00", access=Access.MANAGE, allocation=_buffer_length
)
def read_buffer(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.18: the descriptor, echo buffer and echo buffer descriptor modes."""
    mode = task.cdb[1] & _MODE
    if mode == _DESCRIPTOR:
        return _NO_BUFFER
    if mode == _ECHO_DESCRIPTOR:
        return _ECHO_BUFFER
    if mode not in _ECHO_MODES:
        raise invalid_field(1, 4)
    if task.nexus.echo is None:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.COMMAND_SEQUENCE_ERROR)
    return task.nexus.echo


def _buffer_out(lu: LogicalUnit, cdb: bytes) -> int:
    return _buffer_length(cdb)


def _refuse_buffer(lu: LogicalUnit, cdb: bytes) -> None:
    if cdb[1] & _MODE not in _ECHO_MODES:
        raise invalid_field(1, 4)
    if _buffer_length(cdb) > _ECHO_CAPACITY:
        raise invalid_field(6)


@DIAGNOSTICS.command(
    0x3B, "WRITE BUFFER", usage="3B 1F FF FF FF FF FF FF FF 00", access=Access.MANAGE, data_out=_buffer_out,
    refuse=_refuse_buffer,
)
def write_buffer(lu: LogicalUnit, task: Task) -> None:
    """SPC-4 section 6.49: the echo buffer mode. There is no microcode to download."""
    _refuse_buffer(lu, task.cdb)
    task.nexus.echo = b"".join(task.data)
