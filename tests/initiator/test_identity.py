"""INQUIRY data and pages as targets send them, whole, cut and odd; bytes by hand from SPC-4 and SBC-3."""

from __future__ import annotations

import pytest

from ietpy.initiator import identity
from ietpy.initiator.identity import Designator

STANDARD = b"\x00\x00\x06\x12\x1f\x00\x00\x02" + b"IET     " + b"VIRTUAL-DISK    " + b"0   "


def test_standard_data() -> None:
    found = identity.inquiry(STANDARD)
    assert found == (0, "IET", "VIRTUAL-DISK", "0")
    assert found.kind == "disk"


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\x05", "CD or DVD"), (b"\x7f", "no device"), (b"\x1a", "device type 0x1a"), (b"", "disk")]
)
def test_other_types_and_cut_data(data: bytes, kind: str) -> None:
    assert identity.inquiry(data).kind == kind


def test_texts_that_cannot_be_printed() -> None:
    assert identity.text(b"\x1b[2Ja\xff  \0") == "?[2Ja\\xff"


def test_lists_of_pages_and_serial_numbers() -> None:
    assert identity.pages(b"\x00\x00\x00\x03\x00\x80\x83\xb0") == [0x00, 0x80, 0x83]
    assert identity.serial(b"\x00\x80\x00\x04 a1 more") == "a1"
    assert (identity.pages(b""), identity.serial(b"\x00\x80")) == ([], "")


def test_designators() -> None:
    rows = (
        b"\x01\x03\x00\x08\x60\x01\x40\x51\x23\x45\x67\x89"  # NAA, binary, of the unit
        b"\x02\x01\x00\x0cIET     disk"  # T10 vendor ID, ASCII
        b"\x01\x01\x00\x0aIET     \x00\xff"  # the same, of which the vendor's part is binary
        b"\x53\x98\x00\x05iqn.x"  # SCSI name string, UTF-8, iSCSI, of the port
        b"\x53\xa8\x00\x05iqn.y"  # of the device
        b"\x01\xbf\x00\x01\x00"  # reserved association and type
        b"\x01\x03\x00\x08\x60"  # cut
        b"\x01\x03"
    )
    data = b"\x00\x83" + len(rows).to_bytes(2, "big") + rows
    assert list(identity.designators(data)) == [
        Designator("naa", "unit", "6001405123456789"),
        Designator("t10", "unit", "IET     disk"),
        Designator("t10", "unit", "IET 00ff"),
        Designator("name", "target port", "iqn.x"),
        Designator("name", "target device", "iqn.y"),
        Designator("type 15", "?", "00"),
        Designator("naa", "unit", "60" + "0103"),
    ]
    assert list(identity.designators(b"")) == []


@pytest.mark.parametrize(("code", "word"), [(0, "full"), (1, "resource"), (2, "thin"), (7, "type 7")])
def test_provisioning(code: int, word: str) -> None:
    assert identity.provisioning(bytes((0, 0xB2, 0, 4, 0, 0, code, 0))) == word


@pytest.mark.parametrize(("data", "protected"), [(b"\x03\0\x90\0", True), (b"\x03\0\x10\0", False), (b"", False)])
def test_write_protection(data: bytes, protected: bool) -> None:
    assert identity.write_protected(data) is protected
