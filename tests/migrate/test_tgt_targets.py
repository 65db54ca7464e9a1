"""What targets.conf means to tgt-admin and tgtd."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from ietpy.errors import ConfigError
from ietpy.migrate.model import OPEN, Account, Discovery, Grant, Isns, Kind, Source, Store, Target
from ietpy.migrate.tgt import Files
from ietpy.migrate.tgt_targets import PLACEHOLDER, read_tgt
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd

T = "iqn.2008-09.com.example:a"


def source(text: str) -> Source:
    return read_tgt("f", Files(lambda path: text, lambda pattern: []))


def target(inner: str) -> Target:
    (found,) = source(f"<target {T}>\n{inner}\n</target>\n").targets
    return found


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


@pytest.mark.parametrize(("inner", "luns"), [
    ("backing-store /b\nbacking-store /a", [(1, "/a"), (2, "/b")]),
    ("direct-store /a\nbacking-store /b", [(1, "/b"), (2, "/a")]),
    ("<backing-store /b>\nlun 1\n</backing-store>\n<backing-store /a>\n</backing-store>", [(2, "/a"), (1, "/b")]),
    ("<backing-store /b>\nlun 7\n</backing-store>\nlun 3", [(3, "/b")]),
    ("backing-store /a\nlun 5", [(5, "/a")]),
    ("backing-store NONE:\nbacking-store /a", [(1, "/a")]),
])
def test_numbers_of_luns(inner: str, luns: list[tuple[int, str]]) -> None:
    assert [(lun.number, lun.disk.path) for lun in target(inner).luns] == luns


def test_numbers_given_twice() -> None:
    found = source(f"<target {T}>\nbacking-store /a\nbacking-store /b\nlun 5\n</target>\n")
    assert [lun.disk.path for lun in found.targets[0].luns] == ["/a"]
    assert "tgtd refuses this one" in said(found, Kind.REFUSED)


@pytest.mark.parametrize(("inner", "store", "words"), [
    ("backing-store /a", Store.FILE, ""), ("backing-store /a\nbs-type aio", Store.DIRECT, ""),
    ("backing-store /a\nbsoflags direct", Store.DIRECT, ""), ("backing-store /a\nbs-type null", Store.NULL, ""),
    ("backing-store p/i\nbs-type rbd", Store.FOREIGN, "rbd p/i"), ("direct-store /dev/sdq", Store.DIRECT, ""),
    ("backing-store /a\ndevice-type cd", Store.FOREIGN, "cd /a"),
])
def test_kinds_of_stores(inner: str, store: Store, words: str) -> None:
    disk = target(inner).luns[0].disk
    assert (disk.store, disk.detail) == (store, words)


def test_options_of_a_store_and_of_its_target() -> None:
    inner = ("write-cache off\nblock-size 4096\n<backing-store /a>\nreadonly 1\nremovable 1\nscsi_sn S1\n"
             "vendor_id V\nwrite-cache on\n</backing-store>\n<backing-store /b>\n</backing-store>")
    one, two = (lun.disk for lun in target(inner).luns)
    assert (one.write_cache, one.read_only, one.removable, one.block_size) == (True, True, True, 4096)
    assert (two.write_cache, two.read_only, two.removable, two.block_size) == (False, False, False, 4096)
    assert (one.identity.vendor, one.identity.serial) == (b"V       ", b"S1".rjust(36))


def test_names_of_disks_follow_the_numbers_of_targets() -> None:
    """As the real tgt-admin gives them: by name, and after an own number the next."""
    found = source("<target iqn.b>\nbacking-store /a\n</target>\n<target iqn.a>\nbacking-store /b\n</target>\n"
                   "<target iqn.c>\ncontroller_tid 7\nbacking-store /c\n</target>\n"
                   "<target iqn.d>\nbacking-store /d\n</target>\n")
    serials = {each.name: (each.luns[0].disk.identity.serial or b"").strip() for each in found.targets}
    assert serials == {"iqn.a": b"beaf11", "iqn.b": b"beaf21", "iqn.c": b"beaf71", "iqn.d": b"beaf81"}
    assert not said(found, Kind.REFUSED)


def test_a_number_that_is_taken() -> None:
    found = source("<target iqn.a>\ncontroller_tid 2\n</target>\n<target iqn.b>\ncontroller_tid 1\n</target>\n"
                   "<target iqn.c>\n</target>\n")
    assert "number 2 of iqn.c: another target has it" in said(found, Kind.REFUSED)


@pytest.mark.parametrize(("inner", "cached", "lost"), [
    ("", True, False), ("write-cache off", False, False),
    ("mode_page 8:0:18:0x10:0:0xff", False, False), ("mode_page 0x08:0:18:0x14:0\nwrite-cache off", True, False),
    ("mode_page 8:0:18:20", True, False), ("mode_page 8:0:18:0x10\nmode_page 8:0:18:4", True, False),
    ("mode_page 0x0a:0:10:2:0x10", True, True), ("mode_page 8:0:18:0x10:0\nmode_page 0x0a:0:10:2", False, True),
    ("mode_page 8:1:18:0", True, True), ("mode_page 8", True, True),
])
def test_the_caching_mode_page_says_whether_writes_are_cached(inner: str, cached: bool, lost: bool) -> None:
    found = source(f"<target {T}>\nbacking-store /a\n{inner}\n</target>\n")
    assert found.targets[0].luns[0].disk.write_cache is cached
    assert ("mode pages" in said(found, Kind.LOST)) is lost


@pytest.mark.parametrize(("inner", "unmap", "lost"), [
    ("", None, False), ("params thin_provisioning=1", True, False), ('params "thin_provisioning=1"', True, False),
    ("params thin_provisioning=1\nparams x=1", True, True), ("params x=1", None, True),
])
def test_thin_provisioning(inner: str, unmap: bool | None, lost: bool) -> None:
    found = source(f"<target {T}>\nbacking-store /a\n{inner}\n</target>\n")
    assert found.targets[0].luns[0].disk.unmap is unmap
    assert ("params of LUN" in said(found, Kind.LOST)) is lost


def test_a_direct_store_has_the_disks_names() -> None:
    identity = target("direct-store /dev/sdq\nvendor_id V").luns[0].disk.identity
    assert (identity.vendor, identity.product, identity.serial) == (b"V       ", None, None)


@pytest.mark.parametrize(("inner", "grants"), [
    ("", (OPEN,)),
    ("initiator-address ALL", (OPEN,)),
    ("initiator-name iqn.x", (OPEN,)),
    ("initiator-address 192.0.2.0/24\ninitiator-name iqn.x",
     (Grant(networks=(ip_network("192.0.2.0/24"),)), Grant(("iqn.x",)))),
    ("initiator-name 2001:db8::/64", (Grant(networks=(ip_network("2001:db8::/64"),)),)),
    ("initiator-address host", ()),
])
def test_who_gets_in(inner: str, grants: tuple[Grant, ...]) -> None:
    assert target(inner).grants == grants


def test_a_rule_that_restricts_nobody_is_said_so() -> None:
    assert "names alone restrict nobody" in said(source(f"<target {T}>\ninitiator-name x\n</target>"), Kind.WARNING)


def test_accounts_are_one_table() -> None:
    found = source("incomingdiscoveryuser joe one\noutgoingdiscoveryuser us ours\n"
                   f"<target {T}>\nincominguser joe two\nincominguser jim \"a b\"\noutgoinguser t1 s\n"
                   "outgoinguser t2 s\n"
                   "</target>\n")
    assert found.discovery == Discovery((Account("joe", "one"),), Account("us", "ours"))
    assert found.targets[0].incoming == (Account("joe", "one"), Account("jim", '"a'))
    assert found.targets[0].outgoing == Account("t1", "s")
    for words in ("account joe has two secrets", "blanks end a password", "the first one only"):
        assert words in said(found, Kind.WARNING)


def test_the_placeholder_of_a_dump_lets_nobody_in() -> None:
    found = source(f"<target {T}>\nincominguser joe {PLACEHOLDER}\noutgoinguser us {PLACEHOLDER}\n</target>\n")
    assert said(found, Kind.REFUSED).count("placeholder") == 2
    assert "Initiator * Mode=none" in to_ietd(found).files[CONFIGURATION]


@pytest.mark.parametrize(("inner", "message"), [
    ("incominguser joe", "f:2:1: error: incominguser joe: it has no password"),
    ("incominguser joe  two", "f:2:1: error: incominguser joe: the password is empty: two blanks"),
    ("<backing-store /a>\nlun 1\nlun 2\n</backing-store>", "f:4:1: error: lun given twice"),
    ("backing-store /a\nlun one", "f:3:1: error: lun 'one' is no number"),
    ("backing-store /a\nblock-size 4k", "f:3:1: error: block-size '4k' is no number"),
])
def test_what_tgt_admin_refuses(inner: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        target(inner)
    assert str(caught.value).startswith(message)


def test_what_is_lost_or_passed_over_is_said() -> None:
    found = source(f"Default-Driver iscsi\n<target {T}>\nbacking-store /a\nmode_page 8:0\nDriver iser\ndriver iser\n"
                   "initialr2t No\nInitialR2T Yes\nIFMarker No\n</target>\n<Target x>\n</Target>\n")
    for words in ("mode pages of LUN 1", "driver iser"):
        assert words in said(found, Kind.LOST)
    warned = said(found, Kind.WARNING)
    for words in ("Default-Driver: tgt-admin passes over it; default-driver", "key Driver", "key initialr2t", "Target"):
        assert words in warned
    assert found.targets[0].keys == {"InitialR2T": "Yes", "IFMarker": "No"}


@pytest.mark.parametrize(("text", "isns"), [
    ("iSNSServerIP 192.0.2.53\niSNSServerPort 3206\niSNSAccessControl On\n", Isns("192.0.2.53", 3206, True)),
    ("iSNSServerIP 192.0.2.53\niSNSServerPort x\n", Isns("192.0.2.53")),
    ("iSNSServerIP 192.0.2.53\niSNS Off\n", None),
    ("", None),
])
def test_isns(text: str, isns: Isns | None) -> None:
    assert source(text).isns == isns


def test_a_target_that_is_off_and_discovery_without_a_secret() -> None:
    assert not target("state offline").enabled
    assert source(f"incomingdiscoveryuser joe {PLACEHOLDER}\n").discovery.incoming == (Account("joe", ""),)


def test_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("include b\n")
    (tmp_path / "b").write_text("")
    assert read_tgt(str(tmp_path / "a")).files == (str(tmp_path / "a"), str(tmp_path / "b"))
