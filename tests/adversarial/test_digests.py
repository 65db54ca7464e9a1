"""Digests broken on purpose (RFC 7143 sections 7.3, 7.8, 11.2.3, 13.1), in normal sessions and in discovery.

A header digest that does not fit ends the connection at ErrorRecoveryLevel 0, as nobody knows how long the PDU is. A
data digest that does not fit is rejected with 02h, and the PDU is as if it had not come.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ietpy.errors import ProtocolError
from ietpy.initiator.framing import build_pdu
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from tests.adversarial.world import ABORTED, BLOCK, OPEN, PLAIN, Attacker, Case, World, each, names

CRC_ERROR = 0x4705
LBA = 80
HEADER, DATA = {"HeaderDigest": "CRC32C"}, {"DataDigest": "CRC32C"}
BOTH = {**HEADER, **DATA}
#: Requests with data that do no harm.
REQUESTS: dict[str, tuple[int, bytes, dict[str, Any]]] = {
    "NOP-Out": (Opcode.NOP_OUT, b"ping", {"target_transfer_tag": NO_TAG}),
    "NOP-Out with padding": (Opcode.NOP_OUT, b"pingp", {"target_transfer_tag": NO_TAG}),
    "Text Request": (Opcode.TEXT_REQUEST, b"SendTargets=\0", {"target_transfer_tag": NO_TAG}),
    "unknown opcode": (0x1C, b"data", {}),
}
NO_DATA: dict[str, tuple[int, dict[str, Any]]] = {
    "SCSI Command": (Opcode.SCSI_COMMAND, {"cdb": bytes(16)}),
    "NOP-Out": (Opcode.NOP_OUT, {"target_transfer_tag": NO_TAG}),
    "Task Management Function Request": (
        Opcode.TASK_MANAGEMENT_REQUEST, {"flags": FINAL | 2, "referenced_task_tag": NO_TAG},
    ),
    "Logout Request": (Opcode.LOGOUT_REQUEST, {}),
    "SNACK Request": (Opcode.SNACK_REQUEST, {"target_transfer_tag": NO_TAG}),
    "Data-Out": (Opcode.DATA_OUT, {"target_transfer_tag": NO_TAG}),
    "unknown opcode": (0x1C, {}),
}


def header_spoiled(attacker: Attacker, keys: dict[str, str], target: str, opcode: int, data: bytes,
                   fields: dict[str, Any]) -> None:
    attacker.log_in(target, dict(keys))
    attacker.send(attacker.make(opcode, data, spoil_header=True, **fields))
    attacker.dropped()


def data_spoiled(attacker: Attacker, keys: dict[str, str], what: str, immediate: bool) -> None:
    """Rejected; its number is not used up, so the same request comes again and is answered."""
    client = attacker.log_in(keys=dict(keys))
    opcode, data, fields = REQUESTS[what]
    number = client.session.numbering.cmd_sn
    sent = attacker.make(opcode, data, spoil_data=True, immediate=immediate, **fields)
    attacker.send(sent)
    attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
    attacker.usable()
    assert client.session.numbering.exp_cmd_sn == number + 1  # that of ``usable``


def discovery_spoiled(attacker: Attacker, keys: dict[str, str]) -> None:
    client = attacker.log_in("", dict(keys))
    sent = attacker.make(
        Opcode.TEXT_REQUEST, b"SendTargets=All\0", spoil_data=True, target_transfer_tag=NO_TAG
    )
    attacker.send(sent)
    attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
    assert [found for found, _ in client.discover(OPEN)] == [OPEN]


def immediate_data_spoiled(attacker: Attacker, keys: dict[str, str]) -> None:
    """The command was never there: nothing is written, and the same command comes again with the same number."""
    attacker.log_in(keys=dict(keys))
    tag, data = attacker.new_tag(), b"\x91" * BLOCK
    sent = attacker.write(LBA, 1, data, spoil_data=True, initiator_task_tag=tag)
    attacker.send(sent)
    attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
    attacker.quiet()
    attacker.send(attacker.write(LBA, 1, data, initiator_task_tag=tag))
    attacker.good(tag)
    attacker.wrote(LBA, data)
    attacker.usable()


def data_out_spoiled(attacker: Attacker, keys: dict[str, str], which: int, count: int, solicited: bool) -> None:
    """One of several Data-Out is spoiled: 02h, then CHECK CONDITION when the sequence is over; nothing is written."""
    attacker.log_in(keys={**keys, "InitialR2T": "Yes" if solicited else "No", "ImmediateData": "No"})
    tag, transfer_tag = attacker.new_tag(), NO_TAG
    attacker.send(attacker.write(LBA, 2 * count, flags=0xA0 if solicited else 0x20, initiator_task_tag=tag))
    if solicited:
        transfer_tag = attacker.ready(tag, 0, 1024 * count)
    sent = b""
    for place in range(count):
        pdu = attacker.data_out(
            tag, transfer_tag, b"\x92" * 1024, place * 1024, place, final=place == count - 1, spoil_data=place == which
        )
        sent = pdu if place == which else sent
        attacker.send(pdu)
    attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
    attacker.failed(tag, ABORTED, CRC_ERROR)
    attacker.usable()


def data_out_header_spoiled(attacker: Attacker) -> None:
    """The connection ends, and with it the write."""
    attacker.log_in(keys={**HEADER, "InitialR2T": "Yes"})
    tag = attacker.new_tag()
    attacker.send(attacker.write(LBA, 1, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, BLOCK)
    attacker.send(attacker.data_out(tag, transfer_tag, b"\x93" * BLOCK, 0, spoil_header=True))
    attacker.dropped()


def nobodys_data_spoiled(attacker: Attacker) -> None:
    """Data of no task is rejected for its digest, and that is all."""
    attacker.log_in(keys=dict(DATA))
    sent = attacker.data_out(0x4444, 7, b"\x94" * BLOCK, 0, spoil_data=True)
    attacker.send(sent)
    attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
    attacker.usable()


def padding_spoiled(attacker: Attacker, place: int) -> None:
    """Digests cover the padding (11.2.3)."""
    attacker.log_in(keys=dict(DATA))
    sent = bytearray(attacker.make(Opcode.NOP_OUT, b"x", immediate=True, target_transfer_tag=NO_TAG))
    sent[48 + place] ^= 1
    attacker.send(bytes(sent))
    attacker.rejected(RejectReason.DATA_DIGEST_ERROR, bytes(sent))
    attacker.usable()


def padding_filled(attacker: Attacker) -> None:
    """Padding that is not zero but digested is fine."""
    attacker.log_in(keys=dict(BOTH))
    tag = attacker.new_tag()
    whole = attacker.make(
        Opcode.NOP_OUT, b"x\xff\xff\xff", immediate=True, initiator_task_tag=tag, target_transfer_tag=NO_TAG, lengths=1
    )
    attacker.send(whole)
    assert attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag).data == b"x"
    attacker.usable()


def header_bit(attacker: Attacker, place: int) -> None:
    """One bit of the header, whichever, and the digest does not fit any more."""
    attacker.log_in(keys=dict(HEADER))
    sent = bytearray(attacker.make(Opcode.NOP_OUT, immediate=True, target_transfer_tag=NO_TAG))
    sent[place] ^= 0x10
    attacker.send(bytes(sent) + bytes(8192))
    attacker.dropped()


def segments_are_covered(attacker: Attacker) -> None:
    """The header digest covers additional header segments (11.2.3)."""
    attacker.log_in(keys=dict(HEADER))
    ahs = b"\0\x05\x01\0abcd"
    tag = attacker.new_tag()
    attacker.send(attacker.command(b"\x7f", ahs=ahs, initiator_task_tag=tag))
    attacker.failed(tag, 5, 0x2000)
    attacker.usable()
    sent = bytearray(attacker.command(b"\x7f", ahs=ahs))
    sent[48 + 5] ^= 1
    attacker.send(bytes(sent))
    attacker.dropped()


def no_digest(attacker: Attacker, keys: dict[str, str]) -> None:
    """Digests were agreed on and are not there: the stream makes no sense."""
    attacker.log_in(keys=dict(keys))
    plain: dict[str, Any] = {"header_digest": False, "data_digest": False, "target_transfer_tag": NO_TAG}
    attacker.send(*(attacker.make(Opcode.NOP_OUT, immediate=True, **plain) for _ in range(3)))
    attacker.dropped()


def behind_the_login(attacker: Attacker) -> None:
    """What is sent right behind the last Login Request is digested already (13.1)."""
    keys = names(PLAIN, HeaderDigest="CRC32C", DataDigest="CRC32C")
    login = attacker.login_request(0x87, keys)
    ping = build_pdu(
        Opcode.NOP_OUT, b"soon", flags=FINAL, immediate=True, initiator_task_tag=5, target_transfer_tag=NO_TAG,
        cmd_sn=1, header_digest=True, data_digest=True,
    )
    attacker.send(login + ping)
    attacker.answer(Opcode.LOGIN_RESPONSE, status=0)
    attacker.client.framer.header_digest = attacker.client.framer.data_digest = True
    assert attacker.answer(Opcode.NOP_IN, initiator_task_tag=5).data == b"soon"


def login_with_digest(attacker: Attacker) -> None:
    """Login PDUs have none (11.2.3): four more bytes are no Login Request."""
    request = attacker.login_request(0x04, names(OPEN))
    attacker.send(request + b"\x01\x02\x03\x04")
    attacker.answer(Opcode.LOGIN_RESPONSE, status=0)
    attacker.send(attacker.login_request(0x87))
    attacker.answer(Opcode.LOGIN_RESPONSE, status=0x020B)
    attacker.dropped()


def held_spoiled(attacker: Attacker) -> None:
    """A spoiled request ahead of its turn is rejected at once, and its place stays free."""
    client = attacker.log_in(keys=dict(DATA))
    first = client.session.numbering.cmd_sn
    client.session.numbering.cmd_sn += 2
    fields = {"target_transfer_tag": NO_TAG}
    sent = attacker.make(Opcode.NOP_OUT, b"later", spoil_data=True, cmd_sn=first + 1, **fields)
    attacker.send(sent)
    attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
    tags = [attacker.new_tag(), attacker.new_tag()]
    attacker.send(attacker.make(Opcode.NOP_OUT, b"later", cmd_sn=first + 1, initiator_task_tag=tags[1], **fields))
    attacker.quiet()
    attacker.send(attacker.make(Opcode.NOP_OUT, b"first", cmd_sn=first, initiator_task_tag=tags[0], **fields))
    for tag in tags:
        attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag)
    attacker.usable()


def reads_are_digested(attacker: Attacker, keys: dict[str, str]) -> None:
    """What comes back is digested; the initiator's own reader sees to that (TargetFault)."""
    client = attacker.log_in(keys=dict(keys))
    assert client.read(0, 0, 100) == attacker.world.image[: 100 * BLOCK]
    assert client.ping(b"12345") == b"12345"
    try:
        client.framer.header_digest = not client.framer.header_digest
        client.ping(b"12345")
    except (ProtocolError, AssertionError):
        return
    raise AssertionError("the header digest was not what was agreed on")


