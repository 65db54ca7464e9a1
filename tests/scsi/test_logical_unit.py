"""Admission, execution and state of a logical unit; one case for every row."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.logical_unit import DIRECT_ACCESS
from ietpy.scsi.status import SenseKey, Status
from tests.scsi.conftest import Kept

POWER_ON = (SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"
BLOCK = bytes(512)

#: name: (CDB that is GOOD, Data-Out, conflicts with another's RESERVE, reports unit attentions)
CASES: dict[str, tuple[str, bytes, bool, bool]] = {
    "TEST UNIT READY": ("00", b"", True, True),
    "REQUEST SENSE": ("03 00 00 00 12", b"", False, False),
    "INQUIRY": ("12 00 00 00 60", b"", False, False),
    "REPORT LUNS": ("A0 00 00 000000 00000010", b"", False, False),
    "MODE SENSE(6)": ("1A 00 3F 00 FF", b"", True, True),
    "MODE SENSE(10)": ("5A 00 3F 00 000000 00FF", b"", True, True),
    "MODE SELECT(6)": ("15 10 00 00 04", bytes(4), True, True),
    "MODE SELECT(10)": ("55 10 00 00 000000 0008", bytes(8), True, True),
    "LOG SELECT": ("4C 02 00 00 000000 0000", b"", True, True),
    "LOG SENSE": ("4D 00 59 00 00 0000 00FF", b"", True, True),
    "REPORT TARGET PORT GROUPS": ("A3 0A 00000000 000000FF", b"", False, True),
    "SET TARGET PORT GROUPS": ("A4 0A 00000000 00000008", bytes.fromhex("00000000 00 00 0001"), True, True),
    "REPORT IDENTIFYING INFORMATION": ("A3 05 00000000 000000FF", b"", False, True),
    "SET IDENTIFYING INFORMATION": ("A4 06 00000000 00000004", b"disk", True, True),
    "SEND DIAGNOSTIC": ("1D 04", b"", True, True),
    "RECEIVE DIAGNOSTIC RESULTS": ("1C 01 00 00FF", b"", True, True),
    "READ BUFFER": ("3C 0B 00 000000 0000FF", b"", True, True),
    "WRITE BUFFER": ("3B 0A 00 000000 000004", b"echo", True, True),
    "PREVENT ALLOW MEDIUM REMOVAL": ("1E 00 00 00 01", b"", True, True),
    "REPORT SUPPORTED OPERATION CODES": ("A3 0C 00 00 0000 00001000", b"", True, True),
    "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS": ("A3 0D 00 00 0000 00000004", b"", True, True),
    "RESERVE(6)": ("16", b"", True, True),
    "RESERVE(10)": ("56", b"", True, True),
    "RELEASE(6)": ("17", b"", False, True),
    "RELEASE(10)": ("57", b"", False, True),
    "READ CAPACITY(10)": ("25", b"", False, True),
    "READ CAPACITY(16)": ("9E 10 0000000000000000 00000020", b"", False, True),
    "READ(6)": ("08 000000 01", b"", True, True),
    "READ(10)": (READ, b"", True, True),
    "READ(12)": ("A8 00 00000000 00000001", b"", True, True),
    "READ(16)": ("88 00 0000000000000000 00000001", b"", True, True),
    "WRITE(6)": ("0A 000000 01", BLOCK, True, True),
    "WRITE(10)": (WRITE, BLOCK, True, True),
    "WRITE(12)": ("AA 00 00000000 00000001", BLOCK, True, True),
    "WRITE(16)": ("8A 00 0000000000000000 00000001", BLOCK, True, True),
    "VERIFY(10)": ("2F 00 00000000 00 0001", b"", True, True),
    "VERIFY(12)": ("AF 00 00000000 00000001", b"", True, True),
    "VERIFY(16)": ("8F 00 0000000000000000 00000001", b"", True, True),
    "WRITE AND VERIFY(10)": ("2E 02 00000000 00 0001", BLOCK, True, True),
    "WRITE AND VERIFY(12)": ("AE 02 00000000 00000001", BLOCK, True, True),
    "WRITE AND VERIFY(16)": ("8E 02 0000000000000000 00000001", BLOCK, True, True),
    "SYNCHRONIZE CACHE(10)": ("35", b"", True, True),
    "SYNCHRONIZE CACHE(16)": ("91", b"", True, True),
    "START STOP UNIT": ("1B 00 00 00 00", b"", True, True),
    "UNMAP": ("42 00 00000000 00 0008", bytes(8), True, True),
    "GET LBA STATUS": ("9E 12 0000000000000000 00000018", b"", True, True),
    "WRITE SAME(10)": ("41 00 00000000 00 0001", BLOCK, True, True),
    "WRITE SAME(16)": ("93 00 0000000000000000 00000001", BLOCK, True, True),
    "FORMAT UNIT": ("04", b"", True, True),
    "SANITIZE OVERWRITE": ("48 01 0000000000 0005", bytes.fromhex("01 00 0001 00"), True, True),
    "SANITIZE BLOCK ERASE": ("48 02", b"", True, True),
    "SANITIZE EXIT FAILURE MODE": ("48 1F", b"", True, True),
}
each_row = pytest.mark.parametrize("name", CASES)


@pytest.fixture
def disk(make_disk: Callable[..., Any]) -> Any:
    """One that keeps a state, and so has every row."""
    return make_disk(state=Kept())


def test_every_row_has_a_case() -> None:
    assert set(CASES) == {row.name for row in DIRECT_ACCESS}


@each_row
def test_good(disk: Any, name: str) -> None:
    cdb, data, _, _ = CASES[name]
    assert disk.refused(cdb) is None
    assert disk.wants(cdb) == len(data)
    assert disk.run(cdb, data)[::2] == (Status.GOOD, b"")


@each_row
def test_every_bit_the_usage_map_lacks_is_refused(disk: Any, name: str) -> None:
    cdb, data, _, _ = CASES[name]
    row = next(row for row in DIRECT_ACCESS if row.name == name)
    good = bytes.fromhex(cdb).ljust(len(row.usage), b"\0")
    for place in range(1, len(row.usage)):
        for bit in range(8):
            wrong = bytearray(good)
            wrong[place] |= 1 << bit
            choosing = row.service_action is not None and place == 1 and bit < 5
            if not row.usage[place] >> bit & 1 and not choosing:
                assert disk.run(wrong.hex(), data)[::3] == (INVALID, (place, bit))
                assert disk.refused(wrong.hex())[::3] == (INVALID, (place, bit))


@each_row
def test_reservation_conflict(disk: Any, bob: Any, name: str) -> None:
    cdb, data, conflicts, _ = CASES[name]
    disk.run("16", nexus=bob)
    assert disk.run(cdb, data).sense == (Status.RESERVATION_CONFLICT if conflicts else Status.GOOD)


@each_row
def test_unit_attention(disk: Any, name: str) -> None:
    cdb, data, _, reports = CASES[name]
    nexus = disk.nexus("carol", quiet=False)
    assert disk.run(cdb, data, nexus=nexus).sense == (POWER_ON if reports else Status.GOOD)
    assert disk.run(cdb, data, nexus=nexus).sense == Status.GOOD
    pending = not reports and name != "REQUEST SENSE"
    assert disk.run("00", nexus=nexus).sense == (POWER_ON if pending else Status.GOOD)


@each_row
def test_extended_cdbs_are_read_as_far_as_they_mean_something(disk: Any, name: str) -> None:
    cdb, data, _, _ = CASES[name]
    assert disk.run(bytes.fromhex(cdb).ljust(16, b"\0").hex() + "EE" * 16, data).sense == Status.GOOD


def test_operation_codes_nobody_declared(disk: Any) -> None:
    known = {row.opcode for row in DIRECT_ACCESS}
    for opcode in set(range(256)) - known:
        for outcome in (disk.run(f"{opcode:02X}"), disk.refused(f"{opcode:02X}")):
            assert outcome.sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_COMMAND_OPERATION_CODE)
        assert disk.wants(f"{opcode:02X} 00 00000000 00 0010") == 0


def test_a_unit_attention_is_reported_ahead_of_an_unknown_operation_code(disk: Any) -> None:
    nexus = disk.nexus("carol", quiet=False)
    assert disk.run("FF", nexus=nexus).sense == POWER_ON
    assert disk.run("FF", nexus=nexus).sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_COMMAND_OPERATION_CODE)


def test_a_unit_attention_reported_early_is_reported(disk: Any) -> None:
    nexus = disk.nexus("carol", quiet=False)
    assert disk.refused(WRITE, nexus=nexus).sense == POWER_ON
    assert disk.refused(WRITE, nexus=nexus) is None
    assert disk.run(WRITE, BLOCK, nexus=nexus).sense == 0


@pytest.mark.parametrize(("attribute", "good"), [(0, True), (1, True), (2, True), (3, True), (4, False), (7, False)])
def test_task_attributes(disk: Any, attribute: int, good: bool) -> None:
    refused = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_MESSAGE_ERROR)
    assert disk.run(READ, attribute=attribute).sense == (0 if good else refused)


def test_a_task_is_clean_however_it_was_used_before(disk: Any) -> None:
    task = disk.task("FF")
    disk.lu.execute(task)
    task.cdb = bytes(16)
    assert disk.lu.execute(task)
    assert (task.status, task.sense, task.data_in) == (0, b"", None)


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
