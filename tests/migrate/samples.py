"""The samples of other targets' files, and what each must be found to say (../shared/corpus/peer-config)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from ietpy.migrate.model import Account, Disk, Grant, Kind, Lun, Note, Source, Store, Target

SAMPLES: Final = Path(__file__).parents[3] / "shared/corpus/peer-config"
STORES: Final = {
    "fileio": {Store.FILE, Store.DIRECT},
    "rdwr": {Store.FILE}, "file": {Store.FILE}, "block": {Store.DIRECT, Store.FILE},
    "blockio": {Store.DIRECT}, "direct": {Store.DIRECT}, "nullio": {Store.NULL}, "ramdisk": {Store.MEMORY},
    "rbd": {Store.FOREIGN}, "passthrough": {Store.FOREIGN}, "dvd": {Store.FOREIGN},
}


def expectations() -> dict[str, Any]:
    if not SAMPLES.exists():
        return {}
    read: dict[str, Any] = json.loads((SAMPLES / "EXPECT.json").read_text())
    return {name: what for name, what in read.items() if not name.startswith("_")}


def pairs(accounts: Iterable[Account]) -> list[list[str]]:
    return [[account.name, account.secret] for account in accounts]


def designated(disk: Disk, kind: int) -> list[str]:
    return [each[4:].hex() for each in disk.identity.designators or () if each[1] & 15 == kind]


LUN_CHECKS: Final[dict[str, Callable[[Lun, Any], bool]]] = {
    "lun": lambda lun, value: lun.number == value,
    "of": lambda lun, value: True,  # compared by the caller
    "type": lambda lun, value: lun.disk.store in STORES[value],
    "path": lambda lun, value: value in (lun.disk.path, lun.disk.detail.partition(" ")[2]),
    "size": lambda lun, value: lun.disk.size == value,
    "blocks": lambda lun, value: lun.disk.size == value * (lun.disk.block_size or 512),
    "blocksize": lambda lun, value: lun.disk.block_size == value,
    "iomode": lambda lun, value: lun.disk.write_cache is (value == "wb"),
    "write_cache": lambda lun, value: lun.disk.write_cache is value,
    "nv_cache": lambda lun, value: lun.disk.write_cache is value,
    "readonly": lambda lun, value: lun.writable is not value,
    "unmap": lambda lun, value: lun.disk.unmap is value,
    "aio": lambda lun, value: lun.disk.store is Store.FILE,
    "direct": lambda lun, value: lun.disk.store is Store.DIRECT,
    "device": lambda lun, value: lun.disk.store is Store.FOREIGN and value in lun.disk.detail,
    "serial": lambda lun, value: (lun.disk.identity.serial or b"").strip(b" \0").decode() == value,
    "scsi_id": lambda lun, value: True,
    "naa": lambda lun, value: value in designated(lun.disk, 3),
    "vendor": lambda lun, value: lun.disk.identity.vendor == value.encode().ljust(8),
    "product": lambda lun, value: lun.disk.identity.product == value.encode().ljust(16),
}


def check_luns(found: Iterable[Lun], wanted: list[dict[str, Any]], own: Target) -> None:
    luns = sorted(found, key=lambda lun: lun.number)
    assert [lun.number for lun in luns] == sorted(each["lun"] for each in wanted)
    by_number = {lun.number: lun for lun in own.luns}
    for lun, each in zip(luns, sorted(wanted, key=lambda one: one["lun"]), strict=True):
        for key, value in each.items():
            assert LUN_CHECKS[key](lun, value), (lun, key, value)
        if "of" in each:
            assert lun.disk == by_number[each["of"]].disk


def rules(target: Target) -> list[str] | None:
    """Names and networks of the grants; None for everybody."""
    if target.open_to_all:
        return None
    found = []
    for grant in target.grants:
        if not grant.denies:
            found += [str(net.network_address if net.num_addresses == 1 else net) for net in grant.networks]
            found += [name for name in grant.names if name != "*"]
    return found


def grant_of(target: Target, words: str) -> Grant:
    """The grant a view of EXPECT.json is about."""
    name = words.rpartition("group lab: ")[2].partition(" except ")[0]
    if name.startswith("everybody else"):
        name = "*"
    return next(grant for grant in target.grants if name in grant.names and not grant.denies)


def check_views(target: Target, wanted: dict[str, Any]) -> None:
    last: Any = None
    for words, luns in wanted.items():
        last = luns if isinstance(luns, list) else last
        grant = grant_of(target, words)
        check_luns(target.luns if grant.luns is None else grant.luns, last, target)
        if " except " in words:
            pattern = words.partition(" except ")[2]
            others = next(each for each in target.grants if pattern in each.names)
            assert target.grants.index(others) < target.grants.index(grant)
            assert others.denies or others.luns is None


def check_by_portal(source: Source, target: Target, wanted: dict[str, Any]) -> None:
    for portals, rule in wanted.items():
        tag = next(
            group.tag for group in source.portal_groups if ",".join(map(str, group.portals)) == portals
        )
        grant = next(each for each in target.grants if tag in each.portal_groups)
        if "mutual" in rule:
            assert grant.outgoing is not None
            assert [[*pair, grant.outgoing.name, grant.outgoing.secret] for pair in pairs(grant.incoming or ())] == (
                rule["mutual"]
            )
        if "users" in rule:
            assert pairs(grant.incoming or ()) == rule["users"]
        assert rule.get("names", ["*"]) == list(grant.names)
        assert [str(net.network_address if net.num_addresses == 1 else net) for net in grant.networks] == rule["nets"]


def check_target(source: Source, target: Target, wanted: dict[str, Any]) -> None:
    checks: dict[str, Callable[[Any], Any]] = {
        "name": lambda value: target.name == value,
        "luns": lambda value: check_luns(target.luns, value, target) is None,
        "portals": lambda value: list(map(str, source.portals_of(target))) == value,
        "portal_patterns": lambda value: len(target.local) == len(value),
        "portals_allowed": lambda value: any(note.kind is Kind.LOST for note in source.notes),
        "users": lambda value: sorted(pairs(target.incoming)) == sorted(value),
        "out": lambda value: target.outgoing is not None and pairs([target.outgoing]) == [value],
        "allow": lambda value: rules(target) == value,
        "nets": lambda value: [
            str(net) for grant in target.grants if not grant.denies for net in grant.networks
        ] == value,
        "deny": lambda value: [name for grant in target.grants if grant.denies for name in grant.names] == value,
        "views": lambda value: check_views(target, value) is None,
        "view_users": lambda value: all(
            pairs(grant_of(target, name).incoming or ()) == users.get("users", [])
            and ("out" not in users or pairs([grant_of(target, name).outgoing or Account("", "")]) == [users["out"]])
            for name, users in value.items()
        ),
        "by_portal": lambda value: check_by_portal(source, target, value) is None,
        "enabled": lambda value: target.enabled is value,
        "alias": lambda value: target.alias == value,
        "redirect": lambda value: target.redirect == f"{value[0]}:{value[1]}",
        "params": lambda value: all(
            target.alias == word if name == "TargetAlias" else target.keys.get(name) == word
            for name, word in value.items()
        ),
        "max_sessions": lambda value: target.max_sessions == value,
        "nop": lambda value: [target.nop_interval, target.nop_timeout] == value,
        "queue": lambda value: target.queued_commands == value,
        "writable_for_all": lambda value: any(
            grant.unlimited and not grant.read_only for grant in target.grants
        ) is value,
        "authentication": lambda value: all(grant.incoming for grant in target.grants) is value,
    }
    for key, value in wanted.items():
        assert checks[key](value), (target.name, key, value)


def check(source: Source, wanted: dict[str, Any]) -> None:
    """Compare a source with its expectations, every word of them."""
    for key, value in wanted.items():
        if key == "targets":
            assert [target.name for target in source.targets] == [each["name"] for each in value]
            for target, each in zip(source.targets, value, strict=True):
                check_target(source, target, each)
        elif key == "isns":
            assert source.isns is not None
            assert all(getattr(source.isns, name) == word for name, word in value.items())
        elif key == "discovery":
            check_discovery(source, value)
        else:
            assert key in ("loses", "warn", "errors", "refused", "what_rtslib_keeps", "as_the_perl_reader_sees_it")


def check_discovery(source: Source, wanted: dict[str, Any]) -> None:
    if "by_portal" in wanted:
        for portal, rule in wanted["by_portal"].items():
            group = next(group for group in source.portal_groups if portal in map(str, group.portals))
            assert group.discovery is not None
            assert (not group.discovery.incoming and not group.discovery.closed) is rule.get("open", False)
        return
    said = [group.discovery for group in source.portal_groups if group.discovery is not None] or [source.discovery]
    for found in said:
        assert pairs(found.incoming) == wanted["users"]
        assert "out" not in wanted or (found.outgoing is not None and pairs([found.outgoing]) == [wanted["out"]])
        assert "open" not in wanted or not found.closed


def said_of(notes: Iterable[Note], kinds: set[Kind], pattern: str) -> bool:
    """Whether a note of one of these kinds says it; ``pattern`` in any letter case."""
    return any(
        note.kind in kinds and re.search(pattern, f"{note.what}: {note.why}", re.IGNORECASE) for note in notes
    )
