"""iSNS attributes to bytes and back (RFC 4171 sections 5.3 and 6), one row each; bounded, without I/O.

Attributes without a row in ``ATTRIBUTES`` (Fibre Channel, vendors) pass as bytes.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Protocol

from ietpy.errors import IetpyError

_TLV: Final = struct.Struct(">II")


class IsnsError(IetpyError):
    """What came from an iSNS server, or should go to it, breaks RFC 4171; or the server refused."""


class Tag(IntEnum):
    """Section 6.1, what concerns iSCSI."""

    DELIMITER = 0
    ENTITY_IDENTIFIER = 1
    ENTITY_PROTOCOL = 2
    MANAGEMENT_IP_ADDRESS = 3
    TIMESTAMP = 4
    PROTOCOL_VERSION_RANGE = 5
    REGISTRATION_PERIOD = 6
    ENTITY_INDEX = 7
    PORTAL_IP_ADDRESS = 16
    PORTAL_PORT = 17
    PORTAL_SYMBOLIC_NAME = 18
    ESI_INTERVAL = 19
    ESI_PORT = 20
    PORTAL_INDEX = 22
    SCN_PORT = 23
    ISCSI_NAME = 32
    ISCSI_NODE_TYPE = 33
    ISCSI_ALIAS = 34
    ISCSI_SCN_BITMAP = 35
    ISCSI_NODE_INDEX = 36
    WWNN_TOKEN = 37
    PG_ISCSI_NAME = 48
    PG_PORTAL_IP_ADDRESS = 49
    PG_PORTAL_PORT = 50
    PG_TAG = 51
    PG_INDEX = 52
    DDS_ID = 2049
    DDS_SYMBOLIC_NAME = 2050
    DD_ID = 2065
    DD_SYMBOLIC_NAME = 2066
    DD_MEMBER_ISCSI_INDEX = 2067
    DD_MEMBER_ISCSI_NAME = 2068


class EntityProtocol(IntEnum):
    """Section 6.2.2."""

    NO_PROTOCOL = 1
    ISCSI = 2
    IFCP = 3


class NodeType(IntFlag):
    """Section 6.4.2."""

    TARGET = 1
    INITIATOR = 2
    CONTROL = 4


class ScnEvent(IntFlag):
    """Bits of the iSCSI Node SCN Bitmap, section 6.4.4."""

    INITIATOR_AND_SELF_ONLY = 0x80
    TARGET_AND_SELF_ONLY = 0x40
    MANAGEMENT = 0x20
    OBJECT_REMOVED = 0x10
    OBJECT_ADDED = 0x08
    OBJECT_UPDATED = 0x04
    MEMBER_REMOVED = 0x02
    MEMBER_ADDED = 0x01


#: A number, a text or an address as text, bytes of an unknown attribute, or None: a TLV of length zero.
Value = int | str | bytes | None
Attribute = tuple[int, Value]


class Kind(Protocol):
    """How the value of an attribute is written. Both ways raise ValueError with what is accepted."""

    def encode(self, value: Value) -> bytes: ...

    def decode(self, data: bytes) -> Value: ...


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned integer of ``size`` bytes."""

    size: int = 4

    def encode(self, value: Value) -> bytes:
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * self.size:
            raise ValueError(f"a number of {self.size} bytes")
        return value.to_bytes(self.size, "big")

    def decode(self, data: bytes) -> int:
        if len(data) != self.size:
            raise ValueError(f"{self.size} bytes")
        return int.from_bytes(data, "big")


@dataclass(frozen=True, slots=True)
class Text:
    """UTF-8 ended by NUL and padded with NULs to a multiple of four bytes, ``longest`` in all (section 5.3.1)."""

    longest: int = 256

    @property
    def accepts(self) -> str:
        return f"UTF-8 ended by NUL in at most {self.longest} bytes"

    def encode(self, value: Value) -> bytes:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(self.accepts)
        try:
            data = value.encode()
        except UnicodeEncodeError:  # a stand-in for a byte that was not UTF-8
            raise ValueError(self.accepts) from None
        if len(data) >= self.longest:
            raise ValueError(self.accepts)
        return data + bytes(4 - len(data) % 4)

    def decode(self, data: bytes) -> str:
        text, nul, padding = data.partition(b"\0")
        if not nul or any(padding) or len(data) > self.longest:
            raise ValueError(self.accepts)
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise ValueError(self.accepts) from None


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv6 address, or an IPv4 one mapped into IPv6 (section 6.3.1); here a text without zone."""

    def encode(self, value: Value) -> bytes:
        try:
            address = ipaddress.ip_address(value if isinstance(value, str) else "")
        except ValueError:
            raise ValueError("an IP address") from None
        if isinstance(address, ipaddress.IPv4Address):
            address = ipaddress.IPv6Address(f"::ffff:{address}")
        return address.packed

    def decode(self, data: bytes) -> str:
        if len(data) != 16:
            raise ValueError("16 bytes")
        address = ipaddress.IPv6Address(data)
        return str(address.ipv4_mapped or address)


@dataclass(frozen=True, slots=True)
class Row:
    """An attribute: its tag, the standard's name for it, and how it is written."""

    tag: Tag
    name: str
    kind: Kind


