"""Primary commands byte for byte (SPC-4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.command import Command
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.spc import SPC
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities
from tests.scsi.conftest import Kept

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)

STANDARD = (
    "00 00 06 12 5B 38 00 02"
    "4945542020202020 5649525455414C2D4449534B20202020 30202020" + "00" * 22 + "00A0 0960 0460 04C0" + "00" * 30
)


def test_test_unit_ready(disk: Any) -> None:
    assert disk.run("00 00 00 00 00 00").sense == 0


def test_a_medium_of_less_than_a_block_is_not_there(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=511)
    for cdb in ("00", "25", "9E 10 00000000 00000000 00000020"):
        assert disk.run(cdb).sense == (SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT)


# REQUEST SENSE


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("03 00 00 00 12 00", "70 00 00 00000000 0A 00000000 0000 00 000000", id="fixed"),
    pytest.param("03 01 00 00 FF 00", "72 00 0000 000000 00", id="DESC"),
    pytest.param("03 00 00 00 04 00", "70 00 00 00", id="cut to the allocation length"),
    pytest.param("03 00 00 00 00 00", "", id="allocation length 0"),
])
def test_request_sense_without_anything_to_report(disk: Any, cdb: str, data: str) -> None:
    assert disk.run(cdb) == (0, bytes.fromhex(data), b"", None)


def test_request_sense_takes_the_unit_attention(disk: Any) -> None:
    nexus = disk.nexus("iqn.x,i,0x1", quiet=False)
    assert disk.run("03 00 00 00 12 00", nexus=nexus).data == bytes.fromhex(
        "70 00 06 00000000 0A 00000000 2900 00 000000"
    )
    assert disk.run("03 00 00 00 03 00", nexus=nexus).data == bytes.fromhex("70 00 00")
    assert disk.run("00", nexus=nexus).sense == 0


def test_request_sense_of_no_length_takes_it_too(disk: Any) -> None:
    nexus = disk.nexus("iqn.x,i,0x1", quiet=False)
    assert disk.run("03 00 00 00 00 00", nexus=nexus).data == b""
    assert disk.run("00", nexus=nexus).sense == 0


# INQUIRY


def test_standard_inquiry(disk: Any) -> None:
    assert disk.run("12 00 00 00 FF 00") == (0, bytes.fromhex(STANDARD), b"", None)


def test_inquiry_allocation_length_has_two_bytes(disk: Any) -> None:
    assert disk.run("12 00 00 01 00 00").data == bytes.fromhex(STANDARD)
    assert disk.run("12 00 00 00 24 00").data == bytes.fromhex(STANDARD)[:36]


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("12 00 80 00 FF 00", (2,), id="page code without EVPD"),
    pytest.param("12 02 00 00 FF 00", (1, 1), id="CMDDT"),
])
def test_inquiry_refuses(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    assert disk.run(cdb)[::3] == (INVALID, field)


# REPORT LUNS


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("A0 00 00 000000 00000100 00 00", "00000010 00000000 0000000000000000 412C000000000000", id="0"),
    pytest.param("A0 00 01 000000 00000100 00 00", "00000000 00000000", id="well known only"),
    pytest.param("A0 00 02 000000 00000100 00 00", "00000010 00000000 0000000000000000 412C000000000000", id="all"),
    pytest.param("A0 00 00 000000 00000010 00 00", "00000010 00000000 0000000000000000", id="cut"),
])
def test_report_luns(disk: Any, cdb: str, data: str) -> None:
    type(disk)(disk.store, number=300, device=disk.device)
    assert disk.run(cdb) == (0, bytes.fromhex(data), b"", None)


def test_report_luns_does_not_invent_lun_0(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(number=5)
    assert disk.run("A0 00 00 000000 00000100").data == bytes.fromhex("00000008 00000000 0005000000000000")


@pytest.mark.parametrize(("select", "luns"), [
    pytest.param(0x00, "00000000 00000000", id="accessible"),
    pytest.param(0x01, "00000000 00000000", id="well known"),
    pytest.param(0x02, "00000008 00000000 0000000000000000", id="all: at least LUN 0"),
])
def test_report_luns_of_a_device_without_units(disk: Any, select: int, luns: str) -> None:
    disk.device.remove(0)
    nexus = disk.device.nexus(0, "x")
    assert disk.run(f"A0 00 {select:02X} 000000 00000100", nexus=nexus).data == bytes.fromhex(luns)


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("A0 00 00 000000 0000000F 00 00", (6,), id="allocation length less than 16"),
    pytest.param("A0 00 03 000000 00000100 00 00", (2,), id="SELECT REPORT 3"),
    pytest.param("A0 00 10 000000 00000100 00 00", (2,), id="SELECT REPORT 10h: administrative units only"),
    pytest.param("A0 00 11 000000 00000100 00 00", (2,), id="SELECT REPORT 11h: and not subsidiary ones"),
    pytest.param("A0 00 12 000000 00000100 00 00", (2,), id="SELECT REPORT 12h: subsidiary ones"),
])
def test_report_luns_refuses(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    assert disk.run(cdb)[::3] == (INVALID, field)


def test_commands_that_ask_nothing_of_the_medium_work_while_it_is_formatted() -> None:
    """SBC-3 section 4.11.2."""
    names = {row.name for row in SPC.rows if row.unready}
    assert names >= {
        "INQUIRY", "REPORT LUNS", "REPORT SUPPORTED OPERATION CODES", "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
        "REQUEST SENSE",
    }


# Small ones


@pytest.mark.parametrize("cdb", [
    pytest.param("1E 00 00 00 01 00", id="PREVENT MEDIUM REMOVAL"),
    pytest.param("1E 00 00 00 00 00", id="ALLOW MEDIUM REMOVAL"),
])
def test_good_without_effect(disk: Any, cdb: str) -> None:
    assert disk.run(cdb) == (0, None, b"", None)
    assert disk.store.log == []


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("1E 00 00 00 02 00", (4, 1), id="PREVENT 10b is obsolete"),
    pytest.param("00 00 00 00 00 04", (5, 2), id="NACA"),
])
def test_reserved_bits(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    assert disk.run(cdb)[::3] == (INVALID, field)


@pytest.mark.parametrize("row", DIRECT_ACCESS, ids=lambda row: row.name)
def test_no_command_takes_naca_or_link(row: Command) -> None:
    """CONTROL is the last byte, of CDBs of variable length the second (SPC-4 section 4.2)."""
    assert row.usage[1 if row.opcode == 0x7F else -1] == 0


# REPORT SUPPORTED OPERATION CODES


@pytest.mark.parametrize("options", [{}, {"state": Kept()}, {"capabilities": Capabilities()}])
def test_all_commands_are_all_rows(make_disk: Callable[..., Any], options: dict[str, Any]) -> None:
    disk = make_disk(**options)
    data = disk.run("A3 0C 00 00 0000 0000FFFF 00 00").data
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    reported = [(data[place], int.from_bytes(data[place + 2:place + 4], "big")) for place in range(4, len(data), 8)]
    available = [row for row in DIRECT_ACCESS if row.available is None or row.available(disk.lu)]
    assert reported == [(row.opcode, row.service_action or 0) for row in available]


def test_command_descriptors(disk: Any) -> None:
    data = disk.run("A3 0C 00 00 0000 0000FFFF 00 00").data
    entries = [data[place:place + 8] for place in range(4, len(data), 8)]
    assert bytes.fromhex("28 00 0000 00 00 000A") in entries
    assert bytes.fromhex("9E 00 0010 00 01 0010") in entries
    assert bytes.fromhex("42 00 0000 00 00 000A") in entries


def test_all_commands_with_timeouts(disk: Any) -> None:
    data = disk.run("A3 0C 80 00 0000 0000FFFF 00 00").data
    entries = [data[place:place + 20] for place in range(4, len(data), 20)]
    assert bytes.fromhex("28 00 0000 00 02 000A  000A 00 00 00000000 0000003C") in entries
    assert bytes.fromhex("A3 00 000C 00 03 000C  000A 00 00 00000000 0000001E") in entries


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("A3 0C 01 28 0000 000000FF", "00 03 000A 2818FFFFFFFF1FFFFF00", id="1: READ(10)"),
    pytest.param(
        "A3 0C 81 28 0000 000000FF", "00 83 000A 2818FFFFFFFF1FFFFF00 000A 00 00 00000000 0000003C",
        id="1: READ(10) with timeouts",
    ),
    pytest.param("A3 0C 01 07 0000 000000FF", "00 01 0000", id="1: REASSIGN BLOCKS is not supported"),
    pytest.param(
        "A3 0C 02 9E 0010 000000FF", "00 03 0010 9E100000000000000000FFFFFFFF0000", id="2: READ CAPACITY(16)"
    ),
    pytest.param("A3 0C 02 9E 0011 000000FF", "00 01 0000", id="2: READ LONG(16) is not supported"),
    pytest.param("A3 0C 02 FF 0000 000000FF", "00 01 0000", id="2: unknown operation code"),
    pytest.param("A3 0C 03 28 0000 000000FF", "00 03 000A 2818FFFFFFFF1FFFFF00", id="3: READ(10)"),
    pytest.param("A3 0C 03 28 0001 000000FF", "00 01 0000", id="3: READ(10) has no service action 1"),
    pytest.param(
        "A3 0C 03 9E 0010 000000FF", "00 03 0010 9E100000000000000000FFFFFFFF0000", id="3: READ CAPACITY(16)"
    ),
    pytest.param("A3 0C 03 A3 0000 000000FF", "00 01 0000", id="3: MAINTENANCE IN has no service action 0"),
    pytest.param("A3 0C 01 28 0000 00000004", "00 03 000A", id="cut to the allocation length"),
])
def test_one_command(disk: Any, cdb: str, data: str) -> None:
    assert disk.run(cdb) == (0, bytes.fromhex(data), b"", None)


@pytest.mark.parametrize("row", DIRECT_ACCESS, ids=lambda row: row.name)
def test_usage_data_holds_operation_code_and_service_action(row: Command) -> None:
    """SPC-4 section 6.35.3."""
    assert row.usage[0] == row.opcode
    if row.service_action is not None:
        of_32_bytes = row.opcode == 0x7F
        assert (int.from_bytes(row.usage[8:10], "big") if of_32_bytes else row.usage[1] & 0x1F) == row.service_action


@pytest.mark.parametrize("timeouts", [0x00, 0x80])
def test_every_command_is_reported_alone(make_disk: Callable[..., Any], timeouts: int) -> None:
    disk = make_disk(state=Kept())
    for row in disk.lu.rows:
        asked = f"{row.opcode:02X} {row.service_action or 0:04X} 000000FF"
        data = bytes((0, 0x03 | timeouts)) + len(row.usage).to_bytes(2, "big") + row.usage
        if timeouts:
            data += bytes.fromhex("000A 00 00 00000000") + row.timeout.to_bytes(4, "big")
        for options in (1 if row.service_action is None else 2, 3):
            assert disk.run(f"A3 0C {timeouts | options:02X} {asked}").data == data, row.name


@pytest.mark.parametrize("cdb", [
    pytest.param("A3 0C 01 9E 0000 000000FF", id="1: of one with service actions"),
    pytest.param("A3 0C 02 28 0000 000000FF", id="2: of one without service actions"),
    pytest.param("A3 0C 04 28 0000 000000FF", id="4 is reserved"),
])
def test_reporting_options_refused(disk: Any, cdb: str) -> None:
    assert disk.run(cdb)[::3] == (INVALID, (2, 2))


def test_commands_a_unit_does_not_have_are_not_reported(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(capabilities=Capabilities())
    assert disk.run("A3 0C 01 42 0000 000000FF").data == bytes.fromhex("00 01 0000")
    assert disk.run("42").sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_COMMAND_OPERATION_CODE)


# REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("A3 0D 00 00 0000 00000010", "DA 00 00 00", id="short"),
    pytest.param("A3 0D 80 00 0000 00000010", "DA 00 00 0C" + "00" * 12, id="REPD"),
])
def test_report_supported_task_management_functions(disk: Any, cdb: str, data: str) -> None:
    assert disk.run(cdb).data == bytes.fromhex(data)


def test_report_supported_task_management_functions_needs_four_bytes(disk: Any) -> None:
    assert disk.run("A3 0D 00 00 0000 00000003")[::3] == (INVALID, (6,))
