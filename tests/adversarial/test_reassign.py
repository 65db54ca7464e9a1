"""Tasks that lost their connection, taken up too early, twice, by others: ErrorRecoveryLevel 2 (RFC 7143, 7.2.2).

Each case ends its session with a logout, as at level 2 a session outlives its connections.
"""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from tests.adversarial.world import BLOCK, INTRUDER, ISID, MANY, Attacker, Case, World, each, names

LBA = 216
ABORT_TASK, REASSIGN = 1, 8
COMPLETE, NO_TASK, STILL_ALLEGIANT = 0, 1, 3
FOR_RECOVERY = 2
KEYS = {
    "MaxConnections": "4", "InitialR2T": "Yes", "ErrorRecoveryLevel": "2", "DefaultTime2Wait": "0",
    "DefaultTime2Retain": "20",
}  # fmt: skip
DATA = b"\x2e" * BLOCK


def lead(attacker: Attacker) -> Attacker:
    attacker.log_in(MANY, dict(KEYS), cid=1)
    return attacker


def join(leader: Attacker, cid: int = 2, **changes: Any) -> Attacker:
    other = leader.another()
    other.client.join(leader.client, cid, **changes)
    return other


def reset(attacker: Attacker, other: Attacker | None = None) -> None:
    """The connection with CID 1 fails, which the next one of its session is told (sections 7.1.4.3, 11.9.1)."""
    attacker.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    attacker.client.close()
    if other is not None:
        other.answer(Opcode.ASYNC_MESSAGE, async_event=2, parameter1=1)


def manage(attacker: Attacker, function: int, tag: int, code: int, **fields: Any) -> None:
    sent = attacker.new_tag()
    attacker.send(attacker.make(
        Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=FINAL | function, initiator_task_tag=sent,
        referenced_task_tag=tag, **fields,
    ))
    attacker.answer(Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=sent, response=code)


def clean_up(attacker: Attacker, cid: int, response: int = 0) -> None:
    """A logout of another connection, for recovery."""
    tag = attacker.new_tag()
    attacker.send(attacker.make(
        Opcode.LOGOUT_REQUEST, flags=FINAL | FOR_RECOVERY, immediate=True, initiator_task_tag=tag, cid=cid
    ))
    attacker.answer(Opcode.LOGOUT_RESPONSE, initiator_task_tag=tag, response=response)


def finish(attacker: Attacker, tag: int) -> None:
    """The write goes on where it is now."""
    attacker.finish(LBA, tag, attacker.ready(tag, 0, BLOCK), DATA)


def end(attacker: Attacker) -> None:
    """Close the session."""
    tag = attacker.new_tag()
    attacker.send(attacker.make(Opcode.LOGOUT_REQUEST, immediate=True, initiator_task_tag=tag))
    attacker.answer(Opcode.LOGOUT_RESPONSE, initiator_task_tag=tag, response=0)
    attacker.dropped()


def taken_up(attacker: Attacker, how: str) -> None:
    """As it should be: by a logout for recovery, by a login with the same CID, or after removing oneself."""
    lead(attacker)
    other = join(attacker)
    tag, _, _ = attacker.waiting_write(LBA)
    if how == "logout":
        reset(attacker, other)
        clean_up(other, 1)
    elif how == "login":
        reset(attacker, other)
        other = join(attacker, 1)
    else:
        clean_up(attacker, 1)
        attacker.dropped()
    manage(other, REASSIGN, tag, COMPLETE)
    finish(other, tag)
    manage(other, REASSIGN, tag, NO_TASK)  # it has ended, and this acknowledges that
    end(other)


def too_early(attacker: Attacker, fails: bool) -> None:
    """Without a logout of its connection a task stays where it is."""
    lead(attacker)
    other = join(attacker)
    tag, _, _ = attacker.waiting_write(LBA)
    if fails:
        reset(attacker, other)
    manage(other, REASSIGN, tag, STILL_ALLEGIANT)
    clean_up(other, 1)
    manage(other, REASSIGN, tag, COMPLETE)
    finish(other, tag)
    end(other)


def twice(attacker: Attacker) -> None:
    lead(attacker)
    other, third = join(attacker), join(attacker, 3)
    tag, _, _ = attacker.waiting_write(LBA)
    reset(attacker, other)
    clean_up(other, 1)
    manage(other, REASSIGN, tag, COMPLETE)
    manage(third, REASSIGN, tag, STILL_ALLEGIANT)
    finish(other, tag)
    end(third)


def nobodys(attacker: Attacker, tag: int) -> None:
    lead(attacker)
    manage(attacker, REASSIGN, tag, NO_TASK)
    attacker.quiet()
    end(attacker)


def own(attacker: Attacker) -> None:
    lead(attacker)
    tag, transfer_tag, _ = attacker.waiting_write(LBA)
    manage(attacker, REASSIGN, tag, STILL_ALLEGIANT)
    attacker.send(attacker.data_out(tag, transfer_tag, DATA, 0))
    attacker.good(tag)
    attacker.wrote(LBA, DATA)
    end(attacker)


