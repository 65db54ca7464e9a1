"""Disk images: made whole or not at all, never over something precious. ``ietpy mkimage`` is its command line.

An image grows under a temporary name in its own directory and gets its real name as the last step, so a stop at any
moment, even by SIGKILL, leaves no partial image under a name somebody may serve. Knows nothing of terminals.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ietpy.errors import StoreError, UsageError
from ietpy.stores import medium

_BLOCK: Final = 512
_LARGEST: Final = 2**63 - _BLOCK  # off_t
_SHIFTS: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE: Final = re.compile(r"([0-9]{1,20})([KMGT]?)", re.IGNORECASE | re.ASCII)
_FRACTION: Final = re.compile(r"[0-9]*[.,][0-9]+[A-Za-z]*", re.ASCII)

#: Bytes allocated between two looks at signals and two reports of progress.
_CHUNK: Final = 64 << 20

#: Failures that come of how the command was called; all others are the system's.
_CALLERS_FAULT: Final = {
    errno.ENOENT: "the directory {directory} does not exist or takes no files; make it, or choose another path",
    errno.ENOTDIR: "{directory} is not a directory; choose another path",
    errno.EACCES: "this user may not make {path} in {directory}; choose another path, or run as its owner",
    errno.EPERM: "{directory} lets this user make or replace no such file; choose another path",
    errno.EROFS: "{directory} is on a read-only file system; choose another path",
    errno.ENAMETOOLONG: "the name of {path} is too long for its file system; choose a shorter one",
    errno.ELOOP: "{path} leads in a circle of symbolic links; choose another path",
    errno.EFBIG: "the file system of {directory} holds no file of {size} bytes; choose a smaller size",
}

#: What a file system without hard links answers to link(2).
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})

#: What ends or splits a path on a Lun line, or is trimmed off it (iet-compat 1.2, 1.6 and decisions 1).
_INEXPRESSIBLE: Final = (
    (re.compile(","), "a comma"),
    (re.compile("\n"), "a line feed"),
    (re.compile(r"\s#"), "a blank before a #"),
    (re.compile(r"\s$"), "a blank at its end"),
)
#: Bytes of one line of ietd.conf, its line feed included (iet-compat 1.2).
_LONGEST_LINE: Final = 4095
#: RFC 7143 section 4.2.7.1.
_LONGEST_NAME: Final = 223


def parse_size(word: str) -> int:
    """Bytes of a size such as ``10G``: a whole number, alone or with K, M, G or T (1024-based, either case).

    Raises UsageError unless it is a size an image can have: a positive multiple of 512.
    """
    match = _SIZE.fullmatch(word)
    if match is None:
        if _FRACTION.fullmatch(word):
            raise UsageError(
                f"the size {word} is not a whole number; use a smaller unit, as in 1536M for one and a half G")
        raise UsageError(
            f"{word!r} is not a size; give a whole number of bytes, or one with K, M, G or T, as in 10G")
    size = int(match[1]) << _SHIFTS[match[2].upper()]
    check_size(size)
    return size


def check_size(size: int) -> None:
    """Raise UsageError unless an image can have ``size`` bytes."""
    if size <= 0:
        raise UsageError("the size of an image must be above zero; give one such as 10G")
    if size > _LARGEST:
        raise UsageError(f"no file can have {size} bytes; the most is {_LARGEST}")
    if size % _BLOCK:
        raise UsageError(
            f"{size} bytes are not a whole number of {_BLOCK}-byte blocks; "
            f"the next size that is: {-(-size // _BLOCK) * _BLOCK}")


def in_words(size: int) -> str:
    """``size`` for a reader, in the largest unit that leaves at least one: ``10 GiB``, ``1.5 MiB``, ``512 bytes``."""
    for unit in "TGMK":
        if size >> _SHIFTS[unit]:
            return f"{size / (1 << _SHIFTS[unit]):.1f}".removesuffix(".0") + f" {unit}iB"
    return f"{size} bytes"


def free_space(path: str) -> int:
    """Bytes this user may still fill on the file system where ``path`` is or shall be. Raises UsageError."""
    directory = os.path.dirname(os.path.realpath(path))
    with _told(path, 0):
        figures = os.statvfs(directory)
    blocks = figures.f_bfree if os.geteuid() == 0 else figures.f_bavail
    return blocks * figures.f_frsize


def make_image(
    path: str,
    size: int,
    *,
    preallocate: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make an image of ``size`` bytes of zeros at ``path``, mode 0600, in one step as others see it.

    ``preallocate``: give it all its space now; ``progress(done, size)`` then hears of bytes truly allocated.
    ``force``: replace a regular file that is not being served; nothing else is ever replaced.
    Raises UsageError for a bad size or path and StoreError (ENOSPC and its like) when the system fails; then, and
    when ``progress`` or a signal handler raises, nothing is left behind.
    """
    check_size(size)
    with new_image(path, size, force=force) as fd:
        if preallocate:
            _check_room(path, size)
            _allocate(fd, size, progress)
        else:
            os.ftruncate(fd, size)


