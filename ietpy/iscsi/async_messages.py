"""Asynchronous Messages: what a target says unasked (RFC 7143 section 11.9).

Of its events 4 (negotiation request) is not needed, as nothing here changes while a session lasts, 5 belongs to
FastAbort, which is not agreed to, and vendors' are for vendors. A discovery session is told nothing (section 7.4.3).
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from ietpy.iscsi.pdu import ASYNC_MESSAGE, FINAL, NO_TAG, Opcode

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session
    from ietpy.scsi.attention import UnitAttention
    from ietpy.scsi.nexus import Nexus


class Event(IntEnum):
    """AsyncEvent (section 11.9.1)."""

    SCSI = 0
    LOGOUT_REQUEST = 1
    CONNECTION_DROP = 2
    SESSION_DROP = 3


def ask_to_log_out(connection: Connection, seconds: int) -> None:
    """Have the initiator log out within so many seconds."""
    _send(connection, Event.LOGOUT_REQUEST, parameter3=seconds)


def announce_connection_drop(connection: Connection) -> None:
    """The connection is about to be closed, and its tasks end; it may come again after Time2Wait."""
    session: Any = connection.session
    wait = session.parameters.default_time2wait
    _send(connection, Event.CONNECTION_DROP, parameter1=connection.cid, parameter2=wait)


def announce_loss(lost: Connection) -> None:
    """Say on another connection of its session that ``lost`` is gone, and how long its tasks are kept (7.1.4.3)."""
    session: Any = lost.session
    parameters = session.parameters
    for connection in session.serving(lost)[:1]:
        _send(
            connection, Event.CONNECTION_DROP, parameter1=lost.cid, parameter2=parameters.default_time2wait,
            parameter3=parameters.default_time2retain if lost.recoverable else 0,
        )


def announce_session_drop(connection: Connection) -> None:
    """All connections of the session are about to be closed, and nothing of it is kept."""
    session: Any = connection.session
    _send(connection, Event.SESSION_DROP, parameter2=session.parameters.default_time2wait)


def report(session: Session, attention: UnitAttention, nexuses: Collection[Nexus]) -> None:
    """Tell the initiator now what commands to any of these nexuses will report; by one message, for the lowest LUN.

    The unit attentions stay: whether somebody heard this nobody knows.
    """
    found = min(((field, nexus) for field, nexus in session.nexuses.items() if nexus in nexuses), default=None)
    serving = session.serving()
    if found is None or not serving:
        return
    connection = serving[0]
    field, nexus = found
    sense = attention.condition().sense(nexus.lu.descriptor_sense)
    _send(connection, Event.SCSI, len(sense).to_bytes(2, "big") + sense, lun=field)


def _send(connection: Connection, event: Event, data: bytes = b"", **fields: int) -> None:
    """Queue a message, which takes a StatSN; nothing where nothing may follow any more."""
    session: Any = connection.session
    if session.target is None or connection.closing:
        return
    connection.send(
        ASYNC_MESSAGE.pack(
            opcode=Opcode.ASYNC_MESSAGE, flags=FINAL, initiator_task_tag=NO_TAG, stat_sn=connection.next_stat_sn(),
            exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn, async_event=event, **fields,
        ),
        data,
    )
