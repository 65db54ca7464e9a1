"""iSNSP messages to bytes and back (RFC 4171 section 5), without I/O and bounded in every length.

Knows the form of messages, not what a client says; that is ``requests``. Authentication blocks (section 5.5) are for
multicast only and are refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from ietpy.isns.attributes import Attribute, IsnsError, decode_attributes, encode_attribute
from ietpy.wire.layout import Layout

VERSION: Final = 1
#: Longest payload of a PDU: its length is a multiple of four in 16 bits (section 5.1.3).
PDU_LIMIT: Final = 0xFFFC
#: Longest payload of a message that is put together from PDUs, in bytes; RFC 4171 would allow 4 GiB. Chosen: room for
#: more than 4000 of the longest names.
MESSAGE_LIMIT: Final = 1 << 20
#: Set in the function id of a response (section 5.1.2).
RESPONSE: Final = 0x8000

HEADER: Final = Layout(
    "iSNSP header",
    12,
    (
        ("version", "H"),
        ("function", "H"),
        ("length", "H"),
        ("flags", "H"),
        ("transaction", "H"),
        ("sequence", "H"),
    ),
)
_STATUS: Final = struct.Struct(">I")


class Function(IntEnum):
    """Section 4.1.3; a response has ``RESPONSE`` set in addition."""

    DEV_ATTR_REG = 0x0001
    DEV_ATTR_QRY = 0x0002
    DEV_GET_NEXT = 0x0003
    DEV_DEREG = 0x0004
    SCN_REG = 0x0005
    SCN_DEREG = 0x0006
    SCN_EVENT = 0x0007
    SCN = 0x0008
    DD_REG = 0x0009
    DD_DEREG = 0x000A
    DDS_REG = 0x000B
    DDS_DEREG = 0x000C
    ESI = 0x000D
    HEARTBEAT = 0x000E


class Flag(IntFlag):
    """Section 5.1.4, where bit 0 is the most significant one of four bytes."""

    CLIENT = 0x8000
    SERVER = 0x4000
    AUTHENTICATION = 0x2000
    REPLACE = 0x1000
    LAST = 0x0800
    FIRST = 0x0400


class Status(IntEnum):
    """Section 5.4."""

    SUCCESSFUL = 0
    UNKNOWN_ERROR = 1
    MESSAGE_FORMAT_ERROR = 2
    INVALID_REGISTRATION = 3
    INVALID_QUERY = 5
    SOURCE_UNKNOWN = 6
    SOURCE_ABSENT = 7
    SOURCE_UNAUTHORIZED = 8
    NO_SUCH_ENTRY = 9
    VERSION_NOT_SUPPORTED = 10
    INTERNAL_ERROR = 11
    BUSY = 12
    OPTION_NOT_UNDERSTOOD = 13
    INVALID_UPDATE = 14
    MESSAGE_NOT_SUPPORTED = 15
    SCN_EVENT_REJECTED = 16
    SCN_REGISTRATION_REJECTED = 17
    ATTRIBUTE_NOT_IMPLEMENTED = 18
    FC_DOMAIN_ID_NOT_AVAILABLE = 19
    FC_DOMAIN_ID_NOT_ALLOCATED = 20
    ESI_NOT_AVAILABLE = 21
    INVALID_DEREGISTRATION = 22
    REGISTRATION_FEATURE_NOT_SUPPORTED = 23


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message. ``status`` is there in responses only; ``flags`` without FIRST and LAST, which are framing."""

    function: int
    attributes: tuple[Attribute, ...] = ()
    status: int | None = None
    transaction: int = 0
    flags: int = Flag.CLIENT

    def __str__(self) -> str:
        known = {int(function): function.name for function in Function}
        base = self.function & ~RESPONSE
        return known.get(base, f"function {base:#x}") + (" response" if self.function & RESPONSE else "")


