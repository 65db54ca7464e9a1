"""The model to LIO's saveconfig.json, as rtslib restores it (``targetctl restore``, targetcli's ``restoreconfig``).

A portal group becomes a target portal group (TPG) of its own, a rule about one initiator an ACL, and the rule about
everybody what LIO calls demo mode: all LUNs of the TPG, writable all or none, and one user.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ietpy.migrate.exporting import Ledger, Names, by, exact, is_device, reachable, rules, told, users
from ietpy.migrate.identities import LIO_MODELS, lio
from ietpy.migrate.model import (
    NOWHERE,
    Account,
    Disk,
    Grant,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    Written,
)

CONFIGURATION: Final = "saveconfig.json"
_NAME: Final = re.compile(r"iqn\.[0-9]{4}-[01][0-9]\.[^ _]*\.[^ _]*|eui\.[0-9a-f]{16}|naa\.[125][0-9a-f]{15}")
_UNIT_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_OURS: Final = uuid.UUID("5c1b1f9a-6d0f-5d0e-9d5e-6b5d3b0c7143")  #: in which serial numbers are made of disks
_LONGEST_NAME: Final = 128
#: Session keys that are parameters of a TPG.
_PARAMETERS: Final = frozenset((
    "AuthMethod", "DataDigest", "DataPDUInOrder", "DataSequenceInOrder", "DefaultTime2Retain", "DefaultTime2Wait",
    "ErrorRecoveryLevel", "FirstBurstLength", "HeaderDigest", "IFMarkInt", "IFMarker", "ImmediateData", "InitialR2T",
    "MaxBurstLength", "MaxConnections", "MaxOutstandingR2T", "MaxRecvDataSegmentLength", "MaxXmitDataSegmentLength",
    "OFMarkInt", "OFMarker",
))
_PLUGINS: Final = {Store.FILE: "fileio", Store.DIRECT: "fileio", Store.NULL: "ramdisk", Store.MEMORY: "ramdisk"}
_EVERY_ADDRESS: Final = ("*", "::")


def to_lio(source: Source) -> Written:
    """saveconfig.json, for root's eyes only, and the report."""
    ledger, objects = Ledger(), _Objects()
    targets = [made for target in source.targets if (made := _target(source, target, objects, ledger))]
    document: dict[str, Any] = {
        "fabric_modules": _fabric_modules(source, ledger),
        "storage_objects": [*objects.made.values()],
        "targets": targets,
    }
    if source.isns:
        ledger.lost(source.isns.span, f"the name server {source.isns.server}", "LIO registers with none")
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    return Written("lio", {CONFIGURATION: text}, frozenset((CONFIGURATION,)), ledger.done())


def _fabric_modules(source: Source, ledger: Ledger) -> list[dict[str, Any]]:
    discovery = source.discovery
    accounts = list(filter(_said, discovery.incoming))
    if discovery.closed or (discovery.incoming and not accounts):
        return [{"name": "iscsi", "discovery_enable_auth": True}]  # there is no user as whom to log in
    if discovery.networks or discovery.names:
        ledger.lost(NOWHERE, "who may discover", "LIO tells everybody of what he may use")
    if not accounts:
        return []
    for more in accounts[1:]:
        ledger.lost(more.span, f"user {more.name} of discovery", "LIO has one, the first")
    outgoing = discovery.outgoing if _said(discovery.outgoing) else None
    return [{"name": "iscsi", "discovery_enable_auth": True, **_chap(accounts[0], outgoing, "discovery_")}]


# -- storage objects


