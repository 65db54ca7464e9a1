"""Logins without threads: their time, their places, and who gives way when there is no room."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.errors import LoginRefused
from ietpy.initiator.login import LoginPlan
from ietpy.server import logins


def test_a_refused_login_is_logged(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = served.dial()
    with pytest.raises(LoginRefused):
        client.login(LoginPlan(target="iqn.2026-11.test:missing"))
    assert client.closed_by_target()
    assert "login refused: " in caplog.text
    served.connect()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, b"\xff" * 100, b"\x43\x87"])
def test_garbage_drops_only_its_connection(served: Any, garbage: bytes) -> None:
    client = served.dial()
    client.socket.sendall(garbage)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.closed_by_target()
    served.connect().test_unit_ready(0)


def test_a_peer_that_resets_during_login(served: Any, eventually: Callable[..., None]) -> None:
    client = served.dial()
    client.socket.sendall(b"\x43")
    eventually(lambda: len(served.server._logins) == 1)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    eventually(lambda: not served.server._logins)


def test_slow_logins_end(served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(logins, "LOGIN_SECONDS", 0.05)
    client = served.dial()
    assert client.closed_by_target(timeout=20)
    assert "no login within" in caplog.text


def test_the_oldest_login_makes_room(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", 2)
    first = served.dial()
    eventually(lambda: len(served.server._logins) == 1)
    served.dial()
    eventually(lambda: len(served.server._logins) == 2)
    served.dial()
    assert first.closed_by_target(timeout=20)


def test_one_address_may_not_use_up_all_places(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    """With all places taken, the address that has most of them gives one back, not the oldest of all."""
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", 3)
    patient = served.dial(source="127.0.0.2")
    eventually(lambda: len(served.server._logins) == 1)
    greedy = [served.dial(), served.dial()]
    eventually(lambda: len(served.server._logins) == 3)
    greedy.append(served.dial())
    assert greedy[0].closed_by_target(timeout=20)
    patient.login(LoginPlan(target=served.target.name))


def test_one_address_has_so_many_places(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logins, "LOGINS_PER_ADDRESS", 2)
    other = served.dial(source="127.0.0.2")
    clients = [served.dial()]
    for count in (2, 3):
        eventually(lambda count=count: len(served.server._logins) == count)
        clients.append(served.dial())
    assert clients[0].closed_by_target(timeout=20)
    assert "2 logins at once from one address are the limit" in caplog.text
    for client in (other, *clients[1:]):
        client.login(LoginPlan(target=served.target.name))


def test_a_login_frees_its_place(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "LOGINS_PER_ADDRESS", 1)
    first, second = served.connect(), served.connect(isid=b"\x80\0\0\0\0\2")
    for client in (first, second):
        client.test_unit_ready(0)
