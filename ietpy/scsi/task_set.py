"""Which tasks of a logical unit must wait for others (SAM-5 sections 8.2 to 8.6): SIMPLE, ORDERED, HEAD OF QUEUE."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task


class TaskSet:
    """Everything here is called under the device's lock."""

    __slots__ = ("_lu",)

    def __init__(self, lu: LogicalUnit) -> None:
        self._lu = lu

    def must_wait(self, task: Task) -> bool:
        """Whether ``task``, about to be executed in place, has to wait for its turn."""
        return False
