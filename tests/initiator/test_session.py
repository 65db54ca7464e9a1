from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.errors import Rejected, TargetFault, TaskAborted
from ietpy.initiator.framing import Pdu
from ietpy.initiator.session import ABORT_TASK, AsyncMessage, LogoutResult, Session
from ietpy.initiator.tasks import Response
from ietpy.iscsi.pdu import NO_TAG, Opcode

LUN = 1 << 48
TUR = bytes(16)


@pytest.fixture
def session(new_session: Callable[..., Session]) -> Session:
    return new_session()


def sent(session: Session, one_pdu: Callable[[bytes], Pdu]) -> list[Pdu]:
    pieces, session.output = session.output, []
    return [one_pdu(piece) for piece in pieces]


def test_golden_read(session: Session) -> None:
    session.command(LUN, bytes.fromhex("28000000000000000100") + bytes(6), read=512)
    assert session.output == [
        bytes.fromhex(
            "01c10000 00000000 0001000000000000 00000001 00000200 00000001 00000064 28000000000000000100000000000000"
        )
    ]


def test_golden_write_with_immediate_data(session: Session) -> None:
    session.command(LUN, bytes.fromhex("2a000000000000000100") + bytes(6), write=b"abcde")
    assert session.output == [
        bytes.fromhex(
            "01a10000 00000005 0001000000000000 00000001 00000005 00000001 00000064 2a000000000000000100000000000000"
            "6162636465000000"
        )
    ]


@pytest.mark.parametrize(
    ("start", "golden"),
    [
        pytest.param(
            lambda session: session.logout(),
            "46800000 00000000 0000000000000000 00000001 00000000 00000001 00000064" + "00" * 16,
            id="11.14 Logout Request",
        ),
        pytest.param(
            lambda session: session.manage(ABORT_TASK, LUN, 9, 3),
            "42810000 00000000 0001000000000000 00000001 00000009 00000001 00000064 00000003" + "00" * 12,
            id="11.5 Task Management Function Request",
        ),
        pytest.param(
            lambda session: session.text(b"a=b\0"),
            "04800000 00000004 0000000000000000 00000001 ffffffff 00000001 00000064" + "00" * 16 + "613d6200",
            id="11.10 Text Request",
        ),
        pytest.param(
            lambda session: session.ping(immediate=True),
            "40800000 00000000 0000000000000000 00000001 ffffffff 00000001 00000064" + "00" * 16,
            id="11.18 NOP-Out",
        ),
    ],
)
def test_golden_requests(session: Session, start: Callable[[Session], int], golden: str) -> None:
    start(session)
    assert b"".join(session.output).hex() == golden.replace(" ", "")


def test_long_cdb_goes_into_an_additional_header_segment(session: Session) -> None:
    session.command(LUN, b"\x7f" + bytes(30) + b"\xee")
    assert session.output[0][4] == 5
    assert session.output[0][48:] == b"\x00\x11\x01\x00" + bytes(15) + b"\xee"


def test_read(session: Session, side: Any) -> None:
    tag = session.command(LUN, TUR, read=8)
    session.handle(side.data_in(tag, b"abcd", flags=0))
    session.handle(side.data_in(tag, b"efgh", data_sn=1, buffer_offset=4, exp_cmd_sn=2))
    assert session.results == {tag: Response(0, b"", b"abcdefgh")}
    assert session.outstanding == 0


def test_write_by_r2t(session: Session, side: Any, one_pdu: Callable[[bytes], Pdu]) -> None:
    session.parameters.immediate_data = False
    tag = session.command(LUN, TUR, write=b"x" * 10000)
    asked = {"initiator_task_tag": tag, "target_transfer_tag": 5, "lun": LUN, "desired_data_transfer_length": 10000}
    session.handle(side.pdu(Opcode.READY_TO_TRANSFER, advance=False, **asked))
    first, *pieces = sent(session, one_pdu)
    assert first.data == b""
    assert [(len(p.data), p.header["buffer_offset"], p.header["data_sn"], p.header["flags"]) for p in pieces] == [
        (8192, 0, 0, 0),
        (1808, 8192, 1, 0x80),
    ]
    assert {p.header["target_transfer_tag"] for p in pieces} == {5}
    session.handle(side.pdu(Opcode.SCSI_RESPONSE, initiator_task_tag=tag))
    assert session.results[tag].good


def test_unsolicited_data_follows_its_command(
    new_session: Callable[..., Session], one_pdu: Callable[[bytes], Pdu]
) -> None:
    session = new_session(initial_r2t=False)
    session.command(LUN, TUR, write=b"x" * 10000)
    command, data = sent(session, one_pdu)
    assert (command.header["flags"], len(command.data)) == (0x21, 8192)
    assert (data.opcode, data.header["lun"], data.header["target_transfer_tag"]) == (Opcode.DATA_OUT, 0, NO_TAG)


