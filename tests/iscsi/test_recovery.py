"""Tasks that outlive their connection at ErrorRecoveryLevel 2, and TASK REASSIGN (RFC 7143 sections 6.3.4, 7.2.2, 7.5).

Nobody but ``ietpy/initiator`` does this, so what is expected here is the RFC's word only.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ietpy.iscsi import recovery
from ietpy.iscsi.logout import gone
from ietpy.iscsi.pdu import Opcode

REASSIGN, ABORT_TASK, LU_RESET = 8, 1, 5
RESPONSE, DATA_IN, R2T, MANAGED, LOGGED_OUT = (
    Opcode.SCSI_RESPONSE, Opcode.DATA_IN, Opcode.READY_TO_TRANSFER, Opcode.TASK_MANAGEMENT_RESPONSE,
    Opcode.LOGOUT_RESPONSE,
)
CLOSE_SESSION, CLOSE, RECOVER = 0, 1, 2


@pytest.fixture
def make(connect: Any) -> Any:
    def connect_at_level_2(**options: Any) -> Any:
        return connect(**{"error_recovery_level": 2, "max_connections": 2, "default_time2retain": 10} | options)

    return connect_at_level_2


@pytest.fixture
def pair(make: Any) -> tuple[Any, Any]:
    first = make()
    return first, first.join(7)


def lose(nexus: Any) -> None:
    """What a pump does when its connection is lost and nothing of it executes any more."""
    nexus.connection.stranded, nexus.connection.closing = True, False
    recovery.suspend(nexus.connection)
    recovery.strand(nexus.connection)


def logout(nexus: Any, reason: int, cid: int) -> Any:
    return nexus.ask(nexus.request(Opcode.LOGOUT_REQUEST, flags=0x80 | reason, cid=cid, immediate=True))


def manage(nexus: Any, tag: int, function: int = REASSIGN, exp_data_sn: int = 0, **fields: Any) -> Any:
    return nexus.ask(nexus.request(
        Opcode.TASK_MANAGEMENT_REQUEST, flags=0x80 | function, immediate=True, referenced_task_tag=tag,
        exp_data_sn=exp_data_sn, **fields,
    ))


@pytest.mark.rfc7143("7.2.2-3", "7.2.2-4", "11.5.1-8", "11.5.1-9")
class TestWhatIsAnswered:
    def test_below_level_2(self, connect: Any, store: Any) -> None:
        first = connect(max_connections=2, error_recovery_level=1)
        store.waits = True
        tag = first.tag
        first.feed(first.read(0, 1))
        (answer,) = manage(first.join(1), tag)
        assert (answer.opcode, answer.response) == (MANAGED, 4)

    def test_of_no_task(self, pair: Any) -> None:
        first, second = pair
        (answer,) = manage(second, 999)
        assert answer.response == 1
        lose(first)
        assert manage(second, 999)[0].response == 1

    def test_of_a_task_whose_connection_is_there(self, pair: Any, store: Any) -> None:
        first, second = pair
        done = first.tag
        first.feed(first.read(0, 1))
        store.waits = True
        under_way = first.tag
        first.feed(first.read(0, 1))
        assert [manage(second, tag)[0].response for tag in (done, under_way)] == [3, 3]

    def test_of_a_task_whose_connection_was_not_logged_out(self, pair: Any) -> None:
        first, second = pair
        done = first.tag
        first.feed(first.read(0, 1))
        waiting = first.tag
        first.feed(first.write(0, 8))
        lose(first)
        assert [manage(second, tag)[0].response for tag in (done, waiting)] == [3, 3]

    def test_of_what_is_no_command(self, pair: Any) -> None:
        first, second = pair
        tag = first.tag
        manage(first, 999, ABORT_TASK)
        lose(first)
        logout(second, RECOVER, 0)
        assert manage(second, tag)[0].response == 255

    def test_of_data_that_was_let_go(self, pair: Any) -> None:
        first, second = pair
        tag = first.tag
        first.connection.retention.limit = 100
        first.feed(first.read(0, 1))
        lose(first)
        logout(second, RECOVER, 0)
        assert manage(second, tag)[0].response == 255


class TestLogout:
    @pytest.mark.rfc7143("11.14-2")
    def test_for_recovery_of_a_lost_connection(self, pair: Any) -> None:
        first, second = pair
        lose(first)
        (answer,) = logout(second, RECOVER, 0)
        assert (answer.response, answer.time2wait, answer.time2retain) == (0, 2, 10)
        (answer,) = logout(second, RECOVER, 0)
        assert answer.response == 1

    def test_for_recovery_of_one_that_is_there(self, pair: Any) -> None:
        first, second = pair
        tag = first.tag
        first.feed(first.write(0, 8))
        first.answers()
        assert logout(second, RECOVER, 0) == []
        assert first.connection.closing
        lose(first)
        gone(first.connection)
        (answer,) = second.answers()
        assert (answer.opcode, answer.response) == (LOGGED_OUT, 0)
        assert manage(second, tag)[0].response == 0

    def test_for_recovery_of_the_own_connection(self, pair: Any) -> None:
        first, second = pair
        tag = first.tag
        first.feed(first.write(0, 8))
        first.answers()
        (answer,) = logout(first, RECOVER, 0)
        assert (answer.opcode, answer.response) == (LOGGED_OUT, 0)
        assert first.connection.closing
        lose(first)
        assert [each.opcode for each in manage(second, tag)] == [MANAGED, R2T]

    def test_for_recovery_of_none(self, pair: Any) -> None:
        assert logout(pair[0], RECOVER, 99)[0].response == 1

    @pytest.mark.rfc7143("11.14.5-1")
    def test_to_close_a_lost_connection_ends_its_tasks(self, pair: Any) -> None:
        first, second = pair
        tag = first.tag
        first.feed(first.write(0, 8))
        lose(first)
        answer, window = logout(second, CLOSE, 0)
        assert (window.opcode, window.max_cmd_sn) == (Opcode.NOP_IN, first.session.max_cmd_sn)
        assert answer.response == 0
        assert not first.session.stranded
        (answer,) = second.ask(second.command("00"))
        assert answer.data[14:16] == b"\x47\x7f"
        assert manage(second, tag)[0].response == 1
        assert not first.session.leave(first.connection)

    def test_to_close_the_session_ends_lost_connections_as_well(self, pair: Any) -> None:
        first, second = pair
        first.feed(first.write(0, 8))
        lose(first)
        assert logout(second, CLOSE_SESSION, 0)[0].response == 0
        assert not first.session.tasks
        assert not first.session.stranded


@pytest.fixture
def recovered(pair: Any) -> Any:
    """recovered() -> the connection that is left, once the other was lost and logged out."""
    first, second = pair

    def recover() -> Any:
        first.answers()
        lose(first)
        assert logout(second, RECOVER, 0)[0].response == 0
        return second

    return recover


@pytest.mark.rfc7143("7.2.2-1", "7.2.2-2", "7.2.2-5", "7.2.2-6", "11.5.6-1", "11.5.6-2", "11.6-1")
class TestReassigned:
    def test_a_write_goes_on_where_it_is(self, pair: Any, recovered: Any, store: Any) -> None:
        first, tag = pair[0], pair[0].tag
        (r2t,) = first.ask(first.write(0, 8, b"a" * 512))
        assert r2t.buffer_offset == 512
        second = recovered()
        managed, again = manage(second, tag)
        assert (managed.opcode, managed.response) == (MANAGED, 0)
        assert (again.opcode, again.r2t_sn, again.buffer_offset) == (R2T, r2t.r2t_sn, 512)
        (answer,) = second.ask(second.data_out(tag, again.target_transfer_tag, b"b" * 3584, 512))
        assert answer.status == 0
        assert store.data[:4096] == b"a" * 512 + b"b" * 3584

    def test_data_of_an_r2t_begins_again(self, pair: Any, recovered: Any, store: Any) -> None:
        first, tag = pair[0], pair[0].tag
        (r2t,) = first.ask(first.write(0, 8))
        first.feed(first.data_out(tag, r2t.target_transfer_tag, b"x" * 1024, 0, final=False))
        second = recovered()
        _, again = manage(second, tag)
        assert (again.buffer_offset, again.desired_data_transfer_length) == (0, 4096)
        (answer,) = second.ask(second.data_out(tag, again.target_transfer_tag, b"y" * 4096, 0))
        assert answer.status == 0
        assert store.data[:4096] == b"y" * 4096

    def test_unsolicited_data_that_did_not_come_is_asked_for(self, pair: Any, recovered: Any, store: Any) -> None:
        first, tag = pair[0], pair[0].tag
        assert first.ask(first.write(0, 8, b"a" * 512, flags=0x20)) == []
        second = recovered()
        _, r2t = manage(second, tag)
        assert (r2t.r2t_sn, r2t.buffer_offset, r2t.desired_data_transfer_length) == (0, 512, 3584)
        (answer,) = second.ask(second.data_out(tag, r2t.target_transfer_tag, b"b" * 3584, 512))
        assert answer.status == 0
        assert store.data[:4096] == b"a" * 512 + b"b" * 3584

    def test_unsolicited_data_of_which_only_the_end_is_missing(self, pair: Any, recovered: Any, store: Any) -> None:
        first, tag = pair[0], pair[0].tag
        """The CDB asks for less than was announced."""
        first.feed(first.write(0, 1, b"a" * 512, expected=4096, flags=0x20))
        second = recovered()
        managed, answer = manage(second, tag)
        assert (managed.response, answer.status, answer.residual_count) == (0, 0, 3584)
        assert store.data[:512] == b"a" * 512

    def test_data_with_gaps_is_completed(self, pair: Any, recovered: Any, store: Any) -> None:
        first, tag = pair[0], pair[0].tag
        (r2t,) = first.ask(first.write(0, 8))
        first.feed(first.data_out(tag, r2t.target_transfer_tag, b"c" * 1024, 2048, 2, final=False))
        second = recovered()
        _, again = manage(second, tag)
        (answer,) = second.ask(second.data_out(tag, again.target_transfer_tag, b"d" * 4096, 0))
        assert answer.status == 0
        assert store.data[:4096] == b"d" * 2048 + b"c" * 1024 + b"d" * 1024

    def test_unsolicited_data_with_gaps_is_completed(self, pair: Any, recovered: Any, store: Any) -> None:
        first, tag = pair[0], pair[0].tag
        first.feed(first.write(0, 8, b"a" * 512, flags=0x20))
        first.feed(first.data_out(tag, 0xFFFFFFFF, b"c" * 1024, 2048, 2, final=False))
        second = recovered()
        _, r2t = manage(second, tag)
        assert (r2t.buffer_offset, r2t.desired_data_transfer_length) == (512, 1536)
        (r2t2,) = second.ask(second.data_out(tag, r2t.target_transfer_tag, b"b" * 1536, 512))
        assert (r2t2.buffer_offset, r2t2.desired_data_transfer_length) == (3072, 1024)
        (answer,) = second.ask(second.data_out(tag, r2t2.target_transfer_tag, b"d" * 1024, 3072))
        assert answer.status == 0
        assert store.data[:4096] == b"a" * 512 + b"b" * 1536 + b"c" * 1024 + b"d" * 1024

    def test_a_write_that_was_given_up_ends(self, pair: Any, recovered: Any) -> None:
        first, tag = pair[0], pair[0].tag
        (r2t,) = first.ask(first.write(0, 8))
        first.feed(first.data_out(tag, r2t.target_transfer_tag, b"x" * 8192, 0, final=False))
        second = recovered()
        managed, answer = manage(second, tag)
        assert (managed.response, answer.opcode, answer.status) == (0, RESPONSE, 2)

    def test_a_status_is_sent_again(self, pair: Any, recovered: Any) -> None:
        first, tag = pair[0], pair[0].tag
        (lost,) = first.ask(first.write(0, 1, b"x" * 512))
        assert lost.status == 0
        second = recovered()
        managed, answer = manage(second, tag)
        assert (answer.opcode, answer.initiator_task_tag, answer.status) == (RESPONSE, tag, 0)
        assert answer.stat_sn == managed.stat_sn + 1
        assert manage(second, tag)[0].response == 3  # it is of this connection now

    @pytest.mark.parametrize(("acknowledged", "first"), [(0, 0), (2, 2), (3, 3), (9, 0)])
    def test_data_is_sent_from_where_it_was_acknowledged(
        self, make: Any, store: Any, acknowledged: int, first: int
    ) -> None:
        """A number that cannot be is ignored; with all data there only the status comes."""
        store.data[:1536] = bytes(range(256)) * 6
        old = make(max_xmit_data_segment_length=512)
        second = old.join(7)
        tag = old.tag
        assert len(old.ask(old.read(0, 3))) == 3
        lose(old)
        logout(second, RECOVER, 0)
        managed, *answers = manage(second, tag, exp_data_sn=acknowledged)
        assert managed.response == 0
        data = [each for each in answers if each.opcode == DATA_IN]
        assert [each.data_sn for each in data] == list(range(first, 3))
        assert b"".join(each.data for each in data) == store.data[first * 512 : 1536]
        assert answers[-1].flags & 0x01 or answers[-1].opcode == RESPONSE
        assert answers[-1].status == 0

    def test_a_task_that_waits_for_others_keeps_its_turn(self, pair: Any, recovered: Any, store: Any) -> None:
        """It is the turn of an ORDERED task while it has no connection; it executes when it has one again."""
        first, second = pair
        store.waits = True
        before = second.tag
        second.feed(second.read(0, 1))
        tag = first.tag
        first.feed(first.write(0, 1, b"o" * 512, attribute=2))
        assert len(first.session.dormant) == 1
        second = recovered()
        second.work()
        assert before in [each.initiator_task_tag for each in second.answers()]
        assert len(first.session.dormant) == 1
        assert [each.response for each in manage(second, tag)] == [0]
        store.waits = False
        second.work()
        (answer,) = second.answers()
        assert (answer.initiator_task_tag, answer.status) == (tag, 0)
        assert store.data[:512] == b"o" * 512

    def test_a_task_whose_turn_has_not_come(self, pair: Any, recovered: Any, store: Any) -> None:
        first, second = pair
        store.waits = True
        second.feed(second.read(0, 1))
        tag = first.tag
        first.feed(first.write(0, 1, b"o" * 512, attribute=2))
        second = recovered()
        assert [each.response for each in manage(second, tag)] == [0]
        store.waits = False
        second.work()
        second.work()
        assert [each.status for each in second.answers()] == [0, 0]


class TestTheEnd:
    @pytest.mark.rfc7143("7.5-1", "11.14.5-1")
    def test_in_time_or_not(self, pair: Any) -> None:
        """Time2Wait and Time2Retain are 2 and 10 seconds; the clock is looked at now and then."""
        first, second = pair
        first.feed(first.write(0, 8))
        lose(first)
        for now in (100.0, 111.0):
            recovery.tick(first.session, now)
            assert first.session.tasks
        recovery.tick(first.session, 112.0)
        assert not first.session.tasks
        answer, window = second.ask(second.command("00"))
        assert (window.opcode, window.max_cmd_sn) == (Opcode.NOP_IN, first.session.max_cmd_sn)
        assert answer.data[14:16] == b"\x47\x7f"

    @pytest.mark.rfc7143("7.5-1")
    def test_a_logout_begins_the_time_anew(self, pair: Any) -> None:
        first, second = pair
        first.feed(first.write(0, 8))
        lose(first)
        recovery.tick(first.session, 100.0)
        logout(second, RECOVER, 0)
        for now in (111.0, 122.0):
            recovery.tick(first.session, now)
            assert first.session.tasks
        recovery.tick(first.session, 123.0)
        assert not first.session.tasks

    def test_when_nothing_is_left_to_be_reassigned(self, pair: Any, recovered: Any) -> None:
        first, tag = pair[0], pair[0].tag
        first.feed(first.write(0, 1, b"x" * 512))
        second = recovered()
        recovery.tick(first.session, 100.0)
        recovery.tick(first.session, 101.0)
        assert first.connection in first.session.stranded
        for each in list(first.connection.retention.tasks):
            assert manage(second, each)[0].response == 0
        assert manage(second, tag)[0].response == 3
        recovery.tick(first.session, 102.0)
        assert not first.session.stranded
        assert not first.connection.stranded

    def test_of_two_lost_connections(self, make: Any) -> None:
        first = make(max_connections=3)
        second, third = first.join(7), first.join(8)
        tag = second.tag
        second.feed(second.write(0, 1, b"x" * 512))
        lose(first)
        lose(second)
        logout(third, RECOVER, 7)
        managed, answer = manage(third, tag)
        assert (managed.response, answer.status) == (0, 0)

    def test_while_a_write_waits_for_memory(self, pair: Any, recovered: Any, node: Any) -> None:
        """It is asked for by the connection it then has."""
        first, second = pair
        node.memory.limit = 4096
        blocking = second.tag
        (r2t,) = second.ask(second.write(8, 8))
        tag = first.tag
        assert first.ask(first.write(0, 8)) == []
        second = recovered()
        assert [each.response for each in manage(second, tag)] == [0]
        second.feed(second.data_out(blocking, r2t.target_transfer_tag, b"b" * 4096, 0))
        answers = [(each.opcode, each.initiator_task_tag) for each in second.answers()]
        assert answers == [(RESPONSE, blocking), (R2T, tag)]

    def test_giving_up_twice(self, pair: Any) -> None:
        first, _ = pair
        lose(first)
        recovery.give_up(first.connection)
        recovery.give_up(first.connection)
        assert not first.session.stranded

    @pytest.mark.rfc7143("7.14-2")
    def test_immediate_commands_do_not_outlive_their_connection(self, pair: Any, store: Any) -> None:
        first, second = pair
        waiting = first.tag
        first.feed(first.write(0, 8, immediate=True))
        store.waits = True
        running = first.tag
        first.feed(first.read(0, 1, immediate=True))
        first.connection.stranded = True
        recovery.suspend(first.connection)
        first.work()
        lose(first)
        logout(second, RECOVER, 0)
        assert [manage(second, tag)[0].response for tag in (waiting, running)] == [1, 1]

    def test_abort_of_a_task_without_a_connection(self, pair: Any, recovered: Any) -> None:
        first, tag = pair[0], pair[0].tag
        first.feed(first.write(0, 8))
        second = recovered()
        (answer,) = manage(second, tag, ABORT_TASK, ref_cmd_sn=first.cmd_sn - 1)
        assert answer.response == 0
        assert not first.session.tasks


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_two_connections_are_one_session(make: Any, data: st.DataObject) -> None:
    """Commands dealt out to two connections, in whatever order they arrive, do what one connection would do."""
    count = data.draw(st.integers(1, 8))
    blocks = [data.draw(st.integers(0, 3)) for _ in range(count)]
    reads = [data.draw(st.booleans()) for _ in range(count)]
    first = make(isid=b"ISID07")
    second = first.join(7)
    start = first.cmd_sn
    requests = []
    for index, (block, read) in enumerate(zip(blocks, reads, strict=True)):
        sender = data.draw(st.sampled_from((first, second)))
        text = bytes([index + 1]) * 512
        request = sender.read(block, 1) if read else sender.write(block, 1, text)
        requests.append((sender, request))
    store = first.store
    expected = [bytes(store.data[at * 512 : at * 512 + 512]) for at in range(4)]
    seen = {}
    for index, (block, read) in enumerate(zip(blocks, reads, strict=True)):
        if read:
            seen[index] = expected[block]
        else:
            expected[block] = bytes([index + 1]) * 512
    tags = {first.tag - count + index: index for index in range(count)}
    for sender, request in data.draw(st.permutations(requests)):
        sender.feed(request)
    answers = {each.initiator_task_tag: each for nexus in (first, second) for each in nexus.answers()}
    assert {tags[tag] for tag in answers} == set(range(count))
    assert all(answers[tag].data == seen[index] for tag, index in tags.items() if reads[index])
    assert [bytes(store.data[at * 512 : at * 512 + 512]) for at in range(4)] == expected
    assert first.session.exp_cmd_sn == start + count
