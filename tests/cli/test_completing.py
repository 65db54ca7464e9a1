"""What a shell completes: names of the running daemon; without one, nothing, and no word of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from ietpy.cli.ietpy import main
from tests.cli.conftest import Daemon

A, B = "iqn.2001-04.com.example:a", "iqn.2001-04.com.example:b"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with Daemon(tmp_path, f"Target {A}\nLun 0 Type=nullio\nTarget {B}\nLun 0 Type=nullio\n") as daemon:
        monkeypatch.setenv("IETPY_CONTROL", daemon.control)
        yield daemon


def completed(words: list[str], incomplete: str) -> list[str]:
    shell = BashComplete(main, {}, "ietpy", "_IETPY_COMPLETE")
    return [item.value for item in shell.get_completions(words, incomplete)]


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [
        ([], "se", ["secret", "sessions", "setup"]),
        (["targets", "--target"], "", [A, B]),
        (["kick", "--all-of-target"], f"{A[:-1]}b", [B]),
        (["sessions", "--initiator"], "", ["iqn.2026-01.net.ietpy:initiator"]),
        (["kick"], "", ["1", "127.0.0.1", "iqn.2026-01.net.ietpy:initiator"]),
    ],
)
def test_names_that_begin_so(served: Daemon, words: list[str], incomplete: str, found: list[str]) -> None:
    served.login(A)
    assert completed(words, incomplete) == found


def test_without_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("IETPY_CONTROL", str(tmp_path / "none"))
    assert completed(["kick"], "") == []
    assert capfd.readouterr() == ("", "")
