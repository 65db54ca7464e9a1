"""Block commands (SBC-3 section 5): capacity, reading, writing, verifying.

READ and WRITE are the data path: each row unpacks its CDB and calls the logical unit.

Not offered: CDBs of 32 bytes, which are for type 2 protection; READ LONG, WRITE LONG and REASSIGN BLOCKS, as physical
blocks are out of reach, and none are to spare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.cache import write_back
from ietpy.scsi.cdb import FUA, LBA_6, field, unpack_6, unpack_10, unpack_12, unpack_16
from ietpy.scsi.command import BLOCKS, Access, CommandSet, Result
from ietpy.scsi.limits import CHUNK
from ietpy.scsi.sense import CheckCondition, invalid_field, read
from ietpy.scsi.status import SenseKey
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

SBC: Final = CommandSet("SBC-3")

#: (byte 1, LBA, blocks) of a CDB.
Unpack = Callable[[bytes], tuple[int, int, int]]

_BYTCHK: Final = 0x06
#: BYTCHK values (SBC-3 section 5.29): what the blocks are compared with.
_NOTHING: Final = 0
_ALL_DATA: Final = 1
_ONE_BLOCK: Final = 3


# Capacity

READ_CAPACITY_10: Final = Layout("READ CAPACITY (10) parameter data", 8, (
    ("last_lba", "I"), ("block_length", "I"),
))
READ_CAPACITY_16: Final = Layout("READ CAPACITY (16) parameter data", 32, (
    ("last_lba", "Q"), ("block_length", "I"), ("protection", "B"), ("exponents", "B"),
    ("lowest_aligned", "H"), ("_reserved", "16x"),
))
_LBPME: Final = 0x8000
_LBPRZ: Final = 0x4000


def last_lba(lu: LogicalUnit) -> int:
    """RETURNED LOGICAL BLOCK ADDRESS; a medium without a block has none."""
    lu.check_ready()
    return lu.blocks - 1


@SBC.command(0x25, "READ CAPACITY(10)", usage="25 00 00 00 00 00 00 00 00 00", access=Access.ALWAYS)
def read_capacity_10(lu: LogicalUnit, task: Task) -> bytes:
    """SBC-3 section 5.15. FFFFFFFFh: ask READ CAPACITY(16)."""
    return READ_CAPACITY_10.pack(last_lba=min(last_lba(lu), 0xFFFF_FFFF), block_length=lu.block_size)


@SBC.command(
    0x9E, "READ CAPACITY(16)", service_action=0x10, access=Access.ALWAYS, allocation=field(10, 4),
    usage="9E 10 00 00 00 00 00 00 00 00 FF FF FF FF 00 00",
)
def read_capacity_16(lu: LogicalUnit, task: Task) -> bytes:
    """SBC-3 section 5.16."""
    provisioning = 0
    if lu.capabilities.discard:
        provisioning = _LBPME | (_LBPRZ if lu.capabilities.discard_zeroes else 0)
    return READ_CAPACITY_16.pack(
        last_lba=last_lba(lu), block_length=lu.block_size, exponents=physical_exponent(lu),
        lowest_aligned=provisioning,
    )


def physical_exponent(lu: LogicalUnit) -> int:
    """LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT: how often the block size doubles to the physical one."""
    return max(0, (lu.store.physical_block_size // lu.block_size).bit_length() - 1)


# Reading


def _forced_read(lu: LogicalUnit, task: Task, lba: int, blocks: int) -> Result:
    """READ with FUA: what is cached goes to the medium first (SBC-3 section 5.11)."""
    if lu.cached is not None:
        if not task.may_block:
            return BLOCKS
        write_back(lu)
    return lu.read(task, lba, blocks)


@SBC.command(0x08, "READ(6)", usage="08 1F FF FF FF 00", access=Access.READ, timeout=60)
def read_6(lu: LogicalUnit, task: Task) -> Result:
    """SBC-2; obsolete in SBC-3, and used all the same."""
    word, blocks = unpack_6(task.cdb)
    return lu.read(task, word & LBA_6, blocks or 256)


@SBC.command(0x28, "READ(10)", usage="28 18 FF FF FF FF 1F FF FF 00", access=Access.READ, timeout=60)
def read_10(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.11. RDPROTECT and RARC are refused; DPO and GROUP NUMBER are hints without effect."""
    flags, lba, blocks = unpack_10(task.cdb)
    if flags & FUA:
        return _forced_read(lu, task, lba, blocks)
    return lu.read(task, lba, blocks)


