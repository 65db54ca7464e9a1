"""Data-Out that does not come in order: broken rules, lost PDUs, and any order where it was negotiated.

RFC 7143 sections 7.8, 7.9, 11.8, 13.18 and 13.19. At ErrorRecoveryLevel 0 a loss ends the task, with all that was asked
for; above it one recovery R2T asks again for everything between the first and the last byte that a sequence lacks. A
loss whose header came is known by its digest; that of whole PDUs is known by their DataSN when the next one comes.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ietpy.iscsi.data_in import fail
from ietpy.iscsi.errors import ServiceFailure
from ietpy.iscsi.pdu import NO_TAG
from ietpy.iscsi.transfer import COPIED, NEVER, Outstanding, Transfer, ask, cut, over, send_r2t
from ietpy.scsi.task import Task
from ietpy.wire.serial import MASK, before

if TYPE_CHECKING:
    from ietpy.iscsi.connection import Connection

#: Recovery R2Ts for one task, before it ends with the failure they would mend.
RECOVERIES_LIMIT: Final = 16


class Progress:
    """How far an outstanding sequence has come: the DataSN and offset due next, its bytes, whether any were lost."""

    __slots__ = ("came", "data_sn", "lost", "offset")

    def __init__(self, offset: int) -> None:
        self.data_sn = 0
        self.offset = offset
        self.came = 0
        self.lost = False


class Scattered:
    """What a transfer has received, by offset.

    ``starts`` and ``places`` are (offset, offset behind, views) in order and without overlaps. ``progress`` is by
    transfer tag; ``again`` has the tags of recovery R2Ts, ``top`` the offset behind all that was sent unsolicited.
    """

    __slots__ = ("again", "places", "progress", "starts", "top")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.places: list[tuple[int, int, list[memoryview]]] = []
        self.progress: dict[int, Progress] = {}
        self.again: set[int] = set()
        self.top = 0

    def gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The parts of ``start`` to ``stop`` that have not been received."""
        found = []
        index = bisect.bisect_right(self.starts, start)
        if index:
            start = max(start, self.places[index - 1][1])
        for first, behind, _ in self.places[index:]:
            if first >= stop:
                break
            if start < first:
                found.append((start, first))
            start = behind
        if start < stop:
            found.append((start, stop))
        return found

    def put(self, start: int, stop: int, views: list[memoryview]) -> None:
        """Keep views that fill a part of a gap."""
        index = bisect.bisect_left(self.starts, start)
        self.starts.insert(index, start)
        self.places.insert(index, (start, stop, views))


def data_out(
    connection: Connection, task: Task, final: int, lun: int, transfer_tag: int, data_sn: int, offset: int,
    data: Sequence[memoryview], length: int,
) -> None:
    """A Data-Out that is not the one expected next."""
    transfer: Transfer = task.transfer
    sequence = _find(transfer, transfer_tag)
    if transfer.instead is not None:  # nothing of it is wanted any more
        _pass_over(connection, task, sequence, final)
        return
    session: Any = connection.session
    parameters = session.parameters
    astray = lun != task.lun_field and transfer_tag != NO_TAG  # section 11.7.4
    if sequence is None or astray or (sequence is not transfer.sequences[0] and parameters.data_sequence_in_order):
        give_up(connection, task, ServiceFailure.SEQUENCE_ERROR, final, sequence)
        return
    scattered = transfer.scattered or _scatter(transfer)
    progress = scattered.progress.get(transfer_tag) or _begin(scattered, sequence)
    skipped = data_sn != progress.data_sn
    progress.came += length
    progress.lost |= skipped
    gaps = scattered.gaps(offset, offset + length)
    repeats = transfer_tag not in scattered.again and sum(stop - start for start, stop in gaps) < length
    failure = None
    if before(data_sn, progress.data_sn):
        failure = ServiceFailure.SEQUENCE_ERROR
    elif skipped and not parameters.error_recovery_level:
        failure = ServiceFailure.CRC_ERROR  # that is what digest errors of PDUs before it look like (section 7.9)
    elif parameters.data_pdu_in_order and _is_misplaced(progress, offset, skipped):
        failure = ServiceFailure.SEQUENCE_ERROR
    elif offset < sequence[1] or offset + length > sequence[2] or repeats or (
        final and progress.came < sequence[2] - sequence[1] and not progress.lost and is_short(task, transfer_tag)
    ):
        failure = ServiceFailure.INCORRECT_AMOUNT_OF_DATA
    elif not final and progress.came >= sequence[2] - sequence[1]:  # the sequence is full, yet not said to be over
        failure = ServiceFailure.SEQUENCE_ERROR
    if failure is not None:
        give_up(connection, task, failure, final, sequence)
        return
    _advance(scattered, progress, data_sn, offset + length)
    _take(connection, task, transfer, gaps, offset, data)
    if final:
        _over(connection, task, transfer, sequence)


def lost(
    connection: Connection, task: Task, final: int, transfer_tag: int, data_sn: int, offset: int, length: int
) -> None:
    """A Data-Out whose data cannot be used; its header can."""
    transfer: Transfer = task.transfer
    sequence = _find(transfer, transfer_tag)
    if sequence is None:
        return
    session: Any = connection.session
    if transfer.instead is not None or not session.parameters.error_recovery_level:
        give_up(connection, task, ServiceFailure.CRC_ERROR, final, sequence)
        return
    scattered = transfer.scattered or _scatter(transfer)
    progress = scattered.progress.get(transfer_tag) or _begin(scattered, sequence)
    progress.lost = True
    if not before(data_sn, progress.data_sn):
        _advance(scattered, progress, data_sn, min(max(offset + length, progress.offset), sequence[2]))
    if final:
        _over(connection, task, transfer, sequence)


