"""Copies of images: the same bytes, holes kept, blocks shared where the file system can, and nothing half made."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ietpy import copies
from ietpy.copies import How
from ietpy.errors import StoreError, UsageError
from ietpy.stores import open_store

MIB = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An image of 32 MiB with data at its start, in the middle and at its very end."""
    return patched(tmp_path / "source.img")


def patched(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(32 * MIB)
        for at in (0, 17 * MIB + 4096, 32 * MIB - 512):
            file.seek(at)
            file.write(secrets.token_bytes(512))
    return path


def left(directory: Path) -> set[str]:
    return {name for name in os.listdir(directory) if name.endswith(".partial")}


def used(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_a_copy_has_the_bytes_and_the_holes(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    new = tmp_path / "new.img"
    assert copies.copy(str(source), str(new), share=False, progress=lambda *news: told.append(news)) is How.COPIED
    assert new.read_bytes() == source.read_bytes()
    assert used(new) <= 64 * 1024
    assert new.stat().st_mode & 0o777 == 0o600
    assert told == sorted(told)
    assert told[-1] == (32 * MIB, 32 * MIB)
    assert left(tmp_path) == set()


def test_zeros_that_are_written_become_holes(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(9 * MIB) + b"x" * 512)
    copies.copy(str(tmp_path / "zeros"), str(tmp_path / "new"), share=False)
    assert (tmp_path / "new").read_bytes() == bytes(9 * MIB) + b"x" * 512
    assert used(tmp_path / "new") <= 2 * MIB


@pytest.mark.parametrize(
    ("length", "size", "found"), [(1000, None, 1024), (1024, 4096, 4096), (1024, 1024, 1024), (1, None, 512)]
)
def test_sizes(tmp_path: Path, length: int, size: int | None, found: int) -> None:
    (tmp_path / "odd").write_bytes(b"x" * length)
    copies.copy(str(tmp_path / "odd"), str(tmp_path / "new"), size=size)
    assert (tmp_path / "new").read_bytes() == (b"x" * length).ljust(found, b"\0")


@pytest.mark.parametrize("share", [True, None])
def test_blocks_are_shared_where_that_can_be(sharing: Path, share: bool | None) -> None:
    source, new = sharing / f"source-{share}", sharing / f"new-{share}"
    content = secrets.token_bytes(8 * MIB)
    source.write_bytes(content)
    before = shutil.disk_usage(sharing).used
    assert copies.copy(str(source), str(new), size=16 * MIB, share=share) is How.SHARED
    assert shutil.disk_usage(sharing).used - before < MIB
    with source.open("r+b") as file:
        file.write(b"later")
    assert new.read_bytes() == content + bytes(8 * MIB)
    assert source.read_bytes()[:5] == b"later"


def test_a_served_image_is_shared_and_not_copied(sharing: Path, source: Path, tmp_path: Path) -> None:
    served = sharing / "served.img"
    shutil.copyfile(source, served)
    with being_written(served):
        assert copies.copy(str(served), str(sharing / "moment.img")) is How.SHARED
        with pytest.raises(UsageError, match="is being served to be written, so a copy, which takes a while, would be"):
            copies.copy(str(served), str(sharing / "copy.img"), share=False)
    with being_written(source), pytest.raises(UsageError, match="and use ietpy snapshot"):
        copies.copy(str(source), str(tmp_path / "copy.img"))
    assert not (sharing / "copy.img").exists()
    assert left(sharing) | left(tmp_path) == set()


@contextmanager
def being_written(path: Path) -> Iterator[None]:
    store = open_store("fileio", str(path))
    try:
        yield
    finally:
        store.close()


def test_where_nothing_can_be_shared_it_says_why(sharing: Path, source: Path, tmp_path: Path) -> None:
    (sharing / "elsewhere").write_bytes(b"x" * 512)
    kind = copies.file_system(str(tmp_path))
    assert copies.file_system(str(sharing)) == "xfs"
    for name, new, said in (
        (source, tmp_path / "new", f"is on {kind}, which cannot share blocks between files"),
        (sharing / "elsewhere", tmp_path / "new", "are on two file systems, between which no blocks are shared"),
    ):
        with pytest.raises(UsageError, match=said):
            copies.copy(str(name), str(new), share=True)
        assert not new.exists()


def test_what_cannot_be_copied(source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, said in (
        ("none", "none cannot be read: No such file or directory"),
        ("empty", "is empty; an image has one block at least"),
        ("pipe", "is a named pipe; name a disk image or a block device"),
        ("", "cannot be read"),
        ("a\0b", "is not a path"),
        (".", "is a directory; name a disk image"),
    ):
        with pytest.raises(UsageError, match=said):
            copies.copy(str(tmp_path / name) if name else "", str(tmp_path / "new"))
    with pytest.raises(UsageError, match="has 32 MiB, which 1 MiB cannot hold; leave out --size, or say a larger one"):
        copies.copy(str(source), str(tmp_path / "new"), size=MIB)
    with pytest.raises(UsageError, match="exists; add --force to replace it"):
        copies.copy(str(source), str(tmp_path / "empty"))
    copies.copy(str(source), str(tmp_path / "empty"), force=True)
    assert (tmp_path / "empty").stat().st_size == 32 * MIB
    assert left(tmp_path) == set()


def test_a_block_device_is_copied_without_its_zeros(root: None, source: Path, tmp_path: Path) -> None:
    made = subprocess.run(["losetup", "--find", "--show", str(source)], capture_output=True, text=True, check=True)
    device = made.stdout.strip()
    try:
        assert copies.copy(device, str(tmp_path / "new")) is How.COPIED
        with pytest.raises(UsageError, match="is a block device; take a snapshot by what made it"):
            copies.copy(device, str(tmp_path / "other"), share=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert (tmp_path / "new").read_bytes() == source.read_bytes()
    assert used(tmp_path / "new") <= 16 * MIB


def test_a_source_that_shrinks_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def shrink(done: int, total: int) -> None:
        os.truncate(source, 4096)

    with pytest.raises(StoreError, match="it shrank from 33554432 to 4096 bytes while it was copied"):
        copies.copy(str(source), str(tmp_path / "new"), share=False, progress=shrink)
    assert not (tmp_path / "new").exists()
    assert left(tmp_path) == set()


# qcow2 ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def qcow2(source: Path, tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(source), str(path)], check=True)
    return path


def test_qcow2_is_known_and_converted(source: Path, qcow2: Path, tmp_path: Path) -> None:
    assert [copies.is_qcow2(str(path)) for path in (qcow2, source, tmp_path / "none")] == [True, False, False]
    told: list[tuple[int, int]] = []
    new = tmp_path / "new.img"
    how = copies.convert(str(qcow2), str(new), size=64 * MIB, progress=lambda *news: told.append(news))
    assert how is How.CONVERTED
    assert new.read_bytes() == source.read_bytes() + bytes(32 * MIB)
    assert used(new) <= MIB
    assert new.stat().st_mode & 0o777 == 0o600
    assert told[-1] == (32 * MIB, 32 * MIB)


@pytest.mark.parametrize(("words", "what"), [
    (("-b", "secret", "-F", "raw"), "a backing file, 'secret'"), (("-o", "data_file=secret"), "a data file, 'secret'"),
])
def test_a_qcow2_image_does_not_choose_other_files_to_read(tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(MIB))
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words, str(path), "1M"], check=True, cwd=tmp_path)
    with pytest.raises(UsageError, match=f"names {what}, which would be read too.*qemu-img convert"):
        copies.convert(str(path), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_pipe_that_nobody_writes_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert not copies.is_qcow2(str(pipe))
    with pytest.raises(UsageError, match="name a disk image or a block device"):
        copies.copy(str(pipe), str(tmp_path / "new"))


def test_what_is_no_qcow2(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be converted: .*not in qcow2 format"):
        copies.convert(str(source), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_damaged_one_leaves_nothing(qcow2: Path, tmp_path: Path) -> None:
    whole = qcow2.read_bytes()
    qcow2.write_bytes(whole[:65536] + b"\xff" * (len(whole) - 65536))
    with pytest.raises((UsageError, StoreError), match="cannot be converted"):
        copies.convert(str(qcow2), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    assert left(tmp_path) == set()


def test_who_stops_it_leaves_nothing(qcow2: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copies.convert(str(qcow2), str(tmp_path / "new"), progress=stop)
    assert not (tmp_path / "new").exists()
    assert left(tmp_path) == set()


def test_without_qemu_img_the_package_is_named(qcow2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="qemu-img is needed for that and not installed; on Debian"):
        copies.convert(str(qcow2), str(tmp_path / "new"))
