"""PERSISTENT RESERVE IN and OUT (SPC-4 sections 6.15 and 6.16); the rules are ``persistent``'s.

A change that is kept over a loss of power is on stable storage before anybody sees it. Meanwhile the device's lock is
free, for a disk may take its time; ``ScsiDevice.keeping`` has the next change wait until this one is in effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from ietpy.errors import StoreError
from ietpy.scsi import attention, persistent, persistent_record, reservation, transport_id
from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import field
from ietpy.scsi.command import BLOCKS, Access, Blocks, CommandSet, Result
from ietpy.scsi.persistent import (
    Change,
    Request,
    ReservationConflict,
    Reservations,
    ReservationType,
)
from ietpy.scsi.port_groups import target_ports
from ietpy.scsi.sense import CheckCondition, list_length_error
from ietpy.scsi.status import SenseKey, Status
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

PERSISTENT: Final = CommandSet("SPC-4 persistent reservations")

#: What a request makes of reservations: a service action of ``persistent``.
Rule: TypeAlias = "Callable[[Reservations, Request], Change]"

_GENERATIONS: Final = 1 << 32


# PERSISTENT RESERVE IN

_IN: Final = "5E {:02X} 00 00 00 00 00 FF FF 00"

#: What all parameter data but REPORT CAPABILITIES begin with (section 6.15.2).
IN_HEADER: Final = Layout("PERSISTENT RESERVE IN header", 8, (("generation", "I"), ("additional_length", "I")))
#: Section 6.15.3.2, after the header.
RESERVATION: Final = Layout("READ RESERVATION descriptor", 16, (
    ("key", "Q"), ("_obsolete", "5x"), ("scope_type", "B"), ("_obsolete", "2x"),
))
#: Section 6.15.4.
CAPABILITIES: Final = Layout("REPORT CAPABILITIES parameter data", 8, (
    ("length", "H"), ("capable", "B"), ("allowed", "B"), ("types", "2s"), ("_reserved", "2x"),
))
#: Section 6.15.5, before the TransportID.
FULL_STATUS: Final = Layout("full status descriptor", 24, (
    ("key", "Q"), ("_reserved", "4x"), ("flags", "B"), ("scope_type", "B"), ("_reserved", "4x"),
    ("relative_target_port", "H"), ("additional_length", "I"),
))
_CRH: Final = 0x10  #: RESERVE and RELEASE by who is admitted are GOOD without effect
_SIP_C: Final = 0x08
_ATP_C: Final = 0x04
_PTPL_C: Final = 0x01
_TMV: Final = 0x80
_ALLOW_COMMANDS: Final = 0x40  #: 100b: all that table 208 names are allowed as table 65 has them
_PTPL_A: Final = 0x01
_R_HOLDER: Final = 0x01
#: PERSISTENT RESERVATION TYPE MASK: the bit of a type's number, the first byte first.
_TYPE_MASK: Final = sum(1 << each for each in ReservationType).to_bytes(2, "little")


def _reported(lu: LogicalUnit, task: Task, body: Callable[[Reservations], bytes]) -> bytes | None:
    """Parameter data with their header. All of this conflicts with RESERVE, even one's own (SPC-2 section 5.5.1)."""
    with lu.device.lock:
        if lu.holder is not None:
            lu.turn_away(task, Status.RESERVATION_CONFLICT)
            return None
        content = body(lu.persistent.now)
        return IN_HEADER.pack(generation=lu.persistent.generation, additional_length=len(content)) + content


