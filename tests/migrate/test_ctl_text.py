"""The words and braces of ctl.conf."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.ctl_text import KEYWORDS, Entry, parse_ctl


def tree(entries: tuple[Entry, ...]) -> Any:
    return [
        (entry.key, *entry.values) if entry.entries is None else (entry.key, *entry.values, tree(entry.entries))
        for entry in entries
    ]


@pytest.mark.parametrize(("text", "found"), [
    ("", []),
    ("debug 1; timeout 30; maxproc 0", [("debug", "1"), ("timeout", "30"), ("maxproc", "0")]),
    ("isns-server 192.0.2.53:3205\n# note\n", [("isns-server", "192.0.2.53:3205")]),
    ('auth-group a { chap "u" "a b"; auth-type deny }', [
        ("auth-group", "a", [("chap", "u", "a b"), ("auth-type", "deny")])]),
    ("portal-group p { listen [::]:3261 foreign option a b }", [
        ("portal-group", "p", [("listen", "[::]:3261"), ("foreign",), ("option", "a", "b")])]),
    ("target t { portal-group p portal-group q a lun 0 x lun 1 { path /a path /b } }", [
        ("target", "t", [("portal-group", "p"), ("portal-group", "q", "a"), ("lun", "0", "x"),
                         ("lun", "1", [("path", "/a"), ("path", "/b")])])]),
    ('target "target" { alias "size" }', [("target", "target", [("alias", "size")])]),
    ("target t { alias + }", [("target", "t", [("alias", "+")])]),
    ("lun target0 { path /target/lun }", [("lun", "target0", [("path", "/target/lun")])]),
])
def test_entries(text: str, found: Any) -> None:
    assert tree(parse_ctl(text, "f")) == found


def test_places() -> None:
    (entry,) = parse_ctl("# note\n  target t {\n\tlun 0 x\n}", "f")
    assert (str(entry.span), str(next(entry.all("lun")).span), entry.value) == ("f:2:3", "f:3:2", "t")
    assert Entry("x", (), entry.span).value == ""


@pytest.mark.parametrize(("text", "message"), [
    ("target t {", "f:1:11: error: the end of the file has no place here"),
    ("target t {\n color red }", "f:2:2: error: 'color' has no place here; write "),
    ("target path { }", "f:1:8: error: 'path' has no place here"),
    ('target t { alias "" }', "f:1:18: error: quotes that hold nothing, or have no end"),
    ('target "t', "f:1:8: error: quotes that hold nothing"),
    ("}", "f:1:1: error: '}' has no place here"),
    ("chap a b", "f:1:1: error: 'chap' has no place here"),
])
def test_sentences(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_ctl(text, "f")
    assert str(caught.value).startswith(message)


@given(st.lists(
    st.sampled_from([*sorted(KEYWORDS), "{", "}", ";", '"a b"', "x", '"', "#", "\n", "=", "é"]), max_size=20
))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(words: list[str]) -> None:
    try:
        found: Any = parse_ctl(" ".join(words), "f")
    except ConfigError as error:
        found = [diagnostic for diagnostic in error.diagnostics if diagnostic.span.file == "f"]
        found = found or None
    assert found is not None


def test_time_is_linear() -> None:
    start = time.perf_counter()
    parse_ctl("target t { " + "lun 0 x; " * 10000 + "}", "f")
    assert time.perf_counter() - start < 10
