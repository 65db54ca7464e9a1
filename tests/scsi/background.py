"""A transport for operations that outlive their commands: it keeps jobs until a test runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, repeat
from typing import Any


class Transport:
    """``asked`` is what happens, in turn, when an operation asks whether the transport ends (``ends``)."""

    def __init__(self, device: Any, asked: Iterable[Callable[[], object]] = ()) -> None:
        self.jobs: list[tuple[Any, Callable[[], None]]] = []
        self.quiesced = 0
        self.ends = False
        self.then(*asked)
        device.served(self._quiesce, lambda unit, job: self.jobs.append((unit, job)), self._stopping)

    def _quiesce(self) -> None:
        self.quiesced += 1

    def _stopping(self) -> bool:
        next(self.asked)()
        return self.ends

    def then(self, *asked: Callable[[], object]) -> None:
        """From now on this happens; nothing when it is over."""
        self.asked = chain(asked, repeat(lambda: None))

    def end(self) -> None:
        self.ends = True

    def run(self) -> None:
        """Run what there is to do, once."""
        jobs, self.jobs = self.jobs, []
        for _, job in jobs:
            job()
