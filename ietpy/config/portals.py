"""``Portal`` lines: what the daemon listens on, in portal groups. ``PortalGroups`` lines: where a target is.

They read the same in every mode, and nothing in them is guessed. What is wrong closes: a portal with a mistake is not
listened on, and a file with ``Portal`` lines means no portals but theirs.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Final

from ietpy.config.block import Block
from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.model import PortalConfig
from ietpy.config.syntax import Statement, Word
from ietpy.config.values import is_comment
from ietpy.iscsi.pdu import DEFAULT_PORT, PORTAL_GROUP_TAG, portal_name

ALL_ADDRESSES: Final = "*"
#: RFC 7143 has 0, too, but a tag is the relative identifier of a SCSI target port here (decisions 49).
HIGHEST_TAG: Final = 65535
_TAG: Final = re.compile("[0-9]{1,5}")
_ITEM: Final = re.compile("[^,]+")
_PORTAL: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")
#: With a letter, or it would be a misspelt address.
_INTERFACE: Final = re.compile(r"(?=.*[A-Za-z])[^\s:/\[\]%*]{1,15}")
_ACCEPTED: Final = (
    "write an address (192.0.2.1, [2001:db8::1], [fe80::1%eth0]), the name of an interface or *, and a port behind a"
    " colon if it is not the one of -p"
)


_ADVERTISE: Final = re.compile("advertise=", re.IGNORECASE)
_ADVERTISED: Final = (
    "write Advertise=HOST:PORT behind a portal: the name (nas.example.com) or the address (192.0.2.1, [2001:db8::1]) by"
    " which initiators reach it"
)
#: A domain name (RFC 1123 section 2.1).
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}[.])*{_LABEL}")
_LONGEST_NAME: Final = 253


@dataclass(slots=True)
class PortalLines:
    """The ``Portal`` lines of a file, and what they come to."""

    first: Word | None = None  #: where the first of them stands
    found: list[PortalConfig] = field(default_factory=list)

    def add(self, statement: Statement, block: Block, report: Report) -> None:
        """Take a line, which stands below ``block``'s Target line or, if that has no name, above all of them."""
        self.first = self.first or statement.keyword
        items = list(_items(statement))
        effect = f"target {block.name} is not served" if block.name else "the line has no effect"
        group = read_tag(items[0], report, effect) if items else 0  # 0: there is none, so it is not misspelt
        if (group is None or len(items) < 2) and block.name:  # it may be meant to keep the target from other groups
            block.close(f"line {statement.line} may limit it to some portals, and is not understood")
        if group is not None and len(items) < 2:
            self._without_addresses(statement, block, report)
        elif group is not None:
            before: PortalConfig | None = None
            for item in items[1:]:
                if _ADVERTISE.match(item.text):
                    before = self._advertise(before, item, report)
                else:
                    before = self._portal(group, item, report)

    def _without_addresses(self, statement: Statement, block: Block, report: Report) -> None:
        problem, hint = "a Portal line without addresses", f"write a tag, a blank, and what to listen on; {_ACCEPTED}"
        if block.name:
            problem += f"; target {block.name} is not served"
            hint = f"write PortalGroups to say in which portal groups it is; or {hint}"
        report.add(Finding.PORTAL, statement.keyword, problem, hint)

    def _advertise(self, portal: PortalConfig | None, item: Word, report: Report) -> PortalConfig | None:
        """Have initiators told of ``portal``, the one in front of this, by another address or a name; the portal."""
        name = _advertised(item.text.partition("=")[2])
        problem = "has no portal in front of it" if portal is None else "" if name else "is no address and no name"
        if portal is None or not name:
            problem = f"{quoted(item.text)} {problem}; it has no effect"
            report.add(Finding.PORTAL, item, problem, _ADVERTISED)
            return portal
        if portal.advertised:
            problem = f"{quoted(item.text)} has no effect, as the portal is advertised as {portal.advertised} already"
            report.add(Finding.PORTAL, item, problem, "leave one of them")
            return portal
        self.found.remove(portal)
        self.found.append(replace(portal, advertised=name))
        return self.found[-1]

    def _portal(self, group: int, item: Word, report: Report) -> PortalConfig | None:
        """The portal, if it is one."""
        host, port, problem = _understood(item.text)
        if problem:
            report.add(Finding.PORTAL, item, f"{quoted(item.text)} {problem}; it is not listened on", _ACCEPTED)
            return None
        portal = PortalConfig(group, host, port, report.span(item))
        same = next((each for each in self.found if (each.host, each.port) == (host, port)), None)
        if same is not None:
            problem = f"{quoted(item.text)} is a portal already, at {same.span}; this one has no effect"
            report.add(Finding.PORTAL, item, problem, "leave one of them")
            return None
        self.found.append(portal)
        return portal

    def portals(self, report: Report) -> tuple[PortalConfig, ...] | None:
        """What to listen on, by group; None without such lines. No portal holds another's addresses on its port."""
        if self.first is None:
            return None
        left = []
        for portal in self.found:
            others = [each for each in self.found if each is not portal and each.port == portal.port]
            wider = next((each for each in others if each.holds(portal) and each.group == portal.group), None)
            narrower = next((each for each in others if portal.holds(each) and each.group != portal.group), None)
            if wider is not None:
                problem = f"{quoted(portal.host)} lies within the portal at {wider.span}, of the same group"
                report.add(Finding.PORTAL, portal.span, problem, "leave one of them")
            elif narrower is not None:
                problem = f"{quoted(portal.host)} holds the portal at {narrower.span}, of another group"
                problem += "; it is not listened on"
                hint = "name the addresses of each group, or give one of them another port"
                report.add(Finding.PORTAL, portal.span, problem, hint)
            else:
                left.append(portal)
        if not left:
            problem, hint = "no Portal line names anything to listen on", "correct them, or remove them all"
            report.add(Finding.PORTAL, self.first, problem, hint)
        return tuple(sorted(left, key=lambda portal: portal.group))

    def check(self, blocks: Iterable[Block], report: Report) -> None:
        """Report groups that targets are to be in, and nobody has."""
        tags = {portal.group for portal in self.found} if self.first is not None else {PORTAL_GROUP_TAG}
        for block in blocks:
            for tag, place in block.portal_groups.items():
                if tag not in tags:
                    problem = f"there is no portal group {tag}, so nobody reaches the target by it"
                    hint = f"there are {', '.join(map(str, sorted(tags))) or 'none'}; a Portal line makes one"
                    report.add(Finding.PORTAL_GROUP, place, problem, hint)


