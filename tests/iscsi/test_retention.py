"""What is kept at ErrorRecoveryLevel 1, for how long, and how it is sent again (RFC 7143 sections 11.7.2, 11.16)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi.pdu import Opcode
from ietpy.iscsi.retention import ASKING_LIMIT, STATUSES_LIMIT, Read
from ietpy.scsi.limits import EXTENT_MINIMUM

DATA_IN, RESPONSE = Opcode.DATA_IN, Opcode.SCSI_RESPONSE
NO_TAG = 0xFFFFFFFF
STAT_SN = 502  # the first of a session past its two unit attentions


@pytest.fixture
def careful(connect: Any, store: Any) -> Any:
    """A session at ErrorRecoveryLevel 1 whose reads come in PDUs of 512 bytes, bursts of 1024."""
    store.data[:] = bytes(range(256)) * (store.size // 256)
    nexus = connect(error_recovery_level=1, max_xmit_data_segment_length=512, max_burst_length=1024)
    nexus.connection.retention.acknowledge(STAT_SN)
    return nexus


@pytest.mark.rfc7143("7.1.5-2", "11.7.2-2")
def test_nothing_is_kept_at_level_0(connect: Any) -> None:
    nexus = connect(max_xmit_data_segment_length=EXTENT_MINIMUM)
    assert nexus.connection.retention is None
    assert nexus.connection.plain
    assert nexus.connection.extents
    assert all(not answer.flags & 0x40 for answer in nexus.ask(nexus.read(0, 4000)))


def test_nothing_is_kept_in_discovery(connect: Any) -> None:
    assert connect(discovery=True, error_recovery_level=1).connection.retention is None


@pytest.mark.rfc7143("4.2.2.2-1")
def test_statuses_are_kept_until_they_are_acknowledged(careful: Any) -> None:
    retention = careful.connection.retention
    careful.ask(careful.command("00", exp_stat_sn=STAT_SN))
    careful.ask(careful.read(0, 1, exp_stat_sn=STAT_SN))
    careful.ask(careful.request(Opcode.NOP_OUT, b"data", target_transfer_tag=NO_TAG))
    assert list(retention.statuses) == [STAT_SN, STAT_SN + 1, STAT_SN + 2]
    assert (set(retention.tasks), retention.size) == ({3, 4}, 512)
    careful.ask(careful.command("00", exp_stat_sn=STAT_SN + 1))
    assert (list(retention.statuses), set(retention.tasks)) == ([STAT_SN + 1, STAT_SN + 2, STAT_SN + 3], {4, 6})
    careful.ask(careful.request(
        Opcode.NOP_OUT, immediate=True, initiator_task_tag=NO_TAG, target_transfer_tag=NO_TAG, exp_stat_sn=STAT_SN + 4
    ))
    assert (retention.statuses, retention.tasks, retention.reads, retention.size) == ({}, {}, {}, 0)


@pytest.mark.parametrize("wrong", [STAT_SN - 1, STAT_SN + 2, STAT_SN + 0x7FFFFFFF, 0])
def test_an_exp_stat_sn_that_cannot_be_acknowledges_nothing(careful: Any, wrong: int) -> None:
    careful.ask(careful.command("00"))
    careful.connection.retention.acknowledge(wrong)
    assert list(careful.connection.retention.statuses) == [STAT_SN]


def test_a_ping_of_ours_has_no_status_to_keep(careful: Any) -> None:
    careful.session.target.nop_interval = 1
    careful.connection.tick(0.0)
    careful.connection.tick(2.0)
    (ping,) = careful.answers()
    assert ping.initiator_task_tag == NO_TAG
    assert not careful.connection.retention.statuses


def test_a_tag_that_is_used_again_means_its_latest_task(careful: Any) -> None:
    retention = careful.connection.retention
    careful.ask(careful.read(0, 1))
    careful.ask(careful.command("00", initiator_task_tag=3))
    assert not isinstance(retention.tasks[3], Read)
    retention.acknowledge(STAT_SN + 1)
    assert set(retention.tasks) == {3}


def test_no_read_is_left_to_a_file_or_to_the_slab(careful: Any, store: Any) -> None:
    store.streams = True
    answers = careful.ask(careful.read(0, 3) + careful.read(1, 3))
    assert [answer.opcode for answer in answers] == [DATA_IN] * 6
    assert b"".join(answer.data for answer in answers) == bytes(range(256)) * 12
    assert careful.connection.used == 0


@pytest.mark.rfc7143("11.7.2-1", "11.7.3-2", "11.7.4-1")
def test_who_acknowledges_little_is_asked_to_and_then_loses_the_oldest(careful: Any) -> None:
    retention = careful.connection.retention
    retention.limit = 4096
    (first,) = careful.ask(careful.read(0, 1))
    assert first.target_transfer_tag == NO_TAG
    answers = careful.ask(careful.read(0, 4, lun=1 << 48))
    assert [(answer.flags, answer.target_transfer_tag == NO_TAG, answer.lun) for answer in answers] == [
        (0x00, True, 0), (0x80, True, 0), (0x00, True, 0), (0xC1, False, 1 << 48),
    ]
    careful.ask(careful.read(0, 4))
    assert [read.tag for read in retention.reads] == [4, 5]
    assert (retention.size, len(retention.statuses), len(retention.asking)) == (4096, 3, 2)
    careful.ask(careful.read(0, 9))
    assert (retention.size, len(retention.statuses), len(retention.asking)) == (0, 4, 3)


@pytest.mark.rfc7143("11.16.5-1")
def test_a_dataack_may_come_late(careful: Any) -> None:
    """When the data was let go, and with an ExpStatSN that acknowledges the status; but once."""
    retention = careful.connection.retention
    retention.limit = 512
    answers = [careful.ask(careful.read(0, 2))[-1] for _ in range(ASKING_LIMIT + 1)]
    assert (retention.size, len(retention.asking)) == (0, ASKING_LIMIT)
    for number, reasons in ((0, [8]), (1, []), (1, [8]), (ASKING_LIMIT, [])):
        rejects = careful.ask(careful.request(
            Opcode.SNACK_REQUEST, flags=0x82, initiator_task_tag=NO_TAG, beg_run=2,
            target_transfer_tag=answers[number].target_transfer_tag, exp_stat_sn=answers[number].stat_sn + 1,
        ))
        assert [each.reason for each in rejects] == reasons


def test_no_more_statuses_are_kept_than_may_be(careful: Any) -> None:
    retention = careful.connection.retention
    for _ in range(STATUSES_LIMIT + 3):
        careful.connection.reject(4, bytes(48))
    assert len(careful.answers()) == STATUSES_LIMIT + 3
    assert len(retention.statuses) == STATUSES_LIMIT
    assert next(iter(retention.statuses)) == STAT_SN + 3


@pytest.mark.rfc7143("7.2.2-1", "7.2.2-2", "7.2.2-6")
class TestAnotherConnection:
    """The answer to a task whose connection was lost, on one that took it over."""

    @pytest.mark.rfc7143("7.2.2-2", "11.4.9-1")
    def test_a_status(self, careful: Any, connect: Any) -> None:
        careful.ask(careful.command("00", lun=5 << 48))
        other = connect(error_recovery_level=2, isid=b"ISID02")
        careful.connection.retention.tasks[3].move(other.connection, 0)
        (answer,) = other.answers()
        assert (answer.status, answer.initiator_task_tag, answer.stat_sn) == (2, 3, STAT_SN)
        assert other.connection.retention.tasks[3].header[24:28] == STAT_SN.to_bytes(4, "big")

    @pytest.mark.rfc7143("7.2.2-1", "7.2.2-2", "11.5.6-1")
    @pytest.mark.parametrize("exp_data_sn", [0, 2, 3])
    def test_data(self, careful: Any, connect: Any, exp_data_sn: int) -> None:
        answers = careful.ask(careful.read(0, 4))
        other = connect(error_recovery_level=2, isid=b"ISID02", max_xmit_data_segment_length=512)
        other.ask(other.command("00"))
        careful.connection.retention.tasks[3].move(other.connection, exp_data_sn)
        again = other.answers()
        assert [answer.data for answer in again] == [answer.data for answer in answers[exp_data_sn:]]
        assert [answer.data_sn for answer in again] == list(range(exp_data_sn, 4))
        assert (again[-1].flags, again[-1].stat_sn) == (0x81, STAT_SN + 1)
        assert STAT_SN + 1 in other.connection.retention.statuses
        assert other.connection.retention.size == 2048

    @pytest.mark.rfc7143("7.2.2-1", "7.2.2-2", "7.2.2-6")
    def test_all_data_came(self, careful: Any, connect: Any) -> None:
        careful.ask(careful.read(0, 4, expected=4096))
        other = connect(error_recovery_level=2, isid=b"ISID02", max_xmit_data_segment_length=512)
        careful.connection.retention.tasks[3].move(other.connection, 4)
        (answer,) = other.answers()
        assert (answer.opcode, answer.status, answer.exp_data_sn, answer.residual_count) == (RESPONSE, 0, 4, 2048)
        assert answer.snack_tag == 0
        other.connection.retention.acknowledge(STAT_SN)
        assert other.connection.retention.size == 2048

    def test_all_data_came_and_was_let_go(self, careful: Any, connect: Any) -> None:
        careful.connection.retention.limit = 512
        careful.ask(careful.read(0, 4))
        other = connect(error_recovery_level=2, isid=b"ISID02", max_xmit_data_segment_length=512)
        careful.connection.retention.tasks[3].move(other.connection, 4)
        (answer,) = other.answers()
        assert (answer.opcode, answer.status, answer.exp_data_sn) == (RESPONSE, 0, 4)
        assert other.connection.retention.size == 0

    @pytest.mark.rfc7143("7.2.2-2")
    def test_data_that_was_let_go(self, careful: Any, connect: Any) -> None:
        careful.connection.retention.limit = 512
        careful.ask(careful.read(0, 4))
        other = connect(error_recovery_level=2, isid=b"ISID02")
        careful.connection.retention.tasks[3].move(other.connection, 1)
        (answer,) = other.answers()
        assert (answer.status, answer.data[4], answer.data[14:16]) == (2, 0xB, b"\x11\x13")
        assert (answer.exp_data_sn, answer.stat_sn) == (4, STAT_SN)
        assert 3 in other.connection.retention.tasks

    @pytest.mark.rfc7143("11.5.6-1", "11.7.1-1")
    def test_with_shorter_segments(self, careful: Any, connect: Any) -> None:
        careful.ask(careful.read(0, 4))
        other = connect(error_recovery_level=0, isid=b"ISID02", max_xmit_data_segment_length=256)
        careful.connection.retention.tasks[3].move(other.connection, 2)
        again = other.answers()
        assert [(answer.data_sn, len(answer.data)) for answer in again] == [(number, 256) for number in range(8)]
        assert b"".join(answer.data for answer in again) == bytes(range(256)) * 8
