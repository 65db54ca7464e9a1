from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.initiator.errors import TargetFault
from ietpy.initiator.framing import Framer, Pdu, build_pdu
from ietpy.initiator.tasks import Response, ScsiTask, sense_of
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import NO_TAG, Opcode

SENSE = bytes.fromhex("00127000050000000a00000000240000000000 00")


def pdu(opcode: int, data: bytes = b"", **fields: Any) -> Pdu:
    framer = Framer(1 << 24)
    framer.feed(build_pdu(opcode, data, **fields))
    found = framer.next_pdu()
    assert found is not None
    return found


def data_in(data: bytes, sn: int, offset: int, flags: int = 0x00, **fields: Any) -> Pdu:
    return pdu(Opcode.DATA_IN, data, data_sn=sn, buffer_offset=offset, flags=flags, **fields)


def answer(**fields: Any) -> Pdu:
    data = fields.pop("data", b"")
    return pdu(Opcode.SCSI_RESPONSE, data, **{"flags": 0x80, **fields})


def r2t(sn: int, offset: int, length: int, **fields: Any) -> Pdu:
    right = {"flags": 0x80, "lun": 1, "target_transfer_tag": 9}
    named = {"r2t_sn": sn, "buffer_offset": offset, "desired_data_transfer_length": length}
    return pdu(Opcode.READY_TO_TRANSFER, **{**right, **named, **fields})


def reading(length: int, **keys: Any) -> ScsiTask:
    return ScsiTask(1, 1, bytes(16), Parameters(**keys), read=length)


def writing(data: bytes, **keys: Any) -> ScsiTask:
    return ScsiTask(1, 1, bytes(16), Parameters(**keys), write=data)


@given(
    data=st.binary(min_size=1, max_size=600),
    cuts=st.sets(st.integers(min_value=1, max_value=599)),
    status_in_data=st.booleans(),
    expected_more=st.integers(min_value=0, max_value=50),
    shuffle=st.randoms() | st.none(),
)
def test_data_in_is_put_together_however_it_was_cut(
    data: bytes, cuts: set[int], status_in_data: bool, expected_more: int, shuffle: Any
) -> None:
    task = reading(len(data) + expected_more, data_pdu_in_order=shuffle is None)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = list(pairwise(edges))
    if shuffle is not None:
        shuffle.shuffle(pieces)
    residual = {"residual_count": expected_more}
    under = 0x02 if expected_more else 0
    response: Response | None = None
    for sn, (start, end) in enumerate(pieces):
        last = sn == len(pieces) - 1
        flags = (0x80 if last else 0) | (0x01 | under if last and status_in_data else 0)
        response = task.data_in(data_in(data[start:end], sn, start, flags, **(residual if flags & 1 else {})))
        assert (response is not None) == bool(flags & 1)
    if response is None:
        response = task.response(answer(flags=0x80 | under, exp_data_sn=len(pieces), **residual))
    assert response == Response(0, b"", data, expected_more)


@given(
    data=st.binary(min_size=1, max_size=3000),
    initial_r2t=st.booleans(),
    immediate=st.booleans(),
    first=st.integers(512, 1500),
    burst=st.integers(1500, 2000),
    segment=st.integers(512, 1024),
)
def test_data_out_covers_the_buffer_once_within_all_limits(
    data: bytes, initial_r2t: bool, immediate: bool, first: int, burst: int, segment: int
) -> None:
    task = writing(
        data, initial_r2t=initial_r2t, immediate_data=immediate, first_burst_length=first, max_burst_length=burst,
        max_xmit_data_segment_length=segment,
    )  # fmt: skip
    sent = task.immediate_data
    assert len(sent) <= (min(first, segment) if immediate else 0)
    unsolicited = list(task.unsolicited())
    assert bool(task.flags & 0x80) == (not unsolicited)
    assert not (initial_r2t and unsolicited)
    asked = 0
    bursts = [unsolicited]
    while True:
        for number, piece in enumerate(bursts[-1]):
            assert (piece.buffer_offset, piece.data_sn) == (len(sent), number)
            assert 0 < len(piece.data) <= segment
            assert piece.final == (piece is bursts[-1][-1])
            assert piece.target_transfer_tag == (9 if asked else NO_TAG)
            sent += piece.data
        if not asked:
            assert len(sent) <= first
        if len(sent) == len(data):
            break
        want = min(burst, len(data) - len(sent))
        bursts.append(list(task.ready_to_transfer(r2t(asked, len(sent), want))))
        asked += 1
    assert sent == data
    assert task.response(answer()).good


