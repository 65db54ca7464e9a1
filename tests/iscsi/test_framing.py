"""Framing does not depend on how TCP cut the stream, on digests, or on where chunks end (RFC 7143 section 11.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import FormatError
from ietpy.iscsi.framing import Framer
from ietpy.iscsi.pdu import REQUEST
from ietpy.wire.buffers import ReceiveWindow
from ietpy.wire.crc32c import crc32c

LIMIT = 4000


def pdu(
    data: bytes, *, opcode: int = 1, tag: int = 0, ahs: bytes = b"", header_digest: bool = False,
    data_digest: bool = False, length: int | None = None, cdb: bytes = b"",
) -> bytes:
    """A request's bytes as an initiator would send them."""
    size = len(data) if length is None else length
    lengths = len(ahs) // 4 << 24 | size
    header = REQUEST.pack(opcode=opcode, lengths=lengths, initiator_task_tag=tag, cmd_sn=tag, tail=cdb) + ahs
    if header_digest:
        header += crc32c(header).to_bytes(4, "little")
    body = data + bytes(-len(data) % 4)
    if data and data_digest:
        body += crc32c(body).to_bytes(4, "little")
    return header + body


def feed(framer: Framer, stream: bytes, cuts: list[int]) -> list[tuple[int, bytes | None, bytes]]:
    """What comes out, as (tag, data, header), when the stream arrives in pieces of the given sizes."""
    out = []
    position, turn = 0, 0
    while position < len(stream):
        space = framer.window.space()
        assert len(space) > 0
        size = min(len(space), len(stream) - position, cuts[turn % len(cuts)] if cuts else len(stream))
        space[:size] = stream[position : position + size]
        framer.window.end += size
        position, turn = position + size, turn + 1
        for request in framer.requests():
            data = None if request[7] is None else b"".join(request[7])
            out.append((request[3], data, framer.header()))
    return out


payloads = st.lists(
    st.binary(max_size=3000) | st.sampled_from([b"", b"a" * 2047, b"b" * 2048, b"c" * 3999]), max_size=8
)


@given(
    payloads=payloads, cuts=st.lists(st.integers(1, 3000), max_size=20), header_digest=st.booleans(),
    data_digest=st.booleans(), size=st.sampled_from([256, 512, 2048, 65536]), ahs=st.sampled_from([b"", b"ahs!" * 3]),
)
def test_framing_ignores_how_tcp_cut_the_stream(
    payloads: list[bytes], cuts: list[int], header_digest: bool, data_digest: bool, size: int, ahs: bytes
) -> None:
    pdus = [
        pdu(data, tag=tag, ahs=ahs, header_digest=header_digest, data_digest=data_digest)
        for tag, data in enumerate(payloads)
    ]
    framer = Framer(ReceiveWindow(size), header_digest, data_digest, LIMIT)
    out = feed(framer, b"".join(pdus), cuts)
    assert out == [(tag, None if ahs else data, pdus[tag][:48]) for tag, data in enumerate(payloads)]


@given(
    payloads=st.lists(st.binary(min_size=1, max_size=900), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 700), max_size=20), release=st.integers(0, 11),
)
def test_retained_data_never_changes(payloads: list[bytes], cuts: list[int], release: int) -> None:
    framer = Framer(ReceiveWindow(512), False, False, LIMIT)
    stream = b"".join(pdu(data, tag=tag) for tag, data in enumerate(payloads))
    kept: list[tuple[list[memoryview], bytes]] = []
    chunks = []
    position = turn = 0
    while position < len(stream):
        space = framer.window.space()
        size = min(len(space), len(stream) - position, cuts[turn % len(cuts)] if cuts else len(stream))
        space[:size] = stream[position : position + size]
        framer.window.end += size
        position, turn = position + size, turn + 1
        for request in framer.requests():
            assert request[7] is not None
            if request[3] == release:
                for chunk in chunks:
                    framer.window.unpin(chunk)
                kept, chunks = [], []
            kept.append((list(request[7]), payloads[request[3]]))
            chunks += framer.retain()
    for views, expected in kept:
        assert b"".join(views) == expected


