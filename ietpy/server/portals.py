"""Listening sockets."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 128


def bind(address: str | None, port: int) -> list[socket.socket]:
    """Listening sockets for an address (None: all interfaces, both families) and port (0: a free one for all).

    Raises OSError when nothing can be bound; one family missing is no error when all interfaces were asked for.
    """
    infos = socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    problem: OSError | None = None
    for family, kind, protocol, _, where in sorted(infos, key=lambda info: info[0]):
        if port == 0 and sockets:
            where = (where[0], sockets[0].getsockname()[1], *where[2:])
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            problem = error
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(where)
            sock.listen(BACKLOG)
        except OSError as error:
            problem = OSError(error.errno, f"{error.strerror}: {address or 'any address'} port {port}")
            sock.close()
        else:
            sockets.append(sock)
    if not sockets:
        raise problem or OSError(f"{address} has no address to listen on")
    return sockets
