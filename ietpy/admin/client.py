"""The control socket's client side: ask the daemon one thing; believe only root's or one's own."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Any, Final

from ietpy.admin import protocol
from ietpy.admin.service import peer_uid, receive_exactly
from ietpy.errors import AdminError

PATIENCE: Final = 10.0  #: seconds to wait for each piece of the answer

_NOBODY: Final = {
    errno.ENOENT: "no control socket at {path}; the daemon is not running, or --control was another",
    errno.ECONNREFUSED: "nobody answers at {path}; the daemon is not running (it did not end cleanly)",
    errno.EACCES: "{path} may not be opened by this user; ask as root or as the user who started the daemon",
    errno.EPERM: "{path} may not be opened by this user; ask as root or as the user who started the daemon",
}


def ask(
    path: str, operation: str, arguments: Mapping[str, Any] | None = None, patience: float = PATIENCE
) -> Any:
    """The result of one operation of the daemon at ``path``. Raises AdminError, a sentence for the user."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(path)
            check_server(peer_uid(connection), path)
            connection.sendall(protocol.encode(protocol.request(operation, arguments or {})))
            message = protocol.read_message(lambda count: receive_exactly(connection, count))
        except TimeoutError:
            problem = f"the daemon at {path} gave no answer in {patience:g} s"
            raise AdminError(errno.ETIMEDOUT, problem) from None
        except OSError as error:
            sentence = _NOBODY.get(error.errno or 0, "{path}: {reason}")
            raise AdminError(
                error.errno or errno.EIO, sentence.format(path=path, reason=error.strerror or error)
            ) from None
    return protocol.parse_reply(message)


def check_server(uid: int, path: str) -> None:
    """Raise AdminError unless the server is root's or this user's: anybody may bind a socket in /tmp."""
    if uid not in (0, os.geteuid()):
        raise AdminError(
            errno.EPERM, f"{path} is served by user {uid}, neither root nor this user; it is not trusted"
        )
