"""The closer look at a command before it is executed, in the order of SAM-5 section 5.3.3 (status precedence).

Only what has a reason comes here: a bit of ``Nexus.barrier``, or a task attribute other than SIMPLE.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.scsi import attention, reservation
from ietpy.scsi.asc import Asc
from ietpy.scsi.nexus import PROTECTED, REMOVED, REVOKED
from ietpy.scsi.pace import MEDIUM, PACED, passes
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey, Status, TaskAttribute

if TYPE_CHECKING:
    from ietpy.scsi.attention import UnitAttention
    from ietpy.scsi.command import Command
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.task import Task

_SIMPLE: Final = int(TaskAttribute.SIMPLE)
_HEAD_OF_QUEUE: Final = int(TaskAttribute.HEAD_OF_QUEUE)
#: UA_INTLCK_CTRL: conditions stay when reported; and a refused command leaves one (SPC-4 section 7.5.8).
_INTERLOCKED: Final = 2
_ESTABLISH: Final = 3
_PREVIOUS: Final[Mapping[Status, UnitAttention]] = MappingProxyType({
    Status.BUSY: attention.PREVIOUS_BUSY,
    Status.TASK_SET_FULL: attention.PREVIOUS_TASK_SET_FULL,
    Status.RESERVATION_CONFLICT: attention.PREVIOUS_CONFLICT,
})


def admit(lu: LogicalUnit, task: Task, command: Command) -> bool | None:
    """True when the task has its answer already, False when it must wait, None to go on. Raises CheckCondition."""
    nexus = task.nexus
    if nexus.barrier == PROTECTED and not command.writes and nexus.lu is lu and task.attribute <= _SIMPLE:
        return None
    if nexus.barrier & REVOKED:
        return lu.device.absent.execute(task)
    if nexus.barrier & REMOVED or nexus.lu is not lu:
        return _admit_elsewhere(lu, task, command)
    if task.attribute > _HEAD_OF_QUEUE:
        # No ACA condition ever exists here, as NACA is refused (SAM-5 section 8.6.5).
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_MESSAGE_ERROR)
    with lu.device.lock:
        if not task.may_block and lu.tasks.must_wait(task):
            return False
        if command.attention:
            _report(lu, nexus, resets_only=True)
        if reservation.conflicts(lu, nexus, command, task.cdb):
            lu.turn_away(task, Status.RESERVATION_CONFLICT)
            return True
        if command.attention:
            _report(lu, nexus)
        obstacle = lu.obstacle(command)
        if obstacle is not None:
            raise obstacle
    if nexus.barrier & PROTECTED and command.writes:
        raise CheckCondition(SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
    if nexus.barrier & PACED and not task.may_block and command.access in MEDIUM:
        with lu.device.lock:
            return None if passes(task) else False
    return None


def _report(lu: LogicalUnit, nexus: Nexus, resets_only: bool = False) -> None:
    condition = take_attention(lu, nexus, resets_only, lu.unit_attention_interlock >= _INTERLOCKED)
    if condition is not None:
        raise condition.condition()


def take_attention(
    lu: LogicalUnit, nexus: Nexus, resets_only: bool = False, keep: bool = False
) -> UnitAttention | None:
    """As ``attention.take``; who is told that the LUNs changed need not be told so by others of them."""
    condition = attention.take(nexus, resets_only, keep)
    if condition is attention.LUNS_CHANGED and not keep:
        lu.device.inventory_reported(nexus.it_nexus)
    return condition


def note_refusal(lu: LogicalUnit, nexus: Nexus, status: Status) -> None:
    """A command of ``nexus`` was turned away with ``status``. The caller holds the device's lock."""
    if lu.unit_attention_interlock == _ESTABLISH:
        attention.establish(nexus, _PREVIOUS[status])


def _admit_elsewhere(lu: LogicalUnit, task: Task, command: Command) -> bool | None:
    """``lu`` was removed: answer as the one that has its number now, or as nobody."""
    nexus = task.nexus
    with lu.device.lock:
        successor = lu.device.logical_units.get(lu.number)
        if successor is None:
            return lu.device.absent.execute(task)
        if nexus.barrier & REMOVED:
            successor.adopt(nexus)
            successor.tell_differences(nexus, lu)
        if command.attention:
            if successor.unit_attention_interlock < _INTERLOCKED:
                attention.withdraw(nexus, attention.POWER_ON)
            successor.fail(task, attention.POWER_ON.condition())
            return True
    return successor.execute(task)
