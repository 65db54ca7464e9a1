"""Portals of targets as portal groups: each target keeps what it has, whatever others get."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.cli.shell import places
from ietpy.config.load import loads
from ietpy.config.model import Configuration
from ietpy.config.writer import rewrite
from ietpy.errors import UsageError

ONE, TWO, THREE = ("192.0.2.1", 3260), ("192.0.2.2", 3260), ("192.0.2.3", 3261)
TEXT = """\
Portal 1 192.0.2.1:3260
Portal 2 192.0.2.2:3260 # the other network
Target a
    PortalGroups 1
Target b
    PortalGroups 2
Target c
"""


def reach(configuration: Configuration) -> dict[str, set[places.Place]]:
    return {target.name: set(places.of_target(configuration, target)) for target in configuration.targets}


@pytest.mark.parametrize(("host", "port", "place"), [
    ("192.0.2.1", "3260", ONE),
    ("0.0.0.0", "1", ("0.0.0.0", 1)),
    ("::", "3260", ("::", 3260)),
    ("[::0]", "3260", ("::", 3260)),
    ("[2001:DB8::1]", "3260", ("2001:db8::1", 3260)),
    ("eth0", "3260", ("eth0", 3260)),
    ("*", "3260", ("*", 3260)),
])
def test_words(host: str, port: str, place: places.Place) -> None:
    assert places.parse(host, port) == place


@pytest.mark.parametrize(("host", "port"), [
    ("", "3260"), ("1.2.3", "3260"), ("a b", "3260"), ("a" * 16, "3260"), ("x,y", "3260"), ("[", "3260"),
    ("192.0.2.1", "0"), ("192.0.2.1", "65536"), ("192.0.2.1", "-1"), ("192.0.2.1", ""), ("192.0.2.1", "\u0663"),
])
def test_what_is_none(host: str, port: str) -> None:
    with pytest.raises(UsageError):
        places.parse(host, port)


def test_lines_that_are_right_stay() -> None:
    old = loads(TEXT)
    new = places.arranged(old, {"a": (ONE, THREE)})
    assert rewrite(TEXT, new) == (
        TEXT.replace("network\n", "network\nPortal 3 192.0.2.3:3261\n").replace("PortalGroups 1", "PortalGroups 1,3")
        .replace("Target c\n", "Target c\n    PortalGroups 1,2\n")
    )


def test_groups_that_the_same_targets_have_stay_two() -> None:
    new = places.arranged(loads(TEXT), {"a": (ONE, TWO), "b": (ONE, TWO)})
    assert [each.group for each in new.portals or ()] == [1, 2]
    assert [target.portal_groups for target in new.targets] == [(), (), ()]


def test_a_target_without_portals_is_in_a_group_that_is_not() -> None:
    new = places.arranged(loads(TEXT), {"a": ()})
    assert reach(new) == {"a": set(), "b": {TWO}, "c": {ONE, TWO}}
    (group,) = next(one for one in new.targets if one.name == "a").portal_groups
    assert group not in new.portal_groups


def test_what_no_target_has_any_more_is_listened_on_no_more() -> None:
    new = places.arranged(loads(TEXT), {"a": (TWO,), "c": (TWO,)})
    assert [str(each) for each in new.portals or ()] == ["192.0.2.2:3260"]
    assert reach(new) == {"a": {TWO}, "b": {TWO}, "c": {TWO}}


def test_the_last_one_stays_as_without_any_all_addresses_were_listened_on() -> None:
    new = places.arranged(loads("Portal 1 192.0.2.1:3260\nTarget a\n"), {"a": ()})
    assert new.portals
    assert places.spare(new, THREE, 3260) == (ONE,)
    assert places.spare(new, ONE, 3260) == ()
    assert reach(new) == {"a": set()}


def test_portals_of_nobody_are_nobodys_business() -> None:
    text = "Portal 1 192.0.2.1:3260\nPortal 4 192.0.2.9:3260\nPortal 5 192.0.2.8:3260\nTarget a\n    PortalGroups 1\n"
    old = loads(text)
    assert places.spare(old, THREE, 3260) == ()
    assert places.spare(old, ("192.0.2.9", 3260), 3260) == ()
    assert places.spare(old, ("0.0.0.0", 3260), 3260) == (("192.0.2.9", 3260), ("192.0.2.8", 3260))
    new = places.arranged(old, {"a": (ONE, THREE)})
    assert [each.group for each in new.portals or ()] == [1, 1, 4, 5]
    assert new.targets[0].portal_groups == (1,)


@pytest.mark.parametrize(("place", "expected"), [
    (("192.0.2.1", 3260), places.DEFAULT), (("192.0.2.1", 3261), None), (("0.0.0.0", 3260), places.DEFAULT),
])
def test_obstacles_without_portal_lines(place: places.Place, expected: places.Place | None) -> None:
    assert places.obstacle(loads("Target a\n"), place, 3260) == expected


def test_obstacles() -> None:
    found = loads(TEXT)
    assert places.obstacle(found, ("0.0.0.0", 3260), 3260) == ONE
    assert places.obstacle(found, ONE, 3260) is None
    assert places.obstacle(found, ("192.0.2.9", 3260), 3260) is None


ALL = st.sampled_from([ONE, TWO, THREE, ("2001:db8::1", 3260)])


Change = tuple[str, list[places.Place]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(ALL, unique=True, max_size=3)), max_size=6))
def test_whatever_is_wanted_comes_about_and_the_others_keep_theirs(changes: list[Change]) -> None:
    text = TEXT
    for name, wanted in changes:
        old = loads(text)
        new = places.arranged(old, {name: wanted})
        assert reach(new) == {**reach(old), name: set(wanted)}
        text = rewrite(text, new)
        found = loads(text)
        assert reach(found) == reach(new)
        assert {one.code for one in found.errors} <= {"portal-group"}
