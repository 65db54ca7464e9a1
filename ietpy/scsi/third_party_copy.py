"""EXTENDED COPY, and what came of it (SPC-4 sections 5.17, 6.4, 6.22, 6.23, 6.25): copies between the device's disks.

Only the LID1 forms exist; whatever else has their operation codes (LID4, tokens) is refused as an unknown service
action. A copy is done when its command is answered. Results are kept for the nexus, by list identifier, until they
were told, the identifier is used again, the logical unit is reset, or the nexus ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from ietpy.errors import StoreError
from ietpy.scsi import reservation
from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import field
from ietpy.scsi.command import BLOCKS, Access, Command, CommandSet, Result
from ietpy.scsi.copy_descriptors import (
    BLOCK_GRANULARITY,
    CONCURRENT,
    DESCRIPTOR_TYPES,
    LIST_MOST,
    MAXIMUM_CSCDS,
    MAXIMUM_LIST,
    MAXIMUM_SEGMENTS,
    CopyList,
    aborted,
    parse,
)
from ietpy.scsi.limits import CHUNK, COPY_PIECE
from ietpy.scsi.nexus import REVOKED
from ietpy.scsi.sense import CheckCondition, ReadFailure, invalid_field, list_length_error, read
from ietpy.scsi.status import SenseKey, Status
from ietpy.scsi.vpd import vital_product_data
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.task import Task

COPYING: Final = CommandSet("SPC-4 third-party copy")

#: Rows that say what a copy does to its two ends, as far as reservations are concerned (section 5.17.3).
_READS: Final = Command(0x83, "copy source", lambda lu, task: None, access=Access.READ)
_WRITES: Final = Command(0x83, "copy destination", lambda lu, task: None, access=Access.WRITE)

_IN_PROGRESS: Final = 0  #: COPY COMMAND STATUS (section 6.25)
_COMPLETED: Final = 1
_FAILED: Final = 2

#: RECEIVE COPY STATUS (LID1) parameter data (section 6.25).
COPY_STATUS: Final = Layout("RECEIVE COPY STATUS (LID1) parameter data", 12, (
    ("available_data", "I"), ("status", "B"), ("segments", "H"), ("units", "B"), ("transferred", "I"),
))
#: RECEIVE COPY OPERATING PARAMETERS parameter data before the list of descriptor types (section 6.22).
OPERATING_PARAMETERS: Final = Layout("RECEIVE COPY OPERATING PARAMETERS parameter data", 44, (
    ("available_data", "I"), ("snlid", "B"), ("_reserved", "3x"), ("maximum_cscds", "H"), ("maximum_segments", "H"),
    ("maximum_list", "I"), ("maximum_segment_length", "I"), ("maximum_inline", "I"), ("held_data_limit", "I"),
    ("maximum_stream", "I"), ("_reserved", "2x"), ("total_concurrent", "H"), ("maximum_concurrent", "B"),
    ("data_granularity", "B"), ("inline_granularity", "B"), ("held_granularity", "B"), ("_reserved", "3x"),
    ("descriptor_list_length", "B"),
))
#: RECEIVE COPY FAILURE DETAILS (LID1) parameter data before the sense data (section 6.23).
FAILURE_DETAILS: Final = Layout("RECEIVE COPY FAILURE DETAILS (LID1) parameter data", 60, (
    ("available_data", "I"), ("_reserved", "52x"), ("status", "B"), ("_reserved", "x"), ("sense_length", "H"),
))
#: SPC-4 section 7.8.6.1: what precedes each designator of VPD page 83h.
DESIGNATION_HEADER: Final = Layout("designation descriptor header", 4, (
    ("code_set", "B"), ("kind", "B"), ("_reserved", "x"), ("length", "B"),
))
#: Bytes of a CSCD descriptor and of a segment descriptor that can turn out to be wrong (sections 6.4.5.3, 6.4.6.3).
_BLOCK_LENGTH_AT: Final = 29
_SOURCE_AT: Final = 4
_DESTINATION_AT: Final = 6
_BLOCKS_AT: Final = 10
_SOURCE_LBA_AT: Final = 12
_DESTINATION_LBA_AT: Final = 20
_DEVICE_IDENTIFICATION: Final = 0x83
_ASSOCIATION: Final = 0x30


_allocation: Final = field(10, 4)


class CopyResult:
    """What is kept of one copy: how far it came, and how it ended. ``segments`` counts the one that is copied, too.

    ``sense`` is empty unless it failed, and when that was told; ``told``: its status was.
    """

    __slots__ = ("segments", "sense", "state", "told", "transferred")

    def __init__(self) -> None:
        self.told = False
        self.state = _IN_PROGRESS
        self.segments = 0
        self.transferred = 0
        self.sense = b""


class _End(NamedTuple):
    """A logical unit, and where the parameter list describes it."""

    unit: LogicalUnit
    place: int


class _Piece(NamedTuple):
    """A segment with its ends found: offsets and length in bytes."""

    source: _End
    destination: _End
    start: int
    to: int
    length: int


def _list_length(lu: LogicalUnit, cdb: bytes) -> int:
    return int.from_bytes(cdb[10:14], "big")


def _refuse(lu: LogicalUnit, cdb: bytes) -> None:
    if _list_length(lu, cdb) > LIST_MOST:
        raise list_length_error()


@COPYING.command(
    0x83, "EXTENDED COPY(LID1)", service_action=0x00, access=Access.MANAGE, timeout=600, data_out=_list_length,
    refuse=_refuse, usage="83 00 00 00 00 00 00 00 00 00 FF FF FF FF 00 00",
)
def extended_copy(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.4: segments in their order; the first that fails ends the copy."""
    _refuse(lu, task.cdb)
    length = _list_length(lu, task.cdb)
    if not length:
        return None
    if not task.may_block:
        return BLOCKS
    data = task.parameter_list(length)
    wanted = parse(data)
    result = _begin(lu, task.nexus, wanted)
    try:
        for number in range(len(wanted.segments)):
            result.segments += 1
            _copy(_prepared(task.nexus, wanted, number), result, task)
    except CheckCondition as condition:
        condition.segment = result.segments - 1
        result.sense, result.state = condition.sense(lu.descriptor_sense), _FAILED
        raise
    result.state = _COMPLETED
    return None


