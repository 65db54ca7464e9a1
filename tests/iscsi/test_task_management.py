"""Task management: the answer comes when the aborted work can do no more harm (RFC 7143 sections 4.2.3, 11.5)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import deferred, task_management
from ietpy.iscsi.pdu import Opcode

ABORT_TASK, ABORT_TASK_SET, CLEAR_ACA, CLEAR_TASK_SET, LU_RESET, WARM_RESET, COLD_RESET, REASSIGN = range(1, 9)
COMPLETE, NO_TASK, NO_LUN, NO_REASSIGNMENT, NOT_SUPPORTED = 0, 1, 2, 4, 5
LUN_1 = 1 << 48


def manage(nexus: Any, function: int, **fields: Any) -> bytes:
    return nexus.request(
        Opcode.TASK_MANAGEMENT_REQUEST, flags=0x80 | function, immediate=fields.pop("immediate", True), **fields
    )


def response(answers: list[Any]) -> int:
    (answer,) = answers
    assert answer.opcode == Opcode.TASK_MANAGEMENT_RESPONSE
    return answer.response


def finish_functions(nexus: Any) -> None:
    """What a pump does after its batch: wait for the other connections, then answer."""
    functions, nexus.connection.functions = nexus.connection.functions, []
    for function in functions:
        for other in list(function.others):
            if task_management.abort(function, other):
                task_management.answer(function)


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


@pytest.mark.parametrize("function", [ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET, WARM_RESET])
def test_a_write_waiting_for_data_is_aborted_at_once(nexus: Any, store: Any, function: int) -> None:
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 2))
    assert response(nexus.ask(manage(nexus, function, referenced_task_tag=tag))) == COMPLETE
    assert not nexus.session.tasks
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7
    assert nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, b"x" * 1024, 0)) == []
    assert not any(store.data)


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


@pytest.mark.parametrize("offset", [-1, 8], ids=["before the window", "behind it"])
def test_abort_outside_the_window_finds_no_task(nexus: Any, offset: int) -> None:
    asked = manage(nexus, ABORT_TASK, referenced_task_tag=999, ref_cmd_sn=nexus.cmd_sn + offset)
    assert response(nexus.ask(asked)) == NO_TASK


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
    (answer,) = other.ask(other.command("00"))
    assert answer.status == 2
    asc = int.from_bytes(answer.data[14:16], "big")
    assert asc >> 8 == (0x2F if function == CLEAR_TASK_SET else 0x29)


def test_an_idle_other_session_is_waited_for_too(connect: Any) -> None:
    mine, other = connect(), connect(isid=b"ISID02")
    assert mine.ask(manage(mine, LU_RESET)) == []
    assert mine.connection.functions[0].others == [other.connection]
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


def test_cold_reset_ends_every_session(connect: Any) -> None:
    mine, other = connect(), connect(isid=b"ISID02")
    mine.feed(manage(mine, COLD_RESET))
    function = mine.connection.functions[0]
    finish_functions(mine)
    assert response(mine.answers()) == COMPLETE
    assert mine.connection.closing
    assert set(function.closing) == {mine.connection, other.connection}
