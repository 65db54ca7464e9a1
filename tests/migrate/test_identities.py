"""What other targets say of their disks, against bytes that were recorded; SCST and ctld against their manuals."""

from __future__ import annotations

from uuid import UUID

import pytest

from ietpy.migrate import identities
from ietpy.migrate.model import Identity

TGT = b"IET     VIRTUAL-DISK    0001"
ISTGT = b"FreeBSD iSCSI DISK      0001"
UUIDS = ("f0e43624-8ce2-46fd-ad63-ba328d023334", "0d8e1f3b-2222-4e6e-8a4f-91c1ab77e3b5")
NAA = bytes.fromhex("6589cfc000000d5a3f2b1c4e5d6f7081")
EUI = bytes.fromhex("0014051234567890")


def recorded(inquiry: bytes, serial: bytes, *designators: bytes) -> Identity:
    """``inquiry``: bytes 8 to 35."""
    assert len(inquiry) == 28
    return Identity(inquiry[:8], inquiry[8:24], inquiry[24:], serial, designators)


def of_tgt(scsi_id: bytes, locally: str, extended: str) -> tuple[bytes, ...]:
    return (
        bytes.fromhex("02010024") + scsi_id.ljust(36, b"\0"),
        bytes.fromhex("01030008" + locally),
        bytes.fromhex("01030010" + extended),
    )


