"""A connection's thread: batches, workers, task management across connections, reinstatement, ends."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.initiator.errors import ConnectionLost
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.function import Function
from ietpy.iscsi.pdu import Opcode
from ietpy.iscsi.session import Session
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.status import Status
from ietpy.server import listener
from ietpy.server import pump as pump_module
from ietpy.server.pressure import STAGED_LIMIT
from tests.server.conftest import replace_while_writing

READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
WRITE_10 = bytes.fromhex("2a 00 00000000 00 0008 00")
READ_4_MIB = bytes.fromhex("28 00 00000000 00 2000 00")
OTHER = bytes.fromhex("800000000002")
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
    with pump.line.lock:
        tags = [client.submit(0, READ_10, read=4096) for _ in range(10)]
    for tag in tags:
        assert client.wait(tag).status == 0
    assert calls.count("send") + calls.count("sendmsg") <= 3


def test_tasks_that_wait_run_side_by_side_on_workers(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    tags = [client.submit(0, READ_10, read=4096) for _ in range(4)]
    for _ in tags:
        assert served.store.entered.acquire(timeout=20)
    served.store.open_gate()
    assert [client.wait(tag).status for tag in tags] == [0] * 4


def test_a_write_that_would_wait_is_not_tried_in_place(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served.lu.set_write_cache(False)
    client = served.connect()
    executed: list[bool] = []
    execute = LogicalUnit.execute

    def noted(unit: LogicalUnit, task: Any) -> bool:
        executed.append(task.may_block)
        return execute(unit, task)

    monkeypatch.setattr(LogicalUnit, "execute", noted)
    assert client.command(0, WRITE_10, write=bytes(4096)).status == 0
    client.test_unit_ready(0)
    assert executed == [True, False]


def test_other_commands_go_on_while_one_waits(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    waiting = client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    client.test_unit_ready(0)
    served.store.open_gate()
    assert client.wait(waiting).status == 0


@pytest.mark.rfc7143("11.5.1-2")
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


def abort(served: Any, client: Any, tag: int, eventually: Callable[..., None]) -> None:
    """Abort a task while its store does not answer: that waits."""
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(client.manage(ABORT_TASK, 0, tag)))
    thread.start()
    eventually(lambda: aborted(served))
    assert answers == []
    served.store.open_gate()
    thread.join(20)
    assert answers == [0]


def test_an_aborted_write_that_no_worker_has_begun_is_never_begun(
    served: Any, eventually: Callable[..., None]
) -> None:
    served.target.wthreads = 1
    served.lu.set_write_cache(False)
    client = served.connect()
    served.store.hold()
    first = client.submit(0, WRITE_10, write=b"1" * 4096)
    assert served.store.entered.acquire(timeout=20)
    second = client.submit(0, bytes.fromhex("2a 00 00000008 00 0008 00"), write=b"2" * 4096)
    (pump,) = served.server._pumps
    eventually(lambda: len(pump.parked) == 1)  # or it would end in the batch
    abort(served, client, second, eventually)
    assert client.wait(first).status == 0
    assert served.path.read_bytes()[:8192] == b"1" * 4096 + bytes(4096)


@pytest.mark.rfc7143("4.2.3.3-7", "11.5.1-5")
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


@pytest.mark.rfc7143("11.5.1-7")
def test_a_cold_reset_closes_every_session(served: Any, eventually: Callable[..., None]) -> None:
    client, other = served.connect(), served.connect(isid=bytes.fromhex("800000000002"))
    assert client.manage(COLD_RESET) == 0
    assert client.closed_by_target()
    assert other.closed_by_target()
    eventually(lambda: not served.target.sessions)


@pytest.mark.rfc7143("6.3.5-1", "4.4.3-2")
def test_the_old_session_has_left_before_the_new_one_begins(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the new one's first commands could meet the reservation of the old."""
    leaving, go_on = threading.Event(), threading.Event()
    end = Session.end

    def slow(session: Session) -> None:
        leaving.set()
        assert go_on.wait(20)
        end(session)

    monkeypatch.setattr(Session, "end", slow)
    first = served.connect()
    assert first.command(0, bytes.fromhex("16 00 00 00 00 00")).status == Status.GOOD  # RESERVE(6)
    (old,) = served.server._pumps
    second = served.dial()
    login = threading.Thread(target=lambda: second.login(LoginPlan(target=served.target.name)))
    login.start()
    assert leaving.wait(20)
    assert not old.finished.is_set()
    go_on.set()
    login.join(20)
    assert second.command(0, bytes(6)).status == Status.CHECK_CONDITION  # the unit attention of a new nexus
    assert second.command(0, bytes(6)).status == Status.GOOD


