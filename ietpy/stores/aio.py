"""Many reads and writes of one file at once, each to or from memory of our own: Linux's native AIO.

Sources: io_setup(2), io_submit(2), io_getevents(2), io_destroy(2), ``linux/aio_abi.h``, ``asm/unistd.h``. Past the page
cache the kernel does what it is given side by side; through it, one after another, which gains nothing.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import platform
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from ietpy.scsi.store import Move

#: How many are under way at once, and bytes of their memory.
DEPTH: Final = 64
ROOM: Final = 1 << 20
#: Idle queues kept; more exist only while more batches than this are under way. To close one takes the kernel some ten
#: milliseconds (Linux 6.18: 30): eight threads that move 16 KiB at a time lose four tenths to that where four are kept.
KEPT: Final = 64


class _Numbers(NamedTuple):
    """Of system calls; neither Python nor every C library has functions for these."""

    setup: int
    destroy: int
    submit: int
    getevents: int


_GENERIC: Final = _Numbers(0, 1, 2, 4)
#: By machine, of 64 bits and little-endian, as the layouts below are.
_NUMBERS: Final[Mapping[str, _Numbers]] = {
    "x86_64": _Numbers(206, 207, 209, 208), "aarch64": _GENERIC, "riscv64": _GENERIC,
}

#: ``struct iocb``: data, key, flags, operation, priority, fd, buffer, bytes, offset, and what is 0 here.
_IOCB: Final = struct.Struct("<QIIHhIQQqQII")
#: ``struct io_event``: data, iocb, result.
_EVENT: Final = struct.Struct("<QQq8x")
_PREAD: Final = 0
_PWRITE: Final = 1


@functools.cache
def _system_call() -> Callable[..., int]:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.argtypes = (ctypes.c_long,) * 6
    call.restype = ctypes.c_long
    return call


@functools.cache
def _numbers() -> _Numbers | None:
    return _NUMBERS.get(platform.machine()) if sys.maxsize > 1 << 32 else None


def available() -> bool:
    """Whether the kernel has it, and lets us; it is asked for a context that does not exist."""
    numbers = _numbers()
    return numbers is not None and _system_call()(numbers.destroy, 0, 0, 0, 0, 0) < 0 and (
        ctypes.get_errno() == errno.EINVAL)


class Queue:
    """What one thread at a time moves by. Raises OSError where the system has no room for another."""

    __slots__ = (
        "_addresses", "_base", "_begun", "_call", "_context", "_events", "_iocbs", "_numbers", "_patience", "_places",
        "_under_way", "_view", "results",
    )

    def __init__(self) -> None:
        numbers = _numbers()
        if numbers is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._numbers = numbers
        self._call = _system_call()
        self._view = memoryview(mmap.mmap(-1, ROOM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._view))
        self._iocbs = (ctypes.c_char * (DEPTH * _IOCB.size))()
        first = ctypes.addressof(self._iocbs)
        self._addresses = (ctypes.c_uint64 * DEPTH)(*range(first, first + DEPTH * _IOCB.size, _IOCB.size))
        self._events = (ctypes.c_char * (DEPTH * _EVENT.size))()
        self._patience = (ctypes.c_int64 * 2)()  #: struct timespec
        #: Of each that was begun the bytes moved, or minus an errno; of meaning once ``wait`` has said True.
        self.results: list[int] = []
        self._places: list[int] = []
        self._begun = self._under_way = 0
        context = ctypes.c_ulong(0)
        if self._call(numbers.setup, DEPTH, ctypes.addressof(context), 0, 0, 0) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._context = context.value  # last: nothing would destroy it if something failed after it

    def move(self, fd: int, moves: Sequence[Move]) -> list[int]:
        """Of each the bytes moved, or minus an errno; none is longer than ``ROOM``. Waits for all of them."""
        results: list[int] = []
        while len(results) < len(moves):
            some = moves[len(results):]
            self.begin(fd, some)
            self.wait()
            for number, (move, result) in enumerate(zip(some, self.results, strict=False)):
                if not move.writes and result == move.length:
                    move.views[0][:] = self.data(number)
            results += self.results
        return results

    def begin(self, fd: int, moves: Sequence[Move], flags: int = 0) -> int:
        """Begin as many as there is room for, and say how many; reads come to ``data``. ``flags``: RWF_..."""
        view, filled = self._view, 0
        places: list[int] = []
        for move in moves[:DEPTH]:
            if filled + move.length > ROOM:
                break
            place = filled
            filled += move.length
            if move.writes:
                start = place
                for part in move.views:
                    end = start + len(part)
                    view[start:end] = part
                    start = end
            _IOCB.pack_into(
                self._iocbs, len(places) * _IOCB.size, len(places), 0, flags, _PWRITE if move.writes else _PREAD, 0, fd,
                self._base + place, move.length, move.offset, 0, 0, 0)
            places.append(place)
        places.append(filled)
        self._places = places
        self.results = [0] * (len(places) - 1)
        self._begun = self._under_way = 0
        self._submit()
        return len(self.results)

    def _submit(self) -> None:
        """Have the kernel take those it has not; what it refuses has failed, unless it may take it later."""
        results = self.results
        many = len(results)
        while self._begun < many:
            first = ctypes.addressof(self._addresses) + 8 * self._begun
            taken = self._checked(self._numbers.submit, many - self._begun, first, 0)
            if taken > 0:
                self._begun += taken
                self._under_way += taken
            elif taken == -errno.EAGAIN and self._under_way:
                return
            else:
                results[self._begun] = taken  # of the first; those behind it have not been looked at
                self._begun += 1

    def wait(self, seconds: float | None = None) -> bool:
        """Whether all that was begun has ended, after so long at most. Raises OSError when that cannot be known."""
        limit = 0
        if seconds is not None:
            self._patience[:] = [*divmod(int(seconds * 1e9), 1_000_000_000)]
            limit = ctypes.addressof(self._patience)
        events, results = self._events, self.results
        while self._under_way:
            many = self._under_way
            got = self._checked(self._numbers.getevents, many, many, ctypes.addressof(events), limit)
            if got < 0:
                self.close()  # nobody writes to the memory any more
                raise OSError(-got, os.strerror(-got))
            for place, _, result in _EVENT.iter_unpack(memoryview(events)[:got * _EVENT.size]):
                results[place] = result
            self._under_way -= got
            if got < many and limit:
                return False
            self._submit()
        return True

    def data(self, number: int) -> memoryview:
        """What a read has brought, until the next ``begin``."""
        return self._view[self._places[number]:self._places[number + 1]]

    def _checked(self, number: int, one: int, two: int, three: int, four: int = 0) -> int:
        """A call on the context, again if a signal interrupts it (PEP 475); what it says, or minus an errno."""
        while True:
            result = self._call(number, self._context, one, two, three, four)
            if result >= 0:
                return result
            code = ctypes.get_errno()
            if code != errno.EINTR:
                return -code

    @property
    def closed(self) -> bool:
        """Also by a ``wait`` that raised OSError; nothing can be begun any more."""
        return not self._context

    def close(self) -> None:
        """Waits for what is under way."""
        context, self._context = self._context, 0
        if context:
            self._call(self._numbers.destroy, context, 0, 0, 0, 0)


#: Of whatever store. Lists pop and append atomically, so threads share it without a lock.
idle: list[Queue] = []
os.register_at_fork(after_in_child=lambda: idle.clear())  # the kernel's part stays with the parent


def take() -> Queue:
    """The caller's own until ``keep``. Raises OSError where there is no idle one, and no room for another."""
    try:
        return idle.pop()
    except IndexError:
        return Queue()


def keep(queue: Queue) -> None:
    """For whoever takes the next one, unless it had to be closed."""
    if len(idle) < KEPT and not queue.closed:
        idle.append(queue)
    else:
        queue.close()
