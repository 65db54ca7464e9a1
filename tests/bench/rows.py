"""The table as data: how targets are set up, what work is done with them, and what each row must reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tests.bench.generators import SCATTERED, Generator, Load, Perf, Qemu
from tests.bench.targets import Factory, ietpy, istgt, stub, tgt

KIB = 1024
MIB = 1 << 20
#: Linux reads files ahead in pieces of this size by default, and keeps them in the page cache in folios as large.
#: To write 4 KiB into a larger one takes ext4 longer, whose blocks are looked at one by one (Linux 6.18: 1.5 us for
#: folios of 64 KiB, 7.7 us for 1 MiB).
PIECE = 128 * KIB


@dataclass(frozen=True)
class Setup:
    """Targets that run side by side, each with its own copy of the same media; ours comes first."""

    targets: Mapping[str, Factory]
    count: int = 1  #: how many targets each has, of one LUN
    loop: bool = False  #: the media are loop devices over files
    piece: int = PIECE  #: bytes that were written at once


@dataclass(frozen=True)
class Work:
    """What is done with the targets of a setup; ``also`` says which join for this work only."""

    setup: str
    generator: Generator
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """What is judged of a work: ``figure`` of ours over that of another."""

    name: str
    work: str
    bar: float  #: "at least", for a cost "at most"
    want: float | None = None
    ours: str = "ietpy"
    over: str = "tgt"
    figure: str = "rate"  #: operations per second, or the target's processor time for one ("cost")


TWO = "ietpy 2 processes"
CACHED = "ietpy with cache"
UNCACHED = "tgt without cache"

SETUPS = {
    "cached": Setup({"ietpy": ietpy, "tgt": tgt, "istgt": istgt, "stub": stub}),
    "sixteen": Setup(
        {"ietpy": ietpy, TWO: partial(ietpy, processes=2), "tgt": tgt, "istgt": istgt}, count=16
    ),
    "coarse": Setup({"ietpy": ietpy, "tgt": tgt, "istgt": istgt}, piece=MIB),
    "through": Setup({"ietpy": partial(ietpy, lun="Type=fileio,IOMode=wt"), "tgt": partial(tgt, flags="sync")}),
    "block": Setup({
        "ietpy": partial(ietpy, lun="Type=blockio"),
        CACHED: partial(ietpy, lun="Type=blockio", options="WriteCache=Yes"),
        "tgt": partial(tgt, flags="direct"), UNCACHED: partial(tgt, flags="direct", write_cache=False),
    }, loop=True),
}
#: Takes part only in works that name it, and reads the file of ours.
GUESTS = ("stub",)

WORKS = {
    "4k read": Work("cached", Perf(8, 32)),
    "4k read, depth 1": Work("cached", Perf(8, 1)),
    "4k write": Work("cached", Qemu(4 * KIB, 32, 40000, SCATTERED)),
    "4k coarse write": Work("coarse", Qemu(4 * KIB, 32, 40000, SCATTERED)),
    "4k write, depth 1": Work("cached", Qemu(4 * KIB, 1, 8000, SCATTERED)),
    "8k mix": Work("cached", Load(8 * KIB, 16, read=50)),
    "256k read": Work("cached", Perf(512, 8, random=False), also=("stub",)),
    "256k write": Work("cached", Qemu(256 * KIB, 8, 5000)),
    "1m read": Work("cached", Perf(2048, 4, random=False)),
    "1m write": Work("cached", Qemu(MIB, 4, 1500)),
    "4 sessions read": Work("cached", Perf(8, 16, sessions=4)),
    "4 sessions write": Work("cached", Qemu(4 * KIB, 16, 40000, SCATTERED, sessions=4)),
    "4k digests": Work("cached", Load(4 * KIB, 32, digests=True)),
    "256k digests": Work("cached", Load(256 * KIB, 8, digests=True, sequential=True)),
    "16 sessions": Work("sixteen", Load(4 * KIB, 16, sessions=16)),
    "write-through": Work("through", Qemu(4 * KIB, 32, 16000, SCATTERED)),
    "blockio": Work("block", Qemu(4 * KIB, 32, 12000, SCATTERED)),
}

ROWS = (
    Row("4 KiB random read, depth 32", "4k read", 2.5, 4),
    Row("4 KiB random read, depth 1", "4k read, depth 1", 1.1, 1.5),
    Row("4 KiB scattered write, depth 32", "4k write", 2.0, 3),
    Row("4 KiB scattered write, depth 32, folios of 1 MiB", "4k coarse write", 2.0, 3),
    Row("4 KiB scattered write, depth 1", "4k write, depth 1", 1.1, 1.5),
    Row("8 KiB 50/50 mix, depth 16", "8k mix", 2.0, 3),
    Row("256 KiB sequential read, depth 8", "256k read", 1.0, 1.5),
    Row("256 KiB sequential read, over a stub", "256k read", 0.9, over="stub"),
    Row("256 KiB sequential write, depth 8", "256k write", 1.5, 2.5),
    Row("1 MiB sequential read, depth 4", "1m read", 1.0, 1.5),
    Row("1 MiB sequential write, depth 4", "1m write", 1.5, 2.5),
    Row("4 sessions x depth 16, 4 KiB random read", "4 sessions read", 2.5, 4),
    Row("4 sessions x depth 16, 4 KiB scattered write", "4 sessions write", 2.0, 3),
    Row("16 sessions on 16 targets, one process", "16 sessions", 2.5),
    Row("16 sessions on 16 targets, 2 processes", "16 sessions", 2.5, ours=TWO),
    Row("16 sessions, 2 processes over one", "16 sessions", 0.95, 1.4, ours=TWO, over="ietpy"),
    Row("16 sessions, 2 processes over one: CPU per I/O", "16 sessions", 1.1, ours=TWO, over="ietpy", figure="cost"),
    Row("both digests, 4 KiB random read, depth 32", "4k digests", 1.5, 3),
    Row("both digests, 256 KiB sequential read, depth 8", "256k digests", 1.5, 3),
    Row("CPU per 4 KiB read, depth 32", "4k read", 0.8, 0.5, figure="cost"),
    Row("fileio wt, 4 KiB scattered write, depth 32", "write-through", 1.2, 2),
    Row("blockio on a loop device, the same; ours flushes", "blockio", 1.2, 2),
    Row("blockio on a loop device, the same; neither flushes", "blockio", 1.2, 2, ours=CACHED),
    Row("blockio on a loop device, the same; both flush", "blockio", 1.2, 2, over=UNCACHED),
)
