"""The lines of a text that is being edited: what does not change keeps its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ietpy.config.syntax import BLANKS

_BOM: Final = "\ufeff"


class Lines:
    """The lines of a file, counted from 1, and what becomes of them. Behind line 0 is above the first."""

    def __init__(self, text: str) -> None:
        self._mark = _BOM if text.startswith(_BOM) else ""
        self._lines = ["", *text[len(self._mark) :].split("\n")]
        self._ended = self._lines[-1] == ""
        if self._ended:
            self._lines.pop()
        self._gone: set[int] = set()
        self._added: dict[int, list[str]] = {}

    @property
    def last(self) -> int:
        return len(self._lines) - 1

    def __getitem__(self, number: int) -> str:
        return self._lines[number]

    def remove(self, numbers: Iterable[int]) -> None:
        self._gone.update(numbers)

    def blank(self, number: int) -> bool:
        """Whether line ``number`` is blank; so is what follows the last one."""
        return number > self.last or not self._lines[number].strip(BLANKS)

    def remove_blank_above(self, number: int) -> None:
        """Remove the blank lines right above line ``number``, as far as nothing was put behind them."""
        number -= 1
        while number and self.blank(number) and number not in self._added and number not in self._gone:
            self._gone.add(number)
            number -= 1

    def change(self, number: int, column: int, what: re.Pattern[str], text: str) -> None:
        """Put ``text`` in the place of ``what`` stands at ``column``, which counts a byte order mark."""
        self._end(number)
        line = self._lines[number]
        start = column - 1 - len(self._mark) * (number == 1)
        self._lines[number] = line[:start] + what.sub(lambda _: text, line[start:], count=1)

    def add(self, number: int, line: str) -> None:
        """Put a line behind line ``number`` and what was put there before, with the line end that is usual there."""
        self._end(number)
        self._added.setdefault(number, []).append(line + self._return(number))

    def add_above(self, number: int, line: str) -> None:
        """Put a line into a paragraph of its own behind line ``number``."""
        end = self._return(number)
        self._added.setdefault(number, [end]).insert(-1, line + end)

    def add_paragraph(self, lines: Iterable[str]) -> None:
        """Put lines at the end, behind a blank one."""
        before = list(self._left())
        for line in ("", *lines) if before and before[-1].strip(BLANKS) else lines:
            self.add(self.last, line)

    def _return(self, number: int) -> str:
        """What stands before the newline of line ``number``; of line 0 as of the first."""
        return "\r" if self._lines[number or min(1, self.last)].endswith("\r") else ""

    def _end(self, number: int) -> None:
        """End a line, as the one before it ends, if it is the last and does not end with a newline."""
        if number == self.last and not self._ended:
            self._lines[number] += self._return(max(number - 1, 0))
            self._ended = True

    def _left(self) -> Iterator[str]:
        for number, line in enumerate(self._lines):
            if number and number not in self._gone:
                yield line
            yield from self._added.get(number, ())

    def text(self) -> str:
        left = list(self._left())
        ended = self._ended or self.last in self._gone
        return self._mark + "\n".join(left) + ("\n" if left and ended else "")
