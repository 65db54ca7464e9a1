"""Which Initiator line decides, what it gives, and what is found wrong with several of them together."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.initiator_access import admits, deciding, means, terms, view
from ietpy.config.load import loads
from ietpy.config.model import InitiatorConfig, LunMapping
from ietpy.errors import Span
from ietpy.iscsi.target import Asker, Terms
from ietpy.scsi.view import EVERYTHING, View

NAME = "iqn.1993-08.org.debian:01:abc"


def line(name: str = "*", *addresses: str, number: int = 1, **more: object) -> InitiatorConfig:
    networks = tuple(map(ip_network, addresses))
    return InitiatorConfig(name, Span("f", number, 1), networks, **more)  # type: ignore[arg-type]


def decided(*lines: InitiatorConfig, name: str = NAME, peer: str = "192.0.2.7", group: int = 1) -> int | None:
    found = deciding(lines, Asker(name, peer, "192.0.2.1", group))
    return None if found is None else lines.index(found)


@pytest.mark.parametrize(("pattern", "name", "meant"), [
    ("iqn.a", "iqn.a", True), ("iqn.a", "iqn.ab", False), ("iqn.a", "xiqn.a", False), ("*", "", True),
    ("iqn.*", "iqn.", True), ("iqn.*", "iqnx", False), ("*:x", "a:x", True), ("*:x", "a:xy", False),
    ("a*a", "a", False), ("a*a", "aa", True), ("a*b*c", "abbc", True), ("a*b*c", "acc", False), ("**", "x", True),
    ("a.*", "axb", False), ("ab*ba", "aba", False), ("*ab*ab*", "abab", True), ("*ab*ab*", "abxa", False),
])
def test_patterns(pattern: str, name: str, meant: bool) -> None:
    assert means(pattern, name) is meant


@given(st.text("ab*", max_size=8), st.text("ab\n", max_size=12))
def test_a_pattern_means_what_the_expression_does(pattern: str, name: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert means(pattern, name) is bool(re.fullmatch(expression, name, re.DOTALL))


def test_a_pattern_takes_no_longer_for_a_name_made_for_it() -> None:
    assert not means("*a" * 50 + "b", "a" * 10000)


@pytest.mark.parametrize(("lines", "first"), [
    ([line()], 0),
    ([line("iqn.x"), line("iqn.1993*"), line()], 1),
    ([line(NAME, "10.0.0.0/8"), line(NAME, "192.0.2.0/24")], 1),
    ([line(NAME, "10.0.0.0/8"), line("iqn.x", "192.0.2.7")], None),
    ([line(NAME.upper())], 0),
    ([line("*", "0.0.0.0/0")], 0),
    ([line("*", "::/0")], None),
    ([], None),
])
def test_the_first_that_has_name_and_address_decides(lines: list[InitiatorConfig], first: int | None) -> None:
    assert decided(*lines) == first
    assert decided(*lines, name=NAME.upper()) == first


@pytest.mark.parametrize(("peer", "network", "meant"), [
    ("::ffff:192.0.2.7", "192.0.2.0/24", True), ("fe80::1%eth0", "fe80::/64", True), ("fe80::1", "fe80::2", False),
    ("2001:db8::7", "192.0.2.7", False), ("nowhere", "0.0.0.0/0", False), ("", "::/0", False),
])
def test_addresses(peer: str, network: str, meant: bool) -> None:
    assert (decided(line("*", network), peer=peer) == 0) is meant
    assert decided(line(), peer=peer) == 0


def test_portal_groups() -> None:
    lines = line(portal_groups=(2, 3)), line(portal_groups=(1,))
    assert [decided(*lines, group=group) for group in (1, 2, 3, 4)] == [1, 0, 0, None]


def test_letters_beyond_ascii_are_what_they_are() -> None:
    """The Kelvin sign is a k in lower case."""
    assert decided(line("iqn.x:k"), name="iqn.x:\u212a") is None
    assert decided(line("iqn.x:b\u00fcro"), name="iqn.x:b\u00fcro") == 0
    assert decided(line("iqn.x:b\u00fcro"), name="IQN.X:B\u00fcRO") == 0
    assert decided(line("iqn.x:b\u00fcro"), name="iqn.x:b\u00dcro") is None


@pytest.mark.parametrize(("said", "users", "admitted"), [
    (line(), [], True), (line(closed=True), ["joe"], False), (line(user="joe"), ["joe"], True),
    (line(denies=True), ["joe"], False),
    (line(user="joe"), ["jim"], False), (line(user="joe"), [], False), (line(user="joe", closed=True), ["joe"], False),
])
def test_whom_a_line_admits(said: InitiatorConfig, users: list[str], admitted: bool) -> None:
    assert admits(said, users) is admitted


@pytest.mark.parametrize(("said", "seen"), [
    (line(), EVERYTHING),
    (line(read_only=True), View(writable=frozenset())),
    (line(luns=(LunMapping(0, 5), LunMapping(3, 1))), View({0: 5, 3: 1})),
    (line(luns=(LunMapping(0, 5), LunMapping(3, 1, True))), View({0: 5, 3: 1}, frozenset({5}))),
    (line(luns=(LunMapping(0, 5),), read_only=True), View({0: 5}, frozenset())),
])
def test_views(said: InitiatorConfig, seen: View) -> None:
    assert view(said) == seen
    assert terms(said) == Terms(seen, "")


def test_terms_without_an_account() -> None:
    assert terms(line(free=True)) == Terms(EVERYTHING, free=True)


def test_terms_name_the_user() -> None:
    assert terms(line(user="joe")) == Terms(EVERYTHING, "joe")


# -- what cannot be right -----------------------------------------------------------------------------------------

LUNS = "Target t\nLun 0 Type=nullio\nLun 1 Type=nullio\nIncomingUser joe secret\n"


@pytest.mark.parametrize(("text", "found"), [
    ("Initiator * Luns=0,7:1\n", []),
    ("Initiator * Luns=0,1:2\n", ["initiator-without-lun@5"]),
    ("Initiator * Luns=0-9\n", ["initiator-without-lun@5"]),
    ("Initiator * User=joe\n", []),
    ("Initiator * User=jim\n", ["initiator-without-user@5"]),
    ("Initiator *\nInitiator iqn.x\n", ["initiator-unreached@6"]),
    ("Initiator iqn.*\nInitiator IQN.x*y\n", ["initiator-unreached@6"]),
    ("Initiator iqn.x*\nInitiator iqn.*\n", []),
    ("Initiator * Address=10.0.0.0/8\nInitiator * Address=10.1.0.0/16,10.2.0.1\n", ["initiator-unreached@6"]),
    ("Initiator * Address=10.0.0.0/8\nInitiator * Address=10.1.0.0/16,::1\n", []),
    ("Initiator * Address=10.0.0.0/8\nInitiator *\n", []),
    ("Initiator * Address=10.0.0.0/8,::/0\nInitiator iqn.x Address=::1\n", ["initiator-unreached@6"]),
    ("Initiator * PortalGroup=1\nInitiator iqn.x\n", []),
    ("Initiator * PortalGroup=1,2\nInitiator iqn.x PortalGroup=2\n", ["initiator-unreached@6"]),
    ("Initiator * PortalGroup=1,2\nInitiator iqn.x PortalGroup=2,3\n", []),
    ("Initiator * Mode=none\nInitiator iqn.x\n", ["initiator-unreached@6"]),
    ("Initiator * x\nInitiator iqn.x\n", ["initiator-line@5", "initiator-unreached@6"]),
])
def test_what_is_found(text: str, found: list[str]) -> None:
    """All of it errors but a line that is never reached, which opens nothing."""
    diagnostics = loads(LUNS + text).diagnostics
    assert [f"{one.code}@{one.span.line}" for one in diagnostics] == found
    for one in diagnostics:
        assert one.severity == ("warning" if one.code == "initiator-unreached" else "error")


def test_how_many_luns_are_missing() -> None:
    (one,) = loads(LUNS + "Initiator * Luns=0-9\n").diagnostics
    assert "target t serves no LUN 2, nor 7 more of this line" in one.problem
