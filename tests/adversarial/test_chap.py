"""CHAP attacked: replayed, reflected, malformed, out of order (RFC 7143 sections 9.2.1, 12.1.3; RFC 1994)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial

import pytest

from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.chap import decode_binary, response
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import TRANSIT, Opcode
from tests.adversarial.world import BOTH_WAYS, GUARDED, LOCKED, MUTUAL, SECRET, Attacker, Case, World, each, names

FAILED, WRONG, MISSING = (
    LoginStatus.AUTHENTICATION_FAILURE, LoginStatus.INITIATOR_ERROR, LoginStatus.MISSING_PARAMETER,
)  # fmt: skip
ON = TRANSIT | 1  #: security stage, on to the operational one
SIZES = {5: 16, 6: 20, 7: 32, 8: 32}


class Challenge:
    """What the target asks; ``right`` is the answer that lets in."""

    def __init__(self, attacker: Attacker, target: str = LOCKED, algorithms: str = "5") -> None:
        answer = attacker.keys(0, names(target, AuthMethod="CHAP"))
        assert answer["AuthMethod"] == "CHAP"
        answer = attacker.keys(0, {"CHAP_A": algorithms})
        self.algorithm = int(answer["CHAP_A"])
        self.identifier = int(answer["CHAP_I"])
        self.text = answer["CHAP_C"]
        self.challenge = decode_binary(self.text)
        assert len(self.challenge) >= SIZES[self.algorithm]

    def answer(self, secret: str = SECRET) -> bytes:
        return response(self.algorithm, self.identifier, secret, self.challenge)

    @property
    def right(self) -> str:
        return f"0x{self.answer().hex()}"


def refused_with(attacker: Attacker, keys: dict[str, str], status: int, flags: int = ON) -> None:
    attacker.send(attacker.login_request(flags, keys))
    attacker.refused(status)


def accepted(attacker: Attacker) -> None:
    """The security stage is passed: go on to the full feature phase."""
    attacker.say(0x87)
    attacker.quiet()


def offer(attacker: Attacker, algorithms: str, chosen: int) -> None:
    """The first algorithm of the initiator's list there is; none: 02/01."""
    attacker.say(0, names(LOCKED, AuthMethod="CHAP"))
    if not chosen:
        refused_with(attacker, {"CHAP_A": algorithms}, FAILED, 0)
        return
    assert attacker.keys(0, {"CHAP_A": algorithms})["CHAP_A"] == str(chosen)


def method(attacker: Attacker, target: str, offered: str | None, status: int) -> None:
    refused_with(attacker, names(target, **({} if offered is None else {"AuthMethod": offered})), status)


def reply(attacker: Attacker, make: Callable[[Challenge], dict[str, str]], status: int, algorithm: int = 5) -> None:
    challenge = Challenge(attacker, LOCKED, str(algorithm))
    keys = make(challenge)
    if status:
        refused_with(attacker, keys, status)
    else:
        attacker.say(ON, keys)
        accepted(attacker)


def mutual(attacker: Attacker, target: str, make: Callable[[Challenge], dict[str, str]], status: int) -> None:
    """As ``reply``, with a challenge for the target."""
    challenge = Challenge(attacker, target)
    keys = {"CHAP_N": "joe", "CHAP_R": challenge.right, **make(challenge)}
    if status:
        refused_with(attacker, keys, status)
        return
    answer = attacker.keys(ON, keys)
    identifier = int(keys["CHAP_I"], 0)
    expected = response(challenge.algorithm, identifier, MUTUAL, decode_binary(keys["CHAP_C"]))
    assert (answer["CHAP_N"], decode_binary(answer["CHAP_R"])) == ("itself", expected)
    accepted(attacker)


def stage(attacker: Attacker, first: dict[str, str], flags: int, keys: dict[str, str], status: int) -> None:
    """Keys in an order that is none."""
    attacker.say(0, names(LOCKED, **first))
    refused_with(attacker, keys, status, flags)


def skipped(attacker: Attacker, flags: int, target: str) -> None:
    """Without authentication nobody comes further, whatever stage he says he is in."""
    refused_with(attacker, names(target), FAILED, flags)


