"""Task management, logout and NOP where they do not fit (RFC 7143 sections 11.5, 11.6, 11.14, 11.15, 11.18)."""

from __future__ import annotations

from functools import partial

import pytest

from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from tests.adversarial.world import BLOCK, PLAIN, Attacker, Case, World, each

LBA = 112
ABORT_TASK, ABORT_TASK_SET, CLEAR_ACA, CLEAR_TASK_SET, LU_RESET, WARM_RESET, COLD_RESET, REASSIGN = range(1, 9)
QUERY_TASK, QUERY_TASK_SET, NEXUS_RESET, QUERY_ASYNC = range(9, 13)
COMPLETE, NO_TASK, NO_LUN, STILL_ALLEGIANT, NO_REASSIGNMENT, UNSUPPORTED = range(6)
ABSENT = 7 << 48  #: the field of LUN 7, which is not there
LUN1 = 1 << 48


def manage(attacker: Attacker, function: int, *, lun: int = 0, referenced: int = NO_TAG, ref_cmd_sn: int = 0,
           flags: int = FINAL, immediate: bool = True) -> int:
    """Send a function; its tag."""
    tag = attacker.new_tag()
    attacker.send(attacker.make(
        Opcode.TASK_MANAGEMENT_REQUEST, immediate=immediate, flags=flags | function, lun=lun, initiator_task_tag=tag,
        referenced_task_tag=referenced, ref_cmd_sn=ref_cmd_sn,
    ))
    return tag


def response(attacker: Attacker, tag: int, code: int) -> None:
    attacker.answer(Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=tag, response=code)


def waiting_write(attacker: Attacker, level: str = "1") -> tuple[int, int, int]:
    """A write that waits for its data: task tag, transfer tag, CmdSN."""
    attacker.log_in(keys={"InitialR2T": "Yes", "iSCSIProtocolLevel": level})
    return attacker.waiting_write(LBA)


def nothing_to_do(attacker: Attacker, function: int, lun: int, code: int, level: str, immediate: bool) -> None:
    attacker.log_in(keys={"iSCSIProtocolLevel": level})
    response(attacker, manage(attacker, function, lun=lun, immediate=immediate), code)
    if function == NEXUS_RESET and code == COMPLETE:
        attacker.dropped()
    else:
        attacker.quiet()


def spared(attacker: Attacker, function: int, lun: int, shift: int, code: int) -> None:
    """A function that names another task, or another logical unit, leaves the write alone."""
    tag, transfer_tag, number = waiting_write(attacker)
    referenced = (tag + shift) if function in (ABORT_TASK, REASSIGN) else NO_TAG
    response(attacker, manage(attacker, function, lun=lun, referenced=referenced, ref_cmd_sn=number), code)
    attacker.finish(LBA, tag, transfer_tag, b"\x70" * BLOCK)


def ended(attacker: Attacker, function: int, lun: int, level: str) -> None:
    """The write is aborted: no status, and its data is passed over."""
    tag, transfer_tag, number = waiting_write(attacker, level)
    referenced = tag if function == ABORT_TASK else NO_TAG
    response(attacker, manage(attacker, function, lun=lun, referenced=referenced, ref_cmd_sn=number), COMPLETE)
    if function == NEXUS_RESET:
        attacker.dropped()
        return
    attacker.send(attacker.data_out(tag, transfer_tag, b"\x71" * BLOCK, 0))
    attacker.quiet()


def twice(attacker: Attacker) -> None:
    """The same task aborted twice: the second time there is none."""
    tag, _, number = waiting_write(attacker)
    response(attacker, manage(attacker, ABORT_TASK, referenced=tag, ref_cmd_sn=number), COMPLETE)
    response(attacker, manage(attacker, ABORT_TASK, referenced=tag, ref_cmd_sn=number), NO_TASK)
    attacker.usable()


def of_another_session(attacker: Attacker, function: int) -> None:
    """A tag means nothing beyond its session, and a task set is the nexus's own (ABORT TASK SET)."""
    tag, transfer_tag, _ = waiting_write(attacker)
    other = attacker.another()
    other.log_in(isid=b"\x80\0\0\0\0\x21", initiator="iqn.2026-01.test:thief")
    referenced = tag if function == ABORT_TASK else NO_TAG
    sent = manage(other, function, referenced=referenced, ref_cmd_sn=0)
    response(other, sent, NO_TASK if function == ABORT_TASK else COMPLETE)
    other.quiet()
    attacker.finish(LBA, tag, transfer_tag, b"\x70" * BLOCK)


def own_tag(attacker: Attacker) -> None:
    """A function that would abort itself: there is no such task (4.2.2.1)."""
    attacker.log_in()
    tag = attacker.new_tag()
    attacker.send(attacker.make(
        Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=FINAL | ABORT_TASK, initiator_task_tag=tag,
        referenced_task_tag=tag, ref_cmd_sn=attacker.client.session.numbering.cmd_sn - 1,
    ))
    response(attacker, tag, NO_TASK)
    attacker.usable()


