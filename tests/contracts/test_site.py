"""The site and the man pages are built of the pages without a warning, and man and mandoc find nothing in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ietpy.cli import ietadm, ietd
from ietpy.cli import ietpy as tools
from ietpy.daemon import main as daemon

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MAN = ("ietpy.8", "ietpy-daemon.8", "ietadm.8", "ietd.8", "ietd.conf.5")


def build(into: Path, *what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DOCS / "build"), *what, "--into", str(into)],
        capture_output=True, text=True, timeout=100, check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("site")
    ended = build(into)
    assert (ended.returncode, ended.stderr) == (0, "")
    return into


def test_every_page_is_in_the_site(built: Path) -> None:
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    named = {str(page.relative_to(ROOT).with_suffix(".html")) for page in pages if not page.name[:4].isdigit()}
    named |= {f"docs/decisions/{page.stem}.html" for page in DOCS.glob("decisions/0*.md")}
    assert {name for name in named if not (built / "html" / name).is_file()} == set()
    assert "docs/index.html" in (built / "html" / "index.html").read_text()


def test_the_site_loads_nothing_from_elsewhere(built: Path) -> None:
    text = (built / "html" / "docs" / "quickstart.html").read_text()
    loaded = re.findall(r'<(?:link|script|img)[^>]*(?:href|src)="([^"]+)"', text)
    assert loaded
    assert [address for address in loaded if "//" in address] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[there](none.md)", "none"),
        ("[there](index.md#none)", "none"),
        ("```nolanguage\nx\n```", "nolanguage"),
    ],
)
def test_what_is_wrong_with_a_page_is_an_error(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{text}\n")
    command = ["-q", "-W", "-b", "html", "-c", str(DOCS), str(tmp_path), str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert complaint in ended.stderr


@pytest.mark.parametrize("name", MAN)
def test_a_man_page_is_well_written(name: str, built: Path) -> None:
    """``-W warning`` leaves out matters of style: long lines, which docutils writes, and its date."""
    page = str(built / "man" / name)
    linted = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    shown = subprocess.run(
        ["man", "--warnings", "-l", page], capture_output=True, text=True, env=environment, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    plain = re.sub(".\b", "", shown.stdout)
    title, _, section = name.rpartition(".")
    assert plain.startswith(f"{title.upper()}({section})")
    for heading in ("NAME", "DESCRIPTION"):
        assert f"\n{heading}\n" in plain
    assert "<>" not in plain


def test_there_are_no_other_man_pages(built: Path) -> None:
    assert sorted(os.listdir(built / "man")) == sorted(MAN)


def walk(name: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=name)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        yield f"{name} {word}", command
        if isinstance(command, click.Group):
            yield from walk(f"{name} {word}", command)


@pytest.mark.parametrize(("name", "group"), [("ietpy", tools.main), ("ietpy-daemon", daemon.main)])
def test_every_command_and_option_is_there(name: str, group: click.Group) -> None:
    page = (DOCS / "reference" / f"{name}.md").read_text("utf-8")
    for whole, command in walk(name, group):
        if command.hidden:
            continue
        section = page.partition(f"\n### {whole}\n")[2].partition("\n###")[0].partition("\n## ")[0]
        assert section, whole
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert all(f"`{word}" in section for word in option.opts), (whole, option.name)


@pytest.mark.parametrize(
    ("name", "options"), [("ietd", ietd._LONG), ("ietadm", (*ietadm._LONG, *ietadm._OURS))]
)
def test_every_option_of_iets_commands_is_there(name: str, options: tuple[str, ...]) -> None:
    page = (DOCS / "reference" / f"{name}.md").read_text("utf-8")
    for option in options:
        assert f"--{option.rstrip('=')}" in page
