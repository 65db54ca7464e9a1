"""``get`` and ``set``: every row, and what it makes of ietd.conf."""

from __future__ import annotations

import pytest

from ietpy.cli.shell import settings
from ietpy.cli.shell.tree import Kind
from tests.cli.shell.conftest import A, T, Typist, World

TPG = f"/iscsi/{T}/tpg1"
TARGET = f"/iscsi create {T}"
ACL = f"/iscsi/{T}/tpg1/acls create {A}"
DISK = ["/backstores/block create d /dev/sda", "/backstores/fileio create f /srv/f.img 1M"]
LUNS = [f"{TPG}/luns create /backstores/block/d", f"{TPG}/luns create /backstores/fileio/f"]


def lines(world: World) -> list[str]:
    return [line.strip() for line in world.served.splitlines()[1:]]


CASES = {
    "authentication=0 before there is an ACL": (
        [TARGET, f"{TPG} set attribute authentication=0"], ["Initiator nobody Address=0.0.0.0"]),
    "and behind it": ([TARGET, ACL, f"{TPG} set attribute authentication=0"], [f"Initiator {A}"]),
    "and back": (
        [TARGET, ACL, f"{TPG} set attribute authentication=0", f"{TPG} set attribute authentication=1"],
        [f"Initiator {A} Address=0.0.0.0"]),
    "demo mode, as people type it": (
        [TARGET, f"{TPG} set attribute generate_node_acls=1 cache_dynamic_acls=1 demo_mode_write_protect=0"
         " authentication=0"], ["Initiator *"]),
    "demo mode for reading": ([TARGET, f"{TPG} set attribute generate_node_acls=1 authentication=0"], [
        "Initiator * Mode=ro"]),
    "demo mode for writing at last": (
        [TARGET, f"{TPG} set attribute generate_node_acls=1 authentication=0",
         f"{TPG} set attribute demo_mode_write_protect=0"], ["Initiator *"]),
    "demo mode and no more": (
        [TARGET, f"{TPG} set attribute generate_node_acls=1 authentication=0",
         f"{TPG} set attribute generate_node_acls=0"],
        ["Initiator nobody Address=0.0.0.0"]),
    "keys": ([TARGET, f"{TPG} set parameter MaxBurstLength=65536 headerdigest=CRC32C,None TargetAlias=disk"], [
        "Initiator nobody Address=0.0.0.0", "HeaderDigest CRC32C,None", "MaxBurstLength 65536"]),
    "queued commands": ([TARGET, f"{TPG} set attribute default_cmdsn_depth=64"], [
        "Initiator nobody Address=0.0.0.0", "QueuedCommands 64"]),
    "a cache": ([*DISK, TARGET, *LUNS, "/backstores/fileio/f set attribute emulate_write_cache=1"], [
        "Initiator nobody Address=0.0.0.0", "Lun 0 Path=/dev/sda,Type=blockio",
        "Lun 1 Path=/srv/f.img,Type=fileio,IOMode=wb"]),
    "a cache of a device": ([*DISK, TARGET, *LUNS, "/backstores/block/d set attribute emulate_write_cache=1"], [
        "Initiator nobody Address=0.0.0.0", "Lun 0 Path=/dev/sda,Type=blockio", "LunOption 0 WriteCache=Yes",
        "Lun 1 Path=/srv/f.img,Type=fileio"]),
    "a mapped LUN to be read": (
        [*DISK, TARGET, *LUNS, f"{TPG} set attribute authentication=0", ACL,
         "mapped_lun1 set attribute write_protect=1"],
        [f"Initiator {A} Luns=0,1/ro", "Lun 0 Path=/dev/sda,Type=blockio", "Lun 1 Path=/srv/f.img,Type=fileio"]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_served(typed: Typist, world: World, name: str) -> None:
    script, expected = CASES[name]
    typed(*script)
    assert sorted(line for line in lines(world) if not line.startswith("Alias")) == sorted(expected)


def test_the_alias_is_written(typed: Typist, world: World) -> None:
    typed(TARGET, f"{TPG} set parameter TargetAlias=disk")
    assert typed(f"{TPG} get parameter TargetAlias") == ["TargetAlias=disk"]
    assert "Alias disk" in lines(world)


FIXED = [pytest.param(row, id=f"{row.kind.name}-{row.name}") for row in settings.SETTINGS if row.fixed]


@pytest.mark.parametrize("row", FIXED)
def test_what_cannot_be_set_says_what_holds(typed: Typist, row: settings.Setting) -> None:
    typed(*DISK, TARGET)
    place = {Kind.TPG: TPG, Kind.BACKSTORE: "/backstores/block/d"}[row.kind]
    assert typed(f"{place} get {row.group} {row.name}") == [f"{row.name}={row.fixed}"]
    assert typed(f"{place} set {row.group} {row.name}={row.fixed}") == []
    assert typed(f"{place} set {row.group} {row.name}=other") == [f"{row.name} stays {row.fixed}: {row.help}."]


@pytest.mark.parametrize("kind", {row.kind for row in settings.SETTINGS}, ids=lambda kind: kind.name)
def test_everything_can_be_got(typed: Typist, kind: Kind) -> None:
    typed(*DISK, TARGET, *LUNS, ACL)
    place = {
        Kind.TPG: TPG, Kind.BACKSTORE: "/backstores/block/d", Kind.ACL: f"{TPG}/acls/{A}", Kind.ISCSI: "/iscsi",
        Kind.ROOT: "/", Kind.MAPPED: f"{TPG}/acls/{A}/mapped_lun0",
    }[kind]
    for group in settings.groups(kind)[:-1] or ["global"]:
        names = [line.partition("=")[0] for line in typed(f"{place} get {group}")]
        assert names == sorted(row.name for row in settings.SETTINGS if (row.kind, row.group) == (kind, group))
        assert len(typed(f"{place} set {group}")) == len(names)


@pytest.mark.parametrize(("line", "sentence"), [
    ("set attribut authentication=0",
     "attribut is no group of a target portal group; there are attribute, parameter, auth, global"),
    ("/iscsi/ set auth userid=x", "auth is no group of iscsi; there are discovery_auth, global"),
    ("luns set attribute a=1", "attribute is no group of luns; there are global"),
    ("set attribute authentification=0",
     "authentification is no attribute that means anything to ietpy; did you mean authentication?"),
    ("set parameter zzz=1", None),
    ("set attribute authentication=maybe", "maybe is no value of authentication; write true or false, or 1 or 0"),
    ("set parameter MaxBurstLength=1", "1 is no value of MaxBurstLength; write a number from 512 to 16777215"),
    ("set parameter TargetAlias=\x1b", None),
    ("set attribute authentication", "authentication has no value; write set GROUP NAME=VALUE"),
    ("set attribute authentication=0 authentication=1", "authentication is given twice; leave one of them"),
])
def test_refusals(typed: Typist, line: str, sentence: str | None) -> None:
    typed(TARGET)
    assert sentence in (typed.refused(line), None)


def test_turning_it_off_says_what_it_means(typed: Typist, world: World) -> None:
    typed(TARGET, ACL, "set auth userid=joe password=secretsecret12")
    assert typed(f"{TPG} set attribute authentication=0") == [
        "Accounts are gone that nobody needs now: joe; until this shell ends authentication=1 has them again.",
        "Whoever knows an initiator's name of an ACL may use this target: nothing proves a name but CHAP.",
        "Attribute authentication is now '0'.",
    ]
    typed(f"{TPG} set attribute authentication=1")
    assert lines(world) == [f"Initiator {A} User=joe", "IncomingUser joe secretsecret12"]
    typed(f"{TPG} set attribute authentication=0", f"{TPG} set attribute generate_node_acls=1")
    assert typed(f"{TPG} set attribute authentication=0")[0] == "Everybody may use this target now."


def test_a_target_of_iet_that_is_open_can_be_closed(typed: Typist, world: World) -> None:
    world.served = f"Target {T}\n"
    assert typed(f"{TPG} get attribute generate_node_acls authentication demo_mode_write_protect") == [
        "generate_node_acls=1", "authentication=0", "demo_mode_write_protect=0"]
    typed(f"{TPG} set attribute demo_mode_write_protect=1")
    assert lines(world) == ["Initiator * Mode=ro"]
    typed(f"{TPG} set attribute authentication=1")
    assert lines(world) == ["Initiator * Address=0.0.0.0,Mode=ro"]
    assert typed(f"{TPG} set attribute generate_node_acls=0")[0] == (
        "Only initiators with an ACL may log in from now on; sessions go on.")
    assert lines(world) == ["Initiator nobody Address=0.0.0.0"]
