"""The daemon ends, in order or not, and starts again: initiators go on with what they were doing."""

from __future__ import annotations

import fcntl
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from tests.footprint import family
from tests.interop.conftest import command

TARGETS = "iqn.2001-04.com.example:one", "iqn.2001-04.com.example:two"
MIB = 1 << 20
PATIENCE = 60.0

processes = pytest.mark.parametrize("processes", [1, 2])


@pytest.fixture
def configuration(image: Callable[..., Path]) -> str:
    """Two targets with a disk each."""
    return "".join(f"Target {name}\n\tLun 0 Path={image('disk.img', 8 * MIB)},Type=fileio\n" for name in TARGETS)


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A listening socket that outlives daemons."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


class QemuIo:
    """qemu-io with a disk open: its session is kept, lost and found again by libiscsi, with its defaults."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [command("qemu-io"), "-f", "raw", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("it has ended")

    def begin(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def done(self) -> None:
        """The order ended, and well."""
        said = ""
        while " ops" not in said:
            line = self.lines.get(timeout=PATIENCE)
            said += line
            assert "failed" not in line, said
            assert line != "it has ended", said

    def do(self, order: str) -> None:
        self.begin(order)
        self.done()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


def log_in(daemon: Any, number: int, target: str) -> Client:
    client = Client.connect("127.0.0.1", daemon.port, timeout=PATIENCE)
    client.login(LoginPlan(f"iqn.2001-04.com.example:initiator{number}", target))
    client.test_unit_ready(0)
    return client


@processes
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_who_connects_while_no_daemon_runs_is_served_by_the_next(
    serve: Any, configuration: str, port: socket.socket, how: str, processes: int
) -> None:
    more = ["--processes", str(processes)]
    daemon = serve.prepare(configuration).start_on(port, *more)
    assert daemon.port == port.getsockname()[1]
    for number, target in enumerate(TARGETS):
        with log_in(daemon, number, target) as client:
            client.write(0, number, target.ljust(512).encode())
            client.logout()
    for _ in range(2):
        getattr(daemon, how)()
        early = Client.connect("127.0.0.1", daemon.port, timeout=PATIENCE)  # is not refused
        daemon.start_on(port, *more)
        with early:
            early.login(LoginPlan("iqn.2001-04.com.example:initiator0", TARGETS[1]))
            early.test_unit_ready(0)
            assert early.read(0, 1, 1) == TARGETS[1].ljust(512).encode()
            early.logout()


@pytest.mark.parametrize(("how", "processes"), [("stop", 1), ("kill", 1), ("kill", 2)])
def test_qemu_goes_on_when_the_daemon_was_away(
    serve: Any, configuration: str, how: str, processes: int
) -> None:
    """Without anybody who keeps the port: libiscsi is refused, and tries again."""
    more = ["--processes", str(processes)]
    daemon = serve(configuration, *more)
    disk = QemuIo(daemon.url(TARGETS[0]))
    try:
        disk.do("write -P 0x11 0 1M")
        disk.begin("write -P 0x22 1M 4M")
        getattr(daemon, how)()
        daemon.start_again(*more)
        disk.done()
        for order in ("read -P 0x11 0 1M", "read -P 0x22 1M 4M", "write -P 0x33 0 64k", "read -P 0x33 0 64k"):
            disk.do(order)
    finally:
        disk.close()


@processes
def test_a_daemon_that_was_killed_starts_by_itself(serve: Any, configuration: str, processes: int) -> None:
    """At once, with its pid file, control socket, media and state as they were left; whoever of it is left."""
    more = ["--processes", str(processes)]
    daemon = serve(configuration, *more)
    for turn in range(2):
        members = family(daemon.pid)
        assert len(members) == (1 if processes == 1 else 2 + processes)
        clients = [log_in(daemon, number, target) for number, target in enumerate(TARGETS)]
        for client in clients:
            client.write(0, turn, bytes((turn + 1,)) * 512)
        daemon.kill()
        assert (daemon.directory / "ietd.pid").exists()
        assert (daemon.directory / "control").exists()
        daemon.start_again(*more)
        assert not daemon.status()["degraded"], daemon.status()["problems"]
        for number, client in enumerate(clients):
            client.close()
            with log_in(daemon, number, TARGETS[number]) as again:
                assert again.read(0, turn, 1) == bytes((turn + 1,)) * 512
                again.logout()


@processes
def test_media_that_a_killed_daemon_still_has_are_waited_for(
    serve: Any, image: Callable[..., Path], processes: int
) -> None:
    """A process that waits for its device ends when that answers, and has its locks until then."""
    disk = image("disk.img", 8 * MIB)
    daemon = serve(f"Target {TARGETS[0]}\n\tLun 0 Path={disk},Type=fileio\n", "--processes", str(processes))
    daemon.kill()
    with disk.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        release = threading.Timer(1.0, lambda: fcntl.flock(file, fcntl.LOCK_UN))
        release.start()
        try:
            daemon.start_again("--processes", str(processes))
        finally:
            release.join()
    assert daemon.status()["problems"] == []
    with log_in(daemon, 0, TARGETS[0]) as client:
        client.logout()
