"""Types of single-word values, shared by text keys, store options and configuration rows.

Each type parses one word strictly (the wire's rules, RFC 7143 section 6.1) and renders it back. What a
configuration file may say beyond that (number bases, trailing junk) is ``config``'s business. ``parse`` raises
ValueError with the words "what is accepted", ready for an error message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


class Value(Protocol):
    """One word to a Python value and back."""

    @property
    def accepts(self) -> str:
        """What is accepted, as a noun phrase for messages and manuals."""

    def parse(self, word: str) -> Any: ...

    def render(self, value: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal or 0x-hexadecimal number in an inclusive range."""

    low: int
    high: int

    @property
    def accepts(self) -> str:
        return f"a number from {self.low} to {self.high}"

    def parse(self, word: str) -> int:
        if len(word) > 32 or not _NUMBER.fullmatch(word):
            raise ValueError(self.accepts)
        value = int(word, 16 if word[:2] in ("0x", "0X") else 10)
        if not self.low <= value <= self.high:
            raise ValueError(self.accepts)
        return value

    def render(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class YesNo:
    """``Yes`` or ``No``, in exactly this case."""

    @property
    def accepts(self) -> str:
        return "Yes or No"

    def parse(self, word: str) -> bool:
        if word not in ("Yes", "No"):
            raise ValueError(self.accepts)
        return word == "Yes"

    def render(self, value: bool) -> str:
        return "Yes" if value else "No"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, in exactly this case."""

    words: tuple[str, ...]

    @property
    def accepts(self) -> str:
        return " or ".join(self.words)

    def parse(self, word: str) -> str:
        if word not in self.words:
            raise ValueError(self.accepts)
        return word

    def render(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class WordList:
    """A comma-separated list in order of preference, without blanks, of words from a fixed set."""

    words: tuple[str, ...]

    @property
    def accepts(self) -> str:
        return f"a list of {', '.join(self.words)}, joined by commas without blanks"

    def parse(self, word: str) -> tuple[str, ...]:
        items = tuple(word.split(","))
        if any(item not in self.words for item in items):
            raise ValueError(self.accepts)
        return items

    def render(self, value: Sequence[str]) -> str:
        return ",".join(value)


@dataclass(frozen=True, slots=True)
class Text:
    """Any word up to ``longest`` bytes of UTF-8."""

    longest: int = 255

    @property
    def accepts(self) -> str:
        return f"a word of 1 to {self.longest} bytes"

    def parse(self, word: str) -> str:
        if not 1 <= len(word.encode("utf-8", "surrogateescape")) <= self.longest:
            raise ValueError(self.accepts)
        return word

    def render(self, value: str) -> str:
        return value
