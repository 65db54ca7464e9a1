"""Every opcode with and without I, with sets of flags and variants of its fields, in every phase, against a table.

The table (``ROWS``) is read from the top; the first row that fits says what must happen: an answer and its code, a
Reject and its reason, silence, or the end of the connection. Every combination has a row, and every row is needed.
Nothing but FormatError may come out of a connection, and what it sends is judged as in the fuzzing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ietpy.initiator.errors import decode_sense
from ietpy.initiator.framing import build_pdu
from ietpy.initiator.text import encode
from ietpy.iscsi.errors import LoginStatus, RejectReason
from ietpy.iscsi.pdu import CONTINUE, FINAL, IMMEDIATE, NO_TAG, REQUEST, TRANSIT, UNNUMBERED, Opcode
from tests.adversarial.memory import Memory, Wire
from tests.adversarial.world import INTRUDER, ISID, PLAIN, names
from tests.fuzz.judge import Judge, Pdu

FIRST, USED, FRESH = 100, 0x50, 0x60  #: CmdSN of the login; tags of the write that waits and of the request in question
FULL_FEATURE = ("normal", "write waits", "text open", "discovery")
FLAGS = (0x00, FINAL, CONTINUE, FINAL | CONTINUE, 0x20, 0xA0, 0xE0, 0x81, 0x87, 0x83, 0x04, 0xFF)


@dataclass(frozen=True)
class Asked:
    """One combination."""

    phase: str
    opcode: int
    immediate: bool
    flags: int
    variant: str

    @property
    def numbered(self) -> bool:
        return not self.immediate and self.opcode not in UNNUMBERED

    @property
    def function(self) -> int:
        return self.flags & 0x7F

    @property
    def held(self) -> bool:
        """Whether it does not come to execution now."""
        return self.numbered and self.variant in ("early", "behind") and self.full_feature

    @property
    def full_feature(self) -> bool:
        return self.phase in FULL_FEATURE


#: Fields over the plain ones: no data, reserved transfer tag, a fresh task tag, the next CmdSN.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "data": {"data": b"A=1\0"},
    "reserved tag": {"initiator_task_tag": NO_TAG},
    "tag in use": {"initiator_task_tag": USED},
    "transfer tag": {"word20": 0x00070007},
    "early": {"cmd_sn": FIRST + 5},
    "behind": {"cmd_sn": FIRST - 1},
    "segment": {"ahs": b"\0\x05\x01\0abcd"},
}


def login(flags: int, text: dict[str, str]) -> bytes:
    return build_pdu(
        Opcode.LOGIN_REQUEST, encode(text), immediate=True, flags=flags, isid=ISID, initiator_task_tag=7, cid=7,
        cmd_sn=FIRST, exp_stat_sn=500,
    )


def at_once(opcode: int, data: bytes = b"", **fields: Any) -> bytes:
    """An immediate request of a session."""
    return build_pdu(opcode, data, **{"flags": FINAL, "immediate": True, "cmd_sn": FIRST, **fields})


#: A session whose unit attention is gone.
NORMAL = (login(0x87, names(PLAIN)), at_once(Opcode.SCSI_COMMAND, initiator_task_tag=1, cdb=bytes(16)))
#: What is sent to come into each phase.
PHASES: dict[str, tuple[bytes, ...]] = {
    "before login": (),
    "security": (login(0, names(PLAIN)),),
    "operational": (login(0x04, names(PLAIN)),),
    "half a key": (login(CONTINUE | 0x04, {}),),
    "discovery": (login(0x87, {"InitiatorName": INTRUDER, "SessionType": "Discovery"}),),
    "normal": NORMAL,
    "write waits": (*NORMAL, at_once(
        Opcode.SCSI_COMMAND, flags=0xA0, initiator_task_tag=USED, expected_data_transfer_length=512,
        cdb=b"\x2a" + bytes(7) + b"\x01" + bytes(7),
    )),
    "text open": (*NORMAL, at_once(
        Opcode.TEXT_REQUEST, encode({"X-a": "1"}), flags=0, initiator_task_tag=USED, target_transfer_tag=NO_TAG
    )),
    "logged out": (*NORMAL, at_once(Opcode.LOGOUT_REQUEST, initiator_task_tag=2)),
}


def request(asked: Asked) -> bytes:
    fields = {"word20": NO_TAG, "initiator_task_tag": FRESH, "cmd_sn": FIRST, "data": b"", "ahs": b"",
              **VARIANTS[asked.variant]}  # fmt: skip
    data, ahs = fields.pop("data"), fields.pop("ahs")
    if asked.opcode == Opcode.SCSI_COMMAND:
        fields["word20"] = 0  # EDTL
    elif asked.opcode == Opcode.LOGIN_REQUEST:  # always of the login that is under way
        isid = int.from_bytes(ISID + b"\0\0", "big")
        fields = {"lun": isid, "word20": 7 << 16, "initiator_task_tag": 7, "cmd_sn": FIRST}
        if asked.phase == "before login" or (asked.phase == "half a key" and asked.variant == "data"):
            data = encode(names(PLAIN))
    elif asked.phase == "discovery" and asked.opcode == Opcode.TEXT_REQUEST:
        data = encode({"SendTargets": "All"})
    header = REQUEST.pack(
        opcode=asked.opcode | (IMMEDIATE if asked.immediate else 0), flags=asked.flags,
        lengths=len(ahs) // 4 << 24 | len(data), exp_stat_sn=500, tail=bytes(16), **fields,
    )
    return header + ahs + data + bytes(-len(data) % 4)


# What must happen -----------------------------------------------------------------------------------------------------

Outcome = tuple[Any, ...]
SILENCE: Outcome = ("silence",)
DROP: Outcome = ("drop",)


def refused(status: int) -> Outcome:
    return ("login", int(status))


def rejected(reason: int) -> Outcome:
    return ("reject", int(reason))


def answered(opcode: int, code: int = 0) -> Outcome:
    return ("answer", int(opcode), code)


def transit(asked: Asked) -> bool:
    """Whether a Login Request's flags are right (section 6.3's table, 11.12.2)."""
    stage = {"before login": asked.flags >> 2 & 3, "security": 0, "operational": 1, "half a key": 1}[asked.phase]
    given, following = asked.flags >> 2 & 3, asked.flags & 3
    if given != stage or given > 1 or (asked.flags & TRANSIT and asked.flags & CONTINUE):
        return False
    return not asked.flags & TRANSIT or (given, following) in ((0, 1), (0, 3), (1, 3))


KNOWN_FUNCTIONS = {1: 1, 2: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 4}  # of no such task; the others are not supported
FAILED_DATA = ("check", 0x0B, 0x0C0C)
ACA = 4  #: the last task attribute there is (11.3.1)


def command(asked: Asked) -> Outcome:
    """TEST UNIT READY with EDTL 0: no data, and R and W may be as they like (section 11.3.1)."""
    if not asked.flags & FINAL:  # InitialR2T=Yes; what was announced is waited for (11.17.1)
        return SILENCE if asked.flags & 0x20 else FAILED_DATA
    return FAILED_DATA if asked.variant == "data" else answered(Opcode.SCSI_RESPONSE)


def logout(asked: Asked) -> Outcome:
    """Reason 0 always, 1 for CID 7, 2 never at ErrorRecoveryLevel 0 (section 11.15.1)."""
    if asked.function > 2:
        return rejected(RejectReason.PROTOCOL_ERROR)
    if asked.function == 1:
        return answered(Opcode.LOGOUT_RESPONSE, 0 if asked.variant == "transfer tag" else 1)
    return answered(Opcode.LOGOUT_RESPONSE, asked.function)


def text(asked: Asked) -> Outcome:
    """F and C exclude each other (11.10.2); a transfer tag must be one that was given (11.10.4)."""
    if (asked.flags & FINAL and asked.flags & CONTINUE) or asked.variant == "transfer tag":
        return rejected(RejectReason.PROTOCOL_ERROR)
    return answered(Opcode.TEXT_RESPONSE)


Rule = tuple[Callable[[Asked], object], Outcome | Callable[[Asked], Outcome]]
LOGIN, NOP, COMMAND, FUNCTION, TEXT, DATA, LOGOUT, SNACK = (
    Opcode.LOGIN_REQUEST, Opcode.NOP_OUT, Opcode.SCSI_COMMAND, Opcode.TASK_MANAGEMENT_REQUEST, Opcode.TEXT_REQUEST,
    Opcode.DATA_OUT, Opcode.LOGOUT_REQUEST, Opcode.SNACK_REQUEST,
)  # fmt: skip
KNOWN = (NOP, COMMAND, FUNCTION, TEXT, DATA, LOGOUT, SNACK)
TASKS = (NOP, COMMAND, FUNCTION, TEXT, LOGOUT)
FIELD = rejected(RejectReason.INVALID_PDU_FIELD)
ROWS: dict[str, Rule] = {
    "nothing is answered after a logout (11.14)": (lambda a: a.phase == "logged out", SILENCE),
    "a login begins with a Login Request (4.2.4)": (lambda a: a.phase == "before login" and a.opcode != LOGIN, DROP),
    "and goes on with them (4.2.4)": (
        lambda a: not a.full_feature and a.opcode != LOGIN, refused(LoginStatus.INVALID_DURING_LOGIN),
    ),
    "none has additional header segments (11.12)": (lambda a: not a.full_feature and a.variant == "segment", DROP),
    "stages come in their order (6.3)": (
        lambda a: not a.full_feature and not transit(a), refused(LoginStatus.INITIATOR_ERROR),
    ),
    "who it is must be said (6.3.1)": (
        lambda a: a.phase == "half a key" and not a.flags & CONTINUE and a.variant != "data",
        refused(LoginStatus.MISSING_PARAMETER),
    ),
    "a login goes on": (lambda a: not a.full_feature, refused(LoginStatus.SUCCESS)),
    "there is no second login (4.2.4)": (lambda a: a.opcode == LOGIN and a.variant != "segment", DROP),
    "its turn has not come, or has passed (4.2.2.1)": (lambda a: a.held, SILENCE),
    "additional header segments belong to commands (11.2.2)": (
        lambda a: a.variant == "segment" and a.opcode != COMMAND, FIELD,
    ),
    "a discovery session takes two requests (4.3)": (
        lambda a: a.phase == "discovery" and a.opcode not in (TEXT, LOGOUT),
        rejected(RejectReason.COMMAND_NOT_SUPPORTED),
    ),
    "an answer to a ping of the target's has no task (11.18.1)": (
        lambda a: a.opcode == NOP and a.variant == "reserved tag" and a.immediate, SILENCE,
    ),
    "the reserved tag names no task (11.2.1.8)": (lambda a: a.opcode in TASKS and a.variant == "reserved tag", FIELD),
    "a tag names one task (11.2.1.8)": (
        lambda a: a.opcode in TASKS and a.variant == "tag in use" and a.phase == "write waits",
        rejected(RejectReason.TASK_IN_PROGRESS),
    ),
    "a discovery session knows one reason to log out (4.3)": (
        lambda a: a.phase == "discovery" and a.opcode == LOGOUT and a.function,
        rejected(RejectReason.COMMAND_NOT_SUPPORTED),
    ),
    "there are five task attributes (11, 11.3.1)": (
        lambda a: a.opcode == COMMAND and a.flags & 0x07 > ACA, rejected(RejectReason.PROTOCOL_ERROR),
    ),
    "a ping": (lambda a: a.opcode == NOP, answered(Opcode.NOP_IN)),
    "a command": (lambda a: a.opcode == COMMAND, command),
    "a function of many tasks waits for the commands sent before it (4.2.3.3, b)": (
        lambda a: a.opcode == FUNCTION and a.immediate and a.variant == "early" and a.function in (2, 4, 5), SILENCE,
    ),
    "a function (11.6.1)": (
        lambda a: a.opcode == FUNCTION,
        lambda a: answered(Opcode.TASK_MANAGEMENT_RESPONSE, KNOWN_FUNCTIONS.get(a.function, 5)),
    ),
    "a text": (lambda a: a.opcode == TEXT, text),
    "data out of its sequence, at the end of that (7.9, 11.17.1)": (
        lambda a: a.opcode == DATA and a.variant == "tag in use" and a.phase == "write waits" and a.flags & FINAL,
        ("check", 0x0B, 0x4B00),
    ),
    "data of no task": (lambda a: a.opcode == DATA, SILENCE),
    "a logout": (lambda a: a.opcode == LOGOUT, logout),
    "nothing is sent again at ErrorRecoveryLevel 0 (11.16)": (
        lambda a: a.opcode == SNACK, rejected(RejectReason.SNACK_REJECT),
    ),
    "what nobody knows": (lambda a: a.opcode not in KNOWN, rejected(RejectReason.COMMAND_NOT_SUPPORTED)),
}


def row(asked: Asked) -> str:
    return next(name for name, (fits, _) in ROWS.items() if fits(asked))


def expected(asked: Asked) -> Outcome:
    outcome = ROWS[row(asked)][1]
    return outcome(asked) if callable(outcome) else outcome


def happened(pdus: list[Pdu], wire: Wire) -> Outcome:
    if wire.dropped or not pdus:
        assert not pdus
        return DROP if wire.dropped else SILENCE
    (pdu,) = pdus
    if pdu.opcode is Opcode.LOGIN_RESPONSE:
        return refused(pdu.status)
    if pdu.opcode is Opcode.REJECT:
        return rejected(pdu.reason)
    if pdu.opcode is Opcode.SCSI_RESPONSE and pdu.status:
        return ("check", *decode_sense(pdu.data[2:]))
    code = pdu.response if pdu.opcode in (Opcode.TASK_MANAGEMENT_RESPONSE, Opcode.LOGOUT_RESPONSE) else 0
    return answered(pdu.opcode, code)


def combinations(phase: str, opcode: int) -> list[Asked]:
    """All that may matter in this phase."""
    variants = VARIANTS if phase in FULL_FEATURE else ("plain", "data", "segment")
    return [
        Asked(phase, opcode, immediate, flags, variant)
        for variant in variants
        for immediate in (False, True)
        for flags in FLAGS
    ]


class Talk:
    """A connection brought into a phase."""

    def __init__(self, memory: Memory, phase: str) -> None:
        self.wire, self.judge = Wire(memory), Judge()
        for sent in PHASES[phase]:
            self.say(sent)

    def say(self, sent: bytes) -> list[Pdu]:
        return self.judge.hear(sent, self.wire.feed(sent), 8192)


def lives(asked: Asked, talk: Talk) -> None:
    """The session goes on as if nothing had been."""
    opcode, answer = Opcode.NOP_OUT, Opcode.NOP_IN
    if asked.phase == "discovery":
        opcode, answer = Opcode.TEXT_REQUEST, Opcode.TEXT_RESPONSE
    data = encode({"SendTargets": PLAIN})
    pdus = talk.say(at_once(opcode, data, initiator_task_tag=0x70, target_transfer_tag=NO_TAG))
    assert [(pdu.opcode, pdu.initiator_task_tag) for pdu in pdus] == [(answer, 0x70)]


@pytest.mark.rfc7143(
    "4.2.2.1-9", "4.2.4-2", "4.2.4-3", "4.2.4-4", "4.3-2", "11-3", "11.2.1.2-1", "11.2.1.8-2", "11.10.2-1", "11.14-3"
)
@pytest.mark.parametrize("opcode", range(64), ids="opcode {:#04x}".format)
@pytest.mark.parametrize("phase", PHASES)
def test_product(phase: str, opcode: int) -> None:
    wrong, memory, talk = {}, Memory(), None
    for asked in combinations(phase, opcode):
        talk = talk or Talk(memory, phase)
        outcome = happened(talk.say(request(asked)), talk.wire)
        if outcome != expected(asked):
            wrong[asked] = f"{outcome} instead of {expected(asked)}: {row(asked)}"
        elif not talk.wire.closing and talk.wire.connection.session is not None:
            lives(asked, talk)
        if outcome[0] != "reject":  # which changes nothing, so that the next one may be asked on this connection
            talk.wire.end()
            talk = None
    assert wrong == {}


def test_every_row_is_needed() -> None:
    needed = {row(asked) for phase in PHASES for opcode in range(64) for asked in combinations(phase, opcode)}
    assert needed == {*ROWS}