def test_stopping_in_the_middle_leaves_the_rest() -> None:
    framer = Framer(ReceiveWindow(4096), False, False, LIMIT)
    window = framer.window
    stream = pdu(b"one", tag=1) + pdu(b"two!", tag=2)
    window.space()[: len(stream)] = stream
    window.end += len(stream)
    for request in framer.requests():
        assert request[3] == 1
        break
    assert [request[3] for request in framer.requests()] == [2]


@pytest.mark.rfc7143("7.8-2")
@pytest.mark.parametrize("cuts", [[5000], [1], [100]])
@pytest.mark.parametrize("size", [512, 65536])
def test_a_data_digest_that_does_not_fit_gives_no_data(cuts: list[int], size: int) -> None:
    broken = bytearray(pdu(b"x" * 600, tag=1, data_digest=True))
    broken[100] ^= 1
    stream = bytes(broken) + pdu(b"y", tag=2, data_digest=True)
    out = feed(Framer(ReceiveWindow(size), False, True, LIMIT), stream, cuts)
    assert [(tag, data) for tag, data, _ in out] == [(1, None), (2, b"y")]


@pytest.mark.rfc7143("7.8-1")
@pytest.mark.parametrize("length", [0, 10, 3000])
@pytest.mark.parametrize("cuts", [[5000], [60]])
def test_a_header_digest_that_does_not_fit_drops_the_connection(length: int, cuts: list[int]) -> None:
    broken = bytearray(pdu(b"x" * length, header_digest=True))
    broken[20] ^= 1
    with pytest.raises(FormatError, match="header digest"):
        feed(Framer(ReceiveWindow(512), True, False, LIMIT), bytes(broken), cuts)


@pytest.mark.rfc7143("7.7-1", "11.10.5-1", "11.7.1-1")
@pytest.mark.parametrize("cuts", [[9000], [60]])
@pytest.mark.parametrize(("length", "fits"), [(LIMIT, True), (LIMIT + 1, False)])
def test_a_data_segment_over_the_declared_limit_drops_the_connection(length: int, fits: bool, cuts: list[int]) -> None:
    framer = Framer(ReceiveWindow(512), False, False, LIMIT)
    if fits:
        assert len(feed(framer, pdu(b"x" * length), cuts)) == 1
    else:
        with pytest.raises(FormatError, match="4001 bytes where 4000"):
            feed(framer, pdu(b"x" * length), cuts)


@pytest.mark.parametrize("cut", range(1, 8))
def test_padding_and_digest_may_come_after_all_data_of_a_segment_in_pieces(cut: int) -> None:
    first = pdu(b"x" * 601, tag=1, data_digest=True)
    stream = first + pdu(b"y", tag=2, data_digest=True)
    cuts = [300, len(first) - 300 - cut, cut, 1000]
    out = feed(Framer(ReceiveWindow(512), False, True, LIMIT), stream, cuts)
    assert [(tag, data) for tag, data, _ in out] == [(1, b"x" * 601), (2, b"y")]


def extended(cdb: bytes, *, kind: int = 1) -> bytes:
    """An Extended CDB additional header segment (section 11.2.2.3) for what is behind the first 16 bytes of a CDB."""
    rest = cdb[16:]
    segment = (len(rest) + 1).to_bytes(2, "big") + bytes((kind, 0)) + rest
    return segment + bytes(-len(segment) % 4)


READ_LENGTH = bytes.fromhex("0005 02 00 00000200")  # section 11.2.2.4


