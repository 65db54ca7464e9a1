"""NOP-In: whether an initiator is alive, and whether it has read what was sent before (RFC 7143 section 11.19).

Data-In that is sent from a file itself is the file's until the initiator has read it: what is written meanwhile is what
it gets. An ORDERED task must not change what an older read returns, so it waits for the answer to a ping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ietpy.iscsi.data_in import leave
from ietpy.iscsi.pdu import FINAL, NO_TAG, NOP_IN, Opcode
from ietpy.scsi.task import Task
from ietpy.wire.serial import MASK

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection


def ping(connection: Connection, tag: int) -> None:
    """Ask for a NOP-Out with this Target Transfer Tag; takes no StatSN."""
    session: Any = connection.session
    connection.send(
        NOP_IN.pack(
            opcode=Opcode.NOP_IN, flags=FINAL, initiator_task_tag=NO_TAG, target_transfer_tag=tag,
            stat_sn=connection.stat_sn, exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn,
        )
    )


def answered(connection: Connection, tag: int) -> None:
    """A NOP-Out answers a ping, or so it says."""
    if tag == connection.ping_tag:
        connection.ping_tag = NO_TAG
    place = connection.promised.pop(tag, None)
    if place is not None:
        leave(connection, place)


def hold_back(connection: Connection, task: Task) -> None:
    """Have ``task``, ORDERED and about to be executed, wait until the initiator has read what was promised to it.

    The older reads have a place in the task set once more, all together, until the answer comes.
    """
    session: Any = connection.session
    tasks = task.nexus.lu.tasks
    if tasks is None:
        return
    reads = Task()
    reads.connection, reads.nexus, reads.cmd_sn = connection, task.nexus, (task.cmd_sn - 1) & MASK
    with session.device.lock:
        tasks.expect(reads)
    assert reads.place is not None
    tag = connection.new_tag()
    connection.promised[tag] = reads.place
    connection.streamed = False
    ping(connection, tag)