def of_another_session(attacker: Attacker) -> None:
    """A task is its session's; another initiator cannot take it up."""
    lead(attacker)
    other = join(attacker)
    tag, _, _ = attacker.waiting_write(LBA)
    thief = attacker.another()
    thief.log_in(MANY, dict(KEYS), isid=b"\x80\0\0\0\0\x51", initiator="iqn.2026-01.test:thief")
    reset(attacker, other)
    clean_up(other, 1)
    manage(thief, REASSIGN, tag, NO_TASK)
    manage(other, REASSIGN, tag, COMPLETE)
    finish(other, tag)
    end(other)
    end(thief)


def aborted(attacker: Attacker) -> None:
    """A task without a connection can be aborted; then there is nothing to take up."""
    lead(attacker)
    other = join(attacker)
    tag, _, number = attacker.waiting_write(LBA)
    reset(attacker, other)
    clean_up(other, 1)
    manage(other, ABORT_TASK, tag, COMPLETE, ref_cmd_sn=number)
    manage(other, REASSIGN, tag, NO_TASK)
    other.quiet()
    end(other)


def data_before(attacker: Attacker) -> None:
    """Data for a task that is still another connection's is not taken."""
    lead(attacker)
    other = join(attacker)
    tag, transfer_tag, _ = attacker.waiting_write(LBA)
    reset(attacker, other)
    clean_up(other, 1)
    sent = other.data_out(tag, transfer_tag, b"\x2f" * BLOCK, 0)
    other.send(sent)
    other.rejected(0x04, sent)
    manage(other, REASSIGN, tag, COMPLETE)
    finish(other, tag)
    end(other)


def replaced(attacker: Attacker) -> None:
    """A new session of the same initiator port ends what waits for a connection."""
    lead(attacker)
    tag, _, _ = attacker.waiting_write(LBA)
    reset(attacker)
    newer = attacker.another()
    newer.client.login(LoginPlan(target=MANY, initiator=INTRUDER, isid=ISID, keys=dict(KEYS)))
    newer.client.test_unit_ready(0)
    manage(newer, REASSIGN, tag, NO_TASK)
    end(newer)


def stolen(attacker: Attacker, initiator: str, isid: bytes) -> None:
    """A session without a connection is no easier to get into."""
    lead(attacker)
    outcome = attacker.client.outcome
    assert outcome is not None
    attacker.waiting_write(LBA)
    reset(attacker)
    thief = attacker.another()
    number = attacker.client.session.numbering.cmd_sn
    thief.client.session.numbering.cmd_sn = number
    thief.send(thief.login_request(
        0x87, names(MANY, initiator), tsih=outcome.tsih, isid=isid, cid=1, cmd_sn=number
    ))
    thief.refused(LoginStatus.SESSION_DOES_NOT_EXIST)
    end(join(attacker, 1))


def no_such_connection(attacker: Attacker) -> None:
    lead(attacker)
    clean_up(attacker, 77, response=1)
    attacker.quiet()
    end(attacker)


def read_again(attacker: Attacker) -> None:
    """A read whose status was never acknowledged is answered once more, whole."""
    lead(attacker)
    other = join(attacker)
    seen = attacker.client.session.numbering.exp_stat_sn
    tag = attacker.new_tag()
    attacker.send(attacker.read(0, 4, initiator_task_tag=tag, exp_stat_sn=seen))
    attacker.answer(Opcode.DATA_IN, initiator_task_tag=tag)
    reset(attacker, other)
    clean_up(other, 1)
    manage(other, REASSIGN, tag, COMPLETE, exp_data_sn=0)
    data, status = b"", None
    while status is None:
        pdu = other.client.receive_pdu()
        assert pdu.header["initiator_task_tag"] == tag
        data += pdu.data
        if pdu.opcode == Opcode.SCSI_RESPONSE or pdu.header["flags"] & 1:
            status = pdu.header["status"]
    assert (status, data) == (0, attacker.world.image[: 4 * BLOCK])
    end(other)


CASES = [
    *(Case(f"taken up after a {how}", partial(taken_up, how=how)) for how in ("logout", "login", "logout by itself")),
    *(Case(f"taken up too early, {what}", partial(too_early, fails=fails))
      for what, fails in (("from a connection that lives", False), ("from one that failed", True))),
    Case("taken up twice", twice),
    *(Case(f"no task: {tag:#x}", partial(nobodys, tag=tag)) for tag in (0x7654, 0, NO_TAG)),
    Case("one's own task", own),
    Case("another session's task", of_another_session),
    Case("a task that was aborted meanwhile", aborted),
    Case("data before the task is taken up", data_before),
    Case("a session replaced while a task waits", replaced),
    Case("a session without a connection, another initiator", partial(stolen, initiator=INTRUDER + "2", isid=ISID)),
    Case("a session without a connection, another ISID", partial(stolen, initiator=INTRUDER, isid=b"\x80\0\0\0\0\x52")),
    Case("logout of a connection that is not there", no_such_connection),
    Case("a read that was answered already", read_again),
]  # fmt: skip


@pytest.mark.rfc7143(
    "6.3.4-3", "7.2.2-2", "7.2.2-4", "7.2.2-5", "11.5.1-8", "11.5.6-1", "6.3.4-1", "7.2.2-1", "7.5-1", "11.5.1-9",
    "11.5.6-2", "11.14-2"
)
@each(CASES)
def test_reassign(world: World, case: Case) -> None:
    world.run(case)
