"""What the shell sees and makes of disks and files, with and without a daemon, and what it keeps: names and history.

These are in a directory of this user alone: what others could put there would be believed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ietpy import images
from ietpy.admin.paths import state_directory
from ietpy.cli.shell.book import Book, from_text, to_text
from ietpy.cli.shell.turn import Found
from ietpy.config.files import read_file
from ietpy.errors import UsageError

BOOK: Final = "names.json"
HISTORY: Final = "history"
#: Behind the name of a daemon's state directory, which is to have nothing else in it.
_BESIDE: Final = "-shell"
_BOOK_LIMIT: Final = 1 << 24  #: bytes; a book that is longer is none of ours
_WIDEST: Final = 100


@dataclass
class Disks:
    """``directory``: where the book is; empty for nowhere. Then names last as long as the session."""

    directory: str = field(default_factory=lambda: beside(state_directory(dict(os.environ), os.geteuid())))
    _book: Book = field(default_factory=Book)
    _told: bool = False

    def look(self, path: str) -> Found | None:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        if stat.S_ISREG(status.st_mode):
            return Found("file", status.st_size)
        if stat.S_ISBLK(status.st_mode):
            return Found("block", _size_of_device(path))
        return Found("directory" if stat.S_ISDIR(status.st_mode) else "other")

    def absolute(self, path: str) -> str:
        if not path or "\0" in path:
            raise UsageError("a path has at least one character, and no NUL")
        return os.path.abspath(os.path.expanduser(path))

    def make_image(self, path: str, size: int, sparse: bool) -> None:
        images.make_image(path, size, preallocate=not sparse)

    def node_name(self) -> str:
        return images.target_name(f"sn-{secrets.token_hex(6)}", os.uname().nodename)

    def load(self, path: str) -> str:
        try:
            return read_file(self.absolute(path), regular=True)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; name a file that saveconfig wrote") from None

    def files(self, prefix: str) -> list[str]:
        directory, _, start = prefix.rpartition("/")
        try:
            names = sorted(os.listdir(os.path.expanduser(directory) + "/" if "/" in prefix else "."))
        except OSError:
            return []
        lead = f"{directory}/" if "/" in prefix else ""
        found = [f"{lead}{name}" for name in names if name.startswith(start) and (start or not name.startswith("."))]
        return [f"{name}/" if os.path.isdir(os.path.expanduser(name)) else f"{name} " for name in found]

    def width(self) -> int:
        return min(shutil.get_terminal_size().columns, _WIDEST)

    # -- the book -------------------------------------------------------------------------------------------------

    def read_book(self) -> Book:
        """The book as it is now; an empty one where there is none, or one that cannot be read."""
        try:
            return from_text(self._read(BOOK))
        except (OSError, ValueError):
            return self._book

    def write_book(self, book: Book) -> str:
        """Keep it; why that could not be done, said once."""
        self._book = book
        problem = "there is no directory for state"
        if self.directory:
            try:
                self._write(BOOK, to_text(book))
                return ""
            except OSError as error:
                problem = f"{self.directory}: {error.strerror}"
                self.directory = ""
        if self._told:
            return ""
        self._told = True
        return f"Names of backstores last as long as this shell ({problem}); then they follow from paths of LUNs."

    def read_history(self) -> list[str]:
        try:
            return self._read(HISTORY).splitlines()
        except OSError:
            return []

    def write_history(self, lines: list[str]) -> None:
        with contextlib.suppress(OSError):
            self._write(HISTORY, "".join(f"{line}\n" for line in lines))

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """While another shell of this user changes nothing."""
        try:
            descriptor = self._open(make=True)
        except OSError:  # there is nothing to lock
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open(self, make: bool = False) -> int:
        """A descriptor of the directory. Raises OSError if there is none of ours."""
        if not self.directory:
            raise FileNotFoundError(errno.ENOENT, "there is no directory for it")
        if make:
            os.makedirs(os.path.dirname(self.directory), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.directory, 0o700)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            os.close(descriptor)
            raise PermissionError(errno.EPERM, "it is not this user's alone")
        return descriptor

    def _read(self, name: str) -> str:
        directory = self._open()
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            with open(descriptor, encoding="utf-8", errors="surrogateescape") as file:
                return file.read(_BOOK_LIMIT)
        finally:
            os.close(directory)

    def _write(self, name: str, text: str) -> None:
        directory = self._open(make=True)
        fresh = f"{name}.{secrets.token_hex(4)}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(fresh, flags, 0o600, dir_fd=directory)
            try:
                with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(text)
                os.replace(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(fresh, dir_fd=directory)
                raise
        finally:
            os.close(directory)


def beside(state: str) -> str:
    """The directory of the shell beside a daemon's state directory; empty if there is none."""
    return f"{state.rstrip('/')}{_BESIDE}" if state else ""


def _size_of_device(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    except OSError:
        return 0
    finally:
        os.close(descriptor)
