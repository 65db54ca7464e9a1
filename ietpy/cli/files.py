"""Text files that commands write: as a whole or not at all, and never readable for more than they are to be."""

from __future__ import annotations

import contextlib
import os
import secrets

from ietpy.images import sync_directory


def put(path: str, text: str, mode: int, like: os.stat_result | None = None) -> None:
    """Have ``path`` hold ``text``, at once and for good, whatever was there. Raises OSError, and leaves nothing then.

    ``mode``: its permissions, less the umask; ``like``: it gets the owner and the permissions of what this is of.
    """
    fresh = f"{path}.{secrets.token_hex(4)}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            if like is not None:
                os.fchown(descriptor, like.st_uid, like.st_gid)
                os.fchmod(descriptor, like.st_mode & 0o7777)
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(descriptor)
        os.replace(fresh, path)
    except BaseException:  # an interrupt leaves nothing behind, either
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
    sync_directory(os.path.dirname(path) or ".")
