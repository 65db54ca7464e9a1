"""Sessions of several connections where they do not fit together (RFC 7143 sections 4.2.5.1, 6.3, 7.2.2, 11.14)."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ietpy.initiator.errors import ConnectionLost, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from tests.adversarial.world import (
    BLOCK,
    GUARDED,
    INTRUDER,
    ISID,
    MANY,
    OPEN,
    PLAIN,
    SECRET,
    Attacker,
    Case,
    World,
    each,
    names,
)

WHOLE = 0x87
LBA = 208
ABORT_TASK, ABORT_TASK_SET, REASSIGN = 1, 2, 8
NO_SESSION, TOO_MANY, WRONG = (
    LoginStatus.SESSION_DOES_NOT_EXIST, LoginStatus.TOO_MANY_CONNECTIONS, LoginStatus.INITIATOR_ERROR,
)  # fmt: skip
UNIT_ATTENTION, CLEARED = 0x06, 0x477F  #: SOME COMMANDS CLEARED BY ISCSI PROTOCOL EVENT
KEYS = {"MaxConnections": "4", "InitialR2T": "Yes"}


def lead(attacker: Attacker, keys: dict[str, str] | None = None, **plan: Any) -> Attacker:
    attacker.log_in(MANY, {**KEYS, **(keys or {})}, cid=1, **plan)
    return attacker


def join(leader: Attacker, cid: int = 2, **changes: Any) -> Attacker:
    """One more connection of the session."""
    other = leader.another()
    other.client.join(leader.client, cid, **changes)
    return other


def works(attacker: Attacker) -> None:
    tag = attacker.new_tag()
    attacker.send(attacker.read(0, 1, initiator_task_tag=tag))
    assert attacker.answer(Opcode.DATA_IN, initiator_task_tag=tag, flags=0x81).data == attacker.world.image[:BLOCK]


def gone(attacker: Attacker) -> None:
    """The target has closed it."""
    with contextlib.suppress(ConnectionLost):
        while True:
            attacker.client.receive_pdu()


def refused(attacker: Attacker, status: int, text: dict[str, str] | None = None, flags: int = WHOLE, shift: int = 0,
            keys: dict[str, str] | None = None, **fields: Any) -> None:
    """A login that would join and may not; the session notices nothing."""
    lead(attacker, keys)
    outcome = attacker.client.outcome
    assert outcome is not None
    other = attacker.another()
    number = other.client.session.numbering.cmd_sn = attacker.client.session.numbering.cmd_sn
    other.send(other.login_request(
        flags, text or names(MANY), **{"tsih": (outcome.tsih + shift) & 0xFFFF, "cid": 2, "cmd_sn": number, **fields}
    ))
    other.refused(status)
    works(attacker)


def one_too_many(attacker: Attacker) -> None:
    lead(attacker)
    others = [join(attacker, cid) for cid in (2, 3, 4)]
    with pytest.raises(LoginRefused, match="02/06"):
        join(attacker, 5)
    for one in (attacker, *others):
        works(one)


def all_of_them(attacker: Attacker) -> None:
    """Four connections, each answered on its own."""
    lead(attacker)
    everybody = [attacker, *(join(attacker, cid) for cid in (2, 3, 65535))]
    for _ in range(3):
        for one in everybody:
            works(one)
            one.quiet()


def hole(attacker: Attacker) -> None:
    """A command waits on one connection for the one before it, which comes on another (4.2.2.1)."""
    lead(attacker)
    other = join(attacker)
    number = attacker.client.session.numbering.cmd_sn
    attacker.client.session.numbering.cmd_sn += 2
    tags = attacker.new_tag(), other.new_tag()
    attacker.send(attacker.make(
        Opcode.NOP_OUT, b"second", cmd_sn=number + 1, initiator_task_tag=tags[0], target_transfer_tag=NO_TAG))
    attacker.quiet()
    other.quiet()
    other.send(other.make(
        Opcode.NOP_OUT, b"first", cmd_sn=number, initiator_task_tag=tags[1], target_transfer_tag=NO_TAG))
    assert other.answer(Opcode.NOP_IN, initiator_task_tag=tags[1]).data == b"first"
    assert attacker.answer(Opcode.NOP_IN, initiator_task_tag=tags[0]).data == b"second"


def same_number(attacker: Attacker) -> None:
    """Two commands of one number on two connections: one of them is executed."""
    lead(attacker)
    other = join(attacker)
    number = attacker.client.session.numbering.cmd_sn
    attacker.client.session.numbering.cmd_sn += 1
    tag, data = attacker.new_tag(), b"\x31" * BLOCK
    attacker.send(attacker.write(LBA, 1, data, cmd_sn=number, initiator_task_tag=tag))
    attacker.good(tag)
    attacker.wrote(LBA, data)
    other.send(other.write(LBA, 1, b"\x32" * BLOCK, cmd_sn=number))
    other.quiet()
    works(other)


def wrong_connection(attacker: Attacker) -> None:
    """Data of a write belongs on the connection of its command (4.2.5.1)."""
    lead(attacker)
    other = join(attacker)
    tag, transfer_tag, _ = attacker.waiting_write(LBA)
    other.send(other.data_out(tag, transfer_tag, b"\x34" * BLOCK, 0))
    attacker.quiet()
    attacker.finish(LBA, tag, transfer_tag, b"\x33" * BLOCK)
    works(attacker)


def tag_in_use(attacker: Attacker) -> None:
    """A tag names one task of the session, whatever connection it is on (11.2.1.8)."""
    lead(attacker)
    other = join(attacker)
    tag, transfer_tag, _ = attacker.waiting_write(LBA)
    again = other.command(bytes(16), initiator_task_tag=tag, immediate=True)
    other.send(again)
    other.rejected(0x07, again)
    attacker.finish(LBA, tag, transfer_tag, b"\x33" * BLOCK)
    works(other)


def manage(attacker: Attacker, function: int, **fields: Any) -> int:
    tag = attacker.new_tag()
    attacker.send(attacker.make(
        Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=FINAL | function, initiator_task_tag=tag,
        **{"referenced_task_tag": NO_TAG, **fields},
    ))
    return tag


def aborted_from_elsewhere(attacker: Attacker, function: int) -> None:
    """Functions act on tasks of all connections of the session."""
    lead(attacker)
    other = join(attacker)
    tag, transfer_tag, number = attacker.waiting_write(LBA)
    fields = {"referenced_task_tag": tag, "ref_cmd_sn": number} if function == ABORT_TASK else {}
    sent = manage(other, function, **fields)
    if function == ABORT_TASK_SET:  # what was sent here before must have come here first (4.2.3.3, d)
        other.quiet()
        ping = attacker.answer(Opcode.NOP_IN, initiator_task_tag=NO_TAG)
        attacker.send(attacker.make(
            Opcode.NOP_OUT, immediate=True, initiator_task_tag=NO_TAG, lun=ping.header["lun"],
            target_transfer_tag=ping.header["target_transfer_tag"],
        ))
    other.answer(Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=sent, response=0)
    attacker.send(attacker.data_out(tag, transfer_tag, b"\x35" * BLOCK, 0))
    attacker.quiet()
    works(other)


def logout_of(attacker: Attacker, reason: int, cid: int, code: int, ends: tuple[int, ...]) -> None:
    """A logout on connection 2; ``ends``: the connections that close."""
    lead(attacker)
    connections = {1: attacker, 2: join(attacker), 3: join(attacker, 3)}
    tag = connections[2].new_tag()
    connections[2].send(connections[2].make(
        Opcode.LOGOUT_REQUEST, flags=FINAL | reason, immediate=True, initiator_task_tag=tag, cid=cid
    ))
    connections[2].answer(Opcode.LOGOUT_RESPONSE, initiator_task_tag=tag, response=code)
    for number, connection in connections.items():
        if number in ends:
            gone(connection)
        else:
            works(connection)


def same_cid(attacker: Attacker, prepare: Callable[[Attacker], object]) -> None:
    """Connection reinstatement (6.3.4): below level 2 the old one's tasks end, and nothing of them is written."""
    lead(attacker)
    other = join(attacker)
    prepare(other)
    newer = join(attacker, 2)
    gone(other)
    if prepare is half_a_write:  # the session hears that a task was ended (11.14.5)
        tag = newer.new_tag()
        newer.send(newer.command(bytes(16), initiator_task_tag=tag))
        newer.failed(tag, UNIT_ATTENTION, CLEARED)
    works(newer)
    works(attacker)


