"""Media for the store contract: files, and for root also loop devices and file systems of their own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ietpy.scsi.store import BackingStore
from ietpy.stores import open_store

MEDIUM_SIZE = 8 << 20


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, env={
        **os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}).stdout.strip()


@contextmanager
def loop_device(image: Path, *options: str) -> Iterator[str]:
    device = run("losetup", "--find", "--show", *options, str(image))
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextmanager
def mounted(*words: str, at: Path) -> Iterator[Path]:
    at.mkdir()
    run("mount", *words, str(at))
    try:
        yield at
    finally:
        run("umount", str(at))


def sparse_file(path: Path, size: int = MEDIUM_SIZE) -> Path:
    with path.open("xb") as file:
        file.truncate(size)
    return path


@dataclass
class Medium:
    """Something a store can be opened on. ``image``: the file that holds its bytes in the end, if any."""

    type: str
    path: str
    size: int
    image: Path | None
    options: dict[str, Any] = field(default_factory=dict)
    opened: list[BackingStore] = field(default_factory=list)

    def open(self, **arguments: Any) -> BackingStore:
        store = open_store(self.type, self.path, options=self.options, **arguments)
        self.opened.append(store)
        return store


@contextmanager
def plain_file(where: Path) -> Iterator[Medium]:
    image = sparse_file(where / "disk.img")
    yield Medium("fileio", str(image), MEDIUM_SIZE, image)


@contextmanager
def file_on_tmpfs(where: Path) -> Iterator[Medium]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory, plain_file(Path(directory)) as medium:
        yield medium


@contextmanager
def file_on_ext4(where: Path) -> Iterator[Medium]:
    with small_ext4(where, 32 << 20) as directory, plain_file(directory) as medium:
        yield medium


@contextmanager
def small_ext4(where: Path, size: int) -> Iterator[Path]:
    image = sparse_file(where / "ext4.img", size)
    run("mkfs.ext4", "-q", "-m", "0", str(image))
    with loop_device(image) as device, mounted(device, at=where / "ext4") as directory:
        yield directory


def on_loop(type: str, *options: str) -> Callable[[Path], Any]:
    @contextmanager
    def medium(where: Path) -> Iterator[Medium]:
        image = sparse_file(where / "loop.img")
        with loop_device(image, *options) as device:
            yield Medium(type, device, MEDIUM_SIZE, image)

    return medium


@contextmanager
def nothing(where: Path) -> Iterator[Medium]:
    yield Medium("nullio", "", MEDIUM_SIZE, None, {"Blocks": MEDIUM_SIZE // 512})


MEDIA: dict[str, Callable[[Path], Any]] = {
    "fileio on a file": plain_file,
    "nullio": nothing,
}
if os.access("/dev/shm", os.W_OK):
    MEDIA["fileio on a file in /dev/shm"] = file_on_tmpfs
if os.geteuid() == 0:  # what only root can make; a plain user's list lacks these ids, for all to see
    MEDIA |= {
        "fileio on a file on ext4 (root)": file_on_ext4,
        "fileio on a loop device (root)": on_loop("fileio"),
        "fileio on a loop device of 4096-byte blocks (root)": on_loop("fileio", "--sector-size", "4096"),
        "blockio on a loop device (root)": on_loop("blockio"),
        "blockio on a loop device of 4096-byte blocks (root)": on_loop("blockio", "--sector-size", "4096"),
    }


@pytest.fixture(params=list(MEDIA))
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Medium]:
    """Every medium in turn, 8 MiB of zeros; what was opened on it is closed in the end."""
    with ExitStack() as stack:
        made: Medium = stack.enter_context(MEDIA[request.param](tmp_path))
        yield made
        for store in made.opened:
            store.close()


@pytest.fixture
def media() -> dict[str, Callable[[Path], Any]]:
    """All media by name, for tests that choose."""
    return MEDIA


@pytest.fixture
def unit(medium: Medium) -> int:
    """The block the medium is addressed by."""
    store = medium.open()
    store.close()
    return store.block_size


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A plain file of 8 MiB."""
    return sparse_file(tmp_path / "plain.img")


@pytest.fixture
def small_file_systems(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Directories with a few MiB of room each (root)."""
    with small_ext4(tmp_path, 8 << 20) as ext4, mounted(
            "-t", "tmpfs", "-o", "size=2m", "tmpfs", at=tmp_path / "tmpfs") as tmpfs:
        yield {"ext4": ext4, "tmpfs": tmpfs}


@pytest.fixture
def loop() -> Callable[..., Any]:
    """``with loop(image, *losetup options) as device`` (root)."""
    return loop_device
