"""A line in words."""

from __future__ import annotations

import pytest

from ietpy.cli.shell.words import Word, from_arguments, split


@pytest.mark.parametrize(("line", "words"), [
    ("", []),
    ("  \t ", []),
    ("# a comment", []),
    ("  # another", []),
    ("ls  /iscsi\t1", ["ls", "/iscsi", "1"]),
    ("a # b", ["a", "#", "b"]),
    ('create "a b" c', ["create", "a b", "c"]),
    ("create 'a b'", ["create", "a b"]),
    ('a"b', ['a"b']),
    ('"a"b', ['"a"b']),
    ('"open', ['"open']),
    ("a\\ b", ["a\\", "b"]),
    ("\u00e9 \udcff", ["\u00e9", "\udcff"]),
])
def test_words(line: str, words: list[str]) -> None:
    assert [word.text for word in split(line)] == words


@pytest.mark.parametrize(("line", "named"), [
    ("size=10G", ("size", "10G")),
    ("password=", ("password", "")),
    ("password=a=b", ("password", "a=b")),
    ('password="a b"', ("password", "a b")),
    ("password='a'", ("password", "a")),
    ("password=\"a", ("password", '"a')),
    ('password=a"b"', ("password", 'a"b"')),
    ("password=a\\", ("password", "a\\")),
    ('"a=b"', None),
    ("/dev/by-id/a=b", None),
    ("=b", None),
    ("1a=b", None),
])
def test_values_by_name(line: str, named: tuple[str, str] | None) -> None:
    (word,) = split(line)
    assert word.named == named


def test_words_of_a_command_line_are_parted_already() -> None:
    assert from_arguments(("create", "a b")) == [Word("create"), Word("a b")]
    assert from_arguments(("create a b",)) == [Word("create"), Word("a"), Word("b")]
    assert from_arguments(("#x", "b"))[0] == Word("#x")
