"""What ctl.conf means: nobody gets in whom no auth-group lets in, and every mistake is found."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ietpy.errors import ConfigError
from ietpy.migrate.ctl import model
from ietpy.migrate.ctl_text import parse_ctl
from ietpy.migrate.model import OPEN, Account, Discovery, Grant, Isns, Kind, Source, Store, Target
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd

OPEN_TARGET = "auth-group no-authentication"


def source(text: str) -> Source:
    return model(parse_ctl(text, "f"), "f", ordered=True)


def target(inner: str, before: str = "") -> Target:
    (found,) = source(f"{before}\ntarget iqn.a {{ {inner} }}").targets
    return found


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


@pytest.mark.parametrize(("inner", "before", "grants", "users"), [
    ("", "", (), ()),
    ("auth-group default", "", (), ()),
    ("auth-group no-access", "", (), ()),
    ("auth-type deny", "", (), ()),
    ("auth-type none", "", (OPEN,), ()),
    (OPEN_TARGET, "", (OPEN,), ()),
    ("chap u s", "", (OPEN,), (Account("u", "s"),)),
    ("auth-group g", "auth-group g { }", (), ()),
    ("auth-group g", "auth-group g { initiator-name iqn.x }", (), ()),
    ("auth-group g", "auth-group g { auth-type none initiator-name iqn.x initiator-portal 192.0.2.0/24 }",
     (Grant(("iqn.x",), (ip_network("192.0.2.0/24"),)),), ()),
    ("auth-group g", "auth-group g { chap-mutual u s m ms }", (OPEN,), (Account("u", "s"),)),
    ("", "auth-group default { auth-type none }", (OPEN,), ()),
])
def test_who_gets_in(inner: str, before: str, grants: tuple[Grant, ...], users: tuple[Account, ...]) -> None:
    found = source(f"{before}\ntarget iqn.a {{ {inner} }}")
    (one,) = found.targets
    assert (one.grants, one.incoming) == (grants, users)
    assert ("Mode=none" in to_ietd(found).files[CONFIGURATION]) is (not grants)


def test_rules_of_several_portal_groups() -> None:
    text = ("auth-group lab { auth-type none } portal-group a { listen 192.0.2.1 discovery-auth-group lab }\n"
            "portal-group b { listen 192.0.2.2 tag 7 }\n"
            "target iqn.a { chap u s; portal-group a; portal-group b lab }")
    found = source(text)
    (one,) = found.targets
    assert [(grant.portal_groups, grant.incoming) for grant in one.grants] == [((1,), (Account("u", "s"),)), ((7,), ())]
    assert [(group.tag, group.discovery) for group in found.portal_groups] == [
        (1, Discovery()), (7, Discovery(closed=True)),
    ]
    assert "replaces the target's own" in said(found, Kind.WARNING)


def test_without_a_portal_group_it_is_the_default() -> None:
    found = source("target iqn.a { auth-group no-authentication }")
    assert [str(portal) for portal in found.portals_of(found.targets[0])] == ["0.0.0.0:3260", "[::]:3260"]


def test_mutual_users() -> None:
    same = target("auth-group g", "auth-group g { chap-mutual u s m ms chap-mutual v s m ms }")
    assert same.outgoing == Account("m", "ms")
    differ = source("auth-group g { chap-mutual u s m ms chap-mutual v s n ns }")
    assert "a target has one: the first" in said(differ, Kind.LOST)


def test_disks() -> None:
    before = """lun one { path /dev/zvol/a; blocksize 4096; serial S1; device-id "d 1"; option vendor V;
        option naa 0x50; option naaa 1; option rpm 1; option unmap on;
        option readonly on; option removable on; option writecache off }
        lun two { backend ramdisk; size 0x10M } lun three { path /a; size 1k; device-type cd; option eui zz }"""
    found = source(f"{before} target iqn.a {{ lun 0 one lun 1 two lun 2 three lun 3 {{ path /b }} }}")
    one, two, three, four = (lun.disk for lun in found.targets[0].luns)
    assert [disk.store for disk in (one, two, three, four)] == [
        Store.DIRECT, Store.MEMORY, Store.FOREIGN, Store.FILE,
    ]
    assert (one.block_size, one.read_only, one.removable, one.unmap, one.write_cache) == (4096, True, True, True, False)
    assert (two.size, three.size, four.write_cache) == (16 << 20, 1024, True)
    assert (one.identity.vendor, one.identity.serial) == (b"V       ", b"S1".ljust(16, b"\0"))
    assert (one.identity.designators or ())[-1] == bytes.fromhex("0183000150")
    assert "option naaa" in said(found, Kind.LOST)
    assert "option eui" in said(found, Kind.WARNING)


@pytest.mark.parametrize(("text", "message"), [
    ("auth-group a { chap u s chap-mutual u s m ms }", "f:1:25: error: chap and chap-mutual in one auth-group a"),
    ("target t { chap u s chap-mutual u s m ms }", "f:1:21: error: chap and chap-mutual of t"),
    ("target t { auth-group g } auth-group g { }", "f:1:12: error: auth-group g is used before it is defined"),
    ("target t { auth-group g }", "f:1:12: error: unknown auth-group g"),
    ("target t { chap u s auth-group default }", "f:1:12: error: chap together with auth-group in target t"),
    ("target t { auth-group default auth-group default }", "f:1:31: error: auth-group given twice in target t"),
    ("target t { portal-group p }", "f:1:12: error: unknown portal-group p"),
    ("lun a { path /a path /b }", "f:1:17: error: path given twice in lun a"),
    ("lun a { path /a option naa 1 option naa 2 }", "f:1:30: error: naa given twice in lun a"),
    ("lun a { size 4G }", "f:1:1: error: lun a has no path"),
    ("lun a { path /a size big }", "f:1:17: error: size 'big' is no number"),
    ("target t { lun 0 { path /a } lun 0 { path /b } }", "f:1:30: error: LUN 0 of t is there twice"),
    ("target t { lun 0 x }", "f:1:12: error: LUN 0 of t: no lun 'x' stands above it"),
    ("auth-group a { auth-type odd }", "f:1:16: error: auth-type 'odd'"),
    ("auth-group a { initiator-portal x }", "f:1:16: error: initiator-portal 'x' is no address"),
    ("target t { } target T { }", "f:1:14: error: target T is defined twice"),
])
def test_mistakes_refuse_the_file(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        source(text)
    assert str(caught.value).startswith(message)


def test_all_mistakes_are_found() -> None:
    with pytest.raises(ConfigError) as caught:
        source("lun a { } lun b { size x path /b }")
    assert len(caught.value.diagnostics) == 2


def test_what_is_lost_is_said() -> None:
    found = source("portal-group p { listen host listen-iser 192.0.2.1 dscp 1 redirect 192.0.2.9 }\n"
                   "target iqn.a { auth-type none portal-group p port isp0 alias A }\n"
                   "target iqn.b { auth-type none redirect 2001:db8::1 }\n"
                   "target iqn.c { auth-type none redirect host:1 }")
    for words in ("listen host", "listen-iser", "dscp", "port of target iqn.a"):
        assert words in said(found, Kind.LOST)
    assert [one.redirect for one in found.targets] == ["192.0.2.9:3260", "[2001:db8::1]:3260", "host:1"]
    assert found.targets[0].alias == "A"


@pytest.mark.parametrize(("server", "isns"), [
    ("192.0.2.53:3206", Isns("192.0.2.53", 3206)), ("192.0.2.53", Isns("192.0.2.53")), ("[::1]", Isns("[::1]")),
    ("host:x", Isns("host")),
])
def test_isns(server: str, isns: Isns) -> None:
    assert source(f"isns-server {server}").isns == isns