@dataclass
class _Objects:
    """The storage objects so far."""

    names: Names = field(default_factory=lambda: Names(_LONGEST_NAME))
    made: dict[str, dict[str, Any]] = field(default_factory=dict)  #: by name

    def place(self, target: Target, lun: Lun, ledger: Ledger) -> str | None:
        """Of the storage object behind ``lun``, made if it is not there yet; None: LIO cannot have it."""
        disk, plugin = lun.disk, _plugin(lun.disk)
        what = f"LUN {lun.number} of {target.name}"
        if plugin is None:
            ledger.lost(lun.span, what, f"it is {disk.detail or 'nothing LIO has'}, and left out")
            return None
        name, serial = self.names.of(disk), _serial(disk)
        self.made.setdefault(name, _storage_object(disk, name, plugin, serial))
        if disk.store is Store.DIRECT and plugin == "fileio":
            ledger.lost(lun.span, f"access around the page cache to {what}", "LIO has that for devices alone")
        if disk.removable:
            ledger.lost(lun.span, f"the removable medium of {what}", "LIO has none")
        if plugin == "fileio" and disk.size is None and not is_device(disk):
            ledger.warn(lun.span, f"the size of {what}", "it is not known, so the file must be there at the restore")
        ledger.disk(target, lun, lio(name, serial, plugin, model_alias=_is_called_by_name(disk, plugin)))
        return f"/backstores/{plugin}/{name}"


def _plugin(disk: Disk) -> str | None:
    if disk.store is Store.DIRECT and is_device(disk):
        return "block"
    return _PLUGINS.get(disk.store)


def _serial(disk: Disk) -> str:
    """The disk's own if LIO takes it; else one made of what the disk is, the same each time."""
    own = told(disk.identity.serial)
    if _UNIT_SERIAL.fullmatch(own):
        return own
    return str(uuid.uuid5(_OURS, repr((disk.path, disk.name, disk.identity))))


def _is_called_by_name(disk: Disk, plugin: str) -> bool:
    """Whether its product is to be its name; without ``emulate_model_alias`` it is the plugin's."""
    return told(disk.identity.product) != LIO_MODELS[plugin]


def _storage_object(disk: Disk, name: str, plugin: str, serial: str) -> dict[str, Any]:
    attributes = {"emulate_model_alias": int(_is_called_by_name(disk, plugin))}
    if disk.block_size is not None:
        attributes["block_size"] = disk.block_size
    if plugin != "ramdisk":
        attributes["emulate_write_cache"] = int(disk.write_cache)
    if disk.unmap is not None:
        attributes["emulate_tpu"] = int(disk.unmap)
    made: dict[str, Any] = {"name": name, "plugin": plugin, "wwn": serial, "attributes": attributes}
    if plugin == "ramdisk":
        return made | {"size": disk.size or 0} | ({"nullio": True} if disk.store is Store.NULL else {})
    made |= {"dev": disk.path, "write_back": disk.write_cache}
    if plugin == "block":
        return made | {"readonly": disk.read_only}
    return made | ({} if disk.size is None else {"size": disk.size})


# -- targets


def _target(source: Source, target: Target, objects: _Objects, ledger: Ledger) -> dict[str, Any] | None:
    name = target.name.lower()
    if not reachable(source, target, ledger):
        return None
    if not _NAME.fullmatch(name):
        why = "LIO wants iqn., a date and two words with a dot between, no blank, no underscore; the target is left out"
        ledger.lost(target.span, f"target {target.name}", why)
        return None
    if name != target.name:
        ledger.warn(target.span, f"target {target.name}", "LIO writes names in lower case, as initiators compare them")
    for said, what, why in (
        (target.redirect, f"the redirection of {target.name}", "LIO redirects nobody"),
        (target.max_sessions, f"MaxSessions of {target.name}", "LIO counts none"),
        (target.threads, f"the threads of {target.name}", "LIO has its own"),
        *((key not in _PARAMETERS, f"{key} of {target.name}", "LIO has no such parameter") for key in target.keys),
    ):
        if said:
            ledger.lost(target.span, what, why)
    tags = target.portal_groups
    groups = [group for group in source.portal_groups if group.portals and (not tags or group.tag in tags)]
    if not groups:  # the source has none at all, and tag 0 is in no rule
        ledger.warn(target.span, f"the portals of {target.name}", "none are said; 0.0.0.0:3260 is written")
        groups = [PortalGroup(1, (Portal("0.0.0.0"),))]
    tpgs = []
    for group in groups:
        grants = by(target.grants, group.tag if source.portal_groups else 0)
        allowed = rules(target, grants, ledger, partial(_unsaid, target), denials=True)
        tpgs.append(_Tpg(target, group, allowed, objects, ledger).made())
    return {"fabric": "iscsi", "wwn": name, "tpgs": tpgs}


