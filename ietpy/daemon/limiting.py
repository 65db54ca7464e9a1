"""How often the log says the same: so much of one code about one peer (or LUN), and so much of one code in all.

What comes more often is counted, and told when the time is over. As long as it goes on the times double, up to an hour,
so that whoever sends what we log cannot fill a disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ietpy.server.throttle import source

FIRST: Final = 60.0  #: seconds that are counted together
LONGEST: Final = 3600.0
PER_PEER: Final = 10  #: lines of one code about one peer in that time
PER_CODE: Final = 50  #: lines of one code in that time, whoever they are about


class Suppressed(NamedTuple):
    """So many lines were kept back. ``about``: a peer, or a LUN; empty: of all."""

    code: str
    about: str
    lines: int
    seconds: float


@dataclass(slots=True)
class _Window:
    begun: float
    length: float
    told: int = 0
    kept_back: int = 0


class Limiter:
    """Not for several threads at once. Who is remembered had a line told in a time that is not over: few."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}
        self._next = 0.0  #: when the first of them is over

    def admit(self, code: str, about: str) -> tuple[bool, list[Suppressed]]:
        """Whether to log a line now, and what is due to be told before it."""
        due = self.due()
        whole = self._window(code, "")
        if whole.told >= PER_CODE:
            whole.kept_back += 1
            return False, due
        if about:
            mine = self._window(code, _whose(about))
            if mine.told >= PER_PEER:
                mine.kept_back += 1
                return False, due
            mine.told += 1
        whole.told += 1
        return True, due

    def _window(self, code: str, about: str) -> _Window:
        found = self._windows.get((code, about))
        if found is None:
            found = self._windows[code, about] = _Window(self._clock(), FIRST)
            self._next = min(self._next or found.begun + FIRST, found.begun + FIRST)
        return found

    def due(self) -> list[Suppressed]:
        """What was kept back in times that are over."""
        now = self._clock()
        if not self._windows or now < self._next:
            return []
        told = []
        for (code, about), window in list(self._windows.items()):
            if now < window.begun + window.length:
                continue
            if window.kept_back:
                told.append(Suppressed(code, about, window.kept_back, window.length))
                self._windows[code, about] = _Window(now, min(window.length * 2, LONGEST))
            else:
                del self._windows[code, about]
        self._next = min((window.begun + window.length for window in self._windows.values()), default=0.0)
        return told

    def settle(self) -> list[Suppressed]:
        """All that was kept back and not told yet."""
        now = self._clock()
        told = [
            Suppressed(code, about, window.kept_back, now - window.begun)
            for (code, about), window in self._windows.items() if window.kept_back
        ]
        self._windows.clear()
        return told

    @property
    def waits(self) -> bool:
        """Whether something was kept back."""
        return any(window.kept_back for window in self._windows.values())

    @property
    def wait(self) -> float:
        """Seconds until the first of those times is over."""
        return max(0.0, self._next - self._clock())


def _whose(about: str) -> str:
    """One host has many addresses."""
    try:
        return source(about)
    except ValueError:
        return about
