"""What a configuration file means, frozen. Built by ``config.load``; for ``daemon``, ``cli`` and ``config.writer``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, overload

from ietpy.errors import Diagnostic, Span
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG
from ietpy.scsi.identity import AS_IET, IdentityOptions

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Account:
    """A CHAP name and its secret. The secret never shows in a repr.

    ``file``: the file that holds it, as written; it is empty until ``load`` has read that, and if it could not.
    """

    name: str
    secret: str = field(repr=False)
    span: Span = field(compare=False)
    file: str = ""


@dataclass(frozen=True, slots=True)
class LunConfig:
    """One ``Lun`` line. ``options`` are the store's own (``Blocks`` of nullio), parsed by its rows.

    ``identity`` and what is behind it are what ``LunOption`` lines add; ``identity`` outranks ``scsi_sn``.
    """

    number: int
    span: Span = field(compare=False)
    path: str = ""
    type: str = "fileio"
    read_only: bool = False
    write_cache: bool = False  #: IOMode=wb
    block_size: int | None = None  #: bytes; None: the type's default
    scsi_id: bytes | None = None  #: 1 to 16 bytes as written
    scsi_sn: str | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    identity: IdentityOptions = AS_IET
    removable: bool = False
    cached: bool = False  #: as ``write_cache``, and with blockio, too
    iops: int = 0  #: reads and writes in a second, of all initiators together; 0: no limit
    bytes_per_second: int = 0  #: as ``iops``

    @property
    def caches(self) -> bool:
        """Whether a write is answered before it is on stable storage."""
        return self.write_cache or self.cached


def replaces(old: LunConfig, new: LunConfig) -> bool:
    """Whether a unit that is served as ``old`` says must go, and another one come, to serve what ``new`` says."""
    if old == new:
        return False
    opened = old.read_only if new.read_only else False  # a medium that is open for writing can be read, too
    return old != replace(
        new, iops=old.iops, bytes_per_second=old.bytes_per_second, write_cache=old.write_cache, cached=old.cached,
        read_only=opened,
    )


Network: TypeAlias = IPv4Network | IPv6Network


class LunMapping(NamedTuple):
    """What an initiator calls ``lun`` is LUN ``unit`` of the target."""

    lun: int
    unit: int
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class InitiatorConfig:
    """One ``Initiator`` line: whom it is about, and what he has of the target."""

    name: str  #: a pattern: * stands for any characters
    span: Span = field(compare=False)
    addresses: tuple[Network, ...] = ()  #: one of these; empty: any
    portal_groups: tuple[int, ...] = ()  #: by one of these; empty: any
    luns: tuple[LunMapping, ...] | None = None  #: None: all of the target by their own numbers
    read_only: bool = False
    user: str = ""  #: the only IncomingUser as whom he may log in; empty: any
    closed: bool = False  #: the line has a mistake and admits nobody
    denies: bool = False  #: it turns away whom it is about
    free: bool = False  #: he logs in without CHAP, whatever accounts the target has
    iops: int = 0  #: reads and writes in a second, by each session; 0: no limit
    bytes_per_second: int = 0  #: as ``iops``


@dataclass(frozen=True, slots=True)
class PortalConfig:
    """One portal of a ``Portal`` line.

    ``host``: a numeric address, with its zone if it has one, the name of an interface, or ``*``. ``port`` None: that
    of the command line.
    """

    group: int
    host: str
    port: int | None
    span: Span = field(compare=False)
    advertised: str = ""  #: what initiators are told instead, ``host:port``; empty: what it is

    @property
    def everything(self) -> bool:
        """Whether it is all addresses, of one family or both."""
        return self.host in ("*", "0.0.0.0", "::")

    @property
    def interface(self) -> bool:
        return ":" not in self.host and any(character.isalpha() for character in self.host)

    def holds(self, other: PortalConfig) -> bool:
        """Whether it has addresses of ``other``, and others."""
        if not self.everything or other.everything:
            return self.host == "*" != other.host
        return self.host == "*" or other.interface or (":" in self.host) == (":" in other.host)

    def has(self, address: str) -> bool:
        """Whether it has this numeric address, without zone; False for an interface, which only the system knows."""
        if self.everything:
            return self.host == "*" or (":" in self.host) == (":" in address)
        return self.host.partition("%")[0] == address

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """One ``Target`` block."""

    name: str
    span: Span = field(compare=False)
    alias: str = ""
    luns: tuple[LunConfig, ...] = ()
    incoming: tuple[Account, ...] = ()  #: file order; of two with one name the later wins
    outgoing: Account | None = None
    chap_algorithms: tuple[str, ...] = ()  #: by which initiators may prove who they are; empty: all
    #: Why this target must not be served at all (a mistake that would open it), else empty.
    closed: str = ""
    max_sessions: int = 0  #: 0: no limit
    wthreads: int = 8
    queued_commands: int | None = None  #: None: not in the file (decisions 7)
    nop_interval: int = 0  #: seconds, 0: off
    nop_timeout: int = 0
    #: Session keys the file names, by the row's name in ``iscsi.keys.KEYS`` (and MaxXmitDataSegmentLength).
    session_keys: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    #: tgt's words applied as a restriction (decisions 1, ``repair``): address items and initiator names.
    initiator_addresses: tuple[str, ...] = ()
    initiator_names: tuple[str, ...] = ()
    #: Tags of the portal groups it is in; empty: all of them.
    portal_groups: tuple[int, ...] = ()
    #: Who may use it, and how; without any, whom all else admits.
    initiators: tuple[InitiatorConfig, ...] = ()
    #: Where tgt's words stand.
    address_spans: tuple[Span, ...] = field(default=(), compare=False)
    name_spans: tuple[Span, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file, with everything that was noticed while reading it."""

    file: str
    compat: str = "repair"
    targets: tuple[TargetConfig, ...] = ()
    discovery_incoming: tuple[Account, ...] = ()
    discovery_outgoing: Account | None = None
    #: Why discovery must be refused (02/01), else empty.
    discovery_closed: str = ""
    isns_server: str = ""
    isns_access_control: bool = False
    #: What ``Portal`` lines say is listened on; None without any: what the command line says.
    portals: tuple[PortalConfig, ...] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    chap_algorithms: tuple[str, ...] = ()  #: of discovery, and of targets that do not say
    processes: int = 1  #: that serve; 0: as many as there are processors
    metrics: str = ""  #: where they are to be had, as ``values.listening`` writes it; empty: nowhere

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """What has no effect or is not served; in ``strict``, every mistake."""
        return tuple(diagnostic for diagnostic in self.diagnostics if diagnostic.severity == "error")

    @property
    def served_luns(self) -> list[LunConfig]:
        return [lun for target in self.targets if not target.closed for lun in target.luns]

    @property
    def portal_groups(self) -> tuple[int, ...]:
        """Tags of all portal groups there are."""
        if self.portals is None:
            return (PORTAL_GROUP_TAG,)
        return tuple(dict.fromkeys(portal.group for portal in self.portals))

    @property
    def isns_decides(self) -> bool:
        """Whether an iSNS server has a say in who may use targets; without one access control has no effect (2.1)."""
        return bool(self.isns_server) and self.isns_access_control

    @property
    def refused(self) -> bool:
        """Whether nothing of this file may be served (decisions 1, ``strict``)."""
        return self.compat == "strict" and bool(self.errors)

    def with_diagnostics(self, diagnostics: tuple[Diagnostic, ...]) -> Configuration:
        """The same, with other findings."""
        return replace(self, diagnostics=diagnostics)