def reinstated(attacker: Attacker) -> None:
    """Session reinstatement ends all connections of the old session."""
    lead(attacker)
    others = [join(attacker, cid) for cid in (2, 3)]
    for one in (attacker, *others):
        one.waiting_write(LBA)
    newer = attacker.another()
    newer.client.login(LoginPlan(target=MANY, initiator=INTRUDER, isid=ISID))
    for one in (attacker, *others):
        gone(one)
    newer.client.test_unit_ready(0)
    works(newer)


def without_proof(attacker: Attacker, chap: Chap | None, flags: int) -> None:
    """Each connection proves who it is; that the session is authenticated is not enough."""
    attacker.log_in(GUARDED, {"MaxConnections": "2"}, Chap("joe", SECRET), cid=1)
    outcome = attacker.client.outcome
    assert outcome is not None
    other = attacker.another()
    other.client.session.numbering.cmd_sn = attacker.client.session.numbering.cmd_sn
    if chap is None:
        number = attacker.client.session.numbering.cmd_sn
        other.send(other.login_request(flags, names(GUARDED), tsih=outcome.tsih, cid=2, cmd_sn=number))
        other.refused(LoginStatus.AUTHENTICATION_FAILURE)
    else:
        with pytest.raises(LoginRefused, match="02/01"):
            other.client.join(attacker.client, 2, chap=chap)
    works(attacker)
    one = attacker.another()
    one.client.join(attacker.client, 2)
    works(one)


