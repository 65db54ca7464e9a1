"""Every key at, below and above its range, and malformed; texts that are no texts (RFC 7143 sections 6.1, 6.2, 12, 13).

What is expected is worked out from section 13's result functions and from what the target says when it is asked for
nothing (``OURS``), never from the target's tables.
"""

from __future__ import annotations

from functools import partial

import pytest

from ietpy.initiator.text import decode, encode
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import CONTINUE, TRANSIT, Opcode
from tests.adversarial.world import BLOCKS, PLAIN, Attacker, Case, World, each, names

REJECT, NOT_UNDERSTOOD, IRRELEVANT = "Reject", "NotUnderstood", "Irrelevant"
REFUSED = LoginStatus.INITIATOR_ERROR
WHOLE = TRANSIT | 1 << 2 | 3  #: operational stage, on to the full feature phase

#: Numbers: smallest, largest, what this target would have, and the result function of section 13.
NUMBERS = {
    "MaxConnections": (1, 65535, 1, min),
    "MaxBurstLength": (512, 16777215, 1048576, min),
    "FirstBurstLength": (512, 16777215, 262144, min),
    "DefaultTime2Wait": (0, 3600, 2, max),
    "DefaultTime2Retain": (0, 3600, 0, min),
    "MaxOutstandingR2T": (1, 65535, 1, min),
    "ErrorRecoveryLevel": (0, 2, 0, min),
    "iSCSIProtocolLevel": (0, 31, 2, min),
}
#: Section 6.1: a decimal constant begins with a digit other than 0 or is 0; a hexadecimal one with 0x.
NO_NUMBERS = (
    "", "-1", "+1", "1.0", "1e3", " 1", "1 ", "0x", "0xg", "x", "Yes", "1,2", "1~2", "1_0", "\u0661", "\u0661\u0662",
    "99999999999999999999999", "-0", "0b1",
)  # fmt: skip
#: Booleans: what comes of Yes and of No (OR with Yes, or AND with Yes, as this target has it).
BOOLEANS = {
    "InitialR2T": ("Yes", "Yes"),
    "ImmediateData": ("Yes", "No"),
    "DataPDUInOrder": ("Yes", "Yes"),
    "DataSequenceInOrder": ("Yes", "Yes"),
}
NO_BOOLEANS = ("", "yes", "YES", "no", "1", "0", "true", "Yes,No", "Yes ", "Maybe", "Y")
LISTS = {
    "None": "None", "CRC32C": "CRC32C", "CRC32C,None": "CRC32C", "None,CRC32C": "None", "MD5,CRC32C": "CRC32C",
    "X-com.example.sum,None": "None", "crc32c": REJECT, "none": REJECT, "": REJECT, ",": REJECT, "MD5": REJECT,
    "CRC32C ": REJECT, "None,None": "None", ",CRC32C": "CRC32C", "CRC-32C": REJECT,
}  # fmt: skip
OTHERS = {
    ("TaskReporting", "RFC3720"): "RFC3720",
    ("TaskReporting", "FastAbort,RFC3720"): "RFC3720",
    ("TaskReporting", "Nonsense"): REJECT,
    ("TaskReporting", ""): REJECT,
    ("MaxRecvDataSegmentLength", "511"): REJECT,
    ("MaxRecvDataSegmentLength", "16777216"): REJECT,
    ("MaxRecvDataSegmentLength", "0"): REJECT,
    ("MaxRecvDataSegmentLength", "lots"): REJECT,
    ("OFMarkInt", "2048"): REJECT,
    ("IFMarkInt", "2048~8192"): REJECT,
    ("SendTargets", "All"): REJECT,
    ("X-com.example.key", "1"): NOT_UNDERSTOOD,
    ("X-com.example.key", ""): NOT_UNDERSTOOD,
    ("X#NodeArchitecture", "pdp11"): NOT_UNDERSTOOD,
    ("Nonsense", "a=b=c"): NOT_UNDERSTOOD,
    ("N" * 63, "1"): NOT_UNDERSTOOD,
    ("InitiatorAlias", "me"): None,
    ("InitiatorAlias", ""): None,
    ("InitiatorAlias", "a\x07b"): None,
}
#: Keys a login is refused for, with the operational stage's flags.
REFUSALS: dict[str, tuple[dict[str, str] | bytes, int]] = {
    "TargetAlias from an initiator": (names(PLAIN, TargetAlias="x"), REFUSED),
    "TargetAddress from an initiator": (names(PLAIN, TargetAddress="127.0.0.1:3260,1"), REFUSED),
    "TargetPortalGroupTag from an initiator": (names(PLAIN, TargetPortalGroupTag="1"), REFUSED),
    "CHAP_A in the operational stage": (names(PLAIN, CHAP_A="5"), REFUSED),
    "CHAP_N and CHAP_R in the operational stage": (names(PLAIN, CHAP_N="joe", CHAP_R="0x00"), REFUSED),
    "no keys at all": ({}, LoginStatus.MISSING_PARAMETER),
    "no InitiatorName": ({"SessionType": "Normal", "TargetName": PLAIN}, LoginStatus.MISSING_PARAMETER),
    "no TargetName": ({"SessionType": "Normal", "InitiatorName": "iqn.2026-01.test:i"}, LoginStatus.MISSING_PARAMETER),
    "no TargetName and no SessionType": ({"InitiatorName": "iqn.2026-01.test:i"}, LoginStatus.MISSING_PARAMETER),
    "an unknown SessionType": (names(PLAIN, SessionType="Boot"), LoginStatus.SESSION_TYPE_NOT_SUPPORTED),
    "a SessionType in lower case": (names(PLAIN, SessionType="normal"), LoginStatus.SESSION_TYPE_NOT_SUPPORTED),
    "a target that is not there": (names("iqn.2026-01.test:absent"), LoginStatus.NOT_FOUND),
    "an empty TargetName": (names(""), REFUSED),
    "a TargetName of 224 bytes": (names("iqn.2026-01.test:" + "x" * 207), REFUSED),
    "an InitiatorName of 224 bytes": (names(PLAIN, "iqn.2026-01.test:" + "x" * 207), REFUSED),
    "an InitiatorName with a bell": (names(PLAIN, "iqn.2026-01.test:\x07"), REFUSED),
    "an InitiatorName with a line feed": (names(PLAIN, "iqn.2026-01.test:a\nb"), REFUSED),
    "InitiatorName twice": (encode(names(PLAIN)) + b"InitiatorName=iqn.2026-01.test:other\0", REFUSED),
    "MaxBurstLength twice in one text": (encode(names(PLAIN)) + b"MaxBurstLength=512\0MaxBurstLength=512\0", REFUSED),
    "an unknown key twice": (encode(names(PLAIN)) + b"X-a=1\0X-a=1\0", REFUSED),
    "a word without =": (encode(names(PLAIN)) + b"Nonsense\0", REFUSED),
    "a value without a key": (encode(names(PLAIN)) + b"=1\0", REFUSED),
    "a key of 64 characters": (encode(names(PLAIN)) + b"N" * 64 + b"=1\0", REFUSED),
    "a key of 8 KiB": (encode(names(PLAIN)) + b"N" * 8000 + b"=1\0", REFUSED),
    "a key with a space": (encode(names(PLAIN)) + b"Two Words=1\0", REFUSED),
    "a key with a bell": (encode(names(PLAIN)) + b"Be\x07l=1\0", REFUSED),
    "a key that is no UTF-8": (encode(names(PLAIN)) + b"\xff\xfe=1\0", REFUSED),
    "no text": (bytes(range(1, 256)), REFUSED),
    "129 keys": (encode(names(PLAIN)) + b"".join(b"X-%d=1\0" % count for count in range(129)), REFUSED),
}  # fmt: skip


