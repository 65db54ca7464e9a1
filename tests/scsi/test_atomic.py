"""COMPARE AND WRITE and ORWRITE: what they do, and that nothing comes between."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, integers

from ietpy.scsi.asc import Asc
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.exclusion import Exclusion
from ietpy.scsi.limits import CHUNK, MAXIMUM_TRANSFER
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Extent
from tests.scsi.conftest import CAPABLE, Disk, Kept, Memory
from tests.scsi.test_copy_descriptors import copy_list, segment
from tests.scsi.test_exclusion import Watched
from tests.scsi.test_sbc import pattern
from tests.scsi.test_third_party_copy import copy, named

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
RANGE = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
PROTECTED = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
MISCOMPARE = (SenseKey.MISCOMPARE, Asc.MISCOMPARE_DURING_VERIFY_OPERATION)
PATIENCE = 20.0  #: seconds until a hammering thread counts as stuck


def compare_and_write(lba: int, blocks: int, flags: int = 0) -> str:
    return f"89 {flags:02X} {lba:016X} 000000 {blocks:02X} 00 00"


def or_write(lba: int, blocks: int, flags: int = 0) -> str:
    return f"8B {flags:02X} {lba:016X} {blocks:08X} 00 00"


# COMPARE AND WRITE


@pytest.mark.parametrize("block_size", [512, 4096])
@pytest.mark.parametrize("blocks", [1, 2, 255])
def test_what_matches_is_replaced(make_disk: Callable[..., Any], block_size: int, blocks: int) -> None:
    disk = make_disk(size=4 << 20, block_size=block_size)
    length = blocks * block_size
    before = bytes(range(251)) * ((4 << 20) // 251)
    disk.store.content[:len(before)] = before
    found, new = before[block_size:block_size + length], pattern(block_size) * blocks
    assert disk.wants(compare_and_write(1, blocks)) == 2 * length
    assert disk.run(compare_and_write(1, blocks), found + new) == (0, None, b"", None)
    assert disk.store.content[:len(before)] == before[:block_size] + new + before[block_size + length:]
    assert disk.store.log == [("write", block_size, length, True)]


@pytest.mark.parametrize("wrong", [0, 1, 511, 512, 1023, 1024, 1535])
def test_what_does_not_match_stays_and_the_first_wrong_byte_is_told(disk: Any, wrong: int) -> None:
    disk.store.content[512:2048] = pattern(1536)
    expected = bytearray(pattern(1536))
    expected[wrong] ^= 0x10
    expected[-1] ^= 0x01
    outcome = disk.run(compare_and_write(1, 3), bytes(expected) + bytes(1536))
    assert outcome.sense == MISCOMPARE
    assert (outcome.raw_sense[0], int.from_bytes(outcome.raw_sense[3:7], "big")) == (0xF0, wrong)
    assert disk.store.content[512:2048] == pattern(1536)
    assert disk.store.log == []


@settings(max_examples=50, deadline=None)
@given(found=binary(min_size=1024, max_size=1024), wrong=integers(0, 1023), bit=integers(0, 7))
def test_any_byte_that_differs_is_found(make_disk: Callable[..., Any], found: bytes, wrong: int, bit: int) -> None:
    disk = make_disk()
    disk.store.content[:1024] = found
    expected = bytearray(found)
    expected[wrong] ^= 1 << bit
    assert disk.run(compare_and_write(0, 2), found + found).sense == 0
    outcome = disk.run(compare_and_write(0, 2), bytes(expected) + found)
    assert int.from_bytes(outcome.raw_sense[3:7], "big") == wrong


@pytest.mark.parametrize(("write_cache", "flags", "fua"), [
    pytest.param(True, 0x00, False, id="write cache"),
    pytest.param(True, 0x10, False, id="DPO"),
    pytest.param(True, 0x08, True, id="FUA"),
    pytest.param(False, 0x00, True, id="write through"),
])
def test_force_unit_access(make_disk: Callable[..., Any], write_cache: bool, flags: int, fua: bool) -> None:
    disk = make_disk(write_cache=write_cache)
    assert disk.run(compare_and_write(0, 1, flags), bytes(512) + pattern(512)).sense == 0
    assert disk.store.log == [("write", 0, 512, fua)]


@pytest.mark.parametrize(("write_cache", "log"), [(True, [("flush",)]), (False, [])])
def test_with_fua_a_mismatch_is_one_of_the_medium(
    make_disk: Callable[..., Any], write_cache: bool, log: list[Any]
) -> None:
    disk = make_disk(write_cache=write_cache)
    assert disk.run(compare_and_write(0, 1, 0x08), pattern(1024)).sense == MISCOMPARE
    assert disk.store.log == log


def test_no_blocks_is_no_error(disk: Any) -> None:
    assert disk.wants(compare_and_write(0, 0)) == 0
    for data in (b"", bytes(512), bytes(1023)):
        assert disk.run(compare_and_write(0, 0), data) == (0, None, b"", None)
    assert disk.run(compare_and_write(2048, 0)).sense == 0
    assert disk.store.log == []


@pytest.mark.parametrize(("blocks", "came"), [
    pytest.param(1, 0, id="none"),
    pytest.param(1, 1023, id="a byte less"),
    pytest.param(3, 4 * 512, id="the half, and something"),
    pytest.param(1, 4 * 512, id="another pair"),
    pytest.param(0, 2 * 512, id="a pair where the CDB has none"),
    pytest.param(0, 2 * 256 * 512, id="256 pairs, which the CDB cannot say"),
])
def test_data_that_is_not_what_the_cdb_says(disk: Any, blocks: int, came: int) -> None:
    """Nothing may be done by halves; libiscsi's InvalidDataOutSize sends such, and its Simple 256 pairs."""
    data = bytes(came)
    outcome = disk.run(compare_and_write(0, blocks), data[:2 * blocks * 512], expected=came)
    assert outcome[::3] == (INVALID, (13,))
    assert disk.store.log == []