def leave_early(attacker: Attacker, flags: int, keys: dict[str, str]) -> None:
    """The initiator may ask to move on before it is authenticated; it is not let, and nothing else happens."""
    attacker.say(0, names(LOCKED, AuthMethod="CHAP"))
    pdu = attacker.say(flags, keys)
    assert not pdu.header["flags"] & TRANSIT
    assert pdu.header["tsih"] == 0


def replayed(attacker: Attacker) -> None:
    """The answer to an earlier challenge, seen on the wire, is worth nothing."""
    seen = Challenge(attacker)
    attacker.say(ON, {"CHAP_N": "joe", "CHAP_R": seen.right})
    again = attacker.another()
    challenge = Challenge(again)
    assert challenge.text != seen.text
    refused_with(again, {"CHAP_N": "joe", "CHAP_R": seen.right}, FAILED)


def swapped(attacker: Attacker) -> None:
    """Two logins at once, each answered with the other's response."""
    other = attacker.another()
    one, two = Challenge(attacker), Challenge(other)
    assert one.text != two.text
    refused_with(attacker, {"CHAP_N": "joe", "CHAP_R": two.right}, FAILED)
    refused_with(other, {"CHAP_N": "joe", "CHAP_R": one.right}, FAILED)


def reflected(attacker: Attacker, target: str, how: str) -> None:
    """One who knows no secret has the target answer its own challenge (9.2.1), on this connection or another."""
    challenge = Challenge(attacker, target)
    if how == "other":
        other = attacker.another()
        theirs = Challenge(other, target)
        keys = {"CHAP_I": str(theirs.identifier), "CHAP_C": theirs.text}
    else:
        keys = {"CHAP_I": str(challenge.identifier), "CHAP_C": challenge.text}
    if how == "base64":
        keys["CHAP_C"] = "0b" + base64.b64encode(challenge.challenge).decode()
    elif how == "capitals":
        keys["CHAP_C"] = "0X" + challenge.challenge.hex().upper()
    # With the right response too: the challenge alone gives the attack away.
    refused_with(attacker, {"CHAP_N": "joe", "CHAP_R": challenge.right, **keys}, FAILED)


def unproven(attacker: Attacker, make: Callable[[Challenge], dict[str, str]], status: int) -> None:
    """The target answers no challenge before the initiator has proved itself."""
    challenge = Challenge(attacker, BOTH_WAYS)
    attacker.send(attacker.login_request(ON, {"CHAP_I": "7", "CHAP_C": "0x" + "ab" * 16, **make(challenge)}))
    attacker.refused(status)


def all_alike(attacker: Attacker) -> None:
    """A wrong user and a wrong secret are told apart by nothing in the answer."""
    answers = []
    for user, secret in (("joe", "wrongwrong12"), ("jim", SECRET), ("", SECRET), ("JOE", SECRET), ("joe ", SECRET)):
        one = attacker.another()
        challenge = Challenge(one)
        one.send(one.login_request(ON, {"CHAP_N": user, "CHAP_R": f"0x{challenge.answer(secret).hex()}"}))
        pdu = one.client.receive_pdu()
        answers.append((pdu.raw, pdu.data))
        one.dropped()
    assert len(set(answers)) == 1
    assert int.from_bytes(answers[0][0][36:38], "big") == FAILED


def fresh(attacker: Attacker) -> None:
    """Twenty challenges, no two alike."""
    challenges = {Challenge(attacker.another(), LOCKED, algorithm).text for algorithm in ("5", "6", "7", "8") * 5}
    assert len(challenges) == 20


def second_round(attacker: Attacker, keys: dict[str, str]) -> None:
    """After a right answer nothing more of CHAP is to come."""
    challenge = Challenge(attacker)
    attacker.say(0, {"CHAP_N": "joe", "CHAP_R": challenge.right})
    refused_with(attacker, keys, WRONG)


def other_target(attacker: Attacker) -> None:
    """Authenticated for one target, the initiator changes its mind."""
    challenge = Challenge(attacker)
    attacker.say(0, {"CHAP_N": "joe", "CHAP_R": challenge.right})
    refused_with(attacker, {"TargetName": BOTH_WAYS}, WRONG)


def other_name(attacker: Attacker) -> None:
    challenge = Challenge(attacker)
    refused_with(
        attacker, {"CHAP_N": "joe", "CHAP_R": challenge.right, "InitiatorName": "iqn.2026-01.test:other"}, WRONG
    )


