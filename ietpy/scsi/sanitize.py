"""SANITIZE (SBC-3 sections 4.11, 5.24): nothing that was on the medium can be read any more.

What cannot be reached from here is not: copies a file system or a snapshot keeps, blocks it gave to the medium's file
before and took back since, spare blocks of a flash device. There is no CRYPTOGRAPHIC ERASE, as nothing is encrypted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import field
from ietpy.scsi.command import BLOCKS, Access, CommandSet, Result
from ietpy.scsi.operation import Kind, Operation, Pass, filling, noted
from ietpy.scsi.readiness import SANITIZE, Readiness
from ietpy.scsi.sense import invalid_field, invalid_parameter, list_length_error
from ietpy.scsi.state import keep
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.store import BackingStore
    from ietpy.scsi.task import Task

SANITIZING: Final = CommandSet("SBC-3 sanitize")

_OVERWRITE: Final = 0x01  #: SERVICE ACTION
_BLOCK_ERASE: Final = 0x02
_EXIT_FAILURE_MODE: Final = 0x1F

_IMMED: Final = 0x80
_AUSE: Final = 0x20
_A_DAY: Final = 86_400  #: seconds

#: SBC-3 section 5.24.2.2, before the INITIALIZATION PATTERN.
OVERWRITE_LIST: Final = Layout("OVERWRITE service action parameter list", 4, (
    ("method", "B"), ("_reserved", "x"), ("pattern_length", "H"),
))
_INVERT: Final = 0x80
_TEST: Final = 0x60
_COUNT: Final = 0x1F

_list_length = field(7, 2)


def _ended(readiness: Readiness, record: Mapping[str, Any], success: bool) -> None:
    readiness.sanitize_failed = not success
    readiness.restricted = record["restricted"]
    if success:
        readiness.format_corrupt = False


_KIND: Final = Kind(
    "sanitize", Asc.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS, Asc.SANITIZE_COMMAND_FAILED,
    clears=("format", "sanitize"), resumed=True, ended=_ended,
)


def restore(lu: LogicalUnit) -> None:
    """Take up what the unit's state says of sanitizing; the daemon lets ``readiness.operation`` go on."""
    record = noted(lu, _KIND)
    if record is None:
        return
    if not _makes_sense(record):
        raise ValueError(
            f"what is noted of sanitizing LUN {lu.number} cannot be read: {record!r}; once it is known what its medium"
            " holds, remove the note and sanitize it again"
        )
    lu.readiness.restricted = record["restricted"]
    lu.readiness.sanitize_failed = "failed" in record
    if not lu.readiness.sanitize_failed:
        lu.readiness.operation = _operation(lu, record)


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_boolean(value: Any) -> bool:
    return type(value) is bool


_OVERWRITES: Final = frozenset({"passes", "invert", "pattern"})
#: What a note consists of, and whether a value of that can be.
_NOTE: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType({
    "restricted": _is_boolean,
    "passes": lambda value: _is_number(value) and 0 < value <= _COUNT,
    "invert": _is_boolean,
    "pattern": lambda value: isinstance(value, str) and re.fullmatch("([0-9a-f]{2})+", value) is not None,
    "size": _is_number,
    "done": _is_number,
    "failed": _is_boolean,
})


def _makes_sense(record: Any) -> bool:
    """Whether this was noted by ``Operation``: nothing is erased, or taken for erased, by guesswork."""
    if not isinstance(record, dict) or not {"restricted", "size"} <= record.keys() <= _NOTE.keys():
        return False
    if not all(_NOTE[name](value) for name, value in record.items()):
        return False
    overwrites = record.keys() & _OVERWRITES
    return overwrites in (set(), _OVERWRITES) and record.get("done", 0) <= record["size"] * record.get("passes", 1)


def _operation(lu: LogicalUnit, record: Mapping[str, Any]) -> Operation:
    """``record``: what was asked for, as it is noted: ``restricted`` (AUSE is 0), ``passes``, ``invert``, ``pattern``
    in hexadecimal; no ``pattern`` to erase."""
    if "pattern" not in record:
        return Operation(lu, _KIND, (erase,), record)
    pattern = bytes.fromhex(record["pattern"])
    straight = filling(pattern, lu.block_size)
    inverse = filling(bytes(byte ^ 0xFF for byte in pattern), lu.block_size) if record["invert"] else straight
    passes = record["passes"]
    return Operation(lu, _KIND, tuple(inverse if left % 2 else straight for left in reversed(range(passes))), record)


