"""ErrorRecoveryLevel 1 between this initiator and this target, on sockets (RFC 7143 sections 7.8, 7.9, 11.16).

No other initiator at hand has this level: what both of ours get wrong in the same way, these tests do not find.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ietpy.initiator.client import Client
from ietpy.initiator.errors import Rejected, TargetFault
from ietpy.initiator.framing import Pdu
from ietpy.initiator.login import LoginPlan
from ietpy.initiator.numbering import Numbering
from ietpy.initiator.recovery import STATUS, Mischief, Recovery, is_mended
from ietpy.initiator.session import Session
from ietpy.initiator.tasks import DataOut
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import ACKNOWLEDGE, HAS_STATUS, Opcode

TARGET = "iqn.2026-01.test:careful"
BLOCKS = 256
CONFIGURATION = f"""
Target {TARGET}
    Lun 0 Path={{path}},Type=fileio
    InitialR2T No
    ErrorRecoveryLevel 1
    MaxOutstandingR2T 4
    DataPDUInOrder No
    DataSequenceInOrder No
    MaxRecvDataSegmentLength 1024
"""
KEYS = {
    "ErrorRecoveryLevel": "1", "MaxOutstandingR2T": "4", "DataDigest": "CRC32C", "HeaderDigest": "CRC32C,None",
    "MaxRecvDataSegmentLength": "1536", "MaxBurstLength": "4096", "FirstBurstLength": "2048",
}


@pytest.fixture(scope="module")
def port(serve: Callable[[str, int], int]) -> int:
    return serve(CONFIGURATION, BLOCKS)


Careful = Callable[..., Client]


@pytest.fixture
def careful(connect: Callable[[], Client]) -> Careful:
    """careful(**keys) -> a client at ErrorRecoveryLevel 1, past its unit attention."""

    def make(**keys: str) -> Client:
        client = connect()
        client.login(LoginPlan(target=TARGET, keys=KEYS | keys))
        client.test_unit_ready(0)
        return client

    return make


def content(seed: int, blocks: int) -> bytes:
    return random.Random(seed).randbytes(blocks * 512)


def cdb(operation: int, blocks: int) -> bytes:
    return bytes((operation, 0, 0, 0, 0, 0, 0)) + blocks.to_bytes(2, "big") + b"\0"


def finish(client: Client, tag: int, losses: int = 1) -> Any:
    """The result of a request whose last PDUs may be lost: so many pings that the answer to the last is not."""
    while tag not in client.session.results:
        client.recover()
        for _ in range(losses):
            client.session.ping()
        client.wait(client.session.ping())
    return client.wait(tag)


def once(*opcodes: int) -> Callable[[Pdu], bool]:
    """Loses the next PDU of each of these opcodes."""
    left = list(opcodes)

    def lose(pdu: Pdu) -> bool:
        if pdu.opcode in left:
            left.remove(pdu.opcode)
            return True
        return False

    return lose


@pytest.mark.rfc7143("4.2.5.1-3", "7.1.5-1", "11.16-1")
@pytest.mark.parametrize("opcode", [Opcode.DATA_IN, Opcode.READY_TO_TRANSFER, Opcode.SCSI_RESPONSE, Opcode.NOP_IN])
def test_one_lost_pdu_is_had_again(careful: Careful, opcode: int) -> None:
    client = careful()
    assert client.session.parameters.error_recovery_level == 1
    client.session.mischief.lose = once(opcode)
    data = content(opcode, 30)
    sent = finish(client, client.submit(0, cdb(0x2A, 30), write=data))
    assert sent.good
    assert finish(client, client.submit(0, cdb(0x28, 30), read=len(data))).data == data
    if opcode == Opcode.NOP_IN:
        pings = [client.session.ping(b"first"), client.session.ping(b"second")]
        assert [client.wait(tag) for tag in pings] == [b"first", b"second"]
    assert client.ping(b"all is well") == b"all is well"


@pytest.mark.rfc7143("11.16.3-1", "11.16.3-2")
def test_lost_data_comes_in_shorter_pdus(careful: Careful) -> None:
    """R-Data SNACK: all of it is lost, the status too, and then MaxRecvDataSegmentLength is not what it was."""
    client = careful()
    recovery = client.session.recovery
    assert recovery is not None
    data = content(7, 20)
    client.write(0, 0, data)

    class LastCameError(Exception):
        pass

    def lose(pdu: Pdu) -> bool:
        if pdu.header["flags"] & HAS_STATUS:
            raise LastCameError
        return True

    client.session.mischief.lose = lose
    tag = client.submit(0, cdb(0x28, 20), read=len(data))
    with pytest.raises(LastCameError):
        client.wait(tag)
    text = client.session.text(b"MaxRecvDataSegmentLength=1024\0")
    came: list[int] = []

    def count(pdu: Pdu) -> bool:
        if pdu.opcode == Opcode.DATA_IN:
            came.append(len(pdu.data))
        return False

    client.session.mischief.lose = count
    recovery.resegment(tag)
    response = client.wait(tag)
    assert (response.data, response.residual) == (data, 0)
    assert came == [1024] * 10
    assert client.wait(text) == b""
    assert client.ping(b"on") == b"on"


@pytest.mark.rfc7143("7.8-2", "7.8-3")
@pytest.mark.parametrize("r2t", ["No", "Yes"])
def test_data_with_a_wrong_digest_is_asked_for_again(careful: Careful, r2t: str) -> None:
    client = careful(InitialR2T=r2t, ImmediateData="No")
    spoilt: list[DataOut] = []

    def spoil(piece: DataOut) -> bool:
        if len(spoilt) < 3 and piece.data_sn % 2:
            spoilt.append(piece)
            return True
        return False

    client.session.mischief.spoil = spoil
    data = content(1, 40)
    client.write(0, 0, data)
    assert len(spoilt) == 3
    assert client.read(0, 0, 40) == data


def test_pdus_are_sent_in_the_wrong_order(careful: Careful) -> None:
    client = careful(DataPDUInOrder="No")
    assert not client.session.parameters.data_pdu_in_order
    client.session.mischief.order = lambda pieces: pieces[::-1]
    data = content(2, 40)
    client.write(0, 0, data)
    assert client.read(0, 0, 40) == data


@pytest.mark.rfc7143("11.8-3", "13.19-2")
@pytest.mark.parametrize(("in_order", "outstanding"), [("Yes", 1), ("No", 4)])
def test_r2ts_are_outstanding_as_negotiated(careful: Careful, in_order: str, outstanding: int) -> None:
    """Where lost data can be had again in order only, one at a time is all there may be."""
    client = careful(DataSequenceInOrder=in_order, InitialR2T="Yes", ImmediateData="No")
    client.send_pdu(client.make(
        Opcode.SCSI_COMMAND, flags=0xA0, cdb=cdb(0x2A, 40), expected_data_transfer_length=40 * 512
    ))
    client.send_pdu(client.make(Opcode.NOP_OUT, target_transfer_tag=0xFFFFFFFF))
    came = []
    while not came or came[-1].opcode != Opcode.NOP_IN:
        came.append(client.receive_pdu())
    assert [pdu.opcode for pdu in came[:-1]] == [Opcode.READY_TO_TRANSFER] * outstanding


@pytest.mark.rfc7143("11.16-1")
def test_a_wrong_digest_of_the_target_discards_a_pdu(careful: Careful) -> None:
    client = careful()
    feed = client.framer.feed
    spoilt: list[int] = []

    def spoil(data: bytes) -> None:
        if data[0] & 0x3F == Opcode.DATA_IN and not spoilt:
            spoilt.append(data[60])
            data = data[:60] + bytes((data[60] ^ 1,)) + data[61:]
        feed(data)

    client.framer.feed = spoil  # type: ignore[method-assign]
    tag = client.submit(0, cdb(0x28, 20), read=20 * 512)
    assert finish(client, tag).good
    assert client.framer.discarded == len(spoilt) == 1


@pytest.mark.rfc7143("11.7.4-1", "11.16.5-1")
def test_who_asks_for_much_at_once_is_asked_to_acknowledge_it(careful: Careful) -> None:
    """Commands that are all sent before the first answer acknowledge nothing; from 8 MiB on the target asks."""
    client = careful(MaxRecvDataSegmentLength="65536", MaxBurstLength="131072")
    data = content(3, BLOCKS)
    client.write(0, 0, data)
    asked: list[int] = []

    def note(pdu: Pdu) -> bool:
        if pdu.opcode == Opcode.DATA_IN and pdu.header["flags"] & ACKNOWLEDGE:
            asked.append(pdu.header["target_transfer_tag"])
        return False

    client.session.mischief.lose = note
    tags = [client.session.command(0, cdb(0x28, BLOCKS), read=len(data)) for _ in range(100)]
    for tag in tags:
        assert client.wait(tag).data == data
    assert 0 < len(asked) < 100
    assert client.ping(b"on") == b"on"


@pytest.mark.rfc7143("11.16-4")
def test_what_was_never_sent_is_refused(careful: Careful) -> None:
    client = careful()
    client.session.snack(STATUS, client.session.numbering.exp_stat_sn + 5, 1)
    with pytest.raises(Rejected) as caught:
        client.ping()
    assert caught.value.reason == 4
    assert client.ping(b"on") == b"on"


@pytest.mark.rfc7143("7.3-2", "7.8-2")
def test_a_command_whose_data_was_spoilt_is_tried_again(careful: Careful) -> None:
    """The whole command is discarded, and with it its CmdSN."""
    client = careful()
    data = content(5, 2)
    fields = {
        "flags": 0xA0, "cdb": cdb(0x2A, 2), "expected_data_transfer_length": 1024,
        "cmd_sn": client.session.numbering.cmd_sn, "initiator_task_tag": 0x700,
    }
    client.send_pdu(client.make(Opcode.SCSI_COMMAND, data, spoil_data=True, **fields))
    reject = client.receive_pdu()
    assert (reject.opcode, reject.header["reason"]) == (Opcode.REJECT, 2)
    assert reject.header["exp_cmd_sn"] == fields["cmd_sn"]
    client.session.numbering.cmd_sn = fields["cmd_sn"] + 1
    client.send_pdu(client.make(Opcode.SCSI_COMMAND, data, **fields))
    answer = client.receive_pdu()
    assert (answer.opcode, answer.header["status"]) == (Opcode.SCSI_RESPONSE, 0)
    assert client.read(0, 0, 2) == data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    losses=st.lists(st.booleans(), max_size=40), spoilt=st.lists(st.booleans(), max_size=20), seed=st.integers(0, 99),
    blocks=st.integers(1, 60), in_order=st.sampled_from(["Yes", "No"]), sequences=st.sampled_from(["Yes", "No"]),
)
def test_whatever_is_lost_the_data_is_right(
    careful: Careful, losses: Sequence[bool], spoilt: Sequence[bool], seed: int, blocks: int, in_order: str,
    sequences: str,
) -> None:
    client = careful(DataPDUInOrder=in_order, DataSequenceInOrder=sequences)
    lost, wrong, shuffle = iter(losses), iter(spoilt), random.Random(seed)
    mischief = client.session.mischief
    mischief.lose = lambda pdu: next(lost, False)
    mischief.spoil = lambda piece: next(wrong, False)
    if in_order == "No":
        mischief.order = lambda pieces: shuffle.sample(pieces, len(pieces))
    data = content(seed, blocks)
    assert finish(client, client.submit(0, cdb(0x2A, blocks), write=data), 40).good
    assert finish(client, client.submit(0, cdb(0x28, blocks), read=len(data)), 40).data == data
    client.session.mischief = Mischief()
    assert client.ping(b"even") == b"even"
    client.close()


def test_at_level_0_a_lost_pdu_is_a_fault(careful: Careful) -> None:
    client = careful(ErrorRecoveryLevel="0")
    assert client.session.recovery is None
    with pytest.raises(ValueError, match="ErrorRecoveryLevel 1"):
        client.recover()
    client.session.mischief.lose = once(Opcode.NOP_IN)
    client.session.ping()
    with pytest.raises(TargetFault, match="StatSN"):
        client.ping()


@pytest.mark.parametrize(("opcode", "run", "mended"), [
    (Opcode.DATA_OUT, 0, True), (Opcode.SNACK_REQUEST, 0, True), (Opcode.SNACK_REQUEST, 1, False),
    (Opcode.SCSI_COMMAND, 0, False),
])
def test_what_a_reject_costs(opcode: int, run: int, mended: bool) -> None:
    assert is_mended(bytes((opcode,)) + bytes(43) + run.to_bytes(4, "big")) is mended


def test_the_a_bit_is_answered(side: Any) -> None:
    parameters = Parameters(error_recovery_level=1)
    session = Session(Numbering(), parameters)
    session.numbering.next_stat_sn = side.stat_sn
    tag = session.command(0, cdb(0x28, 3), read=1536)
    session.output.clear()
    side.exp_cmd_sn = 2
    first = side.data_in(tag, bytes(512), flags=0x00)
    second = side.data_in(
        tag, bytes(512), flags=0xC0, target_transfer_tag=77, lun=3 << 48, data_sn=1, buffer_offset=512
    )
    session.handle(second)
    (asked,) = session.output
    assert (asked[1], asked[40:48]) == (0x80, bytes(7) + b"\1")  # Data-In 0, before anything is acknowledged
    session.output.clear()
    session.handle(side.data_in(tag, bytes(512), flags=0x81, data_sn=3, buffer_offset=1024))
    assert session.output[0][1] == 0x80
    session.output.clear()
    session.handle(first)
    (acknowledged,) = session.output
    assert (acknowledged[1], acknowledged[8:16]) == (0x82, (3 << 48).to_bytes(8, "big"))
    assert (acknowledged[20:24], acknowledged[40:48]) == (bytes((0, 0, 0, 77)), bytes((0, 0, 0, 2, 0, 0, 0, 0)))
    # Asked for once more in other pieces it begins there, and ends with a SCSI Response that has the SNACK Tag.
    assert session.recovery is not None
    session.recovery.resegment(tag)
    session.handle(side.data_in(tag, bytes(512), flags=0x80, data_sn=2, buffer_offset=1024, stat_sn=0))
    mark = int.from_bytes(session.output[-1][20:24], "big")
    side.stat_sn -= 1  # that of the status before
    for snack_tag in (0, mark):
        response = side.pdu(Opcode.SCSI_RESPONSE, initiator_task_tag=tag, snack_tag=snack_tag, exp_data_sn=3)
        if snack_tag:
            session.handle(response)
        else:
            with pytest.raises(TargetFault, match="SNACK Tag 0x0"):
                session.tasks[tag].response(response)
            side.stat_sn -= 1
    assert session.results[tag].data == bytes(1536)


def test_what_no_target_sends_is_judged_as_ever(one_pdu: Callable[[bytes], Pdu]) -> None:
    session = Session(Numbering(), Parameters(error_recovery_level=1))
    with pytest.raises(TargetFault, match="none a target sends"):
        session.handle(one_pdu(bytes((0x1C,)) + bytes(47)))


def test_a_lost_status_shows_in_an_r2t(side: Any) -> None:
    session = Session(Numbering(), Parameters(error_recovery_level=1, immediate_data=False))
    session.numbering.next_stat_sn = side.stat_sn
    session.recovery = Recovery(session)
    tag = session.command(0, cdb(0x2A, 1), write=bytes(512))
    session.output.clear()
    side.exp_cmd_sn = 2
    session.handle(side.pdu(
        Opcode.READY_TO_TRANSFER, initiator_task_tag=tag, target_transfer_tag=5, desired_data_transfer_length=512,
        stat_sn=side.stat_sn + 2, advance=False,
    ))
    snack, data = session.output
    assert (snack[0], snack[1], snack[40:44], snack[44:48]) == (
        0x10, 0x81, side.stat_sn.to_bytes(4, "big"), (2).to_bytes(4, "big"),
    )
    assert data[0] == Opcode.DATA_OUT