WAYS = {"HeaderDigest": HEADER, "both digests": BOTH}
CASES = [
    *(
        Case(f"{what} with a spoiled header digest, {kind}, {way}", partial(
            header_spoiled, keys=keys, target=target, opcode=opcode, data=data, fields=fields))
        for way, keys in WAYS.items()
        for kind, target in (("a normal session", OPEN), ("discovery", ""))
        for what, (opcode, data, fields) in {
            **{f"{name} without data": (opcode, b"", fields) for name, (opcode, fields) in NO_DATA.items()}, **REQUESTS,
        }.items()
    ),
    *(
        Case(f"{what} with a spoiled data digest, {way}, I={immediate:d}", partial(
            data_spoiled, keys=keys, what=what, immediate=immediate))
        for way, keys in (("DataDigest", DATA), ("both digests", BOTH))
        for what in REQUESTS
        for immediate in (False, True)
    ),
    *(
        Case(f"{name}, {way}", partial(attack, keys=keys))
        for way, keys in (("DataDigest", DATA), ("both digests", BOTH))
        for name, attack in (
            ("a text of discovery with a spoiled data digest", discovery_spoiled),
            ("immediate data with a spoiled digest", immediate_data_spoiled),
        )
    ),
    *(
        Case(f"{kind} Data-Out {which + 1} of {count} spoiled, {way}", partial(
            data_out_spoiled, keys=keys, which=which, count=count, solicited=solicited))
        for way, keys in (("DataDigest", DATA), ("both digests", BOTH))
        for kind, solicited in (("solicited", True), ("unsolicited", False))
        for which, count in ((0, 1), (0, 3), (1, 3), (2, 3))
    ),
    Case("a solicited Data-Out with a spoiled header digest", data_out_header_spoiled),
    Case("data of no task with a spoiled digest", nobodys_data_spoiled),
    *(Case(f"byte {place} of data and padding spoiled", partial(padding_spoiled, place=place)) for place in range(4)),
    Case("padding that is not zero", padding_filled),
    *(Case(f"a bit of header byte {place} spoiled", partial(header_bit, place=place)) for place in range(52)),
    Case("an Extended CDB spoiled", segments_are_covered),
    Case("no header digest", partial(no_digest, keys=HEADER)),
    Case("no digests", partial(no_digest, keys=BOTH)),
    Case("a digested ping right behind the login", behind_the_login),
    Case("a digest behind a Login Request", login_with_digest),
    Case("a spoiled request ahead of its turn", held_spoiled),
    *(Case(f"reads with {name}", partial(reads_are_digested, keys=keys)) for name, keys in WAYS.items()),
]  # fmt: skip


@pytest.mark.rfc7143("7.3-1", "7.3-2", "7.8-1", "7.8-2", "7.8-3", "13.1-2", "13.1-3", "13.1-4", "11.17.1-2")
@each(CASES)
def test_digests(world: World, case: Case) -> None:
    world.run(case)
