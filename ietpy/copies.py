"""Copies of disk images: sharing blocks where the file system can, else block by block with the holes kept.

A copy that shares blocks is of one moment, whoever writes meanwhile: the kernel makes it in one step, ioctl_ficlone(2).
One that moves blocks takes its time, so nobody may write meanwhile. As all images, it is made whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final, TypeAlias

from ietpy import images
from ietpy.errors import StoreError, UsageError
from ietpy.stores import medium

Progress: TypeAlias = Callable[[int, int], None]

_FICLONE: Final = 0x40049409
#: What FICLONE answers where blocks cannot be shared: by this file system, between two of them, by such a file.
_CANNOT_SHARE: Final = frozenset({
    errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM,
})
_CHUNK: Final = 4 << 20  #: bytes moved at a time
_ZEROS: Final = bytes(_CHUNK)
_BLOCK: Final = 512
_QCOW2: Final = b"QFI\xfb"
_PERCENT: Final = re.compile(rb"\(\s*([0-9.]+)/100%\)")
#: How to ask a program that is not installed for: by Debian's name of its package.
_QEMU_IMG: Final = "qemu-img is needed for that and not installed; on Debian it is in the package qemu-utils"


class How(Enum):
    """How a copy came about."""

    SHARED = "shared"  #: it shares its blocks with the source until one of them is written
    COPIED = "copied"
    CONVERTED = "converted"


def copy(
    source: str, path: str, *, size: int | None = None, force: bool = False, share: bool | None = None,
    progress: Progress | None = None,
) -> How:
    """Make an image at ``path`` of what the file or block device ``source`` holds. ``size``: it is enlarged to that.

    ``share``: True to share blocks or fail, False to copy, None for what goes. Raises UsageError, StoreError.
    """
    with _opened(source) as descriptor:
        found = _size_of(descriptor)
        if not found:
            raise UsageError(f"{source} is empty; an image has one block at least")
        wanted = _wanted(source, found, size)
        with images.new_image(path, wanted, force=force) as new:
            how = _fill(descriptor, new, source, path, found, share, progress)
            if os.fstat(new).st_size < wanted:
                os.ftruncate(new, wanted)
    return how


def convert(
    source: str, path: str, *, size: int | None = None, force: bool = False, progress: Progress | None = None
) -> How:
    """As ``copy``, of an image in the format qcow2, by qemu-img. Raises UsageError, StoreError."""
    program = shutil.which("qemu-img")
    if program is None:
        raise UsageError(f"{source} is a qcow2 image; {_QEMU_IMG}")
    with _opened(source), images.new_image(path, force=force) as new:
        # qemu-img writes by a name; this one is of the descriptor, which stays open in the child.
        words = [program, "convert", "-p", "-n", "-f", "qcow2", "-O", "raw", "-S", "4k"]
        found = _virtual_size(program, source)
        os.ftruncate(new, _wanted(source, found, size))
        _run([*words, os.path.abspath(source), f"/dev/fd/{new}"], new, source, found, progress)
    return How.CONVERTED


def is_qcow2(source: str) -> bool:
    """Whether ``source`` begins as such images do. False for what cannot be read."""
    try:
        with _opened(source) as descriptor:
            return os.pread(descriptor, len(_QCOW2), 0) == _QCOW2
    except (OSError, UsageError):
        return False


def file_system(path: str) -> str:
    """The type of the file system of ``path``, or nothing where the system does not tell."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index("-") + 1]
    return _by_mount_point(path)


def _by_mount_point(path: str) -> str:
    """The same where files have a device number of their own, as on btrfs: of the longest mount point above it."""
    real, best = os.path.realpath(path), ("", "")
    with contextlib.suppress(OSError), open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            fields = line.split()
            place = fields[4].rstrip("/")
            if real == place or real.startswith(f"{place}/"):
                best = max(best, (place, fields[fields.index("-") + 1]), key=lambda row: len(row[0]))
    return best[1]


