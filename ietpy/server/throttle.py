"""Guesses of secrets, slowed down: who got a CHAP secret wrong a few times is heard at growing intervals.

Where several processes serve logins, each hears of the guesses of the others (``hear_of``).

Knows no clock and no socket; times are seconds of any clock that only goes forward. A source is an IPv4 address, or
the /64 of an IPv6 one, which a single host has whole. Nobody is locked out: a right secret is as good as ever when its
turn has come, and makes room for the next at once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_PREFIX: Final = 64  #: bits of an IPv6 address that say whose it is (RFC 4291 section 2.5.4)
#: Wrong secrets that cost nothing: somebody types them, or has one target of several wrong (2026-11).
FREE: Final = 5
#: Seconds between two guesses after these: they double with every wrong one, up to the longest, which leaves a login
#: the time it has (``logins.LOGIN_SECONDS``).
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0
#: Seconds without a wrong secret after which all is forgotten.
MEMORY: Final = 600.0
#: Sources remembered; of more, those that have been quiet the longest are forgotten.
SOURCES: Final = 4096


def source(address: str) -> str:
    """Who a numeric address is counted with."""
    numeric = ipaddress.ip_address(address)
    if numeric.version == 4:
        return str(numeric)
    mapped = numeric.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(numeric), _PREFIX), strict=False).network_address)


@dataclass(slots=True)
class _Guesser:
    wrong: int = 0
    latest: float = 0.0
    #: From when on the next guess is heard.
    ready: float = 0.0
    #: Whether the latest wrong one came to another process, which will say so in the log.
    foreign: bool = False

    @property
    def pause(self) -> float:
        if self.wrong < FREE:
            return 0.0
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.wrong - FREE, 16))


def _nobody(event: str, source: str, now: float) -> None:
    pass


class Throttle:
    """What is remembered of wrong secrets, by source. ``tell`` is called with what other processes must know."""

    def __init__(self) -> None:
        self.tell: Callable[[str, str, float], None] = _nobody
        #: The one that has been quiet the longest first.
        self._guessers: dict[str, _Guesser] = {}

    def ready(self, source: str) -> float:
        """From when on a guess is heard; 0 for one who need not wait."""
        guesser = self._guessers.get(source)
        return guesser.ready if guesser is not None else 0.0

    def heard(self, source: str, now: float) -> None:
        """A guess is listened to; the next one waits."""
        guesser = self._guessers.get(source)
        if guesser is not None:
            guesser.ready = now + guesser.pause
            self.tell("heard", source, now)

    def right(self, source: str, now: float) -> None:
        """The guess was none: nobody waits because of it. Wrong ones stay counted: he may know one secret of many."""
        guesser = self._guessers.get(source)
        if guesser is not None:
            guesser.ready = now
            self.tell("right", source, now)

    def wrong(self, source: str, now: float) -> int:
        """A guess was wrong; how many that makes."""
        self.tell("wrong", source, now)
        return self._wrong(source, now)

    def hear_of(self, event: str, source: str, now: float) -> None:
        """Another process told this."""
        if event == "wrong":
            self._wrong(source, now)
            self._guessers[source].foreign = True
        elif source in self._guessers:
            guesser = self._guessers[source]
            guesser.ready = now if event == "right" else now + guesser.pause

    def _wrong(self, source: str, now: float) -> int:
        guesser = self._guessers.pop(source, None) or _Guesser()
        self._guessers[source] = guesser
        if len(self._guessers) > SOURCES:
            del self._guessers[next(iter(self._guessers))]
        guesser.wrong += 1
        guesser.latest, guesser.foreign = now, False
        guesser.ready = max(guesser.ready, now + guesser.pause)
        return guesser.wrong

    def forget(self, now: float) -> list[tuple[str, int]]:
        """Forget who has been quiet long enough; those of them who had to wait here, and how often they were wrong."""
        gone = []
        while self._guessers:
            source, guesser = next(iter(self._guessers.items()))
            if now - guesser.latest < MEMORY:
                break
            del self._guessers[source]
            if guesser.wrong > FREE and not guesser.foreign:
                gone.append((source, guesser.wrong))
        return gone
