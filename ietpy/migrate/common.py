"""What readers of several formats share: addresses, names, session keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Final

from ietpy.config.files import read_file
from ietpy.errors import ConfigError, Span
from ietpy.iscsi.keys import KEYS
from ietpy.migrate.model import DEFAULT_PORT, Kind, Network, Note, Portal, PortalGroup, refusal

_PORTAL: Final = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<four>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
#: Session keys of RFC 7143 in the order of their definition, by name in lower case, as other tools spell them, too.
SESSION_KEYS: Final = MappingProxyType({
    name.lower(): name for name in (*(key.name for key in KEYS if key.option), "MaxXmitDataSegmentLength")
})
#: Obsolete ones (RFC 7143 section 13.25), which nobody negotiates any more.
OBSOLETE: Final = ("ifmarker", "ofmarker", "ifmarkint", "ofmarkint")

Read = Callable[[str], str]  #: the text of a file by its path; raises OSError


def read_text(path: str) -> str:
    """The text of a regular file, with replacements for what is no UTF-8. Raises OSError."""
    return read_file(path, regular=True).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def unreadable(path: str, error: OSError, span: Span | None = None) -> ConfigError:
    problem = f"cannot read {path}: {error.strerror or error}"
    return ConfigError([refusal(span or Span(path, 1, 1), problem, "name a file that can be read")])


def portal(text: str, span: Span, port: int = DEFAULT_PORT) -> Portal | None:
    """``192.0.2.1:3261``, ``[2001:db8::1]``, a bare IPv6 address; None if it is none. Host names are none."""
    bare = text.count(":") > 1 and "[" not in text
    match = _PORTAL.fullmatch(f"[{text}]" if bare else text)
    if match is None:
        return None
    number = int(match["port"]) if match["port"] else port
    host = "::" if match["six"] == "::0" else match["six"] or match["four"]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if not 0 < number <= 65535:
        return None
    return Portal(str(address), number, span)


def network(text: str) -> Network | None:
    """An address or a network, IPv6 also in brackets; None if it is neither. Bits of a host are dropped."""
    address, slash, bits = text.partition("/")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    try:
        return ip_network(address + slash + bits, strict=False)
    except ValueError:
        return None


@dataclass(slots=True)
class Portals:
    """Portal groups of sources that say for each target where it is: one for each set of portals."""

    groups: dict[tuple[tuple[str, int], ...], PortalGroup] = field(default_factory=dict)

    def tag(self, portals: list[Portal], span: Span) -> int:
        """The tag of the group with these portals."""
        key = tuple(sorted({(each.address, each.port) for each in portals}))
        if key not in self.groups:
            self.groups[key] = PortalGroup(len(self.groups) + 1, tuple(dict.fromkeys(portals)), span=span)
        return self.groups[key].tag

    def all(self) -> tuple[PortalGroup, ...]:
        return tuple(self.groups.values())


def numbered(groups: list[PortalGroup], notes: list[Note]) -> tuple[PortalGroup, ...]:
    """The groups with tags that are unique and from 1 to 65535, which they keep where they are."""
    taken: set[int] = set()
    found = []
    for group in groups:
        tag = group.tag
        if not 0 < tag <= 65535 or tag in taken:
            tag = next(free for free in range(1, 65536) if free not in taken)
            what, why = f"portal group tag {group.tag}", f"tags are unique, from 1 to 65535: it is {tag} now"
            notes.append(Note(Kind.WARNING, group.span, what, why))
        taken.add(tag)
        found.append(replace(group, tag=tag))
    return tuple(found)
