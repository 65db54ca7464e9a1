"""Asking again for what was sent, sending again what was lost: ErrorRecoveryLevel 1 (RFC 7143 sections 7.8, 11.16)."""

from __future__ import annotations

from functools import partial

import pytest

from ietpy.initiator.framing import Pdu
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from tests.adversarial.world import BLOCK, MANY, OPEN, Attacker, Case, World, each

PROTOCOL, FIELD, ACK = RejectReason.PROTOCOL_ERROR, RejectReason.INVALID_PDU_FIELD, RejectReason.INVALID_DATA_ACK
DATA, STATUS, DATA_ACK, R_DATA = range(4)
LBA = 176
LEVEL_1 = {"ErrorRecoveryLevel": "1", "MaxRecvDataSegmentLength": "512", "MaxBurstLength": "2048"}


def snack(attacker: Attacker, kind: int, first: int = 0, run: int = 0, tag: int = NO_TAG, mark: int = NO_TAG,
          acknowledged: int | None = None) -> bytes:
    """Send a SNACK Request, which acknowledges nothing unless told so."""
    fields = {} if acknowledged is None else {"exp_stat_sn": acknowledged}
    sent = attacker.make(
        Opcode.SNACK_REQUEST, flags=FINAL | kind, initiator_task_tag=tag, target_transfer_tag=mark,
        beg_run=first & NO_TAG, run_length=run & NO_TAG, **fields,
    )
    attacker.send(sent)
    return sent


def read(attacker: Attacker, blocks: int = 4) -> tuple[int, list[Pdu], int]:
    """A read in PDUs of one block whose status is not acknowledged: its tag, its Data-In, the StatSN before it."""
    attacker.log_in(MANY, keys=dict(LEVEL_1))
    attacker.client.framer.longest = 512
    seen = attacker.client.session.numbering.exp_stat_sn
    tag = attacker.new_tag()
    attacker.send(attacker.read(0, blocks, initiator_task_tag=tag))
    pdus = [attacker.answer(Opcode.DATA_IN, initiator_task_tag=tag)]
    while not pdus[-1].header["flags"] & 1:
        pdus.append(attacker.client.receive_pdu())
    assert b"".join(pdu.data for pdu in pdus) == attacker.world.image[: blocks * BLOCK]
    return tag, pdus, seen


def replica(one: Pdu, other: Pdu) -> bool:
    """The same but for ExpCmdSN and MaxCmdSN (11.16)."""
    return (one.raw[:28], one.raw[36:], one.data) == (other.raw[:28], other.raw[36:], other.data)


def again(attacker: Attacker) -> Pdu:
    """The next PDU, which may have been there before: what StatSN is next it does not say."""
    numbering = attacker.client.session.numbering
    expected = numbering.next_stat_sn
    pdu = attacker.client.receive_pdu(strict=False)
    if pdu.opcode in (Opcode.DATA_IN, Opcode.SCSI_RESPONSE):
        numbering.next_stat_sn = expected
    return pdu


def works(attacker: Attacker) -> None:
    attacker.quiet()
    tag = attacker.new_tag()
    attacker.send(attacker.read(0, 1, initiator_task_tag=tag))
    assert attacker.answer(Opcode.DATA_IN, initiator_task_tag=tag, flags=0x81).data == attacker.world.image[:BLOCK]


def resent(attacker: Attacker, first: int, run: int, expected: list[int]) -> None:
    tag, pdus, seen = read(attacker)
    snack(attacker, DATA, first, run, tag, acknowledged=seen)
    for number in expected:
        assert replica(again(attacker), pdus[number])
    works(attacker)


def refused(attacker: Attacker, kind: int, first: int, run: int, own: bool, mark: int, reason: int) -> None:
    """``own``: of the read that was just answered and is not acknowledged."""
    tag, _, seen = read(attacker)
    sent = snack(attacker, kind, first, run, tag if own else NO_TAG, mark, acknowledged=seen)
    attacker.rejected(reason, sent)
    works(attacker)


def acknowledged(attacker: Attacker, kind: int) -> None:
    """What was acknowledged is not sent again (11.16)."""
    tag, _, seen = read(attacker)
    works(attacker)
    if kind == STATUS:
        sent = snack(attacker, STATUS, seen, 1)
    else:
        sent = snack(attacker, kind, 0, 0, tag, 5 if kind == R_DATA else NO_TAG)
    attacker.rejected(PROTOCOL, sent)
    works(attacker)


def of_no_task(attacker: Attacker, kind: int, mark: int) -> None:
    attacker.log_in(MANY, keys=dict(LEVEL_1))
    attacker.rejected(PROTOCOL, snack(attacker, kind, 0, 1 if kind == DATA else 0, 0x7777, mark))
    works(attacker)


