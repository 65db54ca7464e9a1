"""How commands end in the model: status, sense keys, additional sense codes, sense data (SPC-4 4.5, annex F.2)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

GOOD, CHECK_CONDITION, CONDITION_MET, CONFLICT = 0x00, 0x02, 0x04, 0x18

NO_SENSE, NOT_READY, MEDIUM_ERROR, HARDWARE_ERROR, ILLEGAL_REQUEST = 0, 2, 3, 4, 5
UNIT_ATTENTION, DATA_PROTECT, COPY_ABORTED, MISCOMPARE = 6, 7, 10, 14

POWER_ON: Final = 0x2900
NEXUS_LOST: Final = 0x2907
MODE_CHANGED: Final = 0x2A01
LOG_CHANGED: Final = 0x2A02
RESERVATIONS_PREEMPTED, RESERVATIONS_RELEASED, REGISTRATIONS_PREEMPTED = 0x2A03, 0x2A04, 0x2A05
ACCESS_STATE_CHANGED: Final = 0x2A06
CAPACITY_CHANGED: Final = 0x2A09
MEDIUM_CHANGED: Final = 0x2800
PREVIOUS_CONFLICT: Final = 0x2C09
INQUIRY_CHANGED: Final = 0x3F03
IDENTIFIER_CHANGED: Final = 0x3F05
LUNS_CHANGED: Final = 0x3F0E
#: In the order they are reported; before a reservation conflict, which comes before all other conditions (SAM-5 5.3.3
#: and 5.14). Choice: the others are reported in the order they were established, and resets take none of them away.
RESETS: Final = (POWER_ON, NEXUS_LOST)

WRITE_ERROR, READ_ERROR = 0x0C00, 0x1100
LIST_LENGTH: Final = 0x1A00
UNKNOWN_OPERATION: Final = 0x2000
OUT_OF_RANGE: Final = 0x2100
BAD_CDB: Final = 0x2400
NO_SUCH_UNIT: Final = 0x2500
BAD_LIST: Final = 0x2600
WRITE_PROTECTED: Final = 0x2700
FORMAT_CORRUPTED, FORMAT_FAILED, SANITIZE_FAILED = 0x3100, 0x3101, 0x3103
FORMATTING, SANITIZING = 0x0404, 0x041B
NOTHING_PRESENT: Final = 0x3A00
INTERNAL_FAILURE: Final = 0x4400
INVALID_MESSAGE: Final = 0x4900


class Check(Exception):
    """CHECK CONDITION. ``pointer``: what the SENSE KEY SPECIFIC field has: (whether into the CDB, byte) of the field
    pointer, or ("progress", how much), None for nothing. ``segment``: of a copy, in COMMAND-SPECIFIC INFORMATION.

    ``also``: what may be told instead, where two things are wrong and no standard says which comes first.
    """

    def __init__(self, key: int, code: int, information: int | None = None, pointer: Any = None) -> None:
        super().__init__(f"{key:X}/{code:04X}")
        self.segment: int | None = None
        self.key, self.code, self.information, self.pointer = key, code, information, pointer
        self.also: tuple[Check, ...] = ()

    def __or__(self, other: Check) -> Check:
        self.also = (*self.also, other)
        return self


def bad_cdb(byte: int | None = None) -> Check:
    """INVALID FIELD IN CDB; ``byte`` is where the field begins."""
    return Check(ILLEGAL_REQUEST, BAD_CDB, pointer=None if byte is None else (True, byte))


def bad_list(byte: int) -> Check:
    """INVALID FIELD IN PARAMETER LIST."""
    return Check(ILLEGAL_REQUEST, BAD_LIST, pointer=(False, byte))


def too_short() -> Check:
    """PARAMETER LIST LENGTH ERROR."""
    return Check(ILLEGAL_REQUEST, LIST_LENGTH)


class Conflict(Exception):
    """RESERVATION CONFLICT."""


class Sense(NamedTuple):
    """What sense data say. ``pointer`` and ``segment`` as with ``Check``."""

    descriptors: bool
    key: int
    code: int
    information: int | None = None
    pointer: Any = None
    segment: int | None = None


def packed_sense(key: int, code: int, descriptors: bool) -> bytes:
    """Sense data that say no more than this, as REQUEST SENSE returns them (SPC-4 4.5.2, 4.5.3)."""
    if descriptors:
        return bytes((0x72, key, code >> 8, code & 0xFF, 0, 0, 0, 0))
    return bytes((0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code >> 8, code & 0xFF, 0, 0, 0, 0))


def sense_bytes(sense: Sense) -> bytes:
    """All of it; of a field pointer no bit."""
    pointer = b""
    if sense.pointer is not None:
        where, value = sense.pointer
        pointer = bytes((0xC0 if where is True else 0x80,)) + value.to_bytes(2, "big")
    data = bytearray(packed_sense(sense.key, sense.code, sense.descriptors))
    if not sense.descriptors:
        if sense.information is not None:
            data[0] |= 0x80
            data[3:7] = sense.information.to_bytes(4, "big")
        data[8:12] = (sense.segment or 0).to_bytes(4, "big")
        data[15:18] = pointer or bytes(3)
        return bytes(data)
    if sense.information is not None:
        data += bytes((0, 10, 0x80, 0)) + sense.information.to_bytes(8, "big")
    if sense.segment is not None:
        data += bytes((1, 10, 0, 0, 0, 0)) + sense.segment.to_bytes(2, "big") + bytes(4)
    if pointer:
        data += bytes((2, 6, 0, 0)) + pointer + b"\0"
    data[7] = len(data) - 8
    return bytes(data)


class Answer(NamedTuple):
    status: int
    data: Any = b""
    sense: Any = None


def told(check: Check, descriptors: bool) -> Sense:
    """Fixed format has no room for an INFORMATION of more than 32 bits, and leaves it out (SPC-4 4.5.3)."""
    information = check.information
    if not descriptors and information is not None and information > 0xFFFF_FFFF:
        information = None
    return Sense(descriptors, check.key, check.code, information, check.pointer, check.segment)


def number(data: bytes, first: int, width: int) -> int:
    return int.from_bytes(data[first:first + width], "big")
