"""RESERVE and RELEASE (SPC-2 sections 7.20 to 7.24): one nexus may keep a logical unit for itself.

Persistent reservations will live beside them, with the same ``Access`` of every row. All state is the logical
unit's and changes under the device's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ietpy.scsi.command import Access, Command, CommandSet
from ietpy.scsi.nexus import RESERVED, Nexus

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

RESERVATIONS: Final = CommandSet("SPC-2 reservations")


def conflicts(lu: LogicalUnit, nexus: Nexus, command: Command, cdb: bytes) -> bool:
    """Whether ``command`` by ``nexus`` conflicts with another's reservation (SPC-2 table 10)."""
    return (
        bool(nexus.barrier & RESERVED)
        and command.access is not Access.ALWAYS
        and not (command.harmless is not None and command.harmless(cdb))
    )


def hold(lu: LogicalUnit, holder: Nexus | None) -> None:
    """Make ``holder`` (None: nobody) the one who may use ``lu``. The caller holds the device's lock."""
    lu.holder = holder
    refresh(lu)


def refresh(lu: LogicalUnit) -> None:
    """Have those take the closer look whose commands may conflict. The caller holds the device's lock."""
    for nexus in lu.nexuses:
        if lu.holder is None or nexus is lu.holder:
            nexus.barrier &= ~RESERVED
        else:
            nexus.barrier |= RESERVED


@RESERVATIONS.command(0x16, "RESERVE(6)", usage="16 00 00 00 00 00", access=Access.MANAGE)
@RESERVATIONS.command(0x56, "RESERVE(10)", usage="56 00 00 00 00 00 00 00 00 00", access=Access.MANAGE)
def reserve(lu: LogicalUnit, task: Task) -> None:
    """Extents and third parties are refused as reserved bits; reserving again is GOOD."""
    with lu.device.lock:
        hold(lu, task.nexus)


@RESERVATIONS.command(0x17, "RELEASE(6)", usage="17 00 00 00 00 00", access=Access.ALWAYS)
@RESERVATIONS.command(0x57, "RELEASE(10)", usage="57 00 00 00 00 00 00 00 00 00", access=Access.ALWAYS)
def release(lu: LogicalUnit, task: Task) -> None:
    """GOOD without effect for everybody but the holder (SPC-2 section 7.21); IET answered with a conflict."""
    with lu.device.lock:
        if lu.holder is task.nexus:
            hold(lu, None)
