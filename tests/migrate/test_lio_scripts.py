"""lio-utils' start scripts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.lio_scripts import read_lio_scripts
from ietpy.migrate.model import Account, Grant, Kind, Source, Store
from ietpy.migrate.to_ietd import to_ietd

T = "iqn.2003-01.org.linux-iscsi.old:sn.1"
I = "iqn.1993-08.org.debian:01:a"  # noqa: E741
TPG = f"/sys/kernel/config/target/iscsi/{T}/tpgt_1"
TCM = """\
#!/bin/sh
modprobe target_core_mod
mkdir -p /sys/kernel/config/target/core/iblock_0/one
echo "udev_path=/dev/one" > /sys/kernel/config/target/core/iblock_0/one/control
echo -n "ab-cd" > /sys/kernel/config/target/core/iblock_0/one/wwn/vpd_unit_serial
echo 4096 > /sys/kernel/config/target/core/iblock_0/one/attrib/block_size
echo 1 > /sys/kernel/config/target/core/iblock_0/one/enable
tcm_node --fileio fileio_0/two /srv/two.img 1048576
tcm_node --setunitserialwithmd fileio_0/two ef-01
tcm_node --establishdev fileio_1/three fd_dev_name=/srv/three.img,fd_dev_size=4096,fd_buffered_io=1
tcm_node --ramdisk rd_mcp_0/ram 8
"""
LIO = f"""\
modprobe iscsi_target_mod
mkdir -p "{TPG}/np/192.0.2.1:3260"
mkdir -p "{TPG}/lun/lun_0"
ln -s /sys/kernel/config/target/core/iblock_0/one "{TPG}/lun/lun_0/lio_one"
lio_node --addlun={T} 1 1 two_port fileio_0/two
/usr/sbin/lio_node --addnp {T} 1 [2001:db8::1]:3261
echo No > "{TPG}/param/InitialR2T"
echo 1 > "{TPG}/attrib/authentication"
mkdir -p "{TPG}/acls/{I}/lun_0"
ln -s "{TPG}/lun/lun_1" "{TPG}/acls/{I}/lun_0/x"
echo 1 > "{TPG}/acls/{I}/lun_0/write_protect"
echo -n joe > "{TPG}/acls/{I}/auth/userid"
echo -n joe-secret > "{TPG}/acls/{I}/auth/password"
lio_node --addlunacl={T} 1 {I} 0 5
lio_node --enabletpg={T} 1
"""


def source(**texts: str) -> Source:
    return read_lio_scripts({f"{name}.sh": text for name, text in texts.items()}, lambda path: True)


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


def test_both_scripts_together() -> None:
    found = source(tcm_start=TCM, lio_start=LIO)
    (target,) = found.targets
    assert (target.name, target.enabled, target.keys) == (T, True, {"InitialR2T": "No"})
    assert [str(portal) for portal in found.portals_of(target)] == ["192.0.2.1:3260", "[2001:db8::1]:3261"]
    one, two = (lun.disk for lun in target.luns)
    assert (one.store, one.path, one.block_size, one.identity.serial) == (Store.DIRECT, "/dev/one", 4096, b"ab-cd\0")
    assert (two.store, two.path, two.size, two.identity.product) == (
        Store.FILE, "/srv/two.img", 1048576, b"FILEIO          ",
    )
    (grant,) = target.grants
    assert [(lun.number, lun.disk.path, lun.read_only) for lun in grant.luns or ()] == [
        (0, "/srv/two.img", True), (5, "/dev/one", False),
    ]
    assert (grant.names, grant.incoming) == ((I,), (Account("joe", "joe-secret"),))
    assert not said(found, Kind.LOST)
    assert str(target.luns[0].span) == "lio_start.sh:4:1"


@pytest.mark.parametrize(("lines", "grants"), [
    ("", ()),
    (f"lio_node --demomode {T} 1\nlio_node --disableauth {T} 1\n", (Grant(read_only=True),)),
    (f"lio_node --demomode {T} 1\nlio_node --disableauth {T} 1\n"
     f"lio_node --settpgattr {T} 1 demo_mode_write_protect 0\n", (Grant(),)),
    (f"lio_node --setchapauth {T} 1 {I} joe secret\nlio_node --setchapmutualauth {T} 1 {I} us ours\n",
     (Grant((I,), luns=(), incoming=(Account("joe", "secret"),), outgoing=Account("us", "ours")),)),
    (f"lio_node --addnodeacl {T} 1 {I}\n", (Grant((I,), denies=True),)),
])
def test_who_gets_in(lines: str, grants: tuple[Grant, ...]) -> None:
    found = source(a=f"lio_node --addtpg {T} 1\n{lines}lio_node --settpgparam {T} 1 TargetAlias X\n")
    assert (found.targets[0].grants, found.targets[0].alias, found.targets[0].enabled) == (grants, "X", False)


@pytest.mark.parametrize("line", [
    "rm -rf /", "echo 1 > /etc/passwd", "echo 1", "mkdir /tmp/x", "ln -s /a /b", "ln -s /a", 'echo "open', "$(reboot)",
    "tcm_node --block odd /dev/a", "tcm_node --setunitserial odd x", "lio_node --odd t 1", "tcm_node",
    f"lio_node --addlun {T} 1 x p iblock_0/a", f"lio_node --addlunacl {T} 1 {I} x y", f"ln -s /x {TPG}/np/y",
    "tcm_node --establishdev iblock_0/a odd=1", f"echo 1 > {TPG}/odd/x",
    "echo 1 > /sys/kernel/config/target/core/odd/x",
])
def test_lines_that_are_not_regular_are_lost_by_name(line: str) -> None:
    found = source(a=f"\n  {line}\n")
    assert "a.sh:2:3: lost: " in said(found, Kind.LOST)
    assert "no line as lio-utils writes it" in said(found, Kind.LOST)


@pytest.mark.parametrize("line", [
    "", "# note", "sleep 1", "mkdir -p /sys/kernel/config/target/iscsi", "mkdir /sys/kernel/config/target/core",
    "mkdir /sys/kernel/config/target/core/alua/lu_gps/x", "echo 1 > /sys/kernel/config/target/core/alua/x",
    "echo 1 > /sys/kernel/config/target/iscsi/discovery_auth/userid", f"echo 1 > {TPG}/acls/{I}/attrib/nopin_timeout",
    "lio_node --aluasecmd x", f"echo u > {TPG}/auth/userid", f"echo 1 > {TPG}/np/x/iser",
    "echo x > /sys/kernel/config/target/core/iblock_0/a/udev_path", "tcm_node --establishdev rd_mcp_0/a rd_pages=8",
])
def test_lines_that_say_nothing_more(line: str) -> None:
    assert not said(source(a=f"{line}\n"), Kind.LOST)


WORDS = st.sampled_from([
    "mkdir", "-p", "echo", ">", "ln", "-s", "tcm_node", "lio_node", "--addlun", "--addnp", "--block", T, "1", "0",
    "iblock_0/a", "/dev/a", f"{TPG}/lun/lun_0", f"{TPG}/acls/{I}/lun_1", f"{TPG}/np/x", f"{TPG}/enable", '"', "#",
    "/sys/kernel/config/target/core/iblock_0/a", "--addlunacl", I, "x",
])


@given(st.lists(st.lists(WORDS, max_size=7).map(" ".join), max_size=6))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(lines: list[str]) -> None:
    found: Any = None
    try:
        found = to_ietd(source(a="\n".join(lines)))
    except ConfigError as error:
        found = [one for one in error.diagnostics if one.span.file == "a.sh"]
    assert found
