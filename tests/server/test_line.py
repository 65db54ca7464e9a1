"""What connections of a session share: word left under a lock that nobody waits for."""

from __future__ import annotations

import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

from ietpy.server.line import Line


class Member:
    """A pump, as far as a line knows it."""

    def __init__(self) -> None:
        self.connection = SimpleNamespace(enabled=deque(), owner=self)
        self.line = Line(self)  # type: ignore[arg-type]
        self.seen: list[Any] = []

    def begin(self, place: Any) -> None:
        self.seen.append(place)

    def flush_now(self) -> None:
        self.seen.append("flush")

    def confess(self, mistake: Exception) -> None:
        self.seen.append(mistake)

    def place(self) -> Any:
        return SimpleNamespace(task=SimpleNamespace(connection=self.connection))


def test_word_is_read_at_once_if_the_lock_is_free() -> None:
    member = Member()
    member.line.post(lambda: member.seen.append("word"))
    assert member.seen == ["word", "flush"]


def test_word_is_left_while_somebody_holds_the_lock() -> None:
    member = Member()
    with member.line.lock:
        thread = threading.Thread(target=lambda: member.line.post(lambda: member.seen.append("word")))
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        assert member.seen == []
    member.line.attend()
    assert member.seen == ["word", "flush"]


def test_words_that_words_leave_are_read_as_well_but_not_while_sending() -> None:
    member = Member()
    line = member.line
    line.inbox.append(lambda: line.inbox.append(lambda: member.seen.append("second")))
    line.between()
    assert member.seen == []
    line.read()
    assert member.seen == ["second"]


def test_whose_turn_has_come_is_told_on_his_own_line() -> None:
    member, other = Member(), Member()
    ours, theirs = member.place(), other.place()
    member.line.enabled.extend((ours, theirs))
    member.line.read()
    assert member.seen == [ours]
    assert other.seen == [theirs, "flush"]


def test_a_mistake_costs_the_session_and_not_who_reads() -> None:
    member = Member()
    mistake = ValueError("ours")

    def fail() -> None:
        raise mistake

    member.line.post(fail)
    assert member.seen == [mistake, "flush"]