def test_unsolicited_data_needs_no_immediate_data() -> None:
    task = writing(bytes(1000), initial_r2t=False, immediate_data=False)
    assert task.immediate_data == b""
    assert [len(piece.data) for piece in task.unsolicited()] == [1000]


@pytest.mark.parametrize(
    ("first", "then", "section"),
    [
        pytest.param([], data_in(b"x", 1, 0), "11.7.5", id="DataSN starts at 0"),
        pytest.param([data_in(b"x", 0, 0)], data_in(b"x", 0, 1), "11.7.5", id="DataSN repeated"),
        pytest.param([], data_in(b"x", 0, 1), "13.18", id="not in order"),
        pytest.param([], data_in(b"x" * 9, 0, 0), "11.7.6", id="past the expected length"),
        pytest.param([], data_in(b"x", 0, 0, 0x40), "11.7.2", id="A bit at ErrorRecoveryLevel 0"),
        pytest.param([], data_in(b"x", 0, 0, 0x02), "11.7.3", id="residual flag without S"),
        pytest.param([], data_in(b"x" * 8, 0, 0, 0x01), "11.7.3", id="S without F"),
        pytest.param([], data_in(b"x" * 8, 0, 0, 0x81, status=2), "11.7.3", id="CHECK CONDITION in Data-In"),
        pytest.param([], data_in(b"x" * 7, 0, 0, 0x81), "11.4.5", id="short without residual"),
        pytest.param([], data_in(b"x" * 7, 0, 0, 0x83), "11.4.5", id="U bit without a count"),
        pytest.param([], data_in(b"x" * 7, 0, 0, 0x81, residual_count=1), "11.4.5", id="a count without U bit"),
        pytest.param([], data_in(b"x", 0, 0, 0x83, residual_count=9), "11.4.5", id="residual above the length"),
        pytest.param([], data_in(b"x" * 8, 0, 0, 0x87, residual_count=1), "11.4.1", id="O and U"),
        pytest.param([data_in(b"x" * 8, 0, 0)], answer(exp_data_sn=1), "11.7.1", id="no F bit before the status"),
        pytest.param([data_in(b"x" * 8, 0, 0, 0x80)], answer(), "11.4.8", id="ExpDataSN"),
        pytest.param([], answer(flags=0x82, residual_count=8, status=2), "11.4.7", id="CHECK CONDITION without sense"),
        pytest.param([], answer(flags=0x82, residual_count=8, data=b"\0\5ab"), "11.4.7.1", id="sense data cut"),
        pytest.param([], answer(flags=0x82, residual_count=8, response=1), "11.4.1", id="residual of a failure"),
        pytest.param([], answer(bidirectional_residual_count=1), "11.4.6", id="bidirectional residual"),
        pytest.param([], r2t(0, 0, 8), "11.8", id="R2T for a read"),
    ],
)
def test_faults_of_a_read_of_8_bytes(first: list[Pdu], then: Pdu, section: str) -> None:
    task = reading(8)
    for each in first:
        assert task.data_in(each) is None
    judge: dict[int, Callable[[Pdu], Any]] = {
        Opcode.DATA_IN: task.data_in,
        Opcode.SCSI_RESPONSE: task.response,
        Opcode.READY_TO_TRANSFER: task.ready_to_transfer,
    }
    with pytest.raises(TargetFault) as caught:
        judge[then.opcode](then)
    assert caught.value.section == section