@pytest.mark.rfc7143("11.3.5-1")
@pytest.mark.parametrize("data_digest", [False, True])
@pytest.mark.parametrize("header_digest", [False, True])
@pytest.mark.parametrize("length", [0, 100, 2000])
@pytest.mark.parametrize("cuts", [[9000], [60], [1]])
@pytest.mark.parametrize("size", [17, 32, 33, 260])
def test_an_extended_cdb_is_put_together(
    size: int, cuts: list[int], length: int, header_digest: bool, data_digest: bool
) -> None:
    cdb = bytes(range(1, 17)) + bytes(index % 251 for index in range(size - 16))
    digests = {"header_digest": header_digest, "data_digest": data_digest}
    framer = Framer(ReceiveWindow(512), header_digest, data_digest, LIMIT)
    stream = pdu(b"x" * length, tag=1, ahs=extended(cdb), cdb=cdb[:16], **digests) + pdu(b"y", tag=2, **digests)
    found = []
    position = 0
    while position < len(stream):
        space = framer.window.space()
        step = min(len(space), cuts[0], len(stream) - position)
        space[:step] = stream[position : position + step]
        framer.window.end += step
        position += step
        found += [(request[6], b"".join(request[7] or ())) for request in framer.requests()]
    assert found == [(cdb, b"x" * length), (bytes(16), b"y")]


@pytest.mark.rfc7143("11-3", "11.2.2.3-1")
@pytest.mark.parametrize(("ahs", "opcode", "reason"), [
    pytest.param(READ_LENGTH, 1, 9, id="bidirectional read length of a command that is not"),
    pytest.param(extended(bytes(32), kind=0), 1, 4, id="reserved type"),
    pytest.param(extended(bytes(32), kind=3), 1, 4, id="another one"),
    pytest.param(extended(bytes(32), kind=63), 1, 4, id="the last one"),
    pytest.param(extended(bytes(32)), 0, 9, id="of another request"),
    pytest.param(extended(bytes(32), kind=0), 0, 9, id="reserved, of another request"),
    pytest.param(extended(bytes(16)), 1, 9, id="nothing behind the reserved byte"),
    pytest.param(extended(bytes(32)) * 2, 1, 9, id="two of them"),
    pytest.param(extended(bytes(32))[:8], 1, 9, id="longer than all segments"),
    pytest.param(extended(bytes(32)) + bytes(4), 1, 4, id="shorter"),
])
def test_other_additional_headers_make_a_request_unfit(ahs: bytes, opcode: int, reason: int) -> None:
    framer = Framer(ReceiveWindow(512), False, False, LIMIT)
    out = feed(framer, pdu(b"x" * 100, tag=1, ahs=ahs, opcode=opcode) + pdu(b"y", tag=2), [9000])
    assert [(tag, data) for tag, data, _ in out] == [(1, None), (2, b"y")]
    assert framer.fault == reason


@pytest.mark.rfc7143("11-2")
@pytest.mark.parametrize("kind", [0x01, 0x41, 0xC1])
def test_reserved_bits_of_the_type_are_ignored(kind: int) -> None:
    framer = Framer(ReceiveWindow(512), False, False, LIMIT)
    (taken,) = feed(framer, pdu(b"x", tag=1, ahs=extended(bytes(32), kind=kind), opcode=1), [9000])
    assert taken[:2] == (1, b"x")


@pytest.mark.rfc7143("11.3.4-1")
@pytest.mark.parametrize("ahs", [READ_LENGTH, READ_LENGTH + extended(bytes(32)), extended(bytes(32)) + READ_LENGTH])
def test_a_bidirectional_command_has_its_read_length(ahs: bytes) -> None:
    framer = Framer(ReceiveWindow(512), False, False, LIMIT)
    request = bytearray(pdu(b"x", tag=1, ahs=ahs, opcode=1))
    request[1] = 0xE0
    (taken,) = feed(framer, bytes(request), [9000])
    assert taken[:2] == (1, b"x")


@pytest.mark.parametrize("length", [100, 2000])
@pytest.mark.parametrize("cuts", [[9000], [60]])
def test_additional_headers_leave_no_data(length: int, cuts: list[int]) -> None:
    framer = Framer(ReceiveWindow(512), False, False, LIMIT)
    out = feed(framer, pdu(b"x" * length, tag=1, ahs=b"ahs!") + pdu(b"y", tag=2), cuts)
    assert [(tag, data) for tag, data, _ in out] == [(1, None), (2, b"y")]
