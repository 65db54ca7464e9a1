"""Execution, events and state of a logical unit, and what READ and WRITE cost."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey

POWER_ON = (SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
READ = "28 00 00000000 00 0001 00"


def test_a_task_is_clean_however_it_was_used_before(disk: Any) -> None:
    task = disk.task("FF")
    disk.lu.execute(task)
    task.cdb = bytes(16)
    assert disk.lu.execute(task)
    assert (task.status, task.sense, task.data_in) == (0, b"", None)


def test_writing_nothing_in_place_writes_nothing(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(write_cache=True)
    assert not disk.waits("2A 00 00000000 00 0000 00")
    assert disk.store.log == []


# Events


def test_a_reset_is_told_to_all_and_restores_mode_parameters(disk: Any, bob: Any) -> None:
    disk.run("15 10 00 00 18", bytes.fromhex("00000000 08 12 14 00 FFFF 0000 FFFF FFFF" + "00" * 8), nexus=bob)
    disk.run("15 10 00 00 10", bytes.fromhex("00000000 0A 0A 02 10 08" + "00" * 7), nexus=bob)
    disk.run("03 00 00 00 12")
    assert (disk.lu.write_through, disk.lu.write_protected) == (False, True)
    disk.lu.reset()
    assert (disk.lu.write_through, disk.lu.write_protected) == (True, False)
    assert disk.run(READ).sense == POWER_ON
    assert disk.run(READ, nexus=bob).sense == POWER_ON
    assert disk.run(READ).sense == 0


def test_capacity_changes_are_told_to_all(disk: Any, bob: Any) -> None:
    disk.store.size += 512
    disk.lu.capacity_changed()
    for nexus in (disk.ann, bob):
        assert disk.run(READ, nexus=nexus).sense == (SenseKey.UNIT_ATTENTION, Asc.CAPACITY_DATA_HAS_CHANGED)
    assert disk.run("25").data == bytes.fromhex("00000800 00000200")


def test_detaching_twice_is_harmless(disk: Any, bob: Any) -> None:
    disk.lu.detach(bob)
    disk.lu.detach(bob)
    assert disk.lu.nexuses == (disk.ann,)


@pytest.mark.parametrize(("block_size", "store_block_size"), [(256, 512), (520, 512), (512, 4096), (0, 512)])
def test_block_sizes_that_do_not_fit(make_disk: Callable[..., Any], block_size: int, store_block_size: int) -> None:
    with pytest.raises(ValueError, match=f"block size {block_size} of LUN 0: a power of two"):
        make_disk(block_size=block_size, store_block_size=store_block_size)


def test_constructing_has_no_effect(disk: Any) -> None:
    units = disk.device.logical_units
    type(disk.lu)(disk.store, disk.lu.identity, device=disk.device, number=9)
    assert disk.device.logical_units is units
    assert disk.ann.barrier == 0


# The data path's budget: calls of Python and C functions per command. These numbers may only fall.


@pytest.mark.parametrize(("cdb", "data", "budget"), [
    pytest.param("28 00 00000010 00 0008 00", b"", 7, id="READ(10) of 4 KiB"),
    pytest.param("2A 00 00000010 00 0008 00", bytes(4096), 6, id="WRITE(10) of 4 KiB"),
])
def test_call_budget(make_disk: Callable[..., Any], cdb: str, data: bytes, budget: int) -> None:
    """Counted inside the device server; what the store and the sink do is theirs."""
    disk = make_disk(write_cache=True)
    view = memoryview(bytearray(4096))
    task = disk.task(cdb, data, may_block=False, sink=lambda length: view)
    calls: list[str] = []
    depth_of_others = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal depth_of_others
        inside = "/ietpy/scsi/" in frame.f_code.co_filename
        if event == "call":
            if not depth_of_others:
                calls.append(frame.f_code.co_name)
            depth_of_others += not inside
        elif event == "return":
            depth_of_others -= not inside
        elif event == "c_call" and not depth_of_others:
            calls.append(argument.__name__)

    execute = disk.lu.execute
    gc.disable()  # its callbacks are calls, too
    sys.setprofile(profile)
    try:
        done = execute(task)
    finally:
        sys.setprofile(None)
        gc.enable()
    calls.remove("setprofile")
    assert done
    assert task.status == 0
    assert len(calls) <= budget, calls
