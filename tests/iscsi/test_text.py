"""Text data of RFC 7143 section 6.1: what is read, what is refused, and that cuts and limits hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.iscsi.text import KEYS_LIMIT, TEXT_LIMIT, VALUE_LIMIT, TextAssembler, decode, encode, split

names = st.from_regex(r"[A-Za-z][A-Za-z0-9.\-+@_#]{0,62}", fullmatch=True)
raw_values = st.binary(max_size=300).map(lambda raw: raw.replace(b"\0", b""))
values = raw_values.map(lambda raw: raw.decode("utf-8", "surrogateescape"))
texts = st.dictionaries(names, values, max_size=20).map(lambda keys: list(keys.items()))


@pytest.mark.rfc7143("6.1-1")
@given(texts)
def test_round_trip(pairs: list[tuple[str, str]]) -> None:
    assert decode(encode(pairs)) == pairs


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        pairs = decode(data)
    except ValueError:
        return
    assert decode(encode(pairs)) == pairs


@given(st.binary(min_size=1, max_size=60).map(lambda raw: raw.replace(b"\0", b"").replace(b"=", b"")).filter(len))
def test_refusals_are_printable_whatever_was_sent(item: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        decode(item + b"\0")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("data", "pairs"), [
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"\0\0\0", [], id="padding only"),
    pytest.param(b"A=1\0\0\0B=2\0\0", [("A", "1"), ("B", "2")], id="padding between and after"),
    pytest.param(b"A=\0", [("A", "")], id="an empty value"),
    pytest.param(b"A=b=c\0", [("A", "b=c")], id="only the first equals sign parts"),
    pytest.param(b"A=\xff\0", [("A", "\udcff")], id="bytes that are not UTF-8"),
    pytest.param("A=\u00e9\0".encode(), [("A", "\u00e9")], id="UTF-8"),
    pytest.param(b"K" * 63 + b"=\0", [("K" * 63, "")], id="the longest key name"),
    pytest.param(b"X#NodeArchitecture=1\0", [("X#NodeArchitecture", "1")], id="13.26"),
    pytest.param(b"A=" + b"v" * VALUE_LIMIT + b"\0", [("A", "v" * VALUE_LIMIT)], id="the longest value"),
])
def test_what_is_read(data: bytes, pairs: list[tuple[str, str]]) -> None:
    assert decode(data) == pairs


@pytest.mark.rfc7143("6.1-2")
@pytest.mark.parametrize(("data", "problem"), [
    pytest.param(b"A\0", "without '='", id="no equals sign"),
    pytest.param(b"=1\0", "no key name", id="an empty key"),
    pytest.param(b"K" * 64 + b"=\0", "at most 63", id="a key name one too long (CVE-2013-2850)"),
    pytest.param(b"A B=1\0", "no key name", id="a blank in a key name"),
    pytest.param(b"\x1b[2J=1\0", "no key name", id="control characters in a key name"),
    pytest.param(b"A=" + b"v" * (VALUE_LIMIT + 1) + b"\0", "longer than 8192", id="a value one too long"),
    pytest.param(b"A=" + "\u00e9".encode() * (VALUE_LIMIT // 2 + 1), "longer than 8192", id="bytes count, not letters"),
])
def test_what_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode(data)


SAMPLE = encode([("InitiatorName", "iqn.i"), ("TargetName", "iqn.\u00e9"), ("SessionType", "Normal")])


@pytest.mark.rfc7143("6.2-2")
@pytest.mark.parametrize("cut", range(len(SAMPLE) + 1))
def test_a_text_may_be_cut_at_any_byte(cut: int) -> None:
    assembler = TextAssembler()
    assert assembler.add(SAMPLE[:cut], True) is None
    assert assembler.add(memoryview(SAMPLE)[cut:], False) == decode(SAMPLE)


def test_byte_by_byte() -> None:
    assembler = TextAssembler()
    assert all(assembler.add(SAMPLE[at : at + 1], True) is None for at in range(len(SAMPLE)))
    assert assembler.add(b"", False) == decode(SAMPLE)


@given(st.binary(max_size=100), st.integers(1, 40))
def test_split_and_join(text: bytes, limit: int) -> None:
    pieces = split(text, limit)
    assert b"".join(pieces) == text
    assert all(len(piece) <= limit for piece in pieces)
    assert all(pieces) or pieces == [b""]


def many(first: int, count: int) -> bytes:
    return encode((f"K{number}", "") for number in range(first, first + count))


def test_keys_count_over_all_steps() -> None:
    assembler = TextAssembler()
    assert assembler.add(many(0, KEYS_LIMIT - 1), False)
    assert assembler.add(many(500, 1), False)
    with pytest.raises(ValueError, match="more than 128 keys"):
        assembler.add(many(900, 1), False)


def test_a_flood_of_tiny_keys_draws_no_answer() -> None:
    with pytest.raises(ValueError, match="more than 128 keys"):
        TextAssembler().add(many(0, 2048), False)


@pytest.mark.rfc7143("6.1-4", "6.1-5")
def test_bytes_count_over_all_steps() -> None:
    assembler = TextAssembler()
    assert assembler.add(bytes(TEXT_LIMIT - 1), False) == []
    assert assembler.add(b"\0", False) == []
    with pytest.raises(ValueError, match="more than 65536 bytes"):
        assembler.add(b"\0", True)


def test_a_key_stands_once_in_a_text() -> None:
    with pytest.raises(ValueError, match="twice"):
        TextAssembler().add(b"X-a=1\0X-a=1\0", False)
