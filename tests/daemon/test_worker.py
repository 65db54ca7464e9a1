"""A worker by itself: what it does for the process in front."""

from __future__ import annotations

import errno
import fcntl
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon import logs, worker
from ietpy.daemon.channel import Call, Channel
from ietpy.daemon.options import StartOptions
from ietpy.daemon.worker import Assignment, Worker
from ietpy.errors import AdminError
from ietpy.iscsi.target import Asker, Portal
from ietpy.server.handover import Passage
from ietpy.stores.state import StateDirectory

TEXT = "iSNSServer 192.0.2.1\niSNSAccessControl Yes\nTarget a\n\tLun 0 Type=nullio\nTarget b\n\tLun 1 Path=nothing\n"


class Front:
    def __init__(self, directory: Path, text: str) -> None:
        self.channel, theirs = Channel.pair()
        self.worker = Worker(Channel(theirs))
        self.thread = threading.Thread(target=self.worker.run)
        self.thread.start()
        assignment = Assignment(
            StartOptions(), loads(text), StateDirectory(str(directory)), str(directory), 1 << 20, {"a": "192.0.2.9"}
        )
        self.ask("open", assignment)

    def ask(self, operation: str, *arguments: Any) -> Any:
        return Call(self.channel, operation, *arguments).result()

    def close(self) -> None:
        self.channel.end()
        self.thread.join(10)
        self.worker._server.stop(5)
        self.worker._inventory.close()
        self.worker._channel.close()
        self.channel.close()


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    monkeypatch.setattr(logs, "set_up", lambda *style: None)
    front = Front(tmp_path, TEXT)
    yield front
    front.close()


def test_it_opens_what_it_is_assigned(front: Front) -> None:
    assert [(target["name"], len(target["luns"])) for target in front.ask("targets")] == [("a", 1), ("b", 0)]
    (problem,) = front.ask("problems")
    assert "LUN 1 of b is not served" in problem.problem
    node = front.worker._inventory.node
    assert node.memory.limit == 1 << 20
    assert node.targets["a"].redirect == "192.0.2.9"
    assert node.targets["a"].admits(Asker("iqn.x", "192.0.2.2", "192.0.2.3"))  # whether iSNS does, the front asks


def test_what_the_log_kept_back_is_told_before_the_end(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logs, "settle", lambda: told.append("all"))
    assert front.ask("close")
    assert told == ["all"]


def test_it_takes_logins_by_the_portals_it_is_told_of(front: Front) -> None:
    portal = Portal("127.0.0.1", 3260)
    front.ask("serve", (True, 0), [portal])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        dialled = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    with dialled, accepted:
        front.channel.send("login", Passage("a", portal._replace(group=2), 1e12, b"\x43", 0), sock=accepted)
        accepted.close()
        assert dialled.recv(1) == b""  # there is no such portal
    front.ask("told", [])
    assert front.worker._server.portals() == []
    assert front.ask("stop", 5.0)
    assert front.ask("close")


def test_a_medium_that_the_worker_before_still_has_is_waited_for(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(4096))
    with image.open() as before:
        fcntl.flock(before, fcntl.LOCK_EX)
        front = Front(tmp_path, "")
        front.worker._server.stop(0)
        states = StateDirectory(str(tmp_path))
        configuration = loads(f"Target a\n\tLun 0 Path={image}\n")
        late = Assignment(StartOptions(), configuration, states, "/", 1 << 20, until=0.0)
        front.ask("open", late)
        assert "is in use" in front.ask("problems")[0].problem
        front.worker._server.stop(0)
        opening = Call(front.channel, "open", replace(late, until=1e12), patience=30.0)
    opening.result()
    assert front.ask("problems") == []
    front.close()


def test_it_hears_of_guesses(front: Front, eventually: Callable[..., None]) -> None:
    front.ask("serve", (True, 0), [])
    now = time.monotonic()
    for _ in range(7):
        front.channel.send("guess", "wrong", "192.0.2.1", now)
    eventually(lambda: front.worker._server._logins.throttle.ready("192.0.2.1") > now)


def test_operations_go_by_name(front: Front) -> None:
    front.ask("perform", "b", "create-lun", {"tid": 77, "lun": 4, "parameters": "Type=nullio"})
    assert [lun.number for lun in front.ask("config", "b").luns] == [1, 4]
    message = front.channel.receive()
    assert message is not None
    assert message.kind == "changed"
    with pytest.raises(AdminError, match="there is no target c") as caught:
        front.ask("perform", "c", "delete-lun", {"tid": 1, "lun": 4})
    assert caught.value.code == errno.ENOENT


def test_it_follows_a_reload(front: Front) -> None:
    unable, names = front.ask("apply", loads("Target a\n\tLun 0 Type=nullio\nTarget c\n"))
    assert (unable, names) == ([], ["a", "c"])


def test_a_question_is_lost_where_there_is_no_thread(
    front: Front, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(worker.threading, "Thread", NoThread)
        with pytest.raises(AdminError):
            front.ask("targets")
    assert "is not answered: can't start new thread" in caplog.text
    assert front.ask("targets")


def test_a_front_that_does_not_look_or_has_gone_is_told_nothing(front: Front) -> None:
    for _ in range(2000):
        front.worker._server.sessions_changed()
    front.channel.end()
    front.worker._server.sessions_changed()


def test_it_goes_on_where_it_has_no_descriptor_left_for_a_socket(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel leaves out then what came with a message (MSG_CTRUNC, recvmsg(2))."""
    for kind, *facts in (("login", Passage("a", Portal("127.0.0.1", 3260), 1e12, b"", 0)), ("call",)):
        front.channel.send(kind, *facts)
    assert front.ask("targets")
    assert "a login does not arrive" in caplog.text
    assert "a call does not arrive" in caplog.text
