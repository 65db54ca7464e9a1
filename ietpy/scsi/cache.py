"""What goes into the cache and out of it (SBC-3, Caches): PRE-FETCH, SYNCHRONIZE CACHE, writing back.

What got lost on its way out of a write cache is nowhere any more, though the next attempt finds nothing wrong: to the
kernel the pages are clean. Initiators ask again (Linux does, five times), and must not be told that all is well. So a
unit that lost something of its cache fails whatever would say otherwise, until it is opened anew (decisions 60).
"""

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


class Cached:
    """What the cache of a unit alone may have. ``losses``: of its store, when there was nothing of that."""

    __slots__ = ("losses",)

    def __init__(self, losses: int) -> None:
        self.losses = losses


def fill(lu: LogicalUnit) -> None:
    """Write caching begins. The caller holds the device's lock."""
    before = lu.cached
    lu.cached = Cached(lu.store.losses if before is None else before.losses)


def empty(lu: LogicalUnit) -> None:
    """All that was written goes to the medium, or StoreError is raised; may wait for it."""
    cached = lu.cached
    if cached is None:
        lu.store.flush()
        return
    lu.store.commit(cached.losses)
    with lu.device.lock:
        if lu.cached is cached and lu.write_through:  # else it may be filled again already
            lu.cached = None


def lost(lu: LogicalUnit) -> bool:
    """Whether something of the cache may be nowhere any more. Needs no lock."""
    cached = lu.cached
    return cached is not None and lu.store.losses != cached.losses


def replaced(lu: LogicalUnit, losses: int) -> None:
    """All blocks were written anew since there were so many losses, and are stable: earlier ones harm nobody now."""
    with lu.device.lock:
        if lu.cached is not None:
            lu.cached = Cached(losses)


def write_back(lu: LogicalUnit) -> None:
    """What the cache alone has goes to the medium; may wait for it. Its failure is a write error, whoever asks."""
    if lu.cached is not None:
        try:
            empty(lu)
        except StoreError as error:
            lu.device.fault(lu, error, b"")
            raise store_failure(error, writing=True) from error


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
    empty(lu)
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
