from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.errors import TargetFault
from ietpy.initiator.framing import Pdu, build_pdu
from ietpy.initiator.numbering import Numbering
from ietpy.iscsi.pdu import NO_TAG, Opcode

One = Callable[[bytes], Pdu]
RIGHT = {"flags": 0x80, "stat_sn": 100, "exp_cmd_sn": 11, "max_cmd_sn": 42}


@pytest.fixture
def numbering() -> Numbering:
    """CmdSN 10 was sent, StatSN 100 is due."""
    made = Numbering(10)
    made.next_stat_sn = 100
    made.take_cmd_sn(False)
    return made


@pytest.mark.parametrize(
    ("opcode", "fields", "data", "section"),
    [
        pytest.param(Opcode.NOP_IN, {"opcode_byte": 0x60}, b"", "11.2.1.1", id="the I bit in a response"),
        pytest.param(Opcode.NOP_IN, {"opcode_byte": 0xA0}, b"", "11.2.1.1", id="the first bit of a PDU"),
        pytest.param(Opcode.NOP_IN, {"flags": 0}, b"", "11.19", id="F bit missing"),
        pytest.param(Opcode.SCSI_RESPONSE, {"flags": 0x81}, b"", "11.4", id="reserved flag"),
        pytest.param(Opcode.READY_TO_TRANSFER, {}, b"x", "11.8", id="R2T with data"),
        pytest.param(Opcode.LOGOUT_RESPONSE, {}, b"x", "11.15", id="Logout Response with data"),
        pytest.param(Opcode.NOP_IN, {"ahs": b"1234"}, b"", "11.2.2", id="additional header segment"),
        pytest.param(Opcode.SCSI_RESPONSE, {"stat_sn": 101}, b"", "4.2.2.2", id="StatSN skipped"),
        pytest.param(Opcode.SCSI_RESPONSE, {"stat_sn": 99}, b"", "4.2.2.2", id="StatSN repeated"),
        pytest.param(Opcode.READY_TO_TRANSFER, {"stat_sn": 99}, b"", "4.2.2.2", id="StatSN of an R2T"),
        pytest.param(Opcode.DATA_IN, {"flags": 0x81, "stat_sn": 7}, b"", "4.2.2.2", id="StatSN of a last Data-In"),
        pytest.param(Opcode.SCSI_RESPONSE, {"exp_cmd_sn": 12}, b"", "4.2.2.1", id="ExpCmdSN ahead of CmdSN"),
        pytest.param(Opcode.SCSI_RESPONSE, {"exp_cmd_sn": 9}, b"", "4.2.2.1", id="ExpCmdSN going back"),
        pytest.param(Opcode.SCSI_RESPONSE, {"max_cmd_sn": 9}, b"", "4.2.2.1", id="MaxCmdSN below ExpCmdSN - 1"),
    ],
)
def test_faults(
    numbering: Numbering, one_pdu: One, opcode: int, fields: dict[str, Any], data: bytes, section: str
) -> None:
    with pytest.raises(TargetFault) as caught:
        numbering.accept(one_pdu(build_pdu(opcode, data, **{**RIGHT, **fields})))
    assert caught.value.section == section


@pytest.mark.parametrize("opcode", [Opcode.NOP_OUT, Opcode.SCSI_COMMAND, 0x3E, 0x1C])
def test_opcodes_no_target_sends(numbering: Numbering, one_pdu: One, opcode: int) -> None:
    with pytest.raises(TargetFault, match=r"11\.2\.1\.2"):
        numbering.accept(one_pdu(build_pdu(opcode)))
    numbering.follow(one_pdu(build_pdu(opcode)))
    assert numbering.exp_stat_sn == 100


def test_reserved_bytes_must_be_zero(numbering: Numbering, one_pdu: One) -> None:
    stream = bytearray(build_pdu(Opcode.SCSI_RESPONSE, **RIGHT))
    stream[9] = 1
    with pytest.raises(TargetFault, match="reserved byte 9 is 0x01"):
        numbering.accept(one_pdu(bytes(stream)))


