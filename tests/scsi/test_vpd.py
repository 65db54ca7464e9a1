"""Vital product data pages byte for byte. Bytes sites name their disks by are frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.identity import Identity, IdentityOptions, iet_identity
from ietpy.scsi.port_groups import PortGroup, set_ports
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities
from ietpy.scsi.vpd import VPD_PAGES, vital_product_data

THICK = Capabilities()


def test_supported_pages_are_listed_in_order(disk: Any) -> None:
    page = disk.run("12 01 00 00 FF 00").data
    assert page == bytes((0, 0, 0, len(VPD_PAGES), *sorted(VPD_PAGES)))


@pytest.mark.parametrize(("serial", "page"), [
    pytest.param("disk-7", b"\x00\x80\x00\x10" + b"          disk-7", id="16 at least, right-justified"),
    pytest.param("0123456789abcdef", b"\x00\x80\x00\x10" + b"0123456789abcdef", id="16 characters"),
    pytest.param("0123456789abcdefg", b"\x00\x80\x00\x20" + b" " * 15 + b"0123456789abcdefg", id="17 take 32"),
    pytest.param(
        "3592265eae69d00a6e8560cd2833744e", b"\x00\x80\x00\x20" + b"3592265eae69d00a6e8560cd2833744e", id="default"
    ),
    pytest.param("s" * 33, b"\x00\x80\x00\x21" + b"s" * 33, id="33 stand as they are"),
    pytest.param("s" * 252, b"\x00\x80\x00\xfc" + b"s" * 252, id="252 characters"),
])
def test_unit_serial_number(disk: Any, serial: str, page: bytes) -> None:
    disk.lu.identity = Identity("IET", "VIRTUAL-DISK", "0", serial, bytes(16))
    assert disk.run("12 01 80 01 FF 00").data == page


@pytest.mark.parametrize("field", [b"  beaf11", b"10000001L0", b"b1f6f4e2-0f4c-4c77-9f0e-6f2a8a3c1d01\0", bytes(252)])
def test_a_serial_number_that_was_given_whole(disk: Any, field: bytes) -> None:
    disk.lu.identity = iet_identity("t", 0, options=IdentityOptions(serial="unheard", page_80=field))
    assert disk.run("12 01 80 01 FF 00").data == b"\x00\x80\x00" + bytes((len(field),)) + field


@pytest.mark.rfc7143("4.4.2-1", "4.4.2-2")
def test_device_identification(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(number=1)
    name = b"iqn.2001-04.com.example:storage.lun1"
    assert disk.run("12 01 83 00 FF 00").data == b"".join((
        bytes.fromhex("00 83 008C"),
        bytes.fromhex("01 01 00 18 49 45 54 00 00 00 00 00 3592265eae69d00a6e8560cd2833744e"),
        bytes.fromhex("51 94 00 04 00000001"),
        bytes.fromhex("51 95 00 04 00000001"),
        bytes.fromhex("53 98 00 30"), name, b",t,0x0001\0\0\0",
        bytes.fromhex("53 A8 00 28"), name, b"\0\0\0\0",
    ))


def designators(page: bytes) -> list[tuple[int, int, int, bytes]]:
    """ASSOCIATION, DESIGNATOR TYPE, CODE SET and DESIGNATOR of each."""
    found, place = [], 4
    while place < len(page):
        end = place + 4 + page[place + 3]
        found.append((page[place + 1] >> 4 & 3, page[place + 1] & 15, page[place] & 15, page[place + 4:end]))
        place = end
    assert place == len(page) == 4 + int.from_bytes(page[2:4], "big")
    return found


#: What udev's scsi_id and multipath look for, best first: NAA (extended, registered, any), EUI-64, T10 vendor ID.
_RANKS = [(3, 6), (3, 5), (3, None), (2, None), (1, None)]


def wwid(page: bytes) -> str:
    """What they call a logical unit with this page: the designator type and the designator."""
    own = [(kind, value) for association, kind, _, value in designators(page) if association == 0]
    best = next(
        (kind, value) for rank, naa in _RANKS for kind, value in own if kind == rank and naa in (None, value[0] >> 4)
    )
    return f"{best[0]}{best[1].hex()}"


def test_only_the_first_designator_is_of_the_logical_unit(disk: Any) -> None:
    """None that outranks IET's: the names of iet-compat 7.3 stay."""
    found = designators(disk.run("12 01 83 00 FF 00").data)
    assert [(association, kind) for association, kind, _, _ in found] == [(0, 1), (1, 4), (1, 5), (1, 8), (2, 8)]


NAA = bytes.fromhex("600140512345678901234567890abcde")
EUI = bytes.fromhex("0014051234567890")


