"""Sessions through a proxy that splits at every byte of the first 4 KiB, both ways: the same answers.

Each byte goes on its own when the one before it has been taken out of the receiving socket, so a receive call never
gets two of them. What lies in a socket tells FIONREAD; the target's end of a connection is found among our own
descriptors, as the server runs in this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.framing import Pdu
from ietpy.iscsi.pdu import Opcode
from tests.adversarial.scenarios import SCENARIOS
from tests.adversarial.world import PATIENCE, World

SPLIT = 4096  #: bytes of each direction that go one by one
CHOSEN = (
    "discovery", "immediate_data", "many_r2ts", "unsolicited", "digests", "mutual_chap", "wrong_secret", "long_text",
    "functions", "odd_segments", "rejected", "early", "header_digest_lost", "interrupted",
)  # fmt: skip


def waiting(sock: socket.socket) -> int:
    """Bytes that were received and not taken yet; none of a socket that is closed."""
    try:
        count: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))[0]
    except (OSError, ValueError):
        return 0
    return count


class Splitter:
    """One connection to the target with a proxy in between; ``client`` is our end."""

    def __init__(self, world: World) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ours = socket.create_connection(listening.getsockname(), PATIENCE)
            near, _ = listening.accept()
        far = socket.create_connection(("127.0.0.1", world.port), PATIENCE)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = Recorder(ours, timeout=PATIENCE)
        self.split = [0, 0]
        self._sockets = [near, far]
        self._threads = [
            threading.Thread(target=self._forward, args=(0, near, far, lambda: world.accepted.get(far.getsockname()))),
            threading.Thread(target=self._forward, args=(1, far, near, lambda: ours)),
        ]
        for thread in self._threads:
            thread.start()

    def _forward(
        self, way: int, source: socket.socket, sink: socket.socket, end: Callable[[], socket.socket | None]
    ) -> None:
        with contextlib.suppress(OSError):  # either side may hang up at any time
            while data := source.recv(65536):
                alone = data[: SPLIT - self.split[way]]
                for byte in alone:
                    sink.sendall(bytes((byte,)))
                    while (sock := end()) is None or waiting(sock):
                        os.sched_yield()
                self.split[way] += len(alone)
                sink.sendall(data[len(alone) :])
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.client.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        for sock in self._sockets:
            sock.close()


class Recorder(Client):
    """A client that keeps what it was answered."""

    def __init__(self, connected: socket.socket, *, timeout: float) -> None:
        super().__init__(connected, timeout=timeout)
        self.heard: list[Pdu] = []

    def _next_pdu(self, deadline: float) -> Pdu:
        pdu = super()._next_pdu(deadline)
        self.heard.append(pdu)
        return pdu


def essence(heard: list[Pdu]) -> list[tuple[bytes, bytes]]:
    """The answers without what is drawn anew for each login: TSIH, challenge and what follows from it."""
    found = []
    for pdu in heard:
        raw, data = pdu.raw, pdu.data
        if pdu.opcode == Opcode.LOGIN_RESPONSE:
            raw = raw[:14] + b"\0\0" + raw[16:]
            data = re.sub(rb"(CHAP_[CIR])=[^\0]*", rb"\1", data)
            raw = raw[:5] + bytes(3) + raw[8:] if b"CHAP_" in data else raw  # CHAP_I has one to three digits
        found.append((raw, data))
    return found


@pytest.fixture
def splitter(world: World) -> Iterator[Splitter]:
    with contextlib.closing(Splitter(world)) as made:
        yield made


@pytest.mark.parametrize("name", CHOSEN)
def test_the_same_answers(world: World, splitter: Splitter, name: str) -> None:
    direct = Recorder(socket.create_connection(("127.0.0.1", world.port), PATIENCE), timeout=PATIENCE)
    with direct:
        SCENARIOS[name](direct)
    world.wait_for_sessions(world.sessions)
    SCENARIOS[name](splitter.client)
    assert essence(splitter.client.heard) == essence(direct.heard)
    assert min(splitter.split) > 100  # or nothing was split


def test_more_than_ten() -> None:
    assert len({*CHOSEN}) >= 10
