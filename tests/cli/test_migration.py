"""The report of an import or export."""

from __future__ import annotations

import pytest

from ietpy.cli.migration import facts, is_bad, lines, summary
from ietpy.errors import Span
from ietpy.migrate.model import Kind, Note

PLACE = Span("f", 3, 5)
TAKEN = Note(Kind.TAKEN, PLACE, "a", "as it is")
LOST = Note(Kind.LOST, PLACE, "b\x1b", "because")


def test_lines_move_no_cursor() -> None:
    assert list(lines([TAKEN, LOST])) == ["f:3:5: taken: a: as it is", "f:3:5: lost: b\\x1b: because"]


def test_summary() -> None:
    assert summary([TAKEN, LOST, TAKEN]) == "2 taken, 0 extension, 1 lost, 0 warning, 0 refused"


@pytest.mark.parametrize(("kind", "bad"), [
    (Kind.TAKEN, False), (Kind.EXTENSION, False), (Kind.WARNING, False), (Kind.LOST, True), (Kind.REFUSED, True)
])
def test_what_is_bad(kind: Kind, bad: bool) -> None:
    assert is_bad([TAKEN, Note(kind, PLACE, "a", "b")]) is bad
    assert not is_bad([])


def test_facts() -> None:
    assert facts([TAKEN]) == {
        "counts": {"taken": 1, "extension": 0, "lost": 0, "warning": 0, "refused": 0},
        "notes": [{"kind": "taken", "file": "f", "line": 3, "column": 5, "what": "a", "why": "as it is"}],
    }
