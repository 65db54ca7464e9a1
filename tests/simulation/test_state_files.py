"""What units keep over a loss of power (APTPL reservations, saved mode pages) is kept at a power cut at any point.

The files are written for real, and every call is noted, with what a file system may leave of it: of changes of a
directory that were not synced any, of a file that was not synced nothing, half or all of it. What is left is served
anew, and must be what was kept before, or what was just being kept; when that was answered, it alone.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import combinations, product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ietpy.errors import StoreError
from ietpy.stores import state
from ietpy.stores.state import StateDirectory, file_name

TARGET = "iqn.2001-04.com.example:storage"
NAME = file_name(TARGET, 0)

#: What is put one after the other.
PUTS: list[tuple[str, Any]] = [
    ("reservations", {"aptpl": 1}), ("mode", {"WCE": 0}), ("reservations", None), ("mode", None), ("mode", {"WCE": 1}),
]


class Disk:
    """Notes what is done below a directory. ``fails``: which call does, counted from 0, and with what errno."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fails: dict[int, int] = {}
        self.calls = 0
        self.made = False  #: whether the directory's own name is on stable storage
        self.entries: dict[str, int] = {}  #: on stable storage, by the number of the file
        self.pending: list[tuple[str, str, str, int]] = []  #: what was done to them since: (what, name, to, file)
        self._numbers: dict[int, int] = {}  #: of files by inode, which may be another file's later
        self.synced: dict[int, bytes] = {}
        self.now: dict[int, bytes] = {}
        self.changed: Callable[[], None] = lambda: None

    @contextmanager
    def beneath(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(patch.object(state, "os", self))
            stack.enter_context(patch.object(state, "open", self._open_file, create=True))
            yield

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _call(self) -> None:
        self.changed()
        self.calls += 1
        code = self.fails.get(self.calls - 1)
        if code:
            raise OSError(code, os.strerror(code))

    def open(self, path: str, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT:
            self._call()
        descriptor = os.open(path, flags, *mode)
        if flags & os.O_CREAT:
            number = self._numbers[os.fstat(descriptor).st_ino] = len(self.now)
            self.now[number], self.synced[number] = b"", b""
            self.pending.append(("make", os.path.basename(path), "", number))
        return descriptor

    def _open_file(self, descriptor: int, mode: str, **how: Any) -> Any:
        if "w" in mode:
            self._call()
        return builtins.open(descriptor, mode, **how)

    def fsync(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        number = self._numbers.get(found.st_ino) if stat.S_ISREG(found.st_mode) else None
        if number is not None:
            self.now[number] = os.pread(descriptor, found.st_size, 0)
        self._call()
        if number is not None:
            self.synced[number] = self.now[number]
        elif os.path.samestat(found, self.root.stat()):
            for what in self.pending:
                apply(self.entries, what)
            self.pending.clear()
        else:
            self.made = True
        self.changed()

    def replace(self, source: str, to: str) -> None:
        self._call()
        number = self._numbers[os.stat(source).st_ino]
        self.now[number] = Path(source).read_bytes()
        os.replace(source, to)
        self.pending.append(("move", os.path.basename(source), os.path.basename(to), number))
        self.changed()

    def unlink(self, path: str) -> None:
        self._call()
        os.unlink(path)
        self.pending.append(("remove", os.path.basename(path), "", 0))
        self.changed()

    def left(self) -> Iterator[dict[str, bytes]]:
        """The files that a power cut may leave: each kind of outcome once."""
        if not self.made:
            yield {}
        for many in range(len(self.pending) + 1):
            for chosen in combinations(self.pending, many):
                entries = dict(self.entries)
                for what in chosen:
                    apply(entries, what)
                names = sorted(entries)
                for contents in product(*(self._may(entries[name]) for name in names)):
                    yield dict(zip(names, contents, strict=True))

    def _may(self, number: int) -> set[bytes]:
        now, synced = self.now[number], self.synced[number]
        return {synced, now, now[:len(now) // 2]} if now != synced else {synced}


def apply(entries: dict[str, int], what: tuple[str, str, str, int]) -> None:
    kind, name, to, number = what
    if kind == "make":
        entries[name] = number
        return
    entries.pop(name, None)
    if kind == "move":
        entries[to] = number


class Served:
    """A unit's state over a disk, and what may be there after a power cut."""

    def __init__(self, where: Path) -> None:
        self.root = where / "state"
        self.disk = Disk(self.root)
        self.kept: dict[str, Any] = {}
        self.coming: list[dict[str, Any]] = []  #: what was tried since something was kept last
        self._where = where
        self._seen: set[str] = set()
        self.cuts = 0
        unit = StateDirectory(str(self.root)).unit(TARGET, 0)
        assert unit is not None
        self.unit = unit
        self.disk.changed = self.check

    def put(self, section: str, value: Any) -> bool:
        """Whether it was kept."""
        wanted = {**self.kept, section: value}
        wanted = {name: each for name, each in wanted.items() if each is not None}
        self.coming.append(wanted)
        try:
            with self.disk.beneath():
                self.unit.put(section, value)
        except StoreError:
            self.check()
            return False
        self.kept, self.coming = wanted, []
        self.check()
        return True

    def found(self) -> dict[str, Any]:
        """What the file says."""
        file = self.root / NAME
        sections: dict[str, Any] = json.loads(file.read_text())["sections"] if file.exists() else {}
        return sections

    def check(self) -> None:
        """The power is cut here, in every way."""
        with patch.object(state, "os", os), patch.object(state, "open", builtins.open, create=True):
            self._check()

    def _check(self) -> None:
        allowed = [self.kept, *self.coming]
        for files in self.disk.left():
            key = json.dumps([allowed, sorted((name, text.decode()) for name, text in files.items())])
            if key in self._seen:
                continue
            self._seen.add(key)
            self.cuts += 1
            root = self._where / f"cut{self.cuts}"
            root.mkdir()
            for name, text in files.items():
                (root / name).write_bytes(text)
            directory = StateDirectory(str(root))
            directory.prepare()
            unit = directory.unit(TARGET, 0)
            assert unit is not None
            found = {name: unit.get(name) for name in ("reservations", "mode") if unit.get(name) is not None}
            unit.close()
            assert found in allowed, f"{found} is left of {files}"
            assert set(os.listdir(root)) <= {NAME}, "what was not whole is cleared away"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.unit.close()


def test_at_every_point_it_is_the_old_or_the_new(served: Served) -> None:
    for section, value in PUTS:
        assert served.put(section, value)
    assert served.cuts > 20


def test_every_call_fails_once(tmp_path: Path) -> None:
    """Nothing is said to be kept that is not, nor forgotten that was; and the next thing is kept again."""
    number, failed = 0, 0
    while True:
        where = tmp_path / str(number)
        where.mkdir()
        served = Served(where)
        served.disk.fails = {number: errno.EIO}
        for section, value in PUTS:
            if not served.put(section, value):
                failed += 1
                assert served.unit.get(section) == served.kept.get(section)
                assert served.found() == served.kept, "a daemon that is killed now finds what was kept"
                assert served.put(section, served.kept.get(section))
        served.disk.fails = {}
        assert served.put("mode", {"WCE": 2})
        served.unit.close()
        if served.disk.calls <= number:
            break
        number += 1
    assert failed > 10
