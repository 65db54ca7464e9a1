"""Lines of a text that is edited keep their bytes but for that. What ``config.writer`` makes of it is tested there."""

from __future__ import annotations

import re

import pytest

from ietpy.config.edited import Lines

BOM = "\ufeff"


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\r\nb", BOM, f"{BOM}a\r\n", "a\n\n\n", "\udcff\n"])
def test_what_is_not_edited_stays(text: str) -> None:
    assert Lines(text).text() == text


def test_lines_are_counted_from_1() -> None:
    lines = Lines("a\nb\n")
    assert (lines[1], lines[2], lines.last) == ("a", "b", 2)


@pytest.mark.parametrize(("text", "after"), [
    ("a\nb\nc\n", "0\na\n1\n2\nB\n\nd\n"),
    ("a\r\nb\r\nc\r\n", "0\r\na\r\n1\r\n2\r\nB\r\n\r\nd\r\n"),
    ("a\nb\nc", "0\na\n1\n2\nB\n\nd\n"),
    (f"{BOM}a\nb\nc\n", f"{BOM}0\na\n1\n2\nB\n\nd\n"),
])
def test_edits(text: str, after: str) -> None:
    lines = Lines(text)
    lines.add(0, "0")
    lines.add(1, "1")
    lines.add(1, "2")
    lines.change(2, 1, re.compile("b"), "B")
    lines.remove([3])
    lines.add_paragraph(["d"])
    assert lines.text() == after


def test_a_column_counts_the_byte_order_mark() -> None:
    lines = Lines(f"{BOM}ab\n")
    lines.change(1, 3, re.compile("b"), r"\1")
    assert lines.text() == BOM + "a\\1\n"


def test_blank_lines_that_part_nothing_any_more() -> None:
    lines = Lines("a\n\n \t\nb\n\nc\n\n\nd\n")
    assert [number for number in range(1, 12) if lines.blank(number)] == [2, 3, 5, 7, 8, 10, 11]
    lines.remove([4])
    lines.remove_blank_above(4)
    lines.add(7, "new")
    lines.remove([9])
    lines.remove_blank_above(9)
    assert lines.text() == "a\n\nc\n\nnew\n"
    lines = Lines("\n\na\n")
    lines.remove([3])
    lines.remove_blank_above(3)
    assert lines.text() == ""


def test_a_line_above_the_first() -> None:
    lines = Lines("a\n")
    lines.add_above(0, "x")
    lines.add_above(0, "y")
    assert lines.text() == "x\ny\n\na\n"