@PERSISTENT.command(
    0x5E, "PERSISTENT RESERVE IN READ KEYS", service_action=0x00, access=Access.STATE, allocation=field(7, 2),
    usage=_IN.format(0x00),
)
def read_keys(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.15.2."""
    return _reported(
        lu, task, lambda now: b"".join(key.to_bytes(8, "big") for key in now.registrations.values())
    )


@PERSISTENT.command(
    0x5E, "PERSISTENT RESERVE IN READ RESERVATION", service_action=0x01, access=Access.STATE, allocation=field(7, 2),
    usage=_IN.format(0x01),
)
def read_reservation(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.15.3; the key of all registrants is 0."""
    return _reported(lu, task, _reservation)


def _reservation(now: Reservations) -> bytes:
    if now.type is None:
        return b""
    return RESERVATION.pack(key=0 if now.holder is None else now.registrations[now.holder], scope_type=now.type)


@PERSISTENT.command(
    0x5E, "PERSISTENT RESERVE IN REPORT CAPABILITIES", service_action=0x02, access=Access.STATE,
    allocation=field(7, 2), usage=_IN.format(0x02),
)
def report_capabilities(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.15.4."""
    with lu.device.lock:
        if lu.holder is not None:
            lu.turn_away(task, Status.RESERVATION_CONFLICT)
            return None
        return CAPABILITIES.pack(
            length=CAPABILITIES.size, types=_TYPE_MASK,
            capable=_CRH | _SIP_C | _ATP_C | (0 if lu.state is None else _PTPL_C),
            allowed=_TMV | _ALLOW_COMMANDS | (_PTPL_A if lu.persistent.now.aptpl else 0),
        )


@PERSISTENT.command(
    0x5E, "PERSISTENT RESERVE IN READ FULL STATUS", service_action=0x03, access=Access.STATE, allocation=field(7, 2),
    usage=_IN.format(0x03),
)
def read_full_status(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.15.5."""
    return _reported(lu, task, _full_status)


def _full_status(now: Reservations) -> bytes:
    descriptors = []
    for nexus, key in now.registrations.items():
        holds = now.type is not None and now.holds(nexus)
        identifier = transport_id.encode(nexus.initiator)
        descriptors.append(FULL_STATUS.pack(
            key=key, flags=_R_HOLDER if holds else 0, scope_type=now.type if holds else 0,
            relative_target_port=nexus.target_port, additional_length=len(identifier),
        ) + identifier)
    return b"".join(descriptors)


# PERSISTENT RESERVE OUT

#: SCOPE and TYPE are evaluated, or ignored, which is not the same as reserved.
_OUT: Final = "5F {:02X} FF 00 00 FF FF FF FF 00"


def _list_length(lu: LogicalUnit, cdb: bytes) -> int:
    return int.from_bytes(cdb[5:9], "big")


def _refuse(lu: LogicalUnit, cdb: bytes) -> None:
    if _list_length(lu, cdb) > persistent.LONGEST_LIST:
        raise list_length_error()


def _declare(action: int, name: str, rule: Rule, aborts: bool = False) -> None:
    """SPC-4 section 6.16; who may do what under which reservation is in the rule (table 66)."""

    @PERSISTENT.command(
        0x5F, f"PERSISTENT RESERVE OUT {name}", service_action=action, access=Access.STATE, usage=_OUT.format(action),
        data_out=_list_length, refuse=_refuse,
    )
    def persistent_reserve_out(lu: LogicalUnit, task: Task) -> Result:
        _refuse(lu, task.cdb)
        if not task.may_block:
            return BLOCKS if aborts or _change(lu, task, rule) is BLOCKS else None
        with lu.device.keeping:
            change = _change(lu, task, rule)
        if aborts and isinstance(change, Change):
            _abort(lu, task, change)
        return None


def _abort(lu: LogicalUnit, task: Task, change: Change) -> None:
    """What PREEMPT AND ABORT does besides (section 5.13.11.2.6); ACA conditions and background copies do not exist."""
    with lu.device.lock:
        preempted = [nexus for nexus in lu.nexuses if nexus.it_nexus in change.preempted]
        lu.readiness.preventing.difference_update(preempted)
    lu.device.abort_tasks(lu, preempted, task)


def _change(lu: LogicalUnit, task: Task, rule: Rule) -> Change | Blocks | None:
    """Decide, keep if needed, and let it take effect; None: the task has its status. BLOCKS before anything is kept."""
    length = _list_length(lu, task.cdb)
    data = task.parameter_list(length)
    asked = Request(
        task.nexus.it_nexus, task.cdb[2], data, lu.state is not None, target_ports(lu.device.port_groups)
    )
    persisting = lu.persistent
    with lu.device.lock:
        if persisting.coming is not None and not task.may_block:
            return BLOCKS
        try:
            if lu.holder is not None:
                raise ReservationConflict
            change = rule(persisting.now, asked)
        except ReservationConflict:
            lu.turn_away(task, Status.RESERVATION_CONFLICT)
            return None
        kept = change.after != persisting.now and (change.after.aptpl or persisting.now.aptpl)
        if kept and not task.may_block:
            return BLOCKS
        if not kept:
            _take_effect(lu, change)
            return change
        persisting.coming = change.after
    try:
        _keep(lu, change.after)
        with lu.device.lock:
            _take_effect(lu, change)
    finally:
        with lu.device.lock:
            persisting.coming = None
    return change


def _keep(lu: LogicalUnit, after: Reservations) -> None:
    assert lu.state is not None  # or APTPL would have been refused
    try:
        persistent_record.keep(lu.state, after)
    except StoreError:
        raise CheckCondition(SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE) from None


def _take_effect(lu: LogicalUnit, change: Change) -> None:
    """The caller holds the device's lock."""
    lu.persistent.now = change.after
    if change.counts:
        lu.persistent.generation = (lu.persistent.generation + 1) % _GENERATIONS
    reservation.refresh(lu)
    for nexus in lu.nexuses:
        condition = change.told.get(nexus.it_nexus)
        if condition is not None:
            attention.establish(nexus, condition)


_declare(0x00, "REGISTER", persistent.register)
_declare(0x01, "RESERVE", persistent.reserve)
_declare(0x02, "RELEASE", persistent.release)
_declare(0x03, "CLEAR", persistent.clear)
_declare(0x04, "PREEMPT", persistent.preempt)
_declare(0x05, "PREEMPT AND ABORT", persistent.preempt, aborts=True)
_declare(0x06, "REGISTER AND IGNORE EXISTING KEY", persistent.register_and_ignore_existing_key)
_declare(0x07, "REGISTER AND MOVE", persistent.register_and_move)
