"""Values of ``LunOption`` parameters: designators in hexadecimal digits, and printable ASCII."""

from __future__ import annotations

import re
from dataclasses import dataclass


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
