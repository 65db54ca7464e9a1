"""What is registered and reserved restricts commands (SPC-4 section 5.13).

The service actions are tested through their commands (``test_persistent_commands``) and by a model.
"""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.scsi.command import Access, Command
from ietpy.scsi.persistent import Reservations, ReservationType

A = "iqn.x:a,i,0x000000000001"

# (type, Access, shows) that conflict for who is not admitted

ROWS = {
    (access, shows): Command(0, "test", lambda lu, task: None, access=access, allocation=len if shows else None)
    for access in Access for shows in (False, True)
}
WRITES = {(Access.WRITE, False), (Access.WRITE, True), (Access.MANAGE, False)}
READS = {(Access.READ, False), (Access.READ, True), (Access.MANAGE, True)}


@pytest.mark.parametrize(("kind", "restricted"), [
    (None, set()),
    (ReservationType.WRITE_EXCLUSIVE, WRITES),
    (ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY, WRITES),
    (ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS, WRITES),
    (ReservationType.EXCLUSIVE_ACCESS, WRITES | READS),
    (ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, WRITES | READS),
    (ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS, WRITES | READS),
])
def test_restricted_kinds_of_commands(kind: ReservationType | None, restricted: set[Any]) -> None:
    now = Reservations({A: 1}, kind, A)
    assert {what for what, row in ROWS.items() if now.restricts(row)} == restricted
