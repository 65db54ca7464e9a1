"""Power cuts under several real sessions at once: what each was told holds, whatever their threads and workers do."""

from __future__ import annotations

import errno
import os
import threading
from random import Random
from typing import Any

import pytest

from tests.simulation.machine import Fault
from tests.simulation.served import answer_of, served
from tests.simulation.world import KINDS, Going, Promises, World

SESSIONS = 3
#: Blocks of all, and how many each session has for itself.
COMMON, OWN = 4, 2


class _Locked(Promises):
    """For several threads."""

    def __init__(self, content: Any) -> None:
        self.lock = threading.RLock()
        super().__init__(content)

    def begin(self, *how: Any) -> Any:
        with self.lock:
            return super().begin(*how)

    def end(self, *how: Any) -> None:
        with self.lock:
            super().end(*how)

    def synchronized(self, begun: int) -> None:
        with self.lock:
            super().synchronized(begun)

    def now(self) -> int:
        with self.lock:
            return super().now()

    def check(self, file: Any) -> None:
        with self.lock:
            super().check(file)


class Sessions(World):
    """Commands go by real sessions, one at a time in each."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind, condition=threading.Condition())
        self.promises = _Locked(self.file)
        self.promises.write_cache(self.kind.cache)
        self.problems: list[BaseException] = []
        self.machine.changed = self._check
        self.clients: list[Any] = []

    def _check(self, file: Any) -> None:
        try:
            self.promises.check(file)
        except AssertionError as problem:  # in a worker nobody would see it
            self.problems.append(problem)

    def start(self, session: int, name: str, cdb: str, data: bytes, after: Any) -> Going:
        going = Going(f"{name} of {session}", self._task(self.sessions[0], cdb, b""), after)
        raw = bytes.fromhex(cdb)
        client = self.clients[session]
        going.answer = answer_of(client.command(0, raw, write=data) if data else client.command(0, raw))
        after(going.answer == 0)
        self._check(self.file)
        return going

    def act(self, session: int, source: Random) -> None:
        """One command at random. What reads before it writes has blocks of its own session."""
        own = COMMON + OWN * session + source.randrange(OWN)
        lba, blocks = source.randrange(COMMON), source.randrange(1, 3)
        match source.randrange(10):
            case 0 | 1 | 2:
                self.write(session, lba, blocks)
            case 3:
                self.write(session, lba, blocks, fua=True)
            case 4:
                self.write_same(session, lba, blocks, zeros=source.random() < 0.5)
            case 5:
                self.unmap(session, lba, blocks)
            case 6:
                self.compare_and_write(session, own, fua=source.random() < 0.5)
            case 7:
                self.copy(session, lba, blocks)
            case 8:
                self.synchronize(session)
            case _:
                self.machine.write_back(self.file, failed=source.random() < 0.3)


def live(kind: str, seed: int, steps: int) -> Sessions:
    source = Random(seed)
    world = Sessions(kind)
    world.machine.faults = {source.randrange(steps * SESSIONS * 2): Fault(errno.EIO) for _ in range(4)}
    with served(world) as connect:
        world.clients = [connect() for _ in range(SESSIONS)]
        world.machine.pause = lambda name: os.sched_yield()  # others come between

        def run(session: int) -> None:
            own = Random(f"{seed}.{session}")
            try:
                for _ in range(steps):
                    world.act(session, own)
                world.synchronize(session)
            except BaseException as problem:
                world.problems.append(problem)

        threads = [threading.Thread(target=run, args=(session,)) for session in range(SESSIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    if world.problems:
        raise world.problems[0]
    return world


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_session_was_told_holds(kind: str) -> None:
    for seed in range(12):
        assert len(live(kind, seed, 40).machine.calls) > 40
