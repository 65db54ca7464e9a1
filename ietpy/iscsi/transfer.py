"""How the data of a write is asked for: R2Ts, what is outstanding, and how it ends (RFC 7143 sections 11.8, 13.17-19).

A task's data is a list of views into receive chunks; nothing is gathered. What comes in order is ``data_out``'s
business, everything else is ``scattered``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ietpy.iscsi.data_in import busy, complete, fail, reopen
from ietpy.iscsi.errors import ServiceFailure
from ietpy.iscsi.pdu import BHS_SIZE, FINAL, NO_TAG, READY_TO_TRANSFER, Opcode
from ietpy.scsi.task import Task
from ietpy.scsi.task_set import Place

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.keys import Parameters
    from ietpy.iscsi.scattered import Scattered

_pack_r2t: Final = READY_TO_TRANSFER.codec.pack_into
_R2T: Final = int(Opcode.READY_TO_TRANSFER)
#: A DataSN, or a tag, that no PDU has: what comes next takes the way of what is out of order.
NEVER: Final = -1
_UNSOLICITED: Final = -1  #: in place of an R2TSN
#: Data of so few bytes is copied: an unfinished write would hold a whole receive chunk for it (``wire.buffers``).
COPIED: Final = 8192
#: Receive chunks held for unfinished writes before somebody looks how much of them is used.
CROWDED: Final = 128

#: (Target Transfer Tag, first offset, offset behind the last, R2TSN) of a sequence that has not ended.
Outstanding = tuple[int, int, int, int]


class Transfer:
    """How far the data of a write has come.

    ``needed`` bytes are what the CDB asks for and the initiator has; ``sequences`` are outstanding, oldest first. The
    one now expected has transfer tag ``tag`` (NO_TAG: unsolicited), its next PDU has ``data_sn`` and brings offset
    ``received``, and it ends at offset ``end``. R2Ts have asked for all before ``asked``. ``instead``: what to do when
    all sequences have ended, in place of executing the task (sections 7.8, 11.4.2 and 11.5.1). ``scattered`` keeps
    data that did not come in order; then ``received`` counts it. ``room`` and ``admitted`` are what ``memory`` gave.
    """

    __slots__ = (
        "admitted", "asked", "data_sn", "end", "instead", "needed", "pieces", "r2t_sn", "received", "room", "scattered",
        "sequences", "tag", "task",
    )

    def __init__(self, task: Task, needed: int) -> None:
        self.task = task
        self.room = 0
        self.admitted = False
        self.needed = needed
        self.received = 0
        self.asked = 0
        self.tag = NO_TAG
        self.data_sn = 0
        self.end = 0
        self.r2t_sn = 0
        self.pieces: list[memoryview] = []
        self.sequences: list[Outstanding] = []
        self.instead: Callable[[Connection, Task], None] | None = None
        self.scattered: Scattered | None = None

    def expect_unsolicited(self, start: int, end: int) -> None:
        """Data from ``start`` follows that nobody asked for, up to ``end`` at most."""
        self.end = end
        self.sequences.append((NO_TAG, start, end, _UNSOLICITED))

    def expect_next(self) -> None:
        """The oldest sequence outstanding comes next."""
        self.tag, _, self.end, _ = self.sequences[0]
        self.data_sn = 0 if self.scattered is None and self.instead is None else NEVER

    def go_on(self, connection: Connection) -> None:
        """There is memory for a write that waited for some: if it has not ended meanwhile, its first R2Ts follow."""
        if self.task.transfer is self and not connection.closing:
            reopen(connection)
            connection.untold = False  # the R2Ts say what the window is
            solicit(connection, self.task, self)
            if self.sequences:
                self.expect_next()

    def give_up(self, connection: Connection, task: Task, failure: ServiceFailure) -> None:
        """End ``task`` with ``failure``, unless others ended it, when all that was asked for has come.

        Sections 7.8, 11.4.2 and 11.17.1.
        """
        self._end_with(connection, task, partial(fail, failure=failure))

    def put_off(self, connection: Connection, task: Task) -> None:
        """There is no memory for data that comes unasked: end ``task`` with BUSY when it has come."""
        self._end_with(connection, task, busy)

    def _end_with(self, connection: Connection, task: Task, instead: Callable[[Connection, Task], None]) -> None:
        self.data_sn = NEVER
        if self.instead is None:
            self.instead = instead
        self.pieces.clear()
        self.scattered = None
        connection.window.unpin(*task.chunks)
        task.chunks = []


#: What may go on: a task that waited for others, a write that waited for memory (``Connection.enabled``).
Turn = Place | Transfer


def r2t_limit(parameters: Parameters) -> int:
    """R2Ts that may be outstanding for one task: one, where lost data can be asked for again in order only (13.19)."""
    recovers_in_order = parameters.error_recovery_level and parameters.data_sequence_in_order
    return 1 if recovers_in_order else parameters.max_outstanding_r2t


def take(connection: Connection, task: Task, transfer: Transfer, data: Sequence[memoryview], length: int) -> None:
    """Add data that came in order; what exceeds the need of the CDB is dropped."""
    received = transfer.received
    transfer.received = received + length
    useful = transfer.needed - received
    if useful <= 0:
        return
    kept = data if length <= useful else cut(data, 0, useful)
    if length > COPIED:
        task.chunks.extend(connection.framer.retain())
        transfer.pieces.extend(kept)
    else:
        transfer.pieces.append(memoryview(b"".join(kept)))
    if connection.window.held > connection.crowded:
        gather(connection)


def gather(connection: Connection) -> None:
    """Copy the data of unfinished writes together if the receive chunks it lies in take twice its memory or more.

    So chunks that hold little of it, between data that went elsewhere, are let go. Done seldom: each time there are so
    many chunks more.
    """
    session: Any = connection.session
    window = connection.window
    tasks = [
        task for task in session.tasks.values()
        if task.connection is connection and task.chunks and task.transfer.scattered is None
    ]
    if window.held * window.size >= 2 * sum(task.transfer.received for task in tasks):
        for task in tasks:
            task.transfer.pieces[:] = [memoryview(b"".join(task.transfer.pieces))]
            window.unpin(*task.chunks)
            task.chunks = []
    connection.crowded = window.held + CROWDED


def cut(data: Sequence[memoryview], start: int, end: int) -> list[memoryview]:
    """The bytes ``start`` to ``end`` of ``data``."""
    kept = []
    for view in data:
        if start < len(view) and end > 0:
            kept.append(view[max(start, 0) : end])
        start -= len(view)
        end -= len(view)
    return kept


def over(connection: Connection, task: Task, transfer: Transfer, index: int = 0) -> None:
    """The sequence at ``index`` has ended: the task is ready, or more is asked for."""
    session: Any = connection.session
    sequences = transfer.sequences
    if sequences.pop(index)[0] == NO_TAG:
        transfer.asked = max(transfer.asked, transfer.received)
    if transfer.instead is not None:
        if not sequences:
            del session.tasks[task.tag]
            transfer.instead(connection, task)
            return
    elif transfer.received >= transfer.needed and not sequences:
        del session.tasks[task.tag]
        task.data = transfer.pieces
        task.data_length = transfer.needed
        connection.ready.append(task)
        return
    else:
        solicit(connection, task, transfer)
        if not sequences:
            return
    transfer.expect_next()


def solicit(connection: Connection, task: Task, transfer: Transfer) -> None:
    """Ask for as much as may be outstanding and there is memory for; end a task that would be refused anyway."""
    session: Any = connection.session
    if transfer.r2t_sn == 0 and task.nexus.lu.refuse_early(task):
        del session.tasks[task.tag]
        complete(connection, task)
        return
    if not transfer.admitted and not session.node.memory.admit(session, transfer):
        transfer.tag = NEVER
        return
    burst = session.parameters.max_burst_length
    while transfer.asked < transfer.needed and len(transfer.sequences) < connection.r2t_limit:
        start = transfer.asked
        transfer.asked = end = min(start + burst, transfer.needed)
        ask(connection, task, transfer, start, end)


def ask(connection: Connection, task: Task, transfer: Transfer, start: int, end: int) -> int:
    """Ask for the bytes ``start`` to ``end`` with the next R2T, to be answered behind those outstanding; its tag."""
    asked = connection.new_tag(), start, end, transfer.r2t_sn
    transfer.r2t_sn += 1
    transfer.sequences.append(asked)
    send_r2t(connection, task, asked)
    return asked[0]


def send_r2t(connection: Connection, task: Task, asked: Outstanding) -> None:
    """Send the R2T of an outstanding sequence, for the first time or again (section 11.16)."""
    session: Any = connection.session
    session.tally.r2ts += 1
    tag, start, end, r2t_sn = asked
    values = (
        _R2T, FINAL, 0, task.lun_field, task.tag, tag, connection.stat_sn, session.exp_cmd_sn, session.max_cmd_sn,
        r2t_sn, start, end - start,
    )
    used = connection.used
    if connection.plain and used + BHS_SIZE <= len(connection.slab):
        _pack_r2t(connection.slab, used, *values)
        connection.used = used + BHS_SIZE
    else:
        connection.send(READY_TO_TRANSFER.codec.pack(*values))
