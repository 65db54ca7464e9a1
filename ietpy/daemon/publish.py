"""The files that stand for IET's /proc/net/iet: kept current below a directory of ours, replaced as a whole."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Final

from ietpy.errors import UsageError

log = logging.getLogger(__name__)

DIRECTORY_MODE: Final = 0o755
FILE_MODE: Final = 0o644  #: IET's were world-readable too


class Publisher:
    """Writes ``texts`` (file name to what makes its text) whenever it is told that something changed.

    ``prepare`` may run as root; ``start`` begins the thread; ``stop`` takes everything away.
    """

    def __init__(self, directory: str, texts: Mapping[str, Callable[[], str]]) -> None:
        self.directory = directory
        self._texts = texts
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._complained = False

    def prepare(self, uid: int, gid: int) -> None:
        """Make the directory, for the user who will write in it (0: nobody else). Raises UsageError."""
        try:
            os.makedirs(self.directory, DIRECTORY_MODE, exist_ok=True)
            os.chmod(self.directory, DIRECTORY_MODE)
            if uid or gid:
                os.chown(self.directory, uid or -1, gid or -1)
        except OSError as error:
            raise UsageError(f"{self.directory} cannot be made: {error.strerror}; use --control") from None

    def start(self) -> None:
        self.publish()
        self._thread.start()

    def changed(self) -> None:
        """Have the files written soon; never waits."""
        self._news.set()

    def publish(self) -> None:
        """Write the files now."""
        with self._lock:
            if self._stopping:
                return
            try:
                for name, text in self._texts.items():
                    self._replace(os.path.join(self.directory, name), text())
                self._complained = False
            except OSError as error:
                if not self._complained:  # once: it may fail at every login
                    log.warning("cannot write below %s: %s", self.directory, error.strerror)
                self._complained = True

    def _replace(self, path: str, text: str) -> None:
        fresh = f"{path}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, FILE_MODE)
            file.write(text.encode("utf-8", "surrogateescape"))
        os.replace(fresh, path)

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            if self._stopping:
                return
            self.publish()

    def stop(self) -> None:
        """End the thread and remove files and directory: whoever looks for them learns that nobody serves."""
        with self._lock:
            self._stopping = True
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join()
        for name in self._texts:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.directory, name))
        with contextlib.suppress(OSError):  # after -u it lies in a directory of root; then it stays, empty
            os.rmdir(self.directory)
