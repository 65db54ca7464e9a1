"""The outbox leaves in order, in few calls, and whole (house rules of the data path)."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.iscsi.pdu import SCSI_RESPONSE
from ietpy.iscsi.streaming import StreamedStatus
from ietpy.scsi.store import Extent
from ietpy.server.egress import Egress


class Outbox:
    """What ``flush`` needs of a connection."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.done = 0
        self.closing = False

    def take_outbox(self) -> list[Any]:
        pieces, self.pieces = self.pieces, []
        return pieces

    def nothing_queued(self) -> bool:
        return not self.pieces

    def sent(self) -> None:
        self.done += 1


class Recorder:
    """A socket that takes at most ``most`` bytes a call, and notes the calls."""

    def __init__(self, sock: socket.socket, most: int = 1 << 30) -> None:
        self._sock = sock
        self._most = most
        self.calls: list[str] = []

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, data: Any, flags: int = 0) -> int:
        self.calls.append("send")
        return self._sock.send(data[: self._most], flags)

    def sendmsg(self, buffers: list[Any], ancillary: Any, flags: int) -> int:
        self.calls.append("sendmsg")
        return self._sock.send(b"".join(buffers)[: self._most], flags)


@pytest.fixture
def pipe() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def sent(pipe: tuple[socket.socket, socket.socket], outbox: Outbox, most: int = 1 << 30) -> tuple[bytes, list[str]]:
    """The bytes that arrive and the calls that sent them."""
    near, far = pipe
    arrived = bytearray()

    def drain() -> None:
        while chunk := far.recv(65536):
            arrived.extend(chunk)

    thread = threading.Thread(target=drain)
    thread.start()
    recorder = Recorder(near, most)
    Egress(outbox, recorder).flush()  # type: ignore[arg-type]
    near.shutdown(socket.SHUT_WR)
    thread.join(20)
    assert outbox.done == 1
    return bytes(arrived), recorder.calls


def test_nothing_to_send_costs_nothing(pipe: Any) -> None:
    assert sent(pipe, Outbox()) == (b"", [])


def test_one_piece_is_one_call(pipe: Any) -> None:
    assert sent(pipe, Outbox(memoryview(b"x" * 5000))) == (b"x" * 5000, ["send"])


def test_many_pieces_are_one_call(pipe: Any) -> None:
    data, calls = sent(pipe, Outbox(b"one", b"", memoryview(b"two"), b"three"))
    assert (data, calls) == (b"onetwothree", ["sendmsg"])


@pytest.mark.parametrize("most", [1, 3, 4, 7, 100])
def test_short_sends_are_carried_on(pipe: Any, most: int) -> None:
    data, _ = sent(pipe, Outbox(b"abc", memoryview(b"defg"), b"hij"), most)
    assert data == b"abcdefghij"


def test_more_pieces_than_one_call_takes(pipe: Any) -> None:
    pieces = [bytes((number % 251,)) for number in range(2500)]
    data, calls = sent(pipe, Outbox(*pieces))
    assert data == b"".join(pieces)
    assert calls.count("sendmsg") == 3


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1024)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def streamed(fd: int, offset: int, length: int) -> tuple[Extent, StreamedStatus]:
    status = StreamedStatus(False, False)
    status.header = SCSI_RESPONSE.pack(opcode=0x21, flags=0x80, initiator_task_tag=7)
    extent = Extent(fd, offset, length)
    extent.context = status
    return extent, status


def test_extents_come_from_the_file_between_the_buffers(pipe: Any, file: int) -> None:
    extent, status = streamed(file, 100, 200_000)
    data, calls = sent(pipe, Outbox(b"head", extent, b"pad", status, b"tail"))
    assert data[:4] == b"head"
    assert data[4:200_004] == (bytes(range(256)) * 1024)[100:200_100]
    assert data[200_004:200_007] == b"pad"
    assert data[200_007:] == status.pdu() + b"tail"
    assert not status.short
    assert calls == ["sendmsg", "sendmsg"]


def test_a_short_file_is_filled_up_and_said(pipe: Any, file: int) -> None:
    extent, status = streamed(file, 256 * 1024 - 10, 100_000)
    data, _ = sent(pipe, Outbox(b"head", extent, status))
    assert data[4:14] == bytes(range(246, 256))
    assert data[14:100_004] == bytes(99_990)
    assert status.short
    assert data[100_004 + 3] == 2


