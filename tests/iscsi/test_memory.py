"""Memory for writes that are not whole yet, and the command window while there is none."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.iscsi import memory, pings, task_management, transfer
from ietpy.iscsi.memory import LIMIT, Memory
from ietpy.iscsi.pdu import Opcode

NO_TAG = 0xFFFFFFFF
BLOCK = 512
SIMPLE, ORDERED, HEAD_OF_QUEUE = 1, 2, 3


class Write(SimpleNamespace):
    """As much of a ``Transfer`` as memory looks at."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__

    def __init__(self, session: Any, needed: int) -> None:
        super().__init__(session=session, needed=needed, room=0, admitted=False)


class Asking:
    """Sessions that ask ``memory`` for room."""

    def __init__(self, limit: int) -> None:
        self.memory = Memory(threading.RLock(), limit)

    def session(self, address: str = "192.0.2.1") -> Any:
        return Session(address)

    def ask(self, session: Any, needed: int) -> tuple[Write, bool]:
        write = Write(session, needed)
        return write, self.memory.admit(session, write)  # type: ignore[arg-type]

    def end(self, write: Write) -> list[Write]:
        return self.memory.leave(write.session, write)  # type: ignore[arg-type,return-value]


class Session:
    short = False

    def __init__(self, address: str) -> None:
        self.source = address


@pytest.fixture
def asking() -> Asking:
    return Asking(100)


def test_writes_are_let_in_while_there_is_room(asking: Asking) -> None:
    sessions = [asking.session() for _ in range(2)]
    writes = [asking.ask(session, 25) for session in sessions for _ in range(2)]
    assert all(let_in for _, let_in in writes)
    assert asking.memory.used == 100
    assert not any(session.short for session in sessions)
    for write, _ in writes:
        assert asking.end(write) == []
    assert asking.memory.used == 0


def test_nobody_has_more_than_half_but_for_his_first(asking: Asking) -> None:
    session = asking.session()
    assert asking.ask(session, 50)[1]
    late, let_in = asking.ask(session, 1)
    assert not let_in
    assert session.short
    assert list(asking.memory.waiting) == [late]
    huge = asking.session()
    assert asking.ask(huge, 1000)[1]
    assert not huge.short


def test_the_oldest_goes_first_and_none_past_it(asking: Asking) -> None:
    one, two, three = (asking.session() for _ in range(3))
    first = [asking.ask(session, 30)[0] for session in (one, two, three)]
    big, small = asking.ask(one, 20), asking.ask(two, 10)
    assert (big[1], small[1]) == (False, False)
    assert asking.end(small[0]) == []
    again = asking.ask(two, 5)
    assert not again[1]  # there would be room, but the older one waits for it
    assert asking.end(first[2]) == [big[0], again[0]]


def test_who_has_his_share_holds_up_nobody_else(asking: Asking) -> None:
    one, two = asking.session(), asking.session()
    asking.ask(one, 50)
    waits, _ = asking.ask(one, 10)
    assert asking.ask(two, 10)[1]
    assert asking.ask(two, 10)[1]
    assert list(asking.memory.waiting) == [waits]


def test_who_has_nothing_under_way_is_always_let_in(asking: Asking) -> None:
    full = asking.session()
    asking.ask(full, 100)
    other = asking.session()
    first, let_in = asking.ask(other, 60)
    assert let_in
    second, let_in = asking.ask(other, 60)
    assert not let_in
    assert asking.end(first) == [second]
    assert asking.memory.used == 160
    assert asking.memory.awaited_by(other) is False