def effective_nop_timeout(interval: int, timeout: int) -> int:
    """0 or more than NOPInterval means NOPInterval (iet-compat 2.2)."""
    return timeout if 0 < timeout <= interval else interval


def meaning(configuration: Configuration) -> Configuration:
    """Two configurations mean the same if what this makes of them is equal.

    Left out is what a file's name, the places of its lines and its mistakes have to do with: why a target is closed,
    too, but not that it is. So is what secrets are in other files.
    """
    targets = (
        replace(
            target,
            closed="closed" if target.closed else "",
            incoming=tuple(map(_as_written, target.incoming)),
            outgoing=_as_written(target.outgoing),
            nop_timeout=effective_nop_timeout(target.nop_interval, target.nop_timeout),
        )
        for target in configuration.targets
    )
    closed = "closed" if configuration.discovery_closed else ""
    return replace(
        configuration,
        file="",
        targets=tuple(targets),
        discovery_incoming=tuple(map(_as_written, configuration.discovery_incoming)),
        discovery_outgoing=_as_written(configuration.discovery_outgoing),
        discovery_closed=closed,
        diagnostics=(),
    )


@overload
def _as_written(account: Account) -> Account: ...
@overload
def _as_written(account: None) -> None: ...
def _as_written(account: Account | None) -> Account | None:
    """An account as the text of ietd.conf has it."""
    return replace(account, secret="") if account is not None and account.file else account
