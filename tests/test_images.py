"""Images are made whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy import images
from ietpy.errors import StoreError, UsageError
from ietpy.stores import open_store

MIB = 1 << 20


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_CHUNK", MIB)


@pytest.mark.parametrize(("word", "size"), [
    ("512", 512), ("1024", 1024), ("1K", 1024), ("3k", 3072), ("10M", 10 << 20), ("10G", 10 << 30), ("10g", 10 << 30),
    ("2T", 2 << 40), ("007M", 7 << 20), ("8388607T", 8388607 << 40),
])
def test_sizes(word: str, size: int) -> None:
    assert images.parse_size(word) == size


@pytest.mark.parametrize(("word", "sentence"), [
    ("1.5G", "the size 1.5G is not a whole number; use a smaller unit"),
    ("1,5G", "the size 1,5G is not a whole number; use a smaller unit"),
    (".5T", "the size .5T is not a whole number"),
    ("", "'' is not a size; give a whole number of bytes, or one with K, M, G or T, as in 10G"),
    ("10X", "'10X' is not a size"),
    ("10GB", "'10GB' is not a size"),
    ("10 G", "'10 G' is not a size"),
    ("G", "'G' is not a size"),
    ("-1G", "'-1G' is not a size"),
    ("+1G", "'+1G' is not a size"),
    ("0x200", "'0x200' is not a size"),
    ("٣G", "'٣G' is not a size"),
    ("1G\n", "'1G\\n' is not a size"),
    ("9" * 5000, "is not a size"),
    ("0", "must be above zero"),
    ("0T", "must be above zero"),
    ("513", "513 bytes are not a whole number of 512-byte blocks; the next size that is: 1024"),
    ("8388608T", "no file can have 9223372036854775808 bytes; the most is 9223372036854775296"),
])
def test_bad_sizes_are_told_in_a_sentence(word: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        images.parse_size(word)
    assert sentence in str(caught.value)


@given(word=st.text())
def test_no_word_is_a_surprise(word: str) -> None:
    try:
        size = images.parse_size(word)
    except UsageError:
        return
    assert size > 0
    assert size % 512 == 0


@pytest.mark.parametrize(("size", "words"), [
    (512, "512 bytes"), (1024, "1 KiB"), (10 << 30, "10 GiB"), (1536 << 20, "1.5 GiB"), (2 << 40, "2 TiB"),
])
def test_sizes_in_words(size: int, words: str) -> None:
    assert images.in_words(size) == words


@pytest.mark.parametrize("umask", [0, 0o022, 0o777], ids=lambda mask: f"umask {mask:03o}")
@pytest.mark.parametrize("preallocate", [False, True], ids=["sparse", "preallocated"])
def test_makes_an_image_for_its_owner_only(tmp_path: Path, umask: int, preallocate: bool) -> None:
    path = tmp_path / "disk.img"
    before = os.umask(umask)
    try:
        images.make_image(str(path), 5 * MIB, preallocate=preallocate)
    finally:
        os.umask(before)
    facts = path.stat()
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert facts.st_size == 5 * MIB
    assert (facts.st_blocks * 512 >= 5 * MIB) is preallocate
    assert path.read_bytes() == bytes(5 * MIB)
    assert os.listdir(tmp_path) == ["disk.img"]
    open_store("fileio", str(path)).close()


def test_a_relative_path_and_a_link_to_nothing_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images.make_image("disk.img", 512)
    (tmp_path / "link.img").symlink_to("real.img")
    images.make_image("link.img", 1024)
    assert (tmp_path / "link.img").is_symlink()
    assert (tmp_path / "real.img").stat().st_size == 1024


def test_progress_is_of_space_truly_allocated(tmp_path: Path, small_chunks: None) -> None:
    told: list[tuple[int, int]] = []
    real: list[int] = []

    def progress(done: int, size: int) -> None:
        told.append((done, size))
        [partial] = tmp_path.iterdir()
        real.append(partial.stat().st_blocks * 512)

    images.make_image(str(tmp_path / "disk.img"), 3 * MIB + 512, preallocate=True, progress=progress)
    assert told == [(done, 3 * MIB + 512) for done in (MIB, 2 * MIB, 3 * MIB, 3 * MIB + 512)]
    assert all(allocated >= done for allocated, (done, _) in zip(real, told, strict=True))


def test_nobody_sees_the_image_before_it_is_whole(tmp_path: Path, small_chunks: None) -> None:
    path = tmp_path / "disk.img"
    images.make_image(
        str(path), 2 * MIB, preallocate=True, progress=lambda done, size: None if not path.exists() else 1 / 0)
    assert path.exists()


def test_an_old_image_stays_until_the_new_one_is_whole(tmp_path: Path, small_chunks: None) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old" * 512)
    seen: list[bytes] = []
    images.make_image(
        str(path), 2 * MIB, preallocate=True, force=True, progress=lambda done, size: seen.append(path.read_bytes()))
    assert seen == [b"old" * 512] * 2
    assert path.read_bytes() == bytes(2 * MIB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Unexpected(Exception):
    pass


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, Unexpected])
@pytest.mark.parametrize("force", [False, True], ids=["new", "over an old one"])
def test_what_stops_it_leaves_nothing_new(
        tmp_path: Path, small_chunks: None, stop: type[BaseException], force: bool) -> None:
    path = tmp_path / "disk.img"
    if force:
        path.write_bytes(b"old")

    def progress(done: int, size: int) -> None:
        if done == 2 * MIB:
            raise stop

    with pytest.raises(stop):
        images.make_image(str(path), 4 * MIB, preallocate=True, force=force, progress=progress)
    assert os.listdir(tmp_path) == ["disk.img"] * force
    if force:
        assert path.read_bytes() == b"old"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


NEVER: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (Path.mkdir, "is a directory, which is never overwritten"),
    "a named pipe": (os.mkfifo, "is a named pipe, which is never overwritten"),
    "a socket": (make_socket, "is a socket, which is never overwritten"),
    "a link to a character device": (
        lambda path: path.symlink_to("/dev/null"), "is a character device, which is never overwritten"),
    "a link to itself": (lambda path: path.symlink_to(path), "leads in a circle of symbolic links"),
}


@pytest.mark.parametrize("name", NEVER)
@pytest.mark.parametrize("force", [False, True], ids=["plain", "--force"])
def test_never_overwrites(tmp_path: Path, name: str, force: bool) -> None:
    path = tmp_path / "it"
    make, sentence = NEVER[name]
    make(path)
    before = path.lstat()
    with pytest.raises(UsageError, match=re.escape(f"{path} {sentence}")):
        images.make_image(str(path), MIB, force=force)
    assert path.lstat().st_ino == before.st_ino
    assert os.listdir(tmp_path) == ["it"]


def test_refuses_an_existing_image_without_force(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists; add --force to replace it"):
        images.make_image(str(path), MIB)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("read_only", [False, True], ids=["for writing", "read-only"])
def test_refuses_an_image_that_is_being_served(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "disk.img"
    images.make_image(str(path), MIB)
    store = open_store("fileio", str(path), read_only=read_only)
    inode = path.stat().st_ino
    with pytest.raises(UsageError, match="is being served: a daemon holds its lock"):
        images.make_image(str(path), MIB, force=True)
    assert path.stat().st_ino == inode
    store.close()
    images.make_image(str(path), MIB, force=True)
    assert os.listdir(tmp_path) == ["disk.img"]


def test_nobody_starts_serving_what_is_being_replaced(tmp_path: Path, small_chunks: None) -> None:
    path = tmp_path / "disk.img"
    images.make_image(str(path), MIB)
    refused: list[int] = []

    def progress(done: int, size: int) -> None:
        with pytest.raises(StoreError) as caught:
            open_store("fileio", str(path))
        refused.append(caught.value.errno)

    images.make_image(str(path), MIB, force=True, preallocate=True, progress=progress)
    assert refused == [errno.EBUSY]


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    (tmp_path / "disk.img").write_bytes(b"old")
    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(StoreError, match="cannot be locked"):
        images.make_image(str(tmp_path / "disk.img"), MIB, force=True)


@pytest.mark.parametrize(("path", "sentence"), [
    ("{}/nowhere/disk.img", "the directory {}/nowhere does not exist or takes no files; make it"),
    ("{}/file/disk.img", "{}/file is not a directory"),
    ("{}/" + "x" * 256, "is too long for its file system"),
    ("{}/new/", "{}/new/ names a directory"),
    ("", "'' is not a path"),
    ("a\0b", "is not a path"),
])
@pytest.mark.parametrize("preallocate", [False, True], ids=["sparse", "preallocated"])
def test_bad_paths_are_told_in_a_sentence(tmp_path: Path, path: str, sentence: str, preallocate: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        images.make_image(path.format(tmp_path), 512, preallocate=preallocate)
    assert sentence.format(tmp_path) in str(caught.value)


@pytest.mark.parametrize("size", [0, -512, 513, 2**63])
def test_the_library_checks_sizes_too(tmp_path: Path, size: int) -> None:
    with pytest.raises(UsageError):
        images.make_image(str(tmp_path / "disk.img"), size)
    assert os.listdir(tmp_path) == []


def test_space_is_looked_for_first(tmp_path: Path) -> None:
    before = shutil.disk_usage(tmp_path)
    size = (before.total // MIB + 1) * MIB
    with pytest.raises(StoreError, match=r"needs .* free; make room, choose a smaller size, or leave") as caught:
        images.make_image(str(tmp_path / "disk.img"), size, preallocate=True)
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("preallocate", [False, True], ids=["sparse", "preallocated"])
def test_a_system_that_fails_is_told_and_nothing_stays(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, preallocate: bool) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate" if preallocate else "ftruncate", fail)
    with pytest.raises(StoreError, match=os.strerror(code)) as caught:
        images.make_image(str(tmp_path / "disk.img"), MIB, preallocate=preallocate)
    assert caught.value.errno == code
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_the_name_is_reserved(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def no_links(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", no_links)
    images.make_image(str(tmp_path / "disk.img"), MIB)
    assert os.listdir(tmp_path) == ["disk.img"]
    assert (tmp_path / "disk.img").stat().st_size == MIB


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_what_another_made_meanwhile_stays(
        tmp_path: Path, small_chunks: None, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    path = tmp_path / "disk.img"

    def no_links(*arguments: Any) -> None:
        raise OSError(errno.EPERM, "no links")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(UsageError, match="was made by another meanwhile"):
        images.make_image(
            str(path), MIB, preallocate=True, progress=lambda done, size: path.write_bytes(b"theirs") and None)
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["disk.img"]


def test_a_link_that_fails_otherwise_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StoreError, match="cannot be made: Input/output error"):
        images.make_image(str(tmp_path / "disk.img"), MIB)
    assert os.listdir(tmp_path) == []


if os.geteuid() == 0:
    @pytest.fixture
    def small_disk(tmp_path: Path) -> Iterator[Path]:
        """A file system of 4 MiB (root)."""
        directory = tmp_path / "small"
        directory.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(directory)], check=True)
        try:
            yield directory
        finally:
            subprocess.run(["umount", str(directory)], check=True)

    def test_a_disk_that_fills_up_meanwhile(small_disk: Path, small_chunks: None) -> None:
        def progress(done: int, size: int) -> None:
            if done == MIB:
                (small_disk / "another").write_bytes(bytes(2 * MIB))

        with pytest.raises(StoreError, match="No space left on device"):
            images.make_image(str(small_disk / "disk.img"), 3 * MIB, preallocate=True, progress=progress)
        assert os.listdir(small_disk) == ["another"]

    def test_a_disk_too_small_is_told_beforehand(small_disk: Path) -> None:
        told: list[int] = []
        with pytest.raises(StoreError, match=r"disk.img needs 5 MiB and .* has 4 MiB free"):
            images.make_image(
                str(small_disk / "disk.img"), 5 * MIB, preallocate=True,
                progress=lambda done, size: told.append(done))
        assert told == []
        assert images.free_space(str(small_disk / "disk.img")) == 4 * MIB

    def test_a_block_device_is_never_overwritten(tmp_path: Path) -> None:
        image = tmp_path / "loop.img"
        images.make_image(str(image), MIB)
        device = subprocess.run(
            ["/usr/sbin/losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True,
        ).stdout.strip()
        try:
            with pytest.raises(UsageError, match="is a block device, which is never overwritten"):
                images.make_image(device, MIB, force=True)
        finally:
            subprocess.run(["/usr/sbin/losetup", "--detach", device], check=True)


@pytest.mark.parametrize(("path", "host", "name"), [
    ("/srv/disk.img", "store", "iqn.2010-06.store:disk"),
    ("/srv/disk.img", "store.example.org", "iqn.2010-06.org.example.store:disk"),
    ("/srv/My Disk_1.tar.img", "Store.Example.ORG", "iqn.2010-06.org.example.store:my-disk-1.tar"),
    ("/srv/été", "", "iqn.2010-06.localhost:t"),
    ("/srv/---", "(none)", "iqn.2010-06.none:image"),
])
def test_target_names_are_iscsi_names(path: str, host: str, name: str) -> None:
    assert images.target_name(path, host) == name


@given(path=st.text(min_size=1), host=st.text())
def test_target_names_are_always_iscsi_names(path: str, host: str) -> None:
    name = images.target_name(path, host)
    assert re.fullmatch(r"iqn\.2010-06\.[a-z0-9.-]+:[a-z0-9.-]+", name) or len(name) == 223
    assert len(name) <= 223


def test_lines_to_paste_name_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert images.target_lines("a b=c#.img", "store") == (
        f"Target iqn.2010-06.store:a-b-c\n    Lun 0 Path={tmp_path}/a b=c#.img,Type=fileio\n")


@pytest.mark.parametrize(("path", "found"), [
    ("/srv/a,b.img", "a comma"), ("/srv/a\nb.img", "a line feed"), ("/srv/a #b.img", "a blank before a #"),
    ("/srv/a ", "a blank at its end"), ("/srv/a\r", "a blank at its end"), ("/" + "long/" * 1000, "as long as"),
])
def test_paths_ietd_conf_cannot_name_are_told(path: str, found: str) -> None:
    with pytest.raises(UsageError, match=f"ietd.conf cannot name a path .*{found}"):
        images.target_lines(path, "store")


def test_an_image_grows_and_becomes_smaller_where_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    images.make_image(str(path), 1 << 20)
    assert images.resize_image(str(path), lambda now: now + 4096) == (1 << 20, (1 << 20) + 4096)
    assert images.resize_image(str(path), lambda now: now) == ((1 << 20) + 4096,) * 2
    with pytest.raises(UsageError, match=r"has 1 MiB; the last 1 MiB would be lost.* add --force"):
        images.resize_image(str(path), lambda now: 4096)
    with pytest.raises(UsageError, match="not a whole number of 512-byte blocks"):
        images.resize_image(str(path), lambda now: 4097)
    assert images.resize_image(str(path), lambda now: 4096, force=True)[1] == path.stat().st_size == 4096


def test_only_an_image_that_nobody_serves_is_resized(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none does not exist"):
        images.resize_image(str(tmp_path / "none"), lambda now: 4096)
    with pytest.raises(UsageError, match="is a character device, which is resized where it was made"):
        images.resize_image("/dev/null", lambda now: 4096)
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="is in use: another daemon or program holds its lock"):
            images.resize_image(str(path), lambda now: 8192)
    assert path.stat().st_size == 4096
