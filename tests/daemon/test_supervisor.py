"""What a service manager is told: that we serve, that we live, that we end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.daemon.supervisor import Supervisor
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan

ME = str(os.getpid())


@pytest.mark.parametrize(("environment", "period"), [
    ({}, None),
    ({"WATCHDOG_USEC": "3000000"}, None),
    ({"NOTIFY_SOCKET": "/x"}, None),
    ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"}, 1.0),
    ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": ME}, 1.0),
    ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
    ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, None),
    ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, None),
])
def test_when_signs_of_life_are_wanted(environment: dict[str, str], period: float | None) -> None:
    assert Supervisor.of(environment).period == period


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.bind(str(tmp_path / "notify"))
        yield sock


def test_an_abstract_socket_is_one_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.bind(f"\0ietpy-test-{ME}")
        Supervisor(f"@ietpy-test-{ME}").tell("READY=1")
        assert sock.recv(64) == b"READY=1"


def test_one_that_has_gone_or_does_not_look_is_not_waited_for(manager: socket.socket) -> None:
    Supervisor("/nowhere").tell("READY=1")
    Supervisor().tell("READY=1")
    ours = Supervisor(str(manager.getsockname()))
    for _ in range(10000):
        ours.tell("WATCHDOG=1")


def until_silent(manager: socket.socket) -> list[bytes]:
    """What comes before nothing does."""
    words: list[bytes] = []
    with contextlib.suppress(TimeoutError, BlockingIOError):
        while len(words) < 100:
            words.append(manager.recv(4096))
        raise AssertionError("it does not become silent")
    return words


def word(manager: socket.socket) -> bytes:
    """The next that is no status alone; without the status it has."""
    while (found := manager.recv(4096)).startswith(b"STATUS="):
        pass
    return found.partition(b"\n")[0]


@pytest.mark.parametrize("count", [1, 2])
def test_signs_come_only_while_all_of_it_lives(manager: socket.socket, daemon: Any, count: int) -> None:
    """A worker that is stopped is not answered for, nor the daemon that is."""
    daemon.write("".join(f"Target iqn.2001-04.com.example:{name}\n\tLun 0 Type=nullio\n" for name in "ab"))
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.getsockname()), "WATCHDOG_USEC": "300000"}
    environment.pop("WATCHDOG_PID", None)
    command = daemon.command("start", "-f", *daemon.listening(), "--processes", str(count))
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert word(manager) == b"READY=1"
            for _ in range(5):
                assert word(manager) == b"WATCHDOG=1"
            stopped = process.pid if count == 1 else daemon.status()["processes"][1]["pid"]
            os.kill(stopped, signal.SIGSTOP)
            try:
                manager.settimeout(1.0)  # more than what the manager would wait
                until_silent(manager)
            finally:
                os.kill(stopped, signal.SIGCONT)
            manager.settimeout(30)
            assert word(manager) == b"WATCHDOG=1"
        finally:
            process.send_signal(signal.SIGTERM)
            manager.settimeout(30)
            while word(manager) != b"STOPPING=1":
                pass
            _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert ("no sign of life from a worker process [not-alive]" in log) is (count > 1)


def test_a_status_is_told_when_it_is_another(manager: socket.socket) -> None:
    ours = Supervisor(str(manager.getsockname()))
    for status in ("Serving 1 target", "Serving 1 target", "Serving 2 targets"):
        ours.show(status)
    manager.setblocking(False)
    assert until_silent(manager) == [b"STATUS=Serving 1 target", b"STATUS=Serving 2 targets"]


def test_the_status_says_what_is_served_and_what_is_wrong(manager: socket.socket, daemon: Any) -> None:
    name = "iqn.2001-04.com.example:a"
    daemon.write(f"Target {name}\n\tLun 0 Type=nullio\n\tLun 1 Path=/nowhere\n")
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.getsockname())}
    command = daemon.command("start", "-f", *daemon.listening())
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert manager.recv(4096) == b"READY=1"
            first = manager.recv(4096).decode()
            assert first.startswith("STATUS=Serving 1 target, 1 LUN, 0 sessions; degraded: LUN 1 of iqn.2001-04.com.")
            with Client.connect("127.0.0.1", daemon.status()["portals"][0]["port"]) as client:
                client.login(LoginPlan(target=name))
                assert manager.recv(4096).startswith(b"STATUS=Serving 1 target, 1 LUN, 1 session;")
                client.logout()
            assert manager.recv(4096).startswith(b"STATUS=Serving 1 target, 1 LUN, 0 sessions;")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=Finishing commands, then flushing"
