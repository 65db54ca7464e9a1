"""Draws what ``soak`` measured as SVG, from its CSV alone: a panel for each figure, and a line for each event."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

WIDTH, LEFT, TOP, PANEL, GAP = 920, 64, 48, 150, 44
COLOURS = {"SIGKILL": "#c2571a", "SIGTERM": "#5aa9e6"}
FIGURES = {"MiB": "memory, MiB (Pss of all processes)", "threads": "threads", "descriptors": "descriptors"}
SHADE = "#e4e4e4"  #: of the first minute of each life


def round_up(value: float) -> float:
    """The next of 1, 2 and 5 of a power of ten."""
    step = 1.0
    while step * 10 < value:
        step *= 10
    return next(step * factor for factor in (1, 2, 5, 10) if step * factor >= value)


def draw(text: str, warm: float = 60.0) -> str:
    comment, _, body = text.partition("\n")
    rows = list(csv.DictReader(body.splitlines()))
    samples = [row for row in rows if not row["event"]]
    end = max(float(row["seconds"]) for row in rows)
    height = TOP + (PANEL + GAP) * len(FIGURES)

    def x(seconds: float) -> float:
        return round(LEFT + seconds / end * (WIDTH - LEFT - 20), 1)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
        ' font-size="12" fill="#222222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20">{escape(comment.removeprefix("# "))}; minutes. Grey: the first minute of a life.'
        ' Orange: SIGKILL, blue: SIGTERM.</text>',
    ]
    lives = sorted({row["life"] for row in samples}, key=int)
    for index, (figure, title) in enumerate(FIGURES.items()):
        top = TOP + index * (PANEL + GAP)
        out += panel(samples, lives, figure, title, top, x, warm)
        for row in rows:
            if row["event"] in COLOURS:
                at, colour = x(float(row["seconds"])), COLOURS[row["event"]]
                out.append(f'<line x1="{at}" x2="{at}" y1="{top}" y2="{top + PANEL}" stroke="{colour}"/>')
        step = 60 * max(1, round(end / 60 / 12))
        for tick in range(0, int(end) + 1, step):
            out.append(f'<text x="{x(tick)}" y="{top + PANEL + 16}" text-anchor="middle">{tick // 60}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def panel(
    samples: Sequence[dict[str, str]], lives: Sequence[str], figure: str, title: str, top: int, x: object, warm: float
) -> list[str]:
    assert callable(x)
    highest = round_up(max(float(row[figure]) for row in samples))

    def y(value: float) -> float:
        return round(top + PANEL - value / highest * PANEL, 1)

    out = [f'<text x="{LEFT}" y="{top - 6}" font-weight="bold">{escape(title)}</text>']
    for life in lives:
        points = [row for row in samples if row["life"] == life]
        first, last = float(points[0]["seconds"]), float(points[-1]["seconds"])
        shaded = x(min(last, first + warm)) - x(first)
        out.append(f'<rect x="{x(first)}" y="{top}" width="{shaded:.1f}" height="{PANEL}" fill="{SHADE}"/>')
    for mark in (0.0, highest / 2, highest):
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y(mark)}" y2="{y(mark)}" stroke="#cccccc"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for life in lives:
        path = " ".join(
            f'{x(float(row["seconds"]))},{y(float(row[figure]))}' for row in samples if row["life"] == life
        )
        out.append(f'<polyline points="{path}" fill="none" stroke="#0b62b0" stroke-width="1.5"/>')
    return out


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).with_suffix(".svg").write_text(draw(Path(name).read_text("utf-8")), "utf-8")
