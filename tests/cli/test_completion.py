"""``ietpy completion``: a real bash completes with it; scripts of the other shells are click's for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ietpy.cli.ietpy import main
from tests.cli.conftest import A, Daemon


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o nosort -F _ietpy_completion ietpy"), ("zsh", "#compdef ietpy"),
        ("fish", "complete --no-files"),
    ],
)
def test_each_shell_has_its_script(shell: str, words: str) -> None:
    ended = CliRunner().invoke(main, ["completion", shell])
    assert (ended.exit_code, words in ended.stdout, "_IETPY_COMPLETE" in ended.stdout) == (0, True, True)


def test_another_shell_is_refused() -> None:
    ended = CliRunner().invoke(main, ["completion", "tcsh"])
    assert (ended.exit_code, "'bash', 'zsh', 'fish'" in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["se"], {"secret", "sessions"}), (["add", "l"], {"lun"}), (["remove", "target", A[:-2]], {A}),
        (["logs", "--co"], {"--code"}),
    ],
)
def test_bash_completes(busy: Daemon, tmp_path: Path, words: list[str], found: set[str]) -> None:
    ietpy = tmp_path / "ietpy"
    ietpy.write_text(f"#!{sys.executable}\nfrom ietpy.cli.ietpy import main\nmain()\n")  # as pip makes it
    ietpy.chmod(0o755)
    script = (
        f"source <(ietpy completion bash); COMP_WORDS=(ietpy {' '.join(words)}); COMP_CWORD={len(words)};"
        " _ietpy_completion ietpy; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    environment = {**os.environ, **busy.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert set(shown.stdout.split()) >= found
    assert shown.stderr == ""
