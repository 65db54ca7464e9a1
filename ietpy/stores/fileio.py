"""Type=fileio: a regular file or a block device, read and written through the page cache.

Knows Linux files and nothing of SCSI. ``read_now`` is the hot path: one ``preadv``, nothing looked up twice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from ietpy.errors import StoreError
from ietpy.scsi.store import BackingStore, Capabilities, Extent
from ietpy.stores import linux, medium

_preadv = os.preadv
_pwritev = os.pwritev

#: Views one pwritev may take (``linux/uio.h``, UIO_MAXIOV).
_IOV_MAX: Final = 1024
#: The page cache's unit on nearly every machine, and what file systems allocate at least.
_FILE_PHYSICAL_BLOCK: Final = 4096
_ZEROS: Final = memoryview(bytes(1 << 20))
#: What a way of zeroing answers where it does not apply: no such operation, or whole device blocks only.
_NOT_THIS_WAY: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOTTY})
_MEMORY_FILE_SYSTEMS: Final = frozenset({linux.TMPFS_MAGIC, linux.RAMFS_MAGIC})


class FileStore(medium.Stable):
    """A BackingStore (``ietpy.scsi.store``) on one file, locked against other daemons until closed."""

    __slots__ = (
        "_discard", "_discard_unit", "_fd", "_now_flags", "_regular", "_zeroers", "block_size", "capabilities",
        "physical_block_size", "size",
    )

    def __init__(
        self,
        path: str,
        *,
        read_only: bool = False,
        block_size: int | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Open ``path``. The page cache takes any ``block_size``. No ``options``. Raises StoreError."""
        super().__init__(path, lambda: os.fdatasync(self._fd))
        self._fd = medium.open_medium(
            path, store="fileio", accepts=(stat.S_IFREG, stat.S_IFBLK), read_only=read_only)
        try:
            self._probe(read_only)
        except OSError as error:
            self.close()
            raise medium.failed(path, "be examined", error) from error
        except StoreError:
            self.close()
            raise

    def _probe(self, read_only: bool) -> None:
        """Find out once what the medium is and can do, without changing a byte of it."""
        fd = self._fd
        self.size: int = medium.measure(fd, self.path)
        self.block_size: int = 512
        self._now_flags, immediate = _reading_at_once(fd)
        self._discard: Callable[[int, int, int], None]
        self._zeroers: tuple[Callable[[int, int, int], None], ...]
        self._regular: bool = stat.S_ISREG(os.fstat(fd).st_mode)
        if not self._regular:
            self._discard = linux.discard_device
            self._discard_unit: int = linux.logical_block_size(fd)
            self._zeroers = (linux.zero_device,)
            self.physical_block_size: int = linux.physical_block_size(fd)
            discard = not read_only and linux.can_discard_device(fd)
            zeroes = False  # BLKDISCARD promises nothing about what is read later
            rotational = linux.rotational(fd)
        else:
            self._discard = linux.punch_hole
            self._discard_unit = 1
            self._zeroers = (linux.zero_range, linux.punch_hole)
            self.physical_block_size = _FILE_PHYSICAL_BLOCK
            discard = zeroes = not read_only and linux.can_punch_holes(fd, self.size)
            rotational = None
        self.capabilities: Capabilities = Capabilities(
            immediate=immediate, commits=True, extents=True, discard=discard, discard_zeroes=zeroes,
            rotational=rotational)

    def read(self, offset: int, buffer: memoryview) -> None:
        try:
            done = _preadv(self._fd, (buffer,), offset)
            while done < len(buffer):
                got = _preadv(self._fd, (buffer[done:],), offset + done)
                if not got:
                    raise medium.too_short(self.path)
                done += got
        except OSError as error:
            raise medium.failed(self.path, f"be read at byte {offset}", error) from error

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        try:
            return _preadv(self._fd, (buffer,), offset, self._now_flags) == len(buffer)
        except OSError:  # EAGAIN: it would wait. Any real failure is found again, and told, by read().
            return False

    def extent(self, offset: int, length: int) -> Extent | None:
        return Extent(self._fd, offset, length)

    def measured(self) -> int:
        return medium.measure(self._fd, self.path)

    def resize(self, size: int) -> None:
        if not self._regular:
            raise medium.not_ours_to_resize(self.path)
        medium.resize(self._fd, self.path, size)

    def mark(self) -> int | None:
        return None if self._syncs.stuck else self._syncs.failures

    def _write(self, offset: int, views: Sequence[memoryview], flags: int) -> None:
        total = sum(map(len, views))
        done = _pwritev(self._fd, views, offset, flags) if len(views) <= _IOV_MAX else 0
        if done != total:
            self._write_rest(offset, views, done, flags)

    def _write_rest(self, offset: int, views: Sequence[memoryview], done: int, flags: int) -> None:
        """Go on where the kernel stopped early (a signal, a nearly full disk), or 1024 views at a time."""
        pending = [view for view in views if len(view)]
        while True:
            offset += done
            first = 0
            while first < len(pending) and done >= len(pending[first]):
                done -= len(pending[first])
                first += 1
            del pending[:first]
            if not pending:
                return
            pending[0] = pending[0][done:]
            done = _pwritev(self._fd, pending[:_IOV_MAX], offset, flags)
            if not done:
                raise OSError(errno.EIO, "nothing was written")

    def discard(self, offset: int, length: int) -> None:
        # A device frees whole blocks of its own; what is only half in the range stays as it is.
        unit = self._discard_unit
        start = -(-offset // unit) * unit
        length = (offset + length) // unit * unit - start
        if length <= 0:
            return
        try:
            self._discard(self._fd, start, length)
        except OSError as error:
            raise medium.failed(self.path, f"free {length} bytes at byte {start}", error) from error

    def zero(self, offset: int, length: int) -> None:
        if not length:
            return
        try:
            for attempt in self._zeroers:
                try:
                    attempt(self._fd, offset, length)
                    return
                except OSError as error:
                    if error.errno not in _NOT_THIS_WAY:
                        raise
            for at in range(offset, offset + length, len(_ZEROS)):
                self._write(at, (_ZEROS[:offset + length - at],), 0)
        except OSError as error:
            raise medium.failed(self.path, f"be zeroed at byte {offset}", error) from error

    def mapped(self, offset: int, length: int) -> tuple[bool, int]:
        """Of a file in its file system's blocks; space that was allocated and never written reads as not mapped."""
        if not self._regular:
            return True, length
        # The file offset these calls move is nobody's: everything else says where it reads and writes.
        while True:
            hole = self._seek(offset, os.SEEK_HOLE)
            if hole > offset:
                return True, min(hole - offset, length)
            data = self._seek(offset, os.SEEK_DATA)
            if data > offset:
                return False, min(data - offset, length)
            # Somebody has written there between the two calls.

    def _seek(self, offset: int, whence: int) -> int:
        """lseek(2) for a hole or for data; the end of the medium where there is none, or no telling of them."""
        try:
            return os.lseek(self._fd, offset, whence)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from here on, or the file is shorter than that now
                if os.fstat(self._fd).st_size < self.size:
                    raise medium.too_short(self.path) from error
                return self.size
            if error.errno in _NOT_THIS_WAY:
                return self.size
            raise medium.failed(self.path, f"be examined at byte {offset}", error) from error

    def copy(self, offset: int, source: BackingStore, source_offset: int, length: int) -> bool:
        """Between files only. What the source has no space for is given back here, or zeroed."""
        if not isinstance(source, FileStore) or not (self._regular and source._regular):
            return False
        if source is self and abs(offset - source_offset) < length:
            return False
        done = 0
        while done < length:
            allocated, run = source.mapped(source_offset + done, length - done)
            if allocated:
                run = self._copy_range(offset + done, source, source_offset + done, run)
                if not run:
                    break
            elif self.capabilities.discard_zeroes:
                self.discard(offset + done, run)
            else:
                self.zero(offset + done, run)
            done += run
        if not done:
            return not length
        # Half of a copy cannot be taken back.
        for at in range(done, length, len(_ZEROS)):
            part = memoryview(bytearray(min(len(_ZEROS), length - at)))
            source.read(source_offset + at, part)
            self.write(offset + at, (part,), False)
        return True

    def _copy_range(self, offset: int, source: FileStore, source_offset: int, length: int) -> int:
        """copy_file_range(2): how many bytes were copied. 0: none, for whatever reason; reading and writing tell it."""
        try:
            return os.copy_file_range(source._fd, self._fd, length, source_offset, offset)
        except OSError:
            return 0

    def prefetch(self, offset: int, length: int) -> None:
        if length:  # to the kernel 0 is everything to the end
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        fd, self._fd = self._fd, medium.CLOSED
        if fd != medium.CLOSED:
            os.close(fd)


def _reading_at_once(fd: int) -> tuple[int, bool]:
    """Flags for a preadv that does not wait, and whether such reads can succeed at all."""
    try:
        _preadv(fd, (bytearray(1),), 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return os.RWF_NOWAIT, True
    except OSError:
        if linux.file_system_type(fd) in _MEMORY_FILE_SYSTEMS:
            return 0, True  # tmpfs refuses the flag, and has nothing to wait for
        return os.RWF_NOWAIT, False
    return os.RWF_NOWAIT, True
