"""Keywords IET did not know: what their writer meant, and whether he meant to keep somebody out (decisions 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, get_close_matches
from typing import Final

from ietpy.config.options import (
    ACCESS_ELSEWHERE,
    ELSEWHERE,
    NO_GUARD,
    OPTION_BY_WORD,
    READ_ONLY_ELSEWHERE,
    RESTRICTING,
    Option,
    Origin,
    Reader,
)
from ietpy.config.syntax import BLANKS, Statement, Word
from ietpy.schema import Text

ALIKE: Final = 0.8  #: difflib's ratio from which a misspelling is understood, not only hinted at
#: What people put between a keyword and its value; what follows may be a secret and is never shown.
_JOINT: Final = re.compile("[=:,;/|\"']")
#: Too short a word for likeness alone: 'used' and 'super' are text.
_NEVER_LIKE: Final = ("User",)
#: With something like ``readonly`` or ``IOMode`` before them there is no doubt.
_READ_ONLY: Final = ("ro", "r", "readonly", "read-only", "yes", "on", "true", "1")
_KEEPS_OUT: Final = (Reader.INCOMING, Reader.INCOMING_FILE, *RESTRICTING)
_KEEPING_OUT: Final = tuple(
    word
    for word, option in OPTION_BY_WORD.items()
    if option.name not in _NEVER_LIKE and (option.guards or option.reader in _KEEPS_OUT)
)
_HAS_WORDS: Final = (*_KEEPS_OUT, Reader.OUTGOING, Reader.VALUE, Reader.PORTAL)


@dataclass(frozen=True, slots=True)
class Stranger:
    """A keyword outside the vocabulary: ``head``, and ``tail`` joined to it by ``joint``.

    ``option`` is the keyword it is or resembles, by difflib's ``ratio``.
    """

    head: str
    joint: str
    tail: str
    option: Option | None
    ratio: float

    @property
    def exact(self) -> bool:
        return self.ratio == 1

    @property
    def sure(self) -> bool:
        """Whether it can only mean that keyword."""
        return self.ratio >= ALIKE

    @property
    def hint(self) -> str:
        """What to write instead, where the line is ignored."""
        elsewhere = ELSEWHERE.get(f"{self.head}{self.joint}{self.tail}".lower())
        if elsewhere is not None or self.option is None:
            return elsewhere or "the line is ignored"
        return self.option.prose if self.option.origin is Origin.BORROWED else f"did you mean {self.option.name}?"


@dataclass(frozen=True, slots=True)
class Guard:
    """What a line that means to keep somebody out does, in words for its message."""

    effect: str
    hint: str
    read_only: bool = False
    isns: bool = False
    account: bool = False  #: an account is what it asks for


def stranger(keyword: Word) -> Stranger:
    """What ``keyword`` may mean."""
    match = _JOINT.search(keyword.text)
    head = keyword.text[: match.start()] if match else keyword.text
    joint, tail = (match.group(), keyword.text[match.end() :]) if match else ("", "")
    return Stranger(head, joint, tail, *_nearest(head, OPTION_BY_WORD))


def _nearest(head: str, words: Iterable[str]) -> tuple[Option | None, float]:
    """The most similar of some keywords, and how similar it is."""
    near = get_close_matches(head.lower(), words, 1)
    if not near:
        return None, 0.0
    return OPTION_BY_WORD[near[0]], SequenceMatcher(None, near[0], head.lower()).ratio()


def in_one_word(unknown: Stranger, statement: Statement) -> tuple[Option, Statement] | None:
    """What ``Incoming User a b`` means with its keyword in one word; None if it is none then, either.

    One that keeps somebody out may be misspelt besides.
    """
    keyword = statement.keyword
    for first in statement.words[:1]:
        joint = _JOINT.search(first.text)
        half = first if joint is None else first.at(0, first.text[: joint.end()])
        whole = keyword.text + (first.text if joint is None else first.text[: joint.start()])
        option = OPTION_BY_WORD.get(whole.lower())
        if option is None:
            near, ratio = _nearest(whole, _KEEPING_OUT)
            option = near if ratio > max(unknown.ratio, ALIKE) else None
        if option is not None:
            return option, replace(behind(statement, half), keyword=replace(keyword, complete=first.complete))
    return None


def guard(unknown: Stranger, statement: Statement) -> Guard | None:
    """What the line keeps from whom, if that is what its keyword is about; None for any other."""
    word = unknown.head.lower()
    value = unknown.tail or next((one.text for one in statement.words), "")
    if value.lower() in NO_GUARD:
        return None
    if word in READ_ONLY_ELSEWHERE or forbids_writing(word, value):
        return Guard("all LUNs are read-only", "write IOMode=ro on the Lun lines that need it", read_only=True)
    if word in ACCESS_ELSEWHERE:
        account = ACCESS_ELSEWHERE[word]
        effect = "what it protects is closed" + (" without an account" if account else "")
        return Guard(effect, "write IncomingUser, or use initiators.allow or targets.allow", account=account)
    option = unknown.option
    if option is None or unknown.sure or option.name in _NEVER_LIKE:
        return None
    hint = f"did you mean {option.name}?"
    if option.attribute == "isns_access_control":
        return Guard("access control is on, to be safe", hint, isns=True)
    return Guard("what it protects is closed", hint) if option.reader in _KEEPS_OUT else None


def forbids_writing(word: str, value: str) -> bool:
    """Whether something like ``IOMod`` with this value can only mean that nobody is to write."""
    alike = get_close_matches(word.lower(), READ_ONLY_ELSEWHERE, 1, ALIKE)
    return bool(alike) and value.strip("\"'").lower() in _READ_ONLY


def parted(statement: Statement, unknown: Stranger) -> Statement:
    """``Key=value`` as ``Key value``."""
    keyword, rest = statement.keyword, statement.rest
    head = len(unknown.head)
    if not unknown.tail:
        return statement
    text = f"{unknown.tail} {rest.text}".rstrip(BLANKS)
    return Statement(
        Word(keyword.text[:head], keyword.line, keyword.column),
        Word(text, keyword.line, keyword.column + head + 1, rest.complete),
    )


def joint_before(option: Option, statement: Statement) -> Word | None:
    """An equals sign or a colon by itself before the words of a line; before a value the sign may touch it."""
    touching = "=:" if option.reader is Reader.VALUE and not isinstance(option.value, Text) else ""
    for first in statement.words[:1] if option.reader in _HAS_WORDS else ():
        if first.text in ("=", ":") or first.text[0] in touching:
            return first.at(0, first.text[0])
    return None


def behind(statement: Statement, word: Word) -> Statement:
    """The statement without ``word``, the first after its keyword."""
    rest = statement.rest
    text = rest.text[len(word.text) :].lstrip(BLANKS)
    return replace(statement, rest=rest.at(len(rest.text) - len(text), text))


def seen(option: Option, statement: Statement) -> bool:
    """Whether IET saw as many whole words as the line needs; a crash for want of one is not copied."""
    needed = 2 if option.reader is Reader.INCOMING else 1
    words = statement.words[:needed]
    return len(words) == needed and (words[-1].complete or option.crash or not option.tokenised)
