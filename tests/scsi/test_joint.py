"""Writes that are executed in place and made stable together; and which are not."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi import joint
from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities
from tests.scsi.conftest import outcome_of

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
    joint.commit(disk.lu, tasks[1:])
    assert disk.store.log == [("write", number * 512, 512, False) for number in range(3)] + [("commit", 8)]
    assert [(task.status, task.sense, task.data_in) for task in tasks] == [(0, b"", None)] * 3
    assert disk.lu.statistics().writes == 3


def test_what_cannot_be_made_stable_has_failed_whoever_asked(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(capabilities=COMMITTING)
    tasks = [disk.task(write(number), DATA, may_block=False) for number in range(3)]
    for task in tasks:
        disk.lu.execute(task)
    disk.store.fail = errno.EIO
    joint.commit(disk.lu, tasks)
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
