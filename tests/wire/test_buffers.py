"""Receive chunks are reused only when nobody holds a view of them; unread bytes survive every move."""

from __future__ import annotations

import errno
import gc
import mmap
import threading
from typing import Any

import pytest

from ietpy.errors import NoRoom, StoreError
from ietpy.wire import buffers
from ietpy.wire.buffers import COUNTED, KEPT_CHUNKS, KEPT_STAGING, Budget, Chunk, ReceiveWindow, StagingPool
from tests.memory import resident


def put(window: ReceiveWindow, data: bytes) -> int:
    """Receive as much of ``data`` as there is space for."""
    space = window.space()
    size = min(len(space), len(data))
    space[:size] = data[:size]
    window.end += size
    return size


def unread(window: ReceiveWindow) -> bytes:
    return bytes(window.chunk.view[window.start : window.end])


def test_an_empty_unpinned_window_starts_over() -> None:
    window = ReceiveWindow(256)
    put(window, bytes(200))
    window.start = window.end
    assert len(window.space()) == 256


def test_unread_bytes_stay_where_they_are_while_there_is_room() -> None:
    window = ReceiveWindow(256)
    put(window, b"a" * 100)
    window.start, window.need = 90, 48
    assert len(window.space()) == 156
    assert unread(window) == b"a" * 10


def test_unread_bytes_move_to_the_front_when_what_is_needed_does_not_fit() -> None:
    window = ReceiveWindow(256)
    put(window, b"x" * 230 + b"tail")
    window.start, window.need = 230, 48
    chunk = window.chunk
    assert len(window.space()) == 252
    assert window.chunk is chunk
    assert unread(window) == b"tail"


def test_unread_bytes_move_to_another_chunk_while_this_one_is_pinned() -> None:
    window = ReceiveWindow(256)
    put(window, b"x" * 230 + b"tail")
    held = window.chunk.view[:230]
    chunk = window.pin()
    window.start, window.need = 230, 48
    put(window, b"!" * 252)
    assert unread(window) == b"tail" + b"!" * 252
    assert bytes(held) == b"x" * 230
    window.unpin(chunk)
    window.start = window.end
    window.fresh()
    assert window.chunk is chunk


def test_overlapping_unread_bytes_move_to_another_chunk_that_is_not_lost() -> None:
    window = ReceiveWindow(256)
    put(window, bytes(range(200)))
    window.start, window.need = 20, 240
    old = window.chunk
    window.space()
    assert unread(window) == bytes(range(20, 200))
    window.start, window.need = 40, 240
    window.space()
    assert window.chunk is old
    assert unread(window) == bytes(range(60, 200))


def test_a_nearly_full_pinned_chunk_is_left_for_a_fresh_one() -> None:
    window = ReceiveWindow(256)
    put(window, bytes(200))
    chunk = window.pin()
    window.start = window.end
    assert len(window.space()) == 256
    assert window.chunk is not chunk


def test_a_pinned_chunk_with_room_is_used_on() -> None:
    window = ReceiveWindow(256)
    put(window, bytes(50))
    chunk = window.pin()
    window.start = window.end
    assert len(window.space()) == 206
    window.unpin(chunk)
    assert len(window.space()) == 256


def test_fresh_keeps_an_unpinned_chunk() -> None:
    window = ReceiveWindow(256)
    old = window.chunk
    window.fresh()
    window.fresh()
    assert window.chunk is old


def test_only_some_chunks_are_kept() -> None:
    window = ReceiveWindow(256)
    pinned = []
    for _ in range(KEPT_CHUNKS + 2):
        pinned.append(window.pin())
        window.fresh()
    for chunk in pinned:
        window.unpin(chunk)
    reused = set()
    for _ in range(KEPT_CHUNKS + 2):
        window.pin()
        window.fresh()
        reused.add(id(window.chunk))
    assert len(reused & {id(chunk) for chunk in pinned}) == KEPT_CHUNKS


def test_windows_may_have_free_chunks_in_common() -> None:
    free: list[Chunk] = []
    first, second = ReceiveWindow(256, free), ReceiveWindow(256, free)
    left = first.pin()
    first.fresh()
    first.unpin(left)
    second.fresh()
    assert second.chunk is left
    assert len(free) == 1  # what the second had


def test_memory_is_taken_when_it_is_used() -> None:
    window = ReceiveWindow()
    assert resident(window.chunk.buffer) == 0
    put(window, bytes(mmap.PAGESIZE + 1))
    assert resident(window.chunk.buffer) == 2 * mmap.PAGESIZE


