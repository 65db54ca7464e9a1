"""Primary commands and mode parameters (SPC-4 sections 6 and 7.5, SBC-3 section 6.5)."""

from __future__ import annotations

from typing import Final

from tests.scsi.conftest import Kept
from tests.scsi.golden import Case

_CACHING: Final = "08 12 10 00 FFFF 0000 FFFF FFFF 00 00 0000 00 000000"
_WCE: Final = "08 12 14 00 FFFF 0000 FFFF FFFF 00 00 0000 00 000000"
_CONTROL: Final = "0A 0A 02 10 00 00 0000 0000 0000"
_CONTROL_EXTENSION: Final = "4A 01 001C 01 00 00" + "00" * 25
_PROVISIONING: Final = "5C 02 0014 00 0000000000000000000000 01 02 0000 00000000"
_SHORT: Final = "00000800 00000200"  #: block descriptor: 2048 blocks of 512 bytes

_SET_WCE: Final = ("15 10 00 00 18 00", "00 00 00 00" + _WCE)
_SAVE_WCE: Final = ("15 11 00 00 18 00", "00 00 00 00" + _WCE)
_CLEAR_WCE: Final = ("15 10 00 00 18 00", "00 00 00 00" + _CACHING)
_SET_D_SENSE: Final = ("55 10 00 00 000000 0014 00", "0000 00 00 00 00 0000 0A 0A 06 10 00 00 0000 0000 0000")
_SET_SWP: Final = ("15 10 00 00 10 00", "00 00 00 00 0A 0A 02 10 08 00 0000 0000 0000")

_COMMANDS: Final = [
    Case("00 00 00 00 00 00"),
    Case("00 00 00 00 00 04", sense="70 00 05 00000000 0A 00000000 2400 00 CA 0005"),  # NACA
    Case("03 00 00 00 FC 00", answer="70 00 00 00000000 0A 00000000 0000 00 000000"),
    Case("03 01 00 00 FC 00", answer="72 00 0000 000000 00"),
    Case(
        "12 00 00 00 60 00",
        answer="00 00 06 12 5B 38 00 02 49455420 20202020 56495254 55414C2D 4449534B 20202020 30202020"
        + "00" * 22 + "00A0 0960 0460 04C0" + "00" * 30,
    ),
    Case("12 00 83 00 60 00", sense="70 00 05 00000000 0A 00000000 2400 00 C0 0002"),
    Case("A0 00 00 000000 00000010 00 00", answer="00000008 00000000 0000000000000000"),
    Case("A0 00 02 000000 00000010 00 00", answer="00000008 00000000 412C000000000000", options={"number": 300}),
    Case("A0 00 00 000000 0000000F 00 00", sense="70 00 05 00000000 0A 00000000 2400 00 C0 0006"),
    Case("A3 0C 01 25 0000 00000100 00 00", answer="00 03 000A 25 00 00 00 00 00 00 00 00 00"),
    Case(
        "A3 0C 82 A3 000C 00000100 00 00",
        answer="00 83 000C A3 0C 87 FF FF FF FF FF FF FF 00 00  000A 00 00 00000000 0000001E",
    ),
    Case("A3 0C 01 2E 0000 00000100 00 00", answer="00 03 000A 2E 16 FF FF FF FF 1F FF FF 00"),
    Case("A3 0C 03 FF 0000 00000100 00 00", answer="00 01 0000"),
    Case("A3 0C 01 A3 0000 00000100 00 00", sense="70 00 05 00000000 0A 00000000 2400 00 CA 0002"),
    Case("A3 0D 00 00 0000 00000010 00 00", answer="DA 00 00 00"),
]

