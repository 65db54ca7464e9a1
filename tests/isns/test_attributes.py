"""Attributes to bytes and back: RFC 4171 sections 5.3 and 6.1, and whatever else may come."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, builds, integers, lists, sampled_from

from ietpy.isns.attributes import ATTRIBUTES, IsnsError, Tag, Value, decode_attributes, encode_attribute

GOLDEN = [
    pytest.param(Tag.DELIMITER, None, "00000000 00000000", id="delimiter"),
    pytest.param(Tag.ENTITY_IDENTIFIER, "vm", "00000001 00000004 766d0000", id="text, two NULs"),
    pytest.param(Tag.ENTITY_IDENTIFIER, "host", "00000001 00000008 686f7374 00000000", id="text, four NULs"),
    pytest.param(Tag.ENTITY_IDENTIFIER, "", "00000001 00000004 00000000", id="empty text"),
    pytest.param(Tag.ISCSI_ALIAS, "é", "00000022 00000004 c3a90000", id="UTF-8"),
    pytest.param(Tag.ISCSI_NAME, None, "00000020 00000000", id="asked for"),
    pytest.param(Tag.ISCSI_NAME, "x" * 223, "00000020 000000e0" + "78" * 223 + "00", id="longest name"),
    pytest.param(Tag.ISCSI_ALIAS, "x" * 255, "00000022 00000100" + "78" * 255 + "00", id="longest text"),
    pytest.param(Tag.PORTAL_PORT, 3260, "00000011 00000004 00000cbc", id="number"),
    pytest.param(Tag.ISCSI_NODE_TYPE, 0xFFFFFFFF, "00000021 00000004 ffffffff", id="largest number"),
    pytest.param(Tag.TIMESTAMP, 1795713246, "00000004 00000008 00000000 6b0868de", id="timestamp"),
    pytest.param(
        Tag.PORTAL_IP_ADDRESS, "127.0.0.1", "00000010 00000010 00000000 00000000 0000ffff 7f000001", id="IPv4, mapped"
    ),
    pytest.param(
        Tag.PORTAL_IP_ADDRESS, "2001:db8::1", "00000010 00000010 20010db8 00000000 00000000 00000001", id="IPv6"
    ),
    pytest.param(64, b"\x50\0\0\0\0\0\0\1", "00000040 00000008 50000000 00000001", id="a tag without a row"),
]


@pytest.mark.parametrize(("tag", "value", "wire"), GOLDEN)
def test_both_ways(tag: int, value: Value, wire: str) -> None:
    assert encode_attribute(tag, value).hex() == wire.replace(" ", "")
    assert decode_attributes(bytes.fromhex(wire)) == ((tag, value),)


@pytest.mark.parametrize(
    ("tag", "value", "problem"),
    [
        pytest.param(Tag.ISCSI_NAME, "x" * 224, "iSCSI Name cannot be .*at most 224 bytes", id="name too long"),
        pytest.param(Tag.ISCSI_ALIAS, "é" * 128, "iSCSI Alias cannot be .*at most 256 bytes", id="too long in UTF-8"),
        pytest.param(Tag.ISCSI_NAME, "a\0b", "UTF-8 ended by NUL", id="NUL within"),
        pytest.param(Tag.ISCSI_NAME, "a\udcff", "UTF-8 ended by NUL", id="not UTF-8"),
        pytest.param(Tag.ISCSI_NAME, 7, "UTF-8 ended by NUL", id="number for a text"),
        pytest.param(Tag.PORTAL_PORT, 1 << 32, "a number of 4 bytes", id="too large"),
        pytest.param(Tag.PORTAL_PORT, -1, "a number of 4 bytes", id="negative"),
        pytest.param(Tag.PORTAL_PORT, "3260", "a number of 4 bytes", id="text for a number"),
        pytest.param(Tag.PORTAL_IP_ADDRESS, "storage.test", "an IP address", id="name for an address"),
        pytest.param(Tag.PORTAL_IP_ADDRESS, 5, "an IP address", id="number for an address"),
        pytest.param(64, b"\0\0\0", "attribute 64 cannot be .* a multiple of four", id="unaligned"),
        pytest.param(64, "text", "bytes, a multiple of four", id="unknown attribute as text"),
    ],
)
def test_what_does_not_fit_is_not_sent(tag: int, value: Value, problem: str) -> None:
    with pytest.raises(IsnsError, match=problem):
        encode_attribute(tag, value)


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        pytest.param("00000020", "4 bytes follow the last attribute", id="half a head"),
        pytest.param("00000020 00000003 616161", "iSCSI Name is said to have 3 bytes", id="unaligned"),
        pytest.param("00000020 00000008 61616100", "a multiple of 4 up to 4 can be", id="longer than the message"),
        pytest.param("00000020 fffffffc 61616100", "said to have 4294967292 bytes", id="as long as can be said"),
        pytest.param("00000020 00000004 61616161", "UTF-8 ended by NUL", id="no NUL"),
        pytest.param("00000020 00000004 61006100", "UTF-8 ended by NUL", id="text behind the NUL"),
        pytest.param("00000020 00000004 ff000000", "UTF-8 ended by NUL", id="not UTF-8"),
        pytest.param("00000020 000000e4" + "61" * 224 + "00000000", "at most 224 bytes", id="name too long"),
        pytest.param("00000011 00000008 0000000000000cbc", "Portal TCP/UDP Port is .* 4 bytes", id="wide number"),
        pytest.param("00000010 00000004 7f000001", "Portal IP Address is .* 16 bytes", id="address of 4 bytes"),
        pytest.param("00000000 00000004 00000000", "Delimiter is .* 0 bytes", id="delimiter with a value"),
    ],
)
def test_what_is_malformed_is_a_sentence(wire: str, problem: str) -> None:
    with pytest.raises(IsnsError, match=problem):
        decode_attributes(bytes.fromhex(wire))


def test_every_tag_has_its_row() -> None:
    assert {Tag(tag) for tag in ATTRIBUTES} == set(Tag)
    assert all(tag == row.tag for tag, row in ATTRIBUTES.items())


tlvs = builds(
    lambda tag, value: struct.pack(">II", tag, len(value)) + value,
    sampled_from([int(tag) for tag in Tag]) | integers(0, 0xFFFFFFFF),
    binary(max_size=24).map(lambda data: data + bytes(-len(data) % 4)),
)


@settings(deadline=None)
@given(binary(max_size=64) | lists(tlvs, max_size=5).map(b"".join))
def test_any_bytes_are_attributes_or_a_sentence(data: bytes) -> None:
    with contextlib.suppress(IsnsError):
        attributes = decode_attributes(data)
        again = b"".join(encode_attribute(tag, value) for tag, value in attributes)
        assert decode_attributes(again) == attributes
