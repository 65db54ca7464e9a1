"""The model to FreeBSD's ctl.conf, as ctld reads it.

A target is in portal groups, each with an auth-group: names and addresses of initiators, both of which must fit, and
users. That is one rule for each portal group; a target without one is closed (``no-access``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ietpy.migrate.exporting import (
    Ledger,
    Names,
    by,
    designators,
    exact,
    gives,
    reachable,
    rules,
    told,
    users,
    vendor_specific,
)
from ietpy.migrate.identities import ctl
from ietpy.migrate.model import (
    NOWHERE,
    Account,
    Discovery,
    Disk,
    Grant,
    Identity,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    Written,
)

CONFIGURATION: Final = "ctl.conf"
_BARE: Final = re.compile(r"[A-Za-z0-9.@_/:-]+")
_QUOTABLE: Final = re.compile(r'[^"\r\n]+')
_LONGEST_NAME: Final = 63
_NAA: Final = 3
_EUI: Final = 2
_UUID: Final = 10
_SCSI_NAME: Final = 8
_INDENTATION: Final = "\t"
_EVERYBODY: Final = "no-authentication"  #: a predefined auth-group, as the next
_NOBODY: Final = "no-access"


def to_ctl(source: Source) -> Written:
    """ctl.conf, which may hold secrets, and the report."""
    writer = _Writer(source)
    text = writer.text()
    return Written("ctl", {CONFIGURATION: text}, frozenset((CONFIGURATION,)), writer.ledger.done())


def _quoted(text: str) -> str:
    """A string; words are quoted too, as some of them are keywords."""
    return f'"{text}"'


def _said(text: str) -> bool:
    return bool(_QUOTABLE.fullmatch(text))


@dataclass
class _Writer:
    source: Source
    ledger: Ledger = field(default_factory=Ledger)
    names: Names = field(default_factory=lambda: Names(_LONGEST_NAME))
    luns: dict[str, list[str]] = field(default_factory=dict)  #: blocks by name
    groups: dict[tuple[str, ...], str] = field(default_factory=dict)  #: names of auth-groups by what they say
    uses: Counter[Disk] = field(init=False)

    def __post_init__(self) -> None:
        self.uses = Counter(lun.disk for target in self.source.targets for lun in target.luns)

    def text(self) -> str:
        portals = [self.portal_group(group) for group in self.portal_groups()]
        targets = [block for target in self.source.targets if (block := self.target(target))]
        lines = ["# Written by ietpy export"]
        if self.source.isns:
            lines.append(f"isns-server {_portal(Portal(self.source.isns.server, self.source.isns.port))}")
            if self.source.isns.access_control:
                self.ledger.lost(self.source.isns.span, "the name server's access control", "ctld only registers there")
        blocks = [
            *(_block(f"auth-group {_quoted(name)}", lines) for lines, name in self.groups.items()),
            *portals,
            *(_block(f"lun {_quoted(name)}", lines) for name, lines in self.luns.items()),
            *targets,
        ]
        return "\n".join([*lines, *(line for block in blocks for line in ("", *block))]) + "\n"

    # -- portals

    def portal_groups(self) -> Sequence[PortalGroup]:
        if self.source.portal_groups:
            return self.source.portal_groups
        if self.source.targets:
            self.ledger.warn(NOWHERE, "portals", "none are said; all addresses are written")
        return (PortalGroup(1, (Portal("0.0.0.0"), Portal("::"))),)

    def portal_group(self, group: PortalGroup) -> list[str]:
        discovery = self.source.discovery if group.discovery is None else group.discovery
        listens = [
            f"listen {_portal(each)}" for portal in group.portals for each in (
                (Portal("0.0.0.0", portal.port), Portal("::", portal.port)) if portal.address == "*" else (portal,)
            )
        ]
        tag = [f"tag {group.tag}"] if group.name else []
        return _block(f"portal-group {_quoted(_name(group))}", [
            f"discovery-auth-group {_quoted(self.discovery(discovery))}", *listens, *tag,
        ])

    def discovery(self, discovery: Discovery) -> str:
        if discovery.closed:
            return _NOBODY
        if not exact(discovery.names):
            self.ledger.lost(NOWHERE, "who may discover", "ctld knows whole names only; nobody may")
            return _NOBODY
        chap = self.users(discovery.incoming, discovery.outgoing, "discovery")
        if chap is None:
            return _NOBODY
        return self.auth_group("discovery", [*chap, *_whom(discovery.names, discovery.networks)])

    # -- who

    def users(self, incoming: Sequence[Account], outgoing: Account | None, owner: str) -> list[str] | None:
        """The lines about users; None where there are some, and none can be written."""
        lines = []
        for account in incoming:
            mutual = (outgoing.name, outgoing.secret) if outgoing else ()
            if all(map(_said, (account.name, account.secret, *mutual))):
                word = "chap-mutual" if outgoing else "chap"
                lines.append(" ".join((word, *map(_quoted, (account.name, account.secret, *mutual)))))
            else:
                self.ledger.lost(account.span, f"user {account.name} of {owner}", "ctl.conf cannot hold it")
        return None if incoming and not lines else lines

    def auth_group(self, base: str, lines: list[str]) -> str:
        """The name of one that says this, made if there is none."""
        if not lines:
            return _EVERYBODY
        if not any(line.startswith("chap") for line in lines):
            lines = ["auth-type none", *lines]
        names = {*self.groups.values()}
        name = base if base not in names else next(
            f"{base}-{number}" for number in range(2, len(names) + 3) if f"{base}-{number}" not in names
        )
        return self.groups.setdefault(tuple(lines), name)

    def rule(self, target: Target, group: PortalGroup) -> str:
        """The auth-group of a target in a portal group."""

        def unsaid(grant: Grant, kept: list[Grant]) -> str:
            if not exact(name for name in grant.names if name != "*"):
                return "ctld knows whole names only"
            if grant.luns is not None and grant.luns != target.luns:
                return "a target of ctld has the same LUNs for all"
            if grant.read_only and any(lun.writable for lun in target.luns):
                return "a target of ctld has the same rights for all"
            if kept and ({*grant.networks}, gives(target, grant)) != ({*kept[0].networks}, gives(target, kept[0])):
                return "it has other addresses or users than the rule before, and ctld has one rule for a portal group"
            return ""

        kept = rules(target, by(target.grants, group.tag if self.source.portal_groups else 0), self.ledger, unsaid)
        if not kept:
            return _NOBODY
        first = kept[0]
        chap = self.users(users(target, first), first.outgoing or target.outgoing, target.name)
        if chap is None:
            self.ledger.rule(target, first, "without its users it were open")
            return _NOBODY
        everybody = any("*" in grant.names for grant in kept)
        names = () if everybody else [name for grant in kept for name in grant.names]
        label = first.label if _BARE.fullmatch(first.label) else f"ag-{target.name}"
        return self.auth_group(label, [*chap, *_whom(names, first.networks)])

    # -- targets

    def target(self, target: Target) -> list[str]:
        if not reachable(self.source, target, self.ledger):
            return []
        if not _said(target.name):
            self.ledger.lost(target.span, f"target {target.name}", "ctl.conf cannot hold its name; it is left out")
            return []
        if not target.enabled:
            self.ledger.lost(target.span, f"target {target.name}", "ctld has no word for off; it is left out")
            return []
        for said, what, why in (
            (target.max_sessions, "MaxSessions", "ctld counts none"),
            (target.nop_interval, "NOPInterval", "the kernel has one for all targets"),
            (target.queued_commands, "QueuedCommands", "the kernel has one for all targets"),
            (target.threads, "threads", "ctld has those of LUNs"),
            *((True, key, "ctl.conf has none of the session's keys") for key in target.keys),
        ):
            if said:
                self.ledger.lost(target.span, f"{what} of {target.name}", why)
        body = []
        if _said(target.alias):
            body.append(f"alias {_quoted(target.alias)}")
        elif target.alias:
            self.ledger.lost(target.span, f"Alias of {target.name}", "ctl.conf cannot hold it")
        for group in self.portal_groups():
            if not target.portal_groups or group.tag in target.portal_groups:
                rule = self.rule(target, group)
                body.append(f"portal-group {_quoted(_name(group))} {_quoted(rule)}")
        if target.redirect:
            body.append(f"redirect {_quoted(target.redirect)}")
        for lun in target.luns:
            body += self.lun(target, lun)
        return _block(f"target {_quoted(target.name)}", body)

    # -- LUNs

    def lun(self, target: Target, lun: Lun) -> list[str]:
        """The lines of a target about one: by name if the disk has one, or others share it."""
        disk = lun.disk
        what = f"LUN {lun.number} of {target.name}"
        why = ""
        if disk.store is Store.FOREIGN:
            why = f"it is {disk.detail or 'nothing ctld serves'}"
        elif lun.read_only and not disk.read_only:
            why = "ctld can write protect a disk, but not by one target or number alone"
        elif disk.store in (Store.FILE, Store.DIRECT) and not _said(disk.path):
            why = f"ctl.conf cannot hold its path {disk.path}"
        if why:
            self.ledger.lost(lun.span, what, f"{why}; it is left out")
            return []
        words = _words(disk)
        if disk.store is Store.NULL:
            self.ledger.warn(lun.span, what, "ctld has no disk that forgets; it is a disk in memory there")
        self.ledger.disk(target, lun, _reported(words))
        lines = [*_lun(disk), *(f"{word} {_quoted(value)}" for word, value in words.items())]
        if not disk.name and self.uses[disk] == 1:
            return _block(f"lun {lun.number}", lines)
        name = self.names.of(disk)
        self.luns.setdefault(name, lines)
        return [f"lun {lun.number} {_quoted(name)}"]


def _block(head: str, lines: Iterable[str]) -> list[str]:
    return [f"{head} {{", *(f"{_INDENTATION}{line}" for line in lines), "}"]


def _name(group: PortalGroup) -> str:
    return group.name if _BARE.fullmatch(group.name) else f"pg{group.tag}"


def _portal(portal: Portal) -> str:
    return str(portal)


def _whom(names: Iterable[str], networks: Iterable[object]) -> Iterator[str]:
    yield from (f"initiator-name {_quoted(name)}" for name in names if name != "*")
    for network in networks:
        address, _, length = str(network).partition("/")
        yield f"initiator-portal {f'[{address}]' if ':' in address else address}/{length}"


def _lun(disk: Disk) -> Iterator[str]:
    if disk.store in (Store.NULL, Store.MEMORY):
        yield "backend ramdisk"
    else:
        yield "backend block"
        yield f"path {_quoted(disk.path)}"
    if disk.size is not None:
        yield f"size {disk.size}"
    if disk.block_size is not None:
        yield f"blocksize {disk.block_size}"
    yield f"option writecache {'on' if disk.write_cache else 'off'}"
    options = ("readonly", disk.read_only or None), ("removable", disk.removable or None), ("unmap", disk.unmap)
    for word, said in options:
        if said is not None:
            yield f"option {word} {'on' if said else 'off'}"


def _words(disk: Disk) -> dict[str, str]:
    """What has to be said for ctld to report the disk's identity, as far as it can."""
    identity, own = disk.identity, ctl()
    found = {
        f"option {word}": told(value) for word, value, already in (
            ("vendor", identity.vendor, own.vendor), ("product", identity.product, own.product),
            ("revision", identity.revision, own.revision),
        ) if value not in (None, already)
    }
    found |= {"serial": told(identity.serial), "device-id": vendor_specific(identity)}
    for word, kind, text in _DESIGNATORS:
        for value in list(designators(identity, kind))[:1]:
            found[f"option {word}"] = text(value)
    return {word: value for word, value in found.items() if _said(value) and value.isprintable()}


def _hexadecimal(value: bytes) -> str:
    return f"0x{value.hex()}"


def _dashed(value: bytes) -> str:
    digits = value[2:].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


#: Options by DESIGNATOR TYPE.
_DESIGNATORS: Final = (
    ("scsiname", _SCSI_NAME, told), ("eui", _EUI, _hexadecimal), ("naa", _NAA, _hexadecimal), ("uuid", _UUID, _dashed),
)


def _reported(words: dict[str, str]) -> Identity:
    def binary(word: str) -> bytes:
        return bytes.fromhex(words.get(f"option {word}", "").removeprefix("0x").replace("-", ""))

    vendor, product, revision = (words.get(f"option {word}", "") for word in ("vendor", "product", "revision"))
    return ctl(
        words.get("serial", ""), words.get("device-id", ""), vendor, product, revision, binary("naa"), binary("eui"),
        binary("uuid"), words.get("option scsiname", ""),
    )
