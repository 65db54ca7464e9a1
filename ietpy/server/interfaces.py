"""Addresses of this host's interfaces, for SendTargets on a wildcard portal; the standard library has no such call."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from pathlib import Path
from typing import Final

_SIOCGIFADDR: Final = 0x8915
_IF_INET6: Final = Path("/proc/net/if_inet6")
_LINK_SCOPE: Final = "20"


def addresses_of_host(ipv6: bool) -> list[str]:
    """Numeric addresses of one family, without loopback and link-local ones, in the order of the interfaces."""
    found = _ipv6_addresses() if ipv6 else _ipv4_addresses()
    return [address for address in found if not ipaddress.ip_address(address).is_loopback]


def _ipv4_addresses() -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(sock, _SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without an IPv4 address
            found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _ipv6_addresses() -> list[str]:
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [str(ipaddress.IPv6Address(int(row[0], 16))) for row in rows if row[3] != _LINK_SCOPE]
