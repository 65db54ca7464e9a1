"""How long commands take: of a batch, of those that others execute, and only while somebody wants to know."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from ietpy.scsi.statistics import BOUNDS
from ietpy.server import latency
from ietpy.server.latency import Stopwatch

READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(latency, "monotonic", made)
    return made


def nexus() -> Any:
    return Mock(latency=None)


def task(of: Any) -> Any:
    return SimpleNamespace(nexus=of, began=0.0)


def counts(of: Any) -> dict[float, int]:
    """By upper bound; 0.0: above all."""
    return {bound: count for bound, count in zip((*BOUNDS, 0.0), of.latency.counts, strict=True) if count}


def test_commands_of_a_batch_take_as_long_as_the_batch(clock: Clock) -> None:
    one, other, watch = nexus(), nexus(), Stopwatch()
    watch.began = clock()
    watch.saw([task(one), task(other), task(one)])
    clock.now += 0.0015
    assert watch.sent() == clock.now
    assert (counts(one), counts(other)) == ({0.002: 2}, {0.002: 1})
    clock.now += 1
    watch.sent()  # an empty batch, as of a NOP-Out
    assert counts(one) == {0.002: 2}


def test_what_was_handed_over_is_on_its_own(clock: Clock) -> None:
    one, watch = nexus(), Stopwatch()
    slow, quick = task(one), task(one)
    watch.began = clock()
    watch.saw([slow, quick])
    watch.handed_over(slow)
    watch.sent()
    assert counts(one) == {BOUNDS[0]: 1}
    clock.now += 3
    latency.worked([slow, task(one)])  # the second was handed over before anybody measured
    assert counts(one) == {BOUNDS[0]: 1, 5.0: 1}


def measured(served: Any) -> int:
    """How many commands all sessions together have measured, with no batch half done."""
    total = 0
    for pump in list(served.server._pumps):
        with pump.line.lock:
            for each in pump.connection.session.nexuses.values():
                total += sum(each.latency.counts) if each.latency else 0
    return total


def test_nothing_is_measured_until_somebody_asks(served: Any) -> None:
    client = served.connect()
    client.read(0, 0, 8)
    assert not served.server.measuring.on
    assert measured(served) == 0
    served.server.measure()
    client.read(0, 0, 8)  # was being waited for when somebody asked, so it may count or not
    client.read(0, 0, 8)
    assert served.server.measuring.on
    assert 1 <= measured(served) <= 2


def test_after_a_while_that_ends(served: Any) -> None:
    client = served.connect()
    served.server.measuring.go_on(0.0)
    client.read(0, 0, 8)
    client.read(0, 0, 8)
    with next(iter(served.server._pumps)).line.lock:
        assert not served.server.measuring.on
    before = measured(served)
    client.read(0, 0, 8)
    assert measured(served) == before


@pytest.mark.parametrize("shared", [False, True], ids=["one connection", "several"])
def test_commands_on_workers_count_when_they_are_answered(served: Any, shared: bool) -> None:
    served.target.key_values = {"MaxConnections": 4}
    client = served.connect(keys={"MaxConnections": "4" if shared else "1"})
    assert next(iter(served.server._pumps)).connection.session.shared is shared
    served.server.measuring.go_on(60.0)
    client.read(0, 0, 8)
    client.read(0, 0, 8)
    before = measured(served)
    served.store.hold()
    tags = [client.submit(0, READ_10, read=4096) for _ in range(3)]
    for _ in tags:
        assert served.store.entered.acquire(timeout=10)
    assert measured(served) == before
    began = time.monotonic()
    served.store.open_gate()
    for tag in tags:
        assert client.wait(tag).status == 0
    assert measured(served) == before + 3
    facts = served.server.sessions()[0]
    assert facts["latency"]["sum"] < 60 + time.monotonic() - began
    assert (facts["reads"], facts["commands"] >= 5) == (5, True)


def test_who_shares_a_session_stops_measuring_too(served: Any) -> None:
    served.target.key_values = {"MaxConnections": 4}
    client = served.connect(keys={"MaxConnections": "4"})
    served.server.measuring.go_on(0.0)
    for _ in range(3):
        client.read(0, 0, 8)
    with next(iter(served.server._pumps)).line.lock:
        assert not served.server.measuring.on
