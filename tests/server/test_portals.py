"""Listening sockets: both families, one address, and what cannot be bound."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, LoginRefused
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.target import Asker, Portal
from ietpy.server import listener, portals
from ietpy.server.portals import Portals, bind


def test_all_interfaces_share_a_free_port() -> None:
    sockets = bind(None, 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert {sock.family for sock in sockets} <= {socket.AF_INET, socket.AF_INET6}
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_one_address(address: str) -> None:
    (sock,) = bind(address, 0)
    with sock:
        assert sock.getsockname()[0] == address


def test_a_port_in_use_says_which() -> None:
    (first,) = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with first, pytest.raises(OSError, match=f"127.0.0.1 port {port}") as caught:
        bind("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE


def test_no_such_address() -> None:
    with pytest.raises(OSError):
        bind("192.0.2.1", 0)


def test_a_family_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def make(family: int, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")
        return real(family, *rest)

    monkeypatch.setattr(portals.socket, "socket", make)
    sockets = bind(None, 0)
    for sock in sockets:
        sock.close()
    assert [sock.family for sock in sockets] == [socket.AF_INET]


# What is told of them


def told(known: list[Portal], asker: Asker, port: int = 3260) -> list[Portal]:
    def never(*_: object) -> None:
        raise AssertionError

    table = Portals(None, never, never)  # type: ignore[arg-type]
    table._all = {object(): portal for portal in known}  # type: ignore[misc]
    return [*table.told_to(asker, port)]


FOUR, SIX, LINK = Portal("192.0.2.1", 3260), Portal("2001:db8::1", 3261, 2), Portal("fe80::1%eth0", 3260, 3)
LOOP = Portal("127.0.0.1", 3260, 4)


@pytest.mark.rfc7143("13.8-2", "C-10", "C-3")
@pytest.mark.parametrize(("known", "asker", "expected"), [
    pytest.param([FOUR, SIX], Asker("", "", "192.0.2.1"), [FOUR, SIX], id="of both families"),
    pytest.param([FOUR, SIX], Asker("", "", "2001:db8::1", 2), [("2001:db8::1", 3260, 2), FOUR, SIX], id="first his"),
    pytest.param([FOUR, LINK], Asker("", "", "192.0.2.1"), [FOUR], id="no link-local one"),
    pytest.param([FOUR, LINK], Asker("", "", "fe80::1", 3), [("fe80::1", 3260, 3), FOUR],
                 id="but the one he reached, without its zone"),
    pytest.param([FOUR, LOOP], Asker("", "", "192.0.2.1"), [FOUR], id="no loopback one"),
    pytest.param([FOUR, LOOP], Asker("", "", "127.0.0.1", 4), [LOOP, FOUR], id="but on this host"),
    pytest.param([Portal("0.0.0.0", 3260, 7), Portal("::", 3261, 8)], Asker("", "", "192.0.2.1", 7),
                 [("192.0.2.1", 3260, 7), ("192.0.2.5", 3260, 7)], id="of wildcards the addresses of his family"),
    pytest.param([Portal("0.0.0.0", 3260, 7), SIX], Asker("", "", "2001:db8::1", 2),
                 [("2001:db8::1", 3260, 2), SIX], id="and no other"),
])
def test_what_is_told(
    monkeypatch: pytest.MonkeyPatch, known: list[Portal], asker: Asker, expected: list[tuple[str, int, int]]
) -> None:
    monkeypatch.setattr(portals, "addresses_of_host", lambda ipv6: ["2001:db8::5"] if ipv6 else ["192.0.2.5"])
    assert told(known, asker) == [Portal(*portal) for portal in expected]


NAS = "nas.example.com:3260"


@pytest.mark.parametrize(("known", "asker", "expected"), [
    pytest.param([FOUR._replace(advertised=NAS), SIX], Asker("", "", "192.0.2.1"),
                 [FOUR._replace(advertised=NAS), SIX], id="the one he came by, and another as it is"),
    pytest.param([FOUR, SIX._replace(advertised=NAS)], Asker("", "", "192.0.2.1"),
                 [FOUR, SIX._replace(advertised=NAS)], id="another one"),
    pytest.param([Portal("0.0.0.0", 3260, 7, NAS), Portal("::", 3260, 7)], Asker("", "", "172.17.0.2", 7),
                 [Portal("172.17.0.2", 3260, 7, NAS)], id="a wildcard once, whatever addresses the host has"),
    pytest.param([FOUR, LOOP._replace(advertised=NAS)], Asker("", "", "192.0.2.1"),
                 [FOUR, LOOP._replace(advertised=NAS)], id="also of loopback, where a forwarder may be"),
    pytest.param([LINK._replace(advertised=NAS)], Asker("", "", "fe80::1", 3),
                 [Portal("fe80::1", 3260, 3, NAS)], id="and of a link"),
    pytest.param([FOUR._replace(advertised=NAS)], Asker("", "", "192.0.2.1", 9),
                 [Portal("192.0.2.1", 3260, 9), FOUR._replace(advertised=NAS)], id="not of another group"),
])
def test_what_is_advertised_stands_for_itself(known: list[Portal], asker: Asker, expected: list[Portal]) -> None:
    assert told(known, asker) == expected


# While it serves


def connected(served: Any, address: tuple[str, int]) -> Client:
    client = Client(socket.create_connection(address, 10))
    served.clients.append(client)
    return client


def test_portals_come_and_go_while_sessions_stay(served: Any) -> None:
    served.target.offer((1, 2))
    second = bind("127.0.0.2", 0)
    address = second[0].getsockname()
    served.server.listen(second, 2)
    assert [portal.group for portal in served.server.portals()] == [1, 2]
    stays = connected(served, address)
    stays.login(LoginPlan(target=served.target.name))
    assert stays.command(0, bytes(6)).status == 2
    asks = connected(served, address)
    asks.login(LoginPlan())
    assert asks.discover() == [(served.target.name, [f"127.0.0.2:{address[1]},2", f"127.0.0.1:{served.port},1"])]
    served.server.leave(second)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 10)
    assert stays.command(0, bytes(6)).status == 0
    third = bind("127.0.0.2", address[1])  # nobody has the address any more
    served.server.listen(third, 2)
    connected(served, address).login(LoginPlan(target=served.target.name, isid=b"\x80\0\0\0\0\2"))
    assert sorted(facts["portal_group"] for facts in served.server.sessions() if facts["target"]) == [2, 2]


def test_the_same_isid_by_two_portal_groups_is_two_sessions(served: Any) -> None:
    served.target.offer((1, 2))
    second = bind("127.0.0.2", 0)
    served.server.listen(second, 2)
    plan = LoginPlan(target=served.target.name, isid=b"\x80\0\0\0\0\1")
    by = [connected(served, address) for address in (("127.0.0.1", served.port), second[0].getsockname())]
    for client in by:
        client.login(plan)
        assert client.command(0, bytes(6)).status == 2
    assert len(served.target.sessions) == 2
    reserve = bytes.fromhex("16 00 00 00 00 00")
    assert [client.command(0, reserve).status for client in by] == [0, 0x18], "they are two nexuses"


def test_a_target_in_no_group_of_the_portal_is_not_there(served: Any) -> None:
    served.target.offer((2,))
    client = served.dial()
    with pytest.raises(LoginRefused) as refused:
        client.login(LoginPlan(target=served.target.name))
    assert refused.value.status == 0x0203
    client = served.dial()
    client.login(LoginPlan())
    assert client.discover() == [], "no portal leads to it"


def test_who_came_by_a_portal_that_is_left_at_that_moment(served: Any) -> None:
    """He is in no portal group, not in IET's."""
    made = listener.Server(served.node, bind("127.0.0.1", 0))
    (listening,) = bind("127.0.0.1", 0)
    made.listen([listening], 2)
    client = connected(served, listening.getsockname())
    made._portals._all = {sock: portal for sock, portal in made._portals._all.items() if sock is not listening}
    listening.setblocking(True)
    made._acceptor.accept(listening)
    assert client.closed_by_target()
    assert not len(made._logins)
    listening.close()
    assert made.stop(10)


