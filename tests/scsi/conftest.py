"""A device server over memory, and one helper to run a CDB on it."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.store import Capabilities, Extent, Move
from ietpy.scsi.task import Task
from tests.batches import MadeBatch

NAME = "iqn.2001-04.com.example:storage.lun1"
ANN = "iqn.2001-04.com.example:ann,i,0x400000000001"
BOB = "iqn.2001-04.com.example:bob,i,0x400000000002"

CAPABLE = Capabilities(immediate=True, discard=True, discard_zeroes=True)


class Memory:
    """A BackingStore in memory. ``log`` keeps the names of calls that change something; ``fail`` is the errno
    every call fails with, if not 0; ``ready`` what ``read_now`` answers; ``copies`` whether ``copy`` can; ``size`` may
    exceed what is kept; ``marked`` is what ``mark`` answers; ``broken`` why ``move`` fails at an offset."""

    def __init__(
        self, size: int, capabilities: Capabilities = CAPABLE, block_size: int = 512, physical_block_size: int = 4096
    ) -> None:
        self.size = size
        self.content = bytearray(min(size, 8 << 20))
        self.capabilities = capabilities
        self.block_size = block_size
        self.physical_block_size = physical_block_size
        self.log: list[tuple[Any, ...]] = []
        self.fail = 0
        self.ready = True
        self.copies = True
        self.marked: int | None = 0
        self.broken: dict[int, StoreError] = {}
        self.losses = 0
        self.begins = True
        self.undone: dict[int, BlockingIOError] = {}

    def _note(self, *call: Any) -> None:
        if self.fail:
            raise StoreError(self.fail, "injected")
        self.log.append(call)

    def _inside(self, offset: int, length: int) -> None:
        assert 0 <= offset <= offset + length <= self.size, "the device server must check ranges"

    def read(self, offset: int, buffer: memoryview) -> None:
        self._inside(offset, len(buffer))
        if self.fail:
            raise StoreError(self.fail, "injected")
        buffer[:] = self.content[offset:offset + len(buffer)]

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        if self.ready:
            self.read(offset, buffer)
        return self.ready

    def extent(self, offset: int, length: int) -> Extent | None:
        self._inside(offset, length)
        return Extent(99, offset, length) if self.capabilities.extents else None

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        data = b"".join(views)
        self._inside(offset, len(data))
        self._note("write", offset, len(data), fua)
        self.content[offset:offset + len(data)] = data

    def move(self, moves: Sequence[Move]) -> list[StoreError | None]:
        self.log.append(("move", len(moves)))
        errors: list[StoreError | None] = []
        for move in moves:
            errors.append(self.broken.get(move.offset))
            if errors[-1] is None and move.writes:
                self.content[move.offset:move.offset + move.length] = b"".join(move.views)
            elif errors[-1] is None:
                self.read(move.offset, *move.views)
        return errors

    def begin(self, moves: Sequence[Move]) -> MadeBatch | None:
        if not self.begins:
            return None
        self.log.append(("begin", len(moves)))
        self.batch = MadeBatch(self, moves, lambda seconds: True, {**self.broken, **self.undone})
        return self.batch

    def mark(self) -> int | None:
        return self.marked

    def commit(self, mark: int) -> None:
        """Where nothing was lost since, it is a flush."""
        self._flush(*(("flush",) if mark == self.losses else ("commit", mark)))
        if self.losses > mark:
            raise StoreError(errno.EIO, "lost before")

    def flush(self) -> None:
        self._flush("flush")

    def _flush(self, *call: Any) -> None:
        if self.fail:
            self.losses += 1
        self._note(*call)

    def discard(self, offset: int, length: int) -> None:
        self._inside(offset, length)
        self._note("discard", offset, length)
        self.content[offset:offset + length] = bytes(length)

    def zero(self, offset: int, length: int) -> None:
        self._inside(offset, length)
        self._note("zero", offset, length)
        self.content[offset:offset + length] = bytes(length)

    def mapped(self, offset: int, length: int) -> tuple[bool, int]:
        """By 4 KiB; what holds only zeros is not mapped, if the store can discard at all."""
        self._inside(offset, length)
        if not self.capabilities.discard_zeroes:
            return True, length
        pages = range(offset // 4096 * 4096, offset + length, 4096)
        held = [any(self.content[page:page + 4096]) for page in pages]
        same = next((place for place, each in enumerate(held) if each != held[0]), len(held))
        return held[0], min(length, pages[0] + same * 4096 - offset)

    def copy(self, offset: int, source: Any, source_offset: int, length: int) -> bool:
        self._inside(offset, length)
        if not self.copies:
            return False
        self._note("copy", offset, source_offset, length)
        self.content[offset:offset + length] = source.content[source_offset:source_offset + length]
        return True

    def prefetch(self, offset: int, length: int) -> None:
        self._inside(offset, length)
        self.log.append(("prefetch", offset, length))

    def close(self) -> None: ...


class Kept:
    """A UnitState in memory, with JSON's idea of values; ``fail`` is the errno ``put`` fails with, if not 0."""

    elsewhere = ""

    def __init__(self, **sections: Any) -> None:
        self.sections = sections
        self.fail = 0

    def get(self, section: str) -> Any:
        return self.sections.get(section)

    def put(self, section: str, value: Any) -> None:
        if self.fail:
            raise StoreError(self.fail, "injected")
        self.sections[section] = json.loads(json.dumps(value))


