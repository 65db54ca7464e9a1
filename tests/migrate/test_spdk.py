"""SPDK's save_config."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.model import OPEN, Account, Discovery, Grant, Kind, Source, Store
from ietpy.migrate.spdk import read_spdk
from ietpy.migrate.to_ietd import to_ietd

AIO = ("bdev_aio_create", {"name": "aio", "filename": "/dev/a", "block_size": 4096})
MALLOC = ("bdev_malloc_create", {"name": "mem", "num_blocks": 8, "block_size": 512})
NULL = ("bdev_null_create", {"name": "null", "num_blocks": 8, "block_size": 4096})
NVME = ("bdev_nvme_create", {"name": "nvme"})
PORTALS = ("iscsi_create_portal_group", {"tag": 1, "portals": [{"host": "192.0.2.1", "port": "3260"}]})
ANYBODY = ("iscsi_create_initiator_group", {"tag": 1, "initiators": ["ANY"], "netmasks": ["ANY"]})
SOME = ("iscsi_create_initiator_group", {
    "tag": 2, "initiators": ["!iqn.bad", "iqn.x"], "netmasks": ["192.0.2.0/24", "odd"]})
NOWHERE = ("iscsi_create_initiator_group", {"tag": 3, "initiators": ["ANY"], "netmasks": []})
AUTH = ("iscsi_create_auth_group", {"tag": 5, "secrets": [
    {"user": "u", "secret": "us", "muser": "m", "msecret": "ms"}, {"user": "v", "secret": "vs"}]})


def node(**more: Any) -> tuple[str, dict[str, Any]]:
    return "iscsi_create_target_node", {
        "name": "disk1", "pg_ig_maps": [{"pg_tag": 1, "ig_tag": 1}], "luns": [{"bdev_name": "aio", "lun_id": 0}], **more
    }


def source(*calls: tuple[str, dict[str, Any]]) -> Source:
    config = [{"method": method, "params": params} for method, params in calls]
    return read_spdk(json.dumps({"subsystems": [{"subsystem": "iscsi", "config": config}]}), "f")


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


def test_a_target() -> None:
    found = source(AIO, PORTALS, ANYBODY, node(alias_name="A", queue_depth=64, header_digest=True),
                   ("iscsi_set_options", {"node_base": "iqn.base", "initial_r2t": False, "first_burst_length": 8192,
                                          "nop_in_interval": 30}))
    (one,) = found.targets
    assert (one.name, one.alias, one.queued_commands, one.nop_interval) == ("iqn.base:disk1", "A", 64, 30)
    assert one.grants == (OPEN,)
    assert one.keys == {"FirstBurstLength": "8192", "HeaderDigest": "CRC32C", "InitialR2T": "No"}
    assert [str(portal) for portal in found.portals_of(one)] == ["192.0.2.1:3260"]
    assert (one.luns[0].disk.path, one.luns[0].disk.block_size) == ("/dev/a", 4096)


def test_disks() -> None:
    luns = [{"bdev_name": name} for name in ("aio", "mem", "null", "nvme", "gone")]
    found = source(AIO, MALLOC, NULL, NVME, PORTALS, ANYBODY, node(luns=luns))
    assert [lun.disk.store for lun in found.targets[0].luns] == [
        Store.DIRECT, Store.MEMORY, Store.NULL, Store.FOREIGN,
    ]
    assert found.targets[0].luns[2].disk.size == 32768
    assert "no bdev 'gone'" in said(found, Kind.REFUSED)


def test_rules() -> None:
    maps = [{"pg_tag": 1, "ig_tag": tag} for tag in (2, 3, 9)]
    found = source(PORTALS, SOME, NOWHERE, node(pg_ig_maps=maps))
    assert found.targets[0].grants == (
        Grant(("iqn.bad",), portal_groups=(1,), denies=True),
        Grant(("iqn.x",), (ip_network("192.0.2.0/24"),), (1,)),
    )
    assert "netmask odd" in said(found, Kind.REFUSED)
    assert said(found, Kind.WARNING).count("it lets nobody in") == 2


def test_accounts() -> None:
    users, first = (Account("u", "us"), Account("v", "vs")), Account("m", "ms")
    for words, incoming, outgoing in (
        ({"chap_group": 5, "require_chap": True}, users, first), ({"chap_group": 5}, users, first),
        ({"chap_group": 5, "disable_chap": True}, (), None), ({}, (), None),
        ({"require_chap": True, "chap_group": 6}, (Account("nobody", ""),), None),
    ):
        (one,) = source(AUTH, PORTALS, ANYBODY, node(**words)).targets
        assert (one.incoming, one.outgoing) == (incoming, outgoing), words


def test_discovery() -> None:
    for words, discovery in (
        ({"chap_group": 5, "require_chap": True},
         Discovery((Account("u", "us"), Account("v", "vs")), Account("m", "ms"))),
        ({}, Discovery()), ({"chap_group": 6, "require_chap": True}, Discovery(closed=True)),
    ):
        assert source(AUTH, ("iscsi_set_options", words)).discovery == discovery


def test_what_cannot_be_is_said() -> None:
    portals = ("iscsi_create_portal_group", {"tag": 1, "portals": [{"host": "here", "port": 1}], "private": True})
    found = source(portals, ANYBODY, node(), node(name=""), node())
    assert [target.name for target in found.targets] == ["iqn.2016-06.io.spdk:disk1"]
    for words in ("portal here:1", "private portal group"):
        assert words in said(found, Kind.LOST)
    assert said(found, Kind.REFUSED).count("target") == 2


VALUES = st.one_of(
    st.none(), st.integers(-1, 3), st.text(max_size=2), st.booleans(), st.lists(st.integers(), max_size=1)
)
CALLS = st.tuples(
    st.sampled_from([method for method, _ in (AIO, NULL, PORTALS, ANYBODY, AUTH, node())] + ["iscsi_set_options"]),
    st.dictionaries(st.sampled_from([
        "name", "tag", "portals", "initiators", "netmasks", "secrets", "luns", "pg_ig_maps", "block_size", "chap_group",
        "require_chap", "queue_depth", "initial_r2t",
    ]), VALUES, max_size=4),
)


@given(st.lists(CALLS, max_size=5))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(calls: list[tuple[str, dict[str, Any]]]) -> None:
    found: Any = None
    try:
        found = to_ietd(source(*calls))
    except ConfigError as error:
        found = [one for one in error.diagnostics if one.span.file == "f"]
    assert found
