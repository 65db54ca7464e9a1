"""targets.conf: what is in it for each thing a configuration may say, and what is said to be lost."""

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
    Isns,
    Lun,
    Source,
    Store,
    Target,
)
from ietpy.migrate.to_tgt import to_tgt
from tests.migrate.sample import (
    ANN,
    BEN,
    JIM,
    JOE,
    LAN,
    NAME,
    SAMPLE,
    SIX,
    TGT_DISK,
    US,
    at,
    disk,
    notes,
    text,
)
from tests.migrate.sample import target as configuration

WHOLE = """\
default-driver iscsi
iSNSServerIP 192.0.2.53
iSNSServerPort 3205
iSNSAccessControl On
iSNS On
incomingdiscoveryuser finder find-secret-1

<target iqn.2001-04.com.example:open>
    controller_tid 7
    <backing-store /srv/a.img>
        lun 1
        allow-in-use yes
        write-cache on
        vendor_id LIO-ORG
        product_id disk0
        product_rev 4.0
        scsi_sn f0e43624-8ce2-46fd-ad63-ba328d023334
    </backing-store>
    <backing-store /dev/vg0/b>
        lun 2
        allow-in-use yes
        write-cache off
        block-size 4096
        bsoflags direct
        params thin_provisioning=1
    </backing-store>
    initiator-address ALL
</target>

<target iqn.2001-04.com.example:some>
    controller_tid 2
    <backing-store /srv/a.img>
        lun 1
        allow-in-use yes
        write-cache on
        vendor_id LIO-ORG
        product_id disk0
        product_rev 4.0
        scsi_sn f0e43624-8ce2-46fd-ad63-ba328d023334
    </backing-store>
    <backing-store /dev/vg0/b>
        lun 2
        allow-in-use yes
        write-cache off
        block-size 4096
        bsoflags direct
        params thin_provisioning=1
        scsi_id IET     00070002
        scsi_sn beaf72
    </backing-store>
    initiator-address 255.255.255.255
    initiator-name iqn.1993-08.org.debian:01:ann
    incominguser jim jim-secret-12
    outgoinguser us our-secret-12
    InitialR2T No
    MaxBurstLength 262144
    IFMarker No
</target>

<target iqn.2001-04.com.example:closed>
    controller_tid 1
    initiator-address 255.255.255.255
</target>
"""


def test_the_sample() -> None:
    written = to_tgt(SAMPLE)
    assert text(written) == WHOLE
    assert [line for line in notes(written) if not line.partition(": ")[2].startswith("the portals of")] == [
        "3 lost: LUN 0 of open: tgt's LUN 0 is its controller; the disk is LUN 1",
        "3 lost: LUN 0 of open: it is written as LUN 1, but initiators find it changed: VPD page 80h and VPD page 83h",
        "10 lost: Alias of some: targets.conf has none",
        "10 lost: MaxSessions of some: tgtd counts none",
        "10 lost: NOPInterval of some: tgtd has one for all targets: tgtadm's nop_interval",
        "10 lost: QueuedCommands of some: targets.conf has none",
        "10 lost: threads of some: tgtd has one number for all targets: its -t",
        "11 lost: LUN 1 of some: it is written, but initiators find it changed: VPD page 80h and VPD page 83h",
        "12 lost: LUN 2 of some: it is written, but initiators find it changed: VPD page 83h",
        "15 lost: a rule of some about iqn.1993-08.org.debian:01:ben and iqn.1993-08.org.debian:01:cat: it gives other"
        " LUNs, rights or users than the rule before, and tgt gives all the same; it lets nobody in",
        "17 lost: a rule of some about iqn.1991-05.com.microsoft:*: a rule before it is about"
        " iqn.1993-08.org.debian:01:ben and iqn.1993-08.org.debian:01:cat, and is not written; it lets nobody in",
        "18 lost: a rule of some about everybody from 192.0.2.0/24 and 2001:db8::/64: a rule before it is about"
        " iqn.1993-08.org.debian:01:ben and iqn.1993-08.org.debian:01:cat, and is not written; it lets nobody in",
        "21 lost: LUN 1 of closed: tgt has no disk without a file behind it; it is left out",
    ]
    why = "targets.conf has none; start tgtd with --iscsi portal=ADDRESS:PORT"
    assert [line for line in notes(written) if line.partition(": ")[2].startswith("the portals of")] == [
        f"{line} lost: the portals of {name}: {why}" for line, name in ((2, "open"), (10, "some"), (20, "closed"))
    ]


