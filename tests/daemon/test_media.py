"""Stores of one daemon: opened once, shared, let go by the last line that needs them."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.model import LunConfig
from ietpy.daemon.media import Media
from ietpy.errors import Span, StoreError


class Store:
    def __init__(self, broken: bool = False) -> None:
        self.broken = broken
        self.calls: list[str] = []

    def flush(self) -> None:
        self.calls.append("flush")
        if self.broken:
            raise StoreError(errno.EIO, "the disk is on fire")

    def close(self) -> None:
        self.calls.append("close")


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


def test_lines_of_one_file_share_a_store(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(disk)
    store = Store()
    opener = Opener(store)
    media = Media(opener=opener)
    first, second = lun(0, disk), lun(1, tmp_path / "link")
    held, before = media.open(first)
    again, place = media.open(second)
    assert (held, before, str(place)) == (again, None, "ietd.conf:1:1")
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
    held, _ = media.open(reader)
    with pytest.raises(StoreError, match=r"open for reading only, for the LUN at ietd.conf:1:1") as caught:
        media.open(lun(1, disk))
    assert caught.value.errno == errno.EBUSY
    media.release(held, reader)


def test_a_file_that_is_being_let_go_is_busy(disk: Path) -> None:
    media = Media(opener=Opener(Store(), Store()))
    first = lun(0, disk)
    held, _ = media.open(first)
    assert media.release(held, first)
    with pytest.raises(StoreError, match="is still being let go") as caught:
        media.open(lun(1, disk))
    assert caught.value.errno == errno.EBUSY
    media.close(held)
    media.open(lun(1, disk))


def test_what_has_no_file_is_never_shared() -> None:
    opener = Opener(Store(), Store())
    media = Media(opener=opener)
    assert media.open(lun(0, "", type="nullio"))[0] is not media.open(lun(1, "", type="nullio"))[0]
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
