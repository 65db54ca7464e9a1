"""What makes the load: programs that are run against a target, what they say of it, and what they wrote."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tests.bench.targets import Target

HERE = Path(__file__).resolve().parent
SCATTERED = 1052672  #: bytes between scattered writes: a MiB and a page, so that no two are neighbours
SAMPLES = 64  #: places that are read back of what qemu-img wrote


def compiled(source: str) -> Path:
    """The program of a C file here; made when it or a header is new, kept in the temporary folder."""
    folder = Path(tempfile.gettempdir()) / f"ietpy-bench-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise SystemExit(f"{folder} is somebody else's; remove it, or set TMPDIR")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [HERE / source, *sorted(HERE.glob("*.h"))]))
    program = folder / f"{Path(source).stem}-{digest.hexdigest()[:16]}"
    if not program.exists():
        made = program.with_suffix(f".{os.getpid()}")
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(HERE / source)]
        try:
            run(command)
        except FileNotFoundError:
            raise SystemExit("cc is missing; install gcc and libc6-dev") from None
        made.rename(program)
    return program


def run(command: Sequence[str]) -> str:
    """A program to its end; what it printed. Ends ours if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        said = f"{done.stderr}{done.stdout[-1000:]}"
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{said}")
    return done.stdout


def together(commands: Sequence[Sequence[str]]) -> list[str]:
    """Programs at the same time, to their ends; what they printed."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, **pipes) for command in commands]
    printed = [process.communicate(timeout=900)[0] for process in started]
    for process, text in zip(started, printed, strict=True):
        if process.returncode:
            raise SystemExit(f"{process.args!r} ended with status {process.returncode}:\n{text[-1000:]}")
    return printed


@dataclass(frozen=True)
class Outcome:
    """Operations per second, and how many there were."""

    rate: float
    operations: float


class Generator(Protocol):
    """``run`` loads a target for some seconds; ``check`` reads back some of what the last run wrote there."""

    def run(self, target: Target, seconds: float) -> Outcome: ...

    def check(self, target: Target) -> int:
        """How many places were compared. Ends the program if one is wrong."""


@dataclass(frozen=True)
class Perf:
    """iscsi-perf reads ``blocks`` of 512 bytes per command; one process per session."""

    blocks: int
    depth: int
    random: bool = True
    sessions: int = 1

    def run(self, target: Target, seconds: float) -> Outcome:
        whole = max(1, round(seconds))  # it knows no parts of a second
        command = ["iscsi-perf", "-b", str(self.blocks), "-m", str(self.depth), "-t", str(whole)]
        printed = together([[*command, *(["-r"] * self.random), target.url()]] * self.sessions)
        found = [re.findall(r"iops average (\d+)", text) for text in printed]
        if not all(found):
            raise SystemExit(f"iscsi-perf says of {target.name}: {printed[0][-500:]}")
        rate = sum(float(rates[-1]) for rates in found)
        return Outcome(rate, rate * whole)

    def check(self, target: Target) -> int:
        return 0


@dataclass
class Qemu:
    """qemu-img bench writes; it counts operations, so ``rate`` is what is expected until a target was seen."""

    size: int
    depth: int
    rate: float
    step: int = 0  #: bytes from one write to the next, unless they are neighbours
    sessions: int = 1
    seen: dict[str, float] = field(default_factory=dict)
    patterns: dict[str, int] = field(default_factory=dict)
    written: dict[str, list[int]] = field(default_factory=dict)

    def run(self, target: Target, seconds: float) -> Outcome:
        count = max(self.depth, round(self.seen.get(target.name, self.rate) * seconds / self.sessions))
        pattern = self.patterns[target.name] = self.patterns.get(target.name, self.depth) % 255 + 1
        step, end = self.step or self.size, target.layout.size
        starts = [index * (end // self.sessions) // step * step for index in range(self.sessions)]
        command = ["qemu-img", "bench", "-f", "raw", "-w", "-c", str(count), "-d", str(self.depth)]
        command += ["-s", str(self.size), "-S", str(step), "--pattern", str(pattern)]
        printed = together([[*command, "-o", str(start), target.url()] for start in starts])
        rate = 0.0
        for text in printed:
            found = re.search(r"Run completed in ([\d.]+) seconds", text)
            if found is None:
                raise SystemExit(f"qemu-img says of {target.name}: {text[-500:]}")
            rate += count / float(found[1])
        self.seen[target.name] = rate
        places = [start + step * number for start in starts for number in range(min(count, (end - start) // step))]
        self.written[target.name] = places[:: max(1, -(-len(places) // SAMPLES))]
        return Outcome(rate, count * self.sessions)

    def check(self, target: Target) -> int:
        """By qemu-io, so nothing of ours decides whether the data is right."""
        pattern, offsets = self.patterns[target.name], self.written[target.name]
        words = [word for offset in offsets for word in ("-c", f"read -P {pattern} {offset} {self.size}")]
        printed = run(["qemu-io", "-f", "raw", "-r", *words, target.url()])
        good = printed.count(f"read {self.size}/{self.size} bytes")
        if "verification failed" in printed or good != len(offsets):
            raise SystemExit(f"{target.name} does not hold what qemu-img wrote:\n{printed[-1000:]}")
        return good


@dataclass
class Load:
    """``load.c``; it verifies what it writes itself, each time."""

    size: int
    depth: int
    read: int = 100  #: percent
    sessions: int = 1
    digests: bool = False
    sequential: bool = False
    compared: dict[str, int] = field(default_factory=dict)

    def run(self, target: Target, seconds: float) -> Outcome:
        words: list[object] = ["--size", self.size, "--depth", self.depth, "--read", self.read]
        words += ["--sessions", self.sessions, "--seconds", seconds, "--samples", 500]
        words += ["--digests"] * self.digests + ["--sequential"] * self.sequential + ["--verify"] * (self.read < 100)
        result = load(*words, *target.urls())
        self.compared[target.name] = result["verified"]
        return Outcome(result["iops"], result["ops"])

    def check(self, target: Target) -> int:
        return self.compared[target.name]


def load(*arguments: object) -> dict[str, Any]:
    """Run the generator to its end; what it measured. Ends the program if it found a fault."""
    measured: dict[str, Any] = json.loads(run([str(compiled("load.c")), *map(str, arguments)]).splitlines()[-1])
    return measured
