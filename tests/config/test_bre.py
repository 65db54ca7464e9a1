"""Basic regular expressions by POSIX's words and by the C library's deeds, and the promise of linear time."""

from __future__ import annotations

import contextlib
import ctypes
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ietpy.config.bre import MOST_STATES, BadExpressionError, branches, compile_bre

MICROSOFT = "iqn.1991-05.com.microsoft:mscs1-2.example.com"


@pytest.mark.parametrize(
    ("expression", "text", "matches"),
    [
        pytest.param(r".*:mscs1-[1-4]\.example\.com", MICROSOFT, True, id="the stock example"),
        pytest.param(r".*:mscs1-[1-4]\.example\.co", MICROSOFT, False, id="the whole text must match"),
        pytest.param("", "", True, id="empty"),
        pytest.param("a", "", False, id="nothing left"),
        pytest.param("a.c", "abc", True, id="dot"),
        pytest.param(r"a\.c", "abc", False, id="escaped dot"),
        pytest.param("*", "*", True, id="a lone star is a star"),
        pytest.param(r"\(*a\)", "*a", True, id="a star after a group begins is a star"),
        pytest.param("ab*c", "abbbc", True, id="star"),
        pytest.param("ab*c", "ac", True, id="star takes nothing"),
        pytest.param("a+b?c|d()", "a+b?c|d()", True, id="no extended characters"),
        pytest.param(r"a\+", "aaa", True, id="GNU plus"),
        pytest.param(r"a\+", "", False, id="GNU plus takes one"),
        pytest.param(r"ab\?c", "ac", True, id="GNU question mark"),
        pytest.param(r"\(ab\|cd\)*", "abcdab", True, id="GNU alternative"),
        pytest.param(r"ab\|cd", "abd", False, id="an alternative is as long as its branch"),
        pytest.param(r"a\{2\}", "aa", True, id="exactly"),
        pytest.param(r"a\{2\}", "aaa", False, id="exactly, too many"),
        pytest.param(r"a\{2,\}", "aaaa", True, id="at least"),
        pytest.param(r"a\{2,3\}", "a", False, id="between, too few"),
        pytest.param(r"a\{2,3\}", "aaa", True, id="between"),
        pytest.param("[abc]", "b", True, id="set"),
        pytest.param("[^abc]", "b", False, id="set negated"),
        pytest.param("[]x]", "]", True, id="] first in a set"),
        pytest.param("[a-]", "-", True, id="- last in a set"),
        pytest.param("[a-c]", "b", True, id="range"),
        pytest.param("[[:digit:][:upper:]]*", "7A", True, id="classes"),
        pytest.param("[[:digit:]]", "a", False, id="class, not in it"),
        pytest.param("^a$", "a", False, id="anchors are literals"),
        pytest.param("^a$", "^a$", True, id="literal anchors"),
        pytest.param(r"\\", "\\", True, id="escaped backslash"),
        pytest.param(r"\+a", "+a", True, id="GNU plus with nothing to repeat is a plus"),
        pytest.param(r"a\?\?", "", True, id="GNU question mark may follow another"),
        pytest.param(r"a\{,2\}", "aa", True, id="at most"),
        pytest.param(r"a\{,2\}", "aaa", False, id="at most, too many"),
        pytest.param(r"a\{,\}", "aaa", True, id="any number"),
        pytest.param(r"\w*", "a_9", True, id="GNU word characters"),
        pytest.param(r"\w", "-", False, id="GNU word characters, another"),
        pytest.param(r"\W", "-", True, id="GNU other characters"),
        pytest.param(r"\W", "_", False, id="GNU other characters, a word's"),
        pytest.param(r"\s\S", "\ta", True, id="GNU blanks and others"),
        pytest.param(r"\s\S", "a\t", False, id="GNU blanks and others, the wrong way round"),
        pytest.param(r"\d", "d", True, id="not Perl"),
        pytest.param(r"a\|", "", True, id="an empty alternative"),
    ],
)
def test_matches(expression: str, text: str, matches: bool) -> None:
    assert compile_bre(expression)(text) is matches


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("alpha", "z", "1"),
        ("digit", "1", "z"),
        ("alnum", "z", "-"),
        ("upper", "Z", "z"),
        ("lower", "z", "Z"),
        ("space", "\n", "z"),
        ("blank", "\t", "\n"),
        ("punct", "-", "z"),
        ("xdigit", "f", "g"),
        ("cntrl", "\x7f", "z"),
        ("print", " ", "\n"),
        ("graph", "!", " "),
    ],
)
def test_classes(name: str, inside: str, outside: str) -> None:
    matches = compile_bre(f"[[:{name}:]]")
    assert matches(inside)
    assert not matches(outside)


