"""``tests/bench/scaling``: what happens to rate and cost when one number grows; writes docs/performance/."""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from tests.bench.generators import Load
from tests.bench.measuring import Sample, make_media, measure_one, median, say
from tests.bench.plots import FOLDER, draw_all
from tests.bench.report import commit, machine
from tests.bench.rows import KIB, MIB
from tests.bench.targets import Factory, Layout, NotHere, ietpy, tgt

TOTAL = 256 * MIB  #: what each target serves in all
OPERATIONS = {"read": 100, "write": 0}  #: percent of reads
HEAD = ("target", "operation", "per second", "us per operation")


@dataclass(frozen=True)
class Sweep:
    """What grows, through which values, how a value is written, what is done, and what is served for it."""

    axis: str
    values: Sequence[int]
    generator: Callable[[int, int], Load]  #: of a value and the percentage of reads
    targets: Callable[[int], int] = lambda value: 1
    luns: Callable[[int], int] = lambda value: 1  #: of each target
    factories: Sequence[str] = ("ietpy", "tgt")


FACTORIES: dict[str, Factory] = {"ietpy": ietpy, "ietpy 2 processes": partial(ietpy, processes=2), "tgt": tgt}
SWEEPS = {
    "sessions": Sweep(
        "sessions, each on a target of its own; 4 KiB, depth 16", (1, 2, 4, 8, 16),
        lambda value, read: Load(4 * KIB, 16, read, sessions=value), targets=lambda value: 16,
        factories=("ietpy", "ietpy 2 processes", "tgt"),
    ),
    "depth": Sweep(
        "queue depth; one session, 4 KiB", (1, 2, 4, 8, 16, 32, 64, 128), lambda value, read: Load(4 * KIB, value, read)
    ),
    "size": Sweep(
        "bytes of a command; one session, depth 8", (512, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB),
        lambda value, read: Load(value, 8, read),
    ),
    "luns": Sweep(
        "LUNs, used in turn; one session, 4 KiB, depth 32", (1, 10, 100, 1000),
        lambda value, read: Load(4 * KIB, 32, read), luns=lambda value: value,
    ),
}


def place_name(value: int) -> str:
    """512, 4K, 1M."""
    for size, unit in ((MIB, "M"), (KIB, "K")):
        if value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)


def sweep_through(name: str, sweep: Sweep, rounds: int, seconds: float, folder: Path) -> str:
    """The CSV, but for the comment above it."""
    samples: dict[tuple[str, str, int], list[Sample]] = {}
    layouts = {value: (sweep.targets(value), sweep.luns(value)) for value in sweep.values}
    for shape in dict.fromkeys(layouts.values()):
        with ExitStack() as stack:
            running = []
            for target in sweep.factories:
                place = folder / f"{name} {target} {shape[1]}".replace(" ", "-")
                each = TOTAL // (shape[0] * shape[1]) // (4 * KIB) * 4 * KIB
                media = make_media(place, shape[0] * shape[1], each)
                layout = Layout([media[first :: shape[0]] for first in range(shape[0])], each)
                try:
                    running.append((target, stack.enter_context(FACTORIES[target](place / "run", layout))))
                except NotHere as reason:
                    say(f"without {target}: {reason}")
            values = [value for value in sweep.values if layouts[value] == shape]
            for turn in range(rounds):
                for value in values:
                    say(f"{name} {value}: round {turn + 1} of {rounds}")
                    for operation, read in OPERATIONS.items():
                        for target, served in running if turn % 2 else reversed(running):
                            sample = measure_one(sweep.generator(value, read), served, seconds)
                            samples.setdefault((target, operation, value), []).append(sample)
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow((sweep.axis, *HEAD))
    for value, target, operation in product(sweep.values, sweep.factories, OPERATIONS):
        if found := samples.get((target, operation, value)):
            figures = f"{median(found, 'rate'):.0f}", f"{median(found, 'cost'):.2f}"
            out.writerow((place_name(value), target, operation, *figures))
    return text.getvalue()


def main(text: str, arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SWEEPS, help="this alone; all unless told")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1, help="of each run; 1 unless told")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="docs/performance unless told")
    parser.add_argument("--plots", action="store_true", help="measure nothing, draw what the CSV files say")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, sweep in SWEEPS.items():
        if options.plots or (options.only and name != options.only):
            continue
        with tempfile.TemporaryDirectory(prefix="ietpy-bench.") as place:
            table = sweep_through(name, sweep, options.rounds, options.seconds, Path(place))
        comment = f"# {time.strftime('%Y-%m-%d')}, ietpy {commit()}, {machine()}; rounds: {options.rounds}\n"
        (options.folder / f"{name}.csv").write_text(comment + table, "utf-8")
    for path in draw_all(options.folder):
        print(path)