_NAME: Final = Text(224)
ATTRIBUTES: Final = {
    int(row.tag): row
    for row in (
        Row(Tag.DELIMITER, "Delimiter", Number(0)),
        Row(Tag.ENTITY_IDENTIFIER, "Entity Identifier", Text()),
        Row(Tag.ENTITY_PROTOCOL, "Entity Protocol", Number()),
        Row(Tag.MANAGEMENT_IP_ADDRESS, "Management IP Address", Address()),
        Row(Tag.TIMESTAMP, "Timestamp", Number(8)),
        Row(Tag.PROTOCOL_VERSION_RANGE, "Protocol Version Range", Number()),
        Row(Tag.REGISTRATION_PERIOD, "Registration Period", Number()),
        Row(Tag.ENTITY_INDEX, "Entity Index", Number()),
        Row(Tag.PORTAL_IP_ADDRESS, "Portal IP Address", Address()),
        Row(Tag.PORTAL_PORT, "Portal TCP/UDP Port", Number()),
        Row(Tag.PORTAL_SYMBOLIC_NAME, "Portal Symbolic Name", Text()),
        Row(Tag.ESI_INTERVAL, "ESI Interval", Number()),
        Row(Tag.ESI_PORT, "ESI Port", Number()),
        Row(Tag.PORTAL_INDEX, "Portal Index", Number()),
        Row(Tag.SCN_PORT, "SCN Port", Number()),
        Row(Tag.ISCSI_NAME, "iSCSI Name", _NAME),
        Row(Tag.ISCSI_NODE_TYPE, "iSCSI Node Type", Number()),
        Row(Tag.ISCSI_ALIAS, "iSCSI Alias", Text()),
        Row(Tag.ISCSI_SCN_BITMAP, "iSCSI SCN Bitmap", Number()),
        Row(Tag.ISCSI_NODE_INDEX, "iSCSI Node Index", Number()),
        Row(Tag.WWNN_TOKEN, "WWNN Token", Number(8)),
        Row(Tag.PG_ISCSI_NAME, "PG iSCSI Name", _NAME),
        Row(Tag.PG_PORTAL_IP_ADDRESS, "PG Portal IP Addr", Address()),
        Row(Tag.PG_PORTAL_PORT, "PG Portal TCP/UDP Port", Number()),
        Row(Tag.PG_TAG, "PG Tag", Number()),
        Row(Tag.PG_INDEX, "PG Index", Number()),
        Row(Tag.DDS_ID, "DD_Set ID", Number()),
        Row(Tag.DDS_SYMBOLIC_NAME, "DD_Set Sym Name", Text()),
        Row(Tag.DD_ID, "DD_ID", Number()),
        Row(Tag.DD_SYMBOLIC_NAME, "DD_Symbolic Name", Text()),
        Row(Tag.DD_MEMBER_ISCSI_INDEX, "DD_Member iSCSI Index", Number()),
        Row(Tag.DD_MEMBER_ISCSI_NAME, "DD_Member iSCSI Name", _NAME),
    )
}


def encode_attribute(tag: int, value: Value) -> bytes:
    """The TLV of an attribute. Raises IsnsError for a value that does not fit its row."""
    if value is None:
        return _TLV.pack(tag, 0)
    row = ATTRIBUTES.get(tag)
    try:
        if row is not None:
            data = row.kind.encode(value)
        elif isinstance(value, bytes) and len(value) % 4 == 0:
            data = value
        else:
            raise ValueError("bytes, a multiple of four of them")
    except ValueError as error:
        raise IsnsError(f"{_name(tag)} cannot be {value!r:.256}; it has to be {error}") from None
    return _TLV.pack(tag, len(data)) + data


def _name(tag: int) -> str:
    return ATTRIBUTES[tag].name if tag in ATTRIBUTES else f"attribute {tag}"


def decode_attributes(payload: bytes) -> tuple[Attribute, ...]:
    """All TLVs of ``payload``. Raises IsnsError for the first one that is malformed."""
    found: list[Attribute] = []
    at = 0
    while at < len(payload):
        if len(payload) - at < _TLV.size:
            raise IsnsError(f"{len(payload) - at} bytes follow the last attribute; an attribute has 8 or more")
        tag, length = _TLV.unpack_from(payload, at)
        at += _TLV.size
        if length % 4 or length > len(payload) - at:
            raise IsnsError(
                f"{_name(tag)} is said to have {length} bytes; a multiple of 4 up to {len(payload) - at} can be"
            )
        found.append((tag, _decode_value(tag, payload[at : at + length])))
        at += length
    return tuple(found)


def _decode_value(tag: int, data: bytes) -> Value:
    if not data:
        return None
    if tag not in ATTRIBUTES:
        return data
    try:
        return ATTRIBUTES[tag].kind.decode(data)
    except ValueError as error:
        raise IsnsError(f"{_name(tag)} is {data[:256]!r}; it has to be {error}") from None
