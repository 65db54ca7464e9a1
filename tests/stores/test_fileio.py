"""What is fileio's own: its errors, its flags, and its answer to a kernel that does half."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ietpy.errors import StoreError
from ietpy.stores import fileio, linux, medium
from ietpy.stores.fileio import FileStore

SIZE = 8 << 20


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


MEDIA: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing at all": (lambda path: None, "does not exist; make it with: ietpy mkimage --size 10G"),
    "a directory": (Path.mkdir, "is a directory; fileio serves a regular file or a block device"),
    "a character device": (lambda path: path.symlink_to("/dev/zero"), "is a character device; fileio serves"),
    "a named pipe": (os.mkfifo, "is a named pipe; fileio serves"),
    "a socket": (make_socket, "is a socket; fileio serves"),
    "an empty file": (lambda path: path.touch(), "has 0 bytes, less than one block of 512"),
    "half a block": (lambda path: path.write_bytes(bytes(256)), "has 256 bytes, less than one block of 512"),
}


@pytest.mark.parametrize("name", MEDIA)
@pytest.mark.parametrize("read_only", [False, True], ids=["read-write", "read-only"])
def test_refuses_in_a_sentence(tmp_path: Path, name: str, read_only: bool) -> None:
    make, sentence = MEDIA[name]
    path = tmp_path / "it"
    make(path)
    with pytest.raises(StoreError) as caught:
        FileStore(str(path), read_only=read_only)
    assert str(caught.value).startswith(f"{path} {sentence}")
    assert caught.value.errno == (errno.ENOENT if name == "nothing at all" else errno.EINVAL)


@pytest.mark.parametrize("path", ["/etc/hostname/disk.img", "disk\0.img"])
def test_refuses_what_cannot_be_a_path(path: str) -> None:
    with pytest.raises(StoreError, match=r"not a directory|NUL"):
        FileStore(path)


@pytest.mark.parametrize(("code", "sentence"), [
    (errno.EACCES, "may not be opened by this user"),
    (errno.EROFS, "read-only file system or device; serve it read-only"),
    (errno.EMFILE, "cannot be opened: Too many open files"),
])
def test_tells_why_opening_failed(
        image: Path, monkeypatch: pytest.MonkeyPatch, code: int, sentence: str) -> None:
    def refuse(*arguments: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=sentence) as caught:
        FileStore(str(image))
    assert caught.value.errno == code


@pytest.mark.parametrize("failing", ["lock", "probe"])
def test_a_failed_open_leaves_nothing_open(
        image: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    before = os.listdir("/proc/self/fd")

    def fail(*arguments: Any) -> Any:
        raise OSError(errno.EIO, "made up")

    with monkeypatch.context() as patch:
        if failing == "lock":
            patch.setattr(medium.fcntl, "flock", fail)
        else:
            patch.setattr(os, "lseek", fail)
        with pytest.raises(StoreError, match=r"cannot be (locked|examined): Input/output error"):
            FileStore(str(image))
    assert os.listdir("/proc/self/fd") == before
    FileStore(str(image)).close()


def test_opening_changes_nothing(image: Path) -> None:
    image.write_bytes(b"\xff" * 5000)
    FileStore(str(image)).close()
    assert image.read_bytes() == b"\xff" * 5000


def test_a_file_that_shrank_is_an_error_not_zeros(image: Path) -> None:
    store = FileStore(str(image))
    image.write_bytes(b"\xff" * 6000)
    os.truncate(image, 6000)
    assert not store.read_now(4096, memoryview(bytearray(4096)))
    for offset in (4096, 8192):
        with pytest.raises(StoreError, match="shorter than when it was opened") as caught:
            store.read(offset, memoryview(bytearray(4096)))
        assert caught.value.errno == errno.EIO
    store.close()


class Recorder:
    """pwritev and fdatasync that note how they were called, and may do less or refuse flags."""

    def __init__(
            self, monkeypatch: pytest.MonkeyPatch, most: int = 1 << 30, refuse_flags: bool = False) -> None:
        self.flags: list[int] = []
        self.counts: list[int] = []
        self.syncs = 0
        self.most, self.refuse_flags = most, refuse_flags
        monkeypatch.setattr(fileio, "_pwritev", self.pwritev)
        self.real_fdatasync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)

    def pwritev(self, fd: int, views: Any, offset: int, flags: int = 0) -> int:
        self.flags.append(flags)
        self.counts.append(len(views))
        if flags and self.refuse_flags:
            raise OSError(errno.EOPNOTSUPP, "no flags here")
        return os.pwrite(fd, b"".join(views)[:self.most], offset)

    def fdatasync(self, fd: int) -> None:
        self.syncs += 1
        self.real_fdatasync(fd)


@pytest.mark.parametrize(("fua", "flags"), [(False, 0), (True, os.RWF_DSYNC)], ids=["cached", "FUA"])
def test_one_call_per_write(image: Path, monkeypatch: pytest.MonkeyPatch, fua: bool, flags: int) -> None:
    store = FileStore(str(image))
    recorder = Recorder(monkeypatch)
    store.write(0, [memoryview(bytes(512))] * 1024, fua)
    assert (recorder.flags, recorder.counts, recorder.syncs) == ([flags], [1024], 0)
    store.close()


def test_more_views_than_iov_max_go_in_runs(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    recorder = Recorder(monkeypatch)
    store.write(0, [memoryview(bytes(512))] * 2500, True)
    assert recorder.counts == [1024, 1024, 452]
    assert recorder.flags == [os.RWF_DSYNC] * 3
    store.close()


def test_fua_without_rwf_dsync_is_a_write_and_a_flush(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    recorder = Recorder(monkeypatch, refuse_flags=True)
    store.write(0, [memoryview(b"x" * 512)], True)
    assert (recorder.flags, recorder.syncs) == ([os.RWF_DSYNC, 0], 1)
    store.write(512, [memoryview(b"y" * 512)], True)
    assert (recorder.flags, recorder.syncs) == ([os.RWF_DSYNC, 0, 0], 2), "remembered"
    store.write(1024, [memoryview(b"z" * 512)], False)
    assert recorder.syncs == 2
    assert image.read_bytes()[:1536] == b"x" * 512 + b"y" * 512 + b"z" * 512
    store.close()


@pytest.mark.parametrize("most", [1, 700, 4096])
def test_short_writes_are_continued(image: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    store = FileStore(str(image))
    Recorder(monkeypatch, most=most)
    data = os.urandom(4096 + 512)
    views = [memoryview(data)[:100], memoryview(b""), memoryview(data)[100:4096], memoryview(data)[4096:]]
    store.write(1024, views, True)
    assert image.read_bytes()[1024:1024 + len(data)] == data
    store.close()


def test_a_write_that_gets_nowhere_ends(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    Recorder(monkeypatch, most=0)
    with pytest.raises(StoreError, match="cannot be written at byte 512"):
        store.write(512, [memoryview(bytes(512))], False)
    store.close()


def test_short_reads_are_continued(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(8192)
    image.write_bytes(data)
    store = FileStore(str(image))

    def preadv(fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
        return os.preadv(fd, [buffers[0][:1000]], offset, flags)

    monkeypatch.setattr(fileio, "_preadv", preadv)
    buffer = bytearray(8192)
    assert not store.read_now(0, memoryview(buffer))
    store.read(0, memoryview(buffer))
    assert buffer == data
    store.close()


@pytest.mark.parametrize(("code", "magic", "immediate"), [
    pytest.param(errno.EAGAIN, 0, True, id="not cached at the moment"),
    pytest.param(errno.EOPNOTSUPP, linux.TMPFS_MAGIC, True, id="tmpfs without RWF_NOWAIT"),
    pytest.param(errno.EOPNOTSUPP, 0x6969, False, id="NFS"),
])
def test_what_can_be_read_at_once_is_found_when_opening(
        image: Path, monkeypatch: pytest.MonkeyPatch, code: int, magic: int, immediate: bool) -> None:
    def preadv(fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
        if flags:
            raise OSError(code, os.strerror(code))
        return os.preadv(fd, buffers, offset)

    monkeypatch.setattr(fileio, "_preadv", preadv)
    monkeypatch.setattr(linux, "file_system_type", lambda fd: magic)
    store = FileStore(str(image))
    assert store.capabilities.immediate is immediate
    assert store.read_now(0, memoryview(bytearray(512))) is (magic == linux.TMPFS_MAGIC)
    store.close()


def test_a_failed_flush_is_told(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "lost")

    store = FileStore(str(image))
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StoreError, match="cannot be flushed to stable storage: Input/output error") as caught:
        store.flush()
    assert caught.value.errno == errno.EIO
    store.close()


def no_way(code: int) -> Callable[..., None]:
    def refuse(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def test_without_hole_punching_zeros_are_written_and_discard_is_not_offered(
        image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "fallocate", no_way(errno.EOPNOTSUPP))
    image.write_bytes(b"\xff" * (3 << 20))
    store = FileStore(str(image))
    assert not store.capabilities.discard
    assert not store.capabilities.discard_zeroes
    store.zero(512, (2 << 20) + 512)
    data = image.read_bytes()
    assert data[:512] == b"\xff" * 512
    assert data[512:1024 + (2 << 20)] == bytes((2 << 20) + 512)
    assert data[1024 + (2 << 20):] == b"\xff" * ((1 << 20) - 1024)
    store.close()


def test_real_failures_of_zeroing_are_told(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    monkeypatch.setattr(linux, "fallocate", no_way(errno.ENOSPC))
    with pytest.raises(StoreError) as caught:
        store.zero(0, 4096)
    assert caught.value.errno == errno.ENOSPC
    store.close()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_does_not_tell_holes_has_none(
        image: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    store = FileStore(str(image))
    monkeypatch.setattr(os, "lseek", no_way(code))
    assert store.mapped(4096, 8192) == (True, 8192)
    store.close()


def test_a_failure_to_find_holes_is_told(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    monkeypatch.setattr(os, "lseek", no_way(errno.EIO))
    with pytest.raises(StoreError, match="cannot be examined at byte 4096: Input/output error") as caught:
        store.mapped(4096, 512)
    assert caught.value.errno == errno.EIO
    store.close()


def test_what_a_shorter_file_lacks_is_no_hole(image: Path) -> None:
    store = FileStore(str(image))
    os.truncate(image, 1 << 20)
    for offset in (0, 1 << 20, 2 << 20):
        with pytest.raises(StoreError, match="shorter than when it was opened"):
            store.mapped(offset, 4 << 20)
    store.close()


def test_a_write_between_two_looks_for_holes(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    real = os.lseek

    def lseek(fd: int, offset: int, whence: int) -> int:
        if whence == os.SEEK_DATA:
            store.write(offset, [memoryview(bytes(4096))], False)
        return real(fd, offset, whence)

    monkeypatch.setattr(os, "lseek", lseek)
    assert store.mapped(8192, 65536) == (True, 4096)
    store.close()


class Copier:
    """copy_file_range that copies ``most`` bytes at once, and fails from the call on that has the number ``until``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, until: int, code: int) -> None:
        self.most, self.until, self.code = most, until, code
        self.calls = 0
        self.real = os.copy_file_range
        monkeypatch.setattr(os, "copy_file_range", self.copy_file_range)

    def copy_file_range(self, source: int, target: int, count: int, source_offset: int, offset: int) -> int:
        self.calls += 1
        if self.calls > self.until:
            if not self.code:
                return 0
            raise OSError(self.code, os.strerror(self.code))
        return self.real(source, target, min(count, self.most), source_offset, offset)


