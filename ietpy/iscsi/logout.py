"""Logout: how connections leave their session, and what becomes of their requests (RFC 7143 sections 11.14, 11.15)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import Reject
from ietpy.iscsi import recovery
from ietpy.iscsi.deferred import discard, forget_held
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.keys import RECOVERS_CONNECTIONS
from ietpy.iscsi.pdu import FINAL, IMMEDIATE, LOGOUT_RESPONSE, Opcode
from ietpy.wire.serial import MASK

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection
    from ietpy.iscsi.session import Session

# Section 11.15.1.
DONE: Final = 0
NO_SUCH_CID: Final = 1
NO_RECOVERY: Final = 2


def request(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """Logout Request (section 11.14). On a connection that is closed nothing follows the answer.

    So commands of the same batch end here (11.14.1). A connection that another one names is answered for when its tasks
    have ended (``gone``).
    """
    session: Any = connection.session
    leave = _REASONS.get(flags & 0x7F)
    if leave is None:
        raise Reject(RejectReason.PROTOCOL_ERROR, f"logout reason {flags & 0x7F}; 0, 1 and 2 are defined")
    if not opcode & IMMEDIATE:
        session.max_cmd_sn = (session.max_cmd_sn + 1) & MASK
    response = leave(connection, session, tag, word20 >> 16)
    if response is not None:
        _answer(connection, tag, response)


def of_discovery(
    connection: Connection, opcode: int, flags: int, lun: int, tag: int, word20: int, cmd_sn: int, tail: bytes,
    data: Sequence[memoryview], length: int,
) -> None:
    """Logout Request of a discovery session: it closes the session, or is rejected (section 4.3)."""
    if flags & 0x7F:
        raise Reject(RejectReason.COMMAND_NOT_SUPPORTED, f"logout reason {flags & 0x7F} in a discovery session")
    request(connection, opcode, flags, lun, tag, word20, cmd_sn, tail, data, length)


def gone(connection: Connection) -> None:
    """A connection is closed, its tasks have ended or are stranded: answer those who asked for that on others."""
    session: Any = connection.session
    waiting, session.logouts = session.logouts, []
    for named, asker, tag in waiting:
        if named is not connection:
            session.logouts.append((named, asker, tag))
        elif not asker.closing:
            _answer(asker, tag, DONE)


def _answer(connection: Connection, tag: int, response: int) -> None:
    session: Any = connection.session
    parameters = session.parameters
    connection.send(
        LOGOUT_RESPONSE.pack(
            opcode=Opcode.LOGOUT_RESPONSE, flags=FINAL, response=response, initiator_task_tag=tag,
            stat_sn=connection.next_stat_sn(), exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn,
            time2wait=parameters.default_time2wait, time2retain=parameters.default_time2retain,
        )
    )


def _close(connection: Connection) -> None:
    """Take nothing more from it, and end what it has in the batch; the rest ends when it does."""
    connection.closing, connection.recoverable, connection.stranded = True, False, False
    for task in [task for task in connection.ready if task.connection is connection]:
        discard(connection, task)
    forget_held(connection)


def _close_session(connection: Connection, session: Session, tag: int, cid: int) -> int | None:
    for each in session.connections.values():
        _close(each)
    for each in session.stranded:
        recovery.give_up(each)
    return DONE


def _close_connection(connection: Connection, session: Session, tag: int, cid: int) -> int | None:
    named = session.connections.get(cid)
    if named is None:
        lost = [each for each in session.stranded if each.cid == cid]
        for each in lost:
            recovery.give_up(each)
        return DONE if lost else NO_SUCH_CID
    _close(named)
    if named is connection:
        return DONE
    session.logouts.append((named, connection, tag))
    return None


def _remove_for_recovery(connection: Connection, session: Session, tag: int, cid: int) -> int | None:
    if session.parameters.error_recovery_level < RECOVERS_CONNECTIONS:
        return NO_RECOVERY
    named = session.connections.get(cid)
    if named is None:
        return DONE if recovery.release(session, cid) else NO_SUCH_CID
    named.closing = named.stranded = named.released = True
    forget_held(named)
    if named is connection:
        return DONE
    session.logouts.append((named, connection, tag))
    return None


#: Section 11.14.1.
_REASONS: Final[dict[int, Callable[[Connection, Session, int, int], int | None]]] = {
    0: _close_session,
    1: _close_connection,
    2: _remove_for_recovery,
}
