"""The tutorial is a transcript: its commands run one after the other, and print what it shows, but for figures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contracts.test_docs import DOCS, FENCE, blocks

PAGE = DOCS / "tutorial.md"
BIN = Path(sys.executable).parent
#: What is typed on the page, and here: everything is below {place}, beside whatever else this machine runs.
TYPED = (
    ("ietpy-daemon start ", "ietpy-daemon start {daemon} --state-dir {state} -p 0 "),
    ("ietpy-daemon stop", "ietpy-daemon stop {daemon}"),
    ("iscsi://127.0.0.1/", "iscsi://127.0.0.1:{port}/"),
)
HOME = "/home/ann/tutorial"  #: of the page
#: Run by ``test_docs.py`` for the README, which installs in the same way.
INSTALLED = "python3 -m venv ~/ietpy\n~/ietpy/bin/pip install .\nexport PATH=~/ietpy/bin:$PATH\n"
ELSEWHERE = ("mkdir ~/tutorial", "cd ~/tutorial")  #: the test is there already
#: Figures differ, and with them how wide a column is, or whether it is KiB or MiB.
FIGURES = re.compile(r"\b[0-9a-f]{32}\b|\d[\d.,]*[kM]?( [KMGT]?i?B| ?[um]?s)?(?=\W|$)")


@dataclass(frozen=True)
class Typed:
    """One command and the lines that follow it; ``...`` stands for any number of lines."""

    command: str
    shown: list[str]


def story() -> Iterator[Typed | str]:
    """The page's commands in their order, and configurations to be written between them."""
    for kind, text in FENCE.findall(PAGE.read_text("utf-8")):
        if kind == "conf":
            yield text
        elif kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                yield Typed(command, shown)


def shape(line: str) -> str:
    """A line without its figures."""
    return " ".join(FIGURES.sub("0", line).split())


def fits(said: list[str], shown: list[str]) -> bool:
    """Whether what was said has the shape of what is shown."""
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(f"{shape(line)}\n") for line in shown)
    return re.fullmatch(pattern, "".join(f"{shape(line)}\n" for line in said)) is not None


def test_it_is_a_transcript(sharing: Path, tmp_path: Path) -> None:
    assert blocks(PAGE, "sh") == [INSTALLED]
    place = sharing / "tutorial"
    place.mkdir()
    words = {
        "daemon": f"--pid-file {tmp_path}/ietd.pid --control {tmp_path}/control", "state": str(tmp_path / "state"),
    }
    environment = {
        **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "IETPY_CONTROL": str(tmp_path / "control"),
    }

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-uc", command], cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )

    try:
        for step in story():
            if isinstance(step, str):
                (place / "ietd.conf").write_text(step.replace(HOME, str(place)))
                continue
            if step.command in ELSEWHERE:
                continue
            command = step.command
            for typed, here in TYPED:
                if typed in command:
                    command = command.replace(typed, here.format(**words))
            ended = run(command)
            said = ended.stdout.replace(str(place), HOME).splitlines()
            assert fits(said, step.shown), "\n".join([f"$ {step.command}", *said, "", "is shown as:", *step.shown])
            if step.command.startswith("ietpy-daemon start"):
                words["port"] = str(json.loads(run("ietpy status --json").stdout)["portals"][0]["port"])
        assert sorted(os.listdir(place)) == ["ietd.conf"]
    finally:
        for path in place.glob("qemu.pid"):
            run(f"kill {path.read_text()}")
        run(f"ietpy-daemon stop {words['daemon']}")


@pytest.mark.parametrize(
    ("said", "shown", "fit"),
    [
        (["a 12 b", "c"], ["a 7 b", "c"], True),
        (["a 12 KiB"], ["a 3.5 MiB"], True),
        (["875 IOPS, 0 B"], ["12.3k IOPS, 1 GiB"], True),
        (["a 12 KiB"], ["a 3.5 blocks"], False),
        (["a", "x", "y", "c"], ["a", "...", "c"], True),
        (["a", "x", "c"], ["a", "c"], False),
        (["a"], ["b"], False),
        (["a", "b"], ["a"], False),
        ([], [], True),
    ],
)
def test_what_fits(said: list[str], shown: list[str], fit: bool) -> None:
    assert fits(said, shown) is fit
