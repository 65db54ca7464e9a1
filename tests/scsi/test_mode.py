"""Mode pages byte for byte, and what MODE SELECT accepts (SPC-4 sections 6.9 to 6.12, 7.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.mode import MODE_PAGES
from ietpy.scsi.status import SenseKey

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
PARAMETER = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
LENGTH = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
PROTECTED = (SenseKey.DATA_PROTECT, Asc.LOGICAL_UNIT_SOFTWARE_WRITE_PROTECTED)

#: (current = default, changeable) of a write through unit of 2048 blocks of 512 bytes.
PAGES = {
    0x01: ("01 0A" + "00" * 10, "01 0A" + "00" * 10),
    0x02: ("02 0E 80 80 00 0A" + "00" * 10, "02 0E" + "00" * 14),
    0x03: ("03 16 00000000 00000000 0100 0200 0000 0000 0000 0C 000000", "03 16" + "00" * 22),
    0x04: ("04 16 000000 40" + "00" * 14 + "3A98 0000", "04 16" + "00" * 22),
    0x08: ("08 12 10 00 FFFF 0000 FFFF FFFF 80 14" + "00" * 6, "08 12 04" + "00" * 17),
    0x0A: ("0A 0A 02 10" + "00" * 8, "0A 0A 00 00 08" + "00" * 7),
    0x1C: ("1C 0A 08" + "00" * 9, "1C 0A" + "00" * 10),
}
CACHING_ON = "08 12 14 00 FFFF 0000 FFFF FFFF 80 14" + "00" * 6
CACHING_OFF = PAGES[0x08][0]
PROTECT_ON = "0A 0A 02 10 08" + "00" * 7


def test_every_page_has_a_case() -> None:
    assert set(PAGES) == set(MODE_PAGES)


@pytest.mark.parametrize("code", PAGES)
@pytest.mark.parametrize(("control", "column"), [
    pytest.param(0x00, 0, id="current"),
    pytest.param(0x40, 1, id="changeable"),
    pytest.param(0x80, 0, id="default"),
])
def test_mode_sense_6_page(disk: Any, code: int, control: int, column: int) -> None:
    page = bytes.fromhex(PAGES[code][column])
    outcome = disk.run(f"1A 08 {code | control:02X} 00 FF 00")
    assert outcome == (0, bytes((3 + len(page), 0, 0x10, 0)) + page, b"", None)


def test_all_pages_with_block_descriptor(disk: Any) -> None:
    pages = bytes.fromhex("".join(current for current, _ in PAGES.values()))
    assert disk.run("1A 00 3F 00 FF 00").data == bytes.fromhex("83 00 10 08 00000800 00000200") + pages
    assert disk.run("1A 00 3F FF FF 00").data == bytes.fromhex("83 00 10 08 00000800 00000200") + pages


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("1A 08 00 00 FF 00", "03 00 10 00", id="page 00h is empty"),
    pytest.param("1A 00 0A 00 05 00", "17 00 10 08 00", id="cut to the allocation length, not in what it says"),
    pytest.param("5A 08 0A 00 000000 00FF 00", "0012 00 10 00 00 0000" + PAGES[0x0A][0], id="(10)"),
    pytest.param(
        "5A 00 0A 00 000000 00FF 00", "001A 00 10 00 00 0008 00000800 00000200" + PAGES[0x0A][0],
        id="(10) with block descriptor",
    ),
    pytest.param(
        "5A 10 0A 00 000000 00FF 00",
        "0022 00 10 01 00 0010 0000000000000800 00000000 00000200" + PAGES[0x0A][0], id="(10) LLBAA",
    ),
])
def test_mode_sense_framing(disk: Any, cdb: str, data: str) -> None:
    assert disk.run(cdb) == (0, bytes.fromhex(data), b"", None)


def test_sizes_that_do_not_fit_are_clipped(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=1 << 50)
    assert disk.run("1A 00 04 00 FF 00").data == bytes.fromhex(
        "23 00 10 08 FFFFFFFF 00000200  04 16 FFFFFF 40" + "00" * 14 + "3A98 0000"
    )


def test_geometry_and_sector_size_follow_the_unit(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=1 << 32, block_size=4096)
    assert disk.run("1A 08 04 00 FF 00").data[4:10] == bytes.fromhex("04 16 000040 40")
    assert disk.run("1A 08 03 00 FF 00").data[4 + 12:4 + 14] == bytes.fromhex("1000")


def test_configured_state_is_current_and_default(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(write_cache=True, read_only=True)
    for control in (0x00, 0x80):
        assert disk.run(f"1A 08 {0x08 | control:02X} 00 FF 00").data == bytes.fromhex("17 00 90 00" + CACHING_ON)


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("1A 08 09 00 FF 00", (2, 5), id="page 09h"),
    pytest.param("1A 08 0A 01 FF 00", (3,), id="control extension subpage"),
    pytest.param("1A 18 0A 00 FF 00", (1, 4), id="LLBAA in MODE SENSE(6)"),
])
def test_mode_sense_refuses(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    assert disk.run(cdb)[::3] == (INVALID, field)


def test_nothing_is_saved(disk: Any) -> None:
    outcome = disk.run("1A 08 C8 00 FF 00")
    assert outcome.sense == (SenseKey.ILLEGAL_REQUEST, Asc.SAVING_PARAMETERS_NOT_SUPPORTED)


# MODE SELECT


def select_6(disk: Any, parameters: str, **fields: Any) -> Any:
    data = bytes.fromhex(parameters)
    return disk.run(f"15 10 00 00 {len(data):02X} 00", data, **fields)


def select_10(disk: Any, parameters: str) -> Any:
    data = bytes.fromhex(parameters)
    return disk.run(f"55 10 00 00 000000 {len(data):04X} 00", data)


def test_write_cache_is_switched_on_and_off_with_a_flush(disk: Any) -> None:
    assert select_6(disk, "00000000" + CACHING_ON).sense == 0
    assert disk.run("1A 08 08 00 FF 00").data[4:] == bytes.fromhex(CACHING_ON)
    assert disk.run("1A 08 88 00 FF 00").data[4:] == bytes.fromhex(CACHING_OFF)
    disk.run("2A 00 00000000 00 0001 00", bytes(512))
    assert disk.store.log == [("write", 0, 512, False)]
    assert select_6(disk, "00000000" + CACHING_OFF).sense == 0
    disk.run("2A 00 00000000 00 0001 00", bytes(512))
    assert disk.store.log[1:] == [("flush",), ("write", 0, 512, True)]


def test_software_write_protect(disk: Any) -> None:
    assert select_10(disk, "0000000000000000" + PROTECT_ON).sense == 0
    assert disk.run("2A 00 00000000 00 0001 00", bytes(512)).sense == PROTECTED
    assert disk.run("1A 08 0A 00 FF 00").data == bytes.fromhex("0F 00 90 00" + PROTECT_ON)
    assert select_10(disk, "0000000000000000" + PAGES[0x0A][0]).sense == 0
    assert disk.run("2A 00 00000000 00 0001 00", bytes(512)).sense == 0


def test_other_nexuses_are_told_of_changes_only(disk: Any, bob: Any) -> None:
    select_6(disk, "00000000" + CACHING_OFF)
    assert disk.run("00", nexus=bob).sense == 0
    select_6(disk, "00000000" + CACHING_ON)
    assert disk.run("00").sense == 0
    assert disk.run("00", nexus=bob).sense == (SenseKey.UNIT_ATTENTION, Asc.MODE_PARAMETERS_CHANGED)
    assert disk.run("00", nexus=bob).sense == 0


@pytest.mark.parametrize("parameters", [
    pytest.param("", id="nothing"),
    pytest.param("00000000", id="header only"),
    pytest.param("83 00 90 08 00000800 00000200" + CACHING_OFF, id="as MODE SENSE returned it"),
    pytest.param("00000008 00000000 00000200", id="number of blocks left open: 0"),
    pytest.param("00000008 FFFFFFFF 00000200", id="number of blocks left open: all ones"),
    pytest.param("00000000" + "".join(current for current, _ in PAGES.values()), id="all pages unchanged"),
])
def test_mode_select_6_accepts(disk: Any, parameters: str) -> None:
    assert select_6(disk, parameters) == (0, None, b"", None)


def test_mode_select_10_accepts_both_descriptors(disk: Any) -> None:
    assert select_10(disk, "0000 00 00 00 00 0008 00000800 00000200" + CACHING_ON).sense == 0
    assert select_10(disk, "0000 00 00 01 00 0010 0000000000000800 00000000 00000200" + CACHING_OFF).sense == 0


@pytest.mark.parametrize(("parameters", "sense", "field"), [
    pytest.param("000000", LENGTH, None, id="cut in the header"),
    pytest.param("00000008 000008", LENGTH, None, id="cut in the block descriptor"),
    pytest.param("00000000 08", LENGTH, None, id="cut in the page header"),
    pytest.param("00000000 08 12 14", LENGTH, None, id="cut in the page"),
    pytest.param("00000004 00000800", PARAMETER, (3,), id="block descriptor of another length"),
    pytest.param("00000008 00000700 00000200", PARAMETER, (4,), id="another number of blocks"),
    pytest.param("00000008 00000800 00001000", PARAMETER, (9,), id="another block length"),
    pytest.param("00000000 09 00", PARAMETER, (4, 5), id="a page that does not exist"),
    pytest.param("00000000 4A 01 0000", PARAMETER, (4, 5), id="a subpage"),
    pytest.param("00000000 0A 09" + "00" * 9, PARAMETER, (5,), id="another page length"),
    pytest.param("00000000 0A 0A 02 10 00 40" + "00" * 6, PARAMETER, (9, 6), id="a bit that cannot change"),
])
def test_mode_select_refuses(disk: Any, parameters: str, sense: Any, field: tuple[int, ...] | None) -> None:
    assert select_6(disk, parameters)[::3] == (sense, field)


def test_nothing_changes_unless_everything_is_right(disk: Any) -> None:
    assert select_6(disk, "00000000" + CACHING_ON + "09 00").sense == PARAMETER
    assert disk.run("1A 08 08 00 FF 00").data[4:] == bytes.fromhex(CACHING_OFF)


def test_mode_select_with_less_data_than_promised(disk: Any) -> None:
    assert disk.run("15 10 00 00 18 00", bytes(4)).sense == LENGTH


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("15 00 00 00 04 00", (1, 4), id="PF must be set"),
    pytest.param("15 11 00 00 04 00", (1, 0), id="SP"),
])
def test_mode_select_cdb(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    assert disk.run(cdb, bytes(4))[::3] == (INVALID, field)


def test_mode_select_waits_for_no_device_in_the_wrong_thread(disk: Any) -> None:
    assert disk.waits("15 10 00 00 18 00", bytes.fromhex("00000000" + CACHING_ON))
    assert disk.run("1A 08 08 00 FF 00").data[4:] == bytes.fromhex(CACHING_OFF)


def test_data_out_lengths(disk: Any) -> None:
    assert disk.wants("15 10 00 00 18 00") == 0x18
    assert disk.wants("55 10 00 00 000000 0120 00") == 0x120
