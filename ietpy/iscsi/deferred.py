"""Tasks that outlive the batch they came in: they wait for their data, for other tasks, or for a worker.

Called by the holder of the session's lock. Which of them must wait for others is the task set's to say
(``scsi.task_set``), which knows the tasks of all connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ietpy.iscsi.data_in import abandon, complete, grant, leave, recycle
from ietpy.scsi import attention
from ietpy.scsi.task import Task
from ietpy.scsi.task_set import Place

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.function import Function
    from ietpy.iscsi.session import Session
    from ietpy.iscsi.transfer import Transfer
    from ietpy.scsi.pace import Grant


def tasks_of(session: Session) -> Sequence[Task]:
    """All tasks of a session: waiting for data or for others, on workers, and of the batch at hand."""
    return (*session.tasks.values(), *session.dormant, *session.running, *session.ready)


def expect(connection: Connection, task: Task) -> None:
    """A task waits for its data."""
    session: Any = connection.session
    session.tasks[task.tag] = task
    task.special = True
    tasks = task.nexus.lu.tasks
    if tasks is not None:
        with session.device.lock:
            tasks.expect(task)


def defer(connection: Connection, task: Task, grant: Grant | None = None) -> bool:
    """A task cannot be executed in place. True: give it to a worker, and ``finish`` it when it was executed.

    False: it waits for other tasks, and will be in the ``enabled`` of the connection whose task ends last; or for its
    ``grant``, until the server takes that from its place and says ``enable``.
    """
    session: Any = connection.session
    task.special = True
    tasks = task.nexus.lu.tasks
    if tasks is not None:
        with session.device.lock:
            waits = not tasks.defer(task)
            if grant is not None and task.place is not None:
                task.place.grant, waits = grant, True
        if waits:
            session.dormant.add(task)
            if task.transfer is not None:
                connection.enabled.extend(session.node.memory.rest(session, task.transfer))
            return False
    _start(connection, session, task)
    return True


def enable(connection: Connection, place: Place | Transfer) -> Task | None:
    """The turn of a deferred task has come: the task, for a worker; None if it has ended meanwhile, or is to.

    Or there is memory for the data of a write, which is asked for.
    """
    session: Any = connection.session
    if not isinstance(place, Place):
        place.go_on(connection)
        return None
    task = place.task
    if task.place is not place or place.grant is not None or connection.closing or connection.stranded:
        return None
    session.dormant.remove(task)
    if task.transfer is not None:
        session.node.memory.resume(session, task.transfer)
    _start(connection, session, task)
    return task


def _start(connection: Connection, session: Session, task: Task) -> None:
    task.may_block = True
    task.extents = False  # what it reads must have been read when it ends, and others begin
    task.sink = connection.stage
    session.running.add(task)


def finish(connection: Connection, task: Task) -> list[Function]:
    """Answer a task a worker has executed, or end it if it was aborted; the functions that waited for just that.

    Nothing follows the answer to a logout (section 11.14), so a closing connection gives none.
    """
    session: Any = connection.session
    session.running.discard(task)
    session.begun.pop(task, None)
    if task.aborted_by is not None or (connection.closing and not connection.stranded):
        if task.aborted_by is None:
            _tell_cleared(session, task)
        return abandon(connection, task)
    complete(connection, task)
    return []


def take_back(connection: Connection, task: Task) -> None:
    """Forget a task that waits: for its data, for other tasks, or for its turn in the batch."""
    session: Any = connection.session
    if session.tasks.get(task.tag) is task:
        del session.tasks[task.tag]
    elif task in session.dormant:
        session.dormant.remove(task)
    else:
        connection.ready.remove(task)


def discard(connection: Connection, task: Task) -> None:
    """End a task that waits, without an answer."""
    take_back(connection, task)
    grant(connection, task.credit)
    recycle(connection, task)


def withdraw(connection: Connection) -> None:
    """No more data will come, so nobody shall wait for a task that does; if it closes, nor for any that waits."""
    session = connection.session
    if session is None:
        return
    for task in (*session.tasks.values(), *(session.dormant if connection.closing else ())):
        if task.connection is connection:
            _tell_cleared(session, task)
            discard(connection, task)
    for task in [task for task in connection.ready if task.connection is connection]:  # of a batch that broke off
        if task.place is not None and task not in session.running and task not in session.dormant:
            leave(connection, task.place)
        connection.ready.remove(task)
    leave_promised(connection)
    forget_held(connection)


def leave_promised(connection: Connection) -> None:
    """No answer will come to pings that say what was read of files, or what has arrived (``pings``, ``ordering``)."""
    for place in connection.pings.promised.values():
        leave(connection, place)
    connection.pings.promised.clear()
    while connection.pings.fences:
        _, passed = connection.pings.fences.popitem()
        passed()


def forget_held(connection: Connection) -> None:
    """Discard the requests that came by a connection before their turn (section 11.14); the gaps remain."""
    session: Any = connection.session
    for number in [number for number, held in session.held.items() if held is not None and held[0] is connection]:
        del session.held[number]
        if type(number) is tuple:
            session.managing.discard(number[1])


def has_tasks(connection: Connection) -> bool:
    """Whether tasks of a connection wait for others, or were executed and cannot be answered yet."""
    session: Any = connection.session
    dormant = () if connection.stranded else session.dormant  # those may be reassigned
    return any(task.connection is connection for task in (*dormant, *session.begun))


def _tell_cleared(session: Session, task: Task) -> None:
    """A task ends with its connection: where the session goes on, its next command says so (section 11.14.5)."""
    if len(session.present) > 1 and task.nexus.lu.tasks is not None:
        assert session.device is not None
        with session.device.lock:
            attention.establish(task.nexus, attention.CLEARED_BY_PROTOCOL)
