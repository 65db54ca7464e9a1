"""What every store owes its logical unit (``ietpy.scsi.store.BackingStore``), on every medium there is."""

from __future__ import annotations

import errno
import mmap
import os
import random
import threading
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.stores import STORES
from ietpy.stores.fileio import FileStore


def pattern(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


def read(store: Any, offset: int, length: int) -> bytes:
    buffer = bytearray(b"\xa5" * length)
    store.read(offset, memoryview(buffer))
    return bytes(buffer)


def write(store: Any, offset: int, data: bytes, fua: bool = False) -> None:
    store.write(offset, [memoryview(data)], fua)


def kept(medium: Any, data: bytes) -> bytes:
    """What reading finds after ``data`` was written: nullio forgets."""
    return bytes(len(data)) if medium.type == "nullio" else data


def test_every_row_is_under_contract(media: Any) -> None:
    covered = {name.split()[0] for name in media}
    assert covered == set(STORES) - (set() if os.geteuid() == 0 else {"blockio"})


def test_describes_itself(medium: Any) -> None:
    store = medium.open()
    assert store.size == medium.size
    assert store.block_size in (512, 4096)
    assert store.physical_block_size % store.block_size == 0
    assert store.capabilities.rotational in (None, True, False)


def test_a_fresh_medium_reads_zeros(medium: Any) -> None:
    assert read(medium.open(), 0, 1 << 20) == bytes(1 << 20)


def cut(data: bytes, *lengths: int) -> list[memoryview]:
    """``data`` in views of these lengths over and over, each off any alignment in memory of its own."""
    views, at, turn = [], 0, 0
    while at < len(data):
        length = lengths[turn % len(lengths)]
        views.append(memoryview(bytearray(b"\0" + data[at:at + length]))[1:])
        at += length
        turn += 1
    return views


@pytest.mark.parametrize(("blocks", "lengths"), [
    pytest.param(1, (1 << 20,), id="one block in one view"),
    pytest.param(3, (1, 511, 3, 0, 4093), id="odd pieces"),
    pytest.param(8, (48,), id="48-byte pieces"),
    pytest.param(300, (4096, 100), id="views that end off block borders"),
    pytest.param(2, (1,), id="one view per byte, above IOV_MAX"),
    pytest.param(17, (8,), id="more than IOV_MAX views, the last run shorter"),
    pytest.param(700, (1 << 23,), id="one view larger than a pooled buffer"),
    pytest.param(640, (65536, 16384), id="large views"),
])
@pytest.mark.parametrize("fua", [False, True], ids=["cached", "FUA"])
def test_writes_what_it_is_given_and_nothing_else(
        medium: Any, unit: int, blocks: int, lengths: tuple[int, ...], fua: bool) -> None:
    store = medium.open()
    before = pattern((blocks + 2) * unit, seed=2)
    write(store, 5 * unit, before)
    data = pattern(blocks * unit)
    store.write(6 * unit, cut(data, *lengths), fua)
    expected = before[:unit] + data + before[-unit:]
    assert read(store, 5 * unit, len(expected)) == kept(medium, expected)


def test_no_views_write_nothing(medium: Any) -> None:
    store = medium.open()
    store.write(0, [], True)
    store.write(0, [memoryview(b"")], False)
    assert read(store, 0, 4096) == bytes(4096)


@pytest.mark.parametrize("misalignment", [0, 1, 48, 512], ids=lambda count: f"{count} bytes off a page")
@pytest.mark.parametrize("length", [4096, 3 << 20], ids=["a page", "3 MiB"])
def test_reads_into_buffers_of_any_alignment(medium: Any, misalignment: int, length: int) -> None:
    store = medium.open()
    data = pattern(length)
    write(store, 8192, data)
    with mmap.mmap(-1, length + 8192) as memory, memoryview(memory) as whole:
        whole[:] = b"\xa5" * len(whole)
        buffer = whole[misalignment:misalignment + length]
        store.read(8192, buffer)
        assert bytes(buffer) == kept(medium, data)
        assert bytes(whole[misalignment + length:]) == b"\xa5" * (len(whole) - misalignment - length)
        buffer.release()


def test_read_now_delivers_or_declines(medium: Any) -> None:
    store = medium.open()
    data = pattern(65536)
    write(store, 4096, data)
    buffer = bytearray(len(data))
    took = store.read_now(4096, memoryview(buffer))
    if took:
        assert bytes(buffer) == kept(medium, data)
    # Just written: what serves from memory must have it, what never does must not pretend.
    assert took is (medium.type != "blockio")
    assert store.capabilities.immediate is took


def test_extents_promise_the_very_bytes(medium: Any) -> None:
    store = medium.open()
    data = pattern(4096)
    write(store, 12288, data)
    extent = store.extent(12288, 4096)
    assert (extent is not None) is store.capabilities.extents
    if extent is not None:
        assert len(extent) == 4096
        assert os.pread(extent.fd, extent.length, extent.offset) == data


def test_what_was_written_survives_closing(medium: Any) -> None:
    store = medium.open()
    data = pattern(1 << 16)
    write(store, 0, data)
    store.flush()
    store.close()
    assert read(medium.open(), 0, len(data)) == kept(medium, data)
    if medium.image:
        assert medium.image.read_bytes()[:len(data)] == data


@pytest.mark.parametrize(("start", "blocks"), [
    pytest.param(8, 8, id="within one page or a few"),
    pytest.param(1, 1, id="one block"),
    pytest.param(3, 900, id="hundreds of blocks, off page borders"),
    pytest.param(3, 0, id="nothing"),
])
def test_zeroed_ranges_read_zeros_and_no_others(medium: Any, unit: int, start: int, blocks: int) -> None:
    store = medium.open()
    data = pattern((blocks + 2) * unit)
    write(store, (start - 1) * unit, data)
    store.zero(start * unit, blocks * unit)
    expected = data[:unit] + bytes(blocks * unit) + data[-unit:]
    assert read(store, (start - 1) * unit, len(data)) == kept(medium, expected)


def test_fileio_zeroes_what_is_smaller_than_the_devices_block(medium: Any) -> None:
    store = medium.open()
    data = pattern(16384)
    write(store, 0, data)
    unit = store.block_size
    store.zero(unit, unit)
    store.zero(8192 - unit, 2 * unit)
    expected = bytearray(data)
    expected[unit:2 * unit] = bytes(unit)
    expected[8192 - unit:8192 + unit] = bytes(2 * unit)
    assert read(store, 0, len(data)) == kept(medium, bytes(expected))


def test_discard_frees_space_where_it_says_so(medium: Any) -> None:
    store = medium.open()
    if not store.capabilities.discard:
        assert medium.type == "nullio"
        store.discard(0, medium.size)
        return
    write(store, 0, pattern(medium.size))
    store.flush()
    full = medium.image.stat().st_blocks
    store.discard(1 << 20, 4 << 20)
    store.flush()
    assert medium.image.stat().st_blocks <= full - (3 << 20) // 512
    if store.capabilities.discard_zeroes:
        assert read(store, 1 << 20, 4 << 20) == bytes(4 << 20)
    whole = pattern(medium.size)
    assert read(store, 0, 1 << 20) == whole[:1 << 20]
    assert read(store, 5 << 20, 3 << 20) == whole[5 << 20:]


def test_discard_of_less_than_the_medium_can_free_harms_nothing(medium: Any) -> None:
    store = medium.open()
    unit = store.block_size
    data = pattern(4 * unit)
    write(store, 0, data)
    store.discard(unit, unit)
    store.discard(unit, 0)
    assert read(store, 0, unit) == kept(medium, data[:unit])
    assert read(store, 2 * unit, 2 * unit) == kept(medium, data[2 * unit:])
    if store.capabilities.discard_zeroes:
        assert read(store, unit, unit) == bytes(unit)


def runs(store: Any, offset: int, length: int) -> list[tuple[bool, int, int]]:
    """What ``mapped`` tells of a range: whether, from where, to where."""
    found, at = [], offset
    while at < offset + length:
        mapped, count = store.mapped(at, offset + length - at)
        assert 1 <= count <= offset + length - at
        found.append((mapped, at, at + count))
        at += count
    return found


def test_what_is_not_mapped_reads_zeros(medium: Any, unit: int) -> None:
    store = medium.open()
    assert all(mapped or store.capabilities.discard_zeroes for mapped, _, _ in runs(store, 0, medium.size))
    write(store, 0, pattern(medium.size))
    store.flush()
    if store.capabilities.discard:
        store.discard(3 * unit, 2 << 20)
        store.discard(5 << 20, 1 << 20)
    found = runs(store, unit, medium.size - unit)
    for mapped, start, end in found:
        assert mapped or read(store, start, end - start) == bytes(end - start)
    freed = sum(end - start for mapped, start, end in found if not mapped)
    if store.capabilities.discard_zeroes:
        assert (3 << 20) - 8192 <= freed <= 3 << 20
    else:
        assert found == [(True, unit, medium.size)]
    assert store.mapped(medium.size - unit, unit) == (True, unit)


def test_mapped_tells_the_very_borders(medium: Any) -> None:
    store = medium.open()
    if not store.capabilities.discard_zeroes:
        return
    write(store, 0, pattern(medium.size))
    store.flush()
    store.discard(1 << 20, 65536)
    assert store.mapped((1 << 20) - 512, 4096) == (True, 512)
    assert store.mapped(1 << 20, 65536) == (False, 65536)
    assert store.mapped((1 << 20) + 512, 1 << 20) == (False, 65024)
    write(store, (1 << 20) + 4096, pattern(512))
    assert store.mapped(1 << 20, 65536) == (False, 4096)
    block = os.statvfs(medium.path).f_bsize
    assert store.mapped((1 << 20) + 4096, 65536) == (True, block), "a whole block of the file system"
    store.discard(4 << 20, 4 << 20)
    assert store.mapped(4 << 20, 4 << 20) == (False, 4 << 20), "to the end"


@pytest.mark.parametrize(("source", "offset", "blocks"), [
    pytest.param(0, 1 << 20, 1, id="one block"),
    pytest.param(512 << 10, 4 << 20, 5000, id="data and holes"),
    pytest.param(3 << 20, 0, 9, id="backwards"),
])
def test_copies_within_itself_or_leaves_it_to_others(
        medium: Any, unit: int, source: int, offset: int, blocks: int) -> None:
    store = medium.open()
    length = min(blocks * unit, 3 << 20)
    write(store, 0, pattern(medium.size))
    store.zero((1 << 20) - unit, 3 * unit)
    if store.capabilities.discard_zeroes:
        store.discard(2 << 20, 1 << 20)
    before = read(store, 0, medium.size)
    copied = store.copy(offset, store, source, length)
    assert copied is (medium.image is not None and os.path.isfile(medium.path))
    if copied:
        wanted = before[:offset] + before[source:source + length] + before[offset + length:]
        store.flush()
        assert read(store, 0, medium.size) == wanted
    else:
        assert read(store, 0, medium.size) == before


@pytest.mark.parametrize("distance", [0, 4096, -4096, 65536 - 512])
def test_ranges_that_overlap_are_not_copied(medium: Any, distance: int) -> None:
    store = medium.open()
    write(store, 0, pattern(1 << 20))
    assert not store.copy((512 << 10) + distance, store, 512 << 10, 65536)
    assert read(store, 0, 1 << 20) == kept(medium, pattern(1 << 20))


def test_copies_to_another_file_or_leaves_it_to_others(medium: Any, image: Any) -> None:
    store, other = medium.open(), FileStore(str(image))
    write(store, 0, pattern(1 << 20))
    copied = other.copy(4096, store, 8192, 65536)
    is_file = os.path.isfile(medium.path)
    assert is_file or not copied
    # From one file system to another the kernel may refuse it.
    assert copied or not is_file or os.stat(medium.path).st_dev != image.stat().st_dev
    assert read(other, 0, 69632) == bytes(4096) + (pattern(1 << 20)[8192:73728] if copied else bytes(65536))
    other.close()


def test_prefetching_never_fails(medium: Any) -> None:
    store = medium.open()
    for offset, length in ((0, 4096), (4096, 0), (0, medium.size)):
        store.prefetch(offset, length)
    store.close()
    store.prefetch(0, 4096)


def test_threads_do_not_disturb_one_another(medium: Any) -> None:
    store = medium.open()
    together = threading.Barrier(6)
    wrong: list[str] = []

    def work(number: int) -> None:
        mine = number << 20
        together.wait(timeout=30)
        for turn in range(6):
            data = pattern(40960 + 4096 * turn, seed=number * 100 + turn)
            store.write(mine, cut(data, 4096, 1000), turn % 3 == 0)
            if read(store, mine, len(data)) != kept(medium, data):
                wrong.append(f"thread {number}, turn {turn}")
            if not all(mapped for mapped, _, _ in runs(store, mine, len(data))):
                wrong.append(f"thread {number}, turn {turn}: not mapped")
            store.flush()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_closing_twice_is_closing_once(medium: Any) -> None:
    store = medium.open()
    store.close()
    store.close()
    if medium.type == "nullio":
        return
    for operation in (
            lambda: read(store, 0, 4096), lambda: write(store, 0, bytes(4096)), store.flush,
            lambda: store.zero(0, 4096), lambda: store.discard(0, 4096)):
        with pytest.raises(StoreError) as caught:
            operation()
        assert caught.value.errno == errno.EBADF
        assert medium.path in str(caught.value)
    if os.path.isfile(medium.path):
        with pytest.raises(StoreError, match="cannot be examined at byte 512") as caught:
            store.mapped(512, 512)
        assert caught.value.errno == errno.EBADF
        assert medium.path in str(caught.value)


def test_a_read_only_store_reads_and_refuses_to_write(medium: Any) -> None:
    if medium.type == "nullio":
        assert read(medium.open(read_only=True), 0, 512) == bytes(512)
        return
    writer = medium.open()
    data = pattern(4096)
    write(writer, 4096, data)
    writer.close()
    store = medium.open(read_only=True)
    assert read(store, 4096, 4096) == data
    assert not store.capabilities.discard
    for operation in (
            lambda: write(store, 0, data), lambda: write(store, 0, data, True), lambda: store.zero(0, 4096)):
        with pytest.raises(StoreError, match=r"cannot be (written|zeroed) at byte 0"):
            operation()


@pytest.mark.parametrize(("first", "second", "allowed"), [
    pytest.param(False, False, False, id="two writers"),
    pytest.param(False, True, False, id="a reader beside a writer"),
    pytest.param(True, False, False, id="a writer beside a reader"),
    pytest.param(True, True, True, id="two readers"),
])
def test_one_medium_is_not_served_twice(
        medium: Any, first: bool, second: bool, allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = medium.open(read_only=first)
    if medium.type == "nullio" or (allowed and medium.type == "fileio"):
        medium.open(read_only=second)
        return
    # blockio claims its device even for reading, as IET did.
    with monkeypatch.context() as patch:
        patch.setattr("ietpy.stores.medium._DEVICE_PATIENCE", 0)
        with pytest.raises(StoreError, match=r"(in use|claimed by another)") as caught:
            medium.open(read_only=second)
    assert caught.value.errno == errno.EBUSY
    assert medium.path in str(caught.value)
    holder.close()
    medium.open(read_only=second)


def test_its_size_is_measured_anew(medium: Any) -> None:
    store = medium.open()
    assert store.measured() == store.size == medium.size


def test_only_a_file_is_given_another_size(medium: Any) -> None:
    store = medium.open()
    if medium.type == "fileio" and os.path.isfile(store.path):
        store.resize(medium.size + 4096)
        assert (store.measured(), store.size) == (medium.size + 4096, medium.size)
        store.resize(medium.size)
    else:
        with pytest.raises(StoreError) as caught:
            store.resize(medium.size * 2)
        assert caught.value.errno == errno.EOPNOTSUPP
        assert store.measured() == medium.size
