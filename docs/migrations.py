"""What ``ietpy export`` can say to each target, tried: one small configuration for each thing a file may say.

A row is kept by a format if its writer reports nothing of it as lost; ``docs/generate.py`` writes the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

from ietpy.migrate import identities
from ietpy.migrate.model import (
    OPEN,
    Account,
    Discovery,
    Disk,
    Grant,
    Identity,
    Isns,
    Kind,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    Written,
)
from ietpy.migrate.to_ctl import to_ctl
from ietpy.migrate.to_lio import to_lio
from ietpy.migrate.to_scst import to_scst
from ietpy.migrate.to_tgt import to_tgt

WRITERS: Final[Mapping[str, Callable[[Source], Written]]] = MappingProxyType({
    "LIO": to_lio, "tgt": to_tgt, "SCST": to_scst, "ctld": to_ctl,
})


@dataclass(frozen=True)
class Row:
    """``what`` people call it, and a configuration that says it and little else."""

    what: str
    source: Source


_NAME: Final = "iqn.2001-04.com.example:disk1"
_ANN: Final = "iqn.1993-08.org.debian:01:ann"
_BEN: Final = "iqn.1993-08.org.debian:01:ben"
_JOE, _JIM, _US = (Account(name, f"{name}-secret-123") for name in ("joe", "jim", "us"))
_FILE: Final = Disk(Store.FILE, "/srv/disk1.img", size=1 << 30)
_DEVICE: Final = Disk(Store.DIRECT, "/dev/vg0/disk1")
_LUN: Final = (Lun(1, _FILE),)
_ROWS: Final = ip_network("192.0.2.0/24")


def _one(target: Target, **more: object) -> Source:
    return replace(Source("ietd", (target,)), **more)  # type: ignore[arg-type]


def _disk(disk: Disk, number: int = 1) -> Source:
    return _one(Target(_NAME, (Lun(number, disk),), (OPEN,)))


def _rules(*grants: Grant, luns: tuple[Lun, ...] = _LUN, **more: object) -> Source:
    return _one(Target(_NAME, luns, grants, **more))  # type: ignore[arg-type]


ROWS: Final = (
    Row("a disk image", _disk(_FILE)),
    Row("a block device around the page cache", _disk(_DEVICE)),
    Row("an image around the page cache", _disk(replace(_FILE, store=Store.DIRECT))),
    Row("nullio", _disk(Disk(Store.NULL, size=1 << 30))),
    Row("LUN 0", _disk(_FILE, 0)),
    Row("write cache, or none", _disk(replace(_FILE, write_cache=True))),
    Row("4096-byte blocks", _disk(replace(_FILE, block_size=4096))),
    Row("a disk that nobody may write", _disk(replace(_DEVICE, read_only=True))),
    Row("a removable medium", _disk(replace(_FILE, removable=True))),
    Row("names that came from LIO", _disk(replace(
        _FILE, name="disk1", identity=identities.lio("disk1", "b1f6f4e2-0f4c-4c77-9f0e-6f2a8a3c1d01")
    ))),
    Row("names that came from tgt", _disk(replace(_FILE, identity=identities.tgt(1, 1)))),
    Row("names that came from SCST", _disk(replace(_FILE, name="disk1", identity=identities.scst(
        "disk1", "vdisk_fileio", "disk1 id", "usn1"
    )))),
    Row("names that came from ctld", _disk(replace(_FILE, identity=identities.ctl("SN1", "DEV1")))),
    Row("names of IET", _disk(replace(_FILE, identity=Identity(
        b"IET     ", b"VIRTUAL-DISK    ", b"0   ", b"35" * 16, (b"\1\1\0\x18IET\0\0\0\0\0" + bytes(16),)
    )))),
    Row("everybody", _rules(OPEN)),
    Row("nobody", _rules()),
    Row("one initiator by name", _rules(Grant((_ANN,)))),
    Row("initiators by a pattern of names", _rules(Grant(("iqn.1993-08.org.debian:*",)))),
    Row("initiators by address", _rules(Grant(networks=(_ROWS,)))),
    Row("a name from an address only", _rules(Grant((_ANN,), (_ROWS,)))),
    Row("one initiator turned away, all others let in", _rules(Grant((_ANN,), denies=True), OPEN)),
    Row("LUNs of an initiator's own", _rules(Grant((_ANN,), luns=(Lun(5, _FILE),)), Grant((_BEN,)))),
    Row("an initiator that may only read", _rules(Grant((_ANN,), read_only=True), Grant((_BEN,)))),
    Row("a user", _rules(OPEN, incoming=(_JOE,))),
    Row("several users", _rules(OPEN, incoming=(_JOE, _JIM))),
    Row("a user of an initiator's own", _rules(Grant((_ANN,), incoming=(_JIM,)), Grant((_BEN,)), incoming=(_JOE,))),
    Row("a secret with a blank", _rules(OPEN, incoming=(Account("joe", "two words 1234"),))),
    Row("mutual CHAP", _rules(OPEN, incoming=(_JOE,), outgoing=_US)),
    Row("a user for discovery", _one(Target(_NAME, _LUN, (OPEN,)), discovery=Discovery((_JOE,)))),
    Row("portals", _one(Target(_NAME, _LUN, (OPEN,)), portal_groups=(PortalGroup(1, (Portal("192.0.2.1"),)),))),
    Row("an iSNS server", _one(Target(_NAME, _LUN, (OPEN,)), isns=Isns("192.0.2.53"))),
    Row("Alias", _rules(OPEN, alias="disk one")),
    Row("keys of the session", _rules(OPEN, keys={"InitialR2T": "No"})),
    Row("MaxSessions", _rules(OPEN, max_sessions=4)),
    Row("NOPInterval", _rules(Grant((_ANN,)), nop_interval=10)),
    Row("QueuedCommands", _rules(OPEN, queued_commands=64)),
)


def lost(row: Row, format_: str) -> tuple[str, ...]:
    """Why, for each thing of the row that a format cannot say."""
    written = WRITERS[format_](row.source)
    return tuple(note.why for note in written.notes if note.kind is Kind.LOST)
