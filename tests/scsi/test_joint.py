"""Writes that are executed in place and made stable together, and tasks that are moved together; and which are not."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.scsi import attention, joint
from ietpy.scsi.asc import Asc
from ietpy.scsi.nexus import PROTECTED
from ietpy.scsi.status import SenseKey, TaskAttribute
from ietpy.scsi.store import Capabilities
from ietpy.scsi.task import Task
from tests.scsi.conftest import Disk, outcome_of

BATCHING = Capabilities(batches=True)
COMMITTING = Capabilities(immediate=True, commits=True)
DATA = bytes(range(256)) * 2


def write(block: int, flags: int = 0, opcode: int = 0x2A) -> str:
    return f"{opcode:02x} {flags:02x} {block:08x} 00 0001 00"



@pytest.mark.parametrize("flags", [0, 0x08], ids=["", "FUA"])
def test_a_write_in_place_is_stable_before_it_is_answered(make_disk: Callable[..., Any], flags: int) -> None:
    disk = make_disk(capabilities=COMMITTING)
    tasks = []
    for number in range(3):
        disk.store.marked = 7 + number
        tasks.append(disk.task(write(number, flags), DATA, may_block=False))
        assert not disk.lu.execute(tasks[-1])
        assert tasks[-1].unstable == (disk.lu, 7 + number)
        assert disk.lu.shares(tasks[-1]) is disk.lu
    joint.work(disk.lu, tasks[1:])
    assert disk.store.log == [("write", number * 512, 512, False) for number in range(3)] + [("commit", 8)]
    assert [(task.status, task.sense, task.data_in) for task in tasks] == [(0, b"", None)] * 3
    assert disk.lu.statistics().writes == 3


def test_what_cannot_be_made_stable_has_failed_whoever_asked(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(capabilities=COMMITTING)
    tasks = [disk.task(write(number), DATA, may_block=False) for number in range(3)]
    for task in tasks:
        disk.lu.execute(task)
    disk.store.fail = errno.EIO
    joint.work(disk.lu, tasks)
    assert [outcome_of(task).sense for task in tasks] == [(SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)] * 3


def test_a_write_in_place_that_fails_is_not_made_stable(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(capabilities=COMMITTING)
    disk.store.fail = errno.ENOSPC
    task = disk.task(write(0), DATA, may_block=False)
    assert disk.lu.execute(task)
    assert task.unstable is None
    assert disk.lu.shares(task) is None


@pytest.mark.parametrize("how", ["the device is stuck", "FUA with a cache", "exclusive", "WRITE AND VERIFY"])
def test_a_write_that_would_wait_is_a_workers_as_a_whole(make_disk: Callable[..., Any], how: str) -> None:
    disk = make_disk(capabilities=COMMITTING, write_cache=how == "FUA with a cache")
    if how == "the device is stuck":
        disk.store.marked = None
    elif how == "exclusive":
        disk.lu.exclusion.ranges = ((0, 512),)
    words = write(0, 0x08 if "FUA" in how else 0, 0x2E if how == "WRITE AND VERIFY" else 0x2A)
    task = disk.task(words, DATA, may_block=False)
    assert not disk.lu.execute(task)
    assert disk.store.log == []
    assert disk.lu.shares(task) is None
    disk.lu.exclusion.ranges = ()
    assert disk.run(words, DATA).sense == 0
    assert ("write", 0, 512, True) in disk.store.log


def test_where_there_is_no_unit_there_is_nothing_to_make_stable(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(capabilities=COMMITTING)
    assert disk.device.absent.shares(disk.task(write(0))) is None


READ = "28 00 {:08x} 00 0001 00"
FILLED = bytes([7]) * 512


@pytest.fixture
def batching(make_disk: Callable[..., Disk]) -> Disk:
    """Block n is filled with n, up to 15."""
    disk = make_disk(capabilities=BATCHING)
    disk.store.content[:16 * 512] = b"".join(bytes([number]) * 512 for number in range(16))
    return disk


def parked(disk: Disk, cdb: str, data: bytes = b"", **fields: Any) -> Task:
    """A task that would wait, as a worker gets it."""
    task = disk.task(cdb, data, may_block=False, sink=lambda length: memoryview(bytearray(length)), **fields)
    assert not disk.lu.execute(task)
    task.may_block = True
    return task


def reads(disk: Disk, *blocks: int) -> list[Task]:
    return [parked(disk, READ.format(block)) for block in blocks]


def test_all_are_moved_at_once_and_flushed_once(batching: Disk) -> None:
    tasks = [*reads(batching, 1, 2), *(parked(batching, write(block), FILLED) for block in (8, 9))]
    assert {batching.lu.shares(task) for task in tasks} == {batching.lu}
    joint.work(batching.lu, tasks)
    assert batching.store.log == [("move", 4), ("flush",)]
    assert [outcome_of(task).data for task in tasks] == [bytes([1]) * 512, bytes([2]) * 512, None, None]
    assert [task.status for task in tasks] == [0] * 4
    assert batching.store.content[8 * 512:10 * 512] == FILLED * 2
    counted = batching.lu.statistics()
    assert (counted.reads, counted.blocks_read, counted.writes, counted.blocks_written) == (2, 2, 2, 2)


@pytest.mark.parametrize("how", ["reads", "write cache", "FUA"])
def test_a_flush_only_where_a_write_must_be_stable(batching: Disk, how: str) -> None:
    batching.lu.set_write_cache(True)
    tasks = reads(batching, 1, 2)
    if how != "reads":
        tasks.append(parked(batching, write(8, 0x08 if how == "FUA" else 0), FILLED))
    joint.work(batching.lu, tasks)
    assert batching.store.log == [("move", len(tasks)), *([("flush",)] if how == "FUA" else [])]


def test_each_fails_alone(batching: Disk) -> None:
    tasks = [*reads(batching, 1, 2, 3), parked(batching, write(8), FILLED), parked(batching, write(9), FILLED)]
    batching.store.broken = {512: StoreError(errno.EIO, "bad"), 9 * 512: StoreError(errno.EIO, "bad")}

    def no_memory(length: int) -> memoryview:
        raise StoreError(errno.ENOMEM, "no memory")

    tasks[1].sink = no_memory
    joint.work(batching.lu, tasks)
    assert batching.store.log == [("move", 4), ("flush",)]
    failed = [outcome_of(task).sense for task in tasks]
    assert failed[0] == (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)
    assert failed[1] != 0
    assert failed[2:] == [0, 0, (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)]
    assert (batching.lu.statistics().reads, batching.lu.statistics().writes) == (1, 1)


def test_a_flush_that_fails_fails_every_write(batching: Disk) -> None:
    tasks = [*reads(batching, 1), *(parked(batching, write(block), FILLED) for block in (8, 9))]

    def commit(mark: int) -> None:
        raise StoreError(errno.EIO, "injected")

    batching.store.commit = commit  # type: ignore[method-assign]
    joint.work(batching.lu, tasks)
    assert [outcome_of(task).sense for task in tasks] == [0, *[(SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)] * 2]


def test_what_another_was_told_of_may_have_been_a_write_of_the_batch(
    batching: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [parked(batching, write(block), FILLED) for block in (8, 9)]
    move = batching.store.move

    def meanwhile(moves: Any) -> Any:
        batching.store.losses += 1
        return move(moves)

    monkeypatch.setattr(batching.store, "move", meanwhile)
    joint.work(batching.lu, tasks)
    assert [outcome_of(task).sense for task in tasks] == [(SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)] * 2


def test_one_alone_goes_as_if_there_were_no_batches(batching: Disk) -> None:
    (task,) = [parked(batching, write(8), FILLED)]
    joint.work(batching.lu, [task])
    assert batching.store.log == [("write", 8 * 512, 512, True)]


@pytest.mark.parametrize("how", ["large", "cut short", "HEAD OF QUEUE", "barrier", "VERIFY", "exclusive", "nothing"])
def test_what_is_not_moved_with_others(batching: Disk, how: str) -> None:
    cdb, data, fields = READ.format(1), b"", {}
    if how == "large":
        cdb = "28 00 00000000 00 0081 00"
    elif how == "cut short":
        cdb, data = "2a 00 00000000 00 0002 00", FILLED
    elif how == "HEAD OF QUEUE":
        fields["attribute"] = int(TaskAttribute.HEAD_OF_QUEUE)
    elif how == "barrier":
        batching.ann.barrier = PROTECTED
    elif how == "VERIFY":
        cdb = "2f 00 00000000 00 0001 00"
    elif how == "exclusive":
        batching.lu.exclusion.ranges = ((0, 1024),)
    else:
        cdb = "2a 00 00000000 00 0000 00"
    task = parked(batching, cdb, data, **fields)
    assert batching.lu.shares(task) is None
    batching.lu.exclusion.ranges = ()
    assert batching.lu.execute(task)
    assert task.status == 0


@pytest.mark.parametrize("how", [
    "an attention", "not ready", "smaller", "write protected", "exclusive", "aborted", "another unit"])
def test_what_came_in_the_way_is_seen_by_each(batching: Disk, how: str) -> None:
    tasks = [*reads(batching, 1, 2), parked(batching, write(8), FILLED)]
    expected: list[Any] = [0, 0, 0]
    lu = batching.lu
    if how == "an attention":
        attention.establish(batching.ann, attention.POWER_ON)
        expected[0] = (SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
    elif how == "not ready":
        lu.readiness.ejected = True
        lu.readiness.refresh()
        expected = [(SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT)] * 3
    elif how == "smaller":
        lu.blocks = 8
        expected[2] = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
    elif how == "write protected":
        lu.set_software_write_protect(True)
        expected[2] = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
    elif how == "exclusive":
        lu.exclusion.ranges = ((512, 1024),)
    elif how == "aborted":
        lu.exclusion.ranges = ((512, 1024),)
        tasks[1].aborted_by = object()
    else:
        other = Disk(batching.store, 1, batching.device)
        for disk in (batching, other, other):
            disk.run("00")  # that there is another has been told
        tasks[0].nexus = other.ann
    joint.work(lu, tasks)
    assert ("move", 3) not in batching.store.log
    assert [outcome_of(task).sense for task in tasks] == expected
    assert (tasks[1].data_in is None) == (how == "aborted" or expected[1] != 0)


def test_reads_alone_of_a_protected_medium_are_moved(batching: Disk) -> None:
    tasks = reads(batching, 1, 2)
    batching.lu.set_software_write_protect(True)
    joint.work(batching.lu, tasks)
    assert batching.store.log == [("move", 2)]


def test_who_has_to_wait_for_a_claim_keeps_no_other_waiting(batching: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = reads(batching, 1, 2, 3)
    order: list[Task] = []
    monkeypatch.setattr(type(batching.lu), "execute", lambda lu, task: order.append(task))
    with batching.lu.exclusion.sole(512, 512):
        joint.work(batching.lu, tasks)
    assert order == [tasks[1], tasks[2], tasks[0]]


class TestBegun:
    """Moved by who must not wait."""

    @pytest.fixture
    def cached(self, batching: Disk) -> Disk:
        batching.lu.set_write_cache(True)
        return batching

    @staticmethod
    def begun(disk: Disk, tasks: list[Task]) -> list[Task]:
        """What is left of them."""
        moving = joint.begin(disk.lu, tasks)
        assert moving is not None
        assert disk.lu.exclusion._claims
        assert moving.wait(0.0)
        left = moving.conclude()
        assert disk.store.batch.closed
        assert disk.lu.exclusion._claims == []
        return left

    def test_all_are_moved_and_none_is_flushed(self, cached: Disk) -> None:
        tasks = [*reads(cached, 1, 2), *(parked(cached, write(block), FILLED) for block in (8, 9))]
        assert self.begun(cached, tasks) == []
        assert cached.store.log[0] == ("begin", 4)
        assert ("flush",) not in cached.store.log
        assert [outcome_of(task).data for task in tasks] == [bytes([1]) * 512, bytes([2]) * 512, None, None]
        assert cached.store.content[8 * 512:10 * 512] == FILLED * 2
        counted = cached.lu.statistics()
        assert (counted.reads, counted.blocks_read, counted.writes, counted.blocks_written) == (2, 2, 2, 2)

    def test_each_fails_alone_and_what_was_not_done_is_left(self, cached: Disk) -> None:
        tasks = [*reads(cached, 1, 2, 3), *(parked(cached, write(block), FILLED) for block in (8, 9))]
        cached.store.broken = {512: StoreError(errno.EIO, "bad"), 9 * 512: StoreError(errno.EIO, "bad")}
        cached.store.undone = {3 * 512: BlockingIOError()}

        def no_memory(length: int) -> memoryview:
            raise StoreError(errno.ENOMEM, "no memory")

        tasks[1].sink = no_memory
        assert self.begun(cached, tasks) == [tasks[2]]
        joint.work(cached.lu, [tasks[2]])
        failed = [outcome_of(task).sense for task in tasks]
        assert failed[0] == (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)
        assert failed[1] != 0
        assert failed[2:] == [0, 0, (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)]
        assert (cached.lu.statistics().reads, cached.lu.statistics().writes) == (1, 1)

    def test_whatever_goes_wrong_nothing_is_kept_from_others(self, cached: Disk) -> None:
        task = reads(cached, 1)[0]

        def fail(length: int) -> memoryview:
            raise ValueError("nobody expects this")

        task.sink = fail
        with pytest.raises(ValueError, match="nobody"):
            self.begun(cached, [task])
        assert cached.store.batch is not None
        assert cached.store.batch.closed
        assert cached.lu.exclusion._claims == []

    def test_writes_are_left_to_who_flushes_if_the_cache_is_disabled_meanwhile(self, cached: Disk) -> None:
        tasks = [*reads(cached, 1), parked(cached, write(8), FILLED)]
        moving = joint.begin(cached.lu, tasks)
        assert moving is not None
        cached.lu.set_write_cache(False)
        assert moving.conclude() == [tasks[1]]

    @pytest.mark.parametrize("how", ["FUA", "no cache", "exclusive", "not ready", "the store waits", "nothing"])
    def test_what_may_wait_is_not_begun(self, cached: Disk, how: str) -> None:
        tasks = [*reads(cached, 1), parked(cached, write(8, 0x08 if how == "FUA" else 0), FILLED)]
        if how == "no cache":
            cached.lu.set_write_cache(False)
        elif how == "exclusive":
            cached.lu.exclusion.ranges = ((512, 1024),)
        elif how == "not ready":
            cached.lu.readiness.ejected = True
            cached.lu.readiness.refresh()
        elif how == "the store waits":
            cached.store.begins = False
        elif how == "nothing":
            tasks = []
        assert joint.begin(cached.lu, tasks) is None
        assert cached.store.log == []
        assert cached.lu.exclusion._claims == []
