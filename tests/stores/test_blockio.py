"""What is blockio's own: devices only, direct, claimed, in the device's blocks."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.scsi.store import Move
from ietpy.stores import aio, blockio, linux, medium
from ietpy.stores.blockio import BlockStore


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Queues, of nobody before."""
    queues: list[Any] = []
    monkeypatch.setattr(aio, "idle", queues)
    yield queues
    for queue in queues:
        queue.close()


@pytest.mark.parametrize(("path", "found"), [
    (".", "a directory"), ("/dev/null", "a character device"), (__file__, "a regular file"),
])
def test_serves_block_devices_only(path: str, found: str) -> None:
    with pytest.raises(StoreError) as caught:
        BlockStore(path)
    assert str(caught.value) == f"{path} is {found}; blockio serves a block device"
    assert caught.value.errno == errno.EINVAL


@pytest.fixture
def device(image: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that passes for a device of 512-byte blocks, so that a plain user's run tests blockio too."""
    def open_file(path: str, *, store: str, accepts: Any, read_only: bool, flags: int) -> int:
        assert flags == os.O_DIRECT | os.O_EXCL
        assert tuple(accepts) == (stat.S_IFBLK,)
        return os.open(path, os.O_RDONLY if read_only else os.O_RDWR)

    monkeypatch.setattr(medium, "open_medium", open_file)
    monkeypatch.setattr(linux, "logical_block_size", lambda fd: 512)
    monkeypatch.setattr(linux, "physical_block_size", lambda fd: 4096)
    return image


class Calls:
    """preadv and pwritev that note addresses' alignment and flags."""

    def __init__(
            self, monkeypatch: pytest.MonkeyPatch, refuse_flags: bool = False, most: int = 1 << 30) -> None:
        self.writes: list[tuple[int, int]] = []
        self.reads: list[Any] = []
        self.syncs: list[int] = []
        self.refuse_flags, self.most = refuse_flags, most
        self.real_preadv = os.preadv
        monkeypatch.setattr(os, "pwritev", self.pwritev)
        monkeypatch.setattr(os, "preadv", self.preadv)
        monkeypatch.setattr(os, "fdatasync", self.syncs.append)

    def pwritev(self, fd: int, views: Any, offset: int, flags: int = 0) -> int:
        self.writes.append((len(views[0]), flags))
        if flags and self.refuse_flags:
            raise OSError(errno.EOPNOTSUPP, "no flags here")
        return os.pwrite(fd, bytes(views[0])[:self.most], offset)

    def preadv(self, fd: int, views: Any, offset: int, flags: int = 0) -> int:
        self.reads.append(views[0].obj)
        return self.real_preadv(fd, [views[0][:self.most]], offset)


def test_a_write_is_gathered_and_goes_in_chunks(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlockStore(str(device))
    calls = Calls(monkeypatch)
    data = os.urandom((2 << 20) + 512)
    views = [memoryview(data)[:700], memoryview(data)[700:1 << 20], memoryview(data)[1 << 20:]]
    store.write(512, views, True)
    assert calls.writes == [(1 << 20, os.RWF_DSYNC), (1 << 20, os.RWF_DSYNC), (512, os.RWF_DSYNC)]
    assert calls.syncs == []
    assert device.read_bytes()[512:512 + len(data)] == data
    store.close()


def test_fua_without_rwf_dsync_is_a_write_and_a_flush(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlockStore(str(device))
    calls = Calls(monkeypatch, refuse_flags=True)
    store.write(0, [memoryview(bytes(512))], True)
    store.write(0, [memoryview(bytes(512))], True)
    assert calls.writes == [(512, os.RWF_DSYNC), (512, 0), (512, 0)]
    assert len(calls.syncs) == 2
    store.close()


def test_short_transfers_are_continued(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlockStore(str(device))
    calls = Calls(monkeypatch, most=1536)
    data = os.urandom(8192)
    store.write(4096, [memoryview(data)], False)
    buffer = bytearray(8192)
    store.read(4096, memoryview(buffer))
    assert buffer == data
    assert len(calls.writes) == len(calls.reads) == 6
    store.close()


@pytest.mark.parametrize("write", [False, True], ids=["the end in a read", "a write that gets nowhere"])
def test_a_device_that_shrank_is_an_error(device: Path, monkeypatch: pytest.MonkeyPatch, write: bool) -> None:
    store = BlockStore(str(device))
    Calls(monkeypatch, most=0)
    operation = (
        (lambda: store.write(512, [memoryview(bytes(512))], False)) if write
        else (lambda: store.read(512, memoryview(bytearray(512)))))
    with pytest.raises(StoreError, match=r"cannot be written at byte 512|shorter than when") as caught:
        operation()
    assert caught.value.errno == errno.EIO
    store.close()


def test_aligned_buffers_are_read_into_directly(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlockStore(str(device))
    calls = Calls(monkeypatch)
    with mmap.mmap(-1, 8192) as memory:
        view = memoryview(memory)
        store.read(0, view[:4096])
        store.read(0, view[512:1024])
        assert [owner is memory for owner in calls.reads] == [True, True]
        store.read(0, view[48:48 + 512])
        assert calls.reads[2] is not memory
        store.read(0, view[:0])
        view.release()
        calls.reads.clear()
    store.close()


def test_the_pool_keeps_no_more_than_it_should(device: Path) -> None:
    store = BlockStore(str(device))
    with store._pooled() as first:
        pass
    with store._pooled() as second:
        assert second is first
        with store._pooled() as third:
            assert third is not first
    everyone = [store._pooled() for _ in range(blockio._IDLE + 4)]
    for each in everyone:
        each.__enter__()
    for each in everyone:
        each.__exit__(None, None, None)
    assert len(store._idle) == blockio._IDLE
    store.close()


def moves_of(*blocks: int, writes: bool) -> list[Move]:
    return [
        Move(block * 512, 512, [memoryview(bytearray(bytes([block]) * 512))], writes) for block in blocks]


@pytest.mark.skipif(not aio.available(), reason="this kernel has no native AIO for us")
def test_many_are_moved_at_once(device: Path, idle: list[Any]) -> None:
    store = BlockStore(str(device))
    assert store.capabilities.batches
    assert store.move(moves_of(1, 2, 5, writes=True)) == [None] * 3
    reads = moves_of(5, 2, 1, writes=False)
    assert store.move(reads) == [None] * 3
    assert [move.views[0][0] for move in reads] == [5, 2, 1]
    assert len(idle) == 1
    store.close()


class Answers:
    """A queue that moves nothing and says of each what it is told to."""

    def __init__(self, *results: int) -> None:
        self.results = list(results)
        self.closed = False

    def move(self, fd: int, moves: Any) -> list[int]:
        return self.results

    def close(self) -> None:
        self.closed = True


def test_what_was_not_moved_as_a_whole(device: Path, idle: list[Any]) -> None:
    store = BlockStore(str(device))
    queue: Any = Answers(512, 100, -errno.EAGAIN, -errno.EIO)
    idle.append(queue)
    first, short, again, failed = store.move(moves_of(1, 2, 3, 4, writes=True))
    assert (first, short, again) == (None, None, None)
    assert str(failed) == f"{device} cannot be written at byte 2048: Input/output error"
    assert device.read_bytes()[:5 * 512:512] == bytes([0, 0, 2, 3, 0])
    store.close()
    assert idle == [queue]


def test_without_a_queue_they_go_one_after_another(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise OSError(errno.EAGAIN, "no room")

    monkeypatch.setattr(aio, "Queue", none)
    store = BlockStore(str(device))
    beyond = Move(store.size, 512, [memoryview(bytearray(512))], False)
    *good, bad = store.move([*moves_of(1, writes=True), *moves_of(1, writes=False), beyond])
    assert good == [None, None]
    assert bad is not None
    assert "shorter" in str(bad)
    store.close()


def test_a_queue_that_does_not_say_what_it_did_is_used_no_more(device: Path, idle: list[Any]) -> None:
    store = BlockStore(str(device))
    queue: Any = Answers()

    def fail(fd: int, moves: Any) -> list[int]:
        raise OSError(errno.EFAULT, "")

    queue.move = fail
    idle.append(queue)
    assert store.move(moves_of(1, 2, writes=True)) == [None] * 2
    assert device.read_bytes()[512:3 * 512:512] == bytes([1, 2])
    assert idle == []
    store.close()


@pytest.mark.skipif(not aio.available(), reason="this kernel has no native AIO for us")
class TestBegun:
    @pytest.fixture(autouse=True)
    def known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not every file system knows RWF_NOWAIT for writes."""
        monkeypatch.setattr(os, "RWF_NOWAIT", 0)

    def test_many_at_once(self, device: Path, idle: list[Any]) -> None:
        store = BlockStore(str(device))
        moves = [*moves_of(1, 2, writes=True), Move(1024, 512, (), False), Move(store.size, 512, (), False)]
        for _ in range(2):
            batch = store.begin(moves)
            assert batch is not None
            assert batch.wait(20)
            assert batch.wait()
            assert [batch.failure(number) for number in range(3)] == [None] * 3
            with pytest.raises(BlockingIOError):  # past the end there is nothing
                batch.failure(3)
            batch.close()
        assert device.read_bytes()[512:3 * 512:512] == bytes([1, 2])
        assert len(idle) == 1
        store.close()

    def test_a_read_brings_its_data(self, device: Path) -> None:
        device.write_bytes(bytes([3]) * 4096)
        store = BlockStore(str(device))
        batch = store.begin([Move(512, 512, (), False)])
        assert batch is not None
        assert batch.wait(20)
        assert bytes(batch.data(0)) == bytes([3]) * 512
        batch.close()
        store.close()

    def test_what_failed_and_what_was_not_begun(self, device: Path) -> None:
        store = BlockStore(str(device))
        moves = moves_of(*range(aio.DEPTH + 1), writes=True)
        batch = store.begin(moves)
        assert batch is not None
        assert batch.wait(20)
        batch._queue.results[:2] = -errno.EIO, -errno.EAGAIN  # type: ignore[attr-defined]
        assert str(batch.failure(0)) == f"{device} cannot be written at byte 0: Input/output error"
        for number in (1, aio.DEPTH):
            with pytest.raises(BlockingIOError):
                batch.failure(number)
        batch.close()
        store.close()

    def test_where_waiting_cannot_be_forbidden_no_other_is_begun(self, device: Path) -> None:
        store = BlockStore(str(device))
        batch = store.begin(moves_of(1, writes=True))
        assert batch is not None
        assert batch.wait(20)
        batch._queue.results[0] = -errno.EOPNOTSUPP  # type: ignore[attr-defined]
        with pytest.raises(BlockingIOError):
            batch.failure(0)
        batch.close()
        assert store.begin(moves_of(1, writes=True)) is None
        store.close()

    def test_without_a_queue_none_is_begun(self, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def none() -> None:
            raise OSError(errno.EAGAIN, "no room")

        monkeypatch.setattr(aio, "Queue", none)
        store = BlockStore(str(device))
        assert store.begin(moves_of(1, writes=True)) is None
        store.close()

    def test_if_nobody_knows_what_was_done_nothing_was(self, device: Path, idle: list[Any]) -> None:
        store = BlockStore(str(device))
        batch = store.begin(moves_of(1, writes=True))
        assert batch is not None
        queue: Any = batch._queue  # type: ignore[attr-defined]
        call, events = queue._call, queue._numbers.getevents

        def fail(number: int, *rest: int) -> int:
            if number != events:
                return call(number, *rest)  # type: ignore[no-any-return]
            ctypes.set_errno(errno.EFAULT)
            return -1

        queue._call = fail
        assert batch.wait(20)
        with pytest.raises(BlockingIOError):
            batch.failure(0)
        batch.close()
        assert idle == []  # what is closed moves nothing for anybody
        assert store.move(moves_of(1, writes=True)) == [None]
        store.close()


@pytest.mark.parametrize(("asked", "allowed"), [(None, True), (512, False), (2048, False), (4096, True)])
def test_blocks_below_the_devices_own_are_refused(
        device: Path, monkeypatch: pytest.MonkeyPatch, asked: int | None, allowed: bool) -> None:
    monkeypatch.setattr(linux, "logical_block_size", lambda fd: 4096)
    before = os.listdir("/proc/self/fd")
    if allowed:
        BlockStore(str(device), block_size=asked).close()
        return
    with pytest.raises(StoreError, match=f"blocks of 4096 bytes; blockio cannot serve blocks of {asked}"):
        BlockStore(str(device), block_size=asked)
    assert os.listdir("/proc/self/fd") == before


def test_a_device_that_cannot_be_examined_is_closed(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> int:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(linux, "logical_block_size", fail)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StoreError, match="cannot be examined: Input/output error"):
        BlockStore(str(device))
    assert os.listdir("/proc/self/fd") == before


if os.geteuid() == 0:
    def test_a_mounted_device_is_refused(tmp_path: Path, image: Path, loop: Any) -> None:
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", str(image)], check=True)
        (tmp_path / "mount").mkdir()
        with loop(image) as device:
            subprocess.run(["mount", device, str(tmp_path / "mount")], check=True)
            try:
                with pytest.raises(StoreError) as caught:
                    BlockStore(device)
            finally:
                subprocess.run(["umount", str(tmp_path / "mount")], check=True)
        assert str(caught.value) == (
            f"{device} is mounted or claimed by another; unmount it, or stop what uses it")
        assert caught.value.errno == errno.EBUSY

    def test_a_write_protected_device_is_served_read_only(image: Path, loop: Any) -> None:
        with loop(image, "--read-only") as device:
            with pytest.raises(StoreError, match="serve it read-only"):
                BlockStore(device)
            BlockStore(device, read_only=True).close()