def test_a_part_of_a_pair_too_much_is_left(disk: Any) -> None:
    assert disk.run(compare_and_write(0, 1), bytes(512) + pattern(512), expected=2047).sense == 0
    assert disk.store.content[:512] == pattern(512)


@pytest.mark.parametrize(("cdb", "sense", "field"), [
    pytest.param("89 20 0000000000000000 000000 01 00 00", INVALID, (1, 5), id="WRPROTECT"),
    pytest.param("89 02 0000000000000000 000000 01 00 00", INVALID, (1, 1), id="FUA_NV"),
    pytest.param("89 00 0000000000000000 000001 00 00 00", INVALID, (12, 0), id="256 blocks"),
    pytest.param(compare_and_write(2047, 2), RANGE, None, id="past the end"),
    pytest.param(compare_and_write(2049, 0), RANGE, None, id="none behind the end"),
    pytest.param("8B 20 0000000000000000 00000001 00 00", INVALID, (1, 5), id="ORPROTECT"),
    pytest.param(or_write(2047, 2), RANGE, None, id="ORWRITE past the end"),
    pytest.param(or_write(2049, 0), RANGE, None, id="ORWRITE of none behind the end"),
])
def test_refused_before_and_after_data(disk: Any, cdb: str, sense: Any, field: Any) -> None:
    assert disk.run(cdb, bytes(2048))[::3] == (sense, field)
    assert disk.refused(cdb)[::3] == (sense, field)
    assert disk.store.log == []


@pytest.mark.parametrize("cdb", [compare_and_write(0, 1), or_write(0, 1)])
def test_write_protection(make_disk: Callable[..., Any], cdb: str) -> None:
    disk = make_disk(read_only=True)
    assert disk.run(cdb, bytes(1024)).sense == PROTECTED
    assert disk.refused(cdb).sense == PROTECTED


@pytest.mark.parametrize("cdb", [compare_and_write(0, 1), or_write(0, 1)])
def test_both_wait_for_the_device_elsewhere(make_disk: Callable[..., Any], cdb: str) -> None:
    disk = make_disk(write_cache=True)
    assert disk.waits(cdb, bytes(1024))
    assert disk.store.log == []


@pytest.mark.parametrize("cdb", [compare_and_write(0, 1), or_write(0, 1)])
def test_errors_of_the_medium_leave_it_to_others(disk: Any, cdb: str) -> None:
    disk.store.fail = errno.EIO
    assert disk.run(cdb, bytes(1024)).sense == (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)
    disk.store.fail = 0
    assert disk.run(cdb, bytes(1024)).sense == 0


