"""What a daemon listens on: opened at the start, followed by reloads, and what cannot be had has a line."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon.options import StartOptions
from ietpy.daemon.portals import CannotListen, Portals, check
from ietpy.errors import ConfigError

INTERFACES = {"lo": ["127.0.0.1", "127.0.0.2"], "bare0": []}


def addresses(interface: str) -> list[str]:
    if interface not in INTERFACES:
        raise OSError(19, "No such device")
    return INTERFACES[interface]


class Network:
    """Takes what is opened, and says what there is: address and group."""

    def __init__(self) -> None:
        self.sockets: dict[socket.socket, int] = {}
        self.history: list[str] = []

    def listen(self, sockets: Iterable[socket.socket], group: int, advertised: str) -> None:
        self.sockets.update(dict.fromkeys(sockets, group))
        self.history += [f"+{sock.getsockname()[0]}" for sock in sockets]

    def leave(self, sockets: list[socket.socket]) -> None:
        for sock in sockets:
            self.history.append(f"-{sock.getsockname()[0]}")
            del self.sockets[sock]
            sock.close()

    @property
    def listening(self) -> list[tuple[str, int]]:
        return sorted((sock.getsockname()[0], group) for sock, group in self.sockets.items())


class Served:
    def __init__(self, held: Sequence[socket.socket] = (), **options: Any) -> None:
        self.network = Network()
        self.options = StartOptions(**{"port": 0, **options})
        self.portals = Portals(self.options, addresses, held)

    def follow(self, text: str) -> list[str]:
        """What is wrong, as told, without the hint."""
        configuration = loads(text)
        self.portals.go(configuration, self.network)
        self.portals.come(configuration, self.network)
        return [f"{one.span}: {one.problem}" for one in self.portals.problems]


@pytest.fixture
def served() -> Iterator[Any]:
    made: list[Served] = []

    def make(held: Sequence[socket.socket] = (), **options: Any) -> Served:
        made.append(Served(held, **options))
        return made[-1]

    yield make
    for each in made:
        each.portals.close()


def port() -> int:
    """One that was free a moment ago, by all of the addresses of tests."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        found: int = sock.getsockname()[1]
    return found


def test_without_portal_lines_it_is_what_the_command_line_says(served: Any) -> None:
    one = served(address="127.0.0.3")
    one.portals.open(loads(""), one.network)
    assert one.network.listening == [("127.0.0.3", 1)]
    everything = served()
    everything.portals.open(loads(""), everything.network)
    assert ("0.0.0.0", 1) in everything.network.listening


def test_an_interface_means_all_its_addresses_but_those_that_are_named(served: Any) -> None:
    one = served()
    assert one.follow("Portal 1 lo\nPortal 2 127.0.0.2\nPortal 3 [::1]\n") == []
    assert one.network.listening == [("127.0.0.1", 1), ("127.0.0.2", 2), ("::1", 3)]


def test_what_stays_is_not_touched(served: Any) -> None:
    one = served()
    one.follow("Portal 1 127.0.0.1,127.0.0.2\n")
    before = [sock for sock in one.network.sockets if sock.getsockname()[0] == "127.0.0.1"]
    one.network.history.clear()
    one.follow("Portal 2 127.0.0.3\nPortal 1 127.0.0.1\n")
    assert one.network.history == ["-127.0.0.2", "+127.0.0.3"]
    assert before[0] in one.network.sockets
    one.follow("Portal 7 127.0.0.1\n")
    assert one.network.listening == [("127.0.0.1", 7)], "of another group it is another portal"


def test_from_all_addresses_to_one_and_back(served: Any) -> None:
    """The wildcard has to be closed first."""
    one = served(port=port())
    assert one.follow("") == []
    assert one.follow("Portal 1 127.0.0.1\n") == []
    assert one.network.listening == [("127.0.0.1", 1)]
    assert one.follow("Portal 1 *\n") == []
    assert ("0.0.0.0", 1) in one.network.listening


