"""Verbs that are everywhere."""

from __future__ import annotations

import pytest

from tests.cli.shell.conftest import A, T, Typist, World

SETUP = [
    "/backstores/block create d /dev/sda", f"/iscsi create {T}", "luns create /backstores/block/d",
    f"/iscsi/{T}/tpg1/acls create {A}", "cd /",
]


@pytest.mark.parametrize(("line", "count"), [
    ("ls", 15), ("ls /iscsi", 10), ("ls /iscsi 1", 2), ("ls 1", 3), ("ls depth=0", 1), ("ls path=iscsi depth=1", 2),
    ("iscsi ls", 10), ("/iscsi/ ls 0", 1), (f"ls /iscsi/{T}/tpg1/luns", 2),
])
def test_ls(typed: Typist, line: str, count: int) -> None:
    typed(*SETUP)
    assert len(typed(line)) == count


@pytest.mark.parametrize("depth", ["-1", "x", "9999", "\u0663"])
def test_what_is_no_depth(typed: Typist, depth: str) -> None:
    assert "is no depth" in typed.refused(f"ls / {depth}")


def test_going_about(typed: Typist) -> None:
    typed(*SETUP, f"cd iscsi/{T}/tpg1/luns/lun0")
    typed("cd ../../portals")
    assert typed("pwd") == [f"/iscsi/{T}/tpg1/portals"]
    typed("cd <")
    assert typed("pwd") == [f"/iscsi/{T}/tpg1/luns/lun0"]
    typed("cd ..")
    assert typed.shell.path == f"/iscsi/{T}/tpg1/luns"
    typed("cd /", "iscsi", "..")
    assert typed.shell.path == "/"
    typed(f"iscsi/{T}")
    assert typed.shell.path == f"/iscsi/{T}"


def test_cd_alone_shows_all_and_asks(typed: Typist) -> None:
    typed(*SETUP)
    assert typed.refused("cd") == "cd needs a path where nobody can be asked; ls shows what there is"
    asked: list[str] = []
    answers = iter(["4", "", "iscsi", "99", "../.."])
    typed.shell.ask = lambda question: asked.append(question) or next(answers)  # type: ignore[func-returns-value]
    typed("cd")
    lines = asked[0].splitlines()
    assert lines[0].startswith("   0* o- /")
    assert lines[4].startswith("   4  ")
    assert typed.shell.path == "/backstores/fileio"
    typed("cd", "cd /", "cd")
    assert typed.shell.path == "/iscsi"
    typed.refused("cd")
    typed("cd")
    assert typed.shell.path == "/"


@pytest.mark.parametrize(("path", "words"), [
    ("/", ["path: /", "summary: ..."]),
    ("/backstores/block/d", ["plugin: block", "path of it: /dev/sda", "size: 1073741824 bytes (1.0GiB)",
                             f"LUNs: {T}/0"]),
    (f"/iscsi/{T}/tpg1", [f"wwn: {T}", "alias: none", "closed: no"]),
    (f"/iscsi/{T}/tpg1/luns/lun0", ["number: 0", "file: /dev/sda", "type: blockio"]),
    (f"/iscsi/{T}/tpg1/acls/{A}", [f"initiator: {A}", "from: nowhere: it has no credentials"]),
    (f"/iscsi/{T}/tpg1/acls/{A}/mapped_lun0", ["LUN of the target: 0", "write protect: False"]),
])
def test_info(typed: Typist, path: str, words: list[str]) -> None:
    typed(*SETUP)
    assert set(words) <= set(typed(f"{path} info"))


def test_secrets_are_shown_by_get_auth_alone(typed: Typist, world: World) -> None:
    typed(*SETUP, f"/iscsi/{T}/tpg1/acls/{A} set auth userid=joe password=secretsecret12"
                  " mutual_userid=we mutual_password=othersecret12")
    everything = typed("ls", f"/iscsi/{T}/tpg1/acls/{A} info", f"/iscsi/{T}/tpg1 info", "status", "get global")
    assert "secretsecret12" in world.served
    assert not any("secret" in line for line in everything)


def test_groups(typed: Typist) -> None:
    typed(*SETUP)
    assert typed("get") == ["Groups here: global; get GROUP shows more."]
    assert typed("/backstores set") == ["Groups here: global; set GROUP shows more."]
    assert typed("set global") == [
        "auto_add_mapped_luns=VALUE  whether new LUNs and new ACLs are mapped to each other",
        "auto_cd_after_create=VALUE  whether create leads to what it made",
        "auto_save_on_exit=VALUE  whether exit writes what is served into the file",
    ]


def test_no_luns_are_mapped_by_themselves_if_asked(typed: Typist, world: World) -> None:
    typed("set global auto_add_mapped_luns=false", *SETUP)
    assert f"Initiator {A} Address=0.0.0.0,Luns=16383" in world.served