@SBC.command(0xA8, "READ(12)", usage="A8 18 FF FF FF FF FF FF FF FF 1F 00", access=Access.READ, timeout=60)
def read_12(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.12."""
    flags, lba, blocks = unpack_12(task.cdb)
    if flags & FUA:
        return _forced_read(lu, task, lba, blocks)
    return lu.read(task, lba, blocks)


@SBC.command(
    0x88, "READ(16)", usage="88 18 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", access=Access.READ, timeout=60
)
def read_16(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.13."""
    flags, lba, blocks = unpack_16(task.cdb)
    if flags & FUA:
        return _forced_read(lu, task, lba, blocks)
    return lu.read(task, lba, blocks)


# Writing


def _out_6(lu: LogicalUnit, cdb: bytes) -> int:
    return (cdb[4] or 256) << lu.shift


def _out_10(lu: LogicalUnit, cdb: bytes) -> int:
    return (cdb[7] << 8 | cdb[8]) << lu.shift


def _out_12(lu: LogicalUnit, cdb: bytes) -> int:
    return unpack_12(cdb)[2] << lu.shift  # type: ignore[no-any-return]


def _out_16(lu: LogicalUnit, cdb: bytes) -> int:
    return unpack_16(cdb)[2] << lu.shift  # type: ignore[no-any-return]


def _refuse_6(lu: LogicalUnit, cdb: bytes) -> None:
    lu.check_writable()
    lu.check_range(unpack_6(cdb)[0] & LBA_6, cdb[4] or 256)


def _refuse_write(unpack: Unpack) -> Callable[[LogicalUnit, bytes], None]:
    def refuse(lu: LogicalUnit, cdb: bytes) -> None:
        _, lba, blocks = unpack(cdb)
        lu.check_writable()
        lu.check_range(lba, blocks)

    return refuse


@SBC.command(
    0x0A, "WRITE(6)", usage="0A 1F FF FF FF 00", access=Access.WRITE, timeout=60,
    data_out=_out_6, refuse=_refuse_6,
)
def write_6(lu: LogicalUnit, task: Task) -> Result:
    """As READ(6)."""
    word, blocks = unpack_6(task.cdb)
    return lu.write(task, word & LBA_6, blocks or 256, 0)


@SBC.command(
    0x2A, "WRITE(10)", usage="2A 18 FF FF FF FF 1F FF FF 00", access=Access.WRITE, timeout=60,
    data_out=_out_10, refuse=_refuse_write(unpack_10),
)
def write_10(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.33. WRPROTECT is refused."""
    flags, lba, blocks = unpack_10(task.cdb)
    return lu.write(task, lba, blocks, flags & FUA)


@SBC.command(
    0xAA, "WRITE(12)", usage="AA 18 FF FF FF FF FF FF FF FF 1F 00", access=Access.WRITE, timeout=60,
    data_out=_out_12, refuse=_refuse_write(unpack_12),
)
def write_12(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.34."""
    flags, lba, blocks = unpack_12(task.cdb)
    return lu.write(task, lba, blocks, flags & FUA)


@SBC.command(
    0x8A, "WRITE(16)", usage="8A 18 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", access=Access.WRITE,
    timeout=60, data_out=_out_16, refuse=_refuse_write(unpack_16),
)
def write_16(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.35."""
    flags, lba, blocks = unpack_16(task.cdb)
    return lu.write(task, lba, blocks, flags & FUA)


# Verifying


def _compare_chunk(content: memoryview, expected: memoryview, lba: int, lu: LogicalUnit) -> None:
    """Raise MISCOMPARE with the LBA of the first block that differs."""
    if content == expected:
        return
    size = lu.block_size
    differs = next(
        start for start in range(0, len(content), size)
        if content[start:start + size] != expected[start:start + size]
    )
    raise CheckCondition(
        SenseKey.MISCOMPARE, Asc.MISCOMPARE_DURING_VERIFY_OPERATION, information=lba + (differs >> lu.shift)
    )


def _verify(lu: LogicalUnit, task: Task, lba: int, blocks: int, bytchk: int) -> None:
    """Read the range and compare it as BYTCHK says; of data cut short only what came is compared."""
    length = blocks << lu.shift
    wanted = memoryview(b"")
    if bytchk:
        wanted = memoryview(b"".join(lu.whole_blocks(task, length if bytchk == _ALL_DATA else lu.block_size)))
    if bytchk == _ALL_DATA:
        length = len(wanted)
    elif bytchk == _ONE_BLOCK:
        wanted = memoryview(bytes(wanted) * (min(length, CHUNK) // lu.block_size))
        length = length if wanted else 0
    scratch = memoryview(bytearray(min(length, CHUNK)))
    for done in range(0, length, CHUNK):
        content = scratch[:length - done]
        offset = (lba << lu.shift) + done
        with lu.exclusion.shared(offset, len(content)):
            read(lu.store, offset, content)
        if bytchk:
            start = done if bytchk == _ALL_DATA else 0
            _compare_chunk(content, wanted[start:start + len(content)], lba + (done >> lu.shift), lu)


def _bytchk(cdb: bytes) -> int:
    """BYTCHK; 10b is reserved."""
    bytchk = (cdb[1] & _BYTCHK) >> 1
    if bytchk not in (_NOTHING, _ALL_DATA, _ONE_BLOCK):
        raise invalid_field(1, 2)
    return bytchk


def _verify_out(unpack: Unpack) -> Callable[[LogicalUnit, bytes], int]:
    def data_out(lu: LogicalUnit, cdb: bytes) -> int:
        flags, _, blocks = unpack(cdb)
        bytchk = (flags & _BYTCHK) >> 1
        wanted = {_ALL_DATA: blocks, _ONE_BLOCK: min(blocks, 1)}.get(bytchk, 0)
        return wanted << lu.shift

    return data_out


def _refuse_verify(unpack: Unpack) -> Callable[[LogicalUnit, bytes], None]:
    def refuse(lu: LogicalUnit, cdb: bytes) -> None:
        _bytchk(cdb)
        _, lba, blocks = unpack(cdb)
        lu.check_range(lba, blocks)

    return refuse


def _declare_verify(opcode: int, name: str, usage: str, unpack: Unpack) -> None:
    """SBC-3 sections 5.29 to 5.31. VRPROTECT is refused; the MAXIMUM TRANSFER LENGTH applies."""

    @SBC.command(
        opcode, name, usage=usage, access=Access.READ, timeout=60,
        data_out=_verify_out(unpack), refuse=_refuse_verify(unpack),
    )
    def verify(lu: LogicalUnit, task: Task) -> Result:
        _, lba, blocks = unpack(task.cdb)
        bytchk = _bytchk(task.cdb)
        lu.check_range(lba, blocks)
        if not task.may_block:
            return BLOCKS
        write_back(lu)
        _verify(lu, task, lba, blocks, bytchk)
        return None


def _bytchk_of_written(cdb: bytes) -> int:
    """BYTCHK; 10b and 11b are reserved."""
    bytchk = (cdb[1] & _BYTCHK) >> 1
    if bytchk not in (_NOTHING, _ALL_DATA):
        raise invalid_field(1, 2)
    return bytchk


def _refuse_write_and_verify(unpack: Unpack) -> Callable[[LogicalUnit, bytes], None]:
    refuse_write = _refuse_write(unpack)

    def refuse(lu: LogicalUnit, cdb: bytes) -> None:
        _bytchk_of_written(cdb)
        refuse_write(lu, cdb)

    return refuse


def _declare_write_and_verify(opcode: int, name: str, usage: str, unpack: Unpack, data_out: object) -> None:
    """SBC-3 sections 5.37 to 5.39. Data goes to the medium and is read back; BYTCHK 01b compares it, too."""

    @SBC.command(
        opcode, name, usage=usage, access=Access.WRITE, timeout=60,
        data_out=data_out, refuse=_refuse_write_and_verify(unpack),
    )
    def write_and_verify(lu: LogicalUnit, task: Task) -> Result:
        _, lba, blocks = unpack(task.cdb)
        bytchk = _bytchk_of_written(task.cdb)
        if not task.may_block:
            return BLOCKS
        lu.write(task, lba, blocks, 1)
        _verify(lu, task, lba, blocks, bytchk)
        return None


_declare_verify(0x2F, "VERIFY(10)", "2F 16 FF FF FF FF 1F FF FF 00", unpack_10)
_declare_verify(0xAF, "VERIFY(12)", "AF 16 FF FF FF FF FF FF FF FF 1F 00", unpack_12)
_declare_verify(0x8F, "VERIFY(16)", "8F 16 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", unpack_16)
_declare_write_and_verify(0x2E, "WRITE AND VERIFY(10)", "2E 16 FF FF FF FF 1F FF FF 00", unpack_10, _out_10)
_declare_write_and_verify(
    0xAE, "WRITE AND VERIFY(12)", "AE 16 FF FF FF FF FF FF FF FF 1F 00", unpack_12, _out_12
)
_declare_write_and_verify(
    0x8E, "WRITE AND VERIFY(16)", "8E 16 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", unpack_16, _out_16
)


# Defects

READ_DEFECT_DATA_10: Final = Layout("READ DEFECT DATA (10) parameter data", 4, (
    ("_reserved", "x"), ("lists", "B"), ("length", "H"),
))
READ_DEFECT_DATA_12: Final = Layout("READ DEFECT DATA (12) parameter data", 8, (
    ("_reserved", "x"), ("lists", "B"), ("generation_code", "H"), ("length", "I"),
))
_FORMAT: Final = 0x07
_LAST_FORMAT: Final = 5  #: above are vendor specific and reserved ones


def _empty_lists(cdb: bytes, byte: int) -> int:
    """REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT at ``byte``, as the header repeats them: empty, any format fits."""
    if cdb[byte] & _FORMAT > _LAST_FORMAT:
        raise invalid_field(byte, 2)
    return cdb[byte]


@SBC.command(
    0x37, "READ DEFECT DATA(10)", usage="37 00 1F 00 00 00 00 FF FF 00", access=Access.READ, allocation=field(7, 2)
)
def read_defect_data_10(lu: LogicalUnit, task: Task) -> bytes:
    """SBC-3 section 5.17. Defects are dealt with below this; both lists are here, and empty."""
    return READ_DEFECT_DATA_10.pack(lists=_empty_lists(task.cdb, 2))


@SBC.command(
    0xB7, "READ DEFECT DATA(12)", usage="B7 1F FF FF FF FF FF FF FF FF 00 00", access=Access.READ,
    allocation=field(6, 4),
)
def read_defect_data_12(lu: LogicalUnit, task: Task) -> bytes:
    """SBC-3 section 5.18; no address descriptor has any ADDRESS DESCRIPTOR INDEX."""
    return READ_DEFECT_DATA_12.pack(lists=_empty_lists(task.cdb, 1))
