"""The model of an ietd.conf: who may use a target is what its lines and the allow file say together."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.access_addresses import parse_address
from ietpy.config.access_rules import INITIATORS_ALLOW, match, read_rules
from ietpy.config.findings import Report
from ietpy.config.initiator_access import means
from ietpy.config.load import loads
from ietpy.migrate.from_ietd import from_ietd
from ietpy.migrate.model import OPEN, Account, Discovery, Grant, Isns, Kind, Lun, PortalGroup, Source, Store, Target

T = "iqn.2001-04.com.example:a"
FULL = f"""\
iSNSServer 192.0.2.53
iSNSAccessControl Yes
Portal 1 192.0.2.1,[2001:db8::1]:3261
IncomingUser finder finder-secret
Target {T}
    IncomingUser joe old-secret
    IncomingUser joe joe-secret
    IncomingUser jim jim-secret
    OutgoingUser us our-secret
    Lun 0 Path=/srv/a.img,Type=fileio,IOMode=wb,ScsiId=abc,ScsiSN=def
    Lun 1 Path=/dev/b,Type=blockio
    LunOption 1 WriteCache=Yes,Vendor=ACME
    Lun 2 Type=nullio,Blocks=8,BlockSize=4096
    Alias A disk
    PortalGroups 1
    Initiator iqn.a Luns=0:1/ro,User=joe
    Initiator iqn.b Mode=ro
    Initiator iqn.c Mode=none
    Initiator iqn.d User=nobody
    Initiator *
    InitialR2T No
    MaxSessions 4
    NOPInterval 15
