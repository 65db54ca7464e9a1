"""Between the process in front and its workers (decisions 54): messages with a socket, and calls with an answer.

A message is a pickled tuple in one packet; its kind comes first. Who sends one never waits. A call is a message with a
socket of its own, on which the request and the answer travel, so each call waits for its own answer alone.

Both ends are one program, forked from one process, so Python objects may travel.
"""

from __future__ import annotations

import array
import contextlib
import copyreg
import errno
import logging
import pickle
import select
import socket
import time
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ietpy.errors import AdminError, IetpyError
from ietpy.events import Event, confess

log = logging.getLogger(__name__)

#: Bytes of a message: a login with all its text, and what was sent behind it too early.
LIMIT: Final = 256 * 1024
#: Seconds to wait for an answer that waits for nothing itself.
PATIENCE: Final = 8.0
#: Seconds for an answer that is here already, when all patience is used up.
_MOMENT: Final = 0.001
_RESULT, _PROBLEM = "result", "problem"
_GONE: Final = "the process that serves it has ended, and another one is being started; try again"


def _proxy(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)  # which has no name of its own that pickle finds


copyreg.pickle(MappingProxyType, lambda mapping: (_proxy, (dict(mapping),)))


class Message(NamedTuple):
    """``socket``: what came with it, if anything did; not without a descriptor left for it (EMFILE)."""

    kind: str
    facts: tuple[Any, ...]
    socket: socket.socket | None


class Channel:
    """One end. Several threads may send, one receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LIMIT // 2)  # Linux takes it twice (socket(7))

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Our end, and the socket of the other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def send(self, kind: str, *facts: Any, sock: socket.socket | None = None) -> None:
        """Raises OSError when the other end has gone, or does not look (BlockingIOError)."""
        passed = [] if sock is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))]
        self._sock.sendmsg([pickle.dumps((kind, *facts))], passed, socket.MSG_DONTWAIT)

    def receive(self) -> Message | None:
        """The next message; None when the other end has gone."""
        try:
            data, ancillary, _, _ = self._sock.recvmsg(
                LIMIT, socket.CMSG_SPACE(array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return None
        if not data:
            return None
        descriptors = array.array("i")
        for _, _, found in ancillary:
            descriptors.frombytes(found)
        kind, *facts = pickle.loads(data)
        return Message(kind, tuple(facts), socket.socket(fileno=descriptors[0]) if descriptors else None)

    def end(self) -> None:
        """Have both ends see that this one has gone."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()


class Call:
    """Something asked of the other end, which has it answered by ``answer``. ``result`` is to be called once.

    ``patience`` counts from here, so several calls at once wait together no longer than one.
    """

    def __init__(self, channel: Channel | None, operation: str, *arguments: Any, patience: float = PATIENCE) -> None:
        self._sock: socket.socket | None = None
        self._patience = patience
        self._until = time.monotonic() + patience
        self._problem = errno.EAGAIN, _GONE
        if channel is None:
            return
        try:
            ours, theirs = socket.socketpair()
        except OSError as problem:  # no descriptor is left
            said = f"the process that serves it cannot be asked: {problem.strerror}"
            self._problem = problem.errno or errno.EIO, said
            return
        ours.settimeout(patience)
        with theirs:
            try:
                channel.send("call", sock=theirs)
            except OSError:
                ours.close()
                return
        self._sock = ours
        with contextlib.suppress(OSError):
            ours.sendall(pickle.dumps((operation, arguments)))
            ours.shutdown(socket.SHUT_WR)

    def result(self) -> Any:
        """What was answered. Raises AdminError: the other end's, EAGAIN when it has ended, ETIMEDOUT if it is slow."""
        if self._sock is None:
            raise AdminError(*self._problem)
        with self._sock:
            self._sock.settimeout(max(self._until - time.monotonic(), _MOMENT))
            try:
                answer = _receive_all(self._sock)
            except TimeoutError:
                problem = f"the process that serves it gave no answer in {self._patience:g} s"
                raise AdminError(errno.ETIMEDOUT, problem) from None
            except OSError:
                answer = b""
        if not answer:
            raise AdminError(errno.EAGAIN, _GONE)
        kind, value = pickle.loads(answer)
        if kind == _PROBLEM:
            raise AdminError(*value)
        return value


def all_true(calls: Iterable[Call]) -> bool:
    """Whether all answered, and with yes."""
    clean = True
    for call in calls:
        try:
            clean = bool(call.result()) and clean
        except AdminError as problem:
            Event.WORKER_FAILED.tell(log, "%s", problem)
            clean = False
    return clean


def answer(sock: socket.socket, perform: Callable[..., Any]) -> None:
    """Read a request, have ``perform(operation, *arguments)`` do it, and answer what comes of it.

    Nothing is done for one who has gone, and reported by then that it was not.
    """
    with sock, contextlib.suppress(OSError):
        request = _receive_all(sock)
        if _abandoned(sock):
            return
        operation, arguments = pickle.loads(request)
        reply: tuple[str, Any]
        try:
            reply = _RESULT, perform(operation, *arguments)
        except AdminError as error:
            reply = _PROBLEM, (error.code, str(error))
        except IetpyError as error:
            reply = _PROBLEM, (errno.EINVAL, str(error))
        except Exception as mistake:  # ours; it costs this request and nothing else
            confess(log, "internal error in an operation: %r", mistake)
            reply = _PROBLEM, (errno.EIO, f"an internal error: {mistake!r}")
        sock.sendall(pickle.dumps(reply))


def _abandoned(sock: socket.socket) -> bool:
    """Whether the other end was closed, not only shut for writing; poll(2) tells of that unasked (POLLHUP)."""
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def _receive_all(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(LIMIT):
        pieces.append(piece)
    return b"".join(pieces)
