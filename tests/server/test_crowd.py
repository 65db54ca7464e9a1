"""One thread for many connections: nobody is forgotten, nobody waits for another one's device or peer."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from ietpy.errors import FormatError
from ietpy.server import crowd as crowd_module
from ietpy.server.crowd import ALONE, LIGHT, Crowd, Member, _visit
from ietpy.server.latency import Measuring, Stopwatch
from tests.server.test_latency import measured

LIMIT = 20  #: seconds after which somebody was forgotten
READ_4_MIB = bytes.fromhex("28 00 00000000 00 2000 00")
TEST_UNIT_READY, INQUIRY = 0x00, bytes.fromhex("12 0000 0024 00")


class Line:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inbox: list[Callable[[], None]] = []
        self.watch = Stopwatch()

    def attend(self) -> None:
        while self.inbox and self.lock.acquire(blocking=False):
            self.read()
            self.lock.release()

    def read(self) -> None:
        while self.inbox:
            self.inbox.pop()()


class Echo:
    """As a pump, for a peer who is sent what he has sent. ``batch`` is called with what came."""

    def __init__(self, server: Any, batch: Callable[[bytes], None] = len, stays: Callable[[], bool] = bool) -> None:
        self.server = server
        self.peer, self.sock = socket.socketpair()
        self.peer.settimeout(LIMIT)
        self.line = Line()
        self.buffer = memoryview(bytearray(1 << 20))
        self.parked = SimpleNamespace(turns=[])
        self.egress = SimpleNamespace(flush_now=self.flush_now)
        self.connection = SimpleNamespace(
            space=lambda: self.buffer, ready=[], enabled=[], functions=[], closing=False, staged_size=0
        )
        self.taken: Callable[[bytes], None] = batch
        self.stays: Any = stays
        self.answers = b""
        self.own = 0  #: batches that its own thread has received
        self.employed = 0
        self.error: BaseException | None = None
        self.member = Member(self, object())  # type: ignore[arg-type]
        self.thread = threading.Thread(target=self.run, daemon=True)

    def batch(self, count: int) -> int:
        came = bytes(self.buffer[:count])
        self.answers += came
        self.taken(came)
        return count

    def flush_now(self) -> bool:
        answers, self.answers = self.answers, b""
        if answers:
            self.sock.sendall(answers)
        return not self.stays()  # ``bool()`` is False: nothing keeps it from staying

    def employ(self) -> None:
        self.employed += 1

    def run(self) -> None:
        try:
            count = 0
            while True:
                with self.line.lock:
                    self.batch(count)
                    self.flush_now()
                if self.member.stay():
                    count = 0
                    continue
                count = self.sock.recv_into(self.buffer)
                self.own += 1
                if not count:
                    return
        except BaseException as error:
            self.error = error

    def ask(self, data: bytes = b"x") -> bytes:
        self.peer.sendall(data)
        return self.answer(len(data))

    def answer(self, size: int) -> bytes:
        came = b""
        while len(came) < size:
            more = self.peer.recv(size - len(came))
            assert more
            came += more
        return came

    def lend(self) -> None:
        """Lend it without a thread of its own."""
        self.member.lent, self.member.room = True, self.buffer


class World:
    """A crowd, and whom it serves."""

    def __init__(self, stack: ExitStack) -> None:
        self.server = SimpleNamespace(crowd=Crowd(), latest=None, measuring=Measuring())
        self.crowd: Crowd = self.server.crowd
        self.stack = stack
        self.echoes: list[Echo] = []

    def echo(self, *behaviour: Any) -> Echo:
        """One that has no thread yet."""
        made = Echo(self.server, *behaviour)
        self.echoes.append(made)
        self.stack.enter_context(made.sock)
        self.stack.enter_context(made.peer)
        return made

    def begin(self, *behaviour: Any) -> Echo:
        """One that is lent."""
        made = self.echo(*behaviour)
        made.thread.start()
        self.wait(lambda: made.member.fd in self.crowd._members)
        return made

    def wait(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + LIMIT
        while not true():
            assert time.monotonic() < end
            time.sleep(0.001)

    def end(self) -> None:
        for each in self.echoes:
            each.peer.close()
        for each in self.echoes:
            if each.thread.ident is not None:
                each.thread.join(LIMIT)
                assert not each.thread.is_alive()
        self.crowd.close()
        assert not self.crowd._threads


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        made = World(stack)
        yield made
        made.end()


def test_many_are_served_by_one_thread(world: World) -> None:
    echoes = [world.begin() for _ in range(5)]
    for number in range(100):
        for each in echoes:
            assert each.ask(b"%d" % number) == b"%d" % number
    assert [each.own for each in echoes] == [0] * 5
    world.wait(lambda: len(world.crowd._threads) == 2)  # and one that watches


@pytest.mark.parametrize("count", [2, 3, 8, 32])
def test_nobody_is_forgotten(world: World, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """With leaders that are stuck now and then, peers that fall silent, and connections that need their own threads."""
    monkeypatch.setattr(crowd_module, "SILENCE", 0.003)
    monkeypatch.setattr(crowd_module, "PATIENCE", 0.001)
    monkeypatch.setattr(crowd_module, "ALONE", 5)
    chance = random.Random(count)

    def batch(came: bytes) -> None:
        if chance.random() < 0.02:
            time.sleep(0.005)

    echoes = [world.echo(batch, lambda: chance.random() < 0.05) for _ in range(count)]
    wrong: list[object] = []
    end = time.monotonic() + 1

    def client(echo: Echo, chance: random.Random) -> None:
        try:
            number = 0
            while time.monotonic() < end:
                data = struct.pack(">I", number) * chance.choice((1, 1, 1, 50, 5000))
                if echo.ask(data) != data:
                    wrong.append((echo, number))
                number += 1
                if chance.random() < 0.05:
                    time.sleep(0.005)
        except OSError as error:  # also when the answer does not come
            wrong.append(error)

    clients = [threading.Thread(target=client, args=(each, random.Random(n))) for n, each in enumerate(echoes)]
    for each in echoes:
        each.thread.start()
    for each in clients:
        each.start()
    for each in clients:
        each.join(2 * LIMIT)
    assert wrong == []
    assert [each.error for each in echoes if each.error] == []
    assert sum(each.member.visits for each in echoes) > 0


class Gate:
    """Holds whoever comes to it up, until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self, came: bytes) -> None:
        if came and not self._open.is_set():
            self.reached.release()
            assert self._open.wait(LIMIT)

    def open(self) -> None:
        self._open.set()


