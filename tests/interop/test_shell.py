"""The targetcli session of the wiki page ietpy grew from, typed into ``ietpy shell`` character by character.

Then it is saved, the daemon is started again from the file, and real initiators log in with that CHAP.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import AuthenticationFailed, InitiatorError
from ietpy.initiator.login import Chap, LoginPlan
from tests.interop.conftest import command

Run = Callable[..., Any]

INITIATOR = "iqn.2005-03.org.open-iscsi:serial"
OURS = "iqn.2005-03.org.open-iscsi:2"
NAMED = "iqn.2013-05.org.example:nas"
SECRET, MUTUAL = "secretsecret12", "mutualsecret34"


class Terminal:
    """A person at a terminal: types a line, looks at each character, waits for the next prompt."""

    def __init__(self, directory: Path) -> None:
        environment = {**os.environ, "IETPY_CONTROL": str(directory / "control"), "TERM": "dumb", "NO_COLOR": "1"}
        self.child = pexpect.spawn(
            sys.executable, ["-m", "ietpy.cli.ietpy", "shell"], env=environment, dimensions=(50, 500), timeout=30,
            encoding="utf-8", cwd=str(directory),
        )
        self.child.delaybeforesend = None
        self.path = self.wait()[1]

    def wait(self) -> tuple[str, str]:
        """What came before the next prompt, and the path in that."""
        self.child.expect(r"(?:^|[\r\n])([^\r\n>]*)> $")
        before, match = self.child.before, self.child.match
        assert isinstance(before, str)
        assert hasattr(match, "group")
        return before.replace("\r", ""), match.group(1)

    def type(self, line: str) -> str:
        """What a line prints."""
        for character in line:
            self.child.send(character)
            self.child.expect_exact(character)
        self.child.send("\r")
        text, self.path = self.wait()
        return text

    def leave(self) -> str:
        self.child.sendline("exit")
        self.child.expect(pexpect.EOF)
        text = self.child.before
        assert isinstance(text, str)
        self.child.close()
        assert self.child.exitstatus == 0
        return text


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A disk by the name the page has, and the kind of backstore: root has a loop device, others a file."""
    image, link = tmp_path / "nas.img", tmp_path / "md-name-nas:iscsi"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    if os.geteuid() != 0:
        link.symlink_to(image)
        yield "fileio", str(link)
        return
    made = subprocess.run(
        [command("losetup"), "-f", "--show", str(image)], capture_output=True, text=True, check=True).stdout.strip()
    link.symlink_to(made)
    try:
        yield "block", str(link)
    finally:
        subprocess.run([command("losetup"), "-d", made], check=True)


