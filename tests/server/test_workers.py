"""Worker threads come with work, up to a limit, and end with the pool."""

from __future__ import annotations

import threading

import pytest

from ietpy.server.workers import WorkerPool


def test_no_work_no_thread() -> None:
    before = threading.active_count()
    pool = WorkerPool("idle", 4)
    assert threading.active_count() == before
    pool.close()


def test_waiting_jobs_get_threads_up_to_the_limit() -> None:
    pool = WorkerPool("busy", 3)
    before = threading.active_count()
    gate, started = threading.Event(), threading.Semaphore(0)

    def job(_: int) -> None:
        started.release()
        assert gate.wait(20)

    for number in range(10):
        pool.submit(job, number)
    for _ in range(3):
        assert started.acquire(timeout=20)
    assert threading.active_count() == before + 3
    gate.set()
    pool.close()
    assert threading.active_count() == before


def test_every_job_runs_once_before_the_end() -> None:
    pool = WorkerPool("many", 4)
    done: list[int] = []
    for number in range(500):
        pool.submit(done.append, number)
    pool.close()
    assert sorted(done) == list(range(500))


def test_idle_threads_are_used_again() -> None:
    pool = WorkerPool("again", 8)
    before = threading.active_count()
    for _ in range(50):
        over = threading.Event()
        pool.submit(lambda event: event.set(), over)
        assert over.wait(20)
    assert threading.active_count() - before < 8
    pool.close()


def test_a_closed_pool_starts_no_thread() -> None:
    pool = WorkerPool("closed", 4)
    pool.close()
    before = threading.active_count()
    pool.submit(print, "never")
    assert threading.active_count() == before


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


def test_without_any_thread_a_job_is_refused(no_threads: None) -> None:
    pool = WorkerPool("none", 4)
    done: list[int] = []
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pool.submit(done.append, 1)
    pool.close()
    assert done == []


def test_what_others_may_wait_for_is_not_behind_them(request: pytest.FixtureRequest) -> None:
    pool = WorkerPool("waits", 1)
    gate, done = threading.Event(), threading.Event()
    pool.submit(lambda _: gate.wait(20), 0)
    pool.submit(lambda _: gate.set(), 0, at_once=True)
    pool.submit(lambda event: event.set(), done)
    assert done.wait(20)
    pool.resize(2)
    request.getfixturevalue("no_threads")
    hold = threading.Event()
    pool.submit(lambda _: hold.wait(20), 0)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pool.submit(lambda _: None, 0, at_once=True)
    hold.set()
    pool.close()


def test_with_few_threads_jobs_take_turns(request: pytest.FixtureRequest) -> None:
    pool = WorkerPool("few", 4)
    gate, done = threading.Event(), []
    pool.submit(lambda _: gate.wait(20), 0)
    request.getfixturevalue("no_threads")
    for number in range(5):
        pool.submit(done.append, number)
    gate.set()
    pool.close()
    assert done == list(range(5))


def test_a_smaller_pool_ends_threads_and_a_larger_one_starts_them_again() -> None:
    pool = WorkerPool("resized", 4)
    before = threading.active_count()
    gate, started = threading.Event(), threading.Semaphore(0)

    def job(event: threading.Event) -> None:
        started.release()
        assert event.wait(20)

    def busy(event: threading.Event, jobs: int, at_once: int) -> None:
        for _ in range(jobs):
            pool.submit(job, event)
        for _ in range(at_once):
            assert started.acquire(timeout=20)

    busy(gate, 4, 4)
    pool.resize(1)
    pool.resize(4)
    pool.resize(1)  # words to end that nobody has heard yet are not given twice
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("resized-")]
    gate.set()
    while sum(thread.is_alive() for thread in threads) > 1:
        threads[0].join(0.01)
    again = threading.Event()
    busy(again, 3, 1)
    assert not started.acquire(blocking=False)
    pool.resize(3)
    busy(again, 2, 0)
    again.set()
    pool.close()
    assert threading.active_count() == before
