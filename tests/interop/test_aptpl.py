"""Persistent reservations over a daemon that is killed, and over a login with a new TSIH (SPC-4 section 5.12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.scsi.status import SenseKey, Status

Serve = Callable[..., Any]
Image = Callable[..., Path]

TARGET = "iqn.2001-04.com.example:cluster"
BLOCK = 512
REGISTER, RESERVE, PREEMPT, IGNORE = 0, 1, 4, 6
READ_KEYS, READ_RESERVATION = 0, 1
WRITE_EXCLUSIVE, EXCLUSIVE_ACCESS, WRITE_EXCLUSIVE_RO, EXCLUSIVE_ACCESS_AR = 1, 3, 5, 8
APTPL = 1
A, B, STRANGER = "iqn.2001-04.com.example:a", "iqn.2001-04.com.example:b", "iqn.2001-04.com.example:stranger"


class Node:
    """An initiator with LUN 0. Unit attentions are passed over: each of these tests causes some."""

    def __init__(self, port: int, name: str, isid: int = 1) -> None:
        self.client = Client.connect("127.0.0.1", port)
        self.tsih = self.client.login(LoginPlan(name, TARGET, isid=b"\x80\0\0\0\0" + bytes((isid,)))).tsih

    def run(self, cdb: bytes, *, read: int = 0, write: bytes = b"") -> Any:
        while True:
            response = self.client.command(0, cdb.ljust(16, b"\0"), read=read, write=write)
            attention = response.status == Status.CHECK_CONDITION and response.sense[2] & 0xF == SenseKey.UNIT_ATTENTION
            if not attention:
                return response

    def out(self, action: int, key: int, action_key: int = 0, kind: int = 0, flags: int = 0) -> None:
        """PERSISTENT RESERVE OUT, which must be GOOD."""
        data = struct.pack(">QQ4xB3x", key, action_key, flags)
        response = self.run(struct.pack(">BBB2xIx", 0x5F, action, kind, len(data)), write=data)
        assert response.status == Status.GOOD, response.sense.hex()

    def ask(self, action: int) -> bytes:
        """PERSISTENT RESERVE IN; the parameter data behind the header."""
        response = self.run(struct.pack(">BB5xHx", 0x5E, action, 1024), read=1024)
        assert response.status == Status.GOOD, response.sense.hex()
        data: bytes = response.data
        assert len(data) == 8 + int.from_bytes(data[4:8], "big")
        return data[8:]

    def keys(self) -> list[int]:
        return sorted(key for (key,) in struct.iter_unpack(">Q", self.ask(READ_KEYS)))

    def reservation(self) -> tuple[int, int] | None:
        """(key, type) of the reservation."""
        data = self.ask(READ_RESERVATION)
        return (int.from_bytes(data[:8], "big"), data[13] & 0xF) if data else None

    def read(self) -> int:
        status: int = self.run(bytes.fromhex("28000000000000000100"), read=BLOCK).status
        return status

    def write(self) -> int:
        status: int = self.run(bytes.fromhex("2a000000000000000100"), write=bytes(BLOCK)).status
        return status


class Cluster:
    """A daemon, and who logs in to it."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon
        self.nodes: list[Node] = []

    def node(self, name: str, isid: int = 1) -> Node:
        self.nodes.append(Node(self.daemon.port, name, isid))
        return self.nodes[-1]

    def kill(self) -> None:
        """SIGKILL, and another daemon with the same files."""
        process, self.daemon.process = self.daemon.process, None
        process.kill()
        process.wait()
        process.stdout.close()
        self.leave()
        self.daemon.start()

    def leave(self) -> None:
        for node in self.nodes:
            node.client.close()
        self.nodes.clear()


@pytest.fixture
def cluster(serve: Serve, image: Image) -> Iterator[Cluster]:
    cluster = Cluster(serve(f"Target {TARGET}\n\tLun 0 Path={image('quorum.img', 1 << 20)},Type=fileio\n"))
    yield cluster
    cluster.leave()


