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
    """Conditions of a higher ``rank`` are reported first, of one rank in the order of their coming (SAM-5 5.14.1).

    Those above 0 are reported even ahead of a reservation conflict (section 5.3.3, status precedence).
    """

    asc: Asc
    rank: int = 0

    @property
    def resets(self) -> bool:
        return self.rank > 0

    def condition(self) -> CheckCondition:
        return CheckCondition(SenseKey.UNIT_ATTENTION, self.asc)


#: Also for logical unit and target resets, as IET did: initiators know how to go on after this one, and SAM-5
#: section 6.2 allows it in place of BUS DEVICE RESET FUNCTION OCCURRED.
POWER_ON: Final = UnitAttention(Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED, rank=2)
NEXUS_LOST: Final = UnitAttention(Asc.I_T_NEXUS_LOSS_OCCURRED, rank=1)
MODE_PARAMETERS_CHANGED: Final = UnitAttention(Asc.MODE_PARAMETERS_CHANGED)
LOG_PARAMETERS_CHANGED: Final = UnitAttention(Asc.LOG_PARAMETERS_CHANGED)
RESERVATIONS_PREEMPTED: Final = UnitAttention(Asc.RESERVATIONS_PREEMPTED)
RESERVATIONS_RELEASED: Final = UnitAttention(Asc.RESERVATIONS_RELEASED)
REGISTRATIONS_PREEMPTED: Final = UnitAttention(Asc.REGISTRATIONS_PREEMPTED)
ACCESS_STATE_CHANGED: Final = UnitAttention(Asc.ASYMMETRIC_ACCESS_STATE_CHANGED)
CAPACITY_CHANGED: Final = UnitAttention(Asc.CAPACITY_DATA_HAS_CHANGED)
COMMANDS_CLEARED: Final = UnitAttention(Asc.COMMANDS_CLEARED_BY_ANOTHER_INITIATOR)
CLEARED_BY_PROTOCOL: Final = UnitAttention(Asc.SOME_COMMANDS_CLEARED_BY_ISCSI_PROTOCOL_EVENT)
MEDIUM_CHANGED: Final = UnitAttention(Asc.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED)
INQUIRY_CHANGED: Final = UnitAttention(Asc.INQUIRY_DATA_HAS_CHANGED)
IDENTIFIER_CHANGED: Final = UnitAttention(Asc.DEVICE_IDENTIFIER_CHANGED)
PREVIOUS_BUSY: Final = UnitAttention(Asc.PREVIOUS_BUSY_STATUS)
PREVIOUS_TASK_SET_FULL: Final = UnitAttention(Asc.PREVIOUS_TASK_SET_FULL_STATUS)
PREVIOUS_CONFLICT: Final = UnitAttention(Asc.PREVIOUS_RESERVATION_CONFLICT_STATUS)
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


def first(nexus: Nexus) -> UnitAttention | None:
    """The condition the next command will report, or None."""
    return max(nexus.attentions, key=lambda each: each.rank, default=None)


def take(nexus: Nexus, resets_only: bool = False, keep: bool = False) -> UnitAttention | None:
    """The condition to be reported now, or None; ``keep``: it stays pending (UA_INTLCK_CTRL)."""
    attention = first(nexus)
    if attention is None or (resets_only and not attention.resets):
        return None
    if not keep:
        withdraw(nexus, attention)
    return attention
