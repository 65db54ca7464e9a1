"""A Batch (``ietpy.scsi.store``) of a store of the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ietpy.errors import StoreError
from ietpy.scsi.store import Move


class MadeBatch:
    """Moves when it is asked what became of a move. ``until`` waits; ``outcomes``: of an offset, instead of moving."""

    def __init__(
        self, store: Any, moves: Sequence[Move], until: Callable[[float | None], bool],
        outcomes: dict[int, StoreError | BlockingIOError],
    ) -> None:
        self.store = store
        self.moves = moves
        self.wait = until
        self.outcomes = outcomes
        self.read: dict[int, memoryview] = {}
        self.closed = False

    def failure(self, number: int) -> StoreError | None:
        move = self.moves[number]
        outcome = self.outcomes.get(move.offset)
        if isinstance(outcome, BlockingIOError):
            raise outcome
        if outcome is None and move.writes:
            self.store.write(move.offset, move.views, False)
        elif outcome is None:
            self.read[number] = memoryview(bytearray(move.length))
            self.store.read(move.offset, self.read[number])
        return outcome

    def data(self, number: int) -> memoryview:
        assert not self.closed
        return self.read[number]

    def close(self) -> None:
        self.closed = True
