"""A task management function under way (RFC 7143 sections 11.5, 11.6)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.task import Task

# Section 11.6.1; the last one is RFC 7144's
COMPLETE: Final = 0
NO_SUCH_TASK: Final = 1
NO_SUCH_LUN: Final = 2
STILL_ALLEGIANT: Final = 3
NO_REASSIGNMENT: Final = 4
NOT_SUPPORTED: Final = 5
NOT_AUTHORIZED: Final = 6
SUCCEEDED: Final = 7
REJECTED: Final = 255


class Function:
    """A function under way: whom to answer, with what, and what must end first.

    ``numbers`` are those of the units whose tasks end, also of one that had the number before (None: of all). Of their
    units ``reporting`` report it to other nexuses with TASK ABORTED (TAS of the control mode page, when the function
    began); else, if it ``clears``, those are told by a unit attention. ``nexuses``: only theirs end. ``others`` are
    sessions still to be visited by ``abort``; ``tasks`` are aborted tasks that workers still run; ``closing`` are
    connections to be closed after the answer, ``then`` what else is done then. ``author``: the task whose answer is
    given in place of one to the function; ``executed``: it was. ``fenced``: other connections of its session must have
    delivered what they sent before, ``fences`` still have to (``ordering``). Changed under the device's lock.
    """

    __slots__ = (
        "answered", "author", "clears", "closing", "connection", "executed", "fenced", "fences", "information",
        "nexuses", "numbers", "others", "reporting", "response", "tag", "tasks", "then",
    )

    def __init__(self, connection: Connection, tag: int) -> None:
        self.connection = connection
        self.tag = tag
        self.response = COMPLETE
        self.information = b""
        self.numbers: Collection[int] | None = ()
        self.reporting: Collection[LogicalUnit] = ()
        self.nexuses: Collection[Nexus] | None = None
        self.clears = False
        self.others: list[Session] = []
        self.tasks: set[Task] = set()
        self.closing: list[Connection] = []
        self.fences: set[Connection] = set()
        self.fenced = False
        self.then: Callable[[], None] | None = None
        self.author: Task | None = None
        self.executed = False
        self.answered = False

    def address(self, units: Sequence[LogicalUnit], everything: bool = False) -> None:
        """End everybody's tasks of these units, which may be all that there are."""
        self.numbers = None if everything else {lu.number for lu in units}
        self.reporting = [lu for lu in units if lu.task_aborted_status]

    def concerns(self, task: Task) -> bool:
        """Whether it ends this task, of a session it asks."""
        if self.numbers is not None and task.nexus.number not in self.numbers:
            return False
        return (self.nexuses is None or task.nexus in self.nexuses) and task is not self.author

    def is_told(self, task: Task) -> bool:
        """Whether the task, aborted by this, ends with TASK ABORTED."""
        return task.connection.session is not self.connection.session and task.nexus.lu in self.reporting

    def finished(self) -> bool:
        """Whether the answer may go now; True once only."""
        if self.tasks or self.others or self.answered:
            return False
        self.answered = True
        return True
