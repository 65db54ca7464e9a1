"""Rows that are no rates: memory under load and over time, the start of a large configuration, and doing nothing."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tests.bench.generators import compiled, load
from tests.bench.measuring import make_media, say
from tests.bench.report import Line, bound, verdict
from tests.bench.rows import MIB
from tests.bench.targets import Factory, Layout, Target, ietpy, istgt, tgt

Factories: TypeAlias = "Mapping[str, Factory]"
FACTORIES: Factories = {"ietpy": ietpy, "tgt": tgt, "istgt": istgt}
SESSIONS, DEPTH = 16, 32
TARGETS, LUNS = 100, 10


def line(name: str, shown: dict[str, str], value: float, bar: float, want: float | None, places: int = 0) -> Line:
    """A row whose own value is judged, and must be at most ``bar``."""
    bounds = bound(bar, at_most=True), bound(want, at_most=True)
    others = shown.get("tgt", "-"), shown.get("istgt", "-")
    judged = verdict(round(value, places), bar, want, at_most=True)
    return Line(name, shown["ietpy"], *others, f"{value:.{places}f}", *bounds, "", "", judged)


def each(
    folder: Path, name: str, size: int, factories: Factories, measure: Callable[[Target], Any]
) -> dict[str, Any]:
    """What ``measure`` says of each target, one after the other, with one LUN of its own."""
    found = {}
    for target_name, factory in factories.items():
        say(f"{name}: {target_name}")
        place = folder / f"{name}-{target_name}"
        with factory(place / "run", Layout([make_media(place, 1, size)], size)) as target:
            found[target_name] = measure(target)
    return found


def memory(folder: Path, seconds: int, factories: Factories) -> list[Line]:
    """MiB at the start, after warming up, at the end. Half of the commands write, and what they write is compared."""

    def measure(target: Target) -> tuple[float, float, float]:
        words = ["--size", 4096, "--sessions", SESSIONS, "--depth", DEPTH, "--read", 50, "--verify"]
        at_start = target.resident()
        load(*words, "--seconds", min(5, seconds), target.url())
        command = [str(compiled("load.c")), *map(str, words), "--seconds", str(seconds), target.url()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(min(5, seconds / 2))
            warm = end = target.resident()
            while process.poll() is None:  # the last figure is one with all sessions there
                end = target.resident() or end
                time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"{target.name}: load ended with status {process.returncode}")
        return at_start, warm, end

    found = each(folder, "memory", 64 * MIB, factories, measure)
    shown = {name: " / ".join(f"{value:.0f}" for value in values) for name, values in found.items()}
    grown = {name: f"{end - warm:+.1f}" for name, (_, warm, end) in found.items()}
    _, warm, end = found["ietpy"]
    what = f"{SESSIONS} sessions x {DEPTH} of 4 KiB"
    return [
        line(f"MiB at start / warm / after {seconds} s: {what}", shown, end, 80, 50),
        line(f"MiB more than warm after {seconds} s: {what}", grown, end - warm, 1, None, 1),
    ]


def start(folder: Path, rounds: int, factories: Factories) -> list[Line]:
    """Seconds from the start of the process until its port answers and all LUNs are there."""
    media = []
    (folder / "start").mkdir()
    for number in range(TARGETS * LUNS):
        media.append(folder / "start" / f"{number}.img")
        with media[-1].open("wb") as file:
            file.truncate(MIB)
    layout = Layout([media[first : first + LUNS] for first in range(0, len(media), LUNS)], MIB)
    found: dict[str, list[float]] = {}
    for turn in range(rounds):
        for name, factory in factories.items():
            say(f"start: round {turn + 1} of {rounds}, {name}")
            with factory(folder / f"start-{name}-{turn}", layout) as target:
                found.setdefault(name, []).append(time.monotonic() - target.started)
                last = f"{target.url(TARGETS - 1).rpartition('/')[0]}/{target.first_lun + LUNS - 1}"
                load("--size", 512, "--count", 1, "--depth", 1, last)  # it is there
    medians = {name: statistics.median(values) for name, values in found.items()}
    shown = {name: f"{value:.2f}" for name, value in medians.items()}
    return [line(f"s until {TARGETS} targets, {TARGETS * LUNS} LUNs listen", shown, medians["ietpy"], 1, 0.5, 2)]


def idle(folder: Path, seconds: int, factories: Factories) -> list[Line]:
    """Percent of a core, and how often a second the busiest thread wakes up, with sessions that ask for nothing."""

    def measure(target: Target) -> tuple[float, float]:
        command = [str(compiled("load.c")), "--depth", "0", "--sessions", str(SESSIONS), "--seconds", str(seconds + 10)]
        with subprocess.Popen([*command, target.url()], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"{target.name}: load does not hold its sessions")
            time.sleep(1)  # whatever a login leaves behind is done
            before, began = target.threads(), time.monotonic()
            time.sleep(seconds)
            after, passed = target.threads(), time.monotonic() - began
            process.terminate()
        gone = (0, 0)
        busy = sum(spent - before.get(thread, gone)[0] for thread, (spent, _) in after.items()) / 1e9 / passed * 100
        wakes = max(count - before.get(thread, gone)[1] for thread, (_, count) in after.items()) / passed
        return busy, wakes

    found = each(folder, "idle", 16 * MIB, factories, measure)
    percent = {name: f"{busy:.3f}" for name, (busy, _) in found.items()}
    wakes = {name: f"{most:.2f}" for name, (_, most) in found.items()}
    busy, most = found["ietpy"]
    return [
        line(f"% of a core, {SESSIONS} idle sessions, {seconds} s", percent, busy, 0.2, None, 3),
        line("wake-ups a second of the busiest thread, idle", wakes, most, 1, None, 1),
    ]
