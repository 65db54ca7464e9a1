"""What commands print: one table, one JSON document, and numbers in words, alike everywhere.

rich is loaded where something is drawn. Names come from files and from initiators: whatever could move a terminal's
cursor is escaped before it gets there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from ietpy.config.findings import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FORMAT: Final = 1  #: of the JSON; a field that goes or changes its meaning makes it 2
UNKNOWN: Final = "-"  #: stands for a fact the daemon does not tell
#: Where nobody looks, a line is a row: what reads it splits lines.
_PIPE_WIDTH: Final = 10_000
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_THOUSANDS: Final = ("", "k", "M", "G")
_AGES: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SPANS: Final = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and whether numbers stand to the right in it."""

    heading: str
    right: bool = False
    style: str = ""


def number(heading: str, style: str = "") -> Column:
    """A column of numbers."""
    return Column(heading, True, style)


def console(stderr: bool = False) -> Console:
    """A console that has colours and the terminal's width where one looks at it, and neither in a pipe or file.

    $NO_COLOR takes the colours, $COLUMNS says another width.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Table:
    """A rich table, without lines, of cells that are all text. What does not fit is folded, never cut."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        drawn.add_column(
            column.heading, justify="right" if column.right else "left", style=column.style,
            no_wrap=column.right, overflow="fold",
        )
    for row in rows:
        drawn.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
    return drawn


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Print ``rows`` below their headings; ``nothing`` is said on standard error where there are none."""
    if not rows:
        click.echo(nothing, err=True)
        return
    if sys.stdout.isatty():
        console().print(table(columns, rows))
    else:
        click.echo("\n".join(plain(columns, rows)))


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The same for a pipe or a file, without rich, which takes a second for a thousand rows: a row is a line."""
    lines = [[column.heading for column in columns], *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = zip(line, widths, columns, strict=True)
        padded = (cell.rjust(width) if column.right else cell.ljust(width) for cell, width, column in cells)
        yield "  ".join(padded).rstrip()


def show_json(document: dict[str, Any]) -> None:
    """Print one object, its ``format`` first. What is no text is escaped as in everything that is printed."""
    click.echo(json.dumps(_clean({"format": FORMAT, **document}), indent=2, ensure_ascii=False))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_clean(name): _clean(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(each) for each in value]
    return value


# Numbers in words ---------------------------------------------------------------------------------------------------


def in_bytes(count: float | None) -> str:
    """Bytes, with three digits that count: ``512 B``, ``1.5 KiB``, ``10 GiB``."""
    if count is None:
        return UNKNOWN
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1023.5:
            return f"{_digits(value)} {unit}"
        value /= 1024
    return f"{_digits(value)} {_UNITS[-1]}"


def per_second(count: float | None) -> str:
    """How often in a second: ``812``, ``1.2k``, ``58k``."""
    if count is None:
        return UNKNOWN
    value = float(count)
    for unit in _THOUSANDS[:-1]:
        if value < 999.5:
            return f"{_digits(value)}{unit}"
        value /= 1000
    return f"{_digits(value)}{_THOUSANDS[-1]}"


def _digits(value: float) -> str:
    shown = f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
    return shown.removesuffix(".0")


def latency(seconds: float | None) -> str:
    """A short time: ``85 us``, ``1.2 ms``, ``3 s``."""
    if seconds is None:
        return UNKNOWN
    unit, size = next((row for row in _SPANS if seconds >= row[1] * 0.9995), _SPANS[-1])
    return f"{_digits(seconds / size)} {unit}"


def age(seconds: float | None) -> str:
    """A long time, in its two largest units: ``12s``, ``3m 5s``, ``2d 4h``."""
    if seconds is None:
        return UNKNOWN
    left = max(0, int(seconds))
    parts = []
    for unit, size in _AGES:
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count or len(parts) - 1 == first)


def counted(count: int, noun: str) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
