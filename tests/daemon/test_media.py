"""Stores of one daemon: opened once, shared, let go by the last line that needs them."""

from __future__ import annotations

import errno
import math
import os
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.config.model import LunConfig
from ietpy.daemon import media
from ietpy.daemon.media import Media
from ietpy.errors import Span, StoreError


class Store:
    def __init__(self, broken: bool = False, unclosable: bool = False) -> None:
        self.broken = broken
        self.unclosable = unclosable
        self.calls: list[str] = []

    def flush(self) -> None:
        self.calls.append("flush")
        if self.broken:
            raise StoreError(errno.EIO, "the disk is on fire")

    def close(self) -> None:
        self.calls.append("close")
        if self.unclosable:
            raise OSError(errno.EDQUOT, "Quota exceeded")


class Opener:
    """Stands for ``stores.open_store``."""

    def __init__(self, *stores: Store) -> None:
        self.stores = list(stores)
        self.opened: list[tuple[str, str, bool]] = []

    def __call__(
        self, type: str, path: str, *, read_only: bool, block_size: int | None, options: Mapping[str, Any]
    ) -> Any:
        self.opened.append((type, path, read_only))
        if not self.stores:
            raise StoreError(errno.ENOENT, "nothing there")
        return self.stores.pop(0)


def lun(number: int, path: object, **more: Any) -> LunConfig:
    return LunConfig(number, Span("ietd.conf", number + 1, 1), path=str(path), **more)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.touch()
    return path


def test_a_file_is_known_again(disk: Path, tmp_path: Path) -> None:
    media = Media(str(tmp_path))
    identity = media.identity(lun(0, "disk"))
    assert identity == f"{disk} (inode {disk.stat().st_ino})"
    media.patience = 20.0
    assert media.identity(lun(1, disk)) == identity
    disk.rename(tmp_path / "old")
    assert media.identity(lun(0, disk)) == str(disk)
    disk.touch()
    assert media.identity(lun(0, disk)) not in (identity, str(disk))
    assert media.identity(lun(0, "", type="nullio")) == "nullio"


def test_what_others_are_about_to_let_go_is_waited_for_and_no_other_failure(disk: Path) -> None:
    """Until the time given, which has come where they hold it for good."""
    problems = [StoreError(errno.EBUSY, "in use"), StoreError(errno.EBUSY, "in use")]
    opener = Opener(Store())

    def open_at_last(*medium: Any, **options: Any) -> Any:
        if problems:
            raise problems.pop()
        return opener(*medium, **options)

    with pytest.raises(StoreError, match="in use"):
        Media("/", open_at_last).open(lun(0, disk))
    assert Media("/", open_at_last, until=math.inf).open(lun(0, disk)).store is not None
    assert not problems
    problems.append(StoreError(errno.EACCES, "not yours"))
    with pytest.raises(StoreError, match="not yours"):
        Media("/", open_at_last, until=math.inf).open(lun(0, disk))


@pytest.mark.parametrize(("facts", "name"), [
    ({}, ""),
    ({"8:17/wwid": "naa.6\n", "8:17/device/wwid": "naa.7\n"}, " (naa.6)"),
    ({"8:17/wwid": "\n", "8:17/dm/uuid": "LVM-x\n"}, " (LVM-x)"),
    ({"8:17/partition": "1\n", "device/wwid": "naa.7\n"}, " (naa.7)"),
])
def test_a_device_is_known_by_its_name(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, str], name: str
) -> None:
    (tmp_path / "sys" / "8:17").mkdir(parents=True)
    for fact, value in facts.items():
        (tmp_path / "sys" / fact).parent.mkdir(exist_ok=True)
        (tmp_path / "sys" / fact).write_text(value)
    monkeypatch.setattr(media, "_DEVICES", str(tmp_path / "sys"))
    found = SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(8, 17))
    monkeypatch.setattr(os, "stat", lambda *_, **__: found)
    identity = Media().identity(lun(0, disk))
    monkeypatch.undo()
    assert identity == f"{disk}{name}"


