"""FORMAT UNIT (SBC-3 sections 4.9, 5.3): its parameter list, and what the blocks hold afterwards."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey, Status
from ietpy.scsi.store import Capabilities
from tests.scsi.conftest import Kept

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
PARAMETER = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
LENGTH = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
PROTECTED = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
FAILED = (SenseKey.MEDIUM_ERROR, Asc.FORMAT_COMMAND_FAILED)
CORRUPTED = (SenseKey.MEDIUM_ERROR, Asc.MEDIUM_FORMAT_CORRUPTED)
THICK = Capabilities(immediate=True)
FORMAT = "04 00 00 00 00 00"
SHORT = "04 10 00 00 00 00"
LONG = "04 30 00 00 00 00"
READ = "28 00 00000000 00 0001 00"
MODE = "5A 00 3F FF 000000 00FF"

WHOLE = (0, 1 << 20)
FREED = [("discard", *WHOLE), ("flush",)]
ZEROED = [("zero", *WHOLE), ("flush",)]
WRITTEN = [("write", *WHOLE, False), ("flush",)]


@pytest.mark.parametrize(("cdb", "parameters", "log", "content"), [
    pytest.param(FORMAT, "", FREED, "00", id="no list"),
    pytest.param("04 28 00 00 00 00", "", FREED, "00", id="no list: LONGLIST and CMPLST are ignored"),
    pytest.param(SHORT, "00 00 0000", FREED, "00", id="short header"),
    pytest.param("04 1D 00 00 00 00", "00 00 0000", FREED, "00", id="CMPLST, any format of no defects"),
    pytest.param(LONG, "00 00 0000 00000000", FREED, "00", id="long header"),
    pytest.param(SHORT, "00 F0 0000", FREED, "00", id="FOV: no defect lists, no certification"),
    pytest.param(SHORT, "00 88 0000  00 00 0000", ZEROED, "00", id="default pattern"),
    pytest.param(LONG, "00 88 0000 00000000  00 00 0000", ZEROED, "00", id="default pattern, long header"),
    pytest.param(SHORT, "00 88 0000  20 00 0000", WRITTEN, "00", id="default pattern, SI"),
    pytest.param(SHORT, "00 88 0000  00 01 0002 BEEF", WRITTEN, "BEEF", id="pattern"),
    pytest.param(SHORT, "00 F8 0000  20 01 0004 DEADBEEF", WRITTEN, "DEADBEEF", id="pattern, SI"),
    pytest.param(SHORT, "00 82 0000", FREED, "00", id="IMMED"),
])
def test_what_the_blocks_hold(disk: Any, cdb: str, parameters: str, log: Any, content: str) -> None:
    disk.store.content[:] = b"\x99" * (1 << 20)
    assert disk.run(cdb, bytes.fromhex(parameters))[::2] == (Status.GOOD, b"")
    assert disk.store.log == log
    pattern = bytes.fromhex(content)
    assert bytes(disk.store.content) == pattern * ((1 << 20) // len(pattern))


def test_a_pattern_as_long_as_a_block(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(block_size=4096)
    pattern = bytes(range(256)) * 16
    assert disk.run(SHORT, bytes.fromhex("00 88 0000  00 01 1000") + pattern).sense == 0
    assert bytes(disk.store.content) == pattern * 256


@pytest.mark.parametrize("capabilities", [THICK, Capabilities(discard=True)])
def test_media_that_cannot_be_emptied_are_zeroed(make_disk: Callable[..., Any], capabilities: Any) -> None:
    disk = make_disk(capabilities=capabilities)
    assert disk.run(FORMAT).sense == 0
    assert disk.store.log == ZEROED


@pytest.mark.parametrize(("cdb", "parameters", "sense", "field"), [
    pytest.param("04 40 00 00 00 00", "", INVALID, (1, 6), id="FMTPINFO"),
    pytest.param("04 06 00 00 00 00", "", INVALID, (1, 2), id="a format of defects that are not sent"),
    pytest.param("04 00 01 00 00 00", "", INVALID, (2, 0), id="vendor specific"),
    pytest.param("04 00 00 00 01 00", "", INVALID, (4, 0), id="interleave"),
])
def test_refused_before_data(disk: Any, cdb: str, parameters: str, sense: Any, field: Any) -> None:
    assert disk.run(cdb, bytes.fromhex(parameters))[::3] == (sense, field)
    assert disk.refused(cdb)[::3] == (sense, field)
    assert disk.store.log == []


@pytest.mark.parametrize(("cdb", "parameters", "sense", "field"), [
    pytest.param(SHORT, "", LENGTH, None, id="no header"),
    pytest.param(LONG, "00 00 0000 000000", LENGTH, None, id="half a header"),
    pytest.param(SHORT, "01 00 0000", PARAMETER, (0,), id="PROTECTION FIELD USAGE"),
    pytest.param(LONG, "00 00 0010 00000000", PARAMETER, (3,), id="P_I_INFORMATION"),
    pytest.param(SHORT, "00 40 0000", PARAMETER, (1, 6), id="DPRY without FOV"),
    pytest.param(SHORT, "00 20 0000", PARAMETER, (1, 5), id="DCRT without FOV"),
    pytest.param(SHORT, "00 10 0000", PARAMETER, (1, 4), id="STPF without FOV"),
    pytest.param(SHORT, "00 08 0000", PARAMETER, (1, 3), id="IP without FOV"),
    pytest.param(SHORT, "00 04 0000", PARAMETER, (1, 2), id="an obsolete bit"),
    pytest.param(SHORT, "00 81 0000", PARAMETER, (1, 0), id="a vendor's bit"),
    pytest.param(SHORT, "00 00 0004 00000001", PARAMETER, (2,), id="a defect"),
    pytest.param(LONG, "00 00 0000 00000008 0000000000000001", PARAMETER, (4,), id="a defect, long header"),
    pytest.param(SHORT, "00 88 0000", LENGTH, None, id="no pattern descriptor"),
    pytest.param(SHORT, "00 88 0000 00 00 00", LENGTH, None, id="half a pattern descriptor"),
    pytest.param(SHORT, "00 88 0000 40 00 0000", PARAMETER, (4, 6), id="IP MODIFIER"),
    pytest.param(SHORT, "00 88 0000 01 00 0000", PARAMETER, (4, 0), id="a reserved bit"),
    pytest.param(SHORT, "00 88 0000 00 02 0000", PARAMETER, (5,), id="a reserved type"),
    pytest.param(SHORT, "00 88 0000 00 00 0001 00", PARAMETER, (6,), id="default pattern with a pattern"),
    pytest.param(SHORT, "00 88 0000 00 01 0000", PARAMETER, (6,), id="pattern without one"),
    pytest.param(LONG, "00 88 0000 00000000 00 01 0201", PARAMETER, (10,), id="a pattern longer than a block"),
    pytest.param(SHORT, "00 88 0000 00 01 0002 BE", LENGTH, None, id="half a pattern"),
])
def test_parameters_that_are_refused(disk: Any, cdb: str, parameters: str, sense: Any, field: Any) -> None:
    assert disk.refused(cdb) is None
    assert disk.run(cdb, bytes.fromhex(parameters))[::3] == (sense, field)
    assert disk.store.log == []


@pytest.mark.parametrize(("cdb", "announced", "wanted"), [
    (FORMAT, 4, 0), (SHORT, 4, 4), (LONG, 0, 0), (LONG, 16, 16), (LONG, 1 << 20, 524),
])
def test_the_list_is_as_long_as_it_was_announced(disk: Any, cdb: str, announced: int, wanted: int) -> None:
    assert disk.lu.data_out_length(disk.task(cdb, expected=announced)) == wanted


def test_a_protected_medium_stays_as_it_is(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(read_only=True)
    assert disk.run(FORMAT).sense == disk.refused(FORMAT).sense == PROTECTED
    assert disk.store.log == []


def test_another_one_has_reserved_it(disk: Any, bob: Any) -> None:
    disk.run("16", nexus=bob)
    assert disk.run(FORMAT).sense == Status.RESERVATION_CONFLICT


def test_it_waits_elsewhere(disk: Any) -> None:
    assert disk.waits(FORMAT)
    assert disk.waits(SHORT, bytes(4))
    assert disk.store.log == []


def test_mode_parameters_and_capacity_stay(disk: Any) -> None:
    before = disk.run(MODE).data, disk.run("25").data
    disk.run(FORMAT)
    assert (disk.run(MODE).data, disk.run("25").data) == before


# A corrupt format


@pytest.fixture
def corrupt(make_disk: Callable[..., Any]) -> Any:
    disk = make_disk(state=Kept())
    disk.store.fail = errno.EIO
    assert disk.run(FORMAT).sense == FAILED
    disk.store.fail = 0
    return disk


@pytest.mark.parametrize(("cdb", "good"), [
    (READ, False), ("2A 00 00000000 00 0000 00", False), ("00", False), ("25", False), ("9E 12", False),
    ("35", False), ("42", False), ("9E 10 0000000000000000 00000020", False), ("12 00 00 00 24", True), (MODE, True),
    ("16", True), ("A0 00 00 000000 00000010", True), ("1B 00 00 00 01", True),
])
def test_with_a_corrupt_format_the_medium_is_not_accessible(corrupt: Any, cdb: str, good: bool) -> None:
    assert corrupt.run(cdb).sense == (0 if good else CORRUPTED)


def test_another_format_makes_it_good(corrupt: Any) -> None:
    assert corrupt.lu.state.get("format") is not None
    corrupt.store.fail = errno.EIO
    assert corrupt.run(FORMAT).sense == FAILED
    corrupt.store.fail = 0
    assert corrupt.run(READ).sense == CORRUPTED
    assert corrupt.run(FORMAT).sense == 0
    assert corrupt.run(READ).sense == 0
    assert corrupt.lu.state.get("format") is None


def test_an_interrupted_format_is_a_corrupt_one(make_disk: Callable[..., Any], corrupt: Any) -> None:
    assert make_disk(state=corrupt.lu.state).run(READ).sense == CORRUPTED
    assert make_disk(state=Kept(format={"size": 7})).run(READ).sense == CORRUPTED


@pytest.mark.parametrize("form", [6, 7])
def test_defect_list_formats_nobody_defined(disk: Any, form: int) -> None:
    answer = disk.run(f"04 {0x10 | form:02X} 00 00 00 00", bytes(4))
    assert answer.sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    assert answer.field == (1, 2)
