"""What a pump does otherwise where its session may have several connections (RFC 7143 section 4.2.5).

They share the session's lock, so nobody waits for a peer while he has it, and one whose peer does not read holds up its
own tasks only. Requests come in the order of their CmdSNs, whichever connection they came by: whoever receives the one
that was missing executes also those that waited for it, and sends their answers, as far as they go at once. For the
same reason requests are taken while answers still wait to be sent.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ietpy.iscsi.async_messages import announce_loss
from ietpy.iscsi.data_in import complete
from ietpy.scsi.task import Task
from ietpy.server.resting import rest

if TYPE_CHECKING:
    from ietpy.server.pump import Pump

#: No more requests are taken while so many pieces of answers wait to be sent, or so many bytes that are not staged.
UNSENT_LIMIT: Final = 1024
UNSENT_BYTES: Final = 16 * 1024 * 1024


def serve(pump: Pump) -> None:
    """As ``Pump._serve``."""
    try:
        _serve(pump)
    except OSError:
        _lost(pump)
        raise
    finally:
        pump.egress.busy = False  # what is left is for others to send


def _lost(pump: Pump) -> None:
    """The connection is lost, unless it was to be closed; the session goes on, and is told."""
    if not pump.connection.closing:
        pump.line.post(partial(announce_loss, pump.connection))


def _serve(pump: Pump) -> None:
    connection, line = pump.connection, pump.line
    count, began, measuring, watch = 0, 0.0, pump.server.measuring, line.watch
    while True:
        with line.lock:
            tasks = connection.received(count)
            connection.tally.commands += len(tasks)
            watch.began = began
            if began:
                watch.saw(tasks)
            execute(pump, tasks)
            line.read()
            _flush_members(pump)
            if connection.closing:
                flush(pump)
            pump.egress.busy = not _send(pump)
            if began:
                measuring.ended(watch.sent())
            pump.employ()
            room = connection.space()
        pump.spread_functions()
        line.attend()
        if connection.closing:
            pump.say_why()
            return
        count = _receive(pump, room)
        if not count:
            if not pump.draining:
                _lost(pump)
                pump.close()
            return
        began = time.monotonic() if measuring.on else 0.0


def execute(pump: Pump, tasks: list[Task]) -> None:
    """Execute a batch of any connections' tasks. A connection whose peer is behind has its own left to workers."""
    line = pump.line
    line.executing = True
    kept = []
    taken = 0
    try:
        for task in tasks:
            taken += 1
            connection = task.connection
            owner: Pump = connection.owner
            if connection.stranded and not owner.ending:
                kept.append(task)  # removed for recovery: nothing may follow the answer to that
                continue
            allowance = owner.server.allowance
            if connection.staged_size > allowance:
                owner.flush_now()
            lu = task.nexus.lu
            waits = connection.staged_size > allowance or (task.data_length and lu.writes_wait)
            if waits or not lu.execute(task):
                owner.hand_over(task)
            else:
                complete(connection, task)
    finally:  # a mistake of ours has nothing executed twice: whoever comes next finds the rest
        tasks[:taken] = kept
        line.executing = False
        for member in line.members:
            member.employ()


def flush(pump: Pump) -> None:
    """Send everything its connection has to say, waiting for the peer without the lock, which the caller holds.

    Raises OSError when that is gone or takes nothing for the whole send timeout.
    """
    line, egress = pump.line, pump.egress
    egress.busy = True
    try:
        while not _send(pump):
            line.lock.release()
            try:
                line.attend()
                _await(pump, select.POLLOUT)
            finally:
                line.lock.acquire()
    finally:
        egress.busy = False


def _flush_members(pump: Pump) -> None:
    """Send what the others have to say, as far as it goes at once."""
    for member in pump.line.members:
        if member.connection.closing:
            if member is not pump:
                member.close()  # logged out by another
        else:
            member.flush_now()


def _send(pump: Pump) -> bool:
    """Send what goes at once; whether that was all."""
    try:
        return pump.egress.flush_now()
    except OSError:
        pump.close()  # nobody knows where the stream broke off: nothing may follow
        raise


def _receive(pump: Pump, room: memoryview) -> int:
    """Receive, and meanwhile send what is left; the bytes received, 0 when no more will come. Raises OSError."""
    egress = pump.egress
    while egress.busy:
        more = 0 if _is_behind(pump) else select.POLLIN
        if _await(pump, select.POLLOUT | more) & ~select.POLLOUT:
            break
        with pump.line.lock:
            egress.busy = not _send(pump)
            pump.employ()
        pump.line.attend()
    try:
        return pump.sock.recv_into(room)
    except BlockingIOError:
        return rest(pump, room)


def _is_behind(pump: Pump) -> bool:
    """Whether its peer has so much to read that it must read before it asks for more; pings are answered at once."""
    with pump.line.lock:
        unsent: Any = pump.egress.unsent  # no promises of a file in what shares a lock
        size = sum(map(len, unsent)) - pump.connection.staged_size
    pump.line.attend()  # to word left meanwhile
    return len(unsent) > UNSENT_LIMIT or size > UNSENT_BYTES


def _await(pump: Pump, events: int) -> int:
    """Wait for one of these; which came. Raises BlockingIOError when the socket's send timeout has passed."""
    sock = pump.sock
    seconds, _ = struct.unpack("ll", sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.calcsize("ll")))
    poll = select.poll()
    poll.register(sock, events)
    ready = poll.poll(seconds * 1000)
    if not ready:
        raise BlockingIOError
    return ready[0][1]
