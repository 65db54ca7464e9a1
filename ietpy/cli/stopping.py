"""Being asked to stop: one signal unwinds what is under way, a second does not cut the unwinding short."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

#: Ctrl-C, kill, and a terminal that went away: each ends with 128 + its number, as a shell reports it.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked to stop. Not an Exception: nothing on its way may take it for a failure it can handle."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stopped at the first of the stopping signals, and let none interrupt the clearing up."""
    previous = {}

    def stop(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    try:
        for each in SIGNALS:
            if signal.getsignal(each) is not signal.SIG_IGN:  # as under nohup
                previous[each] = signal.signal(each, stop)
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
