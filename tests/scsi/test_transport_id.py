"""TransportIDs of iSCSI initiator ports (SPC-4 section 7.6.4.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, text

from ietpy.scsi import transport_id
from ietpy.scsi.asc import Asc
from ietpy.scsi.sense import CheckCondition

INVALID = Asc.INVALID_FIELD_IN_PARAMETER_LIST
SHORT = Asc.PARAMETER_LIST_LENGTH_ERROR


def listed(name: bytes, first: int = 0x45, length: int | None = None) -> bytes:
    """A TransportID with any content, padded to a multiple of four bytes with one NUL at least."""
    text = (name + bytes(4 - len(name) % 4)).ljust(20, b"\0")
    return bytes((first, 0)) + (len(text) if length is None else length).to_bytes(2, "big") + text


@pytest.mark.parametrize(("port", "identifier"), [
    pytest.param(
        "iqn.x,i,0x0123456789ab",
        "45 00 00 18" + b"iqn.x,i,0x0123456789ab".hex() + "00 00", id="name and ISID, NUL and padding",
    ),
    pytest.param(
        "iqn.xyz,i,0x0123456789a",
        "45 00 00 18" + b"iqn.xyz,i,0x0123456789a".hex() + "00", id="just the NUL",
    ),
    pytest.param("eui.1,i,0x1", "45 00 00 14" + b"eui.1,i,0x1".hex() + "00" * 9, id="20 bytes at least"),
    pytest.param("iqn.x", "05 00 00 14" + b"iqn.x".hex() + "00" * 15, id="a device"),
])
def test_encode(port: str, identifier: str) -> None:
    assert transport_id.encode(port).hex(" ") == bytes.fromhex(identifier).hex(" ")


@pytest.mark.parametrize(("name", "port"), [
    (b"iqn.x,i,0x0123456789ab", "iqn.x,i,0x0123456789ab"),
    (b"IQN.X,i,0x0123456789AB", "iqn.x,i,0x0123456789ab"),
    (b"iqn.x,i,0x23d000001", "iqn.x,i,0x00023d000001"),
    (b"iqn.x,i,0x1,i,0x000000000002\0,i,0x3", "iqn.x,i,0x1,i,0x000000000002"),
    ("iqn.ö,i,0x1".encode(), "iqn.ö,i,0x000000000001"),
    (b"n" * 223 + b",i,0x000000000002", "n" * 223 + ",i,0x000000000002"),
])
def test_decode(name: bytes, port: str) -> None:
    data = b"before" + listed(name) + b"behind"
    assert transport_id.decode(data, 6, len(data)) == (port, len(data) - 6)


def test_an_isid_without_nul_ends_with_its_transport_id() -> None:
    data = bytes((0x45, 0, 0, 20)) + b"eui.12345,i,0x000001"
    assert transport_id.decode(data, 0, 24) == ("eui.12345,i,0x000000000001", 24)


@pytest.mark.parametrize(("data", "asc", "byte"), [
    pytest.param(listed(b"iqn.x,i,0x1")[:23], SHORT, None, id="fewer than 24 bytes"),
    pytest.param(listed(b"iqn.x.y.z,i,0x000000000001")[:24], SHORT, None, id="cut"),
    pytest.param(listed(b"iqn.x,i,0x1", length=24), SHORT, None, id="longer than there is"),
    pytest.param(listed(b"iqn.x,i,0x1", length=16), INVALID, 102, id="shorter than allowed"),
    pytest.param(listed(b"iqn.x.y.z,i,0x000000000001", length=22), INVALID, 102, id="not a multiple of four"),
    pytest.param(listed(b"iqn.x", first=0x05), INVALID, 100, id="format 00b"),
    pytest.param(listed(b"iqn.x,i,0x1", first=0x85), INVALID, 100, id="format 10b"),
    pytest.param(listed(b"\x50\0\0\x12", first=0x06), INVALID, 100, id="SAS"),
    pytest.param(listed(b"iqn.x,i,0x1", first=0x55), INVALID, 100, id="reserved bits"),
    pytest.param(listed(b"iqn.x"), INVALID, 104, id="no ISID"),
    pytest.param(listed(b",i,0x1"), INVALID, 104, id="no name"),
    pytest.param(listed(b"iqn.x,i,0x"), INVALID, 104, id="empty ISID"),
    pytest.param(listed(b"iqn.x,i,0x1234567890123"), INVALID, 104, id="ISID of 13 digits"),
    pytest.param(listed(b"iqn.x,i,0x1_0"), INVALID, 104, id="ISID that only Python reads"),
    pytest.param(listed(b"iqn.\xff,i,0x1"), INVALID, 104, id="no UTF-8"),
    pytest.param(listed(b"n" * 224 + b",i,0x1"), INVALID, 104, id="name of 224 bytes"),
])
def test_what_names_no_port(data: bytes, asc: Asc, byte: int | None) -> None:
    with pytest.raises(CheckCondition) as raised:
        transport_id.decode(bytes(100) + data, 100, 100 + len(data))
    assert raised.value.asc is asc
    assert raised.value.field == (None if byte is None else (byte, None))
    assert not raised.value.in_cdb or byte is None


@given(name=text(min_size=1, max_size=50).filter(lambda name: "\0" not in name and name == name.lower()),
       isid=integers(0, 0xFFFF_FFFF_FFFF))
def test_what_is_encoded_is_decoded(name: str, isid: int) -> None:
    port = f"{name},i,0x{isid:012x}"
    data = transport_id.encode(port)
    assert len(data) % 4 == 0 <= len(data) - 24 <= transport_id.LONGEST - 24
    assert transport_id.decode(data, 0, len(data)) == (port, len(data))


def test_a_name_has_two_cases_in_ascii_alone() -> None:
    data = transport_id.encode("iqn.X:\u212a\xc9,i,0x0123456789ab")
    assert transport_id.decode(data, 0, len(data))[0] == "iqn.x:\u212a\xc9,i,0x0123456789ab"


def test_the_longest_name_fits_the_longest_transport_id() -> None:
    assert len(transport_id.encode("n" * 223 + ",i,0x0123456789ab")) == transport_id.LONGEST


@given(binary(max_size=300))
def test_nothing_else_is_ever_raised(data: bytes) -> None:
    try:
        port, end = transport_id.decode(b"\x45" + data, 0, len(data) + 1)
    except CheckCondition:
        return
    assert ",i,0x" in port
    assert end <= len(data) + 1
