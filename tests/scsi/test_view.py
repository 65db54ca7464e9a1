"""What an initiator has of a device: its own LUNs, and what it may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.nexus import PROTECTED, REVOKED
from ietpy.scsi.status import SenseKey, Status, TaskAttribute
from ietpy.scsi.view import EVERYTHING, View
from tests.scsi.test_copy_descriptors import copy_list, segment
from tests.scsi.test_third_party_copy import named

ABSENT = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_UNIT_NOT_SUPPORTED)
PROTECTION = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
NEW_LUNS = (SenseKey.UNIT_ATTENTION, Asc.REPORTED_LUNS_DATA_HAS_CHANGED)
NEW_MODE = (SenseKey.UNIT_ATTENTION, Asc.MODE_PARAMETERS_CHANGED)
REPORT_LUNS = "A0 00 {:02X} 000000 00000100 00 00"
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"
MODE_SENSE = "1A 08 3F 00 FF 00"
EVE = "iqn.2001-04.com.example:eve,i,0x400000000009"
MAPPED = View({0: 5, 3: 1, 9: 8}, frozenset({5}))
READER = View(writable=frozenset())


def second(disk: Any, number: int) -> Any:
    """Another unit of the same device, on the same medium."""
    return type(disk)(disk.store, number=number, device=disk.device)


def enter(disk: Any, view: View, number: int | None = 0, initiator: str = EVE) -> Any:
    """A nexus that has nothing pending."""
    nexus = disk.device.nexus(number, initiator, view=view)
    if nexus.lu is not disk.device.absent:
        disk.run("00", nexus=nexus)
    return nexus


def reported(disk: Any, nexus: Any, select: int = 0) -> list[int]:
    data = disk.run(REPORT_LUNS.format(select), nexus=nexus).data
    return [data[place + 1] for place in range(8, len(data), 8)]


@pytest.mark.parametrize(("view", "whole", "unit", "has", "writes", "luns"), [
    (EVERYTHING, True, [0, 1, 5], [True] * 3, [True] * 3, (5, 1, 0)),
    (READER, False, [0, 1, 5], [True] * 3, [False] * 3, (5, 1, 0)),
    (MAPPED, False, [5, None, None], [False, True, True], [False, False, True], (0, 3)),
    (View({}), False, [None] * 3, [False] * 3, [True] * 3, ()),
])
def test_views(
    view: View, whole: bool, unit: list[int | None], has: list[bool], writes: list[bool], luns: tuple[int, ...]
) -> None:
    numbers = (0, 1, 5)
    assert view.whole is whole
    assert [view.unit(lun) for lun in numbers] == unit
    assert [view.has(number) for number in numbers] == has
    assert [view.may_write(number) for number in numbers] == writes
    assert view.luns((5, 1, 0)) == luns
    assert view.unit(None) is None


# A map


def test_report_luns_tells_the_initiators_own(disk: Any) -> None:
    for number in (1, 5):
        second(disk, number)
    nexus = enter(disk, MAPPED, 5)
    assert [reported(disk, nexus, select) for select in (0, 1, 2)] == [[0, 3], [], [0, 3]]
    assert reported(disk, disk.device.nexus(None, EVE, view=MAPPED)) == [0, 3], "also where there is no unit"
    assert reported(disk, disk.ann) == [0, 1, 5]


def test_who_has_none_of_the_units_there_are(disk: Any) -> None:
    nexus = disk.device.nexus(None, EVE, view=View({4: 7}))
    assert [reported(disk, nexus, select) for select in (0, 1, 2)] == [[], [], [0]]
    assert disk.run("12 00 00 00 60 00", nexus=nexus).data[0] == 0x7F
    assert disk.run(READ, nexus=nexus).sense == ABSENT


def test_a_nexus_knows_the_number_of_the_unit(disk: Any) -> None:
    assert [disk.device.nexus(number, EVE).number for number in (0, 7, None)] == [0, 7, None]
    assert disk.lu.attach(EVE).number == 0


def test_what_comes_and_goes_is_told_to_those_concerned(disk: Any) -> None:
    other = second(disk, 5)
    eve = enter(disk, MAPPED, 5)
    disk.run("00")
    second(disk, 7)
    assert [disk.run("00").sense, disk.run("00", nexus=eve).sense] == [NEW_LUNS, 0]
    disk.device.remove(7)
    assert [disk.run("00").sense, disk.run("00", nexus=eve).sense] == [NEW_LUNS, 0]
    second(disk, 1)
    assert [disk.run("00").sense, disk.run("00", nexus=eve).sense] == [NEW_LUNS] * 2
    disk.device.remove(1)
    assert disk.run("00", nexus=eve).sense == NEW_LUNS
    assert other.lu.number == 5


def test_a_nexus_of_a_removed_unit_stays_with_its_number(disk: Any) -> None:
    second(disk, 5)
    eve = enter(disk, View({0: 5}, frozenset()), 5)
    disk.device.remove(5)
    assert disk.run(READ, nexus=eve).sense == ABSENT
    new = second(disk, 5)
    assert disk.run("00", nexus=eve).sense[0] == SenseKey.UNIT_ATTENTION
    assert eve.lu is new.lu
    assert disk.run(WRITE, bytes(512), nexus=eve).sense == PROTECTION, "what it may not write it still may not"


def test_identity_does_not_depend_on_the_lun(disk: Any) -> None:
    second(disk, 5)
    eve, ann = enter(disk, MAPPED, 5), enter(disk, EVERYTHING, 5)
    for page in ("12 00 00 00 60 00", "12 01 80 00 FF 00", "12 01 83 00 FF 00"):
        assert disk.run(page, nexus=eve).data == disk.run(page, nexus=ann).data


def test_persistent_reservations_are_the_units(disk: Any) -> None:
    second(disk, 5)
    eve, ann = enter(disk, View({0: 5}), 5), enter(disk, EVERYTHING, 5)
    register = bytes(8) + (7).to_bytes(8, "big") + bytes(8)
    assert disk.run("5F 00 00 0000 00000018 00", register, nexus=eve).sense == 0
    assert disk.run("5E 00 00 00000000 0020 00", nexus=ann).data[8:] == (7).to_bytes(8, "big")
    disk.run("00")
    assert disk.run("5E 00 00 00000000 0020 00").data[8:] == b""


# What it may only read


def rows(**fields: Any) -> list[Any]:
    return [row for row in DIRECT_ACCESS if all(getattr(row, name) == value for name, value in fields.items())]


@pytest.mark.parametrize("row", rows(writes=True), ids=lambda row: row.name)
def test_whatever_writes_is_refused_early_and_late(disk: Any, row: Any) -> None:
    """Without a byte of data asked for."""
    nexus = enter(disk, READER)
    cdb = bytes((row.opcode, row.service_action or 0)).hex()
    assert disk.refused(cdb, nexus=nexus).sense == PROTECTION
    assert disk.run(cdb, nexus=nexus).sense == PROTECTION
    assert disk.store.log == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_the_rows_say_what_a_write_protected_unit_refuses(make_disk: Callable[..., Any], row: Any) -> None:
    """But for the one that only ends a failure: it is for those who may write all the same."""
    disk = make_disk(read_only=True)
    cdb = bytearray(16)
    cdb[0], cdb[1] = row.opcode, row.service_action or 0
    if row.name == "SANITIZE OVERWRITE":
        cdb[8] = 5  # it must have a parameter list
    answer = disk.refused(cdb.hex()) or disk.run(cdb.hex())
    assert (answer.sense == PROTECTION) == (row.writes and row.name != "SANITIZE EXIT FAILURE MODE")


def test_reads_and_flushes_are_not_refused(disk: Any) -> None:
    nexus = enter(disk, READER)
    for cdb in (READ, "35 00 00000000 00 0000 00", "91 00" + "00" * 14, "25", "1B 00 00 00 01 00", "00"):
        assert disk.run(cdb, nexus=nexus).sense == 0, cdb
    assert disk.run(READ, nexus=nexus, attribute=TaskAttribute.HEAD_OF_QUEUE).sense == 0
    assert disk.refused(WRITE) is None, "Ann writes"


def test_a_reader_needs_no_lock(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nexus = enter(disk, READER)
    monkeypatch.setattr(disk.device, "lock", None)
    assert disk.run(READ, nexus=nexus, may_block=False).sense == 0


def test_other_reasons_come_first(disk: Any, bob: Any) -> None:
    """The order of SAM-5 section 5.3.3: a unit attention, a reservation, a unit that is not ready."""
    nexus = enter(disk, READER)
    disk.lu.reset()
    assert disk.run(WRITE, nexus=nexus).sense[0] == SenseKey.UNIT_ATTENTION
    disk.run("00", nexus=bob)
    disk.run("16", nexus=bob)
    assert disk.run(WRITE, nexus=nexus).sense == Status.RESERVATION_CONFLICT


def test_the_header_of_mode_parameters_says_so(disk: Any) -> None:
    nexus = enter(disk, READER)
    assert [disk.run(MODE_SENSE, nexus=each).data[2] & 0x80 for each in (nexus, disk.ann)] == [0x80, 0]
    long = "5A 08 3F 00 000000 00FF 00"
    assert [disk.run(long, nexus=each).data[3] & 0x80 for each in (nexus, disk.ann)] == [0x80, 0]


# Copies (CVE-2020-28374: EXTENDED COPY reached units that the initiator did not have)


def copies(disk: Any, nexus: Any, source: Any, destination: Any) -> Any:
    """EXTENDED COPY of one block between two units."""
    data = copy_list(named(source) + named(destination), segment(0, 1, 1, 0, 0), identifier=1, usage=0)
    return disk.run(f"83 00 00000000 00000000 {len(data):08X} 00 00", data, nexus=nexus).sense


@pytest.mark.parametrize(("view", "reaches"), [
    (EVERYTHING, True),
    (View({0: 0, 1: 5}), True),
    (View({0: 0, 1: 5}, frozenset({5})), True),
    (View({0: 0}), False),
    (View({1: 5}), False),
    (View({0: 0, 1: 5}, frozenset({0})), False),
    (READER, False),
])
def test_cve_2020_28374_copies_stay_within_the_view(make_disk: Callable[..., Any], view: View, reaches: bool) -> None:
    source = make_disk()
    destination = make_disk(device=source.device, number=5)
    source.store.content[:512] = b"s" * 512
    source.run("00")
    nexus = enter(source, view, 0 if view.has(0) else 5)
    sense = copies(source, nexus, source, destination)
    assert (sense == 0) is reaches
    assert (destination.store.content[:512] == b"s" * 512) is reaches
    if not reaches:
        assert sense[0] == SenseKey.COPY_ABORTED


def test_results_of_copies_are_the_nexus_own(make_disk: Callable[..., Any]) -> None:
    source = make_disk()
    destination = make_disk(device=source.device, number=5)
    source.run("00")
    eve, other = enter(source, View({0: 0, 1: 5})), enter(source, View({0: 0}), initiator=EVE + "2")
    assert copies(source, eve, source, destination) == 0
    status = "84 00 01 00000000000000 000000FF 00 00"
    assert source.run(status, nexus=other).sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    assert source.run(status, nexus=eve).data[4] == 1


def test_a_reservation_is_the_initiators_by_its_latest_lun(make_disk: Callable[..., Any]) -> None:
    """An older nexus with the unit, whose tasks may still run, holds nothing and conflicts with nothing."""
    source = make_disk()
    destination = make_disk(device=source.device, number=5)
    source.run("00")
    eve, old = enter(source, EVERYTHING), enter(source, EVERYTHING, 5)
    destination.lu.revoke(old, EVERYTHING)
    latest = enter(source, EVERYTHING, 5)
    destination.run("16", nexus=latest)
    assert copies(source, eve, source, destination) == 0


# A view that changes


@pytest.mark.parametrize(("before", "after", "told"), [
    (EVERYTHING, READER, True), (READER, EVERYTHING, True), (READER, View({0: 0}, frozenset()), False),
    (EVERYTHING, View({0: 0}), False),
])
def test_what_it_may_write_changes(disk: Any, before: View, after: View, told: bool) -> None:
    nexus = enter(disk, before)
    disk.lu.review(nexus, after)
    assert nexus.view is after
    assert disk.run("00", nexus=nexus).sense == (NEW_MODE if told else 0)
    assert bool(nexus.barrier & PROTECTED) is not after.may_write(0)
    assert (disk.run(WRITE, bytes(512), nexus=nexus).sense == 0) is after.may_write(0)


def test_a_unit_the_initiator_has_no_more(disk: Any) -> None:
    nexus = enter(disk, EVERYTHING)
    disk.run("16", nexus=nexus)
    disk.run("1E 00 00 00 01 00", nexus=nexus)
    assert disk.run(READ).sense == Status.RESERVATION_CONFLICT
    with disk.device.lock:
        disk.lu.revoke(nexus, View({1: 0}))
    assert disk.run(READ).sense == 0, "the reservation went"
    assert not disk.lu.readiness.preventing
    assert disk.run(READ, nexus=nexus).sense == ABSENT
    assert disk.refused(WRITE, nexus=nexus).sense == ABSENT
    assert reported(disk, nexus) == [1]
    assert nexus in disk.lu.nexuses, "its last commands may still use the store"
    disk.device.remove(0)
    second(disk, 0)
    assert disk.run(READ, nexus=nexus).sense == ABSENT, "not another unit of that number either"


@pytest.mark.parametrize(("one", "other", "both"), [
    (EVERYTHING, EVERYTHING, EVERYTHING),
    (EVERYTHING, READER, READER),
    (View(writable=frozenset({0, 1})), View(writable=frozenset({1, 2})), View(writable=frozenset({1}))),
    (MAPPED, EVERYTHING, View({}, frozenset({5}))),
    (View({0: 0, 1: 1}), EVERYTHING, View({0: 0, 1: 1})),
    (View({0: 0, 1: 2, 3: 3}), View({0: 0, 1: 1, 3: 3}, frozenset({3})), View({0: 0, 3: 3}, frozenset({3}))),
])
def test_what_two_views_share(one: View, other: View, both: View) -> None:
    assert one.shared_with(other) == other.shared_with(one) == both


def test_the_absent_unit_has_nothing_to_review(disk: Any) -> None:
    nexus = disk.device.nexus(7, EVE)
    nexus.lu.review(nexus, READER)
    nexus.lu.revoke(nexus, READER)
    assert nexus.barrier & REVOKED == 0


def test_the_store_is_not_touched(disk: Any) -> None:
    """Not even where it would fail."""
    nexus = enter(disk, READER)
    disk.store.fail = 5
    with pytest.raises(StoreError):
        disk.store.flush()
    assert disk.run(WRITE, bytes(512), nexus=nexus).sense == PROTECTION
