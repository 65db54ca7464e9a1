"""Threads for what may wait for a device: one pool per target, as large as its Wthreads option allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class WorkerPool:
    """Runs jobs in threads that are started when there is work for them and end with ``close``.

    ``limit`` threads at most. A job must not raise.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self.limit = limit
        self._jobs: SimpleQueue[tuple[Callable[[Any], None], Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._leaving = 0  #: threads that were told to end and have not yet
        self._closed = False

    def submit(self, job: Callable[[Any], None], argument: Any, at_once: bool = False) -> None:
        """Run ``job(argument)`` soon. Raises RuntimeError when no thread can be had at all; the job is not taken.

        ``at_once``: workers may be waiting for its end, so where all are busy it has a thread of its own.
        """
        with self._lock:
            if self._idle:
                self._idle -= 1  # one sleeper is spoken for
            elif len(self._threads) - self._leaving < self.limit and not self._closed:
                self._start_thread(at_once)
            elif at_once:
                threading.Thread(target=job, args=(argument,), name=f"{self._name}-worker", daemon=True).start()
                return
            self._jobs.put((job, argument))

    def resize(self, limit: int) -> None:
        """Allow ``limit`` threads from now on; those too many end when they have done what was queued before."""
        with self._lock:
            self.limit = limit
            for _ in range(len(self._threads) - self._leaving - limit):
                self._leaving += 1
                if self._idle:
                    self._idle -= 1
                self._jobs.put(None)

    def _start_thread(self, needed: bool) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-worker-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if needed or len(self._threads) == self._leaving:
                raise
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        jobs = self._jobs
        while (item := jobs.get()) is not None:
            job, argument = item
            job(argument)
            item = argument = None
            with self._lock:
                if jobs.empty():
                    self._idle += 1
        with self._lock:
            if self._leaving:
                self._leaving -= 1
                self._threads.remove(threading.current_thread())

    def close(self) -> None:
        """Let queued jobs finish, end the threads and wait for them."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join()
