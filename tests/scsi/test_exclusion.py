"""Who waits for whom over the ranges of a medium: real threads, and events instead of pauses."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest

from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.exclusion import Exclusion

PATIENCE = 10.0  #: seconds until what should happen at once counts as a deadlock

ALL = ((0, 100), (50, 10), (99, 50))


class Watched(threading.Condition):
    """Tells when a thread begins to wait, so that a test knows without pausing."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.release()
        return super().wait(timeout or PATIENCE)


class Claimant:
    """A thread that claims, says that it is inside, and leaves when told to."""

    def __init__(self, claim: AbstractContextManager[None], order: list[str], name: str) -> None:
        self.inside = threading.Event()
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(claim, order, name))
        self._thread.start()

    def _run(self, claim: AbstractContextManager[None], order: list[str], name: str) -> None:
        with claim:
            order.append(name)
            self.inside.set()
            self._leave.wait(PATIENCE)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it never got in"


class Scene:
    """An exclusion and the threads at it."""

    def __init__(self, stack: ExitStack) -> None:
        self.changed = Watched()
        self.exclusion = Exclusion(self.changed)
        self.order: list[str] = []
        self._stack = stack

    def _start(self, claim: AbstractContextManager[None], name: str) -> Claimant:
        claimant = Claimant(claim, self.order, name)
        self._stack.callback(claimant.leave)
        return claimant

    def inside(self, kind: str, offset: int = 0, length: int = 100, name: str = "") -> Claimant:
        """One that gets in."""
        claimant = self._start(getattr(self.exclusion, kind)(offset, length), name)
        assert claimant.inside.wait(PATIENCE)
        return claimant

    def waiting(self, kind: str, offset: int = 0, length: int = 100, name: str = "") -> Claimant:
        """One that has to wait."""
        claimant = self._start(getattr(self.exclusion, kind)(offset, length), name)
        assert self.changed.waits.acquire(timeout=PATIENCE)
        assert not claimant.inside.is_set()
        return claimant


@pytest.fixture
def scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(stack)


def test_any_number_shares(scene: Scene) -> None:
    for _ in range(3):
        scene.inside("shared")
    assert scene.exclusion.ranges == ()


@pytest.mark.parametrize(("offset", "length"), ALL)
@pytest.mark.parametrize(("first", "second"), [("sole", "shared"), ("shared", "sole"), ("sole", "sole")])
def test_sole_and_others_exclude_each_other(scene: Scene, first: str, second: str, offset: int, length: int) -> None:
    one = scene.inside(first)
    other = scene.waiting(second, offset, length)
    one.leave()
    assert other.inside.wait(PATIENCE)


@pytest.mark.parametrize("offset", [0, 200])
@pytest.mark.parametrize("second", ["shared", "sole"])
def test_ranges_that_only_touch_do_not_meet(scene: Scene, second: str, offset: int) -> None:
    scene.inside("sole", 100, 100)
    scene.inside(second, offset, 100)


def test_a_stream_of_shared_does_not_keep_a_sole_waiting(scene: Scene) -> None:
    first = scene.inside("shared", name="first")
    sole = scene.waiting("sole", name="sole")
    late = [scene.waiting("shared", 50, 1, name="late") for _ in range(3)]
    scene.inside("shared", 100, 100, name="elsewhere")
    first.leave()
    assert sole.inside.wait(PATIENCE)
    assert not any(claimant.inside.is_set() for claimant in late)
    sole.leave()
    assert all(claimant.inside.wait(PATIENCE) for claimant in late)
    assert scene.order == ["first", "elsewhere", "sole", "late", "late", "late"]


def test_a_stream_of_sole_does_not_keep_a_shared_waiting(scene: Scene) -> None:
    first = scene.inside("sole", name="first")
    shared = scene.waiting("shared", name="shared")
    second = scene.waiting("sole", name="second")
    first.leave()
    assert shared.inside.wait(PATIENCE)
    assert not second.inside.is_set()
    shared.leave()
    assert second.inside.wait(PATIENCE)
    assert scene.order == ["first", "shared", "second"]


def test_who_waits_for_one_range_waits_for_no_other(scene: Scene) -> None:
    first, second = scene.inside("sole", 0, 10), scene.inside("sole", 10, 10)
    both = scene.waiting("shared", 0, 20)
    second.leave()
    assert scene.changed.waits.acquire(timeout=PATIENCE), "it looked, and waits on for the first"
    assert not both.inside.is_set()
    first.leave()
    assert both.inside.wait(PATIENCE)


@pytest.mark.parametrize(("offset", "length", "busy"), [
    (0, 100, True), (99, 1, True), (0, 101, True), (100, 1, False), (150, 50, False), (199, 2, True), (0, 300, True),
])
def test_busy_is_what_a_sole_has_announced_even_if_it_waits(scene: Scene, offset: int, length: int, busy: bool) -> None:
    reader = scene.inside("shared", 50, 50)
    assert not scene.exclusion.busy(0, 1000)
    sole = scene.waiting("sole", 50, 50)
    other = scene.inside("sole", 200, 100)
    assert scene.exclusion.ranges == ((50, 100), (200, 300))
    assert scene.exclusion.busy(offset, length) is busy
    for claimant in (reader, sole, other):
        claimant.leave()
    assert scene.exclusion.ranges == ()


