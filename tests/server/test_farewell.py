"""What initiators hear before the server closes their connections (RFC 7143 sections 4.2.6, 7.4.3 and 11.9.1)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ietpy.initiator.errors import LoginRefused
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.async_messages import Event
from ietpy.iscsi.errors import LoginStatus
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


# One target ----------------------------------------------------------------------------------------------------------


@contextmanager
def dismissing(served: Any) -> Iterator[None]:
    """Nobody gets into the target any more, and who is there has twenty seconds."""
    served.node.remove(served.target)
    thread = threading.Thread(target=lambda: served.server.dismiss(served.target, 20))
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()
    assert not served.target.sessions


def test_who_is_at_a_target_that_goes_is_asked_and_nobody_else(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 15)
    other = served.dial()
    other.login(LoginPlan())
    client = served.connect()
    with dismissing(served):
        assert event(client) == (Event.LOGOUT_REQUEST, 0, 0, 15)
        assert client.read(0, 0, 8) == bytes(4096)
        with pytest.raises(LoginRefused) as refused:
            served.connect(isid=b"\x80\0\0\0\0\7")
        assert refused.value.status == LoginStatus.NOT_FOUND
        assert client.logout().response == 0
    assert other.discover() == [], "a discovery session is of no target"


def test_commands_of_who_does_not_leave_a_target_are_finished(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    client = served.connect()
    served.lu.set_write_cache(False)
    served.store.hold()
    tag = client.submit(0, bytes.fromhex("2a 00 00000000 00 0008 00"), write=b"o" * 4096)
    assert served.store.entered.acquire(timeout=20)
    with dismissing(served):
        assert event(client)[0] == Event.LOGOUT_REQUEST
        assert event(client)[0] == Event.SESSION_DROP
        served.store.open_gate()
        assert client.wait(tag).good
        assert client.closed_by_target()
    assert served.path.read_bytes()[:4096] == b"o" * 4096


def test_who_is_lost_and_waited_for_goes_too(served: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    served.target.key_values = {"ErrorRecoveryLevel": 2, "DefaultTime2Retain": 3600}
    client = served.connect(keys={"ErrorRecoveryLevel": "2", "DefaultTime2Retain": "3600"})
    served.store.hold()
    client.submit(0, bytes.fromhex("28 00 00000000 00 0008 00"), read=4096)
    assert served.store.entered.acquire(timeout=20)
    client.close()
    served.store.open_gate()
    (session,) = served.target.sessions.values()
    eventually(lambda: bool(session.stranded))
    with dismissing(served):
        pass


def test_a_device_that_hangs_is_not_waited_for(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    monkeypatch.setattr(farewell, "CLOSING_SECONDS", 0.05)
    client = served.connect()
    served.lu.set_write_cache(False)
    served.store.hold()
    client.submit(0, bytes.fromhex("2a 00 00000000 00 0008 00"), write=b"o" * 4096)
    assert served.store.entered.acquire(timeout=20)
    served.node.remove(served.target)
    served.server.dismiss(served.target, 0.2)
    assert served.target.sessions, "who asked finds that there are still some"


# Some sessions -------------------------------------------------------------------------------------------------------


@contextmanager
def ending(served: Any, sessions: list[Any], timeout: float, logged_out: list[bool]) -> Iterator[None]:
    """These sessions are ended meanwhile, and ``logged_out`` is what is said of them."""
    said: list[list[bool]] = []
    thread = threading.Thread(target=lambda: said.append(served.server.end_sessions(sessions, timeout)))
    thread.start()
    yield
    thread.join(20)
    assert said == [logged_out]


def test_of_those_that_are_ended_each_may_log_out(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.5)
    clients = [served.connect(isid=bytes((0x80, 0, 0, 0, 0, number))) for number in range(3)]
    sessions = list(served.target.sessions.values())
    with ending(served, sessions[:2], 20, [False, True]):
        for client in clients[:2]:
            assert event(client) == (Event.LOGOUT_REQUEST, 0, 0, 1)
        assert clients[1].logout().response == 0
        assert event(clients[0])[0] == Event.SESSION_DROP
        assert clients[0].closed_by_target()
    assert clients[2].read(0, 0, 8) == bytes(4096)
    assert list(served.target.sessions.values()) == sessions[2:]


def test_at_once_means_without_a_word(served: Any) -> None:
    client = served.connect()
    with ending(served, list(served.target.sessions.values()), 0, [False]):
        assert client.closed_by_target()


def test_one_that_is_lost_and_waited_for_is_ended(
    served: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    served.target.key_values = {"ErrorRecoveryLevel": 2, "DefaultTime2Retain": 3600}
    client = served.connect(keys={"ErrorRecoveryLevel": "2", "DefaultTime2Retain": "3600"})
    served.store.hold()
    client.submit(0, bytes.fromhex("28 00 00000000 00 0008 00"), read=4096)
    assert served.store.entered.acquire(timeout=20)
    client.close()
    served.store.open_gate()
    (session,) = served.target.sessions.values()
    eventually(lambda: bool(session.stranded))
    with ending(served, [session], 20, [False]):
        pass
    assert not served.target.sessions
