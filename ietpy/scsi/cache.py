"""What goes into the cache and out of it (SBC-3, Caches): PRE-FETCH, SYNCHRONIZE CACHE, writing back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ietpy.errors import StoreError
from ietpy.scsi.cdb import unpack_10, unpack_16
from ietpy.scsi.command import BLOCKS, Access, Blocks, CommandSet, Result
from ietpy.scsi.limits import CHUNK, PREFETCH
from ietpy.scsi.sense import store_failure
from ietpy.scsi.status import Status

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

CACHE: Final = CommandSet("SBC-3 caches")

_IMMED: Final = 0x02


def write_back(lu: LogicalUnit) -> None:
    """What the cache alone has goes to the medium; may wait for it. Its failure is a write error, whoever asks."""
    if lu.cached:
        try:
            lu.store.flush()
        except StoreError as error:
            lu.device.fault(lu, error, b"")
            raise store_failure(error, writing=True) from error
        lu.cached = not lu.write_through


def _to_the_end(lu: LogicalUnit, lba: int, blocks: int) -> int:
    """How many bytes a range has whose length 0 means all to the end of the medium. Raises if it is not there."""
    if lba + blocks > lu.blocks:
        raise lu.refusal(lba, blocks)
    return (blocks or lu.blocks - lba) << lu.shift


# PRE-FETCH


def _prefetch(lu: LogicalUnit, task: Task, flags: int, lba: int, blocks: int) -> Blocks | None:
    """CONDITION MET when the cache takes it all. Without IMMED it has been read when this is answered.

    A store that never answers at once has no cache; of more than ``PREFETCH`` bytes only so many are promised.
    """
    length = _to_the_end(lu, lba, blocks)
    if not task.may_block:
        return BLOCKS
    offset = lba << lu.shift
    wanted = min(length, PREFETCH) if lu.capabilities.immediate else 0
    lu.store.prefetch(offset, wanted)
    if not flags & _IMMED:
        scratch = memoryview(bytearray(min(wanted, CHUNK)))
        for done in range(0, wanted, CHUNK):
            lu.store.read(offset + done, scratch[:wanted - done])
    if wanted == length:
        task.status = Status.CONDITION_MET
    return None


@CACHE.command(0x34, "PRE-FETCH(10)", usage="34 02 FF FF FF FF 1F FF FF 00", access=Access.READ, timeout=60)
def pre_fetch_10(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.8. PREFETCH LENGTH 0: to the end of the medium. GROUP NUMBER is a hint without effect."""
    flags, lba, blocks = unpack_10(task.cdb)
    return _prefetch(lu, task, flags, lba, blocks)


@CACHE.command(
    0x90, "PRE-FETCH(16)", usage="90 02 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00", access=Access.READ, timeout=60
)
def pre_fetch_16(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.9."""
    flags, lba, blocks = unpack_16(task.cdb)
    return _prefetch(lu, task, flags, lba, blocks)


# SYNCHRONIZE CACHE


def _synchronize(lu: LogicalUnit, task: Task, lba: int, blocks: int) -> Blocks | None:
    """The whole cache, whatever the range, and before the answer, whatever IMMED says: so its status is the truth."""
    _to_the_end(lu, lba, blocks)
    if not task.may_block:
        return BLOCKS
    lu.store.flush()
    return None


@CACHE.command(
    0x35, "SYNCHRONIZE CACHE(10)", usage="35 02 FF FF FF FF 1F FF FF 00", access=Access.WRITE, timeout=120,
    writes=False,
)
def synchronize_cache_10(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.26."""
    _, lba, blocks = unpack_10(task.cdb)
    return _synchronize(lu, task, lba, blocks)


@CACHE.command(
    0x91, "SYNCHRONIZE CACHE(16)", usage="91 02 FF FF FF FF FF FF FF FF FF FF FF FF 1F 00",
    access=Access.WRITE, timeout=120, writes=False,
)
def synchronize_cache_16(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.27."""
    _, lba, blocks = unpack_16(task.cdb)
    return _synchronize(lu, task, lba, blocks)
