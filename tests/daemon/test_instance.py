"""A running daemon's facts, and its end: drained, flushed, within its time."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin import service
from ietpy.config.load import load
from ietpy.config.model import Configuration
from ietpy.daemon import instance as module
from ietpy.daemon.instance import Instance
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.lifecycle import compose
from ietpy.daemon.media import Media
from ietpy.daemon.options import Places, StartOptions
from ietpy.daemon.pidfile import PidFile
from ietpy.daemon.portals import Portals
from ietpy.daemon.supervisor import Supervisor
from ietpy.daemon.watching import Watching
from ietpy.errors import AdminError, ConfigError
from ietpy.iscsi.target import IscsiNode, Portal
from ietpy.server.listener import Server

NAME = "iqn.2001-04.com.example:t"


class FakeServer(Server):
    """``server.listener.Server`` without sockets."""

    drained = True

    def __init__(self, node: IscsiNode) -> None:
        super().__init__(node, [])

    def stop(self, timeout: float) -> bool:
        for part in (self._wake_receive, self._wake_send, self._selector):
            part.close()
        return self.drained

    def portals(self) -> list[Portal]:
        return [Portal("127.0.0.1", 3260), Portal("::1", 3260)]


class FakePortals(Portals):
    """``daemon.portals.Portals`` that opens nothing, and notes what it is asked."""

    def __init__(self, options: StartOptions) -> None:
        super().__init__(options)
        self.asked: list[str] = []

    def go(self, configuration: Configuration, network: Any) -> None:
        self.asked.append("go")

    def come(self, configuration: Configuration, network: Any) -> None:
        self.asked.append(f"come {configuration.file and len(configuration.targets)}")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "ietd.conf"
    path.parent.mkdir()
    path.write_text(f"Target {NAME}\n\tLun 0 Type=nullio\n\tLun 1 Path=/gone\n")
    return path


@pytest.fixture
def instance(tmp_path: Path, config: Path) -> Instance:
    run = tmp_path / "run"
    run.mkdir()
    places = Places(str(run / "ietd.pid"), str(run / "control"))
    options = StartOptions(config=str(config), lenient=True)
    inventory = Inventory(load(config), Media())
    pid_file = PidFile.acquire(places.pid_file)
    control = service.bind(places.control)
    made = compose(
        options, places, inventory, FakeServer(inventory.node), pid_file, control, FakePortals(options),
        Watching(options, inventory.loaded),
    )
    made.publisher.prepare(0, 0)
    return made


def test_facts_are_json_and_complete(instance: Instance) -> None:
    facts = json.loads(json.dumps(instance.administration.status()))
    assert facts["pid"] == os.getpid()
    assert facts["portals"] == [
        {"address": address, "port": 3260, "group": 1, "advertised": ""} for address in ("127.0.0.1", "::1")
    ]
    assert facts["degraded"] is True
    assert [problem["line"] for problem in facts["problems"]] == [3]
    assert facts["options"] == instance.options.facts()
    (target,) = facts["targets"]
    assert (target["tid"], target["name"], target["sessions"]) == (1, NAME, 0)
    assert [unit["number"] for unit in target["luns"]] == [0]
    instance.end(time.monotonic() + 10)


def test_a_reload_serves_what_the_file_says_now(instance: Instance, config: Path, caplog: Any) -> None:
    config.write_text(f"Target {NAME}\n\tLun 0 Type=nullio\nTarget other\n")
    instance.reload()
    assert [target["name"] for target in instance.administration.targets()] == [NAME, "other"]
    assert not instance.inventory.degraded
    assert "tid:2 name:other" in Path(instance.publisher.directory, "volume").read_text()
    instance.end(time.monotonic() + 10)


def test_a_file_that_cannot_be_used_changes_nothing(instance: Instance, config: Path, caplog: Any) -> None:
    config.write_text("Compat strict\nTargett other\n")
    instance.reload()
    assert [target["name"] for target in instance.administration.targets()] == [NAME]
    assert "nothing has changed" in caplog.text
    with pytest.raises(ConfigError):
        instance.administration.reload()
    instance.end(time.monotonic() + 10)


def test_what_a_reload_could_not_do_is_told(instance: Instance, config: Path, caplog: Any) -> None:
    instance.inventory.target(1).node.sessions["iqn.i", b""] = None  # type: ignore[assignment]
    config.write_text("foo bar\n")
    result = instance.administration.reload()
    assert "still in use" in result["unable"][0]
    assert "unknown keyword 'foo'" in result["found"][0]
    instance.reload()
    assert "still in use" in caplog.text
    instance.end(time.monotonic() + 10)


def test_portals_go_before_rules_change_and_come_when_they_have(instance: Instance, config: Path) -> None:
    """And the old ones come again where the rules stay, as the new ones were refused."""
    portals: Any = instance.portals
    config.write_text(f"Target {NAME}\nTarget other\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance.inventory, "apply", lambda new: (_ for _ in ()).throw(AdminError(16, "busy")))
        with pytest.raises(AdminError, match="busy"):
            instance.administration.reload()
    assert portals.asked == ["go", "come 1"]
    instance.administration.reload()
    assert portals.asked[2:] == ["go", "come 2"]
    instance.end(time.monotonic() + 10)


def test_a_file_that_vanished_changes_nothing(instance: Instance, config: Path) -> None:
    """Also where ietd was started, for which a file that is not there was an empty one."""
    config.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        instance.administration.reload()
    assert [target["name"] for target in instance.administration.targets()] == [NAME]
    instance.end(time.monotonic() + 10)


def test_a_mistake_of_ours_in_a_reload_costs_nothing_else(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(instance, "read", lambda text: 1 / 0)
    instance.reload()
    assert "internal error in a reload: ZeroDivisionError" in caplog.text
    instance.end(time.monotonic() + 10)


def test_reloads_come_one_after_the_other(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read first is applied first. And whoever waits for signals does not wait for files."""
    reading, go_on = threading.Event(), threading.Event()
    read = instance.read

    def slow(text: str | None) -> Any:
        reading.set()
        assert go_on.wait(30)
        return read(text)

    monkeypatch.setattr(module, "RELOAD_TURN", 0.1)
    instance.read = slow
    instance.reload_apart()
    assert reading.wait(20)
    with pytest.raises(AdminError, match=r"another reload has been under way for 0.1 s") as caught:
        instance.administration.reload()
    assert caught.value.code == errno.EBUSY
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "reload":
            thread.join(20)
    instance.administration.reload()
    instance.end(time.monotonic() + 10)


