"""``ietpy logs``: lines, colours where one looks, JSON, and what to do where there is no log."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from ietpy.cli import log_sources
from ietpy.cli.ietpy import main
from tests.cli.terminals import AtTerminal
from tests.cli.test_log_sources import NEW, OLD
from tests.fields import checked


@pytest.fixture
def syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "syslog"
    path.write_text(OLD + NEW.replace("serving", "\x1b[2J serving"))
    monkeypatch.setattr(log_sources, "JOURNAL", str(tmp_path / "none"))
    monkeypatch.setattr(log_sources, "FILES", (str(path),))
    return path


def test_lines(syslog: Path) -> None:
    ended = CliRunner().invoke(main, ["logs"])
    assert (ended.exit_code, ended.stdout.splitlines()) == (
        0,
        [
            "Nov  7 20:00:00 login of iqn.x refused [login-refused]",
            "2026-11-27T20:00:01.123456+00:00 \\x1b[2J serving 2 targets",
        ],
    )
    assert CliRunner().invoke(main, ["logs", "-n", "1"]).stdout.startswith("2026")
    assert CliRunner().invoke(main, ["logs", "--code", "login-refused"]).stdout.startswith("Nov")


def test_json_is_an_object_a_line(syslog: Path) -> None:
    lines = CliRunner().invoke(main, ["logs", "--json"]).stdout.splitlines()
    assert [checked("logs", line)["pid"] for line in lines] == [7, 8]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("login-refusd", "there is no code 'login-refusd'; similar: login-refused"),
        ("worker", "similar: worker-"), ("zzz", "docs/reference/events.md has them all"),
    ],
)
def test_codes_that_are_none(code: str, said: str) -> None:
    ended = CliRunner().invoke(main, ["logs", "--code", code])
    assert (ended.exit_code, ended.stdout, said in ended.stderr) == (2, "", True), ended.stderr


def test_where_there_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sources, "JOURNAL", str(tmp_path / "none"))
    monkeypatch.setattr(log_sources, "FILES", ())
    ended = CliRunner().invoke(main, ["logs"])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith("ietpy: there is no journal, and none of ")


PROGRAM = (
    "import sys\nfrom ietpy.cli import log_sources\n"
    "log_sources.JOURNAL, log_sources.FILES = '/none', (sys.argv.pop(1),)\n"
    "from ietpy.cli.ietpy import main\nmain()\n"
)


def test_following_at_a_terminal(syslog: Path) -> None:
    import sys

    program = [sys.executable, "-c", PROGRAM, str(syslog), "logs", "-f"]
    with AtTerminal([], {}, columns=100, program=program) as shown:
        shown.see("serving 2 targets")
        with syslog.open("a") as file:
            file.write("Nov 27 20:00:02 host ietd[9]: 2026-11-27 20:00:02,000 ERROR it broke [internal]\n")
        shown.see("error    it broke [internal]")
        assert b"\x1b[31m" in shown.raw
        shown.process.send_signal(signal.SIGINT)
        assert shown.ended() == 130
        assert "Traceback" not in shown.text


def test_codes_are_completed() -> None:
    from click.shell_completion import BashComplete

    shell = BashComplete(main, {}, "ietpy", "_IETPY_COMPLETE")
    assert [each.value for each in shell.get_completions(["logs", "--code"], "login-re")] == ["login-refused"]
