"""What changes while it serves, as libiscsi sees it, and under load from several sessions."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ietpy.cli import ietadm
from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed
from ietpy.initiator.login import LoginPlan

NAME = "iqn.2001-04.com.example:live"
MIB = 1 << 20
ROUNDS = 40
BLOCK = 512

Run = Callable[..., Any]


def adm(daemon: Any, *arguments: str) -> int:
    return ietadm.run(list(arguments), {"IETPY_CONTROL": str(daemon.directory / "control")})


@pytest.fixture
def daemon(serve: Any, image: Callable[..., Path]) -> Any:
    made = serve(f"Target {NAME}\n\tLun 0 Path={image('a.img', 4 * MIB)}\n")
    made.second = image("b.img", 8 * MIB)
    return made


def holds(daemon: Any, path: Path) -> bool:
    """Whether the daemon has this file open."""
    directory = f"/proc/{daemon.pid}/fd"
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            if os.readlink(f"{directory}/{name}") == str(path):
                return True
    return False


def listed(daemon: Any, run: Run) -> list[str]:
    lines = run("iscsi-ls", "-s", daemon.portal()).stdout.splitlines()
    return [line.split()[0] for line in lines]


def test_libiscsi_sees_what_ietadm_changes(daemon: Any, run: Run) -> None:
    assert listed(daemon, run) == [f"Target:{NAME}", "Lun:0"]
    assert adm(daemon, "--op", "new", "--tid=1", "--lun=5", "--params", f"Path={daemon.second},Type=fileio") == 0
    assert adm(daemon, "--op", "new", "--tid=0", "--params", "Name=iqn.2001-04.com.example:newer") == 0
    # iscsi-ls turns the order of the answer round, in which the newest is first.
    assert adm(daemon, "--op", "new", "--tid=2", "--lun=0", "--params", "Type=nullio") == 0
    assert listed(daemon, run) == [f"Target:{NAME}", "Lun:0", "Lun:5", "Target:iqn.2001-04.com.example:newer", "Lun:0"]
    assert "Total size:8388608" in run("iscsi-readcapacity16", daemon.url(NAME, 5)).stdout
    assert adm(daemon, "--op", "delete", "--tid=1", "--lun=0") == 0
    assert adm(daemon, "--op", "delete", "--tid=2") == 0
    assert listed(daemon, run) == [f"Target:{NAME}", "Lun:5"]


def test_libiscsi_sees_what_a_reload_changes(daemon: Any, run: Run) -> None:
    daemon.config.write_text(f"Target {NAME}\n\tLun 3 Path={daemon.second}\n\tIncomingUser joe secretsecret12\n")
    assert daemon.command("reload").stdout.endswith("ietpy-daemon: reloaded\n")
    assert "Total size:8388608" in run("iscsi-readcapacity16", daemon.url(NAME, 3, "joe%secretsecret12")).stdout
    assert run("iscsi-inq", daemon.url(NAME, 3), status=None).returncode != 0


def test_libiscsi_follows_a_redirection(daemon: Any, serve: Any, run: Run) -> None:
    elsewhere = serve(f"Target {NAME}\n\tLun 0 Type=nullio,ScsiSN=elsewhere\n", "-a", "127.0.0.2")
    page = ("iscsi-inq", "-e", 1, "-c", 0x80, daemon.url(NAME))
    assert "elsewhere" not in run(*page).stdout
    assert adm(daemon, "--op", "update", "--tid=1", f"--redirect=127.0.0.2:{elsewhere.port}") == 0
    assert "elsewhere" in run(*page).stdout
    assert f"Portal:127.0.0.1:{daemon.port},1" in run("iscsi-ls", daemon.portal()).stdout
    assert adm(daemon, "--op", "update", "--tid=1", "--redirect=") == 0
    assert "elsewhere" not in run(*page).stdout


def test_units_come_and_go_under_load(daemon: Any) -> None:
    """One session verifies LUN 0 while LUN 1 is made and deleted; others use LUN 1 and see all of it or nothing."""
    over = threading.Event()
    mistakes: list[object] = []
    seen = [0, 0]

    def guarded(work: Callable[[Client], None], number: int) -> None:
        try:
            with Client.connect("127.0.0.1", daemon.port) as client:
                client.login(LoginPlan(target=NAME, isid=bytes((0x80, 0, 0, 0, 0, number))))
                while not over.is_set():
                    work(client)
        except Exception as mistake:
            mistakes.append(mistake)

    def steady(client: Client) -> None:
        data = seen[0].to_bytes(8, "big") * (8 * BLOCK // 8)
        try:
            client.write(0, 64, data)
            assert client.read(0, 64, 8) == data
            seen[0] += 1
        except CommandFailed as failed:
            if failed.key != 6:  # told that the units changed
                raise

    def unsteady(client: Client) -> None:
        try:
            assert client.read(1, 0, 2048) == bytes(2048 * BLOCK)
            seen[1] += 1
        except CommandFailed as failed:
            if (failed.key, failed.asc) not in ((5, 0x2500), (6, 0x2900), (6, 0x3F0E)):
                raise

    threads = [threading.Thread(target=guarded, args=(steady, 1))]
    threads += [threading.Thread(target=guarded, args=(unsteady, number)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    new = ("--op", "new", "--tid=1", "--lun=1", "--params", f"Path={daemon.second}")
    for _ in range(ROUNDS):
        assert adm(daemon, *new) == 0
        assert adm(daemon, "--op", "delete", "--tid=1", "--lun=1") == 0
        assert not holds(daemon, daemon.second)
    over.set()
    for thread in threads:
        thread.join(60)
    assert mistakes == []
    assert seen[0] > 0
