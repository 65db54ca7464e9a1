"""What ``ietpy import`` and ``ietpy export`` say alike: a report of what became of everything, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ietpy.config.findings import printable
from ietpy.migrate.model import Kind, Note


def lines(notes: Iterable[Note]) -> Iterator[str]:
    """A line each, in the order of the source."""
    return (printable(str(note)) for note in notes)


def counts(notes: Sequence[Note]) -> dict[str, int]:
    """How many there are of each kind."""
    return {kind.value: sum(note.kind is kind for note in notes) for kind in Kind}


def summary(notes: Sequence[Note]) -> str:
    """The counts in words."""
    return ", ".join(f"{count} {kind}" for kind, count in counts(notes).items())


def is_bad(notes: Iterable[Note]) -> bool:
    """Whether something is lost, or was wrong."""
    return any(note.kind in (Kind.LOST, Kind.REFUSED) for note in notes)


def facts(notes: Sequence[Note]) -> dict[str, Any]:
    """The report as JSON has it."""
    return {
        "counts": counts(notes),
        "notes": [
            {
                "kind": note.kind.value, "file": note.span.file, "line": note.span.line, "column": note.span.column,
                "what": note.what, "why": note.why,
            }
            for note in notes
        ],
    }
