"""Messages to bytes and back: RFC 4171 sections 5.1 to 5.4. Bytes marked so were sent by open-isns 0.101."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, builds, integers, lists, sampled_from

from ietpy.isns.attributes import IsnsError, Tag
from ietpy.isns.message import (
    HEADER,
    MESSAGE_LIMIT,
    PDU_LIMIT,
    Assembler,
    Flag,
    Function,
    Message,
    Status,
    encode,
    status_words,
)

A = "iqn.2026-11.test:a"
NAME_A = "00000020 00000014 69716e2e 32303236 2d31312e 74657374 3a610000"


def messages(data: bytes) -> list[Message]:
    assembler = Assembler()
    assembler.feed(data)
    found = []
    while (message := assembler.next_message()) is not None:
        found.append(message)
    return found


GOLDEN = [
    pytest.param(
        Message(
            Function.SCN_REG,
            ((Tag.ISCSI_NAME, A), (Tag.ISCSI_NAME, A), (Tag.DELIMITER, None), (Tag.ISCSI_SCN_BITMAP, 0x9C)),
            transaction=2,
        ),
        f"0001 0005 004c 8c00 0002 0000 {NAME_A} {NAME_A} 00000000 00000000 00000023 00000004 0000009c",
        id="request",
    ),
    pytest.param(
        Message(0x8005, (), Status.SCN_REGISTRATION_REJECTED, 2, Flag.SERVER),
        "0001 8005 0004 4c00 0002 0000 00000011",
        id="refusal",
    ),
    pytest.param(
        Message(
            0x8002,
            ((Tag.ENTITY_IDENTIFIER, "vm"), (Tag.DELIMITER, None), (Tag.ENTITY_IDENTIFIER, "vm")),
            0,
            6,
            Flag.SERVER,
        ),
        "00018002 00244c00 00060000 00000000 00000001 00000004 766d0000 00000000 00000000 00000001 00000004 766d0000",
        id="query response, from open-isns",
    ),
    pytest.param(
        Message(
            Function.SCN,
            (
                (Tag.ISCSI_NAME, A),
                (Tag.TIMESTAMP, 0x6B0868DE),
                (Tag.ISCSI_SCN_BITMAP, 4),
                (Tag.ISCSI_NAME, "iqn.2026-11.test:init1"),
            ),
            None,
            2,
            Flag.CLIENT,
        ),
        f"00010008 00588c00 00020000 {NAME_A} 00000004 00000008 00000000 6b0868de 00000023 00000004 00000004 "
        "00000020 00000018 69716e2e 32303236 2d31312e 74657374 3a696e69 74310000",
        id="SCN, from open-isns",
    ),
    pytest.param(
        Message(
            Function.ESI,
            (
                (Tag.TIMESTAMP, 1),
                (Tag.ENTITY_IDENTIFIER, "vm"),
                (Tag.PORTAL_IP_ADDRESS, "10.0.0.7"),
                (Tag.PORTAL_PORT, 3260),
            ),
            None,
            0xFFFF,
            Flag.SERVER,
        ),
        "0001 000d 0040 4c00 ffff 0000 00000004 00000008 0000000000000001 00000001 00000004 766d0000 "
        "00000010 00000010 00000000 00000000 0000ffff 0a000007 00000011 00000004 00000cbc",
        id="ESI",
    ),
    pytest.param(
        Message(Function.DEV_ATTR_REG, (), None, 1, Flag.CLIENT | Flag.REPLACE),
        "0001 0001 0000 9c00 0001 0000",
        id="replace flag, no payload",
    ),
]


@pytest.mark.parametrize(("message", "wire"), GOLDEN)
def test_both_ways(message: Message, wire: str) -> None:
    assert encode(message).hex() == wire.replace(" ", "")
    assert messages(bytes.fromhex(wire)) == [message]


def test_a_long_message_is_cut_into_pdus_anywhere() -> None:
    message = Message(Function.DEV_DEREG, ((Tag.ISCSI_NAME, A), (Tag.DELIMITER, None)), transaction=3)
    data = encode(message, pdu_limit=12)
    heads = [HEADER.unpack(data, offset) for offset in range(0, len(data), 24)]
    assert [(head["sequence"], head["flags"], head["length"]) for head in heads] == [
        (0, Flag.CLIENT | Flag.FIRST, 12),
        (1, Flag.CLIENT, 12),
        (2, Flag.CLIENT | Flag.LAST, 12),
    ]
    assert messages(data) == [message]


def test_what_is_longer_than_a_pdu_takes_two() -> None:
    names = tuple((Tag.ISCSI_NAME, f"iqn.2026-11.test:{number:0200}") for number in range(300))
    message = Message(Function.DEV_DEREG, names)
    data = encode(message)
    assert HEADER.unpack(data)["length"] == PDU_LIMIT
    assert messages(data) == [message]


def test_what_is_longer_than_a_message_is_not_sent() -> None:
    names = tuple((64, bytes(65536)) for _ in range(16))
    with pytest.raises(IsnsError, match=f"DEV_DEREG: its payload has .* at most {MESSAGE_LIMIT} are sent"):
        encode(Message(Function.DEV_DEREG, names))


def pdu(
    function: int = 1,
    length: int = 0,
    flags: int = 0x0C00,
    transaction: int = 1,
    sequence: int = 0,
    version: int = 1,
    payload: bytes = b"",
) -> bytes:
    return HEADER.codec.pack(version, function, length or len(payload), flags, transaction, sequence) + payload


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(pdu(version=2), "iSNSP version 2 came; only version 1", id="version"),
        pytest.param(pdu(flags=0x2C00), "authentication block", id="authentication block"),
        pytest.param(pdu(length=6), "said to have 6 bytes; a multiple of 4", id="unaligned"),
        pytest.param(pdu(flags=0x0800), "the first PDU of a message was due", id="no first"),
        pytest.param(pdu(sequence=1), "the first PDU of a message was due", id="first is not 0"),
        pytest.param(pdu(flags=0x0400) + pdu(), r"\(0x1, 1, 1\) was due", id="first twice"),
        pytest.param(pdu(flags=0x0400) + pdu(flags=0x0800, sequence=2), r"\(0x1, 1, 1\) was due", id="one is missing"),
        pytest.param(
            pdu(flags=0x0400) + pdu(flags=0x0800, sequence=1, transaction=2),
            r"\(0x1, 2, 1\), flags 0x800 came",
            id="another transaction within",
        ),
        pytest.param(
            pdu(flags=0x0400) + pdu(2, flags=0x0800, sequence=1),
            r"\(0x2, 1, 1\), flags 0x800 came",
            id="another function within",
        ),
        pytest.param(pdu(0x8001), r"a response \(function 0x8001\) without a status", id="no status"),
        pytest.param(pdu(payload=b"abcd"), "4 bytes follow the last attribute", id="attributes"),
        pytest.param(pdu(0x8001, payload=b"\0\0\0\0abcd"), "4 bytes follow", id="attributes of a response"),
    ],
)
def test_what_is_no_message_is_a_sentence(data: bytes, problem: str) -> None:
    with pytest.raises(IsnsError, match=problem):
        messages(data)


def test_a_message_that_never_ends_is_cut_off_in_time() -> None:
    assembler = Assembler()
    longest = MESSAGE_LIMIT // PDU_LIMIT
    for sequence in range(longest):
        assembler.feed(pdu(flags=0x0400 if sequence == 0 else 0, sequence=sequence, payload=bytes(PDU_LIMIT)))
        assert assembler.next_message() is None
    assembler.feed(pdu(flags=0, sequence=longest, length=PDU_LIMIT))
    with pytest.raises(IsnsError, match=f"more than {MESSAGE_LIMIT} bytes"):
        assembler.next_message()


def test_empty_pdus_do_not_go_on_for_ever() -> None:
    assembler = Assembler()
    for sequence in range(0x10000):
        assembler.feed(pdu(flags=0x0400 if sequence == 0 else 0, sequence=sequence))
    assert assembler.next_message() is None
    assembler.feed(pdu(flags=0))
    with pytest.raises(IsnsError, match="65536"):
        assembler.next_message()


def test_words() -> None:
    assert status_words(6) == "status 6 (source unknown)"
    assert status_words(4) == "status 4 (reserved)"
    assert str(Message(0x800D)) == "ESI response"
    assert str(Message(0x0123)) == "function 0x123"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


@settings(deadline=None)
@given(
    chosen=lists(sampled_from([parameter.values for parameter in GOLDEN]), max_size=4),
    limit=integers(1, 20).map(lambda words: 4 * words),
    places=lists(integers(min_value=0), max_size=8),
)
def test_it_does_not_matter_how_tcp_and_the_server_cut(
    chosen: list[tuple[Message, str]], limit: int, places: list[int]
) -> None:
    sent = [message for message, _ in chosen]
    assembler, found = Assembler(), []
    for piece in cut(b"".join(encode(message, limit) for message in sent), places):
        assembler.feed(piece)
        while (message := assembler.next_message()) is not None:
            found.append(message)
    assert found == sent


heads = builds(
    pdu,
    function=sampled_from([0x0001, 0x0008, 0x000D, 0x8001, 0x8002]) | integers(0, 0xFFFF),
    flags=sampled_from([0x0C00, 0x4C00, 0x0400, 0x0800, 0]) | integers(0, 0xFFFF),
    transaction=integers(0, 2),
    sequence=integers(0, 3),
    payload=binary(max_size=32).map(lambda data: data + bytes(-len(data) % 4)),
)


@settings(deadline=None)
@given(binary(max_size=64) | lists(heads | binary(max_size=16), max_size=6).map(b"".join))
def test_any_bytes_are_messages_or_a_sentence(data: bytes) -> None:
    with contextlib.suppress(IsnsError):
        found = messages(data)
        assert all((message.status is not None) == bool(message.function & 0x8000) for message in found)
