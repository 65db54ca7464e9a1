"""Applies the rows of ``keys``: what to answer, what to offer, what holds in the end (RFC 7143 section 6.2).

Knows no key by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ietpy.iscsi.keys import KEY_BY_NAME, KEYS, Key, Parameters, Result, Use
from ietpy.iscsi.text import IRRELEVANT, NOT_UNDERSTOOD, REFUSALS, REJECT, Pairs

#: What two values make of each other; None where they have nothing in common.
_COMBINE: Final[Mapping[Result, Callable[[Any, Any], Any]]] = {
    Result.AND: lambda ours, theirs: ours and theirs,
    Result.OR: lambda ours, theirs: ours or theirs,
    Result.MIN: min,
    Result.MAX: max,
    Result.LIST: lambda ours, theirs: next(((word,) for word in theirs if word in ours), None),
}

#: Results that need no look at the value (section 13.25).
_FIXED: Final[Mapping[Result, str]] = {Result.OBSOLETE_NO: "No", Result.OBSOLETE_REJECT: REJECT}

#: Keys of the operational stage of a session's leading connection and of its later ones, and of the full feature phase.
LOGIN_USES: Final = frozenset((Use.LOGIN, Use.CONNECTION, Use.ALL))
CONNECTION_USES: Final = frozenset((Use.CONNECTION, Use.ALL))
FULL_FEATURE_USES: Final = frozenset((Use.ALL, Use.FULL_FEATURE))


class Negotiation:
    """One login's (or one Text negotiation's) settling of keys into ``parameters``.

    ``configured`` has the values ietd.conf names, by key; all others are offered as their row says. Keys of other
    ``uses`` are rejected and never offered.
    """

    def __init__(
        self, configured: Mapping[str, Any], parameters: Parameters, *, discovery: bool,
        uses: frozenset[Use] = LOGIN_USES,
    ) -> None:
        self._configured = configured
        self._parameters = parameters
        self._discovery = discovery
        self._uses = uses
        #: Keys the initiator named.
        self._seen: set[str] = set()
        #: Keys we offered, and of these the ones whose answer is still to come.
        self._offered: set[str] = set()
        self._open: set[str] = set()
        self._declared = False
        for row in KEYS:
            if row.cap in configured:
                held = getattr(parameters, row.peer)
                setattr(parameters, row.peer, min(held, configured[row.cap]))

    @property
    def settled(self) -> bool:
        """Whether every offer of ours that needs an answer has one."""
        return not self._open

    def answer(self, pairs: Pairs) -> Pairs:
        """Answers to what the initiator sent. Raises ValueError for what breaks the rules of negotiation."""
        answers = []
        for name, value in sorted(pairs, key=_is_bound):  # a bound is settled before what it bounds
            if name in self._seen:
                raise ValueError(f"{name} is negotiated a second time")
            self._seen.add(name)
            row = KEY_BY_NAME.get(name)
            if row is None:
                # A refusal of an unknown key is an answer to a question nobody asked.
                if value not in REFUSALS:
                    answers.append((name, NOT_UNDERSTOOD))
                continue
            said = self._answer_one(row, value)
            if said is not None:
                answers.append((name, said))
        return answers

    def _answer_one(self, row: Key, value: str) -> str | None:
        """What to say to one offer, declaration or answer; None for nothing."""
        if row.use is Use.TARGET:
            raise ValueError(f"{row.name} is for targets to send")
        if value in REFUSALS and row.name not in self._offered:
            raise ValueError(f"{row.name}={value} answers nothing, and is no proposal (section 6.2)")
        if row.use not in self._uses:
            return REJECT
        if row.result in _FIXED:
            return _FIXED[row.result]
        if row.name in self._offered:
            self._take_answer(row, value)
            return None
        if self._discovery and row.normal_only:
            return IRRELEVANT
        try:
            theirs = _parse(row, value)
        except ValueError:
            return REJECT
        if row.result is Result.DECLARE:
            if row.peer:
                setattr(self._parameters, row.peer, min(theirs, self._configured.get(row.cap, theirs)))
            return None
        return self._settle(row, theirs)

    def _take_answer(self, row: Key, value: str) -> None:
        """The initiator's answer to our offer: a refusal leaves the default, any other must be a possible result."""
        self._open.discard(row.name)
        if value == NOT_UNDERSTOOD:
            raise ValueError(f"{row.name}={value} is no answer: every initiator has to understand it (section 6.2)")
        if value in REFUSALS:
            return
        try:
            theirs = _parse(row, value)
        except ValueError:
            raise ValueError(f"{row.name}={value[:40]!a} is no answer; {row.value.accepts} is accepted") from None
        if self._combine(row, theirs) != theirs:
            ours = row.value.render(self._wish(row))
            raise ValueError(f"{row.name}={value[:40]!a} is no possible answer to our {row.name}={ours}")
        self._settle(row, theirs)

    def _combine(self, row: Key, theirs: Any) -> Any:
        return _COMBINE[row.result](self._wish(row), theirs)

    def _wish(self, row: Key) -> Any:
        """What we say of a key; of a bounded one no more than its bound allows, as far as that is settled."""
        ours = row.wish(self._configured)
        if not row.bound:
            return ours
        bound = KEY_BY_NAME[row.bound]
        return min(ours, bound.wish(self._configured), getattr(self._parameters, bound.attribute))

    def _settle(self, row: Key, theirs: Any) -> str:
        result = self._combine(row, theirs)
        if result is None:
            return REJECT
        if row.attribute:
            setattr(self._parameters, row.attribute, _held(row, result))
        return row.value.render(result)

    def declarations(self, answers: Pairs) -> Pairs:
        """Our own declared values, once; not of a key that ``answers`` names already, to reject it."""
        if self._declared:
            return []
        self._declared = True
        pairs = []
        for row in KEYS:
            if row.result is Result.DECLARE and row.attribute and (row.name, REJECT) not in answers:
                ours = row.wish(self._configured)
                setattr(self._parameters, row.attribute, ours)
                pairs.append((row.name, row.value.render(ours)))
        return pairs

    def wishes(self) -> list[Key]:
        """Keys whose value the configuration names or bounds, and the initiator's silence would deny it."""
        return [
            row
            for row in KEYS
            if (row.name in self._configured or row.bound in self._configured)
            and row.name not in self._seen | self._offered
            and row.use in self._uses and row.result in _COMBINE and not (self._discovery and row.normal_only)
            and self._combine(row, row.default) != row.default
        ]

    def offers(self) -> Pairs:
        """The wishes, offered once each."""
        pairs = []
        for row in self.wishes():
            ours = self._wish(row)
            self._offered.add(row.name)
            if row.result is Result.AND:
                # ImmediateData=No and its like settle the result and need no answer (section 6.2.2).
                setattr(self._parameters, row.attribute, ours)
            else:
                self._open.add(row.name)
            pairs.append((row.name, row.value.render(ours)))
        return pairs

    def finish(self) -> None:
        """Keep to the bounds (section 13.14) where a later key, or the initiator's silence, went below one."""
        for row in KEYS:
            if row.bound:
                held = getattr(self._parameters, KEY_BY_NAME[row.bound].attribute)
                setattr(self._parameters, row.attribute, min(getattr(self._parameters, row.attribute), held))


def _is_bound(pair: tuple[str, str]) -> bool:
    row = KEY_BY_NAME.get(pair[0])
    return row is not None and bool(row.bound)


def _parse(row: Key, value: str) -> Any:
    """A value as its row reads it; lists may have words nobody here knows (section 6.2.1)."""
    if row.result is Result.LIST:
        return tuple(value.split(","))
    return row.value.parse(value)


def _held(row: Key, result: Any) -> Any:
    """A result as ``Parameters`` keeps it: of lists, whether something else than the default was chosen."""
    return result != row.default if row.result is Result.LIST else result
