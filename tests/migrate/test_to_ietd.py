"""ietd.conf from a model: what is written means what was read, and what cannot be is said."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given, settings

from ietpy.config.access import AccessFiles
from ietpy.config.load import loads
from ietpy.config.model import Configuration
from ietpy.errors import Span
from ietpy.iscsi.target import Asker
from ietpy.migrate.from_ietd import from_ietd
from ietpy.migrate.model import (
    OPEN,
    Account,
    Discovery,
    Disk,
    Grant,
    Isns,
    Kind,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    Written,
)
from ietpy.migrate.to_ietd import ALLOW, CONFIGURATION, to_ietd
from tests.migrate.models import sources

NAME = "iqn.2001-04.com.example:storage"
HOST = "iqn.1993-08.org.debian:01:a"
HERE = Span("x.conf", 3, 1)
FILE = Disk(Store.FILE, "/srv/a.img")
JOE = Account("joe", "joe-secret-0001")


def written(*targets: Target, **more: object) -> Written:
    return to_ietd(Source("lio", targets, **more))  # type: ignore[arg-type]


def lines(made: Written) -> list[str]:
    """The lines of ietd.conf without comments and indentation."""
    return [line.strip() for line in made.files[CONFIGURATION].splitlines() if line.strip() and line[0] != "#"]


def said(made: Written, kind: Kind) -> str:
    return "\n".join(f"{note.what}: {note.why}" for note in made.notes if note.kind is kind)


def test_a_plain_target_is_said_in_iets_words() -> None:
    made = written(Target(NAME, (Lun(0, FILE),), (OPEN,), (JOE,), keys={"InitialR2T": "No"}, alias="A disk"))
    assert lines(made) == [
        f"Target {NAME}", "IncomingUser joe joe-secret-0001", "Lun 0 Path=/srv/a.img,Type=fileio", "Alias A disk",
        "InitialR2T No",
    ]
    assert set(made.files) == {CONFIGURATION}
    assert made.secret == {CONFIGURATION}
    assert not said(made, Kind.LOST)


@pytest.mark.parametrize("target", [
    Target(NAME, (Lun(0, FILE),)),
    Target(NAME, (Lun(0, FILE),), (OPEN,), enabled=False),
    Target(NAME, (Lun(0, FILE),), (OPEN,), redirect="192.0.2.9:3260"),
    Target(NAME, (Lun(0, FILE),), (Grant(denies=True), OPEN)),
    Target(NAME, (Lun(0, FILE),), (Grant(("iqn.x?",)),)),
    Target(NAME, (Lun(0, FILE),), (Grant(("iqn.\n*",)),)),
    Target(NAME, (Lun(0, FILE),), (OPEN,), portal_groups=(7,)),
    Target(NAME, (Lun(0, FILE),), (OPEN,), (Account("joe", ""),)),
], ids=["no grants", "off", "redirected", "denied", "a pattern", "a line end", "no portals", "no secret"])
def test_who_let_nobody_in_lets_nobody_in(target: Target) -> None:
    made = written(target)
    assert not admits(made, HOST)
    assert said(made, Kind.LOST) + said(made, Kind.EXTENSION)
    assert f"{NAME} iqn\\.1970-01\\.invalid:nobody" in made.files[ALLOW]


def admits(made: Written, initiator: str, peer: str = "192.0.2.7", group: int = 1) -> bool:
    """Whether the Initiator lines let somebody use the first target."""
    (target, *_) = loads(made.files[CONFIGURATION]).targets
    return not target.closed and AccessFiles("/nonexistent").decide(
        target, Asker(initiator, peer, "192.0.2.1", group)
    ).allowed


def test_rules_are_initiator_lines_and_the_allow_file_lets_in_whom_they_do() -> None:
    grants = (
        Grant(("iqn.bad*",), denies=True), Grant((HOST,), read_only=True),
        Grant(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/64"))),
    )
    made = written(Target(NAME, (Lun(0, FILE),), grants), Target(f"{NAME}2", (Lun(0, FILE),), (OPEN,)))
    assert [line for line in lines(made) if line.startswith("Initiator")] == [
        "Initiator iqn.bad* Mode=none", f"Initiator {HOST} Mode=ro", "Initiator * Address=192.0.2.0/24,2001:db8::/64",
    ]
    assert made.files[ALLOW] == (
        f"{NAME} iqn\\.1993-08\\.org\\.debian:01:a, 192.0.2.0/24, [2001:db8::]/64\nALL ALL\n"
    )
    assert [admits(made, *who) for who in (("iqn.bad1",), (HOST, "10.0.0.1"), ("iqn.x", "10.0.0.1"))] == [
        False, True, False,
    ]


def test_luns_of_some_initiators_are_mapped_and_hidden_from_others() -> None:
    other = Disk(Store.DIRECT, "/dev/vg0/b", write_cache=True)
    grants = (Grant((HOST,), luns=(Lun(0, other), Lun(1, FILE, read_only=True)), label="hosts"), OPEN)
    made = written(Target(NAME, (Lun(0, FILE),), grants))
    assert lines(made)[1:] == [
        "Lun 0 Path=/srv/a.img,Type=fileio", "Lun 1 Path=/dev/vg0/b,Type=blockio,BlockSize=512",
        "LunOption 1 WriteCache=Yes", f"Initiator {HOST} Luns=0:1,1:0/ro", "Initiator * Luns=0",
    ]
    assert "per-initiator LUN map: hosts" in said(made, Kind.EXTENSION)


def test_a_number_that_is_read_only_leaves_the_disk_writable_for_others() -> None:
    made = written(Target(NAME, (Lun(0, FILE, read_only=True),), (Grant((HOST,), luns=(Lun(0, FILE),)), OPEN)))
    assert lines(made)[1:] == [
        "Lun 0 Path=/srv/a.img,Type=fileio,IOMode=ro", "Lun 1 Path=/srv/a.img,Type=fileio",
        f"Initiator {HOST} Luns=0:1", "Initiator * Luns=0",
    ]


def test_users_of_some_initiators() -> None:
    ann, many = Account("ann", "ann-secret-0001"), (Account("u1", "u1-secret-00001"), Account("u2", "u2-secret-00001"))
    grants = (
        Grant(("iqn.a",), incoming=(ann,), outgoing=Account("san", "san-secret-0001")),
        Grant(("iqn.b",), incoming=many),
        Grant(("iqn.c",), incoming=()), Grant(("iqn.d",), outgoing=Account("other", "o-secret-00001")),
        Grant(("iqn.e",), incoming=(Account("ann", "another-secret"),)),
    )
    made = written(Target(NAME, (Lun(0, FILE),), grants, (JOE,)))
    assert [line for line in lines(made) if line.startswith(("Initiator", "OutgoingUser"))] == [
        "OutgoingUser san san-secret-0001", "Initiator iqn.a User=ann", "Initiator iqn.b",
        "Initiator iqn.c AuthMethod=None", "Initiator iqn.d User=joe", "Initiator iqn.e User=ann",
    ]
    lost = said(made, Kind.LOST)
    assert "login without CHAP for iqn.c" in said(made, Kind.EXTENSION)
    for part in ("mutual user other", "user ann of iqn.e"):
        assert part in lost


@pytest.mark.parametrize(("disk", "said_of_it"), [
    (Disk(Store.MEMORY, size=1), "ramdisk"),
    (Disk(Store.FOREIGN, detail="pass-through 1:0:0:0"), "pass-through 1:0:0:0"),
    (Disk(Store.FILE, "/srv/a,b.img"), "path"),
    (Disk(Store.FILE, "relative.img"), "absolute path"),
    (Disk(Store.FILE, "/srv/a.img", block_size=520), "blocks of 520 bytes"),
])
def test_disks_that_cannot_be(disk: Disk, said_of_it: str) -> None:
    made = written(Target(NAME, (Lun(3, disk, span=HERE),), (OPEN,)))
    assert said_of_it in said(made, Kind.LOST)
    assert not any(line.startswith("Lun") for line in lines(made))
    assert str(next(note for note in made.notes if note.kind is Kind.LOST)).startswith("x.conf:3:1: lost: ")


def test_numbers_out_of_range_and_twice() -> None:
    made = written(Target(NAME, (Lun(16384, FILE), Lun(0, FILE), Lun(0, Disk(Store.NULL, size=4096))), (OPEN,)))
    assert said(made, Kind.LOST).count("LUN ") == 2


def test_a_null_disk_has_its_size_and_a_file_its_blocks() -> None:
    disks = Disk(Store.NULL, size=1 << 20, block_size=4096), Disk(Store.FILE, "/a", block_size=4096, removable=True)
    made = written(Target(NAME, tuple(Lun(number, disk) for number, disk in enumerate(disks)), (OPEN,)))
    assert lines(made)[1:] == [
        "Lun 0 Type=nullio,BlockSize=4096,Blocks=256", "Lun 1 Path=/a,Type=fileio,BlockSize=4096",
        "LunOption 1 Removable=Yes",
    ]


def test_direct_io_to_a_file_goes_through_the_cache() -> None:
    made = written(Target(NAME, (Lun(0, Disk(Store.DIRECT, "/srv/a.img")),), (OPEN,)))
    assert "Lun 0 Path=/srv/a.img,Type=fileio" in lines(made)
    assert "direct I/O to a file" in said(made, Kind.WARNING)


def test_secrets_with_blanks_stand_in_files_of_their_own() -> None:
    made = to_ietd(Source("lio", (Target(NAME, (), (OPEN,), (Account("joe", "two words"),)),)), "/tmp/out")
    (path,) = made.secret - {CONFIGURATION}
    assert f"IncomingUserFile joe /tmp/out/{path}" in lines(made)
    assert made.files[path] == "two words\n"
    assert "a password with a blank" in said(made, Kind.EXTENSION)


def test_secrets_are_in_no_note() -> None:
    made = written(Target(NAME, (), (OPEN,), (Account("joe", "hidden\nsecret"), Account("a b", "hidden-secret"))))
    assert said(made, Kind.LOST).count("user") == 2
    assert "hidden" not in "".join(map(str, made.notes))


@pytest.mark.parametrize(("discovery", "first"), [
    (Discovery((JOE,), Account("us", "our-secret-0001")), ["IncomingUser joe joe-secret-0001",
                                                           "OutgoingUser us our-secret-0001"]),
    (Discovery(), []),
])
def test_discovery(discovery: Discovery, first: list[str]) -> None:
    assert lines(written(discovery=discovery)) == first


def test_discovery_for_nobody_asks_for_what_nobody_knows() -> None:
    one, other = (loads(written(discovery=Discovery(closed=True)).files[CONFIGURATION]) for _ in range(2))
    assert one.discovery_incoming[0].secret != other.discovery_incoming[0].secret


def test_discovery_of_several_portal_groups_is_the_strictest() -> None:
    groups = PortalGroup(1, (Portal("192.0.2.1"),), discovery=Discovery()), PortalGroup(
        2, (Portal("192.0.2.2"),), discovery=Discovery((JOE,), networks=(ip_network("10.0.0.0/8"),), names=("iqn.a",))
    )
    made = written(portal_groups=groups)
    assert lines(made)[2:] == ["IncomingUser joe joe-secret-0001"]
    lost = said(made, Kind.LOST)
    assert "authentication per portal group" in lost
    assert lost.count("discovery for") == 2


def test_isns() -> None:
    made = written(isns=Isns("192.0.2.53", 3206, access_control=True))
    assert lines(made) == ["iSNSServer 192.0.2.53", "iSNSAccessControl Yes"]
    assert "port 3206" in said(made, Kind.LOST)


def test_portals_and_their_groups() -> None:
    one, two, both = Portal("192.0.2.1"), Portal("2001:db8::2", 3261), Portal("192.0.2.3")
    groups = PortalGroup(5, (one,)), PortalGroup(6, (two,))
    made = written(Target(NAME, (), (OPEN,), portal_groups=(6,)), Target(f"{NAME}2", (), (OPEN,)), portal_groups=groups)
    assert lines(made) == [
        "Portal 5 192.0.2.1:3260", "Portal 6 [2001:db8::2]:3261", f"Target {NAME}", "PortalGroups 6", f"Target {NAME}2",
    ]
    shared = PortalGroup(5, (one, both)), PortalGroup(6, (two, both))
    made = written(Target(NAME, (), (Grant(portal_groups=(6,)),), portal_groups=(5, 6)), portal_groups=shared)
    assert lines(made) == [
        "Portal 1 192.0.2.1:3260", "Portal 2 192.0.2.3:3260", "Portal 3 [2001:db8::2]:3261", f"Target {NAME}",
        "Initiator * PortalGroup=2,3",
    ]
    assert "of 2 portal groups" in said(made, Kind.WARNING)


def test_limits_and_keys_that_ietd_conf_has_not() -> None:
    keys = {"MaxRecvDataSegmentLength": "1048576", "RspTimeout": "60", "InitialR2T": "maybe"}
    made = written(Target(NAME, (), (OPEN,), keys=keys, queued_commands=2048, nop_interval=15, threads=4))
    assert lines(made)[1:] == [
        "Wthreads 4", "QueuedCommands 256", "NOPInterval 15", "MaxRecvDataSegmentLength 1048576",
    ]
    lost = said(made, Kind.LOST)
    for part in ("RspTimeout 60", "InitialR2T maybe", "QueuedCommands 2048"):
        assert part in lost
    assert "MaxRecvDataSegmentLength above 262144" in said(made, Kind.EXTENSION)


def test_a_name_or_an_alias_that_no_line_can_say() -> None:
    made = written(Target("iqn.a b", (), (OPEN,)), Target(NAME, (), (OPEN,), alias="a\nTarget iqn.evil"))
    assert lines(made) == [f"Target {NAME}"]
    assert said(made, Kind.LOST).count("\n") == 1


def test_a_line_of_the_allow_file_is_not_too_long() -> None:
    names = tuple(f"iqn.2001-04.com.example:{number:0200}" for number in range(30))
    made = written(Target(NAME, (), (Grant(names),)))
    assert made.files[ALLOW] == f"{NAME} ALL\nALL ALL\n"
    assert not admits(made, HOST)


# -- whatever a source says -------------------------------------------------------------------------------------------


def read(made: Written) -> Configuration:
    return loads(made.files[CONFIGURATION])


@settings(max_examples=60, deadline=None)
@given(sources())
def test_what_is_written_is_read_without_a_mistake_and_never_opens(source: Source) -> None:
    made = to_ietd(source)
    found = {one.code for one in read(made).errors}
    assert found <= {"initiator-unreached", "same-secret-both-ways"}, made.files[CONFIGURATION]
    by_name = {target.name: target for target in source.targets}
    for target in read(made).targets:
        was = by_name[target.name]
        everybody = not target.initiators and not target.closed
        assert not everybody or was.open_to_all
        assert len(target.incoming) >= (1 if was.incoming and everybody else 0)


@settings(max_examples=40, deadline=None)
@given(sources())
def test_what_is_written_once_is_written_again(source: Source) -> None:
    """From ietd.conf and back: nothing is lost any more."""
    first = to_ietd(source)
    back = from_ietd(read(first), first.files.get(ALLOW))
    second = to_ietd(back)
    again = from_ietd(read(second), second.files.get(ALLOW))
    assert again.targets == back.targets
    assert again.portal_groups == back.portal_groups
