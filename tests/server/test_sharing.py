"""Sessions of several connections on real sockets: nobody waits for another one's peer.

``ietpy/initiator`` is the only initiator here that opens a second connection of a session.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, TimedOut
from ietpy.iscsi import pings
from ietpy.iscsi.async_messages import Event
from ietpy.iscsi.pdu import Opcode
from ietpy.server import listener, sharing
from tests.server.conftest import replace_while_writing

READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
WRITE_10 = bytes.fromhex("2a 00 00000000 00 0008 00")
READ_4_MIB = bytes.fromhex("28 00 00000000 00 2000 00")
ABORT_TASK, ABORT_TASK_SET, LU_RESET = 1, 2, 5


@pytest.fixture
def lead(served: Any) -> Client:
    """The leading connection of a session that may have four."""
    served.target.key_values = {"MaxConnections": 4}
    leader: Client = served.connect(keys={"MaxConnections": "4"})
    return leader


@pytest.fixture
def join(served: Any, lead: Client) -> Callable[..., Client]:
    def make(cid: int = 1, **changes: Any) -> Client:
        client: Client = served.dial()
        client.join(lead, cid, **changes)
        return client

    return make


def pump_of(served: Any, cid: int) -> Any:
    (pump,) = (each for each in served.server._pumps if each.connection.cid == cid)
    return pump


def test_both_read_and_write(served: Any, lead: Client, join: Any) -> None:
    other = join()
    lead.write(0, 0, b"a" * 4096)
    other.write(0, 8, b"b" * 4096)
    assert other.read(0, 0, 16) == lead.read(0, 0, 16) == b"a" * 4096 + b"b" * 4096
    assert len(served.target.sessions) == 1
    assert sorted(each["cid"] for each in served.server.sessions()) == [0, 1]
    assert len({each["tsih"] for each in served.server.sessions()}) == 1


@pytest.mark.rfc7143("4.2.2.1-5", "4.2.5.1-1")
def test_whoever_fills_a_gap_has_the_others_answered(served: Any, lead: Client, join: Any) -> None:
    """Nothing comes by the other connection meanwhile, and its thread waits for it."""
    other = join()
    for _ in range(20):
        first = lead.make(Opcode.SCSI_COMMAND, flags=0x80, cdb=bytes(16))
        second = other.make(Opcode.SCSI_COMMAND, flags=0x80, cdb=bytes(16))
        other.send_pdu(second)
        other.send_pdu(other.make(Opcode.NOP_OUT, immediate=True, target_transfer_tag=0xFFFFFFFF))
        assert other.receive_pdu().opcode == Opcode.NOP_IN  # so the command before it was taken, and held
        lead.send_pdu(first)
        assert lead.receive_pdu().opcode == Opcode.SCSI_RESPONSE
        assert other.receive_pdu().opcode == Opcode.SCSI_RESPONSE


def test_commands_dealt_out_to_all(served: Any, lead: Client, join: Any) -> None:
    clients = [lead, join(1), join(2), join(3)]
    for turn in range(30):
        tags = []
        for index, client in enumerate(clients):
            block = (turn * 4 + index) * 8
            cdb = b"\x2a\0" + block.to_bytes(4, "big") + b"\0\0\x08\0"
            tags.append(client.submit(0, cdb, write=bytes([turn * 4 + index]) * 4096))
        for client, tag in reversed(list(zip(clients, tags, strict=True))):
            assert client.wait(tag).status == 0
    assert served.path.read_bytes()[: 120 * 4096] == b"".join(bytes([number]) * 4096 for number in range(120))


def test_side_by_side(served: Any, lead: Client, join: Any) -> None:
    """Two threads, each with its own connection, whose numbers they take from one counter."""
    other = join()
    turn = threading.Lock()
    wrong: list[Any] = []

    def work(client: Client, first: int) -> None:
        for round_ in range(100):
            data = bytes([first, round_]) * 2048
            with turn:  # the counter is not for two threads at once
                tag = client.submit(0, b"\x2a\0" + first.to_bytes(4, "big") + b"\0\0\x08\0", write=data)
            if client.wait(tag).status:
                wrong.append(("write", first, round_))
            with turn:
                tag = client.submit(0, b"\x28\0" + first.to_bytes(4, "big") + b"\0\0\x08\0", read=4096)
            if client.wait(tag).data != data:
                wrong.append(("read", first, round_))

    threads = [threading.Thread(target=work, args=pair) for pair in ((lead, 0), (other, 64))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


def test_who_waits_for_a_worker_is_answered_on_its_connection(served: Any, lead: Client, join: Any) -> None:
    other = join()
    served.store.hold()
    tags = [client.submit(0, READ_10, read=4096) for client in (lead, other)]
    for _ in tags:
        assert served.store.entered.acquire(timeout=20)
    served.store.open_gate()
    assert [client.wait(tag).status for client, tag in zip((lead, other), tags, strict=True)] == [0, 0]


@pytest.mark.parametrize("function", [ABORT_TASK, ABORT_TASK_SET, LU_RESET])
def test_functions_end_tasks_of_all_connections(
    served: Any, lead: Client, join: Any, function: int, eventually: Callable[..., None]
) -> None:
    other = join()
    served.store.hold()
    tag = other.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(lead.manage(function, 0, tag)))
    thread.start()
    (session,) = served.target.sessions.values()
    eventually(lambda: any(task.aborted_by is not None for task in list(session.running)))
    assert answers == []
    served.store.open_gate()
    while thread.is_alive():  # it may wait for what this connection is asked meanwhile (``iscsi/ordering.py``)
        assert other.ping(b"still there") == b"still there"  # and no answer to the read before it
    assert other.ping(b"still there") == b"still there"
    assert answers == [0]


class TestTheEndOfOne:
    def test_a_lost_connection_leaves_the_others(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]
    ) -> None:
        other = join()
        lead.close()
        eventually(lambda: len(served.server._pumps) == 1)
        other.test_unit_ready(0)
        assert len(served.target.sessions) == 1
        other.close()
        eventually(lambda: not served.target.sessions)

    def test_nobody_is_told_of_what_was_logged_out_or_replaced(self, served: Any, lead: Client, join: Any) -> None:
        first, second = join(1), join(2)
        assert first.logout(1).response == 0
        again = join(2)
        assert again.ping() == lead.ping() == b""
        assert second.closed_by_target()
        assert lead.session.messages == again.session.messages == []

    @pytest.mark.rfc7143("11.14.5-1", "7.14-1")
    def test_its_tasks_end_and_the_initiator_is_told(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]
    ) -> None:
        other = join()
        served.store.hold()
        other.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        pump = pump_of(served, 1)
        other.close()
        eventually(lambda: pump.connection.closing)
        served.store.open_gate()
        eventually(lambda: len(served.server._pumps) == 1)
        answer = lead.command(0, bytes(6))
        assert (answer.status, answer.sense[12:14]) == (2, b"\x47\x7f")

    def test_a_broken_pdu_drops_only_its_connection(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]
    ) -> None:
        other = join()
        other.send_pdu(other.make(Opcode.LOGIN_REQUEST))
        assert other.closed_by_target()
        lead.test_unit_ready(0)

    def test_what_others_sent_is_executed_when_the_batch_breaks_off(
        self, served: Any, lead: Client, join: Any
    ) -> None:
        """The gap is filled by a request that is followed by nonsense in the same batch."""
        other = join()
        filling = lead.make(Opcode.SCSI_COMMAND, flags=0x80, cdb=bytes(16))
        held = other.make(Opcode.SCSI_COMMAND, flags=0x80, cdb=bytes(16))
        other.send_pdu(held)
        other.send_pdu(other.make(Opcode.NOP_OUT, immediate=True, target_transfer_tag=0xFFFFFFFF))
        assert other.receive_pdu().opcode == Opcode.NOP_IN
        lead.send_pdu(filling + lead.make(Opcode.LOGIN_REQUEST))
        assert other.receive_pdu().opcode == Opcode.SCSI_RESPONSE

    def test_logout_of_another(self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]) -> None:
        other = join()
        served.store.hold()
        other.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        served.store.open_gate()
        assert lead.logout(1, 1).response == 0
        eventually(lambda: len(served.server._pumps) == 1)
        lead.test_unit_ready(0)

    def test_logout_of_the_session(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]
    ) -> None:
        other = join()
        assert lead.logout().response == 0
        assert other.closed_by_target()
        eventually(lambda: not served.target.sessions and not served.server._pumps)


class TestReinstatement:
    @pytest.mark.rfc7143("6.3.4-2", "6.3.4-3", "6.3.1-5")
    @pytest.mark.parametrize("most", [1, 4])
    def test_of_a_connection_in_the_middle_of_a_write(
        self, served: Any, most: int, eventually: Callable[..., None]
    ) -> None:
        served.target.key_values = {"MaxConnections": most}
        old = served.connect(keys={"MaxConnections": "4"})
        replace_while_writing(served, old, lambda new: new.join(old, 0))
        assert len(served.target.sessions) == 1
        eventually(lambda: len(served.server._pumps) == 1)

    def test_of_the_session_closes_all_connections(self, served: Any, lead: Client, join: Any) -> None:
        other = join()
        served.connect().test_unit_ready(0)
        assert lead.closed_by_target()
        assert other.closed_by_target()
        assert len(served.target.sessions) == 1

    def test_one_that_was_closed_before_its_thread_began(self, served: Any, lead: Client, join: Any) -> None:
        """As by a session that is reinstated at that moment."""
        inner = served.server.promote

        def promote(login: Any) -> None:
            login.pump.close()
            inner(login)

        served.server.promote = promote
        with pytest.raises(ConnectionLost):
            join()
        served.server.promote = inner
        lead.test_unit_ready(0)
        join().test_unit_ready(0)


class TestAPeerThatDoesNotRead:
    """It keeps nobody waiting but itself, and itself not for ever."""

    @pytest.fixture
    def stuck(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> Any:
        monkeypatch.setattr(listener, "SEND_SECONDS", 1)
        client = join(7)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        pump = pump_of(served, 7)
        for _ in range(8):
            client.submit(0, READ_4_MIB, read=4 << 20)
        eventually(lambda: pump.egress.busy and bool(pump.egress.unsent))
        return pump

    def test_the_other_connections_go_on(self, served: Any, lead: Client, stuck: Any) -> None:
        served.lu.set_write_cache(False)
        for block in range(20):
            lead.write(0, block, b"o" * 512)
        assert lead.read(0, 0, 1) == b"o" * 512

    def test_it_is_given_up(self, served: Any, lead: Client, stuck: Any, eventually: Callable[..., None]) -> None:
        eventually(lambda: len(served.server._pumps) == 1)
        lead.test_unit_ready(0)

    def test_its_tasks_are_bounded(self, served: Any, stuck: Any) -> None:
        with stuck.line.lock:
            assert stuck.connection.staged_size <= 8 << 20

    def test_what_its_pings_bring_back_is_bounded(
        self, served: Any, lead: Client, join: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listener, "SEND_SECONDS", 1)
        client = join(3, keys={"MaxRecvDataSegmentLength": "262144"})
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        pump = pump_of(served, 3)
        ping = client.make(
            Opcode.NOP_OUT, bytes(1 << 18), immediate=True, initiator_task_tag=9, target_transfer_tag=0xFFFFFFFF
        )
        sizes = []
        with contextlib.suppress(ConnectionLost, TimedOut):
            for _ in range(400):
                client.send_pdu(ping, timeout=5)
                sizes.append(sum(map(len, pump.egress.unsent)))
        assert 0 < max(sizes) < 24 << 20

    def test_a_reset_of_another_connection(self, lead: Client, stuck: Any) -> None:
        assert lead.manage(LU_RESET, 0) == 0

    def test_a_logout_of_another_connection(self, lead: Client, stuck: Any) -> None:
        assert lead.logout(1, 7).response == 0

    def test_the_server_stops(self, served: Any, stuck: Any) -> None:
        assert served.server.stop(0.1) is True


class TestRecovery:
    """ErrorRecoveryLevel 2: tasks outlive their connection (sections 6.3.4, 7.2.2, 7.5)."""

    @pytest.fixture
    def lead(self, served: Any) -> Client:
        served.target.key_values = {"MaxConnections": 4, "ErrorRecoveryLevel": 2, "DefaultTime2Retain": 20}
        leader: Client = served.connect(
            keys={"MaxConnections": "4", "ErrorRecoveryLevel": "2", "DefaultTime2Retain": "20", "DefaultTime2Wait": "0",
                  "InitialR2T": "Yes", "ImmediateData": "No"}
        )
        assert leader.outcome is not None
        assert leader.outcome.parameters.error_recovery_level == 2
        return leader

    @pytest.mark.rfc7143("7.2.2-1", "7.14-1", "11.14-2")
    def test_a_read_that_a_worker_finished_after_the_loss(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]
    ) -> None:
        lead.write(0, 0, b"r" * 4096)
        other = join()
        served.store.hold()
        tag = other.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        pump = pump_of(served, 1)
        other.close()
        eventually(lambda: pump.connection.stranded)
        served.store.open_gate()
        assert pump.finished.wait(20)
        assert lead.logout(2, 1).response == 0
        assert lead.reassign(other, tag) == 0
        answer = lead.wait(tag)
        assert (answer.status, answer.data) == (0, b"r" * 4096)

    @pytest.mark.rfc7143("6.3.4-1", "7.2.2-1")
    def test_a_write_in_the_middle_of_its_data_after_reinstatement(self, served: Any, lead: Client) -> None:
        tag = lead.session.command(0, WRITE_10, write=b"w" * 4096)
        output, lead.session.output = lead.session.output, []
        lead.send_pdu(b"".join(output))
        lead.session.handle(lead._next_pdu(lead._deadline(None)))  # the R2T; its data is lost
        lead.session.output.clear()
        lead.close()
        again = served.dial()
        again.join(lead, 0)
        assert again.reassign(lead, tag) == 0
        assert again.wait(tag).status == 0
        assert served.path.read_bytes()[:4096] == b"w" * 4096
        assert len(served.target.sessions) == 1

    def test_a_session_without_a_connection(
        self, served: Any, lead: Client, eventually: Callable[..., None]
    ) -> None:
        """It goes on with the next one, which needs no MaxConnections left (section 6.3.6)."""
        lead.write(0, 0, b"s" * 512)
        pump = pump_of(served, 0)
        lead.close()
        assert pump.finished.wait(20)
        eventually(lambda: not served.server._pumps)
        assert len(served.target.sessions) == 1
        again = served.dial()
        again.join(lead, 5)
        assert again.logout(2, 0).response == 0
        assert again.read(0, 0, 1) == b"s" * 512

    def test_it_ends_in_time(
        self, served: Any, lead: Client, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (session,) = served.target.sessions.values()
        session.parameters.default_time2wait = session.parameters.default_time2retain = 0
        lead.submit(0, WRITE_10, write=b"w" * 4096)
        lead.close()
        eventually(lambda: not served.target.sessions)
        assert not session.tasks

    def test_it_ends_when_its_session_is_reinstated(self, served: Any, lead: Client) -> None:
        (session,) = served.target.sessions.values()
        lead.submit(0, WRITE_10, write=b"w" * 4096)
        pump = pump_of(served, 0)
        lead.close()
        assert pump.finished.wait(20)
        served.connect().test_unit_ready(0)
        assert not session.tasks
        assert list(served.target.sessions.values()) != [session]

    def test_it_ends_with_the_server(self, served: Any, lead: Client) -> None:
        lead.submit(0, WRITE_10, write=b"w" * 4096)
        pump = pump_of(served, 0)
        lead.close()
        assert pump.finished.wait(20)
        assert served.server.stop(5)
        assert pump.left.is_set()
        assert not served.target.sessions

    @pytest.mark.rfc7143("7.2.2-1")
    def test_reassigned_while_a_worker_executes_it(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]
    ) -> None:
        """The answer to the logout, which waits for that, need not be waited for."""
        lead.write(0, 0, b"r" * 4096)
        other = join()
        (session,) = served.target.sessions.values()
        served.store.hold()
        tag = other.submit(0, READ_10, read=4096)
        eventually(lambda: len(session.running) == 1)
        leaving = lead.session.logout(2, 1)
        assert lead.reassign(other, tag) == 0
        served.store.open_gate()
        answer = lead.wait(tag)
        assert (answer.status, answer.data) == (0, b"r" * 4096)
        assert lead.wait(leaving).response == 0

    @pytest.mark.rfc7143("7.2.2-1")
    def test_reassigned_while_it_is_parked(self, served: Any, lead: Client, join: Any) -> None:
        """It is the other's from then on, also if its old connection is closed for good meanwhile."""
        other = join()
        served.store.hold()
        tags = [other.submit(0, READ_10, read=4096) for _ in range(6)]  # there are four workers
        for _ in range(4):
            assert served.store.entered.acquire(timeout=20)
        lead.session.logout(2, 1)
        assert [lead.reassign(other, tag) for tag in tags] == [0] * 6
        lead.session.logout(1, 1)
        assert lead.ping(b"taken") == b"taken"
        served.store.open_gate()
        assert [lead.wait(tag).status for tag in tags] == [0] * 6

    @pytest.mark.rfc7143("11.4.11-1")
    def test_the_others_hear_of_the_window(
        self, served: Any, lead: Client, join: Any, eventually: Callable[..., None]
    ) -> None:
        """Answers that are kept for a lost connection say it to nobody."""
        other = join()
        (session,) = served.target.sessions.values()
        served.store.hold()
        while lead.session.numbering.window_open:
            other.submit(0, READ_10, read=4096)
        eventually(lambda: len(session.running) == 16)
        pump = pump_of(served, 1)
        other.socket.close()
        eventually(lambda: pump.connection.stranded)
        served.store.open_gate()
        while lead.session.numbering.max_cmd_sn != session.max_cmd_sn or session.running:
            lead.session.handle(lead.receive_pdu())
        lead.test_unit_ready(0)

    def test_it_ends_when_it_is_closed_while_it_is_stranded(
        self, served: Any, lead: Client, eventually: Callable[..., None]
    ) -> None:
        """Who ends it may find its thread on the way and leave no word: nothing of it stays."""
        (session,) = served.target.sessions.values()
        lead.submit(0, WRITE_10, write=b"w" * 4096)
        pump = pump_of(served, 0)
        lead.close()
        assert pump.finished.wait(20)
        pump.connection.recoverable = False
        pump.close()
        pump.line.post(lambda: None)
        assert pump.left.wait(20)
        assert not session.tasks
        assert not served.target.sessions
        assert not served.node.memory.used

    def test_it_is_shown_and_can_be_ended(self, served: Any, lead: Client, eventually: Callable[..., None]) -> None:
        (session,) = served.target.sessions.values()
        lead.submit(0, WRITE_10, write=b"w" * 4096)
        pump = pump_of(served, 0)
        lead.close()
        assert pump.finished.wait(20)
        eventually(lambda: pump not in served.server._pumps)
        assert [(each["tsih"], each["cid"]) for each in served.server.sessions()] == [(session.tsih, 0)]
        changed = threading.Event()
        served.server.sessions_changed = changed.set
        served.server.end_connection(pump.connection)
        assert pump.left.wait(20)
        assert changed.wait(20)
        assert served.server.sessions() == []
        assert not served.target.sessions

    def test_logout_for_recovery_of_its_own(self, served: Any, lead: Client, join: Any) -> None:
        other = join()
        tag = other.session.command(0, WRITE_10, write=b"w" * 4096)
        output, other.session.output = other.session.output, []
        other.send_pdu(b"".join(output))
        other.session.handle(other._next_pdu(other._deadline(None)))
        other.session.output.clear()
        pump = pump_of(served, 1)
        assert other.logout(2).response == 0
        assert pump.finished.wait(20)
        assert lead.reassign(other, tag) == 0
        assert lead.wait(tag).status == 0
        assert served.path.read_bytes()[:4096] == b"w" * 4096

    def test_what_came_in_a_batch_with_the_logout(self, served: Any, lead: Client, join: Any) -> None:
        """It is executed, and answered by the connection it is reassigned to."""
        other = join()
        tag = other.session.command(0, bytes(6))
        commands, other.session.output = other.session.output, []
        leaving = other.session.logout(2, 1)
        logout, other.session.output = other.session.output, []
        pump = pump_of(served, 1)
        other.send_pdu(b"".join((*commands, *logout)))
        assert other.wait(leaving).response == 0
        assert pump.finished.wait(20)
        assert lead.reassign(other, tag) == 0
        assert lead.wait(tag).status == 0

    def test_under_io_connections_come_and_go(self, served: Any, lead: Client, join: Any) -> None:
        """Each command is carried out once and answered, whatever becomes of the connection it came by."""
        clients = {0: lead, 1: join(1)}
        for turn in range(12):
            victim, other = clients[turn % 2], clients[(turn + 1) % 2]
            tags = {}
            for client in (victim, other):
                block = 8 * len(tags)
                cdb = b"\x2a\0" + block.to_bytes(4, "big") + b"\0\0\x08\0"
                tags[client.submit(0, cdb, write=bytes([turn, block]) * 2048)] = client
            victim.close()
            (mine, _), (others, _) = tags.items()
            assert other.wait(others).status == 0
            cid = turn % 2
            again = served.dial()
            again.join(lead, cid)
            clients[cid] = again
            response = again.reassign(victim, mine)
            if response == 0:
                assert again.wait(mine).status == 0
            else:
                assert response == 1  # the connection broke before the command had come
        assert len(served.target.sessions) == 1


