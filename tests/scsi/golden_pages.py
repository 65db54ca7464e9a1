"""Vital product data and log pages (SPC-4 sections 7.8 and 7.3, SBC-3 sections 6.6 and 6.4)."""

from __future__ import annotations

from typing import Final

from ietpy.scsi.store import Capabilities
from tests.scsi.golden import Case

_NAME: Final = b"iqn.2001-04.com.example:storage.lun1".hex()
_PORT: Final = "53 98 00 30" + _NAME + b",t,0x0001\0\0\0".hex()
_HASH: Final = "87e70f4f1783d6c91a7d7f200d18d63e"  # md5 of the name and four bytes of the number
_SERIAL: Final = _HASH.encode().hex()

_READ: Final = ("28 00 00000000 00 0008 00", "")
_WRITE: Final = ("2A 00 00000000 00 0010 00", "5A" * 8192)
_NO_TIME: Final = "0002 22 08 0000000000000000  0003 23 08 0000000000000000"
_UNREAD: Final = "99 00 005C 0001 22 40" + "0000000000000000" * 8 + _NO_TIME

CASES: Final[list[Case]] = [
    # Vital product data
    Case("12 01 00 00 FF 00", "00 00 000B  00 80 83 85 86 87 88 8F B0 B1 B2"),
    Case("12 01 80 00 FF 00", "00 80 0020" + _SERIAL),
    Case(
        "12 01 83 00 FF 00",
        "00 83 008C  01 01 00 18 4945540000000000" + _HASH + "51 94 00 04 00000001  51 95 00 04 00000001" + _PORT
        + "53 A8 00 28" + _NAME + "00000000",
    ),
    Case("12 01 85 00 FF 00", "00 85 0000"),
    Case("12 01 86 00 FF 00", "00 86 003C  00 07 01 01" + "00" * 56),
    Case("12 01 87 00 FF 00", "00 87 0008  3F FF 00 00  02 00 80 00"),
    Case("12 01 88 00 FF 00", "00 88 0040  0000 0001 0000 0000 0000 0034" + _PORT),
    Case(
        "12 01 B0 00 FF 00",
        "00 B0 003C  00 FF 0008  00010000 00000800 00000000  00100000 00000100 00000008 80000000  0000000000010000"
        + "00" * 20,
    ),
    Case("12 01 B1 00 FF 00", "00 B1 003C  0000 00 40 03" + "00" * 55),
    Case(
        "12 01 B1 00 FF 00", "00 B1 003C  0001 00 00 03" + "00" * 55,
        options={"capabilities": Capabilities(rotational=False)},
    ),
    Case("12 01 B2 00 FF 00", "00 B2 0004  01 C4 02 00"),
    Case("12 01 B2 00 FF 00", "00 B2 0004  00 00 00 00", options={"capabilities": Capabilities()}),
    Case("12 01 84 00 FF 00", sense="70 00 05 00000000 0A 00000000 2400 00 C00002"),
    # Log pages
    Case("4D 00 40 00 00 0000 00FF 00", "00 00 0006  00 0C 0D 0E 19 2F"),
    Case(
        "4D 00 40 00 00 0000 00FF 00", "00 00 0005  00 0D 0E 19 2F",
        options={"capabilities": Capabilities(discard=True)},
    ),
    Case(
        "4D 00 40 FF 00 0000 00FF 00",
        "40 FF 0018  0000 00FF  0C00 0CFF  0D00 0DFF  0E00 0EFF  1900 19FF  2F00 2FFF",
    ),
    Case("4D 00 4D FF 00 0000 00FF 00", "4D FF 0004  0D00 0DFF"),
    Case("4D 00 4C 00 00 0000 00FF 00", "8C 00 000C  0002 23 08 00000000 01 000000"),
    Case("4D 00 4C 00 00 0000 00FF 00", "8C 00 000C  0002 23 08 00000008 01 000000", before=(_WRITE,)),
    Case("4D 00 4D 00 00 0000 00FF 00", "8D 00 0006  0000 23 02 00 FF"),
    Case("4D 00 4E 00 00 0000 00FF 00", "8E 00 0008  0004 23 04 00000000"),
    Case("4D 00 59 00 00 0000 00FF 00", _UNREAD),
    Case(
        "4D 00 59 00 00 0000 00FF 00", before=(_READ, _READ, _WRITE),
        answer="99 00 005C 0001 22 40 0000000000000002 0000000000000001 0000000000000010 0000000000000010"
        + "0000000000000000" * 4 + _NO_TIME,
    ),
    Case("4D 00 D9 00 00 0000 00FF 00", _UNREAD, before=(_READ,)),
    Case("4D 00 59 00 00 0002 00FF 00", "99 00 0018" + _NO_TIME),
    Case("4D 00 6F 00 00 0000 00FF 00", "AF 00 0008  0000 23 04 00 00 FF FF"),
    Case("4D 00 41 00 00 0000 00FF 00", sense="70 00 05 00000000 0A 00000000 2400 00 CD0002"),
    Case("4D 00 4D 01 00 0000 00FF 00", sense="70 00 05 00000000 0A 00000000 2400 00 C00003"),
    Case("4D 00 4D 00 00 0001 00FF 00", sense="70 00 05 00000000 0A 00000000 2400 00 C00005"),
    Case("4D 01 4D 00 00 0000 00FF 00", sense="70 00 05 00000000 0A 00000000 2400 00 C80001"),
    Case("4C 02 00 00 000000 0000 00", before=(_READ,)),
    Case("4D 00 59 00 00 0000 00FF 00", _UNREAD, before=(_READ, ("4C 02 19 00 000000 0000 00", ""))),
    Case("4C 00 00 00 000000 000A 00", out="8D 00 0006  0000 23 02 00 FF"),
    Case("4C 00 00 00 000000 000A 00", out="8D 00 0006  0000 AF 02 00 FF"),
    Case("4C 01 C0 00 000000 0004 00", out="0D 00 0000"),
    Case(
        "4C 00 00 00 000000 000A 00", out="8D 00 0006  0000 23 02 00 20",
        sense="70 00 05 00000000 0A 00000000 2600 00 800009",
    ),
    Case("4C 03 40 00 000000 0000 00", sense="70 00 05 00000000 0A 00000000 2400 00 C80001"),
]
