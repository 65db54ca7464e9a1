"""ctl.conf: what is in it for each thing a configuration may say, and what is said to be lost."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from ietpy.migrate import identities
from ietpy.migrate.model import (
    OPEN,
    Account,
    Discovery,
    Disk,
    Grant,
    Identity,
    Isns,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
)
from ietpy.migrate.to_ctl import to_ctl
from tests.migrate.sample import (
    ANN,
    BEN,
    JIM,
    JOE,
    LAN,
    NAME,
    NULL_DISK,
    SAMPLE,
    SIX,
    US,
    at,
    disk,
    notes,
    target,
    text,
)

WHOLE = """\
# Written by ietpy export
isns-server 192.0.2.53:3205

auth-group "discovery" {
	chap "finder" "find-secret-1"
}

auth-group "ag-iqn.2001-04.com.example:some" {
	chap-mutual "jim" "jim-secret-12" "us" "our-secret-12"
	initiator-name "iqn.1993-08.org.debian:01:ann"
}

portal-group "pg1" {
	discovery-auth-group "discovery"
	listen 192.0.2.1:3260
	listen [2001:db8::1]:3261
}

lun "disk0" {
	backend block
	path "/srv/a.img"
	size 1073741824
	blocksize 512
	option writecache on
	option vendor "LIO-ORG"
	option product "disk0"
	option revision "4.0"
	serial "f0e43624-8ce2-46fd-ad63-ba328d023334"
	device-id "disk0:f0e43624-8ce2-46fd-ad63-ba328d023334"
	option naa "0x6001405f0e436248ce246fdad63ba328"
}

lun "b" {
	backend block
	path "/dev/vg0/b"
	blocksize 4096
	option writecache off
	option unmap on
	option vendor "IET"
	option product "VIRTUAL-DISK"
	serial "beaf72"
	device-id "00070002"
	option naa "0x3000000700000002"
}

target "iqn.2001-04.com.example:open" {
	portal-group "pg1" "no-authentication"
	lun 0 "disk0"
	lun 2 "b"
}

target "iqn.2001-04.com.example:some" {
	alias "some disks"
	portal-group "pg1" "ag-iqn.2001-04.com.example:some"
	lun 1 "disk0"
	lun 2 "b"
}