def erase(store: BackingStore, offset: int, length: int) -> None:
    """Zeros over all that is there, on stable storage before the space is given back."""
    end = offset + length
    place, losses, written = offset, store.losses, False
    while place < end:
        mapped, run = store.mapped(place, end - place)
        if mapped:
            _zeros(store, place, run)
            written = True
        place += run
    if written:
        store.commit(losses)
    store.discard(offset, length)


_zeros: Final[Pass] = filling(b"\0", 512)


def _refuse(lu: LogicalUnit, cdb: bytes) -> None:
    lu.check_writable()
    if cdb[1] & _AUSE and lu.readiness.sanitize_failed and lu.readiness.restricted:
        raise invalid_field(1, 5)


def _sanitize(lu: LogicalUnit, task: Task, **how: Any) -> None:
    operation = _operation(lu, {"restricted": not task.cdb[1] & _AUSE, **how})
    operation.perform(task, bool(task.cdb[1] & _IMMED))


# OVERWRITE


def _refuse_overwrite(lu: LogicalUnit, cdb: bytes) -> None:
    if not OVERWRITE_LIST.size < _list_length(cdb) <= OVERWRITE_LIST.size + lu.block_size:
        raise invalid_field(7)
    _refuse(lu, cdb)


@SANITIZING.command(
    SANITIZE, "SANITIZE OVERWRITE", service_action=_OVERWRITE, usage="48 A1 00 00 00 00 00 FF FF 00",
    access=Access.WRITE, data_out=lambda lu, cdb: _list_length(cdb), refuse=_refuse_overwrite, timeout=_A_DAY,
)
def overwrite(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.24.2.2: every pass is on stable storage before the next. A thin medium is allocated in full.

    TEST other than 0 is vendor specific and refused.
    """
    _refuse_overwrite(lu, task.cdb)
    if not task.may_block:
        return BLOCKS
    data = task.parameter_list(_list_length(task.cdb))
    parameters = OVERWRITE_LIST.unpack(data)
    method, length = parameters["method"], parameters["pattern_length"]
    if method & _TEST:
        raise invalid_parameter(0, 6)
    if not method & _COUNT:
        raise invalid_parameter(0, 4)
    if not 0 < length <= lu.block_size:
        raise invalid_parameter(2)
    if OVERWRITE_LIST.size + length > len(data):
        raise list_length_error()
    pattern = data[OVERWRITE_LIST.size:OVERWRITE_LIST.size + length]
    _sanitize(lu, task, passes=method & _COUNT, invert=bool(method & _INVERT), pattern=pattern.hex())
    return None


# BLOCK ERASE


def _frees_for_good(lu: LogicalUnit) -> bool:
    """if freed blocks read as zeros"""
    # So what reads return afterwards is defined (WABEREQ of the Block Device Characteristics VPD page).
    return lu.capabilities.discard_zeroes


@SANITIZING.command(
    SANITIZE, "SANITIZE BLOCK ERASE", service_action=_BLOCK_ERASE, usage="48 A2 00 00 00 00 00 00 00 00",
    access=Access.WRITE, refuse=_refuse, available=_frees_for_good, timeout=_A_DAY,
)
def block_erase(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.24.2.3: afterwards no block is mapped, and all read as zeros."""
    _refuse(lu, task.cdb)
    if not task.may_block:
        return BLOCKS
    _sanitize(lu, task)
    return None


# EXIT FAILURE MODE


@SANITIZING.command(
    SANITIZE, "SANITIZE EXIT FAILURE MODE", service_action=_EXIT_FAILURE_MODE,
    usage="48 BF 00 00 00 00 00 00 00 00", access=Access.WRITE,
)
def exit_failure_mode(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.24.2.5: the medium is accessible again, whatever is left on it. Without a failure: nothing."""
    readiness = lu.readiness
    if not readiness.sanitize_failed:
        return None
    if readiness.restricted:
        raise invalid_field(1, 4)
    if not task.may_block:
        return BLOCKS
    if lu.state is not None:
        keep(lu.state, _KIND.section, None)
    with lu.device.lock:
        readiness.sanitize_failed = False
        readiness.refresh()
    return None