@contextlib.contextmanager
def _opened(source: str) -> Iterator[int]:
    """A descriptor to read from. Raises UsageError."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would wait for its writer
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{source!r} is not a path") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise UsageError(f"{source} is {medium.kind(mode)}; name a disk image or a block device")
        yield descriptor
    finally:
        os.close(descriptor)


def _size_of(descriptor: int) -> int:
    return os.lseek(descriptor, 0, os.SEEK_END)


def _wanted(source: str, found: int, size: int | None) -> int:
    """The size of the copy: whole blocks. Raises UsageError for one that does not hold the source."""
    whole = -(-found // _BLOCK) * _BLOCK
    if size is None:
        return whole
    images.check_size(size)
    if size < found:
        raise UsageError(
            f"{source} has {images.in_words(found)}, which {images.in_words(size)} cannot hold; leave out --size, or"
            " say a larger one"
        )
    return size


def _fill(
    source: int, new: int, name: str, path: str, size: int, share: bool | None, progress: Progress | None
) -> How:
    """Give ``new`` the content of ``source``, in one of two ways."""
    if share is not False:
        os.fsync(source)  # what was answered stays with the copy, also over a loss of power
        problem = _shared(source, new)
        if not problem:
            return How.SHARED
        if share:
            raise UsageError(_why_not(name, path, problem))
    try:
        medium.lock(source, name, exclusive=False)
    except StoreError as error:
        if error.errno != errno.EBUSY:
            raise
        raise UsageError(
            f"{name} is being served to be written, so a copy, which takes a while, would be of no single moment; take"
            " it out of service for that (ietpy remove lun), or have it on a file system that shares blocks (btrfs,"
            " xfs) and use ietpy snapshot"
        ) from None
    _move(source, new, size, progress)
    return How.COPIED


def _shared(source: int, new: int) -> int:
    """0 if ``new`` shares all blocks of ``source`` now, else the errno that says why it cannot."""
    if not stat.S_ISREG(os.fstat(source).st_mode):
        return errno.EOPNOTSUPP
    try:
        fcntl.ioctl(new, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT_SHARE:
            raise
        return error.errno or errno.EOPNOTSUPP
    return 0


def _why_not(source: str, path: str, problem: int) -> str:
    directory = os.path.dirname(os.path.realpath(path))
    if not stat.S_ISREG(os.stat(source).st_mode):
        return f"{source} is a block device; take a snapshot by what made it (lvcreate --snapshot, zfs snapshot)"
    if problem == errno.EXDEV or os.stat(source).st_dev != os.stat(directory).st_dev:
        return f"{source} and {directory} are on two file systems, between which no blocks are shared; --copy copies"
    kind = file_system(directory)
    where = f"{directory} is on {kind}, which" if kind else f"the file system of {directory}"
    return f"{where} cannot share blocks between files (btrfs can, and xfs made with reflink=1); --copy copies"


def _move(source: int, new: int, size: int, progress: Progress | None) -> None:
    """Copy what is there; what is a hole or zeros becomes a hole."""
    os.ftruncate(new, size)
    for start, end in _data(source, size):
        at = start
        while at < end:
            data = os.pread(source, min(_CHUNK, end - at), at)
            if not data:
                break
            if data != _ZEROS[: len(data)]:
                _write(new, data, at)
            at += len(data)
            if progress is not None:
                progress(at, size)
    if (left := _size_of(source)) < size:
        raise StoreError(errno.EIO, f"it shrank from {size} to {left} bytes while it was copied; nothing was made")


def _write(new: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(new, view, at)
        view, at = view[count:], at + count


def _data(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Where there may be something else than zeros, in order (lseek(2)); all of it, where nobody knows."""
    at = 0
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
            end = os.lseek(source, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole up to the end
            start, end = at, size  # a block device
        yield start, min(end, size)
        at = end


def _virtual_size(program: str, source: str) -> int:
    """Bytes of the disk in a qcow2 image. Raises UsageError."""
    import json

    asked = subprocess.run(
        [program, "info", "--output=json", "-f", "qcow2", os.path.abspath(source)], capture_output=True, check=False
    )
    if asked.returncode:
        raise UsageError(f"{source} cannot be converted: {_last_line(asked.stderr)}")
    facts: dict[str, Any] = json.loads(asked.stdout)
    _refuse_others(source, facts)
    return int(facts["virtual-size"])


def _refuse_others(source: str, facts: dict[str, Any]) -> None:
    """Raise UsageError for an image that has data in other files: whoever made it chose which."""
    data = facts.get("format-specific", {}).get("data", {})
    for what, name in (("backing file", facts.get("backing-filename")), ("data file", data.get("data-file"))):
        if name is not None:
            raise UsageError(
                f"{source} names a {what}, {name!a}, which would be read too, whoever made the image; if you"
                f" trust it, make one of both with: qemu-img convert -O qcow2 {source} whole.qcow2"
            )


def _run(words: list[str], keep: int, source: str, size: int, progress: Progress | None) -> None:
    """Run qemu-img to its end, telling how far it is. Raises StoreError."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(keep,)) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            seen = b""
            while piece := os.read(child.stdout.fileno(), 4096):
                seen = (seen + piece)[-64:]
                found = _PERCENT.findall(seen)
                if found and progress is not None:
                    progress(int(float(found[-1]) * size / 100), size)
            said = child.stderr.read()
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise StoreError(errno.EIO, f"{source} cannot be converted: {_last_line(said)}")


def _last_line(said: bytes) -> str:
    lines = said.decode(sys.getfilesystemencoding(), "replace").strip().splitlines()
    return lines[-1] if lines else "qemu-img said nothing"