def _begin(lu: LogicalUnit, nexus: Nexus, wanted: CopyList) -> CopyResult:
    result = CopyResult()
    if wanted.identifier is not None:
        with lu.device.lock:
            earlier = nexus.copies.get(wanted.identifier)
            if earlier is not None and earlier.state == _IN_PROGRESS:
                raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.OPERATION_IN_PROGRESS)  # section 5.17.4.2
            nexus.copies[wanted.identifier] = result
    return result


# Finding both ends


def _designators(lu: LogicalUnit) -> Iterator[tuple[int, int, bytes]]:
    """(code set, type, value) of what names the logical unit itself in VPD page 83h."""
    page = vital_product_data(lu, _DEVICE_IDENTIFICATION)
    place = 4
    while place < len(page):
        fields = DESIGNATION_HEADER.unpack(page, place)
        place += DESIGNATION_HEADER.size
        if not fields["kind"] & _ASSOCIATION:
            yield fields["code_set"] & 0x0F, fields["kind"] & 0x0F, page[place:place + fields["length"]]
        place += fields["length"]


def _find(nexus: Nexus, wanted: CopyList, index: int, asked: int) -> _End:
    """The logical unit behind a CSCD of the list: one the initiator has itself, so that nobody reaches what he may not.

    ``asked``: where the list has ``index``.
    """
    if index >= len(wanted.cscds):
        raise aborted(Asc.COPY_TARGET_DEVICE_NOT_REACHABLE, asked)
    cscd, place = wanted.cscds[index], wanted.cscd_place(index)
    found = [] if cscd.null else [
        unit for number, unit in nexus.device.logical_units.items()
        if nexus.view.has(number) and any(cscd.names(*designator) for designator in _designators(unit))
    ]
    if len(found) != 1:  # nobody, or who cannot be told apart
        raise aborted(Asc.COPY_TARGET_DEVICE_NOT_REACHABLE, place)
    if cscd.device_type != found[0].peripheral:
        raise aborted(Asc.INCORRECT_COPY_TARGET_DEVICE_TYPE, place)
    if cscd.block_length not in (0, found[0].block_size):
        raise aborted(Asc.INVALID_FIELD_IN_PARAMETER_LIST, place + _BLOCK_LENGTH_AT)
    return _End(found[0], place)


