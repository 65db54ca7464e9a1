"""Recovery from the initiator's side (RFC 7143 sections 7.2.2, 7.8, 7.9, 11.16): ErrorRecoveryLevel 1 and 2.

PDUs that arrive are brought into the order of their DataSN, R2TSN and StatSN, and what is missing is asked for with a
SNACK, once; ``Session`` judges them in that order as strictly as ever. A status waits for the data of its command, so
it is not acknowledged before that came. Neither libiscsi nor open-iscsi has this level: this is the only referee.

``Mischief`` makes happen what networks seldom do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ietpy.initiator.framing import Pdu
from ietpy.initiator.numbering import RULES, StatSn, takes_stat_sn
from ietpy.initiator.tasks import DataOut, ScsiTask
from ietpy.iscsi.pdu import ACKNOWLEDGE, HAS_STATUS, OPCODE_MASK, Opcode
from ietpy.wire.serial import advance, before

if TYPE_CHECKING:
    from ietpy.initiator.session import Session

_TASK_REASSIGN: Final = 8
#: SNACK types (section 11.16.1).
DATA_OR_R2T, STATUS, DATA_ACK, R_DATA = range(4)
#: The field that numbers the PDUs of a task.
_NUMBER: Final = {Opcode.DATA_IN: "data_sn", Opcode.READY_TO_TRANSFER: "r2t_sn"}


@dataclass(slots=True)
class Mischief:
    """``lose``: received PDUs that count as lost. ``spoil``: Data-Out PDUs sent with a wrong data digest.

    ``order``: in what order the PDUs of a Data-Out sequence are sent; DataSN and F bit follow it.
    """

    lose: Callable[[Pdu], bool] = lambda pdu: False
    spoil: Callable[[DataOut], bool] = lambda piece: False
    order: Callable[[list[DataOut]], Sequence[DataOut]] = lambda pieces: pieces


class Recovery:
    """What came early, and what was seen, of one session at ErrorRecoveryLevel 1 or 2."""

    def __init__(self, session: Session) -> None:
        self._session = session
        #: By tag: the number due next, the one behind the highest seen, and PDUs that came early.
        self._due: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._early: dict[int, dict[int, Pdu]] = {}
        self._ended: set[int] = set()
        #: Writes that were reassigned: the first R2T may be one that was answered by the lost connection.
        self._restarted: dict[int, ScsiTask] = {}
        self._statuses: dict[int, Pdu] = {}
        self._highest = session.numbering.exp_stat_sn  #: StatSN behind the highest seen

    def ask_for_all(self) -> None:
        """Ask for all that was sent and not acknowledged: it may be lost with nothing behind it that shows it."""
        for tag in self._session.tasks:
            self._session.snack(DATA_OR_R2T, tag=tag)
        self._session.snack(STATUS)

    def resegment(self, tag: int) -> None:
        """Ask for the data of a read, in PDUs of the length this side declares now (section 11.16.3).

        What came for it and is not acknowledged is forgotten, its status too. Raises KeyError where it has ended.
        """
        task, snack_tag = self._session.tasks[tag], self._session.numbering.new_tag()
        self._due[tag] = self._seen[tag] = task.restart(snack_tag)
        self._early[tag] = {}
        for stat_sn, pdu in tuple(self._statuses.items()):
            if pdu.header["initiator_task_tag"] == tag:
                del self._statuses[stat_sn]
        self._session.snack(R_DATA, tag=tag, mark=snack_tag)

    def arrange(self, pdu: Pdu) -> Iterator[Pdu]:
        """PDUs whose turn has come, the caller acting on each before the next is asked for."""
        if pdu.opcode not in RULES:
            yield pdu
            return
        if pdu.opcode in _NUMBER:
            yield from self._arrange_data(pdu)
        elif takes_stat_sn(pdu, RULES[pdu.opcode].stat_sn):
            self._put_status(pdu)
        else:
            self._expect_statuses(pdu.header["stat_sn"])
            yield pdu
        yield from self._statuses_due()

    def take_over(self, task: ScsiTask) -> None:
        """A task goes on by this connection (section 7.2.2)."""
        self._due[task.tag] = self._seen[task.tag] = task.received_pdus
        self._early[task.tag] = {}
        if not task.reads:
            self._restarted[task.tag] = task

    def _arrange_data(self, pdu: Pdu) -> Iterator[Pdu]:
        tag, number = pdu.header["initiator_task_tag"], pdu.header[_NUMBER[Opcode(pdu.opcode)]]
        if tag in self._restarted:
            self._restarted.pop(tag).rewind(number)
            self._due[tag] = min(self._due[tag], number)
        if tag in self._ended:
            return
        due, early = self._due.setdefault(tag, 0), self._early.setdefault(tag, {})
        if number < due or number in early:
            return  # a duplicate (section 7.9)
        early[number] = pdu
        self._expect_data(tag, number)
        self._seen[tag] = max(self._seen[tag], number + 1)
        while (due := self._due[tag]) in early:
            self._due[tag] = due + 1
            ready = early.pop(due)
            if RULES[ready.opcode].stat_sn is StatSn.NEXT:
                self._expect_statuses(ready.header["stat_sn"])
            if ready.opcode == Opcode.DATA_IN and ready.header["flags"] & HAS_STATUS:
                self._put_status(ready)
            else:
                yield ready

    def _expect_data(self, tag: int, number: int) -> None:
        """Ask for what is missing before ``number``, unless it was asked for already."""
        first = self._seen.setdefault(tag, 0)
        if first < number:
            self._session.snack(DATA_OR_R2T, first, number - first, tag=tag)
            self._seen[tag] = number

    def _put_status(self, pdu: Pdu) -> None:
        stat_sn = pdu.header["stat_sn"]
        self._expect_statuses(stat_sn)
        if not before(stat_sn, self._session.numbering.exp_stat_sn):
            self._statuses[stat_sn] = pdu
        if not before(stat_sn, self._highest):
            self._highest = advance(stat_sn)

    def _expect_statuses(self, stat_sn: int) -> None:
        """Ask for the statuses missing before ``stat_sn``, unless they were asked for already."""
        first = self._highest
        if before(first, stat_sn):
            self._session.snack(STATUS, first, stat_sn - first & 0xFFFFFFFF)
            self._highest = stat_sn

    def _statuses_due(self) -> Iterator[Pdu]:
        numbering = self._session.numbering
        while (pdu := self._statuses.get(numbering.exp_stat_sn)) is not None:
            tag = pdu.header["initiator_task_tag"]
            if pdu.opcode == Opcode.SCSI_RESPONSE:
                self._expect_data(tag, pdu.header["exp_data_sn"])
                if self._due.get(tag, 0) < pdu.header["exp_data_sn"]:
                    return  # it must not be acknowledged before its data has come (section 7.9)
            del self._statuses[numbering.exp_stat_sn]
            if self._due.pop(tag, None) is not None:
                del self._seen[tag], self._early[tag]
                self._ended.add(tag)
            yield pdu


def acknowledge(session: Session, task: ScsiTask, pdu: Pdu) -> None:
    """Answer the A bit of a Data-In (section 11.7.2)."""
    header = pdu.header
    if header["flags"] & ACKNOWLEDGE:
        task.acknowledge()
        # It must not come after the acknowledgment of the status, which this PDU may have brought.
        known = header["stat_sn"] if header["flags"] & HAS_STATUS else session.numbering.exp_stat_sn
        session.snack(
            DATA_ACK, header["data_sn"] + 1, lun=header["lun"], mark=header["target_transfer_tag"], exp_stat_sn=known
        )


def reassign(session: Session, lost: Session, tag: int) -> int:
    """Ask that the command ``tag`` of a lost connection goes on by ``session`` (section 11.5.1); the function's tag."""
    task = lost.surrender(tag)
    function = session.manage(_TASK_REASSIGN, referenced_tag=tag, exp_data_sn=task.received_pdus if task.reads else 0)
    session.adopt(task)
    if session.recovery is not None:
        session.recovery.take_over(task)
    return function


def is_mended(header: bytes) -> bool:
    """Whether a Reject of the PDU with this header costs nothing.

    That is a Data-Out, which an R2T asks for again (section 7.8), or a SNACK that asked for whatever there is.
    """
    opcode = header[0] & OPCODE_MASK
    return opcode == Opcode.DATA_OUT or (opcode == Opcode.SNACK_REQUEST and not any(header[40:48]))


def ordered(pieces: Sequence[DataOut], order: Callable[[list[DataOut]], Sequence[DataOut]]) -> Iterator[DataOut]:
    """The pieces of a sequence in another order, numbered anew."""
    arranged = order(list(pieces))
    for data_sn, piece in enumerate(arranged):
        yield DataOut(
            piece.lun, piece.target_transfer_tag, data_sn, piece.buffer_offset, piece.data, data_sn == len(arranged) - 1
        )
