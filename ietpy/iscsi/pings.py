"""NOP-In: whether an initiator is alive, and whether it has read what was sent before (RFC 7143 section 11.19).

Data-In that is sent from a file itself is the file's until the initiator has read it: what is written meanwhile is what
it gets. An ORDERED task must not change what an older read returns, so it waits for the answer to a ping.

What tasks wait for because of their attributes may be an initiator that is gone or stands still. It has its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import Reject
from ietpy.iscsi.data_in import leave
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pdu import FINAL, NO_TAG, NOP_IN, Opcode
from ietpy.scsi.task import Task

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.transfer import Transfer
    from ietpy.scsi.task_set import Place

#: What an initiator may take, while tasks wait, to answer a ping or to send some data it was asked for (seconds).
ANSWER_SECONDS: Final = 30


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
    if lun and (tag == connection.ping_tag or tag in connection.promised):
        raise Reject(RejectReason.INVALID_PDU_FIELD, f"an answer to a ping of LUN 0 with LUN field {lun:#x}")
    if tag == connection.ping_tag:
        connection.ping_tag = NO_TAG
    passed = connection.fences.pop(tag, None)
    if passed is not None:
        passed()
    place = connection.promised.pop(tag, None)
    if place is not None:
        leave(connection, place)


def hold_back(connection: Connection, task: Task) -> None:
    """Have ``task``, ORDERED and about to be executed, wait until the initiator has read what was promised to it.

    These reads have a place in the task set once more, all together, until the answer comes. It is that of the last
    one: there may be ORDERED tasks before ``task`` that wait for their data.
    """
    session: Any = connection.session
    tasks = task.nexus.lu.tasks
    promised = connection.streamed.pop(task.nexus, None)
    if promised is None or tasks is None:
        return
    reads = Task()
    reads.connection, reads.nexus = connection, task.nexus
    reads.cmd_sn, reads.credit = promised
    with session.device.lock:
        tasks.expect(reads)
    assert reads.place is not None
    tag = connection.new_tag()
    connection.promised[tag] = reads.place
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
        connection.heard, connection.heard_time, connection.ping_tag = False, now, NO_TAG
    elif connection.ping_tag != NO_TAG:
        if now - connection.ping_time >= timeout:
            connection.closing = True
            connection.problem = f"no answer to a NOP-In within {timeout} s"
    elif now - connection.heard_time >= interval:
        connection.ping_tag, connection.ping_time = connection.new_tag(), now
        ping(connection, connection.ping_tag)


def overdue(connection: Connection, now: float) -> bool:
    """Whether tasks have waited too long for this initiator; asked every second or so while any task waits."""
    awaited = _awaited(connection)
    if awaited != connection.awaited:
        connection.awaited, connection.awaited_time = awaited, now
    return awaited is not None and now - connection.awaited_time >= ANSWER_SECONDS


def _awaited(connection: Connection) -> tuple[Place | Transfer | int, int] | None:
    """What it owes, and how far that is: the answer to a ping, or data of a task for which those of others wait.

    They may wait for their turn, or for the memory it takes.
    """
    session: Any = connection.session
    waiting = session.node.memory.waiting
    for tag in connection.fences:
        return tag, 0
    with session.device.lock:
        for place in connection.promised.values():
            if place.waiting():
                return place, 0
        for task in session.tasks.values():
            if task.connection is not connection or task.transfer in waiting:
                continue  # it is another one's to send, or ours to ask
            if waiting and task.transfer.room:
                return task.transfer, task.transfer.received
            if task.place is not None and any(each.connection.session is not session for each in task.place.waiting()):
                return task.place, task.transfer.received
    return None
