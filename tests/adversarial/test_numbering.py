"""Numbers that are wrong: CmdSN, ExpStatSN, tags (RFC 7143 sections 4.2.2.1, 4.2.2.2, 7.3, 11.2.1.8)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from ietpy.wire.serial import advance
from tests.adversarial.world import BLOCK, OPEN, Attacker, Case, World, each

WINDOW = 128  #: commands a session may have under way where nothing is configured
LBA = 32
TUR = bytes(16)  #: TEST UNIT READY


def cmd_sn(attacker: Attacker) -> int:
    """The number of the next command."""
    return attacker.client.session.numbering.cmd_sn


def take(attacker: Attacker, count: int) -> int:
    """Take so many numbers, to send commands by hand; the first of them."""
    numbering = attacker.client.session.numbering
    first = numbering.cmd_sn
    numbering.cmd_sn = advance(first, count)
    return first


def ping(attacker: Attacker, number: int, **fields: int) -> int:
    """A NOP-Out of this CmdSN; its tag."""
    tag = attacker.new_tag()
    attacker.send(attacker.make(
        Opcode.NOP_OUT, initiator_task_tag=tag, target_transfer_tag=NO_TAG, cmd_sn=number & NO_TAG, **fields
    ))
    return tag


def outside(attacker: Attacker, shift: int, write: bool) -> None:
    """Outside ExpCmdSN to MaxCmdSN a command is ignored, silently, and its data with it."""
    attacker.log_in()
    number = (cmd_sn(attacker) + shift) & NO_TAG
    if write:
        attacker.send(attacker.write(LBA, 1, b"\xbd" * BLOCK, cmd_sn=number))
    else:
        ping(attacker, number)
    attacker.usable()


def early(attacker: Attacker, order: tuple[int, ...]) -> None:
    """Commands in any order are executed in that of their numbers; nothing is answered before its turn."""
    attacker.log_in()
    first = take(attacker, len(order))
    tags = {}
    come: set[int] = set()
    answered = 0
    for shift in order:
        tags[shift] = ping(attacker, first + shift)
        come.add(shift)
        while answered in come:
            attacker.answer(Opcode.NOP_IN, initiator_task_tag=tags[answered])
            answered += 1
        attacker.quiet()
    attacker.usable()


def full_window(attacker: Attacker) -> None:
    """Everything the window has room for, backwards; then one that is over it."""
    attacker.log_in()
    first = take(attacker, WINDOW)
    tags = [ping(attacker, first + shift) for shift in range(WINDOW - 1, 0, -1)]
    ping(attacker, first + WINDOW)
    attacker.quiet()
    tags.append(ping(attacker, first))
    for tag in reversed(tags):
        attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag)
    attacker.usable()


def twice(attacker: Attacker, *, held: bool) -> None:
    """Two writes of one number: the first one counts, whether it was executed or is held."""
    attacker.log_in()
    first, tag = take(attacker, 1 + held), attacker.new_tag()
    data = b"\x11" * BLOCK
    attacker.send(
        attacker.write(LBA, 1, data, cmd_sn=first + held, initiator_task_tag=tag),
        attacker.write(LBA, 1, b"\x22" * BLOCK, cmd_sn=first + held),
        attacker.write(LBA + 1, 1, b"\x33" * BLOCK, cmd_sn=first + held),
    )
    if held:
        attacker.quiet()
        attacker.answer(Opcode.NOP_IN, initiator_task_tag=ping(attacker, first))
    attacker.good(tag)
    attacker.wrote(LBA, data)
    attacker.usable()


def immediate(attacker: Attacker, number: int) -> None:
    """An immediate command may carry any number and uses none up."""
    attacker.log_in()
    for _ in range(3):
        tag = ping(attacker, number, immediate=True)
        attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag, exp_cmd_sn=cmd_sn(attacker))
    attacker.usable()


def around_zero(attacker: Attacker, start: int) -> None:
    """Serial number arithmetic (RFC 1982): numbers go on over 2**32 and over the sign."""
    attacker.client.login(LoginPlan(target=OPEN), cmd_sn=start)
    attacker.client.test_unit_ready(0)
    for _ in range(6):
        attacker.usable()


def around_zero_backwards(attacker: Attacker, start: int) -> None:
    """Held requests on both sides of 2**32."""
    attacker.client.login(LoginPlan(target=OPEN), cmd_sn=start)
    first = take(attacker, 6)
    tags = [ping(attacker, first + shift) for shift in (5, 4, 3, 2, 1, 0)]
    for tag in reversed(tags):
        attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag)


def exp_stat_sn(attacker: Attacker, shift: int) -> None:
    """At ErrorRecoveryLevel 0 nothing is sent again, so what an initiator says it has seen changes nothing."""
    attacker.log_in()
    for _ in range(3):
        number = (attacker.client.session.numbering.exp_stat_sn + shift) & NO_TAG
        tag = attacker.new_tag()
        attacker.send(attacker.command(TUR, initiator_task_tag=tag, exp_stat_sn=number))
        attacker.good(tag)
    attacker.usable()


def gap_of_a_reject(attacker: Attacker) -> None:
    """A rejected command has used up no number: later ones wait until the gap is filled (section 7.3)."""
    attacker.log_in()
    number = take(attacker, 2)
    sent = attacker.make(0x1C, cmd_sn=number)
    attacker.send(sent)
    attacker.rejected(RejectReason.COMMAND_NOT_SUPPORTED, sent)
    later = ping(attacker, number + 1)
    attacker.quiet()
    now = ping(attacker, number)
    attacker.answer(Opcode.NOP_IN, initiator_task_tag=now)
    attacker.answer(Opcode.NOP_IN, initiator_task_tag=later)
    attacker.usable()


def abort_fills(attacker: Attacker, shift: int) -> None:
    """ABORT TASK of a command that has not come fills its place (sections 7.11, 11.6.1)."""
    attacker.log_in()
    first = take(attacker, 4)
    later = [ping(attacker, first + place) for place in range(4) if place != shift]
    for tag in later[:shift]:
        attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag)
    attacker.send(attacker.make(
        Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=FINAL | 1, referenced_task_tag=0x4444,
        ref_cmd_sn=first + shift, cmd_sn=first + 4,
    ))
    answers = [attacker.client.receive_pdu() for _ in [*later[shift:], None]]
    assert sorted(pdu.header["initiator_task_tag"] for pdu in answers if pdu.opcode == Opcode.NOP_IN) == later[shift:]
    assert [pdu.header["response"] for pdu in answers if pdu.opcode == Opcode.TASK_MANAGEMENT_RESPONSE] == [0]
    attacker.send(attacker.write(LBA, 1, b"\xdd" * BLOCK, cmd_sn=first + shift))  # it comes after all: too late
    attacker.usable()


def logout_ends_what_is_held(attacker: Attacker) -> None:
    """A write whose turn has not come is never executed once the session has logged out (section 11.14)."""
    attacker.log_in()
    attacker.send(attacker.write(LBA, 1, b"\xee" * BLOCK, cmd_sn=cmd_sn(attacker) + 1))
    attacker.send(attacker.make(Opcode.LOGOUT_REQUEST, immediate=True))
    attacker.answer(Opcode.LOGOUT_RESPONSE, response=0)
    attacker.dropped()


def hang_up_with_held(attacker: Attacker) -> None:
    """So when the connection just ends."""
    attacker.log_in()
    for shift in range(1, WINDOW):
        attacker.send(attacker.write(LBA, 1, b"\xee" * BLOCK, cmd_sn=cmd_sn(attacker) + shift))
    attacker.quiet()
    attacker.client.close()


def held_then_wrong(attacker: Attacker) -> None:
    """A held request that is rejected when its turn comes is rejected with its own header."""
    attacker.log_in()
    first = take(attacker, 2)
    sent = attacker.make(0x1D, cmd_sn=first + 1, initiator_task_tag=0x99)
    attacker.send(sent)
    attacker.quiet()
    attacker.answer(Opcode.NOP_IN, initiator_task_tag=ping(attacker, first))
    attacker.rejected(RejectReason.COMMAND_NOT_SUPPORTED, sent)
    attacker.usable()


def reserved_tag(attacker: Attacker, opcode: int, data: bytes = b"", **fields: Any) -> None:
    """The Initiator Task Tag 0xffffffff names no task (section 11.2.1.8)."""
    attacker.log_in()
    sent = attacker.make(opcode, data, initiator_task_tag=NO_TAG, immediate=True, **fields)
    attacker.send(sent)
    attacker.rejected(RejectReason.INVALID_PDU_FIELD, sent)
    attacker.usable()


SHIFTS = {
    "one behind": -1, "two behind": -2, "a window behind": -WINDOW, "2**30 behind": -(2**30),
    "2**31 - 1 behind": 1 - 2**31, "one over the window": WINDOW, "two over the window": WINDOW + 1,
    "2**30 ahead": 2**30, "2**31 - 1 ahead": 2**31 - 1,
}  # fmt: skip
ORDERS = {
    "two swapped": (1, 0), "three backwards": (2, 1, 0), "the second last": (0, 2, 3, 1),
    "every other first": (1, 3, 5, 0, 2, 4), "the last first": (5, 0, 1, 2, 3, 4), "the first last": (1, 2, 3, 4, 5, 0),
}  # fmt: skip
CASES = [
    *(
        Case(f"a {what} {place}", partial(outside, shift=shift, write=write))
        for place, shift in SHIFTS.items()
        for what, write in (("ping", False), ("write", True))
    ),
    *(Case(f"order: {what}", partial(early, order=order)) for what, order in ORDERS.items()),
    Case("a whole window backwards", full_window),
    Case("two writes of one number", partial(twice, held=False)),
    Case("two early writes of one number", partial(twice, held=True)),
    *(
        Case(f"immediate with CmdSN {number:#x}", partial(immediate, number=number))
        for number in (0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    ),
    *(
        Case(f"numbers from {start:#x}", partial(around_zero, start=start))
        for start in (0, 0x7FFFFFFC, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFB, 0xFFFFFFFE, 0xFFFFFFFF)
    ),
    *(
        Case(f"numbers from {start:#x} backwards", partial(around_zero_backwards, start=start))
        for start in (0xFFFFFFFD, 0xFFFFFFFF, 0x7FFFFFFD)
    ),
    *(
        Case(f"ExpStatSN {shift:+#x}", partial(exp_stat_sn, shift=shift))
        for shift in (-1, -2, -1000, -(2**31) + 1)
    ),
    Case("a command behind a rejected one", gap_of_a_reject),
    *(Case(f"ABORT TASK fills place {shift}", partial(abort_fills, shift=shift)) for shift in (0, 1, 3)),
    Case("logout before the turn of a write", logout_ends_what_is_held),
    Case("hanging up with a window of writes held", hang_up_with_held),
    Case("a held request that is rejected", held_then_wrong),
    *(
        Case(f"a {what} with the reserved tag", partial(reserved_tag, opcode=opcode, **fields))
        for what, opcode, fields in (
            ("command", Opcode.SCSI_COMMAND, {"cdb": TUR}),
            ("function", Opcode.TASK_MANAGEMENT_REQUEST, {"flags": FINAL | 2, "referenced_task_tag": NO_TAG}),
            ("text", Opcode.TEXT_REQUEST, {"data": b"SendTargets=\0", "target_transfer_tag": NO_TAG}),
            ("logout", Opcode.LOGOUT_REQUEST, {}),
        )
    ),
]  # fmt: skip


@pytest.mark.rfc7143(
    "4.2.2.1-1", "4.2.2.1-5", "4.2.2.1-7", "4.2.2.1-9", "4.2.2.1-10", "7.3-2", "7.11-1", "11.2.1.8-2", "11.14-1"
)
@each(CASES)
def test_numbering(world: World, case: Case) -> None:
    world.run(case)
