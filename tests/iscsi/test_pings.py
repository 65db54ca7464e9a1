"""An ORDERED task waits until the initiator has read what was promised to it from a file (``iscsi.pings``)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import deferred, pings
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.scsi.task import Task

SIMPLE, ORDERED, HEAD = 1, 2, 3
DATA_IN, RESPONSE, NOP_IN = Opcode.DATA_IN, Opcode.SCSI_RESPONSE, Opcode.NOP_IN


@pytest.fixture
def streaming(connect: Any, store: Any) -> Any:
    store.streams = True
    return connect(max_xmit_data_segment_length=65536)


def pong(nexus: Any, tag: int) -> bytes:
    answer: bytes = nexus.request(Opcode.NOP_OUT, initiator_task_tag=NO_TAG, target_transfer_tag=tag, immediate=True)
    return answer


@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("batches", [1, 2])
def test_an_ordered_write_behind_a_promise(streaming: Any, store: Any, batches: int, immediate: bool) -> None:
    read = streaming.read(0, 128)
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
    answers = streaming.ask(streaming.read(0, 128) + streaming.write(0, 2, attribute=ORDERED))
    transfer = answers[0].target_transfer_tag
    assert [answer.opcode for answer in answers] == [Opcode.READY_TO_TRANSFER, DATA_IN, RESPONSE]
    (ping,) = streaming.ask(streaming.data_out(tag, transfer, b"n" * 1024, 0))
    assert streaming.ask(pong(streaming, ping.target_transfer_tag)) == []
    streaming.work()
    assert [answer.status for answer in streaming.answers()] == [0]
    assert store.data[:1024] == b"n" * 1024


@pytest.mark.parametrize("attribute", [SIMPLE, HEAD])
def test_others_do_not_wait(streaming: Any, attribute: int) -> None:
    answers = streaming.ask(streaming.read(0, 128) + streaming.write(0, 1, b"n" * 512, attribute=attribute))
    assert [answer.opcode for answer in answers] == [DATA_IN, RESPONSE, RESPONSE]


def test_tasks_that_had_to_wait_promise_nothing(streaming: Any, connect: Any, store: Any) -> None:
    """They are read before they end: their successors begin then."""
    other = connect(isid=b"ISID02")
    tag = other.tag
    (r2t,) = other.ask(other.write(0, 2, attribute=HEAD))
    assert streaming.ask(streaming.read(0, 128) + streaming.write(0, 1, b"n" * 512, attribute=ORDERED)) == []
    other.feed(other.data_out(tag, r2t.target_transfer_tag, b"h" * 1024, 0))
    streaming.work()
    streaming.work()
    answers = streaming.answers()
    assert [answer.opcode for answer in answers] == [DATA_IN, RESPONSE]
    assert answers[0].data[:512] == b"h" * 512
    assert store.data[:512] == b"n" * 512


def test_the_end_of_the_connection(streaming: Any, connect: Any, target: Any) -> None:
    other = connect(isid=b"ISID02")
    streaming.ask(streaming.read(0, 128) + streaming.write(0, 1, b"n" * 512, attribute=ORDERED))
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