# ORWRITE


@settings(max_examples=30, deadline=None)
@given(found=binary(min_size=1024, max_size=1024), ones=binary(min_size=1024, max_size=1024))
def test_or_write_sets_bits_and_clears_none(make_disk: Callable[..., Any], found: bytes, ones: bytes) -> None:
    disk = make_disk()
    disk.store.content[512:1536] = found
    assert disk.run(or_write(1, 2), ones) == (0, None, b"", None)
    assert disk.store.content[512:1536] == bytes(one | other for one, other in zip(found, ones, strict=True))
    assert not any(disk.store.content[1536:])


def test_or_write_works_in_chunks(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=8 << 20)
    length = 2 * CHUNK + 512
    disk.store.content[:] = b"\x0f" * len(disk.store.content)
    assert disk.run(or_write(3, length >> 9), b"\xa0" * length).sense == 0
    expected = b"\x0f" * 1536 + b"\xaf" * length
    assert disk.store.content == expected + b"\x0f" * (len(disk.store.content) - len(expected))
    assert [call[2] for call in disk.store.log] == [CHUNK, CHUNK, 512]


@pytest.mark.parametrize(("write_cache", "flags", "fua"), [(True, 0x10, False), (True, 0x08, True), (False, 0, True)])
def test_or_write_by_force(make_disk: Callable[..., Any], write_cache: bool, flags: int, fua: bool) -> None:
    disk = make_disk(write_cache=write_cache)
    disk.run(or_write(0, 1, flags), pattern(512))
    assert disk.store.log == [("write", 0, 512, fua)]


@pytest.mark.parametrize(("came", "written"), [(0, 0), (511, 0), (1300, 1024), (2048, 2048)])
def test_of_data_cut_short_whole_blocks_are_written(disk: Any, came: int, written: int) -> None:
    assert disk.wants(or_write(0, 4)) == 2048
    assert disk.run(or_write(0, 4), b"\xff" * came).sense == 0
    assert disk.store.content[:2048] == b"\xff" * written + bytes(2048 - written)


def test_or_write_has_a_maximum_transfer_length(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=1 << 30)
    assert disk.run(or_write(0, (MAXIMUM_TRANSFER >> 9) + 1)).sense == INVALID


# Nothing comes between. Threads as the server has them: connections execute in place under their own lock and leave
# what would wait to a worker; ``quiesce`` goes once round these locks. Two targets serve the same medium.


class Watchful(Memory):
    """A store during whose calls others get their turn, and that notes which calls met: ``met``."""

    def __init__(self, size: int) -> None:
        super().__init__(size, CAPABLE)
        self._guard = threading.Lock()
        self._under_way: list[tuple[bool, int, int]] = []
        self.met: list[Any] = []

    def _during(self, writing: bool, offset: int, length: int, action: Callable[[], None]) -> None:
        mine = (writing, offset, offset + length)
        with self._guard:
            self.met.extend(
                (mine, other) for other in self._under_way
                if (writing or other[0]) and other[1] < mine[2] and offset < other[2]
            )
            self._under_way.append(mine)
        os.sched_yield()
        action()
        os.sched_yield()
        with self._guard:
            self._under_way.remove(mine)
        os.sched_yield()

    def read(self, offset: int, buffer: memoryview) -> None:
        self._during(False, offset, len(buffer), lambda: super(Watchful, self).read(offset, buffer))

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        length = sum(map(len, views))
        self._during(True, offset, length, lambda: super(Watchful, self).write(offset, views, fua))


class Connection:
    """One nexus, and the lock its thread has while it executes in place."""

    def __init__(self, disk: Disk, nexus: Nexus) -> None:
        self.lock = threading.Lock()
        self._disk = disk
        self._nexus = nexus

    def run(self, cdb: str, data: bytes = b"") -> Any:
        """The answer: True for GOOD, False for MISCOMPARE; the data where there is any."""
        task = self._disk.task(cdb, data, nexus=self._nexus, may_block=False)
        with self.lock:
            done = self._disk.lu.execute(task)
        if not done:
            task.may_block = True
            assert self._disk.lu.execute(task)
        assert task.status in (0, 2)
        if task.status:
            assert task.sense[2] == SenseKey.MISCOMPARE
            return False
        return True if task.data_in is None else bytes(task.data_in)  # type: ignore[arg-type]