"""


def target(text: str, allow: str | None = None) -> Target:
    (found,) = from_ietd(loads(text), allow).targets
    return found


def test_everything() -> None:
    source = from_ietd(loads(FULL))
    (one,) = source.targets
    assert source.isns == Isns("192.0.2.53", access_control=True)
    assert source.discovery == Discovery((Account("finder", "finder-secret"),))
    assert [str(portal) for portal in source.portals_of(one)] == ["192.0.2.1:3260", "[2001:db8::1]:3261"]
    joe, jim = Account("joe", "joe-secret"), Account("jim", "jim-secret")
    assert (one.incoming, one.outgoing, one.alias) == ((joe, jim), Account("us", "our-secret"), "A disk")
    disks = [lun.disk for lun in one.luns]
    assert [disk.store for disk in disks] == [Store.FILE, Store.DIRECT, Store.NULL]
    assert [(disk.write_cache, disk.block_size, disk.size) for disk in disks] == [
        (True, 512, None), (True, None, None), (False, 4096, 32768),
    ]
    assert disks[0].identity.serial == b"def".rjust(16)
    assert disks[0].identity.designators == (bytes.fromhex("01010018") + b"IET\0\0\0\0\0abc".ljust(24, b"\0"),)
    assert disks[1].identity.vendor == b"ACME    "
    assert one.grants == (
        Grant(("iqn.a",), luns=(Lun(0, disks[1], True),), incoming=(joe,)), Grant(("iqn.b",), read_only=True),
        Grant(("iqn.c",), denies=True), Grant(("iqn.d",), denies=True), OPEN,
    )
    assert (one.keys, one.max_sessions, one.nop_interval, one.nop_timeout) == ({"InitialR2T": "No"}, 4, 15, 15)


def test_little() -> None:
    assert from_ietd(loads("")) == Source("ietd")
    assert target(f"Target {T}\n").grants == (OPEN,)
    assert from_ietd(loads("Portal 2 *\n")).portal_groups[0].portals[0].address == "*"
    assert isinstance(from_ietd(loads("Portal 2 *\n")).portal_groups[0], PortalGroup)


def test_what_others_have_no_word_for_is_said() -> None:
    text = f"Portal 1 192.0.2.1 Advertise=host:1\nTarget {T}\nLun 0 Type=nullio\nLunOption 0 Iops=5\n"
    source = from_ietd(loads(text + "Initiator * BytesPerSecond=1M\n"))
    assert [note.span.line for note in source.notes] == [1, 3, 5]


def test_who_needs_no_account() -> None:
    found = target(f"Target {T}\nIncomingUser joe secret\nInitiator iqn.a AuthMethod=None\nInitiator *\n")
    assert [grant.incoming for grant in found.grants] == [(), None]


def test_a_target_that_is_not_served_is_off() -> None:
    source = from_ietd(loads(f"Target {T}\nIncomingUser joe\n"))
    assert not source.targets[0].enabled
    assert [note.kind for note in source.notes] == [Kind.WARNING]


@pytest.mark.parametrize(("allow", "names", "networks"), [
    ("ALL ALL\n", ("*",), ()),
    (f"{T} iqn\\.a\n", ("iqn.a",), ()),
    (f"{T} iqn\\.a:.*\n", ("iqn.a:*",), ()),
    (f"{T} 192.0.2.0/24\n", ("*",), ("192.0.2.0/24",)),
])
def test_one_item_of_the_allow_file(allow: str, names: tuple[str, ...], networks: tuple[str, ...]) -> None:
    found = target(f"Target {T}\n", allow)
    assert found.grants == (Grant(names, tuple(map(ip_network, networks))),)


@pytest.mark.parametrize("allow", ["", "other ALL\n", f"{T} 0.0.0.0/0\n", f"{T} iqn\\.[ab]\n"])
def test_whom_the_allow_file_does_not_let_in_is_nobody(allow: str) -> None:
    assert target(f"Target {T}\n", allow).grants == ()


def test_an_expression_without_a_pattern_is_said_to_be_lost() -> None:
    source = from_ietd(loads(f"Target {T}\n"), f"{T} iqn\\.[ab]\n", "initiators.allow")
    assert [str(note.span) for note in source.notes] == [f"initiators.allow:1:{len(T) + 2}"]


def test_tgts_words_are_a_restriction_too() -> None:
    found = target(f"Target {T}\ninitiator-address 192.0.2.7\ninitiator-name iqn.a\n")
    assert found.grants == (Grant(("iqn.a",), (ip_network("192.0.2.7"),)),)


NAMES = ("iqn.a", "iqn.ab", "iqn.b")
PEERS = ("192.0.2.7", "10.0.0.1", "2001:db8::1")
ITEMS = st.sampled_from(["ALL", "iqn\\.a", "iqn\\.a.*", "iqn\\..*", "192.0.2.0/24", "[2001:db8::]/64", "iqn\\.[ab]"])
LINES = st.sampled_from([
    "Initiator iqn.a", "Initiator iqn.a*", "Initiator * Mode=none", "Initiator iqn.* Address=192.0.2.0/25",
    "Initiator iqn.ab Mode=none", "Initiator * Address=192.0.2.0/24,2001:db8::1", "Initiator *",
])


@given(st.lists(LINES, max_size=4), st.none() | st.lists(ITEMS, max_size=3))
def test_whoever_is_let_in_was_let_in_before(lines: list[str], items: list[str] | None) -> None:
    text = "\n".join([f"Target {T}", *lines]) + "\n"
    allow = None if items is None else f"{T} {', '.join(items)}\n"
    (config,), (model,) = loads(text).targets, from_ietd(loads(text), allow).targets
    known = not items or "iqn\\.[ab]" not in items
    for name in NAMES:
        for peer in PEERS:
            line = next((one for one in config.initiators if means(one.name, name) and (
                not one.addresses or any(_in(peer, net) for net in one.addresses))), None)
            before = not config.initiators or (line is not None and not line.denies)
            rules = [] if allow is None else [*read_rules(allow, INITIATORS_ALLOW, Report("f", "repair"), T)]
            found = match(rules, name, parse_address(peer)) if rules else None
            before = before and (allow is None or (found is not None and found.found))
            grant = next((one for one in model.grants if any(means(each, name) for each in one.names) and (
                not one.networks or any(_in(peer, net) for net in one.networks))), None)
            after = grant is not None and not grant.denies
            assert after <= before, (name, peer)
            assert after == before or not known, (name, peer)


def _in(peer: str, net: object) -> bool:
    own = ip_network(peer)
    return own.version == net.version and own.subnet_of(net)  # type: ignore[attr-defined, arg-type]


