"""Sessions gone wrong in every way that Hypothesis thinks of, for a short while; tests/long/fuzz does so for long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ietpy.iscsi.pdu import LAYOUTS, NO_TAG, Opcode
from tests.fuzz.choices import corpus
from tests.fuzz.judge import Judge
from tests.fuzz.peer import run


@settings(max_examples=200)
@given(st.binary(min_size=16, max_size=600))
def test_the_invariant_holds(data: bytes) -> None:
    run(data)


def test_and_for_what_was_found_before() -> None:
    for data in corpus("connection"):
        run(data)


# The judge -----------------------------------------------------------------------------------------------------------


def ping(tag: int = 1) -> bytes:
    return LAYOUTS[Opcode.NOP_OUT].pack(opcode=0, flags=0x80, initiator_task_tag=tag, target_transfer_tag=NO_TAG)


def answer(tag: int = 1, **fields: int) -> bytes:
    return LAYOUTS[Opcode.NOP_IN].pack(**({
        "opcode": 0x20, "flags": 0x80, "initiator_task_tag": tag, "target_transfer_tag": NO_TAG, "stat_sn": 7,
        "exp_cmd_sn": 2, "max_cmd_sn": 5,
    } | fields))


def reject(header: bytes) -> bytes:
    return LAYOUTS[Opcode.REJECT].pack(
        opcode=0x3F, flags=0x80, reason=4, lengths=48, initiator_task_tag=NO_TAG, stat_sn=7, exp_cmd_sn=2, max_cmd_sn=5
    ) + header


@pytest.fixture
def judge() -> Judge:
    judge = Judge()
    judge.login = False
    return judge


def test_an_answer_is_in_order(judge: Judge) -> None:
    judge.hear(ping(), answer(), 512)
    judge.hear(ping(2), answer(2, stat_sn=8, exp_cmd_sn=3, max_cmd_sn=5), 512)


@pytest.mark.parametrize(("first", "second", "complaint"), [
    (answer(), answer(stat_sn=8), "answered more often"),
    (answer(), reject(ping()).replace(b"\0\0\0\7", b"\0\0\0\x08", 1), "answered more often"),
    (answer(), answer(2, stat_sn=9), "StatSN 9 where 8 is next"),
    (answer(), answer(2, stat_sn=7), "StatSN 7 where 8 is next"),
    (answer(), answer(2, stat_sn=8, max_cmd_sn=4), "MaxCmdSN back from 5 to 4"),
    (answer(), answer(2, stat_sn=8, exp_cmd_sn=1), "ExpCmdSN back from 2 to 1"),
    (answer(), answer(2, stat_sn=8, exp_cmd_sn=8), "window 8 to 5"),
    (answer(), answer(2, stat_sn=8)[:40], "a header cut short"),
    (answer(), answer(2, stat_sn=8, lengths=4), "data cut short"),
    (answer(), answer(2, stat_sn=8, lengths=1) + b"a\0\0\1", "padding that is not 0"),
    (answer(), answer(2, stat_sn=8, lengths=516) + bytes(516), "516 bytes of data"),
    (answer(), answer(2, stat_sn=8)[:2] + b"\1" + answer(2, stat_sn=8)[3:], "a reserved field is not 0"),
    (answer(), ping(2), "opcode 0"),
    (answer(3), b"", "tag 0x3 asked 0 times"),
    (reject(ping(5)), b"", "rejected that never came"),
])
def test_what_is_wrong_is_noticed(judge: Judge, first: bytes, second: bytes, complaint: str) -> None:
    def judged() -> None:
        judge.hear(ping(1) + ping(2), first, 512)
        judge.hear(b"", second, 512)

    with pytest.raises(AssertionError, match=complaint):
        judged()
