"""Logins on top of each other, sessions replaced at bad moments, crowds (RFC 7143 sections 6.3.1, 6.3.5, 11.12)."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ietpy.initiator.errors import ConnectionLost
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import NO_TAG, Opcode
from tests.adversarial.world import (
    BLOCK,
    BLOCKS,
    INTRUDER,
    ISID,
    LOCKED,
    OPEN,
    PLAIN,
    Attacker,
    Case,
    World,
    each,
    names,
)

WHOLE = 0x87
LBA = 144
OTHER_ISID = b"\x80\0\0\0\0\x31"


def replace(attacker: Attacker, **plan: Any) -> Attacker:
    """Log in as the same initiator port on a new connection."""
    newer = attacker.another()
    newer.client.login(LoginPlan(**{"target": OPEN, "initiator": INTRUDER, "isid": ISID, **plan}))
    return newer


def works(attacker: Attacker) -> None:
    attacker.client.test_unit_ready(0)
    attacker.usable()


def replaced(attacker: Attacker, prepare: Callable[[Attacker], object], **plan: Any) -> None:
    """Session reinstatement (6.3.5): the old session ends first, and nothing of it reaches the disk afterwards."""
    attacker.log_in(keys={"InitialR2T": "Yes"})
    prepare(attacker)
    newer = replace(attacker, **plan)
    assert newer.client.read(0, 0, BLOCKS) == attacker.world.image
    gone(attacker)
    works(newer)


def gone(attacker: Attacker) -> None:
    """The target closes; what it had said before may still be on the way."""
    with contextlib.suppress(ConnectionLost):
        while True:
            attacker.client.receive_pdu()


def spared(attacker: Attacker, **plan: Any) -> None:
    """Another initiator port, however alike, replaces nobody."""
    attacker.log_in()
    newer = replace(attacker, **plan)
    attacker.usable()
    works(newer)


def waiting_write(attacker: Attacker) -> None:
    tag = attacker.new_tag()
    attacker.send(attacker.write(LBA, 16, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, 16 * BLOCK)
    attacker.send(attacker.data_out(tag, transfer_tag, b"\x61" * 4096, 0, final=False))


def whole_but_the_end(attacker: Attacker) -> None:
    """All the data of a write but its last byte."""
    tag = attacker.new_tag()
    attacker.send(attacker.write(LBA, 1, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, BLOCK)
    attacker.send(attacker.data_out(tag, transfer_tag, b"\x62" * BLOCK, 0)[:-1])


def many_writes(attacker: Attacker) -> None:
    for _ in range(40):
        waiting_write(attacker)


def held_writes(attacker: Attacker) -> None:
    number = attacker.client.session.numbering.cmd_sn
    for shift in range(1, 60):
        attacker.send(attacker.write(LBA, 1, b"\x63" * BLOCK, cmd_sn=number + shift))


def unread(attacker: Attacker) -> None:
    """Reads whose data nobody fetches."""
    for _ in range(100):
        attacker.send(attacker.read(0, BLOCKS))


def open_text(attacker: Attacker) -> None:
    attacker.send(attacker.make(Opcode.TEXT_REQUEST, b"X-half", flags=0x40, target_transfer_tag=NO_TAG))
    attacker.answer(Opcode.TEXT_RESPONSE)


def nothing(attacker: Attacker) -> None:
    pass


def interleaved(attacker: Attacker, first: tuple[int, ...], last: int) -> None:
    """Two logins of one initiator port at once: who ends last has the session."""
    for count, flags in enumerate(first):
        attacker.say(flags, names(PLAIN) if count == 0 else b"")
    newer = attacker.another()
    newer.client.login(LoginPlan(target=PLAIN, initiator=INTRUDER, isid=ISID))
    newer.quiet()
    attacker.say(last)
    gone(newer)
    attacker.quiet()


def in_turn(attacker: Attacker, count: int) -> None:
    """One session after the other, each replaced by the next."""
    attacker.log_in()
    for _ in range(count):
        newer = replace(attacker)
        gone(attacker)
        attacker = newer
    works(attacker)


def with_handle(attacker: Attacker, shift: int | None, isid: bytes, initiator: str, target: str, status: int) -> None:
    """A login that names a session (6.3.1): its table says what of it."""
    client = attacker.log_in(cid=1)
    assert client.outcome is not None
    tsih = 0x7FFF if shift is None else client.outcome.tsih + shift
    other = attacker.another()
    number = other.client.session.numbering.cmd_sn = client.session.numbering.cmd_sn  # of the session (11.12.8)
    other.send(other.login_request(WHOLE, names(target, initiator), tsih=tsih, isid=isid, cid=2, cmd_sn=number))
    other.refused(status)
    attacker.usable()


def hang_up(attacker: Attacker, steps: int) -> None:
    """The initiator goes after so many steps of a CHAP login."""
    requests = [names(LOCKED, AuthMethod="CHAP"), {"CHAP_A": "5"}, {"CHAP_N": "joe", "CHAP_R": "0x00"}]
    for keys in requests[:steps]:
        attacker.send(attacker.login_request(0, keys))
        attacker.client.receive_pdu()
    attacker.client.close()


def reset(attacker: Attacker, prepare: Callable[[Attacker], object]) -> None:
    """RST instead of FIN, at a bad moment."""
    attacker.log_in(keys={"InitialR2T": "Yes"})
    prepare(attacker)
    attacker.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    attacker.client.close()


def crowd(attacker: Attacker, count: int, prepare: Callable[[Attacker, int], object]) -> None:
    """Many at once, each from an address of its own; all of them go without a word."""
    everybody = []
    for number in range(count):
        one = attacker.another(f"127.3.0.{number + 1}")
        prepare(one, number)
        everybody.append(one)
    attacker.log_in()
    attacker.usable()
    for one in everybody:
        one.client.close()


def logs_in(attacker: Attacker, number: int) -> None:
    attacker.log_in(isid=b"\x80\0\0\0\1" + bytes((number,)))


def half_a_login(attacker: Attacker, number: int) -> None:
    attacker.send(attacker.login_request(WHOLE, names(PLAIN))[: number % 100])


def begins(attacker: Attacker, number: int) -> None:
    attacker.say(number % 2 << 2, names(PLAIN))


def discovers(attacker: Attacker, number: int) -> None:
    attacker.log_in("", isid=b"\x80\0\0\0\2" + bytes((number,)))


def deaf(attacker: Attacker) -> None:
    """One who asks for much and reads nothing holds up nobody but himself."""
    attacker.log_in()
    command = attacker.read(0, BLOCKS)
    with contextlib.suppress(OSError):  # the target may stop reading, too
        attacker.client.socket.setblocking(False)
        for _ in range(2000):
            attacker.client.socket.send(command)
    other = attacker.another()
    other.log_in(isid=OTHER_ISID)
    other.usable()


def no_isid(attacker: Attacker) -> None:
    attacker.send(attacker.login_request(WHOLE, names(PLAIN), isid=bytes(6)))
    attacker.refused(LoginStatus.MISSING_PARAMETER)


def renamed(attacker: Attacker, keys: dict[str, str]) -> None:
    """Who it is and what it wants must not change within the login."""
    attacker.say(0, names(PLAIN))
    attacker.send(attacker.login_request(0x01 | 0x80, keys))
    attacker.refused(LoginStatus.INITIATOR_ERROR)


def everything_at_once(attacker: Attacker) -> None:
    """A login, commands and the logout in one segment: each is answered in its turn."""
    login = attacker.login_request(WHOLE, names(PLAIN))
    numbering = attacker.client.session.numbering
    pings = [attacker.make(Opcode.NOP_OUT, b"%d" % count, target_transfer_tag=NO_TAG) for count in range(5)]
    read = attacker.read(0, 1)
    logout = attacker.make(Opcode.LOGOUT_REQUEST)
    attacker.send(login + b"".join(pings) + read + logout)
    attacker.answer(Opcode.LOGIN_RESPONSE, status=0)
    assert numbering.cmd_sn == 8
    for count in range(5):
        assert attacker.answer(Opcode.NOP_IN).data == b"%d" % count
    pdu = attacker.client.receive_pdu()
    if pdu.opcode == Opcode.SCSI_RESPONSE:  # the unit attention of a new nexus; or the logout ended it (11.14)
        assert pdu.header["status"] == 2
        pdu = attacker.client.receive_pdu()
    assert (pdu.opcode, pdu.header["response"]) == (Opcode.LOGOUT_RESPONSE, 0)
    attacker.dropped()


MOMENTS: dict[str, Callable[[Attacker], object]] = {
    "nothing under way": nothing, "a write half there": waiting_write,
    "a write all but its last byte": whole_but_the_end,
    "forty writes": many_writes, "writes ahead of their turn": held_writes, "reads nobody fetches": unread,
    "a text half there": open_text,
}  # fmt: skip
CASES = [
    *(Case(f"replaced with {what}", partial(replaced, prepare=prepare)) for what, prepare in MOMENTS.items()),
    Case("replaced under the name in capitals", partial(
        replaced, prepare=waiting_write, initiator=INTRUDER[:-8] + INTRUDER[-8:].upper())),
    Case("replaced with another CID", partial(replaced, prepare=waiting_write, cid=77)),
    Case("not replaced by another ISID", partial(spared, isid=OTHER_ISID)),
    Case("not replaced by another name", partial(spared, initiator=INTRUDER + "2")),
    Case("not replaced by another target's session", partial(spared, target=PLAIN)),
    Case("replaced five times", partial(in_turn, count=5)),
    *(
        Case(f"two logins at once, the first one {where}", partial(interleaved, first=first, last=last))
        for where, first, last in (
            ("in security", (0,), 0x83), ("in operational", (4,), WHOLE), ("past security", (0x81,), WHOLE),
            ("past two rounds", (0, 0, 0x81, 4), WHOLE),
        )
    ),
    *(
        Case(f"a login for a session {what}", partial(
            with_handle, shift=shift, isid=isid, initiator=initiator, target=target, status=status))
        for what, shift, isid, initiator, target, status in (
            ("that is not there", None, ISID, INTRUDER, OPEN, LoginStatus.SESSION_DOES_NOT_EXIST),
            ("that is not there, new ISID", None, OTHER_ISID, INTRUDER, OPEN, LoginStatus.SESSION_DOES_NOT_EXIST),
            ("with its one connection", 0, ISID, INTRUDER, OPEN, LoginStatus.TOO_MANY_CONNECTIONS),
            ("of another ISID", 0, OTHER_ISID, INTRUDER, OPEN, LoginStatus.SESSION_DOES_NOT_EXIST),
            ("of another initiator", 0, ISID, INTRUDER + "2", OPEN, LoginStatus.SESSION_DOES_NOT_EXIST),
            ("of another target", 0, ISID, INTRUDER, PLAIN, LoginStatus.SESSION_DOES_NOT_EXIST),
        )
    ),
    *(Case(f"hanging up after {steps} steps of CHAP", partial(hang_up, steps=steps)) for steps in range(4)),
    *(Case(f"RST with {what}", partial(reset, prepare=prepare)) for what, prepare in MOMENTS.items()),
    *(
        Case(f"{count} connections: {what}", partial(crowd, count=count, prepare=prepare))
        for what, count, prepare in (
            ("sessions", 30, logs_in), ("half a login", 100, half_a_login), ("logins begun", 60, begins),
            ("discovery", 30, discovers),
        )
    ),
    Case("one who reads nothing", deaf),
    Case("no ISID", no_isid),
    *(
        Case(f"{' and '.join(keys)} changed within the login", partial(renamed, keys=keys))
        for keys in (
            {"InitiatorName": "iqn.2026-01.test:other"}, {"TargetName": OPEN}, {"SessionType": "Discovery"},
        )
    ),
    Case("a whole session in one segment", everything_at_once),
]  # fmt: skip


@pytest.mark.rfc7143("4.2.4-2", "6.3.1-2", "6.3.1-3", "6.3.1-6", "6.3.5-1", "7.15-1", "4.4.3-2")
@each(CASES)
def test_logins(world: World, case: Case) -> None:
    world.run(case)
