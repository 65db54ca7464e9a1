"""The closer look: unit attentions, task attributes, units in the place of others (SAM-5 section 5.3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.nexus import OBSTRUCTED
from ietpy.scsi.status import SenseKey, Status, TaskAttribute

ABSENT = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_UNIT_NOT_SUPPORTED)
RESET = (SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
NEW_LUNS = (SenseKey.UNIT_ATTENTION, Asc.REPORTED_LUNS_DATA_HAS_CHANGED)
REQUEST_SENSE = "03 00 00 00 12"
REPORT_LUNS = "A0 00 00 000000 00000100"
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"
BLOCK = bytes(512)


def second(disk: Any, number: int = 1) -> Any:
    """Another unit of the same device, on the same medium."""
    return type(disk)(disk.store, number=number, device=disk.device)


def test_a_unit_attention_is_reported_ahead_of_an_unknown_operation_code(disk: Any) -> None:
    nexus = disk.nexus("carol", quiet=False)
    assert disk.run("FF", nexus=nexus).sense == RESET
    assert disk.run("FF", nexus=nexus).sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_COMMAND_OPERATION_CODE)


def test_a_unit_attention_reported_early_is_reported(disk: Any) -> None:
    nexus = disk.nexus("carol", quiet=False)
    assert disk.refused(WRITE, nexus=nexus).sense == RESET
    assert disk.refused(WRITE, nexus=nexus) is None
    assert disk.run(WRITE, BLOCK, nexus=nexus).sense == 0


@pytest.mark.parametrize(("attribute", "good"), [(0, True), (1, True), (2, True), (3, True), (4, False), (7, False)])
def test_task_attributes(disk: Any, attribute: int, good: bool) -> None:
    refused = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_MESSAGE_ERROR)
    assert disk.run(READ, attribute=attribute).sense == (0 if good else refused)


def test_who_must_wait_for_others_is_not_executed_in_place(disk: Any) -> None:
    ordered = disk.task(WRITE, attribute=TaskAttribute.ORDERED)
    disk.lu.tasks.expect(ordered)
    assert disk.waits(READ)
    assert disk.run(READ).sense == 0, "on a worker it is there because its turn has come"
    ordered.place.leave()
    assert not disk.waits(READ)


# UA_INTLCK_CTRL (SPC-4 section 7.5.8, SAM-5 section 5.14)


def interlock(disk: Any, value: int) -> None:
    page = bytes.fromhex(f"00000000 0A 0A 02 10 {value << 4:02X}" + "00" * 7)
    assert disk.run("15 10 00 00 10", page).sense == 0


def reported(disk: Any, nexus: Any = None) -> int:
    """The additional sense code REQUEST SENSE answers with."""
    data = disk.run(REQUEST_SENSE, nexus=nexus).data
    return int(data[12] << 8 | data[13])


@pytest.mark.parametrize(("value", "times"), [(0, 1), (2, 3), (3, 3)])
def test_what_is_reported_stays_where_it_is_interlocked(disk: Any, value: int, times: int) -> None:
    interlock(disk, value)
    nexus = disk.nexus("carol", quiet=False)
    answers = [disk.run("00", nexus=nexus).sense for _ in range(3)]
    assert answers == [RESET] * times + [0] * (3 - times)
    assert reported(disk, nexus) == (0x2900 if value else 0)
    assert disk.run("00", nexus=nexus).sense == 0


def test_the_reset_that_ends_the_interlock_is_reported_once(disk: Any) -> None:
    interlock(disk, 2)
    disk.lu.reset()
    assert [disk.run("00").sense, disk.run("00").sense] == [RESET, 0]


@pytest.mark.parametrize(("value", "left"), [(0, 0), (2, 0), (3, 0x2C09)])
def test_a_conflict_may_leave_a_condition(disk: Any, bob: Any, value: int, left: int) -> None:
    interlock(disk, value)
    bob_knows = disk.run(REQUEST_SENSE, nexus=bob).data[13]
    assert bob_knows == (0x01 if value else 0), "mode parameters changed"
    disk.run("16", nexus=bob)
    for _ in range(2):
        assert disk.run("00").sense == Status.RESERVATION_CONFLICT
    disk.run("17", nexus=bob)
    assert disk.run("00").sense == ((SenseKey.UNIT_ATTENTION, left) if left else 0)
    assert [reported(disk), reported(disk)] == [left, 0], "once, however many conflicts"


@pytest.mark.parametrize(("status", "asc"), [
    (Status.BUSY, Asc.PREVIOUS_BUSY_STATUS),
    (Status.TASK_SET_FULL, Asc.PREVIOUS_TASK_SET_FULL_STATUS),
    (Status.RESERVATION_CONFLICT, Asc.PREVIOUS_RESERVATION_CONFLICT_STATUS),
])
@pytest.mark.parametrize("value", [0, 2, 3])
def test_who_is_turned_away_may_be_told_later(disk: Any, status: Status, asc: Asc, value: int) -> None:
    interlock(disk, value)
    task = disk.task("00")
    disk.lu.turn_away(task, status)
    assert (task.status, task.sense, task.data_in) == (status, b"", None)
    assert reported(disk) == (asc if value == 3 else 0)


# REPORTED LUNS DATA HAS CHANGED: telling it once per I_T nexus is enough (LUICLR)


@pytest.mark.parametrize("by", ["00", REQUEST_SENSE])
def test_one_unit_tells_for_all(disk: Any, bob: Any, by: str) -> None:
    other = second(disk)
    second(disk, 2)
    assert (disk.run(by).sense, other.run("00").sense) == (NEW_LUNS if by == "00" else 0, 0)
    assert disk.run("00", nexus=bob).sense == NEW_LUNS, "another initiator"


@pytest.mark.parametrize("by", ["00", REPORT_LUNS])
def test_interlocked_units_tell_themselves(disk: Any, by: str) -> None:
    other = second(disk)
    disk.run("00")
    interlock(other, 2)
    second(disk, 2)
    assert disk.run(by).sense == (NEW_LUNS if by == "00" else 0)
    assert [other.run("00").sense for _ in range(2)] == [NEW_LUNS] * 2
    assert reported(other) == 0x3F0E
    assert other.run("00").sense == 0


def test_an_interlocked_unit_tells_for_no_other(disk: Any) -> None:
    other = second(disk)
    disk.run("00")
    interlock(other, 2)
    second(disk, 2)
    assert other.run("00").sense == NEW_LUNS
    assert disk.run("00").sense == NEW_LUNS


# A unit in the place of another


def test_a_nexus_of_a_removed_unit_finds_the_next_of_its_number(disk: Any) -> None:
    old = second(disk)
    nexus = old.ann
    disk.device.remove(1)
    assert disk.run(READ, nexus=nexus).sense == ABSENT
    new = second(disk)
    assert disk.run("12 00 00 00 01 00", nexus=nexus).data == b"\0"
    assert nexus.lu is new.lu
    assert disk.run(READ, nexus=nexus).sense == RESET
    assert disk.run(READ, nexus=nexus).sense == 0
    new.lu.detach(nexus)
    assert nexus not in new.lu.nexuses


def test_a_task_on_its_way_to_a_removed_unit_is_not_executed(disk: Any) -> None:
    old = second(disk)
    disk.device.remove(1)
    second(disk)
    write = disk.task("2A 00 00000000 00 0001 00", bytes(512), nexus=old.ann)
    assert old.lu.refuse_early(write)
    assert write.sense[2] == SenseKey.UNIT_ATTENTION
    old.ann.barrier |= 1
    assert old.lu.execute(write)
    assert write.sense[2] == SenseKey.UNIT_ATTENTION
    assert disk.store.log == []


def test_a_reserved_successor_conflicts(disk: Any) -> None:
    old = second(disk)
    disk.device.remove(1)
    new = second(disk)
    new.run("16")
    assert disk.run(READ, nexus=old.ann).sense == RESET
    assert disk.run(READ, nexus=old.ann).sense == 0x18


@pytest.mark.parametrize(("differs", "told"), [
    pytest.param({}, [], id="nothing"),
    pytest.param({"identity": "other"}, [0x3F03], id="identity"),
    pytest.param({"removable": True}, [0x3F03], id="removable"),
    pytest.param({"size": 1 << 21}, [0x2A09], id="size"),
    pytest.param({"block_size": 1024, "identity": "other"}, [0x3F03, 0x2A09], id="identity and block size"),
])
def test_what_differs_is_told(
    make_disk: Callable[..., Any], disk: Any, differs: dict[str, Any], told: list[int]
) -> None:
    options = dict(differs)
    product = options.pop("identity", None)
    disk.device.remove(0)
    new = make_disk(device=disk.device, **options)
    if product is not None:
        new.lu.identity = replace(new.lu.identity, product=product)
    assert disk.run("00").sense == RESET
    assert [reported(disk) for _ in range(len(told) + 1)] == [*told, 0]


def test_an_interlocked_unit_in_the_place_of_another_keeps_its_reset(disk: Any) -> None:
    disk.device.remove(0)
    new = second(disk, 0)
    interlock(new, 2)
    assert [disk.run("00").sense for _ in range(2)] == [RESET] * 2
    assert reported(disk) == 0x2900
    assert disk.run("00").sense == 0


def test_gates_of_a_removed_unit_are_nothing_to_who_has_another(disk: Any) -> None:
    old = disk.lu
    disk.device.remove(0)
    new = second(disk, 0)
    assert disk.run("00").sense == RESET
    assert disk.ann.lu is new.lu
    old.close_gate(OBSTRUCTED, True)
    assert disk.ann.barrier == 0
