"""What was read and written, counted where no lock is needed (SPC-4 section 7.3.6: General Statistics), and how long
commands took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ietpy.scsi.nexus import Nexus

#: Upper bounds of the classes of ``Latency``, in seconds; one more class has all that took longer.
BOUNDS: Final = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)


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


class Latency:
    """How long commands took that were looked at: ``counts`` by class, ``seconds`` all together.

    Who measures says what is measured (``server.latency``). One thread at a time counts in one of these.
    """

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def took(self, seconds: float, commands: int) -> None:
        """So many took so long each."""
        self.counts[bisect_left(BOUNDS, seconds)] += commands
        self.seconds += seconds * commands

    def add(self, others: Iterable[Latency | None]) -> Latency:
        """Itself, with what the others counted."""
        for other in others:
            if other is not None:
                self.counts = [one + another for one, another in zip(self.counts, other.counts, strict=True)]
                self.seconds += other.seconds
        return self


class Record:
    """What a unit counts besides what its nexuses have (``Nexus``); the caller holds the device's lock.

    ``deferred``  of tasks on workers and of nexuses that are gone
    ``errors``    how many commands ended with CHECK CONDITION, by sense key
    ``latency``   of nexuses that are gone
    """

    __slots__ = ("deferred", "errors", "latency")

    def __init__(self) -> None:
        self.deferred = Counters()
        self.errors: dict[int, int] = {}
        self.latency = Latency()

    def read(self, nexus: Nexus, blocks: int) -> None:
        """A worker has, for ``nexus``."""
        self.deferred.read(blocks)
        nexus.deferred.read(blocks)

    def wrote(self, nexus: Nexus, blocks: int) -> None:
        self.deferred.wrote(blocks)
        nexus.deferred.wrote(blocks)

    def failed(self, nexus: Nexus, key: int) -> None:
        """A command ended with this sense key."""
        for errors in (self.errors, nexus.errors):
            errors[key] = errors.get(key, 0) + 1

    def gone(self, nexus: Nexus) -> None:
        self.deferred.add((nexus.counters,))
        self.latency.add((nexus.latency,))