def status_words(status: int) -> str:
    """A status code for messages: its number and the standard's words."""
    known = {int(member): member.name.replace("_", " ").lower() for member in Status}
    return f"status {status} ({known.get(status, 'reserved')})"


def encode(message: Message, pdu_limit: int = PDU_LIMIT) -> bytes:
    """The PDUs of ``message``, with payloads of ``pdu_limit`` bytes at most. Raises IsnsError for what does not fit."""
    payload = b"".join(encode_attribute(tag, value) for tag, value in message.attributes)
    if message.status is not None:
        payload = _STATUS.pack(message.status) + payload
    if len(payload) > MESSAGE_LIMIT:
        raise IsnsError(f"{message}: its payload has {len(payload)} bytes; at most {MESSAGE_LIMIT} are sent")
    starts = range(0, max(len(payload), 1), pdu_limit)
    pdus = []
    for sequence, start in enumerate(starts):
        piece = payload[start : start + pdu_limit]
        flags = message.flags | (Flag.FIRST if start == 0 else 0) | (Flag.LAST if start == starts[-1] else 0)
        pdus.append(HEADER.codec.pack(VERSION, message.function, len(piece), flags, message.transaction, sequence))
        pdus.append(piece)
    return b"".join(pdus)


class Assembler:
    """Cuts a byte stream into messages and puts together those of several PDUs (section 5.2).

    Holds at most ``MESSAGE_LIMIT`` bytes and what one ``feed`` brought. After an IsnsError the stream is lost.
    """

    def __init__(self) -> None:
        self._window = bytearray()
        self._payload = bytearray()
        #: Of the PDU that is due within a message: function, transaction, sequence.
        self._due: tuple[int, int, int] | None = None

    def feed(self, data: bytes) -> None:
        """Append what the network brought."""
        self._window += data

    def next_message(self) -> Message | None:
        """The next whole message, or None until more bytes come. Raises IsnsError for what is none."""
        while len(self._window) >= HEADER.size:
            version, function, length, flags, transaction, sequence = HEADER.codec.unpack_from(self._window)
            self._judge(version, length, flags, (function, transaction, sequence))
            end = HEADER.size + length
            if len(self._window) < end:
                return None
            self._payload += self._window[HEADER.size : end]
            del self._window[:end]
            if not flags & Flag.LAST:
                self._due = (function, transaction, sequence + 1)
                continue
            payload = bytes(self._payload)
            self._payload.clear()
            self._due = None
            return _message(function, transaction, flags & ~(Flag.FIRST | Flag.LAST), payload)
        return None

    def _judge(self, version: int, length: int, flags: int, place: tuple[int, int, int]) -> None:
        """Raise IsnsError unless this header can come now."""
        if version != VERSION:
            raise IsnsError(f"a PDU of iSNSP version {version} came; only version {VERSION} is known")
        if flags & Flag.AUTHENTICATION:
            raise IsnsError("a PDU with an authentication block came; these are for multicast only")
        if length % 4:
            raise IsnsError(f"a PDU is said to have {length} bytes; a multiple of 4 can be")
        if bool(flags & Flag.FIRST) != (self._due is None) or place != (self._due or (place[0], place[1], 0)):
            due = "the first PDU of a message" if self._due is None else "({:#x}, {}, {})".format(*self._due)
            raise IsnsError(
                "a PDU of (function, transaction, sequence) ({:#x}, {}, {}), flags {:#x} came; {} was due".format(
                    *place, flags, due
                )
            )
        if len(self._payload) + length > MESSAGE_LIMIT:
            raise IsnsError(f"a message of more than {MESSAGE_LIMIT} bytes came; that is too long")


def _message(function: int, transaction: int, flags: int, payload: bytes) -> Message:
    status = None
    if function & RESPONSE:
        if len(payload) < _STATUS.size:
            raise IsnsError(f"a response (function {function:#x}) without a status came")
        (status,) = _STATUS.unpack_from(payload)
        payload = payload[_STATUS.size :]
    return Message(function, decode_attributes(payload), status, transaction, flags)
