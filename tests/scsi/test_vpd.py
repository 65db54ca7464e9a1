"""Vital product data pages byte for byte. Bytes sites name their disks by are frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.identity import Identity
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities
from ietpy.scsi.vpd import VPD_PAGES, vital_product_data

THICK = Capabilities()


def test_supported_pages(disk: Any) -> None:
    assert disk.run("12 01 00 00 FF 00").data == bytes.fromhex("00 00 00 06  00 80 83 B0 B1 B2")


@pytest.mark.parametrize(("serial", "page"), [
    pytest.param("disk-7", b"\x00\x80\x00\x10" + b"          disk-7", id="16 at least, right-justified"),
    pytest.param("0123456789abcdef", b"\x00\x80\x00\x10" + b"0123456789abcdef", id="16 characters"),
    pytest.param("0123456789abcdefg", b"\x00\x80\x00\x20" + b" " * 15 + b"0123456789abcdefg", id="17 take 32"),
    pytest.param(
        "3592265eae69d00a6e8560cd2833744e", b"\x00\x80\x00\x20" + b"3592265eae69d00a6e8560cd2833744e", id="default"
    ),
])
def test_unit_serial_number(disk: Any, serial: str, page: bytes) -> None:
    disk.lu.identity = Identity("IET", "VIRTUAL-DISK", "0", serial, bytes(16))
    assert disk.run("12 01 80 00 FF 00").data == page


def test_device_identification(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(number=1)
    name = b"iqn.2001-04.com.example:storage.lun1"
    assert disk.run("12 01 83 00 FF 00").data == b"".join((
        bytes.fromhex("00 83 0084"),
        bytes.fromhex("01 01 00 18 49 45 54 00 00 00 00 00 3592265eae69d00a6e8560cd2833744e"),
        bytes.fromhex("51 94 00 04 00000001"),
        bytes.fromhex("53 98 00 30"), name, b",t,0x0001\0\0\0",
        bytes.fromhex("53 A8 00 28"), name, b"\0\0\0\0",
    ))


def test_only_the_first_designator_is_of_the_logical_unit(disk: Any) -> None:
    data = disk.run("12 01 83 00 FF 00").data
    associations, place = [], 4
    while place < len(data):
        associations.append(data[place + 1] >> 4 & 3)
        place += 4 + data[place + 3]
    assert associations == [0, 1, 1, 2]
    assert place == len(data) == 4 + int.from_bytes(data[2:4], "big")


def test_a_name_too_long_for_a_designator_is_left_out(disk: Any) -> None:
    disk.device.name = "iqn." + "x" * 250
    data = vital_product_data(disk.lu, 0x83)
    assert len(data) == 4 + 28 + 8


@pytest.mark.parametrize(("options", "page"), [
    pytest.param({}, (
        "00 B0 003C  00 00 0008  00010000 00000800 00000000  00100000 00000100 00000008 00000000"
        " 0000000000080000" + "00" * 20
    ), id="thin, 512"),
    pytest.param({"capabilities": THICK, "physical_block_size": 512}, (
        "00 B0 003C  00 00 0001  00010000 00000800 00000000  00000000 00000000 00000000 00000000"
        " 0000000000080000" + "00" * 20
    ), id="no UNMAP without discard"),
    pytest.param({"block_size": 4096}, (
        "00 B0 003C  00 00 0001  00002000 00000100 00000000  00020000 00000100 00000000 00000000"
        " 0000000000010000" + "00" * 20
    ), id="thin, 4096"),
])
def test_block_limits(make_disk: Callable[..., Any], options: dict[str, Any], page: str) -> None:
    assert make_disk(**options).run("12 01 B0 00 FF 00").data == bytes.fromhex(page)


@pytest.mark.parametrize(("rotational", "rate"), [(None, "0000"), (True, "0000"), (False, "0001")])
def test_block_device_characteristics(make_disk: Callable[..., Any], rotational: bool | None, rate: str) -> None:
    disk = make_disk(capabilities=Capabilities(rotational=rotational))
    assert disk.run("12 01 B1 00 FF 00").data == bytes.fromhex("00 B1 003C" + rate + "00" * 58)


@pytest.mark.parametrize(("capabilities", "page"), [
    pytest.param(THICK, "00 B2 0004 00 00 00 00", id="fully provisioned"),
    pytest.param(Capabilities(discard=True), "00 B2 0004 00 E0 02 00", id="thin"),
    pytest.param(Capabilities(discard=True, discard_zeroes=True), "00 B2 0004 00 E4 02 00", id="thin, LBPRZ"),
])
def test_logical_block_provisioning(make_disk: Callable[..., Any], capabilities: Capabilities, page: str) -> None:
    assert make_disk(capabilities=capabilities).run("12 01 B2 00 FF 00").data == bytes.fromhex(page)


@pytest.mark.parametrize("code", sorted(set(range(256)) - set(VPD_PAGES)))
def test_pages_that_do_not_exist(disk: Any, code: int) -> None:
    outcome = disk.run(f"12 01 {code:02X} 00 FF 00")
    assert outcome.sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    assert outcome.field == (2,)
