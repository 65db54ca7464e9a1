"""The Linux calls Python has no binding for: hole punching, and the ioctls of block devices.

Sources: fallocate(2), statfs(2), ``linux/fs.h``, ``linux/falloc.h``, ``linux/magic.h``. Offsets and lengths
are bytes. Every function raises OSError as those of ``os`` do, and lets other threads run while it waits.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import struct
from collections.abc import Callable
from typing import Any, Final

FALLOC_FL_KEEP_SIZE: Final = 0x01
FALLOC_FL_PUNCH_HOLE: Final = 0x02
FALLOC_FL_ZERO_RANGE: Final = 0x10

# _IO(0x12, n) as x86, Arm, RISC-V and s390 number it.
BLKROGET: Final = 0x125E
BLKSSZGET: Final = 0x1268
BLKDISCARD: Final = 0x1277
BLKPBSZGET: Final = 0x127B
BLKROTATIONAL: Final = 0x127E
BLKZEROOUT: Final = 0x127F

TMPFS_MAGIC: Final = 0x01021994
RAMFS_MAGIC: Final = 0x858458F6

#: Room for any architecture's ``struct statfs``; its first member, a long, is all that is read.
_STATFS_ROOM: Final = 512

_INT = struct.Struct("i")
_UNSIGNED_SHORT = struct.Struct("H")
_RANGE = struct.Struct("QQ")


@functools.cache
def _libc_function(names: tuple[str, ...], *argument_types: Any) -> Callable[..., int]:
    """The first of ``names`` the C library has."""
    libc = ctypes.CDLL(None, use_errno=True)
    function = libc[next(name for name in names if hasattr(libc, name))]
    function.argtypes = argument_types
    return function


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2); tried again when a signal interrupts it, as ``os`` does (PEP 475)."""
    # glibc's plain fallocate takes 32-bit offsets on 32-bit machines; musl's never does, and has no other.
    names = ("fallocate64", "fallocate")
    call = _libc_function(names, ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while call(fd, mode, offset, length) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Free a range of a regular file; it reads as zeros from then on."""
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length)


def zero_range(fd: int, offset: int, length: int) -> None:
    """Make a range of a regular file read as zeros and keep its space allocated."""
    fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length)


def can_punch_holes(fd: int, size: int) -> bool:
    """Whether the file system of a writable regular file frees ranges.

    Asked by freeing what follows the end, where nothing can be lost. (A range of no length would be EINVAL on
    every file system, whatever it supports.)
    """
    try:
        punch_hole(fd, size, 4096)
    except OSError:
        return False
    return True


def file_system_type(fd: int) -> int:
    """The magic number of the file system, 32 bits (``linux/magic.h``)."""
    room = ctypes.create_string_buffer(_STATFS_ROOM)
    if _libc_function(("fstatfs",), ctypes.c_int, ctypes.c_void_p)(fd, room) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return ctypes.c_long.from_buffer(room).value & 0xFFFFFFFF


def discard_device(fd: int, offset: int, length: int) -> None:
    """BLKDISCARD: free whole logical blocks of a block device, which may read as anything later."""
    fcntl.ioctl(fd, BLKDISCARD, _RANGE.pack(offset, length))


def can_discard_device(fd: int) -> bool:
    """Whether a writable block device frees ranges.

    Asked with a range of one byte, which no device has: EOPNOTSUPP is found before EINVAL, and neither harms.
    """
    try:
        discard_device(fd, 1, 1)
    except OSError as error:
        return error.errno == errno.EINVAL
    return False


def zero_device(fd: int, offset: int, length: int) -> None:
    """BLKZEROOUT: zero whole logical blocks of a block device, by writing if it knows no better way."""
    fcntl.ioctl(fd, BLKZEROOUT, _RANGE.pack(offset, length))


def write_protected(fd: int) -> bool:
    """BLKROGET: whether a block device refuses writes, which opening it for writing does not tell."""
    return bool(_INT.unpack(fcntl.ioctl(fd, BLKROGET, bytes(_INT.size)))[0])


def logical_block_size(fd: int) -> int:
    """BLKSSZGET, in bytes."""
    return int(_INT.unpack(fcntl.ioctl(fd, BLKSSZGET, bytes(_INT.size)))[0])


def physical_block_size(fd: int) -> int:
    """BLKPBSZGET, in bytes; at least the logical block size."""
    return int(_INT.unpack(fcntl.ioctl(fd, BLKPBSZGET, bytes(_INT.size)))[0])


def rotational(fd: int) -> bool | None:
    """BLKROTATIONAL, or None where the device does not say."""
    try:
        answer = fcntl.ioctl(fd, BLKROTATIONAL, bytes(_UNSIGNED_SHORT.size))
    except OSError:
        return None
    return bool(_UNSIGNED_SHORT.unpack(answer)[0])
