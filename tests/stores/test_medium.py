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
