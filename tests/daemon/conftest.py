"""A real daemon for tests: its own pid file, control socket and configuration, a free port, ended by its own stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.config.model import Configuration
from ietpy.daemon import logs
from ietpy.daemon.administration import Administration
from ietpy.daemon.channel import Channel
from ietpy.daemon.front import Front
from ietpy.daemon.media import Media
from ietpy.daemon.naming import Naming
from ietpy.daemon.options import StartOptions
from ietpy.daemon.worker import Worker
from ietpy.errors import AdminError
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.server.portals import bind
from ietpy.stores.state import StateDirectory

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


class Crew:
    """Worker processes that are threads of this one, in place of a nursery and its children."""

    def __init__(self) -> None:
        self.ends: list[Channel] = []
        self.workers: list[Worker] = []
        self.threads: list[threading.Thread] = []
        self.obstacle: AdminError | None = None

    def bear(self) -> tuple[Channel, int]:
        if self.obstacle is not None:
            raise self.obstacle
        ours, theirs = Channel.pair()
        end = Channel(theirs)
        worker = Worker(end)
        thread = threading.Thread(target=self._run, args=(worker, end), daemon=True)
        self.ends.append(end)
        self.workers.append(worker)
        self.threads.append(thread)
        thread.start()
        return ours, 1000 + len(self.ends)

    def _run(self, worker: Worker, end: Channel) -> None:
        worker.run()
        if hasattr(worker, "_server"):
            worker._server.stop(0)
            worker._inventory.close()
        end.close()

    def become(self, uid: int, gid: int, core: bool) -> None:
        pass

    def close(self) -> None:
        for end in self.ends:
            end.end()
        for thread in self.threads:
            thread.join(10)


class Fronted:
    """A front with its fleet, composed as ``lifecycle`` does it, for a text of ietd.conf."""

    def __init__(self, directory: Path, text: str, count: int) -> None:
        self.crew = Crew()
        self.configuration = loads(text)
        options = StartOptions(state_dir=str(directory / "state"))
        states = StateDirectory(options.state_dir)
        self.front = Front.open(self.crew, count, self.configuration, options, states, Media(str(directory)))  # type: ignore[arg-type]
        self.fleet, self.mirror, self.server = self.front.fleet, self.front.inventory, self.front.server
        self.published = 0
        self.clients: list[Client] = []
        self.administration = Administration(
            options, self.mirror, self.server, isns=Naming(list, lambda: 0), reread=self.reread, read=self.read,
            publish=self.publish, published="",
        )
        self.relay = self.front.relay(self.administration)
        self.server.listen(bind("127.0.0.1", 0))
        self.server.start()

    def publish(self) -> None:
        self.published += 1

    def read(self, text: str | None) -> Configuration:
        assert text is not None
        return loads(text, self.configuration.file)

    def reread(self, text: str | None) -> dict[str, list[Any]]:
        steps = self.mirror.plan(self.read(text))
        return {"steps": [step.facts() for step in steps], "unable": self.mirror.apply(self.read(text)), "found": []}

    def log_in(self, target: str, *, portal: int = 0, **plan: Any) -> Client:
        client = Client.connect("127.0.0.1", self.server.portals()[portal].port)
        self.clients.append(client)
        client.login(LoginPlan(target=target, **plan))
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.server.stop(5)
        self.mirror.close()
        self.crew.close()


@pytest.fixture
def fronted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Fronted]]:
    """fronted(text, count=2): a front and its workers, which end with the test."""
    monkeypatch.setattr(logs, "set_up", lambda *style: None)
    made: list[Fronted] = []

    def make(text: str, count: int = 2) -> Fronted:
        made.append(Fronted(tmp_path, text, count))
        return made[-1]

    yield make
    for each in made:
        each.close()