@pytest.fixture
def two_files(tmp_path: Path) -> Iterator[tuple[FileStore, FileStore]]:
    """3 MiB of different bytes in each."""
    stores = []
    for name in ("one", "other"):
        (tmp_path / name).write_bytes(os.urandom(3 << 20))
        stores.append(FileStore(str(tmp_path / name)))
    yield stores[0], stores[1]
    for store in stores:
        store.close()


def content(store: FileStore) -> bytes:
    buffer = bytearray(store.size)
    store.read(0, memoryview(buffer))
    return bytes(buffer)


CODES = [0, errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EIO]


@pytest.mark.parametrize("code", CODES)
def test_a_copy_that_cannot_begin_is_left_to_others(
        two_files: tuple[FileStore, FileStore], monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    one, other = two_files
    before = content(other)
    Copier(monkeypatch, 1 << 20, 0, code)
    assert not other.copy(512, one, 1024, 2 << 20)
    assert content(other) == before


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("until", [1, 2, 100])
def test_a_copy_that_was_begun_is_finished(
        two_files: tuple[FileStore, FileStore], monkeypatch: pytest.MonkeyPatch, code: int, until: int) -> None:
    one, other = two_files
    before = content(other)
    copier = Copier(monkeypatch, 300_000, until, code)
    assert other.copy(512, one, 1024, 2 << 20)
    assert copier.calls == min(until + 1, 7)
    assert content(other) == before[:512] + content(one)[1024:1024 + (2 << 20)] + before[512 + (2 << 20):]


def test_a_copy_that_fails_half_way_is_told(
        two_files: tuple[FileStore, FileStore], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two_files
    Copier(monkeypatch, 4096, 1, errno.ENOSPC)
    monkeypatch.setattr(fileio, "_pwritev", no_way(errno.ENOSPC))
    with pytest.raises(StoreError, match="other cannot be written at byte 4096: No space left") as caught:
        other.copy(0, one, 0, 1 << 20)
    assert caught.value.errno == errno.ENOSPC


def test_a_copy_stays_sparse(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\x11" * 65536)
    os.truncate(tmp_path / "one", 8 << 20)
    (tmp_path / "other").write_bytes(b"\x22" * (8 << 20))
    one, other = FileStore(str(tmp_path / "one")), FileStore(str(tmp_path / "other"))
    assert other.copy(0, one, 0, 8 << 20)
    other.flush()
    assert content(other) == content(one)
    assert other.mapped(65536, 7 << 20) == (not one.capabilities.discard_zeroes, 7 << 20)
    one.close()
    other.close()


def test_a_copy_of_holes_to_where_none_can_be_made_is_zeros(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_bytes(b"\x11" * 65536)
    os.truncate(tmp_path / "one", 1 << 20)
    (tmp_path / "other").write_bytes(b"\x22" * (1 << 20))
    one = FileStore(str(tmp_path / "one"))
    monkeypatch.setattr(linux, "fallocate", no_way(errno.EOPNOTSUPP))
    other = FileStore(str(tmp_path / "other"))
    assert not other.capabilities.discard
    assert other.copy(0, one, 0, 1 << 20)
    assert content(other) == content(one)
    one.close()
    other.close()


def test_prefetching_asks_the_kernel(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    store = FileStore(str(image))
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *rest: asked.append(rest))
    store.prefetch(4096, 8192)
    store.prefetch(0, 0)
    assert asked == [(4096, 8192, os.POSIX_FADV_WILLNEED)]
    store.close()


if os.geteuid() == 0:
    @pytest.mark.parametrize("where", ["ext4", "tmpfs"])
    @pytest.mark.parametrize("fua", [False, True], ids=["cached", "FUA"])
    def test_a_full_disk_is_enospc_and_spares_the_rest(
            small_file_systems: dict[str, Path], where: str, fua: bool) -> None:
        path = small_file_systems[where] / "disk.img"
        with path.open("xb") as file:
            file.truncate(64 << 20)
        store = FileStore(str(path))
        store.write(0, [memoryview(b"kept" * 1024)], True)

        def fill() -> None:
            for offset in range(1 << 20, 64 << 20, 1 << 20):
                store.write(offset, [memoryview(b"\xff" * (1 << 20))], fua)

        with pytest.raises(StoreError, match="No space left on device") as caught:
            fill()
        assert caught.value.errno == errno.ENOSPC
        buffer = bytearray(4096)
        store.read(0, memoryview(buffer))
        assert buffer == b"kept" * 1024
        store.discard(1 << 20, 63 << 20)
        store.write(1 << 20, [memoryview(b"room again")], True)
        store.close()


RANGES = st.tuples(st.integers(0, 63), st.integers(1, 16))
STEPS = st.lists(st.tuples(
    st.sampled_from(["write", "FUA write", "zero", "discard", "copy", "mapped", "read", "read_now"]), RANGES,
    st.binary(min_size=1)))


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_behaves_as_an_array_of_bytes(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    path = tmp_path_factory.mktemp("model") / "disk.img"
    path.write_bytes(bytes(64 * 512))
    store = FileStore(str(path))
    model = bytearray(store.size)
    for name, (block, blocks), seed in steps:
        blocks = min(blocks, 64 - block)
        start, length = block * 512, blocks * 512
        here = slice(start, start + length)
        if name.endswith("write"):
            model[here] = (seed * length)[:length]
            store.write(start, [memoryview(model[here])], name.startswith("FUA"))
        elif name in ("zero", "discard"):
            if name == "zero" or store.capabilities.discard:
                getattr(store, name)(start, length)
                model[here] = bytes(length)
        elif name == "copy":
            source = seed[0] % (65 - blocks) * 512
            if store.copy(start, store, source, length):
                model[here] = model[source:source + length]
            else:
                assert abs(source - start) < length
        elif name == "mapped":
            mapped, count = store.mapped(start, length)
            assert mapped or not any(model[start:start + count])
        else:
            buffer = bytearray(length)
            if getattr(store, name)(start, memoryview(buffer)) in (None, True):
                assert buffer == model[here]
    store.close()
    assert path.read_bytes() == model
    path.unlink()


def test_writes_are_made_stable_by_one_call(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    recorder = Recorder(monkeypatch)
    marks = []
    for number in range(5):
        marks.append(store.mark())
        store.write(number * 512, [memoryview(b"x" * 512)], False)
    assert store.capabilities.commits
    assert None not in marks
    store.commit(marks[0] or 0)
    assert (recorder.flags, recorder.syncs) == ([0] * 5, 1)
    store.close()


@pytest.mark.parametrize("how", ["flush", "FUA"])
def test_a_failure_somebody_else_heard_of_fails_the_commit(
        image: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The kernel tells each failure to write pages once."""
    store = FileStore(str(image))
    mark = store.mark()
    store.write(0, [memoryview(b"x" * 512)], False)

    def fail(*arguments: Any) -> int:
        raise OSError(errno.EIO, "lost")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        patch.setattr(fileio, "_pwritev", fail)
        with pytest.raises(StoreError, match=f"cannot be {'flushed' if how == 'flush' else 'written'}"):
            store.flush() if how == "flush" else store.write(512, [memoryview(b"y" * 512)], True)
    with pytest.raises(StoreError, match="cannot be flushed to stable storage: Input/output error") as caught:
        store.commit(mark or 0)
    assert caught.value.errno == errno.EIO
    store.commit(store.mark() or 0)
    store.close()


def test_while_a_sync_does_not_come_back_there_is_no_mark(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(image))
    monkeypatch.setattr(type(store._syncs), "stuck", True)
    assert store.mark() is None
    store.close()