class Site:
    """Two targets over one medium, with a write cache, so that WRITE is executed in place."""

    def __init__(self) -> None:
        self.store = Watchful(64 * 512)
        self._exclusion = Exclusion(threading.Condition())
        self._disks = [self._disk(number) for number in range(2)]
        self._connections: list[list[Connection]] = [[], []]

    def _disk(self, number: int) -> Disk:
        device = ScsiDevice(f"iqn.2001-04.com.example:{number}", threading.RLock())
        device.quiesce = lambda: self._quiesce(number)
        return Disk(self.store, device=device, exclusion=self._exclusion, write_cache=True)

    def _quiesce(self, number: int) -> None:
        for connection in [*self._connections[number]]:
            with connection.lock:
                pass

    def connect(self, number: int) -> Connection:
        disk = self._disks[number % 2]
        connection = Connection(disk, disk.nexus(f"iqn.2001-04.com.example:i{number},i,0x{number:012x}"))
        self._connections[number % 2].append(connection)
        return connection


class Held(Memory):
    """A store whose call named ``held`` stays under way until ``released``."""

    def __init__(self, held: str) -> None:
        super().__init__(64 * 512, CAPABLE)
        self._held = held
        self.reached = threading.Event()
        self.released = threading.Event()

    def _hold(self, call: str) -> None:
        if call == self._held and not self.reached.is_set():
            self.reached.set()
            assert self.released.wait(PATIENCE)

    def read(self, offset: int, buffer: memoryview) -> None:
        self._hold("read")
        super().read(offset, buffer)

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        self._hold("write")
        super().write(offset, views, fua)


@pytest.mark.parametrize("held", ["read", "write"])
@pytest.mark.parametrize("cdb", [compare_and_write(1, 2), or_write(1, 2)])
def test_others_are_sent_to_workers_meanwhile_and_wait_there(cdb: str, held: str) -> None:
    store, changed = Held(held), Watched()
    disk = Disk(store, exclusion=Exclusion(changed), write_cache=True)
    data = (bytes(1024) if cdb.startswith("89") else b"") + b"\x01" * 1024

    def worker() -> None:
        assert store.reached.wait(PATIENCE)
        assert disk.run("2A 00 00000002 00 0001 00", b"\x02" * 512).sense == 0

    def connection() -> None:
        assert store.reached.wait(PATIENCE)
        for lba, blocks, meets in ((0, 1, False), (0, 2, True), (1, 1, True), (2, 5, True), (3, 1, False)):
            assert disk.waits(f"28 00 {lba:08X} 00 {blocks:04X} 00") is meets
            assert disk.waits(f"2A 00 {lba:08X} 00 {blocks:04X} 00", bytes(blocks * 512)) is meets
        assert changed.waits.acquire(timeout=PATIENCE), "the worker's write did not wait"
        store.released.set()

    all_at_once(lambda: disk.run(cdb, data), worker, connection)
    assert store.content[:2048] == bytes(512) + b"\x01" * 512 + b"\x02" * 512 + bytes(512)


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("28 08 00000000 00 0002 00", b"", id="READ"),
    pytest.param("2F 00 00000000 00 0002 00", b"", id="VERIFY"),
    pytest.param("2A 08 00000000 00 0002 00", bytes(1024), id="WRITE"),
    pytest.param("2E 02 00000000 00 0002 00", bytes(1024), id="WRITE AND VERIFY"),
    pytest.param("41 00 00000000 00 0002 00", bytes(512), id="WRITE SAME, zeros"),
    pytest.param("41 00 00000000 00 0002 00", pattern(512), id="WRITE SAME"),
    pytest.param("93 09 0000000000000000 00000002 00 00", b"", id="WRITE SAME, UNMAP"),
    pytest.param(
        "42 00 00000000 00 0018 00", bytes.fromhex("0016 0010 00000000 0000000000000000 00000002 00000000"), id="UNMAP"
    ),
    pytest.param("04", b"", id="FORMAT UNIT"),
    pytest.param("48 01 00 00000000 0005 00", bytes.fromhex("01 00 0001 00"), id="SANITIZE, overwrite"),
    pytest.param("48 02", b"", id="SANITIZE, block erase"),
    pytest.param(compare_and_write(0, 2), bytes(1024) + pattern(1024), id="COMPARE AND WRITE"),
    pytest.param(or_write(0, 2), bytes(1024), id="ORWRITE"),
])
def test_every_command_on_a_worker_waits(cdb: str, data: bytes) -> None:
    changed = Watched()
    disk = Disk(Memory(64 * 512, CAPABLE), exclusion=Exclusion(changed), write_cache=True, state=Kept())
    answers: list[Any] = []
    with disk.lu.exclusion.sole(512, 512):
        worker = threading.Thread(target=lambda: answers.append(disk.run(cdb, data).sense))
        worker.start()
        assert changed.waits.acquire(timeout=PATIENCE)
        assert answers == []
        assert not [call for call in disk.store.log if call[0] != "flush"]
    worker.join(PATIENCE)
    assert answers == [0]
    assert disk.lu.exclusion.ranges == ()


