"""Many moves at once, and what the kernel may answer to each call."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.scsi.store import Move
from ietpy.stores import aio
from ietpy.stores.aio import Queue

PAGE = 4096

pytestmark = pytest.mark.skipif(not aio.available(), reason="this kernel has no native AIO for us")


@pytest.fixture
def fd(image: Path) -> Iterator[int]:
    """Page n is filled with n."""
    image.write_bytes(b"".join(bytes([number]) * PAGE for number in range(256)))
    fd = os.open(image, os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue()
    yield queue
    queue.close()
    queue.close()  # harmless


def reading(page: int, length: int = PAGE) -> Move:
    return Move(page * PAGE, length, (memoryview(bytearray(length)),), False)


def writing(page: int, data: bytes) -> Move:
    return Move(page * PAGE, len(data), [memoryview(data)[:100], memoryview(data)[100:]], True)


def content(move: Move) -> bytes:
    return bytes(move.views[0])


def test_more_than_fit_go_in_rounds(fd: int, queue: Queue) -> None:
    many = aio.DEPTH * 2 + 5
    data = [bytes([255 - page]) * PAGE for page in range(many)]
    assert queue.move(fd, [writing(page, each) for page, each in enumerate(data)]) == [PAGE] * many
    moves = [reading(page) for page in range(many)]
    assert queue.move(fd, moves) == [PAGE] * many
    assert [content(move) for move in moves] == data


def test_large_ones_go_in_rounds(fd: int, queue: Queue) -> None:
    moves = [reading(0, aio.ROOM // 2), reading(1, aio.ROOM // 4), reading(2, aio.ROOM // 2), reading(3, aio.ROOM)]
    assert queue.move(fd, moves) == [len(move.views[0]) for move in moves[:3]] + [aio.ROOM - 3 * PAGE]
    assert [content(move)[:1] for move in moves] == [b"\0", b"\1", b"\2", b"\0"]  # of the short one nothing


def test_each_fails_alone(fd: int, queue: Queue) -> None:
    moves = [reading(1), Move(-PAGE, PAGE, reading(1).views, False), reading(2)]
    assert queue.move(fd, moves) == [PAGE, -errno.EINVAL, PAGE]
    assert content(moves[2]) == bytes([2]) * PAGE


def test_nothing_can_be_done_with_what_is_not_open(queue: Queue) -> None:
    assert queue.move(0x7FFFFFFF, [reading(1), reading(2)]) == [-errno.EBADF] * 2


class Kernel:
    """Passes calls on, or answers as ``script`` says first: of submit or getevents, (most, errno)."""

    def __init__(self, queue: Any) -> None:
        self.real: Callable[..., int] = queue._call
        self.numbers = queue._numbers
        self.script: dict[int, list[tuple[int, int]]] = {self.numbers.submit: [], self.numbers.getevents: []}
        self.calls: list[int] = []
        queue._call = self.call

    def call(self, number: int, context: int, *rest: int) -> int:
        self.calls.append(number)
        if not self.script.get(number):
            return self.real(number, context, *rest)
        most, code = self.script[number].pop(0)
        if code:
            ctypes.set_errno(code)
            return -1
        if number == self.numbers.submit:
            return self.real(number, context, most, *rest[1:])
        return self.real(number, context, most, most, *rest[2:])


@pytest.fixture
def kernel(queue: Queue) -> Kernel:
    return Kernel(queue)


def test_calls_that_do_less_or_are_interrupted_go_on(fd: int, queue: Queue, kernel: Kernel) -> None:
    kernel.script[kernel.numbers.submit] = [(0, errno.EINTR), (2, 0), (0, errno.EAGAIN), (1, 0)]
    kernel.script[kernel.numbers.getevents] = [(0, errno.EINTR), (1, 0)]
    moves = [reading(page) for page in range(5)]
    assert queue.move(fd, moves) == [PAGE] * 5
    assert [content(move)[0] for move in moves] == [0, 1, 2, 3, 4]


def test_what_is_not_taken_at_all_is_told(fd: int, queue: Queue, kernel: Kernel) -> None:
    kernel.script[kernel.numbers.submit] = [(0, errno.EAGAIN)]
    assert queue.move(fd, [reading(0), reading(1)]) == [-errno.EAGAIN, PAGE]


def test_who_does_not_hear_what_became_of_them_is_not_written_to(fd: int, queue: Queue, kernel: Kernel) -> None:
    kernel.script[kernel.numbers.getevents] = [(0, errno.EFAULT)]
    with pytest.raises(OSError, match="Bad address"):
        queue.move(fd, [reading(0)])
    assert kernel.calls[-1] == kernel.numbers.destroy
    assert not queue._context


def test_waiting_has_an_end(fd: int, queue: Queue, kernel: Kernel) -> None:
    kernel.script[kernel.numbers.getevents] = [(0, 0)]
    assert queue.begin(fd, [reading(1), writing(2, bytes([9]) * PAGE)]) == 2
    assert not queue.wait(0.0)
    assert queue.wait(20.5)
    assert queue.results == [PAGE, PAGE]
    assert bytes(queue.data(0)) == bytes([1]) * PAGE
    assert os.pread(fd, PAGE, 2 * PAGE) == bytes([9]) * PAGE


def test_no_more_are_begun_than_there_is_room_for(fd: int, queue: Queue) -> None:
    assert queue.begin(fd, [reading(0, aio.ROOM // 2), reading(0, aio.ROOM // 2), reading(0)]) == 2
    assert queue.wait()


def test_idle_ones_are_kept_but_not_more_than_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "idle", [])
    monkeypatch.setattr(aio, "KEPT", 1)
    one, other, broken = aio.take(), aio.take(), aio.take()
    broken.close()
    for queue in (broken, one, other):
        aio.keep(queue)
    assert aio.idle == [one]
    assert other.closed
    assert aio.take() is one
    one.close()


def test_after_a_fork_there_are_none() -> None:
    program = """
import os
from ietpy.stores import aio
aio.keep(aio.take())
child = os.fork()
if not child:
    os._exit(len(aio.idle))
assert len(aio.idle) == 1
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_system_may_have_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: int) -> int:
        ctypes.set_errno(errno.EAGAIN)
        return -1

    monkeypatch.setattr(aio, "_system_call", lambda: refuse)
    with pytest.raises(OSError, match="temporarily unavailable"):
        Queue()
    assert not aio.available()


def test_who_has_no_memory_keeps_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def refuse(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(aio, "_system_call", lambda: lambda number, *rest: calls.append(number) or 0)
    monkeypatch.setattr(aio.mmap, "mmap", refuse)
    with pytest.raises(OSError, match="memory"):
        Queue()
    assert calls == []


def test_other_machines_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    aio._numbers.cache_clear()
    try:
        assert not aio.available()
        with pytest.raises(OSError, match="not implemented"):
            Queue()
    finally:
        monkeypatch.undo()
        aio._numbers.cache_clear()
