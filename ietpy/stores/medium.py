"""What the stores on files and devices share: opening with a lock, stable writes, and the words for what can fail."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from ietpy.errors import StoreError
from ietpy.stores import linux
from ietpy.stores.syncs import Syncs
from ietpy.stores.trust import Planted, open_trusted

_KINDS: Final[Mapping[int, str]] = {
    stat.S_IFREG: "a regular file",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}

#: The bits of an ``st_mode`` that say what it is (inode(7)).
_KIND: Final = 0o170000

#: In place of a closed file descriptor: no process can have it open, so the kernel answers EBADF. (Python
#: itself refuses negative ones, with ValueError.)
CLOSED: Final = 0x7FFFFFFF

#: What to say when opening fails; any other errno is told in the system's words.
_OPEN_ADVICE: Final[Mapping[int, str]] = {
    errno.ENOENT: "{path} does not exist; make it with: ietpy mkimage --size 10G {path}",
    errno.ENOTDIR: "{path} does not exist: a part of the path is not a directory",
    errno.EACCES: "{path} may not be opened by this user; change its owner or mode, or run as root",
    errno.EPERM: "{path} is protected against writing; serve it read-only, or lift the protection",
    errno.EROFS: "{path} is on a read-only file system or device; serve it read-only",
    errno.EBUSY: "{path} is mounted or claimed by another; unmount it, or stop what uses it",
    errno.EINVAL: "{path} does not support direct I/O; serve it as fileio",
    errno.ENOMEDIUM: "{path} has no medium inserted; insert one",
    errno.ENXIO: "{path} has no device behind it; attach the device or correct the path",
}

#: udev locks a device for moments while it looks what is on it, shared and after every close of a writer.
_DEVICE_PATIENCE: Final = 2.0  # seconds
_DEVICE_PAUSE: Final = 0.02


def kind(mode: int) -> str:
    """What an ``st_mode`` is, with its article."""
    return _KINDS.get(stat.S_IFMT(mode), "of an unknown kind")


def open_medium(path: str, *, store: str, accepts: Collection[int], read_only: bool, flags: int = 0) -> int:
    """Open and lock the medium of ``store``. ``accepts``: ``stat.S_IF*`` values; ``flags``: more for open(2).

    Writers lock exclusively and readers share, so no two daemons serve one medium that either may change.
    Raises StoreError.
    """
    try:
        # Looked at before it is opened: opening alone rewinds a tape and starts a watchdog.
        mode = os.stat(path).st_mode
        if mode & _KIND not in accepts:
            raise _not_served(path, mode, store, accepts)
        fd = open_trusted(path, flags | (os.O_RDONLY if read_only else os.O_RDWR))
    except Planted as found:
        raise StoreError(errno.EACCES, f"{path} cannot be opened: {found.strerror}; name the file itself") from None
    except ValueError:
        raise StoreError(errno.EINVAL, f"{path!r} is not a path: it contains a NUL character") from None
    except OSError as error:
        raise _cannot_open(path, error) from error
    try:
        opened = os.fstat(fd).st_mode
        if opened & _KIND != mode & _KIND:  # somebody has put another in its place
            raise _not_served(path, opened, store, accepts)
        device = mode & _KIND == stat.S_IFBLK
        if device and not read_only and linux.write_protected(fd):
            raise _cannot_open(path, OSError(errno.EROFS, ""))
        lock(fd, path, exclusive=not read_only, patience=_DEVICE_PATIENCE if device else 0)
    except StoreError:
        os.close(fd)
        raise
    return fd


def _not_served(path: str, mode: int, store: str, accepts: Collection[int]) -> StoreError:
    accepted = " or ".join(_KINDS[each] for each in accepts)
    return StoreError(errno.EINVAL, f"{path} is {kind(mode)}; {store} serves {accepted}")


def _cannot_open(path: str, error: OSError) -> StoreError:
    code = error.errno or errno.EIO
    advice = _OPEN_ADVICE.get(code, "{path} cannot be opened: " + os.strerror(code))
    return StoreError(code, advice.format(path=path))


def lock(fd: int, path: str, *, exclusive: bool, patience: float = 0) -> None:
    """flock(2) the medium, trying for ``patience`` seconds. Raises StoreError: EBUSY if another holds it."""
    operation = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, operation)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_DEVICE_PAUSE)
                continue
            raise StoreError(
                errno.EBUSY,
                f"{path} is in use: another daemon or program holds its lock; stop that one, "
                "or serve it read-only in every place",
            ) from None
        except OSError as error:
            raise failed(path, "be locked", error) from error
        return


def failed(path: str, doing: str, error: OSError) -> StoreError:
    """The StoreError of ``error``, which came while ``path`` was to ``doing`` ("be read at byte 512")."""
    code = error.errno or errno.EIO
    return StoreError(code, f"{path} cannot {doing}: {os.strerror(code)}")


def too_short(path: str) -> StoreError:
    """What a read finds that meets the end of the medium."""
    return StoreError(
        errno.EIO, f"{path}: the file is shorter than when it was opened; restore it, then restart")


def measure(fd: int, path: str) -> int:
    """Bytes of an open medium. Raises StoreError if not even one block of 512 bytes is there."""
    size = os.lseek(fd, 0, os.SEEK_END)
    if size < 512:
        raise StoreError(
            errno.EINVAL,
            f"{path} has {size} bytes, less than one block of 512; give it a size with: "
            f"ietpy mkimage --force --size 10G {path}",
        )
    return size


def resize(fd: int, path: str, size: int) -> None:
    """Give a regular file so many bytes: new ones have space of their own where all of the file has, else they are a
    hole. Raises StoreError; then it has as many as before.
    """
    before = os.fstat(fd)
    try:
        if size > before.st_size and before.st_blocks * 512 >= before.st_size:
            os.posix_fallocate(fd, before.st_size, size - before.st_size)
        else:
            os.ftruncate(fd, size)
        os.fsync(fd)
    except OSError as error:
        with contextlib.suppress(OSError):
            if os.fstat(fd).st_size > before.st_size:
                os.ftruncate(fd, before.st_size)
        raise failed(path, f"be given {size} bytes", error) from error


def not_ours_to_resize(path: str) -> StoreError:
    """Of what is no regular file."""
    advice = "resize it where it was made (lvextend, say), then: ietpy resize"
    return StoreError(errno.EOPNOTSUPP, f"{path} is no file, whose size is a matter of the system; {advice} {path}")


class Stable:
    """That part of a BackingStore (``ietpy.scsi.store``) which writes, and brings to stable storage what was written.

    ``sync`` does that for all of it. Raises OSError.
    """

    __slots__ = ("_syncs", "path")

    def __init__(self, path: str, sync: Callable[[], None]) -> None:
        self.path = path
        self._syncs = Syncs(sync)

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        try:
            if fua:
                self._syncs.force(lambda flags: self._write(offset, views, flags))
            else:
                self._write(offset, views, 0)
        except OSError as error:
            raise failed(self.path, f"be written at byte {offset}", error) from error

    def _write(self, offset: int, views: Sequence[memoryview], flags: int) -> None:
        """Each store's own; ``flags``: RWF_..., for pwritev(2). Raises OSError."""

    @property
    def losses(self) -> int:
        return self._syncs.failures

    def commit(self, mark: int) -> None:
        try:
            self._syncs.sync(mark)
        except OSError as error:
            raise failed(self.path, "be flushed to stable storage", error) from error

    def flush(self) -> None:
        self.commit(self._syncs.failures)