def test_an_error_inside_leaves_nothing_behind(scene: Scene) -> None:
    for claim in (scene.exclusion.sole, scene.exclusion.shared):
        with pytest.raises(ZeroDivisionError), claim(0, 100):
            raise ZeroDivisionError
    scene.inside("sole")


# Connections' own threads


def device(exclusion: Exclusion, quiesce: Callable[[], None]) -> ScsiDevice:
    made = ScsiDevice("iqn.2001-04.com.example:d", threading.RLock())
    made.quiesce = quiesce
    exclusion.join(made)
    return made


def test_every_device_is_quiesced_once_between_announcing_and_getting_in(scene: Scene) -> None:
    def quiesce(number: int) -> None:
        assert scene.exclusion.busy(7, 1)
        scene.order.append(f"quiesced {number}")

    kept = [device(scene.exclusion, lambda number=number: quiesce(number)) for number in (1, 2)]  # type: ignore[misc]
    scene.exclusion.join(kept[0])
    scene.inside("sole", name="in")
    scene.inside("shared", 100, 100, name="shared")
    assert (sorted(scene.order[:2]), scene.order[2:]) == (["quiesced 1", "quiesced 2"], ["in", "shared"])


def test_devices_that_are_gone_are_not_quiesced(scene: Scene) -> None:
    def never() -> None:
        raise AssertionError

    device(scene.exclusion, never)
    gc.collect()
    scene.inside("sole")


def test_a_worker_that_waits_for_a_sole_does_not_keep_it_from_quiescing(scene: Scene) -> None:
    """The sole waits for connections, these for nobody, and who waits for the sole is no connection."""
    reached, passed = threading.Event(), threading.Event()

    def quiesce() -> None:
        reached.set()
        assert passed.wait(PATIENCE)

    kept = device(scene.exclusion, quiesce)
    sole = scene._start(scene.exclusion.sole(0, 100), "sole")
    assert reached.wait(PATIENCE)
    shared = scene.waiting("shared", name="shared")
    assert not sole.inside.is_set()
    passed.set()
    assert sole.inside.wait(PATIENCE)
    sole.leave()
    assert shared.inside.wait(PATIENCE)
    assert scene.order == ["sole", "shared"]
    assert kept.name


def test_a_device_that_cannot_be_quiesced_costs_that_command_alone(scene: Scene) -> None:
    def fails() -> None:
        raise OSError

    kept = device(scene.exclusion, fails)
    with pytest.raises(OSError), scene.exclusion.sole(0, 100):
        raise AssertionError
    assert scene.exclusion.ranges == ()
    scene.inside("shared")
    assert kept.name


def test_one_thread_that_would_wait_for_itself_is_told() -> None:
    exclusion = Exclusion()
    for outer, inner in (("sole", "shared"), ("shared", "sole"), ("sole", "sole")):
        with getattr(exclusion, outer)(0, 100):
            with pytest.raises(RuntimeError, match="waits for itself"), getattr(exclusion, inner)(50, 1):
                raise AssertionError
            with getattr(exclusion, inner)(100, 1):
                pass
    with exclusion.shared(0, 1), exclusion.shared(0, 1):
        pass
    assert exclusion.ranges == ()


# All together


def test_whatever_comes_a_sole_is_alone_and_everybody_gets_in() -> None:
    """Eight threads claim at random; a table of who is inside must never show a sole that meets another."""
    exclusion = Exclusion(threading.Condition())
    kept = device(exclusion, lambda: None)
    guard = threading.Lock()
    inside: dict[int, tuple[bool, int, int]] = {}
    wrong: list[Any] = []
    start = threading.Barrier(8)

    @contextmanager
    def noted(number: int, sole: bool, offset: int, length: int) -> Iterator[None]:
        mine = (sole, offset, offset + length)
        with guard:
            wrong.extend(
                (mine, other) for other in inside.values()
                if (sole or other[0]) and other[1] < mine[2] and mine[1] < other[2]
            )
            inside[number] = mine
        yield
        with guard:
            del inside[number]

    def work(number: int) -> None:
        choices = random.Random(number)
        start.wait(PATIENCE)
        for _ in range(300):
            sole, offset, length = choices.random() < 0.4, choices.randrange(20), choices.randrange(1, 10)
            with (exclusion.sole if sole else exclusion.shared)(offset, length), noted(number, sole, offset, length):
                pass

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(6 * PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert exclusion.ranges == ()
    assert kept.name


def test_together_claims_all_or_none(scene: Scene) -> None:
    exclusion = scene.exclusion
    with exclusion.together([(0, 10), (20, 10)]) as free:
        assert free
        other = scene.waiting("sole", 25, 1)
    assert other.inside.wait(PATIENCE)
    with exclusion.together([(0, 10), (20, 10)]) as free:
        assert not free
        assert len(exclusion._claims) == 1
    with exclusion.together([(0, 10), (30, 10)]) as free:
        assert free
    other.leave()
    assert exclusion._claims == []
