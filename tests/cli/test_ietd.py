"""``ietd``: until it understands IET's options it says what to use instead, and never claims success."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import ietpy
from ietpy.cli.ietd import main


@pytest.mark.parametrize("arguments", [[], ["--op", "show", "--tid=1"], ["-c", "/etc/iet/ietd.conf", "-f"], ["x"]])
def test_it_names_the_command_to_use(arguments: list[str]) -> None:
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 1
    assert ended.output.startswith("ietd: not ready yet; use ietpy-daemon start")


def test_help_and_version() -> None:
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
    assert CliRunner().invoke(main, ["--version"]).output == f"ietd (ietpy), version {ietpy.__version__}\n"
