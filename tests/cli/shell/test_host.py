"""The world as it is: a daemon in this process, or a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ietpy.cli.shell.core import Shell
from ietpy.cli.shell.host import Live, Offline, host
from ietpy.errors import AdminError, IetpyError, UsageError
from ietpy.initiator.errors import InitiatorError
from ietpy.initiator.login import Chap
from tests.cli.conftest import Daemon, make_disk

T = "iqn.2001-04.com.example:t"
A = "iqn.1993-08.org.debian:01:a"
PLAIN = "iqn.2026-01.net.ietpy:initiator"  #: what our own initiator is called
FILE = f"# by hand\nTarget {T}\n    # the disk\n    Lun 0 Path={{dir}}/a,Type=fileio\n"


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    make_disk(tmp_path / "a")
    with Daemon(tmp_path, FILE.replace("{dir}", str(tmp_path))) as daemon:
        monkeypatch.setenv("IETPY_CONTROL", daemon.control)
        yield daemon


@pytest.fixture
def shell(running: Daemon) -> Shell:
    return Shell(host(""))


def test_a_change_is_served_at_once_and_saved_when_asked(running: Daemon, shell: Shell) -> None:
    tpg = f"/iscsi/{T}/tpg1"
    running.login(T)
    shell.run(f"{tpg} set attribute generate_node_acls=0")
    with pytest.raises(InitiatorError):
        running.login(T)
    shell.run(f"{tpg}/acls create {PLAIN}")
    shell.run("set auth userid=joe password=secretsecret12 mutual_userid=we mutual_password=othersecret34")
    running.login(T, chap=Chap("joe", "secretsecret12", "we", "othersecret34"), isid=b"\x80\0\0\0\0\x02")
    with pytest.raises(InitiatorError):
        running.login(T, initiator=A, chap=Chap("joe", "secretsecret12"))
    assert "Initiator" not in running.config.read_text()
    assert shell.host.unsaved()
    running.config.chmod(0o640)
    assert shell.run("saveconfig").lines == [
        f"Configuration saved to {running.config} (3 lines added, 0 removed); others can read the secrets in it:"
        f" chmod 600 {running.config}"
    ]
    running.config.chmod(0o600)
    shell.run("set auth userid=jim")
    assert shell.run("saveconfig").lines == [f"Configuration saved to {running.config} (2 lines added, 2 removed)"]
    text = running.config.read_text()
    assert text.startswith("# by hand\n")
    assert f"    Initiator {PLAIN} User=jim\n" in text
    assert stat.S_IMODE(running.config.stat().st_mode) == 0o600
    assert shell.run("saveconfig").lines == [f"{running.config}: nothing has changed"]
    assert not shell.host.unsaved()


def test_sessions_end_with_their_acl(running: Daemon, shell: Shell) -> None:
    tpg = f"/iscsi/{T}/tpg1"
    shell.run(f"{tpg} set attribute generate_node_acls=0")
    shell.run(f"{tpg} set attribute authentication=0")
    shell.run(f"{tpg}/acls create {PLAIN}")
    running.login(T)
    assert PLAIN in shell.run("sessions").lines[0]
    assert shell.run(f"{tpg}/acls delete {PLAIN}").lines[-1] == f"Ended 1 session of {PLAIN}."
    assert shell.run("sessions").lines == ["(no open sessions)"]


def test_a_target_in_use(running: Daemon, shell: Shell) -> None:
    running.login(T)
    with pytest.raises(UsageError, match="is in use by"):
        shell.run(f"/iscsi delete {T}")
    with pytest.raises(UsageError, match="is in use by"):
        shell.run("clearconfig confirm=True")
    shell.run("clearconfig confirm=True force=True")
    assert "0 targets" in " ".join(shell.run("status").lines) or not running.inventory.targets
    assert shell.host.end(T, None, False) == 0


def test_what_cannot_be_served_is_not_kept(running: Daemon, shell: Shell, tmp_path: Path) -> None:
    make_disk(tmp_path / "b", 100)
    shell.run(f"/backstores/fileio create b {tmp_path}/b")
    before = shell.host.text()
    with pytest.raises(AdminError, match=r"less than one block of 512.*; nothing has changed$"):
        shell.run(f"/iscsi/{T}/tpg1/luns create /backstores/fileio/b")
    assert shell.host.text() == before
    assert not shell.host.unsaved()


def test_a_daemon_with_troubles_of_its_own_can_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_disk(tmp_path / "a")
    with Daemon(tmp_path, f"Target {T}\n    Lun 0 Path={tmp_path}/missing\n    Lun 1 Path={tmp_path}/a\n") as daemon:
        monkeypatch.setenv("IETPY_CONTROL", daemon.control)
        shell = Shell(host(""))
        shell.run(f"/iscsi/{T}/tpg1/acls create {A}")
        assert f"Initiator {A}" in shell.host.text()[1]


def test_no_portals_is_meant(running: Daemon, shell: Shell) -> None:
    shell.run("/iscsi create")
    address, port = shell.host.listening()
    shell.run(f"portals/ delete {address} {port}")
    assert "PortalGroups 2" in shell.host.text()[1]


def test_copies(running: Daemon, shell: Shell, tmp_path: Path) -> None:
    shell.run(f"saveconfig {tmp_path}/copy")
    shell.run(f"saveconfig {tmp_path}/copy")
    assert (tmp_path / "copy").read_text() == running.config.read_text()
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    shell.run("clearconfig confirm=True")
    shell.run(f"restoreconfig {tmp_path}/copy")
    assert shell.host.text()[1] == running.config.read_text()
    with pytest.raises(IetpyError, match="cannot be written"):
        shell.run(f"saveconfig {tmp_path}")


def test_a_file_edited_meanwhile_is_not_overwritten(running: Daemon, shell: Shell) -> None:
    shell.run("/iscsi create")
    running.config.write_text(running.config.read_text() + f"Target {T}2\n")
    with pytest.raises(AdminError, match="was edited since it was read"):
        shell.run("saveconfig")


def test_the_daemon_dies_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Daemon(tmp_path, "") as daemon:
        monkeypatch.setenv("IETPY_CONTROL", daemon.control)
        shell = Shell(host(""))
        shell.run("/iscsi create")
    with pytest.raises(AdminError, match="the daemon is not running"):
        shell.run("/iscsi create")
    with pytest.raises(AdminError, match="the daemon is not running"):
        shell.complete("cd ", "")


def test_another_file_than_the_daemons_is_refused(running: Daemon, tmp_path: Path) -> None:
    assert isinstance(host(str(running.config)), Live)
    with pytest.raises(UsageError, match="a daemon runs, and has read"):
        host(str(tmp_path / "other.conf"))


def test_without_a_daemon_the_file_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IETPY_CONTROL", str(tmp_path / "control"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    file = tmp_path / "ietd.conf"
    found = host(str(file))
    assert isinstance(found, Offline)
    shell = Shell(found)
    assert shell.run("status").lines == [f"no daemon runs; {file} names 0 targets", "ietpy-daemon start serves it"]
    shell.run(f"/iscsi create {T}")
    assert not file.exists()
    assert shell.run("saveconfig").lines == [
        f"Configuration saved to {file} (2 lines added, 0 removed); ietpy-daemon start serves it"]
    assert file.read_text() == f"Target {T}\n    Initiator nobody Address=0.0.0.0\n"
    file.write_text(file.read_text() + "# by hand\n")
    shell.run(f"/iscsi/{T}/tpg1/acls create {A}")
    shell.run(f"saveconfig {tmp_path}/copy")
    assert "# by hand" in (tmp_path / "copy").read_text()
    file.write_text("# by somebody else\n")
    with pytest.raises(UsageError, match="was changed a moment ago by somebody else"):
        shell.run("saveconfig")
    assert shell.run("sessions").lines == ["(no open sessions)"]
    shell.run("clearconfig confirm=True force=True")
    assert found.end(T, None, True) == 0


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IETPY_CONTROL", str(tmp_path / "control"))
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(UsageError, match="cannot be read"):
            Shell(host(str(path))).run("ls")