def body(source: Source) -> list[str]:
    """The lines of the only target."""
    return [line.strip() for line in text(to_tgt(source)).splitlines()[3:-1]]


TGT_1 = replace(TGT_DISK, identity=identities.tgt(1, 1))


@pytest.mark.parametrize(("source", "lines"), [
    pytest.param(disk(TGT_1), ["lun 1", "write-cache off", "block-size 4096", "bsoflags direct",
                               "params thin_provisioning=1"], id="tgt's own names need no words"),
    pytest.param(
        disk(TGT_1, store=Store.FILE, block_size=None, unmap=None, write_cache=True, read_only=True, removable=True),
        ["lun 1", "write-cache on", "readonly 1", "removable 1"], id="a file",
    ),
    pytest.param(
        configuration(replace(OPEN, read_only=True), luns=(Lun(1, replace(TGT_1, block_size=512), span=at(2)),)),
        ["lun 1", "write-cache off", "readonly 1", "bsoflags direct", "params thin_provisioning=1"], id="for readers",
    ),
    pytest.param(
        disk(TGT_1, identity=identities.tgt(1, 1, "my id", "my sn", "VENDOR", "A (B) C", "1.0"), unmap=False),
        ["lun 1", "write-cache off", "block-size 4096", "bsoflags direct", "vendor_id VENDOR", "product_id A (B) C",
         "product_rev 1.0", "scsi_id my id", "scsi_sn my sn"], id="names of its own",
    ),
])
def test_a_store(source: Source, lines: list[str]) -> None:
    found = body(source)
    assert found[:-1] == ["controller_tid 1", "<backing-store /dev/vg0/b>", *lines, "</backing-store>"]
    assert notes(to_tgt(source), "lost", "warning") == [
        "1 lost: the portals of a: targets.conf has none; start tgtd with --iscsi portal=ADDRESS:PORT"
    ]


@pytest.mark.parametrize(("found", "why"), [
    (Disk(Store.NULL, size=1), "tgt has no disk without a file behind it"),
    (Disk(Store.FOREIGN, detail="a CD"), "it is a CD"),
    (Disk(Store.FILE, "/srv/a,b"), "its path /srv/a,b has characters that a shell or tgtadm would change"),
    (Disk(Store.FILE, "/srv/`x`"), "its path /srv/`x` has characters that a shell or tgtadm would change"),
    (Disk(Store.FILE, "/srv/a "), "its path /srv/a  has characters that a shell or tgtadm would change"),
])
def test_a_store_that_cannot_be(found: Disk, why: str) -> None:
    assert body(disk(found)) == ["controller_tid 1", "initiator-address ALL"]
    assert notes(to_tgt(disk(found)))[1:] == [f"2 lost: LUN 1 of a: {why}; it is left out"]


def test_a_value_that_a_shell_would_change_is_not_said() -> None:
    source = disk(TGT_1, identity=identities.tgt(1, 1, product="a$(b)", scsi_sn="x" * 36, revision="`"))
    assert [line for line in body(source) if line.startswith(("product", "scsi"))] == [f"scsi_sn {'x' * 36}"]
    assert notes(to_tgt(source))[1:] == [
        "2 lost: LUN 1 of a: it is written, but initiators find it changed: product and revision"
    ]


def test_two_luns_of_one_path() -> None:
    source = configuration(OPEN, luns=(Lun(1, TGT_1, span=at(2)), Lun(2, TGT_1, span=at(3))))
    assert [line for line in body(source) if line.startswith("lun")] == ["lun 1"]
    assert notes(to_tgt(source))[1:] == [
        "3 lost: LUN 2 of a: tgt-admin would merge two LUNs of one path; it is left out"
    ]


