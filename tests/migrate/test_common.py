"""Addresses, portals and tags, as readers of several formats share them."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from ietpy.errors import Span
from ietpy.migrate.common import SESSION_KEYS, Portals, network, numbered, portal, read_text, unreadable
from ietpy.migrate.model import NOWHERE, Note, Portal, PortalGroup


@pytest.mark.parametrize(("text", "found"), [
    ("192.0.2.1", "192.0.2.1:3260"), ("192.0.2.1:3261", "192.0.2.1:3261"), ("[2001:db8::1]", "[2001:db8::1]:3260"),
    ("[2001:db8::1]:3261", "[2001:db8::1]:3261"), ("2001:db8::1", "[2001:db8::1]:3260"), ("[::0]", "[::]:3260"),
    ("host", None), ("192.0.2.1:99999", None), ("192.0.2.1:0", None), ("", None), ("192.0.2.300", None),
])
def test_portals(text: str, found: str | None) -> None:
    made = portal(text, NOWHERE)
    assert (None if made is None else str(made)) == found


@pytest.mark.parametrize(("text", "found"), [
    ("192.0.2.1", "192.0.2.1/32"), ("192.0.2.1/24", "192.0.2.0/24"), ("[2001:db8::]/64", "2001:db8::/64"),
    ("2001:db8::1", "2001:db8::1/128"), ("iqn.a", None), ("192.0.2.0/33", None),
])
def test_networks(text: str, found: str | None) -> None:
    assert network(text) == (None if found is None else ip_network(found))


def test_one_group_for_each_set_of_portals() -> None:
    portals, one, two = Portals(), Portal("192.0.2.1"), Portal("192.0.2.2")
    assert [portals.tag(each, NOWHERE) for each in ([one, two], [two, one], [one])] == [1, 1, 2]
    assert [group.portals for group in portals.all()] == [(one, two), (one,)]


def test_tags_become_unique() -> None:
    notes: list[Note] = []
    assert [group.tag for group in numbered([PortalGroup(tag) for tag in (7, 7, 0, 70000)], notes)] == [7, 1, 2, 3]
    assert len(notes) == 3


def test_files(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a\xffb")
    assert read_text(str(tmp_path / "f")) == "a\ufffdb"
    with pytest.raises(OSError):
        read_text(str(tmp_path))
    assert str(unreadable("x", FileNotFoundError(2, "No such file"), Span("y", 2, 1))) == (
        "y:2:1: error: cannot read x: No such file; name a file that can be read"
    )


def test_names_of_session_keys_are_found_in_any_letter_case() -> None:
    assert SESSION_KEYS["initialr2t"] == "InitialR2T"
    assert "MaxXmitDataSegmentLength" in SESSION_KEYS.values()