def statuses(attacker: Attacker, first: int, run: int, expected: int) -> None:
    """Three answers nobody acknowledges; ``first`` counts from the first of them."""
    attacker.log_in(MANY, keys=dict(LEVEL_1))
    seen = attacker.client.session.numbering.exp_stat_sn
    answers = []
    for _ in range(3):
        tag = attacker.new_tag()
        attacker.send(attacker.command(bytes(16), initiator_task_tag=tag, exp_stat_sn=seen))
        answers.append(attacker.good(tag))
    snack(attacker, STATUS, 0 if not (first or run) else seen + first, run, acknowledged=seen)
    for answer in answers[first : first + expected]:
        assert replica(again(attacker), answer)
    works(attacker)


def not_sent_yet(attacker: Attacker, shift: int, run: int) -> None:
    """A status that is still to come cannot have been lost."""
    attacker.log_in(MANY, keys=dict(LEVEL_1))
    seen = attacker.client.session.numbering.exp_stat_sn
    attacker.rejected(PROTOCOL, snack(attacker, STATUS, seen + shift, run, acknowledged=seen))
    works(attacker)


def of_another_session(attacker: Attacker) -> None:
    tag, _, _ = read(attacker)
    other = attacker.another()
    other.log_in(MANY, keys=dict(LEVEL_1), isid=b"\x80\0\0\0\0\x41", initiator="iqn.2026-01.test:thief")
    other.rejected(PROTOCOL, snack(other, DATA, 0, 1, tag))
    works(other)


def at_level_0(attacker: Attacker, kind: int) -> None:
    """Where it was not agreed on nothing is sent again."""
    attacker.log_in(OPEN)
    sent = snack(attacker, kind, 0, 0, NO_TAG, NO_TAG)
    attacker.rejected(RejectReason.SNACK_REJECT, sent)
    attacker.usable()


def storm(attacker: Attacker, count: int) -> None:
    """The same data asked for again and again: sent as often, or refused, and the memory for it is bounded."""
    tag, pdus, seen = read(attacker)
    for _ in range(count):
        snack(attacker, DATA, 0, 0, tag, acknowledged=seen)
    come = 0
    tag = attacker.new_tag()
    attacker.send(attacker.make(
        Opcode.NOP_OUT, immediate=True, initiator_task_tag=tag, target_transfer_tag=NO_TAG, exp_stat_sn=seen
    ))
    while (pdu := again(attacker)).opcode != Opcode.NOP_IN:
        if pdu.opcode == Opcode.DATA_IN:
            assert replica(pdu, pdus[come % len(pdus)])
            come += 1
        else:
            assert pdu.opcode == Opcode.REJECT
    assert come % len(pdus) == 0
    assert come
    works(attacker)


