"""What belongs to a command goes by the connection it came by (RFC 7143 section 4.2.5.1)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi.pdu import Opcode


@pytest.fixture
def pair(connect: Any) -> tuple[Any, Any]:
    first = connect(max_connections=2)
    return first, first.join(1)


@pytest.mark.rfc7143("4.2.5.1-2", "4.2.5.3-1")
def test_data_goes_by_the_connection_of_its_command(pair: Any, store: Any) -> None:
    first, second = pair
    (r2t,) = first.ask(first.write(0, 8))
    stray = second.data_out(r2t.initiator_task_tag, r2t.target_transfer_tag, b"x" * 4096, 0)
    (answer,) = second.ask(stray)
    assert (answer.opcode, answer.reason, answer.data) == (Opcode.REJECT, 0x04, stray[:48])
    (answer,) = first.ask(first.data_out(r2t.initiator_task_tag, r2t.target_transfer_tag, b"y" * 4096, 0))
    assert (answer.opcode, answer.status) == (Opcode.SCSI_RESPONSE, 0)
    assert store.data[:4096] == b"y" * 4096
    assert second.answers() == []


def test_data_of_a_task_that_ended_is_dropped_on_any_connection(pair: Any) -> None:
    for each in pair:
        assert each.ask(each.data_out(999, 7, b"x" * 512, 0)) == []


def test_data_whose_digest_does_not_fit_ends_no_task_of_another_connection(connect: Any) -> None:
    first = connect(max_connections=2)
    second = first.join(1, data_digest=True)
    (r2t,) = first.ask(first.write(0, 8))
    broken = bytearray(second.data_out(r2t.initiator_task_tag, r2t.target_transfer_tag, b"x" * 4096, 0))
    broken[-1] ^= 1
    (answer,) = second.ask(bytes(broken))
    assert answer.reason == 0x02
    (answer,) = first.ask(first.data_out(r2t.initiator_task_tag, r2t.target_transfer_tag, b"y" * 4096, 0))
    assert answer.status == 0


@pytest.mark.rfc7143("4.2.5.1-1", "4.2.5.1-2", "4.2.2.2-1")
def test_answers_go_by_the_connection_of_their_command(pair: Any, store: Any) -> None:
    first, second = pair
    store.waits = True
    first.feed(first.read(0, 1))
    second.feed(second.read(0, 1))
    first.work()
    second.work()
    (mine,), (other,) = first.answers(), second.answers()
    assert (mine.initiator_task_tag, other.initiator_task_tag) == (first.tag - 2, first.tag - 1)
    assert other.stat_sn == 500  # each connection counts for itself
