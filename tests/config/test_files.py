"""Configuration files are read whole, never without end, and at logins never by waiting."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ietpy.config import files
from ietpy.config.access import AccessFiles
from ietpy.config.files import read_file
from ietpy.config.load import load
from ietpy.errors import ConfigError


@pytest.mark.parametrize("regular", [False, True])
def test_bytes_survive(tmp_path: Path, regular: bool) -> None:
    (tmp_path / "f").write_bytes(b"\xff\r\n")
    assert read_file(tmp_path / "f", regular=regular) == "\udcff\r\n"


@pytest.mark.parametrize("regular", [False, True])
def test_a_directory_is_none(tmp_path: Path, regular: bool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        read_file(tmp_path, regular=regular)
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_more_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LIMIT", 1 << 20)
    with pytest.raises(OSError, match="more than 1 MiB") as caught:
        read_file("/dev/zero")
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(ConfigError, match="more than 1 MiB"):
        load("/dev/zero")


def test_what_would_have_to_be_waited_for_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc/kmsg calls itself a regular file; a FIFO with a writer that says nothing stands for it."""
    os.mkfifo(tmp_path / "f")
    writer = os.open(tmp_path / "f", os.O_RDWR)
    monkeypatch.setattr(files.stat, "S_ISREG", lambda mode: True)
    try:
        with pytest.raises(BlockingIOError, match="without waiting"):
            read_file(tmp_path / "f", regular=True)
    finally:
        os.close(writer)


def test_a_configuration_may_come_through_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"Target t\n")
    os.close(writer)
    assert [target.name for target in load(f"/dev/fd/{reader}").targets] == ["t"]
    os.close(reader)


@pytest.mark.parametrize("name", ["initiators.allow", "initiators.deny", "targets.allow"])
def test_a_login_does_not_wait_for_a_pipe(tmp_path: Path, name: str) -> None:
    """It would hold up all logins; what is no file denies like one that cannot be read."""
    os.mkfifo(tmp_path / name)
    access = AccessFiles(str(tmp_path))
    assert not access.admits("t", "iqn.i", "10.0.0.7", "10.0.0.1")
    assert any("not a regular file" in str(one) for one in access.diagnostics())


def test_a_reload_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ietd.conf")
    with pytest.raises(ConfigError, match="not a regular file"):
        load(tmp_path / "ietd.conf", regular=True)
