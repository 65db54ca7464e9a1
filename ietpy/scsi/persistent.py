"""Persistent reservations: what is registered and reserved, and what service actions make of it (SPC-4 section 5.13).

``Reservations`` never change. A rule takes the ones that are and a request, and says what would be; who carries that
out (``persistent_commands``) can first keep it, and let it take effect or not. Registrations belong to initiator ports
by name, so they outlive sessions. There is one target port.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from ietpy.errors import IetpyError
from ietpy.scsi import transport_id
from ietpy.scsi.asc import Asc
from ietpy.scsi.attention import (
    REGISTRATIONS_PREEMPTED,
    RESERVATIONS_PREEMPTED,
    RESERVATIONS_RELEASED,
    UnitAttention,
)
from ietpy.scsi.command import Access, Command
from ietpy.scsi.port_groups import RELATIVE_PORT
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter, list_length_error
from ietpy.scsi.status import SenseKey

#: Registrations a logical unit holds: 64 nodes by 16 paths.
MOST_REGISTRATIONS: Final = 1024

_BASIC: Final = 24  #: bytes of the parameter list but for TransportIDs
_TRANSPORT_IDS: Final = 28  #: where they begin in a REGISTER
#: Bytes of parameter list that are taken at most.
LONGEST_LIST: Final = _TRANSPORT_IDS + MOST_REGISTRATIONS * transport_id.LONGEST
#: Byte 20 of the parameter list (section 6.16.3).
_SPEC_I_PT: Final = 0x08
_APTPL: Final = 0x01
#: Byte 17 of the parameter list of REGISTER AND MOVE (section 6.16.4).
_UNREG: Final = 0x02


class ReservationType(IntEnum):
    """SPC-4 table 206."""

    WRITE_EXCLUSIVE = 1
    EXCLUSIVE_ACCESS = 3
    WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
    EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6
    WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7
    EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8


TYPES: Final = frozenset(ReservationType)
#: Every registered port holds it.
ALL_REGISTRANTS: Final = frozenset({
    ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS, ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
})
#: Every registered port may do what a holder may.
_REGISTRANTS: Final = ALL_REGISTRANTS | {
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY, ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
}
#: The others may not even read.
_EXCLUSIVE_ACCESS: Final = frozenset({
    ReservationType.EXCLUSIVE_ACCESS, ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
    ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
})


class ReservationConflict(IetpyError):
    """The command ends with RESERVATION CONFLICT."""


@dataclass(frozen=True, slots=True)
class Reservations:
    """What is registered and reserved.

    ``registrations``: reservation key by initiator port, in the order of registering. ``type``: of the persistent
    reservation, if there is one. ``holder``: the port that holds it; None also where all registered ones do.
    ``aptpl``: whether this is kept over a loss of power.
    """

    registrations: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    type: ReservationType | None = None
    holder: str | None = None
    aptpl: bool = False

    def holds(self, port: str) -> bool:
        """Whether ``port`` is a persistent reservation holder (section 5.13.10)."""
        return port in self.registrations if self.type in ALL_REGISTRANTS else port == self.holder

    def admits(self, port: str) -> bool:
        """Whether no command of ``port`` can conflict."""
        return self.type is None or self.holds(port) or (self.type in _REGISTRANTS and port in self.registrations)

    def restricts(self, command: Command) -> bool:
        """Whether ``command`` by a port that is not admitted conflicts (section 5.13.1, SBC-3 table 13)."""
        if self.type is None or command.access in (Access.ALWAYS, Access.STATE):
            return False
        shows = command.access is Access.READ or (command.access is Access.MANAGE and command.allocation is not None)
        return self.type in _EXCLUSIVE_ACCESS or not shows

    def others(self, port: str) -> set[str]:
        """The other registered ports."""
        return set(self.registrations) - {port}

    def without(self, ports: Collection[str]) -> Reservations:
        """These ports unregistered; nothing stays reserved without a holder (tables 71 and 72)."""
        left = {port: key for port, key in self.registrations.items() if port not in ports}
        after = replace(self, registrations=MappingProxyType(left))
        gone = not left if self.type in ALL_REGISTRANTS else self.holder in ports
        return after.reserved(None) if gone else after

    def reserved(self, kind: ReservationType | None, holder: str | None = None) -> Reservations:
        """With another reservation, or none."""
        return replace(self, type=kind, holder=None if kind in ALL_REGISTRANTS else holder)

    def registered(self, ports: Iterable[str], key: int) -> Reservations:
        """With ``key`` for these ports. Raises INSUFFICIENT REGISTRATION RESOURCES."""
        registrations = {**self.registrations, **dict.fromkeys(ports, key)}
        if len(registrations) > MOST_REGISTRATIONS:
            raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INSUFFICIENT_REGISTRATION_RESOURCES)
        return replace(self, registrations=MappingProxyType(registrations))


class Persistent:
    """The persistent reservations of one logical unit. Read and changed under the device's lock.

    ``now``: the ones in effect. ``generation``: PRGENERATION. ``coming``: those that are just being kept, to take
    effect next.
    """

    __slots__ = ("coming", "generation", "now")

    def __init__(self, now: Reservations) -> None:
        self.now = now
        self.generation = 0
        self.coming: Reservations | None = None


# What is asked


@dataclass(frozen=True, slots=True)
class Request:
    """A PERSISTENT RESERVE OUT command.

    ``port``: the initiator port it comes from. ``scope_type``: byte 2 of the CDB. ``data``: the parameter list.
    ``keeps``: whether anything can be kept over a loss of power.
    """

    port: str
    scope_type: int
    data: bytes
    keeps: bool

    @property
    def key(self) -> int:
        """RESERVATION KEY."""
        return int.from_bytes(self.data[:8], "big")

    @property
    def action_key(self) -> int:
        """SERVICE ACTION RESERVATION KEY."""
        return int.from_bytes(self.data[8:16], "big")

    @property
    def names_ports(self) -> bool:
        """SPEC_I_PT."""
        return bool(self.data[20] & _SPEC_I_PT)

    def aptpl(self, byte: int = 20) -> bool:
        """APTPL, which is in ``byte``. Raises INVALID FIELD IN PARAMETER LIST where nothing can be kept."""
        wanted = bool(self.data[byte] & _APTPL)
        if wanted and not self.keeps:
            raise invalid_parameter(byte, 0)
        return wanted

    def type(self) -> ReservationType:
        """Raises INVALID FIELD IN CDB for another SCOPE than the logical unit, or a TYPE that is none."""
        if self.scope_type >> 4:
            raise invalid_field(2, 7)
        if self.scope_type not in TYPES:
            raise invalid_field(2, 3)
        return ReservationType(self.scope_type)

    def check_size(self) -> None:
        """Raise PARAMETER LIST LENGTH ERROR if there is less than every list has."""
        if len(self.data) < _BASIC:
            raise list_length_error()

    def check_basic(self) -> None:
        """Raise unless the list has the size, and no bit, of those without TransportIDs (section 6.16.3)."""
        if self.names_ports:
            raise invalid_parameter(20, 3)
        if len(self.data) != _BASIC:
            raise list_length_error()

    def ports(self) -> list[str]:
        """The initiator ports that a REGISTER with SPEC_I_PT names. Raises for a list that is wrong anywhere."""
        if len(self.data) < _TRANSPORT_IDS:
            raise list_length_error()
        place, end = _TRANSPORT_IDS, _TRANSPORT_IDS + int.from_bytes(self.data[24:28], "big")
        if end > len(self.data):
            raise list_length_error()
        ports = []
        while place < end:
            port, place = transport_id.decode(self.data, place, end)
            ports.append(port)
        return ports

    def destination(self) -> str:
        """The initiator port that a REGISTER AND MOVE names."""
        if int.from_bytes(self.data[18:20], "big") != RELATIVE_PORT:
            raise invalid_parameter(18)
        end = _BASIC + int.from_bytes(self.data[20:24], "big")
        if end > len(self.data):
            raise list_length_error()
        port, stop = transport_id.decode(self.data, _BASIC, end)
        if stop != end:
            raise invalid_parameter(20)
        if port == self.port:
            raise invalid_parameter(_BASIC)
        return port


@dataclass(frozen=True, slots=True)
class Change:
    """What a request makes of the reservations.

    ``told``: the unit attention for each port that gets one. ``preempted``: the ports whose tasks PREEMPT AND ABORT
    aborts. ``counts``: whether PRGENERATION goes on.
    """

    after: Reservations
    told: Mapping[str, UnitAttention] = field(default_factory=lambda: MappingProxyType({}))
    preempted: frozenset[str] = frozenset()
    counts: bool = True


# The service actions: each takes what is and what is asked; raises ReservationConflict or CheckCondition


def _authenticate(before: Reservations, asked: Request) -> None:
    """Registered with that key: who is not conflicts, whatever else is wrong (section 6.16.3)."""
    known = before.registrations.get(asked.port)
    if known is None:
        raise ReservationConflict
    asked.check_size()
    if asked.key != known:
        raise ReservationConflict


def register(before: Reservations, asked: Request) -> Change:
    """REGISTER (section 5.13.7, table 67): an unregistered port gives key 0."""
    asked.check_size()
    known = before.registrations.get(asked.port, 0)
    if asked.key != known:
        raise ReservationConflict
    if known or not asked.names_ports:
        asked.check_basic()
    return _register(before, asked)


def register_and_ignore_existing_key(before: Reservations, asked: Request) -> Change:
    """REGISTER AND IGNORE EXISTING KEY (section 5.13.7, table 68)."""
    asked.check_size()
    asked.check_basic()
    return _register(before, asked)


def _register(before: Reservations, asked: Request) -> Change:
    kept = asked.aptpl()
    if not asked.action_key:
        return _unregister(before, asked.port, kept)
    named = asked.ports() if asked.names_ports else []
    if not before.registrations.keys().isdisjoint(named):
        raise invalid_parameter(_TRANSPORT_IDS)
    return Change(replace(before.registered([asked.port, *named], asked.action_key), aptpl=kept))


def _unregister(before: Reservations, port: str, kept: bool) -> Change:
    """Section 5.13.11.2.3; nothing at all for a port that is not registered."""
    if port not in before.registrations:
        return Change(before, counts=False)
    after = replace(before.without({port}), aptpl=kept)
    released = after.type is None and before.type in _REGISTRANTS
    return Change(after, dict.fromkeys(after.registrations, RESERVATIONS_RELEASED) if released else {})


def reserve(before: Reservations, asked: Request) -> Change:
    """RESERVE (section 5.13.9)."""
    _authenticate(before, asked)
    if before.type is not None and not before.holds(asked.port):
        raise ReservationConflict
    asked.check_basic()
    kind = asked.type()
    if before.type not in (None, kind):
        raise ReservationConflict
    return Change(before if before.type else before.reserved(kind, asked.port), counts=False)


def release(before: Reservations, asked: Request) -> Change:
    """RELEASE (section 5.13.11.2.2): GOOD without effect for everybody but a holder."""
    _authenticate(before, asked)
    asked.check_basic()
    if before.type is None or not before.holds(asked.port):
        return Change(before, counts=False)
    if asked.scope_type != before.type:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
    told = before.others(asked.port) if before.type in _REGISTRANTS else ()
    return Change(before.reserved(None), dict.fromkeys(told, RESERVATIONS_RELEASED), counts=False)


def clear(before: Reservations, asked: Request) -> Change:
    """CLEAR (section 5.13.11.2.7)."""
    _authenticate(before, asked)
    asked.check_basic()
    told = dict.fromkeys(before.others(asked.port), RESERVATIONS_PREEMPTED)
    return Change(Reservations(aptpl=before.aptpl), told)


def preempt(before: Reservations, asked: Request) -> Change:
    """PREEMPT, and what PREEMPT AND ABORT does before it aborts (sections 5.13.11.2.4 to 5.13.11.2.6).

    A key no port has conflicts. SCOPE and TYPE do not matter unless a reservation is replaced.
    """
    _authenticate(before, asked)
    asked.check_basic()
    everybody = before.type in ALL_REGISTRANTS and not asked.action_key
    if before.type is not None and not asked.action_key and not everybody:
        raise invalid_parameter(8)
    named = {port for port, key in before.registrations.items() if everybody or key == asked.action_key}
    if not named:
        raise ReservationConflict
    if not everybody and before.holder not in named:
        told = dict.fromkeys(named - {asked.port}, REGISTRATIONS_PREEMPTED)
        return Change(before.without(named), told, frozenset(named))
    kind = asked.type()
    removed = named - {asked.port}
    after = before.without(removed).reserved(kind, asked.port)
    told = dict.fromkeys(removed, REGISTRATIONS_PREEMPTED)
    if kind is not before.type:
        told |= dict.fromkeys(after.others(asked.port), RESERVATIONS_RELEASED)
    return Change(after, told, frozenset(named))


def register_and_move(before: Reservations, asked: Request) -> Change:
    """REGISTER AND MOVE (section 5.13.8, table 70)."""
    if before.type is not None and before.holder != asked.port:
        raise ReservationConflict
    _authenticate(before, asked)
    if before.type is None:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    if not asked.action_key:
        raise invalid_parameter(8)
    kept = asked.aptpl(17)
    destination = asked.destination()
    after = before.registered([destination], asked.action_key).reserved(before.type, destination)
    if asked.data[17] & _UNREG:
        after = after.without({asked.port})
    return Change(replace(after, aptpl=kept))
