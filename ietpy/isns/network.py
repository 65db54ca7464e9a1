"""Sockets of the iSNS client: the connection to the server, and the listener for what the server sends on its own.

Everything is non-blocking and belongs to one thread, but ``wake``. Nothing here trusts the peer: queues, numbers of
connections and waiting times are bounded, and a connection that breaks RFC 4171 is closed with a sentence in the log.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import select
import selectors
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from ietpy.events import Event
from ietpy.isns.attributes import IsnsError
from ietpy.isns.message import MESSAGE_LIMIT, Assembler, Message, encode

log = logging.getLogger(__name__)

GUESTS: Final = 4  #: connections of the server to our listener; one more closes the oldest
CANDIDATES: Final = 4  #: addresses of one name that are tried
_CHUNK: Final = 65536

#: What getaddrinfo lists: family, type, protocol, canonical name, address.
AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class Interrupted(Exception):
    """Somebody woke this thread and wants it to do something else."""


class Channel:
    """One connection that carries iSNS messages. ``expires``: when it is closed, by the owner's clock."""

    def __init__(self, sock: socket.socket, expires: float = math.inf) -> None:
        self.socket = sock
        self.expires = expires
        self._assembler = Assembler()
        self._out = bytearray()

    @property
    def sends(self) -> bool:
        """Whether bytes wait for the peer to read."""
        return bool(self._out)

    def queue(self, message: Message) -> None:
        """Put ``message`` behind what waits. Raises IsnsError when the peer reads too little."""
        self._out += encode(message)
        if len(self._out) > 2 * MESSAGE_LIMIT:
            raise IsnsError(f"{len(self._out)} bytes wait for it to read")

    def flush(self) -> None:
        """Send what the socket takes. Raises OSError."""
        with contextlib.suppress(BlockingIOError):
            while self._out:
                del self._out[: self.socket.send(self._out)]

    def receive(self) -> list[Message]:
        """Whole messages of one receive call. Raises OSError, at the end of the stream too, and IsnsError."""
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
        self._assembler.feed(data)
        messages = []
        while (message := self._assembler.next_message()) is not None:
            messages.append(message)
        return messages


