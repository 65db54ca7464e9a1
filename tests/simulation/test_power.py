"""Whatever was promised is there after a power cut: at every point, for every subset of what was on its way.

The checking is in ``world.Promises``, and done whenever more may be left or less. Errors of the medium are as far as a
store can tell them apart: of a call, and of what the kernel writes back by itself.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from random import Random
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from ietpy.scsi.asc import Asc
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.status import SenseKey
from ietpy.stores import syncs
from tests.simulation.machine import WRITING_BACK, Fault
from tests.simulation.scheduler import Scheduler, Stuck, every_order
from tests.simulation.world import KINDS, SECTORS, World

LOST = Fault(errno.EIO)
WRITE_ERROR = (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)

Step = Callable[[World], object]

#: What two sessions and a worker do in small histories. Blocks 0 and 1 are all they know.
STEPS: dict[str, Step] = {
    "Ann writes": lambda world: world.write(0, 0, 2),
    "Bob writes": lambda world: world.write(1, 1),
    "Ann forces": lambda world: world.write(0, 1, fua=True),
    "Bob synchronizes": lambda world: world.synchronize(1),
    "a worker works": World.work,
    "the kernel fails": lambda world: world.machine.write_back(world.file, failed=True),
}
#: Each in turn is the first of these.
OTHERS: dict[str, Step] = {
    "WRITE SAME": lambda world: world.write_same(0, 0),
    "WRITE SAME of zeros": lambda world: world.write_same(0, 0, zeros=True),
    "WRITE SAME that unmaps": lambda world: world.write_same(0, 0, zeros=True, unmap=True),
    "UNMAP": lambda world: world.unmap(0, 0),
    "COMPARE AND WRITE": lambda world: world.compare_and_write(0, 0),
    "COMPARE AND WRITE, FUA": lambda world: world.compare_and_write(0, 0, fua=True),
    "ORWRITE": lambda world: (world.work(), world.or_write(0, 0), world.work()),
    "ORWRITE, FUA": lambda world: (world.work(), world.or_write(0, 0, fua=True), world.work()),
    "EXTENDED COPY": lambda world: world.copy(0, 0),
    "WRITE AND VERIFY": lambda world: world.write(0, 0, 2, verify=True),
    "START STOP UNIT": lambda world: world.stop(0),
    "cache off": lambda world: world.write_cache(0, False),
    "cache on": lambda world: world.write_cache(1, True),
    "READ, FUA": lambda world: world.read(0, 0, fua=True),
}


def ended(world: World) -> World:
    """With all that is under way done, and the cache asked for twice: the second time, too, must tell the truth."""
    for session in (0, 1):
        world.work()
        world.synchronize(session)
    world.work()
    return world


def live(kind: str, steps: Sequence[Step], *faults: int, fault: Fault = LOST) -> World:
    """A history in which these calls fail."""
    world = World(kind)
    world.machine.faults = dict.fromkeys(faults, fault)
    with world.machine.beneath():
        for step in steps:
            step(world)
        return ended(world)


def each_fails_once(kind: str, steps: Sequence[Step]) -> Iterator[World]:
    """The history without a fault, and with each of its calls failing in turn."""
    whole = live(kind, steps)
    yield whole
    for number in range(len(whole.machine.calls)):
        yield live(kind, steps, number)


@pytest.mark.parametrize("kind", KINDS)
def test_every_small_history(kind: str) -> None:
    lives = 0
    for steps in product(STEPS.values(), repeat=3):
        for _ in each_fails_once(kind, steps):
            lives += 1
    assert lives > 500


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", OTHERS)
def test_every_other_command_among_them(kind: str, other: str) -> None:
    for step in STEPS.values():
        for world in each_fails_once(kind, [STEPS["Ann writes"], OTHERS[other], step, STEPS["a worker works"]]):
            assert world.answered


WORDS = (
    "write", "force", "same", "zero", "unmap", "compare", "or", "copy", "sync", "off", "on", "work", "work", "fails",
    "writes back",
)


@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    steps=st.lists(
        st.tuples(st.sampled_from(WORDS), st.integers(0, 1), st.integers(0, 9), st.integers(1, 3)), max_size=60),
    faults=st.sets(st.integers(0, 150), max_size=6),
    cut=st.randoms(use_true_random=False),
)
def test_long_histories(kind: str, steps: list[tuple[str, int, int, int]], faults: set[int], cut: object) -> None:
    world = World(kind)
    world.machine.faults = dict.fromkeys(faults, LOST)
    with world.machine.beneath():
        for name, session, lba, blocks in steps:
            match name:
                case "write" | "force":
                    world.write(session, lba, blocks, fua=name == "force")
                case "same" | "zero":
                    world.write_same(session, lba, blocks, zeros=name == "zero")
                case "unmap":
                    world.unmap(session, lba, blocks)
                case "compare":
                    world.work()  # what it compares with is there when it is executed
                    world.compare_and_write(session, lba, fua=blocks == 2)
                    world.work()
                case "or":
                    world.work()
                    world.or_write(session, lba, fua=blocks == 2)
                    world.work()
                case "copy":
                    world.copy(session, lba, min(blocks, 2))
                case "sync":
                    world.synchronize(session)
                case "off" | "on":
                    world.work()  # of two under way nobody knows which is the last
                    world.write_cache(session, name == "on")
                    world.work()
                case "work":
                    world.work(world.parked[:blocks])
                case _:
                    world.machine.write_back(world.file, failed=name == "fails")
        ended(world)
    # The power is cut, and the medium served anew: what is read was promised.
    left = world.machine.left("medium", lambda may: cut.choice(sorted(may)))  # type: ignore[attr-defined]
    for number, values in world.promises.live.items():
        assert left[number * 512:][:512] in {each.values[number] for each in values}
    assert len(left) == SECTORS * 512


# fsyncgate: what failed to be written back is clean for the kernel, so the next call finds nothing wrong


@pytest.mark.parametrize("kind", ["fileio, wb", "blockio, wb"])
def test_a_cache_that_was_lost_is_not_said_to_be_stable_however_often_one_asks(kind: str) -> None:
    world = World(kind)
    with world.machine.beneath():
        world.write(0, 0)
        world.work()
        world.machine.faults = {len(world.machine.calls): LOST}
        for ask in (world.synchronize, world.synchronize, world.stop, partial(world.write_cache, enabled=False)):
            for session in (0, 1):
                going = ask(session)
                world.work()
                assert going.answer == WRITE_ERROR, going.name
        assert world.write(0, 1, fua=True).answer is None
        world.work()
        assert world.answered[-1] == ("WRITE of 0", 0), "what is written now is another matter"
        world.lu = LogicalUnit(world.store, world.lu.identity, device=world.device, number=1, write_cache=True)
        world.device.add(1, world.lu)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_medium_loses_nothing_that_was_cached(kind: str) -> None:
    """That a write finds no space says nothing of what was written before."""
    world = World(kind)
    in_place = kind.startswith("fileio") and kind.endswith("wt")  # else it is looked at once more
    with world.machine.beneath():
        world.write(0, 0)
        world.work()
        calls = len(world.machine.calls)
        world.machine.faults = dict.fromkeys(range(calls, calls + (1 if in_place else 2)), Fault(errno.ENOSPC))
        going = world.write(1, 1, fua=True)
        world.work()
        assert going.answer == (SenseKey.DATA_PROTECT, Asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)
        going = world.synchronize(0)
        world.work()
        assert going.answer == 0


# Several threads: who is told of a failure may not be whose it was


def write(session: int) -> Step:
    return lambda world: world.write(session, session)


def force(session: int) -> Step:
    return lambda world: world.write(session, session, fua=True)


RACES: dict[str, tuple[str, tuple[Step, ...]]] = {
    "two that force": ("fileio, wb", (force(0), force(1))),
    "one that forces, one that synchronizes": ("fileio, wb", (force(0), lambda world: world.synchronize(1))),
    "two that write": ("fileio, wt", (write(0), write(1))),
    "one that writes, one that forces": ("fileio, wt", (write(0), lambda world: world.write(1, 1, verify=True))),
    "one that writes, one that unmaps": ("fileio, wt", (write(0), lambda world: world.unmap(1, 1))),
    "one that writes, one that writes same": (
        "fileio, wt", (write(0), lambda world: world.write_same(1, 1, zeros=True))),
    "one that writes, one that copies": ("fileio, wt", (write(0), lambda world: world.copy(1, 1))),
    "blockio, two that write": ("blockio, wt", (write(0), write(1))),
    "blockio, one that writes, one that unmaps": ("blockio, wt", (write(0), lambda world: world.unmap(1, 1))),
}


def race(kind: str, steps: Sequence[Step], choose: Callable[[int], int], fails: int | None) -> World:
    """Each step in a thread of its own, then a look whether what was said is true. ``fails``: which call does."""
    scheduler = Scheduler(choose)
    with patch.object(syncs, "threading", scheduler.threading):
        world = World(kind)
    world.machine.pause = scheduler.pause
    if fails is not None:
        world.machine.faults = {fails: LOST}

    def work(step: Step) -> None:
        step(world)
        mine = [going for going in world.parked if going.task.nexus is world.sessions[steps.index(step)]]
        world.work(mine)

    with world.machine.beneath():
        scheduler.run(*(lambda step=step: work(step) for step in steps))  # type: ignore[misc]
        world.machine.pause = lambda name: None
        ended(world)
    return world


@pytest.mark.parametrize("name", RACES)
def test_whoever_is_told_of_a_failure_first(name: str) -> None:
    """Some of the orders at random; ``tests/long/crash-simulation`` goes through all of them."""
    kind, steps = RACES[name]
    calls = race(kind, steps, lambda many: 0, None).machine.calls
    for number in range(min(len(calls), 6)):
        for seed in range(35):
            world = race(kind, steps, Random(seed).randrange, number)
            assert len(world.answered) >= 2
    assert set(calls) & set(WRITING_BACK)


def test_every_order_is_gone_through_once() -> None:
    seen: list[str] = []
    for choose in every_order(100):
        words: list[str] = []
        scheduler = Scheduler(choose)

        def say(word: str, words: list[str] = words, scheduler: Scheduler = scheduler) -> None:
            words.append(word)
            scheduler.pause()
            words.append(word)

        scheduler.run(partial(say, "a"), partial(say, "b"))
        seen.append("".join(words))
    assert sorted(set(seen)) == ["aabb", "abab", "abba", "baab", "baba", "bbaa"]
    assert len(seen) < 100


def test_who_waits_for_nobody_is_noticed() -> None:
    scheduler = Scheduler(lambda many: 0)
    with pytest.raises(Stuck):
        scheduler.run(scheduler.sleep)
