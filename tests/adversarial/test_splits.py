"""However the bytes come, in ones, at once, in pieces, cut anywhere, the answers are the same (TCP has no boundaries).

In memory the target draws the same numbers each time, so a recorded session can be played again. ExpCmdSN and MaxCmdSN
tell how far the target was when it answered, so they may differ where several requests came together, and so may the
order of answers to different tasks; nothing else may.
"""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ietpy.initiator.framing import Framer, Pdu
from ietpy.iscsi.pdu import BHS_SIZE, Opcode
from tests.adversarial.memory import Memory, MemoryClient, Wire
from tests.adversarial.scenarios import SCENARIOS

#: Of these every single cut is tried.
SHORT = ("chap", "wrong_secret", "interrupted")
#: A function ends what has come before it and was not answered yet, so what there is to end depends on the turns.
AT_ONCE = sorted({*SCENARIOS} - {"functions"})


RESPONSE = bytes((Opcode.SCSI_RESPONSE,))


class Recording:
    """A session as it went turn by turn: what the initiator sent, what the target answered."""

    def __init__(self, name: str) -> None:
        client = MemoryClient(Wire(Memory()))
        SCENARIOS[name](client)
        client.socket.close()
        self.turns, self.answers = client.turns, client.answers
        self.answer = b"".join(self.answers)
        self.dropped = client.wire.dropped
        assert client.wire.closing
        #: The login, and the command that takes the unit attention, which would be the first to be executed.
        self.settled = 1 + next(
            (place for place, answer in enumerate(self.answers) if answer[:1] == RESPONSE and answer[3]), -1
        )

    def again(self, sizes: list[int]) -> bytes:
        """The session without waiting for answers, in pieces of these sizes; ``settled`` turns come one by one.

        So does the last one: it is the logout, which would end what is not answered yet (section 11.14).
        """
        wire = Wire(Memory())
        stream = b"".join(self.turns[self.settled : -1])
        answer = b"".join(wire.feed(turn, sizes) for turn in (*self.turns[: self.settled], stream, self.turns[-1]))
        assert wire.dropped == self.dropped
        assert wire.closing
        return answer


@cache
def recording(name: str) -> Recording:
    return Recording(name)


def pdus(stream: bytes) -> list[Pdu]:
    """The answers; their digests are checked."""
    found, framer = [], Framer(1 << 24)
    keys = b""
    framer.feed(stream)
    while (pdu := framer.next_pdu()) is not None:
        found.append(pdu)
        if pdu.opcode == Opcode.LOGIN_RESPONSE:
            keys += pdu.data
            if pdu.header["flags"] & 0x83 == 0x83:
                framer.header_digest = b"HeaderDigest=CRC32C\0" in keys
                framer.data_digest = b"DataDigest=CRC32C\0" in keys
    assert not framer.pending
    return found


def essence(stream: bytes) -> list[tuple[bytes, bytes]]:
    """What must not differ: all but StatSN, ExpCmdSN and MaxCmdSN, and in the order of each task."""
    answers = [(pdu.raw[:24] + pdu.raw[36:], pdu.data) for pdu in pdus(stream)]
    return sorted(answers, key=lambda answer: answer[0][16:20])


def numbers(stream: bytes) -> list[int]:
    """The StatSNs used: one for each answer that carries a status."""
    used = []
    for pdu in pdus(stream):
        status = pdu.opcode != Opcode.READY_TO_TRANSFER and (pdu.opcode != Opcode.DATA_IN or pdu.header["flags"] & 1)
        if status:
            used.append(pdu.header["stat_sn"])
    return used


@pytest.mark.parametrize("name", SCENARIOS)
def test_byte_by_byte(name: str) -> None:
    """Turn by turn, as the initiator waits for answers: where a turn is one PDU, each byte is the same."""
    recorded = recording(name)
    wire, answers = Wire(Memory()), []
    for turn, expected in zip(recorded.turns, recorded.answers, strict=True):
        answers.append(wire.feed(turn, [1] * len(turn)))
        if one_pdu(turn):
            assert answers[-1] == expected
    assert essence(b"".join(answers)) == essence(recorded.answer)
    assert numbers(b"".join(answers)) == numbers(recorded.answer)
    assert wire.dropped == recorded.dropped


def one_pdu(turn: bytes) -> bool:
    """Whether there is no room for another one, with or without digests."""
    length = int.from_bytes(turn[5:8], "big")
    return len(turn) < 2 * BHS_SIZE + turn[4] * 4 + length


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 47, 48, 49, 63, 511, 512, 513, 4096, 1 << 20])
@pytest.mark.parametrize("name", AT_ONCE)
def test_at_once(name: str, size: int) -> None:
    """The whole session without waiting for an answer, in pieces of one size."""
    recorded = recording(name)
    answer = recorded.again([size] * (max(map(len, recorded.turns)) * len(recorded.turns) // size))
    assert essence(answer) == essence(recorded.answer)
    assert numbers(answer) == numbers(recorded.answer)


@pytest.mark.parametrize("name", SHORT)
def test_every_cut(name: str) -> None:
    recorded = recording(name)
    expected = essence(recorded.answer)
    for place in range(1, max(map(len, recorded.turns))):
        assert essence(recorded.again([place])) == expected, place


@settings(max_examples=60)
@given(name=st.sampled_from(AT_ONCE), sizes=st.lists(st.integers(1, 700), max_size=60))
def test_any_cuts(name: str, sizes: list[int]) -> None:
    recorded = recording(name)
    answer = recorded.again(sizes)
    assert essence(answer) == essence(recorded.answer)
    assert numbers(answer) == numbers(recorded.answer)


def test_scenarios_are_different() -> None:
    assert len({b"".join(recording(name).turns) for name in SCENARIOS}) == len(SCENARIOS)
