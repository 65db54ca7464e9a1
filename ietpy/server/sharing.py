"""What a pump does otherwise where its session may have several connections (RFC 7143 section 4.2.5).

They share the session's lock, so nobody waits for a peer while he has it, and one whose peer does not read holds up its
own tasks only. Requests come in the order of their CmdSNs, whichever connection they came by: whoever receives the one
that was missing executes also those that waited for it, and sends their answers, as far as they go at once.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING, Final

from ietpy.iscsi.data_in import complete
from ietpy.scsi.task import Task

if TYPE_CHECKING:
    from ietpy.server.pump import Pump

#: A batch is sent in parts when its answers take more memory than this (bytes), and no worker gets a task while more
#: waits to be sent.
STAGED_LIMIT: Final = 4 * 1024 * 1024


def execute(pump: Pump, tasks: list[Task]) -> None:
    """Execute a batch of any connections' tasks. A connection whose peer is behind has its own left to workers."""
    line = pump.line
    line.executing = True
    for task in tasks:
        connection = task.connection
        owner: Pump = connection.owner
        if connection.staged_size > STAGED_LIMIT:
            owner.flush_now()
        lu = task.nexus.lu
        waits = connection.staged_size > STAGED_LIMIT or (task.data_length and lu.writes_wait)
        if waits or not lu.execute(task):
            owner.hand_over(task)
        else:
            complete(connection, task)
    tasks.clear()
    line.executing = False


def flush(pump: Pump) -> None:
    """Send what all connections of the session have to say; wait for the peer of ``pump`` only, without the lock.

    Raises OSError when that is gone or takes nothing for the whole send timeout.
    """
    line, egress = pump.line, pump.egress
    for member in line.members:
        if member is pump:
            continue
        if member.connection.closing:
            member.close()  # logged out by another
        else:
            member.flush_now()
    egress.busy = True
    try:
        while not egress.flush_now():
            line.lock.release()
            try:
                line.attend()
                _await_room(pump.sock)
            finally:
                line.lock.acquire()
    except OSError:
        pump.connection.closing = True  # nobody knows where the stream broke off: nothing may follow
        raise
    finally:
        egress.busy = False


def _await_room(sock: socket.socket) -> None:
    """Wait until the peer has taken something. Raises BlockingIOError after the socket's send timeout."""
    seconds, _ = struct.unpack("ll", sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.calcsize("ll")))
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(seconds * 1000):
        raise BlockingIOError
