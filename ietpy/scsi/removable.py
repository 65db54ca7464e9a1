"""The medium's coming and going: PREVENT ALLOW MEDIUM REMOVAL, START STOP UNIT (SBC-3 sections 5.10, 5.25).

Only a unit configured as removable lets go of its medium, and only for initiators: the file or device behind it stays
open. When the daemon starts again, every medium is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.attention import MEDIUM_CHANGED
from ietpy.scsi.cache import empty
from ietpy.scsi.command import BLOCKS, Access, CommandSet, Result
from ietpy.scsi.sense import CheckCondition, invalid_field
from ietpy.scsi.status import SenseKey

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

REMOVAL: Final = CommandSet("SBC-3 medium removal")

_PREVENT: Final = 0x03  #: 10b and 11b are obsolete


def _allows_removal(cdb: bytes) -> bool:
    return not cdb[4] & _PREVENT


@REMOVAL.command(
    0x1E, "PREVENT ALLOW MEDIUM REMOVAL", usage="1E 00 00 00 03 00", access=Access.MANAGE,
    harmless=_allows_removal,
)
def prevent_allow_medium_removal(lu: LogicalUnit, task: Task) -> None:
    """SBC-3 section 5.10: holds until this nexus allows it or ends, or a reset. Also while there is no medium."""
    if task.cdb[4] & _PREVENT > 1:
        raise invalid_field(4, 1)
    with lu.device.lock:
        if _allows_removal(task.cdb):
            lu.readiness.preventing.discard(task.nexus)
        else:
            lu.readiness.preventing.add(task.nexus)


_START: Final = 0x01  #: byte 4 of the CDB
_LOEJ: Final = 0x02
_NO_FLUSH: Final = 0x04
_POWER_CONDITION: Final = 0xF0


def _starts(cdb: bytes) -> bool:
    """START STOP UNIT with START set and no POWER CONDITION is allowed under another's reservation."""
    return cdb[4] & (_START | _POWER_CONDITION) == _START


@REMOVAL.command(
    0x1B, "START STOP UNIT", usage="1B 01 00 00 F7 00", access=Access.MANAGE, harmless=_starts, timeout=120
)
def start_stop_unit(lu: LogicalUnit, task: Task) -> Result:
    """SBC-3 section 5.25; whatever IMMED says, all is done before the answer.

    There is no spindle: stopping only writes the cache, and the unit stays ready. POWER CONDITION has START and LOEJ
    ignored and no other effect, as there are no power conditions but the active one; values SBC-3 reserves are taken,
    too, as libiscsi's PwrCnd test asks for every one of them.
    """
    how = task.cdb[4]
    if how & _LOEJ and not how & _POWER_CONDITION:
        if not lu.removable:
            raise invalid_field(4, 1)
        return (_load if how & _START else _eject)(lu, task)
    if _starts(task.cdb):
        if lu.readiness.ejected:
            raise CheckCondition(SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT)
        return None
    if how & _NO_FLUSH:
        return None
    if not task.may_block:
        return BLOCKS
    empty(lu)
    return None


def _check_allowed(lu: LogicalUnit) -> None:
    if lu.readiness.preventing:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.MEDIUM_REMOVAL_PREVENTED)


def _load(lu: LogicalUnit, task: Task) -> Result:
    with lu.device.lock:
        _check_allowed(lu)
        if lu.readiness.ejected:
            _set_ejected(lu, False)
            lu.tell_others(task.nexus, MEDIUM_CHANGED)
    return None


def _eject(lu: LogicalUnit, task: Task) -> Result:
    """What was written before is on the medium first, unless NO_FLUSH says it need not."""
    as_it_is = task.cdb[4] & _NO_FLUSH
    with lu.device.lock:
        _check_allowed(lu)
        if lu.readiness.ejected:
            return None
        if not (task.may_block or as_it_is):
            return BLOCKS
        _set_ejected(lu, True)
    if as_it_is:
        return None
    try:
        with lu.exclusion.sole(0, lu.blocks << lu.shift):
            empty(lu)
    except StoreError:
        with lu.device.lock:
            _set_ejected(lu, False)
        raise
    return None


def _set_ejected(lu: LogicalUnit, ejected: bool) -> None:
    lu.readiness.ejected = ejected
    lu.readiness.refresh()
