"""The walk that remembers: whose lines these are, where they end, and that it means what the loader says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.findings import MODES
from ietpy.config.load import loads
from ietpy.config.outline import outline

TEXT = """\
# a file
IncomingUser a b

Target t
  Lun 0 Path=/x,\\
    Type=fileio,\\
    IOMode=ro
  Wthreds 4
  what
Targt u
  Alias x
Target T
  Alias y
"""


def shape(text: str, mode: str) -> list[str]:
    """Each entry: its lines, its option, and the line where its block begins (0: discovery)."""
    walk, _ = outline(text, "f", mode)
    return [
        f"{entry.first}-{entry.last} {entry.option.name if entry.option else '?'}"
        f" {0 if entry.block is walk.discovery else entry.block.place.line}"
        for entry in walk.entries
    ]


@pytest.mark.parametrize(("mode", "entries"), [
    ("repair", [
        "2-2 IncomingUser 0", "4-4 Target 4", "5-7 Lun 4", "8-8 Wthreads 4", "9-9 ? 4", "10-10 ? 10", "11-11 Alias 10",
        "12-12 Target 4", "13-13 Alias 4",
    ]),
    ("iet", [
        "2-2 IncomingUser 0", "4-4 Target 4", "5-5 Lun 4", "6-6 ? 4", "7-7 ? 4", "8-8 ? 4", "9-9 ? 4", "10-10 ? 4",
        "11-11 Alias 4", "12-12 Target 12", "13-13 Alias 12",
    ]),
])
def test_entries(mode: str, entries: list[str]) -> None:
    assert shape(TEXT, mode) == entries


def test_segments_begin_with_their_target() -> None:
    walk, _ = outline(TEXT, "f", "repair")
    assert [(segment[0].first, segment[-1].last) for segment in walk.segments()] == [(2, 2), (4, 9), (10, 11), (12, 13)]
    assert list(outline("# nothing\n", "f", None)[0].segments()) == []


@pytest.mark.parametrize(("line", "indented"), [(2, True), (4, False), (5, True), (8, True), (9, False), (12, False)])
def test_what_shows_how_a_block_is_indented(line: int, indented: bool) -> None:
    walk, _ = outline(TEXT, "f", "repair")
    assert [entry.indented for entry in walk.entries if entry.first == line] == [indented]


@given(lines=st.lists(st.sampled_from(TEXT.splitlines()), max_size=15), mode=st.sampled_from(MODES))
def test_it_means_what_the_loader_says(lines: list[str], mode: str) -> None:
    text = "\n".join(lines)
    walk, found = outline(text, "f", mode)
    assert found == loads(text, "f", mode)
    assert [entry.first for entry in walk.entries] == sorted({entry.first for entry in walk.entries})
