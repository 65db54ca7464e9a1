"""Text negotiations and SendTargets abused (RFC 7143 sections 4.3, 6.2, 6.4, 11.10, 11.11, Appendix C)."""

from __future__ import annotations

from functools import partial

import pytest

from ietpy.initiator.framing import Pdu
from ietpy.initiator.text import decode, encode
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pdu import CONTINUE, FINAL, NO_TAG, Opcode
from tests.adversarial.world import BLOCKS, LOCKED, OPEN, PLAIN, TARGETS, Attacker, Case, World, each

PROTOCOL, FIELD = RejectReason.PROTOCOL_ERROR, RejectReason.INVALID_PDU_FIELD
TAG = 0x3000  #: of the negotiation; its requests all have the same
ALL = list(TARGETS)


def text(attacker: Attacker, data: bytes = b"", flags: int = FINAL, transfer_tag: int = NO_TAG, tag: int = TAG,
         lun: int = 0) -> bytes:
    """Send a Text Request; its bytes."""
    sent = attacker.make(
        Opcode.TEXT_REQUEST, data, flags=flags, initiator_task_tag=tag, target_transfer_tag=transfer_tag, lun=lun
    )
    attacker.send(sent)
    return sent


def answered(attacker: Attacker, final: bool = True) -> Pdu:
    pdu = attacker.answer(Opcode.TEXT_RESPONSE, initiator_task_tag=TAG)
    assert bool(pdu.header["flags"] & FINAL) == final, str(pdu)
    assert (pdu.header["target_transfer_tag"] == NO_TAG) == final, str(pdu)
    return pdu


def targets(data: bytes) -> list[str]:
    return [value for name, value in decode(data) if name == "TargetName"]


def refused(attacker: Attacker, data: bytes, flags: int = FINAL, transfer_tag: int = NO_TAG) -> None:
    """One request that is wrong; the next one is right."""
    attacker.log_in()
    sent = text(attacker, data, flags, transfer_tag)
    attacker.rejected(PROTOCOL, sent)
    still(attacker)


def still(attacker: Attacker) -> None:
    """Texts work as ever."""
    text(attacker, encode({"SendTargets": ""}))
    assert targets(answered(attacker).data) == [OPEN]
    attacker.usable()


def says(attacker: Attacker, data: bytes, expected: dict[str, str]) -> None:
    """One request and exactly this answer."""
    attacker.log_in()
    text(attacker, data)
    assert dict(decode(answered(attacker).data)) == expected
    still(attacker)


def open_exchange(attacker: Attacker) -> int:
    """A negotiation whose end is not reached; its Target Transfer Tag."""
    attacker.log_in()
    text(attacker, encode({"X-com.example.a": "1"}), 0)
    transfer_tag: int = answered(attacker, False).header["target_transfer_tag"]
    return transfer_tag


def wrong_tag(attacker: Attacker, shift: int, tag: int, lun: int) -> None:
    """A Target Transfer Tag that is not this task's continues nothing (11.10.4)."""
    transfer_tag = open_exchange(attacker)
    sent = text(attacker, b"", FINAL, (transfer_tag + shift) & (NO_TAG - 1), tag, lun)
    assert attacker.answer(Opcode.REJECT).header["reason"] in (PROTOCOL, FIELD)
    assert sent[:1] == bytes((Opcode.TEXT_REQUEST,))
    still(attacker)


def used_up(attacker: Attacker) -> None:
    """The tag of a negotiation that has ended."""
    transfer_tag = open_exchange(attacker)
    text(attacker, b"", FINAL, transfer_tag)
    answered(attacker)
    text(attacker, b"", FINAL, transfer_tag)
    assert attacker.answer(Opcode.REJECT).header["reason"] in (PROTOCOL, FIELD)
    still(attacker)


def begun_again(attacker: Attacker, tag: int) -> None:
    """A request with the reserved tag resets what was going on (11.10.4); the old tag is stale then."""
    transfer_tag = open_exchange(attacker)
    text(attacker, b"X-com.exa", CONTINUE)  # half a key, which must not be joined to what follows
    answered(attacker, False)
    text(attacker, encode({"SendTargets": OPEN}))
    assert targets(answered(attacker).data) == [OPEN]
    text(attacker, b"", FINAL, transfer_tag, tag)
    assert attacker.answer(Opcode.REJECT).header["reason"] in (PROTOCOL, FIELD)
    still(attacker)