def test_a_file_that_cannot_be_read_is_filled_up_and_said(pipe: Any) -> None:
    reading, writing = os.pipe()
    try:
        extent, status = streamed(reading, 0, 10)
        data, _ = sent(pipe, Outbox(extent, status))
    finally:
        os.close(reading)
        os.close(writing)
    assert data[:10] == bytes(10)
    assert status.short


def test_a_lost_peer_is_not_taken_for_a_bad_file(pipe: Any, file: int) -> None:
    near, far = pipe
    far.close()
    extent, status = streamed(file, 0, 100_000)
    with pytest.raises(ConnectionError):
        Egress(Outbox(extent, status), near).flush()  # type: ignore[arg-type]
    assert not status.short


class TestFlushNow:
    """What may be called by those who must not wait."""

    @pytest.fixture
    def small(self, pipe: Any) -> Any:
        near, far = pipe
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return near, far

    def test_everything_that_fits_is_sent(self, pipe: Any) -> None:
        near, far = pipe
        status = StreamedStatus(False, False)
        status.header = SCSI_RESPONSE.pack(opcode=0x21)
        outbox = Outbox(b"one", memoryview(b"two"), status)
        assert Egress(outbox, near).flush_now()  # type: ignore[arg-type]
        assert far.recv(1000) == b"onetwo" + status.pdu()
        assert outbox.done == 1

    def test_nothing_to_send(self, pipe: Any) -> None:
        assert Egress(Outbox(), pipe[0]).flush_now()  # type: ignore[arg-type]

    def test_the_rest_is_kept_in_order_and_sent_later(self, small: Any) -> None:
        near, far = small
        pieces = [bytes((number,)) * 50_000 for number in range(20)]
        outbox = Outbox(*pieces)
        egress = Egress(outbox, near)  # type: ignore[arg-type]
        assert not egress.flush_now()
        assert outbox.done == 0
        outbox.pieces = [b"last"]
        assert not egress.flush_now()
        outbox.pieces = []
        arrived = bytearray()

        def drain() -> None:
            while chunk := far.recv(65536):
                arrived.extend(chunk)

        thread = threading.Thread(target=drain)
        thread.start()
        egress.flush()
        near.shutdown(socket.SHUT_WR)
        thread.join(20)
        assert bytes(arrived) == b"".join(pieces) + b"last"
        assert outbox.done == 1

    def test_extents_are_left_to_those_who_may_wait(self, pipe: Any, file: int) -> None:
        extent, status = streamed(file, 0, 1000)
        outbox = Outbox(b"head", extent, status)
        egress = Egress(outbox, pipe[0])  # type: ignore[arg-type]
        assert not egress.flush_now()
        assert pipe[1].recv(100) == b"head"
        assert egress.unsent == [extent, status]

    def test_a_lost_peer(self, pipe: Any) -> None:
        pipe[1].close()
        with pytest.raises(ConnectionError):
            Egress(Outbox(b"x"), pipe[0]).flush_now()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["buffer", "buffers", "extent"])
def test_after_a_send_broke_off_nothing_may_follow(pipe: Any, file: int, kind: str) -> None:
    """The peer takes nothing for as long as the send timeout; where the stream stands nobody knows."""
    near, _ = pipe
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 50_000))
    extent, status = streamed(file, 0, 256 * 1024)
    pieces = {
        "buffer": [memoryview(bytes(1 << 20))],
        "buffers": [b"head", bytes(1 << 20)],
        "extent": [b"head", *[extent] * 8, status],
    }
    outbox = Outbox(*pieces[kind])
    with pytest.raises(BlockingIOError):
        Egress(outbox, near).flush()  # type: ignore[arg-type]
    assert outbox.closing
    assert outbox.done == 0
    assert not status.short


@pytest.mark.parametrize("first", [[memoryview(b"abcdefgh")], [b"abcd", b"efgh"]], ids=["one piece", "pieces"])
def test_what_is_queued_between_two_calls_leaves_as_well(pipe: Any, first: list[Any]) -> None:
    near, far = pipe
    outbox = Outbox(*first)
    turns: list[bytes] = []

    def between() -> None:
        assert egress.busy
        if not turns:
            outbox.pieces.append(b"later")
        turns.append(b"")

    egress = Egress(outbox, Recorder(near, 3))  # type: ignore[arg-type]
    egress.flush(between)
    assert far.recv(100) == b"abcdefghlater"
    assert len(turns) >= 2
    assert (outbox.done, egress.busy) == (1, False)