def limit(statement: Statement, block: Block, report: Report) -> None:
    """Have ``block`` be in the portal groups this line names, and in those of others such lines only."""
    items = list(_items(statement))
    tags = {tag: item for item in items if (tag := read_tag(item, report)) is not None}
    if not tags:
        problem, hint = "PortalGroups names no group; what it is about is closed", "write tags of Portal lines"
        report.add(Finding.PORTAL_GROUP, statement.keyword, problem, hint)
        block.close(f"line {statement.line} limits it to portal groups, and names none")
    block.portal_groups.update(tags)


def read_tag(word: Word, report: Report, effect: str = "it has no effect") -> int | None:
    """The tag of a portal group, or None for what is none, which is reported, with the effect of that."""
    number = int(word.text) if _TAG.fullmatch(word.text) else 0
    if 0 < number <= HIGHEST_TAG:
        return number
    problem = f"{quoted(word.text)} is no tag of a portal group; {effect}"
    report.add(Finding.PORTAL_GROUP, word, problem, f"write a number from 1 to {HIGHEST_TAG}")
    return None


def portal_lines(portals: Iterable[PortalConfig]) -> Iterator[str]:
    """The lines that say so, one for each group."""
    groups: dict[int, list[str]] = {}
    for portal in portals:
        names = groups.setdefault(portal.group, [])
        names.append(str(portal))
        if portal.advertised:
            names.append(f"Advertise={portal.advertised}")
    return (f"Portal {group} {','.join(names)}" for group, names in groups.items())


def groups_line(groups: Iterable[int]) -> str:
    """The line of a target that is in these portal groups."""
    return f"PortalGroups {','.join(map(str, groups))}"


def _items(statement: Statement) -> Iterator[Word]:
    """The items between blanks and commas, up to a comment."""
    for word in takewhile(lambda word: not is_comment(word), statement.words):
        for match in _ITEM.finditer(word.text):
            yield word.at(match.start(), match.group())


def _advertised(text: str) -> str:
    """``HOST[:PORT]`` as initiators are told it; empty where that is none."""
    match = _PORTAL.fullmatch(text)
    if match is None:
        return ""
    six, host, digits = match.groups()
    port = DEFAULT_PORT if digits is None else int(digits)
    if not 0 < port <= 65535:
        return ""
    try:
        if six:
            address = ipaddress.IPv6Address(six)
            return "" if address.scope_id else portal_name(str(address), port)
        if not any(character.isalpha() for character in host):
            return portal_name(str(ipaddress.IPv4Address(host)), port)
    except ValueError:
        return ""
    return portal_name(host.lower(), port) if len(host) <= _LONGEST_NAME and _NAME.fullmatch(host) else ""


def _understood(text: str) -> tuple[str, int | None, str]:
    """The host, the port if it is named, and what is wrong if anything is."""
    bare = text.count(":") > 1 and "[" not in text
    match = _PORTAL.fullmatch(f"[{text}]" if bare else text)
    if match is None:
        return "", None, "is nothing to listen on"
    six, host, digits = match.groups()
    port = None if digits is None else int(digits)
    if port is not None and not 0 < port <= 65535:
        return "", None, "has no port from 1 to 65535"
    if host and (host == ALL_ADDRESSES or _INTERFACE.fullmatch(host)):
        return host, port, ""
    try:
        address = ipaddress.IPv6Address(six) if six else ipaddress.IPv4Address(host)
    except ValueError:
        return "", None, "is no address and no interface"
    if address.is_multicast:
        return "", None, "is a multicast address"
    if isinstance(address, ipaddress.IPv6Address) and address.is_link_local != (address.scope_id is not None):
        return "", None, "needs its interface" if address.is_link_local else "needs no interface"
    return str(address), port, ""
