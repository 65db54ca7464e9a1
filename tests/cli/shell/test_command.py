"""``ietpy shell``: one command, a pipe, and no daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ietpy.cli.ietpy import main
from tests.cli.conftest import Daemon, Ended

T = "iqn.2001-04.com.example:t"
A = "iqn.1993-08.org.debian:01:a"


def shell(environment: dict[str, Any], *words: str, typed: str | None = None) -> Ended:
    ended = CliRunner().invoke(main, ["shell", *words], env=environment, input=typed)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def test_one_command(daemon: Daemon) -> None:
    """Scripts call targetcli once for each command; what ietd.conf has no word for is in the book between."""
    environment = daemon.environment
    for words in (
        ("/backstores/fileio", "create", "f", f"{daemon.directory}/f.img", "1M"),
        (f"/iscsi create {T}",),
        (f"/iscsi/{T}/tpg1", "set", "attribute", "authentication=0"),
        (f"/iscsi/{T}/tpg1/luns", "create", "/backstores/fileio/f"),
        (f"/iscsi/{T}/tpg1/acls", "create", A),
        ("saveconfig",),
    ):
        ended = shell(environment, *words)
        assert (ended.status, ended.err) == (0, ""), ended
    assert daemon.config.read_text() == (
        f"Target {T}\n    Initiator {A}\n    Lun 0 Path={daemon.directory}/f.img,Type=fileio\n")
    daemon.login(T, initiator=A).inquiry(0)
    assert "targetcli" not in shell(environment, "status").out
    assert shell(environment, "/iscsi", "ls", "1").out.count("\n") == 2
    assert shell(environment, "exit") == Ended(0, "", "")
    assert shell(environment, "clearconfig").status == 1
    assert shell(environment, "clearconfig", "confirm=True").status == 1
    assert shell(environment, "clearconfig", "confirm=True", "force=True").status == 0
    assert "Storage Objects: 0" in shell(environment, "ls").out


def test_mistakes(daemon: Daemon) -> None:
    assert shell(daemon.environment, "/iscsi", "crate") == Ended(
        1, "", "there is no command crate; did you mean create?\n")
    assert shell(daemon.environment, "-c", "/other", "ls").status == 2
    assert "--frob" in shell(daemon.environment, "--frob").err


def test_help(daemon: Daemon) -> None:
    assert "as with targetcli" in shell(daemon.environment, "--help").out


@pytest.fixture
def nobody(tmp_path: Path) -> dict[str, str]:
    """Where no daemon is."""
    return {"IETPY_CONTROL": str(tmp_path / "control"), "STATE_DIRECTORY": str(tmp_path / "state")}


def test_one_command_without_a_daemon_is_written_at_once(nobody: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "ietd.conf"
    ended = shell(nobody, "-c", str(file), "/iscsi", "create", T)
    assert ended.out.splitlines()[-1] == (
        f"Configuration saved to {file} (2 lines added, 0 removed); ietpy-daemon start serves it")
    assert file.read_text() == f"Target {T}\n    Initiator nobody Address=0.0.0.0\n"


def test_a_pipe_without_a_daemon_has_to_save(nobody: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "ietd.conf"
    ended = shell(nobody, "-c", str(file), typed=f"/iscsi create {T}\n")
    assert ended.status == 1
    assert ended.err == "nothing is written: no daemon runs, and there was no saveconfig\n"
    assert not file.exists()
    ended = shell(nobody, "-c", str(file), typed=f"/iscsi create {T}\nsaveconfig\nexit\n")
    assert (ended.status, ended.err) == (0, "")
    assert file.exists()
