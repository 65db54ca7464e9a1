"""``ietpy boot-line``: what a boot ROM, a boot loader or an initramfs is told to boot from a LUN (RFC 4173)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import click

from ietpy.admin.client import ask
from ietpy.cli.control import control_socket
from ietpy.cli.output import show_json
from ietpy.config.findings import quoted
from ietpy.config.load import load, loads
from ietpy.config.model import Configuration, TargetConfig
from ietpy.daemon import manage
from ietpy.errors import ConfigError, UsageError
from ietpy.iscsi.pdu import DEFAULT_PORT, PORTAL_GROUP_TAG
from ietpy.scsi.lun import encode
from ietpy.server.interfaces import addresses_of_host, addresses_of_interface

_WILDCARDS: Final = {"*": (False, True), "0.0.0.0": (False,), "::": (True,)}  #: and whether each family is IPv6

#: Who reads a line: its name, and the line. iPXE is the one that is printed without -v.
FORMS: Final[Mapping[str, str]] = {
    "ipxe": "sanboot {root}",
    "grub": "linux16 /boot/ipxe.lkrn dhcp '&&' sanboot {root}",
    "dracut": "ip=dhcp rd.iscsi.initiator=INITIATOR netroot={decimal_root}",
    "initramfs-tools": (
        "ip=dhcp ISCSI_INITIATOR=INITIATOR ISCSI_TARGET_NAME={target} ISCSI_TARGET_IP={address}"
        " ISCSI_TARGET_PORT={port}"
    ),
}
#: What stands above each of them with -v.
READERS: Final[Mapping[str, str]] = {
    "ipxe": "iPXE",
    "grub": "GRUB, which starts iPXE",
    "dracut": "kernel command line, for dracut",
    "initramfs-tools": "kernel command line, for Debian's initramfs-tools with open-iscsi",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target may be reached: a numeric address or a name, port, and tag of the portal group."""

    host: str
    port: int
    group: int


@dataclass(frozen=True, slots=True)
class Served:
    """What is served, and the portals by which, the best first."""

    configuration: Configuration
    places: tuple[Place, ...]


@click.command(name="boot-line")
@click.argument("target", required=False)
@click.option("--lun", type=click.IntRange(0, 16383), help="This LUN only.")
@click.option("--host", metavar="ADDR", help="Boot from this address or name, instead of what is listened on.")
@click.option("-c", "--config", metavar="FILE", help="Read FILE; do not ask the daemon.")
@click.option("-v", "--verbose", is_flag=True, help="Also what GRUB, dracut and initramfs-tools are told.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def boot_line(
    target: str | None, lun: int | None, host: str | None, config: str | None, verbose: bool, as_json: bool
) -> None:
    """Print for each LUN (of TARGET) the line with which iPXE boots from it.

    It is about what the running daemon serves; without one, about /etc/iet/ietd.conf. Lines that begin with # say what
    else is needed. INITIATOR stands for the name the machine logs in with.

    Exit status 1: the daemon does not say. 2: there is no such target or LUN, or the file cannot be used.
    """
    served = _from_file(config) if config else _served()
    targets = _chosen(served.configuration, target)
    rows = [row for each in targets for row in _rows(served, each, host) if lun is None or row["lun"] == lun]
    if not rows:
        raise UsageError(f"{served.configuration.file}: {_missing(targets, lun)}")
    if as_json:
        show_json({"luns": rows})
        return
    for line in _printed(rows, verbose):
        click.echo(line)


def _served() -> Served:
    """What the daemon serves; without one, what the file says."""
    control = control_socket()
    facts = manage.answer(control)
    if facts is None:
        return _from_file(None)
    text = ask(control, "rewritten", {"force": True})
    configuration = loads(text["after"], text["file"], facts["compat"])
    listening = [Place(portal["address"], portal["port"], portal["group"]) for portal in facts["portals"]]
    return Served(configuration, (*_advertised(configuration), *_reachable(listening)))


def _from_file(path: str | None) -> Served:
    configuration = load(path)
    if configuration.refused:
        raise ConfigError(configuration.errors)
    portals = configuration.portals
    named = (
        [Place("*", DEFAULT_PORT, PORTAL_GROUP_TAG)] if portals is None
        else [Place(each.host, each.port or DEFAULT_PORT, each.group) for each in portals]
    )
    return Served(configuration, (*_advertised(configuration), *_reachable(named)))


def _advertised(configuration: Configuration) -> Iterator[Place]:
    """What initiators are told instead of an address of this machine (``Portal``'s Advertise)."""
    for portal in configuration.portals or ():
        if portal.advertised:
            host, _, port = portal.advertised.rpartition(":")
            yield Place(host.strip("[]"), int(port), portal.group)


