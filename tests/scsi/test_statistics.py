"""Counters of commands and blocks."""

from __future__ import annotations

from ietpy.scsi.statistics import Counters


def values(counters: Counters) -> list[int]:
    return [getattr(counters, name) for name in Counters.__slots__]


def test_each_counts_in_its_place() -> None:
    counters = Counters()
    counters.read(8)
    counters.wrote(2)
    counters.wrote(3)
    assert (counters.reads, counters.blocks_read, counters.writes, counters.blocks_written) == (1, 8, 2, 5)


def test_sums_and_differences() -> None:
    one, other = Counters(), Counters()
    one.read(8)
    other.read(1)
    other.wrote(4)
    total = Counters().add((one, other))
    assert values(total.since(one)) == values(other)
    assert values(total.since(Counters())) == values(total)
    assert values(total.since(total)) == [0, 0, 0, 0]