def test_without_a_thread_there_is_no_reload(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        instance.reload_apart()
    assert "not reloaded: can't start new thread" in caplog.text
    instance.end(time.monotonic() + 10)


def test_the_end_takes_everything_away(instance: Instance, tmp_path: Path) -> None:
    assert instance.end(time.monotonic() + 10) == 0
    assert list((tmp_path / "run").iterdir()) == []


def test_commands_that_do_not_end_are_told_of(instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
    instance.server.drained = False  # type: ignore[attr-defined]
    assert instance.end(time.monotonic() + 10) == 0
    assert "some commands did not end within 5 s" in caplog.text


def test_a_device_that_hangs_does_not_hold_the_end(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    recovered = threading.Event()
    monkeypatch.setattr(instance.inventory, "close", recovered.wait)
    assert instance.end(time.monotonic()) == 1
    recovered.set()
    assert "does not finish flushing" in caplog.text
    assert list((tmp_path / "run").iterdir()) == []


def test_a_flush_that_fails_is_an_exit_status(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance.inventory, "close", lambda: False)
    assert instance.end(time.monotonic() + 10) == 1


def test_the_summary_names_portals(instance: Instance) -> None:
    assert instance.summary() == "serving 1 target on 127.0.0.1:3260, [::1]:3260"
    instance.end(time.monotonic() + 10)


def test_the_supervisor_hears_as_long_as_all_parts_answer(
    instance: Instance, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    monkeypatch.setattr(Supervisor, "tell", lambda self, word, patience=0.0: words.append(word))
    alive = {"x": True, "y": False}
    monkeypatch.setattr(
        instance.server, "pulse", lambda patience: [(part, lambda part=part: alive[part]) for part in alive]
    )
    give = instance.give_signs()
    for alive["y"] in (False, True, False, False, True):  # the first time nothing has been asked yet
        give(1.0)
    assert words == ["WATCHDOG=1"] * 3
    assert [record.getMessage() for record in caplog.records] == ["no sign of life from y"] * 2
    instance.end(time.monotonic() + 10)


def test_signs_are_given_between_signals_and_in_time() -> None:
    """Neither delays the other. SIGHUP comes by itself here, and at last SIGTERM."""
    ticks: list[float] = []
    reloads: list[None] = []

    def tick(period: float) -> None:
        ticks.append(period)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM if len(ticks) == 3 else signal.SIGHUP)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    try:
        module.wait(lambda: reloads.append(None), 0.01, tick)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert ticks == [0.01] * 3
    assert len(reloads) == 2


def test_who_keeps_root_s_group_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module.os, "getegid", lambda: 0)
    module.warn_of_group(7)
    module.warn_of_group(0)
    assert [record.event.code for record in caplog.records] == ["group-is-root"]  # type: ignore[attr-defined]


def test_a_pipe_in_the_place_of_the_file_does_not_end_reloading(instance: Instance, config: Path) -> None:
    text = config.read_text()
    config.unlink()
    os.mkfifo(config)
    with pytest.raises(ConfigError, match="not a regular file"):
        instance.administration.reload()
    config.unlink()
    config.write_text(text)
    assert instance.administration.reload()["unable"] == []
    instance.end(time.monotonic() + 10)


def test_a_reload_logs_what_it_changes(instance: Instance, config: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    config.write_text(f"Target {NAME}\n\tLun 0 Type=nullio\n\tLun 4 Type=nullio\n")
    instance.reload()
    assert f"{config}:3:2: add LUN 4 of {NAME}: Type=nullio: its initiators are told REPORTED LUNS" in caplog.text
    assert f"{config}:3:2: remove LUN 1 of {NAME}" in caplog.text
    assert "reloaded: serving 1 target" in caplog.text
    instance.end(time.monotonic() + 10)