def ask_again(connection: Connection, task: Task) -> None:
    """Ask once more for what has not come, by a connection the task was reassigned to (section 7.2.2).

    Outstanding R2Ts are sent again with their R2TSNs; what came in order of their data is dropped, as they begin again.
    What did not come of unsolicited data is asked for like the rest.
    """
    transfer: Transfer = task.transfer
    if not transfer.sequences:
        return  # it waits for memory
    scattered = transfer.scattered
    first = transfer.sequences[0]
    if transfer.instead is not None:
        transfer.sequences = [first]
        over(connection, task, transfer)
    elif first[0] != NO_TAG:
        if scattered is None:
            transfer.pieces, transfer.received = cut(transfer.pieces, 0, first[1]), first[1]
        transfer.sequences = [(connection.new_tag(), *rest) for _, *rest in transfer.sequences]  # type: ignore[misc]
        for asked in transfer.sequences:
            send_r2t(connection, task, asked)
        transfer.tag = transfer.sequences[0][0]
        if scattered is None:
            transfer.data_sn = 0
        else:
            scattered.progress.clear()
            scattered.again.update(tag for tag, *_ in transfer.sequences)
    elif scattered is None:
        over(connection, task, transfer)
    else:
        _over(connection, task, transfer, first)


def give_up(
    connection: Connection, task: Task, failure: ServiceFailure, final: int, sequence: Outstanding | None = None
) -> None:
    """End ``task``, but not before it was sent all that was asked for; what came ends ``sequence`` if ``final``."""
    transfer: Transfer = task.transfer
    if not transfer.sequences:  # it waits for memory, and nothing was asked for
        session: Any = connection.session
        del session.tasks[task.tag]
        fail(connection, task, failure)
        return
    transfer.give_up(connection, task, failure)
    _pass_over(connection, task, sequence, final)


def _pass_over(connection: Connection, task: Task, sequence: Outstanding | None, final: int) -> None:
    """Of data nobody wants only its end matters; one that belongs nowhere is taken for that of the oldest sequence."""
    transfer: Transfer = task.transfer
    if final:
        over(connection, task, transfer, 0 if sequence is None else transfer.sequences.index(sequence))


def _find(transfer: Transfer, transfer_tag: int) -> Outstanding | None:
    return next((each for each in transfer.sequences if each[0] == transfer_tag), None)


def _scatter(transfer: Transfer) -> Scattered:
    """Go over from data in order, of which there may be some."""
    scattered = transfer.scattered = Scattered()
    useful = min(transfer.received, transfer.needed)
    if useful:
        scattered.put(0, useful, transfer.pieces)
    scattered.top = transfer.received
    first = transfer.sequences[0]
    progress = _begin(scattered, first)
    progress.data_sn = transfer.data_sn
    progress.offset = transfer.received
    progress.came = transfer.received - first[1]
    transfer.received = useful
    transfer.data_sn = NEVER
    return scattered


def _begin(scattered: Scattered, sequence: Outstanding) -> Progress:
    progress = scattered.progress[sequence[0]] = Progress(sequence[1])
    return progress


def _is_misplaced(progress: Progress, offset: int, skipped: bool) -> bool:
    """Whether data in order comes from elsewhere than behind what came; further behind where PDUs were lost."""
    return offset < progress.offset if skipped else offset != progress.offset


def is_short(task: Task, transfer_tag: int) -> bool:
    """Whether a sequence that ends before its end is too short (section 11.4.7.2).

    It is not if it is unsolicited, and all of the data might have been.
    """
    transfer: Transfer = task.transfer
    return transfer_tag != NO_TAG or task.expected > transfer.end


def _advance(scattered: Scattered, progress: Progress, data_sn: int, offset: int) -> None:
    progress.data_sn = (data_sn + 1) & MASK
    progress.offset = offset
    scattered.top = max(scattered.top, offset)


def _take(
    connection: Connection, task: Task, transfer: Transfer, gaps: list[tuple[int, int]], offset: int,
    data: Sequence[memoryview],
) -> None:
    """Keep what fills gaps below the need of the CDB."""
    scattered, needed = transfer.scattered, transfer.needed
    assert scattered is not None
    useful = [(start, min(stop, needed)) for start, stop in gaps if start < needed]
    if not useful:
        return
    little = sum(map(len, data)) <= COPIED
    if not little:
        task.chunks.extend(connection.framer.retain())
    for start, stop in useful:
        views = cut(data, start - offset, stop - offset)
        scattered.put(start, stop, [memoryview(b"".join(views))] if little else views)
        transfer.received += stop - start


def _over(connection: Connection, task: Task, transfer: Transfer, sequence: Outstanding) -> None:
    """A sequence has ended: what it lacks is asked for again, else the transfer goes on."""
    scattered = transfer.scattered
    assert scattered is not None
    tag, start, stop, _ = sequence
    scattered.progress.pop(tag, None)
    if tag == NO_TAG:
        stop = transfer.asked = scattered.top
    gaps = scattered.gaps(start, min(stop, transfer.needed))
    if gaps:
        session: Any = connection.session
        if not session.parameters.error_recovery_level:
            transfer.give_up(connection, task, ServiceFailure.INCORRECT_AMOUNT_OF_DATA)
        elif len(scattered.again) >= RECOVERIES_LIMIT:
            transfer.give_up(connection, task, ServiceFailure.CRC_ERROR)
        else:
            scattered.again.add(ask(connection, task, transfer, gaps[0][0], gaps[-1][1]))
    elif transfer.received >= transfer.needed:
        transfer.pieces = [view for _, _, views in scattered.places for view in views]
    over(connection, task, transfer, transfer.sequences.index(sequence))
