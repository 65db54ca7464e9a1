"""Lengths off by one, additional header segments that are garbage, bits nobody defined (RFC 7143 sections 11, 11.2)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ietpy.iscsi.errors import LoginStatus, RejectReason
from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from tests.adversarial.world import BLOCK, OPEN, PLAIN, Attacker, Case, World, each, names, read_cdb

LIMIT = 262144  #: the MaxRecvDataSegmentLength this target declares
LOGIN_LIMIT = 8192
WHOLE = 0x87
LBA = 48
INVALID_OPERATION = 0x2000

# Lengths --------------------------------------------------------------------------------------------------------------


def too_long(attacker: Attacker, opcode: int, length: int, target: str, fields: dict[str, Any]) -> None:
    """A data segment over what was declared: where the next PDU begins is not worth asking."""
    attacker.log_in(target)
    attacker.send(attacker.make(opcode, lengths=length, **fields), bytes(512))
    attacker.dropped()


def just_right(attacker: Attacker, length: int) -> None:
    """The longest data segment there may be, and the padding of each length."""
    attacker.log_in()
    tag, data = attacker.new_tag(), b"\x5a" * length
    attacker.send(attacker.make(
        Opcode.NOP_OUT, data, immediate=True, initiator_task_tag=tag, target_transfer_tag=NO_TAG
    ))
    longest = attacker.client.session.parameters.max_recv_data_segment_length
    assert attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag).data == data[:longest]
    attacker.usable()


def too_long_a_login(attacker: Attacker, lengths: int) -> None:
    attacker.send(attacker.login_request(WHOLE, names(PLAIN), lengths=lengths), bytes(512))
    attacker.dropped()


def long_login(attacker: Attacker, length: int) -> None:
    """A text of exactly this length in one Login Request."""
    text = names(PLAIN)
    spare = length - sum(len(name) + len(value) + 2 for name, value in text.items()) - len("X-a=\0")
    attacker.say(WHOLE, {**text, "X-a": "x" * spare})
    attacker.quiet()


def shorter_login(attacker: Attacker) -> None:
    """DataSegmentLength says less than there is: what is left over is no Login Request."""
    request = attacker.login_request(0x04, names(PLAIN, MaxBurstLength="512"))
    length = int.from_bytes(request[5:8], "big")
    shorter = request[:5] + (length - 4).to_bytes(3, "big") + request[8:]
    attacker.send(shorter + bytes(64))
    attacker.answer(Opcode.LOGIN_RESPONSE)
    attacker.refused(LoginStatus.INVALID_DURING_LOGIN)


def half(attacker: Attacker, target: str, size: int) -> None:
    """Part of a PDU, and the end of the connection."""
    attacker.log_in(target)
    attacker.send(attacker.make(Opcode.TEXT_REQUEST, b"SendTargets=\0", target_transfer_tag=NO_TAG)[:size])
    attacker.client.close()


def half_a_write(attacker: Attacker, size: int) -> None:
    """So of a write whose data was half there."""
    attacker.log_in()
    attacker.send(attacker.write(LBA, 8, b"\xab" * 4096)[:size])
    attacker.client.close()


def half_a_login(attacker: Attacker, size: int) -> None:
    attacker.send(attacker.login_request(WHOLE, names(PLAIN))[:size])
    attacker.client.close()


def piecewise(attacker: Attacker, sizes: int) -> None:
    """A login that comes in pieces is a login; the target waits for the rest and for nobody else."""
    request = attacker.login_request(WHOLE, names(PLAIN))
    other = attacker.another()
    for place in range(0, len(request), sizes):
        attacker.send(request[place : place + sizes])
        if place == 0:
            other.log_in(isid=b"\x80\0\0\0\0\x09", initiator="iqn.2026-01.test:quick")
    attacker.answer(Opcode.LOGIN_RESPONSE, status=0)
    attacker.quiet()


# Additional header segments -----------------------------------------------------------------------------------------


def segment(length: int, kind: int, body: bytes) -> bytes:
    return length.to_bytes(2, "big") + bytes((kind,)) + body


def refused_segment(
    attacker: Attacker, ahs: bytes, opcode: int = Opcode.SCSI_COMMAND, reserved: bool = False, **fields: Any
) -> None:
    """Rejected; the connection lives, as the header's lengths are what they say."""
    attacker.log_in()
    if opcode == Opcode.SCSI_COMMAND:
        fields = {"cdb": bytes(16), **fields}
    sent = attacker.make(opcode, ahs=ahs, immediate=True, **fields)
    attacker.send(sent)
    attacker.rejected(RejectReason.PROTOCOL_ERROR if reserved else RejectReason.INVALID_PDU_FIELD, sent)
    attacker.usable()


