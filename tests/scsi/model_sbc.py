"""Commands of SBC-3 in the model: capacity, reading, writing, comparing, provisioning, caches, removal."""

from __future__ import annotations

from typing import Any, Final

from tests.scsi.model import Nexus, Unit
from tests.scsi.model_rows import ALWAYS, BY_EXCLUSIVE_ACCESS, NEVER, command
from tests.scsi.model_sense import (
    CONDITION_MET,
    GOOD,
    MISCOMPARE,
    Check,
    bad_cdb,
    bad_list,
    number,
    too_short,
)

MISCOMPARED: Final = 0x1D00

#: (first byte, width) of LOGICAL BLOCK ADDRESS and of the number of blocks, by the length of the CDB.
FIELDS: Final = {6: ((1, 3), (4, 1)), 10: ((2, 4), (7, 2)), 12: ((2, 4), (6, 4)), 16: ((2, 8), (10, 4))}
LENGTHS: Final = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}  #: of CDBs, by the upper three bits of the operation code


def extent(cdb: bytes) -> tuple[int, int]:
    """LBA and blocks; READ(6) and WRITE(6) with 0 move 256."""
    length = LENGTHS[cdb[0] >> 5]
    (lba, width), blocks = FIELDS[length]
    if length == 6:
        return number(cdb, 1, 3) & 0x1FFFFF, cdb[4] or 256
    return number(cdb, lba, width), number(cdb, *blocks)


def forced(cdb: bytes) -> bool:
    """FUA"""
    return cdb[0] not in (0x08, 0x0A) and bool(cdb[1] & 0x08)


