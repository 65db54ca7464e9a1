"""UNMAP, WRITE SAME, GET LBA STATUS (SBC-3 sections 4.7.3, 5.4, 5.28, 5.43, 5.44): ranges freed or filled at once."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import field, unpack_10, unpack_16
from ietpy.scsi.command import BLOCKS, Access, Blocks, CommandSet, Result
from ietpy.scsi.limits import (
    CHUNK,
    LBA_STATUS_LOOKS,
    MAXIMUM_UNMAP,
    MAXIMUM_UNMAP_DESCRIPTORS,
    MAXIMUM_WRITE_SAME,
)
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter
from ietpy.scsi.status import SenseKey
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

PROVISIONING: Final = CommandSet("SBC-3 provisioning")


def _can_discard(lu: LogicalUnit) -> bool:
    """if the medium can discard"""
    return lu.capabilities.discard


# UNMAP

_HEADER: Final = 8
_DESCRIPTOR: Final = Struct(">QI4x")


def _list_length(lu: LogicalUnit, cdb: bytes) -> int:
    return cdb[7] << 8 | cdb[8]


def _refuse_unmap(lu: LogicalUnit, cdb: bytes) -> None:
    lu.check_writable()


def _descriptors(lu: LogicalUnit, data: bytes) -> list[tuple[int, int]]:
    """(LBA, blocks) of every block descriptor that is there as a whole, all of them checked (SBC-3 section 5.28.2)."""
    described = min(int.from_bytes(data[2:4], "big"), len(data) - _HEADER)
    ranges = [*_DESCRIPTOR.iter_unpack(data[_HEADER:_HEADER + described // _DESCRIPTOR.size * _DESCRIPTOR.size])]
    if len(ranges) > MAXIMUM_UNMAP_DESCRIPTORS:
        raise invalid_parameter(2)
    total = 0
    for index, (lba, blocks) in enumerate(ranges):
        if lba + blocks > lu.blocks:
            raise lu.refusal(lba, blocks)
        total += blocks
        if total << lu.shift > MAXIMUM_UNMAP:
            raise invalid_parameter(_HEADER + index * _DESCRIPTOR.size + 8)
    return ranges


@PROVISIONING.command(
    0x42, "UNMAP", usage="42 00 00 00 00 00 1F FF FF 00", access=Access.WRITE, available=_can_discard,
    data_out=_list_length, refuse=_refuse_unmap, timeout=120,
)
def unmap(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.28. Nothing happens unless all descriptors are right; ANCHOR is refused.

    What lies in one of the store's own units only in part may stay mapped. Without write cache it lasts, as writes do.
    """
    lu.check_writable()
    if not task.may_block:
        return BLOCKS
    length = _list_length(lu, task.cdb)
    if not length:
        return None
    data = task.parameter_list(max(length, _HEADER))
    ranges = [(lba << lu.shift, blocks << lu.shift) for lba, blocks in _descriptors(lu, data) if blocks]
    losses = lu.store.losses
    for span in ranges:
        with lu.readiness.writing(*span):
            lu.store.discard(*span)
    if ranges and lu.write_through:
        lu.store.commit(losses)
    return None


# GET LBA STATUS

LBA_STATUS_HEADER: Final = Layout("GET LBA STATUS parameter data header", 8, (
    ("parameter_data_length", "I"), ("_reserved", "4x"),
))
LBA_STATUS_DESCRIPTOR: Final = Layout("LBA status descriptor", 16, (
    ("lba", "Q"), ("blocks", "I"), ("provisioning_status", "B"), ("_reserved", "3x"),
))
_MAPPED: Final = 0  #: or unknown
_DEALLOCATED: Final = 1
_MOST: Final = 0xFFFF_FFFF  #: blocks of one descriptor

_allocation_length: Final = field(10, 4)


def _tells_what_is_mapped(lu: LogicalUnit) -> bool:
    """if the medium tells what is mapped"""
    return lu.capabilities.discard_zeroes


def _status_from(lu: LogicalUnit, lba: int) -> tuple[int, int]:
    """PROVISIONING STATUS of a block, and of how many from it on it is; one that is mapped in part is mapped."""
    mapped, length = lu.store.mapped(lba << lu.shift, (lu.blocks - lba) << lu.shift)
    if mapped:
        return _MAPPED, min(-(-length >> lu.shift), _MOST)
    blocks = min(length >> lu.shift, _MOST)
    return (_DEALLOCATED, blocks) if blocks else (_MAPPED, 1)


def _extents_from(lu: LogicalUnit, lba: int, count: int) -> list[tuple[int, int, int]]:
    """(LBA, blocks, PROVISIONING STATUS) of up to ``count`` extents, and as far as ``LBA_STATUS_LOOKS`` reach."""
    found: list[tuple[int, int, int]] = []
    for _ in range(LBA_STATUS_LOOKS):
        if lba == lu.blocks:
            break
        status, blocks = _status_from(lu, lba)
        start, before, same = found[-1] if found else (lba, 0, status)
        if same == status and before + blocks <= _MOST:
            found[-1:] = [(start, before + blocks, status)]
        elif len(found) == count:
            break
        else:
            found.append((lba, blocks, status))
        lba += blocks
    return found


