"""Reads and writes that a connection's own thread begins, and waits for if they are quick."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi import joint
from ietpy.scsi.exclusion import Exclusion
from ietpy.scsi.limits import JOINT_TRANSFER
from tests.server.test_pump import abort


def write(client: Any, number: int, fua: bool = False) -> int:
    cdb = f"2a {8 * fua:02x} {number * 8:08x} 00 0008 00"
    tag: int = client.submit(0, bytes.fromhex(cdb), write=bytes([number]) * 4096)
    return tag


def read(client: Any, number: int) -> int:
    tag: int = client.submit(0, bytes.fromhex(f"28 00 {number * 8:08x} 00 0008 00"), read=4096)
    return tag


def page(served: Any, number: int) -> bytes:
    content: bytes = served.path.read_bytes()[number * 4096 : number * 4096 + 4096]
    return content


@pytest.fixture
def client(served: Any) -> Any:
    served.batch(write_cache=True)
    served.store.begins = True
    return served.connect()


@pytest.fixture
def workers(served: Any) -> Callable[[], int]:
    """How many threads the target's pool has."""
    return lambda: len(served.server.workers(served.target)._threads)


def test_what_is_quick_needs_no_worker(served: Any, client: Any, workers: Callable[[], int]) -> None:
    tags = [write(client, 1), write(client, 2), read(client, 1)]
    assert [client.wait(tag).status for tag in tags] == [0] * 3
    assert bytes(client.wait(read(client, 2)).data) == bytes([2]) * 4096
    assert page(served, 1) == bytes([1]) * 4096
    assert served.store.moved == []
    assert sum(served.store.begun) == 4
    assert workers() == 0


def test_what_is_slow_keeps_nobody_waiting(served: Any, client: Any, workers: Callable[[], int]) -> None:
    served.store.hold()
    tag = write(client, 1)
    assert served.store.entered.acquire(timeout=20)
    client.test_unit_ready(0)
    assert workers() == 1
    served.store.open_gate()
    assert client.wait(tag).status == 0
    assert page(served, 1) == bytes([1]) * 4096


def test_what_is_aborted_while_it_is_slow(served: Any, client: Any, eventually: Callable[..., None]) -> None:
    served.store.hold()
    tag = read(client, 1)
    assert served.store.entered.acquire(timeout=20)
    client.test_unit_ready(0)
    abort(served, client, tag, eventually)
    client.test_unit_ready(0)


@pytest.mark.parametrize("slow", [False, True])
def test_what_was_not_done_is_done_by_a_worker(
    served: Any, client: Any, workers: Callable[[], int], slow: bool
) -> None:
    served.store.undone = {4096: BlockingIOError()}
    if slow:
        served.store.hold()
    tags = [write(client, 1), write(client, 2)]
    if slow:
        assert served.store.entered.acquire(timeout=20)
        client.test_unit_ready(0)
        served.store.open_gate()
    assert [client.wait(tag).status for tag in tags] == [0] * 2
    assert (page(served, 1), page(served, 2)) == (bytes([1]) * 4096, bytes([2]) * 4096)
    assert workers() >= 1


@pytest.mark.parametrize("how", ["FUA", "large"])
def test_others_are_workers_as_a_whole(served: Any, client: Any, workers: Callable[[], int], how: str) -> None:
    if how == "FUA":
        tag = write(client, 1, fua=True)
    else:
        blocks = JOINT_TRANSFER // 512 + 1
        tag = client.submit(0, bytes.fromhex(f"28 00 00000000 00 {blocks:04x} 00"), read=blocks * 512)
    assert client.wait(tag).status == 0
    assert served.store.begun == []
    assert workers() == 1


def test_without_a_thread_the_connection_waits_itself(
    served: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = served.server.workers(served.target)

    def none(job: Any, argument: Any, at_once: bool) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pool, "submit", none)
    served.store.undone = {4096: BlockingIOError()}
    tags = [write(client, 1), write(client, 2)]
    assert [client.wait(tag).status for tag in tags] == [0] * 2
    assert page(served, 1) == bytes([1]) * 4096


@pytest.mark.parametrize("where", [joint, joint.Moving], ids=["begin", "conclude"])
def test_a_mistake_leaves_nothing_begun(
    served: Any, client: Any, where: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None],
) -> None:
    def mistake(*_: Any) -> Any:
        raise ValueError("a mistake of ours")

    (pump,) = served.server._pumps
    monkeypatch.setattr(where, "begin" if where is joint else "conclude", mistake)
    write(client, 1)
    assert pump.finished.wait(20)
    assert pump.parked.running == 0
    eventually(lambda: served.server.sessions() == [])
    assert served.node.sessions() == []


def test_what_was_begun_ends_while_all_workers_wait_for_it(
    served: Any, client: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    """The only one has a COMPARE AND WRITE of the same blocks, which came a little later."""
    served.lu.exclusion = Exclusion(threading.Condition())
    served.server.workers(served.target).resize(1)
    begin, begun, go_on = served.store.begin, threading.Event(), threading.Event()

    def slowly(moves: Any) -> Any:
        found = begin(moves)
        begun.set()
        assert go_on.wait(20)
        return found

    monkeypatch.setattr(served.store, "begin", slowly)
    other = served.connect(isid=b"\x80\0\0\0\0\2")
    served.store.hold()
    first = write(client, 1)
    assert begun.wait(20)
    swap = bytes.fromhex("89 00 0000000000000008 000000 01 00 00")
    second = other.submit(0, swap, write=bytes([1]) * 512 + bytes([2]) * 512)
    eventually(lambda: served.lu.exclusion.ranges != ())
    go_on.set()
    client.test_unit_ready(0)  # so the rest has been left to workers
    served.store.open_gate()
    assert (client.wait(first).status, other.wait(second).status) == (0, 0)
    assert page(served, 1) == bytes([2]) * 512 + bytes([1]) * 3584
