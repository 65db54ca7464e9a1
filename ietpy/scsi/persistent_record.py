"""What is kept of persistent reservations over a loss of power (APTPL, SPC-4 section 5.13.5).

Whatever is restored is checked to the last letter: who can lose a reservation unnoticed can lose two nodes' data.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ietpy.scsi.nexus import FIRST_PORT, ItNexus
from ietpy.scsi.persistent import (
    ALL_REGISTRANTS,
    MOST_REGISTRATIONS,
    TYPES,
    Persistent,
    Reservations,
    ReservationType,
)

if TYPE_CHECKING:
    from ietpy.scsi.state import UnitState

_SECTION: Final = "reservations"  #: of the logical unit's state
_LONGEST_PORT: Final = 512  #: bytes of a name that is restored; letters may have grown as they became small


def keep(state: UnitState, reservations: Reservations) -> None:
    """Have it survive a loss of power, or nothing if it need not. May wait for a device; raises StoreError."""
    state.put(_SECTION, _record(reservations))


def restore(state: UnitState | None, number: int) -> Persistent:
    """What LUN ``number`` had when power was lost. Raises ValueError for a state that cannot be used."""
    kept = None if state is None else state.get(_SECTION)
    if kept is None:
        return Persistent(Reservations())
    try:
        return Persistent(_understood(kept))
    except _Odd as odd:
        raise ValueError(
            f"persistent reservations of LUN {number}: {odd}; remove {_SECTION!r} from its state to begin with none,"
            " when no node of its cluster relies on them"
        ) from None


def _record(reservations: Reservations) -> Any:
    if not reservations.aptpl:
        return None
    return {
        "registrations": [
            [nexus.initiator, f"{key:016x}", *_beside_first(nexus)]
            for nexus, key in reservations.registrations.items()
        ],
        "type": None if reservations.type is None else int(reservations.type),
        "holder": _holder(reservations.holder),
    }


def _holder(holder: ItNexus | None) -> Any:
    beside = () if holder is None else _beside_first(holder)
    return [holder.initiator, *beside] if holder is not None and beside else holder and holder.initiator


def _beside_first(nexus: ItNexus) -> tuple[int, ...]:
    """The target port, unless it is the only one there was at first: what was kept then is as it would be now."""
    return () if nexus.target_port == FIRST_PORT else (nexus.target_port,)


class _Odd(Exception):
    """What was found, and what is accepted."""


def _understood(kept: Any) -> Reservations:
    if not isinstance(kept, dict) or kept.keys() != {"registrations", "type", "holder"}:
        raise _Odd(f"{_shown(kept)} was found; an object with registrations, type and holder is accepted")
    pairs = kept["registrations"]
    if not isinstance(pairs, list) or len(pairs) > MOST_REGISTRATIONS:
        raise _Odd(f"registrations are {_shown(pairs)}; a list of {MOST_REGISTRATIONS} at most is accepted")
    registrations = dict(_registration(pair) for pair in pairs)
    if len(registrations) < len(pairs):
        raise _Odd("an initiator port is registered twice; once is accepted")
    kind, holder = kept["type"], kept["holder"]
    if kind is not None and (type(kind) is not int or kind not in TYPES):
        numbers = ", ".join(str(int(each)) for each in ReservationType)
        raise _Odd(f"type is {_shown(kind)}; null, {numbers} are accepted")
    if kind is None or kind in ALL_REGISTRANTS:
        if holder is not None or (kind is not None and not registrations):
            raise _Odd(f"type {kind} has holder {_shown(holder)} of {len(registrations)} registered; null is accepted,"
                       " and for all registrants one registration at least")
    elif _holding(holder) not in registrations:
        raise _Odd(f"holder is {_shown(holder)}; a registered port is accepted")
    return Reservations(
        MappingProxyType(registrations), None if kind is None else ReservationType(kind), _holding(holder), aptpl=True
    )


def _registration(row: Any) -> tuple[ItNexus, int]:
    if isinstance(row, list) and len(row) in (2, 3):
        initiator, key, *beside = row
        nexus = _nexus(initiator, *beside)
        if nexus is not None and isinstance(key, str) and _is_key(key):
            return nexus, int(key, 16)
    raise _Odd(
        f"{_shown(row)} is registered; the name of an initiator port, a key of 16 hexadecimal digits, not all 0, and a"
        f" relative target port identifier if that is not {FIRST_PORT} are accepted"
    )


def _holding(kept: Any) -> ItNexus | None:
    """The holder, which is kept as it is registered, without its key."""
    return _nexus(*kept) if isinstance(kept, list) and len(kept) == 2 else _nexus(kept)


def _nexus(initiator: Any, target_port: Any = FIRST_PORT) -> ItNexus | None:
    """None for what is no nexus."""
    if type(target_port) is not int or not 0 < target_port <= 0xFFFF:
        return None
    return ItNexus(initiator, target_port) if isinstance(initiator, str) and _is_port(initiator) else None


def _is_port(text: str) -> bool:
    try:
        return "\0" not in text and 0 < len(text.encode("utf-8", "surrogateescape")) <= _LONGEST_PORT
    except UnicodeEncodeError:
        return False


def _is_key(text: str) -> bool:
    return len(text) == 16 and set(text) <= set("0123456789abcdef") and text.strip("0") != ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
