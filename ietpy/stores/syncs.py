"""Group commit: fdatasync(2) of one file, one call at a time, each for all writes that had ended when it began.

One at a time is cheaper than several, and needed to hear the truth: that pages could not be written is told to the
first call on an open file that asks afterwards and to no other, whoever wrote them (``lib/errseq.c`` of the kernel).
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Final

#: A call that takes longer (seconds) is a sign that the device is stuck, and that writing to its cache may be, too.
PATIENCE: Final = 0.5


class Syncs:
    """Of one open file. ``call`` and ``sync`` raise OSError."""

    __slots__ = ("_begun", "_call", "_changed", "_ended", "_errno", "_since", "failures")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._changed = threading.Condition(threading.Lock())
        self._begun = 0  #: calls
        self._ended = 0
        self._since = 0.0  #: when the last one began
        self._errno = 0  #: of the last failure
        #: To be noted before writing, and given to ``sync``.
        self.failures = 0

    @property
    def stuck(self) -> bool:
        """Whether a call is under way that does not come back; needs no lock."""
        return self._begun != self._ended and time.monotonic() - self._since > PATIENCE

    def sync(self, failures: int) -> None:
        """Return when all that was written is on stable storage.

        Raises OSError also if there were more ``failures`` meanwhile: they may have been those of the caller's pages.
        """
        with self._changed:
            mine = self._begun + 1  # one that has begun may have missed our pages
            while self._ended < mine:
                if self._begun == self._ended:
                    self._lead()
                else:
                    self._changed.wait()
            if self.failures != failures:
                raise OSError(self._errno, os.strerror(self._errno))

    def _lead(self) -> None:
        """Call, for all who wait; the lock is released meanwhile."""
        self._since = time.monotonic()  # first: ``stuck`` goes by it as soon as a call has begun
        self._begun += 1
        self._changed.release()
        failure: int | None = errno.EIO
        try:
            self._call()
            failure = None
        except OSError as error:
            failure = error.errno or errno.EIO
        finally:
            self._changed.acquire()
            self._ended += 1
            if failure is not None:
                self._fail(failure)
            self._changed.notify_all()

    def failed(self, problem: OSError) -> None:
        """Another call on the open file was told so, perhaps of pages it had not written itself."""
        with self._changed:
            self._fail(problem.errno or errno.EIO)

    def _fail(self, code: int) -> None:
        self.failures += 1
        self._errno = code
