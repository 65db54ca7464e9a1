"""Header and data digests in every combination, on sockets: right ones both ways, and wrong ones at each level.

RFC 7143 sections 7.8 and 13.1. The client checks every digest the target sends.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.wire.crc32c import crc32c

TARGET = "iqn.2026-01.test:summed"
BLOCKS = 2048
CONFIGURATION = f"""
Target {TARGET}
    Lun 0 Path={{path}},Type=fileio
    InitialR2T No
    ErrorRecoveryLevel 2
"""
LONG = 600  #: blocks: more than fits a burst, a segment or a receive call
NONE, CRC32C = "None", "CRC32C"


@pytest.fixture(scope="module")
def port(serve: Callable[[str, int], int]) -> int:
    return serve(CONFIGURATION, BLOCKS)


Summed = Callable[..., Client]


@pytest.fixture
def summed(connect: Callable[[], Client]) -> Summed:
    """summed(header, data, target=..., **keys) -> a client with these digests."""

    def make(header: str, data: str, *, target: str = TARGET, **keys: str) -> Client:
        client = connect()
        client.login(LoginPlan(target=target, keys={"HeaderDigest": header, "DataDigest": data} | keys))
        parameters = client.session.parameters
        assert (parameters.header_digest, parameters.data_digest) == (header == CRC32C, data == CRC32C)
        if target:
            client.test_unit_ready(0)
        return client

    return make


def content(seed: int, blocks: int) -> bytes:
    return random.Random(seed).randbytes(blocks * 512)


def command(operation: int, blocks: int) -> dict[str, Any]:
    cdb = bytes((operation, 0, 0, 0, 0, 0, 0)) + blocks.to_bytes(2, "big") + b"\0"
    return {"cdb": cdb, "expected_data_transfer_length": blocks * 512}


every_combination = pytest.mark.parametrize(("header", "data"), list(product((NONE, CRC32C), repeat=2)))
every_level = pytest.mark.parametrize("level", ["0", "1", "2"])


@pytest.mark.rfc7143("13.1-1", "13.1-2", "13.1-4")
@every_combination
@every_level
@pytest.mark.parametrize("keys", [
    pytest.param({}, id="immediate"),
    pytest.param({"ImmediateData": "No", "MaxRecvDataSegmentLength": "4096"}, id="unsolicited"),
    pytest.param({"ImmediateData": "No", "InitialR2T": "Yes", "MaxBurstLength": "65536"}, id="solicited"),
])
def test_data_goes_both_ways(summed: Summed, header: str, data: str, level: str, keys: dict[str, str]) -> None:
    client = summed(header, data, ErrorRecoveryLevel=level, **keys)
    for blocks in (1, 8, LONG):
        written = content(blocks, blocks)
        client.write(0, 3, written)
        assert client.read(0, 3, blocks) == written


@pytest.mark.rfc7143("13.1-2", "13.1-3", "11.1-1")
@every_combination
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 8191, 8192])
def test_data_of_any_length(summed: Summed, header: str, data: str, length: int) -> None:
    """A data segment is padded and summed with its padding; one of no bytes has no digest."""
    client = summed(header, data)
    sent = random.Random(length).randbytes(length)
    assert client.ping(sent) == sent
    assert client.ping(sent, immediate=True) == sent
    assert len(client.inquiry(0, length=min(length + 5, 255))) == min(length + 5, 96)
    assert client.ping(b"on") == b"on"


@pytest.mark.rfc7143("13.1-2")
@every_combination
def test_discovery(summed: Summed, port: int, header: str, data: str) -> None:
    client = summed(header, data, target="")
    assert client.discover() == [(TARGET, [f"127.0.0.1:{port},1"])]
    assert client.logout().response == 0


@pytest.mark.rfc7143("7.8-1")
@every_level
@pytest.mark.parametrize("data", [NONE, CRC32C])
@pytest.mark.parametrize(("opcode", "fields"), [
    pytest.param(Opcode.NOP_OUT, {"data": b"data", "target_transfer_tag": NO_TAG}, id="NOP-Out"),
    pytest.param(Opcode.SCSI_COMMAND, {"cdb": bytes(16)}, id="command"),
    pytest.param(Opcode.SCSI_COMMAND, {"cdb": b"\x7f" + bytes(15), "ahs": b"\0\x11\1" + bytes(17)}, id="AHS"),
    pytest.param(Opcode.DATA_OUT, {"data": bytes(512), "target_transfer_tag": NO_TAG}, id="Data-Out"),
    pytest.param(Opcode.LOGOUT_REQUEST, {"immediate": True}, id="logout"),
])
def test_a_wrong_header_digest_ends_the_connection(
    summed: Summed, data: str, level: str, opcode: int, fields: dict[str, Any]
) -> None:
    """Without an answer, whatever the level: the length is part of what is not known."""
    client = summed(CRC32C, data, ErrorRecoveryLevel=level)
    client.send_pdu(client.make(opcode, spoil_header=True, **fields))
    assert client.closed_by_target()


@pytest.mark.rfc7143("13.1-2", "11.3.5-1")
@every_combination
def test_additional_headers_are_summed_with_the_header(summed: Summed, header: str, data: str) -> None:
    client = summed(header, data)
    client.send_pdu(client.make(Opcode.SCSI_COMMAND, cdb=b"\x7f" + bytes(15), ahs=b"\0\x11\1" + bytes(17)))
    answer = client.receive_pdu()
    assert (answer.opcode, answer.header["status"], answer.data[4], answer.data[14]) == (
        Opcode.SCSI_RESPONSE, 2, 5, 0x20,  # no such operation code: the command was understood
    )
    pdu = client.make(Opcode.SCSI_COMMAND, cdb=b"\x7f" + bytes(15), ahs=b"\0\x11\1" + bytes(17))
    if header == CRC32C:
        client.send_pdu(pdu[:68] + crc32c(pdu[:48]).to_bytes(4, "little"))
        assert client.closed_by_target()


@pytest.mark.rfc7143("7.8-2", "7.3-2")
@every_level
@pytest.mark.parametrize("header", [NONE, CRC32C])
@pytest.mark.parametrize(("opcode", "fields"), [
    pytest.param(Opcode.NOP_OUT, {"data": b"12345", "target_transfer_tag": NO_TAG}, id="NOP-Out"),
    pytest.param(Opcode.NOP_OUT, {"data": b"1", "target_transfer_tag": NO_TAG, "immediate": True}, id="immediate"),
    pytest.param(Opcode.TEXT_REQUEST, {"data": b"X-a=b\0", "target_transfer_tag": NO_TAG}, id="text"),
    pytest.param(Opcode.SCSI_COMMAND, {"data": bytes(512), "flags": 0xA0, **command(0x2A, 1)}, id="command"),
    pytest.param(Opcode.SCSI_COMMAND, {"data": bytes(8192), "flags": 0x20, **command(0x2A, 40)}, id="first burst"),
    pytest.param(Opcode.DATA_OUT, {"data": bytes(512), "target_transfer_tag": 7}, id="Data-Out of no task"),
])
def test_a_wrong_data_digest_is_rejected(
    summed: Summed, level: str, header: str, opcode: int, fields: dict[str, Any]
) -> None:
    """The PDU is as if it had never come: its number is free for the next."""
    client = summed(header, CRC32C, ErrorRecoveryLevel=level)
    pdu = client.make(opcode, spoil_data=True, **fields)
    client.send_pdu(pdu)
    reject = client.receive_pdu()
    assert (reject.opcode, reject.header["reason"], reject.data) == (Opcode.REJECT, 2, pdu[:48])
    client.send_pdu(client.make(opcode, **fields))
    if opcode != Opcode.DATA_OUT and fields.get("flags") != 0x20:
        assert client.receive_pdu().opcode == opcode | 0x20
        assert client.ping(b"on") == b"on"


@pytest.mark.rfc7143("7.8-2", "7.8-3")
@pytest.mark.parametrize("header", [NONE, CRC32C])
@pytest.mark.parametrize("transfer", ["solicited", "unsolicited"])
@pytest.mark.parametrize("length", [2048, 65536])
def test_data_out_with_a_wrong_digest(summed: Summed, header: str, transfer: str, length: int) -> None:
    """At level 0 it ends its task; 65536 bytes come in pieces."""
    client = summed(header, CRC32C, InitialR2T="No", ErrorRecoveryLevel="0")
    solicited = transfer == "solicited"
    make = {"lun": 0, "initiator_task_tag": 0x77}
    client.send_pdu(client.make(
        Opcode.SCSI_COMMAND, flags=0xA0 if solicited else 0x20, **command(0x2A, length // 512), **make
    ))
    mark = client.receive_pdu().header["target_transfer_tag"] if solicited else NO_TAG
    pdu = client.make(Opcode.DATA_OUT, bytes(length), target_transfer_tag=mark, spoil_data=True, **make)
    client.send_pdu(pdu)
    reject, answer = client.receive_pdu(), client.receive_pdu()
    assert (reject.opcode, reject.header["reason"], reject.data) == (Opcode.REJECT, 2, pdu[:48])
    assert (answer.opcode, answer.header["status"], answer.data[4], answer.data[14:16]) == (
        Opcode.SCSI_RESPONSE, 2, 0xB, b"\x47\x05"
    )
    client.write(0, 0, content(9, 4))
    assert client.read(0, 0, 4) == content(9, 4)


@pytest.mark.rfc7143("13.1-3")
@pytest.mark.parametrize("header", [NONE, CRC32C])
def test_padding_is_part_of_the_data_digest(summed: Summed, header: str) -> None:
    """Whatever its bytes are; a digest of the data alone is a wrong one."""
    client = summed(header, CRC32C)
    size = 52 if header == CRC32C else 48
    pdu = client.make(Opcode.NOP_OUT, b"12345", target_transfer_tag=NO_TAG)
    padded = b"12345\x01\x02\x03"
    client.send_pdu(pdu[:size] + padded + crc32c(padded).to_bytes(4, "little"))
    assert client.receive_pdu().data == b"12345"
    pdu = client.make(Opcode.NOP_OUT, b"12345", target_transfer_tag=NO_TAG)
    client.send_pdu(pdu[: size + 8] + crc32c(b"12345").to_bytes(4, "little"))
    answer = client.receive_pdu()
    assert (answer.opcode, answer.header["reason"]) == (Opcode.REJECT, 2)
