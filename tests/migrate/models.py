"""Random models of what any source may say, for round trips."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

from ietpy.migrate.model import (
    Account,
    Discovery,
    Disk,
    Grant,
    Identity,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
)

NAMES = st.sampled_from(["iqn.2001-04.com.example:a", "iqn.2001-04.com.example:b", "eui.02004567a425678d"])
INITIATORS = st.sampled_from(["*", "iqn.1993-08.org.debian:01:a", "iqn.1998-01.com.vmware:*", "iqn.x:??"])
ODD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SECRETS = st.one_of(st.text("abc #\"'", min_size=1, max_size=16), ODD)
ACCOUNTS = st.builds(Account, st.one_of(st.sampled_from(["joe", "jim", "ann"]), ODD), SECRETS)
NETWORKS = st.sampled_from(["192.0.2.0/24", "192.0.2.7", "2001:db8::/64", "0.0.0.0/0"]).map(ip_network)
DESIGNATORS = st.lists(
    st.binary(min_size=1, max_size=20).map(lambda value: bytes((1, 3, 0, len(value))) + value), min_size=1, max_size=3
).map(tuple)


def printable(width: int) -> st.SearchStrategy[bytes]:
    return st.text("ABC 1", min_size=1, max_size=width).map(lambda text: (text.strip() or "A").encode().ljust(width))


IDENTITIES = st.one_of(
    st.just(Identity()),
    st.builds(
        Identity, printable(8), printable(16), printable(4), st.binary(min_size=1, max_size=40), DESIGNATORS
    ),
)
DISKS = st.builds(
    Disk,
    st.sampled_from(Store),
    st.one_of(st.sampled_from(["/srv/a.img", "/srv/b c.img", "/dev/vg0/lv"]), ODD),
    size=st.sampled_from([None, 1 << 30]),
    block_size=st.sampled_from([None, 512, 4096, 520]),
    write_cache=st.booleans(), read_only=st.booleans(), removable=st.booleans(), identity=IDENTITIES,
    detail=st.just("a tape"),
)
LUNS = st.lists(
    st.builds(Lun, st.integers(0, 6), DISKS, st.booleans()), max_size=4, unique_by=lambda lun: lun.number
).map(tuple)
GRANTS = st.builds(
    Grant,
    names=st.lists(INITIATORS, min_size=1, max_size=2, unique=True).map(tuple),
    networks=st.lists(NETWORKS, max_size=2, unique=True).map(tuple),
    portal_groups=st.lists(st.sampled_from([1, 2]), max_size=1).map(tuple),
    denies=st.booleans(), luns=st.none() | LUNS, read_only=st.booleans(),
    incoming=st.none() | st.lists(ACCOUNTS, max_size=2).map(tuple), outgoing=st.none() | ACCOUNTS,
)
TARGETS = st.builds(
    Target, NAMES, LUNS, st.lists(GRANTS, max_size=4).map(tuple),
    incoming=st.lists(ACCOUNTS, max_size=2).map(tuple), outgoing=st.none() | ACCOUNTS, alias=ODD,
    portal_groups=st.lists(st.sampled_from([1, 2, 3]), max_size=2, unique=True).map(tuple), enabled=st.booleans(),
    keys=st.dictionaries(st.sampled_from(["InitialR2T", "MaxBurstLength", "Odd"]), st.sampled_from(["Yes", "65536"])),
    max_sessions=st.integers(0, 9), nop_interval=st.integers(0, 200), queued_commands=st.none() | st.integers(0, 999),
)
GROUPS = st.lists(
    st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]), max_size=3, unique=True
).map(lambda hosts: tuple(map(Portal, hosts)))


@st.composite
def sources(draw: Any) -> Source:
    """Targets with names of their own, and up to two portal groups."""
    targets = draw(st.lists(TARGETS, max_size=3, unique_by=lambda target: target.name))
    groups = [PortalGroup(tag, draw(GROUPS)) for tag in range(1, draw(st.integers(1, 3)))]
    discovery = draw(st.builds(Discovery, st.lists(ACCOUNTS, max_size=2).map(tuple), closed=st.booleans()))
    return Source("lio", tuple(targets), tuple(group for group in groups), discovery)


def bare(source: Source) -> Source:
    """The same, as one that came from another format."""
    return replace(source, format="", notes=(), files=())