def of_another_connection(attacker: Attacker) -> None:
    transfer_tag = open_exchange(attacker)
    other = attacker.another()
    other.log_in(isid=b"\x80\0\0\0\0\x11", initiator="iqn.2026-01.test:thief")
    text(other, b"", FINAL, transfer_tag)
    assert other.answer(Opcode.REJECT).header["reason"] in (PROTOCOL, FIELD)
    text(attacker, b"", FINAL, transfer_tag)
    answered(attacker)


def cut(attacker: Attacker, place: int) -> None:
    """A text cut anywhere, joined by the C bit; the answer to a piece is empty (6.2)."""
    attacker.log_in()
    data = encode({"SendTargets": OPEN, "X-com.example.a": "1"})
    text(attacker, data[:place], CONTINUE)
    pdu = answered(attacker, False)
    assert (pdu.data, pdu.header["flags"]) == (b"", 0)
    text(attacker, data[place:], FINAL, pdu.header["target_transfer_tag"])
    pairs = decode(answered(attacker).data)
    assert ("TargetName", OPEN) in pairs
    assert ("X-com.example.a", "NotUnderstood") in pairs
    still(attacker)


def many_pieces(attacker: Attacker, piece: bytes) -> None:
    """A text that never ends is ended, within what a text may need."""
    attacker.log_in()
    transfer_tag = NO_TAG
    for _ in range(600):
        sent = text(attacker, piece, CONTINUE, transfer_tag)
        pdu = attacker.client.receive_pdu()
        if pdu.opcode == Opcode.REJECT:
            assert pdu.data == sent[:48]
            still(attacker)
            return
        transfer_tag = pdu.header["target_transfer_tag"]
    raise AssertionError("600 pieces of one text were taken")


def answers_in_pieces(attacker: Attacker) -> None:
    """A long answer comes piece by piece, each asked for; one who says more meanwhile is refused."""
    attacker.log_in("", {"MaxRecvDataSegmentLength": "512"})
    attacker.client.framer.longest = 512
    sent = text(attacker, encode({"SendTargets": "All", **{f"X-com.example.key{count}": "1" for count in range(40)}}))
    pdu = attacker.client.receive_pdu()
    if pdu.opcode == Opcode.REJECT:  # other keys have no place in discovery (4.3)
        assert pdu.data == sent[:48]
        return
    whole = pdu.data
    while not pdu.header["flags"] & FINAL:
        assert pdu.header["flags"] & CONTINUE
        text(attacker, b"", FINAL, pdu.header["target_transfer_tag"])
        pdu = attacker.answer(Opcode.TEXT_RESPONSE, initiator_task_tag=TAG)
        assert len(pdu.data) <= 512
        whole += pdu.data
    assert targets(whole) == ALL
    assert len(whole) > 512


def talks_meanwhile(attacker: Attacker) -> None:
    attacker.log_in(keys={"MaxRecvDataSegmentLength": "512"})
    attacker.client.framer.longest = 512
    text(attacker, encode({f"X-com.example.key{count}": "1" for count in range(40)}))
    transfer_tag = answered(attacker, False).header["target_transfer_tag"]
    sent = text(attacker, encode({"X-com.example.more": "1"}), FINAL, transfer_tag)
    attacker.rejected(PROTOCOL, sent)
    still(attacker)


def abandoned(attacker: Attacker, how: str) -> None:
    """What was negotiated takes effect at the end only (6.2, 6.4): a declaration that is not finished is none."""
    client = attacker.log_in(keys={"MaxRecvDataSegmentLength": "8192"})
    text(attacker, encode({"MaxRecvDataSegmentLength": "512"}), 0)
    transfer_tag = answered(attacker, False).header["target_transfer_tag"]
    if how == "rejected":
        attacker.rejected(PROTOCOL, text(attacker, b"Nonsense\0", FINAL, transfer_tag))
    elif how == "begun again":
        text(attacker, encode({"SendTargets": ""}))
        answered(attacker)
    assert client.ping(b"z" * 1000) == b"z" * 1000  # a longer echo than 512 bytes
    if how == "finished":
        text(attacker, b"", FINAL, transfer_tag)
        answered(attacker)
        client.session.parameters.max_recv_data_segment_length = client.framer.longest = 512
        assert client.ping(b"z" * 1000) == b"z" * 512
    assert client.read(0, 0, BLOCKS) == attacker.world.image


