"""What the writers of other targets' formats share: a report as they go, and what a disk is called afterwards.

None of them may open what was closed. What a format cannot say about who may use a target is left out, so that fewer
get in than before, and the report says so. A disk is left out only if somebody could write who may not now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from ietpy.errors import Span
from ietpy.migrate.model import Account, Disk, Grant, Identity, Kind, Lun, Note, Source, Target, in_order

_DEVICES: Final = "/dev/"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
#: What each field of an identity is to an initiator.
_FIELDS: Final = (
    ("vendor", "vendor"),
    ("product", "product"),
    ("revision", "revision"),
    ("serial", "VPD page 80h"),
    ("designators", "VPD page 83h"),
)
#: Products that are of every disk of a target, and so name none.
_NAMELESS: Final = ("VIRTUAL-DISK", "iSCSI DISK", "CTLDISK")
_T10_VENDOR_ID: Final = 1
_VENDOR: Final = 8  #: bytes


@dataclass
class Ledger:
    """The report of one export, as it grows."""

    notes: list[Note] = field(default_factory=list)

    def taken(self, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(Kind.TAKEN, span, what, why))

    def lost(self, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(Kind.LOST, span, what, why))

    def warn(self, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(Kind.WARNING, span, what, why))

    def done(self) -> tuple[Note, ...]:
        return in_order(self.notes)

    def rule(self, target: Target, grant: Grant, why: str) -> None:
        """That a rule is left out."""
        verb = "that turns away" if grant.denies else "about"
        then = "rules behind it that may be about the same let nobody in" if grant.denies else "it lets nobody in"
        self.lost(grant.span, f"a rule of {target.name} {verb} {whom(grant)}", f"{why}; {then}")

    def disk(self, target: Target, lun: Lun, now: Identity, number: int | None = None) -> None:
        """That ``lun`` is there, as ``number`` if it is another now, and which of its names initiators find changed."""
        what = f"LUN {lun.number} of {target.name}"
        new = "" if number in (None, lun.number) else f" as LUN {number}"
        wanted = lun.disk.identity
        others = [name for attribute, name in _FIELDS if _differs(getattr(wanted, attribute), getattr(now, attribute))]
        if others:
            self.lost(lun.span, what, f"it is written{new}, but initiators find it changed: {joined(others)}")
        elif None in (wanted.serial, wanted.designators):
            self.warn(lun.span, what, f"it is written{new}, but what initiators called it is not known as a whole")
        else:
            self.taken(lun.span, what, f"it is written{new}, with what initiators know it by")


def _differs(wanted: object, now: object) -> bool:
    return wanted is not None and wanted != now


# -- words


def joined(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *some, last = words
    return f"{', '.join(some)} and {last}" if some else last


def whom(grant: Grant) -> str:
    """About whom it is."""
    names = "everybody" if "*" in grant.names else joined(grant.names)
    places = f" from {joined(map(str, grant.networks))}" if grant.networks else ""
    groups = f" by portal group {joined(map(str, grant.portal_groups))}" if grant.portal_groups else ""
    return f"{names}{places}{groups}"


# -- names of disks


def told(value: bytes | None) -> str:
    """A field without its padding; empty where it is not known."""
    return "" if value is None else value.decode("utf-8", "surrogateescape").strip(" \0")


def designators(identity: Identity, kind: int) -> Iterator[bytes]:
    """The values of those of one DESIGNATOR TYPE."""
    return (each[4:] for each in identity.designators or () if each[1] & 0x0F == kind)


def vendor_specific(identity: Identity) -> str:
    """What follows the vendor in the designator of type T10 vendor ID; empty without one."""
    return next((told(value[_VENDOR:]) for value in designators(identity, _T10_VENDOR_ID)), "")


@dataclass
class Names:
    """Names of disks for a format in which each has one: each disk one, no two the same."""

    longest: int
    given: dict[str, Disk] = field(default_factory=dict)

    def of(self, disk: Disk) -> str:
        """The one it has had; else its own, its product's or its file's, and a number if another has that."""
        for name, other in self.given.items():
            if other == disk:
                return name
        product = told(disk.identity.product)
        base = disk.name or product * (product not in _NAMELESS) or disk.path.rpartition("/")[2]
        base = _UNSAFE.sub("-", base).strip("-.")[:self.longest] or "disk"
        name, count = base, 1
        while name in self.given:
            count += 1
            name = f"{base[:self.longest - len(str(count)) - 1]}-{count}"
        self.given[name] = disk
        return name


def is_device(disk: Disk) -> bool:
    return disk.path.startswith(_DEVICES)


# -- who may use a target


def exact(names: Iterable[str]) -> bool:
    """Whether each name is one initiator's."""
    return not any(character in name for name in names for character in "*?")


def gives(target: Target, grant: Grant) -> object:
    """What a rule gives whom it is about: two that give the same can stand for one another."""
    luns = target.luns if grant.luns is None else grant.luns
    return luns, grant.read_only, users(target, grant), grant.outgoing or target.outgoing


def users(target: Target, grant: Grant) -> tuple[Account, ...]:
    """As whom to log in."""
    return target.incoming if grant.incoming is None else grant.incoming


def reachable(source: Source, target: Target, ledger: Ledger, *, local: bool = False) -> bool:
    """Whether a target can be written as far as its portals go: it is left out rather than reached by more of them.

    ``local``: whether the format knows the own addresses by which a target is reached.
    """
    why = ""
    if source.portal_groups and not source.portals_of(target):
        why = "no portal leads to it, so nobody gets there"
    elif target.local and not local:
        why = f"it is reached by own addresses of {joined(map(str, target.local))} alone, which cannot be written"
    if why:
        ledger.lost(target.span, f"target {target.name}", f"{why}; it is left out")
    return not why


def by(grants: Iterable[Grant], tag: int) -> tuple[Grant, ...]:
    """The rules about who comes by one portal group, which then says nothing of it any more."""
    return tuple(
        replace(grant, portal_groups=()) for grant in grants if not grant.portal_groups or tag in grant.portal_groups
    )


def rules(
    target: Target, grants: Iterable[Grant], ledger: Ledger, unsaid: Callable[[Grant, list[Grant]], str], *,
    denials: bool = False,
) -> list[Grant]:
    """The rules that can be written, in their order, up to one that is about everybody.

    ``unsaid``: why a rule cannot be, given those before it that are; empty if it can. A rule that is not written hides
    those behind it that may be about the same initiators and give them something else: they would get that instead.
    ``denials``: whether rules that turn initiators away can be written.
    """
    kept: list[Grant] = []
    hiding: list[Grant] = []
    for grant in grants:
        hidden = next((before for before in hiding if _hides(target, before, grant)), None)
        if grant.denies and not denials:
            hiding.append(grant)
        elif hidden:
            verb = "turns away" if hidden.denies else "is about"
            ledger.rule(target, grant, f"a rule before it {verb} {whom(hidden)}, and is not written")
            hiding.append(grant)
        elif why := unsaid(grant, kept):
            ledger.rule(target, grant, why)
            hiding.append(grant)
        else:
            kept.append(grant)
        if grant.unlimited:
            break
    return kept


def _hides(target: Target, before: Grant, grant: Grant) -> bool:
    apart = exact(before.names) and exact(grant.names) and {*_lower(before.names)}.isdisjoint(_lower(grant.names))
    return not apart and (before.denies != grant.denies or gives(target, before) != gives(target, grant))


def _lower(names: Iterable[str]) -> Iterator[str]:
    return (name.lower() for name in names)