@pytest.mark.parametrize(("lun", "scsi_id", "options", "name"), [
    pytest.param(1, None, IdentityOptions(), "149455400000000003592265eae69d00a6e8560cd2833744e", id="as captured"),
    pytest.param(
        0, b"xyz", IdentityOptions(), "1494554000000000078797a00000000000000000000000000", id="ScsiId, as captured"
    ),
    pytest.param(
        0, b"hosta_iscsi", IdentityOptions(), "14945540000000000686f7374615f69736373690000000000", id="another"
    ),
    pytest.param(1, None, IdentityOptions(product="disk", revision="9", serial="s" * 40),
                 "149455400000000003592265eae69d00a6e8560cd2833744e", id="product and serial do not name a disk"),
    pytest.param(1, None, IdentityOptions(vendor="ACME"),
                 "141434d45202020203592265eae69d00a6e8560cd2833744e", id="another vendor, another name"),
    pytest.param(1, None, IdentityOptions(vendor="IET"),
                 "149455400000000003592265eae69d00a6e8560cd2833744e", id="IET by name is IET"),
    pytest.param(1, None, IdentityOptions(naa=NAA), "3600140512345678901234567890abcde", id="NAA"),
    pytest.param(1, None, IdentityOptions(eui=EUI), "20014051234567890", id="EUI-64"),
    pytest.param(1, None, IdentityOptions(naa=NAA, eui=EUI), "3600140512345678901234567890abcde", id="NAA first"),
])
def test_what_a_disk_is_called(disk: Any, lun: int, scsi_id: bytes | None, options: Any, name: str) -> None:
    disk.lu.identity = iet_identity("iqn.2001-04.com.example:storage.lun1", lun, scsi_id, None, options)
    assert wwid(disk.run("12 01 83 01 FF 00").data) == name


def test_further_designators_stand_behind_iets(disk: Any) -> None:
    before = designators(disk.run("12 01 83 01 FF 00").data)
    disk.lu.identity = iet_identity(disk.device.name, 0, options=IdentityOptions(naa=NAA, eui=EUI))
    after = designators(disk.run("12 01 83 01 FF 00").data)
    assert after == [before[0], (0, 3, 1, NAA), (0, 2, 1, EUI), *before[1:]]


#: Captured from tgt 1.0.85: LUN 1 of its target 1.
TGT = bytes.fromhex(
    "02010024 4945542020202020 3030303130303031 0000000000000000000000000000000000000000"
    "01030008 3000000100000001 01030010 60000000000000000e00000000010001"
)


def test_designators_that_were_given_whole_stand_for_all_of_the_unit(disk: Any) -> None:
    before = designators(disk.run("12 01 83 01 FF 00").data)
    disk.lu.identity = iet_identity(disk.device.name, 0, options=IdentityOptions(naa=NAA, eui=EUI, page_83=TGT))
    page = disk.run("12 01 83 01 FF 00").data
    assert page[4:4 + len(TGT)] == TGT
    assert designators(page)[3:] == before[1:]
    assert wwid(page) == "360000000000000000e00000000010001"


def test_vendor_product_and_revision_are_in_the_inquiry_data(disk: Any) -> None:
    before = disk.run("12 00 00 00 FF 00").data
    options = IdentityOptions(vendor="LIO-ORG", product="disk of ann", revision="4.0")
    disk.lu.identity = iet_identity(disk.device.name, 0, options=options)
    after = disk.run("12 00 00 00 FF 00").data
    assert after[8:36] == b"LIO-ORG disk of ann     4.0 "
    assert (after[:8], after[36:]) == (before[:8], before[36:])


def test_a_name_too_long_for_a_designator_is_left_out(disk: Any) -> None:
    disk.device.name = "iqn." + "x" * 250
    assert len(vital_product_data(disk.lu, 0x83)) == 4 + 28 + 8 + 8
    assert vital_product_data(disk.lu, 0x88) == bytes.fromhex("00 88 000C 0000 0001 0000 0000 0000 0000")


@pytest.mark.rfc7143("4.4.2-2")
def test_a_disk_names_the_port_it_is_asked_by(disk: Any) -> None:
    """And its logical unit the same by each: with one port nothing changes (decisions 5)."""
    set_ports(disk.device, (1, 0x102))
    second = disk.device.nexus(0, disk.ann.initiator, 0x102)
    disk.run("00", nexus=second)
    pages = [designators(disk.run("12 01 83 01 FF 00", nexus=nexus).data) for nexus in (disk.ann, second)]
    name = disk.device.name.encode()
    assert pages[0] == [
        pages[1][0], (1, 4, 1, bytes((0, 0, 0, 1))), (1, 5, 1, bytes((0, 0, 0, 1))), pages[0][3], pages[1][4],
    ]
    assert pages[1][1] == (1, 4, 1, bytes((0, 0, 1, 2)))
    assert pages[1][3][3].rstrip(b"\0") == name + b",t,0x0102"
    ports = disk.run("12 01 88 01 FF 00", nexus=second).data
    assert [name + b",t,0x%04x" % port in ports for port in (1, 2, 0x102)] == [True, False, True]
    assert disk.run("A3 0A 00000000 000000FF 00 00", nexus=second).data[4:] == bytes.fromhex(
        "00 03 0001 00 00 00 02 0000 0001 0000 0102"
    )