def lost_data_out(attacker: Attacker, keys: dict[str, str], fault: str) -> None:
    """A Data-Out is lost, or comes spoiled; the target asks for it again, and the write is whole (7.8, 7.9)."""
    attacker.log_in(MANY, keys={**LEVEL_1, **keys, "InitialR2T": "Yes", "ImmediateData": "No"})
    tag, data = attacker.new_tag(), b"\x5d" * 2048
    attacker.send(attacker.write(LBA, 4, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, 2048)
    for place in range(4):
        if fault == "lost" and place == 1:
            continue
        sent = attacker.data_out(
            tag, transfer_tag, data[place * 512 :][:512], place * 512, place, final=place == 3,
            spoil_data=fault == "spoiled" and place == 1,
        )
        attacker.send(sent)
        if fault == "spoiled" and place == 1:
            attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
    missing = {512}
    while True:
        pdu = attacker.client.receive_pdu()
        if pdu.opcode == Opcode.SCSI_RESPONSE:
            break
        assert pdu.opcode == Opcode.READY_TO_TRANSFER
        offset, length = pdu.header["buffer_offset"], pdu.header["desired_data_transfer_length"]
        assert offset in missing or length < 2048
        attacker.send(attacker.data_out(
            tag, pdu.header["target_transfer_tag"], data[offset : offset + length], offset
        ))
    assert pdu.header["status"] == 0
    attacker.wrote(LBA, data)
    works(attacker)


def never_mended(attacker: Attacker) -> None:
    """The same Data-Out comes spoiled for ever: that ends, too, and nothing was written."""
    attacker.log_in(MANY, keys={**LEVEL_1, "DataDigest": "CRC32C", "InitialR2T": "Yes", "ImmediateData": "No"})
    tag = attacker.new_tag()
    attacker.send(attacker.write(LBA, 4, initiator_task_tag=tag))
    transfer_tag, offset, length = attacker.ready(tag, 0, 2048), 0, 2048
    for _ in range(200):
        sent = attacker.data_out(tag, transfer_tag, b"\x5e" * length, offset, spoil_data=True)
        attacker.send(sent)
        attacker.rejected(RejectReason.DATA_DIGEST_ERROR, sent)
        pdu = attacker.client.receive_pdu()
        if pdu.opcode == Opcode.SCSI_RESPONSE:
            assert pdu.header["status"] == 2
            works(attacker)
            return
        transfer_tag = pdu.header["target_transfer_tag"]
        offset, length = pdu.header["buffer_offset"], pdu.header["desired_data_transfer_length"]
    # It may go on as long as the initiator likes: that costs nobody else anything.


CASES = [
    *(
        Case(f"data from {first}, run {run}", partial(resent, first=first, run=run, expected=expected))
        for first, run, expected in (
            (0, 0, [0, 1, 2, 3]), (0, 1, [0]), (1, 2, [1, 2]), (3, 1, [3]), (2, 0, [2, 3]), (0, 4, [0, 1, 2, 3]),
        )
    ),
    *(
        Case(f"refused: {what}", partial(
            refused, kind=kind, first=first, run=run, own=own, mark=mark, reason=reason))
        for what, kind, first, run, own, mark, reason in (
            ("data behind the last", DATA, 4, 1, True, NO_TAG, PROTOCOL),
            ("data over the last", DATA, 3, 2, True, NO_TAG, PROTOCOL),
            ("data far behind the last", DATA, 0x7FFFFFFF, 1, True, NO_TAG, PROTOCOL),
            ("2**32 - 1 pieces of data", DATA, 0, 0xFFFFFFFF, True, NO_TAG, PROTOCOL),
            ("data with a transfer tag", DATA, 0, 1, True, 5, FIELD),
            ("data of the reserved task", DATA, 0, 1, False, NO_TAG, PROTOCOL),
            ("a status with a task", STATUS, 0, 0, True, NO_TAG, FIELD),
            ("a status with a transfer tag", STATUS, 0, 0, False, 5, FIELD),
            ("an acknowledgment nobody asked for", DATA_ACK, 4, 0, False, 5, ACK),
            ("an acknowledgment with the reserved tag", DATA_ACK, 4, 0, False, NO_TAG, ACK),
            ("an acknowledgment with a task", DATA_ACK, 4, 0, True, 5, ACK),
            ("R-Data without a SNACK Tag", R_DATA, 0, 0, True, 0, FIELD),
            ("R-Data with the reserved SNACK Tag", R_DATA, 0, 0, True, NO_TAG, FIELD),
            ("R-Data with a run", R_DATA, 0, 1, True, 5, FIELD),
            ("R-Data from 1", R_DATA, 1, 0, True, 5, FIELD),
            *((f"type {kind}", kind, 0, 0, True, NO_TAG, PROTOCOL) for kind in (4, 7, 15)),
        )
    ),
    *(
        Case(f"acknowledged before: type {kind}", partial(acknowledged, kind=kind)) for kind in (DATA, STATUS, R_DATA)
    ),
    *(
        Case(f"of no task: type {kind}", partial(of_no_task, kind=kind, mark=mark))
        for kind, mark in ((DATA, NO_TAG), (R_DATA, 5))
    ),
    *(
        Case(f"statuses from {first}, run {run}", partial(statuses, first=first, run=run, expected=expected))
        for first, run, expected in ((0, 1, 1), (1, 1, 1), (2, 1, 1), (0, 3, 3), (1, 0, 2), (0, 0, 3))
    ),
    *(
        Case(f"a status {shift} ahead, run {run}", partial(not_sent_yet, shift=shift, run=run))
        for shift, run in ((0, 1), (1, 1), (1000, 1), (0x7FFFFFFF, 1))
    ),
    Case("of another session", of_another_session),
    *(Case(f"at level 0, type {kind}", partial(at_level_0, kind=kind)) for kind in range(4)),
    Case("the same data three hundred times", partial(storm, count=300)),
    Case("a Data-Out is lost", partial(lost_data_out, keys={}, fault="lost")),
    Case("a Data-Out is spoiled", partial(lost_data_out, keys={"DataDigest": "CRC32C"}, fault="spoiled")),
    Case("a Data-Out that always comes spoiled", never_mended),
]  # fmt: skip


@pytest.mark.rfc7143(
    "7.8-3", "7.8-5", "7.9-1", "11.16-2", "11.16-3", "11.16-4", "11.16.1-1", "11.16.3-1", "11.16.3-2", "11.16.5-1"
)
@each(CASES)
def test_recovery(world: World, case: Case) -> None:
    world.run(case)
