"""Target port groups and their asymmetric access states (ALUA: SPC-4 sections 5.16, 6.37 and 6.45).

The ports of a target device are in one group, whose state holds for all its logical units. Where several gateways
serve the same disks, each has its own group: a row of ``ScsiDevice.port_groups``, the same rows on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from ietpy.scsi import attention
from ietpy.scsi.cdb import field
from ietpy.scsi.command import Access, CommandSet, Result
from ietpy.scsi.nexus import FIRST_PORT
from ietpy.scsi.sense import invalid_field, invalid_parameter
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.device import ScsiDevice
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import ItNexus
    from ietpy.scsi.task import Task

PORT_GROUPS: Final = CommandSet("SPC-4 target port groups")


class AccessState(IntEnum):
    """The primary states a group can be in here; in both, every command is executed (SPC-4 section 5.16.2.4)."""

    ACTIVE_OPTIMIZED = 0x0
    ACTIVE_NON_OPTIMIZED = 0x1


class Cause(IntEnum):
    """STATUS CODE: why a group is in its state (SPC-4 table 308)."""

    NOT_AVAILABLE = 0x00
    EXPLICIT = 0x01  #: SET TARGET PORT GROUPS
    IMPLICIT = 0x02  #: the target device itself


@dataclass(frozen=True, slots=True)
class PortGroup:
    """``tag``: TARGET PORT GROUP; ``ports``: relative target port identifiers; ``preferred``: PREF."""

    tag: int
    ports: tuple[int, ...]
    state: AccessState = AccessState.ACTIVE_OPTIMIZED
    cause: Cause = Cause.NOT_AVAILABLE
    preferred: bool = False


ONE_GROUP: Final[tuple[PortGroup, ...]] = (PortGroup(1, (FIRST_PORT,)),)


#: Ports of a group that are told: their number is one byte in REPORT TARGET PORT GROUPS, and with names as long as can
#: be no more fit into a VPD page.
MOST_LISTED: Final = 255


def group_of(groups: Iterable[PortGroup], port: int) -> PortGroup:
    """The group ``port`` is a member of; of a port that is no more, but has a session still, the first."""
    first, *others = groups
    return next((group for group in others if port in group.ports), first)


def target_ports(groups: Iterable[PortGroup]) -> tuple[int, ...]:
    """Relative identifiers of all ports of these groups."""
    return tuple(port for group in groups for port in group.ports)


def set_ports(device: ScsiDevice, ports: tuple[int, ...]) -> None:
    """Have the first group consist of these ports, by relative identifier; the other groups stay. Nexuses are told."""
    with device.lock:
        first, *others = device.port_groups
        device.port_groups = (replace(first, ports=ports), *others)
        for lu in device.logical_units.values():
            for nexus in lu.nexuses:
                attention.establish(nexus, attention.INQUIRY_CHANGED)


def alter(device: ScsiDevice, states: Mapping[int, AccessState], cause: Cause, author: ItNexus | None = None) -> None:
    """Put groups, by tag, into ``states`` and tell all nexuses but those of ``author``.

    Groups that are in the state already stay as they are; where all are, nobody is told.
    """
    with device.lock:
        groups = tuple(_altered(group, states.get(group.tag, group.state), cause) for group in device.port_groups)
        if groups == device.port_groups:
            return
        device.port_groups = groups
        for lu in device.logical_units.values():
            for nexus in lu.nexuses:
                if nexus.it_nexus != author:
                    attention.establish(nexus, attention.ACCESS_STATE_CHANGED)


def _altered(group: PortGroup, state: AccessState, cause: Cause) -> PortGroup:
    return group if state is group.state else replace(group, state=state, cause=cause)


# REPORT TARGET PORT GROUPS

#: SPC-4 table 306, without the target port descriptors.
TARGET_PORT_GROUP: Final = Layout("target port group descriptor", 8, (
    ("state", "B"), ("supported", "B"), ("group", "H"), ("_reserved", "x"), ("status_code", "B"),
    ("_vendor_specific", "x"), ("ports", "B"),
))
_PREF: Final = 0x80
_AO_AN: Final = 0x03  #: AO_SUP and AN_SUP
_EXTENDED: Final = 0x20  #: PARAMETER DATA FORMAT 001b
#: FORMAT TYPE 001b; an implicit transition takes no time worth telling (SPC-4 table 305).
_EXTENDED_HEADER: Final = bytes((0x10, 0, 0, 0))


def _descriptor(group: PortGroup) -> bytes:
    listed = group.ports[:MOST_LISTED]
    ports = b"".join(port.to_bytes(4, "big") for port in listed)
    return TARGET_PORT_GROUP.pack(
        state=group.state | (_PREF if group.preferred else 0), supported=_AO_AN, group=group.tag,
        status_code=group.cause, ports=len(listed),
    ) + ports


@PORT_GROUPS.command(
    0xA3, "REPORT TARGET PORT GROUPS", service_action=0x0A, access=Access.ALWAYS, allocation=field(6, 4),
    usage="A3 2A 00 00 00 00 FF FF FF FF 00 00",
)
def report_target_port_groups(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.37. Reserved values of PARAMETER DATA FORMAT are refused as reserved bits."""
    header = _EXTENDED_HEADER if task.cdb[1] & _EXTENDED else b""
    body = header + b"".join(_descriptor(group) for group in lu.device.port_groups)
    return len(body).to_bytes(4, "big") + body


# SET TARGET PORT GROUPS

#: SPC-4 table 329.
SET_TARGET_PORT_GROUP: Final = Layout("set target port group descriptor", 4, (
    ("state", "B"), ("_reserved", "x"), ("group", "H"),
))
_HEADER: Final = 4
_STATE: Final = 0x0F
_STATES: Final = frozenset(AccessState)

_list_length = field(6, 4)


def _data_out(lu: LogicalUnit, cdb: bytes) -> int:
    return _list_length(cdb)


def _refuse_set(lu: LogicalUnit, cdb: bytes) -> None:
    """A list has a header and whole descriptors, as many as there are groups at most."""
    length = _list_length(cdb)
    most = _HEADER + SET_TARGET_PORT_GROUP.size * len(lu.device.port_groups)
    if length % SET_TARGET_PORT_GROUP.size or length > most:
        raise invalid_field(6)


@PORT_GROUPS.command(
    0xA4, "SET TARGET PORT GROUPS", service_action=0x0A, access=Access.MANAGE, data_out=_data_out,
    refuse=_refuse_set, usage="A4 0A 00 00 00 00 FF FF FF FF 00 00",
)
def set_target_port_groups(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.45. A transition takes no time: it is over when the command is."""
    _refuse_set(lu, task.cdb)
    data = task.parameter_list(_list_length(task.cdb))
    tags = {group.tag for group in lu.device.port_groups}
    states: dict[int, AccessState] = {}
    for place in range(_HEADER, len(data), SET_TARGET_PORT_GROUP.size):
        wanted = SET_TARGET_PORT_GROUP.unpack(data, place)
        state = wanted["state"] & _STATE
        if state not in _STATES:
            raise invalid_parameter(place, 3)
        if wanted["group"] not in tags:
            raise invalid_parameter(place + 2)
        states[wanted["group"]] = AccessState(state)
    alter(lu.device, states, Cause.EXPLICIT, task.nexus.it_nexus)
    return None
