"""Text to located statements (iet-compat 1.2): the shape of a line, and places that are true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.findings import MODES, Report
from ietpy.config.syntax import BLANKS, Statement, read, to_bytes, to_text


def statements(text: str, mode: str = "repair") -> list[Statement]:
    return read(text, Report("f", mode))


def flat(text: str, mode: str = "repair") -> list[tuple[str, str, int, int, int]]:
    return [
        (one.keyword.text, one.rest.text, one.line, one.keyword.column, one.rest.column)
        for one in statements(text, mode)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("\n \n\t\n", [], id="blank lines"),
        pytest.param("# a\n  # b\n#", [], id="comments"),
        pytest.param("a", [("a", "", 1, 1, 2)], id="keyword at the end"),
        pytest.param("\n  Key  v  w \n", [("Key", "v  w", 2, 3, 8)], id="blanks around"),
        pytest.param("K #v\n", [("K", "#v", 1, 1, 3)], id="a hash after a keyword"),
        pytest.param('K=v "a b" \\\n', [("K=v", '"a b" \\', 1, 1, 5)], id="equals sign, quotes, backslash"),
        pytest.param("a\r\nb\fc\vd\n", [("a", "", 1, 1, 2), ("b", "c\vd", 2, 1, 3)], id="only LF ends a line"),
        pytest.param("\xa0a\u2028b c\n", [("\xa0a\u2028b", "c", 1, 1, 6)], id="only ASCII blanks separate"),
        pytest.param("\ufeffa b\n", [("a", "b", 1, 2, 4)], id="byte order mark"),
        pytest.param("a b\0c\n", [("a", "b", 1, 1, 3)], id="NUL"),
        pytest.param("\0a b\nc\n", [("c", "", 2, 1, 2)], id="NUL first"),
    ],
)
def test_shape(text: str, expected: list[tuple[str, str, int, int, int]]) -> None:
    assert flat(text) == expected


def test_iet_keeps_the_byte_order_mark() -> None:
    assert flat("\ufeffa b\n", "iet") == [("\ufeffa", "b", 1, 1, 4)]


@pytest.mark.parametrize(
    ("bytes_before", "pieces"),
    [
        pytest.param(4089, ["Key"], id="4094 bytes and a newline fit"),
        pytest.param(4090, ["Key"], id="the newline is the rest"),
        pytest.param(4091, ["Key", "w"], id="one byte is the rest"),
    ],
)
def test_iet_cuts_at_4095_bytes(bytes_before: int, pieces: list[str]) -> None:
    text = "Key " + "v" * bytes_before + "w\n"
    assert [one.keyword.text for one in statements(text, "iet")] == pieces
    assert [(one.keyword.text, one.tail) for one in statements(text)] == [
        (piece, piece != "Key") for piece in pieces
    ]
    report = Report("f", "iet")
    read(text, report)
    assert [one.code for one in report.diagnostics] == (["long-line"] if bytes_before > 4089 else [])


def test_a_byte_order_mark_counts_among_the_bytes_of_a_line() -> None:
    text = "\ufeff#" + "x" * 4091 + "Key v\n"
    assert [one.keyword.text for one in statements(text, "iet")] == ["\ufeff#" + "x" * 4091, "Key"]
    (tail,) = statements(text)
    assert (tail.tail, tail.keyword.text, tail.keyword.column) == (True, "Key", 4094)


def test_places_in_a_slice_are_places_in_the_line() -> None:
    text = "#" * 4095 + " Key value\nlast\n"
    first, last = statements(text, "iet")
    assert (first.keyword.text, first.line, first.keyword.column) == ("Key", 1, 4097)
    assert (first.words[0].text, first.words[0].column) == ("value", 4101)
    assert (last.line, last.keyword.column) == (2, 1)


@pytest.mark.parametrize(
    ("text", "keyword", "words"),
    [
        ("K v\n", True, [True]),
        ("K v w", True, [True, False]),
        ("K v w ", True, [True, True]),
        ("K", False, []),
        ("K ", True, []),
        ("K v\0\n", True, [False]),
    ],
)
def test_a_word_is_complete_if_a_blank_follows(text: str, keyword: bool, words: list[bool]) -> None:
    (one,) = statements(text)
    assert one.keyword.complete is keyword
    assert [word.complete for word in one.words] == words


@given(text=st.text(alphabet="aK #=\t\n\r\f\v\0\xa0\ufeff\\é", max_size=60), mode=st.sampled_from(MODES))
def test_every_word_stands_where_it_says(text: str, mode: str) -> None:
    lines = text.split("\n")
    for one in statements(text, mode):
        for word in (one.keyword, one.rest, *one.words):
            assert lines[word.line - 1][word.column - 1 :].startswith(word.text)
        assert not one.keyword.text.startswith("#")
        assert one.rest.text == one.rest.text.strip(BLANKS)


@given(data=st.binary(max_size=60))
def test_bytes_survive(data: bytes) -> None:
    assert to_bytes(to_text(data)) == data
