"""Portals, logins without threads, limits, and the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.errors import ConnectionLost
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.async_messages import Event
from ietpy.iscsi.target import Asker, Portal, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.server import listener, portals
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from ietpy.server.stuck import IDLE

READ_10 = bytes.fromhex("28 00 00000000 00 0001 00")


def test_a_login_costs_no_thread(served: Any) -> None:
    before = threading.active_count()
    clients = [served.dial() for _ in range(10)]
    served.connect()
    assert threading.active_count() == before + 1
    for client in clients:
        client.close()


def test_sessions_are_told(served: Any) -> None:
    served.connect()
    (facts,) = served.server.sessions()
    assert facts["target"] == served.target.name
    assert facts["address"] == facts["portal"] == "127.0.0.1"
    assert facts["tsih"] > 0


def test_ipv6(served: Any) -> None:
    (sock,) = bind("::1", 0)
    port = sock.getsockname()[1]
    server = Server(served.node, [sock])
    server.start()
    try:
        client = type(served.dial()).connect("::1", port)
        client.login(LoginPlan())
        assert client.discover() == [(served.target.name, [f"[::1]:{port},1"])]
        client.logout()
    finally:
        assert server.stop(10)


@pytest.mark.rfc7143("13.8-2", "C-2")
def test_discovery_names_the_portal_that_was_asked(served: Any) -> None:
    client = served.dial()
    client.login(LoginPlan())
    assert client.discover() == [(served.target.name, [f"127.0.0.1:{served.port},1"])]


@pytest.mark.rfc7143("C-10")
def test_a_wildcard_portal_names_the_hosts_addresses(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portals, "addresses_of_host", lambda ipv6: ["2001:db8::1"] if ipv6 else ["192.0.2.7"])
    sockets = bind(None, 0)
    server = Server(served.node, sockets)
    port = server.portals()[0][1]
    four, six = (served.node.addresses(Asker("", "", local), port) for local in ("192.0.2.9", "2001:db8::9"))
    assert four == (Portal("192.0.2.9", port), Portal("192.0.2.7", port))
    assert Portal("2001:db8::1", port) in six or len(sockets) == 1
    server.start()
    assert server.stop(10)


def test_a_mistake_of_ours_costs_one_connection(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = served.dial()
    with monkeypatch.context() as patch:
        patch.setattr(listener.Connection, "received", lambda self, count: 1 // 0)
        client.socket.sendall(b"x")
        assert client.closed_by_target()
    assert "internal error" in caplog.text
    served.connect()


def test_stop_finishes_what_came(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    tag = client.submit(0, bytes.fromhex("28 00 00000000 00 0008 00"), read=4096)
    assert served.store.entered.acquire(timeout=20)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(served.server.stop(20)))
    thread.start()
    served.store.open_gate()
    assert client.wait(tag).status == 0
    thread.join(20)
    assert results == [True]


def test_what_the_listener_looks_at_is_not_closed_before_it_has_ended(served: Any) -> None:
    listener = served.server._thread
    served.server.stop(0)
    assert not listener.is_alive()


def test_stop_does_not_wait_for_ever(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    client.submit(0, bytes.fromhex("28 00 00000000 00 0008 00"), read=4096)
    assert served.store.entered.acquire(timeout=20)
    assert served.server.stop(0.1) is False


def test_a_mistake_after_the_session_was_made_leaves_none(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Callable[..., None]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(listener.Connection, "follow_parameters", lambda self: 1 // 0)
        with pytest.raises(ConnectionLost):
            served.connect()
    assert "internal error" in caplog.text
    eventually(lambda: not served.target.sessions)
    served.connect().test_unit_ready(0)


def test_a_login_is_not_over_before_the_work_it_waits_for(
    served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    """Word of others may reach a new session while it waits; it must not carry the login's answer out."""
    served.lu.set_write_cache(False)
    old = served.connect()
    served.store.hold()
    old.submit(0, bytes.fromhex("2a 00 00000000 00 0001 00"), write=bytes(512))
    assert served.store.entered.acquire(timeout=20)
    new = served.dial()
    thread = threading.Thread(target=lambda: new.login(LoginPlan(target=served.target.name)))
    thread.start()
    eventually(lambda: any(pump.predecessors for pump in list(served.server._pumps)))
    (pump,) = (pump for pump in served.server._pumps if pump.predecessors)
    pump.line.post(lambda: None)
    assert pump.connection.outbox
    served.store.open_gate()
    thread.join(20)
    assert not thread.is_alive()
    assert new.command(0, bytes(6)).status == 2


