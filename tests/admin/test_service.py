"""The control socket's server: who may bind where, who is answered, and that nobody can hold it up."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin import client, protocol, service
from ietpy.errors import AdminError


def perform(operation: str, arguments: dict[str, Any]) -> Any:
    if operation == "fail":
        raise AdminError(errno.ENOENT, "there is no such thing")
    return [operation, arguments]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "control")


@pytest.fixture
def running(path: str) -> Iterator[service.Service]:
    served = service.Service(service.bind(path), perform)
    served.start()
    yield served
    served.stop()


def test_the_socket_is_for_its_owner_alone(path: str) -> None:
    before = os.umask(0o022)
    with service.bind(path):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.umask(before) == 0o022


def test_a_socket_somebody_answers_on_stays(path: str, running: service.Service) -> None:
    with pytest.raises(AdminError, match="another daemon answers"):
        service.bind(path)
    assert client.ask(path, "x") == ["x", {}]


def test_a_socket_nobody_answers_on_is_replaced(path: str) -> None:
    service.bind(path).close()
    with service.bind(path) as second:
        assert second.getsockname() == path


def test_what_is_no_socket_stays(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(AdminError, match="not a socket"):
        service.bind(path)
    assert Path(path).read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("x" * 108, "at most 107 bytes", id="too long"),
        pytest.param("a/b", "cannot be made", id="no directory"),
    ],
)
def test_a_place_that_cannot_be_is_a_sentence(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(AdminError, match=problem):
        service.bind(str(tmp_path / name))


def test_a_planted_link_is_neither_followed_nor_replaced(path: str, tmp_path: Path) -> None:
    """To a socket of another daemon, which would be taken for one that was left over."""
    other = str(tmp_path / "other")
    service.bind(other).close()
    os.symlink(other, path)
    with pytest.raises(AdminError, match="not a socket is there"):
        service.bind(path)
    assert os.path.islink(path)
    assert os.path.exists(other)


def test_stopping_takes_the_socket_away(path: str) -> None:
    served = service.Service(service.bind(path), perform)
    served.start()
    served.stop()
    assert not os.path.lexists(path)


def test_stopping_leaves_the_socket_of_another(path: str) -> None:
    served = service.Service(service.bind(path), perform)
    os.rename(path, path + ".old")
    with service.bind(path):
        served.stop()
        assert os.path.exists(path)


def test_an_error_is_an_answer(path: str, running: service.Service) -> None:
    with pytest.raises(AdminError, match="no such thing") as caught:
        client.ask(path, "fail")
    assert caught.value.code == errno.ENOENT


def test_a_silent_client_hurts_nobody(path: str, running: service.Service) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(path)
        assert client.ask(path, "x") == ["x", {}]


def speak(client: socket.socket) -> bool:
    """Whether one more byte is taken, and the connection stays."""
    try:
        client.sendall(b" ")
        return bool(client.recv(1))
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def test_a_client_that_speaks_too_slowly_is_left(path: str, running: service.Service, monkeypatch: Any) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.3)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(path)
        slow.sendall((1 << 20).to_bytes(4, "big"))
        slow.settimeout(0.05)
        assert any(not speak(slow) for _ in range(400))  # a byte now and then, for 20 seconds


def test_a_client_that_leaves_within_its_request_hurts_nobody(path: str, running: service.Service) -> None:
    with socket.socket(socket.AF_UNIX) as leaver:
        leaver.connect(path)
        leaver.sendall(b"\0\0")
    assert client.ask(path, "x") == ["x", {}]


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        pytest.param(b"\xff\xff\xff\xff", "was announced", id="huge"),
        pytest.param(b"\0\0\0\2[]", "not a JSON object", id="no object"),
    ],
)
def test_a_malformed_request_is_answered_with_its_problem(sent: bytes, problem: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        service.answer(ours, perform)
        with pytest.raises(AdminError, match=problem):
            protocol.parse_reply(protocol.read_message(lambda count: service.receive_exactly(theirs, count)))


def test_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "peer_uid", lambda connection: 4711)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(protocol.encode(protocol.request("x", {})))
        service.answer(ours, perform)
        with pytest.raises(AdminError, match="user 4711 may not control this daemon"):
            protocol.parse_reply(protocol.read_message(lambda count: service.receive_exactly(theirs, count)))


def test_a_crowd_waits_its_turn(path: str, running: service.Service) -> None:
    """More than are served at once, and more than a backlog holds (each as ietadm in the background of a script)."""
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(service.CROWD)]
    answers: list[Any] = []
    callers = [
        threading.Thread(target=lambda: answers.append(client.ask(path, "x"))) for _ in range(3 * service.CROWD)
    ]
    try:
        for member in crowd:
            member.connect(path)
        for caller in callers:
            caller.start()
    finally:
        for member in crowd:
            member.close()
    for caller in callers:
        caller.join(30)
    assert answers == [["x", {}]] * len(callers)


def test_a_crowd_that_does_not_move_is_waited_for_with_patience(path: str) -> None:
    with service.bind(path), contextlib.ExitStack() as crowd:
        with contextlib.suppress(BlockingIOError):  # the backlog is full
            while True:
                member = crowd.enter_context(socket.socket(socket.AF_UNIX))
                member.setblocking(False)
                member.connect(path)
        with pytest.raises(AdminError, match="gave no answer in 0") as caught:
            client.ask(path, "x", patience=0.05)
        assert caught.value.code == errno.ETIMEDOUT


def test_a_crowd_does_not_keep_the_service_from_ending(path: str) -> None:
    served = service.Service(service.bind(path), perform)
    served.start()
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(service.CROWD + 1)]
    try:
        for member in crowd:
            member.connect(path)
        served.stop()
    finally:
        for member in crowd:
            member.close()
    assert not os.path.lexists(path)


def test_without_a_thread_one_client_is_turned_away(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = service.Service(service.bind(path), perform)
    served.start()
    real = threading.Thread.start
    refused: list[object] = []

    def start(thread: threading.Thread) -> None:
        if thread.name == "control" and not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(AdminError):
        client.ask(path, "x")
    assert client.ask(path, "x") == ["x", {}]
    served.stop()


def test_a_mistake_of_ours_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    def broken(operation: str, arguments: dict[str, Any]) -> Any:
        raise ZeroDivisionError("oops")

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(protocol.encode(protocol.request("x", {})))
        service.answer(ours, broken)
        with pytest.raises(AdminError, match="an internal error") as caught:
            protocol.parse_reply(protocol.read_message(lambda count: service.receive_exactly(theirs, count)))
    assert caught.value.code == errno.EIO
    assert "ZeroDivisionError" in caplog.text
