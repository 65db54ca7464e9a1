"""The report of an import or export."""

from __future__ import annotations

import pytest

from ietpy.cli.migration import facts, show, summary
from ietpy.errors import Span
from ietpy.migrate.model import Kind, Note

PLACE = Span("f", 3, 5)
NOTES = (
    Note(Kind.TAKEN, PLACE, "a", "as it is"),
    Note(Kind.LOST, PLACE, "b\x1b", "because"),
    Note(Kind.TAKEN, PLACE, "c", "d"),
)


@pytest.mark.parametrize(("notes", "words"), [
    ((), "nothing to report"),
    (NOTES, "2 taken, 1 lost"),
    ([Note(Kind.WARNING, PLACE, "a", "b")], "1 warning"),
    ([Note(Kind.WARNING, PLACE, "a", "b")] * 2 + [Note(Kind.REFUSED, PLACE, "a", "b")], "1 refused, 2 warnings"),
])
def test_summary(notes: tuple[Note, ...], words: str) -> None:
    assert summary(notes) == words


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show(NOTES)
    assert capsys.readouterr().err.splitlines() == [
        "f:3:5: taken: a: as it is", "f:3:5: lost: b\\x1b: because", "f:3:5: taken: c: d", "2 taken, 1 lost"
    ]
    show(NOTES, everything=False)
    assert capsys.readouterr().err.splitlines() == ["f:3:5: lost: b\\x1b: because", "2 taken, 1 lost"]


def test_facts() -> None:
    assert facts(NOTES[:1]) == [
        {"kind": "taken", "file": "f", "line": 3, "column": 5, "what": "a", "why": "as it is"}
    ]
