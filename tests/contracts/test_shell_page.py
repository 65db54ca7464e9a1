"""Every command on the page for people from targetcli is typed, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ietpy.cli.shell import settings, table
from ietpy.cli.shell.turn import Found
from ietpy.config.load import loads
from tests.cli.shell.conftest import Typist, World

PAGE = (Path(__file__).parents[2] / "docs" / "shell.md").read_text("utf-8")
DISKS = ("/dev/disk/by-id/md-name-nas:iscsi", "/dev/sdb")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def world() -> World:
    world = World()
    world.there.update({path: Found("block", 1 << 30) for path in DISKS})
    return world


@pytest.fixture
def typed(world: World) -> Typist:
    typed = Typist(world)
    typed.shell.ask = lambda question: ""
    return typed


def test_the_session(typed: Typist, world: World) -> None:
    (session,), (file,) = blocks("text"), blocks("conf")
    said: list[str] = []
    for line in session.splitlines():
        prompt, mark, words = line.partition("> ")
        if not mark:
            assert line in said, line
            continue
        assert typed.shell.prompt == f"{prompt}> ".replace(".../acls/", ".../") or prompt.startswith(".../")
        assert typed.shell.path.endswith(prompt.removeprefix("..."))
        said = typed(words)
    assert world.file == file
    assert not loads(file).diagnostics


def test_the_table(typed: Typist) -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert len(rows) > 30
    for row in rows:
        for command in re.findall(r"`([^`]+)`", row):
            typed(command)


def test_the_command_lines(typed: Typist) -> None:
    (lines,) = blocks("sh")
    for line in lines.splitlines():
        words = line.removeprefix("ietpy shell").strip()
        if not words.startswith("<"):
            typed(words)


def test_every_verb_is_on_the_page() -> None:
    for verb in {verb.name for verb in (*table.VERBS, table.HELP)} - {"enable", "disable"}:
        assert re.search(rf"`(?:\S+ )?{verb}\b", PAGE), verb


@pytest.mark.parametrize("group", sorted({row.group for row in settings.SETTINGS}))
def test_every_group_is_on_the_page(group: str) -> None:
    assert re.search(rf"\bset {group}\b", PAGE)