def test_what_cannot_be_had_has_a_line_and_the_rest_is_served(served: Any) -> None:
    one = served()
    lines = "Portal 1 127.0.0.1,gone0,192.0.2.250\nPortal 2 bare0,[fe80::1%gone0]\n"
    *found, last = one.follow(lines)
    assert found == [
        "ietd.conf:1:20: there is no interface gone0 to listen on: No such device",
        "ietd.conf:2:10: the interface bare0 has no address to listen on",
        "ietd.conf:1:26: cannot listen on 192.0.2.250, port 0: Cannot assign requested address: 192.0.2.250 port 0",
    ]
    assert last.startswith("ietd.conf:2:16: cannot listen on fe80::1%gone0, port 0: ")
    assert one.network.listening == [("127.0.0.1", 1)]
    INTERFACES["gone0"] = ["127.0.0.9"]
    try:
        assert len(one.follow(lines)) == 3
        assert one.network.listening == [("127.0.0.1", 1), ("127.0.0.9", 1)], "the next reload tries again"
    finally:
        del INTERFACES["gone0"]
    assert len(one.follow(lines)) == 4
    assert one.network.listening == [("127.0.0.1", 1)], "an interface that went takes its portals along"


def test_a_port_of_its_own(served: Any) -> None:
    one, number = served(), port()
    one.follow(f"Portal 1 127.0.0.1:{number},127.0.0.2\n")
    ports = {sock.getsockname()[0]: sock.getsockname()[1] for sock in one.network.sockets}
    assert ports["127.0.0.1"] == number


def test_a_daemon_without_any_does_not_start(served: Any) -> None:
    one = served()
    with pytest.raises(CannotListen, match="there is no interface gone0 to listen on"):
        one.portals.open(loads("Portal 1 gone0\n"), one.network)


@pytest.mark.parametrize(("text", "address", "problem"), [
    ("", "127.0.0.1", ""),
    ("Portal 1 127.0.0.1\n", "", ""),
    ("Portal 1 127.0.0.1\n", "127.0.0.1", "ietd.conf:1:10: error: Portal lines, and -a 127.0.0.1, which means"),
    ("Portal x\n", "", "no Portal line names anything to listen on"),
])
def test_file_and_command_line_must_not_contradict_each_other(text: str, address: str, problem: str) -> None:
    if problem:
        with pytest.raises(ConfigError, match=problem):
            check(loads(text), StartOptions(address=address))
    else:
        check(loads(text), StartOptions(address=address))


@pytest.fixture
def held() -> Iterator[list[socket.socket]]:
    """Two sockets of 127.0.0.1 and 127.0.0.2 that a service manager holds open."""
    sockets = [socket.create_server((address, 0)) for address in ("127.0.0.1", "127.0.0.2")]
    yield sockets
    for sock in sockets:
        sock.close()


def test_without_a_word_what_was_passed_are_the_portals(served: Any, held: list[socket.socket]) -> None:
    one = served(held, port=3260)
    one.portals.open(loads(""), one.network)
    assert [sock.getsockname() for sock in one.network.sockets] == [sock.getsockname() for sock in held]
    assert one.follow("") == []
    one.portals.close()
    with socket.create_connection(held[0].getsockname()):
        pass  # the port is open as before


def test_portal_lines_say_which_group_a_socket_is_and_reloads_may_leave_it(
    served: Any, held: list[socket.socket]
) -> None:
    (first, port1), (second, port2) = (sock.getsockname() for sock in held)
    one = served(held)
    assert one.follow(f"Portal 3 {first}:{port1}\nPortal 4 {second}:{port2}\n") == []
    assert one.network.listening == [(first, 3), (second, 4)]
    for _ in range(2):
        [problem] = one.follow(f"Portal 3 {first}:{port1}\n")
        assert f"nobody listens on {second}:{port2}, which was passed to the daemon as a socket" in problem
    assert one.follow(f"Portal 3 {first}:{port1}\nPortal 5 {second}:{port2}\n") == []
    assert one.network.listening == [(first, 3), (second, 5)]


def test_an_address_on_the_command_line_opens_no_other(served: Any, held: list[socket.socket]) -> None:
    (first, port1), _ = (sock.getsockname() for sock in held)
    one = served(held, address=first, port=port1)
    assert len(one.follow("")) == 1
    assert one.network.listening == [(first, 1)]
