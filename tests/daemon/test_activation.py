"""Listening sockets that were passed to the daemon: taken, refused with what to do, and told to no child."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest

from ietpy.daemon.activation import passed
from ietpy.errors import UsageError


@pytest.fixture
def keep() -> Iterator[Callable[[socket.socket], socket.socket]]:
    kept: list[socket.socket] = []

    def keep(sock: socket.socket) -> socket.socket:
        kept.append(sock)
        return sock

    yield keep
    for sock in kept:
        sock.close()


def told(count: object = 1, pid: object = None) -> dict[str, str]:
    return {
        "LISTEN_PID": str(os.getpid() if pid is None else pid), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "a:b",
        "PATH": "/bin",
    }


def give(sock: socket.socket) -> int:
    """A descriptor as a parent leaves it."""
    descriptor = os.dup(sock.fileno())
    os.set_inheritable(descriptor, True)
    return descriptor


def test_what_was_passed_is_ours_and_no_childs(keep: Callable[[socket.socket], socket.socket]) -> None:
    theirs = keep(socket.create_server(("127.0.0.1", 0)))
    environment = told()
    descriptor = give(theirs)
    [ours] = map(keep, passed(environment, descriptor))
    assert ours.fileno() == descriptor
    assert ours.getsockname() == theirs.getsockname()
    assert not os.get_inheritable(descriptor)
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(("count", "pid"), [(1, 1), ("", None), ("x", None), (0, None), ("-1", None)])
def test_what_was_passed_to_others_is_not_taken(count: object, pid: object) -> None:
    environment = told(count, pid)
    assert passed(environment) == []
    assert environment == {"PATH": "/bin"}, "nor told to our children"


def dual_stack() -> socket.socket:
    return socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)


def not_listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.mark.parametrize(("make", "problem"), [
    (lambda: socket.socket(socket.AF_UNIX), "is none of TCP; use ListenStream= with an address and a port"),
    (lambda: socket.socket(type=socket.SOCK_DGRAM), "is none of TCP"),
    (not_listening, "does not listen; use Accept=no"),
    (dual_stack, "takes IPv4, too; use BindIPv6Only=ipv6-only and a ListenStream= for each"),
])
def test_what_cannot_be_a_portal_is_refused(make: Callable[[], socket.socket], problem: str) -> None:
    with make() as theirs, pytest.raises(UsageError, match=problem):
        passed(told(), give(theirs))


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: os.PathLike[str]) -> None:
    file = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(UsageError, match=f"descriptor {file}, which .LISTEN_FDS counts, is no socket: "):
            passed(told(), file)
    finally:
        os.close(file)
    with pytest.raises(UsageError, match="Bad file descriptor"):
        passed(told(), file)
