"""Immediate, unsolicited and solicited data (RFC 7143 sections 11.3, 11.7, 11.8)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ietpy.iscsi.pdu import Opcode
from ietpy.wire.buffers import ReceiveWindow

RESPONSE, R2T, REJECT = Opcode.SCSI_RESPONSE, Opcode.READY_TO_TRANSFER, Opcode.REJECT
NO_TAG = 0xFFFFFFFF
DATA = bytes(range(256)) * 512


def sense(answer: Any) -> tuple[int, int]:
    """(sense key, ASC and ASCQ) of a CHECK CONDITION."""
    assert (answer.opcode, answer.status) == (RESPONSE, 2)
    return answer.data[4], int.from_bytes(answer.data[14:16], "big")


def test_immediate_data_is_written(nexus: Any, store: Any) -> None:
    (answer,) = nexus.ask(nexus.write(2, 4, DATA[:2048]))
    assert (answer.opcode, answer.status, answer.flags) == (RESPONSE, 0, 0x80)
    assert store.data[1024:3072] == DATA[:2048]


def test_writes_in_one_batch_keep_their_data(nexus: Any, store: Any) -> None:
    stream = b"".join(nexus.write(turn, 1, bytes([turn]) * 512) for turn in range(6))
    assert len(nexus.ask(stream)) == 6
    assert store.data[: 6 * 512] == b"".join(bytes([turn]) * 512 for turn in range(6))


def test_data_of_a_deferred_write_survives_later_requests(connect: Any, store: Any) -> None:
    nexus = connect()
    lu = nexus.session.device.logical_units[0]
    lu.set_write_cache(False)
    for turn in range(6):
        nexus.feed(nexus.write(turn * 2, 2, bytes([turn + 1]) * 1024))
    assert nexus.answers() == []
    nexus.work()
    assert [answer.status for answer in nexus.answers()] == [0] * 6
    assert store.data[: 6 * 1024] == b"".join(bytes([turn + 1]) * 1024 for turn in range(6))


@pytest.mark.rfc7143("4.2.2.4-1", "11.4.8-1", "11.8-3", "11.8-4", "11.8.1-1", "11.8.4-1", "13.19-1")
def test_r2t_asks_for_bursts_in_order(connect: Any, store: Any) -> None:
    nexus = connect(max_burst_length=4096, initial_r2t=True, immediate_data=True)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 20, DATA[:1024]))
    position, turn = 1024, 0
    while r2t.opcode == R2T:
        assert (r2t.flags, r2t.r2t_sn, r2t.buffer_offset) == (0x80, turn, position)
        assert r2t.desired_data_transfer_length == min(4096, 10240 - position)
        half = r2t.desired_data_transfer_length // 2
        end = position + r2t.desired_data_transfer_length
        assert nexus.ask(
            nexus.data_out(tag, r2t.target_transfer_tag, DATA[position : position + half], position, final=False)
        ) == []
        (r2t,) = nexus.ask(
            nexus.data_out(tag, r2t.target_transfer_tag, DATA[position + half : end], position + half, 1)
        )
        position, turn = end, turn + 1
    assert (r2t.status, r2t.exp_data_sn, r2t.residual_count) == (0, 0, 0)
    assert store.data[:10240] == DATA[:10240]
    assert not nexus.session.tasks


@pytest.mark.rfc7143("4.2.2.2-1")
def test_r2t_carries_but_does_not_use_a_stat_sn(connect: Any) -> None:
    nexus = connect()
    (r2t,) = nexus.ask(nexus.write(0, 2, flags=0xA0))
    (answer,) = nexus.ask(nexus.command("00"))
    assert r2t.stat_sn == answer.stat_sn


@pytest.mark.parametrize("header_digest", [False, True])
def test_r2t_has_a_digest_and_room_when_the_slab_is_full(connect: Any, header_digest: bool) -> None:
    nexus = connect(header_digest=header_digest)
    nexus.connection.used = nexus.connection.mark = len(nexus.connection.slab)
    (r2t,) = nexus.ask(nexus.write(0, 2, lun=1 << 48))
    assert (r2t.opcode, r2t.lun, r2t.desired_data_transfer_length) == (R2T, 1 << 48, 1024)


@pytest.mark.rfc7143("4.2.5.2-2", "4.2.5.2-1", "11.8-4")
def test_unsolicited_data_then_r2t(connect: Any, store: Any) -> None:
    nexus = connect(first_burst_length=2048)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 8, DATA[:1024], flags=0x20))
    nexus.feed(nexus.data_out(tag, NO_TAG, DATA[1024:1536], 1024, 0, final=False))
    nexus.feed(nexus.data_out(tag, NO_TAG, DATA[1536:2048], 1536, 1))
    (r2t,) = nexus.answers()
    assert (r2t.buffer_offset, r2t.desired_data_transfer_length) == (2048, 2048)
    (answer,) = nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, DATA[2048:4096], 2048))
    assert answer.status == 0
    assert store.data[:4096] == DATA[:4096]


@pytest.mark.rfc7143("11.7.1-2")
@pytest.mark.parametrize("more", [0, 1])
def test_unsolicited_data_is_as_long_as_it_may_be_unless_it_could_be_all(connect: Any, more: int) -> None:
    nexus = connect(first_burst_length=4096)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 8 + more, flags=0x20))
    (answer,) = nexus.ask(nexus.data_out(tag, NO_TAG, DATA[:512], 0))
    if more:
        assert sense(answer) == INCORRECT
    else:
        assert (answer.opcode, answer.buffer_offset) == (R2T, 512)


@pytest.mark.rfc7143("11.7.7-1")
@pytest.mark.parametrize("final", [False, True])
def test_a_data_out_without_data_moves_the_sequence_on(connect: Any, store: Any, final: bool) -> None:
    nexus = connect()
    tag = nexus.tag
    nexus.feed(nexus.write(0, 2, flags=0x20))
    nexus.feed(nexus.data_out(tag, NO_TAG, b"", 0, 0, final=final))
    if final:
        (r2t,) = nexus.answers()
        assert (r2t.opcode, r2t.buffer_offset, r2t.desired_data_transfer_length) == (R2T, 0, 1024)
    else:
        (answer,) = nexus.ask(nexus.data_out(tag, NO_TAG, DATA[:1024], 0, 1))
        assert answer.status == 0
        assert store.data[:1024] == DATA[:1024]


@pytest.mark.rfc7143("11.4.8-1")
def test_only_unsolicited_data(connect: Any, store: Any) -> None:
    nexus = connect()
    tag = nexus.tag
    nexus.feed(nexus.write(0, 2, flags=0x20))
    (answer,) = nexus.ask(nexus.data_out(tag, NO_TAG, DATA[:1024], 0))
    assert (answer.status, answer.exp_data_sn) == (0, 0)
    assert store.data[:1024] == DATA[:1024]


@pytest.mark.rfc7143("11.4.5.1-1", "11.4.5.2-1", "11.4.5.2-2", "11.3.4-2")
@pytest.mark.parametrize(
    ("blocks", "expected", "flag", "count", "written"),
    [
        pytest.param(2, 1024, 0x80, 0, 1024, id="as expected"),
        pytest.param(1, 1024, 0x82, 512, 512, id="the CDB asks for less"),
        pytest.param(3, 1024, 0x84, 512, 1024, id="the CDB asks for more"),
    ],
)
@pytest.mark.parametrize("how", ["immediate", "unsolicited", "solicited"])
def test_residuals(
    connect: Any, store: Any, blocks: int, expected: int, flag: int, count: int, written: int, how: str
) -> None:
    nexus = connect()
    tag = nexus.tag
    if how == "immediate":
        (answer,) = nexus.ask(nexus.write(0, blocks, DATA[:expected], expected=expected))
    elif how == "unsolicited":
        nexus.feed(nexus.write(0, blocks, DATA[:100], expected=expected, flags=0x20))
        (answer,) = nexus.ask(nexus.data_out(tag, NO_TAG, DATA[100:expected], 100))
    else:
        (r2t,) = nexus.ask(nexus.write(0, blocks, expected=expected))
        assert r2t.desired_data_transfer_length == written
        (answer,) = nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, DATA[:written], 0))
    assert (answer.status, answer.flags, answer.residual_count) == (0, flag, count)
    assert store.data[:written] == DATA[:written]
    assert not any(store.data[written:])


def test_surplus_in_pieces_is_dropped(connect: Any, store: Any) -> None:
    nexus = connect(window=ReceiveWindow(1024), max_recv_data_segment_length=65536)
    (answer,) = nexus.ask(nexus.write(0, 3, DATA[:8192], expected=8192))
    assert (answer.status, answer.flags, answer.residual_count) == (0, 0x82, 8192 - 1536)
    assert store.data[:1536] == DATA[:1536]
    assert not any(store.data[1536:])


def test_surplus_pdus_are_dropped(connect: Any, store: Any) -> None:
    nexus = connect()
    tag = nexus.tag
    nexus.feed(nexus.write(0, 1, expected=2048, flags=0x20))
    nexus.feed(nexus.data_out(tag, NO_TAG, DATA[:1024], 0, 0, final=False))
    (answer,) = nexus.ask(nexus.data_out(tag, NO_TAG, DATA[1024:2048], 1024, 1))
    assert (answer.status, answer.residual_count) == (0, 1536)
    assert store.data[:512] == DATA[:512]
    assert not any(store.data[512:])


UNEXPECTED, INCORRECT, SEQUENCE, CRC = (0xB, 0x0C0C), (0xB, 0x0C0D), (0xB, 0x4B00), (0xB, 0x4705)


@pytest.mark.rfc7143("4.2.5.2-1", "11.7.1-2", "11.8-1", "11.17.1-3", "13.11-2", "13.12-1")
@pytest.mark.parametrize(
    ("parameters", "size", "flags", "expected"),
    [
        pytest.param({"immediate_data": False}, 512, 0xA0, 1024, id="ImmediateData=No"),
        pytest.param({"first_burst_length": 512}, 516, 0xA0, 1024, id="over FirstBurstLength"),
        pytest.param({}, 1028, 0xA0, 1024, id="over the expected length"),
        pytest.param({"initial_r2t": True}, 512, 0x20, 1024, id="more to come with InitialR2T=Yes"),
        pytest.param({"immediate_data": False}, 512, 0x20, 1024, id="ImmediateData=No, and more to come"),
    ],
)
def test_unsolicited_data_nobody_allowed(
    connect: Any, parameters: dict[str, Any], size: int, flags: int, expected: int
) -> None:
    nexus = connect(**parameters)
    tag = nexus.tag
    answers = nexus.ask(nexus.write(0, 2, DATA[:size], flags=flags, expected=expected))
    if not flags & 0x80:  # more is on its way (section 11.17.1)
        assert not answers
        assert nexus.ask(nexus.data_out(tag, NO_TAG, DATA[size:700], size, 0, final=False)) == []
        answers = nexus.ask(nexus.data_out(tag, NO_TAG, DATA[700:1024], 700, 1))
    assert [sense(answer) for answer in answers] == [UNEXPECTED]
    assert not nexus.session.tasks
    assert nexus.ask(nexus.command("00"))[0].status == 0


@pytest.mark.rfc7143("11.3.1-1")
@pytest.mark.parametrize("flags", [0x80, 0xC0, 0x00], ids=["no data", "R", "F not set"])
def test_data_of_a_command_that_takes_none(nexus: Any, flags: int) -> None:
    (answer,) = nexus.ask(nexus.command("00", b"data" if flags else b"", flags=flags))
    assert sense(answer) == UNEXPECTED


@pytest.mark.rfc7143("4.2.2.4-1", "4.2.5.3-1", "7.9-1", "11.4.2-1", "11.8-2", "11.8-5", "11.17.1-2", "11.17.1-3")
@pytest.mark.parametrize(
    ("change", "failure"),
    [
        pytest.param({"transfer_tag": 12345}, SEQUENCE, id="foreign transfer tag"),
        pytest.param({"transfer_tag": NO_TAG}, SEQUENCE, id="unsolicited after R2T"),
        pytest.param({"data_sn": 1}, CRC, id="DataSN skipped"),
        pytest.param({"offset": 4}, SEQUENCE, id="buffer offset skipped"),
        pytest.param({"lun": 1 << 48}, SEQUENCE, id="another LUN"),
        pytest.param({"data": DATA[:1028]}, INCORRECT, id="more than asked for"),
        pytest.param({"data": DATA[:1020]}, INCORRECT, id="ends early"),
        pytest.param({"data": b""}, INCORRECT, id="nothing"),
        pytest.param({"final": False}, SEQUENCE, id="does not end"),
    ],
)
def test_solicited_data_out_of_order_ends_the_task(
    nexus: Any, store: Any, change: dict[str, Any], failure: tuple[int, int]
) -> None:
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 2))
    row = {"transfer_tag": r2t.target_transfer_tag, "data": DATA[:1024], "offset": 0, "data_sn": 0} | change
    answers = nexus.ask(nexus.data_out(tag, **row))
    if not row.get("final", True):  # it is told when all that was asked for has come (section 11.4.2)
        assert not answers
        answers = nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, b"", 1024, 1))
    assert [sense(answer) for answer in answers] == [failure]
    assert not nexus.session.tasks
    assert not any(store.data)
    assert nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, DATA[:1024], 0)) == []
    assert nexus.ask(nexus.command("00"))[0].status == 0


@pytest.mark.rfc7143("10.7-2")
def test_data_for_no_task_is_dropped(nexus: Any) -> None:
    assert nexus.ask(nexus.data_out(77, NO_TAG, DATA[:512], 0)) == []


def test_data_for_a_task_on_a_worker_is_dropped(nexus: Any) -> None:
    nexus.store.waits = True
    tag = nexus.tag
    nexus.feed(nexus.read(0, 1))
    assert nexus.ask(nexus.data_out(tag, NO_TAG, DATA[:512], 0)) == []
    nexus.work()
    assert nexus.answers()[0].status == 0


@pytest.mark.rfc7143("11.2.1.8-1")
def test_a_tag_in_use_is_rejected(nexus: Any) -> None:
    tag = nexus.tag
    nexus.ask(nexus.write(0, 2))
    (answer,) = nexus.ask(nexus.write(0, 2, initiator_task_tag=tag))
    assert (answer.opcode, answer.reason, len(answer.data)) == (REJECT, 0x07, 48)


@pytest.mark.parametrize(
    ("lba", "blocks", "asc"), [pytest.param(8191, 2, 0x2100, id="out of range")],
)
def test_a_write_that_cannot_be_is_refused_before_its_data(nexus: Any, lba: int, blocks: int, asc: int) -> None:
    (answer,) = nexus.ask(nexus.write(lba, blocks))
    assert sense(answer) == (5, asc)
    assert not nexus.session.tasks


def test_a_write_that_cannot_be_is_refused_before_it_is_asked_for_more(connect: Any) -> None:
    nexus = connect(first_burst_length=512)
    tag = nexus.tag
    assert nexus.ask(nexus.write(8191, 2, flags=0x20)) == []
    (answer,) = nexus.ask(nexus.data_out(tag, NO_TAG, DATA[:512], 0))
    assert sense(answer) == (5, 0x2100)
    assert not nexus.session.tasks


@pytest.mark.rfc7143("7.8-2", "7.8-3", "11.17.1-2")
def test_a_lost_data_out_ends_its_task(connect: Any) -> None:
    nexus = connect(data_digest=True)
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 2))
    broken = bytearray(nexus.data_out(tag, r2t.target_transfer_tag, DATA[:1024], 0))
    broken[60] ^= 1
    reject, response = nexus.ask(bytes(broken))
    assert sense(response) == (0xB, 0x4705)
    assert (reject.opcode, reject.reason, reject.data) == (REJECT, 0x02, bytes(broken[:48]))
    lost = bytearray(nexus.data_out(tag, r2t.target_transfer_tag, DATA[:1024], 0))
    lost[60] ^= 1
    (reject,) = nexus.ask(bytes(lost))
    assert reject.reason == 0x02


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    blocks=st.integers(1, 40), immediate=st.integers(0, 4), unsolicited=st.booleans(),
    burst=st.sampled_from([512, 1024, 4096]), segment=st.integers(1, 3000),
    window=st.sampled_from([512, 2048, 65536]), digests=st.booleans(), defer=st.booleans(),
)
def test_every_way_of_sending_writes_the_same(
    connect: Any, store: Any, blocks: int, immediate: int, unsolicited: bool, burst: int, segment: int, window: int,
    digests: bool, defer: bool,
) -> None:
    store.data[:] = bytes(store.size)
    nexus = connect(
        max_burst_length=burst, first_burst_length=2048, window=ReceiveWindow(window), header_digest=digests,
        data_digest=digests, isid=b"ISID%02d" % (blocks % 90),
    )
    nexus.session.device.logical_units[0].set_write_cache(not defer)
    size = blocks * 512
    now = min(immediate * 512, 2048, size)
    tag = nexus.tag
    more = unsolicited and now < size
    nexus.feed(nexus.write(1, blocks, DATA[:now], flags=0x20 if more else 0xA0))
    position = now
    transfer_tag, end = NO_TAG, min(2048, size)
    answers: list[Any] = []
    while True:
        if more:
            data_sn = 0
            while True:
                part = min(segment, end - position)
                final = position + part == end
                nexus.feed(nexus.data_out(
                    tag, transfer_tag, DATA[position : position + part], position, data_sn, final=final
                ))
                position, data_sn = position + part, data_sn + 1
                if final:
                    break
        nexus.work()
        answers = nexus.answers()
        if not answers or answers[0].opcode != R2T:
            break
        transfer_tag = answers[0].target_transfer_tag
        end = position + answers[0].desired_data_transfer_length
        more = True
    assert [answer.status for answer in answers] == [0]
    assert store.data[512 : 512 + size] == DATA[:size]
    assert not any(store.data[512 + size :])
    assert all(chunk.pins == 0 for chunk in [nexus.connection.window.chunk])
    nexus.session.end()


def test_a_write_of_no_blocks_is_ready_at_once(nexus: Any, store: Any) -> None:
    (answer,) = nexus.ask(nexus.write(0, 0))
    assert (answer.opcode, answer.status, answer.residual_count) == (Opcode.SCSI_RESPONSE, 0, 0)
    assert not any(store.data)