def _unsaid(target: Target, grant: Grant, _: list[Grant]) -> str:
    if grant.networks:
        return "LIO knows no addresses of initiators"
    if not (exact(grant.names) or "*" in grant.names):
        return "LIO knows whole names only"
    accounts = users(target, grant)
    if not grant.denies and accounts and not any(map(_said, accounts)):
        return "its users have no name or no secret, which rtslib passes over"
    return ""


def _said(account: Account | None) -> bool:
    return account is not None and bool(account.name and account.secret)


@dataclass
class _Tpg:
    """A target portal group, as it is made. ``places``: disks and their storage objects, by the number in the TPG."""

    target: Target
    group: PortalGroup
    grants: list[Grant]
    objects: _Objects
    ledger: Ledger
    places: dict[int, tuple[Disk, str]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)  #: who has an ACL

    def made(self) -> dict[str, Any]:
        target = self.target
        everybody = next((grant for grant in self.grants if grant.unlimited and not grant.denies), None)
        shown = self.shown(everybody)
        for lun in target.luns if shown is None else shown:
            if place := self.objects.place(target, lun, self.ledger):
                self.places[lun.number] = lun.disk, place
        own = {*self.places}
        acls = [acl for grant in self.grants if not grant.unlimited for acl in self.acls(grant)]
        accounts = self.users(everybody)
        secure = bool(accounts) or any("chap_userid" in acl for acl in acls)
        if shown is not None:
            alone = self.places.keys() == own
            shown = self.still_shown(everybody, shown, alone=alone, secure=secure and not accounts)
        for acl in acls:
            if secure and "chap_userid" not in acl:
                acl["attributes"].setdefault("authentication", 0)
        attributes = {
            "authentication": int(secure),
            "generate_node_acls": int(shown is not None),
            "demo_mode_write_protect": int(everybody is None or shown is None or _protects(everybody, shown)),
        }
        if target.queued_commands is not None:
            attributes["default_cmdsn_depth"] = target.queued_commands
        parameters = {key: value for key, value in target.keys.items() if key in _PARAMETERS}
        if target.alias:
            parameters["TargetAlias"] = target.alias
        listed = sorted(self.places.items())
        return {
            "tag": self.group.tag,
            "enable": target.enabled,
            "attributes": attributes,
            "parameters": parameters,
            "portals": [_portal(portal) for portal in self.group.portals],
            "luns": [{"index": number, "storage_object": place} for number, (_, place) in listed],
            "node_acls": acls,
            **(_chap(accounts[0], self.outgoing(everybody), "chap_") if accounts else {}),
        }

    # -- everybody

    def shown(self, everybody: Grant | None) -> tuple[Lun, ...] | None:
        """The LUNs everybody has; None: nobody but who is named gets in."""
        if everybody is None:
            return None
        luns = self.luns(everybody)
        if len({_writable(everybody, lun) for lun in luns if not _guards_itself(lun.disk)}) < 2:
            return luns
        for lun in luns:
            if not (_writable(everybody, lun) or _guards_itself(lun.disk)):
                why = "LIO write protects all LUNs that everybody has, or none; this one is left out"
                self.ledger.lost(lun.span, f"LUN {lun.number} of {self.target.name}", why)
        return tuple(lun for lun in luns if _writable(everybody, lun) or _guards_itself(lun.disk))

    def still_shown(
        self, everybody: Grant | None, shown: tuple[Lun, ...], *, alone: bool, secure: bool
    ) -> tuple[Lun, ...] | None:
        """None where everybody would have more than the rule says (``alone``: there are no others' LUNs), or it could
        not work (``secure``: all have to log in by CHAP)."""
        assert everybody is not None
        if not alone:
            self.ledger.rule(self.target, everybody, "LIO would show everybody the LUNs of other rules, too")
            return None
        if secure:
            self.ledger.rule(self.target, everybody, "LIO asks everybody for CHAP once one rule does")
            return None
        return shown

    # -- who is named

    def acls(self, grant: Grant) -> list[dict[str, Any]]:
        """Of each initiator a rule is the first to name. Who is turned away has to log in as a user there is not."""
        target, accounts = self.target, () if grant.denies else self.users(grant)
        attributes = {
            name: seconds for name, seconds in (
                ("nopin_timeout", target.nop_interval), ("nopin_response_timeout", target.nop_timeout)
            ) if seconds
        }
        if grant.denies:
            attributes["authentication"] = 1
        maps = [
            {"index": lun.number, "tpg_lun": place, "write_protect": not _writable(grant, lun)}
            for lun in (() if grant.denies else self.luns(grant)) if (place := self.take(lun)) is not None
        ]
        chap = _chap(accounts[0], self.outgoing(grant), "chap_") if accounts else {}
        tag = {"tag": grant.label} if grant.label else {}
        names = [name for name in dict.fromkeys(map(str.lower, grant.names)) if name not in self.known]
        self.known.update(names)
        return [
            {"node_wwn": name, "mapped_luns": maps, "attributes": dict(attributes), **chap, **tag} for name in names
        ]

    # -- what a rule gives

    def luns(self, grant: Grant) -> tuple[Lun, ...]:
        return self.target.luns if grant.luns is None else grant.luns

    def take(self, lun: Lun) -> int | None:
        """The number in the TPG of the disk behind ``lun``: the same if it is free. None: LIO cannot have the disk."""
        place = self.objects.place(self.target, lun, self.ledger)
        if place is None:
            return None
        for number, (disk, _) in self.places.items():
            if disk == lun.disk:
                return number
        free: int = next(each for each in (lun.number, *range(len(self.places) + 1)) if each not in self.places)
        self.places[free] = lun.disk, place
        return free

    def users(self, grant: Grant | None) -> tuple[Account, ...]:
        """As whom the initiators of a rule log in: one user, or none for no CHAP."""
        accounts = [account for account in users(self.target, grant) if _said(account)] if grant else []
        for more in accounts[1:]:
            why = "LIO has one user here, the first; who logs in as another no longer can"
            self.ledger.lost(more.span, f"user {more.name} of {self.target.name}", why)
        return tuple(accounts[:1])

    def outgoing(self, grant: Grant | None) -> Account | None:
        found = (grant.outgoing if grant else None) or self.target.outgoing
        return found if _said(found) else None


def _writable(grant: Grant | None, lun: Lun) -> bool:
    return lun.writable and not (grant and grant.read_only)


def _protects(grant: Grant, luns: Iterable[Lun]) -> bool:
    """Whether LUNs must be write protected for those whom a rule is about."""
    return grant.read_only or any(not (_writable(grant, lun) or _guards_itself(lun.disk)) for lun in luns)


def _guards_itself(disk: Disk) -> bool:
    """Whether the storage object is read-only whoever uses it."""
    return disk.read_only and _plugin(disk) == "block"


def _chap(incoming: Account, outgoing: Account | None, prefix: str) -> dict[str, str]:
    accounts = {f"{prefix}userid": incoming.name, f"{prefix}password": incoming.secret}
    if outgoing:
        accounts |= {f"{prefix}mutual_userid": outgoing.name, f"{prefix}mutual_password": outgoing.secret}
    return accounts


def _portal(portal: Portal) -> dict[str, Any]:
    address = "::0" if portal.address in _EVERY_ADDRESS else portal.address
    bracketed = f"[{address}]" if ":" in address else address
    return {"ip_address": bracketed, "port": portal.port, "iser": False, "offload": False}
