"""Unit attention conditions and their queue per I_T_L nexus (SAM-5 section 5.14).

Everything here runs under the device's lock, held by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.nexus import ATTENTION_PENDING, Nexus
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey


@dataclass(frozen=True, slots=True)
class UnitAttention:
    """``resets``: reported even ahead of a reservation conflict (SAM-5 section 5.3.3, status precedence)."""

    asc: Asc
    resets: bool = False

    def condition(self) -> CheckCondition:
        return CheckCondition(SenseKey.UNIT_ATTENTION, self.asc)


#: Also for logical unit and target resets, as IET did: initiators know how to go on after this one, and SAM-5
#: section 6.2 allows it in place of BUS DEVICE RESET FUNCTION OCCURRED.
POWER_ON: Final = UnitAttention(Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED, resets=True)
MODE_PARAMETERS_CHANGED: Final = UnitAttention(Asc.MODE_PARAMETERS_CHANGED)
CAPACITY_CHANGED: Final = UnitAttention(Asc.CAPACITY_DATA_HAS_CHANGED)
COMMANDS_CLEARED: Final = UnitAttention(Asc.COMMANDS_CLEARED_BY_ANOTHER_INITIATOR)
LUNS_CHANGED: Final = UnitAttention(Asc.REPORTED_LUNS_DATA_HAS_CHANGED)


def establish(nexus: Nexus, attention: UnitAttention) -> None:
    """Queue ``attention`` unless it waits already; so the queue is as long as there are kinds, at most."""
    if attention not in nexus.attentions:
        nexus.attentions.append(attention)
    nexus.barrier |= ATTENTION_PENDING


def withdraw(nexus: Nexus, attention: UnitAttention) -> None:
    """Take ``attention`` back, reported or not."""
    if attention in nexus.attentions:
        nexus.attentions.remove(attention)
    if not nexus.attentions:
        nexus.barrier &= ~ATTENTION_PENDING


def take(nexus: Nexus, resets_only: bool = False) -> UnitAttention | None:
    """The oldest condition (of those that report a reset), which is cleared by being reported, or None."""
    for attention in nexus.attentions:
        if attention.resets or not resets_only:
            withdraw(nexus, attention)
            return attention
    return None
