"""What outlives a connection at ErrorRecoveryLevel 2, and goes on by another (RFC 7143 sections 6.3.4, 7.2.2, 7.5).

A connection that failed, or was removed for recovery, is stranded: its tasks wait for a new allegiance, and what is
answered to them is kept by its ``Retention``. They may be reassigned once it was logged out (``released``), by a Logout
Request or by a login with its CID, and end when Time2Wait and Time2Retain have passed.

The holder of the session's lock calls all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ietpy.iscsi.data_in import tell_window
from ietpy.iscsi.deferred import discard, forget_held, leave_promised, tasks_of, withdraw
from ietpy.iscsi.function import COMPLETE, NO_SUCH_TASK, REJECTED, STILL_ALLEGIANT
from ietpy.iscsi.retention import Read
from ietpy.iscsi.scattered import ask_again
from ietpy.scsi.task import Task
from ietpy.scsi.task_set import State

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session

def suspend(connection: Connection) -> None:
    """No more comes by this connection and nothing goes. Its immediate commands end (section 7.14)."""
    session: Any = connection.session
    forget_held(connection)
    leave_promised(connection)
    for task in tasks_of(session):
        if task.connection is not connection or task.credit:
            continue
        if task.may_block and task in session.running:
            task.aborted_by = task.aborted_by or []
        else:
            discard(connection, task)
    mute(connection)


def mute(connection: Connection) -> None:
    """Drop what would be sent; what is to be kept of it is. What it says of the command window others say."""
    if connection.take_outbox():
        tell_window(connection)
    connection.sent()


def strand(connection: Connection) -> None:
    """The connection has closed, and nothing of it executes any more."""
    session: Any = connection.session
    with session.device.lock:
        session.connections = {cid: each for cid, each in session.connections.items() if each is not connection}
        session.stranded = {**session.stranded, connection: None}


def release(session: Session, cid: int) -> bool:
    """The connection of this CID is logged out if it is stranded; whether there is one.

    Its tasks are kept from now on as long as if it had been lost now.
    """
    found = [each for each in session.stranded if each.cid == cid and not each.released]
    for connection in found:
        connection.released = True
        session.stranded = {**session.stranded, connection: None}
    return bool(found)


def give_up(connection: Connection) -> None:
    """End what a stranded connection has; the server sees it leave the session."""
    session: Any = connection.session
    if connection in session.stranded:
        session.stranded = {each: kept for each, kept in session.stranded.items() if each is not connection}
        connection.closing, connection.stranded = True, False
        withdraw(connection)


def tick(session: Session, now: float) -> None:
    """End what was not reassigned in time (section 7.5)."""
    kept = session.parameters.default_time2wait + session.parameters.default_time2retain
    for connection, deadline in session.stranded.items():
        if deadline is None:
            session.stranded = {**session.stranded, connection: now + kept}
        elif deadline <= now or (connection.released and not _has_left(session, connection)):
            give_up(connection)


def _has_left(session: Session, connection: Connection) -> bool:
    """Whether it has something to be reassigned."""
    retention: Any = connection.retention
    return bool(retention.tasks) or any(task.connection is connection for task in tasks_of(session))


# TASK REASSIGN ------------------------------------------------------------------------------------------------------


def reassign(connection: Connection, tag: int, exp_data_sn: int) -> tuple[int, Callable[[], None] | None]:
    """The response to TASK REASSIGN of the task ``tag`` (section 11.6.1), and what follows that."""
    session: Any = connection.session
    task = next((task for task in tasks_of(session) if task.tag == tag), None)
    if task is not None:
        old: Connection = task.connection
        return (COMPLETE, partial(_go_on, connection, task)) if old.released else (STILL_ALLEGIANT, None)
    for old in session.stranded:
        retention: Any = old.retention
        kept = retention.tasks.get(tag)
        if kept is None:
            if any(each.tag == tag for each in retention.statuses.values()):
                return REJECTED, None  # a function, Text or Logout (section 11.5.1)
        elif not old.released:
            return STILL_ALLEGIANT, None
        elif isinstance(kept, Read) and kept.data is None:
            return REJECTED, None  # its data was let go
        else:
            return COMPLETE, partial(_answer_again, connection, old, tag, exp_data_sn)
    if any(tag in each.retention.tasks for each in session.connections.values()):
        return STILL_ALLEGIANT, None
    return NO_SUCH_TASK, None


def _answer_again(connection: Connection, old: Connection, tag: int, exp_data_sn: int) -> None:
    retention: Any = old.retention
    kept = retention.withdraw(tag)
    if isinstance(kept, Read) and not kept.first <= exp_data_sn <= kept.count:
        exp_data_sn = kept.first  # 0, or to be ignored (section 11.5.6)
    kept.move(connection, exp_data_sn)


def _go_on(connection: Connection, task: Task) -> None:
    """The task goes on by another connection, from where it is."""
    session: Any = connection.session
    task.connection = connection
    if session.tasks.get(task.tag) is task:
        ask_again(connection, task)
    elif task in session.dormant and task.place is not None and task.place.state is State.ENABLED:
        session.enabled.append(task.place)  # its turn came while it had no connection; others are on a worker
