"""The load generator against a server in this process: what it says is what happened, and it notices wrong data."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.generators import compiled
from tests.server.conftest import BLOCKS, NAME, Served

pytestmark = pytest.mark.interop

SIZE = BLOCKS * 512


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path / "disk.img") as served:
        yield served


def load(served: Served, *arguments: object, status: int = 0) -> dict[str, Any]:
    command = [str(compiled("load.c")), *map(str, arguments), f"iscsi://127.0.0.1:{served.port}/{NAME}/0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"said": done.stderr}


@pytest.mark.parametrize("digests", [[], ["--digests"]], ids=["plain", "digests"])
@pytest.mark.parametrize(
    ("size", "depth", "sessions"), [(512, 32, 3), (4096, 16, 1), (262144, 4, 2), (1048576, 2, 1)], ids=str
)
def test_mixes_are_verified(served: Served, digests: list[str], size: int, depth: int, sessions: int) -> None:
    result = load(
        served, "--verify", "--read", 50, "--size", size, "--depth", depth, "--sessions", sessions, "--count", 600,
        "--seconds", 60, *digests,
    )
    assert (result["ops"], result["errors"], result["miscompares"]) == (600, 0, 0)
    assert result["bytes"] == 600 * size
    assert result["digests"] is bool(digests)
    assert 0 < result["reads"] < 600
    assert result["verified"] >= min(SIZE // size, 50)  # every place was written, or that many of them
    assert result["attentions"] == sessions - 1  # one each, and the first session's went with its first look
    assert 0 < result["p50_us"] <= result["p99_us"]


def test_reads_only(served: Served) -> None:
    result = load(served, "--sequential", "--count", 100, "--seconds", 60)
    assert (result["ops"], result["reads"], result["verified"]) == (100, 100, 0)


def test_wrong_data_is_noticed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that loses every write."""
    monkeypatch.setattr(served.store, "write", lambda offset, views, fua: None)
    result = load(served, "--verify", "--read", 0, "--count", 100, "--seconds", 60, status=1)
    assert result["miscompares"] == result["verified"] > 0
    assert "are not what was written" in result["said"]


def test_idle_sessions_are_kept(served: Served) -> None:
    result = load(served, "--depth", 0, "--sessions", 4, "--seconds", 1)
    assert (result["ops"], result["errors"]) == (0, 0)


def test_nobody_listens() -> None:
    done = subprocess.run(
        [str(compiled("load.c")), f"iscsi://127.0.0.1:1/{NAME}/0"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "load: 127.0.0.1 port 1: Connection refused\n"
