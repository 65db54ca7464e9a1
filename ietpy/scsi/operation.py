"""Operations that treat the whole medium and may outlive their command: format and sanitize (SBC-3 sections 5.3, 5.24).

One is a row of passes over the medium, each done in steps. While it is under way the unit is not ready. It goes on
whatever resets come, and without the initiator that asked for it. Other logical units over the same medium do not
know of it: they see its blocks change under them, and what they write behind the operation's place stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.cache import replaced
from ietpy.scsi.limits import CHUNK
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.state import keep
from ietpy.scsi.status import SenseKey

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.readiness import Readiness
    from ietpy.scsi.store import BackingStore
    from ietpy.scsi.task import Task

#: Bytes treated at once: how far an operation goes on when it shall end.
STEP: Final = 16 << 20
#: How often an operation notes on stable storage how far it is: after so many bytes, but not oftener than ``_MARKS``.
MARK: Final = 1 << 30
_MARKS: Final = 64

#: What is done to a range of the medium: offset and length in bytes.
Pass: TypeAlias = "Callable[[BackingStore, int, int], None]"


@dataclass(frozen=True, slots=True)
class Kind:
    """``section`` of the unit's state is where it is noted from before the beginning until it succeeded.

    ``under_way``: NOT READY with this meanwhile; ``failed``: the command ends in MEDIUM ERROR with this. ``clears``:
    sections that say nothing any more after success. ``resumed``: goes on with the next daemon. ``ended`` changes the
    unit's readiness, told what was noted and whether it succeeded.
    """

    section: str
    under_way: Asc
    failed: Asc
    clears: tuple[str, ...]
    resumed: bool
    ended: Callable[[Readiness, Mapping[str, Any], bool], None]


class Operation:
    """``record``: what is noted in the unit's state, a JSON object; one that was noted before goes on where it was.

    ``done`` of ``total`` bytes are. Without a state nothing is noted: to a daemon that starts again it is as if the
    operation had never begun, however far it was.
    """

    __slots__ = (
        "_failed", "_kind", "_losses", "_lu", "_marked", "_passes", "_record", "_size", "_started", "done", "total",
    )

    def __init__(self, lu: LogicalUnit, kind: Kind, passes: Sequence[Pass], record: Mapping[str, Any]) -> None:
        self._lu = lu
        self._losses = lu.store.losses  #: what is written from here on has not been among them
        self._kind = kind
        self._passes = passes
        self._size = lu.blocks << lu.shift
        self._record = {**record, "size": self._size}
        self.total = self._size * len(passes)
        self.done: int = record.get("done", 0) if record.get("size") == self._size else 0
        self._marked = self.done
        self._started = False
        self._failed = False

    def condition(self) -> CheckCondition:
        """What commands are told meanwhile."""
        progress = min(self.done * 0x10000 // (self.total or 1), 0xFFFF)
        return CheckCondition(SenseKey.NOT_READY, self._kind.under_way, progress=progress)

    def perform(self, task: Task, immediate: bool) -> None:
        """Begin and, unless ``immediate``, wait for the end; on a worker.

        It is not begun where it cannot be noted.
        """
        lu = self._lu
        with lu.device.lock:
            other = lu.readiness.operation
            if other is not None:
                raise other.condition()
            self._started = True
            lu.readiness.operation = self
            lu.readiness.refresh()
        try:
            if lu.state is not None:
                keep(lu.state, self._kind.section, self._record)
        except CheckCondition:
            self._over(None)
            raise
        if immediate:
            lu.device.background(lu, self.run)
            return
        self.run(lambda: task.abandoned)
        if self._failed:
            raise CheckCondition(SenseKey.MEDIUM_ERROR, self._kind.failed)
        if lu.readiness.operation is self:  # the unit ends before it does
            raise self.condition()

    def resume(self) -> None:
        """Go on in the background, if it does not yet; the caller holds the device's lock."""
        if not self._started:
            self._started = True
            self._lu.device.background(self._lu, self.run)

    def run(self, leave: Callable[[], bool] = lambda: False) -> None:
        """All that is left to do, or until the unit ends. When ``leave`` says so, the rest is for the background."""
        lu = self._lu
        try:
            with lu.exclusion.sole(0, self._size):
                pass  # what was admitted before has been written
            while self.done < self.total:
                if lu.device.ending(lu):
                    if lu.device.stopping():  # else the unit may be there anew already, with the same state
                        self._mark()
                    return
                if leave():
                    lu.device.background(lu, self.run)
                    return
                self._step()
            replaced(lu, self._losses)
            for section in self._kind.clears:
                self._note(None, section)
        except StoreError as error:
            if lu.device.ending(lu):
                return  # perhaps its store was closed under it; who goes on finds out
            lu.device.fault(lu, error, b"")
            self._failed = True
            with suppress(StoreError):  # not noted as failed it begins again with the daemon, which is no worse
                self._note({**self._record, "failed": True})
        self._over(not self._failed)

    def _step(self) -> None:
        number, offset = divmod(self.done, self._size)
        length = min(STEP, self._size - offset)
        store = self._lu.store
        with self._lu.exclusion.shared(offset, length):
            self._passes[number](store, offset, length)
        self.done += length
        if offset + length == self._size:
            store.commit(self._losses)  # every pass reaches the medium
        if self.done < self.total and self.done - self._marked >= max(MARK, self.total // _MARKS):
            self._mark()

    def _mark(self) -> None:
        """Note how far it is; a note that cannot be written costs some repetition, no more."""
        if self._kind.resumed and self._lu.state is not None and self.done > self._marked:
            self._lu.store.commit(self._losses)
            with suppress(StoreError):
                self._note({**self._record, "done": self.done})
        self._marked = self.done

    def _note(self, record: dict[str, Any] | None, section: str = "") -> None:
        if self._lu.state is not None:
            self._lu.state.put(section or self._kind.section, record)

    def _over(self, success: bool | None) -> None:
        """``success``: None if it never began."""
        readiness = self._lu.readiness
        with self._lu.device.lock:
            readiness.operation = None
            if success is not None:
                self._kind.ended(readiness, self._record, success)
            readiness.refresh()


def noted(lu: LogicalUnit, kind: Kind) -> Any:
    """What is noted of an operation that has not succeeded, or None.

    Raises ValueError where that was on another medium: on this one it must not go on.
    """
    record = None if lu.state is None else lu.state.get(kind.section)
    if record is not None and lu.state is not None and lu.state.elsewhere:
        raise ValueError(
            f"{kind.section!r} says that an operation on {lu.state.elsewhere} has not succeeded, and LUN {lu.number}"
            f" has another medium now; serve that one, or remove {kind.section!r} to give the operation up"
        )
    return record


def filling(pattern: bytes, block_size: int) -> Pass:
    """Write ``pattern`` over and over, beginning anew with every block."""
    block = (pattern * -(-block_size // len(pattern)))[:block_size]
    chunk = memoryview(block * max(1, CHUNK // block_size))

    def fill(store: BackingStore, offset: int, length: int) -> None:
        views = [chunk] * (length // len(chunk))
        views.append(chunk[:length % len(chunk)])
        store.write(offset, views, False)

    return fill
