"""Who may use a logical unit: which commands conflict with the reservations of others, and RESERVE and RELEASE.

By RESERVE (SPC-2 sections 7.20 to 7.24) one nexus keeps the unit for itself. Persistent reservations (``persistent``)
exclude that: while a port is registered there is no RESERVE, and the other way round (SPC-2 section 5.5.1). All state
is the logical unit's and changes under the device's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ietpy.scsi.command import Access, Command, CommandSet
from ietpy.scsi.nexus import RESERVED, Nexus
from ietpy.scsi.status import Status

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

RESERVATIONS: Final = CommandSet("SPC-2 reservations")


def conflicts(lu: LogicalUnit, nexus: Nexus, command: Command, cdb: bytes) -> bool:
    """Whether ``command`` by ``nexus`` conflicts with another's reservation (SPC-2 table 10, SPC-4 table 65)."""
    return (
        bool(nexus.barrier & RESERVED)
        and command.access is not Access.ALWAYS
        and not (command.harmless is not None and command.harmless(cdb))
        and (lu.holder is not None or lu.persistent.now.restricts(command))
    )


def hold(lu: LogicalUnit, holder: Nexus | None) -> None:
    """Make ``holder`` (None: nobody) the one who may use ``lu``. The caller holds the device's lock."""
    lu.holder = holder
    refresh(lu)


def refresh(lu: LogicalUnit) -> None:
    """Have those take the closer look whose commands may conflict. The caller holds the device's lock."""
    admits = lu.persistent.now.admits
    for nexus in lu.nexuses:
        if (lu.holder is None or nexus is lu.holder) and admits(nexus.it_nexus):
            nexus.barrier &= ~RESERVED
        else:
            nexus.barrier |= RESERVED


def _decided_by_registrations(lu: LogicalUnit, task: Task) -> bool:
    """Whether RESERVE or RELEASE has no effect as ports are registered, or just about to be; then the status is set.

    GOOD for those whom a persistent reservation admits, which CRH tells (SPC-4 section 5.13.3), else a conflict.
    """
    now = lu.persistent.now
    if not now.registrations and lu.persistent.coming is None:
        return False
    if now.type is None or not now.admits(task.nexus.it_nexus):
        lu.turn_away(task, Status.RESERVATION_CONFLICT)
    return True


@RESERVATIONS.command(0x16, "RESERVE(6)", usage="16 00 00 00 00 00", access=Access.MANAGE)
@RESERVATIONS.command(0x56, "RESERVE(10)", usage="56 00 00 00 00 00 00 00 00 00", access=Access.MANAGE)
def reserve(lu: LogicalUnit, task: Task) -> None:
    """Extents and third parties are refused as reserved bits; reserving again is GOOD.

    Another may have reserved it since this command was admitted.
    """
    with lu.device.lock:
        if _decided_by_registrations(lu, task):
            return
        if lu.holder in (None, task.nexus):
            hold(lu, task.nexus)
        else:
            lu.turn_away(task, Status.RESERVATION_CONFLICT)


@RESERVATIONS.command(0x17, "RELEASE(6)", usage="17 00 00 00 00 00", access=Access.ALWAYS)
@RESERVATIONS.command(0x57, "RELEASE(10)", usage="57 00 00 00 00 00 00 00 00 00", access=Access.ALWAYS)
def release(lu: LogicalUnit, task: Task) -> None:
    """GOOD without effect for everybody but the holder (SPC-2 section 7.21); IET answered with a conflict."""
    with lu.device.lock:
        if not _decided_by_registrations(lu, task) and lu.holder is task.nexus:
            hold(lu, None)
