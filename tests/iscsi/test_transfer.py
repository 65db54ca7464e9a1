"""R2Ts: how many, for what, and what becomes of a write when they were answered (RFC 7143 sections 11.8, 13.17)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import Opcode
from ietpy.iscsi.transfer import cut, r2t_limit

RESPONSE, R2T = Opcode.SCSI_RESPONSE, Opcode.READY_TO_TRANSFER
NO_TAG = 0xFFFFFFFF
DATA = bytes(range(256)) * 64


@pytest.mark.rfc7143("4.2.2.4-1", "11.8-3", "11.8-4", "13.19-1")
@pytest.mark.parametrize(
    ("limit", "first"), [pytest.param(1, 1, id="one"), pytest.param(3, 3, id="three"), pytest.param(9, 5, id="all")],
)
def test_no_more_r2ts_are_outstanding_than_negotiated(connect: Any, store: Any, limit: int, first: int) -> None:
    nexus = connect(max_outstanding_r2t=limit, max_burst_length=2048, initial_r2t=True)
    tag = nexus.tag
    waiting = nexus.ask(nexus.write(0, 20))
    assert len(waiting) == first
    seen = []
    while True:
        r2t = waiting.pop(0)
        assert (r2t.opcode, r2t.r2t_sn) == (R2T, len(seen))
        start, length = r2t.buffer_offset, r2t.desired_data_transfer_length
        seen.append((start, length))
        half = length // 2
        assert nexus.ask(
            nexus.data_out(tag, r2t.target_transfer_tag, DATA[start : start + half], start, 0, final=False)
        ) == []
        answers = nexus.ask(
            nexus.data_out(tag, r2t.target_transfer_tag, DATA[start + half : start + length], start + half, 1)
        )
        if answers and answers[0].opcode == RESPONSE:
            break
        waiting += answers
        assert len(waiting) <= limit
    assert seen == [(start, 2048) for start in range(0, 10240, 2048)]
    assert (answers[0].status, answers[0].exp_data_sn) == (0, 0)
    assert store.data[:10240] == DATA[:10240]


@pytest.mark.rfc7143("11.8-2")
def test_r2ts_that_are_outstanding_are_answered_in_their_order(connect: Any) -> None:
    nexus = connect(max_outstanding_r2t=2, max_burst_length=1024)
    tag = nexus.tag
    first, second = nexus.ask(nexus.write(0, 4))
    assert nexus.ask(nexus.data_out(tag, second.target_transfer_tag, DATA[1024:2048], 1024)) == []
    (answer,) = nexus.ask(nexus.data_out(tag, first.target_transfer_tag, DATA[:1024], 0))
    assert answer.status == 2
    assert answer.data[14:16] == b"\x4b\x00"


@pytest.mark.rfc7143("7.8-3", "7.8-4", "11.17.1-2", "11.17.1-3", "11.4.2-1")
def test_a_task_that_lost_data_ends_when_all_outstanding_data_has_come(connect: Any, store: Any) -> None:
    nexus = connect(max_outstanding_r2t=2, max_burst_length=1024, data_digest=True)
    tag = nexus.tag
    first, second = nexus.ask(nexus.write(0, 6))
    broken = bytearray(nexus.data_out(tag, first.target_transfer_tag, DATA[:512], 0, 0, final=False))
    broken[50] ^= 1
    (reject,) = nexus.ask(bytes(broken))
    assert (reject.opcode, reject.reason) == (Opcode.REJECT, 2)
    assert all(chunk.pins == 0 for chunk in [nexus.connection.window.chunk])
    assert nexus.ask(nexus.data_out(tag, first.target_transfer_tag, DATA[512:1024], 512, 1)) == []
    assert nexus.ask(nexus.data_out(tag, second.target_transfer_tag, DATA[1024:1536], 1024, 0, final=False)) == []
    assert nexus.ask(nexus.data_out(tag, 12345, DATA[1024:1536], 1024, 0, final=False)) == []
    broken = bytearray(nexus.data_out(tag, second.target_transfer_tag, DATA[1536:2048], 1536, 1))
    broken[50] ^= 1
    _, answer = nexus.ask(bytes(broken))
    assert (answer.opcode, answer.status, answer.data[4], answer.data[14:16]) == (RESPONSE, 2, 0xB, b"\x47\x05")
    assert not any(store.data)
    assert not nexus.session.tasks


@pytest.mark.rfc7143("7.9-1")
def test_a_skipped_data_sn_counts_as_a_digest_error(connect: Any) -> None:
    nexus = connect()
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 4))
    assert nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, DATA[512:1024], 512, 1, final=False)) == []
    (answer,) = nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, DATA[1024:2048], 1024, 2))
    assert (answer.status, answer.data[14:16]) == (2, b"\x47\x05")


@pytest.mark.rfc7143("7.8-4")
def test_a_task_management_function_ends_the_wait_for_the_rest(connect: Any) -> None:
    nexus = connect(data_digest=True)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 4))
    broken = bytearray(nexus.data_out(tag, r2t.target_transfer_tag, DATA[:512], 0, 0, final=False))
    broken[50] ^= 1
    nexus.ask(bytes(broken))
    (answer,) = nexus.ask(nexus.request(
        Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=0x81, referenced_task_tag=tag,
    ))
    assert (answer.opcode, answer.response) == (Opcode.TASK_MANAGEMENT_RESPONSE, 0)
    assert not nexus.session.tasks


@pytest.mark.rfc7143("13.19-2")
@pytest.mark.parametrize(
    ("level", "in_order", "limit"), [(0, True, 5), (0, False, 5), (1, True, 1), (1, False, 5), (2, True, 1)],
)
def test_only_the_last_r2t_may_be_tried_again_in_order(level: int, in_order: bool, limit: int) -> None:
    parameters = Parameters(max_outstanding_r2t=5, error_recovery_level=level, data_sequence_in_order=in_order)
    assert r2t_limit(parameters) == limit


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 3), (0, 10), (2, 5), (3, 6), (6, 10), (4, 5)])
def test_cut(start: int, end: int) -> None:
    views = [memoryview(b"012"), memoryview(b"345"), memoryview(b"6789")]
    assert b"".join(cut(views, start, end)) == b"0123456789"[start:end]
