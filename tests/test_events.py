"""The rows of events, and that nothing is logged without one."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path

import pytest

from ietpy.events import Event, confess

PACKAGE = Path(__file__).parents[1] / "ietpy"
LEVELS = {"info", "warning", "error", "critical", "exception", "log"}
#: Where a row becomes a call.
HERE = PACKAGE / "events.py"
log = logging.getLogger("ietpy.test")


def test_codes_are_words_and_no_two_are_one() -> None:
    codes = [event.code for event in Event]
    assert len({*codes}) == len(codes) == len(Event.__members__)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


@pytest.mark.parametrize("event", Event, ids=lambda event: event.code)
def test_each_says_what_it_means_and_what_to_do(event: Event) -> None:
    assert event.value.meaning.endswith(".")
    assert event.value.remedy
    assert not event.value.remedy.endswith(".")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_line_has_its_event(path: Path) -> None:
    """Details (``debug``) need none."""
    calls = [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
        and ast.unparse(node.func.value).rpartition(".")[2] in ("log", "logger", "logging")
    ]
    assert len(calls) == (1 if path == HERE else 0), calls


def test_every_event_is_told_somewhere() -> None:
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    told = {*re.findall(r"Event\.([A-Z_]+)\b", text)}
    assert {*Event.__members__} - told == set()


def test_what_a_line_carries(caplog: pytest.LogCaptureFixture) -> None:
    Event.LOGIN_REFUSED.tell(log, "%s: no", "10.0.0.1:5", peer="10.0.0.1", user="joe")
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno) == ("10.0.0.1:5: no", logging.WARNING)
    assert (record.event, record.peer, record.facts) == (Event.LOGIN_REFUSED, "10.0.0.1", {"user": "joe"})  # type: ignore[attr-defined]
    assert record.filename == "test_events.py"


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, False), (logging.DEBUG, True)])
def test_where_a_mistake_was_made_is_a_detail(level: int, shown: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(level, "ietpy.test"):
        try:
            raise ZeroDivisionError("x")
        except ZeroDivisionError as mistake:
            confess(log, "oh: %r", mistake)
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert bool(record.exc_info) is shown
