"""MODE SENSE and MODE SELECT: what surrounds the pages, what is refused, who is told (SPC-4 sections 6.11 to 6.14)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey
from tests.scsi.conftest import Kept
from tests.scsi.mode_requests import (
    ALL,
    CACHING_OFF,
    CACHING_ON,
    CONTROL,
    DEFAULTS,
    PAGES,
    PROTECT_ON,
    WITHOUT_SUBPAGES,
    saves,
    select_6,
    select_10,
    sensed,
)

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
PARAMETER = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
LENGTH = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
CHANGED = (SenseKey.UNIT_ATTENTION, Asc.MODE_PARAMETERS_CHANGED)


@pytest.mark.parametrize(("code", "subpage", "pages"), [
    pytest.param(0x3F, 0x00, WITHOUT_SUBPAGES, id="all pages"),
    pytest.param(0x3F, 0xFF, ALL, id="all pages and subpages"),
    pytest.param(0x0A, 0xFF, CONTROL + PAGES[0x0A, 1][0], id="a page and its subpages"),
    pytest.param(0x08, 0xFF, CACHING_OFF, id="a page without subpages"),
    pytest.param(0x00, 0xFF, "", id="page 00h and its subpages"),
])
def test_several_pages_with_block_descriptor(disk: Any, code: int, subpage: int, pages: str) -> None:
    content = bytes.fromhex("00000800 00000200" + pages)
    answer = disk.run(f"1A 00 {code:02X} {subpage:02X} FF 00").data
    assert answer == bytes((3 + len(content), 0, 0x10, 8)) + content


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("1A 08 00 00 FF 00", "03 00 10 00", id="page 00h is empty"),
    pytest.param("1A 00 0A 00 05 00", "17 00 10 08 00", id="cut to the allocation length, not in what it says"),
    pytest.param("5A 08 0A 00 000000 00FF 00", "0012 00 10 00 00 0000" + CONTROL, id="(10)"),
    pytest.param(
        "5A 00 0A 00 000000 00FF 00", "001A 00 10 00 00 0008 00000800 00000200" + CONTROL,
        id="(10) with block descriptor",
    ),
    pytest.param(
        "5A 10 0A 00 000000 00FF 00",
        "0022 00 10 01 00 0010 0000000000000800 00000000 00000200" + CONTROL, id="(10) LLBAA",
    ),
])
def test_mode_sense_framing(disk: Any, cdb: str, data: str) -> None:
    assert disk.run(cdb) == (0, bytes.fromhex(data), b"", None)


def test_sizes_that_do_not_fit_are_clipped(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=1 << 50)
    assert disk.run("1A 00 04 00 FF 00").data == bytes.fromhex(
        "23 00 10 08 FFFFFFFF 00000200  04 16 FFFFFF 40" + "00" * 14 + "3A98 0000"
    )


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("1A 08 09 00 FF 00", (2, 5), id="page 09h"),
    pytest.param("1A 08 09 01 FF 00", (2, 5), id="a subpage of page 09h"),
    pytest.param("1A 08 09 FF FF 00", (2, 5), id="all subpages of page 09h"),
    pytest.param("1A 08 0A 02 FF 00", (3,), id="a subpage that does not exist"),
    pytest.param("1A 08 00 01 FF 00", (3,), id="a subpage of page 00h"),
    pytest.param("1A 08 3F 01 FF 00", (3,), id="one subpage of all pages"),
    pytest.param("1A 18 0A 00 FF 00", (1, 4), id="LLBAA in MODE SENSE(6)"),
])
def test_mode_sense_refuses(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    assert disk.run(cdb)[::3] == (INVALID, field)


# MODE SELECT


@pytest.mark.parametrize(("options", "log"), [
    pytest.param({"write_cache": True}, [("flush",)], id="cached"),
    pytest.param({}, [], id="nothing is cached"),
    pytest.param({"write_cache": True, "read_only": True}, [], id="nothing was written"),
])
def test_what_is_cached_is_written_before_the_medium_is_protected(
    make_disk: Callable[..., Any], options: dict[str, bool], log: list[tuple[str]]
) -> None:
    disk = make_disk(**options)
    assert select_6(disk, "00000000" + PROTECT_ON).sense == 0
    assert disk.store.log == log
    assert select_6(disk, "00000000" + CONTROL).sense == 0
    assert disk.store.log == log


def test_other_nexuses_are_told_of_changes_only(disk: Any, bob: Any) -> None:
    select_6(disk, "00000000" + CACHING_OFF)
    assert disk.run("00", nexus=bob).sense == 0
    select_6(disk, "00000000" + CACHING_ON)
    assert disk.run("00").sense == 0
    assert disk.run("00", nexus=bob).sense == CHANGED
    assert disk.run("00", nexus=bob).sense == 0


@pytest.mark.parametrize("parameters", [
    pytest.param("", id="nothing"),
    pytest.param("00000000", id="header only"),
    pytest.param("83 00 90 08 00000800 00000200" + CACHING_OFF, id="as MODE SENSE returned it"),
    pytest.param("00000000 8A 0A 02 10" + "00" * 8, id="with PS as MODE SENSE may return it"),
    pytest.param("00000008 00000000 00000200", id="number of blocks left open: 0"),
    pytest.param("00000008 FFFFFFFF 00000200", id="number of blocks left open: all ones"),
    pytest.param("00000000" + ALL, id="all pages unchanged"),
])
def test_mode_select_6_accepts(disk: Any, bob: Any, parameters: str) -> None:
    assert select_6(disk, parameters) == (0, None, b"", None)
    assert disk.run("00", nexus=bob).sense == 0, "nothing has changed"


def test_mode_select_10_accepts_both_descriptors(disk: Any) -> None:
    assert select_10(disk, "0000 00 00 00 00 0008 00000800 00000200" + CACHING_ON).sense == 0
    assert select_10(disk, "0000 00 00 01 00 0010 0000000000000800 00000000 00000200" + CACHING_OFF).sense == 0


@pytest.mark.parametrize(
    ("first", "second", "cached"), [(CACHING_ON, CACHING_OFF, False), (CACHING_OFF, CACHING_ON, True)]
)
def test_of_a_page_that_comes_twice_the_second_holds(disk: Any, first: str, second: str, cached: bool) -> None:
    assert select_6(disk, "00000000" + first + second).sense == 0
    assert disk.lu.write_through is not cached


@pytest.mark.parametrize(("parameters", "sense", "field"), [
    pytest.param("000000", LENGTH, None, id="cut in the header"),
    pytest.param("00000008 000008", LENGTH, None, id="cut in the block descriptor"),
    pytest.param("00000000 08", LENGTH, None, id="cut in the page header"),
    pytest.param("00000000 4A 01 00", LENGTH, None, id="cut in the header of a subpage"),
    pytest.param("00000000 08 12 14", LENGTH, None, id="cut in the page"),
    pytest.param("00000004 00000800", PARAMETER, (3,), id="block descriptor of another length"),
    pytest.param("00010000", PARAMETER, (1,), id="a medium type"),
    pytest.param("00000008 00000800 00001000", PARAMETER, (9,), id="another block length"),
    pytest.param("00000000 09 00", PARAMETER, (4, 5), id="a page that does not exist"),
    pytest.param("00000000 4A 02 0000", PARAMETER, (4, 5), id="a subpage that does not exist"),
    pytest.param("00000000 4A 00 000A" + "00" * 10, PARAMETER, (4, 5), id="a page as its own subpage"),
    pytest.param("00000000 0A 09" + "00" * 9, PARAMETER, (5,), id="another page length"),
    pytest.param("00000000 4A 01 001B 01" + "00" * 26, PARAMETER, (6,), id="another length of a subpage"),
    pytest.param("00000000 0A 0A 02 10 40" + "00" * 7, PARAMETER, (8, 6), id="a bit that cannot change"),
    pytest.param("00000000 4A 01 001C" + "00" * 28, PARAMETER, (8, 0), id="IALUAE cannot change"),
    pytest.param("00000000 0A 0A 42 10" + "00" * 8, PARAMETER, (6, 7), id="TST 010b"),
    pytest.param("00000000 0A 0A 02 10 10" + "00" * 7, PARAMETER, (8, 5), id="UA_INTLCK_CTRL 01b"),
])
def test_mode_select_refuses(disk: Any, parameters: str, sense: Any, field: tuple[int, ...] | None) -> None:
    assert select_6(disk, parameters)[::3] == (sense, field)


@pytest.mark.parametrize(("descriptor", "field"), [
    pytest.param("0000000000000800 00000000 01000200", (20,), id="another block length"),
])
def test_a_long_descriptor_is_checked_whole(disk: Any, descriptor: str, field: tuple[int, ...]) -> None:
    assert select_10(disk, "0000 00 00 01 00 0010" + descriptor)[::3] == (PARAMETER, field)


def test_nothing_changes_unless_everything_is_right(disk: Any) -> None:
    assert select_6(disk, "00000000" + CACHING_ON + "09 00").sense == PARAMETER
    assert sensed(disk, 0x08) == bytes.fromhex(CACHING_OFF)


def test_mode_select_with_less_data_than_promised(disk: Any) -> None:
    assert disk.run("15 10 00 00 18 00", bytes(4)).sense == LENGTH


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("15 00 00 00 04 00", (1, 4), id="(6) PF must be set"),
    pytest.param("55 00 00 00 000000 0008 00", (1, 4), id="(10) PF must be set"),
    pytest.param("15 11 00 00 04 00", (1, 0), id="(6) SP"),
    pytest.param("15 11 00 00 00 00", (1, 0), id="(6) SP without a list"),
    pytest.param("55 11 00 00 000000 0008 00", (1, 0), id="(10) SP"),
])
def test_mode_select_cdb(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    """SP is refused where nothing can be kept."""
    assert disk.run(cdb, bytes(8))[::3] == (INVALID, field)
    assert disk.refused(cdb)[::3] == (INVALID, field)


def test_mode_select_waits_for_no_device_in_the_wrong_thread(disk: Any) -> None:
    assert disk.waits("15 10 00 00 18 00", bytes.fromhex("00000000" + CACHING_ON))
    assert sensed(disk, 0x08) == bytes.fromhex(CACHING_OFF)


def test_data_out_lengths(disk: Any) -> None:
    assert disk.wants("15 10 00 00 18 00") == 0x18
    assert disk.wants("55 10 00 00 000000 0120 00") == 0x120


# Saving


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def saving(make_disk: Callable[..., Any], kept: Kept) -> Any:
    """As ``disk``, but it can save."""
    return make_disk(state=kept)


@pytest.mark.parametrize("cdb", ["15 11 00 00 00 00", "15 01 00 00 00 00", "55 11 00 00 000000 0000 00"])
def test_saving_needs_no_parameter_list(saving: Any, kept: Kept, cdb: str) -> None:
    select_6(saving, "00000000" + CACHING_ON)
    assert saving.waits(cdb)
    assert saving.run(cdb).sense == 0
    assert kept.sections == {"mode": {**DEFAULTS, "WCE": 1}}


def test_others_are_told_of_what_was_saved(saving: Any, kept: Kept) -> None:
    bob = saving.nexus("bob")
    for told in (True, False):
        assert saving.run("15 11 00 00 00 00").sense == 0
        assert saving.run("00", nexus=bob).sense == (CHANGED if told else 0)
    kept.fail = errno.EIO
    assert saving.run("15 11 00 00 00 00").sense == 0, "it is kept already"


def test_nothing_changes_if_it_cannot_be_saved(saving: Any, kept: Kept) -> None:
    bob = saving.nexus("bob")
    kept.fail = errno.ENOSPC
    failure = (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)
    assert select_6(saving, "00000000" + CACHING_ON, flags=0x11).sense == failure
    assert sensed(saving, 0x08) == bytes.fromhex(saves(CACHING_OFF))
    assert saving.run("00", nexus=bob).sense == 0


def test_who_waits_for_saving_holds_up_no_other_command(saving: Any, kept: Kept, monkeypatch: Any) -> None:
    class Lock:
        held = 0

        def __enter__(self) -> None:
            self.held += 1

        def __exit__(self, *_: object) -> None:
            self.held -= 1

    def put(section: str, value: Any) -> None:
        assert (saving.device.keeping.held, saving.device.lock.held) == (1, 0)
        kept.sections[section] = value

    saving.device.lock, saving.device.keeping = Lock(), Lock()
    monkeypatch.setattr(kept, "put", put)
    assert select_6(saving, "00000000" + CACHING_ON, flags=0x11).sense == 0
    assert kept.sections == {"mode": {**DEFAULTS, "WCE": 1}}


@pytest.mark.parametrize("blocks", [0, 0x700, 0x800, 0xFFFFFFFF])
def test_the_number_of_blocks_is_ignored(disk: Any, blocks: int) -> None:
    """SBC-3, mode parameter block descriptors: a capacity that cannot be changed."""
    assert select_6(disk, f"00000008 {blocks:08X} 00000200").sense == 0
    assert select_10(disk, f"0000 00 00 01 00 0010 {blocks:016X} 00000000 00000200").sense == 0
    assert disk.lu.blocks == 2048


def test_a_medium_type_in_the_long_header(disk: Any) -> None:
    assert select_10(disk, "0000 01 00 00 00 0000").field == (2,)
