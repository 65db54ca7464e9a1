"""Limits of operations and bytes in a second, by a clock that tests turn: when commands go, and in what order."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.scsi import pace
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.nexus import METERED, SLOWED, Nexus
from ietpy.scsi.pace import BURST, Meter, Pace, granted, limit, meter, slow
from ietpy.scsi.rates import UNLIMITED, Rates
from ietpy.scsi.task import Task
from ietpy.stores.nullio import NullStore

READ, WRITE, INQUIRY = 0x28, 0x2A, 0x12


class Site:
    """A unit, two nexuses with it, and a clock."""

    def __init__(self, rates: Rates) -> None:
        self.now = 100.0
        self.device = ScsiDevice("t", threading.RLock())
        self.device.clock = lambda: self.now
        identity = iet_identity("t", 0, None, None)
        self.unit = LogicalUnit(NullStore(), identity, device=self.device, number=0, write_cache=True)
        self.device.add(0, self.unit)
        limit(self.unit, rates)
        self.one, self.other = self.nexus("one"), self.nexus("other")
        self.count = 0

    def nexus(self, name: str) -> Nexus:
        made = self.device.nexus(0, name)
        made.attentions.clear()
        made.barrier &= ~1
        return made

    def task(self, nexus: Nexus, opcode: int = READ, blocks: int = 1, may_block: bool = False) -> Task:
        self.count += 1
        task = Task()
        task.nexus, task.tag, task.cmd_sn, task.may_block = nexus, self.count, self.count, may_block
        task.cdb = bytes((opcode, 0, 0, 0, 0, 0, 0, 0, blocks, 0)).ljust(16, b"\0")
        if opcode == INQUIRY:
            task.cdb = bytes((INQUIRY, 0, 0, 0, 96)).ljust(16, b"\0")
        task.expected = blocks * 512
        if opcode == WRITE:
            task.data, task.data_length = (memoryview(bytes(blocks * 512)),), blocks * 512
        return task

    def wait(self, task: Task) -> float:
        """Seconds that a task, which could not go on at once, is to wait."""
        grant = granted(task)
        return 0.0 if grant is None else grant.wait


def test_no_more_goes_than_the_rate_and_a_tenth_of_a_second_of_it() -> None:
    site = Site(Rates(operations=20))
    done = [site.unit.execute(site.task(site.one)) for _ in range(4)]
    assert done == [True, True, True, False]
    site.now += 0.05
    assert site.wait(site.task(site.other)) == pytest.approx(0.05)
    site.now += 1.0
    assert [site.unit.execute(site.task(site.one, WRITE)) for _ in range(4)] == [True, True, True, False]


def test_without_a_transport_no_time_passes() -> None:
    """A device that nobody serves has no clock: what a limit lets go at once goes, and no more."""
    site = Site(Rates(operations=20))
    site.device.clock = ScsiDevice("t", threading.RLock()).clock
    assert [site.unit.execute(site.task(site.one)) for _ in range(5)] == [True, True, True, False, False]


def test_those_who_wait_go_in_the_order_of_coming_whosever_they_are() -> None:
    site = Site(Rates(operations=10))
    tasks = [site.task(nexus) for _ in range(20) for nexus in (site.one, site.other)]
    waits = []
    for task in tasks:
        site.unit.execute(task)
        waits.append(site.wait(task))
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(39 / 10 - BURST)


def test_bytes_count_as_they_were_announced() -> None:
    site = Site(Rates(bytes=51200))
    assert site.unit.execute(site.task(site.one, blocks=100))
    assert not site.unit.execute(late := site.task(site.one, WRITE, blocks=10))
    assert site.wait(late) == pytest.approx(1 - BURST)


def test_an_initiator_is_limited_on_all_its_units_and_others_are_not() -> None:
    site = Site(UNLIMITED)
    assert not site.one.barrier
    shared = meter(Rates(operations=10))
    another = site.nexus("one")
    for nexus in (site.one, another):
        slow(nexus, shared)
    assert site.unit.execute(site.task(site.one))
    assert site.unit.execute(site.task(another))
    assert not site.unit.execute(site.task(site.one))
    assert all(site.unit.execute(site.task(site.other)) for _ in range(100))
    slow(site.one, None)
    assert not site.one.barrier
    assert site.unit.execute(site.task(site.one))


def test_the_stricter_of_two_limits_holds_and_both_are_used_up() -> None:
    site = Site(Rates(operations=10))
    slow(site.one, meter(Rates(operations=5)))
    assert site.one.barrier == METERED | SLOWED
    for _ in range(4):
        site.unit.execute(site.task(site.one))
    assert site.wait(site.task(site.one)) == pytest.approx(4 / 5 - BURST)
    assert site.wait(site.task(site.other)) == pytest.approx(5 / 10 - BURST)


def test_only_what_reads_or_writes_the_medium_counts() -> None:
    site = Site(Rates(operations=1))
    assert site.unit.execute(site.task(site.one))
    assert all(site.unit.execute(site.task(site.one, INQUIRY)) for _ in range(10))
    assert granted(site.task(site.one, INQUIRY)) is None


def test_what_asked_in_place_does_not_ask_again() -> None:
    """It would have waited for a device; nor does a worker, who has it when its turn has come."""
    site = Site(Rates(operations=10))
    site.unit.execute(first := site.task(site.one))
    assert site.wait(first) == site.wait(first) == 0
    site.unit.execute(second := site.task(site.one))
    assert site.wait(second) == 0
    site.unit.execute(third := site.task(site.one))
    assert site.wait(third) == site.wait(third) == pytest.approx(0.1)
    third.may_block = True
    assert site.unit.execute(third)


def test_what_ended_before_its_turn_is_given_back() -> None:
    """Also what is aborted and sent again, and again, does not make the queue longer."""
    site = Site(Rates(operations=10, bytes=1 << 20))
    for _ in range(5):
        site.unit.execute(site.task(site.one))
    before = site.wait(site.task(site.one))
    grant = site.one.granted
    assert grant is not None
    for _ in range(100):
        grant.give_back()
        assert site.wait(site.task(site.one)) == pytest.approx(before)


def test_a_limit_changes_while_it_holds() -> None:
    site = Site(Rates(operations=1))
    known = site.unit.meter
    limit(site.unit, Rates(operations=1))
    assert site.unit.meter is known, "what was used is not forgotten where nothing changed"
    limit(site.unit, Rates(operations=1000))
    assert site.unit.execute(site.task(site.one))
    assert site.unit.execute(site.task(site.one))
    limit(site.unit, UNLIMITED)
    assert (site.unit.meter, site.one.barrier, pace.meters_of(site.one)) == (None, 0, ())


def test_a_unit_that_takes_a_number_over_keeps_the_initiators_limit() -> None:
    site = Site(Rates(operations=10))
    slow(site.one, meter(Rates(operations=5)))
    site.unit.adopt(site.one)
    assert site.one.barrier & (METERED | SLOWED) == METERED | SLOWED


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 9)), max_size=50), st.integers(1, 50))
def test_never_more_than_the_rate_allows(arrivals: list[tuple[float, int]], rate: int) -> None:
    """In any stretch of time: what the rate allows for it and for a burst, and one operation that was begun."""
    made, now, went = Pace(rate), 0.0, list[tuple[float, int]]()
    for pause, amount in arrivals:
        now += pause
        due = made.due(amount, now)
        assert due >= now
        went.append((due, amount))
    assert [due for due, _ in went] == sorted(due for due, _ in went)
    for first in range(len(went)):
        for last in range(first, len(went)):
            seconds = went[last][0] - went[first][0]
            amount = sum(amount for _, amount in went[first:last])
            assert amount <= rate * (seconds + BURST) + 1e-6


def test_a_meter_of_nothing_lets_everything_pass() -> None:
    empty: Any = Meter(UNLIMITED)
    assert empty.due(1 << 30, 7.0) == 7.0
    empty.give_back(1 << 30)
