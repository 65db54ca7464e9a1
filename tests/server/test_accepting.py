"""Accepting without descriptors: who has not logged in gives way; sessions go on; nobody spins."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ietpy.initiator.errors import TimedOut
from ietpy.initiator.login import LoginPlan
from ietpy.server import accepting
from ietpy.server.listener import Server
from ietpy.server.portals import bind


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As if this process had opened all it may; what is open stays so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:  # a number below the limit may be free
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


class TestWithoutDescriptors:
    """accept fails with nobody to give way; the listener rests, says so once, and goes on (EMFILE, ENOMEM)."""

    @pytest.fixture(params=[errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
    def exhausted(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
        """Calls of accept, which fails until the list is set to its end with ``None``."""
        calls: list[Any] = []
        real = socket.socket.accept

        def accept(listening: socket.socket) -> Any:
            if None in calls:
                return real(listening)
            calls.append(listening.fileno())
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(socket.socket, "accept", accept)
        yield calls
        calls.append(None)

    def test_it_does_not_spin(self, served: Any, exhausted: list[Any], caplog: pytest.LogCaptureFixture) -> None:
        client = served.dial()
        with pytest.raises(TimedOut):
            client.receive_pdu(timeout=0.2)
        assert len(exhausted) == 1
        assert caplog.text.count("cannot accept connections") == 1

    def test_it_goes_on(
        self, served: Any, exhausted: list[Any], eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(accepting, "EXHAUSTED_SECONDS", 0.05)
        client = served.dial()
        eventually(lambda: len(exhausted) > 1)
        exhausted.append(None)
        client.login(LoginPlan(target=served.target.name))

    def test_of_two_portals_ready_at_once_one_is_enough(
        self, served: Any, exhausted: list[Any], eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
    ) -> None:
        sockets = [*bind("127.0.0.1", 0), *bind("127.0.0.1", 0)]
        server = Server(served.node, sockets)
        clients = [socket.create_connection(portal[:2]) for portal in server.portals()]
        server.start()
        eventually(lambda: bool(exhausted))
        assert server.stop(20)
        for client in clients:
            client.close()
        assert "internal error" not in caplog.text
        assert len(exhausted) == 1


def test_who_has_not_logged_in_gives_way(
    served: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """For the last descriptors, newcomers are worth more than who says nothing; sessions do not notice."""
    healthy = served.connect()
    silent = [served.dial() for _ in range(4)]
    eventually(lambda: len(served.server._logins) == 4)
    newcomer = socket.socket()
    with no_descriptor_left():
        newcomer.connect(("127.0.0.1", served.port))
        assert silent[0].closed_by_target(timeout=20)
        healthy.write(0, 0, b"x" * 512)
        eventually(lambda: len(served.server._logins) == 4)
    assert "no descriptor is left" in caplog.text
    assert "cannot accept" not in caplog.text
    newcomer.close()
    assert healthy.read(0, 0, 1) == b"x" * 512


def test_sessions_go_on_where_nobody_can_be_accepted(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accepting, "EXHAUSTED_SECONDS", 0.05)
    healthy = served.connect()
    newcomer = socket.socket()
    with no_descriptor_left():
        newcomer.connect(("127.0.0.1", served.port))
        eventually(lambda: "cannot accept connections" in caplog.text)
        healthy.write(0, 0, b"y" * 512)
        assert healthy.read(0, 0, 1) == b"y" * 512
    eventually(lambda: len(served.server._logins) == 1)
    newcomer.close()


def test_a_peer_that_has_gone_costs_nothing(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = socket.socket.accept
    failures = [errno.ECONNABORTED, errno.EPERM]

    def accept(listening: socket.socket) -> Any:
        if failures:
            raise OSError(failures.pop(), "gone")
        return real(listening)

    monkeypatch.setattr(socket.socket, "accept", accept)
    served.connect().test_unit_ready(0)
    assert not failures
    assert "cannot accept" not in caplog.text
