"""PREVENT ALLOW MEDIUM REMOVAL and START STOP UNIT (SBC-3 sections 5.10, 5.25)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.command import Access
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.nexus import OBSTRUCTED
from ietpy.scsi.status import SenseKey, Status
from tests.scsi.background import Transport
from tests.scsi.conftest import BOB

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
NO_MEDIUM = (SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT)
REMOVAL_PREVENTED = (SenseKey.ILLEGAL_REQUEST, Asc.MEDIUM_REMOVAL_PREVENTED)
CHANGED = (SenseKey.UNIT_ATTENTION, Asc.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED)
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"
EJECT = "1B 00 00 00 02"
EJECT_NO_FLUSH = "1B 00 00 00 06"
LOAD = "1B 00 00 00 03"
START = "1B 00 00 00 01"
STOP = "1B 00 00 00 00"
PREVENT = "1E 00 00 00 01"
ALLOW = "1E 00 00 00 00"
OBSOLETE = ("1E 00 00 00 02", "1E 00 00 00 03")


@pytest.fixture
def removable(make_disk: Callable[..., Any]) -> Any:
    return make_disk(removable=True)


# Stopping


@pytest.mark.parametrize("removable", [False, True])
@pytest.mark.parametrize(("how", "log"), [
    pytest.param(0x00, [("flush",)], id="stop"),
    pytest.param(0x04, [], id="stop, NO_FLUSH"),
    pytest.param(0x01, [], id="start"),
    pytest.param(0x05, [], id="start, NO_FLUSH"),
])
def test_stopping_writes_the_cache_and_leaves_the_unit_ready(
    make_disk: Callable[..., Any], removable: bool, how: int, log: Any
) -> None:
    disk = make_disk(removable=removable)
    cdb = f"1B 01 00 00 {how:02X}"
    assert disk.waits(cdb) == bool(log)
    assert disk.store.log == []
    assert disk.run(cdb).sense == 0
    assert disk.store.log == log
    assert disk.run("00").sense == disk.run(READ).sense == 0


@pytest.mark.parametrize("condition", range(1, 16))
@pytest.mark.parametrize("removable", [False, True])
def test_power_conditions_change_nothing(make_disk: Callable[..., Any], removable: bool, condition: int) -> None:
    disk = make_disk(removable=removable)
    for how in range(8):
        assert disk.run(f"1B 01 00 00 {condition << 4 | how:02X}").sense == 0
        assert disk.run("00").sense == 0


@pytest.mark.parametrize(("cdb", "field"), [
    ("1B 02 00 00 01", (1, 1)), ("1B 00 00 01 20", (3, 0)), ("1B 00 00 00 08", (4, 3)),
])
def test_reserved_bits(removable: Any, cdb: str, field: Any) -> None:
    assert removable.run(cdb)[::3] == (INVALID, field)


@pytest.mark.parametrize("how", [2, 3, 6, 7])
def test_a_fixed_medium_is_neither_ejected_nor_loaded(disk: Any, how: int) -> None:
    assert disk.run(f"1B 00 00 00 {how:02X}")[::3] == (INVALID, (4, 1))
    assert disk.run(READ).sense == 0


@pytest.mark.parametrize(("cdb", "good"), [(START, True), (STOP, False), ("1B 00 00 00 11", False), (ALLOW, True),
                                           (PREVENT, False)])
def test_who_may_under_a_reservation(disk: Any, bob: Any, cdb: str, good: bool) -> None:
    disk.run("16", nexus=bob)
    assert disk.run(cdb).sense == (0 if good else Status.RESERVATION_CONFLICT)


# Without a medium


def test_without_a_medium_what_needs_one_is_refused(removable: Any) -> None:
    assert removable.run(EJECT).sense == 0
    for row in DIRECT_ACCESS:
        cdb = bytearray(row.usage[:1] + bytes(15))
        cdb[1] = row.service_action or 0
        needs = row.access in (Access.READ, Access.WRITE) or row.name in (
            "TEST UNIT READY", "READ CAPACITY(10)", "READ CAPACITY(16)"
        )
        assert (removable.run(cdb.hex()).sense == NO_MEDIUM) is needs, row.name
    assert removable.refused(WRITE).sense == NO_MEDIUM
    assert removable.run("1A 00 3F 00 FF").sense == 0
    assert removable.run("03 00 00 00 12").data[12:14] == b"\x3A\0"
    assert removable.run("03 01 00 00 12").data[2:4] == b"\x3A\0"


@pytest.mark.parametrize(("cdb", "sense"), [
    (START, NO_MEDIUM), (STOP, 0), ("1B 00 00 00 11", 0), (EJECT, 0), (EJECT_NO_FLUSH, 0), (LOAD, 0), (PREVENT, 0),
    (ALLOW, 0),
])
def test_without_a_medium_it_starts_nothing(removable: Any, cdb: str, sense: Any) -> None:
    removable.run(EJECT)
    assert removable.run(cdb).sense == sense
    assert removable.run("00").sense == (0 if cdb == LOAD else NO_MEDIUM)


def test_new_nexuses_and_resets_find_no_medium_either(removable: Any) -> None:
    removable.run(EJECT)
    bob = removable.nexus(BOB)
    assert removable.run(READ, nexus=bob).sense == NO_MEDIUM
    removable.lu.reset()
    assert removable.run(READ, nexus=bob).sense[0] == SenseKey.UNIT_ATTENTION
    assert removable.run(READ, nexus=bob).sense == NO_MEDIUM


def test_request_sense_tells_unit_attentions_first(removable: Any) -> None:
    removable.run(EJECT)
    bob = removable.nexus(BOB, quiet=False)
    assert removable.run("03 00 00 00 12", nexus=bob).data[2] == SenseKey.UNIT_ATTENTION
    assert removable.run("03 00 00 00 12", nexus=bob).data[2] == SenseKey.NOT_READY


def test_the_others_are_told_of_another_medium(removable: Any) -> None:
    bob = removable.nexus(BOB)
    removable.run(EJECT)
    assert removable.run(READ, nexus=bob).sense == NO_MEDIUM
    assert removable.run(LOAD, may_block=False).sense == 0
    assert removable.run(READ).sense == 0
    assert removable.run(READ, nexus=bob).sense == CHANGED
    assert removable.run(READ, nexus=bob).sense == 0
    removable.run(LOAD)
    assert removable.run(READ, nexus=bob).sense == 0, "it was loaded already"


def test_inquiry_says_whether_the_medium_is_removable(disk: Any, removable: Any) -> None:
    assert [each.run("12 00 00 00 24").data[1] for each in (disk, removable)] == [0x00, 0x80]
    absent = disk.device.nexus(7, BOB)
    assert disk.run("12 00 00 00 24", nexus=absent).data[:2] == b"\x7F\0"


# Ejecting


def test_what_was_written_before_is_on_the_medium(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(removable=True, write_cache=True)
    transport = Transport(disk.device)
    disk.run(WRITE, bytes(512))
    assert disk.waits(EJECT)
    assert disk.run(READ).sense == 0
    assert disk.run(EJECT).sense == 0
    assert transport.quiesced == 1
    assert disk.store.log == [("write", 0, 512, False), ("flush",)]


def test_what_was_admitted_before_is_not_written_behind_the_cache(removable: Any) -> None:
    removable.run(EJECT)
    removable.lu.close_gate(OBSTRUCTED, False)
    removable.store.log.clear()
    assert removable.run(WRITE, bytes(512)).sense == NO_MEDIUM
    assert removable.store.log == []


def test_ejecting_without_writing_the_cache_waits_for_nothing(removable: Any) -> None:
    assert removable.run(EJECT_NO_FLUSH, may_block=False).sense == 0
    assert removable.store.log == []
    assert removable.run(READ).sense == NO_MEDIUM


def test_a_medium_that_cannot_be_written_stays(removable: Any) -> None:
    removable.store.fail = errno.EIO
    assert removable.run(EJECT).sense == (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)
    removable.store.fail = 0
    assert removable.run(READ).sense == 0
    removable.run(EJECT)
    removable.store.fail = errno.EIO
    assert removable.run(EJECT, may_block=False).sense == 0, "it has been ejected already"
    assert removable.run("00").sense == NO_MEDIUM


# Preventing


def test_a_prevented_removal(removable: Any) -> None:
    assert removable.run(PREVENT).sense == 0
    for cdb in (EJECT, EJECT_NO_FLUSH, LOAD):
        assert removable.run(cdb).sense == REMOVAL_PREVENTED
        assert removable.run(cdb, may_block=False).sense == REMOVAL_PREVENTED
    assert removable.run(READ).sense == 0
    assert removable.run(ALLOW).sense == 0
    assert removable.run(EJECT).sense == 0
    assert removable.run(PREVENT).sense == 0
    assert removable.run(LOAD).sense == REMOVAL_PREVENTED
    assert removable.run("00").sense == NO_MEDIUM


def test_every_nexus_must_allow_it(removable: Any) -> None:
    bob = removable.nexus(BOB)
    removable.run(PREVENT)
    removable.run(PREVENT, nexus=bob)
    removable.run(ALLOW)
    assert removable.run(EJECT).sense == REMOVAL_PREVENTED
    assert removable.run(EJECT, nexus=bob).sense == REMOVAL_PREVENTED
    removable.run(ALLOW, nexus=bob)
    assert removable.run(EJECT).sense == 0


@pytest.mark.parametrize("end", [
    lambda disk, nexus: disk.lu.detach(nexus),
    lambda disk, nexus: disk.lu.nexus_reset(nexus),
    lambda disk, nexus: disk.lu.reset(),
], ids=["I_T nexus loss", "I_T NEXUS RESET", "LOGICAL UNIT RESET"])
def test_prevention_ends(removable: Any, end: Callable[[Any, Any], None]) -> None:
    bob = removable.nexus(BOB)
    removable.run(PREVENT, nexus=bob)
    end(removable, bob)
    removable.run("03 00 00 00 12")
    assert removable.run(EJECT).sense == 0


def test_preventing_is_taken_of_a_fixed_medium_too(disk: Any) -> None:
    assert disk.run(PREVENT).sense == disk.run(ALLOW).sense == 0
    assert disk.run("1E 00 00 00 03")[::3] == (INVALID, (4, 1))


@pytest.mark.parametrize("cdb", OBSOLETE)
def test_obsolete_ways_to_prevent(removable: Any, cdb: str) -> None:
    answer = removable.run(cdb)
    assert answer.sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    assert answer.field == (4, 1)
    assert removable.lu.readiness.preventing == set()
