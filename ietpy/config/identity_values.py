"""Values of ``LunOption`` parameters: designators and pages in hexadecimal digits, and printable ASCII."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Hex:
    """Bytes as hexadecimal digits. ``pattern``: what the digits, in lower case, must match."""

    digits: str
    pattern: str

    @property
    def accepts(self) -> str:
        return self.digits

    def parse(self, word: str) -> bytes:
        if not re.fullmatch(self.pattern, word.lower(), re.ASCII):
            raise ValueError(self.accepts)
        return bytes.fromhex(word)

    def render(self, value: bytes) -> str:
        return value.hex()


_ASSOCIATION: Final = 0x30  #: 0: the logical unit
_LONGEST_LIST: Final = 1024  #: bytes; as much as any target was seen to say of one logical unit, several times over


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Designation descriptors of a logical unit (SPC-4 section 7.8.6.1), one behind another, in hexadecimal digits."""

    accepts: str = (
        f"up to {_LONGEST_LIST} bytes in hexadecimal: designation descriptors of the logical unit, each with its header"
    )

    def parse(self, word: str) -> bytes:
        if not re.fullmatch("(?:[0-9a-f]{2})+", word.lower(), re.ASCII) or len(word) > 2 * _LONGEST_LIST:
            raise ValueError(self.accepts)
        data, place = bytes.fromhex(word), 0
        while place < len(data):
            header = data[place:place + 4]
            if len(header) < 4 or header[1] & _ASSOCIATION or not header[3]:
                raise ValueError(self.accepts)
            place += 4 + header[3]
        if place > len(data):
            raise ValueError(self.accepts)
        return data

    def render(self, value: bytes) -> str:
        return value.hex()


@dataclass(frozen=True, slots=True)
class Printable:
    """Printable ASCII characters, blanks within included, but no comma; quotes are no part of what anybody means."""

    longest: int

    @property
    def accepts(self) -> str:
        return f"1 to {self.longest} printable ASCII characters without commas, nor quotes around them"

    def parse(self, word: str) -> str:
        quoted = word[:1] in ('"', "'") and word[-1:] == word[:1]
        if quoted or word != word.strip() or not re.fullmatch(rf"[ -+\--~]{{1,{self.longest}}}", word):
            raise ValueError(self.accepts)
        return word

    def render(self, value: str) -> str:
        return value
