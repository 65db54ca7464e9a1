"""What an initiator has of a device: which logical units, by which numbers, and which of them it may write.

A transport gives each nexus its view (``ScsiDevice.nexus``). Numbers of units are those the device has them by
(``ScsiDevice.logical_units``); LUNs are what the initiator calls them, in requests and in REPORT LUNS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ietpy.scsi.rates import UNLIMITED, Rates


@dataclass(frozen=True, slots=True)
class View:
    """``units``: the unit's number by LUN, in the order that is reported; None: every unit by its own number.

    ``writable``: numbers of the units that it may write; None: all it has. A unit has one LUN at most. ``rates``: how
    fast it may be, by one session.
    """

    units: Mapping[int, int] | None = None
    writable: frozenset[int] | None = None
    rates: Rates = UNLIMITED

    @property
    def whole(self) -> bool:
        """Whether nothing is kept from it, so it may also do what concerns the whole device."""
        return self.units is None and self.writable is None

    def unit(self, lun: int | None) -> int | None:
        """The number of the unit behind a LUN, be it there or not; None: there can be none."""
        return lun if self.units is None or lun is None else self.units.get(lun)

    def has(self, number: int | None) -> bool:
        """Whether the unit of this number is there for it."""
        return self.units is None or number in self.units.values()

    def may_write(self, number: int | None) -> bool:
        """Whether it may write this unit, if it has it."""
        return self.writable is None or number in self.writable

    def shared_with(self, other: View) -> View:
        """What both have by the same LUNs, to write what both may, as fast as both."""
        units = other.units if self.units is None else self.units
        if units is not None:
            units = {lun: number for lun, number in units.items() if self.unit(lun) == number == other.unit(lun)}
        rates = self.rates.shared_with(other.rates)
        if self.writable is None or other.writable is None:
            return View(units, other.writable if self.writable is None else self.writable, rates)
        return View(units, self.writable & other.writable, rates)

    def luns(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """The LUNs it has of these units."""
        if self.units is None:
            return tuple(numbers)
        there = frozenset(numbers)
        return tuple(lun for lun, number in self.units.items() if number in there)


#: What an initiator has that nobody said anything of.
EVERYTHING: Final = View()
