"""A layout is what its declaration says, byte for byte."""

from __future__ import annotations

import pytest

from ietpy.wire.layout import Layout

SAMPLE = Layout("Sample", 12, (("kind", "B"), ("_reserved", "x"), ("size", "H"), ("tail", "6s"), ("_pad", "2x")))


def test_pack_is_big_endian_and_fills_with_zero() -> None:
    assert SAMPLE.pack(size=0x1234, tail=b"abc").hex() == "00001234616263000000" + "0000"
    assert SAMPLE.pack() == bytes(12)


def test_padding_is_no_field() -> None:
    assert [name for name, _ in SAMPLE.fields] == ["kind", "size", "tail"]


def test_a_size_that_is_not_the_declared_one_is_refused() -> None:
    with pytest.raises(ValueError, match="take 2 bytes, 3 declared"):
        Layout("Short", 3, (("word", "H"),))


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(KeyError, match="Sample has no field 'sise'"):
        SAMPLE.pack(sise=1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_unpack_at_an_offset(kind: type) -> None:
    raw = b"\xff" * 3 + SAMPLE.pack(kind=7, size=9, tail=b"123456")
    assert SAMPLE.unpack(kind(raw), 3) == {"kind": 7, "size": 9, "tail": b"123456"}


def test_dump_shows_what_is_not_zero() -> None:
    assert SAMPLE.dump(SAMPLE.pack(size=18)) == "Sample size=0x12"
    assert SAMPLE.dump(SAMPLE.pack(kind=1, tail=b"a")) == "Sample kind=0x1 tail=610000000000"
    assert SAMPLE.dump(bytes(12)) == "Sample"