def test_of_very_many_ports_not_all_are_told(disk: Any) -> None:
    """The page, and the count in REPORT TARGET PORT GROUPS, hold no more."""
    disk.device.name = "iqn." + "x" * 219
    set_ports(disk.device, tuple(range(1, 1000)))
    disk.run("00")
    page = vital_product_data(disk.lu, 0x88)
    assert len(page) == 4 + int.from_bytes(page[2:4], "big") == 4 + 255 * (12 + 4 + 236)
    groups = disk.run("A3 0A 00000000 0000FFFF 00 00").data
    assert (groups[4 + 7], len(groups)) == (255, 4 + 8 + 255 * 4)


def test_a_port_that_is_no_more_but_has_a_session_is_in_the_first_group(disk: Any) -> None:
    set_ports(disk.device, (2,))
    assert (1, 5, 1, bytes.fromhex("00000001")) in designators(disk.run("12 01 83 00 FF 00").data)


def test_the_port_is_a_member_of_its_group(disk: Any) -> None:
    disk.device.port_groups = (PortGroup(7, (2,)), PortGroup(0x102, (3, 1)))
    assert (1, 5, 1, bytes.fromhex("00000102")) in designators(disk.run("12 01 83 00 FF 00").data)


@pytest.mark.parametrize(("options", "page"), [
    pytest.param({}, (
        "00 B0 003C  00 FF 0008  00010000 00000800 00000000  00100000 00000100 00000008 80000000"
        " 0000000000010000" + "00" * 20
    ), id="thin, 512"),
    pytest.param({"capabilities": THICK, "physical_block_size": 512}, (
        "00 B0 003C  00 FF 0001  00010000 00000800 00000000  00000000 00000000 00000000 00000000"
        " 0000000000010000" + "00" * 20
    ), id="no UNMAP without discard"),
    pytest.param({"block_size": 4096}, (
        "00 B0 003C  00 FF 0001  00002000 00000100 00000000  00020000 00000100 00000000 00000000"
        " 0000000000002000" + "00" * 20
    ), id="thin, 4096"),
])
def test_block_limits(make_disk: Callable[..., Any], options: dict[str, Any], page: str) -> None:
    assert make_disk(**options).run("12 01 B0 00 FF 00").data == bytes.fromhex(page)


@pytest.mark.parametrize(("rotational", "rate"), [(None, "0000"), (True, "0000"), (False, "0001")])
def test_block_device_characteristics(make_disk: Callable[..., Any], rotational: bool | None, rate: str) -> None:
    disk = make_disk(capabilities=Capabilities(rotational=rotational))
    assert disk.run("12 01 B1 00 FF 00").data == bytes.fromhex("00 B1 003C" + rate + "000003" + "00" * 55)


@pytest.mark.parametrize(("capabilities", "page"), [
    pytest.param(THICK, "00 B2 0004 00 00 00 00", id="fully provisioned"),
    pytest.param(Capabilities(discard=True), "00 B2 0004 00 E0 02 00", id="thin"),
    pytest.param(Capabilities(discard=True, discard_zeroes=True), "00 B2 0004 01 C4 02 00", id="thin, LBPRZ"),
])
def test_logical_block_provisioning(make_disk: Callable[..., Any], capabilities: Capabilities, page: str) -> None:
    assert make_disk(capabilities=capabilities).run("12 01 B2 00 FF 00").data == bytes.fromhex(page)


@pytest.mark.parametrize(("blocks", "exponent"), [
    (0, 1), (1 << 32, 2), ((1 << 32) - 1, 1), ((1 << 33) - 1, 2), (1 << 33, 3), (1 << 50, 20),
])
def test_the_threshold_exponent_leaves_the_capacity_31_bits_or_32(disk: Any, blocks: int, exponent: int) -> None:
    disk.lu.blocks = blocks
    assert disk.run("12 01 B2 00 FF 00").data == bytes.fromhex(f"00 B2 0004 {exponent:02X} C4 02 00")
    assert (blocks >> exponent) < 1 << 32


@pytest.mark.parametrize("code", sorted(set(range(256)) - set(VPD_PAGES)))
def test_pages_that_do_not_exist(disk: Any, code: int) -> None:
    outcome = disk.run(f"12 01 {code:02X} 00 FF 00")
    assert outcome.sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    assert outcome.field == (2,)
