"""What is written for another target and read back: never more open than it was, and whole if the format can say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ietpy.migrate import identities
from ietpy.migrate.ctl import model as read_ctl
from ietpy.migrate.ctl_text import parse_ctl
from ietpy.migrate.lio import read_lio
from ietpy.migrate.model import (
    Account,
    Discovery,
    Disk,
    Grant,
    Identity,
    Kind,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    Written,
)
from ietpy.migrate.reading import read
from ietpy.migrate.scst import read_scst
from ietpy.migrate.tgt import Files
from ietpy.migrate.tgt_targets import read_tgt
from ietpy.migrate.to_ctl import to_ctl
from ietpy.migrate.to_lio import to_lio
from ietpy.migrate.to_scst import to_scst
from ietpy.migrate.to_tgt import to_tgt
from tests.migrate.deciding import decide, no_more, tag_of
from tests.migrate.models import sources
from tests.migrate.samples import SAMPLES

ANN, BEN, EVE = (f"iqn.1993-08.org.debian:01:{name}" for name in ("ann", "ben", "eve"))
PEERS = ("192.0.2.7", "198.51.100.1", "2001:db8::7")


@dataclass(frozen=True)
class Way:
    """There and back."""

    write: Callable[[Source], Written]
    read: Callable[[str], Source]

    def back(self, source: Source) -> Source:
        (text,) = self.write(source).files.values()
        return self.read(text)


WAYS = {
    "lio": Way(to_lio, lambda text: read_lio(text, "f", lambda _: True)),
    "tgt": Way(to_tgt, lambda text: read_tgt("f", Files(lambda _: text, lambda _: []))),
    "ctl": Way(to_ctl, lambda text: read_ctl(parse_ctl(text, "f"), "f", ordered=True)),
    "scst": Way(to_scst, lambda text: read_scst(text, "f")),
}
ways = pytest.mark.parametrize("way", [pytest.param(way, id=name) for name, way in WAYS.items()])

# -- models as people have them

JIM, JOE, US = Account("jim", "jim-secret-12"), Account("joe", "joe-secret-#2"), Account("us", "our-secret-12")
ACCOUNTS = st.sampled_from([(), (JIM,), (JIM, JOE)])
IDENTITIES = st.one_of(
    st.just(Identity()),
    st.builds(identities.tgt, st.integers(1, 9), st.integers(1, 9), st.sampled_from(["", "my id"]), st.just("SN")),
    st.builds(identities.lio, st.just("disk0"), st.uuids().map(str)),
)
DISKS = st.builds(
    Disk, st.sampled_from([Store.FILE, Store.DIRECT]), st.sampled_from(["/srv/a.img", "/srv/b.img", "/dev/vg0/c"]),
    st.just(""), st.sampled_from([1 << 20, 1 << 30]), st.sampled_from([512, 4096]), st.booleans(), st.booleans(),
    unmap=st.sampled_from([None, True]), identity=IDENTITIES,
)


@st.composite
def usual(draw: Any) -> Source:
    """Disks that targets share, rules of every kind, two portal groups."""
    disks = draw(st.lists(DISKS, min_size=1, max_size=3, unique_by=lambda disk: disk.path))
    luns = st.lists(
        st.builds(Lun, st.integers(0, 5), st.sampled_from(disks), st.booleans()), max_size=3,
        unique_by=lambda lun: lun.number,
    ).map(tuple)
    grants = st.builds(
        Grant,
        st.sampled_from([(ANN,), (BEN,), (ANN, BEN), ("iqn.1993-08.*",), ("*",)]),
        st.sampled_from([(), (), (ip_network("192.0.2.0/24"),)]),
        st.sampled_from([(), (), (1,), (2,)]),
        denies=st.sampled_from([False, False, False, True]),
        luns=st.none() | luns,
        read_only=st.booleans(),
        incoming=st.none() | ACCOUNTS,
        outgoing=st.sampled_from([None, US]),
    )
    targets = [
        Target(
            f"iqn.2001-04.com.example:{letter}", draw(luns), tuple(draw(st.lists(grants, max_size=3))), draw(ACCOUNTS),
            draw(st.sampled_from([None, US])), draw(st.sampled_from([(), (1,), (1, 2)])), enabled=draw(st.booleans()),
            keys=draw(st.sampled_from([{}, {"InitialR2T": "No"}])),
        ) for letter in draw(st.sampled_from(["a", "ab"]))
    ]
    groups = (PortalGroup(1, (Portal("192.0.2.1"),)), PortalGroup(2, (Portal("192.0.2.2"),)))
    return Source("ietd", tuple(targets), groups, Discovery(draw(ACCOUNTS)))


@ways
@settings(max_examples=40, derandomize=True)  # tests/long/round-trips goes on at random
@given(source=usual() | sources())
def test_nothing_is_more_open_than_it_was(way: Way, source: Source) -> None:
    """Whoever asks, by whatever portal group that is still told from others."""
    back = way.back(source)
    for target in back.targets:
        for initiator in (ANN, BEN, EVE):
            for peer in PEERS:
                tags = [tag for tag in (1, 2) if tag_of(back, target.name, tag) == tag] or [1]
                after = decide(back, target.name, initiator, peer, tag_of(back, target.name, tags[0]))
                before = [decide(source, target.name, initiator, peer, tag) for tag in (1, 2, 3)]
                assert any(no_more(after, one) for one in before), (target.name, initiator, peer)


def reduced(source: Source) -> Source:
    """Without what rules say of initiators about whom one before them is, and without names of rules.

    A rule without an outgoing user has the target's: the model has no word for none.
    """

    def rules(target: Target) -> Iterator[Grant]:
        known: set[str] = set()
        for grant in target.grants:
            names = tuple(name for name in grant.names if name.lower() not in known)
            if not grant.networks:
                known.update(name.lower() for name in names)
            if names:
                yield replace(grant, names=names, label="", outgoing=grant.outgoing or target.outgoing)

    return replace(source, targets=tuple(replace(target, grants=tuple(rules(target))) for target in source.targets))


@ways
@settings(max_examples=40, derandomize=True)  # tests/long/round-trips goes on at random
@given(source=usual() | sources())
def test_what_came_back_once_always_comes_back(way: Way, source: Source) -> None:
    """What the format can say it says, to the last byte of a disk's names: import(export(x)) = x."""
    once = way.back(source)
    assert reduced(way.back(once)) == reduced(once)


