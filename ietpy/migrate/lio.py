"""LIO's saveconfig.json, as targetcli and rtslib write it, to the model.

As rtslib's restore does, it goes on past objects with a mistake, which are left out; the report says where they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ietpy.errors import Span
from ietpy.migrate import identities
from ietpy.migrate.common import OBSOLETE, SESSION_KEYS, Portals, portal
from ietpy.migrate.model import (
    Account,
    Discovery,
    Disk,
    Grant,
    Kind,
    Lun,
    Note,
    Portal,
    Source,
    Store,
    Target,
    in_order,
)
from ietpy.migrate.places import Node, parse

#: Members of a storage object by plugin, beside those all have.
_MEMBERS: Final = MappingProxyType({
    "fileio": ("dev", "size", "wwn", "write_back", "aio", "buffered_mode"),
    "block": ("dev", "wwn", "readonly", "write_back", "exclusive"),
    "ramdisk": ("size", "wwn", "nullio"),
    "pscsi": ("dev", "wwn"),
    "user": ("config", "size", "wwn", "hw_max_sectors", "control"),
})
_COMMON: Final = ("name", "plugin", "attributes", "alua_tpgs")
#: Parameters that say nothing a target of ours can differ in.
_SAID_ELSEWHERE: Final = ("authmethod", "targetalias", *OBSOLETE)
_OBJECT: Final = re.compile("/backstores/([a-z]+)/(.+)")
_USERS: Final = ("userid", "password", "mutual_userid", "mutual_password")
_ACTIVE: Final = 0  #: ALUA's active/optimized
_INHERITED: Final = -1
_TIMERS: Final = ("nopin_timeout", "nopin_response_timeout")


def read_lio(text: str, file: str, exists: Callable[[str], bool] = os.path.exists) -> Source:
    """What the file says. Raises ConfigError for what is no JSON, or not of this shape."""
    return read_tree(parse(text, file), (file,), exists)


def read_tree(root: Node, files: tuple[str, ...], exists: Callable[[str], bool] = os.path.exists) -> Source:
    """What a document of this shape says."""
    return _Reader(root, exists).run(files)


@dataclass(slots=True)
class _Reader:
    root: Node
    exists: Callable[[str], bool]
    notes: list[Note] = field(default_factory=list)
    disks: dict[str, Disk] = field(default_factory=dict)  #: by path below /
    portals: Portals = field(default_factory=Portals)

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def run(self, files: tuple[str, ...]) -> Source:
        discovery = self.discovery()
        for place, item in enumerate(self.root.get("storage_objects").items()):
            self.storage_object(item, place)
        targets: dict[str, Target] = {}
        for item in self.root.get("targets").items():
            self.target(item, targets)
        return Source(
            "lio", tuple(targets.values()), self.portals.all(), discovery, files=files, notes=in_order(self.notes)
        )

    # -- accounts ----------------------------------------------------------------------------------------------------

    def discovery(self) -> Discovery:
        found = Discovery()
        for item in self.root.get("fabric_modules").items():
            if item.get("name").text() != "iscsi":
                continue
            self.ignored_users(item, "fabric_modules", "discovery_userid")
            incoming, outgoing = self.users(item, "discovery_")
            if item.get("discovery_enable_auth").flag():
                found = Discovery(incoming, outgoing, closed=not incoming)
        return found

    def users(self, item: Node, prefix: str) -> tuple[tuple[Account, ...], Account | None]:
        """The accounts of both directions."""
        incoming, outgoing = (
            Account(name.text(), item.get(f"{prefix}{kind}password").text(), name.key)
            if (name := item.get(f"{prefix}{kind}userid")) else None
            for kind in ("", "mutual_")
        )
        return (incoming,) if incoming and incoming.secret else (), outgoing if outgoing and outgoing.secret else None

    def ignored_users(self, item: Node, where: str, right: str) -> None:
        """The names of the manual, which rtslib stores and never applies."""
        for name in _USERS:
            if item.has(name):
                why = f"rtslib never applies it, whatever its manual says ({right} is the key); neither does this"
                self.note(Kind.WARNING, item.get(name).key, f"{where} userid/password: {name}", why)

    # -- disks -------------------------------------------------------------------------------------------------------

    def storage_object(self, item: Node, place: int) -> None:
        name, plugin = item.get("name").text(), item.get("plugin").text()
        what = f"storage object {name or place}"
        if not name:
            return self.note(Kind.REFUSED, item.span, what, "it has no name")
        if plugin not in _MEMBERS:
            return self.note(Kind.REFUSED, item.get("plugin").span, what, f"there is no plugin {plugin[:40]!r}")
        strange = next((key for key, _ in item.members() if key not in (*_COMMON, *_MEMBERS[plugin])), None)
        if strange is not None:
            return self.note(Kind.REFUSED, item.get(strange).key, what, f"unknown key {strange[:40]}; it is left out")
        path = f"/backstores/{plugin}/{name}"
        if path in self.disks:
            return self.note(Kind.REFUSED, item.get("name").span, what, "defined twice; the first is taken")
        dev, size = item.get("dev").text(), item.get("size").number()
        if plugin == "fileio" and not size and not self.exists(dev):
            return self.note(Kind.REFUSED, item.span, what, "fileio with neither size nor existing file")
        if item.has("buffered_mode"):
            why = "buffered_mode is an old key; write_back counts"
            self.note(Kind.WARNING, item.get("buffered_mode").key, what, why)
        self.alua(item, what)
        self.disks[path] = self.disk(item, name, plugin, dev, size)
        return None

    def disk(self, item: Node, name: str, plugin: str, dev: str, size: int | None) -> Disk:
        attributes = item.get("attributes")
        cached = attributes.get("emulate_write_cache").flag(plugin == "fileio")
        store, detail = _store(item, plugin, dev)
        if attributes.get("pi_prot_type").number(0):
            what = f"protection information of storage object {name}"
            self.note(Kind.LOST, attributes.get("pi_prot_type").key, what, "ietpy has none")
        default = None if plugin == "block" else 512
        return Disk(
            store, dev, name, size, attributes.get("block_size").number(default),
            write_cache=item.get("write_back").flag(cached) if plugin == "fileio" else cached,
            read_only=item.get("readonly").flag(),
            unmap=attributes.get("emulate_tpu").flag() if attributes.has("emulate_tpu") else None,
            identity=identities.lio(
                name, item.get("wwn").text(), plugin, model_alias=attributes.get("emulate_model_alias").flag()
            ),
            detail=detail, span=item.span,
        )

    def alua(self, item: Node, what: str) -> None:
        for group in item.get("alua_tpgs").items():
            state = group.get("alua_access_state").number(_ACTIVE)
            if group.get("name").text("default_tg_pt_gp") != "default_tg_pt_gp" or state != _ACTIVE:
                why = "there is one target port group here, active and optimized"
                self.note(Kind.LOST, group.span, f"ALUA group {group.get('name').text()[:40]} of {what}", why)

    # -- targets -----------------------------------------------------------------------------------------------------

    def target(self, item: Node, targets: dict[str, Target]) -> None:
        name, fabric = item.get("wwn").text(), item.get("fabric").text("iscsi")
        if fabric != "iscsi":
            return self.note(Kind.LOST, item.span, f"target {name} of fabric {fabric[:40]}", "ietpy has iSCSI only")
        if not name:
            return self.note(Kind.REFUSED, item.span, "target without wwn", "it has no name and is left out")
        if name.lower() in targets:
            why = "the wwn differs only in case from an earlier target, if at all; it is left out"
            return self.note(Kind.REFUSED, item.get("wwn").span, f"target {name}", why)
        groups = list(item.get("tpgs").items())
        enabled = [group for group in groups if group.get("enable").flag(True)]
        chosen = next(iter(enabled or groups), None)
        if chosen is None:
            self.note(Kind.WARNING, item.span, f"target {name}", "it has no portal group, so nobody reaches it")
            targets[name.lower()] = Target(name, enabled=False, span=item.span)
            return None
        for group in groups:
            if group is not chosen:
                tag = group.get("tag").number(1)
                why = "a target has one set of LUNs, rules and accounts here; give this one a target of its own"
                self.note(Kind.LOST, group.span, f"portal group {tag} of {name}", why)
        targets[name.lower()] = self.portal_group(name, item, chosen)
        return None

    def portal_group(self, name: str, item: Node, group: Node) -> Target:
        attributes, parameters = group.get("attributes"), group.get("parameters")
        luns = self.luns(group, name)
        grants, timers = self.grants(name, group, luns)
        keys = self.keys(parameters)
        everybody = attributes.get("generate_node_acls").flag()
        required = attributes.get("authentication").flag(True)
        incoming, outgoing = self.users(group, "chap_") if required and everybody else ((), None)
        self.ignored_users(group, f"portal group of {name}", "chap_userid")
        if attributes.get("t10_pi").flag():
            why = "ietpy has no protection information"
            self.note(Kind.LOST, attributes.get("t10_pi").key, f"t10_pi of {name}", why)
        interval, timeout = timers if timers is not None else (0, 0)
        return Target(
            name, tuple(luns.values()), grants, incoming, outgoing, self.addresses(group, name),
            alias=parameters.get("TargetAlias").text(), enabled=group.get("enable").flag(True),
            keys=MappingProxyType(keys), nop_interval=interval, nop_timeout=min(timeout, interval),
            queued_commands=attributes.get("default_cmdsn_depth").number(), span=item.get("wwn").span,
        )

    def luns(self, group: Node, name: str) -> dict[int, Lun]:
        found: dict[int, Lun] = {}
        seen: set[int | None] = set()
        for item in group.get("luns").items():
            number, path = item.get("index").number(), item.get("storage_object").text()
            what = f"LUN {number} of {name}"
            disk = self.disks.get(path)
            if number in seen:
                self.note(Kind.REFUSED, item.get("index").span, what, f"LUN index {number} twice; the first is taken")
            elif number is None:
                self.note(Kind.REFUSED, item.span, what, "it has no index")
            elif disk is None:
                why = f"storage object {path.rpartition('/')[2][:40]} does not exist"
                self.note(Kind.REFUSED, item.get("storage_object").span, what, why)
            else:
                found[number] = Lun(number, disk, span=item.span)
            seen.add(number)
        return found

    def addresses(self, group: Node, name: str) -> tuple[int, ...]:
        found: list[Portal] = []
        for item in group.get("portals").items():
            address, number = item.get("ip_address"), item.get("port").number(3260)
            made = portal(address.text(), address.span, number or 0)
            if number is not None and not 0 < number <= 65535:
                what = f"portal port {number} of {name}"
                self.note(Kind.REFUSED, item.get("port").span, what, "ports go from 1 to 65535")
            if portal(address.text(), address.span) is None:
                what = f"portal address {address.text()[:60]!r} of {name}"
                self.note(Kind.REFUSED, address.span, what, "it is no address")
            elif made is not None:
                found.append(made)
            if item.get("iser").flag() or item.get("offload").flag():
                why = "ietpy has iSCSI over TCP only"
                self.note(Kind.LOST, item.span, f"iSER or offload of a portal of {name}", why)
        return (self.portals.tag(found, group.get("portals").span),)

    def keys(self, parameters: Node) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, node in parameters.members():
            key = SESSION_KEYS.get(name.lower())
            if name.lower() in _SAID_ELSEWHERE:
                continue
            if key is None:
                what, why = f"unknown parameter {name[:40]}", "RFC 7143 has no such key; it is left out"
                self.note(Kind.REFUSED, node.key, what, why)
            else:
                found[key] = node.text()
        return found

    # -- who may use it ----------------------------------------------------------------------------------------------

    def grants(self, name: str, group: Node, luns: dict[int, Lun]) -> tuple[tuple[Grant, ...], tuple[int, int] | None]:
        """The rules, and NOP interval and timeout where all ACLs agree about them."""
        attributes = group.get("attributes")
        required = attributes.get("authentication").flag(True)
        acls = list(group.get("node_acls").items())
        protect = attributes.get("prod_mode_write_protect").flag()
        grants = [self.acl(name, item, luns, required, protect) for item in acls]
        timers = {tuple(item.get("attributes").get(each).number() for each in _TIMERS) for item in acls}
        if attributes.get("generate_node_acls").flag():
            grants.append(self.everybody(name, group, required))
        elif not acls:
            why = "without ACLs, and generate_node_acls off, nobody gets in"
            self.note(Kind.WARNING, group.span, f"portal group of {name}", why)
        elif not required:
            why = "authentication=0: whoever gives one of these names gets in, without a secret"
            self.note(Kind.WARNING, group.span, f"ACLs of {name}", why)
        interval, timeout = next(iter(timers), (None, None)) if len(timers) == 1 else (None, None)
        return tuple(grants), None if interval is None else (interval, timeout or interval)

    def everybody(self, name: str, group: Node, required: bool) -> Grant:
        """Demo mode."""
        protect = group.get("attributes").get("demo_mode_write_protect").flag(True)
        incoming, _ = self.users(group, "chap_")
        if required and not incoming:
            why = "authentication=1 without chap_userid lets in nobody in demo mode"
            self.note(Kind.WARNING, group.span, f"portal group of {name}", why)
            return Grant(denies=True, span=group.span)
        if not required:
            why = "demo mode: everybody gets in, " + ("to read" if protect else "and may write")
            self.note(Kind.WARNING, group.span, f"portal group of {name}", why)
        return Grant(read_only=protect, span=group.span) if protect else Grant(span=group.span)

    def acl(self, target: str, item: Node, luns: dict[int, Lun], required: bool, protect: bool) -> Grant:
        name = item.get("node_wwn").text()
        self.ignored_users(item, f"ACL {name} of {target}", "chap_userid")
        incoming, outgoing = self.users(item, "chap_")
        own = item.get("attributes").get("authentication").number(_INHERITED)
        required = required if own == _INHERITED else bool(own)
        label = item.get("tag").text()
        if label:
            why = "an Initiator line has no name of its own; it stands in this report"
            self.note(Kind.LOST, item.get("tag").key, f"acl tag {label}", why)
        if not name:
            self.note(Kind.REFUSED, item.span, f"ACL of {target}", "it has no node_wwn and is left out")
            return Grant((), denies=True, span=item.span)
        mapped = self.mapped(target, item, luns)
        if required and not incoming:
            why = "authentication is on and the ACL has no chap_userid and chap_password: LIO lets it in nowhere"
            self.note(Kind.WARNING, item.span, f"ACL {name} of {target}", why)
            return Grant((name,), denies=True, label=label, span=item.span)
        return Grant(
            (name,), luns=mapped, read_only=protect,
            incoming=incoming if required else (), outgoing=outgoing if required else None, label=label, span=item.span,
        )

    def mapped(self, target: str, item: Node, luns: dict[int, Lun]) -> tuple[Lun, ...]:
        found: list[Lun] = []
        for mapping in item.get("mapped_luns").items():
            number, unit = mapping.get("index").number(), mapping.get("tpg_lun").number()
            lun = None if unit is None else luns.get(unit)
            if number is None or lun is None:
                what = f"mapped LUN {number} of {item.get('node_wwn').text()}"
                self.note(Kind.REFUSED, mapping.get("tpg_lun").span, what, f"{target} has no TPG LUN {unit}")
            else:
                found.append(Lun(number, lun.disk, mapping.get("write_protect").flag(), mapping.span))
        return tuple(found)


def _store(item: Node, plugin: str, dev: str) -> tuple[Store, str]:
    if plugin == "fileio":
        return Store.FILE, ""
    if plugin == "block":
        return Store.DIRECT, ""
    if plugin == "ramdisk":
        return (Store.NULL, "") if item.get("nullio").flag() else (Store.MEMORY, "")
    return Store.FOREIGN, f"pass-through {dev}" if plugin == "pscsi" else f"backstore {item.get('config').text()[:80]}"

