"""The tree: what it shows, and where its paths lead."""

from __future__ import annotations

import re

import pytest

from ietpy.cli.shell.book import Backstore, Book
from ietpy.cli.shell.tree import Kind, NoSuchPath, Tree, prompt
from ietpy.config.load import loads
from tests.cli.shell.conftest import A, T

TEXT = f"""\
Target {T}
    Lun 0 Path=/dev/sda,Type=blockio
    Lun 1 Path=/srv/b.img,Type=fileio,IOMode=ro
    IncomingUser joe secretsecret12
    Initiator {A} User=joe,Luns=0-1
    Initiator iqn.x Address=0.0.0.0
    Initiator iqn.y Address=192.0.2.0/24,Mode=ro,User=joe
    Initiator iqn.y User=joe
    Initiator iqn.z Oops=1
"""


def tree(text: str = TEXT, book: Book | None = None) -> Tree:
    return Tree(loads(text), book or Book((Backstore("fileio", "idle", "/srv/idle", True),)), lambda path: None)


def test_all_of_it() -> None:
    found = tree()
    found.size = {"/dev/sda": 1 << 30, "/srv/b.img": 1 << 20}.get
    lines = list(found.drawn(found.root, None, 90))
    assert {len(line) for line in lines} == {90}
    assert [re.sub(r" \.{3,} ", " ... ", line) for line in lines] == re.sub(r" \.{3,} ", " ... ", f"""\
o- / ... [...]
  o- backstores ... [...]
  | o- block ... [Storage Objects: 1]
  | | o- sda ... [/dev/sda (1.0GiB) write-thru activated]
  | o- fileio ... [Storage Objects: 2]
  |   o- idle ... [/srv/idle (missing) write-back deactivated]
  |   o- b ... [/srv/b.img (1.0MiB) ro activated]
  o- iscsi ... [Targets: 1]
    o- {T} ... [TPGs: 1]
      o- tpg1 ... [no-gen-acls, auth per-acl]
        o- acls ... [ACLs: 5]
        | o- {A} ... [1-way auth, Mapped LUNs: 2]
        | | o- mapped_lun0 ... [lun0 block/sda (rw)]
        | | o- mapped_lun1 ... [lun1 fileio/b (ro)]
        | o- iqn.x ... [no credentials, cannot log in, Mapped LUNs: 2]
        | | o- mapped_lun0 ... [lun0 block/sda (rw)]
        | | o- mapped_lun1 ... [lun1 fileio/b (ro)]
        | o- iqn.y ... [1-way auth, from 192.0.2.0/24, Mapped LUNs: 2]
        | | o- mapped_lun0 ... [lun0 block/sda (ro)]
        | | o- mapped_lun1 ... [lun1 fileio/b (ro)]
        | o- iqn.y#2 ... [1-way auth, Mapped LUNs: 2]
        | | o- mapped_lun0 ... [lun0 block/sda (rw)]
        | | o- mapped_lun1 ... [lun1 fileio/b (ro)]
        | o- iqn.z ... [a mistake in its line, admits nobody, Mapped LUNs: 2]
        |   o- mapped_lun0 ... [lun0 block/sda (rw)]
        |   o- mapped_lun1 ... [lun1 fileio/b (ro)]
        o- luns ... [LUNs: 2]
        | o- lun0 ... [block/sda (/dev/sda)]
        | o- lun1 ... [fileio/b (/srv/b.img)]
        o- portals ... [Portals: 1]
          o- 0.0.0.0:3260 ... [OK]
""").splitlines()


