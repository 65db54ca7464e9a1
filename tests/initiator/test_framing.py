from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.initiator.errors import TargetFault
from ietpy.initiator.framing import Framer, Pdu, build_pdu
from ietpy.iscsi.pdu import NO_TAG, Opcode

PING = bytes.fromhex(
    "40800000 00000003 0000000000000000 00000007 ffffffff 00000001 00000064 00000000000000000000000000000000 61626300"
)


def test_golden_nop_out() -> None:
    built = build_pdu(
        Opcode.NOP_OUT, b"abc", immediate=True, flags=0x80, initiator_task_tag=7, target_transfer_tag=NO_TAG,
        cmd_sn=1, exp_stat_sn=100,
    )  # fmt: skip
    assert built == PING


def test_additional_header_segment_counts_in_words_and_is_padded() -> None:
    built = build_pdu(Opcode.SCSI_COMMAND, ahs=b"\x00\x05\x01\x00abcdef")
    assert built[4:8] == bytes((3, 0, 0, 0))
    assert built[48:] == b"\x00\x05\x01\x00abcdef\0\0"


def test_every_field_may_be_wrong() -> None:
    built = build_pdu(Opcode.NOP_OUT, b"abc", opcode_byte=0xFF, lengths=0x01000009)
    assert (built[0], built[4:8], len(built)) == (0xFF, b"\x01\x00\x00\x09", 52)


def test_unknown_opcode_takes_the_fields_all_requests_share() -> None:
    assert build_pdu(0x1C, cmd_sn=5)[24:28] == b"\0\0\0\5"


def test_wrong_field_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        build_pdu(Opcode.NOP_OUT, cdb=b"")


@given(
    payloads=st.lists(st.binary(max_size=40), min_size=1, max_size=6),
    cuts=st.lists(st.integers(min_value=1, max_value=50), min_size=1),
    header_digest=st.booleans(),
    data_digest=st.booleans(),
)
def test_framing_ignores_how_tcp_cut_the_stream(
    payloads: list[bytes], cuts: list[int], header_digest: bool, data_digest: bool
) -> None:
    stream = b"".join(
        build_pdu(Opcode.NOP_IN, data, initiator_task_tag=n, header_digest=header_digest, data_digest=data_digest)
        for n, data in enumerate(payloads)
    )
    framer = Framer(8192)
    framer.header_digest, framer.data_digest = header_digest, data_digest
    found: list[Pdu] = []
    place = turn = 0
    while place < len(stream):
        size = cuts[turn % len(cuts)]
        framer.feed(stream[place : place + size])
        place, turn = place + size, turn + 1
        while (pdu := framer.next_pdu()) is not None:
            found.append(pdu)
    assert [pdu.data for pdu in found] == payloads
    assert [pdu.header["initiator_task_tag"] for pdu in found] == list(range(len(payloads)))
    assert framer.pending == 0


def test_digests_may_be_switched_on_between_two_pdus() -> None:
    framer = Framer(8192)
    framer.feed(build_pdu(Opcode.LOGIN_RESPONSE) + build_pdu(Opcode.NOP_IN, b"x", header_digest=True, data_digest=True))
    assert framer.next_pdu() is not None
    framer.header_digest = framer.data_digest = True
    pdu = framer.next_pdu()
    assert pdu is not None
    assert pdu.data == b"x"


@pytest.mark.parametrize(
    ("data", "wrong", "section"),
    [
        pytest.param(b"x" * 9000, {}, "13.12", id="longer than MaxRecvDataSegmentLength"),
        pytest.param(b"abc", {"spoil_header": True}, "13.1", id="HeaderDigest"),
        pytest.param(b"abc", {"spoil_data": True}, "13.1", id="DataDigest"),
        pytest.param(b"abcd", {"lengths": 3}, "11.1", id="padding"),
    ],
)
def test_faults(data: bytes, wrong: dict[str, Any], section: str) -> None:
    stream = build_pdu(Opcode.NOP_IN, data, header_digest=True, data_digest=True, **wrong)
    framer = Framer(8192)
    framer.header_digest = framer.data_digest = True
    framer.feed(stream)
    with pytest.raises(TargetFault) as caught:
        framer.next_pdu()
    assert caught.value.section == section


def test_pdu_is_printed_with_its_fields() -> None:
    framer = Framer(8192)
    framer.feed(build_pdu(Opcode.NOP_IN, b"abc", stat_sn=5) + build_pdu(0x3E))
    assert str(framer.next_pdu()) == "NOP-In opcode=0x20 lengths=0x3 stat_sn=0x5, 3 bytes of data"
    assert str(framer.next_pdu()) == "request opcode=0x3e, 0 bytes of data"
