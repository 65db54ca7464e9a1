"""Log pages, LOG SENSE and LOG SELECT. What each page says is in ``golden_pages``."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi import log_pages
from ietpy.scsi.asc import Asc
from ietpy.scsi.log_pages import LOG_PAGES
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities

IN_CDB = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
IN_LIST = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
CUT = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
CHANGED = (SenseKey.UNIT_ATTENTION, Asc.LOG_PARAMETERS_CHANGED)
SENSE = "4D 00 {:02X} {:02X} 00 {:04X} FFFF 00"
STATISTICS = SENSE.format(0x59, 0, 0)
READ = "28 00 00000000 00 0008 00"
WRITE = "2A 00 00000000 00 0001 00"
TEMPERATURE = "8D 00 0006 0000 23 02 00 FF"
START_STOP = "8E 00 0008 0004 23 04 00000000"


def counted(disk: Any, nexus: Any = None) -> tuple[int, ...]:
    """Read commands, write commands, blocks received and blocks transmitted."""
    data = disk.run(STATISTICS, nexus=nexus).data
    return tuple(int.from_bytes(data[place:place + 8], "big") for place in range(8, 40, 8))


# LOG SENSE


def test_the_pages_are_in_order() -> None:
    assert list(LOG_PAGES) == sorted(LOG_PAGES)
    assert all(page.name and 0 <= code == page.code < 0x40 for code, page in LOG_PAGES.items())


@pytest.mark.parametrize("page", sorted(set(range(0x40)) - set(LOG_PAGES)))
def test_pages_that_do_not_exist(disk: Any, page: int) -> None:
    for subpage in (0, 0xFF):
        assert disk.run(SENSE.format(0x40 | page, subpage, 0))[::3] == (IN_CDB, (2, 5))


@pytest.mark.parametrize("page", LOG_PAGES)
def test_the_subpages_of_every_page(disk: Any, page: int) -> None:
    listed = sorted(LOG_PAGES) if page == 0 else [page]
    body = b"".join(bytes((each, 0, each, 0xFF)) for each in listed)
    assert disk.run(SENSE.format(0x40 | page, 0xFF, 0)).data == bytes((0x40 | page, 0xFF, 0, len(body))) + body
    for subpage in (0x01, 0xFE):
        assert disk.run(SENSE.format(0x40 | page, subpage, 0))[::3] == (IN_CDB, (3,))


@pytest.mark.parametrize("page", sorted(set(LOG_PAGES) - {0}))
def test_every_page_begins_with_its_header_and_has_whole_parameters(disk: Any, page: int) -> None:
    data = disk.run(SENSE.format(0x40 | page, 0, 0)).data
    assert data[:4] == bytes((0x80 | page, 0)) + (len(data) - 4).to_bytes(2, "big")
    codes, place = [], 4
    while place < len(data):
        codes.append(int.from_bytes(data[place:place + 2], "big"))
        assert data[place + 2] in (0x22, 0x23)
        place += 4 + data[place + 3]
    assert place == len(data)
    assert codes == sorted(set(codes))
    assert disk.run(SENSE.format(0x40 | page, 0, codes[-1])).sense == 0
    assert disk.run(SENSE.format(0x40 | page, 0, codes[-1] + 1))[::3] == (IN_CDB, (5,))


@pytest.mark.parametrize(("pointer", "codes"), [(0, [1, 2, 3]), (1, [1, 2, 3]), (2, [2, 3]), (3, [3])])
def test_the_parameter_pointer(disk: Any, pointer: int, codes: list[int]) -> None:
    lengths = {1: 64, 2: 8, 3: 8}
    data = disk.run(SENSE.format(0x59, 0, pointer)).data
    assert int.from_bytes(data[2:4], "big") == len(data) - 4 == sum(4 + lengths[code] for code in codes)
    assert data[4:6] == codes[0].to_bytes(2, "big")


@pytest.mark.parametrize(("page", "subpage"), [(0x40, 0), (0x40, 0xFF), (0x4D, 0xFF)])
def test_lists_have_no_parameters_to_point_at(disk: Any, page: int, subpage: int) -> None:
    assert disk.run(SENSE.format(page, subpage, 1))[::3] == (IN_CDB, (5,))


@pytest.mark.parametrize("page", sorted(set(LOG_PAGES) - {0x19}))
def test_page_control_means_nothing_for_lists(disk: Any, page: int) -> None:
    answers = {disk.run(SENSE.format(control << 6 | page, 0, 0)).data for control in range(4)}
    assert len(answers) == 1


def test_the_answer_is_cut_to_the_allocation_length(disk: Any) -> None:
    assert disk.run("4D 00 4D 00 00 0000 0005 00").data == bytes.fromhex("8D 00 0006 00")


def test_only_the_temperature_is_told_while_the_unit_is_not_ready(disk: Any) -> None:
    sanitizing = CheckCondition(SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS)
    with disk.device.lock:
        disk.lu.obstruct(lambda command: None if command.unready else sanitizing)
    for page in LOG_PAGES:
        for subpage in (0, 0xFF):
            told = (page, subpage) == (0x0D, 0)
            outcome = disk.run(SENSE.format(0x40 | page, subpage, 0))
            assert outcome.sense == (0 if told else (sanitizing.key, sanitizing.asc))


# Logical block provisioning


def used(disk: Any) -> int:
    data = disk.run(SENSE.format(0x4C, 0, 0)).data
    return int.from_bytes(data[8:12], "big")


def test_used_resources_are_what_is_mapped(disk: Any) -> None:
    """In sets of two blocks: THRESHOLD EXPONENT 1."""
    assert used(disk) == 0
    disk.store.content[8192:8200] = b"somebody"
    disk.store.content[1 << 19:(1 << 19) + 4097] = b"x" * 4097
    assert used(disk) == 3 * 4096 // 1024
    disk.store.content[:] = b"x" * len(disk.store.content)
    assert used(disk) == disk.lu.blocks // 2


def test_a_map_of_many_pieces_is_estimated(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in range(0, 1 << 20, 8192):
        disk.store.content[place] = 1
    assert used(disk) == 512
    monkeypatch.setattr(log_pages, "_PIECES", 10)
    assert used(disk) == 512


def test_a_medium_without_a_block_uses_nothing(make_disk: Callable[..., Any]) -> None:
    assert used(make_disk(size=511)) == 0


def test_looking_at_the_map_may_wait(disk: Any) -> None:
    assert disk.waits(SENSE.format(0x4C, 0, 0))
    assert not disk.waits(SENSE.format(0x4C, 0xFF, 0))
    assert not disk.waits(SENSE.format(0x4D, 0, 0))


@pytest.mark.parametrize("capabilities", [Capabilities(), Capabilities(discard=True)])
def test_media_that_do_not_tell_have_no_such_page(make_disk: Callable[..., Any], capabilities: Capabilities) -> None:
    disk = make_disk(capabilities=capabilities)
    assert disk.run(SENSE.format(0x4C, 0, 0))[::3] == (IN_CDB, (2, 5))
    assert disk.run("4C 02 0C 00 000000 0000 00")[::3] == (IN_CDB, (2, 5))


# General statistics


def test_what_all_nexuses_did_is_counted(disk: Any, bob: Any) -> None:
    disk.run(READ)
    disk.run(READ, nexus=bob, may_block=False)
    disk.run(WRITE, bytes(512))
    assert counted(disk) == (2, 1, 1, 16)
    disk.lu.detach(bob)
    assert counted(disk) == (2, 1, 1, 16)


@pytest.mark.parametrize(("control", "counts"), [(0, 0), (1, 1), (2, 0), (3, 0)])
def test_thresholds_and_defaults_are_zero(disk: Any, control: int, counts: int) -> None:
    disk.run(READ)
    assert disk.run(SENSE.format(control << 6 | 0x19, 0, 0)).data[8:16] == counts.to_bytes(8, "big")


# LOG SELECT


@pytest.mark.parametrize(("cdb", "resets"), [
    pytest.param("4C 02 00 00 000000 0000 00", True, id="PCR, all pages"),
    pytest.param("4C 02 19 00 000000 0000 00", True, id="PCR, the page"),
    pytest.param("4C 02 19 FF 000000 0000 00", True, id="PCR, its subpages"),
    pytest.param("4C 02 00 FF 000000 0000 00", False, id="PCR, subpages of page 00h"),
    pytest.param("4C 02 0D 00 000000 0000 00", False, id="PCR, another page"),
    pytest.param("4C 03 99 00 000000 0000 00", True, id="PCR and SP, default thresholds"),
    pytest.param("4C 03 D9 00 000000 0000 00", True, id="PCR and SP, default values"),
    pytest.param("4C 00 C0 00 000000 0000 00", True, id="default cumulative values"),
    pytest.param("4C 01 C0 00 000000 0000 00", True, id="default cumulative values, SP"),
    pytest.param("4C 00 80 00 000000 0000 00", False, id="default thresholds"),
    pytest.param("4C 00 40 00 000000 0000 00", False, id="nothing"),
])
def test_counters_are_reset_and_others_told(disk: Any, bob: Any, cdb: str, resets: bool) -> None:
    disk.run(READ)
    disk.run(READ, nexus=bob, may_block=False)
    assert disk.run(cdb).sense == 0
    assert disk.run("00").sense == 0
    assert disk.run("00", nexus=bob).sense == (CHANGED if resets else 0)
    assert counted(disk) == ((0, 0, 0, 0) if resets else (2, 0, 0, 16))
    disk.run(WRITE, bytes(512), nexus=bob)
    assert counted(disk)[1] == 1
    assert disk.lu.statistics().reads == 2, "what the target itself counts goes on"


def test_a_reset_of_the_unit_resets_its_counters(disk: Any) -> None:
    disk.run(READ)
    disk.lu.reset()
    disk.run("03 00 00 00 12")
    assert counted(disk) == (0, 0, 0, 0)


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("4C 01 40 00 000000 0000 00", (1, 0), id="current values cannot be saved"),
    pytest.param("4C 03 00 00 000000 0000 00", (1, 0), id="nor ahead of a reset"),
    pytest.param("4C 02 01 00 000000 0000 00", (2, 5), id="page"),
    pytest.param("4C 02 19 01 000000 0000 00", (3,), id="subpage"),
    pytest.param("4C 02 00 00 000000 0004 00", (1, 1), id="PCR with a list"),
    pytest.param("4C 00 19 00 000000 0004 00", (2, 5), id="page code with a list"),
    pytest.param("4C 00 00 01 000000 0004 00", (3,), id="subpage code with a list"),
])
def test_log_select_refuses(disk: Any, bob: Any, cdb: str, field: tuple[int, ...]) -> None:
    disk.run(READ)
    assert disk.refused(cdb)[::3] == (IN_CDB, field)
    assert disk.run(cdb, bytes(4))[::3] == (IN_CDB, field)
    assert counted(disk, bob)[0] == 1


#: Page 19h as it is when one block was read, its parameters 2 and 3.
IDLE = "0002 22 08 0000000000000000"
INTERVAL = "0003 23 08 0000000000000000"


@pytest.mark.parametrize(("cdb", "data", "sense", "field"), [
    pytest.param("00 00", TEMPERATURE, 0, None, id="as it is"),
    pytest.param("00 00", TEMPERATURE + START_STOP, 0, None, id="two pages"),
    pytest.param("00 00", "8C 00 000C 0002 23 08 00000000 01 000000", 0, None, id="provisioning"),
    pytest.param("00 00", "8D 00 0000", 0, None, id="no parameters"),
    pytest.param("01 00", TEMPERATURE, 0, None, id="SP, DS"),
    pytest.param("01 00", "0D 00 0000", IN_LIST, (0, 7), id="SP without DS"),
    pytest.param("00 00", "0D 00 0000", 0, None, id="neither"),
    pytest.param("01 C0", "0D 00 0000", 0, None, id="SP without DS, default values"),
    pytest.param("00 00", "8D 00 0006 0000 AF 02 00 FF", 0, None, id="DU and TMC of a list are ignored"),
    pytest.param("00 00", "99 00 000C 0002 2E 08" + "00" * 8, 0, None, id="TMC of a counter is ignored"),
    pytest.param("00 40", "99 00 000C 0002 A2 08" + "00" * 8, IN_LIST, (6,), id="DU of a counter"),
    pytest.param("00 C0", "99 00 000C 0002 A2 08" + "00" * 8, 0, None, id="DU of a counter's default values"),
    pytest.param("00 00", "8D 00 0006 0000 33 02 00 FF", IN_LIST, (6,), id="ETC"),
    pytest.param("00 00", "8D 00 0006 0000 23 02 00 20", IN_LIST, (9,), id="another temperature"),
    pytest.param("00 00", "8D 00 0006 0000 03 02 00 FF", IN_LIST, (6,), id="another control byte"),
    pytest.param("00 00", "8D 00 0005 0000 23 01 00", IN_LIST, (7,), id="another length"),
    pytest.param("00 00", "8D 00 0006 0001 23 02 00 FF", IN_LIST, (4,), id="unknown parameter"),
    pytest.param("00 00", "8D 00 0001 00", IN_LIST, (5,), id="a parameter cut off"),
    pytest.param("00 00", "8D 00 0007 0000 23 02 00 FF", IN_LIST, (2,), id="a page cut off"),
    pytest.param("00 00", "8D 00", CUT, None, id="a header cut off"),
    pytest.param("00 00", "80 00 0000", IN_LIST, (0, 5), id="no page of parameters"),
    pytest.param("00 00", "81 00 0000", IN_LIST, (0, 5), id="unknown page"),
    pytest.param("00 00", START_STOP + TEMPERATURE, IN_LIST, (12, 5), id="pages out of order"),
    pytest.param("00 00", TEMPERATURE + TEMPERATURE, IN_LIST, (10, 5), id="a page twice"),
    pytest.param("00 00", "CD 01 0000", IN_LIST, (1,), id="unknown subpage"),
    pytest.param("00 00", "CD 00 0000", IN_LIST, (1,), id="SPF"),
    pytest.param("00 40", "99 00 0018" + IDLE + INTERVAL, 0, None, id="some parameters"),
    pytest.param("00 40", "99 00 0018" + INTERVAL + IDLE, IN_LIST, (16,), id="parameters out of order"),
    pytest.param("00 C0", "99 00 0044 0001 22 40" + "00" * 64, 0, None, id="default values of counters"),
    pytest.param("00 40", "99 00 0044 0001 22 40" + "00" * 64, IN_LIST, (15,), id="current values of counters"),
])
def test_lists(disk: Any, cdb: str, data: str, sense: Any, field: Any) -> None:
    disk.run(READ)
    given = bytes.fromhex(data)
    assert disk.run(f"4C {cdb} 00 000000 {len(given):04X} 00", given)[::3] == (sense, field)


def test_a_list_cut_short(disk: Any) -> None:
    given = bytes.fromhex(TEMPERATURE)
    assert disk.run("4C 00 00 00 000000 000B 00", given).sense == CUT


def test_checking_a_list_may_wait(disk: Any) -> None:
    assert disk.waits("4C 00 00 00 000000 000A 00", bytes.fromhex(TEMPERATURE))
    assert not disk.waits("4C 02 00 00 000000 0000 00")


def test_a_map_that_cannot_be_read_is_a_medium_error(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def mapped(offset: int, length: int) -> tuple[bool, int]:
        disk.store.fail = errno.EIO
        disk.store.flush()
        return True, length

    monkeypatch.setattr(disk.store, "mapped", mapped)
    assert disk.run(SENSE.format(0x4C, 0, 0)).sense[0] == SenseKey.MEDIUM_ERROR
