"""Logins without threads: their time, their places, and who gives way when there is no room."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.errors import ConnectionLost, LoginRefused
from ietpy.initiator.framing import build_pdu
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.initiator.text import encode
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import Opcode
from ietpy.iscsi.target import Accounts, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.server import logins, throttle
from ietpy.server.egress import Egress
from tests.server.conftest import NAME


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
    monkeypatch.setattr(logins, "FAIR_SHARE", 1)
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", 3)
    patient = served.dial(source="127.0.0.2")
    eventually(lambda: len(served.server._logins) == 1)
    greedy = [served.dial(), served.dial()]
    eventually(lambda: len(served.server._logins) == 3)
    greedy.append(served.dial())
    assert greedy[0].closed_by_target(timeout=20)
    patient.login(LoginPlan(target=served.target.name))


def test_who_says_little_goes_before_who_gets_on(
    half_way: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    """In a crowd from everywhere a login that is under way is not what makes room."""
    served, log_in_half = half_way
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", 4)
    honest = log_in_half("127.0.0.2")
    little = []
    for number in (3, 4, 5):
        little.append(served.dial(source=f"127.0.0.{number}"))
        little[-1].socket.sendall(b"\x43")
        eventually(lambda number=number: len(served.server._logins) == number - 1)
    served.dial(source="127.0.0.6")
    assert little[0].closed_by_target(timeout=20)
    assert honest.socket.fileno() > 0
    assert next(login.source for login in served.server._logins._open.values()) == "127.0.0.2"


def test_a_new_one_has_time_to_speak(
    half_way: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    """Where all others get on, who has just come is not the one to go."""
    served, log_in_half = half_way
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", 3)
    slow = [log_in_half(f"127.0.0.{number}") for number in (2, 3)]
    newcomer = served.dial(source="127.0.0.4")
    eventually(lambda: len(served.server._logins) == 3)
    served.dial(source="127.0.0.5")
    assert slow[0].closed_by_target(timeout=20)
    newcomer.login(LoginPlan(target=served.target.name))


def test_a_few_logins_of_one_address_are_not_greedy(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    """A host logs in to several targets at once, while others have one login each."""
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", 4)
    single = [served.dial(source=f"127.0.0.{number}") for number in (2, 3)]
    eventually(lambda: len(served.server._logins) == 2)
    double = [served.dial(source="127.0.0.4") for _ in range(2)]
    eventually(lambda: len(served.server._logins) == 4)
    served.dial(source="127.0.0.5")
    assert single[0].closed_by_target(timeout=20)
    for number, client in enumerate(double):
        client.login(LoginPlan(target=served.target.name, isid=b"\x80\0\0\0\0" + bytes((number,))))


@pytest.fixture
def half_way(served: Any, eventually: Callable[..., None]) -> Any:
    """The server, and a function that has a login from an address answered once and not yet over."""

    def log_in_half(source: str) -> Any:
        client = served.dial(source=source)
        text = encode({"InitiatorName": "iqn.2026-11.test:slow", "SessionType": "Normal", "TargetName": NAME})
        client.send_pdu(build_pdu(
            Opcode.LOGIN_REQUEST, text, flags=0, isid=b"\x80\0\0\0\0\7", immediate=True, initiator_task_tag=7, cmd_sn=1
        ))
        assert client.receive_pdu(strict=False).header["status"] == 0
        return client

    return served, log_in_half


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


@pytest.mark.rfc7143("6.2-2", "11.11.6-1", "11.11.4-1")
@pytest.mark.parametrize("limit", ["512", "8192", "262144"])
def test_a_thousand_targets_are_told_of(served: Any, limit: str) -> None:
    """The answer takes as many PDUs as the initiator's MaxRecvDataSegmentLength asks for."""
    names = [f"iqn.2026-11.test.server:disk{number:04}" for number in range(1000)]
    for name in names:
        served.node.add(TargetNode(name, ScsiDevice(name, threading.RLock())))
    client = served.dial()
    client.login(LoginPlan(keys={"MaxRecvDataSegmentLength": limit}))
    address = f"127.0.0.1:{served.port},1"
    assert client.discover() == [(name, [address]) for name in (*reversed(names), served.target.name)]
    assert client.discover(names[500]) == [(names[500], [address])]
    client.logout()


