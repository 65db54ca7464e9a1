"""Port groups, identifying information, diagnostics and buffers (SPC-4 section 6)."""

from __future__ import annotations

from typing import Final

from tests.scsi.conftest import Kept
from tests.scsi.golden import Case

_TEXT: Final = b"rack 7\0".hex()
_NON_OPTIMIZED: Final = ("A4 0A 00000000 00000008 00 00", "00000000  01 00 0001")

CASES: Final[list[Case]] = [
    # Target port groups
    Case("A3 0A 00000000 000000FF 00 00", "0000000C  00 03 0001 00 00 00 01  0000 0001"),
    Case("A3 2A 00000000 000000FF 00 00", "00000010 10 00 0000  00 03 0001 00 00 00 01  0000 0001"),
    Case("A3 0A 00000000 000000FF 00 00", "0000000C  01 03 0001 00 01 00 01  0000 0001", before=(_NON_OPTIMIZED,)),
    Case("A4 0A 00000000 00000000 00 00"),
    Case("A4 0A 00000000 00000008 00 00", out="00000000  00 00 0001"),
    Case(
        "A4 0A 00000000 00000008 00 00", out="00000000  02 00 0001",
        sense="70 00 05 00000000 0A 00000000 2600 00 8B0004",
    ),
    Case(
        "A4 0A 00000000 00000008 00 00", out="00000000  00 00 0002",
        sense="70 00 05 00000000 0A 00000000 2600 00 800006",
    ),
    Case("A4 0A 00000000 00000006 00 00", sense="70 00 05 00000000 0A 00000000 2400 00 C00006"),
    # Identifying information
    Case("A3 05 00000000 000000FF FE 00", "00000008  00 00 0200  04 00 0100", options={"state": Kept()}),
    Case("A3 05 00000000 000000FF 00 00", "00000000", options={"state": Kept()}),
    Case(
        "A3 05 00000000 000000FF 00 00", "00000003 C0FFEE", options={"state": Kept()},
        before=(("A4 06 00000000 00000003 00 00", "C0FFEE"),),
    ),
    Case("A3 05 00000000 000000FF 04 00", "00000007" + _TEXT, options={"state": Kept(identifying_text=_TEXT)}),
    Case("A4 06 00000000 00000007 04 00", out=_TEXT, options={"state": Kept()}),
    Case(
        "A4 06 00000000 00000101 04 00", options={"state": Kept()},
        sense="70 00 05 00000000 0A 00000000 2400 00 C00006",
    ),
    Case(
        "A3 05 00000000 000000FF 02 00", options={"state": Kept()},
        sense="70 00 05 00000000 0A 00000000 2400 00 CF000A",
    ),
    Case("A3 05 00000000 000000FF 00 00", sense="70 00 05 00000000 0A 00000000 2400 00 CC0001"),
    # Diagnostics
    Case("1D 04 00 0000 00"),
    Case("1D 07 00 0000 00"),
    Case("1D 00 00 0000 00"),
    Case("1D 10 00 0004 00", out="00 00 0000"),
    Case("1D 10 00 0004 00", out="40 00 0000", sense="70 00 05 00000000 0A 00000000 2600 00 800000"),
    Case("1D 04 00 0004 00", sense="70 00 05 00000000 0A 00000000 2400 00 C00003"),
    Case("1D 14 00 0000 00", sense="70 00 05 00000000 0A 00000000 2400 00 CC0001"),
    Case("1D 20 00 0000 00", sense="70 00 05 00000000 0A 00000000 2400 00 CD0001"),
    Case("1C 01 00 00FF 00", "00 00 0001 00"),
    Case("1C 00 00 00FF 00", "00 00 0001 00"),
    Case("1C 01 40 00FF 00", sense="70 00 05 00000000 0A 00000000 2400 00 C00002"),
    # Buffers
    Case("3C 03 00 000000 0000FF 00", "00 000000"),
    Case("3C 0B 00 000000 0000FF 00", "01 00 1000"),
    Case("3C 0A 00 000000 0000FF 00", "0123456789ABCDEF", before=(("3B 0A 00 000000 000008 00", "0123456789ABCDEF"),)),
    Case("3C 1A 00 000000 0000FF 00", "0123456789ABCDEF", before=(("3B 1A 00 000000 000008 00", "0123456789ABCDEF"),)),
    Case("3C 0A 00 000000 0000FF 00", sense="70 00 05 00000000 0A 00000000 2C00 00 000000"),
    Case("3C 02 00 000000 0000FF 00", sense="70 00 05 00000000 0A 00000000 2400 00 CC0001"),
    Case("3B 0A 00 000000 000004 00", out="DEADBEEF"),
    Case("3B 0A 00 000000 001001 00", sense="70 00 05 00000000 0A 00000000 2400 00 C00006"),
    Case("3B 05 00 000000 000004 00", sense="70 00 05 00000000 0A 00000000 2400 00 CC0001"),
]
