"""Third-party copy (SPC-4 sections 6.4, 6.26, 7.8.17)."""

from __future__ import annotations

from typing import Final

from tests.scsi.golden import Case

#: LUN 0's T10 vendor ID designator has 24 bytes, of which a CSCD descriptor holds 20.
_LIST: Final = (
    "01 00 0020 00000000 0000001C 00000000"
    "E4 00 0000 01 01 00 18 4945540000000000 {hash} 00 000200"
    "02 00 0018 0000 0000 0000 0008 0000000000000001 0000000000000010"
)
_HASH: Final = "87e70f4f1783d6c91a7d7f20"  # md5 of the name and four bytes of the number
_COPY: Final = ("83 00 0000000000000000 0000004C 00 00", _LIST.format(hash=_HASH))

CASES: Final[list[Case]] = [
    Case(
        _COPY[0], out=_COPY[1], medium=(8192, "5A" * 512 + "00" * 3584),
        before=(("2A 00 00000001 00 0001 00", "5A" * 512),),
    ),
    Case("84 00 01 00000000000000 000000FF 00 00", before=(_COPY,), answer="00000008 01 0001 01 00000004"),
    Case("84 04 01 00000000000000 000000FF 00 00", before=(_COPY,), answer="00000000"),
    Case(
        "84 03 0000000000000000 000000FF 00 00",
        answer="0000002A 01 000000 0010 0040 00000900 00000000 00000000 00000000 00000000 0000 00FF FF 09 00 00 000000"
        "02 02 E4",
    ),
    Case(
        "12 01 8F 00 FF 00",
        answer="00 8F 0064 0001 000C 08 83 01 00 84 03 00 03 04 000000"
        "0004 001C 00000000 0010 0040 00000900 00000000 000000000000000000000000"
        "0008 0004 02 02 E4 00"
        "000C 0004 0000 0000"
        "8001 0020 000000FF 000000FF 00000000 09 00 000000000000000000000000000000000000",
    ),
]
