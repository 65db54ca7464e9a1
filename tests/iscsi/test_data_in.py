"""Data-In, status and residuals (RFC 7143 sections 11.4, 11.7)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi.pdu import Opcode

DATA_IN, RESPONSE = Opcode.DATA_IN, Opcode.SCSI_RESPONSE

every_digest = pytest.mark.parametrize(
    "digests", [{}, {"header_digest": True}, {"data_digest": True}, {"header_digest": True, "data_digest": True}],
    ids=str,
)


@pytest.mark.rfc7143("11.7.3-2", "4.2.5.1-2", "11.7.4-1", "11.7.2-2")
def test_a_small_read_is_one_data_in_with_status(nexus: Any, store: Any) -> None:
    store.fill()
    (answer,) = nexus.ask(nexus.read(3, 2))
    assert answer.opcode == DATA_IN
    assert (answer.flags, answer.status, answer.target_transfer_tag) == (0x81, 0, 0xFFFFFFFF)
    assert (answer.data_sn, answer.buffer_offset, answer.residual_count) == (0, 0, 0)
    assert answer.data == bytes(store.data[1536:2560])


@pytest.mark.rfc7143("4.2.2.2-1")
@pytest.mark.parametrize(("expected", "flag", "count"), [(512, 0x81, 0), (256, 0x85, 256), (1024, 0x83, 512)])
def test_what_a_worker_has_read_has_its_residual(
    nexus: Any, store: Any, expected: int, flag: int, count: int
) -> None:
    store.fill()
    store.waits = True
    nexus.feed(nexus.read(3, 1, expected=expected))
    nexus.work()
    (answer,) = nexus.answers()
    assert (answer.opcode, answer.flags, answer.residual_count) == (DATA_IN, flag, count)
    assert answer.data == bytes(store.data[1536 : 1536 + min(512, expected)])


@pytest.mark.rfc7143("4.2.2.2-1")
def test_status_numbers_go_up_by_one(nexus: Any) -> None:
    first, second = nexus.ask(nexus.read(0, 1) + nexus.read(1, 1))
    assert second.stat_sn == first.stat_sn + 1


@pytest.mark.rfc7143("4.2.2.1-12", "4.2.2.1-6")
def test_the_window_moves_with_completion_and_never_back(nexus: Any) -> None:
    first, second = nexus.ask(nexus.read(0, 1) + nexus.read(1, 1))
    assert first.exp_cmd_sn == second.exp_cmd_sn == nexus.cmd_sn
    assert second.max_cmd_sn == first.max_cmd_sn + 1 == nexus.cmd_sn + 7


@pytest.mark.rfc7143("11.7.1-1", "4.2.2.4-1", "11.7.3-2", "13.1-2", "11.7.2-2", "11.7.7-2", "13.19-1")
@every_digest
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "by a worker"])
def test_long_reads_come_in_pdus_and_sequences(connect: Any, store: Any, digests: dict[str, bool], waits: bool) -> None:
    store.fill()
    nexus = connect(max_xmit_data_segment_length=1536, max_burst_length=4096, **digests)
    store.waits = waits
    nexus.feed(nexus.read(5, 20))
    nexus.work()
    answers = nexus.answers()
    sizes = [1536, 1536, 1024] * 2 + [1536, 512]
    assert [len(answer.data) for answer in answers] == sizes
    assert [answer.flags for answer in answers] == [0, 0, 0x80] * 2 + [0, 0x81]
    assert [answer.data_sn for answer in answers] == list(range(8))
    assert [answer.buffer_offset for answer in answers] == [sum(sizes[:turn]) for turn in range(8)]
    assert b"".join(answer.data for answer in answers) == bytes(store.data[2560:12800])


@every_digest
def test_reads_in_one_batch_do_not_mix(connect: Any, store: Any, digests: dict[str, bool]) -> None:
    store.fill()
    nexus = connect(**digests)
    answers = nexus.ask(nexus.read(1, 1) + nexus.read(2, 1, expected=100) + nexus.command("00") + nexus.read(3, 1))
    assert [answer.opcode for answer in answers] == [DATA_IN, DATA_IN, RESPONSE, DATA_IN]
    assert [int.from_bytes(answer.data[:4], "big") for answer in answers] == [1, 2, 0, 3]


@pytest.mark.rfc7143("11.4.5.1-1", "11.4.5.2-1", "11.4.5.2-2", "11.1-1")
@pytest.mark.parametrize(
    ("blocks", "expected", "flags", "count", "sent"),
    [
        pytest.param(2, 1024, 0x81, 0, 1024, id="as expected"),
        pytest.param(1, 1024, 0x83, 512, 512, id="underflow"),
        pytest.param(2, 512, 0x85, 512, 512, id="overflow"),
        pytest.param(1, 514, 0x83, 2, 512, id="underflow, not of a word"),
        pytest.param(1, 510, 0x85, 2, 510, id="overflow, padded"),
    ],
)
@every_digest
def test_residuals(
    connect: Any, blocks: int, expected: int, flags: int, count: int, sent: int, digests: dict[str, bool]
) -> None:
    nexus = connect(**digests)
    (answer,) = nexus.ask(nexus.read(0, blocks, expected))
    assert (answer.opcode, answer.flags, answer.residual_count) == (DATA_IN, flags, count)
    assert len(answer.data) == sent


@pytest.mark.rfc7143("13.1-2", "13.1-3")
@every_digest
def test_small_answers_and_their_digests_lie_side_by_side(connect: Any, digests: dict[str, bool]) -> None:
    """One buffer for a batch, whatever is negotiated."""
    nexus = connect(**digests)
    nexus.feed(nexus.read(0, 2) + nexus.read(0, 1, 1024) + nexus.command("00") + nexus.read(4, 1))
    assert nexus.connection.outbox == []
    assert [answer.flags for answer in nexus.answers()] == [0x81, 0x83, 0x80, 0x81]


@pytest.mark.rfc7143("11.3.1-2", "11.4.5.2-1", "11.2.1.6-1")
@pytest.mark.parametrize(("flags", "expected"), [(0xC0, 0), (0x80, 0)], ids=["R set", "R not set"])
def test_data_nobody_expects_is_an_overflow_without_data(nexus: Any, flags: int, expected: int) -> None:
    (answer,) = nexus.ask(nexus.command("28 00 00000000 00 0001 00", flags=flags, expected=expected))
    assert (answer.opcode, answer.flags, answer.residual_count) == (RESPONSE, 0x84, 512)


@pytest.mark.rfc7143("11.4.5.2-2", "11.4.8-1")
def test_a_read_of_no_blocks_leaves_everything_unused(nexus: Any) -> None:
    (answer,) = nexus.ask(nexus.read(0, 0, 512))
    assert (answer.opcode, answer.flags, answer.residual_count, answer.status) == (RESPONSE, 0x82, 512, 0)


@pytest.mark.rfc7143("11.4.7-1", "4.6.1.2-1", "10.2-1", "11.7.3-1")
@pytest.mark.parametrize("header_digest", [False, True])
def test_sense_goes_in_the_response_behind_its_length(connect: Any, header_digest: bool) -> None:
    nexus = connect(header_digest=header_digest)
    (answer,) = nexus.ask(nexus.read(8192, 1))
    assert (answer.opcode, answer.status, answer.flags, answer.residual_count) == (RESPONSE, 2, 0x82, 512)
    assert answer.data[:2] == b"\0\x12"
    assert (answer.data[2 + 2], answer.data[2 + 12]) == (5, 0x21)


@pytest.mark.rfc7143("11.4.5.3-1", "11.4.5.3-2")
@pytest.mark.parametrize("header_digest", [False, True])
def test_parameter_data_is_data_in(connect: Any, header_digest: bool) -> None:
    nexus = connect(header_digest=header_digest)
    (answer,) = nexus.ask(nexus.command("12 00 00 00 24 00", flags=0xC0, expected=255))
    assert (answer.opcode, answer.flags, answer.residual_count) == (DATA_IN, 0x83, 255 - 36)
    assert answer.data[8:16] == b"IET     "


def test_a_batch_larger_than_the_slab_still_comes_in_order(connect: Any, store: Any) -> None:
    store.fill()
    nexus = connect(max_xmit_data_segment_length=65536)
    nexus.session.max_cmd_sn += 100
    requests = b"".join(nexus.read(turn * 64, 64) for turn in range(12)) + b"".join(
        nexus.command("00") for _ in range(3)
    )
    answers = nexus.ask(requests)
    assert [int.from_bytes(answer.data[:4], "big") for answer in answers] == [turn * 64 for turn in range(12)] + [0] * 3
