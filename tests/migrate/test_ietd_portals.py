"""Portals in ietd.conf's words."""

from __future__ import annotations

from ietpy.migrate.ietd_portals import listening
from ietpy.migrate.model import Portal, PortalGroup, Source, Target

ONE, TWO = Portal("192.0.2.1"), Portal("192.0.2.2")


def test_groups_keep_their_tags_where_no_portal_is_shared() -> None:
    found = listening(Source("ctl", portal_groups=(PortalGroup(7, (ONE,)), PortalGroup(3, (TWO,)))))
    assert [(portal.group, portal.host) for portal in found.portals] == [(3, "192.0.2.2"), (7, "192.0.2.1")]
    assert found.of_target(Target("t", portal_groups=(7,))) == (7,)
    assert found.of_target(Target("t", portal_groups=(3, 7))) == ()


def test_a_shared_portal_is_a_group_that_both_are_in() -> None:
    found = listening(Source("ctl", portal_groups=(PortalGroup(7, (ONE, TWO)), PortalGroup(3, (TWO,)))))
    assert [(portal.group, portal.host) for portal in found.portals] == [(1, "192.0.2.1"), (2, "192.0.2.2")]
    assert found.of([3]) == (2,)
    assert found.of([7]) == (1, 2)
    assert len(found.notes) == 1


def test_a_portal_twice_in_one_group_is_one() -> None:
    found = listening(Source("ctl", portal_groups=(PortalGroup(1, (ONE, ONE)),)))
    assert len(found.portals) == 1
    assert not found.notes


def test_a_group_without_portals_leads_nowhere() -> None:
    found = listening(Source("ctl", portal_groups=(PortalGroup(1), PortalGroup(2, (ONE,)))))
    assert found.nowhere(Target("t", portal_groups=(1,)))
    assert not found.nowhere(Target("t"))
