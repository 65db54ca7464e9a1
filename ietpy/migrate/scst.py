"""SCST's scst.conf to the model: its devices, its iSCSI targets, and who sees which LUNs of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

from ietpy.errors import Span
from ietpy.migrate import identities
from ietpy.migrate.common import SESSION_KEYS, network
from ietpy.migrate.model import (
    Account,
    Discovery,
    Disk,
    Grant,
    Isns,
    Kind,
    Lun,
    Network,
    Note,
    Source,
    Store,
    Target,
    in_order,
)
from ietpy.migrate.scst_text import Entry, parse_scst

_ISCSI: Final = "iscsi"
_OWN_DRIVERS: Final = ("copy_manager",)  #: SCST's own, for its third-party copies
_VIRTUAL: Final = MappingProxyType({
    "vdisk_fileio": Store.FILE, "vdisk_blockio": Store.DIRECT, "vdisk_nullio": Store.NULL, "vcdrom": Store.FOREIGN,
})
_PASSED: Final = MappingProxyType({"dev_disk": "disk", "dev_disk_perf": "disk", "dev_tape": "tape",
                                   "dev_changer": "changer"})
_TOP: Final = (
    "HANDLER", "TARGET_DRIVER", "DEVICE_GROUP", "setup_id", "max_tasklet_cmd", "threads", "poll_us", "suspend",
    "force_global_sgv_pool", "trace_level",
)
#: Attributes of a target that say nothing here, or what ietpy decides by itself.
_OF_NO_USE: Final = (
    "enabled", "rel_tgt_id", "cpu_mask", "io_grouping_type", "per_portal_acl", "HW_TARGET", "addr_method", "black_hole",
    "forward_src", "forward_dst", "forwarding", "aen_disabled",
)
_KNOWN: Final = (
    "alias", "IncomingUser", "OutgoingUser", "allowed_portal", "MaxSessions", "NopInInterval", "NopInTimeout",
    "RspTimeout", "QueuedCommands", "redirect", "LUN", "GROUP",
)
_LOST_OF_DEVICE: Final = ("cluster_mode", "bind_alua_state", "dif_mode", "pr_file_name")
_NUMBER: Final = re.compile("[0-9]{1,18}", re.ASCII)
_HEX: Final = re.compile("(?:0x)?((?:[0-9a-fA-F]{2}){8,16})", re.ASCII)
_DEFAULT_PORT: Final = 3260
_NOWHERE: Final = ip_network("192.0.2.255/32")  #: of documentation, RFC 5737: no address of this machine


def read_scst(text: str, file: str) -> Source:
    """What the file says, in the form of SCST 2.1 and later. Raises ConfigError."""
    notes: list[Note] = []
    return Reader(parse_scst(text, file, notes), notes).run(file)


@dataclass(slots=True)
class Reader:
    """The devices and targets of a file as they are found."""

    root: Entry
    notes: list[Note]
    devices: dict[str, Disk] = field(default_factory=dict)

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def run(self, file: str) -> Source:
        for entry in self.root.entries:
            if entry.name not in _TOP:
                self.note(Kind.WARNING, entry.span, entry.name[:40], "no entry that is known here; passed over")
        for handler in self.root.all("HANDLER"):
            self.handler(handler)
        for group in self.root.all("DEVICE_GROUP"):
            why = "there is one target port group here, active and optimized"
            self.note(Kind.LOST, group.span, f"ALUA device group {group.word(1)[:40]}", why)
        targets: dict[str, Target] = {}
        discovery, isns = Discovery(), None
        for driver in self.root.all("TARGET_DRIVER"):
            name = driver.word(1)
            if name == _ISCSI:
                discovery, isns = self.discovery(driver), self.isns(driver)
                for entry in driver.all("TARGET"):
                    self.target(entry, driver, targets)
            elif name not in _OWN_DRIVERS:
                self.note(Kind.LOST, driver.span, f"driver {name[:40]}", "ietpy has iSCSI only")
        return Source(
            "scst", tuple(targets.values()), (), discovery, isns, files=(file,), notes=in_order(self.notes)
        )

    # -- devices -----------------------------------------------------------------------------------------------------

    def handler(self, handler: Entry) -> None:
        for entry in handler.all("DEVICE"):
            name = entry.word(1)
            if name in self.devices:
                why = "the second one replaces the first, attributes and all, as it did in SCST"
                self.note(Kind.REFUSED, entry.span, f"device {name} defined twice", why)
            self.devices[name] = self.device(entry, name, handler.word(1))

    def device(self, entry: Entry, name: str, handler: str) -> Disk:
        if handler in _PASSED:
            detail = f"pass-through {name}" + ("" if _PASSED[handler] == "disk" else f" ({_PASSED[handler]})")
            return Disk(Store.FOREIGN, name, name, detail=detail, span=entry.span)
        if handler not in _VIRTUAL:
            return Disk(Store.FOREIGN, name, name, detail=f"handler {handler} {name}", span=entry.span)
        path = entry.value("filename")
        if not path and handler != "vdisk_nullio":
            why = "its LUNs are left out"
            self.note(Kind.REFUSED, entry.span, f"device {name} has no filename", why)
        for word in _LOST_OF_DEVICE:
            if entry.flag(word):
                place = next(entry.all(word)).span
                self.note(Kind.LOST, place, f"{word} of device {name}", "ietpy has no such thing")
        store = _VIRTUAL[handler]
        if handler == "vdisk_fileio" and entry.flag("o_direct"):
            store = Store.DIRECT
        if entry.flag("nv_cache"):
            why = "SCST passed over flushes; ietpy does as initiators say"
            self.note(Kind.WARNING, next(entry.all("nv_cache")).span, f"nv_cache of device {name}", why)
        return Disk(
            store, path, name, self.size(entry), self.number(entry, "blocksize", 512),
            write_cache=not entry.flag("write_through") and store is not Store.NULL,
            read_only=entry.flag("read_only") or handler == "vcdrom", removable=entry.flag("removable"),
            unmap=True if entry.flag("thin_provisioned") else None,
            identity=identities.scst(
                name, handler, entry.value("t10_dev_id"), entry.value("usn"), self.hexadecimal(entry, "naa_id"),
                self.hexadecimal(entry, "eui64_id"), entry.value("t10_vend_id"), entry.value("prod_id"),
                entry.value("prod_rev_lvl"),
            ),
            detail=f"virtual CD (cd) {path}" if handler == "vcdrom" else "", span=entry.span,
        )

    def size(self, entry: Entry) -> int | None:
        if entry.value("size_mb"):
            return self.number(entry, "size_mb", 0) << 20
        return self.number(entry, "size", 0) or None

    def number(self, entry: Entry, name: str, default: int) -> int:
        word = entry.value(name)
        if _NUMBER.fullmatch(word):
            return int(word)
        if word:
            why = f"{word[:40]!r} is no number; {default} is taken"
            self.note(Kind.WARNING, next(entry.all(name)).span, f"{name} of {' '.join(entry.words)[:60]}", why)
        return default

    def hexadecimal(self, entry: Entry, name: str) -> bytes:
        match = _HEX.fullmatch(entry.value(name))
        if match is None and entry.value(name):
            what, why = f"{name} of device {entry.word(1)}", "it is not 8 to 16 bytes in hexadecimal digits"
            self.note(Kind.WARNING, next(entry.all(name)).span, what, why)
        return b"" if match is None else bytes.fromhex(match[1])

    # -- accounts and discovery --------------------------------------------------------------------------------------

    def users(self, entry: Entry, name: str) -> tuple[Account, ...]:
        found = []
        for each in entry.all(name):
            user, _, secret = " ".join(each.words[1:]).partition(" ")
            if not secret:
                self.note(Kind.REFUSED, each.span, f"{name} {user}", "it has no secret; nobody gets in by it")
            found.append(Account(user, secret, each.span))
        return tuple(found)

    def discovery(self, driver: Entry) -> Discovery:
        outgoing = self.users(driver, "OutgoingUser")
        return Discovery(self.users(driver, "IncomingUser"), outgoing[-1] if outgoing else None)

    def isns(self, driver: Entry) -> Isns | None:
        words = driver.value("iSNSServer").split()
        if not words:
            return None
        place = next(driver.all("iSNSServer")).span
        return Isns(words[0], access_control="accesscontrol" in (word.lower() for word in words[1:]), span=place)

    # -- targets -----------------------------------------------------------------------------------------------------

    def target(self, entry: Entry, driver: Entry, targets: dict[str, Target]) -> None:
        name = entry.word(1)
        if name.lower() in targets:
            why = "the second one replaces the first, as it did in SCST"
            self.note(Kind.REFUSED, entry.span, f"target {name} defined twice", why)
        luns = self.luns(entry, name)
        outgoing = self.users(entry, "OutgoingUser")
        targets[name.lower()] = Target(
            name, luns, self.grants(entry, name, luns), self.users(entry, "IncomingUser"),
            outgoing[-1] if outgoing else None, alias=entry.value("alias"),
            enabled=entry.flag("enabled") and driver.flag("enabled"), redirect=_redirect(entry.value("redirect")),
            keys=self.keys(entry, name), max_sessions=self.number(entry, "MaxSessions", 0),
            nop_interval=self.number(entry, "NopInInterval", 0), nop_timeout=self.number(entry, "NopInTimeout", 0),
            queued_commands=self.number(entry, "QueuedCommands", 0) or None, local=self.local(entry, name),
            span=entry.span,
        )

    def keys(self, entry: Entry, name: str) -> MappingProxyType[str, str]:
        found: dict[str, str] = {}
        for each in entry.entries:
            key = SESSION_KEYS.get(each.name.lower())
            if key is not None and each.name not in _KNOWN:
                found[key] = each.word(1)
            elif each.name == "RspTimeout":
                self.note(Kind.LOST, each.span, f"RspTimeout of {name}", "ietpy waits by NOPTimeout")
            elif each.name not in (*_KNOWN, *_OF_NO_USE):
                self.note(Kind.WARNING, each.span, f"{each.name[:40]} of {name}", "no attribute that is known here")
        return MappingProxyType(found)

    def local(self, entry: Entry, name: str) -> tuple[Network, ...]:
        """Networks of the addresses by which a target is reached: patterns that end with an asterisk."""
        found: list[Network] = []
        for each in entry.all("allowed_portal"):
            word = each.word(1)
            net = _pattern(word)
            what = f"portal patterns: allowed_portal {word[:60]} of {name}"
            if word == "*":
                return ()
            if net is None:
                self.note(Kind.LOST, each.span, what, "no network says it; the target is not reached by it")
            else:
                self.note(Kind.EXTENSION, each.span, what, f"a line of targets.allow with {net}")
            found.append(net or _NOWHERE)
        return tuple(dict.fromkeys(found))

    def luns(self, entry: Entry, name: str) -> tuple[Lun, ...]:
        found: dict[int, Lun] = {}
        for each in entry.all("LUN"):
            word, device = each.word(1), each.word(2)
            if not _NUMBER.fullmatch(word) or int(word) in found:
                what, why = f"LUN {word[:20]} of {name}", "it is no number, or there twice; the first is taken"
                self.note(Kind.REFUSED, each.span, what, why)
            elif device not in self.devices:
                what, why = f"LUN {word} of {name}", f"there is no device {device[:60]!r}"
                self.note(Kind.REFUSED, each.span, what, why)
            else:
                found[int(word)] = Lun(int(word), self.devices[device], each.flag("read_only"), each.span)
        return tuple(found.values())

    def grants(self, entry: Entry, name: str, luns: tuple[Lun, ...]) -> tuple[Grant, ...]:
        """Whom a group is about sees the group's LUNs, everybody else the target's; who sees none has no use of it."""
        found: list[Grant] = []
        for group in entry.all("GROUP"):
            label, own = group.word(1), self.luns(group, f"group {group.word(1)} of {name}")
            names = [each.word(1) for each in group.all("INITIATOR") if each.word(1)]
            besides = tuple(pattern[1:] for pattern in names if pattern.startswith("!"))
            inside = tuple(pattern for pattern in names if not pattern.startswith("!"))
            if besides:
                what = f"negated initiator pattern: {', '.join(besides)} of group {label}"
                why = "a line before the group's gives them what everybody has"
                self.note(Kind.EXTENSION, group.span, what, why)
                found.append(Grant(besides, denies=not luns, label=f"not {label}", span=group.span))
            if inside:
                found.append(Grant(inside, denies=not own, luns=own or None, label=label, span=group.span))
        if luns:
            found.append(Grant(span=entry.span))
        elif not found:
            why = "it has no LUN, so there is nothing to see for anybody"
            self.note(Kind.WARNING, entry.span, f"target {name}", why)
        return tuple(found)


def _pattern(word: str) -> Network | None:
    """``192.0.2.*`` and ``2001:db8:*`` as networks, addresses as such; None for other patterns."""
    start = word.removesuffix("*")
    if start == word:
        return network(word) if "/" not in word else None
    if re.fullmatch(r"(?:[0-9]{1,3}\.){1,3}", start):
        parts = start.count(".")
        return network(f"{start}{'0.' * (3 - parts)}0/{8 * parts}")
    if re.fullmatch("(?:[0-9a-fA-F]{1,4}:){1,7}", start):
        parts = start.count(":")
        return network(f"{start}:/{16 * parts}" if parts < 7 else f"{start}0/112")
    return None


def _redirect(value: str) -> str:
    """``ip[:port] temp|perm`` as address:port."""
    address = value.split()[0] if value.split() else ""
    if not address:
        return ""
    return address if re.search(r"(?:\]|^[^:]*):[0-9]+$", address) else f"{address}:{_DEFAULT_PORT}"

