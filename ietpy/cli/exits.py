"""How ``ietpy`` ends: one row for each exit status, which ``ietpy --help`` and the manual show."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """Exit statuses of all commands; what one of them means by 1 beyond this its help says."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    CHANGES = 4
    INTERRUPTED = 130
    DEGRADED = 150


MEANINGS: Final = {
    Exit.DONE: "done",
    Exit.FAILED: "it could not be done, or the answer is no; the sentence on standard error says why",
    Exit.USAGE: "called with wrong words, or a file that is read has mistakes; nothing has changed",
    Exit.NOT_RUNNING: "the daemon does not run (LSB)",
    Exit.CHANGES: "plan alone: something would change",
    Exit.INTERRUPTED: "ended by Ctrl-C",
    Exit.DEGRADED: "status --health alone: it serves, but not everything",
}
