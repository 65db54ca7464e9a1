"""Reloads leave nothing behind: no descriptor, no thread, no memory. ``tests/long/reloads`` does a thousand."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from tests.reloading import STAYS, TURNS, images, reload, settled, text

WARM, RELOADS = 5 * TURNS, 15 * TURNS
MEMORY = 2 << 20  #: bytes of each process: the allocator's pieces grow for some hundred reloads


@pytest.mark.parametrize("processes", [1, 2])
def test_nothing_is_left_behind(serve: Any, processes: int) -> None:
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            ports.append(sock.getsockname()[1])
    daemon = serve.prepare("")
    images(daemon.directory)
    control = daemon.directory / "control"
    daemon.config.write_text(text(0, daemon.directory, *ports))
    daemon.start("-a", "", "--processes", str(processes))
    with Client.connect("127.0.0.1", ports[0]) as client:
        client.login(LoginPlan(target=STAYS))

        def reloads(first: int, last: int) -> None:
            for turn in range(first, last + 1):
                reload(daemon.config, control, text(turn, daemon.directory, *ports))
                client.write(0, turn, bytes((turn,)) * 512)
                assert client.read(0, turn, 1) == bytes((turn,)) * 512

        reloads(1, WARM)
        before = settled(daemon.pid)
        reloads(WARM + 1, WARM + RELOADS)
        after = settled(daemon.pid, lambda now: (now.threads, now.descriptors) == (before.threads, before.descriptors))
        client.logout()
    assert (after.threads, after.descriptors) == (before.threads, before.descriptors)
    assert after.memory < before.memory + MEMORY * processes, f"{after.memory - before.memory} bytes more"
