"""The files that stand for IET's /proc/net/iet: kept current below a directory of ours, replaced as a whole."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from ietpy.errors import UsageError
from ietpy.events import Event, confess

log = logging.getLogger(__name__)

DIRECTORY_MODE: Final = 0o755
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE: Final = 0o644  #: IET's were world-readable too
#: After publishing the thread rests so many times as long as that took, or ``LONGEST_REST`` seconds: with thousands of
#: targets many logins at once would keep a processor busy writing.
_REST: Final = 10
LONGEST_REST: Final = 1.0


def _replace(name: str, text: str, directory: int) -> None:
    fresh = f"{name}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(fresh, flags, FILE_MODE, dir_fd=directory)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, FILE_MODE)
        file.write(text.encode("utf-8", "surrogateescape"))
    os.replace(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)


class Publisher:
    """Writes ``texts`` (file name to what makes its text) whenever it is told that something changed.

    ``prepare`` may run as root; ``start`` begins the thread; ``stop`` takes everything away.
    """

    def __init__(self, directory: str, texts: Mapping[str, Callable[[], str]]) -> None:
        self.directory = directory
        self._texts = texts
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._over = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None  #: made after the forks of detaching, by ``start``
        self._complained = False
        self.also: Callable[[], None] | None = None  #: what else follows changes

    def prepare(self, uid: int, gid: int) -> None:
        """Make the directory, for the user who will write in it (0: ourselves). Raises UsageError.

        One that is there already must not be somebody else's, who could put links where our files will be.
        """
        uid, gid = uid or os.geteuid(), gid or os.getegid()
        try:
            if os.geteuid() == 0 and self._owner() not in (None, 0, uid):
                self._remove()  # left over by a daemon that became another user
            os.makedirs(self.directory, DIRECTORY_MODE, exist_ok=True)
            descriptor = os.open(self.directory, _DIRECTORY)
            try:
                owner = os.fstat(descriptor).st_uid
                if owner not in (os.geteuid(), uid):
                    raise UsageError(f"{self.directory} belongs to user {owner}; remove it, or use --control")
                os.fchmod(descriptor, DIRECTORY_MODE)
                if os.geteuid() == 0:
                    os.fchown(descriptor, uid, gid)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UsageError(f"{self.directory} cannot be made: {error.strerror}; use --control") from None

    def _owner(self) -> int | None:
        try:
            return os.lstat(self.directory).st_uid
        except OSError:
            return None

    def start(self) -> None:
        self.publish()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
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
                self._publish()
                self._complained = False
            except OSError as error:
                if not self._complained:  # once: it may fail at every login
                    Event.NOT_PUBLISHED.tell(log, "cannot write below %s: %s", self.directory, error.strerror)
                self._complained = True
            except Exception as mistake:  # ours; it costs these files being current, and nobody his login
                confess(log, "internal error while publishing: %r", mistake)

    def _publish(self) -> None:
        if self.also is not None:
            self.also()
        directory = os.open(self.directory, _DIRECTORY)
        try:
            owner = os.fstat(directory).st_uid
            if owner not in (0, os.geteuid()):
                raise PermissionError(errno.EACCES, f"it belongs to user {owner}")
            for name, text in self._texts.items():
                _replace(name, text(), directory)
        finally:
            os.close(directory)

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            if self._stopping:
                return
            begun = time.monotonic()
            self.publish()
            self._over.wait(min(LONGEST_REST, (time.monotonic() - begun) * _REST))

    def stop(self) -> None:
        """End the thread and remove files and directory: whoever looks for them learns that nobody serves."""
        with self._lock:
            self._stopping = True
        self._over.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # after -u it lies in a directory of root; then it stays, empty
            descriptor = os.open(self.directory, _DIRECTORY)
            try:
                for name in self._texts:
                    for path in (name, f"{name}.new"):
                        with contextlib.suppress(OSError):
                            os.unlink(path, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            os.rmdir(self.directory)
