"""Mode pages byte for byte, the values in them, and what is saved (SPC-4 section 7.5)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.mode import FIELDS, MODE_PAGES, configure
from ietpy.scsi.status import SenseKey
from tests.scsi.conftest import Kept
from tests.scsi.mode_requests import (
    CACHING_OFF,
    CACHING_ON,
    CONTROL,
    DEFAULTS,
    EVERYTHING_ON,
    PAGES,
    PROTECT_ON,
    saves,
    select_6,
    select_10,
    sensed,
)

PROTECTED = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
NO_SAVING = (SenseKey.ILLEGAL_REQUEST, Asc.SAVING_PARAMETERS_NOT_SUPPORTED)
WRITE = "2A 00 00000000 00 0001 00"

#: A page as MODE SELECT changes one value of it: (name, page, value, how the unit says it).
VALUES = [
    pytest.param("WCE", CACHING_ON, 1, lambda lu: not lu.write_through, id="WCE"),
    pytest.param("TST", "0A 0A 22 10" + "00" * 8, 1, lambda lu: lu.separate_task_sets, id="TST"),
    pytest.param("D_SENSE", "0A 0A 06 10" + "00" * 8, 1, lambda lu: lu.descriptor_sense, id="D_SENSE"),
    pytest.param(
        "UA_INTLCK_CTRL", "0A 0A 02 10 20" + "00" * 7, 2, lambda lu: lu.unit_attention_interlock == 2, id="INTLCK 10b"
    ),
    pytest.param(
        "UA_INTLCK_CTRL", "0A 0A 02 10 30" + "00" * 7, 3, lambda lu: lu.unit_attention_interlock == 3, id="INTLCK 11b"
    ),
    pytest.param("SWP", PROTECT_ON, 1, lambda lu: lu.write_protected, id="SWP"),
    pytest.param("TAS", "0A 0A 02 10 00 40" + "00" * 6, 1, lambda lu: lu.task_aborted_status, id="TAS"),
]
each_value = pytest.mark.parametrize(("name", "page", "value", "holds"), VALUES)


def test_every_page_and_field_has_a_case() -> None:
    assert [*PAGES] == [*MODE_PAGES]
    assert {case.values[0] for case in VALUES} == {field.name for field in FIELDS}
    assert len({field.name for field in FIELDS}) == len(FIELDS), "values are kept by name"


@pytest.mark.parametrize(("code", "subpage"), PAGES)
@pytest.mark.parametrize(("control", "column"), [
    pytest.param(0, 0, id="current"),
    pytest.param(1, 1, id="changeable"),
    pytest.param(2, 0, id="default"),
])
def test_mode_sense_6_page(disk: Any, code: int, subpage: int, control: int, column: int) -> None:
    page = bytes.fromhex(PAGES[code, subpage][column])
    outcome = disk.run(f"1A 08 {code | control << 6:02X} {subpage:02X} FF 00")
    assert outcome == (0, bytes((3 + len(page), 0, 0x10, 0)) + page, b"", None)


def test_geometry_and_sector_size_follow_the_unit(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=1 << 32, block_size=4096)
    assert sensed(disk, 0x04)[:6] == bytes.fromhex("04 16 000040 40")
    assert sensed(disk, 0x03)[12:14] == bytes.fromhex("1000")


def test_configured_state_is_current_and_default(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(write_cache=True, read_only=True)
    for control in (0x00, 0x80):
        assert disk.run(f"1A 08 {0x08 | control:02X} 00 FF 00").data == bytes.fromhex("17 00 90 00" + CACHING_ON)
    assert sensed(disk, 0x0A) == bytes.fromhex(CONTROL), "SWP is not what protects it"


@each_value
def test_a_value_is_current_until_a_reset(disk: Any, name: str, page: str, value: int, holds: Any) -> None:
    assert not holds(disk.lu)
    assert select_6(disk, "00000000" + page).sense == 0
    assert holds(disk.lu)
    code = int(page[:2], 16)
    assert sensed(disk, code) == bytes.fromhex(page)
    assert sensed(disk, code, control=2) == bytes.fromhex(PAGES[code, 0][0])
    disk.lu.reset()
    assert not holds(disk.lu)


def test_fields_of_a_page_are_independent(disk: Any) -> None:
    assert select_6(disk, "00000000" + EVERYTHING_ON).sense == 0
    assert sensed(disk, 0x0A) == bytes.fromhex(EVERYTHING_ON)
    lu = disk.lu
    assert (lu.separate_task_sets, lu.descriptor_sense, lu.unit_attention_interlock) == (True, True, 3)
    assert (lu.software_write_protect, lu.task_aborted_status) == (True, True)
    assert select_6(disk, "00000000" + CONTROL).sense == 0
    assert sensed(disk, 0x0A) == bytes.fromhex(CONTROL)


def test_write_cache_is_switched_on_and_off_with_a_flush(disk: Any) -> None:
    assert select_6(disk, "00000000" + CACHING_ON).sense == 0
    disk.run(WRITE, bytes(512))
    assert disk.store.log == [("write", 0, 512, False)]
    assert select_6(disk, "00000000" + CACHING_OFF).sense == 0
    disk.run(WRITE, bytes(512))
    assert disk.store.log[1:] == [("flush",), ("write", 0, 512, True)]


def test_software_write_protect(disk: Any) -> None:
    assert select_10(disk, "0000000000000000" + PROTECT_ON).sense == 0
    assert disk.run(WRITE, bytes(512)).sense == PROTECTED
    assert disk.run("1A 08 0A 00 FF 00").data == bytes.fromhex("0F 00 90 00" + PROTECT_ON)
    assert select_10(disk, "0000000000000000" + CONTROL).sense == 0
    assert disk.run(WRITE, bytes(512)).sense == 0


def test_descriptor_sense(disk: Any) -> None:
    select_6(disk, "00000000 0A 0A 06 10" + "00" * 8)
    outcome = disk.run("28 00 00000800 00 0001 00")
    assert outcome.raw_sense == bytes.fromhex("72 05 2100 000000 0C  00 0A 80 00 0000000000000800")
    assert disk.run("03 00 00 00 FF").data[:1] == b"\x70", "DESC chooses for REQUEST SENSE"


# Saved values


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def saving(make_disk: Callable[..., Any], kept: Kept) -> Any:
    """As ``disk``, but it can save."""
    return make_disk(state=kept)


def test_nothing_is_saved_without_a_place(disk: Any) -> None:
    assert disk.run("1A 08 C8 00 FF 00").sense == NO_SAVING
    assert disk.run("5A 08 FF 00 000000 00FF 00").sense == NO_SAVING


@pytest.mark.parametrize("control", [0, 1, 2, 3])
def test_pages_that_can_be_saved_say_so(saving: Any, control: int) -> None:
    said = {key: sensed(saving, key[0], control, key[1])[0] >> 7 for key in MODE_PAGES}
    assert said == {key: int(bool(page.fields)) for key, page in MODE_PAGES.items()}


@each_value
def test_a_saved_value_survives_reset_and_loss_of_power(
    make_disk: Callable[..., Any], saving: Any, kept: Kept, name: str, page: str, value: int, holds: Any
) -> None:
    code = int(page[:2], 16)
    assert sensed(saving, code, control=3) == bytes.fromhex(saves(PAGES[code, 0][0])), "the default, before"
    assert select_6(saving, "00000000" + page, flags=0x11).sense == 0
    assert kept.sections == {"mode": {**DEFAULTS, name: value}}
    assert select_6(saving, "00000000" + PAGES[code, 0][0]).sense == 0
    assert sensed(saving, code) == bytes.fromhex(saves(PAGES[code, 0][0]))
    assert sensed(saving, code, control=3) == bytes.fromhex(saves(page))
    saving.lu.reset()
    assert holds(saving.lu)
    again = make_disk(state=kept)
    assert holds(again.lu)
    again.run("03 00 00 00 12")
    assert sensed(again, code) == sensed(again, code, control=3) == bytes.fromhex(saves(page))
    assert sensed(again, code, control=2) == bytes.fromhex(saves(PAGES[code, 0][0]))


def test_saving_saves_all_pages_as_they_are(saving: Any, kept: Kept) -> None:
    assert select_6(saving, "00000000" + CACHING_ON).sense == 0
    assert kept.sections == {}
    assert select_6(saving, "00000000" + PROTECT_ON, flags=0x11).sense == 0
    assert kept.sections == {"mode": {**DEFAULTS, "WCE": 1, "SWP": 1}}


def test_what_was_never_saved_has_its_configured_value(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(state=Kept(mode={"SWP": 1}), write_cache=True)
    assert (disk.lu.write_through, disk.lu.write_protected) == (False, True)


@pytest.mark.parametrize(("mode", "problem"), [
    pytest.param([1], r"LUN 0: \[1\] was found; an object with numbers for WCE, TST, D_SENSE,", id="no object"),
    pytest.param({"QERR": 1}, r"LUN 0: \{'QERR': 1\} was found; .*; remove 'mode' from its state", id="another field"),
    pytest.param({"TST": 2}, "LUN 0: TST is 2; 0, 1 are accepted; remove 'mode' from its state", id="another value"),
    pytest.param({"WCE": True}, "LUN 0: WCE is True; 0, 1 are accepted", id="no number"),
    pytest.param({"UA_INTLCK_CTRL": "2"}, "LUN 0: UA_INTLCK_CTRL is '2'; 0, 2, 3 are accepted", id="a string"),
])
def test_a_state_that_cannot_be_used(make_disk: Callable[..., Any], mode: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make_disk(state=Kept(mode=mode))


# Configured otherwise while it serves


def _told(disk: Any) -> list[Any]:
    found = [each.asc for each in disk.ann.attentions]
    disk.ann.attentions.clear()
    disk.ann.barrier &= ~1
    return found


def test_a_write_cache_that_is_configured_begins_and_ends_and_initiators_are_told(disk: Any) -> None:
    configure(disk.lu, True, False)
    assert (disk.lu.write_through, _told(disk)) == (False, [Asc.MODE_PARAMETERS_CHANGED])
    assert sensed(disk, 0x08, control=2) == bytes.fromhex(CACHING_ON), "it is the default now"
    disk.run(WRITE, bytes(512))
    configure(disk.lu, False, False)
    assert (disk.lu.write_through, _told(disk)) == (True, [Asc.MODE_PARAMETERS_CHANGED])
    assert disk.store.log == [("write", 0, 512, False), ("flush",)], "what the cache had goes to the medium"


def test_what_was_saved_outranks_what_is_configured(saving: Any) -> None:
    assert select_6(saving, "00000000" + CACHING_ON, 0x11).sense == 0
    configure(saving.lu, True, False)
    configure(saving.lu, False, False)
    assert not saving.lu.write_through


def test_protection_that_is_configured_and_that_of_initiators_are_two(disk: Any) -> None:
    configure(disk.lu, False, True)
    _told(disk)
    assert disk.run(WRITE, bytes(512)).sense == PROTECTED
    assert select_6(disk, "00000000" + PROTECT_ON).sense == 0
    configure(disk.lu, False, False)
    _told(disk)
    assert disk.run(WRITE, bytes(512)).sense == PROTECTED
    assert select_6(disk, "00000000" + CONTROL).sense == 0
    assert disk.run(WRITE, bytes(512)).sense == 0


def test_a_cache_that_cannot_be_emptied_is_a_fault_and_not_forgotten(disk: Any) -> None:
    configure(disk.lu, True, False)
    disk.store.fail = errno.EIO
    faults: list[Any] = []
    disk.device.fault = lambda *words: faults.append(words)
    configure(disk.lu, False, False)
    assert len(faults) == 1
    assert disk.lu.cached is not None
