"""An iSNS server on loopback, a client whose every step can be awaited, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ietpy.isns.client import IsnsClient
from ietpy.isns.dialogue import Dialogue, Times
from tests.isns.server import PATIENCE, IsnsServer

A, B = "iqn.2026-11.test:a", "iqn.2026-11.test:b"
ALICE, BOB = "iqn.2026-11.test.initiator:alice", "iqn.2026-11.test.initiator:bob"
#: No round comes by itself, so what happens was caused by the test.
STILL = Times(period=3600, pause=0, retry=0.01, retry_most=0.02)


class Clock:
    """The real one and ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class WatchedClient(IsnsClient):
    """Says when a round is over."""

    def __init__(self, server: str, **options: Any) -> None:
        self.progress = threading.Condition()
        super().__init__(server, **options)

    def _stand(self, dialogue: Dialogue, state: str, problem: str = "") -> None:
        super()._stand(dialogue, state, problem)
        with self.progress:
            self.progress.notify_all()

    def wait_for(self, predicate: Callable[[], object], what: str) -> None:
        with self.progress:
            assert self.progress.wait_for(predicate, PATIENCE), f"never came: {what}; {self.facts()}"

    def wait_until(self, state: str) -> None:
        self.wait_for(lambda: self.facts()["state"] == state, state)


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture
def server() -> Iterator[IsnsServer]:
    serving = IsnsServer()
    yield serving
    serving.stop()


@pytest.fixture
def targets() -> list[str]:
    """The daemon's targets; tests change it while the client runs."""
    return [A, B]


@pytest.fixture
def make_client(server: IsnsServer, targets: list[str]) -> Iterator[Callable[..., WatchedClient]]:
    """Makes clients, started unless ``start=False``, that are stopped in the end."""
    made: list[WatchedClient] = []

    def make(host: str = "127.0.0.1", *, start: bool = True, **options: Any) -> WatchedClient:
        defaults: dict[str, Any] = {
            "port": server.port,
            "portal_port": 3260,
            "targets": lambda: list(targets),
            "access_control": True,
            "entity_id": "storage.test",
            "times": STILL,
        }
        client = WatchedClient(host, **defaults | options)
        made.append(client)
        if start:
            client.start()
        return client

    yield make
    for client in made:
        client.stop()


@pytest.fixture
def client(make_client: Callable[..., WatchedClient]) -> WatchedClient:
    """A client under access control that has registered A and B."""
    made = make_client()
    made.wait_until("registered")
    return made
