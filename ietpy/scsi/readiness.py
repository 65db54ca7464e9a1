"""What keeps a logical unit from executing commands: a medium ejected, an operation under way, or one that failed.

Whoever changes something here holds the device's lock and calls ``refresh`` afterwards.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.command import Access, Command
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.operation import Operation

SANITIZE: Final = 0x48
FORMAT_UNIT: Final = 0x04

_MEDIUM_ACCESS: Final = (Access.READ, Access.WRITE)


class Readiness:
    """Of one logical unit.

    ``operation``        the format or sanitize operation under way
    ``sanitize_failed``  the last one failed; ``restricted``: only another one helps (SBC-3 section 4.11.3)
    ``format_corrupt``   a format operation failed or was interrupted; only another one helps, or a sanitize operation
    ``ejected``          there is no medium; forgotten when the daemon starts again
    ``preventing``       nexuses that do not allow its removal
    """

    __slots__ = (
        "_lu", "ejected", "format_corrupt", "operation", "preventing", "restricted", "sanitize_failed"
    )

    def __init__(self, lu: LogicalUnit) -> None:
        self._lu = lu
        self.operation: Operation | None = None
        self.sanitize_failed = False
        self.restricted = False
        self.format_corrupt = False
        self.ejected = False
        self.preventing: set[Nexus] = set()

    def refresh(self) -> None:
        """Have commands take the closer look, if there is something to see."""
        self._lu.obstruct(None if self.condition() is None else self._obstacle)

    def condition(self) -> CheckCondition | None:
        """What TEST UNIT READY reports and REQUEST SENSE tells; None: the unit is ready. Needs no lock."""
        operation = self.operation
        if operation is not None:
            return operation.condition()
        if self.sanitize_failed:
            return CheckCondition(SenseKey.MEDIUM_ERROR, Asc.SANITIZE_COMMAND_FAILED)
        if self.ejected:
            return CheckCondition(SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT)
        if self.format_corrupt:
            return CheckCondition(SenseKey.MEDIUM_ERROR, Asc.MEDIUM_FORMAT_CORRUPTED)
        return None

    def writing(self, offset: int, length: int, *, sole: bool = False) -> AbstractContextManager[None]:
        """Claim a range of the medium (``Exclusion``) for a command on a worker.

        Entering raises if the unit is not ready any more since the command was admitted: an operation or an eject waits
        for claims, not for commands, and what is written later could stay, or get lost.
        """
        exclusion = self._lu.exclusion
        return (exclusion.sole if sole else exclusion.shared)(offset, length, self.condition)

    def _obstacle(self, command: Command) -> CheckCondition | None:
        """TEST UNIT READY and READ CAPACITY look for themselves (``LogicalUnit.check_ready``)."""
        if command.unready:
            return None
        if self.operation is None:
            if self.sanitize_failed:
                passes = command.opcode == SANITIZE
            elif self.ejected:
                passes = command.access not in _MEDIUM_ACCESS
            else:
                passes = command.access not in _MEDIUM_ACCESS or command.opcode in (SANITIZE, FORMAT_UNIT)
            if passes:
                return None
        return self.condition()
