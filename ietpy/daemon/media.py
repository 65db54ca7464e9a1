"""The stores of one daemon: one object per backing file or device, however many Lun lines name it."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ietpy.config.model import LunConfig
from ietpy.errors import Span, StoreError
from ietpy.scsi.store import BackingStore
from ietpy.stores import open_store

log = logging.getLogger(__name__)

Opener = Callable[..., BackingStore]
#: What makes two Lun lines one medium: a device number and an inode, or a block device's own number.
StoreKey = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Held:
    """An open store and the Lun lines it serves."""

    store: BackingStore
    key: StoreKey | None
    read_only: bool
    users: list[LunConfig] = field(default_factory=list)


class Media:
    """``base``: where relative paths count from. Methods may be called from several threads."""

    def __init__(self, base: str = "/", opener: Opener = open_store) -> None:
        self.base = base
        self._opener = opener
        self._lock = threading.Lock()
        self._held: list[Held] = []
        #: Media some line wants to write: their one store is opened for writing whatever line comes first.
        self._written: set[StoreKey | None] = set()

    def expect(self, luns: Iterable[LunConfig]) -> None:
        """These lines will be opened: a medium that one of them writes is opened for writing."""
        with self._lock:
            self._written |= {self._key(lun) for lun in luns if not lun.read_only} - {None}

    def open(self, lun: LunConfig) -> tuple[Held, Span | None]:
        """The store of one Lun line, and the place of the line that opened it already, if one did.

        Raises StoreError; EBUSY where the medium is open for reading only, which must be let go first.
        """
        with self._lock:
            key = self._key(lun)
            held = next((held for held in self._held if key is not None and held.key == key), None)
            if held is not None:
                return self._share(held, lun)
            read_only = lun.read_only if key is None else lun.read_only and key not in self._written
            store = self._opener(
                lun.type, self.path(lun), read_only=read_only, block_size=lun.block_size, options=lun.options
            )
            self._held.append(held := Held(store, key, read_only, [lun]))
            return held, None

    def _share(self, held: Held, lun: LunConfig) -> tuple[Held, Span | None]:
        if not held.users:
            raise StoreError(errno.EBUSY, f"{lun.path} is still being let go by the LUN that had it; try again")
        if held.read_only and not lun.read_only:
            first = held.users[0].span
            raise StoreError(errno.EBUSY, f"{lun.path} is open for reading only, for the LUN at {first}")
        held.users.append(lun)
        return held, held.users[0].span

    def release(self, held: Held, lun: LunConfig) -> bool:
        """One line less needs the store; whether none does now, so that it should be closed."""
        with self._lock:
            held.users[:] = [other for other in held.users if other is not lun]
            if not held.users:
                self._written.discard(held.key)
            return not held.users

    def close(self, held: Held) -> bool:
        """Flush and close a store that is open; False when flushing failed (the log says which)."""
        if held not in self._held:
            return True
        clean = True
        try:
            held.store.flush()
        except StoreError as error:
            log.error("flushing at the end failed: %s", error)
            clean = False
        with self._lock:
            if held in self._held:
                self._held.remove(held)
                held.store.close()
        return clean

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
