"""What docs/durability.md promises, through real sockets, threads and files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan

TARGETS = "iqn.2001-04.com.example:one", "iqn.2001-04.com.example:two"
BLOCK = 512
PATIENCE = 60.0


@pytest.fixture(params=["wt", "wb"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def medium(image: Callable[..., Path], mode: str) -> Path:
    """A file of 1 MiB of zeros."""
    return image(f"{mode}.img", 1 << 20)


@pytest.fixture
def connect(serve: Any, medium: Path, mode: str) -> Any:
    """``connect(number)``: a session of its own with LUN 0 of one of two targets, which share the medium."""
    daemon = serve("".join(f"Target {name}\n\tLun 0 Path={medium},Type=fileio,IOMode={mode}\n" for name in TARGETS))

    def session(number: int) -> Client:
        client = Client.connect("127.0.0.1", daemon.port, timeout=PATIENCE)
        client.login(LoginPlan(f"iqn.2001-04.com.example:initiator{number}", TARGETS[number % 2]))
        client.test_unit_ready(0)
        return client

    session.daemon = daemon  # type: ignore[attr-defined]
    return session


def all_at_once(*works: Callable[[], None]) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(PATIENCE)
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def replaces(client: Client, lba: int, found: bytes, new: bytes) -> bool:
    """COMPARE AND WRITE: whether ``found`` was there and ``new`` is now."""
    cdb = bytes((0x89, 0)) + lba.to_bytes(8, "big") + bytes((0, 0, 0, len(found) // BLOCK, 0, 0))
    response = client.command(0, cdb, write=found + new)
    assert response.good or response.sense[2] == 0x0E
    return bool(response.good)


def test_sessions_of_two_targets_undo_nothing_of_each_other(connect: Any) -> None:
    """Two count in block 0 by COMPARE AND WRITE of five blocks, four write one of the others each, by WRITE, WRITE with
    FUA, WRITE SAME and ORWRITE; what one of these finds in his block is what he wrote."""
    stop = threading.Event()
    done = threading.Semaphore(0)
    counted, bits = [0, 0], bytearray(1)

    def count(number: int) -> None:
        with connect(number) as client:
            while not stop.is_set() or not counted[number]:
                found = client.read(0, 0, 5)
                new = (int.from_bytes(found[:8], "big") + 1).to_bytes(8, "big") + found[8:]
                counted[number] += replaces(client, 0, found, new)

    def own(number: int, lba: int, write: Callable[[Client, int, bytes], bytes | None]) -> None:
        try:
            with connect(number) as client:
                for turn in range(1, 200):
                    content = bytes((turn,)) * BLOCK
                    written = write(client, lba, content)
                    assert client.read(0, lba, 1) == (written or content)
        finally:
            done.release()

    def write_same(client: Client, lba: int, content: bytes) -> None:
        assert client.command(0, bytes((0x41, 0)) + lba.to_bytes(4, "big") + bytes((0, 0, 1, 0)), write=content).good

    def or_write(client: Client, lba: int, content: bytes) -> bytes:
        bits[0] |= content[0]
        cdb = bytes((0x8B, 0)) + lba.to_bytes(8, "big") + bytes((0, 0, 0, 1, 0, 0))
        assert client.command(0, cdb, write=content).good
        return bytes(bits) * BLOCK

    def stopping() -> None:
        for _ in range(4):
            assert done.acquire(timeout=PATIENCE)
        stop.set()

    all_at_once(
        stopping, lambda: count(0), lambda: count(1),
        lambda: own(2, 1, lambda client, lba, content: client.write(0, lba, content)),
        lambda: own(3, 2, lambda client, lba, content: client.write(0, lba, content, fua=True)),
        lambda: own(4, 3, write_same), lambda: own(5, 4, or_write),
    )
    with connect(0) as client:
        assert int.from_bytes(client.read(0, 0, 1)[:8], "big") == sum(counted)


def test_of_writes_that_overlap_each_block_is_of_one(connect: Any) -> None:
    def write(number: int, lba: int) -> Callable[[], None]:
        def work() -> None:
            with connect(number) as client:
                for turn in range(60):
                    client.write(0, lba, bytes((number << 7 | turn + 1,)) * 64 * BLOCK)

        return work

    all_at_once(write(0, 0), write(1, 32))
    with connect(0) as client:
        content = client.read(0, 0, 96)
    blocks = [content[place:place + BLOCK] for place in range(0, len(content), BLOCK)]
    assert all(block == block[:1] * BLOCK for block in blocks)
    assert {block[0] for block in blocks[:32]} == {60}
    assert {block[0] for block in blocks[32:64]} <= {60, 0x80 | 60}
    assert {block[0] for block in blocks[64:]} == {0x80 | 60}


def test_a_daemon_that_is_killed_keeps_what_it_has_answered(connect: Any, medium: Path) -> None:
    expected = bytearray(medium.read_bytes())
    client = connect(0)
    for lba in range(64):
        expected[lba * BLOCK:(lba + 1) * BLOCK] = bytes((lba + 1,)) * BLOCK
        client.write(0, lba, bytes((lba + 1,)) * BLOCK)
    assert replaces(client, 5, b"\x06" * BLOCK, b"\xAA" * BLOCK)
    expected[5 * BLOCK:6 * BLOCK] = b"\xAA" * BLOCK
    ranges = bytes.fromhex("0016 0010 00000000 0000000000000010 00000008 00000000")
    assert client.command(0, bytes.fromhex("42 00 00000000 00 0018 00"), write=ranges).good
    expected[16 * BLOCK:24 * BLOCK] = bytes(8 * BLOCK)
    process, connect.daemon.process = connect.daemon.process, None
    process.kill()
    process.wait(PATIENCE)
    process.stdout.close()
    client.close()
    assert medium.read_bytes() == expected
