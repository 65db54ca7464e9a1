"""SNACK Requests: what is sent again, and what is refused (RFC 7143 section 11.16)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ietpy.iscsi.pdu import Opcode

DATA_IN, RESPONSE, R2T, REJECT = (
    Opcode.DATA_IN, Opcode.SCSI_RESPONSE, Opcode.READY_TO_TRANSFER, Opcode.REJECT,
)
NO_TAG = 0xFFFFFFFF
STAT_SN = 502
DATA_OR_R2T, STATUS, DATA_ACK, R_DATA = range(4)
SNACK_REJECT, PROTOCOL_ERROR, INVALID_DATA_ACK, INVALID_FIELD = 3, 4, 8, 9
#: What may differ between a PDU and its replica.
WINDOW = {"exp_cmd_sn", "max_cmd_sn"}


def snack(
    nexus: Any, kind: int, first: int = 0, run: int = 0, *, tag: int = NO_TAG, mark: int = NO_TAG, **fields: Any
) -> bytes:
    return nexus.request(
        Opcode.SNACK_REQUEST, flags=0x80 | kind, initiator_task_tag=tag, target_transfer_tag=mark, beg_run=first,
        run_length=run, **fields,
    )


def same(answer: Any, original: Any) -> bool:
    """Whether it is a replica."""
    return answer.data == original.data and all(
        answer.fields[name] == value for name, value in original.fields.items() if name not in WINDOW
    )


@pytest.fixture
def careful(connect: Any, store: Any) -> Any:
    """A session at ErrorRecoveryLevel 1 whose reads come in PDUs of 512 bytes, bursts of 1024."""
    store.data[:] = bytes(range(256)) * (store.size // 256)
    for block in range(store.size // 512):
        store.data[block * 512] = block % 251
    nexus = connect(
        error_recovery_level=1, max_xmit_data_segment_length=512, max_burst_length=1024, header_digest=True,
        data_digest=True,
    )
    nexus.connection.retention.acknowledge(STAT_SN)
    return nexus


def refused(answers: list[Any], reason: int, data_sn: int = 0) -> bool:
    return [(each.opcode, each.reason, each.data_sn) for each in answers] == [(REJECT, reason, data_sn)]


@pytest.mark.rfc7143("11.16-1", "11.16-3", "4.2.5.1-3", "7.8-5", "7.1.5-1")
@pytest.mark.parametrize(
    ("first", "run", "which"),
    [
        pytest.param(0, 0, [0, 1, 2, 3, 4], id="all"), pytest.param(0, 1, [0], id="the first"),
        pytest.param(2, 2, [2, 3], id="two"), pytest.param(3, 0, [3, 4], id="from one on"),
        pytest.param(4, 1, [4], id="the one with the status"),
    ],
)
def test_data_in_is_sent_again(careful: Any, first: int, run: int, which: list[int]) -> None:
    answers = careful.ask(careful.read(0, 5, expected=4096))
    careful.ask(careful.command("00"))
    again = careful.ask(snack(careful, DATA_OR_R2T, first, run, tag=3))
    assert len(again) == len(which)
    for answer, number in zip(again, which, strict=True):
        assert same(answer, answers[number])
        assert answer.exp_cmd_sn == answers[number].exp_cmd_sn + 1


@pytest.mark.rfc7143("11.16-4", "7.8-6", "11-3")
@pytest.mark.parametrize(
    ("kind", "first", "run", "fields", "reason"),
    [
        pytest.param(DATA_OR_R2T, 5, 1, {"tag": 3}, PROTOCOL_ERROR, id="data never sent"),
        pytest.param(DATA_OR_R2T, 3, 3, {"tag": 3}, PROTOCOL_ERROR, id="a run longer than what was sent"),
        pytest.param(DATA_OR_R2T, 5, 0, {"tag": 3}, PROTOCOL_ERROR, id="from beyond what was sent"),
        pytest.param(DATA_OR_R2T, 0, 0xFFFFFFFF, {"tag": 3}, PROTOCOL_ERROR, id="the longest run"),
        pytest.param(DATA_OR_R2T, 0, 0, {"tag": 99}, PROTOCOL_ERROR, id="of no task"),
        pytest.param(DATA_OR_R2T, 0, 0, {"tag": 4}, PROTOCOL_ERROR, id="of a task that sent no data"),
        pytest.param(DATA_OR_R2T, 0, 0, {"tag": 3, "mark": 1}, INVALID_FIELD, id="data with a Target Transfer Tag"),
        pytest.param(STATUS, STAT_SN + 2, 1, {}, PROTOCOL_ERROR, id="a status never sent"),
        pytest.param(STATUS, STAT_SN, 3, {}, PROTOCOL_ERROR, id="a run of statuses longer than sent"),
        pytest.param(STATUS, STAT_SN - 1, 1, {}, PROTOCOL_ERROR, id="a status acknowledged"),
        pytest.param(STATUS, 0, 0, {"tag": 3}, INVALID_FIELD, id="status with a tag"),
        pytest.param(STATUS, 0, 0, {"mark": 3}, INVALID_FIELD, id="status with a Target Transfer Tag"),
        pytest.param(DATA_ACK, 5, 0, {"mark": 77}, INVALID_DATA_ACK, id="DataACK nobody asked for"),
        pytest.param(DATA_ACK, 5, 1, {"mark": 77}, INVALID_DATA_ACK, id="DataACK with a run"),
        pytest.param(DATA_ACK, 5, 0, {"mark": 77, "tag": 3}, INVALID_DATA_ACK, id="DataACK with a tag"),
        pytest.param(R_DATA, 1, 0, {"tag": 3, "mark": 5}, INVALID_FIELD, id="R-Data with BegRun"),
        pytest.param(R_DATA, 0, 1, {"tag": 3, "mark": 5}, INVALID_FIELD, id="R-Data with a run"),
        pytest.param(R_DATA, 0, 0, {"tag": 3, "mark": 0}, INVALID_FIELD, id="R-Data with SNACK Tag 0"),
        pytest.param(R_DATA, 0, 0, {"tag": 3}, INVALID_FIELD, id="R-Data with the reserved SNACK Tag"),
        pytest.param(R_DATA, 0, 0, {"tag": 4, "mark": 5}, PROTOCOL_ERROR, id="R-Data of a task that sent none"),
        pytest.param(4, 0, 0, {}, PROTOCOL_ERROR, id="a type nobody defined"),
    ],
)
def test_what_cannot_be_is_refused(
    careful: Any, kind: int, first: int, run: int, fields: dict[str, int], reason: int
) -> None:
    careful.ask(careful.read(0, 5))
    careful.ask(careful.command("00"))
    due = 5 if kind == DATA_OR_R2T and fields["tag"] == 3 and reason == PROTOCOL_ERROR else 0  # section 11.17.2
    assert refused(careful.ask(snack(careful, kind, first, run, **fields)), reason, due)
    assert careful.ask(careful.command("00"))[0].status == 0


@pytest.mark.rfc7143("11.16-4", "11.16.1-1")
def test_data_of_an_acknowledged_task_is_refused(careful: Any) -> None:
    careful.ask(careful.read(0, 5))
    assert refused(careful.ask(snack(careful, DATA_OR_R2T, tag=3, exp_stat_sn=STAT_SN + 1)), PROTOCOL_ERROR)


@pytest.mark.rfc7143("7.8-5")
def test_no_snack_is_taken_at_level_0(nexus: Any) -> None:
    assert refused(nexus.ask(snack(nexus, STATUS)), SNACK_REJECT)


@pytest.mark.rfc7143("11.4.9-1", "11.16-1", "11.16-2")
def test_statuses_are_sent_again(careful: Any) -> None:
    originals = careful.ask(careful.command("00", lun=7 << 48))
    originals += careful.ask(careful.request(Opcode.NOP_OUT, b"echo", target_transfer_tag=NO_TAG))
    originals += careful.ask(careful.read(0, 1))
    originals += careful.ask(careful.request(Opcode.TEXT_REQUEST, b"X-a=b\0", target_transfer_tag=NO_TAG))
    originals += careful.ask(careful.request(Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=0x82))
    originals += careful.ask(snack(careful, 9))
    assert [each.opcode for each in originals] == [
        RESPONSE, Opcode.NOP_IN, DATA_IN, Opcode.TEXT_RESPONSE, Opcode.TASK_MANAGEMENT_RESPONSE, REJECT,
    ]
    for first, run, which in [
        (0, 0, slice(0, 6)), (STAT_SN, 1, slice(0, 1)), (STAT_SN + 2, 2, slice(2, 4)), (STAT_SN + 3, 0, slice(3, 6)),
    ]:
        again = careful.ask(snack(careful, STATUS, first, run))
        assert len(again) == len(originals[which])
        assert all(same(*pair) for pair in zip(again, originals[which], strict=True))
    assert careful.ask(careful.command("00"))[0].stat_sn == STAT_SN + 6
    again = careful.ask(snack(careful, STATUS, exp_stat_sn=STAT_SN + 4))
    assert [each.stat_sn for each in again] == [STAT_SN + 4, STAT_SN + 5, STAT_SN + 6]


@pytest.mark.rfc7143("11.16-2", "11.16-1")
def test_r2ts_are_sent_again_while_they_are_outstanding(connect: Any) -> None:
    nexus = connect(
        error_recovery_level=1, data_sequence_in_order=False, max_outstanding_r2t=3, max_burst_length=512
    )
    tag = nexus.tag
    originals = nexus.ask(nexus.write(0, 4))
    (answer,) = nexus.ask(nexus.command("00"))
    again = nexus.ask(snack(nexus, DATA_OR_R2T, tag=tag))
    assert [each.r2t_sn for each in again] == [0, 1, 2]
    for each, original in zip(again, originals, strict=True):
        assert each.stat_sn == answer.stat_sn + 1
        assert {**each.fields, "stat_sn": original.stat_sn, "exp_cmd_sn": original.exp_cmd_sn,
                "max_cmd_sn": original.max_cmd_sn} == original.fields
    assert [each.r2t_sn for each in nexus.ask(snack(nexus, DATA_OR_R2T, 1, 1, tag=tag))] == [1]
    assert [each.r2t_sn for each in nexus.ask(snack(nexus, DATA_OR_R2T, 1, tag=tag))] == [1, 2]
    nexus.ask(nexus.data_out(tag, originals[0].target_transfer_tag, bytes(512), 0))
    for first, run in [(0, 1), (0, 2), (4, 1), (3, 9), (4, 0)]:
        assert refused(nexus.ask(snack(nexus, DATA_OR_R2T, first, run, tag=tag)), PROTOCOL_ERROR, 4)
    assert [each.r2t_sn for each in nexus.ask(snack(nexus, DATA_OR_R2T, tag=tag))] == [1, 2, 3]


def test_a_task_that_has_sent_nothing_yet_has_nothing_to_send_again(connect: Any, store: Any) -> None:
    nexus = connect(error_recovery_level=1)
    store.waits = True
    tag = nexus.tag
    nexus.feed(nexus.read(0, 1))
    assert nexus.ask(snack(nexus, DATA_OR_R2T, tag=tag)) == []
    assert refused(nexus.ask(snack(nexus, DATA_OR_R2T, 0, 1, tag=tag)), PROTOCOL_ERROR)
    nexus.work()
    assert nexus.answers()[0].status == 0


def test_unsolicited_data_has_no_r2t_to_send_again(connect: Any) -> None:
    nexus = connect(error_recovery_level=1)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 4, flags=0x20))
    assert nexus.ask(snack(nexus, DATA_OR_R2T, tag=tag)) == []
    assert refused(nexus.ask(snack(nexus, DATA_OR_R2T, 0, 1, tag=tag)), PROTOCOL_ERROR)


@pytest.mark.rfc7143("11.16-1", "11.16.5-1", "11.16-4")
def test_data_that_is_acknowledged_is_let_go(careful: Any) -> None:
    retention = careful.connection.retention
    retention.limit = 2 * 2560
    careful.ask(careful.read(0, 1))
    assert not retention.asking
    answers = careful.ask(careful.read(5, 5, lun=1 << 48))
    mark = answers[-1].target_transfer_tag
    size = retention.size
    tag = answers[-1].initiator_task_tag
    assert careful.ask(snack(careful, DATA_ACK, 2, mark=mark, lun=1 << 48)) == []
    assert refused(careful.ask(snack(careful, DATA_OR_R2T, 1, 1, tag=tag)), PROTOCOL_ERROR, 5)
    again = careful.ask(snack(careful, DATA_OR_R2T, tag=tag))
    assert all(same(*pair) for pair in zip(again, answers[2:], strict=True))
    for first, lun in [(1, 1 << 48), (6, 1 << 48), (5, 0)]:
        assert refused(careful.ask(snack(careful, DATA_ACK, first, mark=mark, lun=lun)), INVALID_DATA_ACK)
    assert careful.ask(snack(careful, DATA_ACK, 5, mark=mark, lun=1 << 48)) == []
    assert retention.size == size - 2560
    assert refused(careful.ask(snack(careful, DATA_OR_R2T, 4, 1, tag=tag)), PROTOCOL_ERROR, 5)
    assert refused(careful.ask(snack(careful, DATA_ACK, 5, mark=mark, lun=1 << 48)), INVALID_DATA_ACK)
    size = retention.size
    retention.acknowledge(answers[-1].stat_sn + 1)
    assert (tag in retention.tasks, retention.size) == (False, size - 512)  # of the read before


@pytest.mark.rfc7143("7.8-5")
def test_data_that_was_let_go_is_refused(careful: Any) -> None:
    careful.connection.retention.limit = 1024
    careful.ask(careful.read(0, 5))
    assert refused(careful.ask(snack(careful, DATA_OR_R2T, 0, 1, tag=3)), SNACK_REJECT)
    assert refused(careful.ask(snack(careful, R_DATA, tag=3, mark=1)), SNACK_REJECT)
    assert refused(careful.ask(snack(careful, STATUS, STAT_SN, 1)), SNACK_REJECT)


def test_who_asks_for_too_much_at_once_is_refused(careful: Any) -> None:
    careful.connection.retention.limit = 4096
    careful.ask(careful.read(0, 4))
    answers = careful.ask(b"".join(snack(careful, DATA_OR_R2T, tag=3) for _ in range(3)))
    assert [each.opcode for each in answers] == [DATA_IN] * 8 + [REJECT]
    assert answers[-1].reason == SNACK_REJECT
    assert careful.connection.staged_size == 0
    assert len(careful.ask(snack(careful, DATA_OR_R2T, tag=3))) == 4


@pytest.mark.rfc7143("4.2.5.1-3")
def test_a_snack_goes_over_the_connection_of_its_task(connect: Any) -> None:
    nexus = connect(error_recovery_level=1, max_connections=2)
    other = nexus.join(1)
    write = nexus.tag
    nexus.ask(nexus.write(0, 2))
    read = nexus.tag
    nexus.ask(nexus.read(0, 2))
    for tag in (write, read):
        assert refused(other.ask(snack(other, DATA_OR_R2T, tag=tag)), PROTOCOL_ERROR)
        assert nexus.ask(snack(nexus, DATA_OR_R2T, tag=tag))[0].initiator_task_tag == tag


def test_a_write_that_waits_for_memory_ends_at_once_when_its_r2ts_are_not_sent_again(connect: Any) -> None:
    nexus = connect(error_recovery_level=1)
    nexus.session.node.memory.limit = 1
    nexus.ask(nexus.write(0, 2))
    tag = nexus.tag
    assert nexus.ask(nexus.write(0, 2)) == []
    nexus.connection.retention.limit = -1
    answer, reject, *_ = nexus.ask(snack(nexus, DATA_OR_R2T, tag=tag))
    assert (reject.opcode, answer.opcode, answer.initiator_task_tag) == (REJECT, RESPONSE, tag)


@pytest.mark.rfc7143("7.8-5", "7.8-6")
def test_a_write_ends_when_its_r2ts_are_not_sent_again(connect: Any) -> None:
    nexus = connect(error_recovery_level=1)
    nexus.connection.retention.limit = 100
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 2))
    answers = nexus.ask(b"".join(snack(nexus, DATA_OR_R2T, tag=tag) for _ in range(4)))
    assert [each.opcode for each in answers] == [R2T, R2T, R2T, REJECT]
    assert answers[-1].reason == SNACK_REJECT
    (answer,) = nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, bytes(1024), 0))
    assert (answer.status, answer.data[4], answer.data[14:16]) == (2, 0xB, b"\x11\x13")


@pytest.mark.rfc7143("11.16-1", "11.16.3-1", "11.16.3-2")
class TestResegmentation:
    @pytest.mark.rfc7143("11.16.3-1", "11.16.3-2")
    def test_all_data_comes_in_pdus_of_the_new_length(self, careful: Any) -> None:
        originals = careful.ask(careful.read(0, 3, expected=2048))
        careful.ask(careful.request(
            Opcode.TEXT_REQUEST, b"MaxRecvDataSegmentLength=768\0", target_transfer_tag=NO_TAG
        ))
        *again, status = careful.ask(snack(careful, R_DATA, tag=3, mark=0x1234))
        assert [(each.data_sn, each.buffer_offset, len(each.data)) for each in again] == [
            (0, 0, 768), (1, 768, 256), (2, 1024, 512),
        ]
        assert [each.flags for each in again] == [0, 0x80, 0x80]
        assert b"".join(each.data for each in again) == b"".join(each.data for each in originals)
        assert (status.opcode, status.status, status.flags) == (RESPONSE, 0, 0x82)
        assert (status.snack_tag, status.stat_sn, status.exp_data_sn) == (0x1234, originals[-1].stat_sn, 3)
        assert status.residual_count == 512
        (last,) = careful.ask(snack(careful, STATUS, status.stat_sn, 1))
        assert same(last, status)
        (last,) = careful.ask(snack(careful, DATA_OR_R2T, 2, 1, tag=3))
        assert same(last, again[2])
        *_, newer = careful.ask(snack(careful, R_DATA, tag=3, mark=0x5678))
        assert newer.snack_tag == 0x5678

    @pytest.mark.rfc7143("11.16.3-1")
    def test_less_than_was_sent_needs_it(self, careful: Any) -> None:
        careful.connection.transmit_limit = 1024
        careful.ask(careful.read(0, 2))
        careful.connection.transmit_limit = 512
        assert refused(careful.ask(snack(careful, DATA_OR_R2T, tag=3)), PROTOCOL_ERROR)
        assert len(careful.ask(snack(careful, R_DATA, tag=3, mark=1))) == 3

    @pytest.mark.rfc7143("11.16.3-1")
    def test_it_begins_with_what_is_not_acknowledged(self, careful: Any) -> None:
        careful.connection.retention.limit = 4096
        answers = careful.ask(careful.read(0, 6))
        careful.ask(snack(careful, DATA_ACK, 3, mark=answers[-1].target_transfer_tag))
        careful.connection.transmit_limit = 1024
        *again, status = careful.ask(snack(careful, R_DATA, tag=3, mark=9))
        assert [(each.data_sn, each.buffer_offset) for each in again] == [(3, 1536), (4, 2048)]
        assert [len(each.data) for each in again] == [512, 1024]
        assert status.exp_data_sn == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12), st.integers(0, 12), st.integers(0, 9)), max_size=12))
def test_no_snack_takes_a_stat_sn_or_ends_the_session(connect: Any, asked: list[tuple[int, int, int, int]]) -> None:
    nexus = connect(error_recovery_level=1, max_xmit_data_segment_length=512, isid=b"ISID07")
    nexus.ask(nexus.read(0, 3) + nexus.command("00") + nexus.write(0, 2))
    rejects = 0
    for kind, first, run, tag in asked:
        at = first + STAT_SN - 4 if kind == STATUS else first
        answers = nexus.ask(snack(nexus, kind, at, run, tag=tag or NO_TAG, mark=tag * run or NO_TAG))
        rejects += sum(
            each.opcode == REJECT and each.stat_sn == STAT_SN + 2 + rejects for each in answers
        )
    assert nexus.ask(nexus.command("00"))[0].stat_sn == STAT_SN + 2 + rejects
    nexus.session.end()
