"""The iSNS client against a server: who is admitted, what is registered, and what may not open or stop the daemon."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ietpy.isns.attributes import NodeType, Tag
from ietpy.isns.client import TIMES, IsnsClient, local_name
from ietpy.isns.message import Flag, Function, Message, Status
from tests.isns.conftest import ALICE, BOB, STILL, A, B, Clock, WatchedClient
from tests.isns.server import PATIENCE, IsnsServer

MakeClient = Callable[..., WatchedClient]


def test_registers_one_entity_one_portal_and_a_node_per_target(server: IsnsServer, client: WatchedClient) -> None:
    assert list(server.entities) == ["storage.test"]
    entity = server.entities["storage.test"]
    assert list(entity.portals) == [("127.0.0.1", 3260)]
    assert entity.nodes == {A: NodeType.TARGET, B: NodeType.TARGET}
    assert entity.period == 300
    assert set(server.scn) == {A, B}
    assert client.facts() | {"since": 0, "answer_age": 0} == {
        "server": f"127.0.0.1:{server.port}",
        "access_control": True,
        "state": "registered",
        "since": 0,
        "last_error": "",
        "entity": "storage.test",
        "registered": 2,
        "answer_age": 0,
    }


def test_admits_whom_a_common_domain_lists_as_initiator(server: IsnsServer, make_client: MakeClient) -> None:
    server.add_initiator(ALICE)
    server.add_initiator(BOB)
    server.add_initiator("iqn.2026-11.test:both", NodeType.INITIATOR | NodeType.TARGET)
    server.put("one", A, ALICE, "iqn.2026-11.test:both", "iqn.2026-11.test:unregistered")
    server.put("two", B, BOB)
    client = make_client()
    client.wait_until("registered")
    admitted = {
        (target, initiator)
        for target in (A, B, "iqn.2026-11.test:other")
        for initiator in (ALICE, BOB, "iqn.2026-11.test:both", "iqn.2026-11.test:unregistered", B, ALICE.upper(), "")
        if client.admits(target, initiator)
    }
    assert admitted == {(A, ALICE), (A, "iqn.2026-11.test:both"), (B, BOB)}


def test_without_access_control_everybody_is_admitted_and_nobody_asked_for(
    server: IsnsServer, make_client: MakeClient
) -> None:
    client = make_client(access_control=False)
    assert client.admits(A, ALICE)
    client.wait_until("registered")
    assert client.admits(A, ALICE)
    assert server.count(Function.DEV_ATTR_QRY) == 0
    assert server.targets == {A, B}


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(socket.gaierror(socket.EAI_NONAME, "Name or service not known"), id="unknown name"),
        pytest.param(UnicodeError("label too long"), id="impossible name"),
    ],
)
def test_a_name_that_does_not_resolve_lets_nobody_in_until_it_does(
    server: IsnsServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture, problem: Exception
) -> None:
    """IET switched access control off when the name did not resolve at its start (iet-compat 2.1)."""
    known = threading.Event()

    def resolve(host: str, port: int, **options: Any) -> list[Any]:
        if known.is_set():
            return socket.getaddrinfo("127.0.0.1", port, **options)
        raise problem

    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    with caplog.at_level(logging.WARNING):
        client = make_client("isns.test", resolve=resolve)
        client.wait_until("failing")
    assert not client.admits(A, ALICE)
    assert "does not resolve" in client.facts()["last_error"]
    assert "nobody may log in (iSNSAccessControl)" in caplog.text
    known.set()
    client.wait_until("registered")
    assert client.admits(A, ALICE)
    assert client.facts()["last_error"] == ""


def test_nobody_is_admitted_before_the_first_answer(server: IsnsServer, make_client: MakeClient) -> None:
    server.faults[Function.DEV_ATTR_REG] = b""
    client = make_client(start=False)
    assert not client.admits(A, ALICE)
    client.start()
    server.wait_for(lambda: server.count(Function.DEV_ATTR_REG), "a registration")
    assert not client.admits(A, ALICE)


def test_a_change_of_domains_counts_at_once(server: IsnsServer, client: WatchedClient) -> None:
    assert not client.admits(A, ALICE)
    server.add_initiator(ALICE)
    assert server.put("one", A, ALICE) == 1
    client.wait_for(lambda: client.admits(A, ALICE), "ALICE admitted")
    assert not client.admits(B, ALICE)
    assert server.take("one", ALICE) == 1
    client.wait_for(lambda: not client.admits(A, ALICE), "ALICE turned away")


def test_asks_again_every_period(server: IsnsServer, make_client: MakeClient) -> None:
    client = make_client(times=replace(STILL, period=0.01))
    client.wait_until("registered")
    server.add_initiator(ALICE)
    server.put("one", A, ALICE, notify=False)
    client.wait_for(lambda: client.admits(A, ALICE), "ALICE admitted")
    assert server.count(Function.DEV_ATTR_REG) == 1


def test_a_short_registration_period_is_kept_alive(server: IsnsServer, make_client: MakeClient) -> None:
    server.granted = 1
    make_client(access_control=False).wait_until("registered")
    server.wait_for(lambda: server.count(Function.DEV_ATTR_QRY) == 1, "a question within the second")


@pytest.mark.rfc7143("4.2.7-1")
def test_a_target_added_live_is_registered_and_one_removed_goes(
    server: IsnsServer, client: WatchedClient, targets: list[str]
) -> None:
    targets.append("iqn.2026-11.test:c")
    server.add_initiator(ALICE)
    server.put("one", "iqn.2026-11.test:c", ALICE)
    client.refresh()
    client.wait_for(lambda: client.admits("iqn.2026-11.test:c", ALICE), "the third target")
    assert server.targets == {A, B, "iqn.2026-11.test:c"}
    targets.remove(A)
    client.refresh()
    server.wait_for(lambda: server.targets == {B, "iqn.2026-11.test:c"}, "A deregistered")
    assert server.count(Function.DEV_ATTR_REG) == 2
    assert set(server.scn) == server.targets


def test_all_targets_replaced_live(server: IsnsServer, client: WatchedClient, targets: list[str]) -> None:
    targets[:] = ["iqn.2026-11.test:new"]
    client.refresh()
    server.wait_for(lambda: "iqn.2026-11.test:new" in server.scn, "the new target")
    assert server.targets == {"iqn.2026-11.test:new"}


def test_the_last_target_takes_the_entity_along(server: IsnsServer, client: WatchedClient, targets: list[str]) -> None:
    targets.clear()
    client.refresh()
    client.wait_until("no targets")
    assert server.entities == {}
    targets.append(A)
    client.refresh()
    client.wait_until("registered")
    assert server.targets == {A}


def test_without_targets_the_server_is_left_alone(
    server: IsnsServer, make_client: MakeClient, targets: list[str]
) -> None:
    targets.clear()
    make_client().wait_until("no targets")
    assert server.requests == []


def test_stop_deregisters(server: IsnsServer, client: WatchedClient) -> None:
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    client.wait_for(lambda: client.admits(A, ALICE), "ALICE admitted")
    client.stop()
    assert list(server.entities) == ["initiators.test"]
    assert client.facts()["state"] == "stopped"
    assert not client.admits(A, ALICE)


def test_stop_deregisters_even_when_the_server_had_hung_up(server: IsnsServer, client: WatchedClient) -> None:
    server.drop_connections()
    client.stop()
    assert server.entities == {}


def test_stop_does_not_wait_for_a_server_that_is_silent(
    server: IsnsServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()

    def let_time_pass() -> None:
        clock.ahead += STILL.farewell
        client._wake()

    client = make_client(clock=clock)
    client.wait_until("registered")
    server.on_silence = let_time_pass
    server.faults[Function.DEV_DEREG] = b""
    client.stop()
    assert client.facts()["state"] == "stopped"
    assert "cannot be told that the targets go" in caplog.text
    assert "forgets the targets by itself after 300 s" in caplog.text


def test_stop_before_start_and_refresh_before_start_do_nothing(make_client: MakeClient) -> None:
    client = make_client(start=False)
    client.refresh()
    client.stop()
    assert client.facts()["state"] == "not started"


def test_stop_ends_an_exchange_under_way(server: IsnsServer, make_client: MakeClient) -> None:
    server.faults[Function.DEV_ATTR_REG] = b""
    client = make_client(times=replace(STILL, answer=3600))
    server.wait_for(lambda: server.count(Function.DEV_ATTR_REG), "a registration")
    client.stop()
    assert client.facts()["state"] == "stopped"


def test_stop_does_not_wait_for_a_name_look_up(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    asked, answered = threading.Event(), threading.Event()

    def resolve(*_: Any, **__: Any) -> list[Any]:
        asked.set()
        assert answered.wait(PATIENCE)
        return []

    client = make_client("isns.test", resolve=resolve, times=replace(STILL, farewell=-0.9))  # and one second: 0.1
    assert asked.wait(PATIENCE)
    client.stop()
    assert "looking up its name takes long" in caplog.text
    answered.set()
    client.wait_until("stopped")


def test_deregister_stays_away_until_refresh(server: IsnsServer, client: WatchedClient) -> None:
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    client.wait_for(lambda: client.admits(A, ALICE), "ALICE admitted")
    client.deregister()
    assert not client.admits(A, ALICE)
    client.wait_until("deregistered")
    assert server.targets == set()
    assert not client.admits(A, ALICE)
    client.refresh()
    client.wait_until("registered")
    assert client.admits(A, ALICE)
    assert server.targets == {A, B}


def test_a_deregister_within_a_round_discards_its_answer(
    server: IsnsServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    admitted: list[tuple[str, bool]] = []
    stand = WatchedClient._stand

    def record(client: WatchedClient, dialogue: Any, state: str, problem: str = "") -> None:
        admitted.append((state, client.admits(A, ALICE)))
        stand(client, dialogue, state, problem)

    def targets() -> list[str]:
        if not admitted[1:]:
            client.deregister()  # the round is under way and will be answered
        return [A]

    monkeypatch.setattr(WatchedClient, "_stand", record)
    client = make_client(start=False, targets=targets)
    client.start()
    client.wait_until("deregistered")
    assert admitted == [("connecting", False), ("registered", False), ("deregistered", False)]
    assert server.targets == set()


def test_an_answer_counts_for_a_limited_time(
    server: IsnsServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    client = make_client(clock=clock)
    client.wait_until("registered")
    server.stop()
    client.refresh()
    client.wait_until("failing")
    assert client.admits(A, ALICE), "three periods are granted"
    assert "its last answer counts for 90 s more" in caplog.text
    assert 0 <= client.facts()["answer_age"] < 80
    clock.ahead = 90
    assert not client.admits(A, ALICE)
    assert client.facts()["answer_age"] is None
    told = "no answer for 90 s; nobody may log in any more"
    client.wait_for(lambda: told in caplog.text, "a sentence about it")
    assert caplog.text.count(told) == 1


def test_a_server_that_comes_back_empty_gets_everything_again(server: IsnsServer, client: WatchedClient) -> None:
    server.stop()
    client.refresh()
    client.wait_until("failing")
    again = IsnsServer(port=server.port)
    try:
        again.add_initiator(ALICE)
        again.put("one", B, ALICE)
        client.wait_for(lambda: client.admits(B, ALICE), "ALICE admitted by the new server")
        assert again.targets == {A, B}
        assert set(again.scn) == {A, B}
        client.stop()
        assert again.targets == set()
    finally:
        again.stop()


def test_a_server_that_forgot_us_is_told_again(server: IsnsServer, client: WatchedClient) -> None:
    with server.lock:
        server.entities.clear()
    client.refresh()
    server.wait_for(lambda: server.targets == {A, B}, "a second registration")
    replaces = [bool(r.flags & Flag.REPLACE) for r in server.requests if r.function == Function.DEV_ATTR_REG]
    assert replaces == [True, False], "only the first may sweep away what an earlier run left"


def test_a_server_that_forgot_one_target_is_told_again(server: IsnsServer, client: WatchedClient) -> None:
    server.add_initiator(ALICE)
    server.put("one", B, ALICE, notify=False)
    with server.lock:
        del server.entities["storage.test"].nodes[B]
    client.refresh()
    client.wait_for(lambda: client.admits(B, ALICE), "B registered again and asked about")
    assert server.targets == {A, B}


def test_what_an_earlier_run_left_is_replaced(server: IsnsServer, make_client: MakeClient, targets: list[str]) -> None:
    make_client().wait_until("registered")
    targets.remove(B)
    make_client().wait_until("registered")
    assert server.targets == {A}


def test_a_portal_that_moved_takes_the_place_of_the_old_one(
    server: IsnsServer, client: WatchedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_ex = socket.socket.connect_ex

    def from_elsewhere(sock: socket.socket, address: Any) -> int:
        sock.bind(("127.0.0.2", 0))
        return connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect_ex", from_elsewhere)
    server.drop_connections()
    client.refresh()
    server.wait_for(lambda: list(server.entities["storage.test"].portals) == [("127.0.0.2", 3260)], "the new portal")
    server.add_initiator(ALICE)
    server.wait_for(lambda: set(server.scn) == {A, B}, "notifications")
    assert server.put("one", A, ALICE) == 1
    client.wait_for(lambda: client.admits(A, ALICE), "a notification at the new address")


def test_a_connection_that_ended_between_rounds_is_made_again(server: IsnsServer, client: WatchedClient) -> None:
    server.drop_connections()
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    client.wait_for(lambda: client.admits(A, ALICE), "an answer over a new connection")
    assert server.count(Function.DEV_ATTR_REG) == 1, "it knew us still"


@pytest.mark.parametrize(
    ("function", "fault", "problem"),
    [
        pytest.param(Function.DEV_ATTR_REG, b"\xff" * 64, "iSNSP version 65535", id="garbage"),
        pytest.param(
            Function.DEV_ATTR_REG,
            bytes.fromhex("00018001 0010 4c00 0001 0000 00000000 00000001 7ffffff0 61616161"),
            "Entity Identifier is said to have 2147483632 bytes",
            id="length beyond the message",
        ),
        pytest.param(
            Function.DEV_ATTR_REG, bytes.fromhex("00018001 0000 4c00 0001 0000"), "without a status", id="no status"
        ),
        pytest.param(Function.DEV_ATTR_REG, b"", "no answer to DEV_ATTR_REG", id="silence"),
        pytest.param(Function.DEV_ATTR_REG, bytes.fromhex("00018001 fff8 4c00"), "no answer", id="half a header"),
        pytest.param(Function.DEV_ATTR_REG, Status.INTERNAL_ERROR, "it takes none of the targets", id="refusal"),
        pytest.param(Function.SCN_REG, b"\0" * 12, "iSNSP version 0", id="zeros"),
        pytest.param(Function.DEV_ATTR_QRY, b"\xff" * 4096, "iSNSP version 65535", id="garbage for an answer"),
    ],
)
def test_a_broken_server_opens_nothing_and_is_tried_again(
    server: IsnsServer,
    make_client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    function: Function,
    fault: bytes | Status,
    problem: str,
) -> None:
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    server.faults[function] = fault
    clock = Clock()

    def let_time_pass() -> None:
        clock.ahead += STILL.answer
        client._wake()

    server.on_silence = let_time_pass
    client = make_client(clock=clock, start=False)
    client.start()
    client.wait_until("failing")
    assert problem in client.facts()["last_error"]
    assert not client.admits(A, ALICE)
    server.wait_for(lambda: server.count(function) >= 3, "further tries")
    logged = [record for record in caplog.records if problem in record.message and record.levelno >= logging.WARNING]
    assert len(logged) == 1, "the same problem is told once"
    server.faults.clear()
    client.wait_until("registered")
    assert client.admits(A, ALICE)
    assert set(server.scn) == {A, B}


def test_one_name_the_server_refuses_does_not_keep_the_others_out(
    server: IsnsServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.refused.add(B)
    server.add_initiator(ALICE)
    server.put("one", A, B, ALICE)
    client = make_client()
    client.wait_until("registered")
    assert client.admits(A, ALICE)
    assert not client.admits(B, ALICE)
    assert f"it refuses to register {B} with status 3 (invalid registration)" in caplog.text
    server.refused.clear()
    client.refresh()
    client.wait_for(lambda: client.admits(B, ALICE), "B registered later")


def test_a_name_isns_cannot_carry_is_left_out(
    server: IsnsServer, make_client: MakeClient, targets: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    targets += ["x" * 224, "iqn.\udcff"]
    client = make_client()
    client.wait_until("registered")
    assert server.targets == {A, B}
    assert caplog.text.count("a target cannot be registered: iSCSI Name cannot be") == 2
    assert not client.admits("x" * 224, ALICE)


def test_many_targets_take_several_registrations(
    server: IsnsServer, make_client: MakeClient, targets: list[str]
) -> None:
    targets[:] = [f"iqn.2026-11.test:{number:0200}" for number in range(300)]
    client = make_client(access_control=False)
    client.wait_until("registered")
    assert server.targets == set(targets)
    assert server.count(Function.DEV_ATTR_REG) == 3
    del targets[1:]
    client.refresh()
    server.wait_for(lambda: server.targets == set(targets), "all but one deregistered")
    assert server.count(Function.DEV_DEREG) == 3


@pytest.mark.parametrize(
    ("function", "status", "words", "admitted"),
    [
        pytest.param(Function.SCN_REG, Status.SCN_REGISTRATION_REJECTED, "it refuses to notify", True, id="no SCN"),
        pytest.param(Function.DEV_ATTR_QRY, Status.INVALID_QUERY, "it refuses to say who", False, id="no query"),
        pytest.param(Function.DEV_ATTR_QRY, Status.NO_SUCH_ENTRY, "", False, id="no entry"),
        pytest.param(Function.DEV_ATTR_QRY, Status.SOURCE_UNKNOWN, "refuses to say", False, id="source ever unknown"),
    ],
)
def test_a_refusal_is_told_and_goes_no_further(
    server: IsnsServer,
    make_client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    function: Function,
    status: Status,
    words: str,
    admitted: bool,
) -> None:
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    server.faults[function] = status
    client = make_client()
    client.wait_until("registered")
    assert words in caplog.text
    assert bool(caplog.records) == bool(words)
    assert client.admits(A, ALICE) == admitted


def test_a_refused_deregistration_is_told(
    server: IsnsServer, client: WatchedClient, targets: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    server.faults[Function.DEV_DEREG] = Status.INVALID_DEREGISTRATION
    targets.remove(A)
    client.refresh()
    client.wait_for(lambda: client.facts()["registered"] == 1, "A given up")
    assert f"it refuses to forget {A} with status 22 (invalid deregistration); remove them there" in caplog.text


def test_a_long_answer_in_many_pdus(server: IsnsServer, make_client: MakeClient) -> None:
    names = [f"iqn.2026-11.test.initiator:{number:0190}" for number in range(400)]
    for name in names:
        server.add_initiator(name)
    server.put("one", A, *names)
    server.pdu_limit = 4096
    client = make_client()
    client.wait_until("registered")
    assert all(client.admits(A, name) for name in names)


def test_inquiries_and_notifications_may_come_on_our_own_connection(server: IsnsServer, client: WatchedClient) -> None:
    """Section 5.6.5.8: an active connection is used for SCN."""
    with server.lock:
        server.before = [
            Message(Function.ESI, ((Tag.TIMESTAMP, 5), (Tag.ENTITY_IDENTIFIER, "storage.test")), transaction=41),
            Message(Function.SCN, ((Tag.ISCSI_NAME, A), (Tag.TIMESTAMP, 6)), transaction=42),
            Message(Function.HEARTBEAT, transaction=43),
            Message(Function.DD_REG, transaction=44),
        ]
    queries = server.count(Function.DEV_ATTR_QRY)
    client.refresh()
    server.wait_for(lambda: len(server.responses) == 3, "three answers")
    answers = [(answer.function, answer.transaction, answer.status, answer.attributes) for answer in server.responses]
    assert answers == [
        (0x800D, 41, 0, ((Tag.TIMESTAMP, 5), (Tag.ENTITY_IDENTIFIER, "storage.test"))),
        (0x8008, 42, 0, ((Tag.ISCSI_NAME, A),)),
        (0x8009, 44, Status.MESSAGE_NOT_SUPPORTED, ()),
    ]
    server.wait_for(lambda: server.count(Function.DEV_ATTR_QRY) == queries + 6, "two rounds of three questions")


def test_an_entity_status_inquiry_is_answered(server: IsnsServer, client: WatchedClient) -> None:
    """Section 5.6.5.13: the attributes come back in their order."""
    attributes = (
        (Tag.TIMESTAMP, 1795651200),
        (Tag.ENTITY_IDENTIFIER, "storage.test"),
        (Tag.PORTAL_IP_ADDRESS, "127.0.0.1"),
        (Tag.PORTAL_PORT, 3260),
    )
    response = server.ask_client(Message(Function.ESI, attributes, transaction=9, flags=Flag.SERVER))
    assert response == Message(0x800D, attributes, 0, 9, Flag.CLIENT)


def test_over_ipv6(make_client: MakeClient) -> None:
    try:
        server = IsnsServer("::1")
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
        pytest.fail("this test needs an IPv6 loopback address", pytrace=False)
    try:
        client = make_client("[::1]", port=server.port)
        client.wait_until("registered")
        assert list(server.entities["storage.test"].portals) == [("::1", 3260)]
        server.add_initiator(ALICE)
        assert server.put("one", A, ALICE) == 1
        client.wait_for(lambda: client.admits(A, ALICE), "ALICE admitted")
        assert client.facts()["server"] == f"[::1]:{server.port}"
        client.stop()
        assert list(server.entities) == ["initiators.test"]
    finally:
        server.stop()


def test_the_entity_is_named_after_the_address_that_reaches_the_server(
    server: IsnsServer, make_client: MakeClient, targets: list[str]
) -> None:
    asked: list[str] = []

    def name_of(address: str) -> str:
        asked.append(address)
        return "Storage.Test"

    client = make_client(entity_id="", name_of=name_of)
    client.wait_until("registered")
    assert list(server.entities) == ["storage.test"]
    targets.clear()
    client.refresh()
    client.wait_until("no targets")
    targets.append(A)
    client.refresh()
    client.wait_until("registered")
    assert asked == ["127.0.0.1"]


def test_the_name_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    monkeypatch.setattr(socket, "getnameinfo", lambda address, flags: (f"name-of-{address[0]}", "0"))
    assert local_name("192.0.2.1") == "name-of-192.0.2.1"
    assert local_name("127.0.0.1") == "host"

    def fails(address: Any, flags: int) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getnameinfo", fails)
    assert local_name("2001:db8::1") == "host"


def test_delays_grow_and_are_bounded(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    delays: list[float] = []

    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    class Counting(WatchedClient):
        def _consequence(self, wait: float) -> str:
            delays.append(wait)
            return super()._consequence(wait)

    client = Counting(
        "isns.test",
        portal_port=3260,
        targets=lambda: [A],
        access_control=False,
        resolve=resolve,
        times=replace(STILL, retry=0.001, retry_most=0.005),
    )
    client.start()
    try:
        client.wait_for(lambda: len(delays) >= 5, "five failures")
    finally:
        client.stop()
    assert delays[:5] == [0.001, 0.002, 0.004, 0.005, 0.005]
    assert "trying again in 0.001 s" in caplog.text
    assert client.admits(A, ALICE)


def test_notifications_in_a_row_are_gathered(server: IsnsServer, make_client: MakeClient) -> None:
    clock = Clock()
    client = make_client(times=replace(STILL, pause=3000), access_control=False, clock=clock)
    client.wait_until("registered")
    assert server.put("one", A) == 1
    assert server.put("one", A) == 1
    assert server.count(Function.DEV_ATTR_QRY) == 0, "the pause is not over"
    clock.ahead = 3000
    client._wake()
    server.wait_for(lambda: server.count(Function.DEV_ATTR_QRY), "a round after the pause")
    client.stop()
    assert server.count(Function.DEV_ATTR_QRY) == 1


def test_whatever_ends_the_thread_nobody_is_admitted_after(
    server: IsnsServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", ended.append)
    server.add_initiator(ALICE)
    server.put("one", A, ALICE)
    broken = threading.Event()

    def targets() -> list[str]:
        if broken.is_set():
            raise ZeroDivisionError("a mistake of the daemon")
        return [A]

    client = make_client(targets=targets)
    client.wait_for(lambda: client.admits(A, ALICE), "ALICE admitted")
    broken.set()
    client.refresh()
    client.wait_until("stopped")
    client.stop()
    assert [hook.exc_type for hook in ended] == [ZeroDivisionError]
    assert not client.admits(A, ALICE)
    client.refresh()
    assert not client.admits(A, ALICE)


def test_the_defaults_are_those_documented() -> None:
    client = IsnsClient("isns.test", portal_port=3260, targets=list, access_control=True)
    assert client.facts()["server"] == "isns.test:3205"
    assert client.facts()["state"] == "not started"
    assert (TIMES.period, TIMES.hold) == (30, 90)
    assert TIMES.farewell + 1 <= 5, "the daemon has ten seconds for its whole end"
