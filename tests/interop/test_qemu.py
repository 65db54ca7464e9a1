"""QEMU's iSCSI block driver against the daemon: what is written comes back, of every kind of LUN and block size."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TARGET = "iqn.2001-04.com.example:qemu"
MIB = 1 << 20
SIZE = 64 * MIB

#: (type, IOMode, block size); blockio is on a loop device with sectors of that size.
FLAVOURS = [
    ("fileio", "wt", 512),
    ("fileio", "wt", 4096),
    ("fileio", "wb", 512),
    ("fileio", "wb", 4096),
    ("blockio", "wt", 512),
    ("blockio", "wt", 4096),
]

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def noise(image: Make) -> Path:
    path: Path = image("noise.img", SIZE, seed=7143)
    return path


@pytest.fixture
def disk(request: pytest.FixtureRequest, serve: Make, image: Make, loop_device: Make) -> Any:
    """A daemon with an empty LUN of one flavour, and the file that is behind it."""
    kind, mode, block_size = request.param
    path: Path = image("disk.img", SIZE)
    store = loop_device(path, block_size) if kind == "blockio" else path
    line = f"Lun 0 Path={store},Type={kind},IOMode={mode},BlockSize={block_size}"
    daemon = serve(f"Target {TARGET}\n\t{line}\n")
    (lun,) = daemon.status()["targets"][0]["luns"]
    expected = {"number": 0, "type": kind, "path": str(store), "mode": mode, "block_size": block_size, "size": SIZE}
    assert {name: lun[name] for name in expected} == expected
    assert not lun["leaving"]
    return daemon, path


flavours = pytest.mark.parametrize("disk", FLAVOURS, ids=lambda row: f"{row[0]}-{row[1]}-{row[2]}", indirect=True)


def patterns(run: Make, url: str, *commands: str) -> str:
    """qemu-io's output of these commands, all of which must succeed and verify."""
    answer = run("qemu-io", "-f", "raw", *(word for line in commands for word in ("-c", line)), url)
    assert "failed" not in answer.stdout + answer.stderr, answer
    return str(answer.stdout)


@flavours
def test_an_image_comes_back_byte_for_byte(disk: Any, run: Make, noise: Path, tmp_path: Path) -> None:
    daemon, behind = disk
    back = tmp_path / "back.img"
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", noise, daemon.url(TARGET))
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", daemon.url(TARGET), back)
    assert filecmp.cmp(noise, back, shallow=False)

    daemon.restart()
    assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", noise, daemon.url(TARGET)).stdout
    daemon.stop()
    assert filecmp.cmp(noise, behind, shallow=False)


@flavours
def test_patterns(disk: Any, run: Make) -> None:
    daemon, _ = disk
    url = daemon.url(TARGET)
    patterns(
        run, url,
        "write -P 0xab 0 1M",
        "write -P 0xcd 1M 4M",
        "write -f -P 0xef 5M 64k",
        "write -P 0x11 60M 4M",
        "flush",
    )  # fmt: skip
    # Another process, so nothing of it is in a cache of the initiator.
    patterns(
        run, url,
        "read -P 0xab 0 1M",
        "read -P 0xcd 1M 4M",
        "read -P 0xef 5M 64k",
        "read -P 0 6M 1M",
        "read -P 0x11 60M 4M",
    )  # fmt: skip


@flavours
def test_zeroes_and_discard(disk: Any, run: Make) -> None:
    daemon, behind = disk
    url = daemon.url(TARGET)
    patterns(run, url, "write -P 0x77 0 8M", "flush")
    allocated = behind.stat().st_blocks
    patterns(run, url, "write -z 1M 1M", "write -z -u 3M 1M", "discard 5M 2M", "flush")
    patterns(
        run, url,
        "read -P 0x77 0 1M",
        "read -P 0 1M 1M",
        "read -P 0x77 2M 1M",
        "read -P 0 3M 1M",
        "read -P 0x77 4M 1M",
        "read -P 0 5M 2M",
        "read -P 0x77 7M 1M",
    )  # fmt: skip
    daemon.stop()
    # What was discarded is free again, but for what the file system needs to say so.
    assert allocated - behind.stat().st_blocks >= (2 * MIB - 64 * 1024) // 512


@flavours
def test_many_small_writes_at_once(disk: Any, run: Make) -> None:
    daemon, _ = disk
    requests = [(at, at // 64 + 1) for at in range(0, 4096, 64)]  # KiB, pattern
    url = daemon.url(TARGET)
    patterns(run, url, *(f"aio_write -q -P {pattern} {at}k 64k" for at, pattern in requests), "aio_flush")
    patterns(run, url, *(f"aio_read -q -P {pattern} {at}k 64k" for at, pattern in requests), "aio_flush")


def test_a_read_only_lun_says_so(serve: Make, run: Make, image: Make) -> None:
    path = image("disk.img", MIB, seed=1)
    before = path.read_bytes()
    url = serve(f"Target {TARGET}\n\tLun 0 Path={path},IOMode=ro\n").url(TARGET)
    refused = run("qemu-io", "-f", "raw", "-c", "write -P 1 0 64k", url, status=None)
    assert refused.returncode != 0
    assert "write protected" in refused.stderr.lower() or "read-only" in refused.stderr.lower()
    assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", path, url).stdout
    assert path.read_bytes() == before