# -- what is known to be sayable: the design's samples, whole


def test_disks_without_names_of_two_targets_stay_apart_in_ctl_conf() -> None:
    """Found at random: what stands within a target has a number, which is no name."""
    one, other = (Disk(Store.FILE, "/srv/a.img", removable=removable) for removable in (True, False))
    targets = (Target(f"iqn.x:{letter}", (Lun(0, found),)) for letter, found in (("a", one), ("b", other)))
    once = WAYS["ctl"].back(Source("ctl", tuple(targets)))
    assert WAYS["ctl"].back(once) == once
    assert [target.luns[0].disk.name for target in once.targets] == ["", ""]


@pytest.mark.skipif(not SAMPLES.exists(), reason="no ../shared")
@pytest.mark.parametrize("name", [
    "lio/01-demo-mode.json", "lio/02-acls-chap-mapping.json", "lio/04-old-and-hand-written.json", "tgt/01-simple.conf",
    "ctl/01-simple.conf", "ctl/02-auth-named-luns.conf", "ctl/04-ucl.conf", "scst/01-simple.conf", "scst/05-traps.conf",
])
def test_a_sample_comes_back_whole(name: str) -> None:
    format_ = name.partition("/")[0]
    source = read([str(SAMPLES / name.replace("ctl/", "ctld/"))], format_)
    written = WAYS[format_].write(source)
    assert not [note for note in written.notes if note.kind is Kind.LOST]
    assert reduced(WAYS[format_].back(source)) == reduced(source)
    assert source.targets
