"""Unknown keywords: what they resemble, and which of them keep somebody out."""

from __future__ import annotations

import pytest

from ietpy.config.findings import Report
from ietpy.config.options import ACCESS_ELSEWHERE, NO_GUARD, OPTION_BY_WORD, READ_ONLY_ELSEWHERE
from ietpy.config.strangers import behind, forbids_writing, guard, in_one_word, joint_before, parted, stranger
from ietpy.config.syntax import Statement, read


def statement(line: str) -> Statement:
    (one,) = read(line + "\n", Report("f", "repair"))
    return one


@pytest.mark.parametrize(
    ("word", "name", "sure"),
    [
        ("IncomingUser", "IncomingUser", True),
        ("incominguser=joe", "IncomingUser", True),
        ("IncomingUsr", "IncomingUser", True),
        ("IncUser", "IncomingUser", False),
        ("xyzzy", None, False),
        ("=", None, False),
    ],
)
def test_stranger(word: str, name: str | None, sure: bool) -> None:
    unknown = stranger(statement(word).keyword)
    assert (unknown.option.name if unknown.option else None, unknown.sure) == (name, sure)
    assert unknown.exact is (word.partition("=")[0].lower() in OPTION_BY_WORD)


@pytest.mark.parametrize("joint", ["=", ":", ",", ";", "/", "|", '"', "'"])
def test_what_is_joined_to_a_keyword_is_no_part_of_it(joint: str) -> None:
    """It may be a secret, and messages repeat the keyword."""
    unknown = stranger(statement(f"IncomingUser{joint}joe secret").keyword)
    assert (unknown.head, unknown.joint, unknown.tail, unknown.exact) == ("IncomingUser", joint, "joe", True)


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        ("Incoming User a b", "IncomingUser", "a b"),
        ("I ncomingUser a b", "IncomingUser", "a b"),
        ("initiat address 10.0.0.1", "initiator-address", "10.0.0.1"),
        ("Max Sessions=1", "MaxSessions", "1"),
        ("initiat r-address 10.0.0.1", "initiator-address", "10.0.0.1"),
        ("Max BurstLength 512", "MaxBurstLength", "512"),
        ("Max BurstLenght 512", None, ""),
        ("axSessions 1", None, ""),
        ("free text", None, ""),
        ("alone", None, ""),
    ],
)
def test_a_keyword_in_two_words(line: str, name: str | None, rest: str) -> None:
    one = statement(line)
    whole = in_one_word(stranger(one.keyword), one)
    assert (whole[0].name if whole else None) == name
    assert (whole[1].rest.text if whole else "") == rest


@pytest.mark.parametrize("word", ACCESS_ELSEWHERE)
@pytest.mark.parametrize("value", ["", " x", "=x", *(f" {word}" for word in NO_GUARD)])
def test_words_for_access(word: str, value: str) -> None:
    one = statement(f"{word.upper()}{value}")
    found = guard(stranger(one.keyword), one)
    assert (found is None) is (value.strip() in NO_GUARD)
    assert found is None or (found.account, found.read_only) == (ACCESS_ELSEWHERE[word], False)


@pytest.mark.parametrize("word", READ_ONLY_ELSEWHERE)
def test_words_for_read_only(word: str) -> None:
    for value in ("yes", "1", "", "ro", "whatever"):
        one = statement(f"{word} {value}")
        found = guard(stranger(one.keyword), one)
        assert found is not None
        assert found.read_only
    for value in NO_GUARD:
        one = statement(f"{word}: {value}")
        assert guard(stranger(one.keyword), one) is None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("IncUser a b", "closes"),
        ("initiator-list iqn.x", "closes"),
        ("iSNSAccess Yes", "isns"),
        ("iSNSAccess No", None),
        ("used by accounting", None),
        ("Session 1", None),
        ("Mode production", None),
        ("xyzzy 5", None),
    ],
)
def test_what_resembles_a_word_for_access(line: str, kind: str | None) -> None:
    one = statement(line)
    found = guard(stranger(one.keyword), one)
    assert (None if found is None else "isns" if found.isns else "closes") == kind


@pytest.mark.parametrize(
    ("word", "value", "forbids"),
    [("IOMod", "ro", True), ("Mode", '"RO"', True), ("Mode", "production", False), ("b", "ro", False)],
)
def test_forbids_writing(word: str, value: str, forbids: bool) -> None:
    assert forbids_writing(word, value) is forbids


def test_parted() -> None:
    one = statement("  InitialR2T=No # c")
    keyword, value = (lambda two: (two.keyword, two.words[0]))(parted(one, stranger(one.keyword)))
    assert (keyword.text, keyword.column, value.text, value.column) == ("InitialR2T", 3, "No", 14)
    bare = statement("InitialR2T= No")
    assert parted(bare, stranger(bare.keyword)) is bare


@pytest.mark.parametrize(
    ("keyword", "line", "joint", "rest"),
    [
        ("IncomingUser", "IncomingUser = a b", "=", "a b"),
        ("IncomingUser", "IncomingUser =a b", None, ""),
        ("MaxSessions", "MaxSessions :1", ":", "1"),
        ("iSNSServer", "iSNSServer ::1", None, ""),
        ("Alias", "Alias = x", None, ""),
        ("Wthreads", "Wthreads", None, ""),
    ],
)
def test_joint_before(keyword: str, line: str, joint: str | None, rest: str) -> None:
    one = statement(line)
    found = joint_before(OPTION_BY_WORD[keyword.lower()], one)
    assert (found.text if found else None) == joint
    assert (behind(one, found).rest.text if found else "") == rest