class Outcome(NamedTuple):
    """``sense`` is the status when there is no sense data, else (key, Asc); ``field`` that of fixed format."""

    sense: Any
    data: bytes | None
    raw_sense: bytes
    field: tuple[int, ...] | None


def outcome_of(task: Task) -> Outcome:
    raw = task.sense
    sense: Any = task.status
    field = None
    if task.status == 2 and raw[0] == 0x72:
        assert len(raw) == 8 + raw[7]
        sense = (raw[1], Asc(raw[2] << 8 | raw[3]))
    elif task.status == 2:
        assert len(raw) == 18
        assert raw[0] & 0x7F == 0x70
        assert raw[7] == 10
        sense = (raw[2], Asc(raw[12] << 8 | raw[13]))
        if raw[15] & 0x80:
            pointer = raw[16] << 8 | raw[17]
            field = (pointer, raw[15] & 7) if raw[15] & 8 else (pointer,)
    else:
        assert raw == b""
    data = task.data_in
    return Outcome(sense, data if data is None or isinstance(data, Extent) else bytes(data), raw, field)


class Disk:
    """One logical unit, number 0 unless told, and a nexus of Ann's that has nothing pending."""

    def __init__(self, store: Memory, number: int = 0, device: ScsiDevice | None = None, **options: Any) -> None:
        self.store = store
        self.device = device or ScsiDevice(NAME, threading.RLock())
        self.lu = LogicalUnit(
            store, iet_identity(NAME, number), device=self.device, number=number, **options
        )
        self.device.add(number, self.lu)
        self.ann = self.nexus(ANN)

    def nexus(self, initiator: str, quiet: bool = True) -> Nexus:
        """A new nexus with this unit; ``quiet``: its power on unit attention has been reported."""
        nexus = self.device.nexus(self.lu.number, initiator)
        if quiet:
            self.run("00", nexus=nexus)
        return nexus

    def task(self, cdb: str, data: bytes = b"", nexus: Nexus | None = None, **fields: Any) -> Task:
        task = Task()
        task.nexus = nexus or self.ann
        task.cdb = bytes.fromhex(cdb).ljust(16, b"\0")
        middle = len(data) // 3
        task.data = [memoryview(data)[:middle], memoryview(data)[middle:]] if data else []
        task.data_length = task.expected = len(data)
        for name, value in fields.items():
            setattr(task, name, value)
        return task

    def run(self, cdb: str, data: bytes = b"", nexus: Nexus | None = None, **fields: Any) -> Outcome:
        """Execute where waiting is allowed, unless ``may_block`` says otherwise; then the data None may mean so."""
        task = self.task(cdb, data, nexus, **fields)
        assert task.nexus.lu.execute(task)
        return outcome_of(task)

    def waits(self, cdb: str, data: bytes = b"", **fields: Any) -> bool:
        """Whether the command would wait where it must not."""
        task = self.task(cdb, data, may_block=False, **fields)
        return not task.nexus.lu.execute(task)

    def refused(self, cdb: str, nexus: Nexus | None = None) -> Outcome | None:
        """What is refused before data is asked for."""
        task = self.task(cdb, nexus=nexus)
        return outcome_of(task) if task.nexus.lu.refuse_early(task) else None

    def wants(self, cdb: str) -> int:
        return self.lu.data_out_length(self.task(cdb))


@pytest.fixture(scope="session")
def make_disk() -> Callable[..., Disk]:
    def make(
        size: int = 1 << 20,
        capabilities: Capabilities = CAPABLE,
        physical_block_size: int = 4096,
        store_block_size: int = 512,
        **options: Any,
    ) -> Disk:
        return Disk(Memory(size, capabilities, store_block_size, physical_block_size), **options)

    return make


@pytest.fixture
def disk(make_disk: Callable[..., Disk]) -> Disk:
    """1 MiB in 2048 blocks of 512 bytes, write through."""
    return make_disk()


@pytest.fixture
def bob(disk: Disk) -> Nexus:
    """Another initiator's nexus with ``disk``."""
    return disk.nexus(BOB)