def whole_blocks(unit: Unit, out: bytes) -> bytes:
    """Choice: of data cut short the whole blocks are used."""
    return out[:len(out) // unit.block * unit.block]


def to_the_end(unit: Unit, lba: int, blocks: int) -> int:
    """0 blocks: all that are behind ``lba``."""
    unit.check_range(lba, blocks)
    return blocks or unit.blocks - lba


def first_difference(one: bytes, other: bytes) -> int:
    return next(place for place, (left, right) in enumerate(zip(one, other, strict=True)) if left != right)


USAGE: Final = {
    6: "{:02X} 1F FF FF FF 00",
    10: "{:02X} {:02X} FF FF FF FF 1F FF FF 00",
    12: "{:02X} {:02X} FF FF FF FF FF FF FF FF 1F 00",
    16: "{:02X} {:02X} FF FF FF FF FF FF FF FF FF FF FF FF 1F 00",
}


def family(name: str, opcodes: tuple[int, ...], bits: int, denied: int, **fields: Any) -> Any:
    """One command in several lengths. ``bits``: those of byte 1 that are not reserved."""

    def declare(function: Any) -> Any:
        for opcode in opcodes:
            length = LENGTHS[opcode >> 5]
            command(USAGE[length].format(opcode, bits), f"{name}({length})", denied, medium=True, **fields)(function)
        return function

    return declare


# Capacity


@command("25 00 00 00 00 00 00 00 00 00", "READ CAPACITY(10)", NEVER)
def read_capacity_10(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    unready = unit.unready()
    if unready is not None:
        raise unready
    return (unit.blocks - 1).to_bytes(4, "big") + unit.block.to_bytes(4, "big")


@command("9E 10 00 00 00 00 00 00 00 00 FF FF FF FF 00 00", "READ CAPACITY(16)", NEVER, 0x10, allocation=(10, 4))
def read_capacity_16(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """LBPME and LBPRZ; physical blocks of these tests have 4096 bytes."""
    unready = unit.unready()
    if unready is not None:
        raise unready
    exponent = (4096 // unit.block).bit_length() - 1
    thin = {"zeros": 0xC0, "free": 0x80, "": 0}[unit.medium.traits.thin]
    return (unit.blocks - 1).to_bytes(8, "big") + unit.block.to_bytes(4, "big") + bytes((0, exponent, thin)) + bytes(17)


# Reading and writing


@family("READ", (0x08, 0x28, 0xA8, 0x88), 0x18, BY_EXCLUSIVE_ACCESS)
def read(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """5.8: with FUA what was cached is on the medium. Choice: if it cannot be written, a wrong range goes unnoticed."""
    lba, blocks = extent(cdb)
    if forced(cdb):
        doubt_write_back(unit)
    unit.check_range(lba, blocks)
    if forced(cdb):
        write_back(unit, lba, blocks)
    return unit.medium.read(lba * unit.block, blocks * unit.block)


def doubt_write_back(unit: Unit) -> None:
    """Something may have to be written, and that may fail; or all is on the medium already."""
    if unit.medium.fault is not None:
        unit.doubt = Check(*unit.medium.fault[True])


def write_back(unit: Unit, lba: int, blocks: int) -> None:
    """What this unit has cached of a range goes to the medium, also if it caches no more."""
    doubt_write_back(unit)
    if unit.medium.fault is None:
        unit.medium.flush(unit.bit, lba * unit.block, blocks * unit.block)


def all_blocks(unit: Unit, cdb: bytes) -> int:
    return extent(cdb)[1] * unit.block


@family("WRITE", (0x0A, 0x2A, 0xAA, 0x8A), 0x18, ALWAYS, out=all_blocks)
def write(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    store(unit, *extent(cdb), out, forced(cdb))


def store(unit: Unit, lba: int, blocks: int, out: bytes, force: bool) -> bytes:
    """The data that were written."""
    unit.check_writable()
    unit.check_range(lba, blocks)
    data = whole_blocks(unit, out)
    if data:
        unit.medium.write(lba * unit.block, data, 0 if force else unit.cache_bit)
    return data


# Verifying


def to_compare(unit: Unit, cdb: bytes) -> int:
    """BYTCHK: all blocks, one, or none."""
    bytchk, blocks = cdb[1] >> 1 & 3, extent(cdb)[1]
    return {1: blocks, 3: min(blocks, 1)}.get(bytchk, 0) * unit.block


def compare(unit: Unit, lba: int, content: bytes, wanted: bytes) -> None:
    """Choice: INFORMATION is the first LBA that differs."""
    if content != wanted:
        differs = lba + first_difference(content, wanted) // unit.block
        raise Check(MISCOMPARE, MISCOMPARED, information=differs)


@family("VERIFY", (0x2F, 0xAF, 0x8F), 0x16, BY_EXCLUSIVE_ACCESS, out=to_compare)
def verify(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.28: the medium is looked at, so the cache goes there first. Choice: of data cut short what came is compared."""
    lba, blocks = extent(cdb)
    bytchk = cdb[1] >> 1 & 3
    if bytchk == 2:
        raise bad_cdb(1)
    unit.check_range(lba, blocks)
    write_back(unit, lba, blocks)
    start, size = lba * unit.block, unit.block
    if bytchk == 0:
        unit.medium.read(start, blocks * size)
        return
    data = whole_blocks(unit, out)
    if bytchk == 3:
        data *= blocks
    compare(unit, lba, unit.medium.read(start, len(data)), data)


@family("WRITE AND VERIFY", (0x2E, 0xAE, 0x8E), 0x16, ALWAYS, out=all_blocks)
def write_and_verify(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.35: it is on the medium that it is verified. Of BYTCHK 10b and 11b are reserved."""
    if cdb[1] & 0x04:
        raise bad_cdb(1)
    store(unit, *extent(cdb), out, force=True)


# One uninterrupted sequence


@command(
    "89 18 FF FF FF FF FF FF FF FF 00 00 00 FF 1F 00", "COMPARE AND WRITE", ALWAYS, medium=True,
    out=lambda unit, cdb: 2 * cdb[13] * unit.block,
)
def compare_and_write(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.2. INFORMATION is the offset of the first byte that differs.

    Choice: data that lack a byte, or have another pair of blocks, are an invalid NUMBER OF LOGICAL BLOCKS.
    """
    lba, blocks = number(cdb, 2, 8), cdb[13]
    unit.check_writable()
    unit.check_range(lba, blocks)
    length = blocks * unit.block
    if len(out) < 2 * length or announced >= 2 * (length + unit.block):
        raise bad_cdb(13)
    if not blocks:
        return
    found = unit.medium.read(lba * unit.block, length)
    if found != out[:length]:
        if forced(cdb):
            write_back(unit, lba, blocks)
        raise Check(MISCOMPARE, MISCOMPARED, information=first_difference(found, out[:length]))
    unit.medium.write(lba * unit.block, out[length:], 0 if forced(cdb) else unit.cache_bit)


@family("ORWRITE", (0x8B,), 0x18, ALWAYS, out=all_blocks)
def or_write(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    lba, blocks = extent(cdb)
    unit.check_writable()
    unit.check_range(lba, blocks)
    data = whole_blocks(unit, out)
    if data:
        start = lba * unit.block
        found = unit.medium.read(start, len(data))
        merged = bytes(left | right for left, right in zip(found, data, strict=True))
        unit.medium.write(start, merged, 0 if forced(cdb) else unit.cache_bit)


# Provisioning


@command(
    "42 00 00 00 00 00 1F FF FF 00", "UNMAP", ALWAYS, medium=True, out=lambda unit, cdb: number(cdb, 7, 2),
    have=lambda unit: unit.medium.traits.thin != "",
)
def unmap(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.27: nothing is unmapped unless all descriptors are right; a part of one is ignored.

    What is unmapped reads as zeros here, also where LBPRZ does not promise it: the tests' store does so.
    """
    unit.check_writable()
    length = number(cdb, 7, 2)
    if not length:
        return
    if len(out) < max(length, 8):
        raise too_short()
    end = 8 + min(number(out, 2, 2), len(out) - 8)
    ranges = [(number(out, at, 8), number(out, at + 8, 4)) for at in range(8, end - 15, 16)]
    if len(ranges) > 256:
        raise bad_list(2)
    for lba, blocks in ranges:
        unit.check_range(lba, blocks)
    for lba, blocks in ranges:
        if blocks:
            unit.medium.write(lba * unit.block, bytes(blocks * unit.block), unit.cache_bit)


def write_same_out(unit: Unit, cdb: bytes) -> int:
    return 0 if cdb[0] == 0x93 and cdb[1] & 1 else unit.block


def write_same(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.44. Choice: exactly one block of Data-Out; WRITE SAME(10) unmaps only where LBPRZ is 0."""
    lba, blocks = extent(cdb)
    thin = unit.medium.traits.thin
    unit.check_writable()
    if cdb[1] & 0x08 and not (thin == "free" or (thin == "zeros" and cdb[0] == 0x93)):
        raise bad_cdb(1)
    blocks = to_the_end(unit, lba, blocks)
    without_data = cdb[0] == 0x93 and cdb[1] & 1
    if not without_data and (len(out) != unit.block or announced > unit.block):
        raise bad_cdb()
    if blocks:
        pattern = bytes(unit.block) if without_data else out
        unit.medium.write(lba * unit.block, pattern * blocks, unit.cache_bit)


command(
    "41 08 FF FF FF FF 1F FF FF 00", "WRITE SAME(10)", ALWAYS, medium=True, out=write_same_out
)(write_same)
command(
    "93 09 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", "WRITE SAME(16)", ALWAYS, medium=True, out=write_same_out
)(write_same)


@command(
    "9E 12 FF FF FF FF FF FF FF FF FF FF FF FF 00 00", "GET LBA STATUS", BY_EXCLUSIVE_ACCESS, 0x12, medium=True,
    allocation=(10, 4), have=lambda unit: unit.medium.traits.thin == "zeros",
)
def get_lba_status(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """5.5. Choice: as many descriptors as the allocation length takes, one at least; neighbours differ in status."""
    lba = number(cdb, 2, 8)
    unit.check_range(lba, 1)
    room = max(1, (number(cdb, 10, 4) - 8) // 16)
    found: list[list[int]] = []
    while lba < unit.blocks:
        status = 0 if unit.medium.is_mapped(lba * unit.block, unit.block) else 1
        if found and found[-1][2] == status:
            found[-1][1] += 1
        elif len(found) == room:
            break
        else:
            found.append([lba, 1, status])
        lba += 1
    body = b"".join(
        start.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes((status, 0, 0, 0))
        for start, blocks, status in found
    )
    return (4 + len(body)).to_bytes(4, "big") + bytes(4) + body


# Caches


@command("34 02 FF FF FF FF 1F FF FF 00", "PRE-FETCH(10)", BY_EXCLUSIVE_ACCESS, medium=True)
@command("90 02 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", "PRE-FETCH(16)", BY_EXCLUSIVE_ACCESS, medium=True)
def pre_fetch(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> int:
    """CONDITION MET if all of it fits the cache, if there is one. Choice: without IMMED it has been read."""
    lba, blocks = extent(cdb)
    length = to_the_end(unit, lba, blocks) * unit.block
    if not unit.medium.traits.cached and length:
        return GOOD
    if not cdb[1] & 2:
        unit.medium.read(lba * unit.block, length)
    return CONDITION_MET


@command("35 02 FF FF FF FF 1F FF FF 00", "SYNCHRONIZE CACHE(10)", ALWAYS, medium=True)
@command("91 02 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", "SYNCHRONIZE CACHE(16)", ALWAYS, medium=True)
def synchronize_cache(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    lba, blocks = extent(cdb)
    blocks = to_the_end(unit, lba, blocks)
    unit.medium.flush(unit.bit, lba * unit.block, blocks * unit.block)


# Defects


def defects(cdb: bytes, byte: int) -> int:
    """Choice: both lists are empty, in whatever format; formats above 101b are vendor specific or reserved."""
    if cdb[byte] & 7 > 5:
        raise bad_cdb(byte)
    return cdb[byte]


@command("37 00 1F 00 00 00 00 FF FF 00", "READ DEFECT DATA(10)", BY_EXCLUSIVE_ACCESS, medium=True, allocation=(7, 2))
def read_defect_data_10(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    return bytes((0, defects(cdb, 2), 0, 0))


@command(
    "B7 1F FF FF FF FF FF FF FF FF 00 00", "READ DEFECT DATA(12)", BY_EXCLUSIVE_ACCESS, medium=True, allocation=(6, 4)
)
def read_defect_data_12(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    return bytes((0, defects(cdb, 1), 0, 0, 0, 0, 0, 0))