def sends_targets(attacker: Attacker, target: str, which: str, expected: list[str]) -> None:
    attacker.log_in(target)
    text(attacker, encode({"SendTargets": which}))
    assert targets(answered(attacker).data) == expected


def discovery_only(attacker: Attacker, data: bytes) -> None:
    """A discovery session takes SendTargets and nothing else (4.3)."""
    attacker.log_in("")
    attacker.send(sent := attacker.make(Opcode.TEXT_REQUEST, data, target_transfer_tag=NO_TAG))
    pdu = attacker.answer(Opcode.REJECT)
    assert pdu.data == sent[:48]
    assert [name for name, _ in attacker.client.discover()] == ALL


def discovery_logout(attacker: Attacker, reason: int) -> None:
    """Only "close the session" (4.3)."""
    attacker.log_in("")
    sent = attacker.make(Opcode.LOGOUT_REQUEST, flags=FINAL | reason, immediate=True)
    attacker.send(sent)
    assert attacker.answer(Opcode.REJECT).data == sent[:48]
    assert [name for name, _ in attacker.client.discover()] == ALL


def reinstated(attacker: Attacker, same: bool) -> None:
    """A second unnamed discovery session of one initiator port ends the first (7.4.2.1); of another one it does not."""
    attacker.log_in("")
    other = attacker.another()
    other.log_in("", isid=b"\x80\0\0\0\0\x07" if same else b"\x80\0\0\0\0\x08")
    if same:
        attacker.dropped()
    else:
        assert [name for name, _ in attacker.client.discover()] == ALL
    assert [name for name, _ in other.client.discover()] == ALL


def parallel(attacker: Attacker) -> None:
    """Two requests at once, which no initiator may have (11.10): the second begins anew, each is answered once."""
    attacker.log_in()
    text(attacker, encode({"SendTargets": ""}), 0)
    text(attacker, encode({"SendTargets": OPEN}), FINAL, NO_TAG, TAG + 1)
    assert targets(answered(attacker, False).data) == [OPEN]
    assert targets(attacker.answer(Opcode.TEXT_RESPONSE, initiator_task_tag=TAG + 1, flags=FINAL).data) == [OPEN]
    still(attacker)