def test_commands_wait_for_the_window(new_session: Callable[..., Session], side: Any) -> None:
    session = new_session(window=2)
    tags = [session.command(LUN, TUR) for _ in range(4)]
    assert len(session.output) == 2
    session.ping(immediate=True)
    assert len(session.output) == 3
    side.window, side.exp_cmd_sn = 1, 3
    session.handle(side.pdu(Opcode.SCSI_RESPONSE, initiator_task_tag=tags[0]))
    assert len(session.output) == 4
    side.exp_cmd_sn = 4
    session.handle(side.pdu(Opcode.SCSI_RESPONSE, initiator_task_tag=tags[1]))
    assert [piece[27] for piece in session.output] == [1, 2, 3, 3, 4]
    assert session.outstanding == 3


def test_digests_in_force(new_session: Callable[..., Session]) -> None:
    session = new_session(header_digest=True, data_digest=True)
    session.command(LUN, TUR, write=b"abcd")
    assert len(session.output[0]) == 48 + 4 + 4 + 4


def test_ping_and_back(session: Session, side: Any) -> None:
    tag = session.ping(b"hello")
    answer = {"initiator_task_tag": tag, "target_transfer_tag": NO_TAG}
    session.handle(side.pdu(Opcode.NOP_IN, b"hello", **answer))
    assert session.results == {tag: b"hello"}


def test_ping_from_the_target_is_answered(session: Session, side: Any, one_pdu: Callable[[bytes], Pdu]) -> None:
    ping = {"initiator_task_tag": NO_TAG, "target_transfer_tag": 77, "lun": LUN, "advance": False}
    session.handle(side.pdu(Opcode.NOP_IN, **ping))
    (reply,) = sent(session, one_pdu)
    named = {name: reply.header[name] for name in ("initiator_task_tag", "target_transfer_tag", "lun", "opcode")}
    assert named == {"initiator_task_tag": NO_TAG, "target_transfer_tag": 77, "lun": LUN, "opcode": 0x40}
    session.handle(side.pdu(Opcode.NOP_IN, **{**ping, "target_transfer_tag": NO_TAG}))
    assert session.output == []


def test_text_goes_on_until_the_final_response(
    session: Session, side: Any, one_pdu: Callable[[bytes], Pdu]
) -> None:
    tag = session.text(b"SendTargets=All\0")
    part = {"initiator_task_tag": tag, "target_transfer_tag": 3}
    session.handle(side.pdu(Opcode.TEXT_RESPONSE, b"TargetN", flags=0x40, exp_cmd_sn=2, max_cmd_sn=2, **part))
    session.handle(side.pdu(Opcode.TEXT_RESPONSE, b"ame=x\0", flags=0, exp_cmd_sn=3, max_cmd_sn=3, **part))
    part["target_transfer_tag"] = NO_TAG
    session.handle(side.pdu(Opcode.TEXT_RESPONSE, b"", exp_cmd_sn=4, max_cmd_sn=4, **part))
    assert session.results == {tag: b"TargetName=x\0"}
    requests = sent(session, one_pdu)
    assert [request.header["target_transfer_tag"] for request in requests] == [NO_TAG, 3, 3]
    assert [request.header["cmd_sn"] for request in requests] == [1, 2, 3]
    assert {request.header["initiator_task_tag"] for request in requests} == {tag}


@pytest.mark.parametrize(
    ("function", "ended"),
    [
        pytest.param(1, [0], id="ABORT TASK"),
        pytest.param(2, [0, 1], id="ABORT TASK SET"),
        pytest.param(4, [0, 1], id="CLEAR TASK SET"),
        pytest.param(5, [0, 1], id="LOGICAL UNIT RESET"),
        pytest.param(6, [0, 1, 2], id="TARGET WARM RESET"),
        pytest.param(11, [0, 1, 2], id="I_T NEXUS RESET"),
        pytest.param(3, [], id="CLEAR ACA"),
    ],
)
def test_task_management_ends_tasks(session: Session, side: Any, function: int, ended: list[int]) -> None:
    tags = [session.command(LUN, TUR), session.command(LUN, TUR), session.command(0, TUR)]
    tag = session.manage(function, LUN, tags[0])
    session.handle(side.pdu(Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=tag))
    assert session.results.pop(tag) == 0
    assert [tags.index(each) for each in session.results] == ended
    assert all(isinstance(result, TaskAborted) for result in session.results.values())


