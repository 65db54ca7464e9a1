"""The 8-byte LUN field of requests and REPORT LUNS (SAM-5 section 4.7), single level only."""

from __future__ import annotations

from typing import Final

_PERIPHERAL: Final = 0  #: peripheral device addressing (SAM-5 section 4.7.7.2)
_FLAT: Final = 1  #: flat space addressing (section 4.7.7.3)
HIGHEST: Final = 0x3FFF  #: what 14 bits can say


def decode(field: int) -> int | None:
    """The LUN that ``field`` (eight bytes as a big-endian number) addresses, or None if it can address none.

    Accepted are peripheral device addressing on bus 0 and flat space addressing, both without lower levels.
    """
    first = field >> 48
    if field & 0xFFFF_FFFF_FFFF:
        return None
    method = first >> 14
    if method == _PERIPHERAL:
        return first if first < 256 else None
    return first & HIGHEST if method == _FLAT else None


def encode(number: int) -> int:
    """The field for LUN ``number`` (0 to ``HIGHEST``): peripheral addressing below 256, flat from there."""
    return (number if number < 256 else _FLAT << 14 | number) << 48
