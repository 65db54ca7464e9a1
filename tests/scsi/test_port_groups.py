"""Asymmetric logical unit access: what groups there are, their states, and who learns of a change."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.port_groups import AccessState, Cause, PortGroup, alter, group_of, set_ports
from ietpy.scsi.status import SenseKey

CHANGED = (SenseKey.UNIT_ATTENTION, Asc.ASYMMETRIC_ACCESS_STATE_CHANGED)
IN_CDB = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
IN_LIST = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
REPORT = "A3 0A 00000000 000000FF 00 00"
SET = "A4 0A 00000000 {:08X} 00 00"
TWO = (PortGroup(1, (1,)), PortGroup(2, (2, 3), AccessState.ACTIVE_NON_OPTIMIZED, preferred=True))


def put(disk: Any, data: str, **fields: Any) -> Any:
    return disk.run(SET.format(len(bytes.fromhex(data))), bytes.fromhex(data), **fields)


def states(disk: Any) -> list[tuple[int, int]]:
    return [(group.state, group.cause) for group in disk.device.port_groups]


def test_several_groups_and_ports(disk: Any) -> None:
    disk.device.port_groups = TWO
    one, two = "00 03 0001 00 00 00 01 0000 0001", "81 03 0002 00 00 00 02 0000 0002 0000 0003"
    assert disk.run(REPORT).data == bytes.fromhex("0000001C" + one + two)
    assert disk.run("A3 2A 00000000 000000FF").data == bytes.fromhex("00000020 10000000" + one + two)
    assert disk.run("A3 0A 00000000 00000006").data == bytes.fromhex("0000001C 00 03")
    assert group_of(TWO, 3) is TWO[1]


@pytest.mark.parametrize("form", range(2, 8))
def test_other_parameter_data_formats_are_refused(disk: Any, form: int) -> None:
    outcome = disk.run(f"A3 {form << 5 | 0x0A:02X} 00000000 000000FF")
    assert (outcome.sense, outcome.field) == (IN_CDB, (1, 7 if form > 3 else 6))


def test_a_change_holds_for_all_units_and_is_told_to_all_other_initiators(disk: Any, bob: Any) -> None:
    second = type(disk)(disk.store, number=1, device=disk.device)
    for nexus in (disk.ann, bob):
        disk.run("A0 00 00 000000 00000100", nexus=nexus)
    other = second.nexus(bob.initiator)
    assert put(disk, "00000000 01 00 0001").sense == 0
    assert states(disk) == [(1, Cause.EXPLICIT)]
    assert second.run(REPORT).data == bytes.fromhex("0000000C 01 03 0001 00 01 00 01 0000 0001")
    for nexus, sense in ((disk.ann, 0), (second.ann, 0), (bob, CHANGED), (other, CHANGED)):
        assert disk.run("00", nexus=nexus).sense == sense
    assert disk.run("28 00 00000000 00 0001 00").sense == 0, "both states are active"


def test_nexuses_are_told_when_ports_come_or_go(disk: Any, bob: Any) -> None:
    set_ports(disk.device, (1, 2))
    for nexus in (disk.ann, bob):
        assert disk.run("00", nexus=nexus).sense == (SenseKey.UNIT_ATTENTION, Asc.INQUIRY_DATA_HAS_CHANGED)
        assert disk.run("00", nexus=nexus).sense == 0


def test_what_does_not_change_is_not_told(disk: Any, bob: Any) -> None:
    assert put(disk, "00000000 00 00 0001").sense == 0
    assert put(disk, "00000000").sense == 0
    assert put(disk, "").sense == 0
    assert states(disk) == [(0, Cause.NOT_AVAILABLE)]
    assert disk.run("00", nexus=bob).sense == 0


def test_implicit_changes_are_told_to_everybody(disk: Any, bob: Any) -> None:
    disk.device.port_groups = TWO
    alter(disk.device, {1: AccessState.ACTIVE_NON_OPTIMIZED, 2: AccessState.ACTIVE_OPTIMIZED}, Cause.IMPLICIT)
    assert states(disk) == [(1, Cause.IMPLICIT), (0, Cause.IMPLICIT)]
    assert [disk.run("00", nexus=nexus).sense for nexus in (disk.ann, bob)] == [CHANGED, CHANGED]


def test_several_groups_are_set_at_once_or_not_at_all(disk: Any) -> None:
    disk.device.port_groups = TWO
    assert put(disk, "00000000 01 00 0001 0E 00 0002")[::3] == (IN_LIST, (8, 3))
    assert disk.device.port_groups is TWO
    assert put(disk, "00000000 F1 00 0001 00 00 0002").sense == 0, "reserved bits are not looked at"
    assert states(disk) == [(1, Cause.EXPLICIT), (0, Cause.EXPLICIT)]


@pytest.mark.parametrize("state", range(2, 16))
def test_states_that_are_not_supported(disk: Any, state: int) -> None:
    assert put(disk, f"00000000 {state:02X} 00 0001")[::3] == (IN_LIST, (4, 3))


@pytest.mark.parametrize("group", ["0000", "0002", "0100"])
def test_groups_that_do_not_exist(disk: Any, group: str) -> None:
    assert put(disk, f"00000000 00 00 {group}")[::3] == (IN_LIST, (6,))


@pytest.mark.parametrize("length", [1, 3, 5, 7, 9, 12, 1 << 31])
def test_lists_of_another_length(disk: Any, length: int) -> None:
    assert disk.refused(SET.format(length))[::3] == (IN_CDB, (6,))
    assert disk.run(SET.format(length), bytes(min(length, 12)))[::3] == (IN_CDB, (6,))


def test_a_list_cut_short(disk: Any) -> None:
    outcome = disk.run(SET.format(8), bytes(7))
    assert outcome.sense == (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
