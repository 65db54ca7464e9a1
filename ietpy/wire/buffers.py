"""Memory that payload passes through: a receive window of reusable chunks, and a pool of staging buffers.

Payload is never copied in Python: the window hands out views of the very bytes the kernel wrote, and a chunk is
reused only when nobody holds such a view (``pins``). Nothing here knows a protocol.
"""

from __future__ import annotations

import errno
import mmap
from collections import defaultdict
from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import Any, Final, cast

from ietpy.errors import NoRoom, StoreError

#: Room for one receive call: 32 outstanding 8 KiB writes, or two 256 KiB segments with their headers, which are then
#: not cut: alone, such writes take 1.08 times the time in chunks of 512 KiB (2026-11).
CHUNK_SIZE: Final = 516 * 1024
#: With less room than this left behind pinned data a receive call would be too short to be worth it.
LOW_WATER: Final = 64 * 1024
#: An incomplete item this short is moved to a fresh chunk rather than handed out in two pieces.
MOVE_LIMIT: Final = 16 * 1024
#: Chunks kept for reuse, by all who share them, and staging memory of each power-of-two size, by a connection.
KEPT_CHUNKS: Final = 32
KEPT_STAGING: Final = 4 * 1024 * 1024
#: Of all sizes together: with more of them, what is kept is let go.
KEPT_IN_ALL: Final = 2 * KEPT_STAGING
#: Staging memory of more than this is counted, for all together, while it is lent.
COUNTED: Final = 1024 * 1024
_PRIVATE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Budget:
    """How much large staging memory all may be lent together, and one ``owner`` half of. ``lock`` guards it.

    It must be re-entrant: the collector may have a buffer give back what it had in the midst of ``take``.
    """

    def __init__(self, lock: AbstractContextManager[Any], limit: int) -> None:
        self.limit = limit
        self._lock = lock
        self.used = 0
        self._shares: defaultdict[Hashable, int] = defaultdict(int)

    def take(self, owner: Hashable, size: int) -> bool:
        """Whether there is room for ``size`` bytes; who has nothing yet may have more than half."""
        with self._lock:
            share = self._shares.get(owner, 0)
            if self.used + size > self.limit or (share and share + size > self.limit // 2):
                return False
            self.used += size
            self._shares[owner] += size  # not ``share`` and that: it may be less by now
            return True

    def give(self, owner: Hashable, size: int) -> None:
        with self._lock:
            self.used -= size
            self._shares[owner] -= size
            if not self._shares[owner]:
                del self._shares[owner]


class _Staging(mmap.mmap):
    """Tells what a pool has lent from other memory. ``counted``: in which budget, while it is lent; whose, how much."""

    counted: tuple[Budget, Hashable, int] | None = None

    def release(self) -> None:
        """It is lent no more."""
        if self.counted is not None:
            budget, owner, size = self.counted
            self.counted = None
            budget.give(owner, size)

    __del__ = release  # of a task that was aborted nobody gives it back


def pages(size: int, kind: type[mmap.mmap] = mmap.mmap) -> mmap.mmap:
    """Memory that takes none before it is touched (a bytearray is zeroed as a whole), and is given back at once.

    Raises OSError when the system has none left.
    """
    return kind(-1, size, flags=_PRIVATE)


def forget(buffer: mmap.mmap) -> None:
    """Take what is in these pages, and the memory with it, until they are touched again."""
    buffer.madvise(mmap.MADV_DONTNEED)


class Chunk:
    """A stretch of receive memory; ``pins`` counts the holders of views into it besides the window."""

    __slots__ = ("buffer", "pins", "view")

    def __init__(self, size: int = CHUNK_SIZE) -> None:
        self.buffer = pages(size)
        self.view = memoryview(self.buffer)
        self.pins = 0


class ReceiveWindow:
    """Where received bytes land: ``chunk[start:end]`` is received and not yet consumed.

    The owner moves ``start`` and ``end``; ``space`` decides where the next bytes go. ``need`` is how many bytes
    from ``start`` the owner waits for (0: as many as come). ``free``: chunks of this size that windows have in common;
    several threads may use it, as taking one and leaving one are one step each.
    """

    __slots__ = ("_free", "chunk", "end", "held", "move_limit", "need", "size", "start")

    def __init__(self, size: int = CHUNK_SIZE, free: list[Chunk] | None = None) -> None:
        self.size = size
        self.move_limit = min(MOVE_LIMIT, size // 16)
        self.chunk = Chunk(size)
        self.start = 0
        self.end = 0
        self.need = 0
        #: Chunks left behind because of pins.
        self.held = 0
        self._free: list[Chunk] = [] if free is None else free

    def space(self) -> memoryview:
        """Memory for the next receive call; never empty."""
        unread = self.end - self.start
        if unread == 0 and self.chunk.pins == 0:
            self.start = self.end = 0
        elif self.start + max(self.need, unread + 1) > self.size or (
            unread == 0 and self.size - self.end < min(LOW_WATER, self.size // 2)
        ):
            self._move(unread)
        return self.chunk.view[self.end :]

    def _move(self, unread: int) -> None:
        """Go on in a fresh chunk, taking the unread bytes along; the caller keeps them few."""
        old, start = self.chunk, self.start
        if old.pins == 0 and start >= unread:
            old.view[:unread] = old.view[start : start + unread]
        else:
            self.chunk = self._another()
            self.chunk.view[:unread] = old.view[start : start + unread]
            self._leave(old)
        self.start, self.end = 0, unread

    def pin(self) -> Chunk:
        """Keep the current chunk's bytes as they are until ``unpin``."""
        self.chunk.pins += 1
        return self.chunk

    def unpin(self, *chunks: Chunk) -> None:
        """Release one ``pin`` of each; the last one makes a chunk reusable."""
        for chunk in chunks:
            chunk.pins -= 1
            if not chunk.pins and chunk is not self.chunk:
                self.held -= 1
                self._keep(chunk)

    def fresh(self) -> None:
        """Go on in an empty chunk; the caller has consumed or pinned everything in this one."""
        old = self.chunk
        self.chunk = self._another()
        self.start = self.end = self.need = 0
        self._leave(old)

    def _another(self) -> Chunk:
        try:
            return self._free.pop()
        except IndexError:
            return Chunk(self.size)

    def let_go(self) -> None:
        """Give back memory in which nothing is, also what windows have in common: who is busy makes its own again."""
        self._free.clear()
        if self.start == self.end and not self.chunk.pins:
            forget(self.chunk.buffer)

    def _leave(self, chunk: Chunk) -> None:
        if chunk.pins:
            self.held += 1
        else:
            self._keep(chunk)

    def _keep(self, chunk: Chunk) -> None:
        if len(self._free) < KEPT_CHUNKS:
            self._free.append(chunk)


class StagingPool:
    """Page-aligned buffers for data that cannot lie behind its header; any thread may take, any may give back."""

    __slots__ = ("_free", "_kept", "budget", "owner")

    def __init__(self) -> None:
        self._free: dict[int, list[_Staging]] = {}
        self._kept = 0
        #: Where memory is counted, and on whose account; None where that is not to be.
        self.budget: Budget | None = None
        self.owner: Hashable = None

    def take(self, length: int) -> memoryview:
        """A writable view of exactly ``length`` bytes, with whatever an earlier user of this pool left in it.

        Raises StoreError when the system has no memory left, NoRoom when all have too much.
        """
        size = max(mmap.PAGESIZE, 1 << (length - 1).bit_length()) if length else mmap.PAGESIZE
        if size > COUNTED and self.budget is not None:
            return self._counted(self.budget, size)[:length]
        try:
            buffer = self._free[size].pop()
            self._kept -= size
        except (KeyError, IndexError):
            try:
                buffer = cast(_Staging, pages(size, _Staging))
            except OSError as error:
                raise StoreError(error.errno or 0, f"no memory for {size} bytes of data") from None
        return memoryview(buffer)[:length]

    def _counted(self, budget: Budget, size: int) -> memoryview:
        """Memory that is never kept, as it would be for this connection alone."""
        if not budget.take(self.owner, size):
            raise NoRoom(errno.EAGAIN, f"others have the memory that {size} bytes of data need")
        try:
            buffer = cast(_Staging, pages(size, _Staging))
        except OSError as error:
            budget.give(self.owner, size)
            raise StoreError(error.errno or 0, f"no memory for {size} bytes of data") from None
        buffer.counted = budget, self.owner, size
        return memoryview(buffer)

    def give(self, view: memoryview) -> None:
        """Take back what ``take`` lent; the caller uses no view of it any more. Other memory is let go."""
        buffer = view.obj
        if isinstance(buffer, _Staging):
            size = len(buffer)
            if buffer.counted is not None:
                buffer.release()
                return
            kept = self._free.setdefault(size, [])
            if len(kept) < KEPT_STAGING // size:
                if self._kept + size > KEPT_IN_ALL:
                    self.let_go()
                    kept = self._free.setdefault(size, [])
                kept.append(buffer)
                self._kept += size

    def let_go(self) -> None:
        """Keep nothing for reuse."""
        self._free.clear()
        self._kept = 0