REFUSED = {
    "F and C": (encode({"SendTargets": ""}), FINAL | CONTINUE, NO_TAG),
    "no =": (b"SendTargets\0", FINAL, NO_TAG),
    "no key": (b"=All\0", FINAL, NO_TAG),
    "a key of 64 characters": (b"K" * 64 + b"=1\0", FINAL, NO_TAG),
    "a key twice": (b"X-a=1\0X-a=1\0", FINAL, NO_TAG),
    "SendTargets twice": (b"SendTargets=\0SendTargets=\0", FINAL, NO_TAG),
    "MaxRecvDataSegmentLength twice": (b"MaxRecvDataSegmentLength=512\0" * 2, FINAL, NO_TAG),
    "129 keys": (b"".join(b"X-%d=1\0" % count for count in range(129)), FINAL, NO_TAG),
    "65 KiB of text": (encode({f"X-{count}": "x" * 8000 for count in range(9)}), FINAL, NO_TAG),
    "bytes that are no text": (bytes(range(1, 255)), FINAL, NO_TAG),
    "a target's key": (encode({"TargetAddress": "127.0.0.1"}), FINAL, NO_TAG),
}  # fmt: skip
SAYS: dict[str, tuple[bytes, dict[str, str]]] = {
    "nothing": (b"", {}),
    "an unknown key": (encode({"X-com.example.a": "1"}), {"X-com.example.a": "NotUnderstood"}),
    "SendTargets=All": (encode({"SendTargets": "All"}), {"SendTargets": "Reject"}),
    "SendTargets of another target": (encode({"SendTargets": PLAIN}), {"SendTargets": "Reject"}),
    "SendTargets of none": (encode({"SendTargets": "iqn.2026-01.test:absent"}), {"SendTargets": "Reject"}),
    "SendTargets=all": (encode({"SendTargets": "all"}), {"SendTargets": "Reject"}),
    **{
        f"{key} in the full feature phase": (encode({key: value}), {key: "Reject"})
        for key, value in (
            ("MaxBurstLength", "512"), ("FirstBurstLength", "512"), ("InitialR2T", "Yes"), ("ImmediateData", "No"),
            ("MaxConnections", "8"), ("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C"),
            ("ErrorRecoveryLevel", "2"),
            ("MaxOutstandingR2T", "8"), ("DataPDUInOrder", "No"), ("DataSequenceInOrder", "No"), ("OFMarker", "Yes"),
            ("DefaultTime2Wait", "0"), ("DefaultTime2Retain", "0"), ("SessionType", "Discovery"),
            ("AuthMethod", "None"),
            ("InitiatorName", "iqn.2026-01.test:other"), ("TargetName", LOCKED), ("TaskReporting", "RFC3720"),
            ("iSCSIProtocolLevel", "2"),
        )
    },
}  # fmt: skip
CASES = [
    *(
        Case(f"refused: {what}", partial(refused, data=data, flags=flags, transfer_tag=transfer_tag))
        for what, (data, flags, transfer_tag) in REFUSED.items()
    ),
    *(Case(f"answered: {what}", partial(says, data=data, expected=says_it)) for what, (data, says_it) in SAYS.items()),
    *(
        Case(f"a transfer tag {what}", partial(wrong_tag, shift=shift, tag=tag, lun=lun))
        for what, shift, tag, lun in (
            ("one more", 1, TAG, 0), ("one less", -1, TAG, 0), ("far off", 1 << 31, TAG, 0),
            ("with another task tag", 0, TAG + 1, 0), ("with another LUN", 0, TAG, 1 << 48),
        )
    ),
    Case("a transfer tag with nothing open", partial(refused, data=b"", transfer_tag=5)),
    Case("a transfer tag used twice", used_up),
    Case("a negotiation begun again", partial(begun_again, tag=TAG)),
    Case("a negotiation begun again, the old tag with another task", partial(begun_again, tag=TAG + 1)),
    Case("a transfer tag of another connection", of_another_connection),
    *(Case(f"a text cut at byte {place}", partial(cut, place=place)) for place in (0, 1, 11, 12, 30, 33, 34, 35, 50)),
    Case("600 pieces of 1 KiB", partial(many_pieces, piece=b"x" * 1024)),
    Case("a long answer in pieces", answers_in_pieces),
    Case("text while an answer is still being sent", talks_meanwhile),
    *(
        Case(f"a declaration {how}", partial(abandoned, how=how))
        for how in ("unfinished", "rejected", "begun again", "finished")
    ),
    *(
        Case(f"discovery: SendTargets={which!r}"[:60], partial(sends_targets, target="", which=which, expected=found))
        for which, found in (
            ("All", ALL), (OPEN, [OPEN]), (OPEN.upper().replace("IQN", "iqn"), [OPEN]), ("iqn.2026-01.test:absent", []),
            ("", []), ("all", []), ("A" * 4000, []), ("\x07", []),
        )
    ),
    Case("SendTargets of the own target", partial(sends_targets, target=OPEN, which=OPEN, expected=[OPEN])),
    Case("SendTargets without a name", partial(sends_targets, target=OPEN, which="", expected=[OPEN])),
    *(
        Case(f"discovery: {what}", partial(discovery_only, data=data))
        for what, data in (
            ("another key", encode({"X-com.example.a": "1"})), ("no key", b""),
            ("MaxRecvDataSegmentLength", encode({"MaxRecvDataSegmentLength": "512"})),
        )
    ),
    *(
        Case(f"discovery: logout for reason {reason}", partial(discovery_logout, reason=reason))
        for reason in (1, 2, 3, 127)
    ),
    Case("a second discovery session of one port", partial(reinstated, same=True)),
    Case("a second discovery session of another port", partial(reinstated, same=False)),
    Case("two texts at once", parallel),
]  # fmt: skip


@pytest.mark.rfc7143(
    "4.3-1", "4.3-2", "6.1-2", "6.1-4", "6.2-1", "6.2-2", "6.2-4", "6.2-6", "6.2-11", "6.4-3", "11.10-1", "11.10.2-1",
    "11.10.3-1", "11.10.4-1", "11.11.4-1", "13-1"
)
@each(CASES)
def test_text(world: World, case: Case) -> None:
    world.run(case)
