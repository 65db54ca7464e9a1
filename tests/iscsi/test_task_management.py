"""Task management: the answer comes when the aborted work can do no more harm (RFC 7143 sections 4.2.3, 11.5)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import deferred, task_management
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.view import View

ABORT_TASK, ABORT_TASK_SET, CLEAR_ACA, CLEAR_TASK_SET, LU_RESET, WARM_RESET, COLD_RESET, REASSIGN = range(1, 9)
QUERY_TASK, QUERY_TASK_SET, NEXUS_RESET, QUERY_EVENT = range(9, 13)
COMPLETE, NO_TASK, NO_LUN, NO_REASSIGNMENT, NOT_SUPPORTED, SUCCEEDED = 0, 1, 2, 4, 5, 7
TASK_ABORTED = 0x40
LUN_1 = 1 << 48


def manage(nexus: Any, function: int, **fields: Any) -> bytes:
    return nexus.request(
        Opcode.TASK_MANAGEMENT_REQUEST, flags=0x80 | function, immediate=fields.pop("immediate", True), **fields
    )


def response(answers: list[Any]) -> int:
    (answer,) = answers
    assert answer.opcode == Opcode.TASK_MANAGEMENT_RESPONSE
    return answer.response


def asc_of(answer: Any) -> int:
    return int.from_bytes(answer.data[14:16], "big")


def finish_functions(nexus: Any) -> None:
    """What a pump does after its batch: wait for the other connections, then answer."""
    functions = [nexus.connection.functions.popleft() for _ in range(len(nexus.connection.functions))]
    for function in functions:
        for other in list(function.others):
            if task_management.abort(function, other):
                task_management.answer(function)


@pytest.mark.rfc7143("11.5.1-1", "11.6.2-1", "7.2.2-3")
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        pytest.param(ABORT_TASK, NO_TASK, id="ABORT TASK of nothing"),
        pytest.param(ABORT_TASK_SET, COMPLETE, id="ABORT TASK SET"),
        pytest.param(CLEAR_ACA, NOT_SUPPORTED, id="CLEAR ACA"),
        pytest.param(CLEAR_TASK_SET, COMPLETE, id="CLEAR TASK SET"),
        pytest.param(LU_RESET, COMPLETE, id="LOGICAL UNIT RESET"),
        pytest.param(WARM_RESET, COMPLETE, id="TARGET WARM RESET"),
        pytest.param(REASSIGN, NO_REASSIGNMENT, id="TASK REASSIGN"),
        pytest.param(0x3F, NOT_SUPPORTED, id="unknown"),
    ],
)
@pytest.mark.parametrize("immediate", [True, False])
def test_functions_on_an_idle_unit(nexus: Any, function: int, expected: int, immediate: bool) -> None:
    assert response(nexus.ask(manage(nexus, function, immediate=immediate, ref_cmd_sn=1))) == expected
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7


@pytest.mark.parametrize("function", [ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET])
@pytest.mark.parametrize("lun", [5 << 48, 0xC1 << 56], ids=["no such number", "no such form"])
def test_functions_on_no_unit(nexus: Any, function: int, lun: int) -> None:
    assert response(nexus.ask(manage(nexus, function, lun=lun))) == NO_LUN


@pytest.mark.rfc7143("10.7-2")
@pytest.mark.parametrize("function", [ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET, WARM_RESET])
def test_a_write_waiting_for_data_is_aborted_at_once(nexus: Any, store: Any, function: int) -> None:
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 2))
    assert response(nexus.ask(manage(nexus, function, referenced_task_tag=tag))) == COMPLETE
    assert not nexus.session.tasks
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7
    assert nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, b"x" * 1024, 0)) == []
    assert not any(store.data)


@pytest.mark.rfc7143("11.5.1-2", "4.2.3.3-4", "4.2.3.3-7", "4.2.3.3-5", "13.23-3")
@pytest.mark.parametrize("function", [ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET, WARM_RESET])
def test_a_task_on_a_worker_is_waited_for_and_not_answered(nexus: Any, store: Any, function: int) -> None:
    store.waits = True
    tag = nexus.tag
    nexus.feed(nexus.read(0, 1))
    assert nexus.ask(manage(nexus, function, referenced_task_tag=tag)) == []
    (done,) = nexus.work()
    task_management.answer(done)
    assert response(nexus.answers()) == COMPLETE
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7


def test_what_an_aborted_task_has_read_goes_back_to_the_pool(nexus: Any, store: Any) -> None:
    """The abort came after the worker had read and before it could answer."""
    store.waits = True
    tag = nexus.tag
    nexus.feed(nexus.read(0, 1))
    (task,) = nexus.deferred
    assert task.nexus.lu.execute(task)
    memory = task.data_in.obj
    assert nexus.ask(manage(nexus, ABORT_TASK, referenced_task_tag=tag)) == []
    (done,) = deferred.finish(nexus.connection, task)
    task_management.answer(done)
    assert response(nexus.answers()) == COMPLETE
    assert nexus.connection.pool.take(512).obj is memory


@pytest.mark.rfc7143("4.2.2.1-3", "11.5.1-2")
def test_a_task_of_the_same_batch_is_aborted_before_it_runs(nexus: Any, store: Any) -> None:
    tag = nexus.tag
    batch = nexus.write(0, 1, b"x" * 512) + nexus.write(1, 1, b"y" * 512)
    answers = nexus.ask(batch + manage(nexus, ABORT_TASK, referenced_task_tag=tag))
    assert [answer.opcode for answer in answers] == [Opcode.TASK_MANAGEMENT_RESPONSE, Opcode.SCSI_RESPONSE]
    assert answers[0].response == COMPLETE
    assert not any(store.data[:512])
    assert store.data[512:1024] == b"y" * 512


def test_abort_task_set_spares_other_units(nexus: Any) -> None:
    first, second = nexus.tag, nexus.tag + 1
    nexus.ask(nexus.write(0, 2) + nexus.write(0, 2, lun=LUN_1))
    assert response(nexus.ask(manage(nexus, ABORT_TASK_SET, lun=LUN_1))) == COMPLETE
    assert list(nexus.session.tasks) == [first]
    assert second not in nexus.session.tasks


def test_two_functions_wait_for_one_task(nexus: Any, store: Any) -> None:
    """The escalation every initiator knows: an abort that is not answered, then a reset."""
    store.waits = True
    tag = nexus.tag
    nexus.feed(nexus.read(0, 1))
    assert nexus.ask(manage(nexus, ABORT_TASK, referenced_task_tag=tag)) == []
    assert nexus.ask(manage(nexus, LU_RESET)) == []
    for done in nexus.work():
        task_management.answer(done)
    assert [answer.response for answer in nexus.answers()] == [COMPLETE, COMPLETE]


@pytest.mark.rfc7143("7.11-1", "4.2.2.1-6")
def test_abort_of_a_command_that_has_not_come_fills_its_place(nexus: Any, store: Any) -> None:
    """Section 11.6.1 b: it counts as received; should it come later, it is ignored."""
    missing = nexus.cmd_sn
    late = nexus.write(0, 1, b"x" * 512)
    behind = nexus.command("00")
    assert nexus.ask(behind) == []
    answers = nexus.ask(manage(nexus, ABORT_TASK, referenced_task_tag=nexus.tag - 2, ref_cmd_sn=missing))
    assert [answer.opcode for answer in answers] == [Opcode.TASK_MANAGEMENT_RESPONSE, Opcode.SCSI_RESPONSE]
    assert nexus.ask(late) == []
    assert not any(store.data)
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7


def test_a_replaced_session_is_reset_too(connect: Any, store: Any) -> None:
    old = connect()
    store.waits = True
    old.feed(old.read(0, 1))
    mine, third = connect(attention=True), connect(isid=b"ISID02", attention=True)
    assert third.ask(manage(third, LU_RESET)) == []
    finish_functions(third)
    assert third.answers() == []
    (done,) = old.work()
    task_management.answer(done)
    assert response(third.answers()) == COMPLETE
    old.session.end()
    assert list(mine.session.target.sessions.values()) == [mine.session, third.session]
    assert not mine.session.target.ending


def test_abort_of_a_command_held_for_its_turn_fills_the_hole(nexus: Any, store: Any) -> None:
    held = nexus.cmd_sn + 1
    early = nexus.write(0, 1, b"x" * 512, cmd_sn=held)
    assert nexus.ask(early) == []
    asked = manage(nexus, ABORT_TASK, referenced_task_tag=nexus.tag - 1, ref_cmd_sn=held)
    assert response(nexus.ask(asked)) == COMPLETE
    (answer,) = nexus.ask(nexus.command("00"))
    assert answer.exp_cmd_sn in (held, held + 1)
    assert nexus.session.exp_cmd_sn == held + 1
    assert not any(store.data)


def test_abort_by_the_number_of_another_task_leaves_that_alone(nexus: Any, store: Any) -> None:
    held = nexus.cmd_sn + 1
    assert nexus.ask(nexus.write(0, 1, b"x" * 512, cmd_sn=held)) == []
    asked = manage(nexus, ABORT_TASK, referenced_task_tag=999, ref_cmd_sn=held)
    assert response(nexus.ask(asked)) == NO_TASK
    assert len(nexus.ask(nexus.command("00"))) == 2
    assert store.data[:512] == b"x" * 512


@pytest.mark.rfc7143("7.11-2")
@pytest.mark.parametrize("offset", [-1, 8], ids=["before the window", "behind it"])
def test_abort_outside_the_window_finds_no_task(nexus: Any, offset: int) -> None:
    asked = manage(nexus, ABORT_TASK, referenced_task_tag=999, ref_cmd_sn=nexus.cmd_sn + offset)
    assert response(nexus.ask(asked)) == NO_TASK


def assert_told_of_the_window(nexus: Any) -> None:
    """A task that ended without an answer has made room, which nothing else says (RFC 7143 section 11.4.11)."""
    (told,) = nexus.answers()
    assert (told.opcode, told.initiator_task_tag, told.target_transfer_tag) == (Opcode.NOP_IN, NO_TAG, NO_TAG)
    assert (told.max_cmd_sn, told.stat_sn) == (told.exp_cmd_sn + 7, nexus.connection.stat_sn)
    assert told.data == b""


@pytest.mark.rfc7143("11.4.11-1", "11.19-3", "11.19.1-1")
@pytest.mark.rfc7143("4.2.3.3-7", "4.2.3.6-1", "4.2.3.3-6", "4.2.3.3-3", "4.2.3.5-2", "11.9.1-3")
@pytest.mark.parametrize("function", [CLEAR_TASK_SET, LU_RESET, WARM_RESET])
@pytest.mark.parametrize("running", [False, True], ids=["waiting for data", "on a worker"])
def test_tasks_of_other_sessions(connect: Any, store: Any, function: int, running: bool) -> None:
    mine, other = connect(), connect(isid=b"ISID02")
    if running:
        store.waits = True
        other.feed(other.read(0, 1))
    else:
        other.ask(other.write(0, 2))
    assert mine.ask(manage(mine, function)) == []
    finish_functions(mine)
    if running:
        assert mine.answers() == []
        (done,) = other.work()
        task_management.answer(done)
        store.waits = False
    assert response(mine.answers()) == COMPLETE
    assert not other.session.tasks
    assert_told_of_the_window(other)
    (answer,) = other.ask(other.command("00"))
    assert answer.status == 2
    assert asc_of(answer) >> 8 == (0x2F if function == CLEAR_TASK_SET else 0x29)


def test_an_idle_other_session_is_waited_for_too(connect: Any) -> None:
    mine, other = connect(), connect(isid=b"ISID02")
    assert mine.ask(manage(mine, LU_RESET)) == []
    assert mine.connection.functions[0].others == [other.session]
    finish_functions(mine)
    assert response(mine.answers()) == COMPLETE


def test_a_task_finished_before_the_others_were_waited_for(connect: Any, store: Any) -> None:
    mine, _ = connect(), connect(isid=b"ISID02")
    store.waits = True
    mine.feed(mine.read(0, 1))
    assert mine.ask(manage(mine, LU_RESET)) == []
    assert mine.work() == []
    finish_functions(mine)
    assert response(mine.answers()) == COMPLETE


@pytest.mark.rfc7143("11.5.1-7", "11.6.1-1")
def test_cold_reset_ends_every_session(connect: Any) -> None:
    mine, other = connect(), connect(isid=b"ISID02")
    mine.feed(manage(mine, COLD_RESET))
    function = mine.connection.functions[0]
    finish_functions(mine)
    assert response(mine.answers()) == COMPLETE
    assert mine.connection.closing
    assert set(function.closing) == {mine.connection, other.connection}


@pytest.mark.parametrize("function", [ABORT_TASK, QUERY_TASK])
@pytest.mark.parametrize(("lun", "expected"), [
    pytest.param(LUN_1, NO_TASK, id="another unit"),
    pytest.param(5 << 48, NO_LUN, id="no unit"),
    pytest.param(1 << 62, None, id="the same, by flat addressing"),
])
def test_the_unit_of_a_referenced_task_matters(
    connect: Any, function: int, lun: int, expected: int | None
) -> None:
    nexus = connect(protocol_level=2)
    tag = nexus.tag
    nexus.ask(nexus.write(0, 2))
    found = response(nexus.ask(manage(nexus, function, referenced_task_tag=tag, lun=lun, ref_cmd_sn=1)))
    if expected is None:
        assert found == (COMPLETE if function == ABORT_TASK else SUCCEEDED)
    elif function == QUERY_TASK and expected == NO_TASK:
        assert found == COMPLETE
    else:
        assert found == expected
    assert (tag in nexus.session.tasks) is not (function == ABORT_TASK and expected is None)


class TestFunctionsOfTheSecondProtocolLevel:
    """RFC 7144."""

    @pytest.mark.rfc7143("7144:4.1-1")
    @pytest.mark.parametrize("function", [QUERY_TASK, QUERY_TASK_SET, NEXUS_RESET, QUERY_EVENT])
    @pytest.mark.parametrize("level", [0, 1])
    def test_below_it_there_are_none(self, connect: Any, function: int, level: int) -> None:
        nexus = connect(protocol_level=level, attention=True)
        (answer,) = nexus.ask(manage(nexus, function))
        assert (answer.response, answer.information) == (NOT_SUPPORTED, bytes(3))
        assert not nexus.session.nexus(0).queries

    @pytest.mark.parametrize("function", [QUERY_TASK_SET, QUERY_EVENT])
    @pytest.mark.parametrize("lun", [5 << 48, 0xC1 << 56])
    def test_on_no_unit(self, connect: Any, function: int, lun: int) -> None:
        nexus = connect(protocol_level=2)
        assert response(nexus.ask(manage(nexus, function, lun=lun))) == NO_LUN

    @pytest.mark.rfc7143("7144:4.1-2", "7144:6.3-1")
    @pytest.mark.parametrize("where", ["for data", "for others", "on a worker", "in the batch"])
    def test_queries_find_tasks_wherever_they_are(self, connect: Any, store: Any, where: str) -> None:
        nexus, other = connect(protocol_level=2), connect(isid=b"ISID02")
        tag = nexus.tag
        request = nexus.write(0, 2) if where == "for data" else nexus.read(0, 1)
        if where == "for others":
            other.ask(other.write(0, 2, attribute=2))
        store.waits = where == "on a worker"
        batch = manage(nexus, QUERY_TASK, referenced_task_tag=tag) + manage(nexus, QUERY_TASK_SET)
        batch += manage(nexus, QUERY_TASK_SET, lun=LUN_1)
        answers = nexus.ask(request + batch) if where == "in the batch" else (nexus.ask(request), nexus.ask(batch))[1]
        found = [each.response for each in answers if each.opcode == Opcode.TASK_MANAGEMENT_RESPONSE]
        assert found == [SUCCEEDED, SUCCEEDED, COMPLETE]

    def test_queries_find_nothing_where_nothing_is(self, connect: Any) -> None:
        nexus, other = connect(protocol_level=2), connect(isid=b"ISID02")
        other.ask(other.write(0, 2))
        for function in (QUERY_TASK, QUERY_TASK_SET):
            assert response(nexus.ask(manage(nexus, function, referenced_task_tag=other.tag - 1))) == COMPLETE

    @pytest.mark.rfc7143("7144:6.3-1", "7144:4.1-2")
    def test_pending_unit_attentions_are_told_and_stay(self, connect: Any, target: Any) -> None:
        nexus = connect(protocol_level=2, attention=True)
        for _ in range(2):
            (answer,) = nexus.ask(manage(nexus, QUERY_EVENT))
            assert (answer.response, answer.information) == (SUCCEEDED, b"\x16\x29\x00")
        assert asc_of(nexus.ask(nexus.command("00"))[0]) == 0x2900
        (answer,) = nexus.ask(manage(nexus, QUERY_EVENT))
        assert (answer.response, answer.information) == (COMPLETE, bytes(3))
        target.device.logical_units[0].capacity_changed()
        (answer,) = nexus.ask(manage(nexus, QUERY_EVENT))
        assert answer.information == b"\x16\x2a\x09"
        target.device.logical_units[0].reset()  # reported first
        (answer,) = nexus.ask(manage(nexus, QUERY_EVENT))
        assert answer.information == b"\x26\x29\x00"

    @pytest.mark.rfc7143("7144:6.3-2", "7144:6.5-1")
    def test_a_nexus_reset_ends_what_the_nexus_has(self, connect: Any, store: Any) -> None:
        nexus, other = connect(protocol_level=2), connect(isid=b"ISID02")
        (reserved,) = nexus.ask(nexus.command("16", lun=LUN_1))
        assert reserved.status == 0
        nexus.ask(nexus.write(0, 2) + nexus.write(0, 2, lun=LUN_1, attribute=2) + nexus.command("00", lun=LUN_1))
        other.ask(other.write(0, 2))
        store.waits = True
        nexus.feed(nexus.read(0, 1))
        assert nexus.ask(manage(nexus, NEXUS_RESET)) == []
        (done,) = nexus.work()
        task_management.answer(done)
        assert response(nexus.answers()) == COMPLETE
        assert not deferred.tasks_of(nexus.session)
        assert len(other.session.tasks) == 1
        assert nexus.connection.closing
        assert nexus.end()
        (answer,) = other.ask(other.command("00", lun=LUN_1))
        assert answer.status == 0  # the reservation went, and there is no unit attention for others

    def test_the_unit_says_which_functions_there_are(self, connect: Any) -> None:
        for level, functions in ((1, "DA00"), (2, "DE07")):
            nexus = connect(protocol_level=level, isid=bytes((level,)) * 6)
            (answer,) = nexus.ask(nexus.command("A3 0D 00 00 0000 00000004", flags=0xC0, expected=4))
            assert answer.data == bytes.fromhex(functions + "0000")
            (answer,) = nexus.ask(nexus.command("A3 0D 80 00 0000 00000010", flags=0xC0, expected=16))
            assert answer.data == bytes.fromhex(functions + "000C") + bytes(12)


class TestTaskAbortedStatus:
    """TAS of the control mode page."""

    @pytest.fixture(autouse=True)
    def _reporting(self, target: Any) -> None:
        for lu in target.device.logical_units.values():
            lu.task_aborted_status = True

    @pytest.mark.parametrize("function", [CLEAR_TASK_SET, LU_RESET, WARM_RESET])
    @pytest.mark.parametrize("where", ["for data", "for others", "on a worker", "in the batch"])
    def test_others_are_told(self, connect: Any, store: Any, function: int, where: str) -> None:
        mine, other, third = connect(), connect(isid=b"ISID02"), connect(isid=b"ISID03")
        tag = other.tag
        request = other.write(0, 2) if where == "for data" else other.read(0, 1)
        if where == "for others":
            third.ask(third.write(0, 2, attribute=2))
        store.waits = where == "on a worker"
        if where == "in the batch":
            other.connection.space()[: len(request)] = request
            other.connection.received(len(request))
        else:
            sent = other.ask(request)
        assert mine.ask(manage(mine, function)) == []
        finish_functions(mine)
        for each in other.work() if where == "on a worker" else ():
            task_management.answer(each)
        assert response(mine.answers()) == COMPLETE
        if where == "for data":
            assert other.answers() == []  # not before it has sent what it was asked for (section 11.4.2)
            transfer = sent[0].target_transfer_tag
            assert other.ask(other.data_out(tag, transfer, b"x" * 512, 0, final=False)) == []
            other.feed(other.data_out(tag, transfer, b"x" * 512, 512, 1))
        (answer,) = other.answers()
        assert (answer.opcode, answer.initiator_task_tag) == (Opcode.SCSI_RESPONSE, tag)
        assert (answer.status, answer.data) == (TASK_ABORTED, b"")
        assert not any(store.data)
        assert other.session.max_cmd_sn == other.session.exp_cmd_sn + 7
        assert len(deferred.tasks_of(other.session)) == len(other.connection.ready)
        store.waits = False
        (answer,) = other.ask(other.command("00"))
        assert answer.status == (0 if function == CLEAR_TASK_SET else 2)

    def test_nobody_waits_for_data_of_an_aborted_task(self, connect: Any) -> None:
        mine, other, third = connect(), connect(isid=b"ISID02"), connect(isid=b"ISID03")
        tag = other.tag
        other.ask(other.write(0, 2, attribute=2))
        mine.ask(manage(mine, CLEAR_TASK_SET))
        finish_functions(mine)
        (answer,) = third.ask(third.read(0, 1))
        assert answer.status == 0
        assert list(other.session.tasks) == [tag]
        mine.ask(manage(mine, CLEAR_TASK_SET))  # once more: it stays as it is
        finish_functions(mine)
        assert list(other.session.tasks) == [tag]
        assert response(other.ask(manage(other, ABORT_TASK, referenced_task_tag=tag))) == COMPLETE
        assert not other.session.tasks

    def test_ones_own_tasks_end_in_silence(self, connect: Any, store: Any) -> None:
        mine = connect()
        mine.ask(mine.write(0, 2))
        store.waits = True
        mine.feed(mine.read(0, 1))
        assert mine.ask(manage(mine, CLEAR_TASK_SET)) == []
        (done,) = mine.work()
        task_management.answer(done)
        assert response(mine.answers()) == COMPLETE

    def test_who_aborts_his_task_himself_is_not_told_of_others(self, connect: Any, store: Any) -> None:
        mine, other = connect(), connect(isid=b"ISID02")
        store.waits = True
        tag = other.tag
        other.feed(other.read(0, 1))
        other.feed(manage(other, ABORT_TASK, referenced_task_tag=tag))
        mine.ask(manage(mine, CLEAR_TASK_SET))
        finish_functions(mine)
        for done in other.work():
            task_management.answer(done)
        assert response(mine.answers()) == COMPLETE
        assert response(other.answers()) == COMPLETE

    @pytest.mark.parametrize("where", ["for data", "on a worker"])
    def test_a_connection_that_closes_is_told_nothing(self, connect: Any, store: Any, where: str) -> None:
        mine, other = connect(), connect(isid=b"ISID02")
        store.waits = True
        other.feed(other.read(0, 1) if where == "on a worker" else other.write(0, 2))
        other.answers()
        mine.ask(manage(mine, CLEAR_TASK_SET))
        other.connection.closing = True
        finish_functions(mine)
        for done in other.work():
            task_management.answer(done)
        assert response(mine.answers()) == COMPLETE
        assert other.answers() == []
        assert not deferred.tasks_of(other.session)


@pytest.mark.parametrize("function", [CLEAR_TASK_SET, LU_RESET])
def test_where_each_nexus_has_a_task_set_it_clears_its_own(connect: Any, target: Any, function: int) -> None:
    target.device.logical_units[0].set_task_set_type(True)
    mine, other = connect(), connect(isid=b"ISID02")
    mine.ask(mine.write(0, 2))
    other.ask(other.write(0, 2))
    mine.feed(manage(mine, function))
    finish_functions(mine)
    assert response(mine.answers()) == COMPLETE
    assert not mine.session.tasks
    assert len(other.session.tasks) == (1 if function == CLEAR_TASK_SET else 0)
    if function != CLEAR_TASK_SET:
        assert_told_of_the_window(other)
    (answer,) = other.ask(other.command("00"))
    assert answer.status == (0 if function == CLEAR_TASK_SET else 2)


class TestAfterItsUnitWasReplaced:
    """Tasks of the old unit are tasks of its LUN still, until the initiator has noticed."""

    @pytest.fixture
    def replaced(self, nexus: Any, store: Any, target: Any) -> Any:
        """A session with a write that waits for its data and a read on a worker; then their unit was replaced."""
        store.waits = True
        nexus.feed(nexus.write(0, 2) + nexus.read(0, 1))
        device = target.device
        old = device.remove(0)
        device.add(0, LogicalUnit(store, old.identity, device=device, number=0))
        nexus.answers()
        return nexus

    @pytest.mark.parametrize("function", [ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET, WARM_RESET])
    def test_they_end(self, replaced: Any, function: int) -> None:
        assert replaced.ask(manage(replaced, function)) == []
        (done,) = replaced.work()
        task_management.answer(done)
        assert response(replaced.answers()) == COMPLETE
        assert not deferred.tasks_of(replaced.session)

    def test_a_target_reset_ends_those_of_no_unit_at_all(self, replaced: Any, target: Any) -> None:
        target.device.remove(0)
        assert response(replaced.ask(manage(replaced, LU_RESET))) == NO_LUN
        assert replaced.ask(manage(replaced, WARM_RESET)) == []
        assert len(replaced.work()) == 1
        assert not deferred.tasks_of(replaced.session)

    def test_they_are_there(self, connect: Any, target: Any) -> None:
        nexus = connect(protocol_level=2)
        nexus.ask(nexus.write(0, 2))
        device = target.device
        old = device.remove(0)
        device.add(0, LogicalUnit(old.store, old.identity, device=device, number=0))
        assert response(nexus.ask(manage(nexus, QUERY_TASK_SET))) == SUCCEEDED


class TestPreemption:
    """PERSISTENT RESERVE OUT aborts others' tasks on its way, and is not answered before they have ended."""

    def begin(self, mine: Any, *others: Any) -> tuple[Any, Any]:
        """A task of ``mine`` on a worker, and the function that it has begun."""
        mine.feed(mine.read(0, 1))
        (author,) = mine.session.running
        nexuses = [other.session.nexuses[0] for other in others]
        return author, task_management.preempt(author, author.nexus.lu, nexuses)

    @pytest.mark.parametrize("tas", [False, True])
    def test_tasks_of_the_preempted(self, connect: Any, store: Any, target: Any, tas: bool) -> None:
        lu = target.device.logical_units[0]
        lu.task_aborted_status = tas
        mine, other, third = connect(), connect(isid=b"ISID02"), connect(isid=b"ISID03")
        store.waits = True
        for each in (other, third):
            each.feed(each.read(0, 1) + each.read(0, 1, lun=LUN_1))
        author, function = self.begin(mine, other)
        assert function.others == [other.session]
        assert not task_management.abort(function, other.session)
        assert task_management.author_executed(author) == []
        assert other.work() == [function]
        statuses = [answer.status for answer in other.answers() if answer.opcode != Opcode.NOP_IN]
        assert statuses == ([TASK_ABORTED] if tas else []) + [0]
        assert third.work() == []
        assert len(third.answers()) == 2
        assert function.author is author
        (answer,) = other.ask(other.command("00"))
        assert answer.status == (0 if tas else 2)
        assert tas or asc_of(answer) == 0x2F00

    def test_it_ends_when_its_author_was_executed_last(self, connect: Any, store: Any) -> None:
        mine, other = connect(), connect(isid=b"ISID02")
        other.ask(other.write(0, 2))
        store.waits = True
        author, function = self.begin(mine, other)
        assert not task_management.abort(function, other.session)
        assert not other.session.tasks
        assert task_management.author_executed(author) == [function]
        assert task_management.author_executed(author) == []  # once only
        assert deferred.finish(mine.connection, author) == []
        assert not mine.session.begun
        assert task_management.author_executed(author) is None

    @pytest.mark.parametrize("late", [False, True], ids=["before the first is executed", "after it"])
    def test_two_that_abort_each_other(self, connect: Any, store: Any, late: bool) -> None:
        """None of their authors waits for the other one to be answered; both were executed."""
        mine, other = connect(), connect(isid=b"ISID02")
        store.waits = True
        other.feed(other.read(0, 1))
        (others_author,) = other.session.running
        author, function = self.begin(mine, other)
        others = task_management.preempt(others_author, others_author.nexus.lu, [author.nexus])
        assert not task_management.abort(function, other.session)
        if late:
            assert task_management.author_executed(author) == []
        assert not task_management.abort(others, mine.session)
        if not late:
            assert task_management.author_executed(author) == []
        assert set(task_management.author_executed(others_author) or ()) == {function, others}
        for each, its in ((mine, author), (other, others_author)):
            assert deferred.finish(each.connection, its) == []
            assert_told_of_the_window(each)

    def test_a_reset_waits_for_what_it_waits_for(self, connect: Any, store: Any) -> None:
        """So who aborts the command knows that it can do no more, nor can those that it was to abort."""
        mine, other, third = connect(), connect(isid=b"ISID02"), connect(isid=b"ISID03")
        store.waits = True
        other.feed(other.read(0, 1))
        author, function = self.begin(mine, other)
        assert not task_management.abort(function, other.session)
        assert task_management.author_executed(author) == []
        third.feed(manage(third, LU_RESET))
        (reset,) = third.connection.functions
        assert not task_management.abort(reset, mine.session)
        assert not task_management.abort(reset, other.session)
        assert other.work() == [function]
        assert deferred.finish(mine.connection, author) == [reset]

    def test_of_oneself_all_but_the_author(self, connect: Any, store: Any) -> None:
        mine = connect()
        store.waits = True
        mine.feed(mine.read(0, 1))
        (first,) = mine.session.running
        mine.feed(mine.read(1, 1))
        (author,) = mine.session.running - {first}
        function = task_management.preempt(author, author.nexus.lu, [author.nexus])
        assert not task_management.abort(function, mine.session)
        assert first.aborted_by == [function]
        assert author.aborted_by is None


