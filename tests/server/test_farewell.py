"""What initiators hear before the server closes their connections (RFC 7143 sections 4.2.6, 7.4.3 and 11.9.1)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.async_messages import Event
from ietpy.iscsi.pdu import Opcode
from ietpy.server import farewell


@contextmanager
def stopping(served: Any) -> Iterator[None]:
    """The server ends, within twenty seconds."""
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(served.server.stop(20)))
    thread.start()
    yield
    thread.join(20)
    assert results == [True]


def event(client: Any) -> tuple[int, ...]:
    pdu = client.receive_pdu()
    assert pdu.opcode == Opcode.ASYNC_MESSAGE
    names = ("async_event", "parameter1", "parameter2", "parameter3")
    return tuple(pdu.header[name] for name in names)


@pytest.mark.rfc7143("4.2.6-1", "11.9.1-1")
def test_who_is_asked_logs_out_and_is_waited_for_no_longer(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 15)
    clients = [served.connect(isid=bytes((0x80, 0, 0, 0, 0, number))) for number in range(3)]
    with stopping(served):
        for client in clients:
            assert event(client) == (Event.LOGOUT_REQUEST, 0, 0, 15)
            assert client.ping(b"still here") == b"still here"
            assert client.logout().response == 0


@pytest.mark.rfc7143("11.9.1-2")
def test_who_does_not_log_out_is_told_and_dropped(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    client = served.connect()
    with stopping(served):
        assert event(client) == (Event.LOGOUT_REQUEST, 0, 0, 1)
        assert event(client) == (Event.SESSION_DROP, 0, 2, 0)
        assert client.closed_by_target()


@pytest.mark.rfc7143("7.4.3-1")
def test_a_discovery_session_is_told_nothing(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 15)
    client = served.dial()
    client.login(LoginPlan())
    with stopping(served):
        assert client.closed_by_target()


def test_nobody_is_waited_for_where_nobody_is(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 1000)
    with stopping(served):
        pass


def test_no_longer_than_all_may_take(served: Any) -> None:
    client = served.connect()
    assert served.server.stop(0.01) is True
    assert event(client)[3] == 1


def test_a_connection_whose_thread_is_busy_is_dropped_all_the_same(served: Any) -> None:
    client = served.connect()
    (session,) = served.target.sessions.values()
    (connection,) = session.connections.values()
    with session.line.lock:  # as one that waits for its peer to take an answer
        served.server.end_connection(connection)
    assert connection.closing
    assert client.closed_by_target()