@pytest.mark.parametrize(
    "expression",
    [
        "[",
        "[a",
        "[a-",
        "[[:alpha:]",
        "[[:nothing:]]",
        "[[:alpha",
        "[[.a.]]",
        "[b-a]",
        "[a-[:digit:]]",
        r"\(",
        r"\)",
        r"a\)",
        r"\(a",
        "\\",
        r"\(a\)\1",
        r"\b",
        r"\<a",
        r"\`",
        r"\0",
        r"a\{",
        r"a\{x\}",
        r"a\{3,2\}",
        r"a\{\}",
        r"a\{1x\}",
        r"a\{1,2,3\}",
        r"\{1\}",
        r"\(^a\)",
        r"a\|^b",
        r"\(a$\)",
        r"a$\|b",
        r"a**",
        r"a\+*",
        r"a*\{2\}",
        "[a-c-e]",
        "[[:digit:]-z]",
        "a" + r"\?" * 30,
        "[" + "ab" * MOST_STATES + "]",
        r"a\{9999\}",
        r"a\{999\}\{999\}",
        r"\(\)\{999\}\{999\}",
        "a" + "*" * 30,
        r"\(" * 30 + r"\)" * 30,
    ],
)
def test_refused(expression: str) -> None:
    with pytest.raises(BadExpressionError):
        compile_bre(expression)


def test_nested_stars_walk_each_character_once() -> None:
    """What takes a backtracking matcher longer than the universe has left."""
    assert not compile_bre(r"\(\(a*\)*\)*b")("a" * 223)
    assert not compile_bre(".*.*.*.*.*.*.*.*x")("a" * 223)


def test_alternatives_are_whole_unless_as_loose_as_under_iet() -> None:
    """IET put ``^`` before an item and ``$`` behind it, which bind tighter than an alternative."""
    expression = r"ab\|cd\|ef"
    assert branches(expression)
    assert not branches(r"\(ab\|cd\)")
    whole, loose = compile_bre(expression), compile_bre(expression, True)
    texts = ["ab", "cd", "ef", "abx", "xcdx", "xef", "xab", "efx"]
    assert [whole(text) for text in texts] == [True] * 3 + [False] * 5
    assert [loose(text) for text in texts] == [True] * 6 + [False] * 2
    assert not compile_bre("ab", True)("abx")


def _c_library(expression: str, text: str) -> bool | None:
    """What IET's regcomp and regexec made of an item; None for one that regcomp refuses."""
    library = ctypes.CDLL(None)
    compiled = ctypes.create_string_buffer(512)  # more than any regex_t
    without_groups = 8  # REG_NOSUB
    if library.regcomp(compiled, f"^{expression}$".encode(), without_groups):
        return None
    try:
        return bool(library.regexec(compiled, text.encode(), 0, None, 0) == 0)
    finally:
        library.regfree(compiled)


_TOKENS = ["a", "b", "-", ".", "*", "^", "$", "]", "+", "{", "}", ",", r"\.", r"\(", r"\)", r"\|", r"\+", r"\?", r"\w"]
_TOKENS += [r"\{1,2\}", r"\{,1\}", r"\{2\}", r"\d", "[ab]", "[^a]", "[]a-]", "[a-b-]", "[[:alpha:]", "[[:digit:]]", "["]


@given(tokens=st.lists(st.sampled_from(_TOKENS), max_size=8), text=st.text(alphabet="ab-.+d", max_size=5))
@example(tokens=["a", "*", "*"], text="aa")
@example(tokens=[r"\(", "*", "a", r"\)"], text="*a")
@example(tokens=["a", r"\|", "b"], text="ab-")
@example(tokens=["a", r"\{2\}", r"\?"], text="")
def test_agrees_with_the_library_that_iet_used(tokens: list[str], text: str) -> None:
    expression = "".join(tokens)
    try:
        loose, whole = compile_bre(expression, True)(text), compile_bre(expression)(text)
    except BadExpressionError:
        return
    assert loose is _c_library(expression, text)
    assert whole <= loose


@given(expression=st.text(alphabet="ab.*\\()[]{}|+?^-1,:", max_size=24), text=st.text(alphabet="ab*.", max_size=12))
def test_any_expression_matches_or_is_refused(expression: str, text: str) -> None:
    with contextlib.suppress(BadExpressionError):
        assert compile_bre(expression)(text) in (True, False)


@given(expression=st.from_regex(r"([ab.]\*?){0,6}", fullmatch=True), text=st.text(alphabet="ab", max_size=8))
def test_agrees_with_re_where_both_mean_the_same(expression: str, text: str) -> None:
    assert compile_bre(expression)(text) is bool(re.fullmatch(expression, text))
