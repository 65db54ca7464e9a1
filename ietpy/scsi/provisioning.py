"""UNMAP, WRITE SAME, GET LBA STATUS (SBC-3 sections 4.7.3, 5.5, 5.27, 5.44, 5.45): ranges freed or filled at once."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import field, unpack_10, unpack_16
from ietpy.scsi.command import BLOCKS, Access, Blocks, CommandSet, Result
from ietpy.scsi.limits import CHUNK, MAXIMUM_UNMAP, MAXIMUM_UNMAP_DESCRIPTORS, MAXIMUM_WRITE_SAME
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter, list_length_error
from ietpy.scsi.status import SenseKey
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

PROVISIONING: Final = CommandSet("SBC-3 provisioning")


def _can_discard(lu: LogicalUnit) -> bool:
    return lu.capabilities.discard


# UNMAP

_HEADER: Final = 8
_DESCRIPTOR: Final = Struct(">QI4x")


def _list_length(lu: LogicalUnit, cdb: bytes) -> int:
    return cdb[7] << 8 | cdb[8]


def _refuse_unmap(lu: LogicalUnit, cdb: bytes) -> None:
    lu.check_writable()


def _descriptors(lu: LogicalUnit, data: bytes) -> list[tuple[int, int]]:
    """(LBA, blocks) of every block descriptor, all of them checked (SBC-3 section 5.27.2)."""
    described = int.from_bytes(data[2:4], "big")
    if described % _DESCRIPTOR.size or _HEADER + described > len(data):
        raise list_length_error()
    if described // _DESCRIPTOR.size > MAXIMUM_UNMAP_DESCRIPTORS:
        raise invalid_parameter(2)
    ranges = list(_DESCRIPTOR.iter_unpack(data[_HEADER:_HEADER + described]))
    for index, (lba, blocks) in enumerate(ranges):
        if lba + blocks > lu.blocks:
            raise lu.refusal(lba, blocks)
        if blocks << lu.shift > MAXIMUM_UNMAP:
            raise invalid_parameter(_HEADER + index * _DESCRIPTOR.size + 8)
    return ranges


@PROVISIONING.command(
    0x42, "UNMAP", usage="42 00 00 00 00 00 1F FF FF 00", access=Access.WRITE, available=_can_discard,
    data_out=_list_length, refuse=_refuse_unmap, timeout=120,
)
def unmap(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.27. Nothing happens unless all descriptors are right; ANCHOR is refused."""
    lu.check_writable()
    if not task.may_block:
        return BLOCKS
    length = _list_length(lu, task.cdb)
    if not length:
        return None
    data = b"".join(task.data)[:length]
    if len(data) < max(length, _HEADER):
        raise list_length_error()
    for lba, blocks in _descriptors(lu, data):
        if blocks:
            lu.store.discard(lba << lu.shift, blocks << lu.shift)
    return None


# GET LBA STATUS

#: SBC-3 section 5.5.2, with one LBA status descriptor.
LBA_STATUS: Final = Layout("GET LBA STATUS parameter data", 24, (
    ("parameter_data_length", "I"), ("_reserved", "4x"),
    ("lba", "Q"), ("blocks", "I"), ("provisioning_status", "B"), ("_reserved", "3x"),
))
_MAPPED_OR_UNKNOWN: Final = 0


@PROVISIONING.command(
    0x9E, "GET LBA STATUS", service_action=0x12, access=Access.READ, available=_can_discard, allocation=field(10, 4),
    usage="9E 12 FF FF FF FF FF FF FF FF FF FF FF FF 00 00",
)
def get_lba_status(lu: LogicalUnit, task: Task) -> bytes:
    """SBC-3 section 5.5, mandatory with UNMAP. Stores do not tell holes from data, so all blocks may be mapped."""
    lba = int.from_bytes(task.cdb[2:10], "big")
    lu.check_range(lba, 1)
    return LBA_STATUS.pack(
        parameter_data_length=LBA_STATUS.size - 4, lba=lba, blocks=min(lu.blocks - lba, 0xFFFF_FFFF),
        provisioning_status=_MAPPED_OR_UNKNOWN,
    )


# WRITE SAME

_UNMAP: Final = 0x08
_NDOB: Final = 0x01


def _extent_of(lu: LogicalUnit, lba: int, blocks: int) -> int:
    """NUMBER OF LOGICAL BLOCKS; 0 means all to the end of the medium (WSNZ is 0)."""
    lu.check_range(lba, blocks or max(0, lu.blocks - lba), MAXIMUM_WRITE_SAME)
    return blocks or lu.blocks - lba


def _refuse_write_same(lu: LogicalUnit, flags: int, lba: int, blocks: int) -> None:
    if flags & _UNMAP and not lu.capabilities.discard:
        raise invalid_field(1, 3)
    lu.check_writable()
    _extent_of(lu, lba, blocks)


def _fill(lu: LogicalUnit, offset: int, length: int, block: bytes) -> None:
    """Write ``block`` over and over, in chunks."""
    chunk = memoryview(block * (min(length, CHUNK) // len(block)))
    for done in range(0, length, CHUNK):
        lu.store.write(offset + done, [chunk[:length - done]], lu.write_through)


def _write_same(lu: LogicalUnit, task: Task, flags: int, lba: int, blocks: int) -> Blocks | None:
    """Blocks of zeros are freed where UNMAP asks for it and they read as zeros then, else zeroed cheaply."""
    _refuse_write_same(lu, flags, lba, blocks)
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
    if flags & _UNMAP and lu.capabilities.discard_zeroes:
        lu.store.discard(offset, length)
    else:
        lu.store.zero(offset, length)
    if lu.write_through:
        lu.store.flush()
    return None


def _one_block(lu: LogicalUnit, cdb: bytes) -> int:
    return lu.block_size


def _one_block_or_none(lu: LogicalUnit, cdb: bytes) -> int:
    return 0 if cdb[1] & _NDOB else lu.block_size


def _early(unpack: Callable[[bytes], tuple[int, int, int]]) -> Callable[[LogicalUnit, bytes], None]:
    def refuse(lu: LogicalUnit, cdb: bytes) -> None:
        _refuse_write_same(lu, *unpack(cdb))

    return refuse


@PROVISIONING.command(
    0x41, "WRITE SAME(10)", usage="41 08 FF FF FF FF 1F FF FF 00", access=Access.WRITE, timeout=120,
    data_out=_one_block, refuse=_early(unpack_10),
)
def write_same_10(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.44. WRPROTECT and ANCHOR are refused."""
    flags, lba, blocks = unpack_10(task.cdb)
    return _write_same(lu, task, flags, lba, blocks)


@PROVISIONING.command(
    0x93, "WRITE SAME(16)", usage="93 09 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", access=Access.WRITE,
    timeout=120, data_out=_one_block_or_none, refuse=_early(unpack_16),
)
def write_same_16(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.45; with NDOB there is no data and the block is zeros."""
    flags, lba, blocks = unpack_16(task.cdb)
    return _write_same(lu, task, flags, lba, blocks)
