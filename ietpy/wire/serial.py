"""Serial-number arithmetic modulo 2**32 (RFC 1982), as CmdSN, StatSN and DataSN use it (RFC 7143 section 4.2.2)."""

from __future__ import annotations

MASK = 0xFFFFFFFF
_HALF = 0x80000000


def advance(number: int, by: int = 1) -> int:
    """The serial number ``by`` steps after ``number``; ``by`` may be negative."""
    return (number + by) & MASK


def before(left: int, right: int) -> bool:
    """Whether ``left`` comes before ``right``; numbers exactly half the space apart are not ordered."""
    return 0 < ((right - left) & MASK) < _HALF


def distance(start: int, end: int) -> int:
    """Signed number of steps from ``start`` to ``end``, from -2**31 to 2**31 - 1."""
    steps = (end - start) & MASK
    return steps - (1 << 32) if steps >= _HALF else steps
