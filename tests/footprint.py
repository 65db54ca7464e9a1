"""What a daemon takes of the system, all of its processes together; for tests of several packages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Footprint:
    """``memory``: bytes that are these processes' alone, and their part of what they share (proc(5), Pss)."""

    memory: int
    threads: int
    descriptors: int


def family(pid: int) -> list[int]:
    """A process and its descendants, so a front, its nursery and its workers."""
    parents: dict[int, list[int]] = {}
    for each in _PROC.iterdir():
        if each.name.isdigit():
            try:
                parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
            parents.setdefault(parent, []).append(int(each.name))

    def below(ancestor: int) -> Iterator[int]:
        yield ancestor
        for child in parents.get(ancestor, ()):
            yield from below(child)

    return list(below(pid))


def footprint(pid: int) -> Footprint:
    """Raises OSError when one of them ends meanwhile."""
    memory = threads = descriptors = 0
    for each in family(pid):
        process = _PROC / str(each)
        lines = (process / "smaps_rollup").read_text().splitlines()
        memory += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        threads += len(os.listdir(process / "task"))
        descriptors += len(os.listdir(process / "fd"))
    return Footprint(memory, threads, descriptors)
