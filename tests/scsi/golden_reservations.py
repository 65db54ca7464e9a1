"""RESERVE, RELEASE and PERSISTENT RESERVE IN and OUT (SPC-2 section 7.20, SPC-4 sections 6.15, 6.16 and 7.6.4.6)."""

from __future__ import annotations

from typing import Final

from tests.scsi.conftest import Kept
from tests.scsi.golden import Case

#: TransportIDs of the golden nexus, ``iqn.2001-04.com.example:ann,i,0x400000000001``, and of one whose name is longer.
_ANN: Final = (
    "45 00 0030 69716E2E 32303031 2D30342E 636F6D2E 6578616D 706C653A 616E6E 2C692C3078 34303030 30303030 30303031"
    " 00000000"
)
_PETER: Final = (
    "45 00 0030 69716E2E 32303031 2D30342E 636F6D2E 6578616D 706C653A 7065746572 2C692C3078 34303030 30303030 30303032"
    " 0000"
)
_KEY: Final = "00000000 0000ABCD"
_OTHER: Final = "00000000 0000BCDE"
_NONE: Final = "00000000 00000000"

_REGISTER: Final = ("5F 00 00 00 00 00000018 00", f"{_NONE} {_KEY} 00000000 00 000000")
_REGISTER_TWO: Final = (
    "5F 00 00 00 00 00000050 00", f"{_NONE} {_KEY} 00000000 08 000000 00000034 {_PETER}"
)
_REGISTER_KEPT: Final = ("5F 00 00 00 00 00000018 00", f"{_NONE} {_KEY} 00000000 01 000000")
_RESERVE_WE: Final = ("5F 01 01 00 00 00000018 00", f"{_KEY} {_NONE} 00000000 00 000000")
_RESERVE_EAAR: Final = ("5F 01 08 00 00 00000018 00", f"{_KEY} {_NONE} 00000000 00 000000")

