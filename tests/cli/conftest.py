"""A daemon in this process with everything of its own, and ietadm asking it as it would from a shell."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ietpy.cli import ietadm
from ietpy.cli.ietpy import main
from ietpy.daemon import lifecycle
from ietpy.daemon.options import Places, StartOptions
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan

SIZE = 1 << 20  #: bytes of each disk


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


class Daemon:
    """What ``Instance.run`` runs, but for its signals: ``with`` starts and ends it. ``text`` is its ietd.conf."""

    def __init__(self, directory: Path, text: str = "", compat: str = "", address: str = "127.0.0.1") -> None:
        self.directory = directory
        self.config = directory / "ietd.conf"
        self.config.write_bytes(text.encode("utf-8", "surrogateescape"))
        self.control = str(directory / "control")
        self.published = directory / "control.iet"
        self.environment = {"IETPY_CONTROL": self.control}
        options = StartOptions(
            config=str(self.config), foreground=True, address=address, port=0, compat=compat,
            state_dir=str(directory / "state"),
        )
        self.instance = lifecycle.prepare(options, Places(str(directory / "ietd.pid"), self.control))
        self.inventory = self.instance.inventory
        self.address, self.port, *_ = self.instance.server.portals()[0]
        self.clients: list[Client] = []

    def __enter__(self) -> Daemon:
        self.instance.server.start()
        self.instance.publisher.start()
        self.instance.service.start()
        self.instance.watching.start(self.instance.administration.status)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.close()
        assert self.instance.end(time.monotonic() + 20) == 0

    def ietadm(self, *arguments: str) -> Ended:
        """Run ietadm in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = ietadm.run(list(arguments), self.environment)
        return Ended(status, out.getvalue(), err.getvalue())

    def do(self, *arguments: str) -> str:
        """Run ietadm, which must succeed; what it printed."""
        ended = self.ietadm(*arguments)
        assert (ended.status, ended.err) == (0, ""), (arguments, ended)
        return ended.out

    def ietpy(self, *words: str, stdin: str | None = None) -> Result:
        """Run a command of ietpy in this process."""
        return CliRunner().invoke(main, list(words), input=stdin, env=self.environment)

    def dial(self) -> Client:
        client = Client.connect(self.address, self.port)
        self.clients.append(client)
        return client

    def login(self, target: str, **plan: Any) -> Client:
        """A session with a target, seen by everybody who asks the daemon."""
        client = self.dial()
        client.login(LoginPlan(target=target, **plan))
        return client

    def volume(self) -> str:
        return (self.published / "volume").read_text("utf-8", "surrogateescape")

    def session(self) -> str:
        return (self.published / "session").read_text("utf-8", "surrogateescape")


def until(condition: Callable[[], Any]) -> None:
    """Wait until ``condition`` holds; ten seconds bound a failure."""
    turn = threading.Event()
    for _ in range(1000):
        if condition():
            return
        turn.wait(0.01)
    raise AssertionError("it never came about")


def make_disk(path: Path, size: int = SIZE) -> Path:
    with path.open("wb") as disk:
        disk.truncate(size)
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return make_disk(tmp_path / "disk.img")


A, B = "iqn.2001-04.com.example:a", "iqn.2001-04.com.example:b"
INITIATOR = "iqn.1993-08.org.debian:01:joe"


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Daemon]:
    """One with two targets, A of two disks and B, and a session with each, that with B as ``INITIATOR``."""
    disk, other = make_disk(tmp_path / "disk.img"), make_disk(tmp_path / "other.img")
    luns = f"Lun 0 Path={disk},Type=fileio\nLun 3 Path={other},Type=fileio,IOMode=ro\n"
    with Daemon(tmp_path, f"Target {A}\n{luns}Target {B}\nLun 0 Type=nullio\n") as daemon:
        daemon.login(A).write(0, 0, b"x" * 4096)
        daemon.login(B, initiator=INITIATOR, keys={"HeaderDigest": "CRC32C"})
        yield daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One that serves nothing yet."""
    with Daemon(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def ipv6() -> None:
    """Skips where the loopback interface has no IPv6 address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.fail("this test needs an IPv6 loopback address", pytrace=False)


@pytest.fixture
def plain_user() -> list[str]:
    """The words before a command that run it as nobody; none when the tests run as a plain user already."""
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