def long_cdb(attacker: Attacker, size: int) -> None:
    """A CDB of so many bytes, in an Extended CDB segment (11.2.2.3): taken, and no operation of a disk."""
    attacker.log_in()
    tag = attacker.new_tag()
    rest = bytes(size - 16)
    attacker.send(attacker.command(
        b"\x7f".ljust(16, b"\0"), ahs=segment(len(rest) + 1, 1, b"\0" + rest), initiator_task_tag=tag
    ))
    attacker.failed(tag, 5, INVALID_OPERATION)
    attacker.usable()


def cut_segment(attacker: Attacker, words: int) -> None:
    """TotalAHSLength reaches into the next PDU: that one is swallowed, as the header says."""
    attacker.log_in()
    sent = attacker.make(Opcode.SCSI_COMMAND, cdb=bytes(16), immediate=True, lengths=words << 24)
    swallowed = attacker.make(Opcode.NOP_OUT, immediate=True, target_transfer_tag=NO_TAG)
    attacker.send(sent + swallowed.ljust(words * 4, b"\0"))
    attacker.rejected(RejectReason.PROTOCOL_ERROR, sent)
    attacker.usable()


# Bits nobody defined ----------------------------------------------------------------------------------------------


def spoiled(pdu: bytes, places: dict[int, int]) -> bytes:
    """``pdu`` with these bits of its bytes set."""
    header = bytearray(pdu)
    for place, bits in places.items():
        header[place] |= bits
    return bytes(header)


def everywhere(first: int, last: int) -> dict[int, int]:
    return dict.fromkeys(range(first, last + 1), 0xFF)


def undefined_bits(attacker: Attacker, what: str, places: dict[int, int]) -> None:
    """A receiver MUST ignore them (section 11)."""
    attacker.log_in()
    tag = attacker.new_tag()
    if what == "SCSI Command":
        attacker.send(spoiled(attacker.command(bytes(16), initiator_task_tag=tag), places))
        attacker.good(tag)
    elif what == "NOP-Out":
        sent = attacker.make(Opcode.NOP_OUT, b"x", initiator_task_tag=tag, target_transfer_tag=NO_TAG)
        attacker.send(spoiled(sent, places))
        assert attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag).data == b"x"
    elif what == "Task Management Function Request":
        sent = attacker.make(
            Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=FINAL | 2, initiator_task_tag=tag,
            referenced_task_tag=NO_TAG,
        )
        attacker.send(spoiled(sent, places))
        attacker.answer(Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=tag, response=0)
    elif what == "Text Request":
        sent = attacker.make(
            Opcode.TEXT_REQUEST, b"SendTargets=\0", initiator_task_tag=tag, target_transfer_tag=NO_TAG
        )
        attacker.send(spoiled(sent, places))
        assert OPEN.encode() in attacker.answer(Opcode.TEXT_RESPONSE, initiator_task_tag=tag).data
    elif what == "Data-Out":
        attacker.send(attacker.write(LBA, 1, flags=0x20, initiator_task_tag=tag))
        data = b"\x77" * BLOCK
        attacker.send(spoiled(attacker.data_out(tag, NO_TAG, data, 0), places))
        attacker.good(tag)
        attacker.wrote(LBA, data)
    else:
        attacker.send(spoiled(attacker.make(Opcode.LOGOUT_REQUEST, immediate=True, initiator_task_tag=tag), places))
        attacker.answer(Opcode.LOGOUT_RESPONSE, initiator_task_tag=tag, response=0)
        attacker.dropped()
        return
    attacker.usable()


def undefined_login_bits(attacker: Attacker, places: dict[int, int]) -> None:
    attacker.send(spoiled(attacker.login_request(WHOLE, names(PLAIN)), places))
    attacker.answer(Opcode.LOGIN_RESPONSE, status=0)
    attacker.quiet()


def padding(attacker: Attacker, filler: bytes) -> None:
    """Padding SHOULD be zero (11.1); whatever it is, it is no data."""
    attacker.log_in()
    tag = attacker.new_tag()
    sent = attacker.make(Opcode.NOP_OUT, b"x", initiator_task_tag=tag, target_transfer_tag=NO_TAG)
    attacker.send(sent[:-3] + filler)
    assert attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag).data == b"x"
    attacker.usable()


