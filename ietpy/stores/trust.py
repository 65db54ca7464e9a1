"""Files and other users: what they may have planted, what they are given, and being one for a moment.

Planted is a symbolic link in a folder where everybody may write, in the place of what was meant.

Linux has such a rule of its own (fs.protected_symlinks), where it is switched on and the folder is sticky.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

_LINKS: Final = 40  #: as many as Linux follows (path_resolution(7))


class Planted(OSError):
    """A symbolic link that is not to be followed; its text says whose."""


def open_trusted(path: str, flags: int) -> int:
    """open(2), but for a link that another user put into a folder where everybody may write: Planted (EACCES).

    Followed are those of root, of this user, and of whose folder it is, and whatever lies where not everybody may
    write; each by itself, as one that is trusted may lead to one that is not. Whoever may write there cannot change
    what is opened while this looks.
    """
    for _ in range(_LINKS):
        try:
            return os.open(path, flags | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR) or not os.path.islink(path):  # with O_DIRECTORY ENOTDIR
                raise
        path = os.path.join(os.path.dirname(path), _target(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _target(path: str) -> str:
    """Where a link leads to."""
    folder = os.stat(os.path.dirname(path) or ".")
    link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        whose = os.fstat(link).st_uid
        if folder.st_mode & stat.S_IWOTH and whose not in (0, os.geteuid(), folder.st_uid):
            raise Planted(errno.EACCES, f"it is a symbolic link of user {whose} in a folder where everybody may write")
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def give_away(name: str, directory: int, uid: int, gid: int) -> None:
    """Let a user have a file of a directory that is open. Raises OSError."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:  # another name may be anybody's
            os.fchown(descriptor, uid, gid)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def as_user(uid: int, gid: int) -> Iterator[None]:
    """Be another user for a moment."""
    before = os.getegid()
    os.setegid(gid or before)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
