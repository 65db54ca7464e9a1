"""NOP-In: whether an initiator is alive, and whether it has read what was sent before (RFC 7143 section 11.19).

Data-In that is sent from a file itself is the file's until the initiator has read it: what is written meanwhile is what
it gets. An ORDERED task must not change what an older read returns, so it waits for the answer to a ping.

What tasks wait for because of their attributes may be an initiator that is gone or stands still. It has its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import Reject
from ietpy.iscsi.data_in import leave
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.memory import STEP
from ietpy.iscsi.pdu import FINAL, NO_TAG, NOP_IN, Opcode
from ietpy.scsi.task import Task

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.transfer import Transfer
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.task_set import Place

#: What an initiator may take, while tasks wait, to answer a ping or to send some data it was asked for (seconds).
ANSWER_SECONDS: Final = 30


class Pings:
    """Of one connection: who is waited for, and since when. Times are as ``tick`` gives them.

    ``tag`` and ``time`` are of the keep-alive ping (NO_TAG: answered), ``heard_time`` of the last look that found that
    something had come. By the tags of other pings: ``fences``, what their answers let pass (``ordering``), and
    ``promised``, the places of reads sent from a file. ``streamed`` has (CmdSN, credit) of each nexus's last such read,
    until the initiator is asked whether it has read it. ``awaited`` is what others wait for (``overdue``).
    """

    __slots__ = ("awaited", "awaited_time", "fences", "heard_time", "promised", "streamed", "tag", "time")

    def __init__(self) -> None:
        self.tag = NO_TAG
        self.time = 0.0
        self.heard_time = 0.0
        self.streamed: dict[Nexus, tuple[int, int]] = {}
        self.fences: dict[int, Callable[[], None]] = {}
        self.promised: dict[int, Place] = {}
        self.awaited: tuple[Place | Transfer | int, int] | None = None
        self.awaited_time = 0.0


def ping(connection: Connection, tag: int) -> None:
    """Ask for a NOP-Out with this Target Transfer Tag; NO_TAG: for none, it tells of the window. Takes no StatSN."""
    session: Any = connection.session
    connection.send(
        NOP_IN.pack(
            opcode=Opcode.NOP_IN, flags=FINAL, initiator_task_tag=NO_TAG, target_transfer_tag=tag,
            stat_sn=connection.stat_sn, exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn,
        )
    )


def answered(connection: Connection, tag: int, lun: int) -> None:
    """A NOP-Out answers a ping, or so it says: one that was given up is answered by nobody's leave.

    Raises Reject if it has not the ping's LUN, 0 (section 11.18.2).
    """
    if lun and (tag == connection.pings.tag or tag in connection.pings.promised):
        raise Reject(RejectReason.INVALID_PDU_FIELD, f"an answer to a ping of LUN 0 with LUN field {lun:#x}")
    if tag == connection.pings.tag:
        connection.pings.tag = NO_TAG
    passed = connection.pings.fences.pop(tag, None)
    if passed is not None:
        passed()
    place = connection.pings.promised.pop(tag, None)
    if place is not None:
        leave(connection, place)


def hold_back(connection: Connection, task: Task) -> None:
    """Have ``task``, ORDERED and about to be executed, wait until the initiator has read what was promised to it.

    These reads have a place in the task set once more, all together, until the answer comes. It is that of the last
    one: there may be ORDERED tasks before ``task`` that wait for their data.
    """
    session: Any = connection.session
    tasks = task.nexus.lu.tasks
    promised = connection.pings.streamed.pop(task.nexus, None)
    if promised is None or tasks is None:
        return
    reads = Task()
    reads.connection, reads.nexus = connection, task.nexus
    reads.cmd_sn, reads.credit = promised
    with session.device.lock:
        tasks.expect(reads)
    assert reads.place is not None
    tag = connection.new_tag()
    connection.pings.promised[tag] = reads.place
    ping(connection, tag)


def tick(connection: Connection, now: float) -> None:
    """Ping a silent initiator, close the connection of one that does not answer (sections 11.18, 11.19).

    So too of one that keeps tasks of others waiting. ``now`` counts seconds. NOPInterval and NOPTimeout are the
    target's options (iet-compat 2.2).
    """
    session: Any = connection.session
    if overdue(connection, now):
        connection.closing = True
        connection.problem = f"tasks waited {ANSWER_SECONDS} s for an answer of the initiator, or for its data"
        return
    interval = session.target.nop_interval
    timeout = session.target.nop_timeout
    if not interval:
        return
    if not 0 < timeout <= interval:
        timeout = interval
    if connection.heard:
        connection.heard, connection.pings.heard_time, connection.pings.tag = False, now, NO_TAG
    elif connection.pings.tag != NO_TAG:
        if now - connection.pings.time >= timeout:
            connection.closing = True
            connection.problem = f"no answer to a NOP-In within {timeout} s"
    elif now - connection.pings.heard_time >= interval:
        connection.pings.tag, connection.pings.time = connection.new_tag(), now
        ping(connection, connection.pings.tag)


def overdue(connection: Connection, now: float) -> bool:
    """Whether tasks have waited too long for this initiator; asked every second or so while any task waits."""
    awaited = _awaited(connection)
    if awaited != connection.pings.awaited:
        connection.pings.awaited, connection.pings.awaited_time = awaited, now
    return awaited is not None and now - connection.pings.awaited_time >= ANSWER_SECONDS


def _awaited(connection: Connection) -> tuple[Place | Transfer | int, int] | None:
    """What it owes, and how far that is: the answer to a ping, or data of a task for which those of others wait.

    They may wait for their turn, or for the memory it takes.
    """
    session: Any = connection.session
    memory = session.node.memory
    scarce, waiting = memory.scarce, memory.waiting
    for tag in connection.pings.fences:
        return tag, 0
    with session.device.lock:
        for place in connection.pings.promised.values():
            if place.waiting():
                return place, 0
        for task in session.tasks.values():
            if task.connection is not connection or task.transfer in waiting:
                continue  # it is another one's to send, or ours to ask
            if scarce and task.transfer.room:
                return task.transfer, task.transfer.received // STEP
            if task.place is not None and any(each.connection.session is not session for each in task.place.waiting()):
                return task.place, task.transfer.received
    return None