def test_reinstatement_waits_for_the_old_sessions_work(served: Any, eventually: Callable[..., None]) -> None:
    old = served.connect()
    replace_while_writing(served, old, lambda new: new.login(LoginPlan(target=served.target.name)))
    eventually(lambda: len(served.server._pumps) == 1)


@pytest.mark.rfc7143("7.14-1", "7.1.4.3-1", "7.14-2", "7.1.5-2")
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


@pytest.mark.rfc7143("7.7-1")
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


class TestAPeerThatDoesNotRead:
    """It keeps nobody waiting but itself, and itself not for ever."""

    @pytest.fixture(params=["streamed", "staged"])
    def stuck(
        self, request: Any, served: Any, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> tuple[Any, Any]:
        """A client and its pump, which waits for it to read. Its send timeout is one second."""
        monkeypatch.setattr(listener, "SEND_SECONDS", 1)
        if request.param == "staged":
            monkeypatch.setattr(served.store, "extent", lambda offset, length: None)
        client = served.connect(isid=bytes.fromhex("8000000000ff"))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (pump,) = (pump for pump in served.server._pumps if pump.connection.session.isid[-1] == 0xFF)
        sends: list[None] = []
        inner = pump.egress.flush
        monkeypatch.setattr(pump.egress, "flush", lambda *rest: (sends.append(None), inner(*rest), sends.pop()))
        for _ in range(16):
            client.submit(0, READ_4_MIB, read=4 << 20)
        eventually(lambda: bool(sends) and pump.line.lock.locked())
        return client, pump

    def test_others_are_served(self, served: Any, stuck: Any) -> None:
        served.lu.set_write_cache(False)  # every write needs a worker
        other = served.connect()
        for block in range(20):
            other.write(0, block, b"o" * 512)
        assert other.read(0, 0, 1) == b"o" * 512

    def test_others_reset_the_unit_and_it_is_given_up(
        self, served: Any, stuck: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
    ) -> None:
        other = served.connect()
        caplog.set_level("INFO")
        assert other.manage(LU_RESET, 0) == 0
        eventually(lambda: len(served.server._pumps) == 1)
        assert ": connection " in caplog.text  # dropped or lost: two timeouts of the same length
        assert "internal error" not in caplog.text

    def test_others_reset_the_unit_while_it_reads_a_little_now_and_then(self, served: Any, stuck: Any) -> None:
        client, pump = stuck
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.02):
                client.socket.recv(4000)

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert served.connect().manage(LU_RESET, 0) == 0
            assert not pump.finished.is_set()
        finally:
            over.set()
            thread.join(20)

    def test_the_server_stops(self, served: Any, stuck: Any) -> None:
        assert served.server.stop(0.1) is True

    def test_its_session_can_be_reinstated(self, served: Any, stuck: Any) -> None:
        served.connect(isid=bytes.fromhex("8000000000ff")).test_unit_ready(0)

    def test_a_cold_reset_ends_it(self, served: Any, stuck: Any, eventually: Callable[..., None]) -> None:
        assert served.connect().manage(COLD_RESET) == 0
        eventually(lambda: not served.server._pumps)


def test_the_clock_does_not_wait_nor_put_off_its_look(served: Any) -> None:
    served.target.nop_interval = 1000
    client = served.connect()
    (pump,) = served.server._pumps
    with pump.line.lock:  # as while answers are being sent
        for now in range(1, 10_000, 900):
            pump.tick(float(now))
        assert not pump.line.inbox
    client.test_unit_ready(0)