def test_a_medium_that_is_not_known_again_in_time(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(media, "_identity", lambda path: path if answer.wait(30) else "")
    slow = Media()
    slow.patience = 0.0
    with pytest.raises(StoreError, match=f"{disk} does not answer any more") as caught:
        slow.identity(lun(0, disk))
    assert caught.value.errno == errno.ETIMEDOUT
    answer.set()


def test_lines_of_one_file_share_a_store(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(disk)
    store = Store()
    opener = Opener(store)
    media = Media(opener=opener)
    first, second = lun(0, disk), lun(1, tmp_path / "link")
    held = media.open(first)
    assert media.open(second) is held
    assert held.users == [first, second]
    with held.exclusion.sole(0, 512):
        assert held.exclusion.busy(0, 1)
    assert media.release(held, first) is False
    assert media.release(held, second) is True
    assert media.close(held)
    assert media.close(held)
    assert store.calls == ["flush", "close"]


def test_a_file_that_a_later_line_writes_is_opened_for_writing(disk: Path) -> None:
    opener = Opener(Store(), Store())
    media = Media(opener=opener)
    media.expect([lun(0, disk, read_only=True), lun(1, disk)])
    media.open(lun(0, disk, read_only=True))
    assert opener.opened == [("fileio", str(disk), False)]


def test_a_file_open_for_reading_is_not_written(disk: Path) -> None:
    media = Media(opener=Opener(Store()))
    reader = lun(0, disk, read_only=True)
    held = media.open(reader)
    with pytest.raises(StoreError, match=r"open for reading only, for the LUN at ietd.conf:1:1") as caught:
        media.open(lun(1, disk))
    assert caught.value.errno == errno.EBUSY
    media.release(held, reader)


def test_a_file_that_is_being_let_go_is_busy(disk: Path) -> None:
    media = Media(opener=Opener(Store(), Store()))
    first = lun(0, disk)
    held = media.open(first)
    assert media.release(held, first)
    with pytest.raises(StoreError, match="is still being let go") as caught:
        media.open(lun(1, disk))
    assert caught.value.errno == errno.EBUSY
    media.close(held)
    media.open(lun(1, disk))


def test_what_has_no_file_is_never_shared() -> None:
    opener = Opener(Store(), Store())
    media = Media(opener=opener)
    assert media.open(lun(0, "", type="nullio")) is not media.open(lun(1, "", type="nullio"))
    assert media.path(lun(0, "")) == ""


def test_relative_paths_count_from_the_base() -> None:
    opener = Opener()
    with pytest.raises(StoreError):
        Media("/srv", opener).open(lun(0, "a/b"))
    assert opener.opened == [("fileio", "/srv/a/b", False)]


def test_all_are_closed_though_one_cannot_be_flushed(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Store(broken=True), Store()
    media = Media(opener=Opener(bad, good))
    media.open(lun(0, "/a"))
    media.open(lun(1, "/b"))
    assert media.close_all() is False
    assert bad.calls == good.calls == ["flush", "close"]
    assert "the disk is on fire" in caplog.text
    assert media.close_all() is True


def test_closing_may_fail_too(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file of an NFS server is written when it is closed."""
    media = Media(opener=Opener(Store(unclosable=True), Store()))
    line = lun(0, disk)
    held = media.open(line)
    media.release(held, line)
    assert media.close(held) is False
    assert "Quota exceeded" in caplog.text
    media.open(line)  # it is let go nevertheless


def test_of_two_who_close_at_once_one_closes_and_neither_complains(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the end of the daemon, while a removed unit is let go."""
    store = Store()
    media = Media(opener=Opener(store))
    held = media.open(lun(0, disk))
    first = True

    def flush() -> None:
        nonlocal first
        store.calls.append("flush")
        if first:
            first = False
            assert media.close(held)  # the other one comes first
            raise StoreError(errno.EBADF, "closed")

    store.flush = flush  # type: ignore[method-assign]
    assert media.close(held)
    assert store.calls == ["flush", "flush", "close"]
    assert caplog.text == ""


def test_what_an_earlier_file_wanted_to_write_is_forgotten(disk: Path) -> None:
    """A line that could not be opened for writing and says IOMode=ro now is opened for reading."""
    opener = Opener(Store())
    media = Media(opener=opener)
    media.expect([lun(0, disk)])
    media.expect([lun(0, disk, read_only=True)])
    media.open(lun(0, disk, read_only=True))
    assert opener.opened == [("fileio", str(disk), True)]


def test_another_file_at_the_path_is_noticed(disk: Path) -> None:
    media = Media(opener=Opener(Store(), Store()))
    first, null = lun(0, disk), lun(1, "", type="nullio")
    lines = [(media.open(each), each) for each in (first, null)]
    assert media.replaced(lines) == []
    disk.with_name("new").touch()
    os.replace(disk.with_name("new"), disk)
    assert media.replaced(lines) == [first]
    disk.unlink()
    assert media.replaced(lines) == [first]
    assert media.replaced([]) == []


def test_a_line_that_moved_in_the_file_lets_its_medium_go(disk: Path) -> None:
    media = Media(opener=Opener(Store()))
    old, new = lun(0, disk), lun(0, disk)
    held = media.open(old)
    media.follow(held, old, new)
    assert media.release(held, new)


class TestSilentMedia:
    """A medium that does not answer holds up who asked for it, for a while, and nobody else."""

    @pytest.fixture
    def answer(self) -> threading.Event:
        return threading.Event()

    @pytest.fixture
    def store(self) -> Store:
        return Store()

    @pytest.fixture
    def media(self, answer: threading.Event, store: Store) -> Media:
        def opener(type: str, path: str, **_: Any) -> Any:
            if path.endswith("disk"):
                assert answer.wait(30)
            if path.endswith("gone"):
                raise StoreError(errno.ENOENT, "nothing there")
            return store

        media = Media(opener=opener)
        media.patience = 0.1
        return media

    def settled(self) -> None:
        for thread in threading.enumerate():
            if thread.name == "opening":
                thread.join(20)

    def test_it_is_given_up_and_closed_when_it_answers(
        self, media: Media, disk: Path, answer: threading.Event, store: Store
    ) -> None:
        with pytest.raises(StoreError, match=r"does not answer; 0.1 s were waited") as caught:
            media.open(lun(0, disk))
        assert caught.value.errno == errno.ETIMEDOUT
        with pytest.raises(StoreError, match="has still not answered") as caught:
            media.open(lun(0, disk))
        assert caught.value.errno == errno.EBUSY
        other = disk.with_name("other")
        other.touch()
        media.open(lun(1, other))
        assert media.close_all()
        store.calls.clear()
        answer.set()
        self.settled()
        assert store.calls == ["flush", "close"]
        media.open(lun(0, disk))

    def test_one_that_fails_late_may_be_tried_again(
        self, media: Media, disk: Path, monkeypatch: pytest.MonkeyPatch, answer: threading.Event
    ) -> None:
        def opener(*_: Any, **__: Any) -> Any:
            assert answer.wait(30)
            raise StoreError(errno.EIO, "the server is gone")

        monkeypatch.setattr(media, "_opener", opener)
        with pytest.raises(StoreError, match="does not answer"):
            media.open(lun(0, disk))
        answer.set()
        self.settled()
        with pytest.raises(StoreError, match="the server is gone"):
            media.open(lun(0, disk))

    def test_what_answers_is_as_without_patience(self, media: Media, disk: Path) -> None:
        with pytest.raises(StoreError, match="nothing there"):
            media.open(lun(0, disk.with_name("gone")))
        assert media.open(lun(1, "", type="nullio")).key is None

    def test_looking_at_paths_is_bounded(
        self, media: Media, disk: Path, answer: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer.set()
        line = lun(0, disk)
        held = media.open(line)
        answer.clear()
        look: Callable[[LunConfig], Any] = media._key

        def key(line: LunConfig) -> Any:
            assert answer.wait(30)
            return look(line)

        monkeypatch.setattr(media, "_key", key)
        media.expect([line])
        assert media.replaced([(held, line)]) == []
        answer.set()
        self.settled()

    def test_without_a_thread_nothing_is_opened(
        self, media: Media, disk: Path, answer: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        answer.set()
        held = media.open(lun(0, disk))
        disk.unlink()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(StoreError, match="can't start new thread") as caught:
                media.open(lun(1, disk))
            media.expect([lun(0, disk)])
            assert media.replaced([(held, lun(0, disk))]) == []
        assert caught.value.errno == errno.EAGAIN
