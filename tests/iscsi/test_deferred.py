"""Tasks that outlive their batch: who waits for whom on one connection and on several, and how all of that ends."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import deferred
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.pdu import Opcode
from ietpy.scsi.nexus import ORDERING

SIMPLE, ORDERED, HEAD = 1, 2, 3
OTHER = b"ISID02"
ABORT_TASK, LU_RESET = 1, 5


@pytest.fixture
def unit(target: Any) -> Any:
    return target.device.logical_units[0]


@pytest.fixture
def nothing_left(unit: Any) -> Any:
    """Called at the end: nobody has a place, and commands pass without a closer look."""

    def check(*nexuses: Any) -> None:
        assert not unit.tasks._places
        assert not unit.gates
        for nexus in nexuses:
            assert not deferred.tasks_of(nexus.session)
            assert all(not each.barrier & ORDERING for each in nexus.session.nexuses.values())

    return check


def solicited(nexus: Any, attribute: int, blocks: int = 2) -> tuple[int, int]:
    """Begin a write that waits for its data: its task tag and its transfer tag."""
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, blocks, attribute=attribute))
    assert r2t.opcode == Opcode.READY_TO_TRANSFER
    return tag, r2t.target_transfer_tag


def statuses(nexus: Any) -> list[tuple[int, int]]:
    return [(answer.initiator_task_tag, answer.status) for answer in nexus.answers()]


def abort(nexus: Any, tag: int) -> int:
    (answer,) = nexus.ask(nexus.request(
        Opcode.TASK_MANAGEMENT_REQUEST, flags=0x80 | ABORT_TASK, immediate=True, referenced_task_tag=tag
    ))
    response: int = answer.response
    return response


def test_ordered_between_simple_ones_on_workers(nexus: Any, store: Any, nothing_left: Any) -> None:
    store.waits = True
    first, second, third = nexus.tag, nexus.tag + 1, nexus.tag + 2
    nexus.feed(nexus.read(0, 1, attribute=SIMPLE) + nexus.read(0, 1, attribute=ORDERED) + nexus.read(0, 1))
    assert {task.tag for task in nexus.session.dormant} == {second, third}
    assert not any(task.may_block for task in nexus.session.dormant)
    for tag in (first, second, third):
        assert [task.tag for task in nexus.deferred] == [tag]
        assert nexus.work() == []
        assert statuses(nexus) == [(tag, 0)]
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7
    nothing_left(nexus)


def test_an_ordered_command_alone_is_executed_in_place(nexus: Any, unit: Any, nothing_left: Any) -> None:
    (first, second) = nexus.ask(nexus.read(0, 1, attribute=ORDERED) + nexus.read(0, 1, attribute=HEAD))
    assert (first.status, second.status) == (0, 0)
    nothing_left(nexus)


def test_a_simple_command_of_the_batch_does_not_wait_for_a_later_ordered_one(nexus: Any, nothing_left: Any) -> None:
    """That one has its place already, when the batch is parsed."""
    tag = nexus.tag + 1
    stream = nexus.write(0, 1, b"x" * 512, attribute=SIMPLE) + nexus.write(0, 2, attribute=ORDERED)
    r2t, done = nexus.ask(stream)
    assert (r2t.opcode, done.opcode, done.status) == (Opcode.READY_TO_TRANSFER, Opcode.SCSI_RESPONSE, 0)
    assert nexus.ask(nexus.read(0, 1)) == []  # but one behind it does
    nexus.feed(nexus.data_out(tag, r2t.target_transfer_tag, b"y" * 1024, 0))
    assert statuses(nexus) == [(tag, 0)]
    nexus.work()
    (answer,) = nexus.answers()
    assert answer.data == b"y" * 512
    nothing_left(nexus)


def test_head_of_queue_does_not_wait(nexus: Any, connect: Any, store: Any, nothing_left: Any) -> None:
    other = connect(isid=OTHER)
    _, transfer = solicited(nexus, ORDERED)
    assert nexus.ask(nexus.command("00")) == []
    for each in (nexus, other):
        (answer,) = each.ask(each.read(0, 1, attribute=HEAD))
        assert answer.status == 0
    store.waits = True
    tag = other.tag
    other.feed(other.read(0, 1, attribute=HEAD))
    assert [task.tag for task in other.deferred] == [tag]
    other.work()
    nexus.feed(nexus.data_out(nexus.tag - 3, transfer, bytes(1024), 0))
    nexus.work()
    assert [status for _, status in statuses(nexus)] == [0, 0]
    nothing_left(nexus, other)


def test_data_of_a_write_that_must_wait_is_kept(nexus: Any, connect: Any, store: Any, nothing_left: Any) -> None:
    other = connect(isid=OTHER)
    head, transfer = solicited(other, HEAD)
    nexus.feed(nexus.write(4, 1, b"z" * 512))
    assert nexus.answers() == []
    assert nexus.connection.window.chunk.pins == 1
    nexus.ask(nexus.request(Opcode.NOP_OUT, b"-" * 3000, target_transfer_tag=0xFFFFFFFF))
    other.feed(other.data_out(head, transfer, bytes(1024), 0))
    nexus.work()
    assert [status for _, status in statuses(nexus)] == [0]
    assert store.data[2048:2560] == b"z" * 512
    assert nexus.connection.window.chunk.pins == 0
    nothing_left(nexus, other)


class TestAborts:
    def test_of_a_task_that_waits_for_its_turn(self, nexus: Any, store: Any, nothing_left: Any) -> None:
        store.waits = True
        tags = [nexus.tag + number for number in range(3)]
        nexus.feed(nexus.read(0, 1) + nexus.write(0, 1, b"x" * 512, attribute=ORDERED) + nexus.read(0, 1))
        assert abort(nexus, tags[1]) == 0  # at once: nothing of it was begun
        nexus.pass_on()
        assert [task.tag for task in nexus.deferred] == [tags[0], tags[2]]
        nexus.work()
        assert [tag for tag, _ in statuses(nexus)] == [tags[0], tags[2]]
        assert not any(store.data)
        assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7
        nothing_left(nexus)

    def test_of_one_that_others_wait_for(self, nexus: Any, connect: Any, nothing_left: Any) -> None:
        other = connect(isid=OTHER)
        tag, _ = solicited(nexus, ORDERED)
        assert other.ask(other.command("00")) == []
        assert abort(nexus, tag) == 0
        nexus.pass_on()
        other.work()
        assert [status for _, status in statuses(other)] == [0]
        nothing_left(nexus, other)

    def test_of_one_whose_turn_has_come_just_now(self, nexus: Any, connect: Any, nothing_left: Any) -> None:
        """It has ended, and its Task may be another command's, when its connection hears of it."""
        other, third = connect(isid=OTHER), connect(isid=b"ISID03")
        tag, transfer = solicited(nexus, ORDERED)
        waiting = other.tag
        assert other.ask(other.command("00")) == []
        (place,) = (task.place for task in other.session.dormant)
        stream = nexus.data_out(tag, transfer, bytes(1024), 0)
        nexus.connection.space()[: len(stream)] = stream
        (task,) = nexus.connection.received(len(stream))
        assert task.nexus.lu.execute(task)
        complete(nexus.connection, task)
        nexus.connection.ready.clear()
        assert list(nexus.connection.enabled) == [place]
        assert abort(other, waiting) == 0
        last, _ = solicited(third, ORDERED)
        assert other.ask(other.command("00")) == []  # the same Task, which waits again
        assert [each.place is not place for each in other.session.dormant] == [True]
        assert {each.place.task for each in other.session.dormant} == {place.task}
        nexus.pass_on()
        assert other.deferred == []
        assert len(other.session.dormant) == 1
        assert abort(third, last) == 0
        third.pass_on()
        other.work()
        assert [status for _, status in statuses(other)] == [0]
        nothing_left(nexus, other, third)


