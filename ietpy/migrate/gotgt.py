"""gotgt's JSON configuration to the model. It knows no accounts and no rules: everybody gets in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ietpy.errors import Span
from ietpy.migrate.common import Portals, portal
from ietpy.migrate.model import OPEN, Disk, Kind, Lun, Note, Portal, Source, Store, Target, in_order
from ietpy.migrate.places import Node, parse

_FILE: Final = "file:"
_HIGHEST_SHIFT: Final = 20


def read_gotgt(text: str, file: str) -> Source:
    """What the file says. Raises ConfigError."""
    return _Reader(parse(text, file)).run(file)


@dataclass(slots=True)
class _Reader:
    root: Node
    notes: list[Note] = field(default_factory=list)
    disks: dict[int, Disk] = field(default_factory=dict)
    portals: dict[int, Portal] = field(default_factory=dict)
    groups: Portals = field(default_factory=Portals)

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def run(self, file: str) -> Source:
        for item in self.root.get("storages").items():
            self.storage(item)
        for item in self.root.get("iscsiportals").items():
            made, number = portal(item.get("portal").text(), item.span), item.get("id").number()
            if made is None or number is None:
                what = f"portal {item.get('portal').text()[:60]}"
                self.note(Kind.LOST, item.span, what, "a portal needs a numeric address and an id here")
            else:
                self.portals[number] = made
        targets = tuple(self.target(name, node) for name, node in self.root.get("iscsitargets").members())
        return Source("gotgt", targets, self.groups.all(), files=(file,), notes=in_order(self.notes))

    def storage(self, item: Node) -> None:
        number, path = item.get("deviceID").number(), item.get("path").text()
        shift = item.get("blockShift").number(9) or 9
        if number is None or not 9 <= shift <= _HIGHEST_SHIFT:
            self.note(Kind.REFUSED, item.span, f"storage {path[:60]}", "it has no deviceID, or no blockShift from 9 up")
            return
        if not item.get("online").flag(True):
            self.note(Kind.WARNING, item.get("online").key, f"storage {number}", "it was offline, and is served here")
        local = path.startswith((_FILE, "/"))
        self.disks[number] = Disk(
            Store.FILE if local else Store.FOREIGN, path.removeprefix(_FILE), str(number), block_size=1 << shift,
            write_cache=True, unmap=True if item.get("thinProvisioning").flag() else None,
            detail=f"storage {path[:80]}", span=item.span,
        )

    def target(self, name: str, node: Node) -> Target:
        groups = list(node.get("tpgts").members())
        found = [
            self.portals[number] for _, group in groups for each in group.items()
            if (number := each.number()) in self.portals and number is not None
        ]
        luns = []
        for word, each in node.get("luns").members():
            disk = self.disks.get(each.number() or 0)
            if disk is None or not re.fullmatch("[0-9]{1,5}", word):
                why = f"there is no storage {each.number()}, or {word[:20]!r} is no number"
                self.note(Kind.REFUSED, each.key, f"LUN {word[:20]} of {name}", why)
            else:
                luns.append(Lun(int(word), disk, span=each.key))
        self.note(Kind.WARNING, node.key, f"target {name}", "gotgt knows no accounts and no rules: everybody gets in")
        return Target(
            name, tuple(luns), (OPEN,), portal_groups=(self.groups.tag(found, node.key),) if groups else (),
            span=node.key,
        )
