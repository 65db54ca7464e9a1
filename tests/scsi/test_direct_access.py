"""Every command of a direct access block device: one case for each row, and what follows from rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi import attention
from ietpy.scsi.asc import Asc
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.status import SenseKey, Status
from tests.scsi.conftest import Kept
from tests.scsi.persistent_requests import TYPES, move, out, port

POWER_ON = (SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"
BLOCK = bytes(512)
#: Of no segments; its result is kept as 1.
COPY = ("83 00 0000000000000000 00000010", bytes.fromhex("01 00 0000 00000000 00000000 00000000"))

GOOD = (Status.GOOD, Status.CONDITION_MET)

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
    "PERSISTENT RESERVE IN READ KEYS": ("5E 00 0000000000 00FF", b"", True, True),
    "PERSISTENT RESERVE IN READ RESERVATION": ("5E 01 0000000000 00FF", b"", True, True),
    "PERSISTENT RESERVE IN REPORT CAPABILITIES": ("5E 02 0000000000 00FF", b"", True, True),
    "PERSISTENT RESERVE IN READ FULL STATUS": ("5E 03 0000000000 00FF", b"", True, True),
    "PERSISTENT RESERVE OUT REGISTER": (*out("register", 1, 1), True, True),
    "PERSISTENT RESERVE OUT RESERVE": (*out("reserve", 1, 0, TYPES["WE"]), True, True),
    "PERSISTENT RESERVE OUT RELEASE": (*out("release", 1, 0, TYPES["WE"]), True, True),
    "PERSISTENT RESERVE OUT CLEAR": (*out("clear", 1), True, True),
    "PERSISTENT RESERVE OUT PREEMPT": (*out("preempt", 1, 2), True, True),
    "PERSISTENT RESERVE OUT PREEMPT AND ABORT": (*out("abort", 1, 2), True, True),
    "PERSISTENT RESERVE OUT REGISTER AND IGNORE EXISTING KEY": (*out("ignore", 0, 1), True, True),
    "PERSISTENT RESERVE OUT REGISTER AND MOVE": (*move(1, 2, port("B")), True, True),
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
    "READ DEFECT DATA(10)": ("37 00 18 00000000 00FF", b"", True, True),
    "READ DEFECT DATA(12)": ("B7 18 00000000 000000FF", b"", True, True),
    "COMPARE AND WRITE": ("89 00 0000000000000000 000000 01", bytes(1024), True, True),
    "ORWRITE(16)": ("8B 00 0000000000000000 00000001", BLOCK, True, True),
    "PRE-FETCH(10)": ("34 00 00000000 00 0001", b"", True, True),
    "PRE-FETCH(16)": ("90 00 0000000000000000 00000001", b"", True, True),
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
    "EXTENDED COPY(LID1)": (*COPY, True, True),
    "RECEIVE COPY STATUS(LID1)": ("84 00 01 00000000000000 000000FF", b"", True, True),
    "RECEIVE COPY OPERATING PARAMETERS": ("84 03 00 00000000000000 000000FF", b"", True, True),
    "RECEIVE COPY FAILURE DETAILS(LID1)": ("84 04 01 00000000000000 000000FF", b"", True, True),
}
each_row = pytest.mark.parametrize("name", CASES)


@pytest.fixture
def disk(make_disk: Callable[..., Any]) -> Any:
    """One that keeps a state, and so has every row."""
    return make_disk(state=Kept())


def prepare(disk: Any, name: str, nexus: Nexus) -> None:
    """What ``nexus`` must have registered, reserved or copied for the command to be GOOD."""
    before: list[tuple[Nexus, str, bytes]] = []
    if name.startswith("PERSISTENT RESERVE OUT"):
        before = [
            (nexus, *out("register", 0, 1)), (disk.nexus(port("B")), *out("register", 0, 2)),
            (nexus, *out("reserve", 1, 0, TYPES["WE"])),
        ]
    if name.startswith("RECEIVE COPY"):
        before = [(nexus, *COPY)]
    for by, cdb, data in before:
        assert disk.run(cdb, data, nexus=by).sense == 0


def test_every_row_has_a_case() -> None:
    assert set(CASES) == {row.name for row in DIRECT_ACCESS}


def test_the_manual_can_say_who_has_a_row() -> None:
    said = [row.available.__doc__ or "" for row in DIRECT_ACCESS if row.available is not None]
    assert said
    assert [each for each in said if not each.startswith("if ") or "\n" in each] == []


@each_row
def test_good(disk: Any, name: str) -> None:
    cdb, data, _, _ = CASES[name]
    prepare(disk, name, disk.ann)
    assert disk.refused(cdb) is None
    assert disk.wants(cdb) == len(data)
    outcome = disk.run(cdb, data)
    assert outcome.sense in GOOD
    assert outcome.raw_sense == b""


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
    nexus = disk.nexus("carol")
    prepare(disk, name, nexus)
    attention.establish(nexus, attention.POWER_ON)
    assert disk.run(cdb, data, nexus=nexus).sense == (POWER_ON if reports else Status.GOOD)
    assert disk.run(cdb, data, nexus=nexus).sense in GOOD
    pending = not reports and name != "REQUEST SENSE"
    assert disk.run("00", nexus=nexus).sense == (POWER_ON if pending else Status.GOOD)


@each_row
def test_extended_cdbs_are_read_as_far_as_they_mean_something(disk: Any, name: str) -> None:
    cdb, data, _, _ = CASES[name]
    prepare(disk, name, disk.ann)
    assert disk.run(bytes.fromhex(cdb).ljust(16, b"\0").hex() + "EE" * 16, data).sense in GOOD


def test_operation_codes_nobody_declared(disk: Any) -> None:
    known = {row.opcode for row in DIRECT_ACCESS}
    for opcode in set(range(256)) - known:
        for outcome in (disk.run(f"{opcode:02X}"), disk.refused(f"{opcode:02X}")):
            assert outcome.sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_COMMAND_OPERATION_CODE)
        assert disk.wants(f"{opcode:02X} 00 00000000 00 0010") == 0
