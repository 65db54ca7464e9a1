"""How fast commands may be, where somebody has said so: operations and bytes in a second, of a unit or of an initiator.

Only commands that read or write the medium count, each with the bytes that its initiator announced. What is not used
is kept for ``BURST`` seconds. A command that comes too soon gets its turn by a ``Grant``: it is for the transport to
keep it until then, in no thread, and to take the grant back where it ends before. So those behind it wait in the order
they came in, whoever sent them. Everything here is called under the device's lock; nothing reads a clock but
``ScsiDevice.clock``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ietpy.scsi.command import Access
from ietpy.scsi.nexus import METERED, SLOWED
from ietpy.scsi.rates import UNLIMITED, Rates

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.task import Task

#: Seconds for which what was not used may be used later, all at once.
BURST: Final = 0.1
#: Bits of ``Nexus.barrier``: commands of it are not as fast as they come.
PACED: Final = METERED | SLOWED
MEDIUM: Final = (Access.READ, Access.WRITE)


class Pace:
    """So much in a second, and no more than is due for ``BURST`` at once."""

    __slots__ = ("_used", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._used = float("-inf")  #: until when what the rate allows is used up

    def due(self, amount: float, now: float) -> float:
        """When ``amount`` may go, ``now`` at the earliest; it counts as gone."""
        start = max(self._used, now - BURST)
        self._used = start + amount / self.rate
        return max(start, now)

    def give_back(self, amount: float) -> None:
        """``amount`` did not go."""
        self._used -= amount / self.rate


class Meter:
    """What a logical unit, or a session, has used of its rates."""

    __slots__ = ("_paces", "rates")

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._paces = tuple(Pace(rate) if rate else None for rate in rates)

    def due(self, size: int, now: float) -> float:
        """When an operation of so many bytes may go."""
        amounts = (1, size)
        return max(
            (pace.due(amount, now) for pace, amount in zip(self._paces, amounts, strict=True) if pace), default=now
        )

    def give_back(self, size: int) -> None:
        for pace, amount in zip(self._paces, (1, size), strict=True):
            if pace:
                pace.give_back(amount)


def meter(rates: Rates) -> Meter | None:
    """What measures these; None where there are none."""
    return Meter(rates) if any(rates) else None


class Grant(NamedTuple):
    """When a command may go, by its number; ``wait`` seconds after it asked."""

    tag: int
    cmd_sn: int
    wait: float
    size: int
    meters: tuple[Meter, ...]

    def give_back(self) -> None:
        """The command ended before its turn."""
        for each in self.meters:
            each.give_back(self.size)


def meters_of(nexus: Nexus) -> tuple[Meter, ...]:
    """Those of its unit and of its initiator."""
    return tuple(each for each in (nexus.lu.meter, nexus.meter) if each is not None)


def passes(task: Task) -> bool:
    """Whether a command that reads or writes the medium may go now. If not, ``granted`` says when."""
    nexus, now = task.nexus, task.nexus.device.clock()
    meters = meters_of(nexus)
    due = max((each.due(task.expected, now) for each in meters), default=now)
    nexus.granted = Grant(task.tag, task.cmd_sn, due - now, task.expected, meters)
    return due <= now


def granted(task: Task) -> Grant | None:
    """When a command that was not executed in place may go, if it must wait for that.

    It may have asked before it was found that it would wait for a device; then that holds.
    """
    nexus = task.nexus
    grant = nexus.granted
    if grant is None or (grant.tag, grant.cmd_sn) != (task.tag, task.cmd_sn):
        if nexus.lu.row(task.cdb).access not in MEDIUM:
            return None
        passes(task)
        grant = nexus.granted
        assert grant is not None
    return grant if grant.wait > 0 else None


def limit(lu: LogicalUnit, rates: Rates) -> None:
    """Have a unit be no faster than this, for all its initiators together."""
    with lu.device.lock:
        if rates != (lu.meter.rates if lu.meter else UNLIMITED):
            lu.meter = meter(rates)
            lu.close_gate(METERED, lu.meter is not None)


def slow(nexus: Nexus, meter: Meter | None) -> None:
    """Have a nexus be no faster than its initiator may be."""
    nexus.meter = meter
    nexus.barrier = nexus.barrier & ~SLOWED if meter is None else nexus.barrier | SLOWED
