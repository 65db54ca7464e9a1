"""A running daemon's facts, and its end: drained, flushed, within its time."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin import service
from ietpy.config.model import Configuration, LunConfig, TargetConfig
from ietpy.daemon import instance as module
from ietpy.daemon.assemble import assemble
from ietpy.daemon.instance import Instance, become, portal_name
from ietpy.daemon.options import StartOptions
from ietpy.daemon.pidfile import PidFile
from ietpy.errors import IetpyError, Span

NAME = "iqn.2001-04.com.example:t"


class FakeServer:
    """Stands for ``server.listener.Server``."""

    drained = True

    def start(self) -> None: ...

    def stop(self, timeout: float) -> bool:
        return self.drained

    def sessions(self) -> list[dict[str, Any]]:
        return [{"initiator": "iqn.i"}]

    def portals(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", 3260), ("::1", 3260)]


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    lines = (LunConfig(0, Span("ietd.conf", 2, 2), type="nullio"), LunConfig(1, Span("ietd.conf", 3, 2), path="/gone"))
    target = TargetConfig(NAME, Span("ietd.conf", 1, 1), luns=lines)
    configuration = Configuration("ietd.conf", targets=(target,))
    pid_file = PidFile.acquire(str(tmp_path / "ietd.pid"))
    made = Instance(StartOptions(), configuration, assemble(configuration), FakeServer(), pid_file)
    made.service = service.Service(service.bind(str(tmp_path / "control")), made.perform)
    return made


def test_facts_are_json_and_complete(instance: Instance) -> None:
    facts = json.loads(json.dumps(instance.perform("status", {})))
    assert facts["pid"] == os.getpid()
    assert facts["portals"] == [{"address": "127.0.0.1", "port": 3260}, {"address": "::1", "port": 3260}]
    assert facts["degraded"] is True
    assert [problem["line"] for problem in facts["problems"]] == [3]
    assert facts["options"] == StartOptions().facts()
    assert [unit["number"] for unit in facts["targets"][0]["luns"]] == [0]
    assert instance.perform("sessions", {}) == [{"initiator": "iqn.i"}]
    instance.end(time.monotonic() + 10)


def test_a_logical_unit_removed_since_is_not_told_of(instance: Instance) -> None:
    instance.assembly.node.targets[NAME].device.remove(0)
    assert instance.perform("targets", {}) == [{"name": NAME, "sessions": 0, "luns": []}]
    instance.end(time.monotonic() + 10)


def test_the_end_takes_everything_away(instance: Instance, tmp_path: Path) -> None:
    assert instance.end(time.monotonic() + 10) == 0
    assert list(tmp_path.iterdir()) == []


def test_commands_that_do_not_end_are_told_of(instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
    instance.server.drained = False  # type: ignore[attr-defined]
    assert instance.end(time.monotonic() + 10) == 0
    assert "some commands did not end within 5 s" in caplog.text


def test_a_device_that_hangs_does_not_hold_the_end(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    recovered = threading.Event()
    monkeypatch.setattr(instance.assembly, "close", recovered.wait)
    assert instance.end(time.monotonic()) == 1
    recovered.set()
    assert "does not finish flushing" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_flush_that_fails_is_an_exit_status(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance.assembly, "close", lambda: False)
    assert instance.end(time.monotonic() + 10) == 1


def test_the_summary_names_portals(instance: Instance) -> None:
    assert instance.summary() == "serving 1 target on 127.0.0.1:3260, [::1]:3260"
    instance.end(time.monotonic() + 10)


def test_portal_names() -> None:
    assert portal_name("::", 1) == "[::]:1"


def test_the_group_goes_before_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, object]] = []
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(module.os, name, lambda value, name=name: done.append((name, value)))
    become(0, 0)
    assert done == []
    become(7, 8)
    assert done == [("setgroups", []), ("setgid", 8), ("setuid", 7)]


def test_a_user_that_cannot_be_taken_on_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(value: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(module.os, "setuid", refuse)
    with pytest.raises(IetpyError, match="user 7 and group 0 cannot be taken on: Operation not permitted"):
        become(7, 0)
