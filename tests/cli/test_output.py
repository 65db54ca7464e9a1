"""Tables, JSON and numbers in words: what every command of ``ietpy`` prints."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys

import pytest

from ietpy.cli import output
from ietpy.cli.output import Column, number


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, "-"), (0, "0 B"), (512, "512 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"),
        (1023.6 * 1024, "1 MiB"), (64 << 20, "64 MiB"), (10 << 30, "10 GiB"), (3 << 50, "3 PiB"),
        (5000 << 50, "5000 PiB"),
    ],
)
def test_bytes(count: float | None, words: str) -> None:
    assert output.in_bytes(count) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, "-"), (0, "0"), (0.26, "0.3"), (812, "812"), (1234, "1.2k"), (58_000, "58k"), (2.5e6, "2.5M"),
        (7e12, "7000G"),
    ],
)
def test_how_often(count: float | None, words: str) -> None:
    assert output.per_second(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.0, "0 us"), (85e-6, "85 us"), (0.001, "1 ms"), (0.0123, "12.3 ms"), (3.0, "3 s"), (0.9999, "1 s")],
)
def test_short_times(seconds: float | None, words: str) -> None:
    assert output.latency(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"), (0, "0s"), (-3, "0s"), (12.9, "12s"), (60, "1m"), (185, "3m 5s"), (3600, "1h"), (3605, "1h"),
        (187_200, "2d 4h"),
    ],
)
def test_long_times(seconds: float | None, words: str) -> None:
    assert output.age(seconds) == words


def test_counting() -> None:
    assert [output.counted(count, "LUN") for count in (0, 1, 2)] == ["0 LUNs", "1 LUN", "2 LUNs"]


COLUMNS = (Column("NAME"), number("SIZE"))


def test_a_table_in_a_pipe_is_a_row_a_line_without_colour(capsys: pytest.CaptureFixture[str]) -> None:
    long = "iqn.2001-04.com.example:" + "x" * 200
    output.show_table(COLUMNS, [(long, "1 B"), ("[red]b[/red]", "10 MiB")], "none")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "SIZE"]
    assert lines[1].split() == [long, "1", "B"]
    assert lines[2].split() == ["[red]b[/red]", "10", "MiB"]
    assert all(line == line.rstrip() and "\x1b" not in line for line in lines)


def test_no_rows_are_said_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(COLUMNS, [], "no target that fits")
    assert capsys.readouterr() == ("", "no target that fits\n")


def test_what_could_move_the_cursor_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(COLUMNS, [("a\x1b[2J\udcffb\n", "1")], "none")
    assert capsys.readouterr().out.splitlines()[1].split() == ["a\\x1b[2J\\xffb\\x0a", "1"]
    output.show_json({"names": {"\x1b": ["a\udcff"]}, "size": 1})
    assert json.loads(capsys.readouterr().out) == {"format": 1, "names": {"\\x1b": ["a\\xff"]}, "size": 1}


PROGRAM = (
    "from ietpy.cli.output import *\n"
    "show_table((Column('NAME'), number('SIZE')), [('iqn.2001-04.com.example:' + 'x' * 30, '1 B')], '')\n"
)


@pytest.mark.parametrize("colourless", [True, False])
def test_at_a_terminal_names_are_folded_and_headings_stand_out(colourless: bool) -> None:
    environment = {**os.environ, "COLUMNS": "40", "TERM": "xterm-256color", **({"NO_COLOR": "1"} if colourless else {})}
    leader, follower = pty.openpty()
    subprocess.run([sys.executable, "-c", PROGRAM], stdout=follower, env=environment, check=True)
    os.close(follower)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert "\x1b[1m" in shown  # NO_COLOR takes colours; bold is none (no-color.org)
    assert not any(f"\x1b[{colour}m" in shown for colour in range(30, 38))
    lines = shown.replace("\r", "").splitlines()
    assert len(lines) == 3
    assert lines[1].split()[-2:] == ["1", "B"]
    assert lines[1].split()[0] + lines[2].strip() == "iqn.2001-04.com.example:" + "x" * 30


def test_a_console_for_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    output.console(stderr=True).print("said")
    assert stream.getvalue() == "said\n"