def many(attacker: Attacker) -> None:
    """A hundred functions at once, each answered once, in order."""
    attacker.log_in()
    tags = [manage(attacker, ABORT_TASK_SET, lun=(count % 2) << 48) for count in range(100)]
    for tag in tags:
        response(attacker, tag, COMPLETE)
    attacker.usable()


def cold_reset(attacker: Attacker) -> None:
    """TARGET COLD RESET ends every session of the target; here of one nobody else uses."""
    attacker.log_in(PLAIN)
    other = attacker.another()
    other.log_in(PLAIN, isid=b"\x80\0\0\0\0\x22")
    response(attacker, manage(attacker, COLD_RESET), COMPLETE)
    attacker.dropped()
    other.dropped()


# Logout -------------------------------------------------------------------------------------------------------------


def logout(attacker: Attacker, reason: int, cid: int, code: int | None, immediate: bool) -> None:
    """``code`` None: the reason is reserved, which is a protocol error (section 11)."""
    attacker.log_in(cid=3)
    tag = attacker.new_tag()
    sent = attacker.make(
        Opcode.LOGOUT_REQUEST, flags=FINAL | reason, immediate=immediate, initiator_task_tag=tag, cid=cid
    )
    attacker.send(sent)
    if code is None:
        attacker.rejected(RejectReason.PROTOCOL_ERROR, sent)
        attacker.usable()
        return
    attacker.answer(Opcode.LOGOUT_RESPONSE, initiator_task_tag=tag, response=code)
    if code:
        attacker.usable()
    else:
        attacker.dropped()


def logout_mid_write(attacker: Attacker, reason: int) -> None:
    """Commands under way are terminated without status; data behind the logout is nobody's."""
    tag, transfer_tag, _ = waiting_write(attacker)
    attacker.send(
        attacker.data_out(tag, transfer_tag, b"\x72" * 256, 0, final=False),
        attacker.make(Opcode.LOGOUT_REQUEST, flags=FINAL | reason, immediate=True),
        attacker.data_out(tag, transfer_tag, b"\x72" * 256, 256, 1),
    )
    attacker.answer(Opcode.LOGOUT_RESPONSE, response=0)
    attacker.dropped()


def commands_before_logout(attacker: Attacker) -> None:
    """Two logouts at once: one answer, then the end."""
    attacker.log_in()
    attacker.send(attacker.make(Opcode.LOGOUT_REQUEST, immediate=True) * 2)
    attacker.answer(Opcode.LOGOUT_RESPONSE, response=0)
    attacker.dropped()


# NOP-Out ------------------------------------------------------------------------------------------------------------


def nop(attacker: Attacker, tag: int, transfer_tag: int, data: bytes, immediate: bool, answer: str) -> None:
    attacker.log_in()
    sent = attacker.make(
        Opcode.NOP_OUT, data, immediate=immediate, initiator_task_tag=tag, target_transfer_tag=transfer_tag
    )
    attacker.send(sent)
    if answer == "echo":
        pdu = attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag, target_transfer_tag=NO_TAG)
        assert pdu.data == data
    elif answer == "rejected":
        attacker.rejected(RejectReason.INVALID_PDU_FIELD, sent)
    attacker.usable()


def storm(attacker: Attacker, count: int) -> None:
    """Pings faster than anybody reads the answers: all are answered, in order, once they are read."""
    attacker.log_in()
    tags = [attacker.new_tag() for _ in range(count)]
    attacker.send(b"".join(
        attacker.make(Opcode.NOP_OUT, b"s" * 100, immediate=True, initiator_task_tag=tag, target_transfer_tag=NO_TAG)
        for tag in tags
    ))
    for tag in tags:
        attacker.answer(Opcode.NOP_IN, initiator_task_tag=tag)
    attacker.usable()


