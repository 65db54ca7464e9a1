"""What answers where there is no logical unit, and what every device server has."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from ietpy.errors import NoRoom, StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.command import UNKNOWN_OPERATION
from ietpy.scsi.device_server import DeviceServer
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.identity import Identity
from ietpy.scsi.status import SenseKey, Status

ABSENT = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_UNIT_NOT_SUPPORTED)
INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
ANSWERED = {"INQUIRY", "REPORT LUNS", "REQUEST SENSE"}


@pytest.fixture
def nobody(disk: Any) -> Any:
    return disk.device.nexus(None, "x")


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param(
        "12 00 00 00 24 00",
        "7F 00 06 12 5B 00 00 02 4945542020202020 5649525455414C2D4449534B20202020 30202020", id="INQUIRY",
    ),
    pytest.param("12 01 00 00 FF 00", "7F 00 0001 00", id="Supported VPD Pages"),
    pytest.param("A0 00 00 000000 00000100 00 00", "00000008 00000000 0000000000000000", id="REPORT LUNS"),
    pytest.param("03 00 00 00 12 00", "70 00 05 00000000 0A 00000000 2500 00 000000", id="REQUEST SENSE"),
    pytest.param("03 01 00 00 12 00", "72 05 2500 000000 00", id="REQUEST SENSE, DESC"),
])
def test_answers_without_a_unit(disk: Any, nobody: Any, cdb: str, data: str) -> None:
    assert disk.run(cdb, nexus=nobody) == (0, bytes.fromhex(data), b"", None)


@pytest.mark.parametrize("row", [row for row in DIRECT_ACCESS if row.name not in ANSWERED], ids=lambda row: row.name)
def test_everything_else_has_no_unit(disk: Any, nobody: Any, row: Any) -> None:
    cdb = f"{row.opcode:02X} {row.service_action or 0:02X}"
    assert disk.run(cdb, nexus=nobody).sense == ABSENT
    assert disk.refused(cdb, nexus=nobody).sense == ABSENT
    assert disk.device.absent.data_out_length(disk.task(cdb + "00000000 00 0010", nexus=nobody)) == 0


def test_there_is_no_vpd_page_without_a_unit(disk: Any, nobody: Any) -> None:
    assert disk.run("12 01 83 00 FF 00", nexus=nobody)[::3] == (INVALID, (2,))


def test_a_server_has_nothing_to_report_for_a_start(disk: Any) -> None:
    server = DeviceServer(disk.device, Identity("", "", "", "", b""), (), UNKNOWN_OPERATION)
    assert server.pending_condition(server.attach("x")).fixed()[2:14:10] == b"\0\0"


@pytest.mark.parametrize(("cdb", "name"), [
    ("28", "READ(10)"), ("9E 10", "READ CAPACITY(16)"), ("9E 1F", "unknown service action"), ("FF", "unknown"),
])
def test_what_commands_are_called(disk: Any, cdb: str, name: str) -> None:
    assert disk.lu.name_of(bytes.fromhex(cdb).ljust(16, b"\0")) == name


@pytest.mark.parametrize("cdb", ["28 00 00000000 00 0001 00", "35 00 00000000 00 0000 00", "1D 04 00 0000 00"])
def test_the_transport_hears_why_a_store_fails(disk: Any, cdb: str) -> None:
    heard: list[Any] = []
    disk.device.fault = lambda *fault: heard.append(fault)
    disk.store.fail = 5
    disk.run(cdb)
    ((unit, error, command),) = heard
    assert (unit, error.errno, command[0]) == (disk.lu, 5, int(cdb[:2], 16))


@pytest.mark.parametrize(("error", "status"), [
    (StoreError(errno.ENOMEM, "no memory"), Status.CHECK_CONDITION),
    (NoRoom(errno.EAGAIN, "others have it"), Status.BUSY),
])
def test_memory_that_others_have_may_come_free(disk: Any, error: StoreError, status: Status) -> None:
    def no_memory(length: int) -> memoryview:
        raise error

    task = disk.task("28 00 00000000 00 0001 00")
    task.sink = no_memory
    assert disk.lu.execute(task)
    assert (task.status, bool(task.sense), task.data_in) == (status, status != Status.BUSY, None)
