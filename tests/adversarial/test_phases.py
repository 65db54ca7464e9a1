"""Every kind of PDU in every phase of a connection's life (RFC 7143 sections 4.2.4, 4.3, 7.4.3, 11.14, 11.17)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ietpy.initiator.framing import build_pdu
from ietpy.initiator.text import decode, encode
from ietpy.iscsi.errors import LoginStatus, RejectReason
from ietpy.iscsi.pdu import FINAL, IMMEDIATE, LAYOUTS, NO_TAG, TRANSIT, Opcode
from ietpy.scsi.status import Status
from tests.adversarial.world import OPEN, PLAIN, Attacker, Case, World, each, names

#: Every opcode with a name but Login Request, which has a test module of its own, and some without.
OPCODES = sorted({*LAYOUTS, 0x07, 0x1C, 0x1E, 0x3E} - {Opcode.LOGIN_REQUEST})
REQUESTS = {opcode for opcode in LAYOUTS if opcode < 0x20}
WITH_TRANSFER_TAG = {Opcode.NOP_OUT, Opcode.TEXT_REQUEST, Opcode.DATA_OUT, Opcode.SNACK_REQUEST}
UNKNOWN = 0x1C
SECURITY, OPERATIONAL = 0, 1


def name(opcode: int) -> str:
    return Opcode(opcode).name if opcode in LAYOUTS else f"opcode {opcode:#04x}"


def sane(attacker: Attacker, opcode: int, *, immediate: bool = False) -> bytes:
    """A PDU of this kind that is well formed and does no harm."""
    fields: dict[str, int] = {}
    data = b""
    if opcode in WITH_TRANSFER_TAG:
        fields = {"target_transfer_tag": NO_TAG}
    elif opcode not in REQUESTS:  # as a target reads it: with a CmdSN
        fields = {"opcode_byte": opcode | (IMMEDIATE if immediate else 0)}
        opcode = UNKNOWN
    if opcode == Opcode.TASK_MANAGEMENT_REQUEST:
        fields = {"flags": FINAL | 2, "referenced_task_tag": NO_TAG}  # ABORT TASK SET
    elif opcode == Opcode.TEXT_REQUEST:
        data = encode({"SendTargets": OPEN})
    if attacker.client.outcome is not None:
        return attacker.make(opcode, data, immediate=immediate, **fields)
    return build_pdu(opcode, data, immediate=immediate, **{"flags": FINAL, "initiator_task_tag": 9, **fields})


# Before the full feature phase -------------------------------------------------------------------------------------


def before_login(attacker: Attacker, opcode: int, immediate: bool) -> None:
    attacker.send(sane(attacker, opcode, immediate=immediate))
    attacker.dropped()


def within_login(attacker: Attacker, stages: tuple[int, ...], opcode: int, immediate: bool) -> None:
    for count, flags in enumerate(stages):
        attacker.say(flags, names(PLAIN) if count == 0 else b"")
    attacker.send(sane(attacker, opcode, immediate=immediate))
    attacker.refused(LoginStatus.INVALID_DURING_LOGIN)


def between_pieces(attacker: Attacker, opcode: int) -> None:
    """The C bit was set: the text is not even whole."""
    attacker.say(0x40, b"InitiatorNa")
    attacker.send(sane(attacker, opcode))
    attacker.refused(LoginStatus.INVALID_DURING_LOGIN)


# In the full feature phase -----------------------------------------------------------------------------------------


def nop_in(attacker: Attacker) -> None:
    attacker.answer(Opcode.NOP_IN, target_transfer_tag=NO_TAG)


def scsi_response(attacker: Attacker) -> None:
    attacker.answer(Opcode.SCSI_RESPONSE, status=Status.GOOD, response=0)


def function_complete(attacker: Attacker) -> None:
    attacker.answer(Opcode.TASK_MANAGEMENT_RESPONSE, response=0)


def own_target(attacker: Attacker) -> None:
    pdu = attacker.answer(Opcode.TEXT_RESPONSE, flags=FINAL, target_transfer_tag=NO_TAG)
    assert dict(decode(pdu.data))["TargetName"] == OPEN


def nothing(attacker: Attacker) -> None:
    pass


def logged_out(attacker: Attacker) -> None:
    attacker.answer(Opcode.LOGOUT_RESPONSE, response=0)
    attacker.dropped()


#: What a normal session answers; anything else is Rejected as not supported.
NORMAL: dict[int, Callable[[Attacker], None]] = {
    Opcode.NOP_OUT: nop_in,
    Opcode.SCSI_COMMAND: scsi_response,
    Opcode.TASK_MANAGEMENT_REQUEST: function_complete,
    Opcode.TEXT_REQUEST: own_target,
    Opcode.DATA_OUT: nothing,  # of a task that may have been aborted while it was under way
    Opcode.LOGOUT_REQUEST: logged_out,
}
#: A discovery session: section 4.3 leaves two requests.
DISCOVERY = {Opcode.TEXT_REQUEST: own_target, Opcode.LOGOUT_REQUEST: logged_out}
REASONS = {Opcode.SNACK_REQUEST: RejectReason.SNACK_REJECT}


def normal(attacker: Attacker, opcode: int, immediate: bool) -> None:
    attacker.log_in()
    sent = sane(attacker, opcode, immediate=immediate)
    attacker.send(sent)
    if opcode in NORMAL:
        NORMAL[opcode](attacker)
    else:
        attacker.rejected(REASONS.get(Opcode(opcode), 5) if opcode in LAYOUTS else 5, sent)
    if opcode != Opcode.LOGOUT_REQUEST:
        attacker.usable()


def discovery(attacker: Attacker, opcode: int, immediate: bool) -> None:
    attacker.log_in("")
    sent = sane(attacker, opcode, immediate=immediate)
    attacker.send(sent)
    if opcode in DISCOVERY:
        DISCOVERY[opcode](attacker)
    else:
        attacker.rejected(RejectReason.COMMAND_NOT_SUPPORTED, sent)
    if opcode != Opcode.LOGOUT_REQUEST:
        assert [found for found, _ in attacker.client.discover(OPEN)] == [OPEN]


def after_logout(attacker: Attacker, opcode: int, target: str) -> None:
    """Section 11.14: an initiator must not send it; the target answers nothing any more."""
    attacker.log_in(target)
    logout = attacker.make(Opcode.LOGOUT_REQUEST, immediate=True)
    attacker.send(logout, sane(attacker, opcode))
    attacker.answer(Opcode.LOGOUT_RESPONSE, response=0)
    attacker.dropped()


def login_again(attacker: Attacker, target: str, flags: int, fields: dict[str, int]) -> None:
    """Section 4.2.4: no second Login Phase on a connection."""
    client = attacker.log_in(target)
    attacker.send(attacker.login_request(flags, names(PLAIN), cmd_sn=client.session.numbering.cmd_sn, **fields))
    attacker.dropped()


STAGES = {
    "security": (SECURITY << 2,),
    "operational": (OPERATIONAL << 2,),
    "operational after security": (TRANSIT | SECURITY << 2 | OPERATIONAL,),
}
CASES = [
    *(
        Case(f"{name(opcode)}, I={immediate:d}: {when}", partial(attack, opcode=opcode, immediate=immediate))
        for opcode in OPCODES
        for immediate in (False, True)
        for when, attack in (
            ("before login", before_login),
            *((f"in {stage}", partial(within_login, stages=stages)) for stage, stages in STAGES.items()),
            ("in a normal session", normal),
            ("in a discovery session", discovery),
        )
    ),
    *(
        Case(f"{name(opcode)}: {when}", partial(attack, opcode=opcode))
        for opcode in OPCODES
        for when, attack in (
            ("between two pieces of a key", between_pieces),
            ("after the logout of a normal session", partial(after_logout, target=OPEN)),
            ("after the logout of a discovery session", partial(after_logout, target="")),
        )
    ),
    *(
        Case(
            f"a second login, {what}, in {kind}",
            partial(login_again, target=target, flags=flags, fields={"tsih": tsih, "immediate": immediate}),
        )
        for what, flags, tsih, immediate in (
            ("whole", 0x87, 0, True), ("of the security stage", 0x00, 0, True), ("with a TSIH", 0x87, 1, True),
            ("not immediate", 0x87, 0, False),
        )
        for kind, target in (("a normal session", OPEN), ("a discovery session", ""))
    ),
]


@pytest.mark.rfc7143("4.2.4-2", "4.2.4-3", "4.2.4-4", "4.3-2", "11.2.1.2-1", "11.14-3")
@each(CASES)
def test_phases(world: World, case: Case) -> None:
    world.run(case)
