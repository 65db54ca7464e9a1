"""ietd.conf and its allow file to the model: who may use a target is what all of them together say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

from ietpy.config import model as ietd
from ietpy.config.access import restrictions
from ietpy.config.access_rules import EVERYBODY, INITIATORS_ALLOW, Item, read_rules
from ietpy.config.findings import Report
from ietpy.config.initiator_access import means
from ietpy.config.render import TARGET_KEYS, key_value
from ietpy.migrate.model import (
    ANYBODY,
    Account,
    Discovery,
    Disk,
    Grant,
    Identity,
    Isns,
    Kind,
    Lun,
    Network,
    Note,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    in_order,
)
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.vpd import serial_field, unit_designators

_STORES: Final = MappingProxyType({"fileio": Store.FILE, "blockio": Store.DIRECT, "nullio": Store.NULL})
_BLOCK: Final = 512
_NULL_SIZE: Final = 64 << 30  #: bytes of a nullio that says nothing (iet-compat 2.3)
#: An expression that a pattern can say: dots may be escaped, and .* stands for any characters.
_LITERAL: Final = re.compile(r"(?:\\\.|\.\*|[A-Za-z0-9:_-]|\.)+")
_PIECE: Final = re.compile(r"\\\.|\.\*|[A-Za-z0-9:_.-]")
_SHOWN: Final = 60


def from_ietd(configuration: ietd.Configuration, allow: str | None = None, allow_file: str = "") -> Source:
    """The model of a configuration. ``allow``: the text of initiators.allow, None where there is none."""
    return _Reader(configuration, allow, allow_file).run()


@dataclass(slots=True)
class _Reader:
    configuration: ietd.Configuration
    allow: str | None
    allow_file: str
    notes: list[Note] = field(default_factory=list)

    def run(self) -> Source:
        read = self.configuration
        outgoing = read.discovery_outgoing
        discovery = Discovery(
            tuple(map(_account, read.discovery_incoming)),
            None if outgoing is None else _account(outgoing),
            closed=bool(read.discovery_closed),
        )
        for portal in read.portals or ():
            if portal.advertised:
                what, why = f"Advertise={portal.advertised}", "no other target's file has it"
                self.notes.append(Note(Kind.LOST, portal.span, what, why))
        isns = Isns(read.isns_server, access_control=read.isns_access_control) if read.isns_server else None
        return Source(
            "ietd",
            tuple(map(self.target, read.targets)),
            _portal_groups(read.portals or ()),
            discovery,
            isns,
            files=tuple(file for file in (read.file, self.allow_file if self.allow is not None else "") if file),
            notes=in_order(self.notes),
        )

    def target(self, target: ietd.TargetConfig) -> Target:
        luns = tuple(_lun(target, lun) for lun in target.luns)
        lines: tuple[ietd.LunConfig | ietd.InitiatorConfig, ...] = (*target.luns, *target.initiators)
        for limited in lines:
            if limited.iops or limited.bytes_per_second:
                why = "no other target's file has them; it is as fast as it can be there"
                self.notes.append(Note(Kind.LOST, limited.span, f"Iops and BytesPerSecond of {target.name}", why))
        outgoing = target.outgoing
        keys = {
            option.name: option.value.render(value) for option in TARGET_KEYS
            if option.session_key and (value := key_value(target, option)) is not None
        }
        if target.closed:
            what, why = f"target {target.name}", f"it is not served: {target.closed}"
            self.notes.append(Note(Kind.WARNING, target.span, what, why))
        return Target(
            target.name, luns, self.grants(target, luns),
            tuple(map(_account, _effective(target.incoming))),
            None if outgoing is None else _account(outgoing),
            portal_groups=target.portal_groups, alias=target.alias, enabled=not target.closed,
            keys=MappingProxyType(keys), max_sessions=target.max_sessions, nop_interval=target.nop_interval,
            nop_timeout=ietd.effective_nop_timeout(target.nop_interval, target.nop_timeout),
            queued_commands=target.queued_commands, threads=target.wthreads, span=target.span,
        )

    # -- who may use it ----------------------------------------------------------------------------------------------

    def grants(self, target: ietd.TargetConfig, luns: Sequence[Lun]) -> tuple[Grant, ...]:
        """The Initiator lines, each as far as the allow file and tgt's words let in, too."""
        grants = [self.grant(target, line, luns) for line in target.initiators] or [Grant(span=target.span)]
        literal = (tuple(map(_as_expression, group)) for group in restrictions(target))
        for group in (*literal, *self.allowed(target)):
            grants = [narrowed for grant in grants for narrowed in self.narrowed(grant, group, target.name)]
        while grants and grants[-1].denies:  # whom nothing is about gets in nowhere
            grants.pop()
        return tuple(grants)

    def grant(self, target: ietd.TargetConfig, line: ietd.InitiatorConfig, luns: Sequence[Lun]) -> Grant:
        known = [_account(account) for account in _effective(target.incoming)]
        accounts = [] if line.free else [account for account in known if line.user in ("", account.name)]
        denies = line.denies or line.closed or (bool(line.user) and not accounts)
        by_number = {lun.number: lun for lun in luns}
        seen = None if line.luns is None or denies else tuple(
            replace(by_number[each.unit], number=each.lun, read_only=each.read_only, span=line.span)
            for each in line.luns if each.unit in by_number
        )
        return Grant(
            (line.name,), line.addresses, line.portal_groups, denies, seen, line.read_only and not denies,
            None if denies or accounts == known else tuple(accounts), span=line.span,
        )

    def allowed(self, target: ietd.TargetConfig) -> Iterable[tuple[Item, ...]]:
        """The items of the first line of initiators.allow that is about the target."""
        if self.allow is None:
            return
        report = Report(self.allow_file, self.configuration.compat)
        rules = read_rules(self.allow, INITIATORS_ALLOW, report, target.name)
        items = next((rule.items for rule in rules), ())
        if not any(item.everybody for item in items):
            yield items

    def narrowed(self, grant: Grant, items: Sequence[Item], target: str) -> list[Grant]:
        """What is left of a grant where one of ``items`` must be about the initiator, too."""
        if grant.denies or any(item.everybody for item in items) or _covered(grant, items):
            return [grant]
        found: list[Grant] = []
        for item in items:
            narrower = self.both(grant, item, target)
            if narrower is None:
                return [replace(grant, denies=True, luns=None, incoming=None, read_only=False)]
            found += narrower
        return found

    def both(self, grant: Grant, item: Item, target: str) -> list[Grant] | None:
        """The grant for whom ``item`` means as well, which may be nobody; None if that cannot be said."""
        if item.network is not None:
            network = ip_network(str(item.network))
            networks = tuple(_common(network, other) for other in grant.networks) if grant.networks else (network,)
            left = tuple(one for one in networks if one is not None)
            return [replace(grant, networks=left)] if left else []
        if item.name is None:
            return []
        pattern = _pattern(item.text)
        names = None if pattern is None else _common_names(grant.names, pattern)
        if names is None:
            what = f"{item.text[:_SHOWN]!r} for {target}"
            why = "an expression that no pattern of names can say: whom it is about is turned away"
            self.notes.append(Note(Kind.LOST, item.span, what, why))
            return None
        return [replace(grant, names=names)] if names else []


