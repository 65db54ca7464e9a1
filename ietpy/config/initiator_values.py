"""Values of ``Initiator`` parameters: one address or network, and some LUNs with the target's numbers for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import Final

from ietpy.config.model import LunMapping
from ietpy.scsi.lun import HIGHEST

_RANGE: Final = r"[0-9]{1,5}(?:-[0-9]{1,5})?"
_MAPPED: Final = 96  #: bits in front of an IPv4 address
_LUNS: Final = re.compile(rf"({_RANGE})(?::({_RANGE}))?(/ro)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class AddressOrNetwork:
    """Nothing that may mean two things: no zeros in front, no bits of a host behind the network's."""

    @property
    def accepts(self) -> str:
        return "an address such as 192.0.2.7 or 2001:db8::7, or a network such as 192.0.2.0/24"

    def parse(self, word: str) -> IPv4Network | IPv6Network:
        text = word[1:-1] if word.startswith("[") and word.endswith("]") and ":" in word else word
        try:
            network = ip_network(text)
        except ValueError:
            network = None
        plain = None if network is None else _as_peers_are(network)
        if network is not None and network == plain:
            return network
        try:
            meant = f"{plain or ip_interface(text).network}, or the address of one host without a slash"
        except ValueError:
            meant = self.accepts
        raise ValueError(meant)

    def render(self, value: IPv4Network | IPv6Network) -> str:
        return str(value.network_address if value.num_addresses == 1 else value)


@dataclass(frozen=True, slots=True)
class LunRange:
    """``0``, ``0-3``, ``7:12`` and ``0-3:10-13``: the initiator's numbers, and the target's where they differ."""

    @property
    def accepts(self) -> str:
        return (
            f"a LUN up to {HIGHEST} such as 0, or several such as 0-3, or with the target's own numbers behind a"
            " colon such as 7:12 or 0-3:10-13; each may have /ro behind it"
        )

    def parse(self, word: str) -> tuple[LunMapping, ...]:
        match = _LUNS.fullmatch(word)
        if match is None:
            raise ValueError(self.accepts)
        luns, units = (_numbers(match.group(group) or match.group(1)) for group in (1, 2))
        if not luns or len(luns) != len(units) or max(luns[-1], units[-1]) > HIGHEST:
            raise ValueError(self.accepts)
        read_only = match.group(3) is not None
        return tuple(LunMapping(lun, unit, read_only) for lun, unit in zip(luns, units, strict=True))

    def render(self, value: tuple[LunMapping, ...]) -> str:
        """Mappings that go up by one."""
        first, last = value[0], value[-1]
        theirs, ours = (
            str(one) if one == other else f"{one}-{other}" for one, other in zip(first[:2], last[:2], strict=True)
        )
        return theirs + (f":{ours}" if ours != theirs else "") + ("/ro" if first.read_only else "")


def _numbers(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _as_peers_are(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """The network as peers' addresses are compared with it: without zone, and IPv4 as such. No other has anybody in it.

    RFC 4291 section 2.5.5.2 maps IPv4 into ``::ffff:0:0/96``.
    """
    bare = ip_network(str(network).replace(f"%{getattr(network.network_address, 'scope_id', None)}", ""))
    mapped = getattr(bare.network_address, "ipv4_mapped", None)
    return bare if mapped is None or bare.prefixlen < _MAPPED else ip_network((int(mapped), bare.prefixlen - _MAPPED))
