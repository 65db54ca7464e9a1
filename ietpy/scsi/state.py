"""The port between a logical unit and what it keeps over a loss of power. ``stores.state`` implements it."""

from __future__ import annotations

from typing import Any, Protocol

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey


class UnitState(Protocol):
    """Sections of JSON values, by name; several threads may use it at once.

    Names in use: ``reservations`` (APTPL), ``mode`` (saved mode parameters), ``identifying`` and ``identifying_text``
    (identifying information), ``format`` and ``sanitize`` (an operation that was begun and has not succeeded).
    """

    #: The medium the unit had when something was put last, if it has another one now; else empty.
    elsewhere: str

    def get(self, section: str) -> Any:
        """What was put last; None for nothing. The caller does not change it."""

    def put(self, section: str, value: Any) -> None:
        """Keep ``value`` (None: nothing), on stable storage before this returns; may wait for a device.

        Raises StoreError; then what was put before holds.
        """


def keep(state: UnitState, section: str, value: Any) -> None:
    """``put`` for a command: where that fails the target has failed, and not the medium."""
    try:
        state.put(section, value)
    except StoreError:
        raise CheckCondition(SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE) from None
