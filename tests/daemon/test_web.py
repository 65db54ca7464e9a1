"""The small HTTP server: what it answers, what it refuses, and that nobody keeps others out."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from ietpy.daemon import web
from ietpy.daemon.web import PLACES, Request, Response, WebServer, is_local
from ietpy.server.portals import bind

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Running:
    def __init__(self, answer: Callable[[Request], Response], local: bool = True) -> None:
        (self.listening,) = bind("127.0.0.1", 0)
        self.place = self.listening.getsockname()
        self.server = WebServer([self.listening], answer, local=local)
        self.server.start()

    def dial(self) -> socket.socket:
        return socket.create_connection(self.place, 10)

    def ask(self, request: bytes = GET) -> tuple[int, dict[str, str], bytes]:
        """Status, fields and body."""
        with self.dial() as sock:
            sock.sendall(request)
            return read(sock)


def read(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    said = b""
    while more := sock.recv(65536):
        said += more
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def hello(request: Request) -> Response:
    if request.path == "/mistake":
        raise ValueError("ours")
    return Response(f"hello {request.path}".encode())


@contextlib.contextmanager
def running(answer: Callable[[Request], Response] = hello, local: bool = True) -> Iterator[Running]:
    made = Running(answer, local)
    try:
        yield made
    finally:
        made.server.stop()
        assert "web" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def served() -> Iterator[Running]:
    with running() as made:
        yield made


def test_an_answer_says_how_it_may_be_used(served: Running) -> None:
    status, fields, body = served.ask(b"GET /there?x=1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
    assert (status, body) == (200, b"hello /there")
    assert fields["Content-Length"] == "12"
    assert fields["Content-Security-Policy"].startswith("default-src 'none';")
    assert (fields["X-Content-Type-Options"], fields["Connection"]) == ("nosniff", "close")


def test_head_has_no_body(served: Running) -> None:
    status, fields, body = served.ask(b"HEAD / HTTP/1.0\r\n\r\n")
    assert (status, fields["Content-Length"], body) == (200, "7", b"")


@pytest.mark.parametrize(("request_", "status"), [
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", 405),
    (b"DELETE / HTTP/1.1\r\n\r\n", 405),
    (b"hello\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET / SSH/2.0\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\n\r\n", 505),
    (b"GET / HTTP/1.1\r\nno field\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    (b"GET / HTTP/1.1\r\nHost: evil.example:9260\r\n\r\n", 403),
    (b"GET / HTTP/1.1\r\nX: " + b"x" * web.REQUEST_LIMIT, 431),
    (b"GET /mistake HTTP/1.1\r\n\r\n", 500),
])
def test_what_is_not_to_be_answered(served: Running, request_: bytes, status: int) -> None:
    found, fields, _ = served.ask(request_)
    assert found == status
    assert fields.get("Allow") == ("GET, HEAD" if status == 405 else None)
    assert served.ask()[0] == 200


@pytest.mark.parametrize(("host", "local"), [
    ("localhost", True), ("LOCALHOST:1", True), ("127.0.0.1", True), ("127.0.0.1:9260", True), ("[::1]", True),
    ("[::1]:9260", True), ("192.0.2.7", True), ("evil.example", False), ("127.0.0.1.evil.example:80", False),
    ("", False),
])
def test_who_is_asked_for_by_an_address(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_beyond_this_machine_any_name_will_do() -> None:
    with running(local=False) as served:
        assert served.ask(b"GET / HTTP/1.1\r\nHost: storage.example\r\n\r\n")[0] == 200


def test_a_request_may_come_in_pieces(served: Running) -> None:
    with served.dial() as sock:
        for byte in GET:
            sock.sendall(bytes([byte]))
        assert read(sock)[0] == 200


def test_a_crowd_that_says_little_keeps_nobody_out(served: Running) -> None:
    crowd = [served.dial() for _ in range(3 * PLACES)]
    for each in crowd:
        with contextlib.suppress(OSError):
            each.sendall(b"GET / HTT")
    assert [served.ask()[0] for _ in range(5)] == [200] * 5
    assert crowd[0].recv(1) == b""  # the oldest gave their places
    for each in crowd:
        each.close()


def test_who_does_not_take_his_answer_holds_up_nobody() -> None:
    with running(lambda request: Response(bytes(64 << 20) if request.path == "/large" else b"x")) as served:
        lazy = [served.dial() for _ in range(3)]
        for each in lazy:
            each.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert served.ask()[2] == b"x"
        total = 0
        while more := lazy[0].recv(1 << 20):
            total += len(more)
        assert total > 64 << 20
        for each in lazy:
            each.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n"])
def test_who_takes_too_long_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(web, "REQUEST_SECONDS", 0.05)
    with running() as served, served.dial() as sock:
        sock.sendall(said)
        assert sock.recv(1) == b""


def test_who_goes_away_leaves_nothing_behind(served: Running) -> None:
    for _ in range(3):
        with served.dial() as sock:
            sock.sendall(GET[:5])
    assert served.ask()[0] == 200
    assert not served.server._guests


def test_no_descriptor_left_is_waited_for(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = threading.Event()
    accept = served.listening.accept

    class Poor:
        def __init__(self) -> None:
            self.turns = 2

        def __getattr__(self, name: str) -> object:
            return getattr(served.listening, name)

        def accept(self) -> tuple[socket.socket, object]:
            if self.turns:
                self.turns -= 1
                raise OSError(24, "Too many open files") if self.turns else ConnectionAbortedError
            refused.set()
            return accept()

    poor = Poor()
    monkeypatch.setattr(web, "_PAUSE", 0.001)
    monkeypatch.setattr(served.server, "_accept", lambda sock, real=served.server._accept: real(poor))
    assert served.ask()[0] == 200
    assert refused.is_set()


def test_a_thread_that_is_stuck_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        inside.set()
        assert go_on.wait(20)
        return Response(b"late")

    monkeypatch.setattr(web, "_ENDING", 0.01)
    made = Running(slow)
    with made.dial() as sock:
        sock.sendall(GET)
        assert inside.wait(10)
        made.server.stop()
        go_on.set()
        assert re.search(rb"late$", sock.recv(65536))
    thread = made.server._thread
    assert thread is not None
    thread.join(10)
    made.server.stop()
