"""``Portal`` and ``PortalGroups`` lines: what is listened on, where targets are, and that a mistake closes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import text

from ietpy.config.findings import MODES
from ietpy.config.load import loads
from ietpy.config.model import PortalConfig
from ietpy.config.portals import HIGHEST_TAG, portal_lines
from ietpy.errors import Span

T = "Target iqn.2001-04.com.example:t\n"
HERE = Span("", 1, 1)


def portals(text: str, mode: str | None = None) -> list[str] | None:
    """Group and portal, as they are written."""
    found = loads(text, compat=mode).portals
    return None if found is None else [f"{portal.group} {portal}" for portal in found]


def findings(text: str) -> list[str]:
    return [f"{one.code}@{one.span.line}:{one.span.column}" for one in loads(text).diagnostics]


def test_without_such_lines_nothing_is_said() -> None:
    configuration = loads(T)
    assert (configuration.portals, configuration.targets[0].portal_groups) == (None, ())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("line", "expected"), [
    ("Portal 1 192.0.2.1", ["1 192.0.2.1"]),
    ("portal 1 192.0.2.1:3261", ["1 192.0.2.1:3261"]),
    ("Portal 65535 [2001:DB8::0:1]:1", ["65535 [2001:db8::1]:1"]),
    ("Portal 1 2001:db8::1", ["1 [2001:db8::1]"]),
    ("Portal 1 [fe80::1%eth0]:3261", ["1 [fe80::1%eth0]:3261"]),
    ("Portal 1 fe80::1%eth0", ["1 [fe80::1%eth0]"]),
    ("Portal 1 eth0,br-lan.7:3261", ["1 eth0", "1 br-lan.7:3261"]),
    ("Portal 1 *", ["1 *"]),
    ("Portal 1 *:3261", ["1 *:3261"]),
    ("Portal 1 0.0.0.0,[::]", ["1 0.0.0.0", "1 [::]"]),
    ("Portal 1 192.0.2.1 , 192.0.2.2,,192.0.2.3 # and a comment", ["1 192.0.2.1", "1 192.0.2.2", "1 192.0.2.3"]),
    ("Portal 1 192.0.2.1,192.0.2.1:3261", ["1 192.0.2.1", "1 192.0.2.1:3261"]),
    ("Portal 1 *:3260\nPortal 2 192.0.2.1:3261", ["1 *:3260", "2 192.0.2.1:3261"]),
    ("Portal 1 0.0.0.0\nPortal 2 ::1", ["1 0.0.0.0", "2 [::1]"]),
    ("Portal 2 192.0.2.2\nPortal 1 192.0.2.1\nPortal 2 192.0.2.3", ["1 192.0.2.1", "2 192.0.2.2", "2 192.0.2.3"]),
    (f"Portal 1 192.0.2.1\n{T}Portal 2 192.0.2.2", ["1 192.0.2.1", "2 192.0.2.2"]),
])
def test_what_is_understood(line: str, expected: list[str], mode: str) -> None:
    configuration = loads(f"{line}\n", compat=mode)
    assert (portals(f"{line}\n", mode), configuration.diagnostics) == (expected, ())


@pytest.mark.parametrize(("lines", "found", "expected"), [
    ("Portal", ["portal@1:1", "portal@1:1"], []),
    ("Portal 1", ["portal@1:1", "portal@1:1"], []),
    ("Portal 192.0.2.1", ["portal@1:1", "portal-group@1:8"], []),
    *(
        (f"Portal {tag} 192.0.2.1", ["portal@1:1", "portal-group@1:8"], [])
        for tag in ("0", "65536", "100000", "-1", "x")
    ),
    *((f"Portal 1 192.0.2.1,{item}", ["portal@1:20"], ["1 192.0.2.1"]) for item in (
        "192.0.2.2:0", "192.0.2.2:65536", "192.0.2.2:", "192.0.2.2:x", "192.0.2", "192.0.2.256", "300.1.2.3",
        "[192.0.2.2]", "[eth0]", "[*]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]x", "[]", "[2001:db8::g]",
        "192.0.2.0/24", ":3260", "storage.example.com", "averylonginterface", "eth0:1:2", "224.0.0.1",
        "[ff02::1%eth0]", "[fe80::1]", "fe80::1",
        "[2001:db8::1%eth0]", "eth0%1", "**",
    )),
    ("Portal 1 192.0.2.1,192.0.2.1", ["portal@1:20"], ["1 192.0.2.1"]),
    ("Portal 1 192.0.2.1\nPortal 2 192.0.2.1", ["portal@2:10"], ["1 192.0.2.1"]),
    ("Portal 1 [2001:db8::1],2001:DB8::1", ["portal@1:24"], ["1 [2001:db8::1]"]),
    ("Portal 1 *,192.0.2.1", ["portal@1:12"], ["1 *"]),
    ("Portal 1 eth0,*", ["portal@1:10"], ["1 *"]),
    ("Portal 1 0.0.0.0,*", ["portal@1:10"], ["1 *"]),
    ("Portal 1 *\nPortal 2 192.0.2.1", ["portal@1:10"], ["2 192.0.2.1"]),
    ("Portal 1 *\nPortal 2 0.0.0.0", ["portal@1:10"], ["2 0.0.0.0"]),
    ("Portal 1 [::]\nPortal 2 eth0", ["portal@1:10"], ["2 eth0"]),
    ("Portal = 1 192.0.2.1", ["joined-by-equals@1:8"], ["1 192.0.2.1"]),
    ("Portals 1 192.0.2.1", ["misspelt-keyword@1:1"], ["1 192.0.2.1"]),
])
def test_a_portal_with_a_mistake_is_not_listened_on(lines: str, found: list[str], expected: list[str]) -> None:
    """And never are others than those of Portal lines in its stead."""
    assert (findings(f"{lines}\n"), portals(f"{lines}\n")) == (found, expected)


@pytest.mark.parametrize(("line", "expected"), [
    ("Portal 1 192.0.2.1 Advertise=nas.example.com:3261", [("192.0.2.1", "nas.example.com:3261")]),
    ("Portal 1 192.0.2.1:3262,advertise=NAS", [("192.0.2.1:3262", "nas:3260")]),
    ("Portal 1 lan0, Advertise=[2001:DB8::0:1]:1 , eth0", [("lan0", "[2001:db8::1]:1"), ("eth0", "")]),
    ("Portal 1 192.0.2.1,192.0.2.2 Advertise=198.51.100.7", [("192.0.2.1", ""), ("192.0.2.2", "198.51.100.7:3260")]),
    ("Portal 1 * Advertise=a.b-c.x1:65535 # the router's", [("*", "a.b-c.x1:65535")]),
])
def test_how_a_portal_is_advertised(line: str, expected: list[tuple[str, str]]) -> None:
    configuration = loads(f"{line}\n")
    assert configuration.diagnostics == ()
    found = configuration.portals or ()
    assert [(str(portal), portal.advertised) for portal in found] == expected
    (again,) = portal_lines(found)
    assert loads(f"{again}\n").portals == found


@pytest.mark.parametrize(("line", "column", "problem"), [
    *((f"Portal 1 192.0.2.1 Advertise={word}", 20, "is no address and no name; it has no effect") for word in (
        "", ":3260", "nas:0", "nas:65536", "nas:x", "192.0.2", "192.0.2.300", "-nas", "nas-", "a..b", "a_b", "x" * 64,
        ".".join(["x" * 63] * 4), "[nas]", "[fe80::1%eth0]", "2001:db8::1",
    )),
    ("Portal 1 Advertise=nas", 10, "has no portal in front of it"),
    ("Portal 1 nonsense.example Advertise=nas", 27, "has no portal in front of it"),
    ("Portal 1 192.0.2.1 Advertise=nas Advertise=other", 34, "as the portal is advertised as nas:3260 already"),
])
def test_what_advertises_nothing(line: str, column: int, problem: str) -> None:
    """The portal itself is listened on."""
    found = loads(f"{line}\n").diagnostics
    assert any(one.span.column == column and problem in one.problem for one in found), found
    if "192.0.2.1 " in line:
        assert portals(f"{line}\n") == ["1 192.0.2.1"]


def groups(lines: str) -> tuple[tuple[int, ...], bool]:
    """Of the first target, and whether it is closed."""
    target = loads(lines).targets[0]
    return target.portal_groups, bool(target.closed)


P = "Portal 1 192.0.2.1\nPortal 2 192.0.2.2\nPortal 3 192.0.2.3\n"


@pytest.mark.parametrize(("lines", "found", "expected"), [
    (f"{P}{T}PortalGroups 2", [], ((2,), False)),
    (f"{P}{T}PortalGroups 3,1", [], ((3, 1), False)),
    (f"{P}{T}PortalGroups 3 , 1 # both", [], ((3, 1), False)),
    (f"{P}{T}PortalGroups 3\nPortalGroups 1,3", [], ((3, 1), False)),
    (f"{T}PortalGroups 2\n{P}", [], ((2,), False)),
    (f"{T}PortalGroups 1", [], ((1,), False)),
    (f"{T}PortalGroups 2", ["portal-group@2:14"], ((2,), False)),
    (f"{P}{T}PortalGroups 2,4", ["portal-group@5:16"], ((2, 4), False)),
    (f"{P}{T}PortalGroups 2,x", ["portal-group@5:16"], ((2,), False)),
    (f"{P}{T}PortalGroups x", ["portal-group@5:1", "portal-group@5:14"], ((), True)),
    (f"{P}{T}PortalGroups", ["portal-group@5:1"], ((), True)),
    (f"{P}{T}Portal 2", ["portal@5:1"], ((), True)),
    (f"{P}{T}Portal Groups 2", ["portal-group@5:8"], ((), True)),
    (f"{P}{T}Portal 192.0.2.1", ["portal-group@5:8"], ((), True)),
    (f"{P}{T}Portal 4 192.0.2.4", [], ((), False)),
    (f"{P}{T}PortalGroup 2", ["misspelt-keyword@5:1"], ((2,), False)),
    (f"{P}{T}PrtGrps 2", ["unclear-keyword@5:1"], ((), True)),
    (f"{P}PortalGroups 2\n{T}", ["outside-target@4:1"], ((2,), False)),
    (f"{P}PortalGroups 2\n{T}PortalGroups 3", ["outside-target@4:1"], ((3,), False)),
    (f"{P}PortalGroups\n{T}", ["outside-target@4:1", "portal-group@4:1"], ((), True)),
    (f"Portal\n{T}PortalGroups 1", ["portal@1:1", "portal@1:1", "portal-group@3:14"], ((1,), False)),
])
def test_where_a_target_is(lines: str, found: list[str], expected: tuple[tuple[int, ...], bool]) -> None:
    """A line that cannot be understood closes the target, as it may keep it from others."""
    assert (findings(f"{lines}\n"), groups(f"{lines}\n")) == (found, expected)


def test_a_message_says_what_to_write() -> None:
    (found,) = loads(f"Portal 1 192.0.2.1\n{T}Portal 2\n").diagnostics
    assert "target iqn.2001-04.com.example:t is not served" in found.problem
    assert "write PortalGroups to say" in found.hint
    (found,) = loads(f"{P}{T}PortalGroups 4\n").diagnostics
    assert "there are 1, 2, 3" in found.hint


@given(text(alphabet="0123456789abef:.[]%*,#-/ \t\x00\u00e9", max_size=60))
def test_nothing_else_is_listened_on_whatever_the_line(line: str) -> None:
    configuration = loads(f"Portal {line}\n{T}PortalGroups {line}\n")
    assert configuration.portals is not None
    for portal in configuration.portals:
        assert 0 < portal.group <= HIGHEST_TAG
        assert portal.port is None or 0 < portal.port < 65536
    target = configuration.targets[0]
    assert bool(target.portal_groups) != bool(target.closed)


@pytest.mark.parametrize(("host", "interface", "everything"), [
    ("*", False, True), ("0.0.0.0", False, True), ("::", False, True), ("eth0", True, False),
    ("192.0.2.1", False, False), ("fe80::1%eth0", False, False),
])
def test_kinds_of_portals(host: str, interface: bool, everything: bool) -> None:
    portal = PortalConfig(1, host, None, HERE)
    assert (portal.interface, portal.everything) == (interface, everything)
    assert not portal.holds(portal)


@pytest.mark.parametrize(("host", "address", "has"), [
    ("*", "192.0.2.1", True), ("*", "2001:db8::1", True), ("0.0.0.0", "192.0.2.1", True), ("0.0.0.0", "::1", False),
    ("::", "::1", True), ("192.0.2.1", "192.0.2.1", True), ("192.0.2.1", "192.0.2.2", False),
    ("fe80::1%eth0", "fe80::1", True), ("eth0", "192.0.2.1", False),
])
def test_addresses_of_a_portal(host: str, address: str, has: bool) -> None:
    assert PortalConfig(1, host, None, HERE).has(address) is has


def test_all_portal_groups_there_are() -> None:
    assert loads("").portal_groups == (1,)
    assert loads("Portal 7 ::1\nPortal 3 127.0.0.1,127.0.0.2\n").portal_groups == (3, 7)
