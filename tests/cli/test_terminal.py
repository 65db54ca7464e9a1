"""Keys, and a terminal that is given back; what it is for the programs that use it is in ``test_top``."""

from __future__ import annotations

import pytest

from ietpy.cli.terminal import Terminal, keys
from ietpy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "pressed"),
    [
        ("q", ["q"]), ("iq", ["i", "q"]), ("\x1b[A\x1bOBx", ["up", "down", "x"]), ("\x1b", ["\x1b"]),
        ("\x1b[5~\x1b[6~\x1b[H\x1b[F", ["page up", "page down", "home", "end"]), ("\x1b[1;5C", []), ("\n", ["\n"]),
    ],
)
def test_keys(text: str, pressed: list[str]) -> None:
    assert keys(text) == pressed


def test_where_there_is_none_the_way_out_is_said() -> None:
    with open("/dev/null") as nothing, pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.stdin", nothing)
        patched.setattr("sys.stdout", nothing)
        with pytest.raises(UsageError, match="this needs a terminal; --once and --batch N print"):
            Terminal()