@pytest.mark.parametrize("function", [1, 9, 12])
def test_only_one_function_is_answered_with_information(session: Session, side: Any, function: int) -> None:
    """QUERY ASYNCHRONOUS EVENT (RFC 7144)."""
    tag = session.manage(function, LUN)
    answer = side.pdu(
        Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=tag, response=7, information=b"\x16\x29\x00"
    )
    if function == 12:
        session.handle(answer)
        assert session.results == {tag: 7}
    else:
        with pytest.raises(TargetFault, match="information 162900"):
            session.handle(answer)


def test_refused_task_management_ends_nothing(session: Session, side: Any) -> None:
    command = session.command(LUN, TUR)
    tag = session.manage(ABORT_TASK, LUN, command)
    session.handle(side.pdu(Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=tag, response=255))
    assert session.results == {tag: 255}
    assert session.outstanding == 1


def test_logout(session: Session, side: Any) -> None:
    tag = session.logout()
    session.handle(side.pdu(Opcode.LOGOUT_RESPONSE, initiator_task_tag=tag, time2wait=2, time2retain=20))
    assert session.results == {tag: LogoutResult(0, 2, 20)}


def test_async_message(session: Session, side: Any) -> None:
    session.handle(
        side.pdu(Opcode.ASYNC_MESSAGE, b"\0\3abc", initiator_task_tag=NO_TAG, async_event=1, parameter3=10, lun=LUN)
    )
    assert session.messages == [AsyncMessage(1, 0, (0, 0, 10), LUN, b"abc")]


def test_reject_of_a_request_in_flight_is_its_result(session: Session, side: Any) -> None:
    tag = session.command(LUN, TUR)
    session.handle(side.pdu(Opcode.REJECT, session.output[0], initiator_task_tag=NO_TAG, reason=4))
    assert isinstance(session.results[tag], Rejected)
    assert (session.results[tag].reason, session.results[tag].header) == (4, session.output[0])


def test_reject_of_anything_else_is_kept(session: Session, side: Any) -> None:
    session.handle(side.pdu(Opcode.REJECT, bytes(48), initiator_task_tag=NO_TAG, reason=5))
    assert [str(reject) for reject in session.rejects] == [
        "the target rejected a PDU with reason 0x05 (command not supported)"
    ]


@pytest.mark.parametrize(
    ("opcode", "data", "fields", "section"),
    [
        pytest.param(Opcode.SCSI_RESPONSE, b"", {"initiator_task_tag": 99}, "11.2.1.8", id="unknown tag"),
        pytest.param(Opcode.SCSI_RESPONSE, b"", {"initiator_task_tag": 2}, "11.2.1.8", id="answer of another kind"),
        pytest.param(Opcode.DATA_IN, b"", {"initiator_task_tag": 99}, "11.2.1.8", id="Data-In for nobody"),
        pytest.param(Opcode.LOGIN_RESPONSE, b"", {}, "7.4", id="Login Response after login"),
        pytest.param(
            Opcode.NOP_IN, b"no", {"initiator_task_tag": 2, "target_transfer_tag": NO_TAG}, "11.19", id="echo"
        ),
        pytest.param(Opcode.NOP_IN, b"yes", {"initiator_task_tag": 2}, "11.19.1", id="transfer tag in an answer"),
        pytest.param(Opcode.NOP_IN, b"x", {"initiator_task_tag": NO_TAG}, "11.19", id="data in a target's NOP-In"),
        pytest.param(Opcode.TEXT_RESPONSE, b"", {"initiator_task_tag": 3, "flags": 0xC0}, "11.11.2", id="F and C"),
        pytest.param(Opcode.TEXT_RESPONSE, b"", {"initiator_task_tag": 3}, "11.11.4", id="final with a tag"),
        pytest.param(
            Opcode.TEXT_RESPONSE, b"", {"initiator_task_tag": 3, "flags": 0, "target_transfer_tag": NO_TAG}, "11.11.4",
            id="not final without a tag",
        ),
        pytest.param(Opcode.ASYNC_MESSAGE, b"", {"initiator_task_tag": 1}, "11.9", id="Asynchronous Message's tag"),
        pytest.param(Opcode.REJECT, bytes(48), {"initiator_task_tag": 1}, "11.17", id="Reject's tag"),
        pytest.param(Opcode.REJECT, b"x", {"initiator_task_tag": NO_TAG}, "11.17.4", id="Reject without a header"),
    ],
)  # fmt: skip
def test_faults(
    session: Session, side: Any, opcode: int, data: bytes, fields: dict[str, Any], section: str
) -> None:
    assert [session.command(LUN, TUR), session.ping(b"yes"), session.text(b"")] == [1, 2, 3]
    fresh = fields.get("initiator_task_tag") != NO_TAG or opcode != Opcode.NOP_IN
    with pytest.raises(TargetFault) as caught:
        session.handle(side.pdu(opcode, data, advance=fresh, **fields))
    assert caught.value.section == section
