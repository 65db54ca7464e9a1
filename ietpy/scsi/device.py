"""The SCSI target device: its logical units by number, and who learns of changes (SAM-5 section 4.5)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ietpy.scsi.attention import LUNS_CHANGED, establish, withdraw
from ietpy.scsi.device_server import AbsentLogicalUnit

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus


def _nothing_runs() -> None:
    """Where one thread does everything."""


def _at_once(job: Callable[[], None]) -> None:
    job()


class ScsiDevice:
    """``name`` is the target's iSCSI name as configured; ``lock``, re-entrant, guards all state nexuses share.

    ``logical_units`` is replaced, never changed, so it may be read without the lock. Two services are the transport's:
    ``quiesce`` returns when every thread that executes tasks of this device in place has been between two of them (not
    to be called by such a thread, nor with the lock held); ``background`` runs a job that outlives its command.
    """

    def __init__(self, name: str, lock: AbstractContextManager[Any]) -> None:
        self.name = name
        self.lock = lock
        self.logical_units: dict[int, LogicalUnit] = {}
        self.absent = AbsentLogicalUnit(self)
        self.quiesce: Callable[[], None] = _nothing_runs
        self.background: Callable[[Callable[[], None]], None] = _at_once

    def add(self, number: int, lu: LogicalUnit) -> None:
        """Offer ``lu`` as LUN ``number``. Raises ValueError if the number is taken."""
        with self.lock:
            if number in self.logical_units:
                raise ValueError(f"LUN {number} of {self.name} exists already; remove it first")
            self._announce()
            self.logical_units = {**self.logical_units, number: lu}

    def remove(self, number: int) -> LogicalUnit:
        """Stop offering LUN ``number``; its nexuses see none from now on. Raises KeyError if it is missing.

        The caller closes the store, when no task uses it any more.
        """
        with self.lock:
            lu = self.logical_units[number]
            self.logical_units = {key: other for key, other in self.logical_units.items() if other is not lu}
            lu.withdraw()
            self._announce()
            return lu

    def _announce(self) -> None:
        for lu in self.logical_units.values():
            for nexus in lu.nexuses:
                establish(nexus, LUNS_CHANGED)

    def inventory_reported(self, initiator: str) -> None:
        """``initiator`` has seen the LUNs and need not be told that they changed (SPC-4 section 6.33)."""
        with self.lock:
            for lu in self.logical_units.values():
                for nexus in lu.nexuses:
                    if nexus.initiator == initiator:
                        withdraw(nexus, LUNS_CHANGED)

    def nexus(self, number: int | None, initiator: str) -> Nexus:
        """A nexus of ``initiator`` with LUN ``number``, or with the absent unit where there is none."""
        with self.lock:
            lu = self.logical_units.get(number) if number is not None else None
            return self.absent.attach(initiator) if lu is None else lu.attach(initiator)
