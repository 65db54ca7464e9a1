"""One configuration with a little of everything, which every writer is given, and small ones."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from ietpy.errors import Span
from ietpy.migrate import identities
from ietpy.migrate.model import (
    OPEN,
    Account,
    Discovery,
    Disk,
    Grant,
    Isns,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    Written,
)

NAME = "iqn.2001-04.com.example:"
ANN = "iqn.1993-08.org.debian:01:ann"
BEN = "iqn.1993-08.org.debian:01:ben"
CAT = "iqn.1993-08.org.debian:01:cat"
UUID = "f0e43624-8ce2-46fd-ad63-ba328d023334"
LAN = ip_network("192.0.2.0/24")
SIX = ip_network("2001:db8::/64")
JIM, JOE, US = Account("jim", "jim-secret-12"), Account("joe", "joe-secret-12"), Account("us", "our-secret-12")


def at(line: int) -> Span:
    return Span("f", line, 1)


LIO_DISK = Disk(
    Store.FILE, "/srv/a.img", "disk0", 1 << 30, write_cache=True, identity=identities.lio("disk0", UUID)
)
TGT_DISK = Disk(Store.DIRECT, "/dev/vg0/b", block_size=4096, unmap=True, identity=identities.tgt(7, 2))
NULL_DISK = Disk(Store.NULL, size=1 << 20)
PORTALS = (PortalGroup(1, (Portal("192.0.2.1"), Portal("2001:db8::1", 3261, at(1)))),)

SAMPLE = Source(
    "ietd",
    (
        Target(f"{NAME}open", (Lun(0, LIO_DISK, span=at(3)), Lun(2, TGT_DISK, span=at(4))), (OPEN,), span=at(2)),
        Target(
            f"{NAME}some",
            (Lun(1, LIO_DISK, span=at(11)), Lun(2, TGT_DISK, span=at(12))),
            (
                Grant((ANN,), span=at(14)),
                Grant((BEN, CAT), luns=(Lun(5, TGT_DISK, read_only=True, span=at(16)),), label="two", span=at(15)),
                Grant(("iqn.1991-05.com.microsoft:*",), span=at(17)),
                Grant(networks=(LAN, SIX), span=at(18)),
            ),
            incoming=(JIM,),
            outgoing=US,
            alias="some disks",
            keys={"InitialR2T": "No", "MaxBurstLength": "262144", "IFMarker": "No"},
            max_sessions=4,
            nop_interval=10,
            nop_timeout=5,
            queued_commands=64,
            threads=4,
            span=at(10),
        ),
        Target(f"{NAME}closed", (Lun(1, NULL_DISK, span=at(21)),), span=at(20)),
    ),
    PORTALS,
    Discovery((Account("finder", "find-secret-1"),)),
    Isns("192.0.2.53", access_control=True, span=at(1)),
)


def target(*grants: Grant, luns: tuple[Lun, ...] = (Lun(1, LIO_DISK, span=at(2)),), **more: Any) -> Source:
    """A configuration of one target, its rules at lines from 10 on."""
    placed = tuple(replace(grant, span=at(10 + index)) for index, grant in enumerate(grants))
    return Source("ietd", (Target(f"{NAME}a", luns, placed, span=at(1), **more),), PORTALS)


def disk(found: Disk, **more: Any) -> Source:
    """A configuration of one target with one LUN, open to everybody."""
    return target(OPEN, luns=(Lun(1, replace(found, **more), span=at(2)),))


def notes(written: Written, *kinds: str) -> list[str]:
    """The report, without the places and names that are the same in all of it."""
    return [
        f"{note.span.line} {note.kind.value}: {note.what}: {note.why}".replace(NAME, "")
        for note in written.notes if note.kind.value in (kinds or ("lost", "warning", "refused"))
    ]


def text(written: Written) -> str:
    (name,) = written.files
    assert written.secret == {name}
    return written.files[name]
