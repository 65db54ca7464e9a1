"""The port between a logical unit and what holds its bytes. ``stores`` implement it; ``scsi`` only calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ietpy.errors import StoreError


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do; the device server adapts and never assumes.

    ``immediate``: writes without FUA and reads that ``read_now`` takes never wait for a device, so they may run in
    the connection's own thread. ``commits``: has ``mark`` and ``commit``, so that writes may be made stable together.
    ``batches``: it is a BatchingStore. ``extents``: ``extent`` may promise bytes for sendfile. ``discard``:
    ``discard`` frees space, and what was freed reads as zeros when ``discard_zeroes``. ``rotational``: None if not
    known.
    """

    immediate: bool = False
    commits: bool = False
    batches: bool = False
    extents: bool = False
    discard: bool = False
    discard_zeroes: bool = False
    rotational: bool | None = None


class Move(NamedTuple):
    """One of many reads (into ``views``) and writes; whole blocks, and no more than ``limits.JOINT_TRANSFER`` bytes."""

    offset: int
    length: int
    views: Sequence[memoryview]
    writes: bool


class Extent:
    """A promise of ``length`` bytes at ``offset`` of file descriptor ``fd``, to be sent straight from the file.

    The core calls ``len()`` on it and nothing else; only ``server.egress`` reads ``fd`` and ``offset``. ``context``
    belongs to whoever put the extent into an outbox.
    """

    __slots__ = ("context", "fd", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int) -> None:
        self.fd = fd
        self.offset = offset
        self.length = length
        self.context: object = None

    def __len__(self) -> int:
        return self.length


class BackingStore(Protocol):
    """Bytes 0 to ``size`` - 1. Callers pass offsets and lengths inside that range, in whole blocks of the LUN.

    All methods may be called from several threads at once. Every failure is a StoreError with an errno. ``read``
    fills the whole buffer or raises. A write that returned is in the page cache at least; with ``fua`` (or after
    ``flush``) it is on stable storage.
    """

    size: int  #: bytes; whoever finds with ``measured`` that there are others now writes so

    @property
    def block_size(self) -> int:
        """The smallest logical block the medium can be addressed by, in bytes (512 for files)."""

    @property
    def physical_block_size(self) -> int:
        """Bytes the medium writes at once, a multiple of ``block_size``."""

    @property
    def capabilities(self) -> Capabilities: ...

    def read(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``; may wait for a device."""

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        """Fill ``buffer`` if that needs no waiting; False: nothing promised about its content, use ``read``."""

    def extent(self, offset: int, length: int) -> Extent | None:
        """A promise of these bytes, or None where they must be read."""

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        """Write the concatenation of ``views`` at ``offset``. ``views`` may have any alignment."""

    @property
    def losses(self) -> int:
        """How often something that was written may have got lost on its way to stable storage; never fewer.

        To be asked before a write without FUA that ``commit`` shall make stable.
        """

    def mark(self) -> int | None:
        """As ``losses``; None: the write could wait just now."""

    def commit(self, mark: int) -> None:
        """As ``flush``; raises StoreError also if there were more losses than ``mark`` before it or meanwhile."""

    def flush(self) -> None:
        """Bring everything written so far to stable storage, but for what has got lost before."""

    def discard(self, offset: int, length: int) -> None:
        """Give the space back, if ``capabilities.discard``."""

    def zero(self, offset: int, length: int) -> None:
        """Make the range read as zeros, by the cheapest way that allocates or frees as the store likes."""

    def mapped(self, offset: int, length: int) -> tuple[bool, int]:
        """Whether space is allocated at ``offset``, and for how many bytes on (1 to ``length``) that holds.

        True where the medium does not tell; False only for bytes that read as zeros.
        """

    def copy(self, offset: int, source: BackingStore, source_offset: int, length: int) -> bool:
        """Copy from another store, or from elsewhere in this one, without moving the bytes through this process.

        False: it cannot, nothing was copied; ranges that overlap need not be tried. Durable after ``flush``.
        """

    def prefetch(self, offset: int, length: int) -> None:
        """Bring the range into the cache, if there is one; a hint that never fails."""

    def measured(self) -> int:
        """Bytes the medium has now, which others may have changed; may wait for a device."""

    def resize(self, size: int) -> None:
        """Give the medium so many bytes; ``size`` is not changed. StoreError where that is not for us to do."""

    def close(self) -> None:
        """Release the medium; idempotent."""


class BatchingStore(BackingStore, Protocol):
    """One whose reads and writes all wait for a device, which takes many at once."""

    def move(self, moves: Sequence[Move]) -> Sequence[StoreError | None]:
        """Do all of these, in any order and without FUA; why each failed, or None. Raises nothing."""

    def begin(self, moves: Sequence[Move]) -> Batch | None:
        """Begin these, in any order and without FUA, if it need not wait for anything. Reads come to ``Batch.data``."""


class Batch(Protocol):
    """Reads and writes under way: one thread at a time waits for them, looks at each, and closes it. Raises nothing."""

    def wait(self, seconds: float | None = None) -> bool:
        """Whether all have ended, within so many seconds."""

    def failure(self, number: int) -> StoreError | None:
        """Why the move of this number failed, or None. Raises BlockingIOError if it has not been done."""

    def data(self, number: int) -> memoryview:
        """What a read has brought, until ``close``."""

    def close(self) -> None:
        """Let go of it, all having ended."""
