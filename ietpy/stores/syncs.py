"""What becomes stable of one open file, and how often something could not: group commit, and writes with RWF_DSYNC.

Group commit: fdatasync(2), one call at a time, each for all writes that had ended when it began. One at a time is
cheaper than several, and needed to hear the truth: that pages could not be written is told to the first call on an open
file that asks afterwards and to no other, whoever wrote them (``lib/errseq.c`` of the kernel). Such pages are clean
then, so no later call says anything of them. So failures are counted here, and whoever could have been told of one in
the place of another waits until that other has counted it.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

#: Kernels before 4.7 and a few file systems refuse RWF_* flags with this.
_UNSUPPORTED: Final = errno.EOPNOTSUPP
#: What a write without space fails with, before it changes anything; also what pages that could not be written tell.
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
#: A call that takes longer (seconds) is a sign that the device is stuck, and that writing to its cache may be, too.
PATIENCE: Final = 0.5


class Syncs:
    """Of one open file. ``call`` and ``sync`` raise OSError."""

    __slots__ = ("_asking", "_begun", "_call", "_changed", "_ended", "_errno", "_flags", "_since", "failures")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._changed = threading.Condition(threading.Lock())
        self._begun = 0  #: calls
        self._ended = 0
        self._since = 0.0  #: when the last one began
        #: Calls under way that are told of failures; of more than one nobody knows whose.
        self._asking: set[object] = set()
        self._flags: int = os.RWF_DSYNC  #: for pwritev(2), of a write that is stable when it returns; 0: there is none
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
            self._judge(failures)

    def force(self, write: Callable[[int], None]) -> None:
        """``write(flags)``, with flags for pwritev(2); what it wrote is on stable storage when this returns."""
        failures = self.failures
        flags = self._flags
        try:
            if flags:
                with self._told():
                    self._force(write, flags)
                with self._changed:
                    self._judge(failures)
                return
        except OSError as error:
            if error.errno != _UNSUPPORTED:
                raise
            self._flags = 0  # remembered: from now on a write and a sync
        write(0)
        self.sync(failures)

    def _force(self, write: Callable[[int], None], flags: int) -> None:
        """A failure counts, as it may be one of other pages; but for want of space for what is written here."""
        try:
            write(flags)
        except OSError as error:
            if error.errno != _UNSUPPORTED and not (error.errno in _NO_SPACE and _fails_again(write)):
                with self._changed:
                    self._fail(error.errno or errno.EIO)
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Around a call that may be told of failures, and the counting of them."""
        call = object()
        with self._changed:
            self._asking.add(call)
        try:
            yield
        finally:
            with self._changed:
                self._asking.remove(call)
                self._changed.notify_all()

    def _judge(self, failures: int) -> None:
        """Raise if there were more, also by calls that are still under way. The caller holds the condition."""
        others = frozenset(self._asking)
        while not others.isdisjoint(self._asking):
            self._changed.wait()
        if self.failures != failures:
            raise OSError(self._errno, os.strerror(self._errno))

    def _lead(self) -> None:
        """Call, for all who wait; the lock is released meanwhile."""
        call = object()
        self._since = time.monotonic()  # first: ``stuck`` goes by it as soon as a call has begun
        self._begun += 1
        self._asking.add(call)
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
            self._asking.remove(call)
            if failure is not None:
                self._fail(failure)
            self._changed.notify_all()

    def _fail(self, code: int) -> None:
        self.failures += 1
        self._errno = code


def _fails_again(write: Callable[[int], None]) -> bool:
    """Whether the same cannot be written as far as the cache either."""
    try:
        write(0)
    except OSError as error:
        return error.errno in _NO_SPACE
    return False
