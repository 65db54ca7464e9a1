"""The control socket's server side: accepts, checks who asks, lets ``operations`` answer.

Binding and serving are apart: the socket is bound before the daemon detaches, threads start after.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ietpy.admin import protocol
from ietpy.errors import AdminError, IetpyError
from ietpy.events import Event, confess

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0  #: seconds a client may take for asking, and for each piece of the answer
CROWD: Final = 16  #: clients served at once; further ones wait their turn
_PAUSE: Final = 0.1  #: seconds between looks at whether to stop
_UCRED = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid

Perform = Callable[[str, dict[str, Any]], Any]


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end of a unix socket (SO_PEERCRED, unix(7))."""
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def bind(path: str) -> socket.socket:
    """A listening socket at ``path``, mode 0600. Raises AdminError with a sentence when that cannot be.

    A socket somebody answers on is never taken away; one nobody answers on is left over and replaced.
    """
    if len(os.fsencode(path)) > 107:  # sun_path of unix(7), less its NUL
        raise AdminError(errno.ENAMETOOLONG, f"control socket {path}: at most 107 bytes fit")
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(CROWD)
    except OSError as error:
        listener.close()
        problem = f"control socket {path} cannot be made: {error.strerror}"
        raise AdminError(error.errno or errno.EIO, problem) from None
    finally:
        os.umask(umask)
    return listener


def _clear(path: str) -> None:
    """Remove a socket left over at ``path``; raise AdminError for one in use or anything else there."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return  # Nothing there, or bind() says better what is wrong.
    if not stat.S_ISSOCK(mode):
        raise AdminError(errno.EEXIST, f"control socket {path}: not a socket is there; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            problem = f"control socket {path} cannot be examined: {error.strerror}"
            raise AdminError(error.errno or errno.EIO, problem) from None
    raise AdminError(errno.EADDRINUSE, f"control socket {path}: another daemon answers there; stop it first")


class Service:
    """Serves a listening socket with threads of its own until ``stop``; ``perform`` answers."""

    def __init__(self, listener: socket.socket, perform: Perform) -> None:
        self._listener = listener
        self._perform = perform
        self._path = str(listener.getsockname())
        self._inode = os.lstat(self._path).st_ino
        self._places = threading.BoundedSemaphore(CROWD)
        self._stopping = threading.Event()
        #: Made by ``start``: since Python 3.13 a Thread from before a fork cannot be started after it.
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept nobody any more and take the socket away, unless somebody put another one there."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        if self._thread is not None:
            self._thread.join()
        self._listener.close()
        with contextlib.suppress(OSError):  # after -u, what root made stays; it is replaced later
            if os.lstat(self._path).st_ino == self._inode:
                os.unlink(self._path)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            if not self._places.acquire(timeout=_PAUSE):
                continue
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                self._places.release()
                if not self._stopping.is_set():
                    Event.CONTROL_FAILED.tell(log, "control socket: %s", error.strerror)
                    self._stopping.wait(_PAUSE)  # out of descriptors: give them time to come back
                continue
            server = threading.Thread(target=self._serve, args=(connection,), name="control", daemon=True)
            try:
                server.start()
            except RuntimeError as error:  # the system has no thread left
                Event.THREADS.tell(log, "control socket: %s", error)
                connection.close()
                self._places.release()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(PATIENCE)
                answer(connection, self._perform)
        except OSError as error:
            Event.CONTROL_LOST.tell(log, "control socket: a client went away: %s", error)
        finally:
            self._places.release()


def answer(connection: socket.socket, perform: Perform) -> None:
    """Read one request from ``connection`` and send its reply. Raises OSError when the client goes away."""
    try:
        uid = peer_uid(connection)
        if uid not in (0, os.geteuid()):
            Event.CONTROL_REFUSED.tell(log, "control socket: user %d may not control this daemon", uid, user=uid)
            raise AdminError(errno.EPERM, f"user {uid} may not control this daemon of user {os.geteuid()}")
        deadline = time.monotonic() + PATIENCE
        message = protocol.read_message(lambda count: receive_exactly(connection, count, deadline))
        operation, arguments = protocol.parse_request(message)
        reply = protocol.encode(protocol.success(perform(operation, arguments)))
    except AdminError as error:
        reply = protocol.encode(protocol.failure(error))
    except IetpyError as error:
        reply = protocol.encode(protocol.failure(AdminError(errno.EINVAL, str(error))))
    except OSError:
        raise
    except Exception as mistake:  # ours; it costs this request and nothing else
        confess(log, "internal error in an operation: %r", mistake)
        reply = protocol.encode(protocol.failure(AdminError(errno.EIO, f"an internal error: {mistake!r}")))
    connection.sendall(reply)


def receive_exactly(connection: socket.socket, count: int, deadline: float = math.inf) -> bytes:
    """``count`` bytes, until ``deadline`` (``time.monotonic``) if it takes several pieces.

    Raises ConnectionError when the other side ends before, TimeoutError when it is slow.
    """
    pieces = bytearray()
    while len(pieces) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "it did not say what it wants in time")
        piece = connection.recv(min(count - len(pieces), 65536))
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "the connection ended within a message")
        pieces += piece
    return bytes(pieces)
