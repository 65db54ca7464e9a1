"""The SCSI target device: its logical units by number, and who learns of changes (SAM-5 section 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ietpy.scsi.attention import LUNS_CHANGED, UnitAttention, establish, withdraw
from ietpy.scsi.device_server import AbsentLogicalUnit, DeviceServer
from ietpy.scsi.nexus import FIRST_PORT
from ietpy.scsi.port_groups import ONE_GROUP, PortGroup
from ietpy.scsi.view import EVERYTHING, View

if TYPE_CHECKING:
    from ietpy.errors import StoreError
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import ItNexus, Nexus
    from ietpy.scsi.task import Task


def _nothing_runs() -> None:
    """Where one thread does everything."""


def _at_once(unit: LogicalUnit, job: Callable[[], None]) -> None:
    job()


def _nobody_listens(attention: UnitAttention, nexuses: Collection[Nexus]) -> None:
    """Initiators hear of attentions when they send a command."""


def _never() -> bool:
    return False


def _nobody_is_told(unit: DeviceServer, error: StoreError, cdb: bytes) -> None:
    """The initiator is, by sense data."""


def _always() -> float:
    """The time where nobody keeps commands waiting: none is over, and none is to come."""
    return 0.0


def _nothing_to_abort(unit: LogicalUnit, nexuses: Sequence[Nexus], author: Task) -> None:
    """Where tasks are executed one by one."""


class ScsiDevice:
    """``name`` is the target's iSCSI name as configured; ``lock``, re-entrant, guards all state nexuses share.

    ``logical_units`` is replaced, never changed, so it may be read without the lock. Four services are the
    transport's, which says so with ``served``:

    ``quiesce()``              returns when every thread that executes tasks of this device in place has been between
                               two of them; not to be called by such a thread, nor with the lock held
    ``background(unit, job)``  runs a job that outlives its command, in a thread of its own; never waits. The store of
                               ``unit`` stays open until the job returns. A long job asks ``ending(unit)`` between its
                               chunks and returns soon when told so. Where nobody serves, the job runs at once
    ``stopping()``             whether the whole transport is about to end

    ``report(attention, nexuses)``  tells the initiators of these, unasked, that the attention waits for them; never
                               waits, and may be called with the lock held

    The others are for workers, but for ``fault`` without ``lock``:

    ``abort_tasks(unit, nexuses, author)``  abort what these nexuses have under way on ``unit``, but for the task
                               ``author``, which is not answered before that can do no more harm: this waits for it,
                               or the answer does
    ``fault(unit, error, cdb)``  tells that the store of a unit failed, and with what command, if one is to be named; by
                               whatever thread, which may hold the lock
    ``clock``                  the time in seconds, from any moment on; may be asked with the lock held
    ``keeping``                a lock that is held from deciding on a change until it was kept in a unit's state and
                               has taken effect; taken before ``lock``
    """

    def __init__(self, name: str, lock: AbstractContextManager[Any]) -> None:
        self.name = name
        self.lock = lock
        self.logical_units: dict[int, LogicalUnit] = {}
        #: Replaced, never changed; written under the lock (``port_groups.alter``).
        self.port_groups: tuple[PortGroup, ...] = ONE_GROUP
        self.absent = AbsentLogicalUnit(self)
        self.quiesce: Callable[[], None] = _nothing_runs
        self.background: Callable[[LogicalUnit, Callable[[], None]], None] = _at_once
        self.stopping: Callable[[], bool] = _never
        self.abort_tasks: Callable[[LogicalUnit, Sequence[Nexus], Task], None] = _nothing_to_abort
        self.keeping: AbstractContextManager[Any] = nullcontext()
        self.report: Callable[[UnitAttention, Collection[Nexus]], None] = _nobody_listens
        self.fault: Callable[[DeviceServer, StoreError, bytes], None] = _nobody_is_told
        self.clock: Callable[[], float] = _always
        self._served = False

    def served(
        self,
        quiesce: Callable[[], None],
        background: Callable[[LogicalUnit, Callable[[], None]], None],
        stopping: Callable[[], bool],
        abort_tasks: Callable[[LogicalUnit, Sequence[Nexus], Task], None] = _nothing_to_abort,
        keeping: AbstractContextManager[Any] | None = None,
        report: Callable[[UnitAttention, Collection[Nexus]], None] | None = None,
        fault: Callable[[DeviceServer, StoreError, bytes], None] = _nobody_is_told,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """A transport serves this device from now on; its units may be there already, and more may come.

        What their state says is under way goes on (``LogicalUnit.resume``).
        """
        with self.lock:
            self.quiesce, self.background, self.stopping = quiesce, background, stopping
            self.abort_tasks, self.keeping = abort_tasks, keeping or nullcontext()
            self.report, self.fault = report or _nobody_listens, fault
            self.clock = clock or _always
            self._served = True
            for lu in self.logical_units.values():
                lu.resume()

    def ending(self, unit: LogicalUnit) -> bool:
        """Whether a job in the background of ``unit`` shall return: the daemon ends, or the unit was removed."""
        return self.stopping() or self.logical_units.get(unit.number) is not unit

    def add(self, number: int, lu: LogicalUnit) -> None:
        """Offer ``lu`` as LUN ``number``. Raises ValueError if the number is taken."""
        with self.lock:
            if number in self.logical_units:
                raise ValueError(f"LUN {number} of {self.name} exists already; remove it first")
            self._announce(number)
            self.logical_units = {**self.logical_units, number: lu}
            if self._served:
                lu.resume()

    def remove(self, number: int) -> LogicalUnit:
        """Stop offering LUN ``number``; its nexuses see none from now on. Raises KeyError if it is missing.

        The caller closes the store, when no task uses it any more.
        """
        with self.lock:
            lu = self.logical_units[number]
            self.logical_units = {key: other for key, other in self.logical_units.items() if other is not lu}
            lu.withdraw()
            self._announce(number)
            return lu

    def _announce(self, number: int) -> None:
        """The unit of this number comes or goes; who never had it need not know."""
        self.tell(LUNS_CHANGED, [
            nexus for lu in self.logical_units.values() for nexus in lu.nexuses if nexus.view.has(number)
        ])

    def tell(self, attention: UnitAttention, nexuses: Collection[Nexus]) -> None:
        """Establish ``attention`` for these, whose initiators hear of it at once. The caller holds the lock."""
        for nexus in nexuses:
            establish(nexus, attention)
        if nexuses:
            self.report(attention, nexuses)

    def inventory_reported(self, it_nexus: ItNexus) -> None:
        """``it_nexus`` has seen the LUNs, or knows that they changed, and need not be told by any of them.

        But for those with interlocked unit attentions, which only REQUEST SENSE clears (SAM-5 section 5.14).
        """
        with self.lock:
            for lu in self.logical_units.values():
                for nexus in lu.nexuses:
                    if nexus.it_nexus == it_nexus and not lu.unit_attention_interlock:
                        withdraw(nexus, LUNS_CHANGED)

    def nexus(
        self, number: int | None, initiator: str, target_port: int = FIRST_PORT, view: View = EVERYTHING
    ) -> Nexus:
        """A nexus of these ports with the unit ``number``, or with the absent unit where there is none."""
        with self.lock:
            lu = self.logical_units.get(number) if number is not None else None
            nexus = (self.absent if lu is None else lu).attach(initiator, target_port, view)
            nexus.number = number
            return nexus
