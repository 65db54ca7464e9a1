"""Commands that read, decide and write in one step: nobody else writes their blocks meanwhile (SBC-3 section 4.16).

One Exclusion belongs to one medium, however many logical units it has. Writes are of two kinds. Those that may wait
(on workers) say so here. Those in a connection's own thread say nothing, as that would cost every small write: who
wants the blocks for himself first announces the range, which sends later ones to a worker (``busy``), and then lets
``quiesce`` wait until every connection has been between two commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from ietpy.scsi.device import ScsiDevice


class Condition(Protocol):
    """As ``threading.Condition``."""

    def __enter__(self) -> object: ...

    def __exit__(self, *problem: object) -> object: ...

    def wait(self) -> object: ...

    def notify_all(self) -> None: ...


class _Alone:
    """For one thread, which never meets another."""

    def __enter__(self) -> None: ...

    def __exit__(self, *problem: object) -> None: ...

    def wait(self) -> None:
        raise RuntimeError("one thread waits for itself")

    def notify_all(self) -> None: ...


class Exclusion:
    """Ranges are bytes of the medium."""

    __slots__ = ("_changed", "_devices", "_shared", "_sole", "ranges")

    def __init__(self, changed: Condition | None = None) -> None:
        self._changed: Condition = changed or _Alone()
        self._shared: list[tuple[int, int]] = []
        self._sole: list[tuple[int, int]] = []
        #: Announced and held by exclusive commands; replaced, never changed, so it is read without the lock.
        self.ranges: tuple[tuple[int, int], ...] = ()
        self._devices: WeakSet[ScsiDevice] = WeakSet()

    def join(self, device: ScsiDevice) -> None:
        """The medium belongs to a logical unit of ``device``."""
        with self._changed:
            self._devices.add(device)

    def busy(self, offset: int, length: int) -> bool:
        """Whether an exclusive command has announced some of these bytes."""
        return _meet(self.ranges, offset, offset + length)

    @contextmanager
    def shared(self, offset: int, length: int) -> Iterator[None]:
        """Write the range like others may; waits for exclusive commands on it."""
        span = offset, offset + length
        with self._changed:
            while _meet(self.ranges, *span):
                self._changed.wait()
            self._shared.append(span)
        try:
            yield
        finally:
            self._leave(self._shared, span)

    @contextmanager
    def sole(self, offset: int, length: int) -> Iterator[None]:
        """Be the only writer of the range; never in a connection's own thread."""
        span = offset, offset + length
        with self._changed:
            while _meet(self.ranges, *span):
                self._changed.wait()
            self._sole.append(span)
            self.ranges = tuple(self._sole)
            devices = list(self._devices)
        try:
            for device in devices:
                device.quiesce()
            with self._changed:
                while _meet(self._shared, *span):
                    self._changed.wait()
            yield
        finally:
            self._leave(self._sole, span)

    def _leave(self, holders: list[tuple[int, int]], span: tuple[int, int]) -> None:
        with self._changed:
            holders.remove(span)
            self.ranges = tuple(self._sole)
            self._changed.notify_all()


def _meet(ranges: tuple[tuple[int, int], ...] | list[tuple[int, int]], start: int, end: int) -> bool:
    return any(first < end and start < last for first, last in ranges)
