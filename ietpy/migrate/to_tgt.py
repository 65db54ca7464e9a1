"""The model to tgt's targets.conf, as tgt-admin reads it.

tgt-admin hands what it reads to a shell, so words with characters that mean something there are refused here. tgtd
admits who has a right address or a right name, and everybody where no address stands: rules about names alone stand
beside an address that nobody has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Final

from ietpy.migrate.exporting import Ledger, designators, exact, gives, reachable, rules, told, users
from ietpy.migrate.identities import TGT_WIDTH, tgt
from ietpy.migrate.model import NOWHERE, Account, Disk, Grant, Identity, Lun, Source, Store, Target, Written

CONFIGURATION: Final = "targets.conf"
NO_ADDRESS: Final = "255.255.255.255"  #: from which no initiator comes
_PATH: Final = re.compile(r"/[A-Za-z0-9 ._/+:@%~=-]*[A-Za-z0-9._/+:@%~=-]")
_VALUE: Final = re.compile(r"[A-Za-z0-9._/+:@%~^()-](?:[A-Za-z0-9 ._/+:@%~^()-]*[A-Za-z0-9._/+:@%~^()-])?")
_USER: Final = re.compile(r"[A-Za-z0-9._/+:@%^-]+")
_SECRET: Final = re.compile(r"[A-Za-z0-9._/+:@%^=#-]+")
_NAME: Final = re.compile(r"[A-Za-z0-9.:_-]+")
_T10_VENDOR_ID: Final = 1
_NAA: Final = 3
_LOCALLY: Final = 3  #: the kind of NAA that says a target's number
#: Session keys that targets.conf has.
_KEYS: Final = frozenset((
    "MaxRecvDataSegmentLength", "MaxXmitDataSegmentLength", "HeaderDigest", "DataDigest", "InitialR2T",
    "MaxOutstandingR2T", "ImmediateData", "FirstBurstLength", "MaxBurstLength", "DataPDUInOrder",
    "DataSequenceInOrder", "ErrorRecoveryLevel", "IFMarker", "OFMarker", "IFMarkInt", "OFMarkInt", "DefaultTime2Wait",
    "DefaultTime2Retain", "MaxConnections",
))


def to_tgt(source: Source) -> Written:
    """targets.conf, which may hold secrets, and the report."""
    ledger, accounts = Ledger(), _Accounts()
    lines = ["default-driver iscsi", *_common(source, accounts, ledger)]
    blocks = {}
    shared = _shared(source.targets)
    in_turn = sorted(source.targets, key=lambda target: target.name)  # as tgt-admin takes accounts
    numbers = _numbers(in_turn)
    for target in in_turn:
        blocks[target.name] = _Block(source, target, accounts, ledger, numbers[target.name], shared).lines()
    for target in source.targets:
        if block := blocks[target.name]:
            lines += ["", f"<target {target.name}>", *(f"    {line}" for line in block), "</target>"]
    text = "\n".join(lines) + "\n"
    return Written("tgt", {CONFIGURATION: text}, frozenset((CONFIGURATION,)), ledger.done())


def _common(source: Source, accounts: _Accounts, ledger: Ledger) -> Iterable[str]:
    isns, discovery = source.isns, source.discovery
    if isns:
        yield f"iSNSServerIP {isns.server}"
        yield f"iSNSServerPort {isns.port}"
        yield f"iSNSAccessControl {'On' if isns.access_control else 'Off'}"
        yield "iSNS On"
    if discovery.closed or discovery.networks or discovery.names:
        ledger.lost(NOWHERE, "who may discover", "tgt tells everybody of what he may use")
    for more in discovery.incoming[1:]:
        ledger.lost(more.span, f"user {more.name} of discovery", "tgt has one, the first")
    for word, account in (
        ("incomingdiscoveryuser", discovery.incoming[0] if discovery.incoming else None),
        ("outgoingdiscoveryuser", discovery.outgoing if discovery.incoming else None),
    ):
        if account and accounts.take(account, "discovery", ledger):
            yield f"{word} {_account(account)}"


@dataclass
class _Accounts:
    """The one table of accounts tgtd has: the first secret of a user counts."""

    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def take(self, account: Account, owner: str, ledger: Ledger) -> bool:
        what = f"user {account.name} of {owner}"
        if not (_USER.fullmatch(account.name) and _SECRET.fullmatch(account.secret)):
            ledger.lost(account.span, what, "its name or secret has characters that tgt-admin or a shell would change")
            return False
        if self.secrets.setdefault(account.name, account.secret) != account.secret:
            ledger.lost(account.span, what, "it has another secret elsewhere, and tgtd knows a user once")
            return False
        return True


def _account(account: Account) -> str:
    secret = account.secret.replace("#", "\\#")
    return f"{account.name} {secret}"


@dataclass
class _Block:
    """A target's block, as it is made."""

    source: Source
    target: Target
    accounts: _Accounts
    ledger: Ledger
    tid: int
    shared: frozenset[str]  #: paths that more than one target has

    def lines(self) -> list[str]:
        """Nothing where the target cannot be written, or would be more open than it is."""
        target = self.target
        if not reachable(self.source, target, self.ledger):
            return []
        if not _NAME.fullmatch(target.name):
            self.ledger.lost(target.span, f"target {target.name}", "its name has characters that a shell would change")
            return []
        admitted = self.admitted()
        incoming = self.chap(admitted)
        if incoming is None:
            return []
        chap = [f"incominguser {_account(account)}" for account in incoming]
        outgoing = next((grant.outgoing for grant in admitted if grant.outgoing), None) or target.outgoing
        if outgoing and chap and self.accounts.take(outgoing, target.name, self.ledger):
            chap.append(f"outgoinguser {_account(outgoing)}")
        keys = [f"{key} {value}" for key, value in target.keys.items() if key in _KEYS]
        self.losses()
        state = [] if target.enabled else ["state offline"]
        stores = self.stores(admitted[0] if admitted else Grant())
        return [f"controller_tid {self.tid}", *stores, *self.who(admitted), *chap, *keys, *state]

    def losses(self) -> None:
        target = self.target
        if self.source.portals_of(target):
            why = "targets.conf has none; start tgtd with --iscsi portal=ADDRESS:PORT"
            self.ledger.lost(target.span, f"the portals of {target.name}", why)
        for said, what, why in (
            (target.alias, "Alias", "targets.conf has none"),
            (target.redirect, "redirection", "targets.conf has none; see tgtadm's RedirectAddress"),
            (target.max_sessions, "MaxSessions", "tgtd counts none"),
            (target.nop_interval, "NOPInterval", "tgtd has one for all targets: tgtadm's nop_interval"),
            (target.queued_commands, "QueuedCommands", "targets.conf has none"),
            (target.threads, "threads", "tgtd has one number for all targets: its -t"),
            *((key not in _KEYS, key, "targets.conf has no such key") for key in target.keys),
        ):
            if said:
                self.ledger.lost(target.span, f"{what} of {target.name}", why)

    # -- who

    def admitted(self) -> list[Grant]:
        """The rules that stay: tgt has one set of LUNs and one of accounts for all, those of the first one here."""
        return rules(self.target, self.target.grants, self.ledger, self.unsaid)

    def unsaid(self, grant: Grant, kept: list[Grant]) -> str:
        named = "*" not in grant.names
        if grant.portal_groups:
            return "tgt serves all targets by all portals"
        if named and grant.networks:
            return "tgt lets in whose name or whose address is right, not only whose both are"
        if named and not (exact(grant.names) and all(map(_NAME.fullmatch, grant.names))):
            return "tgt knows whole names only"
        if kept and gives(self.target, grant) != gives(self.target, kept[0]):
            return "it gives other LUNs, rights or users than the rule before, and tgt gives all the same"
        return ""

    def chap(self, admitted: list[Grant]) -> list[Account] | None:
        """The accounts; None where there were some, and none can be written: then everybody would do."""
        wanted = users(self.target, admitted[0] if admitted else Grant())
        kept = [account for account in wanted if self.accounts.take(account, self.target.name, self.ledger)]
        if wanted and not kept:
            self.ledger.lost(self.target.span, f"target {self.target.name}", "left out: without its users it were open")
            return None
        return kept

    def who(self, admitted: list[Grant]) -> list[str]:
        if any(grant.unlimited for grant in admitted):
            return ["initiator-address ALL"]
        addresses = [str(network) for grant in admitted for network in grant.networks]
        names = [name for grant in admitted if not grant.networks for name in grant.names]
        hosts = [text.removesuffix("/32" if ":" not in text else "/128") for text in addresses] or [NO_ADDRESS]
        for name in names:
            if name != name.lower():
                why = "tgt tells upper from lower case: the initiator must write its name like this"
                self.ledger.warn(self.target.span, f"initiator {name} of {self.target.name}", why)
        return [*(f"initiator-address {host}" for host in hosts), *(f"initiator-name {name}" for name in names)]

    # -- what

    def stores(self, grant: Grant) -> Iterable[str]:
        luns = self.target.luns if grant.luns is None else grant.luns
        taken = {lun.number for lun in luns}
        paths: set[str] = set()
        for lun in luns:
            number = lun.number
            if number == 0:
                number = next(each for each in range(1, len(taken) + 2) if each not in taken)
                taken.add(number)
                what = f"LUN 0 of {self.target.name}"
                self.ledger.lost(lun.span, what, f"tgt's LUN 0 is its controller; the disk is LUN {number}")
            why = _unwritable(lun.disk) or ("tgt-admin would merge two LUNs of one path" * (lun.disk.path in paths))
            if why:
                self.ledger.lost(lun.span, f"LUN {lun.number} of {self.target.name}", f"{why}; it is left out")
                continue
            paths.add(lun.disk.path)
            yield f"<backing-store {lun.disk.path}>"
            yield f"    lun {number}"
            yield from (f"    {line}" for line in self.store(lun, number, read_only=grant.read_only))
            yield "</backing-store>"

    def store(self, lun: Lun, number: int, *, read_only: bool) -> Iterable[str]:
        disk = lun.disk
        words = _words(disk.identity, tgt(self.tid, number))
        self.ledger.disk(self.target, lun, tgt(self.tid, number, **words), number)
        if disk.path in self.shared:  # else tgt-admin serves it by the first target alone
            yield "allow-in-use yes"
        yield f"write-cache {'on' if disk.write_cache else 'off'}"
        if disk.block_size not in (None, 512):
            yield f"block-size {disk.block_size}"
        if read_only or not lun.writable:
            yield "readonly 1"
        if disk.removable:
            yield "removable 1"
        if disk.store is Store.DIRECT:
            yield "bsoflags direct"
        if disk.unmap:
            yield "params thin_provisioning=1"
        for name, value in words.items():
            yield f"{_PARAMETERS[name][0]} {value}"