def test_the_clock_does_not_speak_of_what_others_close(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Callable[..., None]
) -> None:
    client = served.connect()
    (pump,) = served.server._pumps
    monkeypatch.setattr(pump.connection, "tick", lambda now: pump.close())  # as if by a login that replaces it
    eventually(lambda: bool(pump.tick(1.0) or pump.connection.closing))  # it may still hold its lock
    assert client.closed_by_target()
    assert not caplog.records


def test_a_batch_of_reads_is_staged_in_parts(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.store, "extent", lambda offset, length: None)
    client = served.connect()
    (pump,) = served.server._pumps
    staged = [0]
    inner = pump_module.complete

    def complete(connection: Any, task: Any) -> None:
        inner(connection, task)
        staged.append(connection.staged_size)

    monkeypatch.setattr(pump_module, "complete", complete)
    with pump.line.lock:
        tags = [client.submit(0, READ_4_MIB, read=4 << 20) for _ in range(8)]
    for tag in tags:
        assert client.wait(tag).status == 0
    assert max(staged) <= STAGED_LIMIT + (4 << 20)


def test_workers_get_no_more_than_can_be_answered(served: Any, eventually: Callable[..., None]) -> None:
    client = served.connect()
    (pump,) = served.server._pumps
    served.store.hold()
    tags = [client.submit(0, READ_10, read=4096) for _ in range(12)]
    eventually(lambda: len(pump.parked) == 12 - served.target.wthreads)
    with pump.line.lock:  # as while an answer is being sent to a peer that does not read
        served.store.open_gate()
        eventually(lambda: len(pump.line.inbox) == served.target.wthreads)
        assert len(pump.parked) == 12 - served.target.wthreads
    pump.line.attend()
    assert [client.wait(tag).status for tag in tags] == [0] * 12
    assert not pump.parked


def test_nothing_goes_to_workers_while_much_is_staged(served: Any, eventually: Callable[..., None]) -> None:
    client = served.connect()
    (pump,) = served.server._pumps
    with pump.line.lock:
        pump.connection.staged_size = STAGED_LIMIT + 1
        pump.connection.staged.append(memoryview(b""))
        pump.parked.add(SimpleNamespace(
            nexus=SimpleNamespace(lu=served.lu), unstable=None, plan=None, attribute=0, data_length=0, expected=0
        ))
        pump.employ()
        assert (pump.parked.running, len(pump.parked)) == (0, 1)
        pump.parked.clear()
    client.test_unit_ready(0)
    eventually(lambda: pump.connection.staged_size == 0)