def decided(attacker: Attacker, key: str, value: str, expected: str | None) -> None:
    """A whole login with one offer; what the target says to it; and a session that works."""
    answer = attacker.keys(WHOLE, names(PLAIN, **{key: value}))
    if expected is None:
        assert key not in answer
    else:
        assert answer[key] == expected
    parameters = attacker.client.session.parameters
    parameters.header_digest = attacker.client.framer.header_digest = answer.get("HeaderDigest") == "CRC32C"
    parameters.data_digest = attacker.client.framer.data_digest = answer.get("DataDigest") == "CRC32C"
    attacker.quiet()


def refused(attacker: Attacker, text: dict[str, str] | bytes, status: int, flags: int = WHOLE) -> None:
    attacker.send(attacker.login_request(flags, text))
    attacker.refused(status)


def declared(attacker: Attacker, length: int) -> None:
    """MaxRecvDataSegmentLength holds for what the target sends, though not for its login responses."""
    answer = attacker.keys(WHOLE, names(PLAIN, MaxRecvDataSegmentLength=str(length)))
    assert int(answer["MaxRecvDataSegmentLength"]) >= 512  # the target's own declaration, no answer
    attacker.client.framer.longest = length  # a longer segment is a TargetFault
    attacker.client.session.parameters.max_recv_data_segment_length = length
    attacker.client.test_unit_ready(0)
    assert attacker.client.read(0, 0, BLOCKS) == attacker.world.image
    tag = attacker.new_tag()
    attacker.send(attacker.make(Opcode.NOP_OUT, b"p" * 600, immediate=True, initiator_task_tag=tag,
                                target_transfer_tag=0xFFFFFFFF))
    assert attacker.answer(Opcode.NOP_IN).data == (b"p" * 600)[:length]