# An initiator with LUNs of its own (``scsi.view``)

NOT_AUTHORIZED = 6


def see(nexus: Any, view: View) -> None:
    with nexus.session.device.lock:
        nexus.session.see(view)


@pytest.mark.parametrize("function", [ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET, QUERY_TASK_SET])
@pytest.mark.rfc7143("11.5.1-1")
def test_functions_name_units_by_the_initiators_luns(connect: Any, function: int) -> None:
    """LUN 0 is the unit 1 for one of two initiators: who ends the tasks of LUN 0 does not end the other's on unit 0."""
    mapped, plain = connect(protocol_level=2), connect(isid=b"ISID02")
    see(mapped, View({0: 1}))
    mapped.ask(mapped.command("00"))
    mapped.ask(mapped.write(0, 2))
    plain.ask(plain.write(0, 2) + plain.write(0, 2, lun=LUN_1))
    assert response(mapped.ask(manage(mapped, function, lun=LUN_1))) == NO_LUN
    if function == QUERY_TASK_SET:
        assert response(mapped.ask(manage(mapped, function))) == SUCCEEDED
        return
    answers = mapped.ask(manage(mapped, function))
    finish_functions(mapped)
    assert response(answers or mapped.answers()) == COMPLETE
    assert not mapped.session.tasks
    left = [task.lun_field for task in plain.session.tasks.values()]
    assert left == ([0, LUN_1] if function == ABORT_TASK_SET else [0])


