"""A terminal that a command has for itself for a while: its own screen, keys as they are pressed, all given back.

Whatever ends the ``with`` block, also a signal that ``stopping`` turns into an exception, the terminal is as before.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
from types import TracebackType
from typing import Final

from ietpy.errors import UsageError

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"  #: the other screen, without a cursor, cleared
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST: Final = "\x1b[K"  #: clears to the end of the line
_BELOW: Final = "\x1b[J"  #: and what is below it
SUSPEND: Final = "\x1a"  #: Ctrl-Z
#: What a terminal sends for keys that are no character; others of this form are passed over.
_NAMED: Final = {"A": "up", "B": "down", "5~": "page up", "6~": "page down", "H": "home", "F": "end"}
_SEQUENCE: Final = re.compile(r"\x1b[\[O]([0-9;]*[~A-Za-z])|(.)", re.DOTALL)


def keys(text: str) -> list[str]:
    """What was pressed: characters, and names of keys that are none. A lone escape is a character."""
    found = []
    for match in _SEQUENCE.finditer(text):
        name = _NAMED.get(match[1]) if match[1] else match[2]
        if name:
            found.append(name)
    return found


class Terminal:
    """``with Terminal() as terminal``. Raises UsageError where standard input and output are no terminal."""

    def __init__(self) -> None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
            raise UsageError("this needs a terminal; --once and --batch N print for everything else")
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self._in)

    def __enter__(self) -> Terminal:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _begin(self) -> None:
        """Keys come one by one and are not shown; Ctrl-C stays a signal, Ctrl-Z becomes a key."""
        raw = termios.tcgetattr(self._in)
        raw[3] &= ~(termios.ICANON | termios.ECHO)
        raw[6] = [*raw[6]]
        raw[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(self._in, termios.TCSADRAIN, raw)
        self._write(_ENTER)

    def _end(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # the terminal went away
            self._write(_LEAVE)
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def suspend(self) -> None:
        """Give the terminal back, stop as the shell's other jobs do, and go on when it says so."""
        self._end()
        os.kill(0, signal.SIGTSTP)
        self._begin()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, now."""
        try:
            columns, lines = os.get_terminal_size(self._out)
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def show(self, lines: list[str]) -> None:
        """The screen has these lines, and nothing else."""
        body = "\r\n".join(line + _REST for line in lines)
        self._write(_HOME + body + _BELOW)

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed first, or none after ``seconds``. Raises EOFError when there will be none."""
        if not select.select([self._in], [], [], max(0.0, seconds))[0]:
            return []
        try:
            data = os.read(self._in, 1024)
        except OSError:
            data = b""
        if not data:
            raise EOFError
        return keys(data.decode("utf-8", "replace"))

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._out, data) :]
