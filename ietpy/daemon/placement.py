"""Which worker process serves which target (decisions 54)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

from ietpy.config.model import LunConfig, TargetConfig


def place(
    targets: Sequence[TargetConfig],
    count: int,
    medium: Callable[[LunConfig], Hashable],
    placed: Mapping[str, int],
) -> dict[str, int]:
    """The process of each target, from 0 to ``count`` - 1, by its name in lower case.

    Targets with a medium in common go together (``medium(lun)``; None for what nobody shares), the others where there
    are the fewest. Those that are ``placed`` stay, as their sessions do.
    """
    result = {target.name.lower(): placed[target.name.lower()] for target in targets if target.name.lower() in placed}
    groups = _together(targets, medium)
    for group in groups:
        at = next((result[name] for name in group if name in result), None)
        if at is None:
            load = Counter(result.values())
            at = min(range(count), key=lambda number: (load[number], number))
        for name in group:
            result.setdefault(name, at)
    return result


def _together(targets: Sequence[TargetConfig], medium: Callable[[LunConfig], Hashable]) -> list[list[str]]:
    """The names, those that have a medium in common in one list, in their order."""
    groups: list[tuple[list[str], set[Hashable]]] = []
    by_medium: dict[Hashable, tuple[list[str], set[Hashable]]] = {}
    for target in targets:
        media = {found for lun in target.luns if (found := medium(lun)) is not None}
        group: tuple[list[str], set[Hashable]] = [], media
        for joined in {id(each): each for found in media if (each := by_medium.get(found))}.values():
            group[0].extend(joined[0])
            group[1].update(joined[1])
            groups.remove(joined)
        group[0].append(target.name.lower())
        groups.append(group)
        by_medium.update((found, group) for found in group[1])
    return [names for names, _ in groups]
