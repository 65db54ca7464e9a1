"""The stores of one daemon: one object per backing file or device, however many Lun lines name it.

No lock is held while a medium is looked at, opened, flushed or closed: a dead one (a file of an NFS server that is
gone) holds up whoever asked for it, for ``patience`` seconds, and nobody else.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ietpy.config.model import LunConfig
from ietpy.errors import StoreError
from ietpy.events import Event
from ietpy.scsi.exclusion import Exclusion
from ietpy.scsi.store import BackingStore
from ietpy.stores import open_store

log = logging.getLogger(__name__)

#: Seconds a medium may take to be opened while a daemon serves; a disk that has to spin up takes longer, once.
OPENING: Final = 5.0
#: Seconds after the start in which processes of a daemon that was killed may still hold media.
LETTING_GO: Final = 5.0
_PAUSE: Final = 0.02  #: between attempts to open what is locked

#: Block devices by number, and below that what one is called wherever it is attached; of a partition its disk.
_DEVICES: Final = "/sys/dev/block"
_DEVICE_NAMES: Final = (
    "dm/uuid", "wwid", "device/wwid", "serial", "loop/backing_file",
    "../wwid", "../device/wwid", "../serial", "../loop/backing_file",
)

Opener = Callable[..., BackingStore]
#: What makes two Lun lines one medium: a device number and an inode, or a block device's own number.
StoreKey = tuple[int, ...]
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Held:
    """An open store and the Lun lines it serves."""

    store: BackingStore
    key: StoreKey | None
    read_only: bool
    users: list[LunConfig] = field(default_factory=list)
    #: Of all logical units over this store, for commands that must be alone.
    exclusion: Exclusion = field(default_factory=lambda: Exclusion(threading.Condition()))
    closed: bool = False
    failed: bool = False  #: flushing it was not possible


class Media:
    """``base``: where relative paths count from. Methods may be called from several threads.

    ``patience``: seconds to wait for a medium, in a thread of its own; None: as long as it takes, and no thread.
    ``until`` (``time.monotonic``): others who have locked media may be about to go.
    """

    def __init__(self, base: str = "/", opener: Opener = open_store, until: float = 0.0) -> None:
        self.base = base
        self.until = until
        self.patience: float | None = None
        self._opener = opener
        self._lock = threading.Lock()
        self._held: dict[Held, None] = {}  #: in the order of opening
        self._by_key: dict[StoreKey, Held] = {}
        #: Media some line wants to write: their one store is opened for writing whatever line comes first.
        self._written: set[StoreKey | None] = set()
        #: Paths that did not answer in time and have not answered since.
        self._silent: set[str] = set()

    def expect(self, luns: Iterable[LunConfig]) -> None:
        """These lines, and none from before, will be opened: a medium that one of them writes is opened for writing."""
        written: set[StoreKey | None] = set()
        wanted = [lun for lun in luns if not lun.read_only and lun.path]
        if wanted:
            with contextlib.suppress(TooSlow, StoreError):  # opening it says so
                self._asked(lambda: written.update(map(self._key, wanted))).result(self.patience)
        with self._lock:
            self._written = {*written} - {None}

    def open(self, lun: LunConfig) -> Held:
        """The store of one Lun line; its ``users`` are the lines that had it before, and this one.

        Raises StoreError; EBUSY where the medium is open for reading only, which must be let go first, ETIMEDOUT
        where it does not answer.
        """
        path = self.path(lun)
        if not path:
            return self._open(lun)
        with self._lock:
            if path in self._silent:
                raise StoreError(errno.EBUSY, f"{path} has still not answered to an earlier attempt; try again later")
        answer = self._asked(lambda: self._open(lun))
        try:
            return answer.result(self.patience)
        except TooSlow:
            with self._lock:
                self._silent.add(path)
            answer.add_done_callback(lambda late: self._answered(late, lun))
            problem = f"{path} does not answer; {self.patience:g} s were waited for it"
            raise StoreError(errno.ETIMEDOUT, problem) from None

    def identity(self, lun: LunConfig) -> str:
        """What tells the medium of a Lun line, which was opened, from others, as well as can be told after a restart:
        its path, and the number or the name behind it. Raises StoreError where it does not answer.
        """
        path = self.path(lun)
        try:
            return self._asked(lambda: _identity(path) if path else lun.type).result(self.patience)
        except TooSlow:
            raise StoreError(errno.ETIMEDOUT, f"{path} does not answer any more") from None

    def shared(self, lun: LunConfig) -> Hashable:
        """What two Lun lines have in common that need one store; None where a line never shares its own."""
        path = self.path(lun)
        if not path:
            return None
        try:
            return self._asked(lambda: self._key(lun)).result(self.patience) or path
        except (TooSlow, StoreError):
            return path

    def _asked(self, question: Callable[[], T]) -> Future[T]:
        """What will hold the answer: has it already, or will get it from a thread. Raises StoreError without one."""
        answer: Future[T] = Future()
        if self.patience is None:
            _answer(answer, question)
        else:
            try:
                threading.Thread(target=_answer, args=(answer, question), name="opening", daemon=True).start()
            except RuntimeError as problem:
                raise StoreError(errno.EAGAIN, f"no medium can be opened now: {problem}") from None
        return answer

    def _answered(self, late: Future[Held], lun: LunConfig) -> None:
        """A medium was opened when nobody waited for it any more."""
        with self._lock:
            self._silent.discard(self.path(lun))
        if late.exception() is None:
            held = late.result()
            if self.release(held, lun):
                self.close(held)

    def _open(self, lun: LunConfig) -> Held:
        key = self._key(lun)
        with self._lock:
            if key in self._by_key:
                return self._share(self._by_key[key], lun)
            read_only = lun.read_only if key is None else lun.read_only and key not in self._written
        store = self._opened(lun, read_only)
        held = Held(store, key, read_only, [lun])
        with self._lock:
            self._held[held] = None
            if key is not None:
                self._by_key.setdefault(key, held)
        return held

    def _opened(self, lun: LunConfig, read_only: bool) -> BackingStore:
        while True:
            try:
                return self._opener(
                    lun.type, self.path(lun), read_only=read_only, block_size=lun.block_size, options=lun.options
                )
            except StoreError as error:
                if error.errno != errno.EBUSY or time.monotonic() >= self.until:
                    raise
            time.sleep(_PAUSE)

    def _share(self, held: Held, lun: LunConfig) -> Held:
        if not held.users:
            raise StoreError(errno.EBUSY, f"{lun.path} is still being let go by the LUN that had it; try again")
        if held.read_only and not lun.read_only:
            first = held.users[0].span
            raise StoreError(errno.EBUSY, f"{lun.path} is open for reading only, for the LUN at {first}")
        held.users.append(lun)
        return held

    def release(self, held: Held, lun: LunConfig) -> bool:
        """One line less needs the store; whether none does now, so that it should be closed."""
        with self._lock:
            held.users[:] = [other for other in held.users if other is not lun]
            if not held.users:
                self._written.discard(held.key)
            return not held.users

    def follow(self, held: Held, old: LunConfig, new: LunConfig) -> None:
        """The line that means the same stands elsewhere in the file now."""
        with self._lock:
            held.users[:] = [new if each is old else each for each in held.users]

    def replaced(self, served: Iterable[tuple[Held, LunConfig]]) -> list[LunConfig]:
        """Lines whose path leads to another medium now than the one that is open for them, or to none."""
        lines = [(held, lun) for held, lun in served if held.key is not None]
        found: list[LunConfig] = []
        if lines:
            with contextlib.suppress(TooSlow, StoreError):
                look = self._asked(lambda: found.extend(lun for held, lun in lines if self._key(lun) != held.key))
                look.result(self.patience)
        return [*found]

    def measured(self, served: Iterable[Held]) -> dict[Held, int]:
        """How many bytes these have now, those that can be measured."""
        media = [held for held in dict.fromkeys(served) if held.key is not None]
        found: dict[Held, int] = {}

        def look() -> None:
            for held in media:
                with contextlib.suppress(StoreError):
                    found[held] = held.store.measured()

        if media:
            with contextlib.suppress(TooSlow, StoreError):
                self._asked(look).result(self.patience)
        return {**found}

    def close(self, held: Held) -> bool:
        """Flush and close a store that is open; False when flushing failed (the log says which).

        At the end of the daemon two threads may do so at once; one of them closes.
        """
        if held not in self._held:
            return not held.failed
        problem = _failure(held.store.flush)
        with self._lock:
            if held.closed:
                return not held.failed
            held.closed, held.failed = True, bool(problem)
        problem = _failure(held.store.close) or problem  # closing a file of an NFS server writes it
        if problem:
            Event.FLUSH_FAILED.tell(log, "flushing at the end failed: %s", problem)
        with self._lock:
            held.failed = bool(problem)
            del self._held[held]
            if held.key is not None and self._by_key.get(held.key) is held:
                del self._by_key[held.key]
        return not problem

    def close_all(self) -> bool:
        """Flush and close every store; False when one of them failed."""
        with self._lock:
            held = list(self._held)
        failed = [each for each in held if not self.close(each)]
        return not failed

    def path(self, lun: LunConfig) -> str:
        """Where the medium is; empty for a type without one."""
        return os.path.join(self.base, lun.path) if lun.path else ""

    def _key(self, lun: LunConfig) -> StoreKey | None:
        if not lun.path:
            return None
        try:
            found = os.stat(self.path(lun))
        except (OSError, ValueError):
            return None  # opening it says why
        if stat.S_ISBLK(found.st_mode):
            return (found.st_rdev,)
        # A file is no medium for blockio, even if fileio has it open: opening it says so.
        return None if lun.type == "blockio" else (found.st_dev, found.st_ino)


def _identity(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return path
    if not stat.S_ISBLK(found.st_mode):
        return f"{path} (inode {found.st_ino})"
    device = os.path.join(_DEVICES, f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}")
    name = next(filter(None, (_first_line(os.path.join(device, name)) for name in _DEVICE_NAMES)), "")
    return f"{path} ({name})" if name else path


def _first_line(path: str) -> str:
    """Of a file of sysfs; empty without it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _answer(answer: Future[T], question: Callable[[], T]) -> None:
    try:
        answer.set_result(question())
    except Exception as error:  # whoever waits for the answer gets it
        answer.set_exception(error)


def _failure(action: Callable[[], None]) -> str:
    """Why ``action`` failed; empty if it did not."""
    try:
        action()
    except (OSError, StoreError) as error:
        return str(error) or repr(error)
    return ""
