"""targetcli's portals, which each target has for itself, as portal groups of ietd.conf, and back. Pure.

What was one group stays one, and new portals join one that the same targets have: lines of targets that are where they
should be stay as they are. A target that has lost its last portal is in a group that there is not.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from ietpy.cli.shell.access import BY_HAND
from ietpy.config.model import Configuration, PortalConfig, TargetConfig
from ietpy.config.portals import ALL_ADDRESSES, HIGHEST_TAG
from ietpy.errors import UsageError
from ietpy.iscsi.pdu import DEFAULT_PORT, PORTAL_GROUP_TAG

_INTERFACE: Final = re.compile(r"(?=.*[A-Za-z])[^\s:/\[\]%*,]{1,15}")

#: A portal apart from its group.
Place = tuple[str, int | None]
#: What -a and -p of the daemon say.
DEFAULT: Final[Place] = (ALL_ADDRESSES, None)


def parse(host: str, port: str) -> Place:
    """What ``create [IP] [PORT]`` means. Raises UsageError."""
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not re.fullmatch("[0-9]{1,5}", port, re.ASCII) or not 0 < int(port) < 65536:
        raise UsageError(f"{port} is no port; write a number from 1 to 65535, {DEFAULT_PORT} being the usual one")
    try:
        return str(ipaddress.ip_address(text)), int(port)
    except ValueError:
        pass
    if text == ALL_ADDRESSES or _INTERFACE.fullmatch(text):
        return text, int(port)
    raise UsageError(f"{host} is no address and no interface; write one such as 192.0.2.1, [2001:db8::1] or 0.0.0.0")


def name(place: Place, port: int) -> str:
    """As a node is called; ``port``: that of a portal without one."""
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    return f"{host}:{place[1] or port}"


def of_target(configuration: Configuration, target: TargetConfig) -> tuple[Place, ...]:
    """The portals by which a target is reached."""
    if configuration.portals is None:
        return (DEFAULT,) if not target.portal_groups or PORTAL_GROUP_TAG in target.portal_groups else ()
    return tuple(
        (portal.host, portal.port) for portal in configuration.portals
        if not target.portal_groups or portal.group in target.portal_groups
    )


def listened(configuration: Configuration) -> tuple[Place, ...]:
    """All portals."""
    if configuration.portals is None:
        return (DEFAULT,)
    return tuple((each.host, each.port) for each in configuration.portals)


def reaches(configuration: Configuration, place: Place) -> bool:
    """Whether a target is reached by it."""
    return any(place in of_target(configuration, target) for target in configuration.targets)


def spare(configuration: Configuration, place: Place, port: int) -> tuple[Place, ...]:
    """Portals that may go where ``place`` comes, as no target is reached by them: those in its way.

    If no target is reached at all, all of them are left only because there has to be one.
    """
    idle = [one for one in listened(configuration) if one != place and not reaches(configuration, one)]
    if any(of_target(configuration, target) for target in configuration.targets):
        idle = [one for one in idle if _meet(one, place, port)]
    return tuple(idle)


def without(configuration: Configuration, gone: Sequence[Place]) -> Configuration:
    """With these portals no more."""
    if not gone:
        return configuration
    left = tuple(each for each in configuration.portals or () if (each.host, each.port) not in gone)
    return replace(configuration, portals=left)


def obstacle(configuration: Configuration, place: Place, port: int) -> Place | None:
    """A portal that listens on addresses of ``place`` and its port already, or would lose some to it."""
    return next((one for one in listened(configuration) if one != place and _meet(one, place, port)), None)


def _meet(one: Place, other: Place, port: int) -> bool:
    """Whether both have an address and a port in common; ``port``: that of one without."""
    first, second = (PortalConfig(1, *each, BY_HAND) for each in (one, other))
    same = first.host == second.host or first.holds(second) or second.holds(first)
    return same and (first.port or port) == (second.port or port)


def arranged(configuration: Configuration, wanted: Mapping[str, Sequence[Place]]) -> Configuration:
    """With the targets of these names reached by these portals, and all others as they are."""
    have = {target.name: tuple(of_target(configuration, target)) for target in configuration.targets}
    reached = {target: tuple(wanted.get(target, places)) for target, places in have.items()}
    old = configuration.portals or ()
    before = [(each.host, each.port) for each in old] if configuration.portals is not None else [DEFAULT]
    places = [*before, *(place for each in reached.values() for place in each if place not in before)]
    places = list(dict.fromkeys(places))
    used = {place: frozenset(target for target, each in reached.items() if place in each) for place in places}
    dropped = {place for place in places if not used[place] and any(place in each for each in have.values())}
    if len(dropped) < len(places):  # one has to be left, as without any there were the default ones
        places = [place for place in places if place not in dropped]
    if configuration.portals is None and places == [DEFAULT]:
        portals: tuple[PortalConfig, ...] | None = None
        tags = {DEFAULT: PORTAL_GROUP_TAG}
    else:
        had = {(each.host, each.port): each.group for each in old}
        tags = _tags(places, used, {DEFAULT: PORTAL_GROUP_TAG} if configuration.portals is None else had)
        kept = {(each.host, each.port, each.group): each for each in old}
        made = [kept.get((*place, tags[place])) or PortalConfig(tags[place], *place, BY_HAND) for place in places]
        portals = tuple(sorted(made, key=lambda portal: portal.group))
    found = replace(configuration, portals=portals)
    targets = []
    for target in configuration.targets:
        mine = {tags[place] for place in reached[target.name] if place in tags}
        groups = tuple(sorted(mine)) or (_free(tags.values()),)
        if set(of_target(found, target)) != set(reached[target.name]):
            target = replace(target, portal_groups=() if mine == set(tags.values()) else groups)
        targets.append(target)
    return replace(found, targets=tuple(targets))


def _tags(
    places: Sequence[Place], used: Mapping[Place, frozenset[str]], old: Mapping[Place, int]
) -> dict[Place, int]:
    """A tag for each portal: what was one group stays one as long as the same targets have it."""
    tags: dict[Place, int] = {}
    classes: dict[tuple[frozenset[str], int], int] = {}  # what has the same targets and had the same tag, to its tag
    for place in sorted(places, key=lambda place: place not in old):
        had = old.get(place, 0)
        same = (each for (targets, _), each in classes.items() if targets == used[place])
        tag = next(same, 0) if not had else classes.get((used[place], had), 0)
        if not tag:
            tag = had if had and had not in tags.values() else _free([*tags.values(), *old.values()])
        classes.setdefault((used[place], had), tag)
        tags[place] = tag
    return tags


def _free(taken: object) -> int:
    numbers = set(taken)  # type: ignore[call-overload]
    return next(tag for tag in range(1, HIGHEST_TAG + 1) if tag not in numbers)