def test_a_path_of_one_target_alone_needs_no_leave() -> None:
    assert "allow-in-use yes" not in body(disk(TGT_1))


def test_targets_keep_the_numbers_that_are_in_names_of_their_disks() -> None:
    def one(name: str, *tids: int) -> Target:
        luns = (Lun(n, Disk(Store.FILE, f"/d{tid}", identity=identities.tgt(tid, n))) for n, tid in enumerate(tids, 1))
        return Target(f"{NAME}{name}", tuple(luns), (OPEN,))

    source = Source("tgt", (one("z", 2), one("a"), one("b", 2), one("c", 5, 6), one("d", 1)))
    numbers = [line.split()[1] for line in text(to_tgt(source)).splitlines() if "controller_tid" in line]
    assert numbers == ["5", "3", "2", "4", "1"]


RO = Grant((BEN,), read_only=True)
ALL = ["initiator-address ALL"]
NONE = ["initiator-address 255.255.255.255"]


@pytest.mark.parametrize(("grants", "lines", "lost"), [
    pytest.param((OPEN,), ALL, [], id="everybody"),
    pytest.param((), NONE, [], id="nobody"),
    pytest.param((Grant((ANN,)), OPEN), ALL, [], id="somebody, and everybody all the same"),
    pytest.param((Grant((ANN, BEN)),), [*NONE, f"initiator-name {ANN}", f"initiator-name {BEN}"], [], id="names"),
    pytest.param(
        (Grant(networks=(LAN, SIX, ip_network("192.0.2.7/32"), ip_network("2001:db8::7/128"))),),
        [f"initiator-address {word}" for word in (LAN, SIX, "192.0.2.7", "2001:db8::7")], [], id="networks",
    ),
    pytest.param(
        (Grant(networks=(LAN,)), Grant((ANN,))), [f"initiator-address {LAN}", f"initiator-name {ANN}"], [],
        id="a network or a name",
    ),
    pytest.param(
        (Grant((ANN,), (LAN,)),), NONE,
        [f"10 lost: a rule of a about {ANN} from {LAN}: tgt lets in whose name or whose address is right, not only"
         " whose"
         " both are; it lets nobody in"], id="a network and a name",
    ),
    pytest.param(
        (Grant(("iqn.*",)),), NONE, ["10 lost: a rule of a about iqn.*: tgt knows whole names only; it lets nobody in"],
        id="a pattern",
    ),
    pytest.param(
        (Grant(("iqn.a;b",)),), NONE,
        ["10 lost: a rule of a about iqn.a;b: tgt knows whole names only; it lets nobody in"], id="no name",
    ),
    pytest.param(
        (Grant(portal_groups=(1,)),), NONE,
        ["10 lost: a rule of a about everybody by portal group 1: tgt serves all targets by all portals; it lets nobody"
         " in"], id="a portal group",
    ),
    pytest.param(
        (Grant(("iqn.A",)),), [*NONE, "initiator-name iqn.A"],
        ["1 warning: initiator iqn.A of a: tgt tells upper from lower case: the initiator must write its name like"
         " this"], id="upper case",
    ),
    pytest.param(
        (RO, OPEN), [*NONE, f"initiator-name {BEN}"],
        ["11 lost: a rule of a about everybody: it gives other LUNs, rights or users than the rule before, and tgt"
         " gives"
         " all the same; it lets nobody in"], id="the first rule's rights",
    ),
])
def test_who(grants: tuple[Grant, ...], lines: list[str], lost: list[str]) -> None:
    source = configuration(*grants, luns=(Lun(1, TGT_1, span=at(2)),))
    assert [line for line in body(source) if line.startswith("initiator")] == lines
    assert [line for line in notes(to_tgt(source)) if "the portals of" not in line] == lost