def again(attacker: Attacker, key: str, value: str) -> None:
    """A second offer in another request of the same login (section 6.3)."""
    attacker.say(1 << 2, names(PLAIN, **{key: value}))
    attacker.send(attacker.login_request(WHOLE, {key: value}))
    attacker.refused(REFUSED)


def bounded(attacker: Attacker, offers: dict[str, str]) -> None:
    """FirstBurstLength must not exceed MaxBurstLength (section 13.14), whatever the order in which they come."""
    answer = attacker.keys(WHOLE, names(PLAIN, **offers))
    assert int(answer["FirstBurstLength"]) <= int(answer["MaxBurstLength"])
    attacker.quiet()


def cut(attacker: Attacker, place: int, empty: bool) -> None:
    """A text cut at this byte, with the C bit: an empty answer, then all answers at once (section 6.2)."""
    text = encode(names(PLAIN, MaxBurstLength="8192", ImmediateData="No"))
    pieces = [text[:place], text[place:]]
    if empty:
        pieces.insert(1, b"")
    for piece in pieces[:-1]:
        assert attacker.say(CONTINUE | 1 << 2, piece).data == b""
    answer = dict(decode(attacker.say(WHOLE, pieces[-1]).data))
    assert (answer["MaxBurstLength"], answer["ImmediateData"]) == ("8192", "No")
    attacker.quiet()


def endless(attacker: Attacker, piece: bytes, flags: int) -> None:
    """No login goes on for ever, whatever it says (section 6.2: at least six exchanges are to be let)."""
    attacker.say(1 << 2, names(PLAIN))
    for count in range(100):
        attacker.send(attacker.login_request(flags, piece))
        pdu = attacker.client.receive_pdu()
        if pdu.header["status"]:
            assert pdu.header["status"] == REFUSED
            assert count > 6
            attacker.dropped()
            return
    raise AssertionError("a login of 100 requests")