def version(attacker: Attacker, highest: int, lowest: int, status: int) -> None:
    attacker.send(attacker.login_request(WHOLE, names(PLAIN), version_max=highest, version_min=lowest))
    if status:
        attacker.answer(Opcode.LOGIN_RESPONSE, status=status, version_max=0, version_active=0)
        attacker.dropped()
    else:
        attacker.answer(Opcode.LOGIN_RESPONSE, status=0, version_max=0, version_active=0)
        attacker.quiet()


def changed(attacker: Attacker, **field: Any) -> None:
    """What names a login must not change within it (section 11.12)."""
    attacker.say(0x04, names(PLAIN))
    attacker.send(attacker.login_request(WHOLE, b"", **field))
    attacker.refused(LoginStatus.INITIATOR_ERROR)


CDB = b"\x28".ljust(16, b"\0")
#: Segments a SCSI Command cannot have; with a reserved type (section 11) are those of types 0, 3 and 63.
RESERVED = ("of type", "of zeros", "of ones", "as many", "an Extended CDB a word shorter")
SEGMENTS = {
    "of type 0": segment(5, 0, bytes(5)),
    "for a bidirectional read": segment(5, 2, b"\0" + (512).to_bytes(4, "big")),
    "of type 3": segment(5, 3, bytes(5)),
    "of type 63": segment(5, 63, bytes(5)),
    "of zeros": bytes(8),
    "of ones": b"\xff" * 16,
    "as many as can be": bytes(255 * 4),
    "an Extended CDB of no bytes": segment(1, 1, b"\0"),
    "an Extended CDB of length 0": segment(0, 1, b"\0"),
    "an Extended CDB a word longer than TotalAHSLength": segment(9, 1, bytes(5)),
    "an Extended CDB a word shorter than TotalAHSLength": segment(5, 1, bytes(9)),
    "an Extended CDB of 65535 bytes": segment(65535, 1, bytes(5)),
    "two Extended CDBs": segment(5, 1, bytes(5)) * 2,
    "an Extended CDB, then one for a bidirectional read": segment(5, 1, bytes(5)) + segment(5, 2, bytes(5)),
    "one for a bidirectional read, then an Extended CDB": segment(5, 2, bytes(5)) + segment(5, 1, bytes(5)),
}  # fmt: skip
OTHERS: dict[str, tuple[int, dict[str, Any]]] = {
    "NOP-Out": (Opcode.NOP_OUT, {"target_transfer_tag": NO_TAG}),
    "Task Management Function Request": (
        Opcode.TASK_MANAGEMENT_REQUEST, {"flags": FINAL | 2, "referenced_task_tag": NO_TAG},
    ),
    "Text Request": (Opcode.TEXT_REQUEST, {"target_transfer_tag": NO_TAG}),
    "Logout Request": (Opcode.LOGOUT_REQUEST, {}),
}
#: Bits each request does not define.
UNDEFINED: dict[str, dict[str, dict[int, int]]] = {
    "SCSI Command": {"byte 0": {0: 0x80}, "byte 1": {1: 0x18}, "bytes 2 and 3": everywhere(2, 3)},
    "NOP-Out": {
        "byte 0": {0: 0x80}, "byte 1": {1: 0x7F}, "bytes 2 and 3": everywhere(2, 3), "the LUN": everywhere(8, 15),
        "the end": everywhere(32, 47),
    },
    "Task Management Function Request": {
        "byte 0": {0: 0x80}, "bytes 2 and 3": everywhere(2, 3), "RefCmdSN": everywhere(32, 35),
        "the end": everywhere(36, 47),
    },
    "Text Request": {
        "byte 0": {0: 0x80}, "byte 1": {1: 0x3F}, "bytes 2 and 3": everywhere(2, 3), "the end": everywhere(32, 47),
    },
    "Data-Out": {
        "byte 0": {0: 0x80}, "byte 1": {1: 0x7F}, "bytes 2 and 3": everywhere(2, 3), "I": {0: 0x40},
        "bytes 24 to 27": everywhere(24, 27), "bytes 32 to 35": everywhere(32, 35), "the end": everywhere(44, 47),
    },
    "Logout Request": {
        "byte 0": {0: 0x80}, "bytes 2 and 3": everywhere(2, 3), "the LUN": everywhere(8, 15),
        "the CID": everywhere(20, 21), "bytes 22 and 23": everywhere(22, 23), "the end": everywhere(32, 47),
    },
}  # fmt: skip
CASES = [
    *(
        Case(f"{what}: a data segment of {length} bytes announced", partial(
            too_long, opcode=opcode, length=length, target=OPEN, fields=fields))
        for what, (opcode, fields) in {
            **OTHERS, "SCSI Command": (Opcode.SCSI_COMMAND, {"cdb": CDB, "flags": 0xA0}),
            "Data-Out": (Opcode.DATA_OUT, {"target_transfer_tag": NO_TAG}), "unknown opcode": (0x1C, {}),
        }.items()
        for length in (LIMIT + 1, 2 * LIMIT, 0xFFFFFF)
    ),
    Case("discovery: a data segment over the limit", partial(
        too_long, opcode=Opcode.TEXT_REQUEST, length=LIMIT + 1, target="", fields={"target_transfer_tag": NO_TAG})),
    *(
        Case(f"a ping of {length} bytes", partial(just_right, length=length))
        for length in (0, 1, 2, 3, 4, 5, 4095, LIMIT - 3, LIMIT - 1, LIMIT)
    ),
    *(
        Case(f"a login with lengths {lengths:#x}", partial(too_long_a_login, lengths=lengths))
        for lengths in (LOGIN_LIMIT + 1, 0xFFFFFF, 1 << 24, 0xFF << 24, 0xFFFFFFFF, 1 << 24 | 100)
    ),
    *(
        Case(f"a login of {length} bytes of text", partial(long_login, length=length))
        for length in (LOGIN_LIMIT - 4, LOGIN_LIMIT - 3, LOGIN_LIMIT - 1, LOGIN_LIMIT)
    ),
    Case("a login a word shorter than it is", shorter_login),
    *(
        Case(f"{size} bytes of a text in {kind}", partial(half, target=target, size=size))
        for size in (1, 4, 5, 8, 47, 48, 49, 63)
        for kind, target in (("a normal session", OPEN), ("a discovery session", ""))
    ),
    *(Case(f"{size} bytes of a write", partial(half_a_write, size=size)) for size in (47, 48, 49, 560, 4143)),
    *(Case(f"{size} bytes of a login", partial(half_a_login, size=size)) for size in (0, 1, 4, 47, 48, 49, 100)),
    *(Case(f"a login in pieces of {size}", partial(piecewise, sizes=size)) for size in (1, 7, 48, 60)),
    *(Case(f"a segment {what}", partial(refused_segment, ahs=ahs, reserved=what.startswith(RESERVED)))
      for what, ahs in SEGMENTS.items()),
    *(
        Case(f"{what}: an Extended CDB", partial(
            refused_segment, ahs=segment(5, 1, bytes(5)), opcode=opcode, **fields))
        for what, (opcode, fields) in OTHERS.items()
    ),
    *(Case(f"a CDB of {size} bytes", partial(long_cdb, size=size)) for size in (17, 18, 19, 20, 32, 260, 1000)),
    *(Case(f"{words} words of segments that are not there", partial(cut_segment, words=words)) for words in (12, 20)),
    *(
        Case(f"{what}: {where} undefined", partial(undefined_bits, what=what, places=places))
        for what, rows in UNDEFINED.items()
        for where, places in rows.items()
    ),
    *(
        Case(f"Login Request: {where} undefined", partial(undefined_login_bits, places=places))
        for where, places in {
            "byte 0": {0: 0x80}, "byte 1": {1: 0x30}, "bytes 22 and 23": everywhere(22, 23),
            "the end": everywhere(32, 47),
        }.items()
    ),
    *(Case(f"padding {filler.hex()}", partial(padding, filler=filler)) for filler in (b"\0\0\1", b"\xff" * 3, b"=1\0")),
    *(
        Case(f"versions {lowest} to {highest}", partial(version, highest=highest, lowest=lowest, status=status))
        for lowest, highest, status in (
            (0, 0, 0), (0, 1, 0), (0, 255, 0), (1, 1, LoginStatus.UNSUPPORTED_VERSION),
            (255, 255, LoginStatus.UNSUPPORTED_VERSION), (1, 0, LoginStatus.UNSUPPORTED_VERSION),
        )
    ),
    *(
        Case(f"{next(iter(field))} changes within the login", partial(changed, **field))
        for field in (
            {"isid": b"\x80\0\0\0\0\x0a"}, {"tsih": 1}, {"cid": 2}, {"initiator_task_tag": 0x78},
        )
    ),
]  # fmt: skip


@pytest.mark.rfc7143(
    "7.7-1", "11-2", "11.1-1", "11.2.1.5-1", "11.2.1.6-1", "11.2.2.3-1", "11.3.5-1", "11.10.5-1", "11.12.4-1",
    "11.12.6-2"
)
@each(CASES)
def test_frames(world: World, case: Case) -> None:
    world.run(case)


def test_no_request_is_missing() -> None:
    assert {*OTHERS} < {*UNDEFINED}
    assert read_cdb(0, 1)[0] == CDB[0]
