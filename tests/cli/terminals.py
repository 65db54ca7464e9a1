"""A command at a terminal: a real pseudo terminal before it, and behind that one which draws what it is sent."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pyte

#: Makes standard input the terminal that controls the session, so that keys can be signals.
_CONTROLLED = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_IETPY = (sys.executable, "-m", "ietpy.cli.ietpy")


class AtTerminal:
    """``with AtTerminal([...], environment) as shown``; ``program`` is ``ietpy`` unless it is said."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], columns: int = 80, lines: int = 24,
        program: Sequence[str] = _IETPY,
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._leader, follower = pty.openpty()
        self._follower = follower  # held open: what was set is looked at when the program has gone
        self.resize(columns, lines)
        self.before = termios.tcgetattr(follower)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLED, *program, *words], stdin=follower, stdout=follower, stderr=follower,
            start_new_session=True, env={**os.environ, "TERM": "xterm-256color", **environment},
        )

    def __enter__(self) -> AtTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(20)
        os.close(self._follower)
        os.close(self._leader)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def type(self, text: str) -> None:
        os.write(self._leader, text.encode())

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def until(self, condition: Callable[[str], bool]) -> str:
        """Draw what comes until the screen is as wanted; twenty seconds bound a failure."""
        deadline = time.monotonic() + 20
        while not condition(self.text):
            left = deadline - time.monotonic()
            assert left > 0, f"it never came about; on the screen:\n{self.text}"
            self._draw(left)
        return self.text

    def see(self, words: str) -> str:
        return self.until(lambda text: words in text)

    def _draw(self, seconds: float) -> None:
        if select.select([self._leader], [], [], seconds)[0]:
            data = os.read(self._leader, 65536)
            self.raw += data
            self._stream.feed(data)

    def ended(self) -> int:
        """The exit status, once it has ended; all it sent is drawn by then, and the terminal is as it was."""
        status = self.process.wait(20)
        while select.select([self._leader], [], [], 0)[0]:
            self._draw(0)
        return status

    @property
    def restored(self) -> bool:
        """Whether keys mean what they meant, the cursor is there, and so is the screen there was before."""
        modes = termios.tcgetattr(self._follower) == self.before
        other = self.raw.rfind(b"\x1b[?1049h") < self.raw.rfind(b"\x1b[?1049l")
        return modes and other and not self.screen.cursor.hidden
