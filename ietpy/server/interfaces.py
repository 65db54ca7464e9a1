"""Addresses of this host's interfaces, by rtnetlink (rtnetlink(7)); the standard library has no such call."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

_NETLINK_ROUTE: Final = 0
_GET_ADDRESSES: Final = 22  #: RTM_GETADDR
_NEW_ADDRESS: Final = 20  #: RTM_NEWADDR, in an answer
_DUMP: Final = 0x301  #: NLM_F_REQUEST, NLM_F_ROOT and NLM_F_MATCH
_ERROR: Final = 2
_DONE: Final = 3
_MESSAGE: Final = struct.Struct("=IHHII")  #: length, type, flags, sequence, port
_ADDRESS: Final = struct.Struct("=BBBBI")  #: family, prefix length, flags, scope, interface
_ATTRIBUTE: Final = struct.Struct("=HH")  #: length, type
_PEER: Final = 1  #: IFA_ADDRESS: the address but on a point-to-point interface, whose peer it is
_OWN: Final = 2  #: IFA_LOCAL
_UNUSABLE: Final = 0x48  #: IFA_F_TENTATIVE and IFA_F_DADFAILED: nobody may use it, or not yet
_LINK: Final = 253  #: RT_SCOPE_LINK
_BUFFER: Final = 65536


class InterfaceAddress(NamedTuple):
    """A numeric address; a link-local one of IPv6 with its zone."""

    interface: int  #: its index
    address: str


def addresses_of_host(ipv6: bool) -> list[str]:
    """Numeric addresses of one family, without loopback ones and IPv6's link-local ones, in the order of the
    interfaces. None at all where the system does not tell.
    """
    try:
        found = sorted(_addresses(), key=lambda each: each.interface)
    except OSError:
        return []
    return [
        each.address for each in found
        if (":" in each.address) is ipv6 and "%" not in each.address and not ip_address(each.address).is_loopback
    ]


def addresses_of_interface(name: str) -> list[str]:
    """All numeric addresses of an interface. Raises OSError if there is no such interface."""
    index = socket.if_nametoindex(name)
    return [each.address for each in _addresses() if each.interface == index]


def _addresses() -> list[InterfaceAddress]:
    """Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as sock:
        request = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        sock.sendall(_MESSAGE.pack(_MESSAGE.size + len(request), _GET_ADDRESSES, _DUMP, 1, 0) + request)
        found: list[InterfaceAddress] = []
        whole = False
        while not whole:
            whole, some = parse(sock.recv(_BUFFER))
            found += some
    return found


def parse(answer: bytes) -> tuple[bool, list[InterfaceAddress]]:
    """Addresses in one datagram of the answer, and whether it is the last. Raises OSError for an error in it."""
    found: list[InterfaceAddress] = []
    start = 0
    while start < len(answer):
        length, kind, _, _, _ = _MESSAGE.unpack_from(answer, start)
        body = answer[start + _MESSAGE.size : start + length]
        if kind == _ERROR:
            raise OSError(-struct.unpack_from("=i", body)[0], "the system does not tell addresses of interfaces")
        if kind == _DONE:
            return True, found
        if kind == _NEW_ADDRESS:
            found += _address(body)
        start += max(length, _MESSAGE.size) + 3 & ~3
    return False, found


def _address(body: bytes) -> Iterator[InterfaceAddress]:
    family, _, flags, scope, interface = _ADDRESS.unpack_from(body)
    attributes: dict[int, bytes] = {}
    start = _ADDRESS.size
    while start < len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, start)
        attributes[kind] = body[start + _ATTRIBUTE.size : start + length]
        start += max(length, _ATTRIBUTE.size) + 3 & ~3
    own = attributes.get(_OWN, attributes.get(_PEER))
    if own is None or flags & _UNUSABLE or family not in (socket.AF_INET, socket.AF_INET6):
        return
    zone = f"%{socket.if_indextoname(interface)}" if family == socket.AF_INET6 and scope == _LINK else ""
    yield InterfaceAddress(interface, socket.inet_ntop(family, own) + zone)