# Changed while it runs -----------------------------------------------------------------------------------------------


def test_sessions_that_begin_and_end_are_told_of(served: Any) -> None:
    told = threading.Semaphore(0)
    served.server.sessions_changed = told.release
    client = served.connect()
    assert told.acquire(timeout=20)
    client.close()
    assert told.acquire(timeout=20)
    assert served.server.sessions() == []


def test_one_address_has_so_many_discovery_sessions(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "DISCOVERIES_PER_ADDRESS", 2)
    normal = served.connect()
    clients = [served.dial(source) for source in ("127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.1")]
    for number, client in enumerate(clients):
        client.login(LoginPlan(isid=b"\x80\0\0\0\1" + bytes((number,))))
    assert clients[1].closed_by_target(), "the oldest of that address"
    for client in (clients[0], *clients[2:]):
        assert [name for name, _ in client.discover()] == [served.target.name]
    normal.test_unit_ready(0)


def test_a_session_can_be_ended(served: Any, eventually: Callable[..., None]) -> None:
    client = served.connect()
    (session,) = served.target.sessions.values()
    (connection,) = session.connections.values()
    eventually(lambda: not session.line.lock.locked())
    served.server.end_connection(connection)
    assert client.receive_pdu().header["async_event"] == Event.CONNECTION_DROP
    assert client.closed_by_target()
    eventually(lambda: not served.target.sessions)


def test_pings_begin_on_a_live_connection(served: Any, eventually: Callable[..., None]) -> None:
    served.connect()
    (pump,) = served.server._pumps
    served.target.nop_interval = served.target.nop_timeout = 1
    served.server.follow(served.target)
    eventually(lambda: pump.connection.closing)  # the client answers no ping while nobody asks it to


def test_the_number_of_workers_follows(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    tags = [client.submit(0, READ_10, read=512) for _ in range(6)]
    for _ in range(4):
        assert served.store.entered.acquire(timeout=20)
    assert not served.store.entered.acquire(blocking=False)
    served.target.wthreads = 6
    served.server.follow(served.target)
    assert served.server.workers(served.target).limit == 6
    served.store.open_gate()
    assert [client.wait(tag).status for tag in tags] == [0] * 6


def test_a_retired_target_has_no_workers(served: Any, eventually: Callable[..., None]) -> None:
    client = served.connect()
    served.store.hold()
    tag = client.submit(0, READ_10, read=512)
    assert served.store.entered.acquire(timeout=20)
    served.store.open_gate()
    client.wait(tag)
    client.close()
    eventually(lambda: not served.target.sessions)
    served.server.retire(served.target)
    assert not [thread for thread in threading.enumerate() if "-worker-" in thread.name]
    served.server.retire(served.target)


def test_many_words_to_the_listener_are_one(served: Any) -> None:
    for _ in range(100_000):
        served.server.follow(served.target)
    served.connect()


def test_targets_are_removed_and_changed_while_it_stops(served: Any) -> None:
    """The control socket is open until the last command is answered."""
    server = served.server
    retired = TargetNode("iqn.b", ScsiDevice("iqn.b", threading.RLock()))
    server.workers(served.target)
    server.workers(retired)

    class Pool:
        def close(self) -> None:
            server.retire(retired)

        def resize(self, limit: int) -> None: ...

    server._workers[served.target] = Pool()
    assert server.stop(20)
    server.follow(served.target)
    assert retired not in server._workers
    server._workers.clear()


@pytest.mark.parametrize(("nop_interval", "seconds"), [(0, IDLE), (30, 1.0)])
def test_idle_sessions_have_no_clock_that_ticks_more_than_once_a_second(
    served: Any, eventually: Callable[..., None], nop_interval: int, seconds: float
) -> None:
    """What is stuck is looked for every few seconds, and without sessions not at all."""
    assert served.server._patience() is None
    for number in range(2):
        served.connect(isid=bytes((0x80, 0, 0, 0, 0, number))).read(0, 0, 8)
    served.target.nop_interval = nop_interval
    eventually(lambda: seconds - 1 < served.server._patience() <= seconds)
