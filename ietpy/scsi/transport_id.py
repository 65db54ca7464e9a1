"""TransportIDs: initiator ports in parameter lists (SPC-4 section 7.6.4.6, RFC 7143 section 4.4.2).

A port is named as nexuses name it: ``iqn.x,i,0x0123456789ab``, the iSCSI name in lower case and the ISID.
"""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase
from types import MappingProxyType
from typing import Final

from ietpy.scsi.sense import invalid_parameter, list_length_error

_ISCSI: Final = 0x05  #: PROTOCOL IDENTIFIER
_DEVICE: Final = 0x00  #: FORMAT CODE 00b: an iSCSI name alone
_PORT: Final = 0x40  #: FORMAT CODE 01b: an iSCSI name and an ISID
_HEADER: Final = 4
_SHORTEST: Final = 24
_SEPARATOR: Final = b",i,0x"
_LONGEST_NAME: Final = 223  #: bytes of an iSCSI name (RFC 7143 section 4.2.7.1)
_ISID: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")
_LOWER: Final = MappingProxyType(dict(zip(map(ord, ascii_uppercase), ascii_lowercase, strict=True)))
#: Bytes of a TransportID with the longest name.
LONGEST: Final = _HEADER + 244


def lower_case(name: str) -> str:
    """``name`` as iSCSI names are compared: A to Z count as a to z, and every other character is itself.

    ``str.lower`` would take the Kelvin sign for a k, and with that one initiator for another.
    """
    return name.translate(_LOWER)


def encode(port: str) -> bytes:
    """The TransportID of ``port``; of a device where that has no ISID."""
    text = port.encode("utf-8", "surrogateescape") + b"\0"
    kind = _PORT if _SEPARATOR in text else _DEVICE
    text = (text + bytes(-len(text) % 4)).ljust(_SHORTEST - _HEADER, b"\0")
    return bytes((kind | _ISCSI, 0)) + len(text).to_bytes(2, "big") + text


def decode(data: bytes, start: int, end: int) -> tuple[str, int]:
    """The port named at ``start`` of a parameter list, and where its TransportID ends, which is ``end`` at most.

    Raises PARAMETER LIST LENGTH ERROR for one that is cut short, INVALID FIELD IN PARAMETER LIST for one that names no
    iSCSI initiator port. Format code 00b, which names all ports of a device that happen to be known, may be rejected
    and is.
    """
    if start + _SHORTEST > end:
        raise list_length_error()
    if data[start] != _PORT | _ISCSI:
        raise invalid_parameter(start)
    length = int.from_bytes(data[start + 2:start + _HEADER], "big")
    if length < _SHORTEST - _HEADER or length % 4:
        raise invalid_parameter(start + 2)
    stop = start + _HEADER + length
    if stop > end:
        raise list_length_error()
    text = data[start + _HEADER:stop].split(b"\0", 1)[0]
    name, _, isid = text.rpartition(_SEPARATOR)
    if not 0 < len(name) <= _LONGEST_NAME or not _ISID.fullmatch(isid):
        raise invalid_parameter(start + _HEADER)
    try:
        return f"{lower_case(name.decode('utf-8'))},i,0x{isid.decode('ascii').lower():0>12}", stop
    except UnicodeDecodeError:
        raise invalid_parameter(start + _HEADER) from None
