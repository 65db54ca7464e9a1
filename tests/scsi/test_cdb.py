"""Where things are in CDBs."""

from __future__ import annotations

import pytest

from ietpy.scsi.cdb import LBA_6, field, unpack_6, unpack_10, unpack_12, unpack_16


@pytest.mark.parametrize(("unpack", "cdb", "fields"), [
    (unpack_10, "28 18 01020304 1F 0506 C0", (0x18, 0x01020304, 0x0506)),
    (unpack_12, "A8 18 01020304 05060708 1F C0", (0x18, 0x01020304, 0x05060708)),
    (unpack_16, "88 18 0102030405060708 090A0B0C 1F C0", (0x18, 0x0102030405060708, 0x090A0B0C)),
])
def test_byte_1_lba_and_length(unpack: object, cdb: str, fields: tuple[int, int, int]) -> None:
    assert unpack(bytes.fromhex(cdb).ljust(16, b"\xEE")) == fields  # type: ignore[operator]


def test_six_byte_lba_has_21_bits() -> None:
    word, blocks = unpack_6(bytes.fromhex("08 FF 02 03 04 00").ljust(16, b"\0"))
    assert (word & LBA_6, blocks) == (0x1F0203, 4)


def test_field() -> None:
    assert field(3, 2)(bytes.fromhex("12 00 00 01 02 00")) == 0x0102
