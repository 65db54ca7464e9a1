"""JSON with places: what is accepted is what json accepts, and what is wrong has its place."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError, Span
from ietpy.migrate.places import DEEPEST, Node, parse


def plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {name: plain(member) for name, member in node.value.items()}
    return node.value


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose members have names of their own. Raises ValueError."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10**30, 10**30) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 2]))
def test_what_json_writes_is_read(value: Any, indent: int | None) -> None:
    assert plain(parse(json.dumps(value, indent=indent), "f")) == value


@given(st.text(st.sampled_from('{}[]",:\\ \n0129.eE-+truefalsn'), max_size=30))
def test_what_is_wrong_has_a_place_and_nothing_else_is_raised(text: str) -> None:
    try:
        wanted = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        with pytest.raises(ConfigError, match=r"^f:"):
            parse(text, "f")
    else:
        assert plain(parse(text, "f")) == wanted


def test_places_of_values_and_keys() -> None:
    node = parse('{\n  "a": [1,\n    {"b": "x"}]\n}', "f")
    a = node.get("a")
    assert (a.key, a.span) == (Span("f", 2, 3), Span("f", 2, 8))
    (_, second) = a.items()
    assert second.get("b").span == Span("f", 3, 11)
    assert second.get("missing").span == second.span


@pytest.mark.parametrize(("text", "place", "word"), [
    ("", "f:1:1", "ends"),
    ('{"a": 1} x', "f:1:10", "follows"),
    ('{"a": 1, "a": 2}', "f:1:10", "twice"),
    ('{"a" 1}', "f:1:6", "colon"),
    ("{a: 1}", "f:1:2", "name"),
    ('[1 2]', "f:1:4", "comma"),
    ('["x\n"]', "f:1:4", "text"),
    ("[nul]", "f:1:2", "no value"),
    ("[01]", "f:1:2", "no value"),
    ("[" * (DEEPEST + 2), f"f:1:{DEEPEST + 2}", "within"),
    ("[" + "9" * 1000 + "]", "f:1:2", "no value"),
])
def test_sentences(text: str, place: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    (found,) = caught.value.diagnostics
    assert str(found.span) == place
    assert word in found.problem


def test_a_byte_order_mark_is_passed_over() -> None:
    assert plain(parse("\ufeff[1]", "f")) == [1]


@pytest.mark.parametrize(("text", "ask", "answer"), [
    ('"x"', Node.text, "x"), ("null", Node.text, ""), ("5", Node.number, 5), ('"5"', Node.number, 5),
    ("true", Node.number, 1), ("null", Node.number, None), ("1", Node.flag, True), ("false", Node.flag, False),
    ('"0"', Node.flag, False), ("null", lambda node: node.flag(True), True), ("-1", Node.flag, False),
    ("null", lambda node: [*node.items()], []), ("null", lambda node: [*node.members()], []),
])
def test_values_of_a_kind(text: str, ask: Any, answer: Any) -> None:
    assert ask(parse(text, "f")) == answer


@pytest.mark.parametrize(("text", "ask"), [
    ("1", Node.text), ("[]", Node.number), ("1.5", Node.number), ("{}", lambda node: [*node.items()]),
    ('"x"', lambda node: [*node.members()]), ('"yes"', Node.flag), ("false", Node.text), ("null", lambda node:
     (_ for _ in ()).throw(node.wrong("something"))),
])
def test_values_of_another_kind(text: str, ask: Any) -> None:
    with pytest.raises(ConfigError, match=r"f:1:1: error: .* stands here; write "):
        ask(parse(text, "f"))


def test_time_is_linear() -> None:
    text = json.dumps({str(number): [number] * 3 for number in range(20000)}, indent=1)
    start = time.perf_counter()
    parse(text, "f")
    assert time.perf_counter() - start < 5
