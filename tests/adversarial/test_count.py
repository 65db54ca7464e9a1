"""How many attacks there are: a suite that shrinks unnoticed proves less than it says."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

from tests.adversarial.world import Case

#: What there is at least.
AT_LEAST = 1900


def test_there_are_enough_cases_and_no_two_of_one_name() -> None:
    found: list[str] = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        cases: list[Case] = getattr(import_module(f"tests.adversarial.{path.stem}"), "CASES", [])
        found += [f"{path.stem}: {case.name}" for case in cases]
    assert [name for name, times in Counter(found).items() if times > 1] == []
    assert len(found) >= AT_LEAST, len(found)