@pytest.mark.parametrize("closing", [False, True])
def test_a_connection_that_ends_keeps_nobody_waiting(
    nexus: Any, connect: Any, store: Any, nothing_left: Any, closing: bool
) -> None:
    other = connect(isid=OTHER)
    solicited(nexus, ORDERED)
    assert other.ask(other.read(0, 1)) == []
    assert nexus.ask(nexus.read(0, 1)) == []
    nexus.connection.closing = closing
    deferred.withdraw(nexus.connection)
    nexus.pass_on()
    assert len(other.deferred) == 1
    assert len(nexus.deferred) == (0 if closing else 1)  # half closed: it may still be answered
    other.work()
    nexus.work()
    nothing_left(nexus, other)


def test_a_turn_that_comes_when_the_connection_closes_is_passed_on(
    nexus: Any, connect: Any, nothing_left: Any
) -> None:
    other = connect(isid=OTHER)
    tag, transfer = solicited(nexus, ORDERED)
    assert other.ask(other.command("00", flags=0x80 | ORDERED)) == []
    assert nexus.ask(nexus.command("00")) == []
    other.connection.closing = True
    nexus.feed(nexus.data_out(tag, transfer, bytes(1024), 0))
    assert other.deferred == []
    assert len(other.session.dormant) == 1
    deferred.withdraw(other.connection)
    other.pass_on()
    nexus.work()
    assert [status for _, status in statuses(nexus)] == [0, 0]
    nothing_left(nexus, other)