class TestBeyondTheLimit:
    """First writes of sessions, of 20 bytes or more unless they are small."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "SMALL", 5)

    def test_there_is_an_end_at_twice_the_limit(self, asking: Asking) -> None:
        sessions = [asking.session(f"192.0.2.{number}") for number in range(10)]
        writes = [asking.ask(session, 30) for session in sessions]
        assert [let_in for _, let_in in writes] == [True] * 6 + [False] * 4
        assert asking.memory.used == 180
        assert all(session.short for session in sessions[6:])
        late, let_in = asking.ask(asking.session("198.51.100.1"), 10)  # there is room for it, but others came before
        assert not let_in
        assert asking.end(writes[0][0]) == [writes[6][0]]
        assert asking.end(writes[1][0]) == [writes[7][0]]
        for write, _ in writes[2:8]:
            asking.end(write)
        assert list(asking.memory.waiting) == []
        for write in (writes[8][0], writes[9][0], late):
            asking.end(write)
        assert asking.memory.used == 0

    def test_one_address_has_the_limit_and_no_more(self, asking: Asking) -> None:
        greedy = [asking.ask(asking.session("192.0.2.1"), 30) for _ in range(4)]
        assert [let_in for _, let_in in greedy] == [True] * 3 + [False]
        assert asking.ask(asking.session("192.0.2.2"), 60)[1]
        assert asking.end(greedy[0][0]) == [greedy[3][0]]

    def test_small_writes_are_let_in_whatever_others_have(self, asking: Asking) -> None:
        for number in range(6):
            asking.ask(asking.session(f"192.0.2.{number}"), 30)
        session = asking.session("192.0.2.1")
        assert not asking.ask(asking.session("192.0.2.1"), 30)[1]
        assert asking.ask(session, 5)[1]
        assert not asking.ask(session, 5)[1]

    def test_one_of_any_size_goes_when_nobody_is_under_way(self, asking: Asking) -> None:
        """Those who hold the memory may all wait for it."""
        holder, huge = asking.session(), asking.session()
        held, _ = asking.ask(holder, 90)
        waiting, let_in = asking.ask(huge, 1000)
        assert not let_in
        assert asking.memory.rest(holder, held) == [waiting]  # type: ignore[arg-type]

    def test_too_much_that_nobody_asked_for_is_turned_away(self, asking: Asking) -> None:
        told: list[None] = []
        asking.memory.watch = lambda: told.append(None)

        def unasked(session: Any, size: int) -> tuple[Write, bool]:
            write = Write(session, size)
            return write, asking.memory.occupy(session, write, size)  # type: ignore[arg-type]

        greedy = [unasked(asking.session(f"192.0.2.{number}"), 30) for number in range(7)]
        assert [kept for _, kept in greedy] == [True] * 6 + [False]
        assert (asking.memory.used, asking.memory.scarce, len(told)) == (180, True, 1)
        session = asking.session("198.51.100.1")
        assert unasked(session, 5)[1]
        assert not unasked(session, 20)[1]
        for write, _ in greedy[:3]:
            asking.end(write)
        assert not asking.memory.scarce
        assert unasked(session, 20)[1]


def test_who_waits_for_his_turn_keeps_nobody_of_his_session_out(asking: Asking) -> None:
    """It may be the one that he waits for."""
    session = asking.session()
    first, _ = asking.ask(session, 50)
    second, let_in = asking.ask(session, 50)
    assert not let_in
    assert asking.memory.rest(session, first) == [second]  # type: ignore[arg-type]
    asking.memory.resume(session, first)  # type: ignore[arg-type]
    asking.memory.resume(session, second)  # type: ignore[arg-type]
    third, let_in = asking.ask(session, 50)
    assert not let_in
    assert asking.end(second) == []
    assert asking.end(first) == [third]
    assert asking.end(third) == []
    assert asking.memory.used == 0


def test_data_nobody_asked_for_is_counted(asking: Asking) -> None:
    session = asking.session()
    unasked = Write(session, 40)
    asking.memory.occupy(session, unasked, 30)  # type: ignore[arg-type]
    assert asking.memory.used == 30
    assert asking.memory.admit(session, unasked)  # type: ignore[arg-type]
    assert asking.memory.used == 40
    assert asking.end(unasked) == []
    assert asking.memory.used == 0


def test_somebody_is_told_to_look_at_the_clock(asking: Asking) -> None:
    told: list[None] = []
    asking.memory.watch = lambda: told.append(None)
    session = asking.session()
    asking.ask(session, 100)
    assert told == []
    asking.ask(session, 1)
    assert len(told) == 1


def test_there_is_a_limit_by_default(node: Any) -> None:
    assert node.memory.limit == LIMIT == 256 * 1024 * 1024


# With connections -------------------------------------------------------------------------------------------------


@pytest.fixture
def small(node: Any) -> Any:
    """Room for eight blocks, four of them for one session."""
    node.memory.limit = 8 * BLOCK
    return node.memory


def send(nexus: Any, r2t: Any, fill: bytes) -> list[Any]:
    """The data an R2T asks for."""
    answers: list[Any] = nexus.ask(nexus.data_out(
        r2t.initiator_task_tag, r2t.target_transfer_tag, fill * r2t.desired_data_transfer_length, r2t.buffer_offset
    ))
    return answers


@pytest.mark.rfc7143("4.2.2.1-8")
def test_the_window_closes_while_a_write_waits_and_opens_behind_it(connect: Any, store: Any, small: Any) -> None:
    nexus = connect()
    (first,) = nexus.ask(nexus.write(0, 4))
    assert nexus.ask(nexus.write(4, 4)) == []  # no R2T
    before = nexus.session.max_cmd_sn
    for room in range(5, -1, -1):  # commands that finish make no room for others
        (answer,) = nexus.ask(nexus.command("00"))
        assert answer.max_cmd_sn == before
        assert answer.max_cmd_sn - answer.exp_cmd_sn + 1 == room
    assert nexus.ask(nexus.command("00")) == []  # the window is closed: ignored
    nexus.cmd_sn -= 1
    done, second = send(nexus, first, b"1")
    assert (done.status, done.max_cmd_sn) == (0, before)
    assert second.opcode == Opcode.READY_TO_TRANSFER
    assert second.max_cmd_sn == before + 7
    (done,) = send(nexus, second, b"2")
    assert done.max_cmd_sn == done.exp_cmd_sn + 7
    assert store.data[: 8 * BLOCK] == b"1" * 4 * BLOCK + b"2" * 4 * BLOCK
    assert small.used == 0


@pytest.mark.rfc7143("11.4.11-1", "11.19-3", "11.19.1-1")
def test_a_window_that_nothing_else_opens_is_opened_by_a_nop_in(connect: Any, small: Any) -> None:
    """The write that waits is aborted by another session; its initiator is told that it may send commands again."""
    nexus, other = connect(), connect(isid=b"ISID02")
    nexus.ask(nexus.write(0, 4))
    nexus.ask(nexus.write(4, 4))
    (answer,) = nexus.ask(nexus.command("00"))
    other.feed(other.request(Opcode.TASK_MANAGEMENT_REQUEST, flags=0x85))
    (function,) = other.connection.functions
    assert task_management.abort(function, nexus.session)
    (told,) = nexus.answers()
    assert (told.opcode, told.initiator_task_tag, told.target_transfer_tag) == (Opcode.NOP_IN, NO_TAG, NO_TAG)
    assert told.max_cmd_sn == answer.max_cmd_sn + 3
    assert small.used == 0


def test_the_write_of_another_session_goes_on(connect: Any, store: Any, small: Any) -> None:
    one, two, three = connect(), connect(isid=b"ISID02"), connect(isid=b"ISID03")
    (held,) = one.ask(one.write(0, 4))
    three.ask(three.write(20, 3))
    (first,) = two.ask(two.write(8, 1))
    assert two.ask(two.write(12, 2)) == []
    assert [answer.status for answer in send(one, held, b"1")] == [0]
    (second,) = two.answers()
    assert second.desired_data_transfer_length == 2 * BLOCK
    for r2t in (second, first):
        (done,) = send(two, r2t, b"2")
        assert done.status == 0


def test_a_write_that_waits_can_be_aborted_and_never_begins(connect: Any, small: Any) -> None:
    nexus = connect()
    (held,) = nexus.ask(nexus.write(0, 4))
    tag, number = nexus.tag, nexus.cmd_sn
    nexus.feed(nexus.write(4, 4))
    (answer,) = nexus.ask(nexus.request(
        Opcode.TASK_MANAGEMENT_REQUEST, flags=0x81, referenced_task_tag=tag, ref_cmd_sn=number
    ))
    assert (answer.opcode, answer.response) == (Opcode.TASK_MANAGEMENT_RESPONSE, 0)
    assert not small.waiting
    assert [each.status for each in send(nexus, held, b"1")] == [0]
    assert small.used == 0


def test_one_that_others_abort_says_so_at_once(connect: Any, target: Any, small: Any) -> None:
    target.device.logical_units[0].task_aborted_status = True
    nexus, other = connect(), connect(isid=b"ISID02")
    nexus.ask(nexus.write(0, 4))
    tag = nexus.tag
    nexus.ask(nexus.write(4, 4))
    other.feed(other.request(Opcode.TASK_MANAGEMENT_REQUEST, flags=0x85))
    (function,) = other.connection.functions
    assert task_management.abort(function, nexus.session)
    answer, told = nexus.answers()
    assert (answer.initiator_task_tag, answer.status, told.opcode) == (tag, 0x40, Opcode.NOP_IN)


def test_a_write_that_would_be_refused_by_now_is_not_asked_for(connect: Any, target: Any, small: Any) -> None:
    nexus = connect()
    (held,) = nexus.ask(nexus.write(0, 4))
    nexus.ask(nexus.write(4, 4))
    target.device.logical_units[0].write_protected = True
    *_, answer = send(nexus, held, b"1")
    assert (answer.opcode, answer.status) == (Opcode.SCSI_RESPONSE, 2)
    assert not nexus.session.tasks
    assert small.used == 0


def test_room_that_came_too_late_is_given_back(connect: Any, small: Any) -> None:
    """Between the word that there is room and its reading the connection may close."""
    nexus = connect()
    (held,) = nexus.ask(nexus.write(0, 4))
    nexus.feed(nexus.write(4, 4))
    (waiting,) = small.waiting
    nexus.feed(nexus.data_out(held.initiator_task_tag, held.target_transfer_tag, bytes(2048), 0))
    nexus.connection.closing = True
    waiting.go_on(nexus.connection)
    assert small.used == waiting.room


def test_data_that_nobody_asked_for_ends_a_write_that_waits(connect: Any, small: Any) -> None:
    nexus = connect()
    nexus.ask(nexus.write(0, 4))
    tag = nexus.tag
    assert nexus.ask(nexus.write(4, 4)) == []
    answer, told = nexus.ask(nexus.data_out(tag, NO_TAG, b"", 0))
    assert (answer.opcode, answer.status) == (Opcode.SCSI_RESPONSE, 2)
    assert (told.opcode, told.max_cmd_sn) == (Opcode.NOP_IN, answer.max_cmd_sn + 1)
    assert not small.waiting


def test_unsolicited_data_counts(connect: Any, small: Any) -> None:
    nexus = connect()
    nexus.feed(nexus.write(0, 4, b"x" * BLOCK, flags=0x20))
    assert small.used == 4 * BLOCK
    nexus.feed(nexus.data_out(nexus.tag - 1, NO_TAG, b"x" * 3 * BLOCK, BLOCK))
    assert small.used == 0


@pytest.mark.parametrize("copied", [1, 4096])
def test_little_data_holds_no_receive_chunk(
    connect: Any, store: Any, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    monkeypatch.setattr(transfer, "COPIED", copied)
    nexus = connect()
    (r2t,) = nexus.ask(nexus.write(0, 2))
    tag, ours = r2t.initiator_task_tag, r2t.target_transfer_tag
    nexus.feed(nexus.data_out(tag, ours, b"a" * BLOCK, 0, final=False))
    assert nexus.connection.window.chunk.pins == (1 if copied < BLOCK else 0)
    (answer,) = nexus.ask(nexus.data_out(tag, ours, b"b" * BLOCK, BLOCK, 1))
    assert answer.status == 0
    assert store.data[: 2 * BLOCK] == b"a" * BLOCK + b"b" * BLOCK
    assert nexus.connection.window.chunk.pins == 0


@pytest.mark.parametrize("much", [False, True])
def test_chunks_that_hold_little_are_let_go(
    connect: Any, store: Any, monkeypatch: pytest.MonkeyPatch, much: bool
) -> None:
    """Data of a write between data that goes elsewhere would hold all the chunks it came in."""
    monkeypatch.setattr(transfer, "COPIED", 0)
    nexus = connect()
    window = nexus.connection.window
    monkeypatch.setattr(transfer, "CROWDED", 4)
    nexus.connection.crowded = 4
    (r2t,) = nexus.ask(nexus.write(0, 64))
    tag, ours = r2t.initiator_task_tag, r2t.target_transfer_tag
    data = b"".join(bytes((number,)) * BLOCK for number in range(64))
    held = []
    for number in range(64):
        piece = data[number * BLOCK : (number + 1) * BLOCK]
        nexus.feed(nexus.data_out(tag, ours, piece, number * BLOCK, number, final=number == 63))
        if not much:
            nexus.feed(nexus.request(Opcode.NOP_OUT, bytes(2000), target_transfer_tag=NO_TAG, immediate=True))
        held.append(window.held)
    assert 7 <= max(held) * window.size // 4096 <= 2 * len(data) // 4096 + 5  # of 56 that such data came in
    assert store.data[: len(data)] == data
    assert [each.status for each in nexus.answers() if each.opcode == Opcode.SCSI_RESPONSE] == [0]
    assert window.held == 0


def test_a_window_to_be_told_of_is_something_to_send(nexus: Any) -> None:
    assert nexus.connection.nothing_queued()
    nexus.connection.untold = True
    assert not nexus.connection.nothing_queued()
    assert [answer.opcode for answer in nexus.answers()] == [Opcode.NOP_IN]
    assert nexus.connection.nothing_queued()


def test_who_has_nothing_to_send_is_not_given_up(connect: Any, small: Any) -> None:
    """What another connection of the session is to send, or what is ours to ask for."""
    nexus, other = connect(), connect(isid=b"ISID02")
    nexus.ask(nexus.write(0, 4))
    (task,) = nexus.session.tasks.values()
    other.feed(other.write(8, 4))
    other.feed(other.write(12, 4))
    task.connection = other.connection
    for now in (0.0, 100.0):
        assert not pings.overdue(nexus.connection, now)


def test_who_holds_memory_and_sends_nothing_is_given_up(connect: Any, small: Any) -> None:
    nexus, other = connect(), connect(isid=b"ISID02")
    nexus.ask(nexus.write(0, 4))
    assert not pings.overdue(nexus.connection, 0.0)
    assert not pings.overdue(nexus.connection, 100.0)  # nobody waits for it
    other.feed(other.write(8, 4))
    other.feed(other.write(12, 4))
    assert not pings.overdue(nexus.connection, 200.0)
    assert pings.overdue(nexus.connection, 200.0 + pings.ANSWER_SECONDS)


def test_a_byte_now_and_then_is_not_enough(
    connect: Any, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pings, "STEP", 2 * BLOCK)
    nexus, other = connect(), connect(isid=b"ISID02")
    (r2t,) = nexus.ask(nexus.write(0, 4))
    other.feed(other.write(8, 4))
    other.feed(other.write(12, 4))
    tag, ours = r2t.initiator_task_tag, r2t.target_transfer_tag

    def send_block(number: int) -> None:
        nexus.feed(nexus.data_out(tag, ours, bytes(BLOCK), number * BLOCK, number, final=False))

    assert not pings.overdue(nexus.connection, 0.0)
    send_block(0)
    assert not pings.overdue(nexus.connection, 20.0)
    send_block(1)
    assert not pings.overdue(nexus.connection, 29.0)  # that is something
    send_block(2)
    assert not pings.overdue(nexus.connection, 58.0)
    assert pings.overdue(nexus.connection, 59.0)


def test_data_that_nobody_asked_for_and_has_no_room_is_dropped(
    connect: Any, store: Any, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its command ends with BUSY when it has come, and may be tried again; who holds the memory is given his time."""
    monkeypatch.setattr(memory, "SMALL", 0)
    greedy, nexus = connect(), connect(isid=b"ISID02")
    tags = []
    for number in range(2):
        tags.append(greedy.tag)
        greedy.feed(greedy.write(4 * number, 4, b"x" * BLOCK, flags=0x20))
    assert not pings.overdue(greedy.connection, 0.0)
    nexus.feed(nexus.write(16, 4, b"a" * BLOCK, flags=0x20))
    tag = nexus.tag - 1
    assert nexus.ask(nexus.data_out(tag, NO_TAG, b"b" * BLOCK, BLOCK, 0, final=False)) == []
    (answer,) = nexus.ask(nexus.data_out(tag, NO_TAG, b"c" * 2 * BLOCK, 2 * BLOCK, 1))
    assert (answer.opcode, answer.status, answer.initiator_task_tag) == (Opcode.SCSI_RESPONSE, 8, tag)
    assert store.data[16 * BLOCK : 20 * BLOCK] == bytes(4 * BLOCK)
    assert small.used == 8 * BLOCK
    assert not pings.overdue(greedy.connection, 1.0)
    assert pings.overdue(greedy.connection, 1.0 + pings.ANSWER_SECONDS)
    for tag in tags:
        greedy.feed(greedy.data_out(tag, NO_TAG, b"x" * 3 * BLOCK, BLOCK))
    assert small.used == 0
    assert not small.scarce
    nexus.feed(nexus.write(16, 4, b"a" * BLOCK, flags=0x20))
    (answer,) = nexus.ask(nexus.data_out(nexus.tag - 1, NO_TAG, b"b" * 3 * BLOCK, BLOCK, 0))
    assert answer.status == 0


@pytest.mark.parametrize("attribute", [SIMPLE, ORDERED])
def test_one_that_others_wait_for_is_let_in(connect: Any, store: Any, small: Any, attribute: int) -> None:
    """They have their data, and hold the memory."""
    nexus = connect()
    (first,) = nexus.ask(nexus.write(0, 4, attribute=attribute))
    assert nexus.ask(nexus.write(4, 4, attribute=HEAD_OF_QUEUE)) == []  # there is no memory for it
    (second,) = send(nexus, first, b"1")
    assert second.opcode == Opcode.READY_TO_TRANSFER
    assert len(nexus.session.dormant) == 1
    assert [answer.status for answer in send(nexus, second, b"2")] == [0]
    nexus.work()
    assert [answer.status for answer in nexus.answers()] == [0]
    assert store.data[: 8 * BLOCK] == b"1" * 4 * BLOCK + b"2" * 4 * BLOCK
    assert small.used == 0
