"""Listening sockets that whoever started us holds open, so that ports stay open while no daemon runs (decisions 68).

The protocol of sd_listen_fds(3), without a library: descriptors from 3 on, as many as $LISTEN_FDS says, for the process
that $LISTEN_PID names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

from ietpy.errors import UsageError

_FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def passed(environment: MutableMapping[str, str], first: int = _FIRST) -> list[socket.socket]:
    """The sockets that were passed to this process. What says so is taken out of ``environment``: children have none.

    Raises UsageError for what cannot be a portal.
    """
    pid, count, _ = (environment.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = []
    for descriptor in range(first, first + int(count)):
        try:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
        except OSError as error:
            problem = f"descriptor {descriptor}, which $LISTEN_FDS counts, is no socket: {error.strerror}"
            raise UsageError(problem) from None
        problem = _unfit(sock)
        if problem:
            sock.close()
            raise UsageError(f"the socket passed as descriptor {descriptor} {problem}")
        sockets.append(sock)
    return sockets


def _unfit(sock: socket.socket) -> str:
    """Why initiators cannot come by it; empty if they can."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return "is none of TCP; use ListenStream= with an address and a port"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen; use Accept=no"
    if sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        # Who comes by IPv4 would have another address than initiators.allow and the like name.
        return "takes IPv4, too; use BindIPv6Only=ipv6-only and a ListenStream= for each"
    return ""