def test_a_copy_to_there_waits() -> None:
    changed = Watched()
    disk = Disk(Memory(64 * 512, CAPABLE), exclusion=Exclusion(changed))
    disk.store.content[512:1024] = pattern(512)
    answers: list[Any] = []
    with disk.lu.exclusion.sole(8 * 512, 512):
        to = copy_list(named(disk), segment(0, 0, 1, 1, 8))
        worker = threading.Thread(target=lambda: answers.append(copy(disk, to)))
        worker.start()
        assert changed.waits.acquire(timeout=PATIENCE)
        assert disk.store.log == []
    worker.join(PATIENCE)
    assert answers == [0]
    assert disk.store.content[8 * 512:9 * 512] == pattern(512)


def test_what_a_connection_writes_in_place_is_waited_for() -> None:
    store = Held("write")
    lock = threading.Lock()
    disk = Disk(store, exclusion=Exclusion(threading.Condition()), write_cache=True)

    def quiesce() -> None:
        assert disk.lu.exclusion.busy(512, 512), "announced before it looks who is in the middle of it"
        store.released.set()
        with lock:
            pass

    def in_place() -> None:
        with lock:
            assert not disk.waits("2A 00 00000001 00 0001 00", b"\x02" * 512)

    disk.device.quiesce = quiesce
    def compare() -> None:
        assert store.reached.wait(PATIENCE)
        assert disk.run(compare_and_write(1, 1), b"\x02" * 512 + b"\x03" * 512).sense == 0

    all_at_once(in_place, compare)
    assert store.content[512:1024] == b"\x03" * 512


def test_no_extent_is_promised_of_what_an_exclusive_command_works_on() -> None:
    """It would be sent later than it was looked at."""
    changed = Watched()
    disk = Disk(Memory(1 << 20, replace(CAPABLE, extents=True)), exclusion=Exclusion(changed))
    cdb = "28 00 00000000 00 0100 00"
    answers: list[Any] = []
    with disk.lu.exclusion.sole(1 << 19, 512):
        assert isinstance(disk.run(cdb, extents=True, may_block=False).data, Extent)
    with disk.lu.exclusion.sole(0, 512):
        assert disk.waits(cdb, extents=True)
        worker = threading.Thread(target=lambda: answers.append(disk.run(cdb, extents=True).data))
        worker.start()
        assert changed.waits.acquire(timeout=PATIENCE)
    worker.join(PATIENCE)
    assert answers == [bytes(1 << 17)]
    assert isinstance(disk.run(cdb, extents=True).data, Extent)


