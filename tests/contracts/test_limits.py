"""The page of limits names constants and tests that are there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _rows() -> ModuleType:
    spec = importlib.util.spec_from_file_location("limits_rows", ROOT / "docs" / "limits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # which dataclasses look for
    spec.loader.exec_module(module)
    return module


LIMITS = [row for rows in _rows().LIMITS.values() for row in rows]


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row.what)
def test_a_limit_has_a_value_and_a_test(row: object) -> None:
    assert row.value > 0  # type: ignore[attr-defined]
    file, _, name = row.test.partition(":")  # type: ignore[attr-defined]
    assert f"def {name}(" in (ROOT / "tests" / file).read_text("utf-8")
