"""The sockets of the client: who may connect, how many, how long, and peers that do not read or do not answer."""

from __future__ import annotations

import errno
import logging
import math
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from ietpy.isns.attributes import IsnsError
from ietpy.isns.message import Assembler, Function, Message, encode
from ietpy.isns.network import GUESTS, AddressInfo, Channel, Interrupted, Network, words
from tests.isns.conftest import Clock
from tests.isns.server import PATIENCE, dial, receive

BIG = Message(0x0100, tuple((64, bytes(65536)) for _ in range(15)))


def candidate(port: int) -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(clock: Clock) -> Iterator[Network]:
    made = Network(clock, idle=60)
    yield made
    made.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(PATIENCE)
        yield made


@pytest.fixture
def peer(network: Network, listener: socket.socket) -> Iterator[socket.socket]:
    """The server's end of a connection the network made."""
    network.connect([candidate(listener.getsockname()[1])], PATIENCE, lambda: False)
    connection, _ = listener.accept()
    connection.settimeout(PATIENCE)
    with connection:
        yield connection


def soon() -> float:
    return time.monotonic() + PATIENCE


def closed(sock: socket.socket) -> bool:
    """Whether the other side has closed; both its ways count."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_first_address_that_answers_is_taken(network: Network, listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        refused = candidate(dead.getsockname()[1])
    good = candidate(listener.getsockname()[1])
    assert network.connect([refused, good], PATIENCE, lambda: False) == good
    assert network.server is not None
    with pytest.raises(ConnectionRefusedError, match="refused"):
        network.connect([refused], PATIENCE, lambda: False)
    with pytest.raises(OSError, match="it has no address"):
        network.connect([], PATIENCE, lambda: False)


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port where connections are neither taken nor refused: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for sock in crowd:
            sock.close()


def test_a_server_that_does_not_answer_is_given_up(network: Network, deaf: int) -> None:
    with pytest.raises(TimeoutError, match=r"it does not answer within 0\.05 s"):
        network.connect([candidate(deaf)], 0.05, lambda: False)
    assert network.server is None


def test_connecting_can_be_interrupted(network: Network, deaf: int) -> None:
    asked = threading.Event()
    wanted = threading.Event()

    def interrupted() -> bool:
        asked.set()
        return wanted.is_set()

    def interrupt() -> None:
        assert asked.wait(PATIENCE)
        network.wake()
        wanted.set()
        network.wake()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted):
        network.connect([candidate(deaf)], 3600, interrupted)
    thread.join()


def test_a_wake_ends_the_waiting_and_many_are_one(network: Network) -> None:
    for _ in range(2000):  # more than the socket holds
        network.wake()
    assert network.pump(math.inf) == []
    began = time.monotonic()
    assert network.pump(began + 0.01) == []
    assert time.monotonic() >= began + 0.005, "nobody had woken us a second time"


def test_messages_come_with_their_channel(network: Network, peer: socket.socket) -> None:
    first, second = Message(Function.ESI, transaction=1), Message(Function.SCN, transaction=2)
    peer.sendall(encode(first) + encode(second))
    assert network.pump(soon()) == [(network.server, first), (network.server, second)]


def test_the_end_of_the_connection_is_told(network: Network, peer: socket.socket) -> None:
    peer.close()
    assert network.pump(soon()) == []
    assert network.server is None
    assert network.loss == "it closed the connection"
    network.hang_up("again")
    assert network.loss == "it closed the connection"


def test_what_was_not_read_at_once_goes_out_later(network: Network, peer: socket.socket) -> None:
    assert network.server is not None
    network.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    network.send(network.server, BIG)
    assert network.server.sends
    received: list[Message | None] = []
    reader = threading.Thread(target=lambda: received.append(receive(peer, Assembler())))
    reader.start()
    while network.server.sends:
        assert network.pump(soon()) == []
    reader.join()
    assert received == [BIG]


def test_who_never_reads_is_given_up(network: Network, peer: socket.socket) -> None:
    server = network.server
    assert server is not None
    for _ in range(10):
        network.send(server, BIG)
    assert network.server is None
    assert "bytes wait for it to read" in network.loss


def test_a_channel_that_has_nothing_to_say_says_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        assert Channel(ours).receive() == []


def test_a_listener_stays_while_the_local_address_does(
    network: Network, peer: socket.socket, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = network.listen()
    assert place[0] == "127.0.0.1"
    with dial(*place) as guest:
        network.pump(soon())
        network.hang_up("")
        network.connect([candidate(listener.getsockname()[1])], PATIENCE, lambda: False)
        assert network.listen() == place
        connect_ex = socket.socket.connect_ex

        def from_elsewhere(sock: socket.socket, address: tuple[str, int]) -> int:
            sock.bind(("127.0.0.2", 0))
            return connect_ex(sock, address)

        monkeypatch.setattr(socket.socket, "connect_ex", from_elsewhere)
        network.hang_up("")
        network.connect([candidate(listener.getsockname()[1])], PATIENCE, lambda: False)
        assert network.listen()[0] == "127.0.0.2"
        assert closed(guest)
    with pytest.raises(ConnectionRefusedError):
        dial(*place)


def test_no_address_to_listen_at_is_an_error(
    network: Network, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sock: socket.socket, address: object) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "bind", refuse)
        with pytest.raises(OSError, match="already in use"):
            network.listen()
    assert network.listen()


def test_the_server_may_notify_and_is_answered(network: Network, peer: socket.socket) -> None:
    with dial(*network.listen()) as guest:
        guest.sendall(encode(Message(Function.SCN, transaction=9)))
        arrived = network.pump(soon())
        while not arrived:
            arrived = network.pump(soon())
        ((channel, message),) = arrived
        assert channel is not network.server
        assert message.transaction == 9
        network.send(channel, Message(0x8008, (), 0, 9))
        assert receive(guest, Assembler()) == Message(0x8008, (), 0, 9)


def test_nobody_else_may(network: Network, peer: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    address, port = network.listen()
    with caplog.at_level(logging.INFO), dial(address, port, "127.0.0.9") as stranger:
        assert network.pump(soon()) == []
        assert closed(stranger)
    assert "127.0.0.9 is turned away; only the server, 127.0.0.1, may notify us" in caplog.text


def test_one_guest_too_many_closes_the_oldest(network: Network, peer: socket.socket) -> None:
    place = network.listen()
    guests = []
    for _ in range(GUESTS + 1):
        guests.append(dial(*place))
        network.pump(soon())
    assert closed(guests[0])
    for guest in guests[1:]:
        guest.sendall(encode(Message(Function.ESI)))
    arrived = 0
    while arrived < GUESTS:
        arrived += len(network.pump(soon()))
    for guest in guests:
        guest.close()


def test_a_guest_that_stays_is_shown_out(network: Network, peer: socket.socket, clock: Clock) -> None:
    with dial(*network.listen()) as guest:
        network.pump(soon())
        clock.ahead = 61
        network.pump(clock())
        assert closed(guest)


def test_a_guest_that_talks_garbage_is_shown_out(
    network: Network, peer: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with dial(*network.listen()) as guest:
        network.pump(soon())
        guest.sendall(b"\xff" * 100)
        assert network.pump(soon()) == []
        assert closed(guest)
    assert "a connection of the server to us is closed: a PDU of iSNSP version 65535 came" in caplog.text


def test_a_guest_that_leaves_is_no_news(
    network: Network, peer: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with dial(*network.listen()) as guest:
        network.pump(soon())
        guest.sendall(encode(Message(Function.ESI)))
        ((channel, _),) = network.pump(soon())
    assert network.pump(soon()) == []
    network.send(channel, Message(0x800D, (), 0))  # too late, and no harm
    assert caplog.records == []


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        pytest.param(errno.EMFILE, False, id="out of descriptors"),
        pytest.param(errno.ECONNABORTED, True, id="it changed its mind"),
    ],
)
def test_a_guest_that_cannot_be_let_in_does_not_keep_us_spinning(
    network: Network,
    peer: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
    stays: bool,
) -> None:
    place = network.listen()

    def accept(sock: socket.socket) -> None:
        raise OSError(code, "no")

    with dial(*place), monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", accept)
        assert network.pump(soon()) == []
    assert (network.listen() == place) is stays
    assert bool(caplog.records) is not stays


def test_a_notification_right_before_the_listener_closes_hurts_nobody(
    network: Network, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are ready in one call of select; the guest is gone when its turn comes."""
    place = network.listen()
    with dial(*place) as guest, dial(*place):
        network.pump(soon())
        guest.sendall(encode(Message(Function.ESI)))

        def accept(sock: socket.socket) -> None:
            raise OSError(errno.EMFILE, "no")

        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "accept", accept)
            while network.listen() == place:
                network.pump(soon())


def test_words() -> None:
    assert words(OSError(errno.ENOENT, "No such file")) == "No such file"
    assert words(OSError("odd")) == "odd"
    assert words(IsnsError("a sentence")) == "a sentence"
    assert words(UnicodeError("label too long")) == "label too long"
