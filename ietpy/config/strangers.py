"""Keywords IET did not know: what their writer meant, and whether he meant to keep somebody out (decisions 1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from ietpy.config.options import (
    ACCESS_ELSEWHERE,
    ELSEWHERE,
    NO_GUARD,
    OPTION_BY_WORD,
    READ_ONLY_ELSEWHERE,
    Option,
    Origin,
    Reader,
)
from ietpy.config.syntax import BLANKS, Statement, Word

ALIKE: Final = 0.8  #: difflib's ratio from which a misspelling is understood, not only hinted at
#: What people put between a keyword and its value; what follows may be a secret and is never shown.
_JOINT: Final = re.compile("[=:,;/|\"']")
#: Too short a word for likeness alone: 'used' and 'super' are text.
_NEVER_LIKE: Final = ("User",)
#: With something like ``readonly`` or ``IOMode`` before them there is no doubt.
_READ_ONLY: Final = ("ro", "r", "readonly", "read-only", "yes", "on", "true", "1")
_KEEPS_OUT: Final = (Reader.INCOMING, Reader.ADDRESS, Reader.INITIATOR)
_HAS_WORDS: Final = (*_KEEPS_OUT, Reader.OUTGOING, Reader.VALUE)


@dataclass(frozen=True, slots=True)
class Stranger:
    """A keyword outside the vocabulary: ``head``, and ``tail`` joined to it by ``joint``.

    ``option`` is the keyword it is or resembles; ``sure``: it can only mean that one.
    """

    head: str
    joint: str
    tail: str
    option: Option | None
    sure: bool
    exact: bool

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
    exact = OPTION_BY_WORD.get(head.lower())
    if exact is not None:
        return Stranger(head, joint, tail, exact, True, True)
    near = get_close_matches(head.lower(), OPTION_BY_WORD, n=1)
    sure = bool(get_close_matches(head.lower(), near, cutoff=ALIKE))
    return Stranger(head, joint, tail, OPTION_BY_WORD[near[0]] if near else None, sure, False)


def in_one_word(statement: Statement) -> Statement | None:
    """``Incoming User a b`` with its keyword in one word; None if it is none then, either."""
    keyword = statement.keyword
    for first in statement.words[:1]:
        for whole in (f"{keyword.text}{first.text}", f"{keyword.text}-{first.text}"):
            if whole.lower() in OPTION_BY_WORD:
                return replace(behind(statement, first), keyword=replace(keyword, text=whole, complete=first.complete))
    return None


def guard(unknown: Stranger, statement: Statement) -> Guard | None:
    """What the line keeps from whom, if that is what its keyword is about; None for any other."""
    word = unknown.head.lower()
    value = unknown.tail or next((one.text for one in statement.words), "")
    if value.lower() in NO_GUARD:
        return None
    alike = get_close_matches(word, READ_ONLY_ELSEWHERE, 1, ALIKE)
    if word in alike or (alike and value.lower() in _READ_ONLY):
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
    """An equals sign or a colon by itself before the value of a line that has words."""
    first = next(iter(statement.words), None)
    return first if option.reader in _HAS_WORDS and first is not None and first.text in ("=", ":") else None


def behind(statement: Statement, word: Word) -> Statement:
    """The statement without ``word``, the first after its keyword."""
    rest = statement.rest
    text = rest.text[len(word.text) :].lstrip(BLANKS)
    return replace(statement, rest=rest.at(len(rest.text) - len(text), text))