@pytest.mark.rfc7143("11.5.1-6")
def test_a_warm_reset_is_of_the_units_the_initiator_knows(connect: Any, target: Any) -> None:
    mapped, plain = connect(), connect(isid=b"ISID02")
    see(mapped, View({0: 1}))
    plain.ask(plain.write(0, 2) + plain.write(0, 2, lun=LUN_1))
    mapped.ask(manage(mapped, WARM_RESET))
    finish_functions(mapped)
    assert response(mapped.answers()) == COMPLETE
    assert [task.lun_field for task in plain.session.tasks.values()] == [0]
    assert [plain.ask(plain.command("00", lun=lun))[0].status for lun in (0, LUN_1)] == [0, 2]


@pytest.mark.rfc7143("11.5.1-6")
@pytest.mark.parametrize("view", [View({0: 0, 1: 1}), View(writable=frozenset({0}))], ids=["map", "may not write"])
def test_a_cold_reset_ends_no_sessions_of_others_for_one_with_less_than_they(connect: Any, view: View) -> None:
    nexus, other = connect(), connect(isid=b"ISID02")
    see(nexus, view)
    other.ask(other.write(0, 2))
    assert response(nexus.ask(manage(nexus, COLD_RESET))) == NOT_AUTHORIZED
    assert other.session.tasks
    assert not nexus.connection.closing
    assert not other.connection.closing
