"""Portals in ietd.conf's words, where a portal is in one group: those that several share become groups of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ietpy.config.model import PortalConfig
from ietpy.migrate.model import Kind, Note, Portal, PortalGroup, Source, Target


@dataclass(frozen=True, slots=True)
class Listening:
    """The portals of a file, and by which of its groups the source's are reached."""

    portals: tuple[PortalConfig, ...]
    tags: dict[int, tuple[int, ...]]  #: by the source's tag
    notes: tuple[Note, ...] = ()

    def of(self, tags: Iterable[int]) -> tuple[int, ...]:
        """The groups of ietd.conf for some of the source."""
        return tuple(sorted({one for tag in tags for one in self.tags.get(tag, ())}))

    def of_target(self, target: Target) -> tuple[int, ...]:
        """What a PortalGroups line says; nothing, if it is all."""
        ours = self.of(target.portal_groups)
        return () if set(ours) == {portal.group for portal in self.portals} else ours

    def nowhere(self, target: Target) -> bool:
        """Whether the target is in groups of the source that have no portal."""
        return bool(target.portal_groups) and not self.of(target.portal_groups)


def listening(source: Source) -> Listening:
    """What to listen on."""
    holders: dict[tuple[str, int], list[PortalGroup]] = {}
    places: dict[tuple[str, int], Portal] = {}
    for group in source.portal_groups:
        for portal in group.portals:
            key = portal.address, portal.port
            places.setdefault(key, portal)
            if group not in holders.setdefault(key, []):
                holders[key].append(group)
    shared = any(len(groups) > 1 for groups in holders.values())
    chosen: dict[tuple[int, ...], int] = {}
    portals: list[PortalConfig] = []
    tags: dict[int, set[int]] = {group.tag: set() for group in source.portal_groups}
    for key, groups in holders.items():
        of = tuple(group.tag for group in groups)
        number = chosen.setdefault(of, len(chosen) + 1) if shared else of[0]
        portals.append(PortalConfig(number, *key, places[key].span))
        for tag in of:
            tags[tag].add(number)
    notes = [
        Note(Kind.WARNING, groups[0].span, f"portal {places[key]} of {len(groups)} portal groups",
             "a portal is in one group here: it makes one of its own, which the targets of both are in")
        for key, groups in holders.items() if len(groups) > 1
    ] if shared else []
    return Listening(
        tuple(sorted(portals, key=lambda portal: portal.group)),
        {tag: tuple(sorted(found)) for tag, found in tags.items()},
        tuple(notes),
    )
