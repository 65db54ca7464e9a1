"""A pytest plugin: ``iscsi_disk`` gives a test an iSCSI disk that fails, waits and shrinks when it is told to.

``make_iscsi_disk`` makes more of them. Both work in this process, on a free port of the loopback interface, and are
gone with the test. Faults are a store's (``scsi.store``) that stands between the logical unit and the file, so a target
that is served otherwise has none of this.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from ietpy.embedding import Target
    from ietpy.scsi.store import BackingStore, Capabilities, Extent

READ, WRITE, FLUSH = KINDS = ("read", "write", "flush")
SIZE: Final = "16M"  #: of a disk for which nothing else is said
_WTHREADS: Final = 64  #: so many commands at once may be waiting
_PATIENCE: Final = 30.0  #: seconds to wait for what a test says will happen


class Access(NamedTuple):
    """A piece of the disk that was read or written, or tried to: bytes."""

    offset: int
    length: int


@dataclass(slots=True)
class _Fault:
    kind: str
    error: int
    left: int | None  #: how often; None: for ever
    where: range | None


class Faults:
    """What a disk is told to do to commands, and what it saw of them. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._faults: list[_Fault] = []
        self._delays: dict[str, float] = {}
        self._held: set[str] = set()
        self._waiting: Counter[str] = Counter()
        self._over = False
        self.reads: list[Access] = []
        self.writes: list[Access] = []
        self.flushes = 0

    def set(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def delay(self, kinds: Sequence[str], seconds: float) -> None:
        with self._lock:
            self._delays |= dict.fromkeys(kinds, seconds)
            self._lock.notify_all()  # also for who waits

    def hold(self, kinds: Sequence[str]) -> None:
        with self._lock:
            self._held |= {*kinds}

    def let_go(self, kinds: Sequence[str]) -> None:
        with self._lock:
            self._held -= {*kinds}
            self._lock.notify_all()

    def await_held(self, kind: str, count: int) -> None:
        """Returns when so many are held. Raises TimeoutError where they do not come."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._waiting[kind] >= count, _PATIENCE):
                raise TimeoutError(f"{self._waiting[kind]} of {count} {kind}s came within {_PATIENCE:g} s")

    def heal(self) -> None:
        with self._lock:
            self._faults.clear()
            self._delays.clear()
            self._held.clear()
            self._lock.notify_all()

    def end(self) -> None:
        """Nothing waits any more."""
        with self._lock:
            self._over = True
            self._lock.notify_all()

    def forget(self) -> None:
        with self._lock:
            self.reads, self.writes, self.flushes = [], [], 0

    def meet(self, kind: str, offset: int = 0, length: int = 0) -> None:
        """A command comes by: note it, have it wait, and fail it. Raises StoreError."""
        from ietpy.errors import StoreError

        with self._lock:
            if kind == FLUSH:
                self.flushes += 1
            else:
                (self.reads if kind == READ else self.writes).append(Access(offset, length))
            self._waiting[kind] += 1
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._over or kind not in self._held)
            self._waiting[kind] -= 1
            seconds = self._delays.get(kind)
            if seconds:
                self._lock.wait_for(lambda: self._over or self._delays.get(kind) != seconds, seconds)
            for fault in self._faults:
                if fault.kind == kind and (fault.where is None or _overlap(fault.where, offset, length)):
                    if fault.left is not None:
                        fault.left -= 1
                        if not fault.left:
                            self._faults.remove(fault)
                    raise StoreError(fault.error, f"the test has the {kind} fail: {os.strerror(fault.error)}")


def _overlap(where: range, offset: int, length: int) -> bool:
    return offset < where.stop and where.start < offset + length


class FaultyStore:
    """A store whose every read, write and flush meets ``faults`` first, in a thread that may wait."""

    def __init__(self, inner: BackingStore, faults: Faults) -> None:
        from ietpy.scsi.store import Capabilities

        self._inner = inner
        self._faults = faults
        self.size = inner.size
        self.block_size = inner.block_size
        self.physical_block_size = inner.physical_block_size
        has = inner.capabilities
        #: Nothing is done in the connection's own thread, nor promised, nor joined with others.
        self.capabilities: Capabilities = Capabilities(
            discard=has.discard, discard_zeroes=has.discard_zeroes, rotational=has.rotational
        )

    def read(self, offset: int, buffer: memoryview) -> None:
        self._faults.meet(READ, offset, len(buffer))
        self._inner.read(offset, buffer)

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        return False

    def extent(self, offset: int, length: int) -> Extent | None:
        return None

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        self._faults.meet(WRITE, offset, sum(map(len, views)))
        self._inner.write(offset, views, fua)

    @property
    def losses(self) -> int:
        return self._inner.losses

    def mark(self) -> int | None:
        return None

    def commit(self, mark: int) -> None:
        self._faults.meet(FLUSH)
        self._inner.commit(mark)

    def flush(self) -> None:
        self._faults.meet(FLUSH)
        self._inner.flush()

    def discard(self, offset: int, length: int) -> None:
        self._faults.meet(WRITE, offset, length)
        self._inner.discard(offset, length)

    def zero(self, offset: int, length: int) -> None:
        self._faults.meet(WRITE, offset, length)
        self._inner.zero(offset, length)

    def mapped(self, offset: int, length: int) -> tuple[bool, int]:
        return self._inner.mapped(offset, length)

    def copy(self, offset: int, source: BackingStore, source_offset: int, length: int) -> bool:
        return False  # it is read and written instead

    def prefetch(self, offset: int, length: int) -> None:
        self._inner.prefetch(offset, length)

    def measured(self) -> int:
        return self._inner.measured()

    def resize(self, size: int) -> None:
        self._inner.resize(size)

    def close(self) -> None:
        self._inner.close()


class IscsiDisk:
    """A disk that is served to a test. ``path``: the file behind it; ``target``: what serves it (``ietpy.serve``)."""

    def __init__(self, target: Target, path: str, faults: Faults) -> None:
        self.target = target
        self.path = path
        self._faults = faults

    # Where it is

    @property
    def url(self) -> str:
        return self.target.url

    @property
    def portal(self) -> str:
        return self.target.portal

    @property
    def name(self) -> str:
        """Of its target."""
        return self.target.name

    @property
    def size(self) -> int:
        return self.target.size

    # What it saw

    @property
    def reads(self) -> list[Access]:
        """What was read since the test began, or since ``forget``, in order; also what failed."""
        return [*self._faults.reads]

    @property
    def writes(self) -> list[Access]:
        return [*self._faults.writes]

    @property
    def flushes(self) -> int:
        return self._faults.flushes

    def forget(self) -> None:
        """Count and note from here on."""
        self._faults.forget()

    # What it does

    def fail_next(self, kind: str, error: int = errno.EIO, times: int = 1, where: range | None = None) -> None:
        """Have the next ``times`` commands fail that read, write or flush, as a device would with this errno.

        ``where``: only those that touch these bytes of the disk.
        """
        self._faults.set(_Fault(_known(kind), error, times, where))

    def fail(self, kind: str, error: int = errno.EIO, where: range | None = None) -> None:
        """As ``fail_next``, until ``heal``."""
        self._faults.set(_Fault(_known(kind), error, None, where))

    def delay(self, seconds: float, kind: str | None = None) -> None:
        """Have each command take so much longer; of one kind, or of all. 0: no more."""
        self._faults.delay(_kinds(kind), seconds)

    @contextmanager
    def held(self, kind: str | None = None) -> Iterator[None]:
        """Have commands wait while this lasts."""
        self._faults.hold(_kinds(kind))
        try:
            yield
        finally:
            self._faults.let_go(_kinds(kind))

    def await_held(self, kind: str, count: int = 1) -> None:
        """Returns when so many commands of a kind are held."""
        self._faults.await_held(_known(kind), count)

    def heal(self) -> None:
        """No more faults, delays or holding."""
        self._faults.heal()

    def disconnect(self) -> None:
        """Break off all connections; whoever logs in again is welcome."""
        self.target.disconnect()

    def set_read_only(self, read_only: bool = True) -> None:
        self.target.set_read_only(read_only)

    def resize(self, size: int | str) -> None:
        self.target.resize(size)

    # What is on it, past all faults

    def peek(self, offset: int, length: int) -> bytes:
        """The bytes of the file."""
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(length)

    def poke(self, offset: int, data: bytes) -> None:
        """Change the file, as if the disk had been written before."""
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def close(self) -> None:
        self._faults.end()
        self._faults.heal()
        self.target.disconnect()  # whoever is still there would be asked to log out, and given time
        self.target.close()


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of command; there are {', '.join(KINDS)}")
    return kind


def _kinds(kind: str | None) -> Sequence[str]:
    return KINDS if kind is None else (_known(kind),)


MakeDisk = Callable[..., IscsiDisk]


def make_disk(path: str | os.PathLike[str], **options: Any) -> IscsiDisk:
    """A disk over this file, which is made if it is not there. ``options``: those of ``ietpy.serve``."""
    from ietpy import embedding
    from ietpy.server.portals import bind
    from ietpy.stores import open_store

    faults = Faults()
    target = embedding.start(
        [path], listening=lambda: bind(embedding.LOOPBACK, 0), wthreads=_WTHREADS,
        opener=lambda *words, **more: FaultyStore(open_store(*words, **more), faults), **{"size": SIZE, **options},
    )
    return IscsiDisk(target, os.fspath(path), faults)


@pytest.fixture
def make_iscsi_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeDisk]:
    """Make iSCSI disks: make_iscsi_disk(size="16M", block_size=512, read_only=False, chap=(user, secret))."""
    made: list[IscsiDisk] = []

    def make(**options: Any) -> IscsiDisk:
        made.append(make_disk(tmp_path_factory.mktemp("iscsi") / "disk.img", **options))
        return made[-1]

    yield make
    for disk in made:
        disk.close()


@pytest.fixture
def iscsi_disk(make_iscsi_disk: MakeDisk) -> IscsiDisk:
    """An iSCSI disk of 16 MiB on a free port of this machine, with faults and delays on demand."""
    return make_iscsi_disk()
