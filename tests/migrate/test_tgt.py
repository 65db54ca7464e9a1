"""The blocks of targets.conf, as Perl's Config::General reads them, and its includes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.tgt import DEEPEST_INCLUDE, Block, Files, logical, parse_tgt


def parsed(text: str, **others: str) -> Block:
    texts = {"f": text, **others}

    def find(pattern: str) -> list[str]:
        return [name for name in texts if name != "f" and name.startswith(pattern.rstrip("*"))]

    def read(path: str) -> str:
        return texts[path]

    return parse_tgt("f", Files(read, find))


def entries(block: Block) -> dict[str, list[str]]:
    return {name: [line.text for line in lines] for name, lines in block.entries.items()}


@pytest.mark.parametrize(("text", "found"), [
    ("a b\n", {"a": ["b"]}),
    ("a = b\n", {"a": ["b"]}),
    ("a=b\n", {"a": ["b"]}),
    ("a\n", {"a": [""]}),
    ("  a   b c  # note\n", {"a": ["b c"]}),
    ("a b\\#c\n", {"a": ["b#c"]}),
    ("a b#c\n", {"a": ["b"]}),
    ("# note\n\n/* a\n b */\na b\n", {"a": ["b"]}),
    ("a b \\\n  c\n", {"a": ["b   c"]}),
    ('a "b c"\n', {"a": ["b c"]}),
    ('a x "b c"\n', {"a": ['x "b c"']}),
    ("a b\na c\n", {"a": ["b", "c"]}),
    ("a <<EOF\none\ntwo\nEOF\nb c\n", {"a": ["one\ntwo"], "b": ["c"]}),
    ("a b\\", {"a": ["b"]}),
])
def test_entries(text: str, found: dict[str, list[str]]) -> None:
    assert entries(parsed(text)) == found


def test_blocks_are_merged_and_letter_case_of_their_end_does_not_count() -> None:
    root = parsed("<target x>\na 1\n</Target>\n<target x>\na 2\n<store p>\nlun 1\n</store>\n</target>\n")
    block = root.blocks["target"]["x"]
    assert entries(block) == {"a": ["1", "2"]}
    assert entries(block.blocks["store"]["p"]) == {"lun": ["1"]}
    assert str(block.span) == "f:1:1"


def test_places_are_those_of_the_beginning() -> None:
    (first, second) = logical("  a b \\\n c\n\n d e\n", "f")
    assert (str(first.span), str(second.span)) == ("f:1:3", "f:4:2")


def test_includes(tmp_path: Path) -> None:
    assert entries(parsed("include d/*\na 1\n", **{"d/x": "a 2\n", "d/y": "a 3\n"})) == {"a": ["2", "3", "1"]}
    assert entries(parsed("IncludeOptional none*\n<<include d/x>>\n", **{"d/x": "b 1\n"})) == {"b": ["1"]}
    (tmp_path / "d").mkdir()
    (tmp_path / "d/one.conf").write_text("a 1\n")
    (tmp_path / "d/deeper").mkdir()
    (tmp_path / "main").write_text('include "d"\nb 2\n')
    root = parse_tgt(str(tmp_path / "main"))
    assert entries(root) == {"a": ["1"], "b": ["2"]}
    assert str(root.entries["a"][0].span) == f"{tmp_path}/d/one.conf:1:1"


def test_an_include_in_a_circle_ends() -> None:
    with pytest.raises(ConfigError, match=f"more than {DEEPEST_INCLUDE} files"):
        parsed("include g*\n", g="include g*\n")


def test_a_file_that_cannot_be_read_has_a_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none:1:1: error: cannot read .*none: No such file"):
        parse_tgt(str(tmp_path / "none"))


@pytest.mark.parametrize(("text", "message"), [
    ("<target x>\n", "f:1:1: error: the block <target x> has no end"),
    ("</target>\n", "f:1:1: error: </target> ends what is not open, nothing is"),
    ("<target x>\n</store>\n", "f:2:1: error: </store> ends what is not open, <target> is"),
    ("<target x>\ns a\n<s b>\n</s>\n</target>\n", "f:3:1: error: s stands both as a line and as a block"),
    ("<target x>\n<s b>\n</s>\n s a\n</target>\n", "f:4:2: error: s stands both"),
    ("<>\n", "f:1:1: error: neither a key"),
    ("<a>\n" * 9, "f:9:1: error: more than 8 blocks"),
])
def test_sentences(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert str(caught.value).startswith(message)


@given(st.text(st.sampled_from("<>/ab =#\\\n\" *include"), max_size=60))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(text: str) -> None:
    found: Any = None
    try:
        found = parsed(text)
    except ConfigError as error:
        found = error.diagnostics
    assert found is not None


def test_time_is_linear() -> None:
    start = time.perf_counter()
    parsed("<target x>\n" + "a b\n" * 20000 + "</target>\n" + "#\\" * 50000)
    assert time.perf_counter() - start < 10