#: tgt 1.0.85, istgt 20111008 and the LIO of Linux 6.1: what was on the wire.
RECORDED = {
    "tgt: as it is": (
        identities.tgt(1, 1),
        recorded(
            TGT, b"beaf11".rjust(36),
            *of_tgt(b"IET     00010001", "3000000100000001", "60000000000000000e00000000010001"),
        ),
    ),
    "tgt: large numbers": (
        identities.tgt(4660, 16383),
        recorded(
            TGT, b"beaf466016383".rjust(36),
            *of_tgt(b"IET     12343fff", "3000123400003fff", "60000000000000000e00000012343fff"),
        ),
    ),
    "tgt: everything said": (
        identities.tgt(28, 300, "my scsi id", "my serial", "VENDOR1", "PRODUCT NUMBER 1", "12"),
        recorded(
            b"VENDOR1 PRODUCT NUMBER 112  ", b"my serial".rjust(36),
            *of_tgt(b"my scsi id", "3000001c0000012c", "60000000000000000000000000c0000d"),
        ),
    ),
    "tgt: the longest scsi_id": (
        identities.tgt(1, 2, "0123456789abcdef0123456789ABCDEF0123", "123456789012345678901234567890123456"),
        recorded(
            TGT, b"123456789012345678901234567890123456",
            *of_tgt(b"0123456789abcdef0123456789ABCDEF0123", "3000000100000002", "656789abcdef0123456789abcdef0123"),
        ),
    ),
    "tgt: a scsi_id of 31 digits": (
        identities.tgt(1, 5, "1234567890123456789012345678901"),
        recorded(
            TGT, b"beaf15".rjust(36),
            *of_tgt(b"1234567890123456789012345678901", "3000000100000005", "61234567890123456789012345678901"),
        ),
    ),
    "istgt: as it is": (
        identities.istgt("iqn.2007-09.com.example:two", 2, 0),
        recorded(
            ISTGT, b"10000002", bytes.fromhex("0103000830000000f5ead6b4"),
            bytes.fromhex("03010038") + ISTGT[:24] + b"10000002".ljust(32),
        ),
    ),
    "istgt: LUN 11": (
        identities.istgt("iqn.2007-09.com.example.istgt:Disk3x", 3, 11),
        recorded(
            ISTGT, b"10000003L11", bytes.fromhex("010300083000000048828255"),
            bytes.fromhex("03010038") + ISTGT[:24] + b"10000003L11".ljust(32),
        ),
    ),
    "istgt: UnitInquiry": (
        identities.istgt(
            "iqn.2007-09.com.example.istgt:disk1", 1, 1, "EXAMPLE", "Virtual Disk", "0123", "10000001"
        ),
        recorded(
            b"EXAMPLE Virtual Disk    0123", b"10000001L1", bytes.fromhex("01030008300000000bb39a16"),
            bytes.fromhex("03010038") + b"EXAMPLE Virtual Disk    " + b"10000001L1".ljust(32),
        ),
    ),
    "istgt: too long": (
        identities.istgt(
            "iqn.2007-09.com.example:twelve", 12, 0, "VENDORLONG", "PRODUCT LONGER THAN 16", "12345", "SER 1"
        ),
        recorded(
            b"VENDORLOPRODUCT LONGER T1234", b"SER 1", bytes.fromhex("0103000830000000979a0c2d"),
            bytes.fromhex("03010038") + b"VENDORLOPRODUCT LONGER T" + b"SER 1".ljust(32),
        ),
    ),
    "istgt: a long serial number of a LUN": (
        identities.istgt(
            "iqn.2007-09.com.example:two", 2, 1, lun_serial="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        ),
        recorded(
            ISTGT, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", bytes.fromhex("010300083000000028af7c0c"),
            bytes.fromhex("03010038") + ISTGT[:24] + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
        ),
    ),
    "LIO": (
        identities.lio("disk0", UUIDS[0]),
        recorded(
            b"LIO-ORG disk0           4.0 ", UUIDS[0].encode() + b"\0",
            bytes.fromhex("010300106001405f0e436248ce246fdad63ba328"),
            bytes.fromhex("02010033") + b"LIO-ORG disk0:" + UUIDS[0].encode() + b"\0",
            bytes.fromhex("0106000400000000"),
        ),
    ),
    "LIO: a long name": (
        identities.lio("name_longer_than_sixteen-chars", UUIDS[1]),
        recorded(
            b"LIO-ORG name_longer_tha 4.0 ", UUIDS[1].encode() + b"\0",
            bytes.fromhex("0103001060014050d8e1f3b22224e6e8a4f91c1a"),
            bytes.fromhex("0201003d") + b"LIO-ORG name_longer_tha:" + UUIDS[1].encode() + b"\0",
            bytes.fromhex("0106000400000000"),
        ),
    ),
    **{
        f"LIO: {plugin} without a model alias": (
            identities.lio("disk0", UUIDS[0], plugin, model_alias=False),
            recorded(
                b"LIO-ORG " + product.ljust(16) + b"4.0 ", UUIDS[0].encode() + b"\0",
                bytes.fromhex("010300106001405f0e436248ce246fdad63ba328"),
                bytes((2, 1, 0, 46 + len(product))) + b"LIO-ORG " + product + b":" + UUIDS[0].encode() + b"\0",
                bytes.fromhex("0106000400000000"),
            ),
        )
        for plugin, product in (("fileio", b"FILEIO"), ("block", b"IBLOCK"), ("ramdisk", b"RAMDISK-MCP"))
    },
}


@pytest.mark.parametrize(("ours", "theirs"), [pytest.param(*pair, id=name) for name, pair in RECORDED.items()])
def test_every_byte_is_as_it_was_recorded(ours: Identity, theirs: Identity) -> None:
    assert ours == theirs


def test_the_samples_of_the_design_say_the_same() -> None:
    """peers.md, and ``lio/01-demo-mode.json`` with its expectation."""
    designators = identities.lio("disk0", "b1f6f4e2-0f4c-4c77-9f0e-6f2a8a3c1d01").designators
    assert designators is not None
    assert designators[0][4:].hex() == "6001405b1f6f4e20f4c4c779f0e6f2a8"


@pytest.mark.parametrize(("serial", "naa"), [
    ("", "6001405" + "0" * 25),
    ("no UUID: cafe", "6001405" + "dcafe".ljust(25, "0")),
    ("A" * 40, "6001405" + "a" * 25),
])
def test_lio_takes_the_digits_there_are(serial: str, naa: str) -> None:
    designators = identities.lio("a", serial).designators
    assert designators is not None
    assert designators[0][4:].hex() == naa


@pytest.mark.parametrize(("ours", "theirs"), [
    pytest.param(
        identities.scst("lv1", "vdisk_blockio", usn="0a1b2c3d"),
        Identity(b"SCST_BIO", b"lv1             ", None, b"0a1b2c3d", None),
        id="SCST: what the file leaves open is not known",
    ),
    pytest.param(
        identities.scst("os_a", "vdisk_fileio", "os a unit", naa=NAA, eui=EUI, product="disk", revision="1.0"),
        Identity(
            b"SCST_FIO", b"disk            ", b"1.0 ", None,
            (b"\2\1\0\x11SCST_FIOos a unit", b"\1\3\0\x10" + NAA, b"\1\2\0\x08" + EUI),
        ),
        id="SCST: designators",
    ),
    pytest.param(
        identities.scst("n", "vdisk_nullio", vendor="ACME"),
        Identity(b"ACME    ", b"n               ", None, None, None),
        id="SCST: a vendor",
    ),
    pytest.param(
        identities.scst("n", "vdisk_nullio"), Identity(None, b"n               ", None, None, None),
        id="SCST: another handler",
    ),
    pytest.param(
        identities.ctl("DB00000001", "tank db0", "EXAMPLE", "db volume", naa=NAA),
        Identity(
            b"EXAMPLE ", b"db volume       ", b"0001", b"DB00000001\0\0\0\0\0\0",
            (b"\2\x81\0\x18EXAMPLE tank db0\0\0\0\0\0\0\0\0", b"\1\x83\0\x10" + NAA),
        ),
        id="ctld",
    ),
    pytest.param(
        identities.ctl(), Identity(b"FREEBSD ", b"CTLDISK         ", b"0001", None, None),
        id="ctld: what the kernel counts is not known",
    ),
    pytest.param(
        identities.ctl(
            revision="2", device_id="x" * 70, eui=EUI, uuid=UUID(UUIDS[0]).bytes, scsi_name="iqn.x:y,lun,0"
        ),
        Identity(
            b"FREEBSD ", b"CTLDISK         ", b"2   ", None,
            (
                b"\2\x81\0\x48FREEBSD " + b"x" * 64,
                b"\3\x88\0\x10iqn.x:y,lun,0\0\0\0",
                b"\1\x82\0\x08" + EUI,
                b"\1\x8a\0\x12\x10\0" + UUID(UUIDS[0]).bytes,
            ),
        ),
        id="ctld: every designator",
    ),
])
def test_what_manuals_say(ours: Identity, theirs: Identity) -> None:
    assert ours == theirs
