"""What all writers share: which rules stay, what a disk is called, and what the report says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ietpy.migrate import identities
from ietpy.migrate.exporting import Ledger, Names, by, joined, reachable, rules, whom
from ietpy.migrate.model import OPEN, Disk, Grant, Identity, Lun, PortalGroup, Store
from ietpy.migrate.to_ctl import to_ctl
from ietpy.migrate.to_lio import to_lio
from ietpy.migrate.to_scst import to_scst
from ietpy.migrate.to_tgt import to_tgt
from tests.migrate.sample import ANN, BEN, CAT, LAN, LIO_DISK, NAME, PORTALS, SIX, TGT_DISK, at, target, text

NO = Grant(denies=True)


@pytest.mark.parametrize(("words", "text"), [
    (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"),
])
def test_words_are_joined(words: list[str], text: str) -> None:
    assert joined(words) == text


@pytest.mark.parametrize(("grant", "text"), [
    (OPEN, "everybody"),
    (Grant((ANN, BEN)), f"{ANN} and {BEN}"),
    (Grant(networks=(LAN, SIX), portal_groups=(1, 2)), f"everybody from {LAN} and {SIX} by portal group 1 and 2"),
])
def test_whom_a_rule_is_about(grant: Grant, text: str) -> None:
    assert whom(grant) == text


RO = Grant((ANN,), read_only=True)


@pytest.mark.parametrize(("grants", "bad", "kept", "lines"), [
    pytest.param((OPEN,), "", [0], [], id="everybody"),
    pytest.param((), "", [], [], id="nobody"),
    pytest.param((RO, OPEN), "", [0, 1], [], id="all can be written"),
    pytest.param((OPEN, RO), "", [0], [], id="nothing behind everybody counts"),
    pytest.param((RO, OPEN), "ann", [], [10, 11], id="who had less must not get more"),
    pytest.param((Grant((ANN,)), OPEN), "ann", [1], [10], id="who had the same may get it by another rule"),
    pytest.param((RO, Grant((BEN,))), "ann", [1], [10], id="others are others"),
    pytest.param((RO, Grant((ANN.upper(),))), "ann", [], [10, 11], id="letter case does not count"),
    pytest.param((RO, Grant(("*:ann",))), "ann", [], [10, 11], id="a pattern may mean anybody"),
    pytest.param((Grant((ANN,), denies=True), OPEN), "", [], [11], id="turned away before everybody"),
    pytest.param((Grant((ANN,), denies=True), Grant((BEN,))), "", [1], [], id="turned away, and somebody else"),
    pytest.param((Grant((ANN,), denies=True), Grant((ANN, BEN))), "", [], [11], id="turned away, and let in behind it"),
    pytest.param((NO, OPEN), "", [], [], id="nobody, and nothing counts behind it"),
    pytest.param((Grant(networks=(LAN,), denies=True), Grant((BEN,))), "", [], [11], id="whoever comes from a network"),
    pytest.param((Grant((ANN,), denies=True), OPEN, Grant((BEN,))), "", [], [11], id="everybody is last all the same"),
])
def test_which_rules_stay(grants: tuple[Grant, ...], bad: str, kept: list[int], lines: list[int]) -> None:
    (one,) = target(*grants).targets
    ledger = Ledger()
    found = rules(one, one.grants, ledger, lambda grant, _: "it is bad" if bad and bad in grant.names[0] else "")
    assert found == [one.grants[index] for index in kept]
    assert [note.span.line for note in ledger.notes] == lines


def test_rules_that_turn_away_stay_where_they_can_be_written() -> None:
    (one,) = target(Grant((ANN,), denies=True), Grant((CAT,), denies=True), OPEN).targets
    ledger = Ledger()
    assert rules(one, one.grants, ledger, lambda *_: "", denials=True) == [*one.grants]
    found = rules(one, one.grants, ledger, lambda grant, _: "it is bad" * (CAT in grant.names), denials=True)
    assert found == [one.grants[0]]
    assert [str(note).partition(": ")[2] for note in ledger.notes] == [
        f"lost: a rule of iqn.2001-04.com.example:a that turns away {CAT}: it is bad; rules behind it that may be about"
        " the same let nobody in",
        "lost: a rule of iqn.2001-04.com.example:a about everybody: a rule before it turns away"
        f" {CAT}, and is not written; it lets nobody in",
    ]


def test_rules_by_one_portal_group() -> None:
    first, second = Grant((ANN,), portal_groups=(1, 2)), Grant((BEN,), portal_groups=(2,))
    assert by((first, second, OPEN), 1) == (Grant((ANN,)), OPEN)
    assert by((first, second, OPEN), 2) == (Grant((ANN,)), Grant((BEN,)), OPEN)


@pytest.mark.parametrize(("tags", "groups", "reached"), [
    ((), (), True), ((3,), (), True), ((), PORTALS, True), ((1,), PORTALS, True), ((3,), PORTALS, False),
    ((), (PortalGroup(1),), False),
])
def test_a_target_to_which_no_portal_leads(
    tags: tuple[int, ...], groups: tuple[PortalGroup, ...], reached: bool
) -> None:
    """No writer may have it come by all of them."""
    source = replace(target(OPEN, portal_groups=tags), portal_groups=groups)
    ledger = Ledger()
    assert reachable(source, source.targets[0], ledger) is reached
    assert [note.why for note in ledger.notes] == (
        [] if reached else ["no portal leads to it, so nobody gets there; it is left out"]
    )
    for write in (to_lio, to_tgt, to_scst, to_ctl):
        assert (f"{NAME}a" in text(write(source))) is reached


def test_a_target_that_is_reached_by_own_addresses() -> None:
    """Only SCST has a word for that, and by others more could reach it."""
    source = target(OPEN, local=(LAN,))
    ledger = Ledger()
    assert not reachable(source, source.targets[0], ledger)
    assert [note.why for note in ledger.notes] == [
        "it is reached by own addresses of 192.0.2.0/24 alone, which cannot be written; it is left out"
    ]
    assert [f"{NAME}a" in text(write(source)) for write in (to_lio, to_tgt, to_ctl, to_scst)] == [False] * 3 + [True]


def test_rules_by_portal_groups_count_for_none_where_there_are_no_groups() -> None:
    source = replace(target(Grant(portal_groups=(1,))), portal_groups=())
    assert json.loads(text(to_lio(source)))["targets"][0]["tpgs"][0]["attributes"]["generate_node_acls"] == 0
    assert '"no-access"' in text(to_ctl(source))


def test_every_disk_has_a_name_of_its_own() -> None:
    names = Names(8)
    disks = [
        Disk(Store.FILE, "/srv/a b.img"), Disk(Store.FILE, "/other/a b.img"), Disk(Store.FILE, "/x", "named"),
        Disk(Store.FILE, "/y", identity=identities.tgt(1, 1)), Disk(Store.NULL), Disk(Store.FILE, "/z", "-.-"),
        Disk(Store.FILE, "/q", identity=identities.tgt(1, 1, product="of product")),
    ]
    assert [names.of(disk) for disk in disks] == [
        "a-b.img", "a-b.im-2", "named", "y", "disk", "disk-2", "of-produ"
    ]
    assert names.of(disks[1]) == "a-b.im-2"


KNOWN = LIO_DISK.identity


@pytest.mark.parametrize(("wanted", "now", "number", "note"), [
    (KNOWN, KNOWN, None, "taken: LUN 1 of t: it is written, with what initiators know it by"),
    (KNOWN, KNOWN, 2, "taken: LUN 1 of t: it is written as LUN 2, with what initiators know it by"),
    (
        KNOWN, replace(KNOWN, serial=b"x", vendor=b"y"), 1,
        "lost: LUN 1 of t: it is written, but initiators find it changed: vendor and VPD page 80h",
    ),
    (
        Identity(), KNOWN, None,
        "warning: LUN 1 of t: it is written, but what initiators called it is not known as a whole",
    ),
])
def test_what_is_said_of_a_disk(wanted: Identity, now: Identity, number: int | None, note: str) -> None:
    (one,) = target().targets
    ledger = Ledger()
    ledger.disk(replace(one, name="t"), Lun(1, replace(TGT_DISK, identity=wanted), span=at(3)), now, number)
    assert list(map(str, ledger.done())) == [f"f:3:1: {note}"]