PLAIN_CODES = {  # of a function with nothing to do: of LUN 0, of an absent LUN
    ABORT_TASK: (NO_TASK, NO_LUN), ABORT_TASK_SET: (COMPLETE, NO_LUN), CLEAR_ACA: (UNSUPPORTED, UNSUPPORTED),
    CLEAR_TASK_SET: (COMPLETE, NO_LUN),
}  # fmt: skip
CASES = [
    *(
        Case(f"function {function} at LUN {lun >> 48}, I={immediate:d}", partial(
            nothing_to_do, function=function, lun=lun, code=codes[lun == ABSENT], level="1", immediate=immediate))
        for function, codes in PLAIN_CODES.items()
        for lun in (0, LUN1, ABSENT)
        for immediate in (True, False)
    ),
    *(
        Case(f"function {function}, which there is not", partial(
            nothing_to_do, function=function, lun=0, code=UNSUPPORTED, level="1", immediate=True))
        for function in (0, 9, 10, 11, 12, 13, 64, 127)
    ),
    *(
        Case(f"function {function} at protocol level 2", partial(
            nothing_to_do, function=function, lun=lun, code=code, level="2", immediate=True))
        for function, lun, code in (
            (QUERY_TASK, 0, 0), (QUERY_TASK_SET, 0, 0), (NEXUS_RESET, 0, 0), (QUERY_ASYNC, 0, 0), (13, 0, UNSUPPORTED),
            (0, 0, UNSUPPORTED), (127, 0, UNSUPPORTED),
        )
    ),
    *(
        Case(f"function {function} at an absent LUN at protocol level 2", partial(
            nothing_to_do, function=function, lun=ABSENT, code=NO_LUN, level="2", immediate=True))
        for function in (QUERY_TASK, QUERY_TASK_SET, QUERY_ASYNC)
    ),
    Case("LOGICAL UNIT RESET of an absent LUN", partial(
        nothing_to_do, function=LU_RESET, lun=ABSENT, code=NO_LUN, level="1", immediate=True)),
    Case("TASK REASSIGN at level 0", partial(
        nothing_to_do, function=REASSIGN, lun=0, code=NO_REASSIGNMENT, level="1", immediate=True)),
    *(
        Case(f"spared: {what}", partial(spared, function=function, lun=lun, shift=shift, code=code))
        for what, function, lun, shift, code in (
            ("another tag", ABORT_TASK, 0, 100, NO_TASK), ("the tag on another LUN", ABORT_TASK, LUN1, 0, NO_TASK),
            ("the tag on an absent LUN", ABORT_TASK, ABSENT, 0, NO_LUN),
            ("a task set of another LUN", ABORT_TASK_SET, LUN1, 0, 0),
            ("all tasks of another LUN", CLEAR_TASK_SET, LUN1, 0, 0), ("a reset of another LUN", LU_RESET, LUN1, 0, 0),
            ("TASK REASSIGN", REASSIGN, 0, 0, NO_REASSIGNMENT), ("CLEAR ACA", CLEAR_ACA, 0, 0, UNSUPPORTED),
            ("the reserved function", 0, 0, 0, UNSUPPORTED),
        )
    ),
    *(
        Case(f"aborted by function {function}", partial(ended, function=function, lun=0, level=level))
        for function, level in ((ABORT_TASK, "1"), (ABORT_TASK_SET, "1"), (NEXUS_RESET, "2"))
    ),
    Case("aborted twice", twice),
    *(Case(f"another session's task, function {function}", partial(of_another_session, function=function))
      for function in (ABORT_TASK, ABORT_TASK_SET)),
    Case("a function that aborts itself", own_tag),
    Case("a hundred functions", many),
    Case("TARGET COLD RESET", cold_reset),
    *(
        Case(f"logout for reason {reason} of CID {cid}, I={immediate:d}", partial(
            logout, reason=reason, cid=cid, code=code, immediate=immediate))
        for reason, cid, code in (
            (0, 3, 0), (0, 0, 0), (0, 9, 0), (1, 3, 0), (1, 4, 1), (1, 0, 1), (1, 65535, 1), (2, 3, 2), (2, 4, 2),
            (3, 3, None), (4, 3, None), (64, 3, None), (127, 3, None),
        )
        for immediate in (True, False)
    ),
    *(
        Case(f"logout for reason {reason} in the middle of a write", partial(logout_mid_write, reason=reason))
        for reason in (0, 1)
    ),
    Case("two logouts", commands_before_logout),
    *(
        Case(f"NOP-Out {what}", partial(
            nop, tag=tag, transfer_tag=transfer_tag, data=data, immediate=immediate, answer=answer))
        for what, tag, transfer_tag, data, immediate, answer in (
            ("that wants no answer", NO_TAG, NO_TAG, b"", True, ""),
            ("that wants no answer, with data", NO_TAG, NO_TAG, b"data", True, ""),
            ("that answers a ping nobody sent", NO_TAG, 77, b"", True, ""),
            ("that answers a ping nobody sent, with data", NO_TAG, 77, b"data", True, ""),
            ("numbered, that wants no answer", NO_TAG, NO_TAG, b"", False, "rejected"),
            ("numbered, that answers a ping nobody sent", NO_TAG, 77, b"", False, "rejected"),
            ("with data", 0x66, NO_TAG, b"data", True, "echo"),
            ("of one byte", 0x66, NO_TAG, b"d", False, "echo"),
        )
    ),
    *(Case(f"{count} pings at once", partial(storm, count=count)) for count in (1000,)),
]  # fmt: skip


@pytest.mark.rfc7143(
    "7.2.2-3", "11.5.1-1", "11.5.1-2", "11.5.1-7", "11.14-1", "11.18-1", "11.18-2", "11.19-1", "11.19-2", "7144:4.1-1",
    "7144:6.3-1"
)
@each(CASES)
def test_tasks(world: World, case: Case) -> None:
    world.run(case)