def _check(end: _End, nexus: Nexus, row: Command) -> None:
    """Raise COPY ABORTED if ``row``'s work would be refused to this initiator on that unit."""
    unit = end.unit
    with unit.device.lock:
        own = next((
            each for each in unit.nexuses if each.it_nexus == nexus.it_nexus and not each.barrier & REVOKED
        ), None)
        asks = own or unit.attach(*nexus.it_nexus, nexus.view)
        refused = reservation.conflicts(unit, asks, row, bytes(16)) or unit.obstacle(row)
        if own is None:
            unit.detach(asks)
    protected = unit.write_protected or not nexus.view.may_write(unit.number)
    if refused or (row is _WRITES and protected):
        raise aborted(Asc.THIRD_PARTY_DEVICE_FAILURE, end.place)


def _prepared(nexus: Nexus, wanted: CopyList, number: int) -> _Piece:
    segment, place = wanted.segments[number], wanted.segment_place(number)
    reads = _find(nexus, wanted, segment.source, place + _SOURCE_AT)
    writes = _find(nexus, wanted, segment.destination, place + _DESTINATION_AT)
    _check(reads, nexus, _READS)
    _check(writes, nexus, _WRITES)
    source, destination = reads.unit, writes.unit
    length = segment.blocks << (destination if segment.counts_destination else source).shift
    if length % source.block_size or length % destination.block_size:
        raise aborted(Asc.UNEXPECTED_INEXACT_SEGMENT, place + _BLOCKS_AT)
    start, to = segment.source_lba << source.shift, segment.destination_lba << destination.shift
    if start + length > source.blocks << source.shift:
        raise aborted(Asc.NO_ADDITIONAL_SENSE_INFORMATION, place + _SOURCE_LBA_AT)
    if to + length > destination.blocks << destination.shift:
        raise aborted(Asc.NO_ADDITIONAL_SENSE_INFORMATION, place + _DESTINATION_LBA_AT)
    return _Piece(reads, writes, start, to, length)


# Copying


def _copy(piece: _Piece, result: CopyResult, task: Task) -> None:
    """Raises COPY ABORTED with the residual, if something was written: all of it where that is not on the medium.

    So it does when nobody waits for the copy any more, or the daemon ends: a list may take hours.
    """
    before, written, destination = result.transferred, -1, piece.destination.unit
    losses = destination.store.losses
    try:
        for written in _moves(piece):
            result.transferred = before + written
            if task.abandoned or destination.device.stopping():
                raise aborted(Asc.NO_ADDITIONAL_SENSE_INFORMATION, piece.destination.place)
        if piece.length and destination.write_through:
            destination.store.commit(losses)
    except (StoreError, CheckCondition) as error:
        failed = piece.source if isinstance(error, ReadFailure) else piece.destination
        if isinstance(error, StoreError):
            failed.unit.device.fault(failed.unit, error, task.cdb)
        lasting = 0 if destination.write_through else written
        residual = None if written < 0 else (piece.length - lasting) >> destination.shift
        raise aborted(Asc.THIRD_PARTY_DEVICE_FAILURE, failed.place, residual) from error


