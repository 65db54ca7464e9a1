"""scst.conf as SCST's Perl reader sees it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.model import Note
from ietpy.migrate.scst_text import DEEPEST, Entry, parse_scst


def parsed(text: str) -> tuple[Any, list[Note]]:
    notes: list[Note] = []
    return tree(parse_scst(text, "f", notes)), notes


def tree(entry: Entry) -> Any:
    return [(" ".join(each.words), tree(each)) if each.braces else " ".join(each.words) for each in entry.entries]


@pytest.mark.parametrize(("text", "found", "said"), [
    ("a 1\nb\n", ["a 1", "b"], ""),
    ('a "b c"\n', ["a b c"], ""),
    ("A x {\n\tb 1\n}\nc\n", [("A x", ["b 1"]), "c"], ""),
    ("A x\n{\nb 1\n}\n", [("A x", ["b 1"])], ""),
    ("{\nb 1\n}\nc\n", ["c"], ""),
    ("# note\na 1 # note\n", ["a 1"], ""),
    ("a xyz# note\n", ["a xy"], "the character before the hash"),
    ("a x\\#y\n", ["a x#y"], ""),
    ("A { b 1 }\n", [("A", [])], "throws it away"),
    ("A {\nu \"joe a}b\"\nc\n}\nd\n", [("A", []), "b ", "c"], "brace in a quoted value"),
    ("A {\n}\n}\nb\n", [("A", [])], "a closing brace too many"),
    ("A {\nb\n", [("A", ["b"])], "not closed"),
    ("", [], ""),
])
def test_entries(text: str, found: Any, said: str) -> None:
    entries, notes = parsed(text)
    assert entries == found
    assert said in "\n".join(map(str, notes))
    assert bool(said) is bool(notes)


def test_a_secret_that_is_thrown_away_is_not_shown() -> None:
    _, notes = parsed('A { IncomingUser "joe hidden" }\n')
    assert "hidden" not in "".join(map(str, notes))


def test_places_and_values() -> None:
    notes: list[Note] = []
    (entry,) = parse_scst("A x {\n  b 1\n  b 2\n  c 0\n}\n", "f", notes).entries
    assert str(entry.entries[0].span) == "f:2:3"
    assert (entry.value("b"), entry.value("d", "5"), entry.flag("b"), entry.flag("c"), entry.word(5)) == (
        "2", "5", True, False, "",
    )
    assert Entry((), entry.span).name == ""


def test_braces_too_deep() -> None:
    with pytest.raises(ConfigError, match=f"more than {DEEPEST} braces"):
        parsed("a {\n" * (DEEPEST + 1))


@given(st.text(st.sampled_from('{}"#\\\n ab'), max_size=60))
def test_whatever_it_holds_it_is_read(text: str) -> None:
    entries, _ = parsed(text) if text.count("{") < DEEPEST else ([], [])
    assert isinstance(entries, list)


def test_time_is_linear() -> None:
    start = time.perf_counter()
    parsed("A x {\n" + "a b\n" * 30000 + "}\n" + '"' * 30000 + "\\" * 30000)
    assert time.perf_counter() - start < 10
