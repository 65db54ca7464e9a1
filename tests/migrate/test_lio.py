"""LIO's saveconfig.json: what LIO did with it is what the model says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.lio import read_lio
from ietpy.migrate.model import Account, Discovery, Grant, Kind, Source, Store
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd

T = "iqn.2003-01.org.linux-iscsi.san:sn.1"
A, B = "iqn.1993-08.org.debian:01:a", "iqn.1998-01.com.vmware:b"
OBJECTS = [
    {"plugin": "fileio", "name": "one", "dev": "/srv/one.img", "size": 1 << 20, "write_back": True, "wwn": "0a-1b"},
    {"plugin": "block", "name": "two", "dev": "/dev/vg/two", "readonly": True, "attributes": {"block_size": 4096}},
    {"plugin": "ramdisk", "name": "ram", "size": 4096},
    {"plugin": "ramdisk", "name": "null", "size": 4096, "nullio": True},
    {"plugin": "pscsi", "name": "tape", "dev": "/dev/st0"},
]


def group(**more: Any) -> dict[str, Any]:
    luns = [{"index": 0, "storage_object": "/backstores/fileio/one"},
            {"index": 3, "storage_object": "/backstores/block/two"}]
    return {"tag": 1, "luns": luns, "portals": [{"ip_address": "0.0.0.0", "port": 3260}], **more}


def source(*groups: dict[str, Any], objects: Any = OBJECTS, **more: Any) -> Source:
    document = {"storage_objects": objects, "targets": [{"fabric": "iscsi", "wwn": T, "tpgs": [*groups]}], **more}
    return read_lio(json.dumps(document, indent=2), "saveconfig.json", lambda path: False)


def said(found: Source, kind: Kind) -> str:
    return "\n".join(map(str, (note for note in found.notes if note.kind is kind)))


def test_disks() -> None:
    luns = [{"index": number, "storage_object": f"/backstores/{each['plugin']}/{each['name']}"}
            for number, each in enumerate(OBJECTS)]
    (target,) = source(group(luns=luns)).targets
    disks = [lun.disk for lun in target.luns]
    assert [disk.store for disk in disks] == [Store.FILE, Store.DIRECT, Store.MEMORY, Store.NULL, Store.FOREIGN]
    assert [(disk.write_cache, disk.read_only, disk.block_size) for disk in disks[:2]] == [
        (True, False, 512), (False, True, 4096),
    ]
    assert disks[0].identity.serial == b"0a-1b\0"
    assert (disks[0].identity.designators or ())[0].hex() == "01030010" + "60014050a1b".ljust(32, "0")


@pytest.mark.parametrize(("attributes", "grants"), [
    ({"generate_node_acls": 1, "authentication": 0}, (Grant(read_only=True),)),
    ({"generate_node_acls": 1, "authentication": 0, "demo_mode_write_protect": 0}, (Grant(),)),
    ({"generate_node_acls": 1, "authentication": 1}, (Grant(denies=True),)),
    ({"generate_node_acls": 0, "authentication": 0}, ()),
    ({}, ()),
])
def test_who_gets_in_without_acls(attributes: dict[str, int], grants: tuple[Grant, ...]) -> None:
    found = source(group(attributes=attributes))
    assert found.targets[0].grants == grants
    assert said(found, Kind.WARNING)
    lines = to_ietd(found).files[CONFIGURATION]
    assert ("Mode=none" in lines) is (not grants or grants[0].denies)


def test_demo_mode_with_chap() -> None:
    attributes = {"generate_node_acls": 1, "authentication": 1, "demo_mode_write_protect": 0}
    (target,) = source(group(attributes=attributes, chap_userid="u", chap_password="p")).targets
    assert (target.grants, target.incoming) == ((Grant(),), (Account("u", "p"),))


def test_acls_have_their_own_luns_and_users() -> None:
    acls = [
        {"node_wwn": A, "chap_userid": "a", "chap_password": "sa", "chap_mutual_userid": "t",
         "chap_mutual_password": "st", "mapped_luns": [{"index": 7, "tpg_lun": 3, "write_protect": True},
                                                       {"index": 8, "tpg_lun": 9}]},
        {"node_wwn": B, "mapped_luns": [{"index": 0, "tpg_lun": 0}]},
        {"node_wwn": B + "2", "attributes": {"authentication": 0}, "mapped_luns": [{"index": 0, "tpg_lun": 0}]},
        {"mapped_luns": []},
    ]
    found = source(group(node_acls=acls, attributes={"authentication": 1}))
    one, two, three, four = found.targets[0].grants
    assert [(lun.number, lun.disk.name, lun.read_only) for lun in one.luns or ()] == [(7, "two", True)]
    assert (one.incoming, one.outgoing) == ((Account("a", "sa"),), Account("t", "st"))
    assert (two.denies, three.incoming, four.names) == (True, (), ())
    assert "has no TPG LUN 9" in said(found, Kind.REFUSED)
    assert "has no node_wwn" in said(found, Kind.REFUSED)


def test_without_authentication_secrets_do_not_count() -> None:
    acls = [{"node_wwn": A, "chap_userid": "a", "chap_password": "sa", "mapped_luns": [{"index": 0, "tpg_lun": 0}]}]
    found = source(group(node_acls=acls, attributes={"authentication": 0}))
    assert found.targets[0].grants[0].incoming == ()
    assert "without a secret" in said(found, Kind.WARNING)


def test_discovery() -> None:
    module = {"name": "iscsi", "discovery_userid": "d", "discovery_password": "ds", "userid": "x"}
    on = source(fabric_modules=[{**module, "discovery_enable_auth": True}, {"name": "qla2xxx"}])
    off = source(fabric_modules=[module])
    assert (on.discovery, off.discovery) == (Discovery((Account("d", "ds"),)), Discovery())
    assert "never applies it" in said(on, Kind.WARNING)
    empty = source(fabric_modules=[{"name": "iscsi", "discovery_enable_auth": True}])
    assert empty.discovery.closed


def test_one_portal_group_of_several() -> None:
    found = source(group(enable=False), group(tag=2), group(tag=3))
    assert said(found, Kind.LOST).count("portal group") == 2
    assert found.targets[0].enabled
    assert not source(group(enable=False)).targets[0].enabled
    assert not source().targets[0].enabled


def test_parameters_timers_and_depth() -> None:
    acls = [{"node_wwn": A, "attributes": {"nopin_timeout": 15, "nopin_response_timeout": 30}}]
    parameters = {"InitialR2T": "No", "TargetAlias": "A SAN", "IFMarker": "No", "AuthMethod": "CHAP", "Odd": "1"}
    found = source(group(node_acls=acls, parameters=parameters, attributes={"default_cmdsn_depth": 64, "t10_pi": 1}))
    (target,) = found.targets
    assert (target.keys, target.alias, target.queued_commands) == ({"InitialR2T": "No"}, "A SAN", 64)
    assert (target.nop_interval, target.nop_timeout) == (15, 15)
    assert "unknown parameter Odd" in said(found, Kind.REFUSED)
    assert "t10_pi" in said(found, Kind.LOST)


@pytest.mark.parametrize(("objects", "words"), [
    ([{"plugin": "fileio", "size": 1}], "storage object 0: it has no name"),
    ([{"plugin": "odd", "name": "a"}], "no plugin 'odd'"),
    ([{"plugin": "fileio", "name": "a", "dev": "/a", "size": 1, "surprise": 1}], "unknown key surprise"),
    ([{"plugin": "fileio", "name": "a", "dev": "/a"}], "neither size nor existing file"),
    ([{"plugin": "fileio", "name": "a", "dev": "/a", "size": 1}] * 2, "defined twice"),
])
def test_storage_objects_with_a_mistake_are_left_out(objects: list[Any], words: str) -> None:
    assert words in said(source(objects=objects), Kind.REFUSED)


@pytest.mark.parametrize(("change", "words"), [
    ({"luns": [{"index": 0, "storage_object": "/backstores/fileio/none"}]}, "none does not exist"),
    ({"luns": [{"storage_object": "/backstores/fileio/one"}]}, "no index"),
    ({"luns": [{"index": 0, "storage_object": "/backstores/fileio/one"}] * 2}, "LUN index 0 twice"),
    ({"portals": [{"ip_address": "here", "port": 3260}]}, "it is no address"),
    ({"portals": [{"ip_address": "0.0.0.0", "port": 99999}]}, "from 1 to 65535"),
])
def test_other_mistakes(change: dict[str, Any], words: str) -> None:
    found = source(group(**change))
    assert words in said(found, Kind.REFUSED)
    assert all(note.span.line > 1 for note in found.notes)


def test_targets_without_a_name_or_of_another_fabric_are_left_out() -> None:
    found = read_lio(json.dumps({"targets": [
        {"fabric": "iscsi"}, {"fabric": "loopback", "wwn": "naa.5"}, {"wwn": T, "tpgs": [group()]},
        {"wwn": T.upper(), "tpgs": [group()]},
    ]}), "f")
    assert [target.name for target in found.targets] == [T]
    assert (said(found, Kind.REFUSED).count("f:"), said(found, Kind.LOST).count("fabric loopback")) == (4, 1)


def test_alua_iser_protection_and_old_keys_are_said() -> None:
    objects = [{"plugin": "fileio", "name": "one", "dev": "/a", "size": 1, "buffered_mode": True,
                "attributes": {"pi_prot_type": 1}, "alua_tpgs": [{"name": "standby", "alua_access_state": 2}]}]
    found = source(group(portals=[{"ip_address": "192.0.2.1", "port": 3260, "iser": True}]), objects=objects)
    lost = said(found, Kind.LOST)
    for words in ("ALUA group standby", "iSER", "protection information"):
        assert words in lost
    assert "buffered_mode" in said(found, Kind.WARNING)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "storage_objects", "targets", "fabric_modules", "tpgs", "luns", "node_acls", "mapped_luns", "portals", "name",
        "plugin", "wwn", "attributes", "parameters", "index", "tpg_lun",
    ]), inner, max_size=4), max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["storage_objects", "targets", "fabric_modules"]), JSON))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(document: dict[str, Any]) -> None:
    try:
        to_ietd(read_lio(json.dumps(document), "f"))
    except ConfigError as error:
        places = {diagnostic.span.file for diagnostic in error.diagnostics}
        del error
        if places != {"f"}:
            pytest.fail(f"no place: {places}")
