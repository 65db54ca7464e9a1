"""Commands that read, decide and write in one step (SBC-3, uninterrupted sequences on LBA ranges).

One Exclusion belongs to one medium, however many logical units it has. Reads and writes are of two kinds. Those that
may wait (on workers) claim their range here. Those in a connection's own thread claim nothing, as that would cost every
small one: who wants a range for himself first announces it, which sends later ones to a worker (``busy``), and then
lets ``quiesce`` wait until every connection has been between two commands.

Claims that meet are granted in the order of their arrival, so a stream of one kind keeps nobody of the other kind
waiting, and the oldest never waits: whoever is inside must not claim again, here or of another medium.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol, TypeAlias
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


#: Says why a command must not go on, now that it has its claim; None: it may.
Obstacle: TypeAlias = "Callable[[], BaseException | None]"


class _Claim:
    """A range that one command works on inside a ``with``; ``sole``: nobody else may."""

    __slots__ = ("_exclusion", "_obstacle", "end", "sole", "start")

    def __init__(self, exclusion: Exclusion, offset: int, length: int, sole: bool, obstacle: Obstacle | None) -> None:
        self._exclusion = exclusion
        self._obstacle = obstacle
        self.start = offset
        self.end = offset + length
        self.sole = sole

    def __enter__(self) -> None:
        exclusion = self._exclusion
        if self.sole:
            exclusion._enter(self)
        else:  # see ``_announce``
            exclusion._claims.append(self)
            if exclusion.ranges:
                exclusion._await(self)
        problem = self._obstacle() if self._obstacle is not None else None
        if problem is not None:
            self.__exit__()
            raise problem

    def __exit__(self, *problem: object) -> None:
        self._exclusion._withdraw((self,))

    def hinders(self, other: _Claim) -> bool:
        return (self.sole or other.sole) and self.start < other.end and other.start < self.end


class Exclusion:
    """Ranges are bytes of the medium."""

    __slots__ = ("_changed", "_claims", "_devices", "ranges")

    def __init__(self, changed: Condition | None = None) -> None:
        self._changed: Condition = changed or _Alone()
        #: In the order of arrival, waiting or inside; appending and removing are one step each.
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

    def shared(self, offset: int, length: int, obstacle: Obstacle | None = None) -> AbstractContextManager[None]:
        """Read or write the range while others may; waits for exclusive commands on it that came before.

        Entering raises what ``obstacle`` says then.
        """
        return _Claim(self, offset, length, False, obstacle)

    @contextmanager
    def together(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bool]:
        """As ``shared``, of many ranges (offset, length); False, and no claim, where one would have to wait."""
        claims = [_Claim(self, offset, length, False, None) for offset, length in ranges]
        self._claims.extend(claims)
        free = not (self.ranges and any(self.busy(claim.start, claim.end - claim.start) for claim in claims))
        if not free:
            self._withdraw(claims)
        try:
            yield free
        finally:
            if free:
                self._withdraw(claims)

    def _withdraw(self, claims: Iterable[_Claim]) -> None:
        for claim in claims:
            self._claims.remove(claim)
        if self.ranges:  # else nobody waits: only a sole claim hinders, or is hindered
            self._tell()

    def sole(self, offset: int, length: int, obstacle: Obstacle | None = None) -> AbstractContextManager[None]:
        """Be the only one who reads or writes the range; never in a connection's own thread. Else as ``shared``.

        Only an ``Extent`` that was promised before may still be read by who sends it.
        """
        return _Claim(self, offset, length, True, obstacle)

    def _enter(self, claim: _Claim) -> None:
        """A sole one."""
        with self._changed:
            self._announce(claim)
            self._claims.append(claim)
            devices = [*self._devices]
        try:
            for device in devices:
                device.quiesce()
        except BaseException:
            claim.__exit__()
            raise
        self._await(claim)

    def _await(self, claim: _Claim) -> None:
        """Wait for those that came before and hinder it."""
        try:
            with self._changed:
                while self._hindered(claim):
                    self._changed.wait()
        except BaseException:
            claim.__exit__()
            raise

    def _tell(self) -> None:
        """A claim has gone."""
        with self._changed:
            self._announce()
            self._changed.notify_all()

    def _announce(self, *coming: _Claim) -> None:
        """Tell everybody the ranges of the sole claims. The caller holds the lock, which the others do without.

        For them it costs more than the rest. A sole claim is announced before it is in the list, so who comes after it
        there finds it announced, and looks for it under the lock; for who comes before it, it waits.
        """
        self.ranges = tuple((claim.start, claim.end) for claim in (*self._claims, *coming) if claim.sole)

    def _hindered(self, claim: _Claim) -> bool:
        earlier = takewhile(lambda other: other is not claim, tuple(self._claims))
        return any(other.hinders(claim) for other in earlier)
