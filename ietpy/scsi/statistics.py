"""What was read and written, counted where no lock is needed (SPC-4 section 7.3.6: General Statistics)."""

from __future__ import annotations

from collections.abc import Iterable


class Counters:
    """Commands and logical blocks of reads and writes. One thread at a time counts in one of these."""

    __slots__ = ("blocks_read", "blocks_written", "reads", "writes")

    def __init__(self) -> None:
        self.reads = 0
        self.blocks_read = 0
        self.writes = 0
        self.blocks_written = 0

    def read(self, blocks: int) -> None:
        self.reads += 1
        self.blocks_read += blocks

    def wrote(self, blocks: int) -> None:
        self.writes += 1
        self.blocks_written += blocks

    def add(self, others: Iterable[Counters]) -> Counters:
        """Itself, with what the others counted."""
        for other in others:
            self.reads += other.reads
            self.blocks_read += other.blocks_read
            self.writes += other.writes
            self.blocks_written += other.blocks_written
        return self

    def since(self, start: Counters) -> Counters:
        """What was counted after ``start``, an earlier sum of the same counters."""
        counted = Counters()
        counted.reads = self.reads - start.reads
        counted.blocks_read = self.blocks_read - start.blocks_read
        counted.writes = self.writes - start.writes
        counted.blocks_written = self.blocks_written - start.blocks_written
        return counted
