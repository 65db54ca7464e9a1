"""The table of docs/migrating.md: each row says what it claims, to somebody at least."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def rows() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "migrations.py"
    spec = importlib.util.spec_from_file_location("migrations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


MIGRATIONS = rows()


@pytest.mark.parametrize("row", MIGRATIONS.ROWS, ids=[row.what for row in MIGRATIONS.ROWS])
def test_a_row_is_kept_by_one_format_unless_it_is_iets_own(row: object) -> None:
    kept = [name for name in MIGRATIONS.WRITERS if not MIGRATIONS.lost(row, name)]
    assert bool(kept) is (getattr(row, "what", "") != "names of IET")


def test_everybody_is_a_word_all_have() -> None:
    assert all(not MIGRATIONS.lost(MIGRATIONS.ROWS[0], name) for name in MIGRATIONS.WRITERS)
