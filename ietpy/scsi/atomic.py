"""COMPARE AND WRITE and ORWRITE: nobody else reads or writes their blocks while they do (``exclusion``).

Their CDBs of 32 bytes are not offered: ORWRITE(32) keeps generation codes of bitmaps, which nobody has asked for.
WRITE ATOMIC is refused, too: a loss of power may leave a part of any write on the medium, as there is no journal.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.cache import write_back
from ietpy.scsi.cdb import FUA, unpack_16
from ietpy.scsi.command import BLOCKS, Access, CommandSet, Result
from ietpy.scsi.limits import CHUNK
from ietpy.scsi.sense import CheckCondition, invalid_field, read
from ietpy.scsi.status import SenseKey

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

ATOMIC: Final = CommandSet("SBC-3 uninterrupted sequences")


# COMPARE AND WRITE

#: (byte 1, LOGICAL BLOCK ADDRESS, NUMBER OF LOGICAL BLOCKS); the bytes between are reserved. The number cannot exceed
#: the MAXIMUM COMPARE AND WRITE LENGTH.
_unpack: Final = Struct(">xBQ3xB").unpack_from
_NUMBER_OF_LOGICAL_BLOCKS: Final = 13


def _both_instances(lu: LogicalUnit, cdb: bytes) -> int:
    return 2 * cdb[_NUMBER_OF_LOGICAL_BLOCKS] << lu.shift


def _refuse_compare_and_write(lu: LogicalUnit, cdb: bytes) -> None:
    _, lba, blocks = _unpack(cdb)
    lu.check_writable()
    lu.check_range(lba, blocks)


def _first_difference(one: memoryview, other: memoryview) -> int:
    """Where two that differ do so first."""
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


@ATOMIC.command(
    0x89, "COMPARE AND WRITE", usage="89 18 FF FF FF FF FF FF FF FF 00 00 00 FF 1F 00", access=Access.WRITE,
    timeout=60, data_out=_both_instances, refuse=_refuse_compare_and_write,
)
def compare_and_write(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.2. WRPROTECT is refused.

    So is Data-Out that lacks a byte, or that has another pair of blocks than the CDB names: a part of it must not do.
    """
    flags, lba, blocks = _unpack(task.cdb)
    _refuse_compare_and_write(lu, task.cdb)
    if not task.may_block:
        return BLOCKS
    offset, length = lba << lu.shift, blocks << lu.shift
    if task.data_length < 2 * length or task.expected >= 2 * (length + lu.block_size):
        raise invalid_field(_NUMBER_OF_LOGICAL_BLOCKS)
    if not blocks:
        return None
    data = memoryview(b"".join(task.data))
    found = memoryview(bytearray(length))
    with lu.readiness.writing(offset, length, sole=True):
        read(lu.store, offset, found)
        if found == data[:length]:
            lu.store.write(offset, [data[length:2 * length]], lu.write_through or flags & FUA != 0)
            return None
    if flags & FUA:
        write_back(lu)  # with FUA it is the medium that was compared
    raise CheckCondition(
        SenseKey.MISCOMPARE, Asc.MISCOMPARE_DURING_VERIFY_OPERATION, information=_first_difference(found, data)
    )


# ORWRITE


def _blocks_of_16(lu: LogicalUnit, cdb: bytes) -> int:
    return unpack_16(cdb)[2] << lu.shift  # type: ignore[no-any-return]


def _refuse_or_write(lu: LogicalUnit, cdb: bytes) -> None:
    _, lba, blocks = unpack_16(cdb)
    lu.check_writable()
    lu.check_range(lba, blocks)


def _either(one: memoryview, other: memoryview) -> memoryview:
    """The bits set in one of two of the same length."""
    bits = int.from_bytes(one, "little") | int.from_bytes(other, "little")
    return memoryview(bits.to_bytes(len(one), "little"))


@ATOMIC.command(
    0x8B, "ORWRITE(16)", usage="8B 18 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", access=Access.WRITE, timeout=60,
    data_out=_blocks_of_16, refuse=_refuse_or_write,
)
def or_write_16(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.5: bits of Data-Out are set on the medium, none is cleared. ORPROTECT is refused.

    Of data cut short as WRITE.
    """
    flags, lba, blocks = unpack_16(task.cdb)
    _refuse_or_write(lu, task.cdb)
    if not task.may_block:
        return BLOCKS
    data = memoryview(b"".join(lu.whole_blocks(task, blocks << lu.shift)))
    offset = lba << lu.shift
    scratch = memoryview(bytearray(min(len(data), CHUNK)))
    with lu.readiness.writing(offset, len(data), sole=True):
        for done in range(0, len(data), CHUNK):
            part = data[done:done + CHUNK]
            found = scratch[:len(part)]
            read(lu.store, offset + done, found)
            lu.store.write(offset + done, [_either(part, found)], lu.write_through or flags & FUA != 0)
    return None