def _as_expression(item: Item) -> Item:
    """tgt's initiator-name is a name as it stands."""
    return item if item.name is None else replace(item, text=item.text.replace(".", r"\."))


def _covered(grant: Grant, items: Sequence[Item]) -> bool:
    """Whether the items are about all whom the grant is about, so that it is whole already."""
    networks = [ip_network(str(item.network)) for item in items if item.network is not None]
    if grant.networks and all(any(_common(one, wide) == one for wide in networks) for one in grant.networks):
        return True
    patterns = [pattern for item in items if item.name is not None and (pattern := _pattern(item.text))]
    return all(any(_common_names((name,), pattern) == (name,) for pattern in patterns) for name in grant.names)


def _effective(accounts: Iterable[ietd.Account]) -> tuple[ietd.Account, ...]:
    """Of two with one name the later counts."""
    return tuple({account.name: account for account in accounts}.values())


def _account(account: ietd.Account) -> Account:
    return Account(account.name, account.secret, account.span, "" if account.secret else account.file)


def _lun(target: ietd.TargetConfig, lun: ietd.LunConfig) -> Lun:
    identity = iet_identity(target.name, lun.number, lun.scsi_id, lun.scsi_sn, lun.identity)
    size = lun.options.get("Blocks", lun.options.get("Sectors")) if lun.type == "nullio" else None
    unit = lun.block_size or _BLOCK
    disk = Disk(
        _STORES[lun.type], lun.path, f"{target.name}:{lun.number}",
        size=(size * unit if size else _NULL_SIZE) if lun.type == "nullio" else None,
        block_size=lun.block_size or (None if lun.type == "blockio" else _BLOCK),
        write_cache=lun.caches, read_only=lun.read_only, removable=lun.removable,
        identity=Identity(
            _padded(identity.vendor, 8), _padded(identity.product, 16), _padded(identity.revision, 4),
            serial_field(identity), _split(unit_designators(identity)),
        ),
        span=lun.span,
    )
    return Lun(lun.number, disk, span=lun.span)


def _padded(text: str, width: int) -> bytes:
    return text.encode("ascii", "replace")[:width].ljust(width)


def _split(page: bytes) -> tuple[bytes, ...]:
    found = []
    while page:
        found.append(page[: 4 + page[3]])
        page = page[4 + page[3] :]
    return tuple(found)


def _portal_groups(portals: Iterable[ietd.PortalConfig]) -> tuple[PortalGroup, ...]:
    groups: dict[int, PortalGroup] = {}
    for portal in portals:
        group = groups.setdefault(portal.group, PortalGroup(portal.group, span=portal.span))
        here = Portal(portal.host, span=portal.span) if portal.port is None else Portal(
            portal.host, portal.port, portal.span
        )
        groups[portal.group] = replace(group, portals=(*group.portals, here))
    return tuple(groups.values())


def _common(one: Network, other: Network) -> Network | None:
    if one.version != other.version:
        return None
    narrow, wide = sorted((one, other), key=lambda network: -network.prefixlen)
    return narrow if narrow.subnet_of(wide) else None  # type: ignore[arg-type]


def _pattern(expression: str) -> str | None:
    """The pattern that means the names an expression does; None if there is none."""
    if not _LITERAL.fullmatch(expression):
        return None
    pieces = _PIECE.findall(expression)
    return "".join({r"\.": ".", ".*": "*", ".": "?"}.get(piece, piece) for piece in pieces)


def _common_names(names: tuple[str, ...], pattern: str) -> tuple[str, ...] | None:
    """Of the names those that ``pattern`` means; None if that cannot be said."""
    if pattern == EVERYBODY or pattern == "*":
        return names
    found: list[str] = []
    for name in names:
        plain = "*" not in name and "?" not in name
        if name in (*ANYBODY, pattern):
            found.append(pattern)
        elif plain and "?" not in pattern:
            found += [name] if means(pattern.lower(), name.lower()) else []
        elif "?" in pattern or "?" in name:
            return None
        elif means(pattern.lower(), name.lower()):  # asterisks are like any character here
            found.append(name)
        elif means(name.lower(), pattern.lower()):
            found.append(pattern)
        elif "*" in pattern:
            return None
    return tuple(dict.fromkeys(found))