_MODE: Final = [
    Case("1A 00 3F FF FF 00", answer="BB 00 10 08" + _SHORT
         + "01 0A 00 00 00 00 0000 00 00 0000"
         + "02 0E 80 80 000A 0000 0000 0000 00 000000"
         + "03 16 0000 0000 0000 0000 0100 0200 0000 0000 0000 0C 000000"
         + "04 16 000000 40 000000 000000 0000 000000 00 00 00 3A98 0000"
         + _CACHING + _CONTROL + _CONTROL_EXTENSION
         + "1C 0A 08 00 00000000 00000000" + _PROVISIONING),
    Case("1A 08 01 00 FF 00", answer="0F 00 10 00 01 0A 00 00 00 00 0000 00 00 0000"),
    Case("1A 08 02 00 FF 00", answer="13 00 10 00 02 0E 80 80 000A 0000 0000 0000 00 000000"),
    Case("1A 08 03 00 FF 00", answer="1B 00 10 00 03 16 0000 0000 0000 0000 0100 0200 0000 0000 0000 0C 000000"),
    Case("1A 08 04 00 FF 00", answer="1B 00 10 00 04 16 000000 40 000000 000000 0000 000000 00 00 00 3A98 0000"),
    Case("1A 08 08 00 FF 00", answer="17 00 10 00" + _CACHING),
    Case("1A 08 48 00 FF 00", answer="17 00 10 00 08 12 04" + "00" * 17),
    Case("1A 08 08 00 FF 00", answer="17 00 10 00" + _WCE, before=(_SET_WCE,)),
    Case("1A 08 0A 00 FF 00", answer="0F 00 10 00" + _CONTROL),
    Case("1A 08 0A 00 FF 00", answer="0F 00 90 00" + _CONTROL, options={"read_only": True}),
    Case("1A 08 0A 01 FF 00", answer="23 00 10 00" + _CONTROL_EXTENSION),
    Case("1A 08 1C 00 FF 00", answer="0F 00 10 00 1C 0A 08 00 00000000 00000000"),
    Case("1A 08 1C 02 FF 00", answer="1B 00 10 00" + _PROVISIONING),
    Case("1A 08 C8 00 FF 00", sense="70 00 05 00000000 0A 00000000 3900 00 000000"),
    Case(
        "5A 10 4A FF 000000 00FF 00",
        answer="0042 00 10 01 00 0010 0000000000000800 00000000 00000200"
        "0A 0A E4 00 38 40 0000 0000 0000 4A 01 001C" + "00" * 28,
    ),
    Case(
        "5A 08 88 00 000000 00FF 00", answer="001A 00 10 00 00 0000 88" + _CACHING[2:], before=(_SAVE_WCE,),
        options={"state": Kept()},
    ),
    Case(
        "5A 08 C8 00 000000 00FF 00", answer="001A 00 10 00 00 0000 88" + _WCE[2:], before=(_SAVE_WCE, _CLEAR_WCE),
        options={"state": Kept()},
    ),
    Case("15 10 00 00 20 00", out="00 00 00 08" + _SHORT + _CACHING),
    Case("15 11 00 00 18 00", out="00 00 00 00" + _WCE, options={"state": Kept()}),
    Case("15 11 00 00 18 00", out="00 00 00 00" + _WCE, sense="70 00 05 00000000 0A 00000000 2400 00 C8 0001"),
    Case(
        "15 10 00 00 18 00", out="00 00 00 00" + _WCE[:9] + "01" + _WCE[11:],
        sense="70 00 05 00000000 0A 00000000 2600 00 88 0007",
    ),
    Case("55 10 00 00 000000 0028 00", out="0000 00 00 00 00 0000" + _CONTROL_EXTENSION),
    Case(
        "55 10 00 00 000000 0014 00", out="0000 00 00 00 00 0000 0A 0A 02 10 10 00 0000 0000 0000",
        sense="70 00 05 00000000 0A 00000000 2600 00 8D 000C",  # UA_INTLCK_CTRL 01b
    ),
    Case(
        "28 00 00000800 00 0001 00", before=(_SET_D_SENSE,),
        sense="72 05 2100 000000 0C  00 0A 80 00 0000000000000800",
    ),
    Case("2A 00 00000000 00 0001 00", out="A5" * 512, before=(_SET_SWP,), medium=(0, "00" * 512),
         sense="70 00 07 00000000 0A 00000000 2700 00 000000"),
]

CASES: Final[list[Case]] = [*_COMMANDS, *_MODE]
