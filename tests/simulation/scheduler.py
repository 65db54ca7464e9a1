"""Threads of which one at a time runs, and whoever goes on at a pause is chosen: by search, or at random."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any


class Stuck(AssertionError):
    """All wait for each other."""


class Scheduler:
    """``choose(n)``: which of n threads that could run does. ``threading``: stands for that module in their code."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self.choose = choose
        self._may_run: list[threading.Thread] = []
        self._tokens: dict[threading.Thread, threading.Semaphore] = {}
        self._over = threading.Semaphore(0)
        self._problems: list[BaseException] = []
        self.threading = SimpleNamespace(Lock=lambda: None, Condition=lambda lock: Condition(self))

    def run(self, *works: Callable[[], None]) -> None:
        """Do these, and return when all have ended. Raises what one of them raised, or Stuck."""
        threads = [threading.Thread(target=self._body, args=(work,), daemon=True) for work in works]
        for thread in threads:
            self._tokens[thread] = threading.Semaphore(0)
            self._may_run.append(thread)
            thread.start()
        self._next()
        for _ in threads:
            if not self._over.acquire(timeout=20) or self._problems:
                break
        if self._problems:
            raise self._problems[0]

    def _body(self, work: Callable[[], None]) -> None:
        me = threading.current_thread()
        self._tokens[me].acquire()
        try:
            work()
        except BaseException as problem:
            self._problems.append(problem)
        self._may_run.remove(me)
        del self._tokens[me]
        if self._tokens and not self._problems:
            self._next()
        self._over.release()

    def _next(self) -> None:
        if not self._may_run:
            self._problems.append(Stuck())
            self._over.release()
            return
        self._tokens[self._may_run[self.choose(len(self._may_run))]].release()

    def pause(self, name: str = "") -> None:
        """Somebody may go on: perhaps who called this."""
        me = threading.current_thread()
        if me in self._tokens:
            token = self._tokens[me]
            self._next()
            token.acquire()

    def sleep(self) -> None:
        """Others go on, until ``wake``."""
        me = threading.current_thread()
        token = self._tokens[me]
        self._may_run.remove(me)
        self._next()
        token.acquire()

    def wake(self, thread: threading.Thread) -> None:
        self._may_run.append(thread)


class Condition:
    """As ``threading.Condition`` with its lock, under a scheduler. Outside of its threads it keeps nobody out."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._owner: threading.Thread | None = None
        self._sleepers: list[threading.Thread] = []

    def acquire(self) -> bool:
        while self._owner is not None:
            self._scheduler.pause()
        self._owner = threading.current_thread()
        return True

    def release(self) -> None:
        assert self._owner is threading.current_thread()
        self._owner = None

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *problem: Any) -> None:
        self.release()

    def wait(self) -> None:
        self.release()
        self._sleepers.append(threading.current_thread())
        self._scheduler.sleep()
        self.acquire()

    def notify_all(self) -> None:
        assert self._owner is threading.current_thread()
        for each in self._sleepers:
            self._scheduler.wake(each)
        self._sleepers.clear()


def every_order(limit: int) -> Iterator[Callable[[int], int]]:
    """One ``choose`` after the other, until each way was gone, or ``limit`` of them; each is used for a whole run."""
    taken: list[list[int]] = []  #: what was chosen, and of how many, at each pause
    for _ in range(limit):
        place = 0

        def choose(many: int) -> int:
            nonlocal place
            if place == len(taken):
                taken.append([0, many])
            place += 1
            return taken[place - 1][0]

        yield choose
        while taken and taken[-1][0] + 1 >= taken[-1][1]:
            taken.pop()
        if not taken:
            return
        taken[-1][0] += 1
