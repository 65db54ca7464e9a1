"""Addresses and networks as items of the allow files have them (iet-compat section 3.3)."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from ietpy.config.values import strtol

#: What inet_aton takes, without the blanks and what follows them that it takes, too.
_DOTTED: Final = re.compile("[0-9a-fA-FxX.]+")
#: Numbers that C reads as octal, by address family.
OCTAL: Final = {4: re.compile("(?:^|[./])0[0-9]"), 6: re.compile("/0[0-9]")}


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses of one family whose first ``prefix`` bits are those of ``base``."""

    version: int
    base: int
    prefix: int

    @property
    def bits(self) -> int:
        return 32 if self.version == 4 else 128

    def holds(self, address: Network) -> bool:
        """Whether a single address (a network of itself) lies within; never across families."""
        shift = self.bits - self.prefix
        return self.version == address.version and self.base >> shift == address.base >> shift

    def __str__(self) -> str:
        base = self.base >> (self.bits - self.prefix) << (self.bits - self.prefix)
        host = IPv4Address(base) if self.version == 4 else IPv6Address(base)
        return f"{host}/{self.prefix}" if self.prefix < self.bits else str(host)


@dataclass(frozen=True, slots=True)
class Written:
    """An address or network as an item has it. ``valid``: IET matched it, too."""

    network: Network
    valid: bool
    zone: bool = False
    junk: bool = False  #: something follows the number of bits


def parse_address(text: str) -> Network | None:
    """A numeric address as the network of itself, without zone; None for anything else."""
    try:
        if ":" in text:
            return Network(6, int(IPv6Address(text.partition("%")[0])), 128)
        if _DOTTED.fullmatch(text):
            return Network(4, int.from_bytes(socket.inet_aton(text), "big"), 32)
    except (AddressValueError, OSError):
        pass
    return None


def read_address(text: str) -> Written | None:
    """What an item means that is an address or a network in any form; None if it is neither."""
    host, slash, suffix = text.partition("/")
    bracketed = host.startswith("[")
    address = parse_address(host[1:].removesuffix("]") if bracketed else host)
    if address is None:
        return None
    zone, junk, valid = "%" in host, False, not (bracketed and address.version == 4)
    network = address
    if slash:
        number, rest = strtol(suffix)
        mask = _mask_bits(suffix) if address.version == 4 and not 0 < number < 32 else None
        if mask is None and (rest == suffix or not 0 <= number <= address.bits):
            return None
        network = Network(address.version, address.base, number if mask is None else mask)
        junk = bool(rest) and mask is None
        valid = valid and mask is None and _iet_matched(network)
    return Written(network, valid and not zone, zone, junk)


def _mask_bits(suffix: str) -> int | None:
    """The number of bits of an IPv4 mask with dots."""
    mask = parse_address(suffix) if "." in suffix else None
    ones = 0 if mask is None else bin(mask.base).count("1")
    return ones if mask is not None and mask.base == (0xFFFFFFFF << (32 - ones)) & 0xFFFFFFFF else None


def _iet_matched(network: Network) -> bool:
    """Whether IET took this for a network: not a whole address, nor with host bits in IPv4."""
    if network.version == 6:
        return network.prefix < 128
    return 0 < network.prefix < 32 and not network.base & ((1 << (32 - network.prefix)) - 1)


def crossed(network: Network) -> bool:
    """Whether IET matched this against all peers of the other family."""
    whole = network.version == 4 or network.prefix == 128
    return network.prefix == 0 or (whole and network.base == 0)