@pytest.mark.parametrize(("more", "lines", "lost"), [
    ({"incoming": (JIM, JOE), "outgoing": US},
     ["incominguser jim jim-secret-12", "incominguser joe joe-secret-12", "outgoinguser us our-secret-12"], []),
    ({"outgoing": US}, [], []),
    ({"incoming": (Account("a", "one#two-12345"),)}, [r"incominguser a one\#two-12345"], []),
    ({"incoming": (Account("a", "one two-12345", at(5)), JIM)}, ["incominguser jim jim-secret-12"],
     ["5 lost: user a of a: its name or secret has characters that tgt-admin or a shell would change"]),
    ({"incoming": (JIM,), "outgoing": Account("$us", "our-secret-12", at(5))}, ["incominguser jim jim-secret-12"],
     ["5 lost: user $us of a: its name or secret has characters that tgt-admin or a shell would change"]),
])
def test_users(more: dict[str, object], lines: list[str], lost: list[str]) -> None:
    source = configuration(OPEN, **more)
    assert [line for line in body(source) if "user" in line] == lines
    assert [line for line in notes(to_tgt(source)) if "user" in line] == lost


def test_users_of_a_rule() -> None:
    source = configuration(Grant((ANN,), incoming=(JOE,), outgoing=US), incoming=(JIM,))
    assert [line for line in body(source) if "user" in line] == [
        "incominguser joe joe-secret-12", "outgoinguser us our-secret-12"
    ]


def test_a_target_is_left_out_rather_than_open() -> None:
    source = configuration(OPEN, incoming=(Account("a b", "secret", at(5)),))
    assert text(to_tgt(source)) == "default-driver iscsi\n"
    assert notes(to_tgt(source)) == [
        "1 lost: target a: left out: without its users it were open",
        "5 lost: user a b of a: its name or secret has characters that tgt-admin or a shell would change",
    ]


def test_tgtd_knows_a_user_once() -> None:
    def one(name: str, *accounts: Account) -> Target:
        return Target(f"{NAME}{name}", grants=(OPEN,), incoming=accounts)

    other = Account("jim", "another-secret", at(7))
    source = Source("ietd", (one("b", other, JOE), one("a", JIM)))
    lines = [line.strip() for line in text(to_tgt(source)).splitlines() if "user" in line]
    assert lines == ["incominguser joe joe-secret-12", "incominguser jim jim-secret-12"]
    assert notes(to_tgt(source)) == [
        "7 lost: user jim of b: it has another secret elsewhere, and tgtd knows a user once"
    ]


@pytest.mark.parametrize(("more", "lost"), [
    ({"redirect": "192.0.2.9:3260"}, "redirection of a: targets.conf has none; see tgtadm's RedirectAddress"),
    ({"keys": {"AuthMethod": "CHAP"}}, "AuthMethod of a: targets.conf has no such key"),
])
def test_what_a_target_loses(more: dict[str, object], lost: str) -> None:
    assert f"1 lost: {lost}" in notes(to_tgt(configuration(OPEN, **more)))


def test_off() -> None:
    assert body(configuration(enabled=False))[-1] == "state offline"


def test_a_name_that_a_shell_would_change() -> None:
    source = Source("ietd", (Target("iqn.$x", grants=(OPEN,), span=at(1)),))
    assert text(to_tgt(source)) == "default-driver iscsi\n"
    assert notes(to_tgt(source)) == ["1 lost: target iqn.$x: its name has characters that a shell would change"]


@pytest.mark.parametrize(("source", "lines", "lost"), [
    (
        Source("ietd", discovery=Discovery((JIM, replace(JOE, span=at(2))), US, closed=True)),
        ["incomingdiscoveryuser jim jim-secret-12", "outgoingdiscoveryuser us our-secret-12"],
        ["0 lost: who may discover: tgt tells everybody of what he may use",
         "2 lost: user joe of discovery: tgt has one, the first"],
    ),
    (Source("ietd", discovery=Discovery(outgoing=US)), [], []),
    (
        Source("ietd", isns=Isns("192.0.2.53", 3206)),
        ["iSNSServerIP 192.0.2.53", "iSNSServerPort 3206", "iSNSAccessControl Off", "iSNS On"], [],
    ),
])
def test_common(source: Source, lines: list[str], lost: list[str]) -> None:
    assert text(to_tgt(source)).splitlines()[1:] == lines
    assert notes(to_tgt(source)) == lost
