"""saveconfig.json: what is in it for each thing a configuration may say, and what is said to be lost."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from ietpy.migrate import identities
from ietpy.migrate.model import (
    OPEN,
    Account,
    Discovery,
    Disk,
    Grant,
    Identity,
    Lun,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
)
from ietpy.migrate.to_lio import to_lio
from tests.migrate.sample import (
    ANN,
    BEN,
    JIM,
    JOE,
    LIO_DISK,
    NAME,
    NULL_DISK,
    PORTALS,
    SAMPLE,
    TGT_DISK,
    US,
    UUID,
    at,
    disk,
    notes,
    target,
    text,
)

CHANGED = (
    "it is written, but initiators find it changed: vendor, product, revision, VPD page 80h and VPD page 83h"
)
RO_FILE = replace(LIO_DISK, read_only=True)


def document(source: Source) -> dict[str, Any]:
    return json.loads(text(to_lio(source)))  # type: ignore[no-any-return]


def tpg(source: Source) -> dict[str, Any]:
    (one,) = document(source)["targets"]
    (group,) = one["tpgs"]
    return group  # type: ignore[no-any-return]


def test_the_sample() -> None:
    made = document(SAMPLE)
    assert made["fabric_modules"] == [{
        "name": "iscsi", "discovery_enable_auth": True, "discovery_userid": "finder",
        "discovery_password": "find-secret-1",
    }]
    assert [(one["name"], one["plugin"]) for one in made["storage_objects"]] == [
        ("disk0", "fileio"), ("b", "block"), ("disk", "ramdisk")
    ]
    assert made["storage_objects"][0] == {
        "name": "disk0", "plugin": "fileio", "dev": "/srv/a.img", "size": 1 << 30, "wwn": UUID, "write_back": True,
        "attributes": {"block_size": 512, "emulate_model_alias": 1, "emulate_write_cache": 1},
    }
    everybody, some, closed = (one["tpgs"][0] for one in made["targets"])
    assert everybody["attributes"] == {"authentication": 0, "generate_node_acls": 1, "demo_mode_write_protect": 0}
    assert everybody["luns"] == [
        {"index": 0, "storage_object": "/backstores/fileio/disk0"},
        {"index": 2, "storage_object": "/backstores/block/b"},
    ]
    assert everybody["portals"] == [
        {"ip_address": "192.0.2.1", "port": 3260, "iser": False, "offload": False},
        {"ip_address": "[2001:db8::1]", "port": 3261, "iser": False, "offload": False},
    ]
    assert some["attributes"] == {
        "authentication": 1, "generate_node_acls": 0, "demo_mode_write_protect": 1, "default_cmdsn_depth": 64
    }
    assert some["parameters"] == {
        "InitialR2T": "No", "MaxBurstLength": "262144", "IFMarker": "No", "TargetAlias": "some disks"
    }
    assert some["luns"] == [
        {"index": 1, "storage_object": "/backstores/fileio/disk0"},
        {"index": 2, "storage_object": "/backstores/block/b"},
    ]
    chap = {
        "chap_userid": "jim", "chap_password": "jim-secret-12", "chap_mutual_userid": "us",
        "chap_mutual_password": "our-secret-12",
    }
    keepalive = {"nopin_timeout": 10, "nopin_response_timeout": 5}
    two = [{"index": 5, "tpg_lun": 2, "write_protect": True}]
    assert some["node_acls"] == [
        {"node_wwn": ANN, "attributes": keepalive, **chap, "mapped_luns": [
            {"index": 1, "tpg_lun": 1, "write_protect": False}, {"index": 2, "tpg_lun": 2, "write_protect": False}
        ]},
        {"node_wwn": BEN, "attributes": keepalive, **chap, "tag": "two", "mapped_luns": two},
        {"node_wwn": BEN.replace("ben", "cat"), "attributes": keepalive, **chap, "tag": "two", "mapped_luns": two},
    ]
    assert closed["attributes"]["generate_node_acls"] == 0
    assert closed["node_acls"] == []
    assert notes(to_lio(SAMPLE)) == [
        "1 lost: the name server 192.0.2.53: LIO registers with none",
        f"4 lost: LUN 2 of open: {CHANGED}",
        "10 lost: MaxSessions of some: LIO counts none",
        "10 lost: the threads of some: LIO has its own",
        f"12 lost: LUN 2 of some: {CHANGED}",
        f"16 lost: LUN 5 of some: {CHANGED}",
        "17 lost: a rule of some about iqn.1991-05.com.microsoft:*: LIO knows whole names only; it lets nobody in",
        "18 lost: a rule of some about everybody from 192.0.2.0/24 and 2001:db8::/64: LIO knows no addresses of"
        " initiators; it lets nobody in",
        "21 warning: LUN 1 of closed: it is written, but what initiators called it is not known as a whole",
    ]


@pytest.mark.parametrize(("source", "parts", "lost"), [
    pytest.param(
        disk(TGT_DISK),
        {"plugin": "block", "dev": "/dev/vg0/b", "readonly": False, "write_back": False,
         "attributes": {"block_size": 4096, "emulate_model_alias": 1, "emulate_write_cache": 0, "emulate_tpu": 1}},
        [f"2 lost: LUN 1 of a: {CHANGED}"],
        id="a device",
    ),
    pytest.param(
        disk(TGT_DISK, identity=Identity(), read_only=True), {"readonly": True},
        ["2 warning: LUN 1 of a: it is written, but what initiators called it is not known as a whole"],
        id="a device that nobody may write",
    ),
    pytest.param(
        disk(LIO_DISK, path="/dev/sdb", block_size=None),
        {"attributes": {"emulate_model_alias": 1, "emulate_write_cache": 1}}, [], id="the device's own blocks",
    ),
    pytest.param(
        disk(LIO_DISK, identity=identities.lio("disk0", UUID, model_alias=False)),
        {"name": "disk0", "attributes": {"block_size": 512, "emulate_model_alias": 0, "emulate_write_cache": 1}}, [],
        id="no model alias",
    ),
    pytest.param(
        disk(LIO_DISK, store=Store.DIRECT), {"plugin": "fileio", "name": "disk0"},
        ["2 lost: access around the page cache to LUN 1 of a: LIO has that for devices alone"], id="a file, directly",
    ),
    pytest.param(
        disk(LIO_DISK, path="/dev/sdb", size=None), {"plugin": "fileio", "dev": "/dev/sdb"}, [], id="a device as a file"
    ),
    pytest.param(
        disk(LIO_DISK, size=None), {"dev": "/srv/a.img"},
        ["2 warning: the size of LUN 1 of a: it is not known, so the file must be there at the restore"],
        id="a size that is not known",
    ),
    pytest.param(
        disk(LIO_DISK, removable=True), {"name": "disk0"}, ["2 lost: the removable medium of LUN 1 of a: LIO has none"],
        id="removable",
    ),
    pytest.param(
        disk(LIO_DISK, store=Store.NULL, size=4096, unmap=False),
        {"plugin": "ramdisk", "nullio": True, "size": 4096,
         "attributes": {"block_size": 512, "emulate_model_alias": 1, "emulate_tpu": 0}},
        [], id="nothing behind it",
    ),
    pytest.param(
        disk(LIO_DISK, store=Store.MEMORY, size=None), {"plugin": "ramdisk", "size": 0}, [], id="memory"
    ),
])
def test_storage_objects(source: Source, parts: dict[str, Any], lost: list[str]) -> None:
    (made,) = document(source)["storage_objects"]
    assert {name: made.get(name) for name in parts} == parts
    assert ("nullio" in made) == ("nullio" in parts)
    assert ("size" in made) == (made["plugin"] == "ramdisk" or source.targets[0].luns[0].disk.size is not None)
    assert notes(to_lio(source)) == lost


@pytest.mark.parametrize("detail", ["a CD", ""])
def test_what_lio_cannot_have_is_left_out(detail: str) -> None:
    foreign = Disk(Store.FOREIGN, detail=detail)
    source = target(OPEN, Grant((ANN,)), luns=(Lun(1, foreign, span=at(2)), Lun(2, LIO_DISK)))
    assert [one["name"] for one in document(source)["storage_objects"]] == ["disk0"]
    assert tpg(source)["luns"] == [{"index": 2, "storage_object": "/backstores/fileio/disk0"}]
    assert notes(to_lio(source)) == [f"2 lost: LUN 1 of a: it is {detail or 'nothing LIO has'}, and left out"]
    closed = target(Grant((ANN,)), luns=source.targets[0].luns)
    assert tpg(closed)["node_acls"][0]["mapped_luns"] == [{"index": 2, "tpg_lun": 2, "write_protect": False}]


def test_a_serial_number_that_is_no_uuid_becomes_one_the_same_each_time() -> None:
    serials = [
        document(disk(LIO_DISK, identity=identity))["storage_objects"][0]["wwn"]
        for identity in (identities.tgt(1, 1), identities.tgt(1, 1), identities.tgt(1, 2), identities.lio("x", UUID))
    ]
    assert serials[0] == serials[1] != serials[2]
    assert serials[3] == UUID


@pytest.mark.parametrize(("name", "wwn"), [
    ("iqn.2001-04.com.example:A", "iqn.2001-04.com.example:a"),
    ("eui.0014051234567890", "eui.0014051234567890"),
    ("naa.5001405123456789", "naa.5001405123456789"),
    ("iqn.2001-04.com", None),
    ("iqn.2001-04.com.example:a_b", None),
    ("iqn.2001-04.com.example:a b", None),
    ("naa.3001405123456789", None),
    ("test", None),
])
def test_names_pass_rtslibs_tests_or_are_left_out(name: str, wwn: str | None) -> None:
    source = Source("ietd", (Target(name, (Lun(0, LIO_DISK),), (OPEN,), span=at(1)),), PORTALS)
    assert [one["wwn"] for one in document(source)["targets"]] == ([wwn] if wwn else [])
    found = notes(to_lio(source))
    if wwn is None:
        assert [line[:6] for line in found] == ["1 lost"]
    else:
        assert [line[:9] for line in found] == ["1 warning"] * (name != wwn)


PRIVATE = Grant((ANN,), incoming=(JOE,), outgoing=US)


@pytest.mark.parametrize(("source", "parts", "lost"), [
    pytest.param(
        target(OPEN, incoming=(JIM, JOE), outgoing=US),
        {"attributes": {"authentication": 1, "generate_node_acls": 1, "demo_mode_write_protect": 0},
         "chap_userid": "jim", "chap_password": "jim-secret-12",
         "chap_mutual_userid": "us", "chap_mutual_password": "our-secret-12"},
        [":0 lost: user joe of a: LIO has one user here, the first; who logs in as another no longer can"],
        id="everybody, by CHAP",
    ),
    pytest.param(
        target(replace(OPEN, read_only=True)),
        {"attributes": {"authentication": 0, "generate_node_acls": 1, "demo_mode_write_protect": 1}}, [],
        id="everybody, to read",
    ),
    pytest.param(
        target(OPEN, luns=(Lun(1, RO_FILE, span=at(2)), Lun(2, TGT_DISK, span=at(3)))),
        {"attributes": {"authentication": 0, "generate_node_acls": 1, "demo_mode_write_protect": 0},
         "luns": [{"index": 2, "storage_object": "/backstores/block/b"}]},
        ["2 lost: LUN 1 of a: LIO write protects all LUNs that everybody has, or none; this one is left out"],
        id="a file among others that everybody may only read",
    ),
    pytest.param(
        target(OPEN, luns=(Lun(1, replace(TGT_DISK, read_only=True), span=at(2)), Lun(2, LIO_DISK, span=at(3)))),
        {"attributes": {"authentication": 0, "generate_node_acls": 1, "demo_mode_write_protect": 0},
         "luns": [{"index": 1, "storage_object": "/backstores/block/b"},
                  {"index": 2, "storage_object": "/backstores/fileio/disk0"}]},
        [], id="a device among others guards itself",
    ),
    pytest.param(
        target(replace(OPEN, luns=(Lun(7, LIO_DISK, span=at(2)),)), luns=(Lun(1, NULL_DISK),)),
        {"luns": [{"index": 7, "storage_object": "/backstores/fileio/disk0"}]}, [], id="LUNs of everybody's own",
    ),
    pytest.param(
        target(Grant((ANN,), luns=(Lun(0, NULL_DISK, span=at(3)),)), OPEN),
        {"attributes": {"authentication": 0, "generate_node_acls": 0, "demo_mode_write_protect": 1},
         "luns": [{"index": 0, "storage_object": "/backstores/ramdisk/disk"},
                  {"index": 1, "storage_object": "/backstores/fileio/disk0"}]},
        ["11 lost: a rule of a about everybody: LIO would show everybody the LUNs of other rules, too; it lets nobody"
         " in"],
        id="a secret LUN closes the target to others",
    ),
    pytest.param(
        target(
            Grant((ANN,), luns=(Lun(5, NULL_DISK, span=at(3)),)), OPEN,
            luns=(Lun(0, LIO_DISK, span=at(2)), Lun(5, LIO_DISK, span=at(2))),
        ),
        {"attributes": {"authentication": 0, "generate_node_acls": 0, "demo_mode_write_protect": 1},
         "luns": [{"index": 0, "storage_object": "/backstores/fileio/disk0"},
                  {"index": 1, "storage_object": "/backstores/ramdisk/disk"},
                  {"index": 5, "storage_object": "/backstores/fileio/disk0"}]},
        ["11 lost: a rule of a about everybody: LIO would show everybody the LUNs of other rules, too; it lets nobody"
         " in"],
        id="a secret LUN by a number that everybody has for another",
    ),
    pytest.param(
        target(PRIVATE, OPEN),
        {"attributes": {"authentication": 1, "generate_node_acls": 0, "demo_mode_write_protect": 1}},
        ["11 lost: a rule of a about everybody: LIO asks everybody for CHAP once one rule does; it lets nobody in"],
        id="CHAP for one, and none for the others",
    ),
    pytest.param(
        target(Grant((ANN,), incoming=()), OPEN, incoming=(JIM,)),
        {"attributes": {"authentication": 1, "generate_node_acls": 1, "demo_mode_write_protect": 0},
         "node_acls": [{"node_wwn": ANN, "attributes": {"authentication": 0},
                        "mapped_luns": [{"index": 1, "tpg_lun": 1, "write_protect": False}]}],
         "chap_userid": "jim"},
        [], id="one without CHAP, and the others by it",
    ),
    pytest.param(
        target(Grant((ANN,), denies=True), OPEN, incoming=(JIM,)),
        {"attributes": {"authentication": 1, "generate_node_acls": 1, "demo_mode_write_protect": 0},
         "node_acls": [{"node_wwn": ANN, "attributes": {"authentication": 1}, "mapped_luns": []}],
         "chap_userid": "jim"},
        [], id="one who is turned away",
    ),
    pytest.param(
        target(Grant(("iqn.*",), denies=True), OPEN),
        {"attributes": {"authentication": 0, "generate_node_acls": 0, "demo_mode_write_protect": 1}, "node_acls": []},
        ["10 lost: a rule of a that turns away iqn.*: LIO knows whole names only; rules behind it that may be about the"
         " same let nobody in",
         "11 lost: a rule of a about everybody: a rule before it turns away iqn.*, and is not written; it lets nobody"
         " in"],
        id="a pattern that is turned away",
    ),
    pytest.param(
        target(OPEN, incoming=(Account("", "secret"), JIM), outgoing=Account("us", "")),
        {"attributes": {"authentication": 1, "generate_node_acls": 1, "demo_mode_write_protect": 0},
         "chap_userid": "jim", "chap_mutual_userid": None}, [], id="a user without a name",
    ),
    pytest.param(
        target(OPEN, incoming=(Account("jim", ""),)),
        {"attributes": {"authentication": 0, "generate_node_acls": 0, "demo_mode_write_protect": 1}},
        ["10 lost: a rule of a about everybody: its users have no name or no secret, which rtslib passes over; it lets"
         " nobody in"], id="a user without a secret",
    ),
    pytest.param(
        target(Grant((ANN,)), Grant(denies=True), OPEN),
        {"attributes": {"authentication": 0, "generate_node_acls": 0, "demo_mode_write_protect": 1}}, [],
        id="everybody else is turned away",
    ),
    pytest.param(
        target(Grant((ANN, ANN.upper())), Grant((ANN, BEN), read_only=True)),
        {"node_acls": [
            {"node_wwn": ANN, "attributes": {}, "mapped_luns": [{"index": 1, "tpg_lun": 1, "write_protect": False}]},
            {"node_wwn": BEN, "attributes": {}, "mapped_luns": [{"index": 1, "tpg_lun": 1, "write_protect": True}]},
        ]},
        [], id="the first rule about an initiator counts",
    ),
    pytest.param(
        target(OPEN, enabled=False, redirect="192.0.2.9:3260", keys={"X-key": "1"}), {"enable": False},
        ["1 lost: the redirection of a: LIO redirects nobody", "1 lost: X-key of a: LIO has no such parameter"],
        id="off, and redirected",
    ),
    pytest.param(
        target(Grant((ANN,), luns=(Lun(1, NULL_DISK), Lun(2, NULL_DISK)))),
        {"luns": [{"index": 0, "storage_object": "/backstores/ramdisk/disk"},
                  {"index": 1, "storage_object": "/backstores/fileio/disk0"}],
         "node_acls": [{"node_wwn": ANN, "attributes": {}, "mapped_luns": [
             {"index": 1, "tpg_lun": 0, "write_protect": False}, {"index": 2, "tpg_lun": 0, "write_protect": False}]}]},
        None, id="one disk by two numbers",
    ),
])
def test_a_portal_group(source: Source, parts: dict[str, Any], lost: list[str] | None) -> None:
    made = tpg(source)
    assert {name: made.get(name) for name in parts} == parts
    assert ("chap_userid" in made) == ("chap_userid" in parts)
    if lost is not None:
        assert [line for line in notes(to_lio(source)) if " not known" not in line and "changed" not in line] == [
            line.removeprefix(":") for line in lost
        ]


def test_portal_groups_are_groups_of_their_own() -> None:
    portals = Portal("*"), Portal("::", 3261), Portal("192.0.2.3")
    groups = (*(PortalGroup(tag, (portal,)) for tag, portal in enumerate(portals, 1)), PortalGroup(4))
    one = Target(f"{NAME}a", (Lun(1, LIO_DISK),), (Grant((ANN,), portal_groups=(1,)), OPEN), portal_groups=(1, 2, 4))
    (made,) = document(Source("ietd", (one,), groups))["targets"]
    assert [(group["tag"], len(group["node_acls"]), group["portals"][0]["ip_address"]) for group in made["tpgs"]] == [
        (1, 1, "[::0]"), (2, 0, "[::0]")
    ]


def test_where_no_portals_are_said() -> None:
    source = replace(target(OPEN), portal_groups=())
    assert tpg(source)["portals"] == [{"ip_address": "0.0.0.0", "port": 3260, "iser": False, "offload": False}]
    assert notes(to_lio(source)) == ["1 warning: the portals of a: none are said; 0.0.0.0:3260 is written"]


@pytest.mark.parametrize(("discovery", "modules", "lost"), [
    (Discovery(), [], []),
    (Discovery((Account("jim", ""),)), [{"name": "iscsi", "discovery_enable_auth": True}], []),
    (Discovery((JIM,), closed=True), [{"name": "iscsi", "discovery_enable_auth": True}], []),
    (
        Discovery((JIM, Account("joe", "x", at(5))), US, networks=(ip_network("192.0.2.0/24"),)),
        [{"name": "iscsi", "discovery_enable_auth": True, "discovery_userid": "jim",
          "discovery_password": "jim-secret-12", "discovery_mutual_userid": "us",
          "discovery_mutual_password": "our-secret-12"}],
        ["0 lost: who may discover: LIO tells everybody of what he may use",
         "5 lost: user joe of discovery: LIO has one, the first"],
    ),
])
def test_discovery(discovery: Discovery, modules: list[dict[str, Any]], lost: list[str]) -> None:
    source = Source("ietd", discovery=discovery)
    assert document(source) == {"fabric_modules": modules, "storage_objects": [], "targets": []}
    assert notes(to_lio(source)) == lost
