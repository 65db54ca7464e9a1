"""A small HTTP server for what is only read: GET and HEAD, one answer for each connection, one thread for all of them.

Who sends a request slowly, or takes the answer slowly, keeps a place and nothing else. Of all places, those who have
not said a whole request give theirs to new ones, the oldest first; a whole request is answered the moment it is there.
So a crowd of silent connections keeps nobody out. Answers are made by ``answer``, in this thread (docs/decisions 90).
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ietpy.events import confess

log = logging.getLogger(__name__)

#: Connections at once.
PLACES: Final = 32
#: Seconds from accepting a connection to its whole request, and from there to the last byte of its answer.
REQUEST_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
#: Bytes of a request line with its header fields.
REQUEST_LIMIT: Final = 8192
_ENDING: Final = 5.0  #: seconds to wait for the thread
_PAUSE: Final = 0.1  #: seconds to wait where a connection cannot be accepted
_METHODS: Final = ("GET", "HEAD")
_REASONS: Final = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 505: "HTTP Version Not Supported",
}
#: What keeps a browser from doing anything with an answer but showing it.
_ALWAYS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Request:
    """``headers`` by name in lower case; of a name that came twice the last."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """``kind``: its Content-Type."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class BadRequest(Exception):
    """A request that is answered with ``response`` and nothing else."""

    def __init__(self, status: int, why: str, **headers: str) -> None:
        super().__init__(why)
        self.response = Response(f"{why}\n".encode(), status=status, headers=headers)


def parse(head: bytes) -> tuple[str, Request]:
    """Method and request of what came before the empty line. Raises BadRequest."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise BadRequest(400, "this is no HTTP request")
    method, path, version = words
    if not version.startswith("HTTP/1."):
        raise BadRequest(505, "HTTP/1.1 is spoken here")
    if method not in _METHODS:
        raise BadRequest(405, "everything here is only read: GET and HEAD", Allow=", ".join(_METHODS))
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(400, "a header field that is none")
        headers[name.lower()] = value.strip()
    return method, Request(path.partition("?")[0], headers)


def is_local(host: str) -> bool:
    """Whether a Host field names this machine by an address, or ``localhost``.

    A name that somebody else has made for 127.0.0.1 is none: a page of his in a browser here would read ours.
    """
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if name.lower() == "localhost":
        return True
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name.strip("[]"))
        return True
    return False


class _Guest:
    """A connection. ``answer`` is None while its request is not whole."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.received = b""
        self.answer: memoryview | None = None


class WebServer:
    """Answers on listening ``sockets`` from ``start`` to ``stop``, which closes them.

    ``answer`` is called with one request at a time; what it raises is a mistake of ours, and status 500.
    ``local``: only who calls us by an address is answered (``is_local``).
    """

    def __init__(
        self, sockets: Sequence[socket.socket], answer: Callable[[Request], Response], *, local: bool = True
    ) -> None:
        self._sockets = sockets
        self._answer = answer
        self._local = local
        self._selector = selectors.DefaultSelector()
        self._guests: dict[socket.socket, _Guest] = {}  #: in the order they came
        self._wake_receive, self._wake_send = socket.socketpair()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """Raises RuntimeError where there is no thread."""
        for sock in (*self._sockets, self._wake_receive):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
        thread = threading.Thread(target=self._run, name="web", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Returns when the thread has ended; the answer it is making has some seconds."""
        self._stopping = True
        if self._thread is not None:
            with contextlib.suppress(OSError):  # it has been stopped before
                self._wake_send.send(b"x")
            self._thread.join(_ENDING)
            if self._thread.is_alive():
                return  # it waits for a worker that does not answer, and ends after that or with the process
        for guest in list(self._guests.values()):
            guest.sock.close()
        for sock in (*self._sockets, self._wake_receive, self._wake_send):
            sock.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._stopping:
            due = min((guest.deadline for guest in self._guests.values()), default=None)
            found = self._selector.select(None if due is None else max(0.0, due - time.monotonic()))
            for key, _ in found:
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock in self._guests:
                    self._serve(self._guests[sock])
                elif sock in self._sockets:
                    self._accept(sock)
            now = time.monotonic()
            for guest in [guest for guest in self._guests.values() if guest.deadline <= now]:
                self._drop(guest)

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except ConnectionError:  # gone again
            return
        except OSError:  # no descriptor is left, so it stays there to be accepted
            time.sleep(_PAUSE)
            return
        if len(self._guests) >= PLACES:
            silent = (guest for guest in self._guests.values() if guest.answer is None)
            self._drop(next(silent, next(iter(self._guests.values()))))
        sock.setblocking(False)
        guest = self._guests[sock] = _Guest(sock, time.monotonic() + REQUEST_SECONDS)
        self._selector.register(sock, selectors.EVENT_READ)
        self._serve(guest)  # most have said it all already

    def _drop(self, guest: _Guest) -> None:
        del self._guests[guest.sock]
        self._selector.unregister(guest.sock)
        guest.sock.close()

    def _serve(self, guest: _Guest) -> None:
        try:
            if guest.answer is None:
                self._receive(guest)
            if guest.answer is not None:
                self._send(guest)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._drop(guest)

    def _receive(self, guest: _Guest) -> None:
        more = guest.sock.recv(REQUEST_LIMIT + 1 - len(guest.received))
        if not more:
            raise ConnectionResetError
        guest.received += more
        head, end, _ = guest.received.partition(b"\r\n\r\n")
        if not end and len(guest.received) <= REQUEST_LIMIT:
            return
        method, response = "GET", Response(b"the request is too long\n", status=431)
        try:
            if end:
                method, request = parse(head)
                response = self._respond(request)
        except BadRequest as problem:
            response = problem.response
        guest.answer = memoryview(_bytes(response, method))
        guest.deadline = time.monotonic() + ANSWER_SECONDS
        self._selector.modify(guest.sock, selectors.EVENT_WRITE)

    def _respond(self, request: Request) -> Response:
        if self._local and not is_local(request.headers.get("host", "localhost")):
            raise BadRequest(403, "ask for this by an address, or as localhost")
        try:
            return self._answer(request)
        except Exception as mistake:  # ours; it costs this answer and nothing else
            confess(log, "internal error in an answer to %r: %r", request.path, mistake)
            return Response(b"a mistake of ours; see the log\n", status=500)

    def _send(self, guest: _Guest) -> None:
        assert guest.answer is not None
        guest.answer = guest.answer[guest.sock.send(guest.answer) :]
        if not guest.answer:
            with contextlib.suppress(OSError):
                guest.sock.shutdown(socket.SHUT_WR)
                guest.sock.recv(REQUEST_LIMIT)  # closing what has more to be read would take the answer back
            self._drop(guest)


def _bytes(response: Response, method: str) -> bytes:
    fields = {
        "Content-Type": response.kind, "Content-Length": str(len(response.body)), **_ALWAYS, **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {_REASONS[response.status]}", *(f"{key}: {fields[key]}" for key in fields)]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (response.body if method == "GET" else b"")
