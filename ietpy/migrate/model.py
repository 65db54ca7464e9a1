"""What a configuration means, whatever target wrote it: the one model between all formats. Frozen, and no I/O.

A reader of a format makes a ``Source`` of its files; ``to_ietd`` writes ietd.conf from that, ``from_ietd`` makes one of
ietd.conf, and what writes another target's format takes one. Everything has its place in the source, which does not
count when two are compared. What a format cannot say becomes a ``Note``, never silence.

Who may use a target is said by ``Target.grants`` alone: the first that is about an initiator decides, and whom none is
about is let in nowhere. So a target without grants is closed, and one that is open to everybody says so with ``OPEN``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Final, TypeAlias

from ietpy.errors import Diagnostic, Span

Network: TypeAlias = IPv4Network | IPv6Network

ANYBODY: Final = ("*",)
DEFAULT_PORT: Final = 3260
NOWHERE: Final = Span("", 0, 0)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Kind(Enum):
    """What becomes of something in the source; the value is the word of the report."""

    TAKEN = "taken"  #: said in IET's words
    EXTENSION = "extension"  #: said in words IET did not have
    LOST = "lost"  #: cannot be said
    WARNING = "warning"  #: said, but it may not be what was meant
    REFUSED = "refused"  #: the owner's own tool takes the file, or this part of it, for wrong


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the report: what stands at ``span``, what became of it, and why. Never with a secret."""

    kind: Kind
    span: Span
    what: str  #: a noun phrase: "LUN 3 of iqn...", "mode page"
    why: str  #: a clause: what is done, or why it cannot be

    def __str__(self) -> str:
        return f"{self.span}: {self.kind.value}: {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Account:
    """A CHAP name and its secret, which never shows in a repr. ``file``: the file that holds the secret, if any."""

    name: str
    secret: str = field(repr=False)
    span: Span = field(default=NOWHERE, compare=False)
    file: str = ""


class Store(Enum):
    """What is behind a disk."""

    FILE = "file"  #: a file, or a device as if it were one, through the page cache
    DIRECT = "direct"  #: a file or device, around the page cache
    NULL = "null"  #: nothing: reads zeros, forgets what is written
    MEMORY = "memory"  #: lost when the target stops
    FOREIGN = "foreign"  #: what ietpy cannot serve: pass-through, a CD or tape, rbd; ``Disk.detail`` says what