def _shared(targets: Iterable[Target]) -> frozenset[str]:
    paths = Counter(
        path for target in targets for path in {
            lun.disk.path for luns in (target.luns, *(grant.luns or () for grant in target.grants)) for lun in luns
        }
    )
    return frozenset(path for path, targets_with in paths.items() if targets_with > 1)


def _numbers(targets: Iterable[Target]) -> dict[str, int]:
    """The numbers of targets in tgt, by name: those their disks have in their names, and free ones for the others."""
    found: dict[str, int] = {}
    others = []
    for target in targets:
        own = {
            int.from_bytes(value[:4], "big") & 0x0FFFFFFF
            for lun in target.luns for value in designators(lun.disk.identity, _NAA)
            if len(value) == 8 and value[0] >> 4 == _LOCALLY
        } - {0, *found.values()}
        if len(own) == 1:
            found[target.name] = own.pop()
        else:
            others.append(target.name)
    free = (number for number in count(1) if number not in {*found.values()})
    return found | dict(zip(others, islice(free, len(others)), strict=True))


#: Parameters of ``identities.tgt`` in targets.conf, and the most they hold.
_PARAMETERS: Final = {
    "vendor": ("vendor_id", 8),
    "product": ("product_id", 16),
    "revision": ("product_rev", 4),
    "scsi_id": ("scsi_id", TGT_WIDTH),
    "scsi_sn": ("scsi_sn", TGT_WIDTH),
}


def _words(wanted: Identity, own: Identity) -> dict[str, str]:
    """What has to be said for tgt to report ``wanted``, as far as it can; ``own``: what it says by itself."""
    found = {}
    for (name, (_, longest)), value, already in zip(_PARAMETERS.items(), _told(wanted), _told(own), strict=True):
        if value and value != already and len(value) <= longest and _VALUE.fullmatch(value):
            found[name] = value
    return found


def _told(identity: Identity) -> tuple[str, ...]:
    """In the order of ``_PARAMETERS``."""
    own_id = next(designators(identity, _T10_VENDOR_ID), None)
    fields = (identity.vendor, identity.product, identity.revision, own_id, identity.serial)
    return tuple(map(told, fields))


def _unwritable(disk: Disk) -> str:
    if disk.store not in (Store.FILE, Store.DIRECT):
        return f"it is {disk.detail}" if disk.detail else "tgt has no disk without a file behind it"
    if not _PATH.fullmatch(disk.path):
        return f"its path {disk.path} has characters that a shell or tgtadm would change"
    return ""
