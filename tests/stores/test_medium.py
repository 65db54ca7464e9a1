"""Locks of media."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from ietpy.errors import StoreError
from ietpy.stores import medium


def test_a_lock_that_passes_in_moments_is_waited_for(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As udev's, which looks at a device after each close of a writer."""
    other = os.open(image, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            os.close(other)

    monkeypatch.setattr(time, "sleep", nap)
    mine = os.open(image, os.O_RDWR)
    medium.lock(mine, str(image), exclusive=True, patience=60)
    os.close(mine)
    assert len(naps) == 3


def test_a_lock_that_stays_is_told(image: Path) -> None:
    other = os.open(image, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)
    mine = os.open(image, os.O_RDWR)
    medium.lock(mine, str(image), exclusive=False)
    with pytest.raises(StoreError, match="is in use: another daemon or program holds its lock") as caught:
        medium.lock(mine, str(image), exclusive=True)
    assert caught.value.errno == errno.EBUSY
    os.close(other)
    os.close(mine)


def test_kinds_have_names(tmp_path: Path) -> None:
    assert medium.kind(tmp_path.stat().st_mode) == "a directory"
    assert medium.kind(0) == "of an unknown kind"


@pytest.mark.parametrize("allocated", [False, True])
def test_new_space_is_as_the_old_is(tmp_path: Path, allocated: bool) -> None:
    path = tmp_path / "disk.img"
    with path.open("w+b") as file:
        fd = file.fileno()
        if allocated:
            os.posix_fallocate(fd, 0, 1 << 20)
        else:
            os.ftruncate(fd, 1 << 20)
        medium.resize(fd, str(path), 3 << 20)
        found = os.fstat(fd)
        assert found.st_size == 3 << 20
        assert (found.st_blocks * 512 >= 3 << 20) is allocated
        medium.resize(fd, str(path), 4096)
        assert os.fstat(fd).st_size == 4096


def test_what_cannot_be_resized_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a part of the new space was there already."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))

    def full(fd: int, offset: int, length: int) -> None:
        os.ftruncate(fd, offset + 512)
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with path.open("r+b") as file, pytest.raises(StoreError, match="cannot be given 8192 bytes: No space") as caught:
        medium.resize(file.fileno(), str(path), 8192)
    assert (caught.value.errno, path.stat().st_size) == (errno.ENOSPC, 4096)
    with path.open("rb") as file, pytest.raises(StoreError) as caught:
        medium.resize(file.fileno(), str(path), 512)
    assert (caught.value.errno, path.stat().st_size) == (errno.EINVAL, 4096)
