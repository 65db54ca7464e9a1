"""What FreeBSD's ctl.conf means, in its plain form and in UCL's: by ctl.conf(5).

Any mistake refuses the whole file, as ctld does; all of them are found in one go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final

from ietpy.errors import ConfigError, Span
from ietpy.migrate.common import network, numbered, portal
from ietpy.migrate.ctl_disk import Findings, disk, number
from ietpy.migrate.ctl_text import Entry
from ietpy.migrate.model import (
    ANYBODY,
    Account,
    Discovery,
    Disk,
    Grant,
    Isns,
    Kind,
    Lun,
    Network,
    Portal,
    PortalGroup,
    Source,
    Target,
    in_order,
)

_DEFAULT: Final = "default"
_TYPES: Final = ("none", "deny", "chap", "chap-mutual")
_SECRET: Final = ("chap", "chap-mutual")


@dataclass(slots=True)
class _Auth:
    """An auth-group, or what a target has in its place. ``type`` empty: the file does not say, which denies."""

    name: str
    span: Span
    type: str = ""
    incoming: list[Account] = field(default_factory=list)
    outgoing: list[Account] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)

    @property
    def denies(self) -> bool:
        return self.type in ("", "deny")


@dataclass(slots=True)
class _Group:
    """A portal-group, with its auth-group of discovery."""

    name: str
    span: Span
    tag: int
    portals: list[Portal]
    discovery: _Auth
    redirect: str = ""


def model(entries: Iterable[Entry], file: str, *, ordered: bool) -> Source:
    """The model of a file. ``ordered``: groups must stand before their use. Raises ConfigError with all mistakes."""
    return _Reader(tuple(entries), Span(file, 1, 1), ordered).run(file)


@dataclass(slots=True)
class _Reader:
    entries: tuple[Entry, ...]
    top: Span
    ordered: bool
    found: Findings = field(default_factory=Findings)
    auth: dict[str, _Auth] = field(default_factory=dict)
    groups: dict[str, _Group] = field(default_factory=dict)
    disks: dict[str, Disk] = field(default_factory=dict)
    later: dict[str, set[str]] = field(default_factory=dict)  #: names of groups that stand somewhere, by word

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.found.note(kind, span, what, why)

    def refuse(self, span: Span, problem: str, hint: str) -> None:
        self.found.refuse(span, problem, hint)

    def run(self, file: str) -> Source:
        for name, kind in ((_DEFAULT, "deny"), ("no-authentication", "none"), ("no-access", "deny")):
            self.auth[name] = _Auth(name, self.top, kind)
        everywhere = [Portal("0.0.0.0", span=self.top), Portal("::", span=self.top)]
        self.groups[_DEFAULT] = _Group(_DEFAULT, self.top, 0, everywhere, self.auth[_DEFAULT])
        for word in ("auth-group", "portal-group"):
            self.later[word] = {entry.value for entry in self.entries if entry.key == word}
        targets: dict[str, Target] = {}
        isns: Isns | None = None
        defined: set[tuple[str, str]] = set()
        order = ("auth-group", "portal-group", "lun", "target")
        read = self.entries if self.ordered else sorted(
            self.entries, key=lambda entry: order.index(entry.key) if entry.key in order else -1
        )
        for entry in read:
            if entry.key in order:
                key = entry.key, entry.value.lower()
                if key in defined:
                    self.refuse(entry.span, f"{entry.key} {entry.value} is defined twice", "leave one of them")
                    continue
                defined.add(key)
            if entry.key == "auth-group":
                self.auth[entry.value] = self.auth_of(entry, entry.value)
            elif entry.key == "portal-group":
                self.groups[entry.value] = self.group(entry)
            elif entry.key == "lun":
                self.disks[entry.value] = disk(entry, f"lun {entry.value}", self.found)
            elif entry.key == "target":
                targets[entry.value.lower()] = self.target(entry)
            elif entry.key == "isns-server":
                isns = self.isns(entry)
        return self.source(file, tuple(targets.values()), isns)

    def source(self, file: str, targets: tuple[Target, ...], isns: Isns | None) -> Source:
        if self.found.problems:
            raise ConfigError(sorted(self.found.problems, key=lambda problem: problem.span))
        used = {tag for target in targets for tag in target.portal_groups}
        named = [group for group in self.groups.values() if group.span != self.top or id(group) in used]
        made = numbered([
            PortalGroup(
                group.tag or place, tuple(group.portals), group.name, self.discovery(group.discovery), group.span
            )
            for place, group in enumerate(named, 1)
        ], self.found.notes)
        tags = {id(group): one.tag for group, one in zip(named, made, strict=True)}
        return Source("ctl", tuple(_tagged(target, tags) for target in targets), made, Discovery(), isns,
                      files=(file,), notes=in_order(self.found.notes))

    # -- groups ------------------------------------------------------------------------------------------------------

    def auth_of(self, section: Entry, name: str) -> _Auth:
        """The rule in an auth-group, or in a target."""
        found = _Auth(name, section.span)
        kinds: dict[str, Entry] = {}
        for entry in section.entries or ():
            if entry.key == "auth-type":
                if entry.value not in _TYPES:
                    self.refuse(entry.span, f"auth-type {entry.value[:40]!r}", f"write {', '.join(_TYPES)}")
                found.type = entry.value
            elif entry.key in _SECRET:
                kinds.setdefault(entry.key, entry)
                user, secret, *mutual = (*entry.values, "", "")
                found.incoming.append(Account(user, secret, entry.span))
                if mutual[:2] and entry.key == "chap-mutual":
                    found.outgoing.append(Account(mutual[0], mutual[1], entry.span))
            elif entry.key == "initiator-name":
                found.names.append(entry.value)
            elif entry.key == "initiator-portal":
                net = network(entry.value)
                if net is None:
                    problem = f"initiator-portal {entry.value[:60]!r} is no address"
                    self.refuse(entry.span, problem, "write 192.0.2.0/24, say")
                else:
                    found.networks.append(net)
        if len(kinds) > 1:
            problem = "chap and chap-mutual" + (" in one auth-group" if section.key == "auth-group" else "")
            self.refuse(list(kinds.values())[-1].span, f"{problem} {name}", "use one of them")
        if not found.type and found.incoming:
            found.type = next(iter(kinds))
        self.say_auth(found)
        return found

    def say_auth(self, found: _Auth) -> None:
        where = f"auth-group {found.name}"
        if not found.type and (found.names or found.networks):
            why = "without auth-type ctld lets nobody in; write auth-type none if that is what is meant"
            self.note(Kind.WARNING, found.span, where, why)
        if found.names and found.networks:
            what = f"name AND address both required by {where}"
            self.note(Kind.EXTENSION, found.span, what, "an Initiator line with Address wants both")
        if found.outgoing:
            same = len({(each.name, each.secret) for each in found.outgoing}) == 1
            what = f"one mutual user per initiator user in {where}"
            why = "all have the same, which is the target's OutgoingUser now" if same else "a target has one: the first"
            self.note(Kind.WARNING if same else Kind.LOST, found.span, what, why)

    def group(self, section: Entry) -> _Group:
        found = _Group(section.value, section.span, 0, [], self.auth[_DEFAULT])
        for entry in section.entries or ():
            if entry.key == "listen":
                made = portal(entry.value, entry.span)
                if made is None:
                    what = f"listen {entry.value[:60]} of portal-group {section.value}"
                    self.note(Kind.LOST, entry.span, what, "a portal needs a numeric address here")
                else:
                    found.portals.append(made)
            elif entry.key == "discovery-auth-group":
                found.discovery = self.auth_named(entry, entry.value)
            elif entry.key == "tag":
                found.tag = number(entry, self.found) or 0
            elif entry.key == "redirect":
                found.redirect = _address(entry.value)
            elif entry.key in ("listen-iser", "offload", "dscp", "pcp", "foreign"):
                what = f"{entry.key} of portal-group {section.value}"
                self.note(Kind.LOST, entry.span, what, "ietpy has no such thing")
        return found

    def auth_named(self, entry: Entry, name: str) -> _Auth:
        return self.named(entry, name, "auth-group", self.auth) or self.auth["no-access"]

    def named(self, entry: Entry, name: str, word: str, known: dict[str, _Auth]) -> _Auth | None:
        if name not in known:
            self.missing(entry, name, word)
            return None
        return known[name]

    def missing(self, entry: Entry, name: str, word: str) -> None:
        if name in self.later[word]:
            self.refuse(entry.span, f"{word} {name} is used before it is defined", "move it up")
        else:
            self.refuse(entry.span, f"unknown {word} {name}", "define it, or correct its name")

    def discovery(self, auth: _Auth) -> Discovery:
        return Discovery(
            tuple(auth.incoming) if auth.type in _SECRET else (), auth.outgoing[0] if auth.outgoing else None,
            auth.denies, tuple(auth.networks), tuple(auth.names),
        )

    # -- targets -----------------------------------------------------------------------------------------------------

    def target(self, section: Entry) -> Target:
        name = section.value
        own = self.auth_of(section, f"of {name}")
        words = [entry for entry in section.entries or () if entry.key in (
            "auth-type", *_SECRET, "initiator-name", "initiator-portal")]
        named = list(section.all("auth-group"))
        for entry in named[:1] if words else named[1:]:
            problem = f"{words[0].key} together with auth-group" if words else "auth-group given twice"
            self.refuse((words[0] if words else entry).span, f"{problem} in target {name}", "use one of them")
        auth = self.auth_named(named[0], named[0].value) if named else own if words else self.auth[_DEFAULT]
        if not named and not words:
            why = "without auth-group it has the group default, which lets in whom that says, and nobody as it comes"
            self.note(Kind.WARNING, section.span, f"target {name}", why)
        pairs = self.portals(section, auth, bool(named or words)) or [(self.groups[_DEFAULT], auth)]
        grants, incoming, outgoing = self.grants(name, section, pairs)
        redirect = next((_address(entry.value) for entry in section.all("redirect")), "")
        redirect = redirect or next((group.redirect for group, _ in pairs if group.redirect), "")
        for entry in section.entries or ():
            if entry.key in ("port", "offload"):
                self.note(Kind.LOST, entry.span, f"{entry.key} of target {name}", "ietpy has no such thing")
        return Target(
            name, self.luns(section, name), grants, incoming, outgoing,
            tuple(id(group) for group, _ in pairs),  # tags are known when all groups are
            alias=next((entry.value for entry in section.all("alias")), ""), redirect=redirect, span=section.span,
        )

    def portals(self, section: Entry, auth: _Auth, named: bool) -> list[tuple[_Group, _Auth]]:
        found = []
        for entry in section.all("portal-group"):
            if entry.value not in self.groups:
                self.missing(entry, entry.value, "portal-group")
                continue
            mine = auth
            if len(entry.values) > 1:
                mine = self.auth_named(entry, entry.values[1])
                if named:
                    why = "the auth group named on the portal-group line replaces the target's own"
                    self.note(Kind.WARNING, entry.span, f"auth-group {entry.values[1]} of {section.value}", why)
            found.append((self.groups[entry.value], mine))
        return found

    def grants(
        self, name: str, section: Entry, pairs: list[tuple[_Group, _Auth]]
    ) -> tuple[tuple[Grant, ...], tuple[Account, ...], Account | None]:
        """The rules of a target, and its accounts where all its portal groups have the same."""
        if len({id(auth) for _, auth in pairs}) == 1:
            auth = pairs[0][1]
            if auth.denies:
                return (), (), None
            grant = Grant(tuple(auth.names) or ANYBODY, tuple(auth.networks), span=auth.span)
            secret = auth.type in _SECRET
            return (grant,), tuple(auth.incoming) if secret else (), auth.outgoing[0] if auth.outgoing else None
        what = f"authentication per portal group: target {name}"
        self.note(Kind.EXTENSION, section.span, what, "PortalGroup of the Initiator lines")
        found = [
            Grant(
                tuple(auth.names) or ANYBODY, tuple(auth.networks), (id(group),), denies=auth.denies,
                incoming=tuple(auth.incoming) if auth.type in _SECRET else (),
                outgoing=auth.outgoing[0] if auth.outgoing else None, label=auth.name, span=auth.span,
            )
            for group, auth in pairs
        ]
        return tuple(found), (), None

    def luns(self, section: Entry, name: str) -> tuple[Lun, ...]:
        found: dict[int, Lun] = {}
        for entry in section.all("lun"):
            what = f"LUN {entry.value} of {name}"
            number = int(entry.value) if re.fullmatch("[0-9]{1,5}", entry.value) else None
            if number is None or number in found:
                self.refuse(entry.span, f"{what} is there twice, or no number", "give each a number of its own")
            elif entry.entries is not None:
                short = f"LUN {entry.value}"
                made = replace(disk(entry, short, self.found), name="")  # what stands here is a number
                found[number] = Lun(number, made, span=entry.span)
            elif len(entry.values) < 2 or entry.values[1] not in self.disks:
                self.refuse(entry.span, f"{what}: no lun {(*entry.values, '')[1][:40]!r} stands above it", "define it")
            else:
                found[number] = Lun(number, self.disks[entry.values[1]], span=entry.span)
        return tuple(found.values())

    def isns(self, entry: Entry) -> Isns:
        host, _, port = entry.value.rpartition(":") if entry.value.count(":") == 1 else (entry.value, "", "")
        number = int(port) if re.fullmatch("[0-9]{1,5}", port) else 3205
        return Isns(host, number, access_control=False, span=entry.span)


def _tagged(target: Target, tags: dict[int, int]) -> Target:
    """The target with tags for the places of its groups in memory."""
    grants = tuple(
        replace(grant, portal_groups=tuple(tags[each] for each in grant.portal_groups)) for grant in target.grants
    )
    return replace(target, grants=grants, portal_groups=tuple(tags[each] for each in target.portal_groups))


def _address(value: str) -> str:
    """Where initiators are sent: address:port."""
    try:
        address = ip_address(value.strip("[]"))
    except ValueError:
        return value
    return f"[{address}]:3260" if address.version == 6 else f"{address}:3260"
