"""Which of several reasons a unit that is not ready gives, and to which commands."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.nexus import OBSTRUCTED
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey
from tests.scsi.background import Transport

SANITIZING = (SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS)
SANITIZE_FAILED = (SenseKey.MEDIUM_ERROR, Asc.SANITIZE_COMMAND_FAILED)
NO_MEDIUM = (SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT)
CORRUPTED = (SenseKey.MEDIUM_ERROR, Asc.MEDIUM_FORMAT_CORRUPTED)

ROWS = {row.name: row for row in DIRECT_ACCESS}
#: One of each sort of commands, in the order of the columns below.
SORTS = ("INQUIRY", "READ(10)", "WRITE(10)", "FORMAT UNIT", "SANITIZE BLOCK ERASE", "MODE SENSE(6)", "START STOP UNIT")


@pytest.mark.parametrize(("state", "reason", "passes"), [
    pytest.param({}, None, "1111111", id="ready"),
    pytest.param({"format_corrupt": True}, CORRUPTED, "1001111", id="format corrupt"),
    pytest.param({"ejected": True}, NO_MEDIUM, "1000011", id="ejected"),
    pytest.param({"ejected": True, "format_corrupt": True}, NO_MEDIUM, "1000011", id="ejected, format corrupt"),
    pytest.param({"sanitize_failed": True}, SANITIZE_FAILED, "1000100", id="sanitize failed"),
    pytest.param(
        {"sanitize_failed": True, "ejected": True, "format_corrupt": True}, SANITIZE_FAILED, "1000100", id="all failed"
    ),
    pytest.param({"preventing": {object()}, "restricted": True}, None, "1111111", id="what is no obstacle"),
])
@pytest.mark.parametrize("under_way", [False, True])
def test_reasons(disk: Any, state: dict[str, Any], reason: Any, passes: str, under_way: bool) -> None:
    if under_way:
        Transport(disk.device)
        disk.run("48 82")
        reason, passes = SANITIZING, "1000000"
    for name, value in state.items():
        setattr(disk.lu.readiness, name, value)
    with disk.device.lock:
        disk.lu.readiness.refresh()
        obstacles = [disk.lu.obstacle(ROWS[name]) for name in SORTS]
    condition = disk.lu.readiness.condition()
    assert (None if condition is None else (condition.key, condition.asc)) == reason
    assert "".join(str(int(obstacle is None)) for obstacle in obstacles) == passes
    assert {(each.key, each.asc) for each in obstacles if each} == ({reason} if reason else set())
    assert disk.ann.barrier == disk.lu.gates == (OBSTRUCTED if reason else 0)


# A command that was admitted before an operation began, and claims its range after that


def test_what_was_admitted_before_writes_no_more(disk: Any) -> None:
    Transport(disk.device)
    disk.run("48 82")
    disk.lu.close_gate(OBSTRUCTED, False)
    assert disk.run("2A 00 00000000 00 0001 00", bytes(512)).sense == SANITIZING
    assert disk.store.log == []


@pytest.mark.parametrize("sole", [False, True])
def test_a_claim(disk: Any, sole: bool) -> None:
    with disk.lu.readiness.writing(512, 512, sole=sole):
        assert disk.lu.exclusion.busy(1023, 1) is sole
    transport = Transport(disk.device)
    disk.run("48 82")
    with pytest.raises(CheckCondition, match="SANITIZE IN PROGRESS"), disk.lu.readiness.writing(512, 512, sole=sole):
        pytest.fail("claimed")
    transport.run()
    with disk.lu.readiness.writing(512, 512, sole=sole):
        pass
