"""A machine in memory under the real stores: its files and devices, a page cache, and what a power cut leaves of them.

``Machine.beneath`` puts it in the place of the system calls that ``ietpy.stores`` makes. Of every sector of 512 bytes
it knows what reads find, and all that may be there after a power cut at this moment: so one run is judged for a cut at
every point of it, and for every subset of the writes that no sync has covered.

Errors of writing back are told as Linux does (``lib/errseq.c``): pages that could not be written are clean afterwards,
as if they had been, and the next call on an open file that asks is told of it, whoever wrote them, and no other.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from ietpy.scsi.store import Move
from ietpy.stores import aio, blockio, fileio, linux

SECTOR = 512
#: Calls that may be told to do half of what they were asked for.
MOVING = ("preadv", "pwritev", "aio read", "aio write", "copy_file_range", "sendfile")
#: Calls by which content reaches stable storage: where they fail, what was to be written is lost.
WRITING_BACK = ("fdatasync", "writeback")


class Fault(NamedTuple):
    """``code``: the errno a call fails with; 0: it does half of what it was asked for, where that can be."""

    code: int

    @property
    def name(self) -> str:
        return errno.errorcode[self.code] if self.code else "short"


class File:
    """A file, or a device. ``cache``: what reads find. ``left``: what a power cut may leave of each sector.

    That is by the number of the write, as what is written back later is never older.
    """

    def __init__(self, content: bytes, *, device: bool = False) -> None:
        self.device = device
        self.cache = bytearray(content)
        self.left: list[dict[int, bytes]] = [{0: self.sector(number)} for number in range(len(content) // SECTOR)]
        self._writes = 0
        self.dirty: set[int] = set()  #: sectors that no call has tried to write back since
        self.errors = 0  #: how often that failed

    def sector(self, number: int) -> bytes:
        return bytes(self.cache[number * SECTOR:(number + 1) * SECTOR])

    def put(self, offset: int, data: bytes) -> None:
        """Into the cache; from now on it may reach stable storage at any time, or not."""
        self.cache[offset:offset + len(data)] = data
        self._writes += 1
        for number in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
            self.left[number][self._writes] = self.sector(number)
            self.dirty.add(number)

    def may(self, number: int) -> set[bytes]:
        """What a power cut may leave of a sector."""
        return set(self.left[number].values())

    def take(self, sectors: range | None = None) -> dict[int, int]:
        """Begin to write back what is dirty: the number of the last write of each sector."""
        taken = {number: max(self.left[number]) for number in self.dirty if sectors is None or number in sectors}
        self.dirty.difference_update(taken)
        return taken

    def keep(self, taken: dict[int, int]) -> None:
        """It has been written back."""
        for number, write in taken.items():
            self.left[number] = {other: content for other, content in self.left[number].items() if other >= write}


class Open:
    """An open file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.seen = file.errors


