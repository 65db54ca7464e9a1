"""Unit attention queues (SAM-5 section 5.14)."""

from __future__ import annotations

from typing import Any

from ietpy.scsi.asc import Asc
from ietpy.scsi.attention import (
    CAPACITY_CHANGED,
    LUNS_CHANGED,
    MODE_PARAMETERS_CHANGED,
    NEXUS_LOST,
    POWER_ON,
    establish,
    take,
    withdraw,
)
from ietpy.scsi.nexus import ATTENTION_PENDING, ItNexus, Nexus
from ietpy.scsi.status import SenseKey

RESET = (SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)
NEW_LUNS = (SenseKey.UNIT_ATTENTION, Asc.REPORTED_LUNS_DATA_HAS_CHANGED)
REQUEST_SENSE = "03 00 00 00 12"
REPORT_LUNS = "A0 00 00 000000 00000100"


def test_the_oldest_is_taken_first_and_each_waits_once(disk: Any) -> None:
    nexus = Nexus(disk.lu, disk.device, ItNexus("x"))
    for attention in (CAPACITY_CHANGED, LUNS_CHANGED, CAPACITY_CHANGED):
        establish(nexus, attention)
    assert nexus.barrier == ATTENTION_PENDING
    assert [take(nexus), take(nexus)] == [CAPACITY_CHANGED, LUNS_CHANGED]
    assert (take(nexus), nexus.barrier) == (None, 0)


def test_resets_may_be_taken_first(disk: Any) -> None:
    nexus = Nexus(disk.lu, disk.device, ItNexus("x"))
    establish(nexus, CAPACITY_CHANGED)
    assert take(nexus, resets_only=True) is None
    establish(nexus, POWER_ON)
    assert take(nexus, resets_only=True) is POWER_ON
    assert nexus.attentions == [CAPACITY_CHANGED]


def test_withdrawing_what_does_not_wait_is_harmless(disk: Any) -> None:
    nexus = Nexus(disk.lu, disk.device, ItNexus("x"))
    establish(nexus, CAPACITY_CHANGED)
    withdraw(nexus, LUNS_CHANGED)
    assert (nexus.attentions, nexus.barrier) == ([CAPACITY_CHANGED], ATTENTION_PENDING)
    withdraw(nexus, CAPACITY_CHANGED)
    assert (nexus.attentions, nexus.barrier) == ([], 0)


def test_a_condition_is_unit_attention_sense() -> None:
    condition = POWER_ON.condition()
    assert (condition.key, condition.asc) == (
        SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED
    )


def test_what_outranks_is_reported_first(disk: Any) -> None:
    """SAM-5 section 5.14.1: POWER ON before I_T NEXUS LOSS before all others, whatever their age."""
    for condition in (MODE_PARAMETERS_CHANGED, NEXUS_LOST, CAPACITY_CHANGED, POWER_ON):
        establish(disk.ann, condition)
    taken = [take(disk.ann, resets_only=True) for _ in range(3)] + [take(disk.ann) for _ in range(3)]
    assert taken == [POWER_ON, NEXUS_LOST, None, MODE_PARAMETERS_CHANGED, CAPACITY_CHANGED, None]
