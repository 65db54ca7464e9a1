"""Messages with sockets, and calls: what is answered, and what becomes of those that are not."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import pytest

from ietpy.daemon import channel
from ietpy.daemon.channel import Call, Channel
from ietpy.errors import AdminError, UsageError


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    other = Channel(theirs)
    yield ours, other
    ours.close()
    other.close()


def serve(other: Channel, perform: Callable[..., Any]) -> threading.Thread:
    """Answer one call."""

    def work() -> None:
        message = other.receive()
        assert message is not None
        assert message.kind == "call"
        assert message.socket is not None
        channel.answer(message.socket, perform)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def fill(end: Channel) -> None:
    while True:
        end.send("x" * 10000)


def test_a_message_brings_facts_and_a_socket(ends: tuple[Channel, Channel]) -> None:
    ours, other = ends
    one, two = socket.socketpair()
    with one, two:
        ours.send("kind", 1, MappingProxyType({"a": b"b"}), sock=two)
        message = other.receive()
        assert message is not None
        assert (message.kind, message.facts) == ("kind", (1, MappingProxyType({"a": b"b"})))
        assert message.socket is not None
        with message.socket:
            assert not message.socket.get_inheritable()
            one.sendall(b"x")
            assert message.socket.recv(1) == b"x"
    ours.send("alone")
    message = other.receive()
    assert message is not None
    assert message == ("alone", (), None)


def test_who_sends_never_waits(ends: tuple[Channel, Channel]) -> None:
    ours, other = ends
    with pytest.raises(BlockingIOError):
        fill(ours)
    with pytest.raises(OSError, match="too long"):
        ours.send("x" * channel.LIMIT)
    other.end()
    with pytest.raises(BrokenPipeError):
        ours.send("x")


def test_an_end_that_has_gone_is_noticed(ends: tuple[Channel, Channel]) -> None:
    ours, other = ends
    other.end()
    assert ours.receive() is None
    ours.close()
    assert ours.receive() is None


def test_a_call_is_answered(ends: tuple[Channel, Channel]) -> None:
    ours, other = ends
    thread = serve(other, lambda operation, *arguments: (operation, *arguments))
    call = Call(ours, "add", 1, b"2" * (1 << 20))
    assert call.result() == ("add", 1, b"2" * (1 << 20))
    thread.join()


@pytest.mark.parametrize(("raised", "code", "problem"), [
    (AdminError(errno.EBUSY, "not now"), errno.EBUSY, "^not now$"),
    (UsageError("not so"), errno.EINVAL, "^not so$"),
    (ZeroDivisionError("ours"), errno.EIO, "an internal error: ZeroDivisionError"),
])
def test_problems_travel(ends: tuple[Channel, Channel], raised: Exception, code: int, problem: str) -> None:
    def perform(*_: Any) -> None:
        raise raised

    ours, other = ends
    call = Call(ours, "x")
    thread = serve(other, perform)
    with pytest.raises(AdminError, match=problem) as caught:
        call.result()
    assert caught.value.code == code
    thread.join()


def test_calls_that_nobody_answers(ends: tuple[Channel, Channel]) -> None:
    ours, other = ends
    slow = Call(ours, "x", patience=0.01)
    with pytest.raises(AdminError) as caught:
        slow.result()
    assert caught.value.code == errno.ETIMEDOUT
    lost = Call(ours, "x")
    other.end()
    other.close()
    for call in (lost, Call(ours, "x"), Call(None, "x")):
        with pytest.raises(AdminError) as caught:
            call.result()
        assert caught.value.code == errno.EAGAIN


def test_nothing_is_done_for_one_who_has_gone(ends: tuple[Channel, Channel]) -> None:
    one, two = socket.socketpair()
    one.close()
    channel.answer(two, pytest.fail)
    ours, other = ends
    call = Call(ours, "add", patience=0.01)
    with pytest.raises(AdminError, match="no answer"):
        call.result()
    message = other.receive()
    assert message is not None
    assert message.socket is not None
    channel.answer(message.socket, pytest.fail)


def test_calls_wait_together(ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = ends
    now = [100.0]
    monkeypatch.setattr(channel.time, "monotonic", lambda: now[0])
    calls = [Call(ours, "x", patience=1e9) for _ in range(2)]
    now[0] += 2e9
    answered = other.receive()
    assert answered is not None
    assert answered.socket is not None
    channel.answer(answered.socket, lambda operation: operation)
    assert calls[0].result() == "x"  # it is here
    with pytest.raises(AdminError) as caught:
        calls[1].result()
    assert caught.value.code == errno.ETIMEDOUT


def test_who_has_no_descriptor_left_cannot_ask(
    ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    ours, _ = ends
    monkeypatch.setattr(channel.socket, "socketpair", full)
    call = Call(ours, "x")
    with pytest.raises(AdminError, match="cannot be asked: Too many open files") as caught:
        call.result()
    assert caught.value.code == errno.EMFILE
