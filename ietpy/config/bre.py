"""POSIX basic regular expressions (IEEE Std 1003.1, section 9.3), matched whole, in linear time.

A hostile initiator chooses the text, so the matcher never goes back: it walks all states of a Thompson automaton at
once, at most ``MOST_STATES`` tests per character. What that cannot do is refused: back-references, collating
elements, word boundaries, huge repetitions. GNU's ``\\|``, ``\\+``, ``\\?``, ``\\w`` and ``\\s`` are known, as IET's
C library knew them. Anchors are literals: IET put its own around an item (iet-compat 3.3); where C would still see
one, in a group or beside ``\\|``, they are refused.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

MOST_STATES: Final = 4000  #: steps of building one; a name of 223 bytes then takes milliseconds
DEEPEST: Final = 10  #: groups within groups, and repetitions of one repetition
#: After ``\\{``; without a comma there must be a number.
_INTERVAL: Final = re.compile(r"\\\{(?:(?P<low>[0-9]{1,3})|(?=,))(?:(?P<comma>,)(?P<high>[0-9]{1,3})?)?\\\}")

_CLASSES: Final[dict[str, Callable[[str], bool]]] = {
    "alpha": lambda c: c in string.ascii_letters,
    "digit": lambda c: c in string.digits,
    "alnum": lambda c: c in string.ascii_letters + string.digits,
    "upper": lambda c: c in string.ascii_uppercase,
    "lower": lambda c: c in string.ascii_lowercase,
    "space": lambda c: c in " \t\n\r\f\v",
    "blank": lambda c: c in " \t",
    "punct": lambda c: c in string.punctuation,
    "xdigit": lambda c: c in string.hexdigits,
    "cntrl": lambda c: ord(c) < 32 or ord(c) == 127,
    "print": lambda c: 32 <= ord(c) < 127,
    "graph": lambda c: 32 < ord(c) < 127,
}
Test = Callable[[str], bool]
_ANYTHING: Final[Test] = lambda c: True  # noqa: E731
#: GNU's classes without brackets.
_ESCAPED_CLASSES: Final[dict[str, Test]] = {
    "w": lambda c: c == "_" or _CLASSES["alnum"](c),
    "W": lambda c: c != "_" and not _CLASSES["alnum"](c),
    "s": _CLASSES["space"],
    "S": lambda c: not _CLASSES["space"](c),
}
_BOUNDARIES: Final = "<>`'bB"


class BadExpressionError(ValueError):
    """Not a basic regular expression, or one this matcher refuses."""


@dataclass(slots=True)
class _State:
    """A character test and the state after it; without a test, steps that cost nothing."""

    test: Test | None = None
    after: list[_State] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Node:
    """A parsed piece: a test, or pieces in sequence, or in alternative, repeated ``low`` to ``high`` times."""

    test: Test | None = None
    weight: int = 1  #: single tests that ``test`` makes
    sequence: tuple[_Node, ...] = ()
    choices: tuple[_Node, ...] = ()
    low: int = 1
    high: int | None = 1


@lru_cache(maxsize=256)
def compile_bre(expression: str, loose: bool = False) -> Callable[[str], bool]:
    """A function that says whether the whole of a text matches. Raises BadExpressionError.

    ``loose``: as IET, whose anchors held only the first alternative's beginning and the last one's end.
    """
    parser = _Parser(expression)
    end = _State()
    node = parser.whole()
    start = _Builder().build(_loosened(node) if loose else node, end)
    return lambda text: _matches(start, end, text)


def branches(expression: str) -> bool:
    """Whether a valid expression has alternatives outside of all groups."""
    return bool(_Parser(expression).whole().choices)


def _loosened(node: _Node) -> _Node:
    """What C makes of ``^a\\|b$``: a text that begins with a, or one that ends with b."""
    rest = (_Node(sequence=(_Node(test=_ANYTHING),), low=0, high=None),)
    last = len(node.choices) - 1
    loose = [
        _Node(sequence=(*(rest if index else ()), choice, *(rest if index < last else ())))
        for index, choice in enumerate(node.choices)
    ]
    return _Node(choices=tuple(loose)) if loose else node


def _matches(start: _State, end: _State, text: str) -> bool:
    current = _reachable([start])
    for character in text:
        hits = [state.after[0] for state in current if state.test is not None and state.test(character)]
        if not hits:
            return False
        current = _reachable(hits)
    return any(state is end for state in current)


def _reachable(states: list[_State]) -> list[_State]:
    """These states and all that follow without a character, each once."""
    seen: dict[int, _State] = {}
    pending = list(states)
    while pending:
        state = pending.pop()
        if id(state) not in seen:
            seen[id(state)] = state
            if state.test is None:
                pending += state.after
    return list(seen.values())


class _Builder:
    """Makes the automaton, back to front."""

    def __init__(self) -> None:
        self.states = 0

    def new(self, test: Test | None, after: list[_State]) -> _State:
        self.count()
        return _State(test, after)

    def count(self, weight: int = 1) -> None:
        """Every step of building counts, or repetitions of nothing would never end."""
        self.states += weight
        if self.states > MOST_STATES:
            raise BadExpressionError("it repeats too much")

    def build(self, node: _Node, end: _State) -> _State:
        """The state where ``node`` begins, if ``end`` follows it."""
        if node.high is None:
            loop = self.new(None, [end])
            loop.after.append(self.once(node, loop))
            end = loop
        else:
            finish = end
            for _ in range(node.high - node.low):
                end = self.new(None, [finish, self.once(node, end)])
        for _ in range(node.low):
            end = self.once(node, end)
        return end

    def once(self, node: _Node, end: _State) -> _State:
        self.count(node.weight)
        if node.test is not None:
            return self.new(node.test, [end])
        if node.choices:
            return self.new(None, [self.build(choice, end) for choice in node.choices])
        for part in reversed(node.sequence):
            end = self.build(part, end)
        return end


class _Parser:
    """Reads an expression from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def whole(self) -> _Node:
        node = self.alternatives()
        if self.at < len(self.text):
            raise BadExpressionError("\\) without \\(")
        return node

    def looking_at(self, token: str) -> bool:
        """Whether ``token`` is next; if so it is taken."""
        found = self.text.startswith(token, self.at)
        self.at += len(token) * found
        return found

    def alternatives(self) -> _Node:
        choices = [self.sequence()]
        while self.looking_at("\\|"):
            choices.append(self.sequence())
        return choices[0] if len(choices) == 1 else _Node(choices=tuple(choices))

    def sequence(self) -> _Node:
        parts: list[_Node] = []
        while self.at < len(self.text) and self.text[self.at : self.at + 2] not in ("\\|", "\\)"):
            part = self.single(first=not parts)
            parts.append(self.repeated(part))
        return _Node(sequence=tuple(parts))

    def single(self, first: bool) -> _Node:
        character = self.text[self.at]
        self.at += 1
        if character == "\\":
            return self.escaped(first)
        if character == "[":
            return self.bracket()
        if character == ".":
            return _Node(test=_ANYTHING)
        ends = self.text[self.at : self.at + 2] in ("\\|", "\\)")
        if (character == "^" and first and self.at > 1) or (character == "$" and ends):
            raise BadExpressionError(f"{character} is an anchor here")
        return _Node(test=character.__eq__)  # a star at the beginning is one, too

    def escaped(self, first: bool) -> _Node:
        character = self.text[self.at : self.at + 1]
        self.at += 1
        if character == "(":
            return self.group()
        if character in _ESCAPED_CLASSES:
            return _Node(test=_ESCAPED_CLASSES[character])
        if not character or character.isdigit() or character == "{" or character in _BOUNDARIES:
            raise BadExpressionError(f"\\{character} is not supported")
        return _Node(test=character.__eq__)

    def group(self) -> _Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise BadExpressionError("it nests too deep")
        node = self.alternatives()
        if not self.looking_at("\\)"):
            raise BadExpressionError("\\( without \\)")
        self.depth -= 1
        return node

    def repeated(self, node: _Node) -> _Node:
        for count in range(DEEPEST):
            low, high = 1, None
            if self.text[self.at : self.at + 1] == "*" or self.text[self.at : self.at + 2] == "\\{":
                if count:
                    break
                low, high = (0, None) if self.looking_at("*") else self.interval()
            elif self.looking_at("\\?"):
                low, high = 0, 1
            elif not self.looking_at("\\+"):
                return node
            node = _Node(sequence=(node,), low=low, high=high)
        raise BadExpressionError("it repeats a repetition")

    def interval(self) -> tuple[int, int | None]:
        match = _INTERVAL.match(self.text, self.at)
        if match is None:
            raise BadExpressionError("a bad interval")
        self.at = match.end()
        low = int(match["low"] or 0)
        if match["comma"] is None:
            high: int | None = low
        else:
            high = int(match["high"]) if match["high"] else None
        if high is not None and high < low:
            raise BadExpressionError("a bad interval")
        return low, high

    def bracket(self) -> _Node:
        """A bracket expression, after its ``[``."""
        negated = self.looking_at("^")
        tests: list[Test] = []
        while not tests or not self.looking_at("]"):
            dash = self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] != "]"
            if tests and dash:
                raise BadExpressionError("a range without a beginning")
            tests.append(self.bracket_item())
        return _Node(test=lambda c: any(test(c) for test in tests) is not negated, weight=len(tests))

    def bracket_item(self) -> Test:
        if self.looking_at("[:"):
            name, end, _ = self.text[self.at :].partition(":]")
            self.at += len(name) + 2
            if not end or name not in _CLASSES:
                raise BadExpressionError("an unknown character class")
            return _CLASSES[name]
        low = self.bracket_character()
        if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            high = self.bracket_character()
            if high < low:
                raise BadExpressionError("a range that ends before it begins")
            return lambda c: low <= c <= high
        return low.__eq__

    def bracket_character(self) -> str:
        if self.at >= len(self.text) or self.text[self.at : self.at + 2] in ("[.", "[=", "[:"):
            raise BadExpressionError("[ without ]")
        self.at += 1
        return self.text[self.at - 1]
