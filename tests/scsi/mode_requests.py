"""Mode pages as they must be, and MODE SENSE and MODE SELECT for them."""

from __future__ import annotations

from typing import Any, Final

#: By code and subpage code: (current = default, changeable) of a write through unit of 2048 blocks of 512 bytes.
PAGES: Final = {
    (0x01, 0): ("01 0A" + "00" * 10, "01 0A" + "00" * 10),
    (0x02, 0): ("02 0E 80 80 00 0A" + "00" * 10, "02 0E" + "00" * 14),
    (0x03, 0): ("03 16 00000000 00000000 0100 0200 0000 0000 0000 0C 000000", "03 16" + "00" * 22),
    (0x04, 0): ("04 16 000000 40" + "00" * 14 + "3A98 0000", "04 16" + "00" * 22),
    (0x08, 0): ("08 12 10 00 FFFF 0000 FFFF FFFF" + "00" * 8, "08 12 04" + "00" * 17),
    (0x0A, 0): ("0A 0A 02 10" + "00" * 8, "0A 0A E4 00 38 40" + "00" * 6),
    (0x0A, 1): ("4A 01 001C 01" + "00" * 27, "4A 01 001C" + "00" * 28),
    (0x1C, 0): ("1C 0A 08" + "00" * 9, "1C 0A" + "00" * 10),
    (0x1C, 2): ("5C 02 0014" + "00" * 12 + "01 02 0000 00000000", "5C 02 0014" + "00" * 20),
}
CACHING_ON = "08 12 14 00 FFFF 0000 FFFF FFFF" + "00" * 8
CACHING_OFF = PAGES[0x08, 0][0]
CONTROL = PAGES[0x0A, 0][0]
PROTECT_ON = "0A 0A 02 10 08" + "00" * 7
EVERYTHING_ON = "0A 0A 26 10 38 40" + "00" * 6
WITHOUT_SUBPAGES = "".join(current for (_, subpage), (current, _) in PAGES.items() if not subpage)
ALL = "".join(current for current, _ in PAGES.values())
#: What is saved where nothing was changed.
DEFAULTS: Final = {"WCE": 0, "TST": 0, "D_SENSE": 0, "UA_INTLCK_CTRL": 0, "SWP": 0, "TAS": 0}


def sensed(disk: Any, code: int, control: int = 0, subpage: int = 0) -> bytes:
    """The page without header."""
    return disk.run(f"1A 08 {code | control << 6:02X} {subpage:02X} FF 00").data[4:]  # type: ignore[no-any-return]


def select_6(disk: Any, parameters: str, flags: int = 0x10, **fields: Any) -> Any:
    data = bytes.fromhex(parameters)
    return disk.run(f"15 {flags:02X} 00 00 {len(data):02X} 00", data, **fields)


def select_10(disk: Any, parameters: str) -> Any:
    data = bytes.fromhex(parameters)
    return disk.run(f"55 10 00 00 000000 {len(data):04X} 00", data)


def saves(page: str) -> str:
    """The page as MODE SENSE returns it: with PS."""
    return f"{int(page[:2], 16) | 0x80:02X}{page[2:]}"
