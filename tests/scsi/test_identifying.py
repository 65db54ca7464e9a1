"""Identifying information: kept, reported, and only where it can be kept."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey
from tests.scsi.conftest import BOB, Kept

CHANGED = (SenseKey.UNIT_ATTENTION, Asc.DEVICE_IDENTIFIER_CHANGED)
IN_CDB = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
IN_LIST = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
SET = "A4 06 00000000 {:08X} {:02X} 00"
REPORT = "A3 05 00000000 00001000 {:02X} 00"
DEVICE, TEXT = 0x00, 0x04  #: byte 10 of the CDB


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def disk(make_disk: Callable[..., Any], kept: Kept) -> Any:
    return make_disk(state=kept)


def put(disk: Any, data: bytes, kind: int = DEVICE) -> Any:
    return disk.run(SET.format(len(data), kind), data)


@pytest.mark.parametrize(("kind", "data"), [
    pytest.param(DEVICE, b"\x00\xff" * 256, id="512 bytes of anything"),
    pytest.param(TEXT, b"Gestell 7, oben\0", id="text"),
    pytest.param(TEXT, "Ω".encode() * 100 + bytes(56), id="256 bytes of padded text"),
    pytest.param(TEXT, b"\0", id="empty text"),
])
def test_what_was_set_is_reported_by_the_next_daemon_too(
    disk: Any, kept: Kept, make_disk: Callable[..., Any], kind: int, data: bytes
) -> None:
    assert put(disk, data, kind).sense == 0
    for each in (disk, make_disk(state=kept)):
        assert each.run(REPORT.format(kind)).data == len(data).to_bytes(4, "big") + data
        assert each.run(REPORT.format(kind ^ TEXT)).data == bytes(4)
    assert put(disk, b"", kind).sense == 0
    assert disk.run(REPORT.format(kind)).data == bytes(4)
    assert not any(kept.sections.values())


def test_the_answer_is_cut_to_the_allocation_length(disk: Any) -> None:
    put(disk, b"abcdef")
    assert disk.run("A3 05 00000000 00000006 00 00").data == b"\0\0\0\6ab"


def test_others_are_told_of_a_change(disk: Any) -> None:
    bob = disk.nexus(BOB)
    for data, told in ((b"a", CHANGED), (b"a", 0), (b"b", CHANGED), (b"", CHANGED), (b"", 0)):
        assert put(disk, data).sense == 0
        assert disk.run("00", nexus=bob).sense == told
        assert disk.run("00").sense == 0


def test_keeping_may_wait(disk: Any, kept: Kept) -> None:
    assert disk.waits(SET.format(1, DEVICE), b"a")
    assert kept.sections == {}


def test_what_cannot_be_kept_is_not_set(disk: Any, kept: Kept) -> None:
    bob = disk.nexus(BOB)
    kept.fail = errno.EIO
    assert put(disk, b"a").sense == (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)
    assert disk.run(REPORT.format(DEVICE)).data == bytes(4)
    assert disk.run("00", nexus=bob).sense == 0


@pytest.mark.parametrize("value", ["no hexadecimal", 7, ["00"]])
def test_a_state_somebody_else_has_written(make_disk: Callable[..., Any], value: Any) -> None:
    disk = make_disk(state=Kept(identifying=value))
    assert disk.run(REPORT.format(DEVICE)).sense == (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)
    assert put(disk, b"a").sense == 0
    assert disk.run(REPORT.format(DEVICE)).data == b"\0\0\0\1a"


@pytest.mark.parametrize(("length", "kind", "field"), [(513, DEVICE, 6), (257, TEXT, 6), (1 << 31, DEVICE, 6)])
def test_too_long(disk: Any, length: int, kind: int, field: int) -> None:
    assert disk.refused(SET.format(length, kind))[::3] == (IN_CDB, (field,))
    assert disk.run(SET.format(length, kind), b"a")[::3] == (IN_CDB, (field,))


@pytest.mark.parametrize("kind", [0x02, 0x06, 0x08, 0xFC, 0xFE])
def test_other_types_cannot_be_set(disk: Any, kind: int) -> None:
    assert disk.refused(SET.format(0, kind))[::3] == (IN_CDB, (10, 7))
    assert put(disk, b"", kind)[::3] == (IN_CDB, (10, 7))


def test_other_types_cannot_be_reported(disk: Any) -> None:
    for kind in set(range(0, 256, 2)) - {DEVICE, TEXT, 0xFE}:
        assert disk.run(REPORT.format(kind))[::3] == (IN_CDB, (10, 7))


@pytest.mark.parametrize(("data", "place"), [
    pytest.param(b"abc", 2, id="not terminated"),
    pytest.param(b"ab\xffcd\0", 2, id="not UTF-8"),
    pytest.param(b"ab\0cd\0", 3, id="text behind the end"),
])
def test_text_of_the_wrong_format(disk: Any, data: bytes, place: int) -> None:
    assert put(disk, data, TEXT)[::3] == (IN_LIST, (place,))
    assert disk.run(REPORT.format(TEXT)).data == bytes(4)


def test_information_cut_short(disk: Any) -> None:
    outcome = disk.run(SET.format(8, DEVICE), b"1234567")
    assert outcome.sense == (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)


def test_without_a_state_there_is_none(make_disk: Callable[..., Any]) -> None:
    disk = make_disk()
    for cdb, action in (("A3 05", 0x05), ("A4 06", 0x06)):
        assert disk.run(cdb).sense == IN_CDB
        assert disk.run(f"A3 0C 02 {cdb[:2]} {action:04X} 000000FF").data == bytes.fromhex("00 01 0000")
