"""Before the server closes connections it says so: initiators log out, or are told that they are dropped.

RFC 7143 sections 4.2.6 and 11.9.1.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ietpy.iscsi.async_messages import announce_connection_drop, announce_session_drop, ask_to_log_out

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session
    from ietpy.server.pump import Pump

#: How long all are waited for that were asked to log out (seconds).
LOGOUT_SECONDS: Final = 2
#: What a closed connection may take to notice (seconds).
CLOSING_SECONDS: Final = 1.0
#: How long the closing of one connection is put off for a thread that has its lock (seconds, twice).
DROP_SECONDS: Final = 0.2


def say_farewell(pumps: Mapping[Pump, threading.Thread], timeout: float) -> None:
    """Ask all to log out; return when they have, or their time is over and they were told.

    Their commands go on meanwhile. ``timeout`` in seconds, if that is less than they would have.
    """
    seconds = min(LOGOUT_SECONDS, timeout)
    for pump in pumps:
        pump.line.post(partial(ask_to_log_out, pump.connection, math.ceil(seconds)))
    deadline = time.monotonic() + seconds
    for pump, thread in pumps.items():
        if pump.connection.session is not None and pump.connection.session.target is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    for pump, thread in pumps.items():
        if thread.is_alive():
            pump.line.post(partial(announce_session_drop, pump.connection))


def part(pumps: Mapping[Pump, threading.Thread], stranded: Iterable[Pump], deadline: float) -> None:
    """Have these end: what came is finished until ``deadline`` (``time.monotonic``), then connections are closed.

    ``stranded``: lost ones that have no thread any more.
    """
    for pump in pumps:
        pump.stop_receiving()
    for lost in stranded:
        lost.end()
    for thread in pumps.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    for pump, thread in pumps.items():
        if thread.is_alive():
            pump.close()
    for thread in pumps.values():
        thread.join(max(0.0, deadline + CLOSING_SECONDS - time.monotonic()))


def end_sessions(
    sessions: Sequence[Session], pumps: Mapping[Pump, threading.Thread], stranded: Iterable[Pump], timeout: float
) -> list[bool]:
    """End these; of each, whether its initiator logged out. ``timeout`` seconds; 0: nobody is asked or waited for.

    ``pumps`` and ``stranded`` are all there are. Nothing keeps an initiator from logging in again.
    """
    deadline = time.monotonic() + timeout
    ours = {pump: thread for pump, thread in pumps.items() if pump.connection.session in sessions}
    if timeout:
        say_farewell(ours, timeout)
    left = {pump: thread for pump, thread in ours.items() if thread.is_alive()}
    lost = [pump for pump in stranded if pump.connection.session in sessions]
    part(left, lost, deadline)
    closed = {pump.connection.session for pump in (*left, *lost)}
    return [session not in closed for session in sessions]


def drop(connection: Connection) -> None:
    """Close one connection, at once if its threads are busy with its peer."""
    pump: Pump = connection.owner
    said, left = threading.Event(), threading.Event()
    pump.line.post(partial(_announce, connection, said))
    said.wait(DROP_SECONDS)
    pump.line.post(left.set)  # whoever reads this has sent what he read before
    left.wait(DROP_SECONDS)
    pump.end()


def _announce(connection: Connection, said: threading.Event) -> None:
    announce_connection_drop(connection)
    said.set()
