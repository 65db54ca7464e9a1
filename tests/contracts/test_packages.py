"""The recipes of packages go with the tree; ``tests/long/debian-package`` and ``container`` show that they work."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import ietpy

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "init" / "debian"
#: What Debian 12 has; nothing newer may be asked for (decision 96).
BOOKWORM = {
    "lark": (1, 1, 5), "python-daemon": (2, 3, 2), "crc32c": (2, 3), "click": (8, 1, 3), "rich": (13, 3, 1),
    "prometheus-client": (0, 16, 0),
}
#: The names of Debian's packages, but for a prefix.
NAMES = {"python-daemon": "daemon"}


def asked_for() -> dict[str, tuple[int, ...]]:
    """What setup.cfg asks for at run time, and for metrics: each with its least version."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].split("\n") + setup["options.extras_require"]["metrics"].split("\n")
    found = (re.fullmatch(r"([a-z0-9-]+) >=([\d.]+)", line) for line in lines if line)
    return {match[1]: tuple(map(int, match[2].split("."))) for match in found if match}


def test_debian_has_what_is_asked_for() -> None:
    asked = asked_for()
    assert asked.keys() == BOOKWORM.keys()
    assert {name for name, version in asked.items() if version > BOOKWORM[name]} == set()


def test_debian_builds_with_what_is_imported() -> None:
    control = (DEBIAN / "control").read_text()
    needed = {f"python3-{NAMES.get(name, name)}" for name in asked_for()}
    assert {name for name in needed if not re.search(rf"\b{name}\b", control)} == set()


def test_debians_version_is_ours() -> None:
    assert (DEBIAN / "changelog").read_text().startswith(f"ietpy ({ietpy.__version__}) ")


def test_what_the_recipes_name_is_there() -> None:
    sources = [line.split()[0] for line in (DEBIAN / "install").read_text().splitlines()]
    sources += re.findall(r"^\tcp (\S+) ", (DEBIAN / "rules").read_text(), re.MULTILINE)
    assert len(sources) > 6
    assert [source for source in sources if not list(ROOT.glob(source))] == []


def test_the_container_installs_what_there_is() -> None:
    text = (ROOT / "init" / "container" / "Containerfile").read_text()
    ignored = (ROOT / "init" / "container" / "Containerfile.containerignore").read_text().split()
    assert "'/src[metrics]'" in text
    assert "\nUSER 3260:3260\n" in text
    assert not {"ietpy", "etc", "init", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"} & {*ignored}