def many_bytes(attacker: Attacker) -> None:
    """A text longer than any login needs ends before it fills the memory."""
    for _ in range(100):
        attacker.send(attacker.login_request(CONTINUE | 1 << 2, b"x" * 8192))
        pdu = attacker.client.receive_pdu()
        if pdu.header["status"]:
            assert pdu.header["status"] == REFUSED
            attacker.dropped()
            return
    raise AssertionError("800 KiB of one key were taken")


def number(key: str, text: str) -> str:
    """What comes of a number (section 13)."""
    lowest, highest, ours, function = NUMBERS[key]
    value = int(text, 0)
    if not lowest <= value <= highest:
        return REJECT
    result = function(value, ours)
    return str(min(result, 1048576) if key == "FirstBurstLength" else result)


def offered(key: str) -> list[str]:
    lowest, highest, *_ = NUMBERS[key]
    values = {lowest - 1, lowest, lowest + 1, highest - 1, highest, highest + 1, 2**32, 2**64}
    return [str(value) for value in sorted(values) if value >= 0] + [hex(lowest), f"0X{highest:X}", hex(highest + 1)]


def decision(key: str, value: str, expected: str | None) -> Case:
    return Case(f"{key}={value!r}"[:70], partial(decided, key=key, value=value, expected=expected))


CASES = [
    *(decision(key, value, number(key, value)) for key in NUMBERS for value in offered(key)),
    *(decision(key, value, REJECT) for key in NUMBERS for value in NO_NUMBERS),
    *(decision(key, "Yes", yes) for key, (yes, _) in BOOLEANS.items()),
    *(decision(key, "No", no) for key, (_, no) in BOOLEANS.items()),
    *(decision(key, value, REJECT) for key in BOOLEANS for value in NO_BOOLEANS),
    *(decision(key, value, result) for key in ("HeaderDigest", "DataDigest") for value, result in LISTS.items()),
    *(decision(key, value, "No") for key in ("OFMarker", "IFMarker") for value in ("Yes", "No")),
    *(decision(key, value, result) for (key, value), result in OTHERS.items()),
    *(Case(what, partial(refused, text=text, status=status)) for what, (text, status) in REFUSALS.items()),
    *(Case(f"MaxRecvDataSegmentLength={length}", partial(declared, length=length)) for length in (512, 513, 16777215)),
    *(
        Case(f"{key} twice", partial(again, key=key, value=value))
        for key, value in (
            ("MaxBurstLength", "512"), ("ImmediateData", "No"), ("HeaderDigest", "None"), ("OFMarker", "Yes"),
            ("MaxRecvDataSegmentLength", "512"), ("X-com.example.key", "1"), ("TaskReporting", "RFC3720"),
        )
    ),
    *(
        Case("bursts: " + ", ".join(offers), partial(bounded, offers=offers))
        for offers in (
            {"FirstBurstLength": "16777215", "MaxBurstLength": "512"},
            {"MaxBurstLength": "512", "FirstBurstLength": "16777215"},
        )
    ),
    *(
        Case(f"text cut at byte {place}{how}", partial(cut, place=place, empty=bool(how)))
        for place in (0, 1, 13, 14, 15, 30, 45, 46, 100, 110, 130)
        for how in ("", ", an empty piece between")
    ),
    Case("empty requests without end", partial(endless, piece=b"", flags=1 << 2)),
    Case("empty pieces without end", partial(endless, piece=b"", flags=CONTINUE | 1 << 2)),
    Case("100 pieces of 8 KiB", many_bytes),
]  # fmt: skip


@pytest.mark.rfc7143(
    "6.1-2", "6.2-2", "6.2-6", "6.2-10", "6.2.1-1", "6.2.1-2", "6.2.1-3", "6.2.2-1", "6.2.2-2", "6.2.2-4", "6.3-2",
    "6.3-8", "13.1-1", "13.21-1", "13.24-1", "13.25-1", "13.25-2", "13.25-3"
)
@each(CASES)
def test_keys(world: World, case: Case) -> None:
    world.run(case)
