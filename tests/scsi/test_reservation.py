"""RESERVE and RELEASE (SPC-2 sections 7.20 to 7.24)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey, Status

CONFLICT = Status.RESERVATION_CONFLICT
INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
READ = "28 00 00000000 00 0001 00"


@pytest.mark.parametrize("reserve", ["16", "56"])
@pytest.mark.parametrize("release", ["17", "57"])
def test_a_unit_is_kept_until_its_holder_releases_it(disk: Any, bob: Any, reserve: str, release: str) -> None:
    assert disk.run(reserve).sense == 0
    assert disk.run(reserve).sense == 0, "reserving again is no conflict"
    assert disk.run(READ).sense == 0
    assert disk.run(READ, nexus=bob) == (CONFLICT, None, b"", None)
    assert disk.run(reserve, nexus=bob).sense == CONFLICT
    assert disk.run(release, nexus=bob).sense == 0, "releasing what another holds is GOOD"
    assert disk.run(READ, nexus=bob).sense == CONFLICT
    assert disk.run(release).sense == 0
    assert disk.run(READ, nexus=bob).sense == 0
    assert disk.run(release).sense == 0, "releasing what nobody holds is GOOD"
    assert disk.run(reserve, nexus=bob).sense == 0
    assert disk.run(READ).sense == CONFLICT


def test_a_reservation_ends_with_its_nexus(disk: Any, bob: Any) -> None:
    disk.run("16")
    disk.lu.detach(bob)
    assert disk.lu.holder is disk.ann
    carol = disk.nexus("carol", quiet=False)
    disk.run("00", nexus=carol)
    assert disk.run(READ, nexus=carol).sense == CONFLICT, "reserved before it came"
    disk.lu.detach(disk.ann)
    assert disk.run(READ, nexus=carol).sense == 0


def test_a_reservation_ends_with_a_reset(disk: Any, bob: Any) -> None:
    disk.run("16")
    disk.lu.reset()
    assert disk.run(READ, nexus=bob).sense[1] is Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED
    assert disk.run(READ, nexus=bob).sense == 0


def test_data_is_not_asked_for_under_a_reservation(disk: Any, bob: Any) -> None:
    disk.run("16")
    assert disk.refused("2A 00 00000000 00 0001 00", nexus=bob).sense == CONFLICT
    assert disk.refused("2A 00 00000000 00 0001 00") is None


@pytest.mark.parametrize(("cdb", "allowed"), [
    pytest.param("1E 00 00 00 00 00", True, id="ALLOW MEDIUM REMOVAL"),
    pytest.param("1E 00 00 00 01 00", False, id="PREVENT MEDIUM REMOVAL"),
    pytest.param("1B 00 00 00 01 00", True, id="START UNIT"),
    pytest.param("1B 00 00 00 00 00", False, id="STOP UNIT"),
])
def test_commands_of_which_some_are_harmless(disk: Any, bob: Any, cdb: str, allowed: bool) -> None:
    disk.run("16")
    assert disk.run(cdb, nexus=bob).sense == (0 if allowed else CONFLICT)


@pytest.mark.parametrize("cdb", [
    pytest.param("16 01 00 00 00 00", id="extent"),
    pytest.param("16 10 00 00 00 00", id="third party"),
    pytest.param("57 02 00 00 00 00 00 00 00 00", id="LONGID"),
])
def test_extents_and_third_parties_are_refused(disk: Any, cdb: str) -> None:
    assert disk.run(cdb).sense == INVALID


def test_resets_are_reported_ahead_of_a_conflict_and_changes_behind_it(disk: Any, bob: Any) -> None:
    disk.run("16")
    disk.lu.capacity_changed()
    assert disk.run(READ, nexus=bob).sense == CONFLICT
    dora = disk.nexus("dora", quiet=False)
    assert disk.run(READ, nexus=dora).sense == (
        SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED
    )
    assert disk.run(READ, nexus=dora).sense == CONFLICT
    disk.run("00")
    disk.run("17")
    assert disk.run(READ, nexus=bob).sense == (SenseKey.UNIT_ATTENTION, Asc.CAPACITY_DATA_HAS_CHANGED)
