"""Limits of LUNs and initiators, in a real daemon: what is over them waits, and nobody and nothing else does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.iscsi.task_management import COMPLETE
from tests.cli.conftest import A, Daemon, make_disk

SLOW = "Iops=20"


def reads(client: Client, lun: int, count: int) -> list[int]:
    """Begin reads; their tags."""
    return [
        client.submit(lun, bytes((0x28, 0, 0, 0, 0, number, 0, 0, 1, 0)).ljust(16, b"\0"), read=512)
        for number in range(count)
    ]


def finish(client: Client, tags: list[int]) -> float:
    """Wait for all; seconds that took."""
    began = time.monotonic()
    assert {client.wait(tag).status for tag in tags} == {0}
    return time.monotonic() - began


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., Daemon]:
    def make(options: str) -> Daemon:
        luns = "".join(f"Lun {lun} Path={make_disk(tmp_path / f'{lun}.img')}\n" for lun in (0, 1))
        return Daemon(tmp_path, f"QueuedCommands 64\nTarget {A}\n{luns}{options}\n")

    return make


def login(daemon: Daemon, **plan: Any) -> Client:
    client = daemon.login(A, **plan)
    for lun in (0, 1):
        client.command(lun, bytes(6))
    return client


@pytest.mark.parametrize(("options", "other"), [
    (f"LunOption 0 {SLOW}", 1), ("LunOption 0 BytesPerSecond=10K", 1),
])
def test_a_lun_is_slow_and_nothing_else(serving: Callable[..., Daemon], options: str, other: int) -> None:
    with serving(options) as daemon:
        client = login(daemon)
        tags = reads(client, 0, 30)
        aborted = tags.pop()
        began = time.monotonic()
        client.ping(b"x")
        finish(client, reads(client, other, 30))
        assert client.manage(1, 0, aborted) == COMPLETE
        beside = time.monotonic() - began
        assert finish(client, tags) + beside >= 0.4, "29 at 20 in a second, of which a tenth of a second's go at once"
        assert len(daemon.instance.server.pacing._waiting) <= 1, "what was aborted waits for nothing but its time"
        began = time.monotonic()
        for number in range(10):
            client.write(0, number, b"x" * 512)
        assert time.monotonic() - began >= 0.2
        client.logout()


def test_an_initiator_is_slow_on_all_its_luns_and_others_are_not(serving: Callable[..., Daemon]) -> None:
    with serving(f"Initiator iqn.*:slow {SLOW}\nInitiator *") as daemon:
        slow, fast = login(daemon, initiator="iqn.2026-11.test:slow"), login(daemon)
        tags = [*reads(slow, 0, 10), *reads(slow, 1, 10)]
        finish(fast, reads(fast, 0, 30))
        assert finish(slow, tags) >= 0.3


def test_a_reload_changes_limits_and_whoever_waits_goes_on(serving: Callable[..., Daemon]) -> None:
    """The session stays as it is, and so does its view: no unit attention."""
    with serving("LunOption 0 Iops=1\nInitiator * Iops=1") as daemon:
        client = login(daemon)
        tags = reads(client, 0, 30)
        client.ping()
        daemon.config.write_text(daemon.config.read_text().replace("Iops=1", "Iops=100000"))
        steps = daemon.instance.administration.reload()["steps"]
        assert [(step["action"], step["subject"]) for step in steps] == [("change", "access"), ("change", "limits")]
        assert finish(client, tags) < 20
        assert daemon.instance.administration.plan(None)["steps"] == []
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("LunOption 0 Iops=100000\nInitiator * Iops=100000", ""))
        daemon.instance.administration.reload()
        assert client.test_unit_ready(0) is None
        assert not any(nexus.barrier for nexus in daemon.inventory.target(1).units[0].unit.nexuses)


def test_the_end_does_not_wait_for_limits(serving: Callable[..., Daemon]) -> None:
    with serving("LunOption 0 Iops=1") as daemon:
        client = login(daemon)
        tags = reads(client, 0, 20)
        client.ping()
        stopping = threading.Thread(target=daemon.instance.server.stop, args=(10.0,))
        stopping.start()
        assert finish(client, tags) < 15
        client.close()
        stopping.join()


def test_a_writer_that_waits_is_not_in_the_way_of_its_session(serving: Callable[..., Daemon]) -> None:
    """Nor is one whose data must be asked for."""
    with serving("LunOption 0 Iops=5") as daemon:
        client = login(daemon, keys={"ImmediateData": "No", "InitialR2T": "Yes"})
        data = b"y" * 65536
        cdb = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 128, 0)).ljust(16, b"\0")
        tags = [client.submit(0, cdb, write=data) for _ in range(6)]
        finish(client, reads(client, 1, 30))
        assert finish(client, tags) >= 0.2
        assert client.read(0, 0, 128) == data