# Wrong secrets --------------------------------------------------------------------------------------------------------

RIGHT, WRONG = Chap("joe", "the right secret"), Chap("joe", "another secret")


@pytest.fixture
def guarded(served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A target with an account, whose throttle slows down at once and takes its time."""
    served.target.let_in(Accounts({"joe": "the right secret"}), served.target.admits)
    monkeypatch.setattr(throttle, "FREE", 1)
    monkeypatch.setattr(logins, "FREE", 1)
    return served


def guess(served: Any, chap: Chap, source: str = "127.0.0.1") -> Any:
    client = served.dial(source)
    client.login(LoginPlan(target=served.target.name, chap=chap))
    return client


def wrong(served: Any, times: int) -> None:
    for _ in range(times):
        with pytest.raises(LoginRefused) as caught:
            guess(served, WRONG)
        assert caught.value.status == LoginStatus.AUTHENTICATION_FAILURE


def test_who_guesses_waits_and_others_do_not(
    guarded: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 1e6)
    monkeypatch.setattr(throttle, "LONGEST_PAUSE", 1e6)
    wrong(guarded, 1)
    guesser = guarded.dial()
    guesser.timeout = 60
    login = threading.Thread(target=lambda: swallow(lambda: guesser.login(
        LoginPlan(target=guarded.target.name, chap=RIGHT)
    )))
    login.start()
    eventually(lambda: any(each.waits for each in guarded.server._logins._open.values()))
    guess(guarded, RIGHT, "127.0.0.2").logout()  # from elsewhere, while the listener's thread waits for nobody
    assert any(each.waits for each in guarded.server._logins._open.values())
    guesser.socket.shutdown(socket.SHUT_RDWR)
    login.join(20)


def swallow(function: Callable[[], Any]) -> None:
    with contextlib.suppress(ConnectionLost):
        function()


def test_a_right_secret_gets_in_when_its_turn_has_come(guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(throttle, "LONGEST_PAUSE", 0.05)
    wrong(guarded, 3)
    heard = guarded.server._logins.throttle.ready("127.0.0.1")
    guess(guarded, RIGHT).logout()
    assert time.monotonic() >= heard
    guess(guarded, RIGHT).logout()


def test_waiting_counts_as_login_time(guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 1e6)
    monkeypatch.setattr(throttle, "LONGEST_PAUSE", 1e6)
    wrong(guarded, 1)
    monkeypatch.setattr(logins, "LOGIN_SECONDS", 0.2)
    with pytest.raises(ConnectionLost):
        guess(guarded, RIGHT)


def test_one_line_for_many_guesses(
    guarded: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Callable[..., None]
) -> None:
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 0.0)
    wrong(guarded, 8)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 2
    assert "wrong user or secret" in lines[0]
    assert "127.0.0.1: 1 wrong secrets from there" in lines[1]
    monkeypatch.setattr(throttle, "MEMORY", 0.0)
    guarded.dial()  # makes the listener look at its clock
    eventually(lambda: "127.0.0.1: 8 wrong secrets in all" in caplog.text)


def test_a_guess_counts_if_its_answer_is_not_taken(guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = Egress.flush_now

    def flush_now(egress: Egress) -> bool:
        half = egress._connection.login
        if half is not None and half.failed:
            raise ConnectionResetError("the peer has gone")
        return flush(egress)

    monkeypatch.setattr(Egress, "flush_now", flush_now)
    with pytest.raises(ConnectionLost):
        guess(guarded, WRONG)
    assert guarded.server._logins.throttle.ready("127.0.0.1") > 0.0


def test_what_is_no_guess_is_not_counted(guarded: Any) -> None:
    for plan in (LoginPlan(target="iqn.none"), LoginPlan(target=guarded.target.name)):
        for _ in range(3):
            with pytest.raises(LoginRefused):
                guarded.dial().login(plan)
    assert guarded.server._logins.throttle.ready("127.0.0.1") == 0.0
