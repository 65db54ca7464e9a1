"""Batches that take turns: one after another, but never behind one that is stuck."""

from __future__ import annotations

import threading

import pytest

from ietpy.server import turns
from ietpy.server.turns import Turns


def test_one_after_another() -> None:
    row = Turns()
    first = row.take()
    second: list[bool] = []
    waiting = threading.Thread(target=lambda: (second.append(True), row.take().release()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "PATIENCE", 60)
        waiting.start()
        assert not first.acquire(blocking=False)
        first.release()
        waiting.join(60)
    assert not waiting.is_alive()
    assert second == [True]
    assert row.take() is first


def test_a_batch_that_is_stuck_loses_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0)
    row = Turns()
    stuck = row.take()
    second = row.take()
    assert second is not stuck
    second.release()
    assert row.take() is second  # and nobody waits for the stuck one again
    stuck.release()


def test_who_waited_meanwhile_joins_the_new_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Turns()
    stuck = row.take()
    new = threading.Lock()

    class Impatient:
        """The stuck lock; another thread has given it up while this one waited."""

        def acquire(self, timeout: float) -> bool:
            row._lock = new
            return False

    row._lock = Impatient()  # type: ignore[assignment]
    assert row.take() is new
    stuck.release()
