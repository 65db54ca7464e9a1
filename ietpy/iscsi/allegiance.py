"""Connection allegiance: what belongs to a command goes by the connection it came by (RFC 7143 section 4.2.5.1).

In the way only where a session may have several connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ietpy.errors import Reject
from ietpy.iscsi import data_out
from ietpy.iscsi.errors import RejectReason

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection


def take_data_out(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, transfer_tag: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """SCSI Data-Out (section 11.7), unless its command came by another connection."""
    session: Any = connection.session
    task = session.tasks.get(tag)
    if task is not None and task.connection is not connection:
        problem = f"data of task {tag:#x} by connection {connection.cid}; its command came by {task.connection.cid}"
        raise Reject(RejectReason.PROTOCOL_ERROR, problem)
    data_out.data_out(connection, opcode, flags, lun, tag, transfer_tag, cmd_sn, tail, data, length)
