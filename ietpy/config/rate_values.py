"""Values of limits: bytes in a second."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RATE: Final = re.compile("([0-9]{1,16})([KMGT]?)", re.IGNORECASE | re.ASCII)
_SHIFTS: Final = {"T": 40, "G": 30, "M": 20, "K": 10, "": 0}
SLOWEST: Final = 1 << 10
FASTEST: Final = 1 << 50


@dataclass(frozen=True, slots=True)
class ByteRate:
    """A whole number of bytes, or of units of 1024, 1024 squared and so on."""

    @property
    def accepts(self) -> str:
        return "a whole number of bytes, or one with K, M, G or T as in 50M, from 1K to 1024T"

    def parse(self, word: str) -> int:
        match = _RATE.fullmatch(word)
        rate = int(match[1]) << _SHIFTS[match[2].upper()] if match else 0
        if not SLOWEST <= rate <= FASTEST:
            raise ValueError(self.accepts)
        return rate

    def render(self, value: int) -> str:
        """In the largest unit of which it is a whole number."""
        unit, shift = next((unit, shift) for unit, shift in _SHIFTS.items() if not value & ((1 << shift) - 1))
        return f"{value >> shift}{unit}"
