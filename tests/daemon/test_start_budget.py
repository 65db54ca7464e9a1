"""What a start costs for each target and logical unit, counted instead of timed. The numbers may only fall."""

from __future__ import annotations

import fcntl
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.stores import linux
from ietpy.stores.state import StateDirectory

#: System calls for one more logical unit over a file of its own that has kept nothing (2026-11-27): ``stat`` for the
#: list of media that are written, to find one that is open, before it is opened, and for its identity; ``open`` of the
#: medium and of its state; ``fstat`` to see that it is what was looked at; the rest asks the medium.
SYSTEM_CALLS = {"stat": 4, "open": 2, "flock": 1, "fstat": 2, "lseek": 1, "preadv": 1, "fallocate": 1}
#: Python and C calls for one more logical unit, its line included, and for one more target (2026-11-27, CPython 3.11).
UNIT_CALLS = 630
TARGET_CALLS = 500


def started(folder: Path, targets: int, units: int) -> Callable[[], Inventory]:
    """What reads the file and opens everything, as ``lifecycle.prepare`` does."""
    lines = []
    for target in range(targets):
        lines.append(f"Target iqn.2026-11.test.start:t{target}")
        for number in range(units):
            path = folder / f"{target}-{number}.img"
            path.touch()
            os.truncate(path, 1 << 20)
            lines.append(f"    Lun {number} Path={path},Type=fileio")
    text = "\n".join(lines) + "\n"

    def start() -> Inventory:
        return Inventory(loads(text), Media(), states=StateDirectory(str(folder / "state")))

    return start


def test_a_unit_costs_few_system_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        real = getattr(module, name)

        def counted(*words: Any, **more: Any) -> Any:
            asked[name] += 1
            return real(*words, **more)

        monkeypatch.setattr(module, name, counted)

    for module, names in ((os, ("stat", "open", "fstat", "lseek")), (fcntl, ("flock",)), (linux, ("fallocate",))):
        for name in names:
            count(module, name)
    monkeypatch.setattr("ietpy.stores.fileio._preadv", lambda *words: asked.update(preadv=1) or os.preadv(*words))
    totals = []
    for units in (1, 11):
        start = started(tmp_path, 1, units)
        asked.clear()
        assert start().close()
        totals.append(dict(asked))
    few, many = totals
    assert {name: (many[name] - few[name]) / 10 for name in many if many[name] != few[name]} == SYSTEM_CALLS


def calls(start: Callable[[], Inventory]) -> int:
    """Python and C calls of a start."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        inventory = start()
    finally:
        sys.setprofile(None)
    assert inventory.close()
    assert not inventory.problems
    return count


@pytest.mark.parametrize(("targets", "units", "more_targets", "more_units", "limit"), [
    (1, 10, 1, 110, UNIT_CALLS), (10, 0, 110, 0, TARGET_CALLS),
])
def test_what_one_more_costs(
    tmp_path: Path, targets: int, units: int, more_targets: int, more_units: int, limit: int
) -> None:
    started(tmp_path, 1, 1)().close()  # what is made once
    few = calls(started(tmp_path, targets, units))
    many = calls(started(tmp_path, more_targets, more_units))
    assert 0 < (many - few) // 100 <= limit
