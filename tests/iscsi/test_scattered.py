"""Data-Out out of order: what was negotiated is taken, what was lost is asked for, what breaks rules ends the task.

RFC 7143 sections 7.8, 7.9, 11.8, 13.18 and 13.19.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ietpy.iscsi.pdu import Opcode
from ietpy.iscsi.scattered import RECOVERIES_LIMIT, Scattered
from ietpy.iscsi.transfer import COPIED
from ietpy.wire.buffers import ReceiveWindow

RESPONSE, R2T, REJECT = Opcode.SCSI_RESPONSE, Opcode.READY_TO_TRANSFER, Opcode.REJECT
NO_TAG = 0xFFFFFFFF
DATA = bytes(range(256)) * 64
INCORRECT, SEQUENCE, CRC = (0xB, 0x0C0D), (0xB, 0x4B00), (0xB, 0x4705)


def sense(answer: Any) -> tuple[int, int]:
    """(sense key, ASC and ASCQ) of a CHECK CONDITION."""
    assert (answer.opcode, answer.status) == (RESPONSE, 2)
    return answer.data[4], int.from_bytes(answer.data[14:16], "big")


def piece(nexus: Any, tag: int, transfer_tag: int, start: int, end: int, data_sn: int, **options: Any) -> bytes:
    """Bytes ``start`` to ``end`` of DATA; not the last of their sequence unless ``final``."""
    return nexus.data_out(tag, transfer_tag, DATA[start:end], start, data_sn, final=options.pop("final", False))


def spoilt(pdu: bytes) -> bytes:
    """The same PDU with a wrong data digest."""
    return pdu[:-1] + bytes((pdu[-1] ^ 1,))


@pytest.mark.rfc7143("11.8-2")
def test_pdus_of_a_sequence_come_in_any_order(connect: Any, store: Any) -> None:
    nexus = connect(data_pdu_in_order=False, max_burst_length=2048)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 8))
    mark = r2t.target_transfer_tag
    for data_sn, start in enumerate((1536, 0, 1024)):
        assert nexus.ask(piece(nexus, tag, mark, start, start + 512, data_sn)) == []
    (r2t,) = nexus.ask(piece(nexus, tag, mark, 512, 1024, 3, final=True))
    assert (r2t.opcode, r2t.r2t_sn, r2t.buffer_offset, r2t.desired_data_transfer_length) == (R2T, 1, 2048, 2048)
    (answer,) = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 2048, 4096, 0, final=True))
    assert answer.status == 0
    assert store.data[:4096] == DATA[:4096]
    assert not nexus.session.tasks


@pytest.mark.rfc7143("11.8-2")
def test_unsolicited_pdus_come_in_any_order(connect: Any, store: Any) -> None:
    nexus = connect(data_pdu_in_order=False, first_burst_length=1536)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 8, DATA[:512], flags=0x20))
    assert nexus.ask(piece(nexus, tag, NO_TAG, 1024, 1536, 0)) == []
    (r2t,) = nexus.ask(piece(nexus, tag, NO_TAG, 512, 1024, 1, final=True))
    assert (r2t.buffer_offset, r2t.desired_data_transfer_length) == (1536, 2560)
    (answer,) = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 1536, 4096, 0, final=True))
    assert answer.status == 0
    assert store.data[:4096] == DATA[:4096]


@pytest.mark.rfc7143("11.8-2", "11.8-3")
def test_sequences_come_in_any_order_and_between_each_other(connect: Any, store: Any) -> None:
    nexus = connect(data_sequence_in_order=False, max_outstanding_r2t=3, max_burst_length=1024)
    tag = nexus.tag
    first, second, third = (each.target_transfer_tag for each in nexus.ask(nexus.write(0, 8)))
    assert nexus.ask(piece(nexus, tag, second, 1024, 1536, 0)) == []
    assert nexus.ask(piece(nexus, tag, first, 0, 512, 0)) == []
    (r2t,) = nexus.ask(piece(nexus, tag, second, 1536, 2048, 1, final=True))
    assert (r2t.r2t_sn, r2t.buffer_offset) == (3, 3072)
    assert nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 3072, 4096, 0, final=True)) == []
    assert nexus.ask(piece(nexus, tag, first, 512, 1024, 1, final=True)) == []
    (answer,) = nexus.ask(piece(nexus, tag, third, 2048, 3072, 0, final=True))
    assert (answer.status, answer.exp_data_sn) == (0, 0)
    assert store.data[:4096] == DATA[:4096]


ANY = {"data_pdu_in_order": False, "data_sequence_in_order": False}


@pytest.mark.parametrize(("size", "held"), [(COPIED, 0), (COPIED + 4, 1)])
def test_little_data_out_of_order_holds_no_receive_chunk(connect: Any, store: Any, size: int, held: int) -> None:
    nexus = connect(data_pdu_in_order=False, window=ReceiveWindow(1 << 20), max_recv_data_segment_length=1 << 20)
    tag = nexus.tag
    blocks = 2 * size // 512 + 1
    (r2t,) = nexus.ask(nexus.write(0, blocks))
    data = (DATA * 40)[: blocks * 512]
    mark = r2t.target_transfer_tag
    nexus.feed(nexus.data_out(tag, mark, data[size : 2 * size], size, 0, final=False))
    assert nexus.connection.window.chunk.pins == held
    nexus.feed(nexus.data_out(tag, mark, data[2 * size :], 2 * size, 1, final=False))
    (answer,) = nexus.ask(nexus.data_out(tag, mark, data[:size], 0, 2))
    assert answer.status == 0
    assert store.data[: len(data)] == data
    assert nexus.connection.window.chunk.pins == 0


@pytest.mark.rfc7143("11.4.2-1", "11.8-2", "11.8-5")
@pytest.mark.parametrize(
    ("parameters", "pieces", "failure"),
    [
        pytest.param({}, [(512, 1024, 0, False)], SEQUENCE, id="not the offset that comes next"),
        pytest.param(ANY, [(0, 512, 0, False), (256, 768, 1, False)], INCORRECT, id="bytes a second time"),
        pytest.param(ANY, [(512, 1024, 0, False), (512, 1024, 1, False)], INCORRECT, id="all of it a second time"),
        pytest.param(ANY, [(512, 1024, 0, False), (1536, 2564, 1, False)], INCORRECT, id="beyond the sequence"),
        pytest.param(ANY, [(512, 1024, 0, False), (0, 512, 1, True)], INCORRECT, id="ends with a gap"),
        pytest.param(ANY, [(1024, 2048, 0, False), (0, 1024, 1, False)], SEQUENCE, id="full and not said to be over"),
        pytest.param(ANY, [(1024, 2048, 0, False), (0, 512, 0, False)], SEQUENCE, id="a DataSN for the second time"),
        pytest.param(ANY, [(1024, 2048, 0, False), (0, 1024, 2, True)], CRC, id="a DataSN skipped"),
        pytest.param(
            {"data_sequence_in_order": False}, [(0, 512, 0, False), (1024, 2048, 1, True)], SEQUENCE,
            id="PDUs in order, but not these",
        ),
        pytest.param(
            {"error_recovery_level": 1}, [(0, 512, 0, False), (512, 1024, 0, False)], SEQUENCE,
            id="a DataSN for the second time at ErrorRecoveryLevel 1",
        ),
        pytest.param(
            {"error_recovery_level": 1}, [(0, 1024, 0, False), (512, 1024, 2, False)], SEQUENCE,
            id="goes back at ErrorRecoveryLevel 1",
        ),
        pytest.param({"error_recovery_level": 1}, [(0, 1024, 0, True)], INCORRECT, id="ends early, nothing lost"),
    ],
)
def test_what_no_rule_allows_ends_the_task(
    connect: Any, store: Any, parameters: dict[str, Any], pieces: list[tuple[int, int, int, bool]],
    failure: tuple[int, int],
) -> None:
    nexus = connect(**parameters)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 4))
    answers = []
    for start, end, data_sn, final in pieces:
        assert not answers
        answers = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, start, end, data_sn, final=final))
    if not final:  # it is told when all that was asked for has come (section 11.4.2)
        assert not answers
        answers = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 0, 0, 9, final=True))
    assert [sense(answer) for answer in answers] == [failure]
    assert not nexus.session.tasks
    assert not any(store.data)
    assert nexus.connection.window.chunk.pins == 0
    assert nexus.ask(nexus.command("00"))[0].status == 0


@pytest.mark.rfc7143("11.7.1-2")
def test_unsolicited_data_out_of_order_is_as_long_as_it_must_be(connect: Any) -> None:
    nexus = connect(data_pdu_in_order=False, first_burst_length=2048)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 8, flags=0x20))
    nexus.feed(piece(nexus, tag, NO_TAG, 512, 1024, 0))
    (answer,) = nexus.ask(piece(nexus, tag, NO_TAG, 0, 512, 1, final=True))
    assert sense(answer) == INCORRECT


@pytest.mark.rfc7143("11.8-2")
def test_unsolicited_data_with_a_gap_ends_the_task(connect: Any) -> None:
    nexus = connect(data_pdu_in_order=False)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 4, flags=0x20))
    (answer,) = nexus.ask(piece(nexus, tag, NO_TAG, 512, 1024, 0, final=True))
    assert sense(answer) == INCORRECT


@pytest.mark.rfc7143("7.3-3", "7.8-3", "7.3-1", "7.1.5-1")
@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_was_lost_is_asked_for_again(connect: Any, store: Any, which: int) -> None:
    nexus = connect(error_recovery_level=1, data_digest=True, max_burst_length=1536)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 4))
    for data_sn in range(3):
        start = data_sn * 512
        pdu = piece(nexus, tag, r2t.target_transfer_tag, start, start + 512, data_sn, final=data_sn == 2)
        answers = nexus.ask(spoilt(pdu) if data_sn == which else pdu)
        if data_sn == which:
            reject = answers.pop(0)
            assert (reject.opcode, reject.reason, reject.data) == (REJECT, 2, pdu[:48])
        assert len(answers) == (data_sn == 2)
    (again,) = answers
    assert (again.opcode, again.r2t_sn, again.buffer_offset, again.desired_data_transfer_length) == (
        R2T, 1, which * 512, 512
    )
    assert again.target_transfer_tag != r2t.target_transfer_tag
    (r2t,) = nexus.ask(piece(nexus, tag, again.target_transfer_tag, which * 512, which * 512 + 512, 0, final=True))
    assert (r2t.r2t_sn, r2t.buffer_offset, r2t.desired_data_transfer_length) == (2, 1536, 512)
    (answer,) = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 1536, 2048, 0, final=True))
    assert answer.status == 0
    assert store.data[:2048] == DATA[:2048]


@pytest.mark.rfc7143("7.9-1", "7.8-3")
def test_several_gaps_are_asked_for_with_one_r2t(connect: Any, store: Any) -> None:
    """DataSN tells of PDUs that never came; what lies between the gaps may come once more."""
    nexus = connect(error_recovery_level=1)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 4))
    assert nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 512, 1024, 1)) == []
    (again,) = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 1536, 2048, 3, final=True))
    assert (again.r2t_sn, again.buffer_offset, again.desired_data_transfer_length) == (1, 0, 1536)
    (answer,) = nexus.ask(piece(nexus, tag, again.target_transfer_tag, 0, 1536, 0, final=True))
    assert answer.status == 0
    assert store.data[:2048] == DATA[:2048]


@pytest.mark.rfc7143("7.8-3", "7.8-2")
def test_unsolicited_data_that_was_lost_is_asked_for_again(connect: Any, store: Any) -> None:
    nexus = connect(error_recovery_level=1, data_digest=True)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 8, DATA[:512], flags=0x20))
    nexus.ask(spoilt(piece(nexus, tag, NO_TAG, 512, 1024, 0)))
    nexus.feed(piece(nexus, tag, NO_TAG, 1024, 1536, 1))
    _, again = nexus.ask(spoilt(piece(nexus, tag, NO_TAG, 1536, 2048, 2, final=True)))
    assert (again.buffer_offset, again.desired_data_transfer_length) == (512, 1536)
    (r2t,) = nexus.ask(piece(nexus, tag, again.target_transfer_tag, 512, 2048, 0, final=True))
    assert (r2t.buffer_offset, r2t.desired_data_transfer_length) == (2048, 2048)
    (answer,) = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 2048, 4096, 0, final=True))
    assert answer.status == 0
    assert store.data[:4096] == DATA[:4096]


def test_recovery_is_tried_a_few_times_only(connect: Any) -> None:
    nexus = connect(error_recovery_level=1, data_digest=True)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 1))
    for turn in range(RECOVERIES_LIMIT):
        _, r2t = nexus.ask(spoilt(piece(nexus, tag, r2t.target_transfer_tag, 0, 512, 0, final=True)))
        assert (r2t.opcode, r2t.r2t_sn) == (R2T, turn + 1)
    _, answer = nexus.ask(spoilt(piece(nexus, tag, r2t.target_transfer_tag, 0, 512, 0, final=True)))
    assert sense(answer) == CRC


@pytest.mark.parametrize("header", [
    pytest.param({"transfer_tag": 4711}, id="of no sequence"),
    pytest.param({"task": 999}, id="of no task"),
])
def test_a_lost_pdu_that_belongs_nowhere_changes_nothing(connect: Any, header: dict[str, int]) -> None:
    nexus = connect(error_recovery_level=1, data_digest=True)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 1))
    row = {"task": tag, "transfer_tag": r2t.target_transfer_tag} | header
    (reject,) = nexus.ask(spoilt(piece(nexus, row["task"], row["transfer_tag"], 0, 512, 0)))
    assert reject.reason == 2
    (answer,) = nexus.ask(piece(nexus, tag, r2t.target_transfer_tag, 0, 512, 0, final=True))
    assert answer.status == 0


def test_a_lost_pdu_of_an_older_number_does_not_turn_the_count_back(connect: Any, store: Any) -> None:
    nexus = connect(error_recovery_level=1, data_digest=True)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 2))
    mark = r2t.target_transfer_tag
    nexus.feed(piece(nexus, tag, mark, 0, 512, 0))
    assert nexus.ask(spoilt(piece(nexus, tag, mark, 0, 512, 0)))[0].reason == 2
    (answer,) = nexus.ask(piece(nexus, tag, mark, 512, 1024, 1, final=True))
    assert answer.status == 0
    assert store.data[:1024] == DATA[:1024]


def test_surplus_out_of_order_is_dropped(connect: Any, store: Any) -> None:
    nexus = connect(data_pdu_in_order=False)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 1, expected=2048, flags=0x20))
    for data_sn, start in enumerate((1024, 1536, 256)):
        nexus.feed(piece(nexus, tag, NO_TAG, start, start + 512, data_sn))
    nexus.feed(piece(nexus, tag, NO_TAG, 768, 768, 3))
    (answer,) = nexus.ask(piece(nexus, tag, NO_TAG, 0, 256, 4, final=True))
    # Bytes 768 to 1023 did not come, and are not needed.
    assert (answer.status, answer.residual_count) == (0, 1536)
    assert store.data[:512] == DATA[:512]
    assert not any(store.data[512:])


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=20), st.integers(0, 50), st.integers(0, 60))
def test_gaps_are_what_was_not_put(parts: list[tuple[int, int]], start: int, stop: int) -> None:
    scattered = Scattered()
    held: set[int] = set()
    for first, length in parts:
        for gap in scattered.gaps(first, first + length):
            scattered.put(*gap, [])
        held |= set(range(first, first + length))
    assert {at for gap in scattered.gaps(start, stop) for at in range(*gap)} == set(range(start, stop)) - held
    assert [place[0] for place in scattered.places] == sorted(scattered.starts)


#: (Data-Out's tag: unsolicited, foreign, or of an R2T; DataSN, offset and length in steps; F; wrong digest; LUN)
PDU = st.tuples(
    st.integers(-2, 3), st.integers(0, 4), st.integers(0, 8), st.integers(0, 4), st.booleans(), st.booleans(),
    st.sampled_from([0, 0, 0, 1]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    pdus=st.lists(PDU, max_size=14), level=st.sampled_from([0, 1]), in_order=st.booleans(), sequences=st.booleans(),
    unsolicited=st.booleans(), limit=st.integers(1, 3),
)
def test_whatever_comes_a_write_is_answered_once(
    connect: Any, store: Any, pdus: list[Any], level: int, in_order: bool, sequences: bool, unsolicited: bool,
    limit: int,
) -> None:
    """After it, or the end of all that was asked for, nothing is held; what is written is what was sent."""
    store.data[:] = bytes(store.size)
    nexus = connect(
        error_recovery_level=level, data_pdu_in_order=in_order, data_sequence_in_order=sequences, data_digest=True,
        max_outstanding_r2t=limit, max_burst_length=512, first_burst_length=512,
    )
    tag = nexus.tag
    answers = nexus.ask(nexus.write(0, 4, flags=0x20 if unsolicited else 0xA0))
    for which, data_sn, offset, length, final, wrong, lun in pdus:
        marks = [each.target_transfer_tag for each in answers if each.opcode == R2T]
        mark = {-2: 4711, -1: NO_TAG}.get(which, marks[which % len(marks)] if marks else NO_TAG)
        start = offset * 256
        pdu = nexus.data_out(
            tag, mark, DATA[start : start + length * 128], start, data_sn, final=final, lun=lun << 48
        )
        answers += nexus.ask(spoilt(pdu) if wrong and length else pdu)
    for _ in range(200):  # more than there can be sequences; each PDU ends the oldest outstanding, or nothing
        task = nexus.session.tasks.get(tag)
        if task is None:
            break
        answers += nexus.ask(nexus.data_out(tag, task.transfer.sequences[0][0], b"", 9999, 99, final=True))
    ends = [each for each in answers if each.opcode == RESPONSE]
    assert [each.initiator_task_tag for each in ends] == [tag]
    assert nexus.session.tasks == {}
    assert nexus.connection.window.chunk.pins == 0
    assert bytes(store.data[:2048]) == (DATA[:2048] if ends[0].status == 0 else bytes(2048))
    (answer,) = nexus.ask(nexus.command("00"))
    assert answer.status == 0
    nexus.session.end()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(data=st.data(), level=st.sampled_from([0, 1]), pdus=st.booleans(), sequences=st.booleans(),
       limit=st.integers(1, 4), blocks=st.integers(1, 12), now=st.integers(0, 2), unsolicited=st.booleans())
def test_every_order_writes_the_same(
    connect: Any, store: Any, data: Any, level: int, pdus: bool, sequences: bool, limit: int, blocks: int, now: int,
    unsolicited: bool,
) -> None:
    """An initiator that answers as it may, with losses where they are recovered."""
    store.data[:] = bytes(store.size)
    nexus = connect(
        error_recovery_level=level, data_pdu_in_order=pdus, data_sequence_in_order=sequences,
        max_outstanding_r2t=limit, max_burst_length=1024, first_burst_length=1024, data_digest=True,
    )
    size, tag = blocks * 512, nexus.tag
    immediate = min(now * 512, size)
    more = unsolicited and immediate < min(1024, size)
    waiting = nexus.ask(nexus.write(0, blocks, DATA[:immediate], flags=0x20 if more else 0xA0))
    outstanding = [(NO_TAG, immediate, min(1024, size) - immediate)] if more else []
    losses = 3 if level else 0
    for _ in range(200):
        outstanding += [
            (each.target_transfer_tag, each.buffer_offset, each.desired_data_transfer_length)
            for each in waiting if each.opcode == R2T
        ]
        ends = [each for each in waiting if each.opcode == RESPONSE]
        if ends:
            break
        assert sum(each[0] != NO_TAG for each in outstanding) <= limit
        which = 0 if sequences else data.draw(st.integers(0, len(outstanding) - 1))
        mark, start, length = outstanding.pop(which)
        parts = [(at, min(at + 300, start + length)) for at in range(start, start + length, 300)]
        if not pdus:
            parts = data.draw(st.permutations(parts))
        waiting = []
        for data_sn, (first, end) in enumerate(parts):
            pdu = piece(nexus, tag, mark, first, end, data_sn, final=data_sn == len(parts) - 1)
            if losses and data.draw(st.booleans()):
                losses -= 1
                pdu = spoilt(pdu)
            waiting += nexus.ask(pdu)
    assert [answer.status for answer in ends] == [0]
    assert store.data[:size] == DATA[:size]
    assert not any(store.data[size:])
    assert nexus.connection.window.chunk.pins == 0
    nexus.session.end()