@pytest.mark.parametrize(("path", "start", "leads"), [
    ("/", "/iscsi", "/"),
    ("iscsi", "/", "/iscsi"),
    ("..", "/iscsi", "/"),
    ("../..", "/", "/"),
    ("../../portals", f"/iscsi/{T}/tpg1/luns/lun0", f"/iscsi/{T}/tpg1/portals"),
    (f"/iscsi/{T.upper()}/TPG1/", "/", f"/iscsi/{T}/tpg1"),
    ("/iscsi/*/tpg1", "/", f"/iscsi/{T}/tpg1"),
    ("/iscsi/./", "/", "/iscsi"),
    ("0.0.0.0:3260", f"/iscsi/{T}/tpg1/portals", f"/iscsi/{T}/tpg1/portals/0.0.0.0:3260"),
    ("", "/iscsi", "/iscsi"),
])
def test_ways(path: str, start: str, leads: str) -> None:
    found = tree()
    assert found.find(path, found.find(start, found.root)).path == leads


@pytest.mark.parametrize(("path", "sentence"), [
    ("/iscis", "there is no iscis below /; did you mean iscsi?"),
    ("/x", "there is no x below /; there are backstores, iscsi"),
    ("/backstores/ramdisk", "ietpy has no RAM disks: /backstores/fileio create NAME /dev/shm/NAME.img SIZE makes one of"
     " a file"),
    ("/backstores/fileio/*", "* may be any of idle, b below /backstores/fileio; write one of them"),
    ("/backstores/block/sda/x",
     "there is no x below /backstores/block/sda, nor anything else; ls / shows what there is"),
    ("/\x1b[2J", "there is no \\x1b[2J below /; there are backstores, iscsi"),
    ("/" + "x" * 5000, f"there is no {'x' * 100} below /; there are backstores, iscsi"),
])
def test_nowhere(path: str, sentence: str) -> None:
    found = tree()
    with pytest.raises(NoSuchPath) as caught:
        found.find(path, found.root)
    assert str(caught.value) == sentence


def test_names_that_would_be_paths_or_move_a_cursor() -> None:
    found = tree("Target a/b\nTarget a%2fb\nTarget x\x1by\nTarget \udcff\n")
    names = [child.name for child in found.children(found.find("/iscsi", found.root))]
    assert names == ["a%2fb", "a%2fb#2", "x\\x1by", "\\xff"]
    assert [found.find(f"/iscsi/{name}", found.root).target.name for name in names] == [
        "a/b", "a%2fb", "x\x1by", "\udcff"]
    assert "\x1b" not in "".join(found.drawn(found.root, None, 80))


def test_luns_that_hold_nothing_are_shown() -> None:
    found = tree("Target t\n    Lun 0 Type=nullio\n", Book())
    assert found.find("/backstores/nullio/disk", found.root).summary == "write-thru activated"


@pytest.mark.parametrize(("path", "names"), [
    ("", ["backstores/", "iscsi/"]),
    ("b", ["backstores/"]),
    ("/B", ["/backstores/"]),
    ("/backstores/fileio/i", ["/backstores/fileio/idle"]),
    ("/iscsi/" + T[:8], [f"/iscsi/{T}/"]),
    ("nowhere/", []),
])
def test_completion(path: str, names: list[str]) -> None:
    found = tree()
    assert found.names(found.root, path) == names


@pytest.mark.parametrize(("path", "shown"), [
    ("/", "/"),
    ("/backstores/block", "/backstores/block"),
    (f"/iscsi/{T}", f".../{T}"),
    (f"/iscsi/{T}/tpg1", ".../tpg1"),
    (f"/iscsi/{T}/tpg1/luns", ".../tpg1/luns"),
    (f"/iscsi/{T}/tpg1/luns/lun0", ".../tpg1/luns/lun0"),
    (f"/iscsi/{T}/tpg1/acls/{A}", f".../{A}"),
])
def test_prompts(path: str, shown: str) -> None:
    assert prompt(path) == shown


def test_kinds() -> None:
    found = tree()
    node = found.find(f"/iscsi/{T}/tpg1/acls/{A}/mapped_lun0", found.root)
    assert (node.kind, node.above(Kind.TPG).path, node.acl.name) == (Kind.MAPPED, f"/iscsi/{T}/tpg1", A)
