"""Commands whose medium does not answer are found, named and told of, and nobody else's are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.server import stuck
from ietpy.server.stuck import EVERY, IDLE, LONG, Watch

READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
WRITE_10 = bytes.fromhex("2a 00 00000000 00 0008 00")
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(stuck, "LONG", 0.2)
    monkeypatch.setattr(stuck, "EVERY", 0.02)
    monkeypatch.setattr(stuck, "IDLE", 0.02)
    caplog.set_level(logging.WARNING, "ietpy")


def told(caplog: pytest.LogCaptureFixture, code: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.event.code == code]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("soon")
class TestServed:
    def test_a_medium_that_does_not_answer_is_named(
        self, served: Any, eventually: Eventually, caplog: pytest.LogCaptureFixture
    ) -> None:
        served.lu.set_write_cache(False)
        client = served.connect()
        served.store.hold()
        tags = [client.submit(0, WRITE_10, write=bytes(4096)) for _ in range(3)]
        eventually(lambda: len(served.server.stuck.facts()) == 3)
        (first, *_) = served.server.stuck.facts()
        assert first["seconds"] >= 0
        del first["seconds"]
        initiator = client.plan.initiator
        assert first == {
            "target": served.target.name, "lun": 0, "command": "WRITE(10)", "initiator": initiator
        }
        eventually(lambda: bool(told(caplog, "io-stuck")))
        record = told(caplog, "io-stuck")[0]
        assert record.getMessage().startswith(f"LUN 0 of {served.target.name}: WRITE(10) of {initiator} has been")
        served.store.open_gate()
        for tag in tags:
            assert client.wait(tag).status == 0
        eventually(lambda: bool(told(caplog, "io-moves")))
        assert served.server.stuck.facts() == []

    def test_what_waits_for_a_worker_is_not_stuck(self, served: Any, eventually: Eventually) -> None:
        """There are four; the fifth command may be another LUN's."""
        served.lu.set_write_cache(False)
        client = served.connect()
        served.store.hold()
        tags = [client.submit(0, WRITE_10, write=bytes(4096)) for _ in range(6)]
        eventually(lambda: len(served.server.stuck.facts()) == 4)
        again = threading.Event()
        served.server.later(again.set)
        assert again.wait(10)
        assert len(served.server.stuck.facts()) == 4
        served.store.open_gate()
        for tag in tags:
            client.wait(tag)

    def test_what_a_connection_executes_itself_counts_too(
        self, served: Any, eventually: Eventually, slow_command: Any
    ) -> None:
        client = served.connect()
        inside, go_on = slow_command(READ_10[0])
        tag = client.submit(0, READ_10, read=4096)
        assert inside.wait(20)
        eventually(lambda: [each["command"] for each in served.server.stuck.facts()] == ["READ(10)"])
        go_on.set()
        client.wait(tag)
        eventually(lambda: served.server.stuck.facts() == [])

    def test_the_connection_may_have_gone(self, served: Any, eventually: Eventually) -> None:
        served.lu.set_write_cache(False)
        client = served.connect()
        served.store.hold()
        client.submit(0, WRITE_10, write=bytes(4096))
        eventually(lambda: len(served.server.stuck.facts()) == 1)
        client.close()
        other = served.connect(isid=b"\x80\0\0\0\0\7")
        other.test_unit_ready(0)
        assert len(served.server.stuck.facts()) == 1
        served.store.open_gate()
        eventually(lambda: served.server.stuck.facts() == [])


class Unit:
    number = 3
    device = SimpleNamespace(name="iqn.x")

    def name_of(self, cdb: bytes) -> str:
        return f"command {cdb[0]}"


class Command(SimpleNamespace):
    __hash__ = object.__hash__


class World:
    """One connection whose workers are at ``running``, at a time of our own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.unit = Unit()
        self.session: Any = SimpleNamespace(target=object(), running=set(), ready=[], initiator="iqn.i")
        self.pump: Any = SimpleNamespace(
            connection=SimpleNamespace(session=self.session), parked=SimpleNamespace(waiting=set)
        )
        self.pump.line = Command(members=[self.pump], stranded=[], executing=False)
        self.watch = Watch(lambda: self.now)

    def task(self, number: int) -> Any:
        return Command(tag=number, cmd_sn=number, cdb=bytes([number]), nexus=SimpleNamespace(lu=self.unit))

    def pass_by(self, seconds: float) -> None:
        """With a look every so often, as the listener has it."""
        end = self.now + seconds
        while self.now < end:
            self.now += EVERY
            self.watch.look([self.pump], self.now)


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.WARNING, "ietpy")
    return World()


def test_it_is_told_at_growing_intervals_and_when_it_is_over(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    task = world.task(7)
    world.session.running = {task}
    world.pass_by(LONG)
    assert told(caplog, "io-stuck") == []
    world.pass_by(24 * 3600)
    ages = [record.facts["seconds"] for record in told(caplog, "io-stuck")]  # type: ignore[attr-defined]
    assert ages[:4] == [10, 20, 40, 80]
    assert max(after - before for before, after in pairwise(ages)) <= 3600 + EVERY
    assert told(caplog, "io-moves") == []
    world.session.running = set()
    world.pass_by(EVERY)
    (over,) = told(caplog, "io-moves")
    assert over.getMessage() == f"LUN 3 of iqn.x is not stuck any more; it was for {24 * 3600 + 10:.0f} s"
    assert world.watch.facts() == []
    assert world.watch.due([]) is None


def test_a_task_that_is_used_again_is_another_command(world: World) -> None:
    task = world.task(7)
    world.session.running = {task}
    for number in range(100):
        task.tag = task.cmd_sn = number
        world.pass_by(EVERY)
    assert world.watch.facts() == []


def test_one_line_for_each_unit(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.session.running = {world.task(number) for number in range(5)}
    world.pass_by(LONG + EVERY)
    (record,) = told(caplog, "io-stuck")
    assert record.getMessage().endswith("has been waiting for its medium for 10 s, and 4 more")
    assert len(world.watch.facts()) == 5


def test_of_a_batch_it_cannot_be_told_which(world: World) -> None:
    world.session.ready = [world.task(1), world.task(2)]
    world.pump.line.executing = True
    world.pass_by(LONG + EVERY)
    assert [each["command"] for each in world.watch.facts()] == ["command 1 (or one of 1 executed after it)"]


def test_discovery_and_logins_have_no_commands(world: World) -> None:
    world.session.running = {world.task(1)}
    world.session.target = None
    world.pass_by(LONG + EVERY)
    world.pump.connection.session = None
    world.pass_by(LONG + EVERY)
    assert world.watch.facts() == []


def test_a_look_a_moment_later_is_none(world: World) -> None:
    assert world.watch.due([]) is None
    world.pass_by(EVERY)
    assert world.watch.due([world.pump]) == world.now + IDLE
    world.session.running = {world.task(1)}
    world.watch.look([world.pump], world.now + EVERY / 2)
    assert world.watch._seen == {}
