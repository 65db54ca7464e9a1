"""EXTENDED COPY (LID1) and RECEIVE COPY RESULTS in the model (SPC-4 5.17, 6.4, 6.22 to 6.26).

A copy is over when its command is answered. Its status and its failure details are two things, each forgotten by
itself.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tests.scsi.model import Nexus, Unit
from tests.scsi.model_rows import ALWAYS, BY_EXCLUSIVE_ACCESS, BY_RESERVE, Row, command
from tests.scsi.model_sense import (
    BAD_LIST,
    CHECK_CONDITION,
    COPY_ABORTED,
    GOOD,
    ILLEGAL_REQUEST,
    Answer,
    Check,
    bad_cdb,
    bad_list,
    number,
    sense_bytes,
    told,
    too_short,
)

#: Limits the project chose, of one parameter list.
MOST_CSCDS, MOST_SEGMENTS, MOST_BYTES = 16, 64, 2304
TOO_MANY_CSCDS, BAD_CSCD_TYPE, TOO_MANY_SEGMENTS, BAD_SEGMENT_TYPE, INEXACT = 0x2606, 0x2607, 0x2608, 0x2609, 0x260A
DEVICE_FAILURE, NOT_REACHABLE, WRONG_DEVICE_TYPE = 0x0D01, 0x0D02, 0x0D03

READS: Final = Row("copy source", b"", lambda *_: None, BY_EXCLUSIVE_ACCESS, medium=True)
WRITES: Final = Row("copy destination", b"", lambda *_: None, ALWAYS, medium=True)


class Kept(NamedTuple):
    """What is known of a copy: (status, segments, bytes), and (if it failed) its sense."""

    status: tuple[int, int, int] | None
    failure: Any = None


class Cscd(NamedTuple):
    """``place``: where the parameter list has it."""

    place: int
    identifier: bytes
    block: int
    device_type: int
    null: bool


def aborted(code: int, place: int) -> Check:
    """COPY ABORTED, pointing into the parameter list (5.17.7.4): at a CSCD descriptor, or at a field."""
    return Check(COPY_ABORTED, code, pointer=(False, place))


@command(
    "83 00 00 00 00 00 00 00 00 00 FF FF FF FF 00 00", "EXTENDED COPY(LID1)", ALWAYS, 0x00,
    out=lambda unit, cdb: number(cdb, 10, 4),
)
def extended_copy(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    length = number(cdb, 10, 4)
    if length > 16 + MOST_BYTES:
        raise too_short()
    if not length:
        return
    if len(out) < max(length, 16):
        raise too_short()
    usage = out[1] >> 3 & 3
    if usage == 1:
        raise bad_list(1)
    if usage == 3 and out[0]:
        raise bad_list(0)
    if number(out, 12, 4):
        raise bad_list(12)
    middle = 16 + number(out, 2, 2)
    end = middle + number(out, 8, 4)
    if end - 16 > MOST_BYTES or end > len(out):
        raise too_short()
    cscds = [cscd_at(out, place, middle) for place in places(middle, 32, MOST_CSCDS, TOO_MANY_CSCDS)]
    segments = []
    place = middle
    while place < end:
        if len(segments) == MOST_SEGMENTS:
            raise Check(ILLEGAL_REQUEST, TOO_MANY_SEGMENTS)
        if out[place] != 0x02:
            raise Check(ILLEGAL_REQUEST, BAD_SEGMENT_TYPE, pointer=(False, place))
        if place + 28 > end:
            raise too_short()
        if number(out, place + 2, 2) != 0x18:
            raise bad_list(place + 2)
        segments.append(out[place:place + 28])
        place += 28
    done = size = 0
    failure = None
    try:
        for segment in segments:
            done += 1  # SEGMENTS PROCESSED counts the current one (6.24)
            size += copy_segment(unit, nexus, cscds, segment, middle + 28 * (done - 1))
    except Check as check:
        failure = check
        for each in (check, *check.also):
            each.segment = done - 1
        raise
    finally:
        if usage != 3:
            descriptors = bool(unit.mode["D_SENSE"])
            told_then = None if failure is None else [told(each, descriptors) for each in (failure, *failure.also)]
            nexus.copies[out[0]] = Kept((1 if failure is None else 2, done, size), told_then)


def places(end: int, size: int, most: int, code: int) -> range:
    found = range(16, end, size)
    if len(found) > most:
        raise Check(ILLEGAL_REQUEST, code)
    return found


def cscd_at(data: bytes, place: int, end: int) -> Cscd:
    """Identification Descriptor CSCD descriptor (6.4.5.3). Only T10 vendor designators of IET name anybody here."""
    if data[place] != 0xE4:
        raise Check(ILLEGAL_REQUEST, BAD_CSCD_TYPE, pointer=(False, place))
    if place + 32 > end:
        raise too_short()
    if data[place + 5] & 0x30:
        raise bad_list(place + 5)
    # Choice: a designator of more than 20 bytes is named by its length and its first 20 bytes.
    named = (data[place + 4] & 0x0F, data[place + 5] & 0x0F, data[place + 7]) == (1, 1, 24)
    return Cscd(
        place, data[place + 8:place + 28] if named else b"", number(data, place + 29, 3), data[place + 1] & 0x1F,
        bool(data[place + 1] & 0x20),
    )


def find_end(unit: Unit, cscds: list[Cscd], index: int, asked: int) -> tuple[Unit, int]:
    """The unit that is a copy source or copy destination, of this device, and where it is described."""
    if index >= len(cscds):
        raise aborted(NOT_REACHABLE, asked)
    cscd = cscds[index]
    found = [
        each for each in unit.device.units.values()
        if (b"IET\0\0\0\0\0" + each.identifier)[:20] == cscd.identifier and not cscd.null
    ]
    if len(found) != 1:
        raise aborted(NOT_REACHABLE, cscd.place)
    if cscd.device_type:
        raise aborted(WRONG_DEVICE_TYPE, cscd.place)
    if cscd.block not in (0, found[0].block):
        raise aborted(BAD_LIST, cscd.place + 29)
    return found[0], cscd.place


def copy_segment(unit: Unit, nexus: Nexus, cscds: list[Cscd], segment: bytes, place: int) -> int:
    """Block device to block device (6.4.6.3), at ``place`` of the list; how many bytes were copied."""
    source, source_place = find_end(unit, cscds, number(segment, 4, 2), place + 4)
    destination, destination_place = find_end(unit, cscds, number(segment, 6, 2), place + 6)
    if not may_use(source, nexus, READS):
        raise aborted(DEVICE_FAILURE, source_place)
    if not may_use(destination, nexus, WRITES) or destination.protected:
        raise aborted(DEVICE_FAILURE, destination_place)
    counted = destination if segment[1] & 0x02 else source
    length = number(segment, 10, 2) * counted.block
    if length % source.block or length % destination.block:
        raise aborted(INEXACT, place + 10)
    start, to = number(segment, 12, 8) * source.block, number(segment, 20, 8) * destination.block
    if start + length > source.blocks * source.block:
        raise aborted(0, place + 12)
    if to + length > destination.blocks * destination.block:
        raise aborted(0, place + 20)
    if length:
        try:
            data = source.medium.read(start, length)
            destination.medium.write(to, data, destination.cache_bit)
        except Check:  # all media fail; which is asked first is the stores' business
            raise aborted(DEVICE_FAILURE, source_place) | aborted(DEVICE_FAILURE, destination_place) from None
    return length


def may_use(unit: Unit, nexus: Nexus, row: Row) -> bool:
    """The initiator may use both ends, whichever unit it sends the command to (5.17.3)."""
    own = next((each for each in unit.nexuses if each.port == nexus.port), Nexus(nexus.port))
    return unit.admits(own, row, b"") and unit.obstacle(row) is None


@command(
    "84 00 FF 00 00 00 00 00 00 00 FF FF FF FF 00 00", "RECEIVE COPY STATUS(LID1)", BY_RESERVE, 0x00
)
def receive_copy_status(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> Any:
    """6.25: it is forgotten with being told."""
    kept = nexus.copies.get(cdb[2])
    if kept is None or kept.status is None:
        raise bad_cdb(2)
    nexus.copies[cdb[2]] = kept._replace(status=None)
    status, segments, size = kept.status
    data = bytes((0, 0, 0, 8, status)) + segments.to_bytes(2, "big") + b"\0" + size.to_bytes(4, "big")
    return data[:number(cdb, 10, 4)]


@command(
    "84 03 00 00 00 00 00 00 00 00 FF FF FF FF 00 00", "RECEIVE COPY OPERATING PARAMETERS", BY_RESERVE, 0x03,
    allocation=(10, 4),
)
def receive_copy_operating_parameters(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    fields = [
        (42, 4), (1, 1), (0, 3), (MOST_CSCDS, 2), (MOST_SEGMENTS, 2), (MOST_BYTES, 4), (0, 4), (0, 4), (0, 4), (0, 4),
        (0, 2), (255, 2), (255, 1), (9, 1), (0, 1), (0, 1), (0, 3), (2, 1), (0x02, 1), (0xE4, 1),
    ]
    return b"".join(value.to_bytes(width, "big") for value, width in fields)


@command(
    "84 04 FF 00 00 00 00 00 00 00 FF FF FF FF 00 00", "RECEIVE COPY FAILURE DETAILS(LID1)", BY_RESERVE, 0x04
)
def receive_copy_failure_details(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> Any:
    """6.23: forgotten with being told in full, or by an allocation length of 0. A copy of which nothing is left may be
    known still, or not."""
    kept = nexus.copies.get(cdb[2])
    if kept is None:
        raise bad_cdb(2)
    room = number(cdb, 10, 4)
    if kept.failure is None:
        nothing = Answer(GOOD, bytes(4)[:room])
        if kept.status is not None:
            return [nothing]
        return [nothing, Answer(CHECK_CONDITION, b"", told(bad_cdb(2), bool(unit.mode["D_SENSE"])))]
    answers = []
    for failure in kept.failure:
        sense = sense_bytes(failure)
        data = (56 + len(sense)).to_bytes(4, "big") + bytes(52) + bytes((CHECK_CONDITION, 0, 0, len(sense))) + sense
        answers.append(Answer(GOOD, data[:room]))
    if not 0 < room < len(data):
        nexus.copies[cdb[2]] = kept._replace(failure=None)
    return answers
