"""JSON with the place of every value: files of others are wrong somewhere, and a message says where.

Strict as RFC 8259, but for a byte order mark. Time is linear in the text, depth and numbers are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final

from ietpy.errors import ConfigError, Span
from ietpy.migrate.model import refusal

DEEPEST: Final = 64
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,20})?(?![0-9.eE])")
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}
_WORD: Final = re.compile("true|false|null")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands; of an object's member, ``key`` is where its name does.

    ``value``: None, a bool, a number, a str, a list of nodes, or a dict of nodes by name.
    """

    value: Any
    span: Span
    key: Span

    def __bool__(self) -> bool:
        return bool(self.value)

    def get(self, name: str) -> Node:
        """A member; one that is not there, or of what is no object, is null, at the place of this value."""
        found = self.value.get(name) if isinstance(self.value, dict) else None
        return found if found is not None else Node(None, self.span, self.span)

    def has(self, name: str) -> bool:
        return isinstance(self.value, dict) and name in self.value

    def members(self) -> Iterator[tuple[str, Node]]:
        """Those of an object. Raises ConfigError for anything else but null."""
        if self.value is None:
            return iter(())
        if not isinstance(self.value, dict):
            raise self.wrong("an object, in braces")
        return iter(self.value.items())

    def items(self) -> Iterator[Node]:
        """Those of a list. Raises ConfigError for anything else but null."""
        if self.value is None:
            return iter(())
        if not isinstance(self.value, list):
            raise self.wrong("a list, in brackets")
        return iter(self.value)

    def text(self, default: str = "") -> str:
        """A text, or ``default`` for null. Raises ConfigError for anything else."""
        if self.value is None:
            return default
        if not isinstance(self.value, str):
            raise self.wrong("a text, in quotes")
        return self.value

    def number(self, default: int | None = None) -> int | None:
        """A whole number, also where it is written as a text or is true or false, as some tools have it."""
        value = self.value
        if value is None:
            return default
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value, re.ASCII):
            return int(value)
        if isinstance(value, (bool, int)):
            return int(value)
        raise self.wrong("a whole number")

    def flag(self, default: bool = False) -> bool:
        """True or false; also 1 or 0, in quotes or without."""
        number = self.number(int(default))
        return number is not None and number > 0

    def wrong(self, wanted: str) -> ConfigError:
        return ConfigError([refusal(self.span, f"{_kind(self.value)} stands here", f"write {wanted}")])


def _kind(value: Any) -> str:
    for kind, words in ((bool, "true or false"), (str, "a text"), (list, "a list"), (dict, "an object")):
        if isinstance(value, kind):
            return words
    return "null" if value is None else "a number"


def parse(text: str, file: str) -> Node:
    """The document. Raises ConfigError with the place of what is wrong."""
    return _Parser(text, file).document()


@dataclass(slots=True)
class _Parser:
    text: str
    file: str
    starts: list[int] = field(default_factory=list)  #: of lines, up to where the last place was asked for
    line: int = 0

    def __post_init__(self) -> None:
        self.starts = [0, *(match.end() for match in re.finditer("\n", self.text))]

    def document(self) -> Node:
        place = 1 if self.text.startswith("\ufeff") else 0
        node, place = self.value(self.after_blanks(place), 0, None)
        place = self.after_blanks(place)
        if place < len(self.text):
            raise self.wrong(place, "something follows the end of the document", "remove it")
        return node

    def span(self, place: int) -> Span:
        """Places are asked for in ascending order, or nearly so: the line is looked for from the last one."""
        line = self.line
        while line + 1 < len(self.starts) and self.starts[line + 1] <= place:
            line += 1
        while self.starts[line] > place:
            line -= 1
        self.line = line
        return Span(self.file, line + 1, place - self.starts[line] + 1)

    def wrong(self, place: int, problem: str, hint: str) -> ConfigError:
        return ConfigError([refusal(self.span(place), problem, hint)])

    def after_blanks(self, place: int) -> int:
        match = _BLANKS.match(self.text, place)
        return match.end() if match else place

    def value(self, place: int, depth: int, key: Span | None) -> tuple[Node, int]:
        span = self.span(place)
        if depth > DEEPEST:
            raise self.wrong(place, f"more than {DEEPEST} lists and objects within each other", "flatten it")
        value: Any
        first = self.text[place : place + 1]
        if first == "{":
            value, end = self.object(place, depth)
        elif first == "[":
            value, end = self.list(place, depth)
        elif first == '"':
            value, end = self.string(place)
        elif match := _WORD.match(self.text, place):
            value, end = _WORDS[match.group()], match.end()
        elif match := _NUMBER.match(self.text, place):
            value, end = _number(match.group()), match.end()
        elif not first:
            raise self.wrong(place, "the file ends where a value should stand", "complete it")
        else:
            raise self.wrong(place, "no value stands here", "write one as JSON has it")
        return Node(value, span, key or span), end

    def string(self, place: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self.text, place + 1, True)
        except JSONDecodeError as error:
            raise self.wrong(error.pos, "a text that is not written as JSON has it", "close its quotes") from None
        return text, end

    def object(self, place: int, depth: int) -> tuple[dict[str, Node], int]:
        members: dict[str, Node] = {}
        place = self.after_blanks(place + 1)
        if self.text[place : place + 1] == "}":
            return members, place + 1
        while True:
            if self.text[place : place + 1] != '"':
                raise self.wrong(place, "no name of a member stands here", 'write "name": value')
            start = place
            name, place = self.string(place)
            if name in members:
                raise self.wrong(start, f"the member {name[:60]!r} stands here twice", "leave one of them")
            place = self.after_blanks(place)
            if self.text[place : place + 1] != ":":
                raise self.wrong(place, "no colon stands between a name and its value", "write one")
            members[name], place = self.value(self.after_blanks(place + 1), depth + 1, self.span(start))
            place, more = self.next(place, "}")
            if not more:
                return members, place

    def list(self, place: int, depth: int) -> tuple[list[Node], int]:
        items: list[Node] = []
        place = self.after_blanks(place + 1)
        if self.text[place : place + 1] == "]":
            return items, place + 1
        while True:
            item, place = self.value(place, depth + 1, None)
            items.append(item)
            place, more = self.next(place, "]")
            if not more:
                return items, place

    def next(self, place: int, end: str) -> tuple[int, bool]:
        """Where the next item begins, and whether there is one."""
        place = self.after_blanks(place)
        found = self.text[place : place + 1]
        if found not in (",", end):
            raise self.wrong(place, f"neither a comma nor {end} stands here", "write one of them")
        return (self.after_blanks(place + 1), True) if found == "," else (place + 1, False)


def _number(word: str) -> int | float:
    return float(word) if any(character in word for character in ".eE") else int(word)
