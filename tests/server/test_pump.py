"""A connection's thread: batches, workers, task management across connections, reinstatement, ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.pdu import Opcode

READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
WRITE_10 = bytes.fromhex("2a 00 00000000 00 0008 00")
ABORT_TASK, LU_RESET, COLD_RESET = 1, 5, 7


def test_data_comes_back(served: Any) -> None:
    client = served.connect()
    client.write(0, 5, b"\xa5" * 4096)
    assert client.read(0, 5, 8) == b"\xa5" * 4096
    assert served.path.read_bytes()[2560 : 2560 + 4096] == b"\xa5" * 4096


@pytest.mark.parametrize("size", [4096, 65536, 262144, 1 << 20])
def test_large_transfers(served: Any, size: int) -> None:
    client = served.connect()
    data = bytes(range(256)) * (size // 256)
    client.write(0, 0, data)
    assert client.read(0, 0, size // 512) == data


def test_a_batch_costs_one_receive_and_one_send(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = served.connect()
    client.read(0, 0, 1)
    (pump,) = served.server._pumps
    calls: list[str] = []
    inner = pump.sock

    class Counted:
        def __getattr__(self, name: str) -> Any:
            function = getattr(inner, name)

            def call(*arguments: Any) -> Any:
                calls.append(name)
                return function(*arguments)

            return call

    monkeypatch.setattr(pump.egress, "_sock", Counted())
    with pump.lock:
        tags = [client.submit(0, READ_10, read=4096) for _ in range(10)]
    for tag in tags:
        assert client.wait(tag).status == 0
    assert calls.count("sendall") + calls.count("sendmsg") <= 3


def test_tasks_that_wait_run_side_by_side_on_workers(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    tags = [client.submit(0, READ_10, read=4096) for _ in range(4)]
    for _ in tags:
        assert served.store.entered.acquire(timeout=20)
    served.store.open_gate()
    assert [client.wait(tag).status for tag in tags] == [0] * 4


def test_other_commands_go_on_while_one_waits(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    waiting = client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    client.test_unit_ready(0)
    served.store.open_gate()
    assert client.wait(waiting).status == 0


@pytest.mark.parametrize("function", [ABORT_TASK, LU_RESET])
def test_an_aborted_task_is_waited_for(served: Any, function: int, eventually: Callable[..., None]) -> None:
    client, other = served.connect(), served.connect(isid=bytes.fromhex("800000000002"))
    served.store.hold()
    waiting = client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(client.manage(function, 0, waiting)))
    thread.start()
    eventually(lambda: aborted(served))
    assert other.command(0, bytes(6)).status in (0, 2)
    assert answers == []
    served.store.open_gate()
    thread.join(20)
    assert answers == [0]


def aborted(served: Any) -> bool:
    """Whether the target has marked the task on a worker."""
    sessions = list(served.target.sessions.values())
    return any(task.aborted_by is not None for session in sessions for task in list(session.running))


def test_a_reset_from_another_session_ends_our_task(served: Any, eventually: Callable[..., None]) -> None:
    client, other = served.connect(), served.connect(isid=bytes.fromhex("800000000002"))
    served.store.hold()
    client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(other.manage(LU_RESET, 0)))
    thread.start()
    eventually(lambda: aborted(served))
    served.store.open_gate()
    thread.join(20)
    assert answers == [0]
    assert client.command(0, b"\0" * 6).status == 2  # the unit attention, and no answer to the read before it


def test_a_cold_reset_closes_every_session(served: Any, eventually: Callable[..., None]) -> None:
    client, other = served.connect(), served.connect(isid=bytes.fromhex("800000000002"))
    assert client.manage(COLD_RESET) == 0
    assert client.closed_by_target()
    assert other.closed_by_target()
    eventually(lambda: not served.target.sessions)


def test_reinstatement_waits_for_the_old_sessions_work(served: Any, eventually: Callable[..., None]) -> None:
    old = served.connect()
    served.lu.set_write_cache(False)
    served.store.hold()
    old.submit(0, WRITE_10, write=b"o" * 4096)
    assert served.store.entered.acquire(timeout=20)
    new = served.dial()
    results: list[bytes] = []

    def work() -> None:
        new.login(LoginPlan(target=served.target.name))
        new.command(0, bytes(6))
        new.write(0, 0, b"n" * 4096)
        results.append(new.read(0, 0, 8))

    thread = threading.Thread(target=work)
    thread.start()
    assert old.closed_by_target()
    assert results == []
    served.store.open_gate()
    thread.join(20)
    assert results == [b"n" * 4096]
    eventually(lambda: len(served.server._pumps) == 1)


def test_a_lost_connection_ends_its_session(served: Any, eventually: Callable[..., None]) -> None:
    client = served.connect()
    served.store.hold()
    client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    client.close()
    served.store.open_gate()
    eventually(lambda: not served.target.sessions and not served.server._pumps)


def test_a_client_that_vanishes_before_its_answers(served: Any, eventually: Callable[..., None]) -> None:
    client = served.connect()
    served.store.hold()
    for _ in range(8):
        client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    served.store.open_gate()
    eventually(lambda: not served.server._pumps)


def test_a_broken_pdu_drops_only_its_connection(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    client, other = served.connect(), served.connect(isid=bytes.fromhex("800000000002"))
    client.send_pdu(client.make(Opcode.LOGIN_REQUEST))
    assert client.closed_by_target()
    other.test_unit_ready(0)
    assert "connection dropped: a Login Request" in caplog.text


def test_a_mistake_of_ours_costs_one_session(
    served: Any, caplog: pytest.LogCaptureFixture, eventually: Callable[..., None]
) -> None:
    client, other = served.connect(), served.connect(isid=bytes.fromhex("800000000002"))
    (pump,) = (pump for pump in served.server._pumps if pump.connection.session.isid == bytes.fromhex("800000000001"))
    pump.connection.handlers = ()
    client.send_pdu(client.make(Opcode.NOP_OUT))
    assert client.closed_by_target()
    assert "internal error" in caplog.text
    other.test_unit_ready(0)
    eventually(lambda: len(served.target.sessions) == 1)


def test_pings_by_the_clock(served: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    served.target.nop_interval = 1
    client = served.connect()
    ping = client.receive_pdu(timeout=20)
    assert ping.opcode == Opcode.NOP_IN
    assert client.closed_by_target(timeout=20)
    eventually(lambda: not served.server._pumps)
