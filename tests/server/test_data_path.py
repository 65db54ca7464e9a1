"""Budgets of the data path: calls and allocations per command, system calls per batch. The numbers may only fall."""

from __future__ import annotations

import gc
import mmap
import os
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.iscsi.connection import Connection
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import SCSI_COMMAND
from ietpy.iscsi.target import UNRESTRICTED, Asker
from ietpy.server.egress import Egress
from ietpy.wire.crc32c import crc32c

#: Python and C calls for one command from received bytes to the outbox, store and system calls included
#: (2026-11-27, CPython 3.11).
READ_CALLS = 16
WRITE_CALLS = 20
#: The same with header and data digests.
DIGESTED_READ_CALLS = 28
DIGESTED_WRITE_CALLS = 37
#: A read of 64 KiB in PDUs of 8 KiB.
LONG_READ_CALLS = 111
#: Allocated for a connection with its session, besides memory that is there when it is touched (2026-11-27).
CONNECTION_BYTES = 16 * 1024
#: System calls for a whole batch, besides one of the store per command: the send.
CALLS_PER_BATCH = 1


class CountingSocket:
    """Takes everything, counts the calls."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def fileno(self) -> int:
        return -1

    def send(self, data: Any, flags: int = 0) -> int:
        self.calls["send"] += 1
        return len(data)

    def sendmsg(self, buffers: list[Any], ancillary: Any, flags: int) -> int:
        self.calls["sendmsg"] += 1
        return sum(map(len, buffers))


class DataPath:
    """The data path without threads: received bytes in, one flush out, as ``Pump`` does it."""

    def __init__(self, served: Any, **parameters: Any) -> None:
        self.connection = connection = Connection(
            served.node, Asker("iqn.i", "10.0.0.2", "10.0.0.1"), 3260, os.urandom, lambda session, old: None
        )
        settled = Parameters(**({"max_xmit_data_segment_length": 262144, "max_recv_data_segment_length": 262144,
                                 "initial_r2t": False} | parameters))
        result: Any = SimpleNamespace(
            target=served.target, initiator_name="iqn.i", isid=b"ISID01", tsih_requested=0, cid=0,
            parameters=settled, cmd_sn=1, stat_sn=1, revision=0, user="", terms=UNRESTRICTED,
        )
        connection._establish(result)
        connection._enter_full_feature(result)
        connection.login = None
        assert connection.session is not None
        connection.session.max_cmd_sn = 1 << 20
        self.session = connection.session
        # The bare store: what a test may hold back must not count.
        served.lu.store = served.store.inner
        self.socket = CountingSocket()
        self.egress = Egress(connection, self.socket)  # type: ignore[arg-type]
        self.cmd_sn = 1
        self.run(self.batch(bytes(16), 1))

    def batch(self, cdb: bytes, count: int, *, flags: int = 0x80, expected: int = 0, data: bytes = b"") -> bytes:
        def digested(part: bytes, negotiated: bool) -> bytes:
            return part + crc32c(part).to_bytes(4, "little") if negotiated and part else part

        stream = b""
        for _ in range(count):
            header = SCSI_COMMAND.pack(
                opcode=1, flags=flags, lengths=len(data), initiator_task_tag=self.cmd_sn, cmd_sn=self.cmd_sn,
                expected_data_transfer_length=expected, cdb=cdb.ljust(16, b"\0"),
            )
            stream += digested(header, self.connection.header_digest) + digested(data, self.connection.data_digest)
            self.cmd_sn += 1
        return stream

    def run(self, stream: bytes) -> None:
        connection = self.connection
        connection.space()[: len(stream)] = stream
        tasks = connection.received(len(stream))
        for task in tasks:
            assert task.nexus.lu.execute(task)
            complete(connection, task)
        tasks.clear()
        self.egress.flush()


READ = {"cdb": bytes.fromhex("28 00 00000000 00 0008 00"), "flags": 0xC0, "expected": 4096}
WRITE = {"cdb": bytes.fromhex("2a 00 00000000 00 0008 00"), "flags": 0xA0, "expected": 4096, "data": bytes(4096)}


@pytest.fixture
def path(served: Any) -> Iterator[DataPath]:
    made = DataPath(served)
    yield made
    made.session.end()


def calls(run: Callable[[bytes], None], stream: bytes) -> Counter[str]:
    """Names of what is called, Python and C functions alike."""
    seen: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            seen[frame.f_code.co_name] += 1
        elif event == "c_call":
            seen[argument.__name__] += 1

    gc.collect()
    gc.disable()  # what it calls is counted too
    sys.setprofile(profile)
    try:
        run(stream)
    finally:
        sys.setprofile(None)
        gc.enable()
    return seen


@pytest.mark.parametrize(("kind", "budget"), [(READ, READ_CALLS), (WRITE, WRITE_CALLS)], ids=["READ(10)", "WRITE(10)"])
def test_calls_per_command(path: DataPath, kind: dict[str, Any], budget: int) -> None:
    check_budget(path, kind, budget)


@pytest.mark.parametrize(
    ("kind", "budget"), [(READ, DIGESTED_READ_CALLS), (WRITE, DIGESTED_WRITE_CALLS)], ids=["READ(10)", "WRITE(10)"],
)
def test_calls_per_command_with_digests(served: Any, kind: dict[str, Any], budget: int) -> None:
    path = DataPath(served, header_digest=True, data_digest=True)
    check_budget(path, kind, budget)
    path.socket.calls.clear()
    path.run(path.batch(count=30, **kind))
    assert path.socket.calls.total() == CALLS_PER_BATCH
    path.session.end()


def test_calls_for_a_read_in_many_pdus(served: Any) -> None:
    path = DataPath(served, max_xmit_data_segment_length=8192)
    check_budget(path, {"cdb": bytes.fromhex("28 00 00000000 00 0080 00"), "flags": 0xC0, "expected": 65536},
                 LONG_READ_CALLS)
    path.session.end()


def check_budget(path: DataPath, kind: dict[str, Any], budget: int) -> None:
    path.run(path.batch(count=30, **kind))
    few = calls(path.run, path.batch(count=10, **kind))
    many = calls(path.run, path.batch(count=30, **kind))
    each = {name: (many[name] - few[name]) / 20 for name in many if many[name] != few[name]}
    assert sum(each.values()) <= budget, each


@pytest.mark.parametrize("kind", [READ, WRITE], ids=["READ(10)", "WRITE(10)"])
def test_one_send_per_batch(path: DataPath, kind: dict[str, Any]) -> None:
    path.socket.calls.clear()
    path.run(path.batch(count=30, **kind))
    assert path.socket.calls.total() == CALLS_PER_BATCH


@pytest.mark.parametrize("kind", [READ, WRITE], ids=["READ(10)", "WRITE(10)"])
def test_nothing_is_left_behind(path: DataPath, kind: dict[str, Any]) -> None:
    """Allocated blocks after many more commands are as before: tasks, buffers and lists are used again."""
    batches = [path.batch(count=20, **kind) for _ in range(40)]
    for stream in batches[:20]:
        path.run(stream)
    gc.collect()
    before = sys.getallocatedblocks()
    for stream in batches[20:]:
        path.run(stream)
    gc.collect()
    assert sys.getallocatedblocks() - before <= 4
    assert len(path.connection.free) == 20


def test_no_layout_is_interpreted_on_the_data_path(path: DataPath) -> None:
    for kind in (READ, WRITE):
        seen = calls(path.run, path.batch(count=5, **kind))
        assert not {"pack", "unpack", "dump", "isEnabledFor", "__call__"} & seen.keys()


def test_a_large_read_is_streamed(path: DataPath) -> None:
    stream = path.batch(bytes.fromhex("28 00 00000000 00 0400 00"), 1, flags=0xC0, expected=524288)
    connection = path.connection
    connection.space()[: len(stream)] = stream
    for task in connection.received(len(stream)):
        assert task.nexus.lu.execute(task)
        complete(connection, task)
    kinds = [type(piece).__name__ for piece in connection.take_outbox()]
    assert kinds == ["bytes", "Extent", "bytes", "Extent", "StreamedStatus"]
    connection.ready.clear()


def test_a_connection_takes_little_memory_until_it_uses_it(served: Any) -> None:
    DataPath(served).session.end()  # what is made once
    gc.collect()
    tracemalloc.start()
    try:
        made = DataPath(served)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= CONNECTION_BYTES
    connection = made.connection
    made.session.end()
    assert isinstance(connection.slab, mmap.mmap)  # which the system gives page by page (tests/wire/test_buffers.py)
    assert isinstance(connection.window.chunk.buffer, mmap.mmap)
