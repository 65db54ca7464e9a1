"""The target device: LUNs come and go, and initiators learn of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey

LUNS_CHANGED = (SenseKey.UNIT_ATTENTION, Asc.REPORTED_LUNS_DATA_HAS_CHANGED)
POWER_ON = (SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
ABSENT = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_UNIT_NOT_SUPPORTED)
REPORT_LUNS = "A0 00 00 000000 00000100 00 00"
READ = "28 00 00000000 00 0001 00"
ANN = "iqn.2001-04.com.example:ann,i,0x400000000001"


def second(disk: Any, number: int = 1) -> Any:
    """Another unit of the same device, on the same medium."""
    return type(disk)(disk.store, number=number, device=disk.device)


def test_numbers_are_taken_once(disk: Any) -> None:
    with pytest.raises(ValueError, match=r"LUN 0 of iqn.*exists already"):
        disk.device.add(0, disk.lu)


def test_nobody_else_can_be_removed(disk: Any) -> None:
    with pytest.raises(KeyError):
        disk.device.remove(7)


@pytest.mark.parametrize("number", [None, 7])
def test_absent_units_have_nexuses_without_memory(disk: Any, number: int | None) -> None:
    nexus = disk.device.nexus(number, ANN)
    assert nexus.lu is disk.device.absent
    assert nexus.barrier == 0
    nexus.lu.reset()
    nexus.lu.detach(nexus)


def test_initiators_are_told_of_new_units(disk: Any, bob: Any) -> None:
    second(disk)
    assert disk.run(READ).sense == LUNS_CHANGED
    assert disk.run(READ).sense == 0
    assert disk.run(READ, nexus=bob).sense == LUNS_CHANGED


def test_report_luns_makes_telling_needless_for_its_initiator(disk: Any, bob: Any) -> None:
    other = second(disk)
    second(disk, 2)
    assert disk.run(REPORT_LUNS, nexus=other.ann).data[:4] == b"\0\0\0\x18"
    assert disk.run(READ).sense == 0
    assert disk.run(READ, nexus=bob).sense == LUNS_CHANGED


def test_one_unit_tells_an_initiator_for_all_of_them(disk: Any, bob: Any) -> None:
    """LUICLR of VPD page 86h."""
    other = second(disk)
    bobs = other.nexus(bob.initiator)
    second(disk, 2)
    assert disk.run("03 00 00 00 12 00").data[12:14] == b"\x3f\x0e"
    assert disk.run(READ, nexus=other.ann).sense == 0
    assert [disk.run(READ, nexus=nexus).sense for nexus in (bobs, bob)] == [LUNS_CHANGED, 0]


def test_a_removed_unit_is_gone_for_those_who_had_it(disk: Any) -> None:
    other = second(disk)
    disk.run(READ)
    assert disk.device.remove(1) is other.lu
    assert disk.run(READ, nexus=other.ann).sense == ABSENT
    assert disk.refused("2A 00 00000000 00 0001 00", nexus=other.ann).sense == ABSENT
    assert disk.run("12 00 00 00 05 00", nexus=other.ann).data == bytes.fromhex("7F 00 06 12 5B")
    assert disk.run(REPORT_LUNS, nexus=other.ann).data == bytes.fromhex("00000008 00000000 0000000000000000")
    assert disk.run(READ).sense == 0, "REPORT LUNS has told this initiator"


def test_attaching_is_a_power_on_for_the_new_nexus_only(disk: Any, bob: Any) -> None:
    new = disk.nexus(ANN, quiet=False)
    assert disk.run(READ).sense == 0
    assert disk.run(READ, nexus=bob).sense == 0
    assert disk.run(READ, nexus=new).sense == POWER_ON


def test_all_state_changes_under_the_injected_lock(make_disk: Callable[..., Any]) -> None:
    class Lock:
        held = entered = 0

        def __enter__(self) -> None:
            self.held += 1
            self.entered += 1

        def __exit__(self, *_: object) -> None:
            self.held -= 1

    disk = make_disk()
    lock = disk.device.lock = Lock()
    disk.run(READ, may_block=False)
    assert lock.entered == 0, "the data path takes no lock"
    disk.run("16")
    disk.lu.reset()
    disk.nexus("x")
    assert lock.entered >= 3
    assert lock.held == 0
