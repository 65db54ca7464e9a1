from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed, ConnectionLost, Rejected, TargetFault, TimedOut
from ietpy.initiator.framing import Pdu
from ietpy.initiator.login import LoginPlan
from ietpy.initiator.text import encode
from ietpy.iscsi.pdu import NO_TAG, Opcode

Step = Callable[[Pdu], bytes]
ATTENTION = bytes.fromhex("0012 70000600000000 0a00000000 2900 00000000")
ILLEGAL = bytes.fromhex("0012 70000500000000 0a00000000 2100 00000000")
KEYS = {
    "HeaderDigest": "None", "DataDigest": "None", "MaxRecvDataSegmentLength": "8192", "DefaultTime2Wait": "2",
    "DefaultTime2Retain": "0", "ErrorRecoveryLevel": "0", "MaxConnections": "1", "ImmediateData": "Yes",
    "InitialR2T": "Yes", "MaxBurstLength": "262144", "FirstBurstLength": "65536", "MaxOutstandingR2T": "1",
    "TargetPortalGroupTag": "1",
}  # fmt: skip
PLAN = LoginPlan(target="iqn.t")


class Script:
    """Steps of a target, counting StatSN and CmdSN."""

    def __init__(self, side: Any) -> None:
        self.side = side

    def login(self, pdu: Pdu) -> bytes:
        return self.answer(Opcode.LOGIN_RESPONSE, encode(KEYS), flags=0x87, tsih=1, isid=pdu.header["isid"])(pdu)

    def answer(self, opcode: int, data: bytes = b"", **fields: Any) -> Step:
        def step(pdu: Pdu) -> bytes:
            if not pdu.raw[0] & 0x40:
                self.side.exp_cmd_sn = pdu.header["cmd_sn"] + 1
            named = {"initiator_task_tag": pdu.header["initiator_task_tag"], **fields}
            answer: bytes = self.side.pack(opcode, data, **named)
            return answer

        return step

    def read(self, data: bytes, **fields: Any) -> Step:
        right = {"flags": 0x81, "target_transfer_tag": NO_TAG, **fields}

        def step(pdu: Pdu) -> bytes:
            missing = pdu.header["expected_data_transfer_length"] - len(data)
            residual = {"flags": 0x83, "residual_count": missing} if missing else {}
            return self.answer(Opcode.DATA_IN, data, **{**right, **residual})(pdu)

        return step

    def status(self, status: int = 0, data: bytes = b"") -> Step:
        def step(pdu: Pdu) -> bytes:
            missing = pdu.header["expected_data_transfer_length"] if pdu.header["flags"] & 0x40 else 0
            residual = {"flags": 0x82, "residual_count": missing} if missing else {}
            return self.answer(Opcode.SCSI_RESPONSE, data, status=status, **residual)(pdu)

        return step

    def logout(self, pdu: Pdu) -> bytes:
        return self.answer(Opcode.LOGOUT_RESPONSE)(pdu)


@pytest.fixture
def script(side: Any) -> Script:
    return Script(side)


Scripted = Callable[..., tuple[Client, Any]]


def requests(target: Any) -> list[bytes]:
    """The CDBs a target saw."""
    return [pdu.header["cdb"] for pdu in target.seen if pdu.opcode == Opcode.SCSI_COMMAND]


def test_session_from_login_to_logout(scripted: Scripted, script: Script) -> None:
    capacity = (63).to_bytes(8, "big") + (512).to_bytes(4, "big") + bytes(20)
    client, target = scripted(
        script.login,
        script.status(2, ATTENTION),
        script.read(capacity),
        script.read(b"a" * 1024),
        script.status(),
        script.status(),
        script.read(b"\0\0\0\x10\0\0\0\0" + bytes(8) + b"\x41\0" + bytes(6)),
        script.read(b"x" * 36),
        script.read(b"\0\x80\0\0"),
        script.status(),
        script.answer(Opcode.NOP_IN, b"hi", target_transfer_tag=NO_TAG),
        script.answer(Opcode.TASK_MANAGEMENT_RESPONSE, response=5),
        script.logout,
    )
    with client:
        assert client.login(PLAN).tsih == 1
        found = client.read_capacity(1)
        assert (found.blocks, found.block_size, found.size) == (64, 512, 32768)
        assert client.read(1, 2, 2) == b"a" * 1024
        client.write(1, 2, b"b" * 512, fua=True)
        client.synchronize_cache(1)
        assert client.report_luns() == [0, 256]
        assert client.inquiry(1) == b"x" * 36
        assert client.inquiry(1, 0x80) == b"\0\x80\0\0"
        client.test_unit_ready(1)
        assert client.ping(b"hi") == b"hi"
        assert client.manage(5, 1) == 5
        assert client.logout().response == 0
    target.join()
    assert [cdb.hex() for cdb in requests(target)] == [
        "9e100000000000000000000000200000",
        "9e100000000000000000000000200000",
        "88000000000000000002000000020000",
        "8a080000000000000002000000010000",
        "35000000000000000000000000000000",
        "a0000000000000001000000000000000",
        "120000" + "00ff" + "00" * 11,
        "120180" + "00ff" + "00" * 11,
        "00" * 16,
    ]
    assert {pdu.header["lun"] >> 48 for pdu in target.seen if pdu.opcode == Opcode.SCSI_COMMAND} == {0, 1}


