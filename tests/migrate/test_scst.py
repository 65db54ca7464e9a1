"""scst.conf: devices, targets, and who sees what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.migrate.model import OPEN, Account, Discovery, Grant, Isns, Kind, Source, Store, Target
from ietpy.migrate.scst import read_scst
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd

T = "iqn.2006-10.net.example:a"
DEVICES = """\
HANDLER vdisk_fileio {
    DEVICE one {
        filename /srv/one.img
        naa_id 0x6001405aabbccdd0
        usn S1
        thin_provisioned 1
    }
    DEVICE two {
        filename /srv/two.img
        o_direct 1
        write_through 1
        read_only 1
        blocksize 4096
    }
}
HANDLER vdisk_blockio {
    DEVICE block {
        filename /dev/vg/b
    }
}
HANDLER vdisk_nullio {
    DEVICE null {
        size_mb 2
    }
    DEVICE null2 {
        size 4096
    }
}
HANDLER vcdrom {
    DEVICE cd {
        filename /srv/cd.iso
    }
}
HANDLER dev_changer {
    DEVICE 1:0:0:0
}
HANDLER odd {
    DEVICE strange
}
"""


def source(inner: str = "", driver: str = "enabled 1", target: str = "enabled 1", more: str = "") -> Source:
    return read_scst(
        f"{DEVICES}{more}TARGET_DRIVER iscsi {{\n{driver}\nTARGET {T} {{\n{inner}\n{target}\n}}\n}}\n", "f"
    )


def one(inner: str = "", **more: str) -> Target:
    (found,) = source(inner, **more).targets
    return found


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


def test_devices() -> None:
    names = ("one", "two", "block", "null", "null2", "cd", "1:0:0:0", "strange")
    target = one("\n".join(f"LUN {number} {name}" for number, name in enumerate(names)))
    disks = [lun.disk for lun in target.luns]
    assert [disk.store for disk in disks] == [
        Store.FILE, Store.DIRECT, Store.DIRECT, Store.NULL, Store.NULL, Store.FOREIGN, Store.FOREIGN, Store.FOREIGN,
    ]
    assert [disk.detail for disk in disks[5:]] == [
        "virtual CD (cd) /srv/cd.iso", "pass-through 1:0:0:0 (changer)", "handler odd strange",
    ]
    assert [(disk.write_cache, disk.read_only, disk.block_size) for disk in disks[:3]] == [
        (True, False, 512), (False, True, 4096), (True, False, 512),
    ]
    assert [disk.size for disk in disks[3:5]] == [2 << 20, 4096]
    assert (disks[0].identity.serial, disks[0].unmap) == (b"S1", True)
    assert (disks[0].identity.designators or ())[0].hex() == "010300086001405aabbccdd0"


@pytest.mark.parametrize(("inner", "grants"), [
    ("LUN 0 one", (OPEN,)),
    ("", ()),
    ("LUN 0 one\nGROUP g {\nINITIATOR iqn.a\nINITIATOR iqn.b*\nLUN 0 two\n}",
     [(("iqn.a", "iqn.b*"), False), ("*", False)]),
    ("LUN 0 one\nGROUP g {\nINITIATOR iqn.*\nINITIATOR !iqn.x\nLUN 0 two\n}", [("iqn.x", False), ("iqn.*", False),
                                                                            ("*", False)]),
    ("GROUP g {\nINITIATOR iqn.*\nINITIATOR !iqn.x\nLUN 0 two\n}", [("iqn.x", True), ("iqn.*", False)]),
    ("LUN 0 one\nGROUP g {\nINITIATOR iqn.a\n}", [("iqn.a", True), ("*", False)]),
    ("GROUP g {\nLUN 0 one\n}", ()),
])
def test_who_sees_what(inner: str, grants: list[tuple[tuple[str, ...] | str, bool]] | tuple[Grant, ...]) -> None:
    found = one(inner).grants
    if isinstance(grants, tuple):
        assert found == grants
    else:
        assert [(grant.names if len(grant.names) > 1 else grant.names[0], grant.denies) for grant in found] == grants


def test_a_groups_luns_are_its_own() -> None:
    (group, rest) = one("LUN 0 one\nGROUP g {\nLUN 5 two {\nread_only 1\n}\nINITIATOR iqn.a\n}").grants
    assert [(lun.number, lun.disk.name, lun.read_only) for lun in group.luns or ()] == [(5, "two", True)]
    assert rest.luns is None


@pytest.mark.parametrize(("driver", "target", "enabled"), [
    ("enabled 1", "enabled 1", True), ("enabled 0", "enabled 1", False), ("", "enabled 1", False),
    ("enabled 1", "", False), ("enabled 1", "enabled 0", False),
])
def test_what_is_not_enabled_is_off(driver: str, target: str, enabled: bool) -> None:
    found = source("LUN 0 one", driver, target)
    assert found.targets[0].enabled is enabled
    assert ("Mode=none" in to_ietd(found).files[CONFIGURATION]) is not enabled


def test_accounts_discovery_and_isns() -> None:
    found = source('IncomingUser "joe a secret"\nOutgoingUser "us ours"\nIncomingUser bad',
                   'enabled 1\nIncomingUser "d ds"\nOutgoingUser o os\niSNSServer "192.0.2.53 AccessControl"')
    assert found.discovery == Discovery((Account("d", "ds"),), Account("o", "os"))
    assert found.isns == Isns("192.0.2.53", access_control=True)
    assert found.targets[0].incoming == (Account("joe", "a secret"), Account("bad", ""))
    assert found.targets[0].outgoing == Account("us", "ours")
    assert "it has no secret" in said(found, Kind.REFUSED)


def test_attributes_of_a_target() -> None:
    found = source('alias "VM disks"\nMaxSessions 8\nNopInInterval 15\nNopInTimeout x\nQueuedCommands 128\n'
                   "InitialR2T No\nRspTimeout 60\nallowed_portal 192.0.2.*\nOddity 1\nrel_tgt_id 2")
    (target,) = found.targets
    assert (target.alias, target.max_sessions, target.nop_interval, target.nop_timeout, target.queued_commands) == (
        "VM disks", 8, 15, 0, 128,
    )
    assert target.keys == {"InitialR2T": "No"}
    assert "RspTimeout" in said(found, Kind.LOST)
    assert "portal patterns: allowed_portal 192.0.2.*" in said(found, Kind.EXTENSION)
    for words in ("NopInTimeout", "Oddity"):
        assert words in said(found, Kind.WARNING)


@pytest.mark.parametrize(("patterns", "local"), [
    ((), []), (("*",), []), (("192.0.2.*", "*"), []), (("192.0.2.*",), ["192.0.2.0/24"]), (("192.*",), ["192.0.0.0/8"]),
    (("192.0.2.7", "2001:db8:*"), ["192.0.2.7/32", "2001:db8::/32"]), (("2001:db8::1",), ["2001:db8::1/128"]),
    (("1:2:3:4:5:6:7:*",), ["1:2:3:4:5:6:7:0/112"]), (("192.0.?.1",), ["192.0.2.255/32"]),
    (("*.1",), ["192.0.2.255/32"]), (("192.0.2.1*",), ["192.0.2.255/32"]), (("999.*",), ["192.0.2.255/32"]),
])
def test_own_addresses(patterns: tuple[str, ...], local: list[str]) -> None:
    found = source("LUN 0 one\n" + "\n".join(f"allowed_portal {pattern}" for pattern in patterns))
    assert [str(net) for net in found.targets[0].local] == local
    allow = to_ietd(found).files.get("targets.allow", "")
    assert bool(allow) is bool(local)
    assert not allow or allow.endswith("\nALL ALL\n")


@pytest.mark.parametrize(("value", "redirect"), [
    ('"192.0.2.9:3261 temp"', "192.0.2.9:3261"), ('"192.0.2.9 perm"', "192.0.2.9:3260"),
    ('"[2001:db8::1] temp"', "[2001:db8::1]:3260"), ('"[2001:db8::1]:3261"', "[2001:db8::1]:3261"), ('""', ""),
])
def test_redirections(value: str, redirect: str) -> None:
    assert one(f"redirect {value}").redirect == redirect


def test_what_is_wrong_or_lost_is_said() -> None:
    more = ("HANDLER vdisk_fileio {\nDEVICE one {\nblocksize x\ncluster_mode 1\nnv_cache 1\nnaa_id zz\n}\n}\nodd\n"
            "DEVICE_GROUP dg {\n}\nTARGET_DRIVER qla2x00t {\n}\nTARGET_DRIVER copy_manager {\n}\n")
    found = source("LUN 0 one\nLUN 0 two\nLUN x two\nLUN 4 missing", more=more)
    for words in ("one has no filename", "one defined twice", "LUN 0", "LUN x", "no device 'missing'"):
        assert words in said(found, Kind.REFUSED)
    for words in ("ALUA device group dg", "driver qla2x00t", "cluster_mode"):
        assert words in said(found, Kind.LOST)
    for words in ("nv_cache", "blocksize", "naa_id", "odd"):
        assert words in said(found, Kind.WARNING)
    assert "copy_manager" not in "".join(map(str, found.notes))


def test_a_target_twice_is_the_second() -> None:
    found = read_scst(f"TARGET_DRIVER iscsi {{\nTARGET {T} {{\nalias a\n}}\nTARGET {T} {{\nalias b\n}}\n}}\n", "f")
    assert [target.alias for target in found.targets] == ["b"]


LINES = st.sampled_from([
    "HANDLER vdisk_fileio {", "DEVICE a {", "filename /a", "}", "TARGET_DRIVER iscsi {", "TARGET iqn.a {", "LUN 0 a",
    "GROUP g {", "INITIATOR *", "INITIATOR !x", "enabled 1", "IncomingUser", "redirect x", "# {", "blocksize -1",
])


@given(st.lists(LINES, max_size=14))
def test_whatever_it_holds_it_is_read(lines: list[str]) -> None:
    assert to_ietd(read_scst("\n".join(lines), "f")).files
