"""What the blocks of tgt's targets.conf mean, by the rules of tgt-admin and tgtd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from ietpy.errors import Diagnostic, Span
from ietpy.migrate import identities
from ietpy.migrate.common import OBSOLETE, SESSION_KEYS, network
from ietpy.migrate.model import (
    Account,
    Discovery,
    Disk,
    Grant,
    Isns,
    Kind,
    Lun,
    Note,
    Source,
    Store,
    Target,
    in_order,
    refusal,
)
from ietpy.migrate.tgt import Block, Files, Line, parse_tgt, refused

PLACEHOLDER: Final = "PLEASE_CORRECT_THE_PASSWORD"
_STORES: Final = ("backing-store", "direct-store")
_FILE_KEYS: Final = (
    "default-driver", "ignore-errors", "control-port", "iSNS", "iSNSServerIP", "iSNSServerPort", "iSNSAccessControl",
    "incomingdiscoveryuser", "outgoingdiscoveryuser", "include", "IncludeOptional",
)
_TARGET_KEYS: Final = (
    *_STORES, "driver", "initiator-address", "initiator-name", "incominguser", "outgoinguser", "controller_tid", "lun",
    "state",
)
_STORE_KEYS: Final = (
    "lun", "allow-in-use", "write-cache", "scsi_id", "scsi_sn", "vendor_id", "product_id", "product_rev",
    "sense_format", "removable", "online", "path", "readonly", "mode_page", "params", "lbppbe", "la_lba",
    "optimal_xfer_gran", "optimal_xfer_len", "device-type", "bs-type", "bsopts", "bsoflags", "block-size",
)
#: Options of a store that a LUN here has no word for.
_NO_WORD: Final = MappingProxyType({
    "mode_page": "mode pages", "params": "params", "sense_format": "sense format", "lbppbe": "lbppbe",
    "la_lba": "la_lba", "optimal_xfer_gran": "optimal_xfer_gran", "optimal_xfer_len": "optimal_xfer_len",
})
_FILES: Final = ("rdwr", "aio")
_THIN: Final = "thin_provisioning=1"
#: A caching mode page as tgtadm takes it: page, subpage, length, bytes.
_CACHING: Final = re.compile(
    r"(?:8|0x0?8):(?:0|0x0+):[0-9a-fx]+:(?P<flags>0x[0-9a-fA-F]{1,2}|0|[1-9][0-9]{0,2})(?::|$)"
)
_WCE: Final = 0x04
_YES: Final = ("yes", "on", "1", "true")
_ONE: Final = 1  #: LUN 0 is tgt's controller


def read_tgt(path: str, files: Files | None = None) -> Source:
    """The configuration in a file and what it includes. Raises ConfigError."""
    files = files or Files()
    root = parse_tgt(path, files)
    return _Reader(root).run(tuple(files.seen))


@dataclass(frozen=True, slots=True)
class _StoreEntry:
    """A backing-store or direct-store: its path, and its options, those of the target included."""

    path: str
    direct: bool
    options: dict[str, list[Line]]
    span: Span

    def text(self, key: str, default: str = "") -> str:
        """The value of an option; of several the first."""
        return self.options[key][0].text if key in self.options else default


@dataclass(slots=True)
class _Reader:
    root: Block
    notes: list[Note] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)  #: tgtd's one table, by name

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def refuse(self, span: Span, problem: str, hint: str) -> None:
        self.problems.append(refusal(span, problem, hint))

    def run(self, files: tuple[str, ...]) -> Source:
        self.unknown(self.root, (*_FILE_KEYS, "target"))
        discovery = self.discovery()
        targets = sorted(self.root.blocks.get("target", {}).items())
        found = []
        tid, taken = 0, set()
        for name, block in targets:
            own = _first(block, "controller_tid")
            tid = int(own) if own.isdigit() else tid + 1  # the one before and one more, free or not: so does tgt-admin
            if tid in taken:
                why = "another target has it, so tgtd refuses this one, and tgt-admin stops there"
                self.note(Kind.REFUSED, block.span, f"number {tid} of {name}", why)
            taken.add(tid)
            found.append(self.target(name, block, tid))
        refused(self.problems)
        return Source("tgt", tuple(found), (), discovery, self.isns(), files=files, notes=in_order(self.notes))

    def unknown(self, block: Block, known: tuple[str, ...]) -> None:
        """Keys tgt-admin passes over: letter case counts."""
        lower = {key.lower(): key for key in known}
        for name in (*block.entries, *block.blocks):
            session = SESSION_KEYS.get(name.lower()) if block.name == "target" else None
            if name in known or name == session or (session is None and name.lower() in OBSOLETE):
                continue
            lines = block.entries.get(name)
            span = lines[0].span if lines else next(iter(block.blocks[name].values())).span
            right = lower.get(name.lower(), session)
            why = "tgt-admin passes over it" + (f"; {right} is how it is written" if right and right != name else "")
            self.note(Kind.WARNING, span, f"unknown key {name[:40]}", why)

    # -- the file ----------------------------------------------------------------------------------------------------

    def isns(self) -> Isns | None:
        server = self.root.entries.get("iSNSServerIP")
        if not server or _first(self.root, "iSNS", "On").lower() not in _YES:
            return None
        port, control = _first(self.root, "iSNSServerPort", "3205"), _first(self.root, "iSNSAccessControl")
        if not port.isdigit():
            self.note(Kind.WARNING, server[0].span, "iSNSServerPort", "it is no number; 3205 is taken")
        return Isns(server[0].text, int(port) if port.isdigit() else 3205, control.lower() in _YES, server[0].span)

    def discovery(self) -> Discovery:
        incoming = self.users(self.root, "incomingdiscoveryuser")
        outgoing = self.users(self.root, "outgoingdiscoveryuser")
        asked = "incomingdiscoveryuser" in self.root.entries
        return Discovery(incoming, outgoing[0] if outgoing else None, closed=asked and not incoming)

    def users(self, block: Block, key: str) -> tuple[Account, ...]:
        """Accounts of lines ``key USER SECRET``, split at one blank."""
        found = []
        for line in block.entries.get(key, ()):
            name, _, rest = line.text.partition(" ")
            secret = rest.split(" ")[0]
            if not secret:
                why = "the password is empty: two blanks stand before it" if rest else "it has no password"
                problem = f"{key} {name}: {why}; tgt-admin stops here"
                self.refuse(line.span, problem, "write user and password, one blank")
            elif secret == PLACEHOLDER:
                kind = "outgoing user" if key.startswith("outgoing") else "user"
                what = f"secret of {kind} {name}"
                why = "it is the placeholder tgt-admin --dump writes; add the account, until then nobody gets in by it"
                self.note(Kind.REFUSED, line.span, what, why)
                if not key.startswith("outgoing"):  # the target still asks for it
                    found.append(Account(name, "", line.span))
            else:
                if " " in rest:
                    why = "blanks end a password, and quotes do not help: only what stands before the first one counts"
                    self.note(Kind.WARNING, line.span, f"password of {name}", why)
                found.append(self.account(Account(name, secret, line.span), block))
        return tuple(found)

    def account(self, account: Account, block: Block) -> Account:
        """The account as tgtd has it: of one name the first that it meets."""
        first = self.accounts.setdefault(account.name, account)
        if first.secret != account.secret:
            what = f"account {account.name} has two secrets"
            why = f"tgtd keeps the one it meets first, of {first.span}; so does {block.value or 'discovery'}"
            self.note(Kind.WARNING, account.span, what, why)
            return replace(account, secret=first.secret)
        return account

    # -- one target --------------------------------------------------------------------------------------------------

    def target(self, name: str, block: Block, tid: int) -> Target:
        self.unknown(block, (*_TARGET_KEYS, *_STORE_KEYS))
        driver = _first(block, "driver", _first(self.root, "default-driver", "iscsi"))
        if driver != "iscsi":
            self.note(Kind.LOST, block.span, f"driver {driver} of {name}", "ietpy has iSCSI over TCP only")
        incoming, outgoing = self.users(block, "incominguser"), self.users(block, "outgoinguser")
        for other in outgoing[1:]:
            self.note(Kind.WARNING, other.span, f"outgoinguser {other.name} of {name}", "tgt uses the first one only")
        return Target(
            name, self.luns(name, block, tid), self.grants(name, block), incoming, outgoing[0] if outgoing else None,
            enabled=_first(block, "state", "ready") != "offline", keys=self.keys(block), span=block.span,
        )

    def keys(self, block: Block) -> MappingProxyType[str, str]:
        return MappingProxyType({
            name: lines[0].text for name, lines in block.entries.items() if SESSION_KEYS.get(name.lower()) == name
        })

    def grants(self, name: str, block: Block) -> tuple[Grant, ...]:
        """tgtd lets in whom an address rule or a name rule means; without address rules everybody."""
        addresses = block.entries.get("initiator-address", [])
        names = []
        found: list[Grant] = []
        for line in block.entries.get("initiator-name", []):
            if network(line.text) is not None:
                why = "it is an address rule: the dump sorts CIDR and IPv6 rules under initiator-name"
                self.note(Kind.WARNING, line.span, f"initiator-name {line.text}", why)
                addresses = [*addresses, line]
            else:
                names.append(line)
        for line in addresses:
            net = network(line.text)
            if line.text == "ALL":
                found.append(Grant(span=line.span))
            elif net is not None:
                found.append(Grant(networks=(net,), span=line.span))
            else:
                why = "it is no address and no network, and lets nobody in"
                self.note(Kind.REFUSED, line.span, f"initiator-address {line.text[:60]} of {name}", why)
        if names and not addresses:
            why = "tgt binds ALL addresses to a target without initiator-address: names alone restrict nobody"
            self.note(Kind.WARNING, names[0].span, f"initiator-name of {name}", why)
        if not addresses or any(grant.unlimited for grant in found):
            return (Grant(span=block.span),)
        return (*found, *(Grant((line.text,), span=line.span) for line in names))

    # -- its LUNs ----------------------------------------------------------------------------------------------------

    def luns(self, name: str, block: Block, tid: int) -> tuple[Lun, ...]:
        stores = list(self.stores(block))
        numbers = self.numbers(name, block, stores)
        found = [
            Lun(number, self.disk(name, store, tid, number), span=store.span)
            for store, number in zip(stores, numbers, strict=True) if number is not None and store.path != "NONE:"
        ]
        for store in stores:
            if store.path == "NONE:":
                self.note(Kind.LOST, store.span, f"empty removable slot of {name}", "a LUN needs a file or a device")
        if found:
            why = "tgt serves its own controller as LUN 0, and ietd.conf wants a first LUN 0; the numbers stay"
            self.note(Kind.WARNING, block.span, f"LUN 0 of {name}", why)
        return tuple(found)

    def stores(self, block: Block) -> Iterator[_StoreEntry]:
        """In tgt-admin's order: block stores, then direct ones, by path."""
        common = {key: lines for key, lines in block.entries.items() if key in _STORE_KEYS}
        for kind in _STORES:
            lines = {line.text: (line.span, common) for line in block.entries.get(kind, ())}
            for path, inner in block.blocks.get(kind, {}).items():
                self.unknown(inner, _STORE_KEYS)
                lines[path] = inner.span, {**inner.entries, **{key: common[key] for key in ("lun",) if key in common},
                                           **{key: value for key, value in common.items() if key not in inner.entries}}
            for path, (span, options) in sorted(lines.items()):
                yield _StoreEntry(path, kind == "direct-store", options, span)

    def numbers(self, name: str, block: Block, stores: list[_StoreEntry]) -> list[int | None]:
        found: list[int | None] = []
        given: dict[int, Span] = {}
        for store in stores:
            lines = store.options.get("lun", [])
            if len(lines) > 1:
                self.refuse(lines[1].span, f"lun given twice for {store.path}", "leave one of them")
            word = lines[0].text if lines else ""
            number = int(word) if re.fullmatch("[0-9]{1,5}", word) else None
            if word and number is None:
                self.refuse(lines[0].span, f"lun {word[:20]!r} is no number", "write one from 1 to 16383")
            if number is not None and number in given:
                why = f"number {number} is taken by the store at {given[number]}; tgtd refuses this one"
                self.note(Kind.REFUSED, store.span, f"store {store.path} of {name}", why)
                found.append(None)
                continue
            if number is not None:
                given[number] = store.span
            found.append(-1 if number is None else number)
        free = (number for number in range(_ONE, 1 << 15) if number not in given)
        return [next(free) if number == -1 else number for number in found]

    def disk(self, name: str, store: _StoreEntry, tid: int, number: int) -> Disk:
        for key, what in _NO_WORD.items():
            if key in store.options and not _understood(key, store):
                why = "ietpy's own stand in their place"
                self.note(Kind.LOST, store.options[key][0].span, f"{what} of LUN {number} of {name}", why)
        kind, device = store.text("bs-type", "rdwr"), store.text("device-type", "disk")
        which, detail = self.kind(store, kind, device)
        identity = identities.tgt(
            tid, number, store.text("scsi_id"), store.text("scsi_sn"), store.text("vendor_id"),
            store.text("product_id"), store.text("product_rev"),
        )
        if store.direct:
            why = "tgt asks the disk for its names, which no file tells; initiators may know it by another"
            self.note(Kind.LOST, store.span, f"direct-store identity copied from the disk: LUN {number} of {name}", why)
            identity = replace(
                identity, serial=identity.serial if "scsi_sn" in store.options else None,
                product=identity.product if "product_id" in store.options else None,
                revision=identity.revision if "product_rev" in store.options else None,
                designators=identity.designators if "scsi_id" in store.options else None,
            )
        size = store.text("block-size", "512")
        if not re.fullmatch("[0-9]{1,6}", size):
            self.refuse(store.options["block-size"][0].span, f"block-size {size[:20]!r} is no number", "write 512, say")
            size = "512"
        return Disk(
            which, store.path, block_size=int(size), write_cache=_caches(store),
            read_only=store.text("readonly").lower() in _YES, removable=store.text("removable").lower() in _YES,
            unmap=True if _THIN in _words(store, "params") else None, identity=identity, detail=detail, span=store.span,
        )

    def kind(self, store: _StoreEntry, kind: str, device: str) -> tuple[Store, str]:
        if device != "disk":
            return Store.FOREIGN, f"{device} {store.path}"
        if kind == "null":
            return Store.NULL, ""
        if kind not in _FILES:
            return Store.FOREIGN, f"{kind} {store.path}"
        direct = store.direct or (kind == "aio" or "direct" in store.text("bsoflags"))
        return Store.DIRECT if direct else Store.FILE, ""


def _words(store: _StoreEntry, key: str) -> list[str]:
    """All values of an option, without quotes around them."""
    return [line.text.strip('"') for line in store.options.get(key, [])]


def _understood(key: str, store: _StoreEntry) -> bool:
    """Whether all that an option says is taken in words of ours."""
    words = _words(store, key)
    return (key == "params" and {*words} == {_THIN}) or (key == "mode_page" and all(map(_CACHING.match, words)))


def _caches(store: _StoreEntry) -> bool:
    """WCE: what a mode page 08h of the file says, which tgt-admin sets last, else write-cache."""
    pages = [match for word in _words(store, "mode_page") if (match := _CACHING.match(word))]
    if pages:
        return bool(int(pages[-1]["flags"], 0) & _WCE)
    return store.text("write-cache", "on").lower() in _YES


def _first(block: Block, key: str, default: str = "") -> str:
    return block.entries[key][0].text if key in block.entries else default
