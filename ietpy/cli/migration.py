"""What ``ietpy import`` and ``ietpy export`` say alike: a report of what became of everything, in words and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

from ietpy.cli.output import counted
from ietpy.config.findings import printable
from ietpy.migrate.model import Kind, Note


def show(notes: Sequence[Note], *, everything: bool = True) -> None:
    """The report on standard error, a line each, and how many of each kind; without ``everything`` what is taken is
    only counted."""
    for note in notes:
        if everything or note.kind is not Kind.TAKEN:
            click.echo(printable(str(note)), err=True)
    click.echo(summary(notes), err=True)


def summary(notes: Iterable[Note]) -> str:
    """``12 taken, 1 lost``."""
    kinds = Counter(note.kind for note in notes)
    words = [f"{kinds[kind]} {kind.value}" for kind in Kind if kinds[kind] and kind is not Kind.WARNING]
    warnings = [counted(kinds[Kind.WARNING], "warning")] if kinds[Kind.WARNING] else []
    return ", ".join((*words, *warnings)) or "nothing to report"


def facts(notes: Iterable[Note]) -> list[dict[str, Any]]:
    """The report as JSON has it."""
    return [
        {
            "kind": note.kind.value,
            "file": note.span.file,
            "line": note.span.line,
            "column": note.span.column,
            "what": note.what,
            "why": note.why,
        }
        for note in notes
    ]