@pytest.mark.parametrize(
    ("kind", "registered", "stranger_reads"),
    [
        (WRITE_EXCLUSIVE, Status.RESERVATION_CONFLICT, Status.GOOD),
        (EXCLUSIVE_ACCESS, Status.RESERVATION_CONFLICT, Status.RESERVATION_CONFLICT),
        (WRITE_EXCLUSIVE_RO, Status.GOOD, Status.GOOD),
        (EXCLUSIVE_ACCESS_AR, Status.GOOD, Status.RESERVATION_CONFLICT),
    ],
    ids=["write exclusive", "exclusive access", "registrants only", "all registrants"],
)
def test_with_aptpl_all_is_as_before_when_the_daemon_was_killed(
    cluster: Cluster, kind: int, registered: int, stranger_reads: int
) -> None:
    a, b = cluster.node(A), cluster.node(B)
    a.out(REGISTER, 0, 0xA, flags=APTPL)
    b.out(REGISTER, 0, 0xB, flags=APTPL)
    a.out(RESERVE, 0xA, kind=kind)
    held = a.reservation()
    cluster.kill()
    a, b, stranger = cluster.node(A), cluster.node(B), cluster.node(STRANGER)
    assert a.keys() == [0xA, 0xB]
    assert a.reservation() == held == (0 if kind == EXCLUSIVE_ACCESS_AR else 0xA, kind)
    assert a.write() == Status.GOOD
    assert b.write() == registered
    assert stranger.write() == Status.RESERVATION_CONFLICT
    assert stranger.read() == stranger_reads


@pytest.mark.parametrize("on_first", [False, True], ids=["never on", "turned off"])
def test_without_aptpl_nothing_is_left(cluster: Cluster, on_first: bool) -> None:
    a = cluster.node(A)
    if on_first:
        a.out(REGISTER, 0, 0xA, flags=APTPL)
    a.out(IGNORE, 0, 0xA)
    a.out(RESERVE, 0xA, kind=WRITE_EXCLUSIVE)
    cluster.kill()
    b = cluster.node(B)
    assert b.keys() == []
    assert b.reservation() is None
    assert b.write() == Status.GOOD


def test_a_survivor_preempts_a_node_that_never_came_back(cluster: Cluster) -> None:
    a, b = cluster.node(A), cluster.node(B)
    a.out(REGISTER, 0, 0xA, flags=APTPL)
    b.out(REGISTER, 0, 0xB, flags=APTPL)
    a.out(RESERVE, 0xA, kind=WRITE_EXCLUSIVE)
    cluster.kill()
    b = cluster.node(B)
    assert b.write() == Status.RESERVATION_CONFLICT
    b.out(PREEMPT, 0xB, 0xA, kind=WRITE_EXCLUSIVE)
    assert b.write() == Status.GOOD
    cluster.kill()
    a, b = cluster.node(A), cluster.node(B)
    assert b.keys() == [0xB]
    assert b.reservation() == (0xB, WRITE_EXCLUSIVE)
    assert a.write() == Status.RESERVATION_CONFLICT
    assert b.write() == Status.GOOD


@pytest.mark.parametrize("logout", [True, False], ids=["after a logout", "in the place of a session"])
def test_a_login_with_a_new_tsih_is_the_same_initiator_port(cluster: Cluster, logout: bool) -> None:
    """TransportIDs have the initiator's name and ISID (SPC-4 section 7.6.4.6): no TSIH, no connection."""
    a = cluster.node(A)
    a.out(REGISTER, 0, 0xA)
    a.out(RESERVE, 0xA, kind=WRITE_EXCLUSIVE)
    if logout:
        a.client.logout()
    again, other, b = cluster.node(A), cluster.node(A, isid=2), cluster.node(B)
    assert again.tsih != a.tsih
    assert again.write() == Status.GOOD
    assert again.reservation() == (0xA, WRITE_EXCLUSIVE)
    assert other.write() == Status.RESERVATION_CONFLICT
    assert b.write() == Status.RESERVATION_CONFLICT
    assert b.read() == Status.GOOD
