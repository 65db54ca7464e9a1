"""``ietpy import --check-initiator-view``: what initiators saw of a source's disks, and what they will see of ietpy's.

Before is what the source's rules say (the model's identities). After is read by an initiator of our own from a daemon
that serves the imported configuration for a moment, on loopback, to us alone. Of who may log in, only which rule gives
which LUNs is asked: every rule is served to a name of its own, without addresses and secrets.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from ietpy import images
from ietpy.cli.output import UNKNOWN, Column, in_bytes, number, show_table
from ietpy.config.access import AccessFiles
from ietpy.config.load import loads
from ietpy.config.model import Configuration, InitiatorConfig, LunConfig, TargetConfig
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.errors import Diagnostic
from ietpy.initiator.client import Client
from ietpy.initiator.identity import designators, text
from ietpy.initiator.login import LoginPlan
from ietpy.migrate.model import Disk, Grant, Identity, Lun, Source, Store, Target, Written
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from ietpy.stores import STORES

_LOOPBACK: Final = "127.0.0.1"
_VIEWER: Final = "iqn.2026-01.net.ietpy:view.{}"
EVERYBODY: Final = "everybody"
SCRATCH_SIZE: Final = 64 << 20  #: bytes of a scratch image of a disk whose size nothing says
_STOP_SECONDS: Final = 5.0
_SENSE_CACHING: Final = bytes.fromhex("1A 08 08 00 FF 00").ljust(16, b"\0")  #: MODE SENSE(6), DBD, page 08h
_WCE: Final = 0x04  #: in byte 2 of the page (SBC-3 section 6.5.5)
_WP: Final = 0x80  #: in byte 2 of the mode parameter header (section 6.5.1)
_SERIAL: Final = 0x80
_NAMES: Final = 0x83
_LONGEST_PAGE: Final = 2048  #: bytes asked for; istgt answers nothing to the most there may be
_ASSOCIATION: Final = 0x30  #: in the second byte of a designator; 0: the logical unit

_COLUMNS: Final = (
    Column("TARGET"), Column("INITIATOR"), number("LUN"), Column("WHAT"), Column("BEFORE"), Column("AFTER"), Column("")
)


_IDENTITY: Final = ("vendor", "product", "revision", "serial", "designators")
#: Other facts by their names in the table.
_FACTS: Final = {
    "size": "size", "block size": "block_size", "write cache": "write_cache", "read-only": "read_only"
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A LUN as an initiator sees it; None: not known.

    ``size`` and ``block_size``: bytes. ``write_cache``: WCE of the caching mode page. ``read_only``: whether this
    initiator may only read it.
    """

    identity: Identity
    size: int | None = None
    block_size: int | None = 512
    write_cache: bool | None = None
    read_only: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One LUN of one initiator; None: it is not there."""

    target: str
    initiator: str
    lun: int
    before: Seen | None
    after: Seen | None

    @property
    def facts(self) -> list[tuple[str, str, str, bool]]:
        """What can be compared: its name, before, after, and whether it stays; what is not known is no change."""
        old, new = (self._words(seen) for seen in (self.before, self.after))
        if old is None or new is None:
            return [("LUN", "there" if old else "not there", "there" if new else "not there", False)]
        known = self._known()
        return [(name, old[name], new[name], known[name]) for name in old]

    @property
    def same(self) -> bool:
        """Whether nothing changes that is known."""
        return all(stays for *_, stays in self.facts)

    def _known(self) -> dict[str, bool]:
        assert self.before is not None
        assert self.after is not None
        old, new = self.before.identity, self.after.identity
        stays = {name: getattr(old, name) in (None, getattr(new, name)) for name in _IDENTITY}
        for name, attribute in _FACTS.items():
            before, after = getattr(self.before, attribute), getattr(self.after, attribute)
            stays[name] = None in (before, after) or before == after
        return stays

    @staticmethod
    def _words(seen: Seen | None) -> dict[str, str] | None:
        if seen is None:
            return None
        identity = seen.identity
        page = None if identity.designators is None else b"".join(identity.designators)
        return {
            "size": in_bytes(seen.size),
            "block size": UNKNOWN if seen.block_size is None else str(seen.block_size),
            "write cache": _yes(seen.write_cache),
            "read-only": _yes(seen.read_only),
            "vendor": _text(identity.vendor),
            "product": _text(identity.product),
            "revision": _text(identity.revision),
            "serial": _text(identity.serial),
            "designators": UNKNOWN if page is None else ", ".join(
                f"{name.kind} {name.name}" for name in designators(b"\0\x83" + len(page).to_bytes(2, "big") + page)
            ),
        }


def _yes(value: bool | None) -> str:
    return UNKNOWN if value is None else "yes" if value else "no"


def _text(value: bytes | None) -> str:
    return UNKNOWN if value is None else text(value)


@dataclass(frozen=True, slots=True)
class View:
    """All LUNs of all initiators the source knows, before and after, and why some are not served."""

    rows: tuple[Row, ...]
    problems: tuple[Diagnostic, ...]

    @property
    def same(self) -> bool:
        """Whether nothing changes that is known."""
        return all(row.same for row in self.rows)


def compare(source: Source, imported: Configuration, *, scratch: bool = False) -> View:
    """Serve what was imported and look at it.

    ``scratch``: serve sparse images of the stated sizes; else the disks themselves, which nobody writes to. Raises what
    the initiator does, and OSError where loopback cannot be listened on or an image cannot be made.
    """
    known = {target.name.lower(): target for target in source.targets}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ietpy-view-") as directory:
        served = [_Viewed(target, known.get(target.name.lower())) for target in imported.targets if not target.closed]
        targets = tuple(each.config(_media(each, directory, scratch=scratch)) for each in served)
        configuration = replace(imported, targets=targets, portals=None, isns_server="", diagnostics=())
        with _serving(configuration, directory) as (port, problems):
            for each in served:
                for name, label, before in each.viewers():
                    after = _look(port, each.name, name, whole=scratch)
                    rows += [
                        Row(each.name, label, lun, before.get(lun), after.get(lun)) for lun in sorted({*before, *after})
                    ]
    return View(tuple(rows), tuple(problems))


def of_written(source: Source, written: Written, *, scratch: bool = False) -> View:
    """The same of what ``to_ietd`` has written."""
    name = next(iter(written.files))
    return compare(source, loads(written.files[name], name), scratch=scratch)


@dataclass(frozen=True, slots=True)
class _Viewed:
    """A target of the imported configuration, and what it was."""

    target: TargetConfig
    source: Target | None

    @property
    def name(self) -> str:
        return self.target.name

    def lines(self) -> list[InitiatorConfig]:
        return [line for line in self.target.initiators if not (line.denies or line.closed)]

    def config(self, luns: Iterable[LunConfig]) -> TargetConfig:
        """The target with a name of its own for each rule, and nothing else that keeps anybody out."""
        lines = tuple(
            replace(line, name=_VIEWER.format(index), addresses=(), portal_groups=(), user="")
            for index, line in enumerate(self.lines())
        )
        nobody = (InitiatorConfig("*", self.target.span, denies=True),) if self.target.initiators and not lines else ()
        return replace(
            self.target, luns=tuple(luns), incoming=(), outgoing=None, portal_groups=(), initiators=lines or nobody,
            initiator_addresses=(), initiator_names=(), address_spans=(), name_spans=(), max_sessions=0,
        )

    def viewers(self) -> Iterator[tuple[str, str, Mapping[int, Seen]]]:
        """With which name to log in as whom a rule is about, its label, and what that initiator saw before."""
        if not self.target.initiators:
            yield _VIEWER.format(0), EVERYBODY, self._before(None)
        for index, line in enumerate(self.lines()):
            label = EVERYBODY if line.name == "*" else line.name
            where = "".join(f" from {network}" for network in line.addresses)
            yield _VIEWER.format(index), f"{label}{where}", self._before(self._grant(line))

    def _grant(self, line: InitiatorConfig) -> Grant | None:
        """The rule a line was made of."""
        grants = self.source.grants if self.source else ()
        return next((
            grant for grant in grants
            if not grant.denies and line.name.lower() in map(str.lower, grant.names)
            and {*line.addresses} == {*grant.networks}
        ), None)

    def _before(self, grant: Grant | None) -> dict[int, Seen]:
        if self.source is None:
            return {}
        luns: Iterable[Lun] = self.source.luns if grant is None or grant.luns is None else grant.luns
        return {
            lun.number: Seen(
                lun.disk.identity, _size(lun.disk), lun.disk.block_size,
                None if lun.disk.store is Store.NULL else lun.disk.write_cache,
                not lun.writable or bool(grant and grant.read_only),
            )
            for lun in luns
        }

    def disks(self) -> dict[str, Disk]:
        """By path."""
        if self.source is None:
            return {}
        luns = [*self.source.luns, *(lun for grant in self.source.grants for lun in grant.luns or ())]
        return {lun.disk.path: lun.disk for lun in luns}


def _size(disk: Disk) -> int | None:
    """What the source says, or what the file or device has."""
    if disk.size is not None or disk.store not in (Store.FILE, Store.DIRECT):
        return disk.size
    try:
        with open(disk.path, "rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError:
        return None


def _media(viewed: _Viewed, directory: str, *, scratch: bool) -> Iterator[LunConfig]:
    """The LUNs of a target over what is served for it."""
    disks = viewed.disks()
    for lun in viewed.target.luns:
        if not STORES[lun.type].takes_path:
            yield lun
        elif scratch:
            disk = disks.get(lun.path)
            size = (None if disk is None else _size(disk)) or SCRATCH_SIZE
            path = os.path.join(directory, f"{len(os.listdir(directory))}.img")
            images.make_image(path, size)
            yield replace(lun, path=path, type="fileio", block_size=lun.block_size or 512)
        else:
            yield replace(lun, read_only=True)


@contextmanager
def _serving(configuration: Configuration, directory: str) -> Iterator[tuple[int, list[Diagnostic]]]:
    """Serve it on loopback; the port, and what is not served."""
    inventory = Inventory(configuration, Media(), access=AccessFiles(os.path.join(directory, "no-such-folder")))
    try:
        server = Server(inventory.node, bind(_LOOPBACK, 0))
        server.start()
        try:
            yield server.portals()[0][1], [each for each in inventory.problems if each.severity == "error"]
        finally:
            server.stop(_STOP_SECONDS)
    finally:
        inventory.close()


def _look(port: int, target: str, initiator: str, *, whole: bool) -> dict[int, Seen]:
    """``whole``: what is served may be written, so how that is done can be seen."""
    with Client.connect(_LOOPBACK, port) as client:
        client.login(LoginPlan(initiator, target))
        found = {lun: seen(client, lun) for lun in client.report_luns() if client.inquiry(lun)[0] == 0}
        client.logout()
    if whole:
        return found
    return {lun: replace(one, write_cache=None, read_only=None) for lun, one in found.items()}


def seen(client: Client, lun: int) -> Seen:
    """What one LUN says of itself."""
    standard, capacity = client.inquiry(lun), client.read_capacity(lun)
    serial, names = (client.inquiry(lun, page, _LONGEST_PAGE)[4:] for page in (_SERIAL, _NAMES))
    found = []
    while names:
        end = 4 + names[3]
        if not names[1] & _ASSOCIATION:
            found.append(names[:end])
        names = names[end:]
    identity = Identity(standard[8:16], standard[16:32], standard[32:36], serial, tuple(found))
    mode = client.command(lun, _SENSE_CACHING, read=255).data
    cached = len(mode) > 3 and len(mode) > 6 + mode[3] and bool(mode[6 + mode[3]] & _WCE)
    return Seen(identity, capacity.size, capacity.block_size, cached, len(mode) > 2 and bool(mode[2] & _WP))


# -- as it is printed


def show(view: View) -> None:
    """A row of the table for each thing an initiator knows a LUN by; on standard error what is not served."""
    for problem in view.problems:
        click.echo(str(problem), err=True)
    show_table(_COLUMNS, [
        (row.target, row.initiator, str(row.lun), name, before, after, "" if stays else "CHANGED")
        for row in view.rows for name, before, after, stays in row.facts
    ], "No LUN is served.")


def facts(view: View) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [
        {
            "target": row.target,
            "initiator": row.initiator,
            "lun": row.lun,
            "same": row.same,
            "facts": [
                {"name": name, "before": before, "after": after, "same": stays}
                for name, before, after, stays in row.facts
            ],
        }
        for row in view.rows
    ]
