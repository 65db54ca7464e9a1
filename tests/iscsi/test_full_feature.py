"""The full feature phase, opcode by opcode (RFC 7143 section 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.errors import FormatError
from ietpy.iscsi import full_feature
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.full_feature import IMMEDIATE_LIMIT
from ietpy.iscsi.pdu import Opcode
from ietpy.scsi.limits import EXTENT_MINIMUM

NO_TAG = 0xFFFFFFFF
REJECT = Opcode.REJECT


@pytest.mark.rfc7143("11.18-1", "11.19-1", "4.2.2.2-1")
@pytest.mark.parametrize("immediate", [True, False])
def test_a_ping_is_echoed(nexus: Any, immediate: bool) -> None:
    (answer,) = nexus.ask(nexus.request(
        Opcode.NOP_OUT, b"are you there", target_transfer_tag=NO_TAG, lun=7, immediate=immediate
    ))
    assert (answer.opcode, answer.flags, answer.lun) == (Opcode.NOP_IN, 0x80, 7)
    assert (answer.target_transfer_tag, answer.data) == (NO_TAG, b"are you there")
    (next_answer,) = nexus.ask(nexus.request(Opcode.NOP_OUT, target_transfer_tag=NO_TAG))
    assert next_answer.stat_sn == answer.stat_sn + 1


@pytest.mark.rfc7143("11.19-1")
def test_a_ping_is_echoed_only_as_far_as_the_initiator_takes_it(connect: Any) -> None:
    nexus = connect(max_xmit_data_segment_length=512)
    (answer,) = nexus.ask(nexus.request(Opcode.NOP_OUT, b"x" * 600, target_transfer_tag=NO_TAG))
    assert answer.data == b"x" * 512


@pytest.mark.rfc7143("11.18-2", "11.19-2")
def test_a_ping_without_a_tag_is_not_answered(nexus: Any) -> None:
    assert nexus.ask(nexus.request(
        Opcode.NOP_OUT, target_transfer_tag=NO_TAG, initiator_task_tag=NO_TAG, immediate=True
    )) == []


@pytest.mark.rfc7143("11-3", "11.2.1.2-1", "7.8-5")
@pytest.mark.parametrize(
    ("opcode", "fields", "reason"),
    [
        pytest.param(Opcode.LOGOUT_REQUEST, {"flags": 0x83}, 0x04, id="undefined logout reason"),
        pytest.param(Opcode.SNACK_REQUEST, {}, 0x03, id="SNACK at ErrorRecoveryLevel 0"),
        pytest.param(Opcode.NOP_IN, {"immediate": True}, 0x05, id="an opcode of targets"),
    ],
)
def test_rejected(nexus: Any, opcode: Opcode, fields: dict[str, Any], reason: int) -> None:
    request = nexus.request(opcode, **fields)
    (answer,) = nexus.ask(request)
    assert (answer.opcode, answer.reason, answer.data) == (REJECT, reason, request[:48])
    assert answer.initiator_task_tag == NO_TAG
    nexus.cmd_sn = answer.exp_cmd_sn
    assert nexus.ask(nexus.command("00"))[0].stat_sn == answer.stat_sn + 1


NUMBERED = [
    pytest.param(Opcode.LOGOUT_REQUEST, {"flags": 0x83}, id="undefined logout reason"),
    pytest.param(Opcode.TEXT_REQUEST, {"target_transfer_tag": 4711}, id="a text answer never begun"),
    pytest.param(0x1C, {}, id="vendor specific"),
    pytest.param(Opcode.SCSI_RESPONSE, {}, id="an opcode of targets"),
    pytest.param(Opcode.SCSI_COMMAND, {"flags": 0xC0, "initiator_task_tag": 4711}, id="a tag in use"),
    pytest.param(Opcode.SCSI_COMMAND, {"lengths": 1 << 24}, id="an unknown additional header"),
]


@pytest.fixture
def writing(nexus: Any) -> Any:
    """A session with a write under way whose tag is 4711."""
    nexus.feed(nexus.write(0, 2, initiator_task_tag=4711))
    nexus.answers()
    return nexus


def rejectable(nexus: Any, opcode: int, fields: dict[str, Any]) -> bytes:
    segments = bytes(4) if "lengths" in fields else b""
    known = Opcode(opcode) if opcode < 0x10 else Opcode.NOP_OUT
    request = bytearray(nexus.request(known, **{**fields, "lengths": 0}) + segments)
    request[0], request[4] = opcode, len(segments) // 4
    return bytes(request)


@pytest.mark.rfc7143("7.3-2", "7.3-1", "4.2.2.1-6")
@pytest.mark.parametrize(("opcode", "fields"), NUMBERED)
def test_a_rejected_request_was_not_received(writing: Any, opcode: int, fields: dict[str, Any]) -> None:
    """Its CmdSN is a gap, which whatever comes with that number fills; what came behind it waits."""
    request = rejectable(writing, opcode, fields)
    number, window = writing.session.exp_cmd_sn, writing.session.max_cmd_sn
    (answer,) = writing.ask(request + writing.command("00"))
    assert (answer.opcode, answer.data) == (REJECT, request[:48])
    assert (answer.exp_cmd_sn, answer.max_cmd_sn) == (number, window)
    first, second = writing.ask(writing.command("00", cmd_sn=number))
    assert (first.status, second.status) == (0, 0)
    assert second.exp_cmd_sn == number + 2
    assert second.stat_sn == answer.stat_sn + 2


@pytest.mark.rfc7143("7.3-2")
@pytest.mark.parametrize(("opcode", "fields"), NUMBERED)
def test_so_was_one_that_came_early(writing: Any, opcode: int, fields: dict[str, Any]) -> None:
    first = writing.command("00")
    number = writing.cmd_sn
    request = rejectable(writing, opcode, fields)
    answers = writing.ask(request) + writing.ask(first)
    assert sorted(answer.opcode for answer in answers) == [Opcode.SCSI_RESPONSE, REJECT]
    assert writing.session.exp_cmd_sn == number
    (last,) = writing.ask(writing.command("00", cmd_sn=number))
    assert (last.status, last.exp_cmd_sn, last.max_cmd_sn) == (0, number + 1, number + 7)


@pytest.mark.rfc7143("4.3-2")
@pytest.mark.parametrize(
    ("opcode", "fields"),
    [
        pytest.param(Opcode.SCSI_COMMAND, {}, id="SCSI Command"),
        pytest.param(Opcode.TASK_MANAGEMENT_REQUEST, {"immediate": True}, id="Task Management"),
        pytest.param(Opcode.DATA_OUT, {}, id="Data-Out"),
        pytest.param(Opcode.SNACK_REQUEST, {}, id="SNACK"),
        pytest.param(Opcode.NOP_OUT, {"target_transfer_tag": NO_TAG}, id="NOP-Out"),
    ],
)
def test_a_discovery_session_rejects_the_rest(connect: Any, opcode: Opcode, fields: dict[str, Any]) -> None:
    nexus = connect(discovery=True)
    (answer,) = nexus.ask(nexus.request(opcode, **fields))
    assert (answer.opcode, answer.reason) == (REJECT, 0x05)


@pytest.mark.rfc7143("4.2.4-2", "7.7-1")
@pytest.mark.parametrize("discovery", [False, True])
def test_a_second_login_drops_the_connection(connect: Any, discovery: bool) -> None:
    nexus = connect(discovery=discovery)
    with pytest.raises(FormatError, match="Login Request"):
        nexus.ask(nexus.request(Opcode.LOGIN_REQUEST, immediate=True))


BOTH = 0xE0  # F, R and W


@pytest.mark.rfc7143("11.3.4-1")
@pytest.mark.parametrize("read_length", [b"", bytes.fromhex("0005 02 00 00000200")], ids=["no read length", "with it"])
def test_both_directions_at_once_are_refused(nexus: Any, read_length: bytes) -> None:
    request = bytearray(nexus.command("53", flags=BOTH, expected=512) + read_length)
    request[4] = len(read_length) // 4
    (answer,) = nexus.ask(bytes(request))
    assert (answer.status, answer.data[4], answer.data[14:16]) == (2, 5, b"\x0e\x03")


#: Commands, their R and W, Expected Data Transfer Length; what they leave: over (+) or under (-) that (11.4.5.1).
DIRECTIONS = [
    pytest.param("00", BOTH, 0, 0, id="nothing to move, both"),
    pytest.param("28 00 00000000 00 0001 00", BOTH, 0, 512, id="READ, both"),
    pytest.param("2A 00 00000000 00 0001 00", BOTH, 0, 512, id="WRITE, both"),
    pytest.param("28 00 00000000 00 0001 00", 0x80, 0, 512, id="READ, neither"),
    pytest.param("2A 00 00000000 00 0001 00", 0x80, 0, 512, id="WRITE, neither"),
    pytest.param("2A 00 00000000 00 0001 00", 0x80, 512, -512, id="WRITE, neither, with a length"),
    pytest.param("00", 0x80, 512, -512, id="nothing to move, with a length"),
]


@pytest.mark.rfc7143("11.3.1-2")
@pytest.mark.parametrize(("cdb", "flags", "expected", "left"), DIRECTIONS)
def test_nothing_is_moved_that_nobody_expects(
    nexus: Any, store: Any, cdb: str, flags: int, expected: int, left: int
) -> None:
    store.data[:512] = b"s" * 512
    (answer,) = nexus.ask(nexus.command(cdb, flags=flags, expected=expected))
    assert (answer.opcode, answer.status, answer.data) == (Opcode.SCSI_RESPONSE, 0, b"")
    assert (answer.flags & 0x06, answer.residual_count) == ((4 if left > 0 else 2 if left else 0), abs(left))
    assert store.data[:512] == b"s" * 512


@pytest.mark.rfc7143("11-3")
@pytest.mark.parametrize("attribute", range(8))
def test_reserved_task_attributes_are_a_protocol_error(nexus: Any, attribute: int) -> None:
    (answer,) = nexus.ask(nexus.command("00", flags=0x80 | attribute))
    assert answer.opcode == (REJECT if attribute > 4 else Opcode.SCSI_RESPONSE)
    assert attribute <= 4 or answer.reason == 0x04


TAGGED = [
    pytest.param(Opcode.SCSI_COMMAND, {}, id="SCSI Command"),
    pytest.param(Opcode.TASK_MANAGEMENT_REQUEST, {"flags": 0x82}, id="Task Management"),
    pytest.param(Opcode.TEXT_REQUEST, {"target_transfer_tag": NO_TAG}, id="Text"),
    pytest.param(Opcode.LOGOUT_REQUEST, {}, id="Logout"),
]


@pytest.mark.rfc7143("11.2.1.8-2")
@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize(("opcode", "fields"), TAGGED)
def test_the_reserved_tag_is_no_tasks(nexus: Any, opcode: Opcode, fields: dict[str, Any], immediate: bool) -> None:
    request = nexus.request(opcode, immediate=immediate, initiator_task_tag=NO_TAG, **fields)
    (answer,) = nexus.ask(request)
    assert (answer.opcode, answer.reason, answer.data) == (REJECT, 0x09, request[:48])
    assert not nexus.connection.closing


@pytest.mark.rfc7143("11.2.1.8-1", "4.2.2.1-11")
@pytest.mark.parametrize(
    ("opcode", "fields"), [*TAGGED, pytest.param(Opcode.NOP_OUT, {"target_transfer_tag": NO_TAG}, id="NOP-Out")]
)
def test_a_tag_of_a_write_under_way_is_no_others(writing: Any, opcode: Opcode, fields: dict[str, Any]) -> None:
    (answer,) = writing.ask(writing.request(opcode, immediate=True, initiator_task_tag=4711, **fields))
    assert (answer.opcode, answer.reason) == (REJECT, 0x07)
    assert list(writing.session.tasks) == [4711]


@pytest.mark.rfc7143("11.18-2", "11-2")
def test_a_nop_out_that_wants_no_answer_is_immediate(nexus: Any) -> None:
    (answer,) = nexus.ask(nexus.request(Opcode.NOP_OUT, initiator_task_tag=NO_TAG, target_transfer_tag=NO_TAG))
    assert (answer.opcode, answer.reason) == (REJECT, 0x09)


@pytest.mark.rfc7143("11.18-1", "11.19-1")
def test_an_answer_that_is_a_ping_too_is_both(connect: Any, target: Any) -> None:
    target.nop_interval, target.nop_timeout = 10, 5
    nexus = connect()
    nexus.connection.tick(0.0)
    nexus.connection.tick(10.0)
    (ping,) = nexus.answers()
    (answer,) = nexus.ask(nexus.request(
        Opcode.NOP_OUT, b"data", target_transfer_tag=ping.target_transfer_tag, initiator_task_tag=9
    ))
    assert (answer.initiator_task_tag, answer.target_transfer_tag, answer.data) == (9, NO_TAG, b"data")
    assert nexus.connection.pings.tag == NO_TAG


@pytest.mark.rfc7143("11.2.1.5-1")
@pytest.mark.parametrize("immediate", [False, True])
def test_additional_headers_are_refused(nexus: Any, store: Any, immediate: bool) -> None:
    request = bytearray(nexus.write(0, 1, b"x" * 512, immediate=immediate))
    request[4] = 2
    (answer,) = nexus.ask(bytes(request[:48]) + bytes(8) + bytes(request[48:]))
    assert (answer.opcode, answer.reason) == (REJECT, 0x04)
    assert not any(store.data)
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 7
    (answer,) = nexus.ask(nexus.command("00", cmd_sn=nexus.session.exp_cmd_sn))
    assert answer.status == 0


@pytest.mark.rfc7143("11.3.5-1")
def test_an_extended_cdb_reaches_the_device_server(nexus: Any) -> None:
    """READ(32) needs type 2 protection, which nobody has here: an unknown operation, not a rejected PDU."""
    request = bytearray(nexus.command("7F 00 00 00 00 00 00 18 00 09", flags=0xC0, expected=512))
    request[4] = 5
    (answer,) = nexus.ask(bytes(request) + bytes.fromhex("0011 01 00") + bytes(16))
    assert (answer.status, answer.data[4], answer.data[14:16]) == (2, 5, b"\x20\x00")


def test_a_cdb_with_something_behind_its_end_is_executed(nexus: Any) -> None:
    request = bytearray(nexus.write(0, 1, b"x" * 512))
    request[4] = 5
    (answer,) = nexus.ask(bytes(request[:48]) + bytes.fromhex("0011 01 00") + bytes(16) + bytes(request[48:]))
    assert answer.status == 0
    assert nexus.ask(nexus.read(0, 1))[0].data == b"x" * 512


def test_sense_of_the_transport_has_the_units_format(nexus: Any, target: Any) -> None:
    target.device.logical_units[0].descriptor_sense = True
    (answer,) = nexus.ask(nexus.command("53", flags=0xE0, expected=512))
    assert (answer.status, answer.data[2:6]) == (2, b"\x72\x05\x0e\x03")


@pytest.mark.parametrize(("attribute", "promised"), [(0, True), (1, True), (2, False), (3, False)])
def test_only_tasks_nobody_waits_for_may_be_read_late(
    connect: Any, store: Any, attribute: int, promised: bool
) -> None:
    store.streams = True
    nexus = connect(max_xmit_data_segment_length=EXTENT_MINIMUM)
    answers = nexus.ask(nexus.read(0, EXTENT_MINIMUM // 512, attribute=attribute))
    assert [answer.opcode for answer in answers] == [Opcode.DATA_IN, *[Opcode.SCSI_RESPONSE] * promised]


@pytest.mark.rfc7143("11.2.1.8-1", "4.2.2.1-11", "7.3-1")
def test_a_tag_in_use_is_rejected_and_the_window_kept(nexus: Any) -> None:
    tag = nexus.tag
    nexus.ask(nexus.write(0, 2))
    (answer,) = nexus.ask(nexus.read(0, 1, initiator_task_tag=tag))
    assert (answer.opcode, answer.reason) == (REJECT, 0x07)
    assert list(nexus.session.tasks) == [tag]
    assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn + 6


@pytest.mark.rfc7143("4.2.2.1-4")
def test_immediate_commands_are_counted(nexus: Any, store: Any) -> None:
    store.waits = True
    for _ in range(IMMEDIATE_LIMIT):
        nexus.feed(nexus.read(0, 1, immediate=True))
    (answer,) = nexus.ask(nexus.read(0, 1, immediate=True))
    assert (answer.opcode, answer.reason) == (REJECT, 0x06)
    nexus.work()
    assert len(nexus.answers()) == IMMEDIATE_LIMIT


def test_a_lun_that_does_not_exist(nexus: Any) -> None:
    (answer,) = nexus.ask(nexus.command("00", lun=9 << 48))
    assert (answer.status, answer.data[4], answer.data[14:16]) == (2, 5, b"\x25\x00")
    (answer,) = nexus.ask(nexus.command("12 00 00 00 24 00", lun=9 << 48, flags=0xC0, expected=36))
    assert answer.data[0] == 0x7F
    assert 9 << 48 not in nexus.session.nexuses


@pytest.mark.rfc7143("7.8-2", "7.3-2")
def test_a_data_digest_error_rejects_the_request_and_keeps_its_number(connect: Any, store: Any) -> None:
    nexus = connect(data_digest=True)
    good = nexus.write(0, 1, b"x" * 512)
    broken = bytearray(good)
    broken[50] ^= 1
    (answer,) = nexus.ask(bytes(broken))
    assert (answer.opcode, answer.reason) == (REJECT, 0x02)
    assert not any(store.data)
    assert nexus.ask(good)[0].status == 0


class TestPings:
    """Our own NOP-In (sections 11.18, 11.19; NOPInterval and NOPTimeout)."""

    @pytest.fixture
    def pinging(self, connect: Any, target: Any) -> Any:
        target.nop_interval, target.nop_timeout = 10, 5
        nexus = connect()
        nexus.connection.tick(0.0)
        return nexus

    @pytest.mark.rfc7143("11.19-3")
    def test_a_silent_initiator_is_pinged_once(self, pinging: Any) -> None:
        pinging.connection.tick(9.0)
        assert pinging.answers() == []
        pinging.connection.tick(10.0)
        (ping,) = pinging.answers()
        assert (ping.opcode, ping.initiator_task_tag) == (Opcode.NOP_IN, NO_TAG)
        assert ping.target_transfer_tag != NO_TAG
        pinging.connection.tick(14.0)
        assert pinging.answers() == []
        assert not pinging.connection.closing

    @pytest.mark.rfc7143("11.19-2")
    def test_an_answer_keeps_the_connection(self, pinging: Any) -> None:
        pinging.connection.tick(10.0)
        (ping,) = pinging.answers()
        assert pinging.ask(pinging.request(
            Opcode.NOP_OUT, initiator_task_tag=NO_TAG, target_transfer_tag=ping.target_transfer_tag, immediate=True
        )) == []
        assert pinging.connection.pings.tag == NO_TAG
        pinging.connection.tick(15.0)
        assert not pinging.connection.closing

    def test_an_answer_to_no_ping_is_ignored(self, pinging: Any) -> None:
        assert pinging.ask(pinging.request(
            Opcode.NOP_OUT, initiator_task_tag=NO_TAG, target_transfer_tag=4711, immediate=True
        )) == []

    @pytest.mark.rfc7143("7.14-1")
    @pytest.mark.rfc7143("11.19.3-1")
    def test_an_answer_has_the_pings_lun(self, pinging: Any) -> None:
        pinging.connection.tick(10.0)
        (ping,) = pinging.answers()
        fields = {"initiator_task_tag": NO_TAG, "target_transfer_tag": ping.target_transfer_tag, "immediate": True}
        (answer,) = pinging.ask(pinging.request(Opcode.NOP_OUT, lun=1 << 48, **fields))
        assert (answer.opcode, answer.reason) == (REJECT, 0x09)
        assert pinging.connection.pings.tag == ping.target_transfer_tag
        assert pinging.ask(pinging.request(Opcode.NOP_OUT, lun=ping.lun, **fields)) == []
        assert pinging.connection.pings.tag == NO_TAG

    @pytest.mark.rfc7143("7.14-1")
    def test_no_answer_closes(self, pinging: Any) -> None:
        pinging.connection.tick(10.0)
        pinging.connection.tick(15.0)
        assert pinging.connection.closing
        assert "within 5 s" in pinging.connection.problem

    def test_a_timeout_longer_than_the_interval_is_the_interval(self, pinging: Any, target: Any) -> None:
        target.nop_timeout = 99
        pinging.connection.tick(10.0)
        pinging.connection.tick(20.0)
        assert "within 10 s" in pinging.connection.problem

    def test_off_by_default(self, nexus: Any) -> None:
        for now in (0.0, 100.0, 200.0):
            nexus.connection.tick(now)
        assert nexus.answers() == []


# Text Requests (sections 11.10, 11.11); what they say is discovery's part ---------------------------------------------


def text(nexus: Any, data: bytes = b"", **fields: Any) -> Any:
    """The one answer to a Text Request."""
    (answer,) = nexus.ask(nexus.request(Opcode.TEXT_REQUEST, data, **({"target_transfer_tag": NO_TAG} | fields)))
    return answer


@pytest.mark.rfc7143("11-1", "11.11.1-2", "4.2.2.2-1")
@pytest.mark.parametrize("immediate", [True, False])
@pytest.mark.parametrize("discovery", [False, True])
def test_a_text_request_is_answered(connect: Any, immediate: bool, discovery: bool) -> None:
    nexus = connect(discovery=discovery)
    before = nexus.session.exp_cmd_sn, nexus.session.max_cmd_sn, nexus.connection.stat_sn
    answer = text(nexus, b"SendTargets=iqn.2010-06.servername:desc\0", lun=7, initiator_task_tag=9, immediate=immediate)
    moved = 0 if immediate else 1
    assert answer.fields == {
        "opcode": Opcode.TEXT_RESPONSE, "flags": 0x80, "lengths": len(answer.data), "lun": 7,
        "initiator_task_tag": 9, "target_transfer_tag": NO_TAG, "stat_sn": before[2],
        "exp_cmd_sn": before[0] + moved, "max_cmd_sn": before[1] + moved,
    }
    assert answer.data == b"TargetName=iqn.2010-06.ServerName:desc\0TargetAddress=10.0.0.1:3260,1\0"
    assert text(nexus).stat_sn == before[2] + 1


@pytest.mark.rfc7143("C-6")
def test_a_normal_session_is_not_told_of_all_targets(nexus: Any) -> None:
    assert text(nexus, b"SendTargets=All\0").data == b"SendTargets=Reject\0"


@pytest.mark.rfc7143("11.11.2-1", "11.11.4-1", "11.11.6-1", "11.11.1-2", "11.10.4-1", "6.4-3")
def test_a_text_answer_over_several_pdus(connect: Any) -> None:
    nexus = connect(discovery=True, max_xmit_data_segment_length=32)
    answer = text(nexus, b"SendTargets=All\0", initiator_task_tag=9)
    pieces = [answer.data]
    while not answer.flags & 0x80:
        assert answer.flags == 0x40
        assert answer.target_transfer_tag != NO_TAG
        answer = text(nexus, target_transfer_tag=answer.target_transfer_tag, initiator_task_tag=9)
        pieces.append(answer.data)
    assert [len(piece) for piece in pieces[:-1]] == [32] * (len(pieces) - 1)
    assert b"".join(pieces).endswith(b"\0TargetAddress=10.0.0.1:3260,1\0")
    assert answer.target_transfer_tag == NO_TAG


@pytest.mark.rfc7143("11.7.1-1")
def test_a_redeclared_length_holds_at_once(connect: Any) -> None:
    nexus = connect(max_xmit_data_segment_length=8192)
    assert text(nexus, b"MaxRecvDataSegmentLength=512\0").data == b""
    assert nexus.connection.transmit_limit == 512
    first, second, *_ = nexus.ask(nexus.read(0, 2))
    assert (len(first.data), len(second.data)) == (512, 512)


@pytest.mark.rfc7143("6.4-4", "11.10.2-1", "11.10.3-1", "6.2-1")
@pytest.mark.parametrize(("data", "fields"), [
    pytest.param(b"no text", {}, id="no text"),
    pytest.param(b"A=1\0", {"flags": 0xC0}, id="F and C"),
    pytest.param(b"", {"target_transfer_tag": 5}, id="a tag that was never given"),
    pytest.param(b"SendTargets=All\0SendTargets=All\0", {}, id="a key twice"),
    pytest.param(b"TargetAddress=1\0", {}, id="a target's key"),
])
def test_a_text_request_rejected(nexus: Any, data: bytes, fields: dict[str, Any]) -> None:
    window = nexus.session.max_cmd_sn
    answer = text(nexus, data, **fields)
    assert (answer.opcode, answer.reason) == (REJECT, 4)
    assert nexus.session.max_cmd_sn == window
    nexus.cmd_sn = answer.exp_cmd_sn
    assert text(nexus).opcode == Opcode.TEXT_RESPONSE


def test_two_reads_of_one_tag_each_get_an_answer(nexus: Any, store: Any) -> None:
    """The initiator breaks section 11.2.1.8; nothing of ours may be left behind."""
    store.waits = True
    nexus.feed(nexus.read(0, 1, initiator_task_tag=9) + nexus.read(1, 1, initiator_task_tag=9))
    assert nexus.work() == []
    assert [answer.initiator_task_tag for answer in nexus.answers()] == [9, 9]
    assert not nexus.session.tasks


BLOCKS = bytes(range(256)) * 4
#: A stream of requests around which plain commands come.
UNUSUAL: dict[str, Callable[[Any], bytes]] = {
    "nothing": lambda nexus: b"",
    "a ping": lambda nexus: nexus.request(Opcode.NOP_OUT, b"x", target_transfer_tag=NO_TAG),
    "no data": lambda nexus: nexus.command("00"),
    "SIMPLE": lambda nexus: nexus.read(0, 1, attribute=1) + nexus.write(0, 2, BLOCKS, attribute=1),
    "ORDERED": lambda nexus: nexus.read(0, 1, attribute=2) + nexus.write(0, 2, BLOCKS, attribute=2),
    "immediate": lambda nexus: nexus.read(0, 1, immediate=True),
    "both ways": lambda nexus: nexus.command("28 00 00000000 00 0001 00", flags=0xE0, expected=512),
    "a read with data": lambda nexus: nexus.command("28 00 00000000 00 0001 00", BLOCKS, flags=0xC0, expected=512),
    "a read that is not final": lambda nexus: nexus.command("28 00 00000000 00 0001 00", flags=0x40, expected=512),
    "more expected than written": lambda nexus: nexus.write(0, 1, BLOCKS, expected=1024),
    "more written than expected": lambda nexus: nexus.write(0, 4, BLOCKS, expected=1024),
    "less data than expected": lambda nexus: nexus.write(0, 2, BLOCKS[:512]) + nexus.read(0, 1),
    "no data to write": lambda nexus: nexus.write(0, 2),
    "odd data": lambda nexus: nexus.command("15 10 00 00 0e 00", bytes(14), flags=0xA0, expected=14),
    "an absent unit": lambda nexus: nexus.read(0, 1, lun=5 << 48),
    "no tag": lambda nexus: nexus.read(0, 1, initiator_task_tag=NO_TAG, cmd_sn=nexus.cmd_sn),
    "a tag in use": lambda nexus: nexus.write(0, 2, initiator_task_tag=77) + nexus.read(
        0, 1, initiator_task_tag=77, cmd_sn=nexus.cmd_sn),
    "before its turn": lambda nexus: nexus.read(0, 2, cmd_sn=nexus.cmd_sn + 1) + nexus.read(0, 1) + nexus.request(
        Opcode.NOP_OUT, b"x", target_transfer_tag=NO_TAG, cmd_sn=nexus.cmd_sn + 1),
    "twice": lambda nexus: nexus.read(0, 2, cmd_sn=nexus.cmd_sn - 1),
    "past the end": lambda nexus: nexus.read(1 << 20, 1) + nexus.write(1 << 20, 2, BLOCKS),
    "more than may come": lambda nexus: b"".join(nexus.read(0, 1) for _ in range(12)),
    "unknown": lambda nexus: nexus.command("01", BLOCKS, flags=0xA0, expected=1024),
}


@pytest.mark.parametrize("keys", [{}, {"data_digest": True}, {"immediate_data": False}, {"first_burst_length": 512}],
                         ids=["plain", "data digests", "no immediate data", "short bursts"])
@pytest.mark.parametrize("case", UNUSUAL)
def test_the_good_path_answers_as_the_general_way(
    connect: Any, monkeypatch: pytest.MonkeyPatch, case: str, keys: dict[str, Any]
) -> None:
    """In one piece, and cut where it is not convenient."""
    said = []
    for size in (1 << 20, 1500, 1):
        for taken in (True, False):
            with monkeypatch.context() as patch:
                if not taken:
                    patch.setattr(full_feature, "take_plain", lambda connection, session: False)
                nexus = connect(isid=bytes((size & 0xFF, taken, 1, 1, 1, 1)), **keys)
                stream = nexus.read(0, 1) + nexus.write(4, 2, BLOCKS) + UNUSUAL[case](nexus)
                stream += nexus.write(6, 2, BLOCKS) + nexus.read(4, 4) + nexus.read(0, 1)
                for start in range(0, len(stream), size):
                    nexus.feed(stream[start : start + size])
                said.append(repr(nexus.answers()))
                nexus.store.data[:8192] = bytes(8192)
                nexus.end()
            if not taken:
                assert said[-2] == said[-1]
    assert said


def test_a_plain_write_pins_its_chunk_until_it_is_answered(nexus: Any) -> None:
    connection = nexus.connection
    stream = nexus.write(4, 2, BLOCKS) + nexus.write(6, 2, BLOCKS)
    connection.space()[: len(stream)] = stream
    tasks = connection.received(len(stream))
    assert [task.special for task in tasks] == [False, False]
    assert connection.window.chunk.pins == 2
    for task in tasks:
        assert task.nexus.lu.execute(task)
        complete(connection, task)
    tasks.clear()
    assert connection.window.chunk.pins == 0
    assert [(task.data, task.data_length, task.chunks) for task in connection.free] == [((), 0, ())] * 2
