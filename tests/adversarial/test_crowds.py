"""Crowds of hostile clients, of ``tests/long/crowds.py`` in small numbers: a healthy session and newcomers go on.

``tests/long/attacks`` has the full numbers, times and memory of a daemon, and compares with tgt.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.server import accepting, logins
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from tests.long.crowds import ATTACKS, MIB, SOURCE, WINDOW, Site

TARGET = "iqn.2026-11.test:crowded"
MEMORY = 40 * MIB  #: the budget, for all
PLACES = 24  #: connections, half of them from one address
HALF_OPEN = 128  #: logins under way
PATIENCE = 10.0  #: seconds a healthy command or a login may take; a moment is what they take
ROUNDS = 25
#: By attack: how many, and what must have come of it.
COUNTS = {
    "half_open": 400, "half_open_at_one": 200, "loris": 100, "noise": 40, "swarm": 40, "never_reads": 4,
    "slow_reads": 4, "deaf": 6, "r2ts": 2 * WINDOW, "slow_writes": 2 * WINDOW, "hoard": 6,
}


class Crowded:
    """A server with a disk of 64 MiB and little memory, a healthy session, and what was seen meanwhile."""

    def __init__(self, directory: Path) -> None:
        path = directory / "disk.img"
        with path.open("wb") as file:
            file.truncate(64 * MIB)
        configuration = f"Target {TARGET}\n    Lun 0 Path={path},Type=fileio\n"
        self.inventory = Inventory(loads(configuration), Media(), memory=MEMORY)
        self.server = Server(self.inventory.node, bind("127.0.0.1", 0))
        self.server.capacity.most = PLACES
        self.port = self.server.portals()[0][1]
        self.server.start()
        self.healthy = self.dial()
        self.most: dict[str, int] = {}

    def dial(self, name: str = "healthy") -> Client:
        client = Client.connect("127.0.0.1", self.port, timeout=PATIENCE)
        client.login(LoginPlan(target=TARGET, initiator=f"iqn.2026-11.test:{name}"))
        client.test_unit_ready(0)
        return client

    def look(self) -> None:
        """What is held at this moment."""
        node, server = self.inventory.node, self.server
        with server._lock:
            pumps = list(server._pumps)
        found = {
            "writes": node.memory.used, "large reads": node.staging.used, "logins": len(server._logins),
            "staged": sum(pump.connection.staged_size for pump in pumps) - node.staging.used, "sessions": len(pumps),
            "of one address": server.capacity._taken[SOURCE],
        }
        self.most = {name: max(size, self.most.get(name, 0)) for name, size in found.items()}

    def close(self) -> None:
        self.healthy.close()
        assert self.server.stop(10)
        assert self.inventory.close()


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Crowded]:
    with closing(Crowded(tmp_path)) as found:
        yield found


@pytest.mark.parametrize("name", ATTACKS)
def test_a_healthy_session_notices_nothing(
    crowded: Crowded, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", HALF_OPEN)
    monkeypatch.setattr(accepting, "AT_ONCE", 4)
    ready, over = threading.Event(), threading.Event()
    found: dict[str, Any] = {}
    site = Site(crowded.port, TARGET, 0, COUNTS[name], over.is_set, ready.set)
    attack = threading.Thread(target=lambda: found.update(ATTACKS[name](site)))
    attack.start()
    try:
        assert ready.wait(30)
        longest = 0.0
        for turn in range(ROUNDS):
            crowded.look()
            begun = time.monotonic()
            data = os.urandom(4096)
            crowded.healthy.write(0, 100_000 + 8 * turn, data)  # behind what is attacked
            assert crowded.healthy.read(0, 100_000 + 8 * turn, 8) == data
            if not turn % 5:
                with crowded.dial("newcomer") as newcomer:
                    assert newcomer.read(0, 100_000 + 8 * turn, 8) == data
            longest = max(longest, time.monotonic() - begun)
        large = os.urandom(MIB // 2)  # its data is asked for
        crowded.healthy.write(0, 110_000, large)
        assert crowded.healthy.read(0, 110_000, MIB // 1024) == large
    finally:
        over.set()
        attack.join(30)
    assert not attack.is_alive()
    assert found
    assert longest < PATIENCE
    assert crowded.most["logins"] <= HALF_OPEN
    assert crowded.most["sessions"] <= PLACES
    assert crowded.most["of one address"] <= PLACES // 2
    assert crowded.most["writes"] <= 2 * MEMORY + PLACES * MIB // 8
    assert crowded.most["large reads"] <= MEMORY
    assert crowded.most["staged"] <= MEMORY + PLACES * MIB
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_process_in_front_and_its_workers_go_on(tmp_path: Path) -> None:
    """Both of them serve logins, those of the worker come by the other's socket."""
    lines = []
    for number in range(2):
        with (tmp_path / f"{number}.img").open("wb") as file:
            file.truncate(MIB)
        lines.append(f"Target {TARGET}{number}\n    Lun 0 Path={tmp_path}/{number}.img,Type=fileio\n")
    (tmp_path / "ietd.conf").write_text("".join(lines))
    command = [
        str(Path(sys.executable).with_name("ietpy-daemon")), "start", "-f", "-c", "ietd.conf", "-a", "127.0.0.1", "-p",
        "0", "--pid-file", "pid", "--control", "control", "--state-dir", "state", "--processes", "2",
    ]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True
    ) as daemon:
        try:
            assert daemon.stdout is not None
            port = int(daemon.stdout.readline().split(" on 127.0.0.1:")[1].split()[0])
            healthy = [Client.connect("127.0.0.1", port, timeout=PATIENCE) for _ in range(2)]
            for number, client in enumerate(healthy):
                client.login(LoginPlan(target=f"{TARGET}{number}", initiator="iqn.2026-11.test:healthy"))
                client.test_unit_ready(0)
            crowds = Path(__file__).parents[1] / "long" / "crowds.py"
            attackers = [
                subprocess.Popen(
                    [sys.executable, str(crowds), name, str(port), f"{TARGET}0", "0", str(count)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
                for name, count in (("half_open", 600), ("noise", 40))
            ]
            try:
                for attacker in attackers:
                    assert attacker.stdout is not None
                    assert attacker.stdout.readline() == "ready\n"
                for turn in range(ROUNDS):
                    for number, client in enumerate(healthy):
                        data = os.urandom(4096)
                        client.write(0, 8 * turn, data)
                        assert client.read(0, 8 * turn, 8) == data
                        with Client.connect("127.0.0.1", port, timeout=PATIENCE) as newcomer:
                            newcomer.login(LoginPlan(target=f"{TARGET}{number}", initiator="iqn.2026-11.test:newcomer"))
                            assert newcomer.outcome is not None
            finally:
                said = [attacker.communicate(timeout=30)[0] for attacker in attackers]
            assert all(json.loads(text.splitlines()[-1])["dialled"] for text in said)
            for client in healthy:
                client.logout()
        finally:
            daemon.terminate()
            assert daemon.wait(20) == 0
    assert "internal error" not in (tmp_path / "log").read_text()