class Machine:
    """``paths``: its files. ``faults``: what shall happen to the N-th call, counted from 0. ``calls``: their names.

    ``pause`` is called where another thread may come between: before a call, and between the steps of one.
    ``changed`` is called with a file when more may be left of it by a power cut, or less.
    """

    def __init__(self, **paths: File) -> None:
        self.paths = paths
        self.faults: dict[int, Fault] = {}
        self.calls: list[str] = []
        self.pause: Callable[[str], None] = lambda name: None
        self.changed: Callable[[File], None] = lambda file: None
        self._open: dict[int, Open] = {}
        self._lock = threading.RLock()
        self._opening = True
        self.idle: list[_Queue] = []

    # The store's side -------------------------------------------------------------------------------------------

    @contextmanager
    def beneath(self) -> Iterator[None]:
        """Inside, stores are opened on this machine and use it."""
        with ExitStack() as stack:
            for module in (fileio, blockio):
                for name in ("os", "linux", "medium"):
                    stack.enter_context(patch.object(module, name, _Calls(self, getattr(module, name), name)))
            stack.enter_context(patch.object(fileio, "_preadv", self.preadv))
            stack.enter_context(patch.object(fileio, "_pwritev", self.pwritev))
            stack.enter_context(patch.object(blockio, "aio", _Calls(self, aio, "aio")))
            yield

    def opened(self) -> None:
        """Stores have been opened: count calls from now on."""
        self._opening = False
        self.calls.clear()

    def _call(self, name: str) -> Fault | None:
        """Count a call; what shall happen to it."""
        self.pause(name)
        with self._lock:
            if self._opening:
                return None
            self.calls.append(name)
            fault = self.faults.get(len(self.calls) - 1)
        if fault is not None and not fault.code:
            return fault if name in MOVING else None
        return fault

    def _begin(self, name: str) -> Fault | None:
        """As ``_call``; raises what it shall fail with."""
        fault = self._call(name)
        if fault is not None and fault.code:
            raise OSError(fault.code, os.strerror(fault.code))
        return fault

    def _half(self, length: int, fault: Fault | None) -> int:
        return length if fault is None else length // 2 // SECTOR * SECTOR

    def open_medium(self, path: str, **how: Any) -> int:
        fd = 1000 + len(self._open)
        self._open[fd] = Open(self.paths[path])
        return fd

    def take(self) -> _Queue:
        """As ``aio.take``."""
        return self.idle.pop() if self.idle else _Queue(self)

    def _of(self, fd: int) -> Open:
        try:
            return self._open[fd]
        except KeyError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def preadv(self, fd: int, buffers: Sequence[Any], offset: int, flags: int = 0) -> int:
        fault = self._begin("preadv")
        file = self._of(fd).file
        with self._lock:
            wanted = sum(map(len, buffers))
            found = bytes(file.cache[offset:offset + self._half(wanted, fault)])
        place = 0
        for buffer in buffers:
            part = found[place:place + len(buffer)]
            buffer[:len(part)] = part
            place += len(part)
        return len(found)

    def pwritev(self, fd: int, views: Sequence[Any], offset: int, flags: int = 0) -> int:
        fault = self._begin("pwritev")
        file, data = self._of(fd).file, b"".join(views)
        data = data[:self._half(len(data), fault)]
        with self._lock:
            file.put(offset, data)
        self.changed(file)
        if flags & os.RWF_DSYNC:
            self._sync(fd, "writeback", range(offset // SECTOR, (offset + len(data)) // SECTOR))
        self.pause("pwritev: done")
        return len(data)

    def fdatasync(self, fd: int) -> None:
        self._sync(fd, "fdatasync", range(len(self._of(fd).file.left)))

    def _sync(self, fd: int, name: str, sectors: range) -> None:
        opened = self._of(fd)
        fault = self._call(name)
        code = fault.code if fault is not None else 0
        if code == errno.EBADF:  # nothing was tried
            raise OSError(code, os.strerror(code))
        with self._lock:
            taken = opened.file.take(sectors)
        self.pause(f"{name}: written")
        self._written_back(opened.file, taken, failed=bool(code))
        self.pause(f"{name}: asking")
        with self._lock:
            told, opened.seen = opened.seen != opened.file.errors, opened.file.errors
        if told:
            raise OSError(code or errno.EIO, os.strerror(code or errno.EIO))

    def _written_back(self, file: File, taken: dict[int, int], *, failed: bool) -> None:
        with self._lock:
            if failed:
                file.errors += 1
            else:
                file.keep(taken)
        self.changed(file)

    def write_back(self, file: File, *, failed: bool = False) -> None:
        """What the kernel does by itself, at any time."""
        with self._lock:
            taken = file.take()
        self._written_back(file, taken, failed=failed)

    def fill(self, name: str, fd: int, offset: int, length: int) -> None:
        """Have a range read as zeros, by whatever call."""
        self._begin(name)
        file = self._of(fd).file
        with self._lock:
            file.put(offset, bytes(length))
        self.changed(file)
        self.pause(f"{name}: done")

    def copy_file_range(self, source: int, to: int, length: int, start: int, offset: int) -> int:
        fault = self._begin("copy_file_range")
        with self._lock:
            data = bytes(self._of(source).file.cache[start:start + self._half(length, fault)])
            self._of(to).file.put(offset, data)
        self.changed(self._of(to).file)
        self.pause("copy_file_range: done")
        return len(data)

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        """The whole file is data."""
        self._begin("lseek")
        return len(self._of(fd).file.cache) if whence == os.SEEK_HOLE else offset

    def fstat(self, fd: int) -> os.stat_result:
        file = self._of(fd).file
        kind = stat.S_IFBLK if file.device else stat.S_IFREG
        return os.stat_result((kind, 0, 0, 1, 0, 0, len(file.cache), 0, 0, 0))

    def sendfile(self, length: int) -> int:
        """How much of it ``sendfile`` sends."""
        fault = self._call("sendfile")
        return 0 if fault is not None and fault.code else self._half(length, fault)

    # After a power cut ------------------------------------------------------------------------------------------

    def left(self, path: str, choose: Callable[[set[bytes]], bytes]) -> bytes:
        """Content a power cut may leave at this moment: ``choose`` picks one for each sector."""
        file = self.paths[path]
        return b"".join(choose(file.may(number)) for number in range(len(file.left)))


class _Queue:
    """As ``aio.Queue``; what is begun ends at once."""

    def __init__(self, machine: Machine) -> None:
        machine._begin("io_setup")
        self._machine = machine
        self._data: list[memoryview] = []
        self.results: list[int] = []

    def move(self, fd: int, moves: Sequence[Move]) -> list[int]:
        return [self._one(fd, move) for move in moves]

    def begin(self, fd: int, moves: Sequence[Move], flags: int = 0) -> int:
        self._data = [memoryview(bytearray(move.length)) for move in moves]
        self.results = [
            self._one(fd, move if move.writes else move._replace(views=(view,)))
            for move, view in zip(moves, self._data, strict=True)
        ]
        return len(moves)

    def wait(self, seconds: float | None = None) -> bool:
        return True

    def data(self, number: int) -> memoryview:
        return self._data[number]

    def _one(self, fd: int, move: Move) -> int:
        machine = self._machine
        fault = machine._call("aio write" if move.writes else "aio read")
        if fault is not None and fault.code:
            return -fault.code
        length = machine._half(move.length, fault)
        file = machine._of(fd).file
        with machine._lock:
            if move.writes:
                file.put(move.offset, b"".join(move.views)[:length])
            else:
                move.views[0][:length] = file.cache[move.offset:move.offset + length]
        machine.changed(file)
        machine.pause("aio: done")
        return length


class _Calls:
    """A module that makes system calls, with those of the machine in their place."""

    def __init__(self, machine: Machine, real: Any, name: str) -> None:
        self._real = real
        self._ours: dict[str, Any] = {
            "os": {
                "preadv": machine.preadv, "pwritev": machine.pwritev, "fdatasync": machine.fdatasync,
                "copy_file_range": machine.copy_file_range, "lseek": machine.lseek, "close": lambda fd: None,
                "posix_fadvise": lambda *how: machine._begin("posix_fadvise"),
                "fstat": machine.fstat,
            },
            "medium": {
                "open_medium": machine.open_medium, "measure": lambda fd, path: len(machine._of(fd).file.cache),
            },
            "linux": {
                "discard_device": lambda *how: machine.fill("BLKDISCARD", *how),
                "zero_device": lambda *how: machine.fill("BLKZEROOUT", *how),
                "punch_hole": lambda *how: machine.fill("fallocate", *how),
                "zero_range": lambda *how: machine.fill("fallocate", *how),
                "can_punch_holes": lambda fd, size: True, "can_discard_device": lambda fd: True,
                "logical_block_size": lambda fd: SECTOR, "physical_block_size": lambda fd: SECTOR,
                "rotational": lambda fd: False, "file_system_type": lambda fd: linux.TMPFS_MAGIC,
            },
            "aio": {"available": lambda: True, "take": machine.take, "keep": machine.idle.append},
        }[name]

    def __getattr__(self, name: str) -> Any:
        return self._ours[name] if name in self._ours else getattr(self._real, name)
