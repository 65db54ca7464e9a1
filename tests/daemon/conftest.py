"""A real daemon for tests: its own pid file, control socket and configuration, a free port, ended by its own stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TARGET = "iqn.2001-04.com.example:storage.disk1"


class Commands:
    """``ietpy-daemon`` run as a subprocess with its places below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid_file = directory / "ietd.pid"
        self.control = directory / "control"
        self.config = directory / "ietd.conf"
        self.image = directory / "disk.img"
        self.state = directory / "state"
        with self.image.open("wb") as image:
            image.truncate(1 << 20)
        self.write(f"Target {TARGET}\n\tLun 0 Path={self.image}\n")

    def write(self, text: str) -> None:
        self.config.write_text(text)

    def command(self, name: str, *arguments: str) -> list[str]:
        places = ["--pid-file", str(self.pid_file), "--control", str(self.control)]
        return [sys.executable, "-m", "ietpy.daemon.main", name, *places, *arguments]

    def run(self, name: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        more = {"capture_output": True, "text": True, "timeout": 60, "stdin": subprocess.DEVNULL, **more}
        return subprocess.run(self.command(name, *arguments), check=False, **more)

    def listening(self) -> list[str]:
        """Options of ``start`` for this configuration and a free port of the loopback interface."""
        return ["-c", str(self.config), "-a", "127.0.0.1", "-p", "0", "--state-dir", str(self.state)]

    def start(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run("start", *self.listening(), *arguments, **more)

    def status(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return facts


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    stopped = commands.run("stop")
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def plain_user() -> list[str]:
    """The words before a command that run it as nobody; none when the tests run as a plain user already."""
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
