"""What task management functions of many tasks wait for besides these (RFC 7143 sections 4.2.2.3, 4.2.3.3, 11.6.1).

Before they act, for the commands sent before them, which other connections may still bring; before they are answered,
until what was sent by the session's other connections has arrived there, as the answer to a ping says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import Reject
from ietpy.iscsi.data_in import grant
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.pings import ping
from ietpy.wire.serial import MASK, before

if TYPE_CHECKING:
    from collections.abc import Callable

    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.function import Function
    from ietpy.iscsi.session import Session

#: The arguments of its handler.
Request = tuple[int, int, int, int, int, int, bytes, Sequence[memoryview], int]

#: Functions of one session that may wait for commands at once.
WAITING_LIMIT: Final = 32


def is_ahead(session: Session, cmd_sn: int) -> bool:
    """Whether commands sent before an immediate request with this CmdSN are still to come; not of one far ahead."""
    return before(session.exp_cmd_sn, cmd_sn) and not before((session.max_cmd_sn + 1) & MASK, cmd_sn)


def wait(connection: Connection, request: Request) -> None:
    """Have a function carried out when these commands have come (``Connection._release_held``)."""
    session: Any = connection.session
    if sum(type(key) is tuple for key in session.held) >= WAITING_LIMIT:
        raise Reject(RejectReason.IMMEDIATE_COMMAND_REJECT, f"{WAITING_LIMIT} functions wait for commands before them")
    _, _, _, tag, _, cmd_sn, *_ = request
    session.held[cmd_sn, tag] = connection, request, connection.framer.header()
    session.managing.add(tag)


def plug(connection: Connection, cmd_sn: int) -> None:
    """Take all commands before ``cmd_sn`` for received, and for aborted (section 4.2.3.3, b)."""
    session: Any = connection.session
    while session.exp_cmd_sn != cmd_sn:
        session.held.pop(session.exp_cmd_sn, None)
        session.exp_cmd_sn = (session.exp_cmd_sn + 1) & MASK
        grant(connection, 1)


def fence(function: Function, answer: Callable[[Function], None]) -> bool:
    """Whether the answer must wait until the other connections have delivered theirs; then it is given by that."""
    asker = function.connection
    session: Any = asker.session
    others = session.serving(asker)
    for each in others:
        tag = each.new_tag()
        each.pings.fences[tag] = partial(_passed, function, each, answer)
        ping(each, tag)
    function.fences = set(others)
    if others:
        session.node.memory.watch()  # who does not answer is given up in time (``pings.overdue``)
    return bool(others)


def _passed(function: Function, connection: Connection, answer: Callable[[Function], None]) -> None:
    function.fences.discard(connection)
    if function.fences:
        return
    if function.connection.closing:
        session: Any = connection.session
        session.managing.discard(function.tag)
    else:
        answer(function)
