"""Text files that commands write: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ietpy.cli.files import put


def test_what_was_there_is_replaced_and_what_was_not_is_made(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in ("one\n", "two\udcff\n"):
        put(str(path), text, 0o600)
        assert path.read_bytes() == text.encode("utf-8", "surrogateescape")
        assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_owner_and_permissions_may_be_those_of_another(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.chmod(path, 0o640)
    put(str(path), "new", 0o600, path.stat())
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, OSError])
def test_who_is_stopped_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: type[BaseException]
) -> None:
    def stop(*words: object) -> None:
        raise stopped

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(stopped):
        put(str(path), "new", 0o600)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_name_alone_is_in_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put("file", "text", 0o644)
    assert (tmp_path / "file").read_text() == "text"
