"""Persistent reservations: what is registered and reserved, and what service actions make of it (SPC-4 section 5.13).

``Reservations`` never change. A rule takes the ones that are and a request, and says what would be; who carries that
out (``persistent_commands``) can first keep it, and let it take effect or not. Registrations belong to I_T nexuses by
the names of their ports, so they outlive sessions.
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
from ietpy.scsi.nexus import FIRST_PORT, ItNexus
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
_ALL_TG_PT: Final = 0x04
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
#: Every registered nexus holds it.
ALL_REGISTRANTS: Final = frozenset({
    ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS, ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
})
#: Every registered nexus may do what a holder may.
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

    ``registrations``: reservation key by I_T nexus, in the order of registering. ``type``: of the persistent
    reservation, if there is one. ``holder``: who holds it; None also where all registered ones do.
    ``aptpl``: whether this is kept over a loss of power.
    """

    registrations: Mapping[ItNexus, int] = field(default_factory=lambda: MappingProxyType({}))
    type: ReservationType | None = None
    holder: ItNexus | None = None
    aptpl: bool = False

    def holds(self, nexus: ItNexus) -> bool:
        """Whether ``nexus`` is a persistent reservation holder (section 5.13.10)."""
        return nexus in self.registrations if self.type in ALL_REGISTRANTS else nexus == self.holder

    def admits(self, nexus: ItNexus) -> bool:
        """Whether no command of ``nexus`` can conflict."""
        return self.type is None or self.holds(nexus) or (self.type in _REGISTRANTS and nexus in self.registrations)

    def restricts(self, command: Command) -> bool:
        """Whether ``command`` by a nexus that is not admitted conflicts (section 5.13.1, SBC-3 table 13)."""
        if self.type is None or command.access in (Access.ALWAYS, Access.STATE):
            return False
        shows = command.access is Access.READ or (command.access is Access.MANAGE and command.allocation is not None)
        return self.type in _EXCLUSIVE_ACCESS or not shows

    def others(self, nexus: ItNexus) -> set[ItNexus]:
        """The other registered ones."""
        return set(self.registrations) - {nexus}

    def without(self, nexuses: Collection[ItNexus]) -> Reservations:
        """These unregistered; nothing stays reserved without a holder (tables 71 and 72)."""
        left = {nexus: key for nexus, key in self.registrations.items() if nexus not in nexuses}
        after = replace(self, registrations=MappingProxyType(left))
        gone = not left if self.type in ALL_REGISTRANTS else self.holder in nexuses
        return after.reserved(None) if gone else after

    def reserved(self, kind: ReservationType | None, holder: ItNexus | None = None) -> Reservations:
        """With another reservation, or none."""
        return replace(self, type=kind, holder=None if kind in ALL_REGISTRANTS else holder)

    def registered(self, nexuses: Iterable[ItNexus], key: int) -> Reservations:
        """With ``key`` for these. Raises INSUFFICIENT REGISTRATION RESOURCES."""
        registrations = {**self.registrations, **dict.fromkeys(nexuses, key)}
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

    ``nexus``: where it comes from. ``scope_type``: byte 2 of the CDB. ``data``: the parameter list. ``keeps``: whether
    anything can be kept over a loss of power. ``target_ports``: relative identifiers of all ports the device has.
    """

    nexus: ItNexus
    scope_type: int
    data: bytes
    keeps: bool
    target_ports: tuple[int, ...] = (FIRST_PORT,)

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

    def by_ports(self, initiator: str) -> list[ItNexus]:
        """The nexuses of an initiator port a registration is about: by this target port, or with ALL_TG_PT by each."""
        others = self.target_ports if self.data[20] & _ALL_TG_PT else ()
        return [ItNexus(initiator, port) for port in dict.fromkeys((self.nexus.target_port, *others))]

    def named(self) -> list[ItNexus]:
        """Those that a REGISTER with SPEC_I_PT names. Raises for a list that is wrong anywhere."""
        if len(self.data) < _TRANSPORT_IDS:
            raise list_length_error()
        place, end = _TRANSPORT_IDS, _TRANSPORT_IDS + int.from_bytes(self.data[24:28], "big")
        if end > len(self.data):
            raise list_length_error()
        nexuses = []
        while place < end:
            initiator, place = transport_id.decode(self.data, place, end)
            nexuses += self.by_ports(initiator)
        return nexuses

    def destination(self) -> ItNexus:
        """The nexus that a REGISTER AND MOVE names."""
        target_port = int.from_bytes(self.data[18:20], "big")
        if target_port not in self.target_ports:
            raise invalid_parameter(18)
        end = _BASIC + int.from_bytes(self.data[20:24], "big")
        if end > len(self.data):
            raise list_length_error()
        initiator, stop = transport_id.decode(self.data, _BASIC, end)
        if stop != end:
            raise invalid_parameter(20)
        nexus = ItNexus(initiator, target_port)
        if nexus == self.nexus:
            raise invalid_parameter(_BASIC)
        return nexus


@dataclass(frozen=True, slots=True)
class Change:
    """What a request makes of the reservations.

    ``told``: the unit attention for each nexus that gets one. ``preempted``: those whose tasks PREEMPT AND ABORT
    aborts. ``counts``: whether PRGENERATION goes on.
    """

    after: Reservations
    told: Mapping[ItNexus, UnitAttention] = field(default_factory=lambda: MappingProxyType({}))
    preempted: frozenset[ItNexus] = frozenset()
    counts: bool = True


# The service actions: each takes what is and what is asked; raises ReservationConflict or CheckCondition


def _authenticate(before: Reservations, asked: Request) -> None:
    """Registered with that key: who is not conflicts, whatever else is wrong (section 6.16.3)."""
    known = before.registrations.get(asked.nexus)
    if known is None:
        raise ReservationConflict
    asked.check_size()
    if asked.key != known:
        raise ReservationConflict


def register(before: Reservations, asked: Request) -> Change:
    """REGISTER (section 5.13.7, table 67): an unregistered nexus gives key 0.

    With ALL_TG_PT other target ports, too, register with that key, or have done so.
    """
    asked.check_size()
    known = before.registrations.get(asked.nexus, 0)
    elsewhere = {before.registrations.get(nexus, 0) for nexus in asked.by_ports(asked.nexus.initiator)}
    if asked.key != known or elsewhere - {0, known}:
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
    kept, own = asked.aptpl(), asked.by_ports(asked.nexus.initiator)
    if not asked.action_key:
        return _unregister(before, own, kept)
    named = asked.named() if asked.names_ports else []
    if not before.registrations.keys().isdisjoint(named):
        raise invalid_parameter(_TRANSPORT_IDS)
    return Change(replace(before.registered([*own, *named], asked.action_key), aptpl=kept))


def _unregister(before: Reservations, nexuses: Collection[ItNexus], kept: bool) -> Change:
    """Section 5.13.11.2.3; nothing at all where none is registered."""
    if before.registrations.keys().isdisjoint(nexuses):
        return Change(before, counts=False)
    after = replace(before.without(nexuses), aptpl=kept)
    released = after.type is None and before.type in _REGISTRANTS
    return Change(after, dict.fromkeys(after.registrations, RESERVATIONS_RELEASED) if released else {})


def reserve(before: Reservations, asked: Request) -> Change:
    """RESERVE (section 5.13.9)."""
    _authenticate(before, asked)
    if before.type is not None and not before.holds(asked.nexus):
        raise ReservationConflict
    asked.check_basic()
    kind = asked.type()
    if before.type not in (None, kind):
        raise ReservationConflict
    return Change(before if before.type else before.reserved(kind, asked.nexus), counts=False)


def release(before: Reservations, asked: Request) -> Change:
    """RELEASE (section 5.13.11.2.2): GOOD without effect for everybody but a holder."""
    _authenticate(before, asked)
    asked.check_basic()
    if before.type is None or not before.holds(asked.nexus):
        return Change(before, counts=False)
    if asked.scope_type != before.type:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
    told = before.others(asked.nexus) if before.type in _REGISTRANTS else ()
    return Change(before.reserved(None), dict.fromkeys(told, RESERVATIONS_RELEASED), counts=False)


def clear(before: Reservations, asked: Request) -> Change:
    """CLEAR (section 5.13.11.2.7)."""
    _authenticate(before, asked)
    asked.check_basic()
    told = dict.fromkeys(before.others(asked.nexus), RESERVATIONS_PREEMPTED)
    return Change(Reservations(aptpl=before.aptpl), told)


def preempt(before: Reservations, asked: Request) -> Change:
    """PREEMPT, and what PREEMPT AND ABORT does before it aborts (sections 5.13.11.2.4 to 5.13.11.2.6).

    A key nobody has conflicts. SCOPE and TYPE do not matter unless a reservation is replaced.
    """
    _authenticate(before, asked)
    asked.check_basic()
    everybody = before.type in ALL_REGISTRANTS and not asked.action_key
    if before.type is not None and not asked.action_key and not everybody:
        raise invalid_parameter(8)
    named = {nexus for nexus, key in before.registrations.items() if everybody or key == asked.action_key}
    if not named:
        raise ReservationConflict
    if not everybody and before.holder not in named:
        told = dict.fromkeys(named - {asked.nexus}, REGISTRATIONS_PREEMPTED)
        return Change(before.without(named), told, frozenset(named))
    kind = asked.type()
    removed = named - {asked.nexus}
    after = before.without(removed).reserved(kind, asked.nexus)
    told = dict.fromkeys(removed, REGISTRATIONS_PREEMPTED)
    if kind is not before.type:
        told |= dict.fromkeys(after.others(asked.nexus), RESERVATIONS_RELEASED)
    return Change(after, told, frozenset(named))


def register_and_move(before: Reservations, asked: Request) -> Change:
    """REGISTER AND MOVE (section 5.13.8, table 70)."""
    if before.type is not None and before.holder != asked.nexus:
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
        after = after.without({asked.nexus})
    return Change(replace(after, aptpl=kept))
