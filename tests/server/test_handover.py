"""Two servers in one process: one listens and knows the targets by name, the other serves what it is handed."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ietpy.initiator import login as initiator_login
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan, exchange
from ietpy.initiator.numbering import Numbering
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.target import Accounts, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.server.handover import Passage, Signpost
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from ietpy.server.throttle import FREE


class Front:
    """In front of ``served``; ``passages`` are those sent."""

    def __init__(self, served: Any) -> None:
        self.served = served
        self.reachable = True
        self.passages: list[Passage] = []
        self.obstacle: OSError | None = None
        self.node = Signpost(threading.RLock(), lambda name: self.reachable)
        self.target = TargetNode(served.target.name, ScsiDevice(served.target.name, threading.RLock()))
        self.node.add(self.target)
        self.server = Server(self.node, bind("127.0.0.1", 0))
        self.server.pass_on(self.send)
        served.server.told(self.server.portals())
        self.server.share_guesses(served.server.hear_of_guess)
        served.server.share_guesses(self.server.hear_of_guess)

    def send(self, sock: socket.socket, passage: Passage) -> None:
        if self.obstacle is not None:
            raise self.obstacle
        self.passages.append(passage)
        self.served.server.take_over(sock.dup(), passage)

    def dial(self) -> Client:
        client = Client(socket.create_connection(("127.0.0.1", self.server.portals()[0].port), 10))
        self.served.clients.append(client)
        return client


@pytest.fixture
def front(served: Any) -> Iterator[Front]:
    front = Front(served)
    front.server.start()
    yield front
    front.server.stop(20)


def test_a_session_is_served_where_its_target_is(front: Front, served: Any) -> None:
    client = front.dial()
    client.login(LoginPlan(target=served.target.name))
    client.test_unit_ready(0)
    client.write(0, 8, b"here" * 128)
    assert client.read(0, 8, 1) == b"here" * 128
    assert front.server.sessions() == []
    (facts,) = served.server.sessions()
    assert facts["portal"] == facts["address"] == "127.0.0.1"
    assert [passage.sent for passage in front.passages] == [0]
    client.logout()


def test_discovery_stays_in_front_and_names_its_portals(front: Front, served: Any) -> None:
    client = front.dial()
    client.login(LoginPlan())
    port = front.server.portals()[0].port
    assert client.discover() == [(served.target.name, [f"127.0.0.1:{port},1"])]
    assert front.passages == []


def test_a_session_tells_the_portals_of_the_front(front: Front, served: Any) -> None:
    client = front.dial()
    client.login(LoginPlan(target=served.target.name))
    port = front.server.portals()[0].port
    told = dict(client.discover(""))[served.target.name]
    assert f"127.0.0.1:{port},1" in told


def test_text_of_several_requests_is_answered_by_both(
    front: Front, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initiator_login, "LOGIN_DATA_LIMIT", 40)
    client = front.dial()
    client.login(LoginPlan(target=served.target.name))
    client.test_unit_ready(0)
    (passage,) = front.passages
    assert passage.sent > 48
    assert passage.sent % 48 == 0  # empty answers, which the other process does not give again


def test_a_request_that_comes_in_pieces(front: Front, served: Any, eventually: Callable[..., None]) -> None:
    request = next(exchange(LoginPlan(target=served.target.name), Numbering(1), secrets.token_bytes))
    client = front.dial()
    client.socket.sendall(request[:60])
    eventually(lambda: any(login.received for login in front.server._logins._open.values()))
    client.socket.sendall(request[60:])
    pdu = client.receive_pdu()
    assert pdu.header["status"] == 0
    assert len(front.passages) == 1


def test_what_is_none_of_its_targets_is_refused_in_front(front: Front) -> None:
    client = front.dial()
    with pytest.raises(LoginRefused) as refused:
        client.login(LoginPlan(target="iqn.2026-11.test:missing"))
    assert refused.value.status == LoginStatus.NOT_FOUND
    assert front.passages == []


def test_rules_are_asked_in_front_and_where_it_is_served(front: Front, served: Any) -> None:
    served.target.let_in(Accounts(), lambda asker: False)
    with pytest.raises(LoginRefused) as refused:
        front.dial().login(LoginPlan(target=served.target.name))
    assert refused.value.status == LoginStatus.NOT_FOUND
    assert len(front.passages) == 1
    front.target.let_in(Accounts(), lambda asker: False)
    with pytest.raises(LoginRefused):
        front.dial().login(LoginPlan(target=served.target.name))
    assert len(front.passages) == 1


def test_a_target_whose_process_has_ended_is_to_be_tried_again(front: Front, served: Any) -> None:
    front.reachable = False
    with pytest.raises(LoginRefused) as refused:
        front.dial().login(LoginPlan(target=served.target.name))
    assert refused.value.status == LoginStatus.SERVICE_UNAVAILABLE


def test_what_cannot_be_handed_over_is_dropped(front: Front, served: Any, caplog: pytest.LogCaptureFixture) -> None:
    front.obstacle = BlockingIOError("the other process does not look")
    client = front.dial()
    with pytest.raises(ConnectionLost):
        client.login(LoginPlan(target=served.target.name))
    assert "the other process does not look" in caplog.text
    front.obstacle = None
    front.dial().login(LoginPlan(target=served.target.name))


@pytest.fixture
def accepted() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection, the target's first."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        dialled = socket.create_connection(listening.getsockname())
        sock, _ = listening.accept()
        with dialled, sock:
            yield sock, dialled


def test_too_much_behind_a_login_drops_it(
    front: Front, served: Any, accepted: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    portal = front.server.portals()[0]
    sock, dialled = accepted
    served.server.take_over(sock, Passage(served.target.name, portal, 1e12, bytes(1 << 20), 0))
    assert dialled.recv(1) == b""
    assert "too much came behind its login" in caplog.text


def test_a_peer_that_goes_on_the_way_is_no_mistake_of_ours(
    front: Front, served: Any, accepted: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture,
    eventually: Callable[..., None],
) -> None:
    caplog.set_level(logging.INFO, "ietpy")
    sock, dialled = accepted
    dialled.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    dialled.close()  # by a reset: not even its address is known any more
    served.server.take_over(sock, Passage(served.target.name, front.server.portals()[0], 1e12, b"x", 0))
    eventually(lambda: sock.fileno() < 0)
    (record,) = caplog.records
    assert (record.levelno, "connection lost during login" in record.getMessage()) == (logging.INFO, True)


def test_a_portal_that_is_gone_takes_its_logins_along(
    front: Front, served: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ietpy")
    served.server.told([])
    client = front.dial()
    with pytest.raises(ConnectionLost):
        client.login(LoginPlan(target=served.target.name))
    assert "its portal was closed before its login was over" in caplog.text


def test_guesses_count_in_every_process(front: Front, served: Any, eventually: Callable[..., None]) -> None:
    served.target.let_in(Accounts({"ann": "s" * 12}), served.target.admits)
    for _ in range(FREE + 1):
        with pytest.raises(LoginRefused):
            front.dial().login(LoginPlan(target=served.target.name, chap=Chap("ann", "wrong" * 3)))
    throttles = [server._logins.throttle for server in (served.server, front.server)]
    eventually(lambda: all(throttle.ready("127.0.0.1") > 0 for throttle in throttles))