@dataclass(frozen=True, slots=True)
class Identity:
    """What initiators know a disk by, as the source target reported it, byte for byte; None: not known.

    ``designators``: those of VPD page 83h with the association of the logical unit, each with its four-byte header, in
    the order of the page (SPC-4 section 7.8.6).
    """

    vendor: bytes | None = None  #: 8 bytes, INQUIRY bytes 8 to 15
    product: bytes | None = None  #: 16 bytes
    revision: bytes | None = None  #: 4 bytes
    serial: bytes | None = None  #: VPD page 80h after its header
    designators: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """What a LUN leads to. Two LUNs with equal disks lead to the same one.

    ``name``: the source's, where disks have names of their own; it is unique there. ``size``: bytes, where the source
    says it, which of a NULL or MEMORY disk it has to. Of the others the file or device knows.
    """

    store: Store
    path: str = ""
    name: str = ""
    size: int | None = None
    block_size: int | None = 512  #: bytes; None: the device's own
    write_cache: bool = False  #: whether a write may be answered before it is on stable storage
    read_only: bool = False
    removable: bool = False
    unmap: bool | None = None  #: None: the source does not say
    identity: Identity = Identity()
    detail: str = ""  #: of FOREIGN: a noun phrase for what it is
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Lun:
    """A number as initiators see it, and what it leads to."""

    number: int
    disk: Disk
    read_only: bool = False  #: by this number, whatever the disk is
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def writable(self) -> bool:
        return not (self.read_only or self.disk.read_only)


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may use a target, and how: one rule.

    It is about an initiator if one of ``names`` is its name and, unless there are none, one of ``networks`` has its
    address, and it comes by one of ``portal_groups`` (tags; none: any of the target's). In a name ``*`` stands for any
    characters and ``?`` for one; letter case does not count.
    """

    names: tuple[str, ...] = ANYBODY
    networks: tuple[Network, ...] = ()
    portal_groups: tuple[int, ...] = ()
    denies: bool = False  #: whom it is about may not use the target
    luns: tuple[Lun, ...] | None = None  #: None: the target's
    read_only: bool = False  #: all of them
    incoming: tuple[Account, ...] | None = None  #: as whom to log in; (): without CHAP; None: as the target says
    outgoing: Account | None = None  #: None: as the target says
    label: str = ""  #: the source's name for it, if it has one
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def unlimited(self) -> bool:
        """Whether it is about everybody."""
        return "*" in self.names and not self.networks and not self.portal_groups


OPEN: Final = Grant()  #: everybody, everything


@dataclass(frozen=True, slots=True)
class Target:
    """One target. ``keys``: session keys of RFC 7143 that the source sets, by name, values as on the wire."""

    name: str
    luns: tuple[Lun, ...] = ()  #: of whom no grant gives others
    grants: tuple[Grant, ...] = ()  #: see above; with none, nobody gets in
    incoming: tuple[Account, ...] = ()  #: none: without CHAP
    outgoing: Account | None = None
    portal_groups: tuple[int, ...] = ()  #: tags; none: all there are
    alias: str = ""
    enabled: bool = True
    redirect: str = ""  #: where initiators are sent instead: address:port
    keys: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    max_sessions: int = 0  #: 0: any number
    nop_interval: int = 0  #: seconds; 0: never
    nop_timeout: int = 0
    queued_commands: int | None = None
    threads: int | None = None
    local: tuple[Network, ...] = ()  #: own addresses by which it is reached, beside ``portal_groups``; none: any
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def open_to_all(self) -> bool:
        """Whether everybody gets in, some perhaps only by CHAP."""
        return any(grant.unlimited and not grant.denies for grant in self.grants) and not any(
            grant.denies for grant in self.grants
        )


@dataclass(frozen=True, slots=True)
class Portal:
    """Where initiators connect: a numeric address without brackets, ``0.0.0.0`` and ``::`` for all, or ``*``."""

    address: str
    port: int = DEFAULT_PORT
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """Who may discover targets. ``closed``: nobody."""

    incoming: tuple[Account, ...] = ()  #: none: without CHAP
    outgoing: Account | None = None
    closed: bool = False
    networks: tuple[Network, ...] = ()  #: none: from anywhere
    names: tuple[str, ...] = ()  #: none: anybody


@dataclass(frozen=True, slots=True)
class PortalGroup:
    """Portals with one tag. ``discovery`` None: as ``Source.discovery`` says."""

    tag: int
    portals: tuple[Portal, ...] = ()
    name: str = ""
    discovery: Discovery | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Isns:
    """An iSNS server, and whether it decides who may use targets."""

    server: str
    port: int = 3205
    access_control: bool = False
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Source:
    """All that a target's configuration says. Without ``portal_groups`` the source does not say where it listens."""

    format: str  #: lio, tgt, scst, ctl, istgt, spdk, gotgt or ietd
    targets: tuple[Target, ...] = ()
    portal_groups: tuple[PortalGroup, ...] = ()
    discovery: Discovery = Discovery()
    isns: Isns | None = None
    files: tuple[str, ...] = field(default=(), compare=False)  #: read, in this order
    notes: tuple[Note, ...] = field(default=(), compare=False)

    def portals_of(self, target: Target) -> tuple[Portal, ...]:
        """The portals by which ``target`` is reached."""
        tags = target.portal_groups or tuple(group.tag for group in self.portal_groups)
        return tuple(portal for group in self.portal_groups if group.tag in tags for portal in group.portals)


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration in some format, ready to be put into files.

    ``files``: by their names in the directory of the first one, which is the configuration itself; ``secret``: those of
    them that hold secrets and are for their owner's eyes (0600).
    """

    format: str
    files: Mapping[str, str] = field(repr=False)
    secret: frozenset[str] = frozenset()
    notes: tuple[Note, ...] = ()


def in_order(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Notes by the places they are about, each once."""
    return tuple(sorted(dict.fromkeys(notes), key=lambda note: note.span))


def refusal(span: Span, problem: str, hint: str = "") -> Diagnostic:
    """Why a file cannot be imported; readers raise ``ConfigError`` with one or several."""
    return Diagnostic(span, "error", "import-refused", problem, hint)
