"""Counters of commands and blocks, and how long commands took."""

from __future__ import annotations

import pytest

from ietpy.scsi.statistics import BOUNDS, Counters, Latency


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


@pytest.mark.parametrize(
    ("seconds", "number"), [(0.0, 0), (0.00005, 0), (0.000051, 1), (0.0101, 8), (10.0, len(BOUNDS) - 1), (11.0, -1)],
)
def test_a_command_is_in_the_class_of_the_least_bound_that_is_not_below(seconds: float, number: int) -> None:
    latency = Latency()
    latency.took(seconds, 3)
    assert latency.counts[number] == sum(latency.counts) == 3
    assert latency.seconds == pytest.approx(3 * seconds)


def test_latencies_add_up() -> None:
    one, other = Latency(), Latency()
    one.took(0.001, 2)
    other.took(0.001, 1)
    other.took(20.0, 1)
    total = Latency().add((one, None, other))
    assert sum(total.counts) == 4
    assert total.counts[-1] == 1
    assert total.seconds == pytest.approx(20.003)
