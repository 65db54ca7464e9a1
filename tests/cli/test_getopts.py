"""Options in the ways of glibc's getopt_long; the expectations were taken from a C program around it."""

from __future__ import annotations

import pytest

from ietpy.cli.getopts import parse
from ietpy.errors import UsageError

SHORT = "o:t:uvh"
LONG = ("op=", "tid=", "user", "version", "help")
NAMES = {"-o": "--op", "-t": "--tid", "-u": "--user", "-v": "--version"}


def options(*words: str) -> list[tuple[str, str]]:
    return list(parse("ietadm", words, SHORT, LONG, NAMES, ("verbose", "tidy=")))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(["--op", "x"], [("--op", "x")], id="value apart"),
        pytest.param(["--op=x=y"], [("--op", "x=y")], id="value joined, up to the first ="),
        pytest.param(["--op="], [("--op", "")], id="empty value"),
        pytest.param(["--op=", "x"], [("--op", ""), ("", "x")], id="empty value, and a word"),
        pytest.param(["--op", "--tid"], [("--op", "--tid")], id="a value may look like an option"),
        pytest.param(["--o", "x", "--us", "--he"], [("--op", "x"), ("--user", ""), ("--help", "")], id="abbreviations"),
        pytest.param(["--v", "--ve", "--ver"], [("--version", "")] * 3, id="one that IET had goes before ours"),
        pytest.param(["--verb", "--verbose"], [("--verbose", "")] * 2, id="ours"),
        pytest.param(["--tid", "1", "--ti=2", "--tidy", "3"], [("--tid", "1"), ("--tid", "2"), ("--tidy", "3")],
                     id="exact before a prefix"),
        pytest.param(["-o", "x", "-ty", "-u"], [("--op", "x"), ("--tid", "y"), ("--user", "")], id="short"),
        pytest.param(["-uto", "-uvt1"], [("--user", ""), ("--tid", "o"), ("--user", ""), ("--version", ""),
                                         ("--tid", "1")], id="short ones joined"),
        pytest.param(["-o", "-t"], [("--op", "-t")], id="a short one's value may look like an option"),
        pytest.param(["-h"], [("-h", "")], id="a short one without a long name"),
        pytest.param(["a", "-u", "b", "-", "-v"], [("", "a"), ("--user", ""), ("", "b"), ("", "-"), ("--version", "")],
                     id="words between"),
        pytest.param(["-u", "--", "-u", "--", "--op"], [("--user", ""), ("", "-u"), ("", "--"), ("", "--op")],
                     id="the end of options"),
    ],
)
def test_options(words: list[str], expected: list[tuple[str, str]]) -> None:
    assert options(*words) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--bogus"], "unrecognized option '--bogus'"),
        (["--bogus=1"], "unrecognized option '--bogus=1'"),
        (["--OP=1"], "unrecognized option '--OP=1'"),
        (["---op"], "unrecognized option '---op'"),
        (["-x"], "invalid option -- 'x'"),
        (["-ux"], "invalid option -- 'x'"),
        (["-u-"], "invalid option -- '-'"),
        (["-:"], "invalid option -- ':'"),
        (["-é"], "invalid option -- 'é'"),
        (["--user=1"], "option '--user' doesn't allow an argument"),
        (["--us=1"], "option '--user' doesn't allow an argument"),
        (["--op"], "option '--op' requires an argument"),
        (["--ti"], "option '--tid' requires an argument"),
        (["-t"], "option requires an argument -- 't'"),
        (["-uo"], "option requires an argument -- 'o'"),
        (["--=x"], "option '--=x' is ambiguous; possibilities: '--op' '--tid' '--user' '--version' '--help'"),
    ],
)
def test_what_is_wrong_is_said_as_glibc_does(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(*words)
    assert str(caught.value) == f"ietadm: {sentence}"


def test_what_comes_before_a_mistake_is_handed_out() -> None:
    """So that the version is printed, whatever follows."""
    found = parse("ietadm", ["--version", "--bogus"], SHORT, LONG, NAMES)
    assert next(found) == ("--version", "")
    with pytest.raises(UsageError):
        next(found)


def test_ours_can_be_ambiguous_among_themselves() -> None:
    with pytest.raises(UsageError, match="'--ti' is ambiguous; possibilities: '--tidy' '--tidings'"):
        list(parse("ietadm", ["--ti"], "", ("op=",), {}, ("tidy", "tidings")))
