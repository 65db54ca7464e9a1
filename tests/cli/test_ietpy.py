"""``ietpy``: its list of commands costs nothing, and each is where the list says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import ietpy
from ietpy.cli import ietpy as cli
from ietpy.errors import ConfigError as Unusable
from ietpy.errors import Diagnostic, IetpyError, Span, UsageError
from tests.cli.conftest import Daemon
from tests.fields import checked


def test_help_lists_every_command_and_imports_none() -> None:
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom ietpy.cli.ietpy import main\n"
        "print(CliRunner().invoke(main, ['--help']).output)\n"
        "heavy = ('rich', 'lark', 'ietpy.config', 'ietpy.scsi', 'ietpy.iscsi', 'ietpy.admin')\n"
        "assert not [name for name in heavy if name in sys.modules]"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for row in cli.SUB_COMMANDS:
        assert f"{row.name} " in shown
        assert row.help in shown


@pytest.mark.parametrize("name", [row.name for row in cli.SUB_COMMANDS])
def test_every_command_is_where_its_row_says(name: str) -> None:
    ended = CliRunner().invoke(cli.main, [name, "--help"])
    assert ended.exit_code == 0, ended.output
    assert f"Usage: main {name}" in ended.output


def test_the_version() -> None:
    assert CliRunner().invoke(cli.main, ["--version"]).output == f"ietpy, version {ietpy.__version__}\n"


def test_an_unknown_command_exits_2() -> None:
    ended = CliRunner().invoke(cli.main, ["serve"])
    assert ended.exit_code == 2
    assert "No such command 'serve'" in ended.output


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (UsageError("no such place"), "ietpy: no such place\n"),
        (Unusable([Diagnostic(Span("f", 1, 2), "error", "x", "wrong")]), "f:1:2: error: wrong\n"),
    ],
    ids=["usage", "configuration"],
)
def test_an_error_is_a_sentence_and_exit_status_2(
    error: IetpyError, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("ietpy.daemon.manage.answer", fail)
    ended = CliRunner().invoke(cli.main, ["status"], env={"IETPY_CONTROL": "/x"})
    assert (ended.exit_code, ended.output) == (2, shown)


def test_status_asks_where_the_environment_says(tmp_path: Path) -> None:
    ended = CliRunner().invoke(cli.main, ["status"], env={"IETPY_CONTROL": str(tmp_path / "control")})
    assert (ended.exit_code, ended.output) == (3, "ietpy-daemon is not running\n")


def test_status_asks_this_users_daemon_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ietpy.daemon.manage.status", lambda places: None)
    ended = CliRunner().invoke(cli.main, ["status", "--json"], env={"IETPY_CONTROL": None})
    assert (ended.exit_code, ended.output) == (3, '{\n  "format": 1,\n  "running": false\n}\n')


def test_json_of_the_status_has_what_is_promised(tmp_path: Path) -> None:
    text = "Target t\nLun 0 Type=nullio\nLun 1 Path=/none\n"
    with Daemon(tmp_path, text) as daemon:
        daemon.login("t")
        document = checked("status", daemon.ietpy("status", "--json").stdout, more=True)
        assert (document["running"], document["degraded"], len(document["sessions"])) == (True, True, 1)
        assert daemon.ietpy("status", "--json", "--health").exit_code == 150