def test_a_login_ends_with_its_portal(served: Any) -> None:
    """It would be one by a portal group the address may not be in any more."""
    (second,) = bind("127.0.0.2", 0)
    served.server.listen([second], 2)
    served.target.offer((1, 2))
    early, stays = (connected(served, second.getsockname()) for _ in range(2))
    stays.login(LoginPlan(target=served.target.name))
    served.server.leave([second])
    with pytest.raises(ConnectionLost):
        early.login(LoginPlan(target=served.target.name, isid=b"\x80\0\0\0\0\2"))
    assert stays.command(0, bytes(6)).status == 2


def test_portals_can_be_left_before_and_after_the_server_runs(served: Any) -> None:
    made = listener.Server(served.node, bind("127.0.0.1", 0))
    more = bind("127.0.0.1", 0)
    made.listen(more)
    made.leave(more)
    assert more[0].fileno() == -1
    assert len(made.portals()) == 1
    assert made.stop(10)
    left = [*made._portals._all]
    made.leave(left)
    assert made.portals() == []


def test_a_listener_that_does_not_let_go(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(portals, "FOLLOW_SECONDS", 0.0)
    monkeypatch.setattr(served.server._portals, "_wake", lambda: None)
    served.server.leave(list(served.server._portals._all))
    assert "has not let go" in caplog.text


def test_a_link_local_portal_has_its_zone() -> None:
    class Sock:
        def setblocking(self, flag: bool) -> None:
            pass

        def getsockname(self) -> tuple[str, int, int, int]:
            return "fe80::1", 3260, 0, socket.if_nametoindex("lo")

    table = Portals(None, print, lambda: None)  # type: ignore[arg-type]
    table.add([Sock()], 3)  # type: ignore[list-item]
    assert table.all() == [Portal("fe80::1%lo", 3260, 3)]
