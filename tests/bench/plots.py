"""Draws the measurements of ``docs/performance/`` as SVG, from the CSV alone: operations per second and their cost."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "performance"
WIDTH, HEIGHT, LEFT, TOP, PANEL, GAP, FLOOR = 920, 400, 64, 84, 370, 84, 340
COLOURS = {"ietpy": "#0b62b0", "ietpy 2 processes": "#5aa9e6", "tgt": "#c2571a"}
DASHES = {"read": "", "write": ' stroke-dasharray="6 4"'}


@dataclass(frozen=True)
class Series:
    """A line of a panel: what it is of, and its points in the order of the x axis; None where there is none."""

    target: str
    operation: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Table:
    """A CSV: the comment above it, the name of the x axis, its places, and both figures."""

    comment: str
    axis: str
    places: Sequence[str]
    rates: Sequence[Series]
    costs: Sequence[Series]


def read_table(text: str) -> Table:
    comment, _, body = text.partition("\n")
    axis, *_ = next(csv.reader([body.partition("\n")[0]]))
    rows = list(csv.DictReader(body.splitlines()))
    places = list(dict.fromkeys(row[axis] for row in rows))
    named = dict.fromkeys((row["target"], row["operation"]) for row in rows)

    def series(figure: str) -> list[Series]:
        found = {(row["target"], row["operation"], row[axis]): float(row[figure]) for row in rows}
        return [Series(*names, [found.get((*names, place)) for place in places]) for names in named]

    return Table(comment.removeprefix("# "), axis, places, series("per second"), series("us per operation"))


def ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten, from one at or below ``low`` to one at or above ``high``."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    all_of_them = [step * 10.0**power for power, step in product(powers, (1, 2, 5))]
    first = max(tick for tick in all_of_them if tick <= low * 1.0001)
    last = min(tick for tick in all_of_them if tick >= high * 0.9999)
    return [tick for tick in all_of_them if first <= tick <= last]


def number(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def panel(title: str, left: int, table: Table, series: Iterable[Series]) -> list[str]:
    """One diagram with a logarithmic y axis; the places on the x axis have the same distance."""
    lines = list(series)
    known = [value for line in lines for value in line.values if value]
    marks = ticks(min(known), max(known))
    low, high = math.log10(marks[0]), math.log10(marks[-1])
    step = PANEL / max(1, len(table.places) - 1)

    def x(place: int) -> float:
        return round(left + place * step, 1)

    def y(value: float) -> float:
        return round(FLOOR - (math.log10(value) - low) / ((high - low) or 1) * (FLOOR - TOP), 1)

    out = [f'<text x="{left}" y="{TOP - 14}" font-weight="bold">{escape(title)}</text>']
    for mark in marks:
        out.append(f'<line x1="{left}" x2="{left + PANEL}" y1="{y(mark)}" y2="{y(mark)}" stroke="#dddddd"/>')
        out.append(f'<text x="{left - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{number(mark)}</text>')
    for index, place in enumerate(table.places):
        out.append(f'<text x="{x(index)}" y="{FLOOR + 20}" text-anchor="middle">{escape(place)}</text>')
    out.append(f'<text x="{left + PANEL / 2:g}" y="{FLOOR + 42}" text-anchor="middle">{escape(table.axis)}</text>')
    for line in lines:
        points = [(x(place), y(value)) for place, value in enumerate(line.values) if value]
        path = " ".join(f"{across},{down}" for across, down in points)
        colour, dashes = COLOURS[line.target], DASHES[line.operation]
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        out += [f'<circle cx="{across}" cy="{down}" r="3" fill="{colour}"/>' for across, down in points]
    return out


def legend(series: Iterable[Series]) -> list[str]:
    out, left = [], LEFT
    for line in series:
        name = f"{line.target}, {line.operation}"
        stroke = f'stroke="{COLOURS[line.target]}" stroke-width="2"{DASHES[line.operation]}'
        out.append(f'<line x1="{left}" x2="{left + 22}" y1="44" y2="44" {stroke}/>')
        out.append(f'<text x="{left + 27}" y="48">{escape(name)}</text>')
        left += round(42 + 6.3 * len(name))
    return out


def draw(text: str) -> str:
    """The SVG of a CSV."""
    table = read_table(text)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12" fill="#222222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22">{escape(table.comment)}</text>',
        *legend(table.rates),
        *panel("operations per second", LEFT, table, table.rates),
        *panel("target's processor time per operation, microseconds", LEFT + PANEL + GAP, table, table.costs),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def draw_all(folder: Path = FOLDER) -> list[Path]:
    """Writes an SVG beside each CSV; those written."""
    drawn = []
    for path in sorted(folder.glob("*.csv")):
        drawn.append(path.with_suffix(".svg"))
        drawn[-1].write_text(draw(path.read_text("utf-8")), "utf-8")
    return drawn
