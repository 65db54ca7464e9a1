"""A line of the shell in words: blanks part them, and quotes that enclose a whole word or value hold blanks together.

There is no other quoting and no escaping, so that a secret with a quote or a backslash in it can be typed as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(
    r"""(?:(?P<key>[A-Za-z_][A-Za-z0-9_]*)=)?(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')(?=\s|$)|(?P<plain>\S+)"""
)
#: ``name=value``, as parameters are given by name.
_NAMED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_COMMENT: Final = "#"


@dataclass(frozen=True, slots=True)
class Word:
    """One word; ``quoted`` ones are values whatever they look like."""

    text: str
    quoted: bool = False
    key: str = ""  #: of a quoted value

    @property
    def named(self) -> tuple[str, str] | None:
        """Name and value of ``name=value``, else None."""
        if self.quoted:
            return (self.key, self.text) if self.key else None
        match = _NAMED.fullmatch(self.text)
        return (match[1], match[2]) if match else None


def split(line: str) -> list[Word]:
    """The words of a line; none for a comment."""
    if line.lstrip().startswith(_COMMENT):
        return []
    words = []
    for match in _WORD.finditer(line):
        quoted = next((text for text in (match["double"], match["single"]) if text is not None), None)
        words.append(Word(match["plain"]) if quoted is None else Word(quoted, True, match["key"] or ""))
    return words


def from_arguments(arguments: tuple[str, ...]) -> list[Word]:
    """The words of a command line, which another shell has parted already; a single one is a whole line."""
    return split(arguments[0]) if len(arguments) == 1 else [Word(word) for word in arguments]
