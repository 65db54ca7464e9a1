"""The rows of the model's commands; ``model_spc`` and its like declare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.scsi.model_sense import bad_cdb

if TYPE_CHECKING:
    from tests.scsi.model import Nexus, Unit

NEVER, BY_RESERVE, BY_EXCLUSIVE_ACCESS, ALWAYS = range(4)

#: unit, nexus, CDB, Data-Out, and how much of that the initiator announced; Data-In or a status.
Function = Callable[[Any, "Nexus", bytes, bytes, int], Any]


class Row(NamedTuple):
    """``usage``: bits of the CDB that are not reserved. ``denied``: which reservations of others, and those before it.

    ``out``: how much Data-Out the CDB asks for. ``allocation``: (first byte, width) of the allocation length.
    ``announced``: that is the most, of what the initiator announced. ``have``: which units have it. ``medium``: it
    needs one. ``unready``: also while the unit is formatted or sanitized. ``heals``: "format" or "sanitize", what it
    does. ``anywhere``: also where there is no unit.
    """

    name: str
    usage: bytes
    function: Function
    denied: int
    attention: bool = True
    out: Callable[[Any, bytes], int] | None = None
    allocation: tuple[int, int] | None = None
    harmless: Callable[[bytes], bool] | None = None
    have: Callable[[Unit], bool] | None = None
    announced: bool = False
    medium: bool = False
    unready: bool = False
    heals: str = ""
    anywhere: bool = False


UNKNOWN: Final = Row("unknown", b"", lambda *_: None, NEVER)
#: Choice: an unknown service action of SANITIZE, too, is looked at after a failure.
UNKNOWN_SANITIZE: Final = UNKNOWN._replace(heals="sanitize")

ROWS: dict[tuple[int, int | None], Row] = {}
WITH_ACTIONS: set[int] = set()


def command(usage: str, name: str, denied: int, action: int | None = None, **fields: Any) -> Callable[[Any], Any]:
    def declare(function: Function) -> Function:
        bits = bytes.fromhex(usage)
        ROWS[bits[0], action] = Row(name, bits, function, denied, **fields)
        if action is not None:
            WITH_ACTIONS.add(bits[0])
        return function

    return declare


def find(unit: Unit | None, cdb: bytes) -> Row | None:
    """The row of a CDB, or None if ``unit`` does not have it."""
    action = cdb[1] & 0x1F if cdb[0] in WITH_ACTIONS else None
    row = ROWS.get((cdb[0], action))
    if row is None or (unit is None and not row.anywhere):
        return None
    return row if unit is None or row.have is None or row.have(unit) else None


def check_reserved(row: Row, cdb: bytes) -> None:
    """Choice: reserved bits are looked at first of all in the CDB."""
    for place, allowed in enumerate(row.usage):
        stray = cdb[place] & ~allowed
        if place == 1 and row.usage[0] in WITH_ACTIONS:
            stray &= ~0x1F
        if place and stray:
            raise bad_cdb(place)