@contextmanager
def new_image(path: str, size: int = 0, *, force: bool = False) -> Iterator[int]:
    """A file to fill, of mode 0600, that gets its name when the block has ended well and is on stable storage.

    Otherwise nothing is left behind. ``size`` is for messages, and ``force`` as for ``make_image``. Raises UsageError
    and StoreError, also for an OSError in the block.
    """
    if "\0" in path or not path:
        raise UsageError(f"{path!r} is not a path; give the name of a file")
    if path.endswith("/"):
        raise UsageError(f"{path} names a directory; give the name of a file")
    real = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(real), f".ietpy-mkimage-{secrets.token_hex(8)}.partial")
    with _told(path, size), _replaceable(path, real, force) as replace:
        try:
            # Python's open adds O_CLOEXEC; fchmod because the umask may take even the owner's bits.
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.fchmod(fd, 0o600)
                yield fd
                os.fsync(fd)
            finally:
                os.close(fd)
            _publish(temporary, path, real, replace)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def resize_image(path: str, wanted: Callable[[int], int], force: bool = False) -> tuple[int, int]:
    """Give an image that nobody serves the size that ``wanted`` makes of the one it has: bytes before and after.

    New space is a hole where the image has one, else allocated. Raises UsageError for what is no image, for a
    size that cannot be, and for a smaller one without ``force``; StoreError where it is served, or the system fails.
    """
    with suppress(OSError, ValueError):  # opening it says so
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is {medium.kind(mode)}, which is resized where it was made")
    fd = medium.open_medium(path, store="fileio", accepts=(stat.S_IFREG,), read_only=False)
    try:
        found = os.fstat(fd)
        size = wanted(found.st_size)
        check_size(size)
        if size < found.st_size and not force:
            raise UsageError(would_lose(path, found.st_size, size))
        if size != found.st_size:
            medium.resize(fd, path, size)
        return found.st_size, size
    finally:
        os.close(fd)


def would_lose(path: str, before: int, size: int) -> str:
    """What becoming smaller costs, and how to have it nevertheless."""
    return (
        f"{path} has {in_words(before)}; the last {in_words(before - size)} would be lost, and with them what"
        " initiators keep there: partitions, file systems; shrink those first, then add --force"
    )


@contextmanager
def _told(path: str, size: int) -> Iterator[None]:
    """Turn what the system says into a sentence for the caller."""
    try:
        yield
    except OSError as error:
        code = error.errno or errno.EIO
        directory = os.path.dirname(os.path.realpath(path))
        if code in _CALLERS_FAULT:
            sentence = _CALLERS_FAULT[code].format(path=path, directory=directory, size=size)
            raise UsageError(sentence) from error
        raise StoreError(code, f"{path} cannot be made: {os.strerror(code)}") from error


@contextmanager
def _replaceable(path: str, real: str, force: bool) -> Iterator[bool]:
    """Refuse what must stay; yield whether there is a file to replace, locked so that nobody starts serving it."""
    try:
        mode = os.stat(real).st_mode  # realpath leaves a link only where links lead in a circle
    except FileNotFoundError:
        yield False
        return
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is {medium.kind(mode)}, which is never overwritten; choose another path")
    if not force:
        raise UsageError(f"{path} exists; add --force to replace it, or choose another path")
    fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        try:
            medium.lock(fd, path, exclusive=True)
        except StoreError as error:
            if error.errno != errno.EBUSY:
                raise
            raise UsageError(
                f"{path} is being served: a daemon holds its lock; take it out of service first, "
                "or choose another path") from error
        yield True
    finally:
        os.close(fd)


def _check_room(path: str, size: int) -> None:
    free = free_space(path)
    if size > free:
        directory = os.path.dirname(os.path.realpath(path))
        raise StoreError(
            errno.ENOSPC,
            f"{path} needs {in_words(size)} and {directory} has {in_words(free)} free; make room, choose a smaller "
            "size, or leave out --preallocate")


def _allocate(fd: int, size: int, progress: Callable[[int, int], None] | None) -> None:
    for start in range(0, size, _CHUNK):
        length = min(_CHUNK, size - start)
        os.posix_fallocate(fd, start, length)
        if progress is not None:
            progress(start + length, size)


def _publish(temporary: str, path: str, real: str, replace: bool) -> None:
    """Give the finished image its name: over the file that was checked, or only if nobody took it meanwhile."""
    try:
        if not replace:
            try:
                os.link(temporary, real)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                os.close(os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # reserves the name
                replace = True
        if replace:
            os.rename(temporary, real)
    except FileExistsError:
        raise UsageError(f"{path} was made by another meanwhile; choose another path") from None
    sync_directory(os.path.dirname(real))


def sync_directory(path: str) -> None:
    """Have the names in a directory survive a power cut, where its file system can and we may."""
    with suppress(OSError):  # the file is in place, whatever this comes to
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def target_lines(path: str, host: str) -> str:
    """The lines of ietd.conf that serve the image at ``path`` from the machine ``host``, with their line feeds.

    Raises UsageError if no line of ietd.conf can name the path.
    """
    path = expressible(path)
    lines = f"Target {target_name(path, host)}\n    Lun 0 Path={path},Type=fileio\n"
    if any(len(os.fsencode(line)) > _LONGEST_LINE for line in lines.splitlines(keepends=True)):
        raise UsageError("ietd.conf cannot name a path as long as this one; move the image to a shorter one")
    return lines


def expressible(path: str) -> str:
    """``path`` from the root on, as a Lun line may name it. Raises UsageError if none can."""
    path = os.path.abspath(path)
    for pattern, found in _INEXPRESSIBLE:
        if pattern.search(path):
            raise UsageError(f"ietd.conf cannot name a path with {found} in it; rename {path!r} to serve it")
    return path


def target_name(path: str, host: str) -> str:
    """An iSCSI name (RFC 7143 section 4.2.7) from the host's name, reversed, and the image's without its suffix."""
    labels = [_plain(label) for label in reversed(host.split("."))]
    authority = ".".join(label for label in labels if label) or "localhost"
    stem = _plain(os.path.splitext(os.path.basename(path))[0]) or "image"
    return f"iqn.2010-06.{authority}:{stem}"[:_LONGEST_NAME].rstrip("-.:")


def _plain(word: str) -> str:
    """``word`` in the characters iSCSI names are safe with."""
    return re.sub(r"[^a-z0-9.-]+", "-", word.lower()).strip("-.")
