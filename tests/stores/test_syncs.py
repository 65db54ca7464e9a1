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


def refusing(*codes: int) -> Callable[[int], None]:
    """A ``write`` that fails with these, one after the other; 0: it does not. ``write.flags``: how it was called."""
    left = list(codes)
    flags: list[int] = []

    def write(how: int) -> None:
        flags.append(how)
        code = left.pop(0)
        if code:
            raise OSError(code, os.strerror(code))

    write.flags = flags  # type: ignore[attr-defined]
    return write


@pytest.mark.parametrize(("codes", "failures"), [
    pytest.param((0,), 0, id="it succeeds"),
    pytest.param((errno.EIO,), 1, id="an error may be another's"),
    pytest.param((errno.ENOSPC, errno.ENOSPC), 0, id="there is no space for what it writes"),
    pytest.param((errno.EDQUOT, errno.ENOSPC), 0, id="nor within the quota"),
    pytest.param((errno.ENOSPC, 0), 1, id="there was none for what was written before"),
    pytest.param((errno.ENOSPC, errno.EIO), 1, id="nobody knows"),
])
def test_which_failures_of_forced_writes_count(group: Syncs, codes: tuple[int, ...], failures: int) -> None:
    write = refusing(*codes)
    if codes[0]:
        with pytest.raises(OSError, match=os.strerror(codes[0])):
            group.force(write)
    else:
        group.force(write)
    assert group.failures == failures
    assert write.flags == [os.RWF_DSYNC, 0][:len(codes)]  # type: ignore[attr-defined]


def test_what_another_call_was_told_counts(device: Device, group: Syncs) -> None:
    mark = group.failures
    with pytest.raises(OSError):
        group.force(refusing(errno.EIO))
    device.end()
    device.end()
    with pytest.raises(OSError, match=LOST):
        group.sync(mark)
    group.sync(group.failures)


def test_where_nothing_can_be_forced_it_is_a_write_and_a_sync(device: Device, group: Syncs) -> None:
    write = refusing(errno.EOPNOTSUPP, 0, 0)
    for _ in range(2):
        device.end()
        group.force(write)
    assert write.flags == [os.RWF_DSYNC, 0, 0]  # type: ignore[attr-defined]
    assert device.calls == 2
    assert group.failures == 0


class Forcing(Writer):
    """Forces what it writes; ``begun`` says when it does, and ``end`` lets it end."""

    def __init__(self, group: Syncs) -> None:
        self.begun, self.told = threading.Semaphore(0), threading.Semaphore(0)
        self.fails = 0
        super().__init__(group)

    def write(self, flags: int) -> None:
        self.begun.release()
        assert self.told.acquire(timeout=20)
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))

    def run(self) -> None:
        try:
            self.group.force(self.write)
            self.outcome = "stable"
        except OSError as error:
            self.outcome = str(error.strerror)

    def end(self, fails: int = 0) -> None:
        self.fails = fails
        self.told.release()


@pytest.mark.parametrize("fails", [0, errno.EIO])
def test_a_forced_write_waits_for_those_who_may_be_told_in_its_place(group: Syncs, fails: int) -> None:
    first, second = Forcing(group), Forcing(group)
    for each in (first, second):
        assert each.begun.acquire(timeout=20)
    first.end()
    wait_until(lambda: waiting(group) == 1)
    second.end(fails)
    assert [first.result(), second.result()] == [LOST if fails else "stable"] * 2


@pytest.mark.parametrize("fails", [0, errno.EIO])
def test_a_sync_waits_for_forced_writes_who_may_be_told_in_its_place(
    device: Device, group: Syncs, fails: int
) -> None:
    forced = Forcing(group)
    assert forced.begun.acquire(timeout=20)
    syncing = Writer(group)
    assert device.begun.acquire(timeout=20)
    device.end()
    wait_until(lambda: waiting(group) == 1)
    forced.end(fails)
    assert [forced.result(), syncing.result()] == [LOST if fails else "stable"] * 2


def test_a_forced_write_waits_for_the_sync_that_may_be_told_in_its_place(device: Device, group: Syncs) -> None:
    syncing = Writer(group)
    assert device.begun.acquire(timeout=20)
    forced = Forcing(group)
    forced.end()
    wait_until(lambda: waiting(group) == 1)
    device.end(fail=True)
    assert [forced.result(), syncing.result()] == [LOST] * 2


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