target "iqn.2001-04.com.example:closed" {
	portal-group "pg1" "no-access"
	lun 1 {
		backend ramdisk
		size 1048576
		blocksize 512
		option writecache off
	}
}
"""


def test_the_sample() -> None:
    written = to_ctl(SAMPLE)
    assert text(written) == WHOLE
    assert [line for line in notes(written) if "changed" not in line] == [
        "1 lost: the name server's access control: ctld only registers there",
        "10 lost: MaxSessions of some: ctld counts none",
        "10 lost: NOPInterval of some: the kernel has one for all targets",
        "10 lost: QueuedCommands of some: the kernel has one for all targets",
        "10 lost: threads of some: ctld has those of LUNs",
        "10 lost: InitialR2T of some: ctl.conf has none of the session's keys",
        "10 lost: MaxBurstLength of some: ctl.conf has none of the session's keys",
        "10 lost: IFMarker of some: ctl.conf has none of the session's keys",
        "15 lost: a rule of some about iqn.1993-08.org.debian:01:ben and iqn.1993-08.org.debian:01:cat: a target of"
        " ctld"
        " has the same LUNs for all; it lets nobody in",
        "17 lost: a rule of some about iqn.1991-05.com.microsoft:*: a rule before it is about"
        " iqn.1993-08.org.debian:01:ben and iqn.1993-08.org.debian:01:cat, and is not written; it lets nobody in",
        "18 lost: a rule of some about everybody from 192.0.2.0/24 and 2001:db8::/64: a rule before it is about"
        " iqn.1993-08.org.debian:01:ben and iqn.1993-08.org.debian:01:cat, and is not written; it lets nobody in",
        "21 warning: LUN 1 of closed: ctld has no disk that forgets; it is a disk in memory there",
        "21 warning: LUN 1 of closed: it is written, but what initiators called it is not known as a whole",
    ]


def block(source: Source, head: str) -> list[str]:
    """The lines of the first block that begins so."""
    lines = text(to_ctl(source)).splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith(head)), None)
    return [] if start is None else [line.strip() for line in lines[start + 1:lines.index("}", start)]]


UUID_BYTES = bytes.fromhex("f0e436248ce246fdad63ba328d023334")
EUI = bytes.fromhex("0014051234567890")
CTL_DISK = Disk(
    Store.FILE, "/srv/a.img", "a-product",
    identity=identities.ctl(
        "SN1", "DEV 1", "ACME", "a product", "2", bytes(8), EUI, UUID_BYTES, "iqn.2001-04.com.example:a,lun,0"
    ),
)


@pytest.mark.parametrize(("source", "lines"), [
    pytest.param(disk(CTL_DISK), [
        "backend block", 'path "/srv/a.img"', "blocksize 512", "option writecache off", 'option vendor "ACME"',
        'option product "a product"', 'option revision "2"', 'serial "SN1"', 'device-id "DEV 1"',
        'option scsiname "iqn.2001-04.com.example:a,lun,0"', 'option eui "0x0014051234567890"',
        'option naa "0x0000000000000000"', 'option uuid "f0e43624-8ce2-46fd-ad63-ba328d023334"',
    ], id="all of ctld's names"),
    pytest.param(
        disk(CTL_DISK, identity=Identity(b"FREEBSD ", b"CTLDISK         ", b"0001"), write_cache=True, read_only=True,
             removable=True, unmap=False, size=4096, block_size=4096),
        ["backend block", 'path "/srv/a.img"', "size 4096", "blocksize 4096", "option writecache on", "option"
        " readonly on",
         "option removable on", "option unmap off"], id="ctld's own names need no words",
    ),
    pytest.param(
        disk(CTL_DISK, store=Store.MEMORY, size=512, block_size=None, identity=Identity(product=b'a"b'.ljust(16))),
        ["backend ramdisk", "size 512", "option writecache off"], id="a word that cannot be quoted",
    ),
])
def test_a_lun(source: Source, lines: list[str]) -> None:
    assert block(source, "lun ") == lines


def test_a_disk_without_a_name_stands_in_its_target() -> None:
    lines = text(to_ctl(disk(CTL_DISK, name="", identity=Identity()))).splitlines()
    assert lines[-7:] == [
        "\tlun 1 {", "\t\tbackend block", '\t\tpath "/srv/a.img"', "\t\tblocksize 512", "\t\toption writecache off",
        "\t}", "}",
    ]


def test_names_of_ctld_stay() -> None:
    (one,) = notes(to_ctl(disk(CTL_DISK)), "taken")
    assert one == "2 taken: LUN 1 of a: it is written, with what initiators know it by"


def test_two_targets_share_a_lun() -> None:
    one = target(OPEN, luns=(Lun(1, CTL_DISK), Lun(5, CTL_DISK))).targets[0]
    source = replace(target(), targets=(one, replace(one, name=f"{NAME}b")))
    lines = text(to_ctl(source)).splitlines()
    assert [line for line in lines if line.startswith("lun")] == ['lun "a-product" {']
    assert lines.count('\tlun 5 "a-product"') == 2


@pytest.mark.parametrize(("luns", "why"), [
    ((Lun(1, Disk(Store.FOREIGN, detail="a CD"), span=at(2)),), "it is a CD; it is left out"),
    ((Lun(1, Disk(Store.FOREIGN), span=at(2)),), "it is nothing ctld serves; it is left out"),
    ((Lun(1, Disk(Store.FILE, '/a"b'), span=at(2)),), 'ctl.conf cannot hold its path /a"b; it is left out'),
    ((Lun(1, CTL_DISK, read_only=True, span=at(2)),),
     "ctld can write protect a disk, but not by one target or number alone; it is left out"),
])
def test_a_lun_that_cannot_be(luns: tuple[Lun, ...], why: str) -> None:
    source = target(OPEN, luns=luns)
    assert block(source, "target ") == ['portal-group "pg1" "no-authentication"']
    assert notes(to_ctl(source)) == [f"2 lost: LUN 1 of a: {why}"]


def test_a_disk_that_nobody_may_write_needs_no_word_at_its_number() -> None:
    source = target(OPEN, luns=(Lun(1, replace(CTL_DISK, read_only=True), read_only=True),))
    assert 'lun 1 "a-product"' in block(source, "target ")


GROUP = "ag-iqn.2001-04.com.example:a"
RO = Grant((BEN,), read_only=True)


@pytest.mark.parametrize(("grants", "name", "lines", "lost"), [
    pytest.param((OPEN,), "no-authentication", [], [], id="everybody"),
    pytest.param((), "no-access", [], [], id="nobody"),
    pytest.param((Grant((ANN,)), OPEN), "no-authentication", [], [], id="somebody, and everybody all the same"),
    pytest.param(
        (Grant((ANN,), label="hosts"), Grant((BEN,))), "hosts",
        ["auth-type none", f'initiator-name "{ANN}"', f'initiator-name "{BEN}"'], [], id="names",
    ),
    pytest.param(
        (Grant((ANN,), (LAN, SIX, ip_network("192.0.2.7/32"))),), GROUP,
        ["auth-type none", f'initiator-name "{ANN}"', "initiator-portal 192.0.2.0/24", "initiator-portal"
        " [2001:db8::]/64",
         "initiator-portal 192.0.2.7/32"], [], id="a name and networks",
    ),
    pytest.param(
        (Grant((ANN,), (LAN,)), Grant(networks=(LAN,))), GROUP, ["auth-type none", "initiator-portal 192.0.2.0/24"], [],
        id="a name among all from a network",
    ),
    pytest.param(
        (Grant((ANN,)), Grant(networks=(LAN,))), GROUP, ["auth-type none", f'initiator-name "{ANN}"'],
        ["11 lost: a rule of a about everybody from 192.0.2.0/24: it has other addresses or users than the rule before,"
         " and ctld has one rule for a portal group; it lets nobody in"], id="a name or a network",
    ),
    pytest.param(
        (Grant(("iqn.*",)),), "no-access", [],
        ["10 lost: a rule of a about iqn.*: ctld knows whole names only; it lets nobody in"], id="a pattern",
    ),
    pytest.param(
        (RO, OPEN), "no-access", [],
        [f"10 lost: a rule of a about {BEN}: a target of ctld has the same rights for all; it lets nobody in",
         f"11 lost: a rule of a about everybody: a rule before it is about {BEN}, and is not written; it lets nobody"
         " in"],
        id="one who may only read",
    ),
    pytest.param(
        (Grant((ANN,), luns=(Lun(1, NULL_DISK),)),), "no-access", [],
        [f"10 lost: a rule of a about {ANN}: a target of ctld has the same LUNs for all; it lets nobody in"],
        id="LUNs of its own",
    ),
    pytest.param(
        (Grant((ANN,), incoming=(JIM,), outgoing=US),), GROUP,
        ['chap-mutual "jim" "jim-secret-12" "us" "our-secret-12"', f'initiator-name "{ANN}"'], [], id="a user of its"
        " own",
    ),
    pytest.param(
        (Grant(incoming=(Account("a", '"', at(5)),)),), "no-access", [],
        ["5 lost: user a of a: ctl.conf cannot hold it",
         "10 lost: a rule of a about everybody: without its users it were open; it lets nobody in"],
        id="a secret that cannot be quoted",
    ),
    pytest.param(
        (Grant(incoming=(JIM, Account("a", "x\n", at(5)), JOE)),), GROUP,
        ['chap "jim" "jim-secret-12"', 'chap "joe" "joe-secret-12"'], ["5 lost: user a of a: ctl.conf cannot hold it"],
        id="some secrets",
    ),
])
def test_who(grants: tuple[Grant, ...], name: str, lines: list[str], lost: list[str]) -> None:
    source = target(*grants, luns=(Lun(1, CTL_DISK, span=at(2)),))
    assert block(source, "target ") == [f'portal-group "pg1" "{name}"', 'lun 1 "a-product"']
    assert block(source, f'auth-group "{name}"') == lines
    assert notes(to_ctl(source)) == lost


def test_to_read_what_nobody_may_write_is_no_less() -> None:
    source = target(RO, luns=(Lun(1, replace(CTL_DISK, read_only=True)),))
    assert block(source, "target ")[0] == f'portal-group "pg1" "{GROUP}"'


def test_every_portal_group_has_its_rule() -> None:
    groups = (
        PortalGroup(1, (Portal("*", 3261),)), PortalGroup(7, (Portal("::"),), "second", Discovery(closed=True)),
        PortalGroup(8, (Portal("192.0.2.8"),)),
    )
    one = Target(
        f"{NAME}a", (Lun(1, CTL_DISK),), (Grant((ANN,), portal_groups=(1,)), Grant((BEN,), portal_groups=(7,))),
        portal_groups=(1, 7),
    )
    source = Source("ctl", (one,), groups)
    assert block(source, 'portal-group "pg1"') == [
        'discovery-auth-group "no-authentication"', "listen 0.0.0.0:3261", "listen [::]:3261"
    ]
    assert block(source, 'portal-group "second"') == ['discovery-auth-group "no-access"', "listen [::]:3260", "tag 7"]
    assert block(source, "target ") == [
        f'portal-group "pg1" "{GROUP}"', f'portal-group "second" "{GROUP}-2"', 'lun 1 "a-product"'
    ]
    assert block(source, f'auth-group "{GROUP}-2"') == ["auth-type none", f'initiator-name "{BEN}"']


def test_rules_that_are_alike_are_one_group() -> None:
    groups = (PortalGroup(1, (Portal("192.0.2.1"),)), PortalGroup(2, (Portal("192.0.2.2"),)))
    one = Target(f"{NAME}a", grants=(Grant((ANN,)),))
    assert text(to_ctl(Source("ctl", (one,), groups))).count("auth-group \"ag-") == 1


def test_where_no_portals_are_said() -> None:
    source = replace(target(OPEN), portal_groups=())
    assert block(source, "portal-group ") == [
        'discovery-auth-group "no-authentication"', "listen 0.0.0.0:3260", "listen [::]:3260"
    ]
    assert notes(to_ctl(source))[0] == "0 warning: portals: none are said; all addresses are written"


@pytest.mark.parametrize(("discovery", "name", "lines", "lost"), [
    (Discovery(), "no-authentication", [], []),
    (Discovery(closed=True), "no-access", [], []),
    (Discovery((JIM,), US, networks=(LAN,), names=(ANN,)), "discovery",
     ['chap-mutual "jim" "jim-secret-12" "us" "our-secret-12"', f'initiator-name "{ANN}"',
      "initiator-portal 192.0.2.0/24"], []),
    (Discovery(names=("iqn.*",)), "no-access", [],
     ["0 lost: who may discover: ctld knows whole names only; nobody may"]),
    (Discovery((Account("a", '"', at(5)),)), "no-access", [], ["5 lost: user a of discovery: ctl.conf cannot hold it"]),
])
def test_discovery(discovery: Discovery, name: str, lines: list[str], lost: list[str]) -> None:
    source = Source("ietd", portal_groups=(PortalGroup(1, (Portal("192.0.2.1"),)),), discovery=discovery)
    assert block(source, "portal-group ") == [f'discovery-auth-group "{name}"', "listen 192.0.2.1:3260"]
    assert block(source, f'auth-group "{name}"') == lines
    assert notes(to_ctl(source)) == lost


@pytest.mark.parametrize(("one", "lines", "lost"), [
    (Target('iqn."', span=at(1)), [], ['1 lost: target iqn.": ctl.conf cannot hold its name; it is left out']),
    (Target("iqn.a", enabled=False, span=at(1)), [],
     ["1 lost: target iqn.a: ctld has no word for off; it is left out"]),
    (Target("iqn.a", alias="a", redirect="192.0.2.9:3260"),
     ['alias "a"', 'portal-group "pg1" "no-access"', 'redirect "192.0.2.9:3260"'], []),
    (Target("iqn.a", alias='"', span=at(1)), ['portal-group "pg1" "no-access"'],
     ["1 lost: Alias of iqn.a: ctl.conf cannot hold it"]),
])
def test_a_target(one: Target, lines: list[str], lost: list[str]) -> None:
    source = Source("ietd", (one,), (PortalGroup(1, (Portal("192.0.2.1"),)),))
    assert block(source, "target ") == lines
    assert notes(to_ctl(source)) == lost


def test_a_name_server() -> None:
    source = Source("ietd", isns=Isns("2001:db8::53", 3206))
    assert "isns-server [2001:db8::53]:3206" in text(to_ctl(source)).splitlines()