def test_discovery(scripted: Scripted, script: Script) -> None:
    listed = b"TargetName=iqn.a\0TargetAddress=10.0.0.1:3260,1\0TargetAddress=[::1]:3260,1\0TargetName=iqn.b\0"
    client, target = scripted(
        script.login,
        script.answer(Opcode.TEXT_RESPONSE, listed[:20], flags=0x40, target_transfer_tag=4),
        script.answer(Opcode.TEXT_RESPONSE, listed[20:], target_transfer_tag=NO_TAG),
    )
    client.login(PLAN)
    assert client.discover() == [("iqn.a", ["10.0.0.1:3260,1", "[::1]:3260,1"]), ("iqn.b", [])]
    assert target.seen[1].data == b"SendTargets=All\0"


def test_discovery_of_rubbish(scripted: Scripted, script: Script) -> None:
    rubbish = script.answer(Opcode.TEXT_RESPONSE, b"TargetAddress=10.0.0.1\0", target_transfer_tag=NO_TAG)
    client, _ = scripted(script.login, rubbish)
    client.login(PLAN)
    with pytest.raises(TargetFault, match="Appendix C"):
        client.discover()


def test_several_commands_outstanding_end_in_any_order(scripted: Scripted, script: Script) -> None:
    kept: list[Pdu] = []

    def keep(pdu: Pdu) -> bytes:
        kept.append(pdu)
        return b""

    def both(pdu: Pdu) -> bytes:
        script.side.exp_cmd_sn = pdu.header["cmd_sn"] + 1
        return script.status(8)(pdu) + script.side.pack(
            Opcode.SCSI_RESPONSE, initiator_task_tag=kept[0].header["initiator_task_tag"]
        )

    client, _ = scripted(script.login, keep, both)
    client.login(PLAN)
    first, second = client.submit(0, bytes(6)), client.submit(0, bytes(6))
    assert client.wait(first).status == 0
    assert client.wait(second).status == 8


def test_write_asked_for_by_r2t(scripted: Scripted, script: Script) -> None:
    data = bytes(range(256)) * 40
    got: dict[int, bytes] = {}

    def ask(pdu: Pdu) -> bytes:
        script.side.exp_cmd_sn = pdu.header["cmd_sn"] + 1
        got[0] = pdu.data
        rest = len(data) - len(pdu.data)
        named = {"initiator_task_tag": pdu.header["initiator_task_tag"], "target_transfer_tag": 3, "advance": False}
        return script.side.pack(
            Opcode.READY_TO_TRANSFER, lun=pdu.header["lun"], buffer_offset=len(pdu.data),
            desired_data_transfer_length=rest, **named,
        )  # fmt: skip

    def take(pdu: Pdu) -> bytes:
        got[pdu.header["buffer_offset"]] = pdu.data
        assert pdu.header["flags"] == 0x80
        return script.side.pack(Opcode.SCSI_RESPONSE, initiator_task_tag=pdu.header["initiator_task_tag"])

    client, target = scripted(script.login, ask, take)
    client.login(PLAN)
    client.write(1, 0, data)
    target.join()
    assert b"".join(got[offset] for offset in sorted(got)) == data


@pytest.mark.parametrize(
    ("status", "sense", "sentence"),
    [
        (2, ILLEGAL, "READ\\(16\\) ended with CHECK CONDITION, ILLEGAL REQUEST, ASC/ASCQ 2100h"),
        (0x18, b"", "READ\\(16\\) ended with RESERVATION CONFLICT"),
    ],
)
def test_helpers_raise(scripted: Scripted, script: Script, status: int, sense: bytes, sentence: str) -> None:
    client, _ = scripted(script.login, script.status(status, sense))
    client.login(PLAN)
    with pytest.raises(CommandFailed, match=sentence):
        client.read(1, 0, 1)


def test_helpers_do_not_pass_over_unit_attentions_for_ever(scripted: Scripted, script: Script) -> None:
    client, target = scripted(script.login, *[script.status(2, ATTENTION) for _ in range(8)])
    client.login(PLAN)
    with pytest.raises(CommandFailed, match="UNIT ATTENTION"):
        client.test_unit_ready(1)
    target.join()
    assert len(requests(target)) == 8


