"""istgt.conf and its AuthFile."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.istgt import parse_istgt, read_istgt
from ietpy.migrate.model import Account, Discovery, Grant, Kind, Source, Store, Target
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd

AUTH = '[AuthGroup1]\nAuth "u" "us" "m" "ms"\nAuth v vs\n[AuthGroup2]\nAuth d ds\n'
HEAD = ('[Global]\nNodeBase iqn.base\nAuthFile auth.conf\n[PortalGroup1]\nPortal A 192.0.2.1:3260\n'
        '[PortalGroup2]\nPortal B [2001:db8::1]:3261\n[InitiatorGroup1]\nInitiatorName "!iqn.bad"\n'
        'InitiatorName "ALL"\nNetmask 192.0.2.0/24\n[InitiatorGroup2]\nInitiatorName iqn.x\nNetmask ALL\n')
UNIT = "[LogicalUnit1]\nTargetName disk1\nMapping PortalGroup1 InitiatorGroup2\nUnitType Disk\n"


def source(text: str, auth: str | None = AUTH, auth_file: str = "") -> Source:
    texts = {"dir/istgt.conf": text} | ({} if auth is None else {"dir/auth.conf": auth, "other": auth})

    def read(path: str) -> str:
        if path not in texts:
            raise FileNotFoundError(2, "No such file or directory")
        return texts[path]

    return read_istgt("dir/istgt.conf", auth_file, read)


def target(more: str, auth: str | None = AUTH) -> Target:
    (found,) = source(HEAD + UNIT + more, auth).targets
    return found


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


def test_lines_sections_and_quotes() -> None:
    sections = parse_istgt('# note\n; note\n[Global]\n  A "b c" d \\\n  e\n\n[PortalGroup1]\nPortal X [::1]:1\n', "f")
    assert [line.words for line in sections["global"].lines] == [("A", "b c", "d", "e")]
    assert (str(sections["global"].lines[0].span), sections["portalgroup1"].number) == ("f:4:3", 1)
    assert sections["portalgroup1"].lines[0].words == ("Portal", "X", "[::1]:1")


@pytest.mark.parametrize(("text", "message"), [
    ("A b\n", "f:1:1: error: no section stands above this line"),
    ('[Global]\nA "b\n', "f:2:1: error: quotes without an end"),
])
def test_sentences(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_istgt(text, "f")
    assert str(caught.value).startswith(message)


def test_names_rules_and_portals() -> None:
    found = source(HEAD + UNIT + "Mapping PortalGroup2 InitiatorGroup1\n")
    (one,) = found.targets
    assert (one.name, one.portal_groups) == ("iqn.base:disk1", (1, 2))
    assert one.grants == (
        Grant(("iqn.x",), portal_groups=(1,), label="InitiatorGroup2"),
        Grant(("iqn.bad",), portal_groups=(2,), denies=True, label="InitiatorGroup1"),
        Grant(networks=(ip_network("192.0.2.0/24"),), portal_groups=(2,), label="InitiatorGroup1"),
    )
    assert [str(portal) for portal in found.portals_of(one)] == ["192.0.2.1:3260", "[2001:db8::1]:3261"]


@pytest.mark.parametrize(("more", "users", "mutual"), [
    ("", (), None),
    ("AuthMethod CHAP\nAuthGroup AuthGroup1\n", (Account("u", "us"), Account("v", "vs")), Account("m", "ms")),
    ("AuthMethod Auto\nAuthGroup AuthGroup1\n", (Account("u", "us"), Account("v", "vs")), Account("m", "ms")),
    ("AuthMethod None\nAuthGroup AuthGroup1\n", (), None),
    ("AuthMethod CHAP\nAuthGroup AuthGroup9\n", (Account("AuthGroup9", ""),), None),
    ("AuthMethod CHAP Mutual\n", (Account("nobody", ""),), None),
])
def test_accounts(more: str, users: tuple[Account, ...], mutual: Account | None) -> None:
    one = target(more)
    assert (one.incoming, one.outgoing) == (users, mutual)


def test_without_the_auth_file_nobody_gets_in_by_chap() -> None:
    found = source(HEAD + UNIT + "AuthMethod CHAP\nAuthGroup AuthGroup1\n", None)
    assert "nobody gets in by CHAP" in said(found, Kind.REFUSED)
    assert "Initiator * Mode=none" in to_ietd(found).files[CONFIGURATION]
    assert source(HEAD + UNIT, AUTH, "other").files == ("dir/istgt.conf", "other")
    assert source("[Global]\n").files == ("dir/istgt.conf",)
    with pytest.raises(ConfigError, match="cannot read missing"):
        source(HEAD, AUTH, "missing")


@pytest.mark.parametrize(("words", "discovery"), [
    ("DiscoveryAuthMethod CHAP\nDiscoveryAuthGroup AuthGroup2\n", Discovery((Account("d", "ds"),))),
    ("DiscoveryAuthMethod CHAP\nDiscoveryAuthGroup AuthGroup1\n",
     Discovery((Account("u", "us"), Account("v", "vs")), Account("m", "ms"))),
    ("DiscoveryAuthMethod CHAP\n", Discovery(closed=True)),
    ("", Discovery()),
])
def test_discovery(words: str, discovery: Discovery) -> None:
    assert source(f"[Global]\nAuthFile auth.conf\n{words}").discovery == discovery


def test_disks() -> None:
    one = target('UnitInquiry "V" "P" "R" "SN"\nBlockLength 4096\nLUN0 Storage /a 10GB\n'
                 'LUN0 Option WriteCache Disable\n'
                 'LUN1 Storage /dev/b Auto\nLUN1 Option Serial "S1"\nLUN2 Removable /c.iso,ro,auto\n')
    first, second, third = (lun.disk for lun in one.luns)
    assert [disk.store for disk in (first, second, third)] == [Store.FILE, Store.DIRECT, Store.FOREIGN]
    assert (first.size, first.write_cache, first.block_size, second.size) == (10 << 30, False, 4096, None)
    assert (first.identity.vendor, first.identity.serial, second.identity.serial) == (b"V       ", b"SN", b"S1")
    assert (third.read_only, third.detail) == (True, "disk /c.iso")
    dvd = source(HEAD + UNIT.replace("Disk", "DVD") + "LUN0 Storage /a.iso 1M\n").targets[0].luns[0].disk
    assert (dvd.store, dvd.detail) == (Store.FOREIGN, "dvd /a.iso")


def test_keys_and_limits() -> None:
    found = source(HEAD.replace("AuthFile", "MaxSessions 16\nNopInInterval 20\nInitialR2T No\nAuthFile") + UNIT
                   + "UseDigest Header Data\nQueueDepth 32\nTargetAlias \"A b\"\n")
    (one,) = found.targets
    assert one.keys == {"InitialR2T": "No", "HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}
    assert (one.max_sessions, one.nop_interval, one.queued_commands, one.alias) == (16, 20, 32, "A b")


def test_mistakes_are_said() -> None:
    found = source(HEAD + "[PortalGroup3]\nPortal C host:1\n[InitiatorGroup3]\nInitiatorName ALL\nNetmask odd\n"
                   "[UnitControl]\n"
                   "[LogicalUnit1]\nTargetName a\nMapping PortalGroup3 InitiatorGroup3\n[LogicalUnit2]\nTargetName a\n"
                   "[LogicalUnit3]\n")
    assert found.targets[0].grants == ()
    for words in ("Netmask odd", "there is one already", "it has no TargetName"):
        assert words in said(found, Kind.REFUSED)
    assert "portal host:1" in said(found, Kind.LOST)
    assert "UnitControl" in said(found, Kind.WARNING)


@pytest.mark.parametrize("more", [
    "Mapping PortalGroup9 InitiatorGroup1\n", "Mapping PortalGroup1 InitiatorGroup9\n",
    "LUN0 Storage /a 1M\nLUN0 Storage /b 1M\n",
])
def test_what_istgt_would_not_start_with(more: str) -> None:
    with pytest.raises(ConfigError, match=r"dir/istgt\.conf:\d+:1: error: (there is no \[|LUN0 has two stores)"):
        target(more)


@given(st.lists(st.sampled_from([
    "[Global]", "[LogicalUnit1]", "[PortalGroup1]", "[", "TargetName a", "Mapping", "LUN0 Storage", "LUN0", '"',
    "Portal", "AuthMethod CHAP", "Netmask ALL", "InitiatorName !", "\\", "[x]y",
]), max_size=10))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(lines: list[str]) -> None:
    found: Any = None
    try:
        found = to_ietd(source("\n".join(lines)))
    except ConfigError as error:
        found = error.diagnostics
    assert found
