"""SCST's configuration before 2.1, in sections, to the model: groups are global, and Default is for everybody."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ietpy.errors import ConfigError, Span
from ietpy.migrate import identities
from ietpy.migrate.model import Disk, Grant, Kind, Lun, Note, Source, Store, Target, in_order, refusal

_SECTION: Final = re.compile(r"\[(\S+)(?:\s+([^\]]+?))?\s*\]")
SECTIONS: Final = ("HANDLER", "GROUP", "ASSIGNMENT", "TARGETS")
_HANDLERS: Final = {"vdisk": Store.FILE, "vdisk_blk": Store.DIRECT}
_DEFAULT: Final = "Default"
_IQN: Final = re.compile(r"(?:iqn|eui|naa)\.", re.IGNORECASE)


def is_old(text: str) -> bool:
    """Whether a file has sections, as scstadmin tells the forms apart."""
    return any((match := _SECTION.match(line.strip())) and match[1] in SECTIONS for line in text.split("\n"))


def read_scst_old(text: str, file: str) -> Source:
    """What the file says. Raises ConfigError."""
    return _Reader(file).run(text)


@dataclass(slots=True)
class _Reader:
    file: str
    notes: list[Note] = field(default_factory=list)
    devices: dict[str, Disk] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    assigned: dict[str, dict[int, Lun]] = field(default_factory=dict)
    hosts: dict[str, tuple[bool, Span]] = field(default_factory=dict)

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def run(self, text: str) -> Source:
        kind = name = ""
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.partition("#")[0].strip()
            span = Span(self.file, number, len(raw) - len(raw.lstrip()) + 1)
            match = _SECTION.fullmatch(line)
            if match is not None:
                kind, name = match[1], (match[2] or "").strip()
                if kind == "GROUP":
                    self.groups.setdefault(name, [])
            elif line:
                self.line(kind, name, line, span)
        if self.hosts:
            why = "accounts and portals of this SCST stand in iscsi-scst.conf, which is not read: add them by hand"
            self.note(Kind.WARNING, Span(self.file, 1, 1), "CHAP", why)
        targets = tuple(
            Target(host, grants=self.grants(span), enabled=enabled, span=span)
            for host, (enabled, span) in self.hosts.items()
        )
        return Source("scst", targets, files=(self.file,), notes=in_order(self.notes))

    def line(self, kind: str, name: str, line: str, span: Span) -> None:
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if (kind, word) == ("HANDLER", "DEVICE"):
            self.device(name, [part.strip() for part in rest.split(",")], span)
        elif (kind, word) == ("GROUP", "USER"):
            self.groups[name].append(rest)
        elif (kind, word) == ("ASSIGNMENT", "DEVICE"):
            self.assign(name, [part.strip() for part in rest.split(",")], span)
        elif (kind, word) == ("TARGETS", "HOST"):
            if _IQN.match(rest):
                self.hosts[rest] = name == "enable", span
            else:
                self.note(Kind.LOST, span, f"target {rest[:60]}", "ietpy has iSCSI only")
        else:
            raise ConfigError([refusal(span, f"{word[:40]!r} has no place here", f"known are {', '.join(SECTIONS)}")])

    def device(self, handler: str, parts: list[str], span: Span) -> None:
        name, path, options, size, own = (*parts, "", "", "", "", "")[:5]
        flags = {flag.strip().upper() for flag in options.split("|") if flag.strip()}
        store = Store.NULL if "NULLIO" in flags else _HANDLERS.get(handler, Store.FOREIGN)
        if store is Store.FILE and "BLOCKIO" in flags:
            store = Store.DIRECT
        if "O_DIRECT" in flags and store is Store.FILE:
            store = Store.DIRECT
        kind = "vdisk_blockio" if "BLOCKIO" in flags else "vdisk_fileio"
        if name in self.devices:
            self.note(Kind.REFUSED, span, f"device {name} defined twice", "the second one replaces the first")
        if size and not re.fullmatch("[0-9]{1,6}", size):
            self.note(Kind.WARNING, span, f"block size of device {name}", f"{size[:20]!r} is no number; 512 is taken")
            size = ""
        self.devices[name] = Disk(
            store, path, name, block_size=int(size or 512), write_cache="WRITE_THROUGH" not in flags,
            read_only="READ_ONLY" in flags, removable="REMOVABLE" in flags,
            identity=identities.scst(name, kind, own), detail=f"handler {handler} {path}", span=span,
        )

    def assign(self, group: str, parts: list[str], span: Span) -> None:
        name, word, *flags = (*parts, "")
        disk = self.devices.get(name)
        if disk is None or not re.fullmatch("[0-9]{1,5}", word):
            self.note(Kind.REFUSED, span, f"assignment of {name[:60]} to {group}", "no such device, or no number")
            return
        self.assigned.setdefault(group, {})[int(word)] = Lun(int(word), disk, "READ_ONLY" in flags, span)

    def grants(self, span: Span) -> tuple[Grant, ...]:
        found = []
        for group, users in self.groups.items():
            luns = tuple(self.assigned.get(group, {}).values())
            if group != _DEFAULT and users:
                found.append(Grant(tuple(users), denies=not luns, luns=luns or None, label=group, span=span))
        everybody = tuple(self.assigned.get(_DEFAULT, {}).values())
        return (*found, Grant(luns=everybody, label=_DEFAULT, span=span)) if everybody else tuple(found)