class Network:
    """``clock`` counts seconds; ``idle``: how long a connection of the server to our listener may stay.

    ``server`` is None while there is no connection; ``loss`` then says why.
    """

    def __init__(self, clock: Callable[[], float], idle: float) -> None:
        self._clock = clock
        self._idle = idle
        self._selector = selectors.DefaultSelector()
        self._waker, self._bell = socket.socketpair()
        self._waker.setblocking(False)
        self._bell.setblocking(False)
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._listener: socket.socket | None = None
        self._guests: list[Channel] = []
        self._server_host = ""
        self.server: Channel | None = None
        self.loss = ""

    def wake(self) -> None:
        """End the other thread's waiting; any thread may call this, also after ``close``."""
        with contextlib.suppress(OSError):  # full: it is awake already
            self._bell.send(b"\0")

    def close(self) -> None:
        """Close everything."""
        self.hang_up("it is not needed any more")
        self._close_listener()
        self._selector.close()
        self._waker.close()
        self._bell.close()

    def connect(
        self, candidates: Sequence[AddressInfo], patience: float, interrupted: Callable[[], bool]
    ) -> AddressInfo:
        """Connect to the first of ``candidates`` that answers, each within ``patience`` seconds; which one it was.

        Raises OSError of the last one, or Interrupted when ``interrupted`` says so after a ``wake``.
        """
        problem = OSError(errno.EADDRNOTAVAIL, "it has no address")
        for candidate in candidates[:CANDIDATES]:
            sock = socket.socket(candidate[0], socket.SOCK_STREAM)
            try:
                sock.setblocking(False)
                self._dial(sock, candidate[4], patience, interrupted)
                self._server_host = str(sock.getpeername()[0])
            except OSError as error:
                sock.close()
                problem = error
                continue
            except BaseException:  # Interrupted, above all
                sock.close()
                raise
            self.server = Channel(sock)
            self._selector.register(sock, selectors.EVENT_READ, self.server)
            return candidate
        raise problem

    def _dial(
        self, sock: socket.socket, address: tuple[Any, ...], patience: float, interrupted: Callable[[], bool]
    ) -> None:
        code = sock.connect_ex(address)
        deadline = self._clock() + patience
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        poll.register(self._waker, select.POLLIN)
        while code == errno.EINPROGRESS:
            if interrupted():
                raise Interrupted
            left = deadline - self._clock()
            if left <= 0:
                raise TimeoutError(errno.ETIMEDOUT, f"it does not answer within {patience:g} s")
            ready = [descriptor for descriptor, _ in poll.poll(math.ceil(left * 1000))]
            if sock.fileno() in ready:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif ready:
                self._drain()
        if code:
            raise OSError(code, os.strerror(code))

    def listen(self) -> tuple[str, int]:
        """Listen at the address of our end of the connection to the server; this address, and the listener's port.

        A listener that is there already stays. Raises OSError.
        """
        assert self.server is not None, "listen() without a connection"
        name = self.server.socket.getsockname()
        if self._listener is not None and self._listener.getsockname()[0] != name[0]:
            self._close_listener()
        if self._listener is None:
            listener = socket.socket(self.server.socket.family, socket.SOCK_STREAM)
            try:
                listener.setblocking(False)
                listener.bind((name[0], 0, *name[2:]))
                listener.listen(GUESTS)
            except OSError:
                listener.close()
                raise
            self._listener = listener
            self._selector.register(listener, selectors.EVENT_READ)
        return str(name[0]), int(self._listener.getsockname()[1])

    def _close_listener(self) -> None:
        for guest in list(self._guests):
            self._drop(guest)
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def hang_up(self, why: str) -> None:
        """Close the connection to the server, if there is one; ``why`` becomes its ``loss``."""
        if self.server is not None:
            self._drop(self.server)
            self.server, self.loss = None, why

    def _drop(self, channel: Channel) -> None:
        self._selector.unregister(channel.socket)
        channel.socket.close()
        if channel is not self.server:
            self._guests.remove(channel)

    def send(self, channel: Channel, message: Message) -> None:
        """Send ``message``, at once or when the peer reads; a connection on which that fails is closed."""
        if self._holds(channel):
            try:
                channel.queue(message)
                channel.flush()
            except (OSError, IsnsError) as error:
                self._break(channel, error)
            else:
                self._heed(channel)

    def _holds(self, channel: Channel) -> bool:
        return channel is self.server or channel in self._guests

    def _heed(self, channel: Channel) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.sends else 0)
        self._selector.modify(channel.socket, events, channel)

    def _break(self, channel: Channel, error: OSError | IsnsError) -> None:
        if channel is self.server:
            self.hang_up(words(error))
            return
        self._drop(channel)
        if not isinstance(error, ConnectionError):
            Event.ISNS_TROUBLE.tell(log, "iSNS: a connection of the server to us is closed: %s", words(error))

    def pump(self, deadline: float) -> list[tuple[Channel, Message]]:
        """Wait until messages came, something else happened, somebody woke us or the deadline is over.

        Raises nothing; look at ``server``.
        """
        now = self._clock()
        for guest in [guest for guest in self._guests if guest.expires <= now]:
            self._drop(guest)
        end = min([deadline, *(guest.expires for guest in self._guests)])
        arrived: list[tuple[Channel, Message]] = []
        for key, events in self._selector.select(None if end == math.inf else max(0.0, end - now)):
            if key.fileobj is self._waker:
                self._drain()
            elif key.fileobj is self._listener:
                self._accept()
            elif self._holds(key.data):
                arrived += [(key.data, message) for message in self._serve(key.data, events)]
        return arrived

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._waker.recv(_CHUNK):
                pass

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, peer = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of descriptors: it would stay readable and keep us spinning. The next round opens another one.
            Event.DESCRIPTORS.tell(log, "iSNS: no connection of the server can be accepted: %s", words(error))
            self._close_listener()
            return
        if peer[0] != self._server_host:
            Event.ISNS_REFUSED.tell(
                log, "iSNS: %s is turned away; only the server, %s, may notify us", peer[0], self._server_host,
                peer=peer[0],
            )
            sock.close()
            return
        if len(self._guests) == GUESTS:
            self._drop(self._guests[0])
        sock.setblocking(False)
        guest = Channel(sock, self._clock() + self._idle)
        self._guests.append(guest)
        self._selector.register(sock, selectors.EVENT_READ, guest)

    def _serve(self, channel: Channel, events: int) -> list[Message]:
        try:
            if events & selectors.EVENT_WRITE:
                channel.flush()
                self._heed(channel)
            return channel.receive() if events & selectors.EVENT_READ else []
        except (OSError, IsnsError) as error:
            self._break(channel, error)
            return []


def words(error: OSError | IsnsError | UnicodeError) -> str:
    """An error without its number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