def _reachable(portals: Sequence[Place]) -> list[Place]:
    """Each address of ``portals``: those written as such first, then this machine's others, loopback ones last."""
    found: dict[Place, int] = {}
    for portal in portals:
        for address in _addresses(portal.host):
            bare = address.partition("%")[0]
            distant = ip_address(bare)
            rank = 2 if distant.is_loopback or distant.is_link_local else int(address != portal.host)
            found.setdefault(Place(bare, portal.port, portal.group), rank)
    return sorted(found, key=lambda place: found[place])


def _addresses(host: str) -> list[str]:
    """Numeric addresses that a portal has on this machine."""
    if host in _WILDCARDS:
        return [address for ipv6 in _WILDCARDS[host] for address in addresses_of_host(ipv6)]
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return addresses_of_interface(host)
        except OSError:  # there is no such interface now
            return []
    return [host]


def _chosen(configuration: Configuration, name: str | None) -> tuple[TargetConfig, ...]:
    """The targets that are served, or the one that was named. Raises UsageError when it is not there."""
    if name is None:
        return tuple(target for target in configuration.targets if not target.closed)
    found = [target for target in configuration.targets if target.name.lower() == name.lower()]
    if not found:
        known = ", ".join(target.name for target in configuration.targets[:10]) or "none"
        raise UsageError(f"{configuration.file}: there is no target {quoted(name)}; there are: {known}")
    if found[0].closed:
        raise UsageError(f"{found[0].span}: {found[0].name} is not served: {found[0].closed}; mend that first")
    return tuple(found)


def _missing(targets: Sequence[TargetConfig], lun: int | None) -> str:
    luns = sorted({lun.number for target in targets for lun in target.luns})
    numbers = ", ".join(map(str, luns)) or "none; add a Lun line"
    return f"there is no LUN{'' if lun is None else f' {lun}'}; there are: {numbers}"


def _rows(served: Served, target: TargetConfig, host: str | None) -> Iterator[dict[str, Any]]:
    """Facts and lines of each LUN of a target."""
    place = _place(served.places, target, host)
    notes = tuple(_notes(served, target))
    for lun in target.luns:
        words = _words(place, target.name, lun.number)
        yield {
            "target": target.name, "lun": lun.number, "host": place.host, "port": place.port,
            "users": [account.name for account in target.incoming], "notes": list(notes),
            "lines": {name: line.format_map(words) for name, line in FORMS.items()},
        }


def _place(places: Sequence[Place], target: TargetConfig, host: str | None) -> Place:
    """Where to reach ``target``: the first of its portals, with ``host`` its port. Raises UsageError without any."""
    own = [place for place in places if not target.portal_groups or place.group in target.portal_groups]
    if host:
        bare = host.strip("[]")
        same = next((place for place in own if place.host == bare), own[0] if own else None)
        return Place(bare, same.port if same else DEFAULT_PORT, PORTAL_GROUP_TAG)
    if not own:
        raise UsageError(f"no address is known by which {target.name} can be reached; say --host ADDR")
    return own[0]


def _words(place: Place, target: str, lun: int) -> dict[str, str]:
    """What the forms are filled with.

    RFC 4173 has a LUN in hexadecimal, as groups of its eight bytes; one that is a single level is one group. dracut
    looks for the disk by what the kernel calls it, which is a decimal number.
    """
    bracketed = f"[{place.host}]" if ":" in place.host else place.host
    begin, end = f"iscsi:{bracketed}::{place.port}", target
    return {
        "root": f"{begin}:{encode(lun) >> 48:x}:{end}", "decimal_root": f"{begin}:{lun}:{end}",
        "target": target, "address": place.host, "port": str(place.port),
    }


def _notes(served: Served, target: TargetConfig) -> Iterator[str]:
    """What the lines alone do not do."""
    if target.incoming:
        names = " or ".join(dict.fromkeys(account.name for account in target.incoming))
        yield f"it asks for CHAP: before sanboot, set username {names}, and set password to the secret"
    if target.outgoing is not None:
        yield f"who asks it for proof: set reverse-username {target.outgoing.name}, and set reverse-password"
    if any(each.luns is not None for each in target.initiators):
        yield "its Initiator lines give some initiators other LUN numbers"


def _printed(rows: Sequence[dict[str, Any]], verbose: bool) -> Iterator[str]:
    before = ""
    for row in rows:
        if row["target"] != before:
            before = row["target"]
            yield from (f"# {before}: {note}" for note in row["notes"])
        if not verbose:
            yield row["lines"]["ipxe"]
            continue
        yield f"# {row['target']}, LUN {row['lun']}"
        for name, line in row["lines"].items():
            yield f"#   {READERS[name]}:"
            yield line