@pytest.mark.parametrize(
    ("opcode", "fields", "expected"),
    [
        pytest.param(Opcode.SCSI_RESPONSE, {}, 101, id="SCSI Response takes a number"),
        pytest.param(Opcode.REJECT, {}, 101, id="Reject takes a number"),
        pytest.param(Opcode.ASYNC_MESSAGE, {}, 101, id="Asynchronous Message takes a number"),
        pytest.param(Opcode.DATA_IN, {"flags": 0x81}, 101, id="Data-In with the S bit takes a number"),
        pytest.param(Opcode.DATA_IN, {"flags": 0x80, "stat_sn": 0}, 100, id="Data-In without it takes none"),
        pytest.param(Opcode.READY_TO_TRANSFER, {}, 100, id="R2T takes none"),
        pytest.param(Opcode.NOP_IN, {"initiator_task_tag": 5}, 101, id="NOP-In that answers takes a number"),
        pytest.param(Opcode.NOP_IN, {"initiator_task_tag": NO_TAG}, 100, id="NOP-In of the target's own takes none"),
    ],
)
def test_stat_sn(numbering: Numbering, one_pdu: One, opcode: int, fields: dict[str, Any], expected: int) -> None:
    numbering.accept(one_pdu(build_pdu(opcode, **{**RIGHT, **fields})))
    assert numbering.exp_stat_sn == expected


def test_first_stat_sn_is_the_targets_choice(one_pdu: One) -> None:
    numbering = Numbering(10)
    assert numbering.exp_stat_sn == 0
    numbering.accept(one_pdu(build_pdu(Opcode.LOGIN_RESPONSE, stat_sn=0xFFFFFFFF, exp_cmd_sn=10, max_cmd_sn=10)))
    assert numbering.next_stat_sn == 0


def test_command_window_opens_and_closes_over_the_wrap(one_pdu: One) -> None:
    numbering = Numbering(0xFFFFFFFF)
    assert numbering.window_open
    assert numbering.take_cmd_sn(True) == 0xFFFFFFFF
    assert numbering.take_cmd_sn(False) == 0xFFFFFFFF
    assert not numbering.window_open
    numbering.follow(one_pdu(build_pdu(Opcode.NOP_IN, exp_cmd_sn=0, max_cmd_sn=0)))
    assert numbering.window_open
    assert (numbering.exp_cmd_sn, numbering.take_cmd_sn(False)) == (0, 0)
    assert not numbering.window_open


def rejecting(opcode_byte: int, number: int, **fields: Any) -> bytes:
    header = bytes((opcode_byte,)) + bytes(23) + number.to_bytes(4, "big") + bytes(20)
    return build_pdu(Opcode.REJECT, header, **{"initiator_task_tag": NO_TAG, **fields})


@pytest.mark.parametrize(
    ("opcode_byte", "number", "taken"),
    [
        pytest.param(Opcode.TEXT_REQUEST, 11, [11, 12], id="numbered"),
        pytest.param(Opcode.TEXT_REQUEST, 9, [12], id="received nevertheless"),
        pytest.param(Opcode.TEXT_REQUEST | 0x40, 11, [12], id="immediate"),
        pytest.param(Opcode.DATA_OUT, 11, [12], id="without a number"),
    ],
)
def test_the_number_of_a_rejected_request_is_taken_again(
    one_pdu: One, opcode_byte: int, number: int, taken: list[int]
) -> None:
    numbering = Numbering(10)
    assert [numbering.take_cmd_sn(False) for _ in range(2)] == [10, 11]
    for _ in range(2):
        numbering.follow(one_pdu(rejecting(opcode_byte, number, exp_cmd_sn=11, max_cmd_sn=11)))
    assert numbering.window_open is (len(taken) > 1)
    assert numbering.take_cmd_sn(True) == 12
    assert [numbering.take_cmd_sn(False) for _ in taken] == taken


def test_a_gap_that_somebody_filled_is_none(one_pdu: One) -> None:
    numbering = Numbering(10)
    numbering.take_cmd_sn(False)
    numbering.follow(one_pdu(rejecting(Opcode.TEXT_REQUEST, 10, exp_cmd_sn=10, max_cmd_sn=10)))
    numbering.follow(one_pdu(build_pdu(Opcode.NOP_IN, exp_cmd_sn=11, max_cmd_sn=11)))
    assert numbering.take_cmd_sn(False) == 11


def test_tags_are_never_the_reserved_one() -> None:
    numbering = Numbering()
    numbering.commands._tag = NO_TAG - 2
    assert [numbering.new_tag() for _ in range(3)] == [NO_TAG - 1, 0, 1]
