"""What the shell sees and makes of disks and files, with and without a daemon, and where its book of names is."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass, field
from typing import Final

from ietpy import images
from ietpy.admin.paths import state_directory
from ietpy.cli.shell.book import Book, from_text, to_text
from ietpy.cli.shell.turn import Found
from ietpy.config.files import read_file
from ietpy.errors import UsageError

BOOK: Final = "shell.json"
_BOOK_LIMIT: Final = 1 << 24  #: bytes; a book that is longer is none of ours
_WIDEST: Final = 100


@dataclass
class Disks:
    """``directory``: where the book is; empty for nowhere. Then names last as long as the session."""

    directory: str = field(default_factory=lambda: state_directory(dict(os.environ), os.geteuid()))
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
        if not self.directory:
            return self._book
        try:
            with open(os.path.join(self.directory, BOOK), encoding="utf-8", errors="surrogateescape") as file:
                return from_text(file.read(_BOOK_LIMIT))
        except FileNotFoundError:
            return self._book
        except (OSError, ValueError):
            return self._book

    def write_book(self, book: Book) -> str:
        """Keep it; why that could not be done, said once."""
        self._book = book
        problem = "there is no directory for state"
        if self.directory:
            try:
                self._write(to_text(book))
                return ""
            except OSError as error:
                problem = f"{self.directory}: {error.strerror}"
                self.directory = ""
        if self._told:
            return ""
        self._told = True
        return f"Names of backstores last as long as this shell ({problem}); then they follow from paths of LUNs."

    def _write(self, text: str) -> None:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        place = os.path.join(self.directory, BOOK)
        fresh = f"{place}.{secrets.token_hex(4)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            os.replace(fresh, place)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(fresh)
            raise


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
