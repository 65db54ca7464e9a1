"""Listening sockets: both families, one address, and what cannot be bound."""

from __future__ import annotations

import errno
import socket

import pytest

from ietpy.server import portals
from ietpy.server.portals import bind


def test_all_interfaces_share_a_free_port() -> None:
    sockets = bind(None, 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert {sock.family for sock in sockets} <= {socket.AF_INET, socket.AF_INET6}
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_one_address(address: str) -> None:
    (sock,) = bind(address, 0)
    with sock:
        assert sock.getsockname()[0] == address


def test_a_port_in_use_says_which() -> None:
    (first,) = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with first, pytest.raises(OSError, match=f"127.0.0.1 port {port}") as caught:
        bind("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE


def test_no_such_address() -> None:
    with pytest.raises(OSError):
        bind("192.0.2.1", 0)


def test_a_family_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def make(family: int, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")
        return real(family, *rest)

    monkeypatch.setattr(portals.socket, "socket", make)
    sockets = bind(None, 0)
    for sock in sockets:
        sock.close()
    assert [sock.family for sock in sockets] == [socket.AF_INET]
