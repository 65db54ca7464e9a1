"""Type=blockio: a block device alone, past the page cache (O_DIRECT), claimed exclusively (O_EXCL).

The kernel moves data straight between the device and memory aligned to the device's blocks. Reads land in the
caller's buffer where it is aligned; otherwise, and for every write, one copy goes through pooled memory. Of many small
ones at once all do, and the kernel gets them with one call (``aio``).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from ietpy.errors import StoreError
from ietpy.scsi.store import BackingStore, Batch, Capabilities, Extent, Move
from ietpy.stores import aio, linux, medium

#: Bytes of one pooled buffer and so of one transfer; devices split larger ones anyway.
_CHUNK: Final = 1 << 20
#: Idle buffers kept; more exist only while more threads than this are inside a store.
_IDLE: Final = 16


def _failure(path: str, move: Move, result: int) -> StoreError | None:
    """Of ``result``, bytes or minus an errno; BlockingIOError where it was moved in part, or not even begun."""
    if result == move.length:
        return None
    if result >= 0 or result == -errno.EAGAIN:
        raise BlockingIOError
    doing = f"be {'written' if move.writes else 'read'} at byte {move.offset}"
    return medium.failed(path, doing, OSError(-result, ""))


class _Batch:
    """A Batch (``ietpy.scsi.store``); ``begun``: how many of the moves."""

    __slots__ = ("_begun", "_moves", "_queue", "_store")

    def __init__(self, store: BlockStore, queue: aio.Queue, begun: int, moves: Sequence[Move]) -> None:
        self._store = store
        self._queue = queue
        self._begun = begun
        self._moves = moves

    def wait(self, seconds: float | None = None) -> bool:
        try:
            return self._queue.wait(seconds)
        except OSError:  # the system does not say what it did, and does nothing more
            self._begun = 0
            return True

    def failure(self, number: int) -> StoreError | None:
        if number >= self._begun:
            raise BlockingIOError
        result = self._queue.results[number]
        if result == -errno.EOPNOTSUPP:  # the device knows no RWF_NOWAIT
            self._store.begins = False
            raise BlockingIOError
        return _failure(self._store.path, self._moves[number], result)

    def data(self, number: int) -> memoryview:
        return self._queue.data(number)

    def close(self) -> None:
        aio.keep(self._queue)


class BlockStore(medium.Stable):
    """A BackingStore (``ietpy.scsi.store``) on a claimed and locked device."""

    __slots__ = (
        "_fd", "_idle", "begins", "block_size", "capabilities", "physical_block_size", "size",
    )

    def __init__(
        self,
        path: str,
        *,
        read_only: bool = False,
        block_size: int | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Open ``path``; ``block_size`` is the LUN's and may not be below the device's. No ``options``."""
        super().__init__(path, lambda: os.fdatasync(self._fd))  # for a device: empty its write cache
        #: Lists pop and append atomically, so threads share it without a lock.
        self._idle: list[memoryview] = []
        self.begins = True  #: as far as is known
        self._fd = medium.open_medium(
            path, store="blockio", accepts=(stat.S_IFBLK,), read_only=read_only,
            flags=os.O_DIRECT | os.O_EXCL)
        try:
            self._probe(read_only, block_size)
        except OSError as error:
            self.close()
            raise medium.failed(path, "be examined", error) from error
        except StoreError:
            self.close()
            raise

    def _probe(self, read_only: bool, block_size: int | None) -> None:
        fd = self._fd
        self.size: int = medium.measure(fd, self.path)
        self.block_size: int = linux.logical_block_size(fd)
        self.physical_block_size: int = linux.physical_block_size(fd)
        if block_size is not None and block_size < self.block_size:
            raise StoreError(
                errno.EINVAL,
                f"{self.path} has logical blocks of {self.block_size} bytes; blockio cannot serve blocks of "
                f"{block_size}: use {self.block_size} or more, or serve it as fileio",
            )
        self.capabilities: Capabilities = Capabilities(
            batches=aio.available(), discard=not read_only and linux.can_discard_device(fd),
            rotational=linux.rotational(fd))

    def measured(self) -> int:
        return medium.measure(self._fd, self.path)

    def resize(self, size: int) -> None:
        raise medium.not_ours_to_resize(self.path)

    def read(self, offset: int, buffer: memoryview) -> None:
        try:
            if self._aligned(buffer):
                self._fill(offset, buffer)
                return
            with self._pooled() as pooled:
                for start in range(0, len(buffer), _CHUNK):
                    part = buffer[start:start + _CHUNK]
                    self._fill(offset + start, pooled[:len(part)])
                    part[:] = pooled[:len(part)]
        except OSError as error:
            raise medium.failed(self.path, f"be read at byte {offset}", error) from error

    def _aligned(self, buffer: memoryview) -> bool:
        """Whether the device can put its blocks right into ``buffer``."""
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if len(buffer) else 0
        return address % self.block_size == 0

    def _fill(self, offset: int, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            got = os.preadv(self._fd, (buffer[done:done + _CHUNK],), offset + done)
            if not got:
                raise medium.too_short(self.path)
            done += got

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        return False  # there is no cache that could have it

    def extent(self, offset: int, length: int) -> Extent | None:
        return None

    def _write(self, offset: int, views: Sequence[memoryview], flags: int) -> None:
        with self._pooled() as pooled:
            filled = 0
            for view in views:
                while len(view):
                    part = view[:_CHUNK - filled]
                    pooled[filled:filled + len(part)] = part
                    filled += len(part)
                    view = view[len(part):]
                    if filled == _CHUNK:
                        self._empty(offset, pooled, flags)
                        offset += filled
                        filled = 0
            self._empty(offset, pooled[:filled], flags)

    def _empty(self, offset: int, buffer: memoryview, flags: int) -> None:
        """Write a buffer, which is aligned."""
        while len(buffer):
            done = os.pwritev(self._fd, (buffer,), offset, flags)
            if not done:
                raise OSError(errno.EIO, "nothing was written")
            offset += done
            buffer = buffer[done:]

    def move(self, moves: Sequence[Move]) -> Sequence[StoreError | None]:
        try:
            queue = aio.take()
            results = queue.move(self._fd, moves)
        except OSError:  # the system has no more, or does not say what it did
            return [self._alone(move) for move in moves]
        aio.keep(queue)
        return [self._outcome(move, result) for move, result in zip(moves, results, strict=True)]

    def begin(self, moves: Sequence[Move]) -> Batch | None:
        if not self.begins:
            return None
        try:
            queue = aio.take()
        except OSError:
            return None
        return _Batch(self, queue, queue.begin(self._fd, moves, os.RWF_NOWAIT), moves)

    def _outcome(self, move: Move, result: int) -> StoreError | None:
        try:
            return _failure(self.path, move, result)
        except BlockingIOError:
            return self._alone(move)

    def _alone(self, move: Move) -> StoreError | None:
        try:
            if move.writes:
                self.write(move.offset, move.views, False)
            else:
                self.read(move.offset, *move.views)
        except StoreError as error:
            return error
        return None

    @contextmanager
    def _pooled(self) -> Iterator[memoryview]:
        """A page-aligned buffer of ``_CHUNK`` bytes, this thread's own inside the block."""
        try:
            buffer = self._idle.pop()
        except IndexError:
            # Private: after a fork, two processes must not read into one another's memory.
            buffer = memoryview(mmap.mmap(-1, _CHUNK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        try:
            yield buffer
        finally:
            if len(self._idle) < _IDLE:
                self._idle.append(buffer)

    def mark(self) -> int | None:
        return None

    def discard(self, offset: int, length: int) -> None:
        self._range(linux.discard_device, "be discarded", offset, length)

    def zero(self, offset: int, length: int) -> None:
        self._range(linux.zero_device, "be zeroed", offset, length)

    def _range(self, operation: Any, doing: str, offset: int, length: int) -> None:
        if not length:
            return
        try:
            operation(self._fd, offset, length)
        except OSError as error:
            raise medium.failed(self.path, f"{doing} at byte {offset}", error) from error

    def mapped(self, offset: int, length: int) -> tuple[bool, int]:
        return True, length  # no device tells

    def copy(self, offset: int, source: BackingStore, source_offset: int, length: int) -> bool:
        return False

    def prefetch(self, offset: int, length: int) -> None: ...

    def close(self) -> None:
        fd, self._fd = self._fd, medium.CLOSED
        self._idle.clear()
        if fd != medium.CLOSED:
            os.close(fd)
