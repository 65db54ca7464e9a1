"""The control socket's client side: ask the daemon one thing; believe only root's or one's own."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

from ietpy.admin import protocol
from ietpy.admin.service import peer_uid, receive_exactly
from ietpy.errors import AdminError

_TIMEVAL: Final = struct.Struct("ll")
PATIENCE: Final = 10.0  #: seconds to wait for each piece of the answer

_NOBODY: Final = {
    errno.ENOENT: "no control socket at {path}; the daemon is not running, or --control was another",
    errno.ECONNREFUSED: "nobody answers at {path}; the daemon is not running (it did not end cleanly)",
    errno.EACCES: "{path} may not be opened by this user; ask as root or as the user who started the daemon",
    errno.EPERM: "{path} may not be opened by this user; ask as root or as the user who started the daemon",
}


class Unreachable(AdminError):
    """Nobody answers, or it is nobody to be trusted; ``code`` says how."""


def ask(
    path: str, operation: str, arguments: Mapping[str, Any] | None = None, patience: float = PATIENCE
) -> Any:
    """The result of one operation of the daemon at ``path``. Raises AdminError, a sentence for the user."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connect(connection, path, patience)
            check_server(peer_uid(connection), path)
            with contextlib.suppress(BrokenPipeError):  # refused before it was heard; the answer says why
                connection.sendall(protocol.encode(protocol.request(operation, arguments or {})))
            message = protocol.read_message(lambda count: receive_exactly(connection, count))
        except TimeoutError:
            problem = f"the daemon at {path} gave no answer in {patience:g} s"
            raise Unreachable(errno.ETIMEDOUT, problem) from None
        except OSError as error:
            sentence = _NOBODY.get(error.errno or 0, "{path}: {reason}")
            raise Unreachable(
                error.errno or errno.EIO, sentence.format(path=path, reason=error.strerror or error)
            ) from None
    return protocol.parse_reply(message)


def connect(connection: socket.socket, path: str, patience: float) -> None:
    """Connect, and wait as long as it takes while others are before us; from then on ``patience`` is the timeout.

    A socket with a timeout would be told at once to try again later where the server's backlog is full (unix(7)).
    """
    seconds, rest = divmod(patience, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(seconds), int(rest * 1_000_000)))
    try:
        connection.connect(path)
    except BlockingIOError:
        raise TimeoutError from None
    connection.settimeout(patience)


def check_server(uid: int, path: str) -> None:
    """Raise AdminError unless the server is root's or this user's: anybody may bind a socket in /tmp."""
    if uid not in (0, os.geteuid()):
        raise Unreachable(
            errno.EPERM, f"{path} is served by user {uid}, neither root nor this user; it is not trusted"
        )
