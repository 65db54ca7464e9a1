"""Many sessions at once, a few seconds of what ``tests/long/sixteen-sessions`` does for a minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "long" / "sixteen-sessions"


@pytest.mark.parametrize("layout", ["targets", "luns"])
def test_sixteen_sessions_each_find_what_they_wrote(layout: str) -> None:
    command = [sys.executable, str(SCRIPT), "--seconds", "2", "--layout", layout]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.startswith("16 sessions")