def _moves(piece: _Piece) -> Iterator[int]:
    """By the store's own means where it can; else through memory, from the end that an overlap does not spoil.

    After each step: how much is written from the start of the segment on, without a gap.
    """
    source, destination = piece.source.unit.store, piece.destination.unit.store
    writing = piece.destination.unit.readiness.writing
    backward = source is destination and piece.start < piece.to < piece.start + piece.length
    done = 0
    if not backward:
        while done < piece.length:
            length = min(COPY_PIECE, piece.length - done)
            with writing(piece.to + done, length):
                if not destination.copy(piece.to + done, source, piece.start + done, length):
                    break
            done += length
            yield done
    places = range(done, piece.length, CHUNK)
    buffer = memoryview(bytearray(min(CHUNK, piece.length)))
    for place in reversed(places) if backward else places:
        part = buffer[:piece.length - place]
        with writing(piece.to + place, len(part)):
            read(source, piece.start + place, part)
            destination.write(piece.to + place, [part], False)
        if backward:
            yield 0 if place else piece.length
        else:
            yield place + len(part)


# RECEIVE COPY RESULTS


def _kept(task: Task) -> CopyResult:
    result = task.nexus.copies.get(task.cdb[2])
    if result is None:
        raise invalid_field(2)
    return result


@COPYING.command(
    0x84, "RECEIVE COPY STATUS(LID1)", service_action=0x00, access=Access.STATE, allocation=_allocation,
    usage="84 00 FF 00 00 00 00 00 00 00 FF FF FF FF 00 00",
)
def receive_copy_status(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.25: the status of a copy that has ended is told once."""
    result = _kept(task)
    if result.told:
        raise invalid_field(2)
    result.told = result.state != _IN_PROGRESS
    units, transferred = 0, result.transferred
    while transferred > 0xFFFF_FFFF:  # each unit is 1024 of the one before (table 251)
        units, transferred = units + 1, transferred >> 10
    return COPY_STATUS.pack(
        available_data=COPY_STATUS.size - 4, status=result.state, segments=result.segments, units=units,
        transferred=transferred,
    )


@COPYING.command(
    0x84, "RECEIVE COPY OPERATING PARAMETERS", service_action=0x03, access=Access.STATE, allocation=_allocation,
    usage="84 03 00 00 00 00 00 00 00 00 FF FF FF FF 00 00",
)
def receive_copy_operating_parameters(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.22."""
    types = bytes(DESCRIPTOR_TYPES)
    return OPERATING_PARAMETERS.pack(
        available_data=OPERATING_PARAMETERS.size - 4 + len(types), snlid=1, maximum_cscds=MAXIMUM_CSCDS,
        maximum_segments=MAXIMUM_SEGMENTS, maximum_list=MAXIMUM_LIST, total_concurrent=CONCURRENT,
        maximum_concurrent=CONCURRENT, data_granularity=BLOCK_GRANULARITY, descriptor_list_length=len(types),
    ) + types


@COPYING.command(
    0x84, "RECEIVE COPY FAILURE DETAILS(LID1)", service_action=0x04, access=Access.STATE, allocation=_allocation,
    usage="84 04 FF 00 00 00 00 00 00 00 FF FF FF FF 00 00",
)
def receive_copy_failure_details(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.23: nothing of a copy that did not fail; told as a whole, or thrown away, once."""
    result = _kept(task)
    if result.state == _IN_PROGRESS:
        raise invalid_field(2)
    sense = result.sense
    if not sense:
        return bytes(4)
    details = FAILURE_DETAILS.pack(
        available_data=FAILURE_DETAILS.size - 4 + len(sense), status=Status.CHECK_CONDITION, sense_length=len(sense),
    ) + sense
    if not 0 < _allocation(task.cdb) < len(details):
        result.sense = b""
    return details
