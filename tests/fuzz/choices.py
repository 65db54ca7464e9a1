"""A stream of bytes read as choices, so that Hypothesis, atheris and a random generator feed the same harness."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Numbers drawn from bytes; when these are used up, 0 for ever, and ``over``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def over(self) -> bool:
        return self._at >= len(self._data)

    def below(self, limit: int) -> int:
        """0 to ``limit`` - 1."""
        size = 1 if limit <= 256 else 2 if limit <= 65536 else 4
        drawn = int.from_bytes(self._data[self._at : self._at + size], "big")
        self._at += size
        return drawn % limit

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def rarely(self, once_in: int) -> bool:
        """True once in so many times; False when the bytes are used up."""
        return self.below(once_in) == 1

    def data(self, size: int) -> bytes:
        """``size`` bytes, the rest of them zero."""
        drawn = self._data[self._at : self._at + size]
        self._at += size
        return drawn.ljust(size, b"\0")


def corpus(name: str) -> list[bytes]:
    """Inputs worth keeping: those by which a run with coverage got further, and those that found a mistake.

    Lines of base64 in ``corpus``.
    """
    return [base64.b64decode(line) for line in (Path(__file__).parent / f"corpus/{name}.txt").read_text().split()]
