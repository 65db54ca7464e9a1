"""The UCL form of ctl.conf."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.ctl import model
from ietpy.migrate.ctl_text import Entry
from ietpy.migrate.model import OPEN
from ietpy.migrate.ucl import DEEPEST, parse_ucl


def tree(entries: tuple[Entry, ...]) -> Any:
    return [
        (entry.key, *entry.values) if entry.entries is None else (entry.key, *entry.values, tree(entry.entries))
        for entry in entries
    ]


@pytest.mark.parametrize(("text", "found"), [
    ("", []),
    ('pidfile = "/a b"; timeout : 60, debug = 1\n', [("pidfile", "/a b"), ("timeout", "60"), ("debug", "1")]),
    ("/* a\n b */ timeout = 60 # note\n", [("timeout", "60")]),
    ('isns-server = ["a:1", b]', [("isns-server", "a:1"), ("isns-server", "b")]),
    ('auth-group { g { chap = { user = u, secret = "s" } odd = 1 } }', [("auth-group", "g", [("chap", "u", "s")])]),
    ('auth-group g { chap-mutual = [ { user = u, secret = s, mutual-user = m, mutual-secret = n } ] }', [
        ("auth-group", "g", [("chap-mutual", "u", "s", "m", "n")])]),
    ('portal-group { p { listen = ["192.0.2.1", "[::]:3261"], options { a = "b" } } }', [
        ("portal-group", "p", [("listen", "192.0.2.1"), ("listen", "[::]:3261"), ("option", "a", "b")])]),
    ('target { "iqn.a" { portal-group = p, lun { 0 = "x", 1 { path = /a }, 2 { name = y } } } }', [
        ("target", "iqn.a", [("portal-group", "p"), ("lun", "0", "x"), ("lun", "1", [("path", "/a")]),
                             ("lun", "2", "y")])]),
    ('target { t { portal-group { name = p, auth-group-name = g }, lun = [ { number = 0, name = x },'
     ' { number = 1, path = /a } ] } }', [
        ("target", "t", [("portal-group", "p", "g"), ("lun", "0", "x"), ("lun", "1", [("path", "/a")])])]),
    ('target { t { alias = "a \\"b\\"", portal-group = [ { name = p }, q ] } }', [
        ("target", "t", [("alias", 'a "b"'), ("portal-group", "p"), ("portal-group", "q")])]),
])
def test_entries(text: str, found: Any) -> None:
    assert tree(parse_ucl(text, "f")) == found


def test_it_means_what_the_plain_form_does_and_groups_may_stand_anywhere() -> None:
    text = 'target { "iqn.a" { auth-group = g, portal-group = p } } auth-group { g { auth-type = none } }\n'
    text += 'portal-group { p { listen = "192.0.2.1" } }\n'
    (target,) = model(parse_ucl(text, "f"), "f", ordered=False).targets
    assert target.grants == (OPEN,)


@pytest.mark.parametrize(("text", "message"), [
    ("a = {", "f:1:6: error: the end of the file has no place here"),
    ("a = ]", "f:1:5: error: ']' has no place here"),
    ('a = "b', "f:1:5: error: no word, text, list or object stands here"),
    ("isns-server = host", "f:1:15: error: isns-server must be a list here"),
    ("auth-group { g { chap = { user = u } } }", "f:1:25: error: secret is missing here"),
    ("a = " + "[" * (DEEPEST + 1), f"f:1:1: error: more than {DEEPEST} braces"),
])
def test_sentences(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_ucl(text, "f")
    assert str(caught.value).startswith(message)


@given(st.lists(st.sampled_from([
    "target", "lun", "auth-group", "chap", "a", "=", ":", "{", "}", "[", "]", '"x"', ",", ";", "0", '"', "name",
]), max_size=18))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(words: list[str]) -> None:
    try:
        found: Any = parse_ucl(" ".join(words), "f")
    except ConfigError as error:
        found = [diagnostic for diagnostic in error.diagnostics if diagnostic.span.file == "f"] or None
    assert found is not None
