"""Who gets what of a model's target: what a writer and a reader may make less of, but never more."""

from __future__ import annotations

import re
from ipaddress import ip_address

from ietpy.migrate.model import Disk, Grant, Source, Store, Target

Got = tuple[dict[int, tuple[object, bool]], frozenset[tuple[str, str]]]


def decide(source: Source, name: str, initiator: str, peer: str, tag: int) -> Got | None:
    """Of the target ``name``: by LUN which disk it is and whether it may be written, and as whom to log in (nobody: as
    anybody). None: no login."""
    target = next((each for each in source.targets if each.name.lower() == name.lower()), None)
    if target is None or not target.enabled or target.redirect:
        return None
    if target.portal_groups and tag not in target.portal_groups:
        return None
    if source.portal_groups and not any(group.tag == tag and group.portals for group in source.portal_groups):
        return None
    grant = next((each for each in target.grants if _about(each, initiator, peer, tag)), None)
    if grant is None or grant.denies:
        return None
    luns = target.luns if grant.luns is None else grant.luns
    accounts = target.incoming if grant.incoming is None else grant.incoming
    return (
        {lun.number: (_which(lun.disk), lun.writable and not grant.read_only) for lun in luns},
        frozenset((account.name, account.secret) for account in accounts),
    )


def _about(grant: Grant, initiator: str, peer: str, tag: int) -> bool:
    if grant.portal_groups and tag not in grant.portal_groups:
        return False
    if grant.networks and not any(ip_address(peer) in network for network in grant.networks):
        return False
    return any(_means(name, initiator) for name in grant.names)


def _means(pattern: str, name: str) -> bool:
    words = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(words, name.lower(), re.DOTALL) is not None


def _which(disk: Disk) -> object:
    """Two disks without anything behind them have no data to guard."""
    return disk.path if disk.store in (Store.FILE, Store.DIRECT, Store.FOREIGN) else None


def no_more(after: Got | None, before: Got | None) -> bool:
    """Whether ``after`` gives no disk, no right to write and no way in that ``before`` does not."""
    if after is None or not after[0]:
        return True
    if before is None:
        return False
    disks: dict[object, bool] = {}
    for which, writable in before[0].values():
        disks[which] = disks.get(which, False) or writable
    within = all(which in disks and disks[which] >= writable for which, writable in after[0].values())
    secured = not before[1] or (bool(after[1]) and after[1] <= before[1])
    return within and secured


def tag_of(source: Source, name: str, tag: int) -> int:
    """By which portal group ``name`` is reached where it was ``tag``: of a source that has but one for it, that one."""
    target: Target | None = next((each for each in source.targets if each.name.lower() == name.lower()), None)
    tags = target.portal_groups if target else ()
    return tags[0] if len(tags) == 1 else tag
