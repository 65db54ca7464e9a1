"""The table: lines with a verdict each, as text, Markdown or CSV; and what machine and versions they are of."""

from __future__ import annotations

import csv
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.bench.measuring import Results
from tests.bench.rows import WORKS, Row

ROOT = Path(__file__).resolve().parents[2]
SHORT = "SHORT"
HEAD = ("work", "ietpy", "over", "istgt", "ratio", "at least", "we want", "ietpy us/IO", "us/IO", "verdict")


@dataclass(frozen=True)
class Line:
    """A row of the table: ours, what it is compared with, istgt beside it, all as they are printed."""

    name: str
    ours: str
    other: str
    istgt: str
    ratio: str
    bar: str
    want: str
    our_cost: str
    other_cost: str
    verdict: str


def verdict(value: float, bar: float, want: float | None, *, at_most: bool = False) -> str:
    sign = -1 if at_most else 1
    if sign * value < sign * bar:
        return SHORT
    return "ok, as wanted" if want is not None and sign * value >= sign * want else "ok"


def bound(value: float | None, *, at_most: bool = False) -> str:
    return "" if value is None else f"{'<= ' if at_most else ''}{value:g}"


def shown(value: float | None, places: int = 0) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def ratio_line(row: Row, results: Results) -> Line:
    """A row whose value is ours over that of another."""
    ours, other = (results.median(row.work, name, row.figure) for name in (row.ours, row.over))
    costly = row.figure == "cost"
    places = 1 if costly else 0
    bar, want = bound(row.bar, at_most=costly), bound(row.want, at_most=costly)
    our_cost, other_cost = (shown(results.median(row.work, name, "cost"), 1) for name in (row.ours, row.over))
    figures = shown(ours, places), shown(other, places) + ("" if row.over == "tgt" else f" ({row.over})")
    third = shown(results.median(row.work, "istgt", row.figure), places)
    if ours is None or other is None:
        setup = WORKS[row.work].setup
        reason = results.absent.get((setup, row.ours)) or results.absent.get((setup, row.over)) or "was not measured"
        return Line(
            row.name, figures[0], figures[1], third, "-", bar, want, our_cost, other_cost, f"not available: {reason}"
        )
    ratio = ours / other
    judged = verdict(ratio, row.bar, row.want, at_most=costly)
    return Line(
        row.name, figures[0], figures[1], third, f"{ratio:.2f}", bar, want, our_cost, other_cost, judged
    )


def as_text(lines: Sequence[Line]) -> str:
    rows = [HEAD, *map(astuple, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    pads = [str.ljust, *[str.rjust] * (len(HEAD) - 2), str.ljust]
    return "\n".join(
        "  ".join(pad(cell, width) for pad, cell, width in zip(pads, row, widths, strict=True)).rstrip() for row in rows
    )


def as_markdown(lines: Iterable[Line]) -> str:
    rows = [HEAD, ("---",) * len(HEAD), *map(astuple, lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def falling_short(lines: Iterable[Line]) -> str:
    short = [line for line in lines if line.verdict == SHORT]
    if not short:
        return "No row falls short."
    return "\n".join([
        f"{len(short)} {'row falls' if len(short) == 1 else 'rows fall'} short:",
        *(f"- {line.name}: {line.ratio} where {line.bar} is the bar" for line in short),
    ])


def write_csv(path: Path, results: Results, lines: Iterable[Line]) -> None:
    """Every single run, and the lines of the table as they were printed."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("work", "target", "round", "per second", "us per operation"))
        for (work, target), samples in results.samples.items():
            for number, sample in enumerate(samples, 1):
                out.writerow((work, target, number, f"{sample.rate:.1f}", f"{sample.cost:.2f}"))
        out.writerow(())
        out.writerows([HEAD, *map(astuple, lines)])


def said(*command: str) -> str:
    """What a program prints, or nothing where there is no such program."""
    path = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        return ""
    done = subprocess.run([path, *command[1:]], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def package(name: str) -> str:
    return said("dpkg-query", "-W", "-f", "${Version}", name) or "not Debian's"


def commit() -> str:
    return said("git", "describe", "--always", "--dirty", "--abbrev=7") or "unknown"


def machine() -> str:
    """In one line: processors, and kernel."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}"


def versions() -> str:
    return (
        f"ietpy {commit()}, {platform.python_implementation()} {platform.python_version()}, tgt {package('tgt')}, "
        f"istgt {package('istgt')}, libiscsi {package('libiscsi-bin')}, QEMU {package('qemu-utils')}"
    )
