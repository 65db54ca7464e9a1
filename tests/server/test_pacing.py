"""Tasks that wait for their turn: let go when they are due, when limits have changed, or when all ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.scsi.pace import Grant, Meter
from ietpy.scsi.rates import Rates
from ietpy.scsi.task_set import State
from ietpy.server import pacing as module
from ietpy.server.pacing import Pacing


class Line:
    """Does what is posted at once, or keeps it in its inbox, and notes what has begun."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.inbox: list[Callable[[], None]] = []

    def post(self, word: Callable[[], None]) -> None:
        word()

    def begin(self, place: Any) -> None:
        assert place.grant is None
        self.begun.append(place)


def place(line: Line, wait: float, *meters: Meter, state: State = State.ENABLED) -> Any:
    """A place in a task set, of a task of ``line``, whose limits are ``meters``."""
    unit = SimpleNamespace(meter=meters[0] if meters else None)
    task = SimpleNamespace(nexus=SimpleNamespace(lu=unit, meter=None), connection=SimpleNamespace(owner=line))
    made = SimpleNamespace(grant=Grant(1, 1, wait, 0, meters), task=task, state=state)
    task.place = made
    return made


@pytest.fixture
def pacing() -> Iterator[Pacing]:
    made = Pacing()
    yield made
    made.close()
    assert not len(made)


@pytest.fixture
def line() -> Line:
    return Line()


def test_they_go_in_the_order_in_which_they_are_due(
    pacing: Pacing, line: Line, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    late, soon, sooner = (place(line, wait) for wait in (0.06, 0.03, 0.0))
    for each in (late, soon, sooner):
        pacing.hold(line, each)  # type: ignore[arg-type]
    eventually(lambda: len(line.begun) == 3)
    assert line.begun == [sooner, soon, late]


def test_its_thread_ends_when_there_is_nothing_to_wait_for(
    pacing: Pacing, line: Line, eventually: Callable[[Callable[[], bool]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINGER", 0.01)
    for count in (1, 2):
        pacing.hold(line, place(line, 0.0))  # type: ignore[arg-type]
        eventually(lambda count=count: len(line.begun) == count)  # type: ignore[misc]
        eventually(lambda: pacing._thread is None)


def test_what_waits_for_others_too_does_not_go_by_this(
    pacing: Pacing, line: Line, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    waits, ended = place(line, 0.0, state=State.DORMANT), place(line, 0.0)
    ended.task.place = None
    for each in (waits, ended):
        pacing.hold(line, each)  # type: ignore[arg-type]
    eventually(lambda: waits.grant is ended.grant is None)
    assert line.begun == []


def test_limits_that_changed_keep_nobody_waiting(
    pacing: Pacing, line: Line, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    freed, kept = place(line, 3600.0, Meter(Rates(1))), place(line, 3600.0, Meter(Rates(1)))
    for each in (freed, kept):
        pacing.hold(line, each)  # type: ignore[arg-type]
    pacing.review()
    assert len(pacing) == 2
    freed.task.nexus.lu.meter = Meter(Rates(2))
    pacing.review()
    eventually(lambda: line.begun == [freed])
    assert len(pacing) == 1


def test_at_the_end_nobody_waits(line: Line) -> None:
    pacing = Pacing()
    pacing.hold(line, place(line, 3600.0))  # type: ignore[arg-type]
    pacing.close()
    assert len(line.begun) == 1
    pacing.hold(line, place(line, 3600.0))  # type: ignore[arg-type]
    pacing.close()
    assert len(line.begun) == 2


def test_without_a_thread_the_limit_is_not_kept(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pacing = Pacing()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        pacing.hold(line, place(line, 3600.0))  # type: ignore[arg-type]
    assert "a limit of rates is not kept" in caplog.text
    for word in line.inbox:
        word()
    assert len(line.begun) == 1
    pacing.close()
