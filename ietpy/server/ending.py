"""How a pump ends: nothing of its connection may be left behind but what another connection may take over.

At ErrorRecoveryLevel 2 tasks of a connection that was lost outlive its thread (``iscsi/recovery.py``); ``Line.read``
sees when the last has gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ietpy.iscsi import deferred, logout, recovery
from ietpy.server import sharing

if TYPE_CHECKING:
    from ietpy.server.pump import Pump

#: While a connection ends, how often it looks for word of workers (seconds).
_PAUSE: Final = 0.05


def end(pump: Pump) -> None:
    """Wait for what workers still run and for the answers to leave, leave the session, close the socket."""
    connection, line = pump.connection, pump.line
    session = connection.session
    pump.ending = True
    while not pump.finished.is_set():
        with line.lock:
            line.executing = False
            if connection.recoverable:
                connection.stranded, connection.closing = True, False
            elif connection.stranded:
                connection.stranded, connection.closing = False, True  # given up meanwhile
            if connection.stranded:
                recovery.suspend(connection)
            else:
                deferred.withdraw(connection)
            if session is not None and session.ready:
                sharing.execute(pump, session.ready)  # what others sent, of a batch that broke off
            line.read()
            pump.flush_now()
            for member in line.members:  # answers that waited for this one, and what it leaves of the window
                member.flush_now()
            if connection.closing:
                _unpark(pump)
            elif connection.stranded:
                recovery.mute(connection)
                pump.employ()
            busy = pump.parked.running or len(pump.parked) or pump.sender is not None
            if not busy and not (session and deferred.has_tasks(connection)):
                _leave(pump)
        pump.finished.wait(_PAUSE)
    pump.spread_functions()
    pump.sock.close()
    pump.server.forget(pump)
    line.attend()


def _leave(pump: Pump) -> None:
    """All its tasks have ended, or wait to be reassigned."""
    connection, line = pump.connection, pump.line
    if pump in line.members:
        line.members.remove(pump)
    if connection.stranded:
        recovery.strand(connection)
        line.stranded.append(pump)
        logout.gone(connection)
        for member in line.members:
            member.flush_now()
        pump.server.keep(line)
    else:
        left(pump)
    pump.finished.set()  # who waits for this finds the target without the session


def left(pump: Pump) -> None:
    """Nothing of the connection is left in its session."""
    session = pump.connection.session
    if session is not None and not session.leave(pump.connection):
        logout.gone(pump.connection)
        for member in pump.line.members:
            member.flush_now()
    pump.connection.let_go()  # it may be long before the collector of cycles finds the connection
    pump.left.set()


def _unpark(pump: Pump) -> None:
    """End the tasks no worker has begun, as nobody will see an answer; those reassigned are another one's."""
    for task in pump.parked.clear():
        if task.connection is not pump.connection:
            task.connection.owner.parked.add(task)
            task.connection.owner.employ()
            continue
        for function in deferred.finish(pump.connection, task):
            pump.answer(function)
    pump.line.read()
