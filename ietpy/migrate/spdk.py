"""SPDK's ``save_config`` JSON to the model, as far as it is about iSCSI."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ietpy.errors import Span
from ietpy.migrate.common import SESSION_KEYS, network, numbered, portal
from ietpy.migrate.model import (
    ANYBODY,
    Account,
    Discovery,
    Disk,
    Grant,
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
from ietpy.migrate.places import Node, parse

_STORES: Final = MappingProxyType({
    "bdev_aio_create": Store.DIRECT, "bdev_uring_create": Store.DIRECT, "bdev_malloc_create": Store.MEMORY,
    "bdev_null_create": Store.NULL,
})
_FULL_NAME: Final = re.compile(r"(?:iqn|eui|naa)\.", re.IGNORECASE)
_NODE_BASE: Final = "iqn.2016-06.io.spdk"
_ANY: Final = ("ANY", "ALL")
#: Options of SPDK that are session keys by another spelling.
_KEYS: Final = MappingProxyType({name.lower().replace("_", ""): name for name in SESSION_KEYS.values()})


def read_spdk(text: str, file: str) -> Source:
    """What the file says. Raises ConfigError."""
    return _Reader(parse(text, file)).run(file)


@dataclass(frozen=True, slots=True)
class _Rule:
    """An initiator group: names in their order, and networks; None of these: from nowhere."""

    names: tuple[tuple[str, bool], ...]  #: and whether they are let in
    networks: tuple[Network, ...] | None
    span: Span


@dataclass(slots=True)
class _Reader:
    root: Node
    notes: list[Note] = field(default_factory=list)
    disks: dict[str, Disk] = field(default_factory=dict)
    accounts: dict[int, list[tuple[Account, Account | None]]] = field(default_factory=dict)
    groups: list[PortalGroup] = field(default_factory=list)
    rules: dict[int, _Rule] = field(default_factory=dict)

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def run(self, file: str) -> Source:
        calls = [
            (call.get("method").text(), call) for subsystem in self.root.get("subsystems").items()
            for call in subsystem.get("config").items()
        ]
        options = next((call.get("params") for method, call in calls if method == "iscsi_set_options"), None)
        options = options or Node({}, self.root.span, self.root.span)
        for method, call in calls:
            self.prepare(method, call.get("params"))
        targets: dict[str, Target] = {}
        for method, call in calls:
            if method == "iscsi_create_target_node":
                self.target(call.get("params"), options, targets)
        users = self.required(options, "discovery")
        known = tuple(account for account, _ in users if account.secret)
        mutual = [outgoing for _, outgoing in users if outgoing is not None]
        discovery = Discovery(known, mutual[0] if mutual else None, closed=bool(users) and not known)
        return Source(
            "spdk", tuple(targets.values()), numbered(self.groups, self.notes), discovery, files=(file,),
            notes=in_order(self.notes),
        )

    def prepare(self, method: str, params: Node) -> None:
        """Take what targets refer to."""
        tag = params.get("tag").number(0) or 0
        if method == "iscsi_create_auth_group":
            self.accounts[tag] = [
                (Account(each.get("user").text(), each.get("secret").text(), each.span),
                 Account(each.get("muser").text(), each.get("msecret").text(), each.span)
                 if each.get("msecret") else None)
                for each in params.get("secrets").items()
            ]
        elif method == "iscsi_create_portal_group":
            self.groups.append(self.portal_group(params, tag))
        elif method == "iscsi_create_initiator_group":
            self.rules[tag] = self.rule(params)
        elif method.startswith("bdev_") and method.endswith("_create"):
            self.disks[params.get("name").text()] = self.disk(method, params)

    def portal_group(self, params: Node, tag: int) -> PortalGroup:
        found: list[Portal] = []
        for each in params.get("portals").items():
            host, port = each.get("host").text(), each.get("port").number(3260) or 0
            made = portal(host, each.span, port)
            if made is None:
                what = f"portal {host[:60]}:{port} of group {tag}"
                self.note(Kind.LOST, each.span, what, "a portal needs a numeric address and a port here")
            else:
                found.append(made)
        if params.get("private").flag():
            why = "discovery tells all portals of a target"
            self.note(Kind.LOST, params.get("private").key, f"private portal group {tag}", why)
        return PortalGroup(tag, tuple(found), span=params.span)

    def rule(self, params: Node) -> _Rule:
        names = []
        for each in params.get("initiators").items():
            name = each.text()
            names.append(("*" if name.lstrip("!") in _ANY else name.lstrip("!"), not name.startswith("!")))
        nets: list[Network] = []
        words = [each.text() for each in params.get("netmasks").items()]
        for each in params.get("netmasks").items():
            net = network(each.text())
            if net is not None:
                nets.append(net)
            elif each.text() not in _ANY:
                what = f"netmask {each.text()[:60]}"
                self.note(Kind.REFUSED, each.span, what, "it is no network, and lets nobody in")
        anywhere = any(word in _ANY for word in words)
        return _Rule(tuple(names), () if anywhere else tuple(nets) or None, params.span)

    def disk(self, method: str, params: Node) -> Disk:
        name, path = params.get("name").text(), params.get("filename").text()
        store = _STORES.get(method, Store.FOREIGN)
        size, blocks = params.get("block_size").number(), params.get("num_blocks").number()
        return Disk(
            store, path, name, blocks * (size or 512) if blocks else None, size or 512,
            read_only=params.get("readonly").flag(), detail=f"{method.removesuffix('_create')} {name}",
            span=params.span,
        )

    def required(self, params: Node, what: str) -> list[tuple[Account, Account | None]]:
        """The accounts one of which an initiator needs."""
        if params.get("disable_chap").flag():
            return []
        group = params.get("chap_group").number(0) or 0
        users = self.accounts.get(group, []) if group else [each for some in self.accounts.values() for each in some]
        if params.get("require_chap").flag():
            if not users:
                self.note(Kind.WARNING, params.span, what, "require_chap without accounts lets in nobody")
                return [(Account("nobody", "", params.span), None)]
            return users
        if users and group:
            why = "SPDK asked for an account only whom it pleased; here everybody needs one"
            self.note(Kind.WARNING, params.get("chap_group").key, f"CHAP of {what}", why)
            return users
        return []

    def target(self, params: Node, options: Node, targets: dict[str, Target]) -> None:
        given = params.get("name").text()
        name = given if _FULL_NAME.match(given) else f"{options.get('node_base').text(_NODE_BASE)}:{given}"
        if not given or name.lower() in targets:
            self.note(Kind.REFUSED, params.span, f"target {given}", "it has no name, or one that is there already")
            return
        users = self.required(params, name)
        mutual = list(dict.fromkeys(outgoing for _, outgoing in users if outgoing is not None))
        for other in mutual[1:]:
            why = "a target has one OutgoingUser, the first"
            self.note(Kind.LOST, other.span, f"mutual user {other.name} of {name}", why)
        maps = [
            (each.get("pg_tag").number(0) or 0, each.get("ig_tag").number(0) or 0, each)
            for each in params.get("pg_ig_maps").items()
        ]
        several = len(maps) > 1
        grants = [grant for portals, rule, node in maps for grant in self.grants(name, portals, rule, node, several)]
        targets[name.lower()] = Target(
            name, self.luns(params, name), tuple(grants), tuple(account for account, _ in users),
            mutual[0] if mutual else None, tuple(dict.fromkeys(portals for portals, _, _ in maps)),
            alias=params.get("alias_name").text(), keys=self.keys(params, options),
            nop_interval=options.get("nop_in_interval").number(0) or 0,
            queued_commands=params.get("queue_depth").number(), span=params.span,
        )

    def grants(self, name: str, portals: int, tag: int, node: Node, several: bool) -> list[Grant]:
        rule = self.rules.get(tag)
        if rule is None or rule.networks is None:
            why = f"initiator group {tag} is not there, or has no netmask: it lets nobody in"
            self.note(Kind.WARNING, node.span, f"initiator group {tag} of {name}", why)
            return []
        groups = (portals,) if several else ()
        return [
            Grant(
                ANYBODY if word == "*" else (word,), rule.networks if admits else (), groups, not admits, span=rule.span
            )
            for word, admits in rule.names
        ]

    def luns(self, params: Node, name: str) -> tuple[Lun, ...]:
        found: dict[int, Lun] = {}
        for each in params.get("luns").items():
            number, disk = each.get("lun_id").number(), self.disks.get(each.get("bdev_name").text())
            if number is None:
                number = next(free for free in range(1 << 14) if free not in found)
            if disk is None or number in found:
                why = f"there is no bdev {each.get('bdev_name').text()[:40]!r}, or the number is taken"
                self.note(Kind.REFUSED, each.span, f"LUN {number} of {name}", why)
            else:
                found[number] = Lun(number, disk, span=each.span)
        return tuple(found.values())

    def keys(self, params: Node, options: Node) -> MappingProxyType[str, str]:
        found = {}
        for name, node in options.members():
            key = _KEYS.get(name.replace("_", "").lower())
            if key is not None and not isinstance(node.value, (list, dict)):
                found[key] = {True: "Yes", False: "No"}[node.value] if isinstance(node.value, bool) else str(node.value)
        for word in ("header_digest", "data_digest"):
            if params.get(word).flag():
                found[f"{word.partition('_')[0].capitalize()}Digest"] = "CRC32C"
        return MappingProxyType(found)
