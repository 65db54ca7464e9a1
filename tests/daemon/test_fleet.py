"""Workers as the front has them: lost ones, slow ones, ones that cannot be started."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon import fleet as fleets
from ietpy.daemon.channel import Channel, all_true
from ietpy.daemon.worker import Worker
from ietpy.errors import AdminError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import InitiatorError, LoginRefused
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.target import Portal
from ietpy.server.handover import Passage

TWO = "Target a\n\tLun 0 Type=nullio\nTarget b\n\tLun 0 Type=nullio\n"


def test_a_worker_without_targets_is_not_started_until_there_is_one(fronted: Callable[..., Any]) -> None:
    front = fronted("Target a\n", 3)
    assert [each["number"] for each in front.fleet.facts()] == [1]
    tid = front.relay("create-target", {"tid": 0, "name": "b"})
    front.relay("create-lun", {"tid": tid, "lun": 0, "parameters": "Type=nullio"})
    assert [each["targets"] for each in front.fleet.facts()] == [1, 1]
    with front.log_in("b") as client:
        client.test_unit_ready(0)
    front.mirror.apply(loads("Target a\nTarget b\nTarget c\n\tLun 0 Type=nullio\n"))
    assert [each["targets"] for each in front.fleet.facts()] == [1, 1, 1]
    with front.log_in("c") as client:
        client.test_unit_ready(0)


def use(client: Client) -> None:
    """Until it cannot be used."""
    while True:
        client.test_unit_ready(0)


def test_a_lost_worker_is_replaced(
    fronted: Callable[..., Any], eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    front = fronted(TWO)
    changes: list[None] = []
    front.fleet.changed = lambda: changes.append(None)
    client, other = front.log_in("a"), front.log_in("b")
    front.crew.ends[0].end()
    eventually(lambda: [each["starts"] for each in front.fleet.facts()] == [2, 1])
    eventually(lambda: front.fleet.reachable("a"))
    assert "worker process 1 (pid 1001) has ended, and with it the sessions of 1 target; starting" in caplog.text
    assert changes
    with pytest.raises(InitiatorError):
        use(client)
    other.test_unit_ready(0)
    eventually(lambda: front.fleet.problems() == [])
    front.log_in("a").close()
    client.close()
    other.close()


def test_while_a_worker_cannot_be_replaced_its_targets_are_to_be_tried_again(
    fronted: Callable[..., Any], eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fleets, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(fleets, "_LONGEST_PAUSE", 0.02)
    front = fronted(TWO)
    front.crew.obstacle = AdminError(errno.ECHILD, "there is no process left")
    front.crew.ends[0].end()
    eventually(lambda: "worker process 1: there is no process left" in caplog.text)
    assert front.fleet.facts()[0]["pid"] is None
    (problem,) = front.mirror.problems
    assert (problem.code, problem.severity) == ("worker-ended", "error")
    with pytest.raises(LoginRefused) as refused:
        front.log_in("a")
    assert refused.value.status == LoginStatus.SERVICE_UNAVAILABLE
    for operation, arguments in (
        ("delete-lun", {"tid": 1, "lun": 0}), ("show-target", {"tid": 1}), ("delete-target", {"tid": 1})
    ):
        with pytest.raises(AdminError, match="another one is being started") as caught:
            front.relay(operation, arguments)
        assert caught.value.code == errno.EAGAIN
    assert [(target["name"], len(target["luns"])) for target in front.mirror.facts()] == [("a", 0), ("b", 1)]
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ConnectionResetError):
        front.fleet.hand_over(ours, Passage("a", Portal("127.0.0.1", 1), 0.0, b"", 0))
    front.fleet.tell_guess("wrong", "192.0.2.1", 1.0)
    assert front.mirror.apply(loads(f"{TWO}Target c\n")) == []
    front.crew.obstacle = None
    eventually(lambda: front.fleet.reachable("a"))
    front.log_in("a").close()


def test_a_target_for_which_no_process_can_be_started_is_not_there(fronted: Callable[..., Any]) -> None:
    front = fronted("Target a\n")
    front.crew.obstacle = AdminError(errno.ECHILD, "there is no process left")
    with pytest.raises(AdminError, match="there is no process left"):
        front.relay("create-target", {"tid": 0, "name": "b"})
    assert [target.config.name for target in front.mirror.all()] == ["a"]
    assert front.mirror.apply(loads("Target a\nTarget b\n")) == ["there is no process left"]
    front.crew.obstacle = None
    with pytest.raises(LoginRefused):
        front.log_in("b")


def test_a_worker_that_does_not_answer_is_waited_for_a_short_while(
    fronted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ietpy")
    front = fronted(TWO)
    monkeypatch.setattr(fleets, "_GLANCE", 0.01)
    monkeypatch.setattr(fleets, "PATIENCE", 0.01)
    monkeypatch.setattr(front.crew.workers[0], "_answer", lambda asker: asker.close())
    assert front.server.sessions() == []
    assert [len(target["luns"]) for target in front.mirror.facts()] == [0, 1]
    front.fleet.tell_portals()
    assert "a worker process was not told of the portals" in caplog.text
    assert front.mirror.apply(loads(TWO))[0].startswith("worker process 1: ")
    assert [target.config.name for target in front.mirror.all()] == ["a", "b"]
    assert not all_true(front.fleet.call("close"))


def test_only_who_was_asked_and_does_not_answer_gives_no_sign_of_life(
    fronted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def signs() -> list[bool]:
        return [answered() for part, answered in asked if part == "a worker process"]

    def full() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    front = fronted(TWO)
    asked = front.server.pulse(10)
    assert signs() == [True, True]
    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", full)
        asked = front.server.pulse(10)
    assert signs() == [True, True]
    held: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(front.crew.workers[0], "_answer", held.append)
        asked = front.server.pulse(0.5)
        assert signs() == [False, True]
    for asker in held:
        asker.close()


def test_guesses_are_told_to_all_others(fronted: Callable[..., Any], eventually: Callable[..., None]) -> None:
    front = fronted(TWO)
    first, second = (worker._server._logins.throttle for worker in front.crew.workers)
    now = time.monotonic()
    for _ in range(7):
        first.wrong("192.0.2.1", now)
    eventually(lambda: all(
        throttle.ready("192.0.2.1") > now for throttle in (second, front.server._logins.throttle)
    ))
    front.crew.ends[1].close()
    front.fleet.tell_guess("right", "192.0.2.1", now)


def test_nobody_knows_a_target_that_is_none(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    assert not front.fleet.reachable("c")
    with pytest.raises(AdminError, match="there is no target c"):
        front.fleet.ask("c", "config", "c")


def test_a_worker_that_ends_while_a_login_goes_there(fronted: Callable[..., Any]) -> None:
    class Ending:
        def __init__(self) -> None:
            channel, theirs = Channel.pair()
            theirs.close()
            self._looks = iter((channel, None))

        @property
        def channel(self) -> Channel | None:
            return next(self._looks)

    front = fronted(TWO)
    front.fleet._owners = {"a": Ending()}
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(BrokenPipeError):
        front.fleet.hand_over(ours, Passage("a", Portal("127.0.0.1", 1), 0.0, b"", 0))


def test_a_target_of_a_worker_that_does_not_answer_stays_known(
    fronted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    front = fronted("Target A\n\tLun 0 Type=nullio\nTarget b\n\tLun 0 Type=nullio\n")
    monkeypatch.setattr(fleets, "_GLANCE", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(fleets, "OPENING", 0.01)
        silent: list[socket.socket] = []
        patched.setattr(front.crew.workers[0], "_answer", silent.append)
        unable = front.mirror.apply(loads("Target b\n"))
        assert unable[0] == "worker process 1: the process that serves it gave no answer in 0.01 s"
        assert [target.config.name for target in front.mirror.all()] == ["A", "b"]
        (problem,) = front.mirror.problems
        assert (problem.code, problem.severity) == ("worker-silent", "error")
        for each in silent:
            each.close()
    assert front.mirror.apply(loads("Target b\n")) == []
    assert [target.config.name for target in front.mirror.all()] == ["b"]


def test_a_worker_that_could_not_serve_and_then_could_is_attended(
    fronted: Callable[..., Any], eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = Worker.serve

    def refuse(worker: Worker, *arguments: Any) -> None:
        if worker is front.crew.workers[2]:
            raise AdminError(errno.EPERM, "it may not")
        serve(worker, *arguments)

    front = fronted("Target a\n", 3)
    wanted = loads("Target a\nTarget b\nTarget c\n")
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "serve", refuse)
        assert front.mirror.apply(wanted) == ["it may not"]
    assert front.mirror.apply(wanted) == []
    front.crew.ends[3].end()
    eventually(lambda: [each["starts"] for each in front.fleet.facts()] == [1, 2, 1])


def test_a_worker_that_no_thread_can_attend_is_not_started(
    fronted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            if (self.name or "").startswith("worker-"):
                raise RuntimeError("can't start new thread")
            super().start()

    front = fronted("Target a\n")
    with monkeypatch.context() as patched:
        patched.setattr(fleets.threading, "Thread", NoThread)
        with pytest.raises(AdminError, match="worker process 2: can't start new thread"):
            front.relay("create-target", {"tid": 0, "name": "b"})
    assert [each["number"] for each in front.fleet.facts()] == [1]
    front.relay("create-target", {"tid": 0, "name": "b"})