def test_part_of_a_block_is_not_written(scripted: Scripted) -> None:
    client, _ = scripted()
    with pytest.raises(ValueError, match="no whole blocks"):
        client.write(0, 0, b"x")


def test_target_that_does_not_answer(scripted: Scripted, script: Script) -> None:
    client, _ = scripted(script.login, lambda pdu: b"", lambda pdu: b"")
    client.login(PLAN)
    with pytest.raises(TimedOut):
        client.command(0, bytes(6), timeout=0.01)
    with pytest.raises(TimedOut):
        client.receive_pdu(0.01)


def test_target_that_takes_no_data() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Client(ours, timeout=0.01) as client, pytest.raises(TimedOut, match="took no data"):
        client.send_pdu(bytes(1 << 24))


def test_target_that_closes(scripted: Scripted, script: Script) -> None:
    client, target = scripted(script.login)
    client.login(PLAN)
    target.join()
    with pytest.raises(ConnectionLost):
        client.command(0, bytes(6))
    with pytest.raises(ConnectionLost):
        client.receive_pdu()


def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(ConnectionLost, match=f"no connection to 127.0.0.1 port {port}"):
            Client.connect("127.0.0.1", port, timeout=5)


def test_connect(script: Script) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with Client.connect("127.0.0.1", listening.getsockname()[1], timeout=5) as client:
            assert client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            listening.accept()[0].close()
            assert client.closed_by_target()
        assert client.socket.fileno() == -1


def test_raw_door(scripted: Scripted, script: Script) -> None:
    wrong = script.answer(Opcode.NOP_IN, b"", target_transfer_tag=NO_TAG, flags=0, stat_sn=999)
    reject = script.answer(Opcode.REJECT, bytes(48), initiator_task_tag=NO_TAG, reason=4, stat_sn=1000)
    client, target = scripted(script.login, wrong, reject, lambda pdu: b"")
    client.login(PLAN)
    client.send_pdu(client.make(Opcode.NOP_OUT, b"abc", target_transfer_tag=5, immediate=True))
    pdu = client.receive_pdu(strict=False)
    assert (pdu.opcode, pdu.header["stat_sn"]) == (Opcode.NOP_IN, 999)
    client.send_pdu(client.make(0x1C, initiator_task_tag=77))
    assert client.receive_pdu().header["reason"] == 4
    client.send_pdu(client.make(Opcode.DATA_OUT, b"x"))
    target.join()
    first, second, third = target.seen[1:]
    assert (first.raw[0], first.header["target_transfer_tag"], first.header["cmd_sn"]) == (0x40, 5, 1)
    assert (second.header["initiator_task_tag"], second.header["cmd_sn"], second.header["exp_stat_sn"]) == (77, 1, 1000)
    assert third.header["exp_stat_sn"] == 1001
    assert client.session.numbering.cmd_sn == 2


def test_raw_door_is_strict_unless_told(scripted: Scripted, script: Script) -> None:
    client, _ = scripted(script.login, script.answer(Opcode.NOP_IN, target_transfer_tag=NO_TAG, stat_sn=999))
    client.login(PLAN)
    client.send_pdu(client.make(Opcode.NOP_OUT))
    with pytest.raises(TargetFault, match=r"4\.2\.2\.2"):
        client.receive_pdu()


def test_bytes_before_the_end_are_no_closing(scripted: Scripted, script: Script) -> None:
    client, _ = scripted(script.login, lambda pdu: b"x")
    client.login(PLAN)
    client.send_pdu(client.make(Opcode.NOP_OUT))
    assert not client.closed_by_target()
    assert not client.closed_by_target()


def test_reject_without_a_request_is_raised(scripted: Scripted, script: Script) -> None:
    def reject(pdu: Pdu) -> bytes:
        named = {"reason": 4, "initiator_task_tag": NO_TAG}
        script.side.exp_cmd_sn = 2
        return script.side.pack(Opcode.REJECT, b"\xff" * 48, **named)

    client, _ = scripted(script.login, reject)
    client.login(PLAN)
    with pytest.raises(Rejected, match="protocol error"):
        client.command(0, bytes(6))


def test_reject_of_the_command_is_raised(scripted: Scripted, script: Script) -> None:
    client, _ = scripted(
        script.login, lambda pdu: script.answer(Opcode.REJECT, pdu.raw, reason=9, initiator_task_tag=NO_TAG)(pdu)
    )
    client.login(PLAN)
    with pytest.raises(Rejected) as caught:
        client.command(0, bytes(6))
    assert caught.value.reason == 9
