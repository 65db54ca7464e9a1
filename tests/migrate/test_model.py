"""The model between formats: what it derives, and what it never shows."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ietpy.errors import Span
from ietpy.migrate.model import (
    OPEN,
    Account,
    Disk,
    Grant,
    Kind,
    Lun,
    Note,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    in_order,
    refusal,
)

HERE = Span("saveconfig.json", 3, 5)
DISK = Disk(Store.FILE, "/srv/disk.img")


def test_secrets_show_in_no_repr() -> None:
    assert "hidden" not in repr(Account("joe", "hidden"))


@pytest.mark.parametrize(("grants", "everybody"), [
    ((), False),
    ((OPEN,), True),
    ((Grant(("iqn.a",)), OPEN), True),
    ((Grant(("iqn.a",), denies=True), OPEN), False),
    ((Grant(denies=True),), False),
    ((Grant(networks=(ip_network("192.0.2.0/24"),)),), False),
    ((Grant(portal_groups=(2,)),), False),
])
def test_a_target_is_open_only_where_a_grant_says_so(grants: tuple[Grant, ...], everybody: bool) -> None:
    assert Target("iqn.2001-04.com.example:a", grants=grants).open_to_all is everybody


def test_a_lun_is_writable_unless_the_disk_or_the_number_is_not() -> None:
    assert Lun(0, DISK).writable
    assert not Lun(0, DISK, read_only=True).writable
    assert not Lun(0, Disk(Store.FILE, "/srv/disk.img", read_only=True)).writable


def test_places_do_not_count_in_a_comparison() -> None:
    assert Disk(Store.FILE, "/srv/disk.img", span=HERE) == DISK


def test_portals_of_a_target_are_those_of_its_groups() -> None:
    first, second = Portal("192.0.2.1"), Portal("2001:db8::1", 3261)
    source = Source("ctl", portal_groups=(PortalGroup(1, (first,)), PortalGroup(2, (second,))))
    assert source.portals_of(Target("iqn.a", portal_groups=(2,))) == (second,)
    assert source.portals_of(Target("iqn.a")) == (first, second)
    assert [str(first), str(second)] == ["192.0.2.1:3260", "[2001:db8::1]:3261"]


def test_notes_are_sorted_by_place_and_said_once() -> None:
    late, early = Note(Kind.LOST, Span("a", 9, 1), "x", "y"), Note(Kind.TAKEN, Span("a", 2, 1), "x", "y")
    assert in_order([late, early, late]) == (early, late)
    assert str(late) == "a:9:1: lost: x: y"


def test_a_refusal_is_an_error_with_its_place() -> None:
    assert str(refusal(HERE, "no end", "close it")) == "saveconfig.json:3:5: error: no end; close it"
