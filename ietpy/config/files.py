"""Files of the configuration, read whole: no more than ``LIMIT``, and where nobody may wait only what never waits."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from ietpy.config.syntax import to_text

LIMIT: Final = 8 * 1024 * 1024  #: bytes; ten thousand targets take less, a device has no end


def read_file(path: str | os.PathLike[str], *, regular: bool = False) -> str:
    """The text of a file. Raises OSError.

    ``regular``: refuse anything else, as the open and the read of a FIFO may take for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if regular else 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if regular and not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(LIMIT + 1)
        if data is None:  # so it is with some files of /proc
            raise BlockingIOError(errno.EAGAIN, "it cannot be read without waiting")
    finally:
        os.close(descriptor)
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, f"it has more than {LIMIT >> 20} MiB")
    return to_text(data)
