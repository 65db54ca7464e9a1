"""``create`` and ``delete``: what is typed, and the lines of ietd.conf that come of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ietpy.cli.shell.book import Backstore
from ietpy.cli.shell.turn import Found
from ietpy.config.load import loads
from tests.cli.shell.conftest import A, B, T, Typist, World, session

Served = Callable[..., list[str]]

DISK = "/backstores/block create d /dev/sda"
FILE = "/backstores/fileio create f /srv/f.img 10M"
TARGET = f"/iscsi create {T}"
OPEN = f"/iscsi/{T}/tpg1 set attribute authentication=0"
LUN = f"/iscsi/{T}/tpg1/luns create /backstores/block/d"
LUN2 = f"/iscsi/{T}/tpg1/luns create /backstores/fileio/f"
LUNS = f"/iscsi/{T}/tpg1/luns"
GROUPS = "portal groups of ietd.conf (Portal, PortalGroups) part portals, see tpg1/portals"
ACL = f"/iscsi/{T}/tpg1/acls create {A}"

#: What is typed, and what is served then.
CASES = {
    "a target that nobody may use": ([TARGET], [f"Target {T}", "Initiator nobody Address=0.0.0.0"]),
    "a target without a name": (["/iscsi create"], [
        "Target iqn.2010-06.host:sn-1", "Initiator nobody Address=0.0.0.0"]),
    "a backstore is no line": ([DISK], []),
    "LUNs": ([DISK, FILE, TARGET, LUN, LUN2], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0", "Lun 0 Path=/dev/sda,Type=blockio",
        "Lun 1 Path=/srv/f.img,Type=fileio"]),
    "a LUN with a number": ([DISK, TARGET, f"{LUN} lun=7"], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0", "Lun 7 Path=/dev/sda,Type=blockio"]),
    "a LUN that is cached": (["/backstores/fileio create f /srv/f.img 1M write_back=true", TARGET, LUN2], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0", "Lun 0 Path=/srv/f.img,Type=fileio,IOMode=wb"]),
    "a LUN that is read": (["/backstores/block create d /dev/sda readonly=true", TARGET, LUN], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0", "Lun 0 Path=/dev/sda,Type=blockio,IOMode=ro"]),
    "a LUN of a disk": ([TARGET, f"{LUNS} create /dev/sdb", f"{LUNS} create /srv/a.img"], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0", "Lun 0 Path=/dev/sdb,Type=blockio",
        "Lun 1 Path=/srv/a.img,Type=fileio"]),
    "a LUN less": ([DISK, FILE, TARGET, LUN, LUN2, "../ delete lun0"], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0", "Lun 1 Path=/srv/f.img,Type=fileio"]),
    "an ACL that waits for credentials": ([DISK, TARGET, LUN, ACL], [
        f"Target {T}", f"Initiator {A} Address=0.0.0.0", "Lun 0 Path=/dev/sda,Type=blockio"]),
    "an ACL without authentication": ([TARGET, OPEN, ACL], [f"Target {T}", f"Initiator {A}"]),
    "the last ACL goes": ([TARGET, OPEN, ACL, f"../ delete {A}"], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0"]),
    "an ACL goes with its account": ([TARGET, ACL, "set auth userid=u password=secretsecret", f"../ delete {A}"], [
        f"Target {T}", "Initiator nobody Address=0.0.0.0"]),
    "an account of two ACLs stays with the second": (
        [TARGET, ACL, "set auth userid=u password=secretsecret", f"../ create {B}",
         "set auth userid=u password=secretsecret", f"../ delete {A}"],
        [f"Target {T}", f"Initiator {B} User=u", "IncomingUser u secretsecret"]),
    "an ACL in front of a pattern": ([TARGET, OPEN, "acls create iqn.1993-08.org.debian:*", f"../ create {A}"], [
        f"Target {T}", f"Initiator {A}", "Initiator iqn.1993-08.org.debian:*"]),
    "an ACL without LUNs": ([DISK, TARGET, LUN, OPEN, f"{ACL} add_mapped_luns=false"], [
        f"Target {T}", f"Initiator {A} Luns=16383", "Lun 0 Path=/dev/sda,Type=blockio"]),
    "a mapped LUN": ([DISK, TARGET, LUN, OPEN, f"{ACL} add_mapped_luns=false", "create 5 0 write_protect=1"], [
        f"Target {T}", f"Initiator {A} Luns=5:0/ro", "Lun 0 Path=/dev/sda,Type=blockio"]),
    "a mapped LUN of a backstore": ([DISK, TARGET, OPEN, ACL, "create 3 /backstores/block/d"], [
        f"Target {T}", f"Initiator {A} Luns=3:0", "Lun 0 Path=/dev/sda,Type=blockio"]),
    "all LUNs mapped as they are": (
        [DISK, TARGET, LUN, OPEN, f"{ACL} add_mapped_luns=false", "create 0 lun0"],
        [f"Target {T}", f"Initiator {A} Luns=0", "Lun 0 Path=/dev/sda,Type=blockio"]),
    "a mapped LUN less": ([DISK, FILE, TARGET, LUN, LUN2, OPEN, ACL, "delete 0"], [
        f"Target {T}", f"Initiator {A} Luns=1", "Lun 0 Path=/dev/sda,Type=blockio",
        "Lun 1 Path=/srv/f.img,Type=fileio"]),
    "a new LUN for who had one": ([DISK, FILE, TARGET, LUN, OPEN, f"{ACL} add_mapped_luns=0", "create 1 0", LUN2], [
        f"Target {T}", f"Initiator {A} Luns=0:1,1:0", "Lun 0 Path=/dev/sda,Type=blockio",
        "Lun 1 Path=/srv/f.img,Type=fileio"]),
    "a new LUN for nobody": ([DISK, FILE, TARGET, LUN, OPEN, ACL, f"{LUN2} add_mapped_luns=false"], [
        f"Target {T}", f"Initiator {A} Luns=0", "Lun 0 Path=/dev/sda,Type=blockio",
        "Lun 1 Path=/srv/f.img,Type=fileio"]),
    "a LUN goes that was mapped": (
        [DISK, FILE, TARGET, LUN, LUN2, OPEN, f"{ACL} add_mapped_luns=0", "create 3 0", f"{LUNS} delete 0"],
        [f"Target {T}", f"Initiator {A} Luns=16383", "Lun 1 Path=/srv/f.img,Type=fileio"]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_served(served: Served, world: World, name: str) -> None:
    script, lines = CASES[name]
    assert served(*script) == lines
    assert not loads(world.served).errors or "Luns=16383" in world.served


@pytest.mark.parametrize(("script", "line", "sentence"), [
    ([], "/backstores/block create d", "create needs dev; write create name dev [readonly]"),
    ([], "/backstores/block create d /dev/x",
     "there is no /dev/x; name a block device, such as one below /dev/disk/by-id"),
    ([], "/backstores/block create d /srv/a.img",
     "/srv/a.img is no block device; /backstores/fileio create serves files"),
    ([], "/backstores/block create d /srv", "/srv is no block device"),
    ([], "/backstores/block create a/b /dev/sda",
     "'a/b' is no name of a backstore; write up to 64 letters, digits and any of _ . : -"),
    ([], "/backstores/block create .. /dev/sda",
     "'..' is no name of a backstore; write up to 64 letters, digits and any of _ . : -"),
    ([], "/backstores/block create d /dev/a,b",
     "ietd.conf cannot name a path with a comma in it; rename '/dev/a,b' to serve it"),
    ([DISK], "/backstores/block create d /dev/sdb",
     "there is a /backstores/block/d already, of /dev/sda; choose another name"),
    ([DISK], "/backstores/block create e /dev/sda", "/dev/sda is /backstores/block/d already; make LUNs of that"),
    ([], "/backstores/fileio create f /srv/new.img",
     "there is no /srv/new.img; give a size, such as 10G, and it is made"),
    ([], "/backstores/fileio create f /srv", "/srv is neither a file nor a block device; name one"),
    ([], "/backstores/fileio create f /srv/new.img 10X",
     "'10X' is not a size; give a whole number of bytes, or one with K, M, G or T, as in 10G"),
    ([], "/backstores/fileio create f /srv/new.img 1G sparse=maybe",
     "maybe is no value of sparse; write true or false, or 1 or 0"),
    ([DISK, TARGET, LUN], "/backstores/block delete d",
     f"/backstores/block/d is LUN 0 of {T}; /iscsi/{T}/tpg1/luns delete 0 comes first"),
    ([], "/backstores/block delete d",
     "there is no d below /backstores/block, nor anything else; ls / shows what there is"),
    ([], "/iscsi create foo",
     "foo is no iSCSI name; write one such as iqn.2001-04.com.example:storage.disk1, of at most"
     " 223 bytes"),
    ([TARGET], f"/iscsi create {T.upper()}", f"there is a target {T} already; cd /iscsi/{T} goes there"),
    ([TARGET], f"/iscsi/{T} create 2",
     f"a target has one TPG here, tpg1; {GROUPS}"),
    ([TARGET], f"/iscsi/{T} create",
     f"/iscsi/{T}/tpg1 exists already; {GROUPS}"),
    ([DISK, TARGET, LUN], f"{LUN} lun=0", f"{T} has a LUN 0 already; the next free one is 1"),
    ([DISK, TARGET], f"{LUN} lun=99999", "99999 is no LUN; write a number from 0 to 16383"),
    ([TARGET], f"/iscsi/{T}/tpg1/luns create /backstores/block/d",
     "there is no d below /backstores/block, nor anything else; ls / shows what there is"),
    ([TARGET], f"/iscsi/{T}/tpg1/luns create /srv", "there is no srv below /; there are backstores, iscsi"),
    ([TARGET], f"/iscsi/{T}/tpg1/luns create /iscsi",
     "/iscsi is iscsi, no backstore; write a path such as /backstores/block/NAME"),
    ([TARGET], f"/iscsi/{T}/tpg1/luns delete 3",
     f"there is no lun3 below /iscsi/{T}/tpg1/luns, nor anything else; ls / shows what there is"),
    ([TARGET], f"/iscsi/{T}/tpg1/acls create *",
     f"* is everybody; /iscsi/{T}/tpg1 set attribute generate_node_acls=1 has"
     " everybody log in without an ACL"),
    ([TARGET], f"/iscsi/{T}/tpg1/acls create 192.0.2.1", "192.0.2.1 is no iSCSI name; write one such as"
     " iqn.2001-04.com.example:storage.disk1, of at most 223 bytes"),
    ([TARGET], f"/iscsi/{T}/tpg1/acls create iqn.2001-04.com.example:a%*",
     "iqn.2001-04.com.example:a%* is no initiator's name; it has letters, digits and any of . : - only"),
    ([TARGET, ACL], f"../ create {A}", f"there is an ACL {A} already; cd /iscsi/{T}/tpg1/acls/{A} goes there"),
    ([TARGET, ACL], "create 0 0",
     f"there is no lun0 below /iscsi/{T}/tpg1/luns, nor anything else; ls / shows what there is"),
    ([DISK, TARGET, LUN, ACL], "create 0 0", f"{A} has a mapped LUN 0 already; delete 0 comes first"),
    ([DISK, TARGET, LUN, ACL], "create 1 0", f"{A} has LUN 0 already; in ietd.conf an initiator has each LUN once"),
    ([TARGET, ACL], "delete 4",
     f"there is no mapped_lun4 below /iscsi/{T}/tpg1/acls/{A}, nor anything else; ls / shows what there is"),
    ([TARGET], "portals create 192.0.2.1 99999",
     "99999 is no port; write a number from 1 to 65535, 3260 being the usual one"),
    ([TARGET], "portals create 1.2.3",
     "1.2.3 is no address and no interface; write one such as 192.0.2.1, [2001:db8::1] or 0.0.0.0"),
    ([TARGET], "portals create 192.0.2.1",
     "0.0.0.0:3260 is listened on already, which has addresses in common with 192.0.2.1:3260; delete that portal below"
     " the targets that have it, or choose another port"),
    ([TARGET], "portals delete 192.0.2.1",
     f"there is no 192.0.2.1:3260 below /iscsi/{T}/tpg1/portals; did you mean 0.0.0.0:3260?"),
])
def test_refusals(typed: Typist, script: list[str], line: str, sentence: str) -> None:
    typed(*script)
    assert typed.refused(line) == sentence


def test_a_disk_of_a_lun_gets_a_name(typed: Typist, world: World) -> None:
    typed("/backstores/fileio create a /srv/f.img 1M", TARGET)
    assert typed(f"{LUNS} create /srv/a.img") == ["Created storage object /backstores/fileio/a-2.", "Created LUN 0."]
    assert [one.name for one in world.book.backstores] == ["a", "a-2"]


def test_an_image_is_made_when_it_is_missing(typed: Typist, world: World) -> None:
    assert typed("/backstores/fileio create f new.img 10GB") == ["Created fileio f with size 10737418240"]
    assert world.there["/cwd/new.img"] == Found("file", 10 << 30)
    assert world.book.backstores == (Backstore("fileio", "f", "/cwd/new.img"),)


def test_an_image_that_is_there_is_taken_as_it_is(typed: Typist) -> None:
    assert typed("/backstores/fileio create f /srv/a.img 10G write_back=yes") == [
        "/srv/a.img exists, using its size (3145728 bytes) instead",
        "Created fileio f with size 3145728",
        "Its LUNs answer writes before they are on the disk (IOMode=wb): initiators flush what must last.",
    ]


def test_create_leads_to_what_it_made_as_in_the_founding_text(typed: Typist) -> None:
    typed("cd backstores/block", "create md_block0 /dev/sda")
    assert typed.shell.path == "/backstores/block/md_block0"
    typed("cd /iscsi", f"create {T}")
    assert typed.shell.path == f"/iscsi/{T}/tpg1"
    typed("cd luns", "create /backstores/block/md_block0")
    assert typed.shell.prompt == ".../tpg1/luns/lun0> "
    typed("cd ../../portals", "create", "cd ../../acls", f"create {A}")
    assert typed.shell.path == f"/iscsi/{T}/tpg1/acls/{A}"


def test_create_stays_where_it_is_if_asked(typed: Typist) -> None:
    typed("set global auto_cd_after_create=false", "/iscsi create")
    assert typed.shell.path == "/"


def test_a_target_in_use_is_deleted_by_force_alone(typed: Typist, world: World) -> None:
    typed(TARGET)
    world.who = [session(T, A)]
    assert typed.refused(f"/iscsi delete {T}") == (
        f"{T} is in use by {A} from 192.0.2.7; log out there, or delete {T} force=true ends the sessions"
    )
    assert typed(f"/iscsi delete {T} force=true") == [f"Deleted Target {T}."]
    assert world.ended == [(T, None, True)]
    assert "Target" not in world.served
    assert typed.shell.path == "/iscsi"


def test_who_has_no_acl_any_more_is_logged_out(typed: Typist, world: World) -> None:
    typed(TARGET, OPEN, ACL, f"../ create {B}")
    world.who = [session(T, A), session(T, B, 2)]
    assert typed(f"../ delete {A}") == [f"Deleted Node ACL {A}.", f"Ended 1 session of {A}."]
    assert [one.initiator for one in world.who] == [B]


def test_an_acl_for_a_target_that_is_open_leaves_it_so(typed: Typist, world: World) -> None:
    world.served = f"Target {T}\n    IncomingUser joe secretsecret\n"
    said = typed(f"/iscsi/{T}/tpg1/acls create {A}")
    assert said[-1] == (
        "Others may use the target as before: set attribute generate_node_acls=0 at the TPG ends that."
    )
    assert f"Initiator {A}\n    Initiator *\n" in world.served
    typed(f"/iscsi/{T}/tpg1 set attribute generate_node_acls=0")
    assert "Initiator *" not in world.served


PORTALS = {
    "the default one is there": ([TARGET, "portals create"], None, ()),
    "an address in its place": (
        [TARGET, "portals/ delete 0.0.0.0 3260", "portals/ create 192.0.2.1"], "Portal 1 192.0.2.1:3260", ()),
    "another port": ([TARGET, "portals/ create 0.0.0.0 3261"], "Portal 1 *,0.0.0.0:3261", ()),
    "none": ([TARGET, "portals/ delete 0.0.0.0:3260"], None, (2,)),
    "none and back": ([TARGET, "portals/ delete 0.0.0.0:3260", "portals/ create"], None, ()),
}


@pytest.mark.parametrize("name", PORTALS)
def test_portals(typed: Typist, world: World, name: str) -> None:
    script, line, groups = PORTALS[name]
    typed(*script)
    found = loads(world.served)
    assert [text for text in world.served.splitlines() if text.startswith("Portal ")] == ([line] if line else [])
    assert found.targets[0].portal_groups == groups


@pytest.mark.parametrize(("old", "new"), [("0.0.0.0:3260", "192.0.2.1:3260"), ("192.0.2.1:3260", "192.0.2.2:3260")])
def test_another_address_in_the_place_of_the_only_one(typed: Typist, world: World, old: str, new: str) -> None:
    world.served = f"Portal 1 {old}\n"
    typed(TARGET)
    assert typed(f"portals/ delete {old}")[-1] == (
        f"{old} is still listened on, for discovery: the daemon has no other portal.")
    address, _, port = new.partition(":")
    assert typed(f"portals/ create {address} {port}") == [
        f"{old}, by which no target was reached, is listened on no more.", f"Created network portal {new}."]
    assert world.served.startswith(f"Portal 1 {new}\n\nTarget")
    assert typed(f"../ create {address}") == [f"{T} is reached by {new} already."]


@pytest.mark.parametrize("port", ["\u00b2", "9" * 5000, "-1", "x"])
def test_ports_that_are_none(typed: Typist, port: str) -> None:
    typed(TARGET)
    typed.refused(f"portals/ delete 0.0.0.0 {port}")
    typed.refused(f"portals/ create 0.0.0.0 {port}")


def test_luns_that_hold_nothing_can_be_given_out_again(typed: Typist, world: World) -> None:
    world.served = f"Target {T}\n    Lun 0 Type=nullio,Blocks=8\n    Initiator {A} Luns=0\n"
    typed(f"/iscsi/{T}/tpg1/luns create /backstores/nullio/disk")
    assert "Lun 1 Type=nullio,Blocks=8" in world.served
    assert f"Initiator {A} Luns=0-1" in world.served


def test_a_mapped_lun_by_its_path(typed: Typist, world: World) -> None:
    typed(DISK, TARGET, LUN, OPEN, f"{ACL} add_mapped_luns=false", "create 2 ../../luns/lun0")
    assert f"Initiator {A} Luns=2:0" in world.served


@pytest.mark.parametrize(("line", "sentence"), [
    ("/backstores/block delete ../fileio", "../fileio is no backstore below /backstores/block"),
    (f"/iscsi delete {T}/tpg1", f"{T}/tpg1 is no target below /iscsi"),
])
def test_what_is_something_else(typed: Typist, line: str, sentence: str) -> None:
    typed(TARGET)
    assert typed.refused(line) == sentence


def test_ipv6(typed: Typist, world: World) -> None:
    typed(TARGET, "portals/ delete 0.0.0.0 3260", "portals/ create ::1", "../ create [2001:db8::1] 3261")
    assert world.served.startswith("Portal 1 [::1]:3260,[2001:db8::1]:3261\n")
    assert "Deleted network portal [2001:db8::1]:3261" in typed("../ delete 2001:db8::1 3261")
    assert "Deleted network portal [::1]:3260" in typed("/iscsi/*/tpg1/portals delete [::1]")
