"""Commands that read, decide and write in one step (SBC-3, uninterrupted sequences on LBA ranges).

One Exclusion belongs to one medium, however many logical units it has. Reads and writes are of two kinds. Those that
may wait (on workers) claim their range here. Those in a connection's own thread claim nothing, as that would cost every
small one: who wants a range for himself first announces it, which sends later ones to a worker (``busy``), and then
lets ``quiesce`` wait until every connection has been between two commands.

Claims that meet are granted in the order of their arrival, so a stream of one kind keeps nobody of the other kind
waiting, and the oldest never waits: whoever is inside must not claim again, here or of another medium.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from types import TracebackType

    from ietpy.scsi.device import ScsiDevice


class Condition(Protocol):
    """As ``threading.Condition``."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...

    def wait(self) -> object: ...

    def notify_all(self) -> None: ...


class _Alone:
    """For one thread, which never meets another."""

    def __enter__(self) -> None: ...

    def __exit__(self, *problem: object) -> None: ...

    def wait(self) -> None:
        raise RuntimeError("one thread waits for itself")

    def notify_all(self) -> None: ...


class _Claim:
    """A range that one command works on inside a ``with``; ``sole``: nobody else may."""

    __slots__ = ("_exclusion", "end", "sole", "start")

    def __init__(self, exclusion: Exclusion, offset: int, length: int, sole: bool) -> None:
        self._exclusion = exclusion
        self.start = offset
        self.end = offset + length
        self.sole = sole

    def __enter__(self) -> None:
        self._exclusion._enter(self)

    def __exit__(self, *problem: object) -> None:
        self._exclusion._leave(self)

    def hinders(self, other: _Claim) -> bool:
        return (self.sole or other.sole) and self.start < other.end and other.start < self.end


class Exclusion:
    """Ranges are bytes of the medium."""

    __slots__ = ("_changed", "_claims", "_devices", "ranges")

    def __init__(self, changed: Condition | None = None) -> None:
        self._changed: Condition = changed or _Alone()
        #: In the order of arrival, waiting or inside.
        self._claims: list[_Claim] = []
        #: Of the sole claims, waiting or inside; replaced, never changed, so it is read without the lock.
        self.ranges: tuple[tuple[int, int], ...] = ()
        self._devices: WeakSet[ScsiDevice] = WeakSet()

    def join(self, device: ScsiDevice) -> None:
        """The medium belongs to a logical unit of ``device``."""
        with self._changed:
            self._devices.add(device)

    def busy(self, offset: int, length: int) -> bool:
        """Whether an exclusive command has announced some of these bytes."""
        end = offset + length
        return any(first < end and offset < last for first, last in self.ranges)

    def shared(self, offset: int, length: int) -> AbstractContextManager[None]:
        """Read or write the range while others may; waits for exclusive commands on it that came before."""
        return _Claim(self, offset, length, sole=False)

    def sole(self, offset: int, length: int) -> AbstractContextManager[None]:
        """Be the only one who reads or writes the range; never in a connection's own thread.

        Only an ``Extent`` that was promised before may still be read by who sends it.
        """
        return _Claim(self, offset, length, sole=True)

    def _enter(self, claim: _Claim) -> None:
        with self._changed:
            self._claims.append(claim)
            if claim.sole:
                self._announce()
            elif not self.ranges:
                return
            devices = [*self._devices] if claim.sole else []
        try:
            for device in devices:
                device.quiesce()
            with self._changed:
                while self._hindered(claim):
                    self._changed.wait()
        except BaseException:
            self._leave(claim)
            raise

    def _leave(self, claim: _Claim) -> None:
        with self._changed:
            self._claims.remove(claim)
            if self.ranges:  # else nobody waits: only a sole claim hinders, or is hindered
                self._announce()
                self._changed.notify_all()

    def _announce(self) -> None:
        self.ranges = tuple((claim.start, claim.end) for claim in self._claims if claim.sole)

    def _hindered(self, claim: _Claim) -> bool:
        return any(other.hinders(claim) for other in takewhile(lambda other: other is not claim, self._claims))