def broken_off(attacker: Attacker, prepare: Callable[[Attacker], object]) -> None:
    """A connection of two is reset in the middle of a write: that is not written, and everything ends or goes on."""
    lead(attacker)
    other = join(attacker)
    prepare(other)
    other.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.client.close()
    newer = attacker.another()
    newer.client.login(LoginPlan(target=MANY, initiator=INTRUDER, isid=ISID))
    gone(attacker)
    newer.client.test_unit_ready(0)
    works(newer)


def reassign(attacker: Attacker, level: str, code: int, own: bool) -> None:
    """TASK REASSIGN of a task that is still allegiant, of none, or below level 2 (11.6.1)."""
    lead(attacker, {"ErrorRecoveryLevel": level})
    other = join(attacker)
    tag, transfer_tag, _ = attacker.waiting_write(LBA)
    sent = manage(other, REASSIGN, referenced_task_tag=tag if own else 0x7654)
    other.answer(Opcode.TASK_MANAGEMENT_RESPONSE, initiator_task_tag=sent, response=code)
    attacker.finish(LBA, tag, transfer_tag, b"\x33" * BLOCK)
    works(other)


def nothing(attacker: Attacker) -> None:
    pass


def half_a_write(attacker: Attacker) -> None:
    tag, transfer_tag, _ = attacker.waiting_write(LBA)
    attacker.send(attacker.data_out(tag, transfer_tag, b"\x36" * BLOCK, 0)[:-1])


def held(attacker: Attacker) -> None:
    number = attacker.client.session.numbering.cmd_sn
    attacker.send(attacker.write(LBA, 1, b"\x37" * BLOCK, cmd_sn=number + 1))
    attacker.quiet()


CASES = [
    Case("four connections", all_of_them),
    Case("a fifth connection", one_too_many),
    *(
        Case(f"joining {what}", partial(refused, status=status, **options))
        for what, status, options in (
            ("with another ISID", NO_SESSION, {"isid": b"\x80\0\0\0\0\x42"}),
            ("under another name", NO_SESSION, {"text": names(MANY, INTRUDER + "2")}),
            ("at another target", NO_SESSION, {"text": names(PLAIN)}),
            ("at a third target", NO_SESSION, {"text": names(OPEN)}),
            ("with the next TSIH", NO_SESSION, {"shift": 1}),
            ("with the TSIH before", NO_SESSION, {"shift": -1 & 0xFFFF}),
            ("a session of one connection", TOO_MANY, {"keys": {"MaxConnections": "1"}}),
            ("from stage 2", WRONG, {"flags": 0x8B}),
            ("from the full feature phase", WRONG, {"flags": 0x8F}),
        )
    ),
    Case("a hole filled by another connection", hole),
    Case("one number on two connections", same_number),
    Case("data on the wrong connection", wrong_connection),
    Case("a tag in use on another connection", tag_in_use),
    *(Case(f"function {function} from another connection", partial(aborted_from_elsewhere, function=function))
      for function in (ABORT_TASK, ABORT_TASK_SET)),
    *(
        Case(f"logout for reason {reason} of CID {cid}", partial(
            logout_of, reason=reason, cid=cid, code=code, ends=ends))
        for reason, cid, code, ends in (
            (0, 0, 0, (1, 2, 3)), (0, 77, 0, (1, 2, 3)), (1, 2, 0, (2,)), (1, 1, 0, (1,)), (1, 3, 0, (3,)),
            (1, 77, 1, ()), (2, 1, 2, ()), (2, 2, 2, ()), (2, 77, 2, ()),
        )
    ),
    *(
        Case(f"a second connection of one CID, {what}", partial(same_cid, prepare=prepare))
        for what, prepare in (("nothing under way", nothing), ("half a write", half_a_write), ("a write held", held))
    ),
    Case("a session of three connections replaced", reinstated),
    *(
        Case(f"joining without proof: {what}", partial(without_proof, chap=chap, flags=flags))
        for what, chap, flags in (
            ("no security stage", None, WHOLE), ("an empty security stage", None, 0x83),
            ("a wrong secret", Chap("joe", "wrongwrong12"), 0), ("a wrong user", Chap("jim", SECRET), 0),
        )
    ),
    *(
        Case(f"a connection reset with {what}", partial(broken_off, prepare=prepare))
        for what, prepare in (("nothing under way", nothing), ("half a write", half_a_write), ("a write held", held))
    ),
    *(
        Case(f"TASK REASSIGN at level {level}, {what}", partial(reassign, level=level, code=code, own=own))
        for level, what, code, own in (("0", "a task", 4, True), ("1", "a task", 4, True), ("0", "no task", 4, False))
    ),
]  # fmt: skip


@pytest.mark.rfc7143(
    "4.2.2.1-5", "4.2.5.1-1", "4.2.5.1-2", "6.3.1-4", "6.3.1-5", "6.3.1-6", "6.3.4-2", "6.3.4-3", "6.3.5-1",
    "11.12.6-1", "11.14-1"
)
@each(CASES)
def test_connections(world: World, case: Case) -> None:
    world.run(case)
