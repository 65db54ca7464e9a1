"""Measures works: for each setup all targets run, and take turns; the order changes with every round."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.generators import Generator
from tests.bench.rows import GUESTS, MIB, PIECE, SETUPS, WORKS, Setup
from tests.bench.targets import Layout, NotHere, Target, loop_devices


@dataclass(frozen=True)
class Sample:
    """One run: operations per second, and microseconds of the target's processor time for each."""

    rate: float
    cost: float


def median(samples: Sequence[Sample], figure: str) -> float:
    return float(statistics.median(getattr(sample, figure) for sample in samples))


@dataclass
class Results:
    """By work and target: all samples, and how many places were compared. By setup and target: why it is absent."""

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    compared: dict[tuple[str, str], int] = field(default_factory=dict)

    def median(self, work: str, target: str, figure: str = "rate") -> float | None:
        found = self.samples.get((work, target))
        return median(found, figure) if found else None


def say(text: str) -> None:
    """Progress; the table is what is printed."""
    print(text, file=sys.stderr, flush=True)


def make_media(folder: Path, count: int, size: int, piece: int = PIECE) -> list[Path]:
    """Files of the same noise, written in pieces of this many bytes, and so in the page cache in folios as large."""
    folder.mkdir(exist_ok=True)
    noise = os.urandom(piece)
    paths = [folder / f"{number}.img" for number in range(count)]
    for path in paths:
        with path.open("wb", buffering=0) as file:
            for _ in range(size // len(noise)):
                file.write(noise)
            os.fsync(file.fileno())  # else its writing out falls into somebody's round
    return paths


@contextmanager
def running(
    name: str, setup: Setup, folder: Path, size: int, results: Results, without: Container[str]
) -> Iterator[list[Target]]:
    """The targets of a setup that are wanted, and can be had here."""
    with ExitStack() as stack:
        found: list[Target] = []
        ours: list[Path] = []
        for target_name, factory in setup.targets.items():
            if target_name in without:
                continue
            place = folder / f"{name} {target_name}".replace(" ", "-")
            each = max(size // setup.count, 16 * MIB)
            try:
                # Copies of a file may lie in the page cache in pieces of another size, which shows in large reads.
                place.mkdir(exist_ok=True)
                media = (ours if target_name in GUESTS else []) or make_media(place, setup.count, each, setup.piece)
                if setup.loop:
                    media = stack.enter_context(loop_devices(media))
                target = stack.enter_context(factory(place / "run", Layout([[medium] for medium in media], each)))
            except NotHere as reason:
                results.absent[name, target_name] = str(reason)
            else:
                target.name = target_name
                found.append(target)
                ours = ours or media
        yield found


def measure_one(generator: Generator, target: Target, seconds: float) -> Sample:
    before = target.cpu_seconds()
    outcome = generator.run(target, seconds)
    return Sample(outcome.rate, (target.cpu_seconds() - before) / outcome.operations * 1e6)


def measure(
    works: Sequence[str], rounds: int, seconds: float, size: int, folder: Path, without: Container[str] = ()
) -> Results:
    """``size``: bytes that each target serves in all. ``without``: targets that take no part."""
    results = Results()
    for name, setup in SETUPS.items():
        here = [work for work in works if WORKS[work].setup == name]
        if not here:
            continue
        with running(name, setup, folder, size, results, without) as targets:
            for turn in range(rounds):
                say(f"{name}: round {turn + 1} of {rounds}")
                for work in here:
                    taking_part = [t for t in targets if t.name not in GUESTS or t.name in WORKS[work].also]
                    first = turn % len(taking_part)
                    for target in taking_part[first:] + taking_part[:first]:
                        sample = measure_one(WORKS[work].generator, target, seconds)
                        results.samples.setdefault((work, target.name), []).append(sample)
                        if turn == rounds - 1:
                            results.compared[work, target.name] = WORKS[work].generator.check(target)
    return results