def test_a_leader_that_is_stuck_holds_up_nobody_else(world: World) -> None:
    gates = [Gate() for _ in range(3)]
    stuck = [world.begin(gate) for gate in gates]
    others = [world.begin() for _ in range(3)]
    for each, gate in zip(stuck, gates, strict=True):
        each.peer.send(b"a")
        assert gate.reached.acquire(timeout=LIMIT)  # the third gets there, too
        assert [other.ask(b"b") for other in others] == [b"b"] * 3
    world.wait(lambda: len(world.crowd._threads) == 5)  # one is with each device
    stuck[0].peer.send(b"c")  # its own thread is called, and waits for the batch before
    world.wait(lambda: stuck[0].member.fd not in world.crowd._members)
    for gate in gates:
        gate.open()
    assert stuck[0].answer(2) == b"ac"
    assert [each.peer.recv(1) for each in stuck[1:]] == [b"a", b"a"]
    world.wait(lambda: len(world.crowd._threads) == 2)
    assert [each.ask(b"d") for each in (*stuck, *others)] == [b"d"] * 6


def test_one_that_takes_its_time_is_not_stuck(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as he moves."""
    monkeypatch.setattr(crowd_module, "PATIENCE", 0.5)
    echoes = [world.begin(lambda came: time.sleep(0.01)) for _ in range(2)]
    leader = world.crowd._leader
    for _ in range(30):
        assert [each.ask() for each in echoes] == [b"x"] * 2
    assert world.crowd._leader is leader


def test_while_nothing_comes_nobody_looks_at_the_clock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_module, "SILENCE", 60)
    monkeypatch.setattr(crowd_module, "PATIENCE", 0.1)
    echo = world.begin()
    echo.ask()
    leader = world.crowd._leader
    assert leader is not None
    world.wait(lambda: leader.dozing and leader.polling and not leader.bell.is_set())
    visits = leader.visits
    time.sleep(0.2)
    assert leader.dozing
    assert echo.ask() == b"x"
    world.wait(lambda: leader.dozing and leader.polling and not leader.bell.is_set())
    assert leader.visits > visits
    assert world.crowd._leader is leader


def test_one_that_falls_silent_waits_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_module, "SILENCE", 0.02)
    echo = world.begin()
    echo.ask()
    world.wait(lambda: not world.crowd._members and not echo.member.lent)
    assert echo.ask() == b"x"
    assert echo.own == 1


def test_who_is_heard_of_stays(world: World) -> None:
    echo = world.echo()
    heard = [1, 3, 1, 0]  # requests within each time that would be silence

    def acquire(timeout: float) -> bool:
        echo.member.visits += heard.pop(0)
        return False

    echo.member.called = SimpleNamespace(acquire=acquire)  # type: ignore[assignment]
    world.crowd.keep(echo.member)
    assert heard == []
    assert not world.crowd._members


def test_one_that_is_alone_serves_itself(world: World) -> None:
    echo = world.begin()
    for _ in range(ALONE + 1):
        assert echo.own == 0
        echo.ask()
    world.wait(lambda: not world.crowd._members or echo.member.visits > ALONE)
    assert echo.error is None


def test_one_that_is_called_back_often_lends_itself_less_often(world: World) -> None:
    echo = world.echo()
    echo.server.crowd = SimpleNamespace(keep=lambda member: None)  # it is needed at once
    pauses = []
    for _ in range(10):
        pauses.append(0)
        while not echo.member.stay():
            pauses[-1] += 1
    assert pauses == [0, 1, 3, 7, 15, 31, 63, 127, 255, 255]
    echo.server.crowd = SimpleNamespace(keep=lambda member: setattr(member, "visits", ALONE))
    while not echo.member.stay():
        pass
    assert echo.member.stay()  # it stayed for long
    echo.server.crowd = world.crowd


def test_its_own_thread_raises_what_went_wrong(world: World) -> None:
    mistake = ValueError("made")

    def batch(came: bytes) -> None:
        if came:
            raise mistake

    echo = world.begin(batch)
    other = world.begin()
    echo.peer.send(b"x")
    echo.thread.join(LIMIT)
    assert echo.error is mistake
    assert not echo.line.lock.locked()
    assert other.ask() == b"x"


def test_its_own_thread_finds_that_the_peer_has_gone(world: World) -> None:
    echo, other = world.begin(), world.begin()
    echo.peer.close()
    echo.thread.join(LIMIT)
    assert echo.own == 1
    assert echo.error is None
    assert other.ask() == b"x"


def test_its_own_thread_waits_for_a_lock_that_is_taken(world: World) -> None:
    echo, other = world.begin(), world.begin()
    with echo.line.lock:
        echo.peer.send(b"x")
        world.wait(lambda: echo.member.fd not in world.crowd._members)
        assert other.ask() == b"x"
    assert echo.peer.recv(1) == b"x"


def test_word_that_was_left_meanwhile_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the lock reads the inbox before he is through, or right after."""
    monkeypatch.setattr(crowd_module, "SILENCE", 60)
    words: list[str] = []
    echo = world.begin(lambda came: came and echo.line.inbox.append(lambda: words.append("during")))
    echo.ask()
    assert words == ["during"]
    flush = echo.egress.flush_now
    echo.egress.flush_now = lambda: (echo.line.inbox.append(lambda: words.append("late")), flush())[1]
    echo.taken = len
    echo.ask()
    world.wait(lambda: words == ["during", "late"])


@pytest.mark.parametrize(
    ("arrange", "stays"),
    [
        (lambda echo: None, True),
        (lambda echo: setattr(echo, "taken", lambda came: setattr(echo.connection, "staged_size", 5 * LIGHT)), False),
        (lambda echo: setattr(echo, "taken", lambda came: setattr(echo.connection, "staged_size", 3 * LIGHT)), True),
        (lambda echo: setattr(echo, "taken", lambda came: echo.parked.turns.append("a job")), False),
        (lambda echo: setattr(echo, "taken", lambda came: echo.connection.ready.append("a task")), False),
        (lambda echo: setattr(echo, "taken", lambda came: echo.connection.functions.append("a reset")), False),
        (lambda echo: setattr(echo, "taken", lambda came: setattr(echo.connection, "closing", True)), False),
        (lambda echo: setattr(echo, "stays", lambda: True), False),
        (lambda echo: echo.line.lock.acquire(), False),
        (lambda echo: echo.sock.recv(10), True),
        (lambda echo: (echo.sock.recv(10), echo.peer.close()), False),
    ],
    ids=["nothing", "large answers", "not too large", "it needs a device", "more than may be staged", "a function",
         "the end", "a peer that does not read", "a lock that is taken", "nothing came", "the peer has gone"],
)
def test_what_needs_its_own_thread(world: World, arrange: Callable[[Echo], object], stays: bool) -> None:
    echo = world.echo()
    echo.peer.send(b"1234")
    arrange(echo)
    echo.lend()
    assert _visit(echo.member) is stays
    assert echo.member.problem is None


def test_large_requests_are_its_own_threads(world: World) -> None:
    echo = world.echo()
    echo.batch = lambda count: 1  # type: ignore[method-assign]
    echo.lend()
    echo.peer.send(bytes(LIGHT))
    assert _visit(echo.member)
    assert echo.employed == 1
    echo.peer.send(bytes(LIGHT + 1))
    assert not _visit(echo.member)


def test_a_leader_that_comes_late_leaves_it_alone(world: World) -> None:
    echo = world.echo()
    echo.peer.send(b"x")
    assert _visit(echo.member)
    assert echo.sock.recv(10) == b"x"
    echo.lend()
    assert world.crowd._remove(echo.member) is False
    world.crowd._call(echo.member)
    assert echo.member.called.locked()  # another one has called it, or nobody


class TestWithoutThreads:
    """Then every connection serves itself."""

    @pytest.fixture
    def refuse(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        def after(count: int) -> None:
            start, left = threading.Thread.start, [count]

            def begin(thread: threading.Thread) -> None:
                if thread.name == "crowd":
                    left[0] -= 1
                    if left[0] < 0:
                        raise RuntimeError("can't start new thread")
                start(thread)

            monkeypatch.setattr(threading.Thread, "start", begin)

        return after

    @pytest.mark.parametrize("count", [0, 1])
    def test_to_begin_with(self, world: World, refuse: Callable[[int], None], count: int) -> None:
        refuse(count)
        echoes = [world.echo() for _ in range(2)]
        for each in echoes:
            each.thread.start()
        for _ in range(10):
            assert [each.ask() for each in echoes] == [b"x"] * 2
        world.wait(lambda: not world.crowd._threads)
        assert not world.crowd._members
        assert world.crowd._leader is None

    def test_when_one_is_stuck(self, world: World, refuse: Callable[[int], None]) -> None:
        refuse(2)
        gate = Gate()
        stuck = world.begin(gate)
        others = [world.begin() for _ in range(3)]
        stuck.peer.send(b"a")
        assert gate.reached.acquire(timeout=LIMIT)
        assert [each.ask(b"b") for each in others] == [b"b"] * 3
        world.wait(lambda: len(world.crowd._threads) == 1)
        gate.open()
        assert stuck.peer.recv(1) == b"a"
        world.wait(lambda: not world.crowd._threads)

    def test_without_descriptors(self, world: World) -> None:
        epoll = world.crowd._epoll
        world.crowd._epoll = SimpleNamespace(  # type: ignore[assignment]
            register=lambda *_: (_ for _ in ()).throw(OSError(28, "no space")), poll=epoll.poll
        )
        echo = world.echo()
        echo.thread.start()
        assert echo.ask() == b"x"
        world.crowd._epoll = epoll


def test_close_ends_a_crowd_that_never_was(world: World) -> None:
    world.crowd.close()
    world.crowd.close()


class TestServer:
    """With the real thing."""

    @pytest.fixture
    def clients(self, served: Any, eventually: Callable[..., None]) -> list[Any]:
        """Three of them, all lent."""
        clients = [served.connect(isid=bytes([0x80, 0, 0, 0, 0, number])) for number in range(3)]
        crowd = served.server.crowd
        crowd.open = True  # which it is not by itself (docs/decisions 77)

        def all_lent() -> bool:
            if len(crowd._members) == len(clients):
                return True
            for client in clients:
                client.test_unit_ready(0)
            return False

        eventually(all_lent)
        return clients

    def test_data_comes_back(self, served: Any, clients: list[Any]) -> None:
        for number in range(50):
            for place, client in enumerate(clients):
                client.write(0, 8 * place, bytes([place, number]) * 2048)
            for place, client in enumerate(clients):
                assert client.read(0, 8 * (2 - place), 8) == bytes([2 - place, number]) * 2048
        assert len(served.server.crowd._members) == 3

    def test_a_command_that_takes_long(
        self, clients: list[Any], slow_command: Callable[[int], tuple[threading.Event, threading.Event]]
    ) -> None:
        inside, go_on = slow_command(TEST_UNIT_READY)
        slow, *others = clients
        tag = slow.submit(0, bytes(6))
        assert inside.wait(LIMIT)
        for other in others:
            assert other.read(0, 0, 8) == bytes(4096)
        second = slow.submit(0, INQUIRY, read=36)
        for other in others:
            assert other.read(0, 0, 8) == bytes(4096)
        go_on.set()
        assert slow.wait(tag).status == slow.wait(second).status == 0

    def test_a_peer_that_does_not_read(self, served: Any, clients: list[Any]) -> None:
        slow, *others = clients
        tags = [slow.submit(0, READ_4_MIB, read=4 << 20) for _ in range(12)]
        for other in others:
            assert other.read(0, 0, 8) == bytes(4096)
        assert [slow.wait(tag).status for tag in tags] == [0] * 12

    def test_a_device_that_must_be_waited_for(self, served: Any, clients: list[Any]) -> None:
        served.write_through()
        for number in range(5):
            for place, client in enumerate(clients):
                client.write(0, 8 * place, bytes([place, number]) * 2048)
        assert served.path.read_bytes()[8192 : 8192 + 4] == bytes([2, 4]) * 2

    def test_a_broken_request_costs_one(
        self, served: Any, clients: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        broken, *others = clients
        (pump,) = (pump for pump in served.server._pumps if pump.connection.session.isid[-1] == 0)
        pump.connection.received = Mock(side_effect=FormatError("broken"))
        broken.submit(0, bytes(6))
        assert broken.closed_by_target()
        for other in others:
            other.test_unit_ready(0)
        assert "connection dropped: broken" in caplog.text
        assert "internal error" not in caplog.text

    def test_a_logout(self, served: Any, clients: list[Any], eventually: Callable[..., None]) -> None:
        clients[0].logout()
        eventually(lambda: len(served.server._pumps) == 2)
        for other in clients[1:]:
            other.test_unit_ready(0)

    def test_a_reset_of_others(self, clients: list[Any]) -> None:
        assert clients[0].manage(5, 0) == 0
        for other in clients[1:]:
            assert other.command(0, bytes(6)).status == 2
            other.test_unit_ready(0)

    def test_every_command_is_measured_once(self, served: Any, clients: list[Any]) -> None:
        """Also those whose batch their own thread ends: for a peer that does not read, or a device."""
        served.server.measuring.go_on(60)
        before = measured(served)
        for client in clients:
            for number in range(10):
                client.write(0, number, bytes(512))
                tags = [client.submit(0, READ_4_MIB, read=4 << 20) for _ in range(4)]
                assert [client.wait(tag).status for tag in tags] == [0] * 4
        served.write_through()
        for client in clients:
            for number in range(10):
                client.write(0, number, bytes(512))
        assert measured(served) - before == 3 * 10 * (1 + 4 + 1)
