"""``tests/bench/run``: which rows are wanted, in how many rounds, and how they are shown."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measuring import measure
from tests.bench.report import Line, as_markdown, as_text, falling_short, machine, ratio_line, versions, write_csv
from tests.bench.rows import MIB, ROWS
from tests.bench.states import FACTORIES, idle, memory, start
from tests.bench.targets import need

PROGRAMS = {
    "tgtd": "tgt", "tgtadm": "tgt", "istgt": "istgt", "iscsi-perf": "libiscsi-bin", "cc": "gcc and libc6-dev",
    "qemu-img": "qemu-utils and qemu-block-extra", "qemu-io": "qemu-utils and qemu-block-extra",
}
#: No row is judged by it, and it takes long to end.
NOT_QUICK = ("istgt",)
QUICK_SECONDS = 0.5


def read_options(text: str, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    quick = f"one round of {QUICK_SECONDS:g} s (iscsi-perf: 1 s), without {', '.join(NOT_QUICK)}"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--only", default="", metavar="NAME", help="rows whose name has this in it")
    parser.add_argument("--rounds", type=int, help="3 unless told")
    parser.add_argument("--seconds", type=float, help="of each run; 3 unless told")
    parser.add_argument("--memory-seconds", type=int, help="30 unless told; 600 is what the row is about")
    parser.add_argument("--idle-seconds", type=int, help="20 unless told")
    parser.add_argument("--size", type=int, default=256, metavar="MIB", help="what each target serves; 256 unless told")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every single run there")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args(arguments)
    defaults = {"rounds": (3, 1), "seconds": (3, QUICK_SECONDS), "memory_seconds": (30, 3), "idle_seconds": (20, 3)}
    for name, values in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, values[options.quick])
    return options


def main(text: str, arguments: list[str] | None = None) -> None:
    options = read_options(text, arguments)
    with stopped_by_sigterm():
        _main(options)


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """As by an exception, so that the targets are stopped."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _main(options: argparse.Namespace) -> None:
    without = NOT_QUICK if options.quick else ()
    for program, package in PROGRAMS.items():
        if program not in without:
            need(program, package)
    factories = {name: factory for name, factory in FACTORIES.items() if name not in without}
    states: dict[str, Callable[[Path], list[Line]]] = {
        "memory": lambda folder: memory(folder, options.memory_seconds, factories),
        "start": lambda folder: start(folder, options.rounds, factories),
        "idle": lambda folder: idle(folder, options.idle_seconds, factories),
    }
    rows = [row for row in ROWS if options.only in row.name]
    wanted = [name for name in states if options.only in name]
    if not rows and not wanted:
        sys.exit(f"no row has {options.only!r} in its name; there are: {', '.join([*states, *(r.name for r in ROWS)])}")
    began, dated = time.monotonic(), time.strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory(prefix="ietpy-bench.") as name:
        folder = Path(name)
        works = list(dict.fromkeys(row.work for row in rows))
        results = measure(works, options.rounds, options.seconds, options.size * MIB, folder, without)
        lines = [ratio_line(row, results) for row in rows]
        for state in wanted:
            lines += states[state](folder)
    print(dated, machine(), versions(), sep="\n")
    took = time.monotonic() - began
    print(f"{options.rounds} rounds of {options.seconds:g} s, {options.size} MiB, {took:.0f} s in all\n")
    print(as_markdown(lines) if options.markdown else as_text(lines))
    places = {target: 0 for _, target in results.compared}
    for (_, target), count in results.compared.items():
        places[target] += count
    said = ", ".join(f"{count} of {target}" for target, count in places.items() if count)
    print(f"\nRead back after writing, and right: {said} places.\n" if said else "")
    print(falling_short(lines))
    if options.csv:
        write_csv(options.csv, results, lines)