def test_the_founding_texts_session(serve: Any, run: Run, device: tuple[str, str]) -> None:
    daemon = serve("# everything below was typed\n")
    plugin, path = device
    shell = Terminal(daemon.directory)
    lines: dict[str, str] = {}

    def typed(*script: str) -> None:
        for line in script:
            lines[line] = shell.type(line)

    assert shell.path == "/"
    typed(f"cd backstores/{plugin}", f"create md_block0 {path}", "cd /iscsi", "create")
    name = lines["create"].partition("Created target ")[2].partition(".\n")[0]
    assert name.startswith("iqn.")
    assert shell.path == ".../tpg1"
    typed("cd luns")
    assert shell.path == ".../tpg1/luns"
    typed(f"create /backstores/{plugin}/md_block0")
    assert shell.path == ".../tpg1/luns/lun0"
    typed("cd ../../portals", "create")
    assert f"127.0.0.1:{daemon.port}" in lines["create"]
    typed("cd ../../acls", f"create {INITIATOR}")
    assert "Created mapped LUN 0." in lines[f"create {INITIATOR}"]
    assert not admitted(run, daemon, name, INITIATOR, "")
    typed("get auth", "set auth userid=joe", f"set auth password={SECRET}", "set auth mutual_userid=nas",
          f"set auth mutual_password={MUTUAL}")
    assert "userid=\n" in lines["get auth"]
    assert f"password={SECRET}\n" in shell.type("get auth")
    # The page's other ways: a file, a name of one's own, no authentication, a LUN that may only be read.
    typed("cd /backstores/fileio", f"create image {daemon.directory}/image.img size=8M", f"/iscsi create {NAMED}",
          "cd luns", "create /backstores/fileio/image", "../../acls/ create " + OURS,
          f"/iscsi/{NAMED}/tpg1", "set attribute authentication=0", f"acls/{OURS} delete 0",
          f"acls/{OURS} create mapped_lun=0 tpg_lun_or_backstore=0 write_protect=1")
    assert "nothing proves a name but CHAP" in lines["set attribute authentication=0"]
    typed("cd /", "saveconfig", f"saveconfig {daemon.directory}/copy.conf", "status", "sessions", "ls")
    assert SECRET not in lines["ls"]
    assert f"target: {name} (1 LUN, 0 sessions)" in lines["status"]
    assert "(no open sessions)" in lines["sessions"]
    assert "not saved" not in shell.leave()

    saved = daemon.config.read_text()
    assert saved.startswith("# everything below was typed\n")
    assert (daemon.directory / "copy.conf").read_text() == saved
    daemon.restart()
    everybody_who_may_logs_in(run, daemon, name)

    shell = Terminal(daemon.directory)
    assert "md_block0" in shell.type("ls /backstores")
    assert "confirm=True" in shell.type("clearconfig")
    shell.type("clearconfig confirm=True")
    assert "Target" not in run("iscsi-ls", "-i", INITIATOR, daemon.portal(f"joe%{SECRET}"), status=None).stdout
    shell.type(f"restoreconfig {daemon.directory}/copy.conf")
    assert admitted(run, daemon, name, INITIATOR, f"joe%{SECRET}")
    shell.type("clearconfig confirm=True")
    assert "served, but not saved" in shell.leave()


def admitted(run: Run, daemon: Any, name: str, initiator: str, account: str, lun: int = 0) -> bool:
    answer = run("iscsi-inq", "-i", initiator, daemon.url(name, lun, account=account), status=None)
    assert ("Vendor:IET" in answer.stdout) is (answer.returncode == 0), answer
    return bool(answer.returncode == 0)


def everybody_who_may_logs_in(run: Run, daemon: Any, name: str) -> None:
    account = f"joe%{SECRET}"
    shown = run("iscsi-ls", "-s", "-i", INITIATOR, daemon.portal(account)).stdout
    assert f"Target:{name} " in shown
    assert "Lun:0    Type:DIRECT_ACCESS" in shown
    assert NAMED not in shown
    assert admitted(run, daemon, name, INITIATOR, account)
    assert admitted(run, daemon, NAMED, OURS, "")
    options = (
        f"driver=iscsi,transport=tcp,portal=127.0.0.1:{daemon.port},target={name},lun=0,user=joe,password-secret=s,"
        f"initiator-name={INITIATOR}"
    )
    secret = f"secret,id=s,data={SECRET}"
    assert "virtual size: 16 MiB" in run("qemu-img", "info", "--object", secret, "--image-opts", options).stdout
    assert run("qemu-img", "info", "--object", f"{secret}x", "--image-opts", options, status=None).returncode == 1
    with Client.connect("127.0.0.1", daemon.port) as client:
        client.login(LoginPlan(INITIATOR, name, Chap("joe", SECRET, "nas", MUTUAL)))
        assert client.read_capacity(0).blocks == (16 << 20) // 512
    with Client.connect("127.0.0.1", daemon.port) as client, pytest.raises(AuthenticationFailed):
        client.login(LoginPlan(INITIATOR, name, Chap("joe", SECRET, "nas", f"{MUTUAL}5")))
    for initiator, target, wrong in (
        (INITIATOR, name, f"joe%{SECRET}3"), (INITIATOR, name, f"jim%{SECRET}"), (INITIATOR, name, ""),
        (OURS, name, account), (INITIATOR, NAMED, ""), ("nobody", NAMED, ""),
    ):
        assert not admitted(run, daemon, target, initiator, wrong), (initiator, target, wrong)
    with Client.connect("127.0.0.1", daemon.port) as client:
        client.login(LoginPlan(OURS, NAMED))
        with pytest.raises(InitiatorError, match=r"(?i)protect"):
            client.write(0, 0, bytes(512))