@PROVISIONING.command(
    0x9E, "GET LBA STATUS", service_action=0x12, access=Access.READ, available=_tells_what_is_mapped,
    allocation=_allocation_length, usage="9E 12 FF FF FF FF FF FF FF FF FF FF FF FF 00 00",
)
def get_lba_status(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.4: as many descriptors as the allocation length takes, at least one; REPORT TYPE is refused."""
    lba = int.from_bytes(task.cdb[2:10], "big")
    lu.check_range(lba, 1)
    if not task.may_block:
        return BLOCKS
    room = (_allocation_length(task.cdb) - LBA_STATUS_HEADER.size) // LBA_STATUS_DESCRIPTOR.size
    descriptors = b"".join(
        LBA_STATUS_DESCRIPTOR.pack(lba=start, blocks=blocks, provisioning_status=status)
        for start, blocks, status in _extents_from(lu, lba, max(1, room))
    )
    return LBA_STATUS_HEADER.pack(parameter_data_length=4 + len(descriptors)) + descriptors


# WRITE SAME

_UNMAP: Final = 0x08
_NDOB: Final = 0x01


def unmaps_by_write_same_10(lu: LogicalUnit) -> bool:
    """LBPWS10: only without LBPRZ.

    With LBPRZ a block of anything but zeros is written, whatever UNMAP says (SBC-3 section 4.7.3.4). libiscsi wants it
    unmapped by the (10), so there the (16) and UNMAP have to do: initiators prefer those.
    """
    return lu.capabilities.discard and not lu.capabilities.discard_zeroes


def _unmaps_by_write_same_16(lu: LogicalUnit) -> bool:
    """LBPWS."""
    return lu.capabilities.discard


def _extent_of(lu: LogicalUnit, lba: int, blocks: int) -> int:
    """NUMBER OF LOGICAL BLOCKS; 0 means all to the end of the medium (WSNZ is 0)."""
    lu.check_range(lba, blocks or max(0, lu.blocks - lba), MAXIMUM_WRITE_SAME)
    return blocks or lu.blocks - lba


def _refuse_write_same(lu: LogicalUnit, flags: int, lba: int, blocks: int, *, unmaps: bool) -> None:
    lu.check_writable()
    if flags & _UNMAP and not unmaps:
        raise invalid_field(1, 3)
    _extent_of(lu, lba, blocks)


def _refuse_write_same_10(lu: LogicalUnit, cdb: bytes) -> None:
    _refuse_write_same(lu, *unpack_10(cdb), unmaps=unmaps_by_write_same_10(lu))


def _refuse_write_same_16(lu: LogicalUnit, cdb: bytes) -> None:
    _refuse_write_same(lu, *unpack_16(cdb), unmaps=_unmaps_by_write_same_16(lu))


def _fill(lu: LogicalUnit, offset: int, length: int, block: bytes) -> None:
    """Write ``block`` over and over, in chunks."""
    chunk = memoryview(block * (min(length, CHUNK) // len(block)))
    for done in range(0, length, CHUNK):
        part = chunk[:length - done]
        with lu.readiness.writing(offset + done, len(part)):
            lu.store.write(offset + done, [part], lu.write_through)


def _write_same(lu: LogicalUnit, task: Task, flags: int, lba: int, blocks: int) -> Blocks | None:
    """Blocks of zeros are freed where UNMAP asks for it and they read as zeros then, else zeroed cheaply."""
    if not task.may_block:
        return BLOCKS
    length = _extent_of(lu, lba, blocks) << lu.shift
    offset = lba << lu.shift
    block = b""
    if not flags & _NDOB:
        block = b"".join(task.data)
        if len(block) != lu.block_size or task.expected > lu.block_size:  # part of a block, or two: not as told
            raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    if not length:
        return None
    if block.strip(b"\0"):
        _fill(lu, offset, length, block)
        return None
    losses = lu.store.losses
    with lu.readiness.writing(offset, length):
        if flags & _UNMAP and lu.capabilities.discard_zeroes:
            lu.store.discard(offset, length)
        else:
            lu.store.zero(offset, length)
    if lu.write_through:
        lu.store.commit(losses)
    return None


def _one_block(lu: LogicalUnit, cdb: bytes) -> int:
    return lu.block_size


def _one_block_or_none(lu: LogicalUnit, cdb: bytes) -> int:
    return 0 if cdb[1] & _NDOB else lu.block_size


@PROVISIONING.command(
    0x41, "WRITE SAME(10)", usage="41 08 FF FF FF FF 1F FF FF 00", access=Access.WRITE, timeout=120,
    data_out=_one_block, refuse=_refuse_write_same_10,
)
def write_same_10(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.43. WRPROTECT and ANCHOR are refused."""
    _refuse_write_same_10(lu, task.cdb)
    flags, lba, blocks = unpack_10(task.cdb)
    return _write_same(lu, task, flags, lba, blocks)


@PROVISIONING.command(
    0x93, "WRITE SAME(16)", usage="93 09 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", access=Access.WRITE,
    timeout=120, data_out=_one_block_or_none, refuse=_refuse_write_same_16,
)
def write_same_16(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.44; with NDOB there is no data and the block is zeros."""
    _refuse_write_same_16(lu, task.cdb)
    flags, lba, blocks = unpack_16(task.cdb)
    return _write_same(lu, task, flags, lba, blocks)