def right(attacker: Attacker, target: str, algorithm: int) -> None:
    """As it should be, or the attacks above prove nothing."""
    secrets = ("itself", MUTUAL) if target == BOTH_WAYS else ("", "")
    attacker.client.login(LoginPlan(target=target, chap=Chap("joe", SECRET, *secrets, algorithms=(algorithm,))))
    attacker.quiet()


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _of(make: Callable[[Challenge], str], user: str = "joe") -> Callable[[Challenge], dict[str, str]]:
    return lambda challenge: {"CHAP_N": user, "CHAP_R": make(challenge)}


def asked_about(attacker: Attacker) -> None:
    """Who guesses a TSIH learns nothing of its session, whose numbers are for who has proved himself."""
    attacker.log_in(GUARDED, {"MaxConnections": "2"}, Chap("joe", SECRET), cid=1)
    outcome = attacker.client.outcome
    assert outcome is not None
    told = []
    for tsih in (outcome.tsih, outcome.tsih ^ 0x4000):
        other = attacker.another()
        other.client.session.numbering.cmd_sn = 0x777777
        for keys in (names(GUARDED, AuthMethod="CHAP"), {"CHAP_A": "7,8"}, {"CHAP_N": "joe", "CHAP_R": "0x00"}):
            other.send(other.login_request(0, keys, tsih=tsih, cid=2, cmd_sn=0x777777))
            header = other.answer(Opcode.LOGIN_RESPONSE).header
            told.append((header["status"], header["exp_cmd_sn"], header["max_cmd_sn"]))
    refusal = int(LoginStatus.AUTHENTICATION_FAILURE)
    assert told == 2 * [(status, 0x777777, 0x777777) for status in (0, 0, refusal)]
    attacker.usable()


def _base64(challenge: Challenge) -> str:
    return "0b" + base64.b64encode(challenge.answer()).decode()


