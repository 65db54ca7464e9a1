"""Links that others planted are not followed; all others are."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ietpy.errors import StoreError
from ietpy.stores import medium
from ietpy.stores.trust import Planted, open_trusted

OTHER, OWNER = 65534, 4711


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where everybody may write, as in /tmp, but also remove what is not his."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_bytes(bytes(4096))
    return file


def link(place: Path, target: Path | str, owner: int) -> Path:
    place.symlink_to(target)
    os.chown(place, owner, owner, follow_symlinks=False)
    return place


def opened(path: Path) -> bool:
    try:
        os.close(open_trusted(str(path), os.O_RDONLY | os.O_CLOEXEC))
    except Planted:
        return False
    return True


def test_a_file_is_a_file(secret: Path) -> None:
    assert opened(secret)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("mode", "owner", "followed"), [
    pytest.param(0o777, OTHER, False, id="another's"),
    pytest.param(0o1777, OTHER, False, id="another's in a sticky folder"),
    pytest.param(0o777, 0, True, id="root's"),
    pytest.param(0o777, OWNER, True, id="of whose folder it is"),
    pytest.param(0o755, OTHER, True, id="where others cannot write, who was let"),
    pytest.param(0o775, OTHER, True, id="where a group may write"),
])
def test_whose_links_are_followed(folder: Path, secret: Path, mode: int, owner: int, followed: bool) -> None:
    os.chown(folder, OWNER, OWNER)
    folder.chmod(mode)
    assert opened(link(folder / "disk.img", secret, owner)) is followed


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("place", ["where everybody may write", "where nobody else may"])
def test_a_link_of_root_s_to_a_planted_one(folder: Path, tmp_path: Path, secret: Path, place: str) -> None:
    planted = link(folder / "planted", secret, OTHER)
    where = folder if "everybody" in place else tmp_path
    assert not opened(link(where / "ours", planted, 0))


def test_circles_and_dead_ends(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(OSError) as found:
        opened(folder / "a")
    assert found.value.errno == errno.ELOOP
    (folder / "c").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        opened(folder / "c")


@pytest.mark.usefixtures("root")
def test_a_medium_behind_a_planted_link_is_not_served(folder: Path, secret: Path) -> None:
    planted = link(folder / "disk.img", secret, OTHER)
    with pytest.raises(StoreError, match=f"is a symbolic link of user {OTHER} in a folder where everyb") as found:
        medium.open_medium(str(planted), store="fileio", accepts=(0o100000,), read_only=True)
    assert found.value.errno == errno.EACCES


def test_what_was_looked_at_is_what_is_opened(
    folder: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts a pipe in the place of the file between two system calls: it holds up nobody and is not served."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    look = os.stat
    monkeypatch.setattr(medium.os, "stat", lambda path, *more, **named: look(
        secret if path == str(pipe) else path, *more, **named
    ))
    with pytest.raises(StoreError, match="is a named pipe; fileio serves a regular file"):
        medium.open_medium(str(pipe), store="fileio", accepts=(0o100000,), read_only=False)