def test_a_mistake_on_a_worker_costs_one_session(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Callable[..., None]
) -> None:
    client, other = served.connect(), served.connect(isid=OTHER)
    served.lu.set_write_cache(False)
    with monkeypatch.context() as patch:
        patch.setattr(served.store, "write", lambda *arguments: 1 // 0)
        client.submit(0, WRITE_10, write=bytes(4096))
        assert client.closed_by_target()
    assert "internal error" in caplog.text
    other.write(0, 0, b"o" * 4096)
    eventually(lambda: len(served.target.sessions) == 1)


class TestWritesMadeStableTogether:
    """Write-through on a store that commits: written as they come, answered after a sync that is theirs."""

    @pytest.fixture
    def client(self, served: Any) -> Any:
        served.write_through()
        return served.connect()

    @pytest.fixture
    def held(self, served: Any, client: Any, eventually: Callable[..., None]) -> list[int]:
        """A write whose sync is under way, and four that wait for the next; block n * 8 is filled with n."""
        served.store.hold()
        tags = [self.write(client, 0)]
        assert served.store.entered.acquire(timeout=20)
        tags += [self.write(client, number) for number in range(1, 5)]
        (pump,) = served.server._pumps
        eventually(lambda: len(pump.parked) == 4)
        return tags

    @staticmethod
    def write(client: Any, number: int) -> int:
        tag: int = client.submit(0, bytes.fromhex(f"2a 00 {number * 8:08x} 00 0008 00"), write=bytes([number]) * 4096)
        return tag

    def test_writes_are_answered_after_a_sync_they_share(self, served: Any, client: Any, held: list[int]) -> None:
        client.test_unit_ready(0)
        assert served.path.read_bytes()[:5 * 4096] == b"".join(bytes([number]) * 4096 for number in range(5))
        served.store.open_gate()
        assert [client.wait(tag).status for tag in held] == [0] * 5
        assert served.store.commits == 2

    def test_the_abort_of_one_waits_for_its_sync(
        self, served: Any, client: Any, held: list[int], eventually: Callable[..., None]
    ) -> None:
        abort(served, client, held.pop(2), eventually)
        assert [client.wait(tag).status for tag in held] == [0] * 4

    def test_a_sync_that_fails_fails_all_it_was_for_and_no_more(
        self, served: Any, client: Any, held: list[int]
    ) -> None:
        served.store.fail = errno.EIO
        served.store.open_gate()
        outcomes = [client.wait(tag) for tag in held]
        assert [each.status for each in outcomes] == [Status.CHECK_CONDITION] * 5
        assert {(each.sense[2], each.sense[12], each.sense[13]) for each in outcomes} == {(3, 0x0C, 0)}
        served.store.fail = 0
        assert client.command(0, WRITE_10, write=bytes(4096)).status == 0

    def test_one_by_one_each_has_its_own(self, served: Any, client: Any) -> None:
        for number in range(3):
            assert client.wait(self.write(client, number)).status == 0
        assert served.store.commits == 3

    @pytest.mark.usefixtures("held")
    def test_a_connection_that_ends_leaves_nothing(self, served: Any, eventually: Callable[..., None]) -> None:
        (pump,) = served.server._pumps
        served.server.end_connection(pump.connection)
        eventually(lambda: not pump.parked)
        served.store.open_gate()
        eventually(lambda: not served.target.sessions)
        assert served.store.commits == 1

    def test_a_mistake_costs_one_session(
        self, served: Any, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(served.store, "commit", lambda mark: 1 // 0)
        client.submit(0, WRITE_10, write=bytes(4096))
        assert client.closed_by_target()
        assert "internal error" in caplog.text


class TestMovesInBatches:
    """Reads and writes on a store that takes many at once: those that came meanwhile are its next batch."""

    @pytest.fixture
    def client(self, served: Any) -> Any:
        served.batch()
        return served.connect()

    @pytest.fixture
    def held(self, served: Any, client: Any, eventually: Callable[..., None]) -> list[int]:
        """A write that is under way, alone; and two more and two reads that wait. Block n * 8 is to be n's."""
        served.store.hold()
        tags = [self.write(client, 0)]
        assert served.store.entered.acquire(timeout=20)
        tags += [self.write(client, 1), self.write(client, 2), self.read(client, 3), self.read(client, 4)]
        (pump,) = served.server._pumps
        eventually(lambda: len(pump.parked) == 4)
        return tags

    @staticmethod
    def write(client: Any, number: int) -> int:
        tag: int = client.submit(0, bytes.fromhex(f"2a 00 {number * 8:08x} 00 0008 00"), write=bytes([number]) * 4096)
        return tag

    @staticmethod
    def read(client: Any, number: int) -> int:
        tag: int = client.submit(0, bytes.fromhex(f"28 00 {number * 8:08x} 00 0008 00"), read=4096)
        return tag

    def test_what_came_meanwhile_is_moved_together(self, served: Any, client: Any, held: list[int]) -> None:
        client.test_unit_ready(0)
        before = served.path.read_bytes()
        served.store.open_gate()
        outcomes = [client.wait(tag) for tag in held]
        assert [each.status for each in outcomes] == [0] * 5
        assert [bytes(each.data) for each in outcomes[3:]] == [before[12288:16384], before[16384:20480]]
        assert served.path.read_bytes()[:12288] == b"".join(bytes([number]) * 4096 for number in range(3))
        assert served.store.moved == [4]

    def test_what_was_aborted_before_is_not_moved(
        self, served: Any, client: Any, held: list[int], eventually: Callable[..., None]
    ) -> None:
        abort(served, client, held.pop(2), eventually)
        assert [client.wait(tag).status for tag in held] == [0] * 4
        assert served.store.moved == [3]


class TestWithoutThreads:
    """The system gives none: what was asked for fails, nothing is left behind."""

    @pytest.fixture
    def scarce(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """scarce(name): threads whose name has this in it do not start any more."""

        def forbid(part: str) -> None:
            real = threading.Thread.start

            def start(thread: threading.Thread) -> None:
                if part in thread.name:
                    raise RuntimeError("can't start new thread")
                real(thread)

            monkeypatch.setattr(threading.Thread, "start", start)

        return forbid

    def test_a_task_for_a_worker_is_answered_busy(self, served: Any, scarce: Callable[[str], None]) -> None:
        client = served.connect()
        served.lu.set_write_cache(False)
        scarce("-worker-")
        assert client.command(0, WRITE_10, write=bytes(4096)).status == Status.BUSY
        tags = [client.submit(0, WRITE_10, write=bytes(4096)) for _ in range(6)]
        assert [client.wait(tag).status for tag in tags] == [Status.BUSY] * 6
        client.test_unit_ready(0)

    def test_a_login_is_dropped(
        self, served: Any, scarce: Callable[[str], None], eventually: Callable[..., None]
    ) -> None:
        served.target.max_sessions = 1
        with pytest.MonkeyPatch.context():
            scarce("session-")
            with pytest.raises(ConnectionLost):
                served.connect()
        eventually(lambda: not served.target.sessions and not served.server._pumps)

    def test_a_connection_that_needs_a_sender_is_dropped(
        self, served: Any, scarce: Callable[[str], None], eventually: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    ) -> None:
        client = served.connect()
        (pump,) = served.server._pumps
        scarce("sender")
        monkeypatch.setattr(pump.egress, "flush_now", lambda: False)
        pump.line.post(lambda: None)
        assert client.closed_by_target()
        assert "connection dropped: can't start new thread" in caplog.text
        eventually(lambda: not served.server._pumps)


def batch(client: Any) -> None:
    """Send what is queued in one piece."""
    client.socket.sendall(b"".join(client.session.output))
    client.session.output.clear()


class TestLogout:
    """Nothing follows the Logout Response (RFC 7143 section 11.14)."""

    def opcodes(self, client: Any) -> list[int]:
        """What comes until the target closes the connection."""
        seen = []
        while True:
            try:
                seen.append(client.receive_pdu(strict=False).opcode)
            except ConnectionLost:
                return seen

    def test_not_the_answers_of_its_batch(self, served: Any) -> None:
        client = served.connect()
        client.session.command(0, READ_10, read=4096)
        client.session.logout()
        batch(client)
        assert self.opcodes(client) == [Opcode.LOGOUT_RESPONSE]

    @pytest.mark.parametrize("aborted", [False, True], ids=["the command's", "the abort's"])
    def test_not_a_workers_answer(self, served: Any, aborted: bool, eventually: Callable[..., None]) -> None:
        client = served.connect()
        served.store.hold()
        tag = client.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        if aborted:
            client.session.manage(ABORT_TASK, 0, tag)
            client._flush()
        client.session.logout()
        client._flush()
        assert client.receive_pdu(strict=False).opcode == Opcode.LOGOUT_RESPONSE
        served.store.open_gate()
        assert self.opcodes(client) == []
        eventually(lambda: not served.target.sessions)

    def test_a_reset_of_its_batch_still_reaches_others(self, served: Any, eventually: Callable[..., None]) -> None:
        client, other = served.connect(), served.connect(isid=OTHER)
        served.store.hold()
        other.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        client.session.manage(LU_RESET, 0)
        client.session.logout()
        batch(client)
        assert self.opcodes(client)[-1] == Opcode.LOGOUT_RESPONSE
        eventually(lambda: aborted(served))
        served.store.open_gate()
        assert other.command(0, bytes(6)).status == Status.CHECK_CONDITION  # and no answer to the read before it


@pytest.mark.rfc7143("11.6.1-1")
def test_a_cold_reset_is_answered_before_its_connection_closes(served: Any) -> None:
    """Also when word that it is done comes while the connection sends."""
    client = served.connect()
    (pump,) = served.server._pumps
    tag = client.session.manage(COLD_RESET)
    client.session.output.clear()
    function = Function(pump.connection, tag)
    function.closing = [pump.connection]
    with pump.line.lock:
        pump.egress.busy = True
        pump._say(function)
        assert not pump.connection.closing
        pump.egress.busy = False
    pump.line.attend()
    assert client.wait(tag) == 0
    assert client.closed_by_target()


@pytest.mark.parametrize("second", [ABORT_TASK, LU_RESET])
def test_a_second_function_waits_as_well(served: Any, second: int, eventually: Callable[..., None]) -> None:
    client = served.connect()
    served.store.hold()
    task = client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    tags = [client.session.manage(function, 0, task) for function in (ABORT_TASK, second)]
    client._flush()
    eventually(lambda: any(len(each.aborted_by or ()) == 2 for each in running(served)))
    client.ping()
    assert not any(tag in client.session.results for tag in tags)
    served.store.open_gate()
    assert [client.wait(tag) for tag in tags] == [0, 0]


def test_a_function_whose_initiator_has_gone_is_no_mistake(
    served: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    client, other = served.connect(), served.connect(isid=OTHER)
    served.store.hold()
    client.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    other.session.manage(COLD_RESET)
    other._flush()
    eventually(lambda: aborted(served))
    other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    other.close()
    served.store.open_gate()
    assert client.closed_by_target()
    eventually(lambda: not served.server._pumps)
    assert "internal error" not in caplog.text


class TestReinstatementOfASessionWhoseWorkDoesNotEnd:
    """No new command may run beside an old write (RFC 7143 section 6.3.5)."""

    @pytest.fixture
    def hung(self, served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A session with a write that hangs in the store; logins in its place wait a moment."""
        monkeypatch.setattr(pump_module, "REINSTATEMENT_WAIT", 0.1)
        served.lu.set_write_cache(False)
        client = served.connect()
        served.store.hold()
        client.submit(0, WRITE_10, write=b"o" * 4096)
        assert served.store.entered.acquire(timeout=20)
        return client

    def test_every_attempt_is_dropped(
        self, served: Any, hung: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(3):
            with pytest.raises(ConnectionLost):
                served.connect()
            eventually(lambda: len(served.server._pumps) == 1)
        assert caplog.text.count("work of what it replaces has not ended") == 3
        served.store.open_gate()
        eventually(lambda: not served.server._pumps)
        served.connect().test_unit_ready(0)

    def test_so_is_one_that_replaces_another_that_waits(
        self, served: Any, hung: Any, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pump_module, "REINSTATEMENT_WAIT", 20)
        dialled = [served.dial(), served.dial()]
        failed: list[type] = []

        def login(client: Any) -> None:
            try:
                client.login(LoginPlan(target=served.target.name))
            except ConnectionLost as problem:
                failed.append(type(problem))

        first = threading.Thread(target=login, args=(dialled[0],))
        first.start()

        def waiting() -> list[Any]:
            return [pump for pump in list(served.server._pumps) if pump.predecessors]

        eventually(lambda: len(waiting()) == 1)
        (second_waits,) = waiting()
        second = threading.Thread(target=login, args=(dialled[1],))
        second.start()
        first.join(20)
        assert failed == [ConnectionLost]
        eventually(lambda: any(pump is not second_waits for pump in waiting()))
        (third_waits,) = (pump for pump in waiting() if pump is not second_waits)
        assert len(third_waits.predecessors) == 2
        served.store.open_gate()
        second.join(20)
        assert failed == [ConnectionLost]
        assert dialled[1].command(0, bytes(6)).status == Status.CHECK_CONDITION

    def test_a_reset_of_a_third_waits_for_the_old_write(
        self, served: Any, hung: Any, eventually: Callable[..., None]
    ) -> None:
        third = served.connect(isid=OTHER)
        with pytest.raises(ConnectionLost):
            served.connect()
        reset = third.session.manage(LU_RESET, 0)
        third._flush()
        (pump,) = (pump for pump in served.server._pumps if pump.connection.session in served.target.ending)
        eventually(lambda: any(task.aborted_by for task in list(pump.connection.session.running)))
        third.ping()
        assert reset not in third.session.results
        served.store.open_gate()
        assert third.wait(reset) == 0


def running(served: Any) -> list[Any]:
    return [task for session in list(served.target.sessions.values()) for task in list(session.running)]
