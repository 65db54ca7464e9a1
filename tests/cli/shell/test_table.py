"""The rows of what may be typed: each has help, each can be found, and mistakes are told by them."""

from __future__ import annotations

import pytest

from ietpy.cli.shell import table
from ietpy.cli.shell.tree import Kind
from ietpy.cli.shell.words import split
from ietpy.errors import UsageError
from tests.cli.shell.conftest import A, T, Typist

SETUP = [
    "/backstores/block create d /dev/sda", f"/iscsi create {T}", "luns create /backstores/block/d",
    f"/iscsi/{T}/tpg1/acls create {A}", "cd /",
]
PLACES = {
    Kind.ROOT: "/", Kind.BACKSTORES: "/backstores", Kind.PLUGIN: "/backstores/fileio",
    Kind.BACKSTORE: "/backstores/block/d", Kind.ISCSI: "/iscsi", Kind.TARGET: f"/iscsi/{T}",
    Kind.TPG: f"/iscsi/{T}/tpg1", Kind.LUNS: f"/iscsi/{T}/tpg1/luns", Kind.LUN: f"/iscsi/{T}/tpg1/luns/lun0",
    Kind.ACLS: f"/iscsi/{T}/tpg1/acls", Kind.ACL: f"/iscsi/{T}/tpg1/acls/{A}",
    Kind.MAPPED: f"/iscsi/{T}/tpg1/acls/{A}/mapped_lun0", Kind.PORTALS: f"/iscsi/{T}/tpg1/portals",
    Kind.PORTAL: f"/iscsi/{T}/tpg1/portals/0.0.0.0:3260",
}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_help_shows_what_there_is(typed: Typist, kind: Kind) -> None:
    typed(*SETUP)
    lines = typed(f"{PLACES[kind]} help")
    assert lines[0] == f"Here, at {PLACES[kind]}:"
    names = [verb.name for verb in table.verbs(kind)]
    assert [line.split()[0] for line in lines[1:-1]] == list(dict.fromkeys(names))
    for name in set(names):
        assert typed(f"{PLACES[kind]} help {name}")[0].startswith(name)


def test_every_parameter_has_help() -> None:
    assert all(verb.help and all(each.help for each in verb.parameters) for verb in table.VERBS)


def test_create_of_each_kind_of_backstores_is_its_own(typed: Typist) -> None:
    assert typed("/backstores/block help create")[0] == "create name dev [readonly]"
    assert typed("/backstores/fileio help create")[0] == (
        "create name file_or_dev [size] [write_back] [sparse] [readonly]")


@pytest.mark.parametrize(("line", "sentence"), [
    ("create x", "create means nothing at /, the root; help says what does"),
    ("crate x", "there is no command crate; help says what there is"),
    ("statsu", "there is no command statsu; did you mean status?"),
    ("\x1b[2J", "there is no command \\x1b[2J; help says what there is"),
    ("help foo", "there is no command foo; help says what there is"),
    ("/nowhere ls", "there is no nowhere below /; there are backstores, iscsi"),
    ("ls / 1 2", "ls does not take 2, too; write ls [path] [depth]"),
    ("ls dept=1", "ls has no parameter dept; did you mean depth?"),
    ("ls zzz=1", "ls has no parameter zzz; write ls [path] [depth]"),
    ("ls depth=1 depth=2", "depth is given twice; leave one of them"),
    ("restoreconfig", "restoreconfig needs savefile; write restoreconfig savefile"),
    ('restoreconfig ""', "restoreconfig needs savefile; write restoreconfig savefile"),
])
def test_mistakes(typed: Typist, line: str, sentence: str) -> None:
    assert typed.refused(line) == sentence


@pytest.mark.parametrize(("words", "values"), [
    ("n /f", {"name": "n", "file_or_dev": "/f"}),
    ("n /f 1M", {"name": "n", "file_or_dev": "/f", "size": "1M"}),
    ("n size=1M /f", {"name": "n", "file_or_dev": "/f", "size": "1M"}),
    ("size=1M name=n file_or_dev=/f sparse=no", {"name": "n", "file_or_dev": "/f", "size": "1M", "sparse": "no"}),
    ('n "/a b"', {"name": "n", "file_or_dev": "/a b"}),
    ('n "x=y"', {"name": "n", "file_or_dev": "x=y"}),
])
def test_parameters(words: str, values: dict[str, str]) -> None:
    (verb,) = (verb for verb in table.VERBS if "file_or_dev" in [each.name for each in verb.parameters])
    assert table.bound(verb, split(words)) == values


def test_free_words() -> None:
    get, put = (next(verb for verb in table.VERBS if verb.name == name) for name in ("get", "set"))
    assert table.bound(get, split("attribute a b")) == {"group": "attribute", "...": "a b"}
    assert table.bound(put, split("attribute a=1 b=")) == {"group": "attribute", "a": "1", "b": ""}
    with pytest.raises(UsageError, match="a has no value"):
        table.bound(put, split("attribute a"))