CASES: Final[list[Case]] = [
    Case("16 00 00 00 00 00"),
    Case("16 01 00 00 00 00", sense="70 00 05 00000000 0A 00000000 2400 00 C8 0001"),  # extent
    Case("56 00 00 00 00 00 00 00 00 00"),
    Case("56 10 00 00 00 00 00 00 00 00", sense="70 00 05 00000000 0A 00000000 2400 00 CC 0001"),  # third party
    Case("17 00 00 00 00 00"),
    Case("57 00 00 00 00 00 00 00 00 00"),
    Case("16 00 00 00 00 00", status=0x18, before=(_REGISTER,)),
    Case("17 00 00 00 00 00", status=0x18, before=(_REGISTER,)),
    Case("16 00 00 00 00 00", before=(_REGISTER, _RESERVE_WE)),
    # READ KEYS
    Case("5E 00 00 00 00 00 00 0100 00", answer="00000000 00000000"),
    Case("5E 00 00 00 00 00 00 0100 00", answer=f"00000001 00000010 {_KEY} {_KEY}", before=(_REGISTER_TWO,)),
    Case("5E 00 00 00 00 00 00 0008 00", answer="00000001 00000010", before=(_REGISTER_TWO,)),
    Case("5E 00 00 00 00 00 00 0100 00", status=0x18, before=(("16 00 00 00 00 00", ""),)),
    # READ RESERVATION
    Case("5E 01 00 00 00 00 00 0100 00", answer="00000001 00000000", before=(_REGISTER,)),
    Case(
        "5E 01 00 00 00 00 00 0100 00", answer=f"00000001 00000010 {_KEY} 00000000 00 01 0000",
        before=(_REGISTER, _RESERVE_WE),
    ),
    Case(
        "5E 01 00 00 00 00 00 0100 00", answer=f"00000001 00000010 {_NONE} 00000000 00 08 0000",
        before=(_REGISTER, _RESERVE_EAAR),
    ),
    # REPORT CAPABILITIES
    Case("5E 02 00 00 00 00 00 0100 00", answer="0008 1C C0 EA01 0000"),
    Case("5E 02 00 00 00 00 00 0100 00", answer="0008 1D C0 EA01 0000", options={"state": Kept()}),
    Case(
        "5E 02 00 00 00 00 00 0100 00", answer="0008 1D C1 EA01 0000", before=(_REGISTER_KEPT,),
        options={"state": Kept()},
    ),
    # READ FULL STATUS
    Case("5E 03 00 00 00 00 00 0100 00", answer="00000000 00000000"),
    Case(
        "5E 03 00 00 00 00 00 0100 00",
        answer="00000001 00000098"
        f" {_KEY} 00000000 01 01 00000000 0001 00000034 {_ANN}"
        f" {_KEY} 00000000 00 00 00000000 0001 00000034 {_PETER}",
        before=(_REGISTER_TWO, _RESERVE_WE),
    ),
    Case("5E 04 00 00 00 00 00 0100 00", sense="70 00 05 00000000 0A 00000000 2400 00 CC 0001"),
    # REGISTER
    Case(_REGISTER[0], out=_REGISTER[1]),
    Case(_REGISTER_TWO[0], out=_REGISTER_TWO[1]),
    Case(_REGISTER[0], out=_REGISTER[1], status=0x18, before=(_REGISTER,)),
    Case(
        _REGISTER_KEPT[0], out=_REGISTER_KEPT[1], sense="70 00 05 00000000 0A 00000000 2600 00 88 0014",  # APTPL
    ),
    Case(
        "5F 00 00 00 00 00000017 00", out=_REGISTER[1][:-2], sense="70 00 05 00000000 0A 00000000 1A00 00 00 0000"
    ),
    # RESERVE
    Case(_RESERVE_WE[0], out=_RESERVE_WE[1], before=(_REGISTER,)),
    Case(_RESERVE_WE[0], out=_RESERVE_WE[1], status=0x18),
    Case(
        "5F 01 02 00 00 00000018 00", out=_RESERVE_WE[1], before=(_REGISTER,),
        sense="70 00 05 00000000 0A 00000000 2400 00 CB 0002",  # TYPE
    ),
    # RELEASE
    Case("5F 02 01 00 00 00000018 00", out=_RESERVE_WE[1], before=(_REGISTER, _RESERVE_WE)),
    Case(
        "5F 02 03 00 00 00000018 00", out=_RESERVE_WE[1], before=(_REGISTER, _RESERVE_WE),
        sense="70 00 05 00000000 0A 00000000 2604 00 00 0000",
    ),
    # CLEAR
    Case("5F 03 00 00 00 00000018 00", out=_RESERVE_WE[1], before=(_REGISTER_TWO,)),
    # PREEMPT
    Case(
        "5F 04 03 00 00 00000018 00", out=f"{_KEY} {_KEY} 00000000 00 000000", before=(_REGISTER_TWO, _RESERVE_WE)
    ),
    Case(
        "5F 04 03 00 00 00000018 00", out=f"{_KEY} {_NONE} 00000000 00 000000", before=(_REGISTER, _RESERVE_WE),
        sense="70 00 05 00000000 0A 00000000 2600 00 80 0008",  # key 0
    ),
    # PREEMPT AND ABORT
    Case(
        "5F 05 03 00 00 00000018 00", out=f"{_KEY} {_KEY} 00000000 00 000000", before=(_REGISTER_TWO, _RESERVE_WE)
    ),
    Case("5F 05 03 00 00 00000018 00", out=f"{_KEY} {_OTHER} 00000000 00 000000", status=0x18, before=(_REGISTER,)),
    # REGISTER AND IGNORE EXISTING KEY
    Case("5F 06 00 00 00 00000018 00", out=f"{_OTHER} {_KEY} 00000000 00 000000", before=(_REGISTER,)),
    Case(
        "5F 06 00 00 00 00000050 00", out=_REGISTER_TWO[1],
        sense="70 00 05 00000000 0A 00000000 2600 00 8B 0014",  # SPEC_I_PT
    ),
    # REGISTER AND MOVE
    Case(
        "5F 07 01 00 00 0000004C 00", out=f"{_KEY} {_OTHER} 00 02 0001 00000034 {_PETER}",
        before=(_REGISTER, _RESERVE_WE),
    ),
    Case(
        "5F 07 01 00 00 0000004C 00", out=f"{_KEY} {_OTHER} 00 00 0001 00000034 {_PETER}",
        sense="70 00 05 00000000 0A 00000000 2400 00 00 0000", before=(_REGISTER,),  # nothing to move
    ),
    Case(
        "5F 07 01 00 00 0000004C 00", out=f"{_KEY} {_OTHER} 00 00 0001 00000034 {_ANN}",
        sense="70 00 05 00000000 0A 00000000 2600 00 80 0018", before=(_REGISTER, _RESERVE_WE),  # to itself
    ),
    Case("5F 08 01 00 00 00000018 00", out=_REGISTER[1], sense="70 00 05 00000000 0A 00000000 2400 00 CC 0001"),
]
