"""One batch at a time, where many requests come at once.

The interpreter runs one thread, yet every small system call lets another one run, and to take turns within a batch
costs a change of threads at each read of 4 KiB. So threads with much to do wait here until the batch before is
through. Those with little do not: for them the wait would be longer than the work.

Nothing depends on it. A batch that does not end, because a device is stuck, loses its turn: who has waited for
``PATIENCE`` starts a new row without it.
"""

from __future__ import annotations

import threading
from typing import Final

#: Many times what a batch takes (seconds).
PATIENCE: Final = 0.005
#: A connection takes turns while its batches are larger than this. With 16 sessions, 4 KiB reads: 2.7 times the rate at
#: depth 16, 1.6 times at depth 4 (2026-11, two processors).
ALONE: Final = 2


class Turns:
    """For all connections of a server."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> threading.Lock:
        """Wait for the turn; the lock to release when the batch is through."""
        lock = self._lock
        while not lock.acquire(timeout=PATIENCE):
            if self._lock is lock:
                self._lock = threading.Lock()
            lock = self._lock
        return lock
