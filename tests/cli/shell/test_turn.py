"""Pieces of a command."""

from __future__ import annotations

import pytest

from ietpy.cli.shell.turn import as_lines, boolean, free_number, number
from ietpy.errors import UsageError
from tests.cli.shell.conftest import T, Typist


@pytest.mark.parametrize(("word", "value"), [
    ("true", True), ("True", True), ("1", True), ("yes", True), ("on", True), ("enable", True),
    ("false", False), ("FALSE", False), ("0", False), ("no", False), ("off", False), ("disable", False),
])
def test_truth(word: str, value: bool) -> None:
    assert boolean({"x": word}, "x", not value) is value
    assert boolean({}, "x", value) is value


@pytest.mark.parametrize(("word", "value"), [("0", 0), ("lun3", 3), ("LUN3", 3), ("mapped_lun7", 7), ("00007", 7)])
def test_numbers(word: str, value: int) -> None:
    assert number("LUN", word, 16383) == value


@pytest.mark.parametrize("word", ["", "-1", "16384", "9" * 5000, "x", "\u0663", "1.0", "0x1", "lun", "\x1b"])
def test_what_is_no_number(word: str) -> None:
    with pytest.raises(UsageError, match="is no LUN; write a number from 0 to 16383") as caught:
        number("LUN", word, 16383)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 150


def test_the_next_free_number() -> None:
    assert [free_number(taken) for taken in ((), (0,), (1, 2), (0, 1, 3))] == [0, 1, 0, 2]


def test_facts() -> None:
    assert as_lines({"a": 1, "b": "c"}) == ["a: 1", "b: c"]


def test_what_is_said_moves_no_cursor(typed: Typist) -> None:
    typed(f"/iscsi create {T}")
    typed.shell.host.texts = {"/\x1b": f"Target {T}\n"}  # type: ignore[attr-defined]
    assert typed("restoreconfig /\x1b") == ["Configuration restored from /\\x1b"]