@pytest.mark.rfc7143("7.1.4.3-2")
def test_word_left_while_what_is_unsent_is_counted_is_read(served: Any, lead: Client) -> None:
    """Before the connection waits for a peer that does not read."""
    (pump,) = served.server._pumps
    read = threading.Event()

    class Unsent(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            pump.line.post(read.set)
            return iter(())

    pump.egress.unsent = Unsent()
    assert not sharing._is_behind(pump)
    assert read.is_set()


def test_the_others_are_told_of_a_lost_connection(lead: Client, join: Any) -> None:
    join(cid=7).socket.close()
    pdu = lead.receive_pdu()
    assert (pdu.opcode, pdu.header["async_event"]) == (Opcode.ASYNC_MESSAGE, Event.CONNECTION_DROP)
    assert (pdu.header["parameter1"], pdu.header["parameter2"], pdu.header["parameter3"]) == (7, 2, 0)


def test_nobody_is_told_of_one_that_logged_out(lead: Client, join: Any) -> None:
    other = join(cid=7)
    assert other.logout(1).response == 0
    other.close()
    assert lead.ping(b"nothing else") == b"nothing else"
    assert lead.session.messages == []


@pytest.mark.rfc7143("11.4.11-1")
def test_the_others_hear_of_the_window_that_a_lost_connection_leaves(
    served: Any, lead: Client, join: Any, eventually: Callable[..., None]
) -> None:
    """It was full of writes whose data will not come; nothing else is sent to the one that is left."""
    other = join()
    (session,) = served.target.sessions.values()
    while lead.session.numbering.window_open:
        other.session.command(0, bytes.fromhex("2a 00 00000000 00 0800 00"), write=bytes(1 << 20))
        command, *_ = other.session.output
        other.session.output.clear()
        other.send_pdu(command)
    eventually(lambda: len(session.tasks) == 16)
    other.socket.close()
    assert [lead.receive_pdu().opcode for _ in range(2)] == [Opcode.ASYNC_MESSAGE, Opcode.NOP_IN]
    assert lead.session.numbering.max_cmd_sn == session.max_cmd_sn == session.exp_cmd_sn + 15


def test_a_function_whose_connection_is_lost_is_forgotten(
    served: Any, lead: Client, join: Any, eventually: Callable[..., None]
) -> None:
    """Its tag may be a command's, which can be aborted."""
    other = join()
    (session,) = served.target.sessions.values()
    served.store.hold()
    lead.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    other.session.manage(LU_RESET)
    other.ping()
    pump = pump_of(served, 1)
    assert session.managing
    other.socket.close()
    eventually(lambda: pump.connection.closing)
    served.store.open_gate()
    eventually(lambda: not session.managing)


def test_a_reset_does_not_wait_for_ever_for_another_connection(
    served: Any, lead: Client, join: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its peer takes the ping and does not answer."""
    monkeypatch.setattr(pings, "ANSWER_SECONDS", 1)
    other = join()
    assert lead.manage(LU_RESET) == 0
    assert other.receive_pdu().opcode == Opcode.NOP_IN
    assert other.closed_by_target()


def test_a_mistake_has_nothing_executed_twice(served: Any, lead: Client, join: Any, monkeypatch: Any) -> None:
    """A batch has commands of both, and the second one's breaks it off: the first one's is over."""
    other = join()
    commands = [client.make(Opcode.SCSI_COMMAND, flags=0x80, cdb=bytes(16)) for client in (lead, other, lead)]
    executed: list[Any] = []
    execute = served.lu.execute

    def fail(task: Any) -> bool:
        executed.append(task.connection.cid)
        if task.connection.cid == 1:
            raise ZeroDivisionError
        return bool(execute(task))

    monkeypatch.setattr(type(served.lu), "execute", lambda lu, task: fail(task))
    other.send_pdu(commands[1])
    other.send_pdu(other.make(Opcode.NOP_OUT, immediate=True, target_transfer_tag=0xFFFFFFFF))
    assert other.receive_pdu().opcode == Opcode.NOP_IN
    lead.send_pdu(commands[0] + commands[2])
    assert lead.closed_by_target()
    assert executed == [0, 1]
