"""An ORDERED task waits until the initiator has read what was promised to it from a file (``iscsi.pings``)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import deferred, pings
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.scsi.limits import EXTENT_MINIMUM
from ietpy.scsi.task import Task

SIMPLE, ORDERED, HEAD = 1, 2, 3
PROMISED = EXTENT_MINIMUM // 512  #: blocks
DATA_IN, RESPONSE, NOP_IN = Opcode.DATA_IN, Opcode.SCSI_RESPONSE, Opcode.NOP_IN


@pytest.fixture
def streaming(connect: Any, store: Any) -> Any:
    store.streams = True
    return connect(max_xmit_data_segment_length=EXTENT_MINIMUM)


def pong(nexus: Any, tag: int) -> bytes:
    answer: bytes = nexus.request(Opcode.NOP_OUT, initiator_task_tag=NO_TAG, target_transfer_tag=tag, immediate=True)
    return answer


@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("batches", [1, 2])
def test_an_ordered_write_behind_a_promise(streaming: Any, store: Any, batches: int, immediate: bool) -> None:
    read = streaming.read(0, PROMISED)
    write = streaming.write(0, 1, b"n" * 512, attribute=ORDERED, immediate=immediate)
    answers = streaming.ask(read + write) if batches == 1 else streaming.ask(read) + streaming.ask(write)
    assert [answer.opcode for answer in answers] == [DATA_IN, RESPONSE, NOP_IN]
    assert not any(store.data)
    tag = answers[-1].target_transfer_tag
    assert streaming.ask(pong(streaming, tag + 1)) == []
    assert len(streaming.session.dormant) == 1
    assert streaming.ask(pong(streaming, tag)) == []
    streaming.work()
    (done,) = streaming.answers()
    assert (done.opcode, done.status) == (RESPONSE, 0)
    assert store.data[:512] == b"n" * 512
    answers = streaming.ask(streaming.write(0, 1, b"m" * 512, attribute=ORDERED))
    assert [answer.opcode for answer in answers] == [RESPONSE]  # nothing was promised since


def test_one_that_waited_for_its_data_meanwhile(streaming: Any, store: Any) -> None:
    tag = streaming.tag + 1
    answers = streaming.ask(streaming.read(0, PROMISED) + streaming.write(0, 2, attribute=ORDERED))
    transfer = answers[0].target_transfer_tag
    assert [answer.opcode for answer in answers] == [Opcode.READY_TO_TRANSFER, DATA_IN, RESPONSE]
    (ping,) = streaming.ask(streaming.data_out(tag, transfer, b"n" * 1024, 0))
    assert streaming.ask(pong(streaming, ping.target_transfer_tag)) == []
    streaming.work()
    assert [answer.status for answer in streaming.answers()] == [0]
    assert store.data[:1024] == b"n" * 1024


def test_a_later_ordered_command_does_not_take_its_place(streaming: Any, store: Any) -> None:
    """That one is executed first, as the older one waits for its data."""
    tag = streaming.tag + 1
    stream = streaming.read(0, PROMISED) + streaming.write(0, 2, attribute=ORDERED)
    answers = streaming.ask(stream + streaming.read(9, 1) + streaming.read(9, 1, attribute=ORDERED))
    assert [answer.opcode for answer in answers] == [Opcode.READY_TO_TRANSFER, DATA_IN, RESPONSE, NOP_IN]
    transfer, pong_tag = answers[0].target_transfer_tag, answers[-1].target_transfer_tag
    assert streaming.ask(streaming.data_out(tag, transfer, b"n" * 1024, 0)) == []
    streaming.work()
    assert not any(store.data)
    assert streaming.ask(pong(streaming, pong_tag)) == []
    for _ in range(3):
        streaming.work()
    assert [answer.status for answer in streaming.answers()] == [0] * 3
    assert store.data[:1024] == b"n" * 1024


def test_another_logical_unit_is_another_matter(streaming: Any) -> None:
    """What was promised there is not forgotten when somebody asks for what was promised here."""
    lun_1 = 1 << 48
    answers = streaming.ask(streaming.read(0, PROMISED) + streaming.read(0, PROMISED, lun=lun_1))
    assert [answer.opcode for answer in answers] == [DATA_IN, RESPONSE] * 2
    for lun in (lun_1, 0):
        (ping,) = streaming.ask(streaming.write(0, 1, b"n" * 512, attribute=ORDERED, lun=lun))
        assert ping.opcode == NOP_IN
    (done,) = streaming.ask(streaming.write(0, 1, b"n" * 512, attribute=HEAD, lun=lun_1))
    assert (done.opcode, done.status) == (RESPONSE, 0)


@pytest.mark.parametrize("attribute", [SIMPLE, HEAD])
def test_others_do_not_wait(streaming: Any, attribute: int) -> None:
    answers = streaming.ask(streaming.read(0, PROMISED) + streaming.write(0, 1, b"n" * 512, attribute=attribute))
    assert [answer.opcode for answer in answers] == [DATA_IN, RESPONSE, RESPONSE]


def test_tasks_that_had_to_wait_promise_nothing(streaming: Any, connect: Any, store: Any) -> None:
    """They are read before they end: their successors begin then."""
    other = connect(isid=b"ISID02")
    tag = other.tag
    (r2t,) = other.ask(other.write(0, 2, attribute=HEAD))
    assert streaming.ask(streaming.read(0, PROMISED) + streaming.write(0, 1, b"n" * 512, attribute=ORDERED)) == []
    other.feed(other.data_out(tag, r2t.target_transfer_tag, b"h" * 1024, 0))
    streaming.work()
    streaming.work()
    answers = streaming.answers()
    assert [answer.opcode for answer in answers] == [DATA_IN, RESPONSE]
    assert answers[0].data[:512] == b"h" * 512
    assert store.data[:512] == b"n" * 512


def test_the_end_of_the_connection(streaming: Any, connect: Any, target: Any) -> None:
    other = connect(isid=b"ISID02")
    streaming.ask(streaming.read(0, PROMISED) + streaming.write(0, 1, b"n" * 512, attribute=ORDERED))
    assert other.ask(other.command("00")) == []
    streaming.connection.closing = True
    deferred.withdraw(streaming.connection)
    streaming.pass_on()
    other.work()
    assert [answer.status for answer in other.answers()] == [0]
    assert not target.device.logical_units[0].tasks._places


def test_where_there_is_no_unit_nothing_is_held_back(streaming: Any, target: Any) -> None:
    task = Task()
    task.nexus = target.device.absent.attach("iqn.x")
    pings.hold_back(streaming.connection, task)
    assert streaming.answers() == []


class TestWhoKeepsOthersWaiting:
    """It is given up in time (``pings.overdue``)."""

    def overdue(self, nexus: Any, *times: float) -> list[bool]:
        closing = []
        for now in times:
            nexus.connection.tick(now)
            closing.append(nexus.connection.closing)
        return closing

    def test_by_no_answer_to_a_ping(self, streaming: Any) -> None:
        streaming.ask(streaming.read(0, PROMISED))
        assert self.overdue(streaming, 0, 100) == [False, False]
        streaming.ask(streaming.write(0, 1, b"n" * 512, attribute=ORDERED))
        assert self.overdue(streaming, 101, 130.9) == [False, False]
        streaming.feed(streaming.command("00"))  # to talk about something else does not help
        assert self.overdue(streaming, 131) == [True]
        assert streaming.connection.problem == "tasks waited 30 s for an answer of the initiator, or for its data"

    def test_unless_it_answers(self, streaming: Any) -> None:
        (_, _, ping) = streaming.ask(streaming.read(0, PROMISED) + streaming.write(0, 1, b"n" * 512, attribute=ORDERED))
        assert self.overdue(streaming, 0, 29) == [False, False]
        streaming.feed(pong(streaming, ping.target_transfer_tag))
        assert self.overdue(streaming, 30, 61) == [False, False]

    def test_or_who_waited_was_aborted(self, streaming: Any) -> None:
        streaming.ask(streaming.read(0, PROMISED) + streaming.write(0, 1, b"n" * 512, attribute=ORDERED))
        assert self.overdue(streaming, 0) == [False]
        (task,) = streaming.session.dormant
        deferred.discard(streaming.connection, task)
        assert self.overdue(streaming, 31) == [False]

    def test_by_no_data(self, connect: Any) -> None:
        owing, waiting = connect(), connect(isid=b"ISID02")
        tag = owing.tag
        (r2t,) = owing.ask(owing.write(0, 4, attribute=ORDERED))
        owing.ask(owing.command("00"))
        assert self.overdue(owing, 0, 100) == [False, False]  # its own command waits, which is its own affair
        waiting.ask(waiting.command("00"))
        assert self.overdue(owing, 101, 130) == [False, False]
        data = owing.data_out(tag, r2t.target_transfer_tag, b"n" * 512, 0, final=False)
        owing.feed(data)  # some of it has come
        assert self.overdue(owing, 131, 160) == [False, False]
        assert self.overdue(waiting, 0, 100) == [False, False]
        assert self.overdue(owing, 161) == [True]

    def test_nothing_of_this_concerns_discovery(self, connect: Any) -> None:
        assert self.overdue(connect(discovery=True), 0, 100) == [False, False]
