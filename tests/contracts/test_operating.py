"""Every command of docs/operating.md is run, in its order: its blocks, and those it shows between backquotes."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ietpy.cli import log_sources
from tests.cli.conftest import Daemon, make_disk
from tests.cli.test_add import free_port

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
BLOCK = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WEB = "iqn.2010-06.net.example:web"


def test_the_blocks(sharing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sharing)
    disk = make_disk(sharing / "disk1.img")
    make_disk(sharing / "golden.img")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "old.qcow2", "1M"], check=True)
    text = PAGE.read_text("utf-8")
    commands = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    assert len(commands) == 8
    with Daemon(tmp_path, f"# ours\nTarget {WEB}\n    Lun 0 Path={disk},Type=fileio\n", address="") as daemon:
        for command in commands:
            here = command.replace("/srv/", f"{sharing}/").replace("192.0.2.7:3261", f"127.0.0.1:{free_port()}")
            words = shlex.split(here)
            ended = daemon.ietpy(*words[1:])
            assert (words[0], ended.exit_code) == ("ietpy", 0), (command, ended.output)
        assert (sharing / "disk1-before-upgrade.img").exists()
        assert f"# ours\nTarget {WEB}\n    Lun 0 Path={disk},Type=fileio\n" in daemon.config.read_text()


def test_the_words_between_backquotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "syslog").touch()
    monkeypatch.setattr(log_sources, "JOURNAL", str(tmp_path / "none"))
    monkeypatch.setattr(log_sources, "FILES", (str(tmp_path / "syslog"),))
    shown = re.findall(r"`(ietpy [^`]*)`", BLOCK.sub("", PAGE.read_text("utf-8")))
    assert len(shown) >= 8
    with Daemon(tmp_path, f"Target {WEB}\n    Lun 0 Type=nullio\n") as daemon:
        daemon.login(WEB)
        for command in shown:
            words = shlex.split(command.replace("iscsi://HOST", f"iscsi://{daemon.address}:{daemon.port}"))[1:]
            if words[0] in ("top", "kick") or words[-1] == "--from":
                words = [words[0], "--help"]  # these need a terminal, somebody to end, or a file
            ended = daemon.ietpy(*words)
            assert ended.exit_code == 0, (command, ended.output)