@pytest.fixture
def hurry() -> Iterator[None]:
    """Have threads take turns a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


def all_at_once(*works: Callable[[], None]) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(PATIENCE)
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def counting(connection: Connection, blocks: int, times: int) -> Callable[[], None]:
    """Add one to the number in block 0 with COMPARE AND WRITE of ``blocks`` blocks, what else is there unchanged."""

    def work() -> None:
        done = 0
        while done < times:
            found = connection.run(f"28 00 00000000 00 {blocks:04X} 00")
            number = int.from_bytes(found[:8], "big") + 1
            done += connection.run(compare_and_write(0, blocks), found + number.to_bytes(8, "big") + found[8:])

    return work


@pytest.mark.usefixtures("hurry")
def test_no_count_is_lost_between_sessions_and_units_of_one_medium() -> None:
    site = Site()
    all_at_once(*(counting(site.connect(number), 1, 60) for number in range(4)))
    assert int.from_bytes(site.store.content[:8], "big") == 240


def owned(connection: Connection, lba: int, command: Callable[[int, bytes], tuple[str, bytes]]) -> Callable[[], None]:
    """Write an own block with ever new content, and find it there each time."""

    def work() -> None:
        for turn in range(1, 500):
            content = turn.to_bytes(2, "big") * 256
            assert connection.run(*command(lba, content)) is True
            assert connection.run(f"28 00 {lba:08X} 00 0001 00") == content

    return work


def bits(connection: Connection, lba: int) -> Callable[[], None]:
    """Set the bits of an own block one after the other, and find all of them each time."""

    def work() -> None:
        held = 0
        for turn in range(500):
            held |= 1 << turn
            assert connection.run(or_write(lba, 1), (1 << turn).to_bytes(512, "big")) is True
            assert connection.run(f"28 00 {lba:08X} 00 0001 00") == held.to_bytes(512, "big")

    return work


WRITERS: dict[str, Callable[[int, bytes], tuple[str, bytes]]] = {
    "WRITE in place": lambda lba, content: (f"2A 00 {lba:08X} 00 0001 00", content),
    "WRITE by a worker": lambda lba, content: (f"2A 08 {lba:08X} 00 0001 00", content),
    "WRITE AND VERIFY": lambda lba, content: (f"2E 02 {lba:08X} 00 0001 00", content),
    "WRITE SAME": lambda lba, content: (f"41 00 {lba:08X} 00 0001 00", content),
    "COMPARE AND WRITE": lambda lba, content: (
        compare_and_write(lba, 1), (int.from_bytes(content[:2], "big") - 1).to_bytes(2, "big") * 256 + content
    ),
}


@pytest.mark.usefixtures("hurry")
def test_no_other_write_is_undone_by_compare_and_write() -> None:
    """It writes back what it found in everybody's block; found before the other wrote, that would undo his write."""
    site = Site()
    works = [owned(site.connect(lba), lba, command) for lba, command in enumerate(WRITERS.values(), 1)]
    works.append(bits(site.connect(len(works) + 1), len(works) + 1))
    blocks = len(works) + 1
    stop = threading.Event()

    def hammer(connection: Connection) -> None:
        while not stop.is_set():
            counting(connection, blocks, 1)()

    ends = threading.Semaphore(0)

    def told(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            ends.release()

    def stopping() -> None:
        for _ in works:
            ends.acquire(timeout=PATIENCE)
        stop.set()

    all_at_once(
        stopping, *(lambda work=work: told(work) for work in works),  # type: ignore[misc]
        *(lambda number=number: hammer(site.connect(number)) for number in (20, 21)),  # type: ignore[misc]
    )
    assert int.from_bytes(site.store.content[:8], "big") > 0


@pytest.mark.usefixtures("hurry")
def test_nobody_reads_what_compare_and_write_is_writing_or_writes_what_it_reads() -> None:
    """Seen from the store: all that goes on here are COMPARE AND WRITE, ORWRITE and reads of the same blocks."""
    site = Site()

    def read(connection: Connection, flags: int) -> Callable[[], None]:
        def work() -> None:
            for _ in range(1000):
                connection.run(f"28 {flags:02X} 00000000 00 0004 00")
                connection.run("2F 00 00000000 00 0004 00")

        return work

    def set_bit(connection: Connection) -> Callable[[], None]:
        return lambda: [connection.run(or_write(1, 3), bytes(1536)) for _ in range(300)] and None

    all_at_once(
        *(counting(site.connect(number), 4, 150) for number in range(3)),
        *(set_bit(site.connect(number)) for number in (3, 4)),
        *(read(site.connect(number), flags) for number, flags in ((5, 0), (6, 8), (7, 0))),
    )
    assert site.store.met == []
    assert int.from_bytes(site.store.content[:8], "big") == 450