#: CHAP_R, and whether it lets in.
RESPONSES: dict[str, tuple[Callable[[Challenge], dict[str, str]], int]] = {
    "right": (_of(lambda each: each.right), 0),
    "in capitals": (_of(lambda each: "0X" + each.answer().hex().upper()), 0),
    "in base64": (_of(_base64), 0),
    "in base64, 0B": (_of(lambda each: "0B" + _base64(each)[2:]), 0),
    "of the wrong secret": (_of(lambda each: _hex(each.answer("wrongwrong12"))), FAILED),
    "of the secret for the other direction": (_of(lambda each: _hex(each.answer(MUTUAL))), FAILED),
    "of an empty secret": (_of(lambda each: _hex(each.answer(""))), FAILED),
    "of an unknown user": (_of(lambda each: each.right, "jim"), FAILED),
    "of nobody": (_of(lambda each: each.right, ""), FAILED),
    "of the target's user": (_of(lambda each: each.right, "itself"), FAILED),
    "of a user of 255 bytes": (_of(lambda each: each.right, "j" * 255), FAILED),
    "of a user of 256 bytes": (_of(lambda each: each.right, "j" * 256), FAILED),
    "of a user with control characters": (_of(lambda each: each.right, "joe\r\n"), FAILED),
    "a byte short": (_of(lambda each: _hex(each.answer()[:-1])), FAILED),
    "a byte long": (_of(lambda each: _hex(each.answer() + b"\0")), FAILED),
    "with a leading zero byte": (_of(lambda each: _hex(b"\0" + each.answer())), FAILED),
    "twice as long": (_of(lambda each: _hex(each.answer() * 2)), FAILED),
    "of one byte": (_of(lambda each: "0x00"), FAILED),
    "of no byte": (_of(lambda each: "0x"), FAILED),
    "empty": (_of(lambda each: ""), FAILED),
    "of no base64": (_of(lambda each: "0b"), FAILED),
    "without a prefix": (_of(lambda each: each.answer().hex()), FAILED),
    "of broken hexadecimal": (_of(lambda each: each.right[:-1] + "g"), FAILED),
    "with a space in it": (_of(lambda each: each.right[:10] + " " + each.right[10:]), FAILED),
    "of broken base64": (_of(lambda each: _base64(each)[:-3] + "!!="), FAILED),
    "of base64 without padding": (_of(lambda each: _base64(each).rstrip("=")), FAILED),
    "in decimal": (_of(lambda each: str(int.from_bytes(each.answer(), "big"))), FAILED),
    "of 1025 bytes": (_of(lambda each: "0x" + "00" * 1025), FAILED),
    "of 4000 bytes": (_of(lambda each: "0x" + "00" * 4000), FAILED),
    "Reject": (_of(lambda each: "Reject"), FAILED),
    "without CHAP_N": (lambda each: {"CHAP_R": each.right}, MISSING),
    "missing": (lambda each: {"CHAP_N": "joe"}, MISSING),
    "with CHAP_A again": (lambda each: {"CHAP_A": "5", "CHAP_N": "joe", "CHAP_R": each.right}, WRONG),
    "a CHAP_A again instead": (lambda each: {"CHAP_A": "5"}, WRONG),
    "with AuthMethod again": (lambda each: {"AuthMethod": "CHAP", "CHAP_N": "joe", "CHAP_R": each.right}, WRONG),
    "an AuthMethod of None instead": (lambda each: {"AuthMethod": "None"}, WRONG),
}  # fmt: skip
#: The initiator's challenge, beside a right response.
CHALLENGES: dict[str, tuple[str, dict[str, str], int]] = {
    "of 16 bytes": (BOTH_WAYS, {"CHAP_I": "7", "CHAP_C": "0x" + "ab" * 16}, 0),
    "of 1024 bytes": (BOTH_WAYS, {"CHAP_I": "255", "CHAP_C": "0x" + "ab" * 1024}, 0),
    "in base64": (BOTH_WAYS, {"CHAP_I": "0x0f", "CHAP_C": "0b" + base64.b64encode(b"sixteen bytes...").decode()}, 0),
    "of 1025 bytes": (BOTH_WAYS, {"CHAP_I": "7", "CHAP_C": "0x" + "ab" * 1025}, FAILED),
    "empty": (BOTH_WAYS, {"CHAP_I": "7", "CHAP_C": ""}, FAILED),
    "without digits": (BOTH_WAYS, {"CHAP_I": "7", "CHAP_C": "0x"}, FAILED),
    "of no number": (BOTH_WAYS, {"CHAP_I": "7", "CHAP_C": "challenge"}, FAILED),
    "with identifier 256": (BOTH_WAYS, {"CHAP_I": "256", "CHAP_C": "0x" + "ab" * 16}, FAILED),
    "with identifier -1": (BOTH_WAYS, {"CHAP_I": "-1", "CHAP_C": "0x" + "ab" * 16}, FAILED),
    "with an empty identifier": (BOTH_WAYS, {"CHAP_I": "", "CHAP_C": "0x" + "ab" * 16}, FAILED),
    "with a word as identifier": (BOTH_WAYS, {"CHAP_I": "one", "CHAP_C": "0x" + "ab" * 16}, FAILED),
    "without identifier": (BOTH_WAYS, {"CHAP_C": "0x" + "ab" * 16}, MISSING),
    "only announced": (BOTH_WAYS, {"CHAP_I": "7"}, MISSING),
    "for a target without a secret": (LOCKED, {"CHAP_I": "7", "CHAP_C": "0x" + "ab" * 16}, FAILED),
}  # fmt: skip
OFFERS = {
    "5": 5, "6": 6, "7": 7, "8": 8, "5,6,7,8": 5, "8,7,6,5": 8, "7,5": 7, "9,5": 5, "1,2,3,4,6": 6, "0x7,5": 7,
    "": 0, "0": 0, "4": 0, "9": 0, "255": 0, "256": 0, "MD5": 0, "-5": 0, " 5": 0, "5.0": 0, ",": 0, ",,7": 7, "05": 0,
}  # fmt: skip
CASES = [
    Case("asking about a session without proof", asked_about),
    *(
        Case(f"{algorithm} with {target}", partial(right, target=target, algorithm=algorithm))
        for algorithm in SIZES
        for target in (LOCKED, BOTH_WAYS)
    ),
    *(
        Case(f"CHAP_A={offered!r}", partial(offer, algorithms=offered, chosen=chosen))
        for offered, chosen in OFFERS.items()
    ),
    *(
        Case(f"a response {what}, algorithm {algorithm}", partial(reply, make=make, status=status, algorithm=algorithm))
        for what, (make, status) in RESPONSES.items()
        for algorithm in (5, 7)
    ),
    *(
        Case(f"a challenge {what}", partial(mutual, target=target, make=lambda _, keys=keys: keys, status=status))
        for what, (target, keys, status) in CHALLENGES.items()
    ),
    *(
        Case(f"AuthMethod {offered!r}", partial(method, target=LOCKED, offered=offered, status=FAILED))
        for offered in (None, "None", "", "chap", "KRB5", "SRP,None", "CHAP ", "None,None")
    ),
    *(
        Case(what, partial(stage, first=first, flags=flags, keys=keys, status=status))
        for what, first, flags, keys, status in (
            ("CHAP_N and CHAP_R before CHAP_A", {"AuthMethod": "CHAP"}, ON,
             {"CHAP_N": "joe", "CHAP_R": "0x" + "00" * 16}, WRONG),
            ("CHAP_I and CHAP_C before CHAP_A", {"AuthMethod": "CHAP"}, ON, {"CHAP_I": "1", "CHAP_C": "0x00"}, WRONG),
            ("everything at once", {"AuthMethod": "CHAP"}, ON,
             {"CHAP_A": "5", "CHAP_N": "joe", "CHAP_R": "0x" + "00" * 16}, WRONG),
            ("AuthMethod twice", {"AuthMethod": "CHAP"}, 0, {"AuthMethod": "CHAP"}, WRONG),
            ("the operational stage after AuthMethod", {"AuthMethod": "CHAP"}, 0x87, {}, WRONG),
            ("a target's key", {"AuthMethod": "CHAP"}, 0, {"TargetPortalGroupTag": "1"}, WRONG),
        )
    ),
    *(
        Case(f"no security, flags {flags:#04x}, {target}", partial(skipped, flags=flags, target=target))
        for flags in (0x04, 0x87)
        for target in (LOCKED, BOTH_WAYS)
    ),
    *(
        Case(f"leaving early, flags {flags:#04x}, {len(keys)} keys", partial(leave_early, flags=flags, keys=keys))
        for flags in (TRANSIT | 1, TRANSIT | 3)
        for keys in ({}, {"CHAP_A": "5"})
    ),
    Case("a replayed response", replayed),
    Case("two logins answered with each other's response", swapped),
    *(
        Case(f"a challenge reflected: {how}, {target}", partial(reflected, target=target, how=how))
        for how in ("same", "other", "base64", "capitals")
        for target in (BOTH_WAYS, LOCKED)
    ),
    *(
        Case(f"a challenge before the proof: {what}", partial(unproven, make=make, status=status))
        for what, make, status in (
            ("no response", lambda each: {}, MISSING),
            ("only the name", lambda each: {"CHAP_N": "joe"}, MISSING),
            ("a wrong response", lambda each: {"CHAP_N": "joe", "CHAP_R": _hex(each.answer("x"))}, FAILED),
            ("the target's own response", _of(lambda each: _hex(each.answer(MUTUAL)), "itself"), FAILED),
        )
    ),
    Case("wrong users and wrong secrets are answered alike", all_alike),
    Case("twenty challenges", fresh),
    *(
        Case(f"after the proof: {' and '.join(keys)}", partial(second_round, keys=keys))
        for keys in (
            {"CHAP_A": "5"}, {"CHAP_N": "joe", "CHAP_R": "0x" + "00" * 16}, {"CHAP_I": "1", "CHAP_C": "0x" + "00" * 16},
            {"AuthMethod": "CHAP"},
        )
    ),
    Case("another target after the proof", other_target),
    Case("another initiator with the proof", other_name),
]  # fmt: skip


@pytest.mark.rfc7143(
    "6.3.2-1", "6.3.2-4", "9.2-2", "9.2-3", "9.2.1-1", "9.2.1-8", "9.2.1-9", "12.1-2", "12.1.3-1", "12.1.3-2",
    "12.1.3-3", "12.1.3-4", "12.1.3-5"
)
@each(CASES)
def test_chap(world: World, case: Case) -> None:
    world.run(case)
