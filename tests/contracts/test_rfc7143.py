"""docs/rfc7143.md is complete: every requirement has a test or a reason, and every mark is one of its rows."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def rfc7143(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("rfc7143")


def order(number: str) -> tuple[int, ...]:
    """A row's place: appendix C behind the sections, RFC 7144 last."""
    rfc, _, rest = number.rpartition(":")
    section, _, row = rest.partition("-")
    place = (99,) if section == "C" else tuple(map(int, section.split(".")))
    return (int(rfc or 0), *place, -1, int(row))


def test_rows_are_in_the_order_of_the_rfc_and_told_apart(rfc7143: ModuleType) -> None:
    numbers = [order(row.id) for row in rfc7143.REQUIREMENTS]
    assert numbers == sorted(set(numbers))


def test_levels_are_those_of_rfc_2119(rfc7143: ModuleType) -> None:
    assert {row.level for row in rfc7143.REQUIREMENTS} == {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT"}


def test_every_mark_names_a_row(rfc7143: ModuleType) -> None:
    known = {row.id for row in rfc7143.REQUIREMENTS}
    assert {mark: tests for mark, tests in rfc7143.marks().items() if mark not in known} == {}


def test_every_row_has_a_test_or_a_reason_and_none_has_both(rfc7143: ModuleType) -> None:
    marks = rfc7143.marks()
    assert [row.id for row in rfc7143.REQUIREMENTS if bool(row.why) == (row.id in marks)] == []