def test_data_in_sequence_longer_than_max_burst_length() -> None:
    task = reading(4096, max_burst_length=512)
    task.data_in(data_in(bytes(512), 0, 0, 0x80))
    task.data_in(data_in(bytes(512), 1, 512))
    with pytest.raises(TargetFault, match=r"13\.13"):
        task.data_in(data_in(bytes(1), 2, 1024, 0x80))


def test_data_in_twice_where_order_is_free() -> None:
    task = reading(8, data_sequence_in_order=False)
    task.data_in(data_in(b"abcd", 0, 4))
    with pytest.raises(TargetFault, match="a second time"):
        task.data_in(data_in(b"abcd", 1, 1))


@pytest.mark.parametrize(
    ("request_", "section"),
    [
        pytest.param(r2t(1, 0, 512), "11.8.2", id="R2TSN"),
        pytest.param(r2t(0, 0, 512, target_transfer_tag=NO_TAG), "11.8.5", id="reserved tag"),
        pytest.param(r2t(0, 0, 512, lun=2), "11.8.5", id="another LUN"),
        pytest.param(r2t(0, 0, 0), "11.8.4", id="zero bytes"),
        pytest.param(r2t(0, 0, 1025), "11.8.4", id="more than MaxBurstLength"),
        pytest.param(r2t(0, 2000, 512), "11.8.4", id="past the end"),
        pytest.param(r2t(0, 512, 512), "13.19", id="not in order"),
    ],
)
def test_faults_of_an_r2t(request_: Pdu, section: str) -> None:
    task = writing(bytes(2048), immediate_data=False, max_burst_length=1024)
    with pytest.raises(TargetFault) as caught:
        task.ready_to_transfer(request_)
    assert caught.value.section == section


def test_good_status_before_all_data_was_asked_for() -> None:
    task = writing(bytes(2048), immediate_data=False)
    with pytest.raises(TargetFault, match="only 0 of 2048 bytes"):
        task.response(answer())


def test_data_in_for_a_write() -> None:
    with pytest.raises(TargetFault, match="reads nothing"):
        writing(b"x").data_in(data_in(b"x", 0, 0))


@pytest.mark.parametrize("exp_data_sn", [0, 1], ids=["Data-In only", "R2T counted, as RFC 3720 had it"])
def test_exp_data_sn_of_a_write(exp_data_sn: int) -> None:
    task = writing(bytes(512), immediate_data=False)
    list(task.ready_to_transfer(r2t(0, 0, 512)))
    assert task.response(answer(exp_data_sn=exp_data_sn)).good


def test_a_status_that_comes_with_data_though_a_snack_tag_was_given() -> None:
    task = reading(4, error_recovery_level=1)
    assert task.restart(7) == 0
    with pytest.raises(TargetFault, match="must"):
        task.data_in(data_in(bytes(4), 0, 0, 0x81))


def test_sense_and_overflow() -> None:
    task = ScsiTask(1, 1, bytes(6), Parameters())
    response = task.response(answer(status=2, data=SENSE, flags=0x84, residual_count=36))
    assert response == Response(2, SENSE[2:], b"", -36)
    assert not response.good


def test_failure_of_the_service_leaves_no_good_response() -> None:
    assert not reading(8).response(answer(response=1)).good


def test_never_both_directions() -> None:
    with pytest.raises(ValueError, match="bidirectional"):
        ScsiTask(1, 1, bytes(16), Parameters(), read=1, write=b"x")


def test_flags_of_a_command_without_data() -> None:
    assert ScsiTask(1, 1, bytes(6), Parameters()).flags == 0x81


def test_no_data_segment_is_no_sense() -> None:
    assert sense_of(b"") == b""