def test_a_batch_that_broke_off_keeps_nobody_waiting(nexus: Any, connect: Any, nothing_left: Any) -> None:
    """Its data has come, so it is ready; then something stops the connection before it is executed."""
    other = connect(isid=OTHER)
    tag, transfer = solicited(nexus, ORDERED)
    assert other.ask(other.command("00")) == []
    stream = nexus.data_out(tag, transfer, bytes(1024), 0)
    nexus.connection.space()[: len(stream)] = stream
    ready = nexus.connection.received(len(stream))
    assert [task.tag for task in ready] == [tag]
    nexus.connection.closing = True
    deferred.withdraw(nexus.connection)
    nexus.pass_on()
    other.work()
    assert [status for _, status in statuses(other)] == [0]
    nothing_left(nexus, other)


def test_an_ending_of_a_batch_spares_what_workers_have(nexus: Any, store: Any, nothing_left: Any) -> None:
    store.waits = True
    stream = nexus.read(0, 1, attribute=ORDERED)
    nexus.connection.space()[: len(stream)] = stream
    (task,) = nexus.connection.received(len(stream))
    assert not task.nexus.lu.execute(task)
    assert deferred.defer(nexus.connection, task)
    deferred.withdraw(nexus.connection)  # the batch still has it
    assert task.place is not None
    nexus.deferred.append(task)
    nexus.work()
    nothing_left(nexus)


def test_a_connection_without_a_session_has_nothing_to_withdraw(nexus: Any) -> None:
    nexus.connection.session = None
    deferred.withdraw(nexus.connection)


def test_where_there_is_no_unit_nothing_waits(nexus: Any) -> None:
    """Data that comes for a write to it is taken and dropped."""
    lun = 5 << 48
    tag = nexus.tag
    assert nexus.ask(nexus.write(0, 4, b"x" * 512, flags=0x20, lun=lun, expected=2048)) == []
    (answer,) = nexus.ask(nexus.data_out(tag, 0xFFFFFFFF, b"y" * 1536, 512))
    assert (answer.status, answer.data[14]) == (2, 0x25)
    nexus.feed(nexus.command("00", lun=lun), execute=False)


def test_a_task_of_no_unit_is_deferred_without_a_place(nexus: Any) -> None:
    stream = nexus.command("12 00 00 00 24", lun=5 << 48, flags=0xC0, expected=36)
    nexus.connection.space()[: len(stream)] = stream
    (task,) = nexus.connection.received(len(stream))
    assert deferred.defer(nexus.connection, task)
    assert task.place is None
    nexus.connection.ready.clear()
    nexus.deferred.append(task)
    nexus.work()
    assert [status for _, status in statuses(nexus)] == [0]


def test_units_that_are_gone_end_their_tasks_in_order(nexus: Any, target: Any, store: Any) -> None:
    """A unit is removed while a task waits for another: both are told so, one after the other."""
    store.waits = True
    nexus.feed(nexus.read(0, 1) + nexus.read(0, 1, attribute=ORDERED))
    target.device.remove(0)
    nexus.work()
    assert [status for _, status in statuses(nexus)] == [2]
    nexus.work()
    assert [status for _, status in statuses(nexus)] == [2]
    assert not nexus.session.dormant


def test_the_end_of_order_in_a_unit_that_is_gone_leaves_its_successors(
    connect: Any, target: Any, store: Any, unit: Any
) -> None:
    """The nexus of one initiator has become the successor's meanwhile."""
    mine, other = connect(), connect(isid=OTHER)
    tag, transfer = solicited(mine, ORDERED)
    successor = type(unit)(store, unit.identity, device=target.device, number=0, write_cache=True)
    target.device.remove(0)
    target.device.add(0, successor)
    for each in (mine, other):
        statuses(each)
        each.ask(each.command("00") + each.command("00"))
    assert mine.session.nexuses[0].lu is successor
    late, its_transfer = solicited(other, ORDERED)
    assert mine.session.nexuses[0].barrier & ORDERING
    mine.feed(mine.data_out(tag, transfer, bytes(1024), 0))
    assert [task.tag for task in mine.deferred] == [tag]  # its place is in the set that has nothing else
    mine.work()
    assert mine.session.nexuses[0].barrier & ORDERING
    other.feed(other.data_out(late, its_transfer, bytes(1024), 0))
    mine.work()
    assert not mine.session.nexuses[0].barrier & ORDERING
    assert not unit.tasks._places
    assert not successor.tasks._places