def test_memory_in_which_nothing_is_is_let_go() -> None:
    free = [Chunk()]
    window = ReceiveWindow(free=free)
    put(window, bytes(100))
    window.start = 99
    window.let_go()
    assert not free
    assert resident(window.chunk.buffer) == mmap.PAGESIZE  # a byte waits for more
    window.start = 100
    chunk = window.pin()
    window.let_go()
    assert resident(window.chunk.buffer) == mmap.PAGESIZE
    window.unpin(chunk)
    window.let_go()
    assert resident(window.chunk.buffer) == 0
    assert put(window, b"more") == 4
    assert unread(window) == b"more"


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 65536])
def test_staging_is_page_aligned_and_exact(length: int) -> None:
    view = StagingPool().take(length)
    assert len(view) == length
    assert isinstance(view.obj, mmap.mmap)


def test_staging_is_reused() -> None:
    pool = StagingPool()
    first = pool.take(5000)
    buffer = first.obj
    pool.give(first)
    assert pool.take(8192).obj is buffer
    assert pool.take(8192).obj is not buffer


def test_staging_kept_is_bounded() -> None:
    pool = StagingPool()
    views = [pool.take(KEPT_STAGING // 2) for _ in range(4)]
    buffers = {id(view.obj) for view in views}
    for view in views:
        pool.give(view)
    assert sum(id(pool.take(KEPT_STAGING // 2).obj) in buffers for _ in range(4)) == 2


def test_staging_is_let_go() -> None:
    pool = StagingPool()
    first = pool.take(5000)
    pool.give(first)
    pool.let_go()
    assert pool.take(5000).obj is not first.obj


def test_foreign_memory_is_let_go() -> None:
    pool = StagingPool()
    foreign = memoryview(buffers.pages(4096))
    pool.give(foreign)
    assert pool.take(4096).obj is not foreign.obj


def test_no_memory_is_said_as_stores_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any) -> Any:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(buffers, "pages", exhausted)
    with pytest.raises(StoreError, match="no memory for 8192 bytes"):
        StagingPool().take(5000)


def test_of_all_sizes_only_so_much_is_kept() -> None:
    pool = StagingPool()
    buffers = {}
    for size in (KEPT_STAGING, KEPT_STAGING // 2, KEPT_STAGING // 4):
        views = [pool.take(size) for _ in range(KEPT_STAGING // size)]
        buffers[size] = [view.obj for view in views]
        for view in views:
            pool.give(view)
    for size, kept in ((KEPT_STAGING, False), (KEPT_STAGING // 2, False), (KEPT_STAGING // 4, True)):
        found = pool.take(size).obj
        assert any(each is found for each in buffers[size]) is kept


class TestBudget:
    """Large memory is counted while it is lent, and then not kept."""

    @pytest.fixture
    def budget(self) -> Budget:
        return Budget(threading.RLock(), 16 * COUNTED)

    def pool(self, budget: Budget, owner: str) -> StagingPool:
        pool = StagingPool()
        pool.budget, pool.owner = budget, owner
        return pool

    def test_one_has_half_and_all_have_no_more_than_there_is(self, budget: Budget) -> None:
        one, two, three = (self.pool(budget, name) for name in ("one", "two", "three"))
        lent = [one.take(2 * COUNTED) for _ in range(4)]
        with pytest.raises(NoRoom, match="others have the memory"):
            one.take(2 * COUNTED)
        huge = two.take(8 * COUNTED)
        with pytest.raises(NoRoom):
            three.take(COUNTED + 1)
        assert len(three.take(COUNTED)) == COUNTED  # which is not counted
        one.give(lent.pop())
        assert len(three.take(COUNTED + 1)) == COUNTED + 1
        two.give(huge)

    def test_who_has_nothing_may_have_more_than_half(self, budget: Budget) -> None:
        one = self.pool(budget, "one")
        view = one.take(16 * COUNTED)
        one.give(view)
        assert one.take(16 * COUNTED).obj is not view.obj

    def test_memory_may_be_given_back_in_the_midst(self, budget: Budget) -> None:
        """As the collector does it, whenever it likes."""

        class Size(int):
            def __radd__(self, other: int) -> int:
                if lent:
                    budget.give("one", lent.pop())
                return other + int(self)

        lent = [3]
        assert budget.take("one", 3)
        assert budget.take("one", Size(5))
        budget.give("one", 5)
        assert budget.take("one", 16 * COUNTED)  # as it has nothing else

    def test_what_nobody_gives_back_is_given_back(self, budget: Budget) -> None:
        pool = self.pool(budget, "one")
        view = pool.take(16 * COUNTED)
        del view
        gc.collect()
        pool.take(16 * COUNTED)

    def test_what_the_system_has_not_is_not_counted(self, budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
        def exhausted(*_: Any) -> Any:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

        pool = self.pool(budget, "one")
        with monkeypatch.context() as patch:
            patch.setattr(buffers, "pages", exhausted)
            with pytest.raises(StoreError, match="no memory for"):
                pool.take(16 * COUNTED)
        pool.take(16 * COUNTED)
