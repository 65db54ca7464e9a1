"""Whether a target settles operational keys as RFC 7143 sections 6.2 and 13 say, and what is settled.

Judged by the rows of ``iscsi.keys`` but apart from the target's own negotiation code, so that it can find its mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ietpy.initiator.errors import TargetFault
from ietpy.iscsi.keys import KEY_BY_NAME, Key, Parameters, Result, Use
from ietpy.iscsi.text import NOT_UNDERSTOOD, REFUSALS

#: Whether ``answer`` may follow our ``offer`` (section 6.2).
_LEGAL: Final[Mapping[Result, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        Result.AND: lambda offer, answer: offer or not answer,
        Result.OR: lambda offer, answer: answer or not offer,
        Result.MIN: lambda offer, answer: answer <= offer,
        Result.MAX: lambda offer, answer: answer >= offer,
        Result.LIST: lambda offer, answer: len(answer) == 1 and answer[0] in offer,
        Result.OBSOLETE_NO: lambda offer, answer: answer is False,
        Result.OBSOLETE_REJECT: lambda offer, answer: False,
    }
)
#: What our side says to a key the target offers first: the value that leaves the result to the target.
_AGREE: Final[Mapping[Result, Callable[[Any], Any]]] = MappingProxyType(
    {
        Result.AND: lambda value: value,
        Result.OR: lambda value: value,
        Result.MIN: lambda value: value,
        Result.MAX: lambda value: value,
        Result.LIST: lambda value: value[:1],
        Result.OBSOLETE_NO: lambda value: False,
    }
)
#: Offers whose result is settled without an answer (section 6.2.2).
_NO_ANSWER_NEEDED: Final = frozenset({(Result.AND, False), (Result.OR, True)})
#: Keys younger than RFC 3720: a target may say that it does not understand them.
_YOUNG: Final = frozenset({"TaskReporting", "iSCSIProtocolLevel"})


class Settlement:
    """The negotiation of one login from the initiator's side. ``offers``: what we say first, as words."""

    def __init__(self, offers: Mapping[str, str]) -> None:
        self.offers = offers
        self.parameters = Parameters()
        self._said: dict[str, str] = {}
        self._open: list[str] = []

    def hear(self, answer: Mapping[str, str]) -> dict[str, str]:
        """Take one answer of the target; what we must say to keys it offered itself."""
        self._said.update(answer)
        replies: dict[str, str] = {}
        for name, word in answer.items():
            key = KEY_BY_NAME.get(name)
            if key is None:
                if word not in REFUSALS:
                    replies[name] = NOT_UNDERSTOOD
            elif name not in self.offers and key.result in _AGREE:
                value = parsed(key, word)
                reply = _AGREE[key.result](value)
                replies[name] = key.value.render(reply)
                self._keep(key, reply)
            elif word not in REFUSALS:
                self._take(key, word)
        self._open = sorted(replies)
        return replies

    def _ours(self, key: Key) -> Any:
        """The value of our offer; None if there is none, or if it is a wrong one on purpose."""
        try:
            return key.value.parse(self.offers[key.name])
        except (KeyError, ValueError):
            return None

    def _take(self, key: Key, word: str) -> None:
        """Keep a declared value, or the result of our offer."""
        value = parsed(key, word)
        if key.use in (Use.FIRST, Use.FULL_FEATURE):
            raise TargetFault(key.section, f"a target may not say {key.name} during login")
        if key.result is Result.DECLARE:
            if key.name == "MaxRecvDataSegmentLength":
                self.parameters.max_xmit_data_segment_length = value
            return
        ours = self._ours(key)
        if ours is not None and not _LEGAL[key.result](ours, value):
            raise TargetFault(
                key.section, f"{key.name}={word} is no legal answer to our {key.name}={self.offers[key.name]}"
            )
        self._keep(key, value)

    def _keep(self, key: Key, value: Any) -> None:
        if key.attribute:
            setattr(self.parameters, key.attribute, "CRC32C" in value if key.result is Result.LIST else value)

    def close(self) -> Parameters:
        """What holds from now on, when the target has moved on. Raises TargetFault for what was left open."""
        if self._open:
            raise TargetFault("6.2", f"the target ended the negotiation with its own offers open: {self._open}")
        for name, word in self.offers.items():
            self._check_answered(name, word)
        self._check_bursts()
        return self.parameters

    def _check_answered(self, name: str, word: str) -> None:
        """Every offer needs an answer, but where the result is plain without one (section 6.2.2)."""
        key = KEY_BY_NAME.get(name)
        if key is None:
            if name not in self._said:
                raise TargetFault("6.2", f"{name} was not answered; NotUnderstood is due")
            return
        if key.result is Result.DECLARE:
            if name == "MaxRecvDataSegmentLength":
                self.parameters.max_recv_data_segment_length = self._ours(key) or key.default
            return
        if name not in self._said:
            value = self._ours(key)
            if (key.result, value) not in _NO_ANSWER_NEEDED:
                raise TargetFault("6.2", f"our offer {name}={word} was not answered")
            self._keep(key, value)
        elif self._said[name] == NOT_UNDERSTOOD and name not in _YOUNG:
            raise TargetFault("6.2", f"the target does not understand {name}, which every implementation must")

    def _check_bursts(self) -> None:
        """FirstBurstLength must not exceed MaxBurstLength (section 13.14), if our own offers allow that."""
        first, longest = (
            self._ours(key) or key.default for key in (KEY_BY_NAME["FirstBurstLength"], KEY_BY_NAME["MaxBurstLength"])
        )
        settled = self.parameters
        if first <= longest and settled.first_burst_length > settled.max_burst_length:
            raise TargetFault(
                "13.14",
                f"FirstBurstLength {settled.first_burst_length} exceeds MaxBurstLength {settled.max_burst_length}",
            )


def parsed(key: Key, word: str) -> Any:
    """The value of a word. Raises TargetFault with the key's section."""
    try:
        return key.value.parse(word)
    except ValueError as problem:
        raise TargetFault(key.section, f"{key.name}={word!r}; accepted is {problem}") from None
