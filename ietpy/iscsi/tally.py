"""What is counted of a session besides what its commands moved, and of a target over all it had."""

from __future__ import annotations

from collections import Counter


class Tally:
    """``commands``: executed; ``functions``: task management functions by name (RFC 7143 section 11.5.1);
    ``aborted``: tasks these ended. Changed by the holder of the session's lock; a target's under its device's lock.
    """

    __slots__ = ("aborted", "commands", "data_digest_errors", "functions", "header_digest_errors", "r2ts", "sessions")

    def __init__(self, sessions: int = 0) -> None:
        self.sessions = sessions
        self.commands = self.r2ts = self.aborted = 0
        self.header_digest_errors = self.data_digest_errors = 0
        self.functions: Counter[str] = Counter()

    def add(self, other: Tally) -> None:
        self.sessions += other.sessions
        self.commands += other.commands
        self.r2ts += other.r2ts
        self.aborted += other.aborted
        self.header_digest_errors += other.header_digest_errors
        self.data_digest_errors += other.data_digest_errors
        self.functions += other.functions
