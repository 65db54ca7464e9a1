"""One call at a time, each for everything that was written before it began; and who is told of what failed."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable

import pytest

from ietpy.stores import syncs
from ietpy.stores.syncs import Syncs

LOST = os.strerror(errno.EIO)


class Device:
    """``sync`` tells that it has begun, and waits for a word: whether to fail."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self._words: list[bool] = []
        self._told = threading.Semaphore(0)
        self.calls = 0
        self._inside = threading.Lock()

    def sync(self) -> None:
        assert self._inside.acquire(blocking=False), "two at a time"
        self.calls += 1
        self.begun.release()
        assert self._told.acquire(timeout=20)
        self._inside.release()
        if self._words.pop(0):
            raise OSError(errno.EIO, "")

    def end(self, *, fail: bool = False) -> None:
        self._words.append(fail)
        self._told.release()


class Writer(threading.Thread):
    """Notes the failures so far, and asks for a sync."""

    def __init__(self, group: Syncs, mark: int | None = None) -> None:
        super().__init__()
        self.group, self.mark = group, group.failures if mark is None else mark
        self.outcome = ""
        self.start()

    def run(self) -> None:
        try:
            self.group.sync(self.mark)
            self.outcome = "stable"
        except OSError as error:
            self.outcome = str(error.strerror)

    def result(self) -> str:
        self.join(20)
        return self.outcome


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def group(device: Device) -> Syncs:
    return Syncs(device.sync)


def wait_until(condition: Callable[[], bool]) -> None:
    turn = threading.Event()
    for _ in range(2000):
        if condition():
            return
        turn.wait(0.005)
    raise AssertionError("it never came about")


def waiting(group: Syncs) -> int:
    return len(group._changed._waiters)  # type: ignore[attr-defined]


def test_those_who_come_while_one_is_under_way_share_the_next(device: Device, group: Syncs) -> None:
    first = Writer(group)
    assert device.begun.acquire(timeout=20)
    others = [Writer(group) for _ in range(5)]
    wait_until(lambda: waiting(group) == 5)
    device.end()
    assert first.result() == "stable"
    assert device.begun.acquire(timeout=20)
    assert all(other.is_alive() for other in others)
    device.end()
    assert [other.result() for other in others] == ["stable"] * 5
    assert device.calls == 2


def test_a_failure_is_told_to_all_who_had_written(device: Device, group: Syncs) -> None:
    """Also to those whose pages it may have been told of, though their own sync finds nothing wrong."""
    first = Writer(group)
    assert device.begun.acquire(timeout=20)
    second = Writer(group)
    wait_until(lambda: waiting(group) == 1)
    device.end(fail=True)
    assert first.result() == LOST
    assert device.begun.acquire(timeout=20)
    late = Writer(group)  # has written after the failure
    wait_until(lambda: waiting(group) == 1)
    device.end()
    assert second.result() == LOST
    assert device.begun.acquire(timeout=20)
    device.end()
    assert late.result() == "stable"


def test_what_another_call_was_told_counts(device: Device, group: Syncs) -> None:
    mark = group.failures
    group.failed(OSError(errno.ENOSPC, ""))
    device.end()
    device.end()
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        group.sync(mark)
    group.sync(group.failures)


def test_a_call_that_does_not_come_back_is_noticed(
    device: Device, group: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not group.stuck
    writer = Writer(group)
    assert device.begun.acquire(timeout=20)
    assert not group.stuck
    now = time.monotonic()
    monkeypatch.setattr(syncs.time, "monotonic", lambda: now + syncs.PATIENCE + 1)
    assert group.stuck
    device.end()
    assert writer.result() == "stable"
    assert not group.stuck


def test_one_that_begins_is_not_taken_for_the_last_one(group: Syncs, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def clock() -> float:
        if not seen:  # asked when the call begins; what is seen of it meanwhile asks, too
            seen.append(False)
            seen[0] = group.stuck
        return now

    now = time.monotonic()
    monkeypatch.setattr(group, "_call", lambda: None)
    monkeypatch.setattr(syncs.time, "monotonic", clock)
    group.sync(0)
    assert seen == [False]


def test_an_error_without_a_number_is_no_success() -> None:
    def call() -> None:
        raise OSError("no number")

    group = Syncs(call)
    with pytest.raises(OSError, match=LOST):
        group.sync(group.failures)


def test_a_mistake_keeps_nobody_waiting_and_is_no_success(device: Device) -> None:
    calls = threading.Semaphore(0)

    def call() -> None:
        if calls.acquire(blocking=False):
            raise ZeroDivisionError
        device.sync()

    group = Syncs(call)
    first = Writer(group)
    assert device.begun.acquire(timeout=20)
    others: list[str] = []

    def other() -> None:
        try:
            group.sync(0)
        except (OSError, ZeroDivisionError) as error:
            others.append(type(error).__name__)

    threads = [threading.Thread(target=other) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: waiting(group) == 2)
    calls.release()
    device.end()
    assert first.result() == "stable"
    for thread in threads:
        thread.join(20)
    assert sorted(others) == ["OSError", "ZeroDivisionError"]
