"""Guesses of secrets, slowed down: who got a CHAP secret wrong a few times is heard at growing intervals.

Knows no clock and no socket. One of ``Throttle``'s sources is an IPv4 address, or the /64 of an IPv6 one, which a
single host has whole.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_PREFIX: Final = 64  #: bits of an IPv6 address that say whose it is (RFC 4291 section 2.5.4)


def source(address: str) -> str:
    """Who a numeric address is counted with."""
    numeric = ipaddress.ip_address(address)
    if numeric.version == 4:
        return str(numeric)
    mapped = numeric.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(numeric), _PREFIX), strict=False).network_address)
