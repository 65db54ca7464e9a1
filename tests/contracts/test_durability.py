"""docs/durability.md names tests; these exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/durability.md").read_text("utf-8"))))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^ *def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_promise_names_one() -> None:
    rows = re.findall(r"^\| (?!\|)(.+) \| (.+) \|$", (ROOT / "docs/durability.md").read_text("utf-8"), re.MULTILINE)
    assert rows
    assert [promise for promise, held in rows if "::" not in held and held != "(nothing is promised)"] == []
