"""The full feature phase from the initiator's side, without I/O (RFC 7143 sections 4.2 and 11).

Requests go to ``output``; received PDUs go through ``handle``; what ended is in ``results`` by Initiator Task Tag.
Every PDU is judged strictly, and TargetFault is raised at the first that breaks a rule. One ``Session`` is one
connection; those that are one session together know each other as ``members``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ietpy.initiator.errors import Rejected, TargetFault, TaskAborted
from ietpy.initiator.framing import Pdu, build_pdu, extended_cdb
from ietpy.initiator.numbering import Numbering
from ietpy.initiator.recovery import Mischief, Recovery, acknowledge, is_mended, ordered
from ietpy.initiator.tasks import DataOut, Response, ScsiTask
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import BHS_SIZE, CONTINUE, FINAL, NO_TAG, OPCODE_MASK, Opcode
from ietpy.scsi.status import TaskAttribute

#: Task management functions (RFC 7143 section 11.5.1) whose success ends the tasks the predicate selects.
ABORT_TASK: Final = 1
_ENDS: Final[Mapping[int, Callable[[ScsiTask, int, int], bool]]] = {
    ABORT_TASK: lambda task, lun, tag: task.tag == tag,
    2: lambda task, lun, tag: task.lun == lun,  # ABORT TASK SET
    4: lambda task, lun, tag: task.lun == lun,  # CLEAR TASK SET
    5: lambda task, lun, tag: task.lun == lun,  # LOGICAL UNIT RESET
    6: lambda task, lun, tag: True,  # TARGET WARM RESET
    11: lambda task, lun, tag: True,  # I_T NEXUS RESET (RFC 7144)
}
_QUERY_ASYNCHRONOUS_EVENT: Final = 12


@dataclass(frozen=True, slots=True)
class AsyncMessage:
    """RFC 7143 section 11.9. ``sense``: sense data of a SCSI event (code 0), else empty."""

    event: int
    vcode: int
    parameters: tuple[int, int, int]
    lun: int
    sense: bytes


@dataclass(frozen=True, slots=True)
class LogoutResult:
    """RFC 7143 section 11.15; the times are in seconds."""

    response: int
    time2wait: int
    time2retain: int


class _Ping:
    def __init__(self, data: bytes) -> None:
        self.data = data


class _TextExchange:
    def __init__(self) -> None:
        self.answer = b""


@dataclass(slots=True)
class _Management:
    function: int
    lun: int
    referenced: int


class _Logout:
    """A Logout Request in flight."""


_Request = ScsiTask | _Ping | _TextExchange | _Management | _Logout


class Session:
    """See the module. ``numbering`` and ``parameters`` come out of a login; ``leader``: it is of that one's session."""

    def __init__(self, numbering: Numbering, parameters: Parameters, leader: Session | None = None) -> None:
        self.members: list[Session] = [] if leader is None else leader.members
        self.members.append(self)
        self.numbering = numbering
        self.parameters = parameters
        #: Brings what comes into order, and asks for what is missing; None at ErrorRecoveryLevel 0.
        self.recovery = Recovery(self) if parameters.error_recovery_level else None
        self.mischief = Mischief()
        #: PDUs to send, in order.
        self.output: list[bytes] = []
        #: By tag: Response, bytes (Text, NOP-In), int (task management), LogoutResult, or an InitiatorError.
        self.results: dict[int, Any] = {}
        #: Rejects that belong to no request in flight.
        self.rejects: list[Rejected] = []
        self.messages: list[AsyncMessage] = []
        self._flying: dict[int, _Request] = {}
        self._held: deque[Callable[[], None]] = deque()

    @property
    def outstanding(self) -> int:
        """Requests without a result yet, those held back by the command window included."""
        return len(self._flying)

    @property
    def tasks(self) -> dict[int, ScsiTask]:
        """Commands in flight, by tag."""
        return {tag: request for tag, request in self._flying.items() if isinstance(request, ScsiTask)}

    # -- requests --------------------------------------------------------------------------------------------

    def build(self, opcode: int, data: bytes = b"", **fields: Any) -> bytes:
        """A PDU with this connection's digests and ExpStatSN; every field may be overridden (``framing.build_pdu``)."""
        fields.setdefault("exp_stat_sn", self.numbering.exp_stat_sn)
        fields.setdefault("header_digest", self.parameters.header_digest)
        fields.setdefault("data_digest", self.parameters.data_digest)
        return build_pdu(opcode, data, **fields)

    def _start(self, request: _Request, send: Callable[[int], None], tag: int, *, immediate: bool) -> int:
        """Send ``request``, or hold it back until the command window opens."""
        self._flying[tag] = request
        if immediate:
            send(self.numbering.take_cmd_sn(True))
        else:
            self._held.append(lambda: send(self.numbering.take_cmd_sn(False)))
            self._release()
        return tag

    def _release(self) -> None:
        while self._held and self.numbering.window_open:
            self._held.popleft()()

    def command(
        self,
        lun: int,
        cdb: bytes,
        *,
        read: int = 0,
        write: bytes = b"",
        attribute: int = TaskAttribute.SIMPLE,
        immediate: bool = False,
    ) -> int:
        """Start a SCSI command; its tag. ``lun`` is the eight-byte field as a number."""
        tag = self.numbering.new_tag()
        task = ScsiTask(tag, lun, cdb, self.parameters, read=read, write=write, attribute=attribute)

        def send(cmd_sn: int) -> None:
            self.output.append(
                self.build(
                    Opcode.SCSI_COMMAND, task.immediate_data, immediate=immediate, flags=task.flags, lun=lun,
                    initiator_task_tag=tag, expected_data_transfer_length=task.expected, cmd_sn=cmd_sn,
                    cdb=cdb[:16], ahs=extended_cdb(cdb),
                )
            )  # fmt: skip
            for piece in task.unsolicited():
                self._send_data(tag, piece)

        return self._start(task, send, tag, immediate=immediate)

    def _send_data(self, tag: int, piece: DataOut) -> None:
        self.output.append(
            self.build(
                Opcode.DATA_OUT, piece.data, flags=FINAL if piece.final else 0, lun=piece.lun,
                initiator_task_tag=tag, target_transfer_tag=piece.target_transfer_tag, data_sn=piece.data_sn,
                buffer_offset=piece.buffer_offset, spoil_data=self.mischief.spoil(piece),
            )
        )  # fmt: skip

    def snack(
        self, kind: int, first: int = 0, run: int = 0, *, tag: int = NO_TAG, mark: int = NO_TAG, lun: int = 0,
        **fields: Any,
    ) -> None:
        """Send a SNACK Request (section 11.16): BegRun, RunLength, and the Target Transfer or SNACK Tag ``mark``."""
        self.output.append(
            self.build(
                Opcode.SNACK_REQUEST, flags=FINAL | kind, lun=lun, initiator_task_tag=tag, target_transfer_tag=mark,
                beg_run=first, run_length=run, **fields,
            )
        )  # fmt: skip

    def ping(self, data: bytes = b"", *, immediate: bool = False) -> int:
        """Send a NOP-Out that wants its data back (section 11.18); its tag."""
        tag = self.numbering.new_tag()

        def send(cmd_sn: int) -> None:
            self.output.append(
                self.build(
                    Opcode.NOP_OUT, data, immediate=immediate, flags=FINAL, initiator_task_tag=tag,
                    target_transfer_tag=NO_TAG, cmd_sn=cmd_sn,
                )
            )  # fmt: skip

        return self._start(_Ping(data), send, tag, immediate=immediate)

    def text(self, data: bytes) -> int:
        """Send a Text Request (section 11.10) of encoded keys; its tag. The result is the whole answer."""
        tag = self.numbering.new_tag()
        return self._start(
            _TextExchange(), lambda cmd_sn: self._send_text(tag, NO_TAG, cmd_sn, data), tag, immediate=False
        )

    def _send_text(self, tag: int, target_transfer_tag: int, cmd_sn: int, data: bytes = b"") -> None:
        self.output.append(
            self.build(
                Opcode.TEXT_REQUEST, data, flags=FINAL, initiator_task_tag=tag,
                target_transfer_tag=target_transfer_tag, cmd_sn=cmd_sn,
            )
        )  # fmt: skip

    def surrender(self, tag: int) -> ScsiTask:
        """Give up a command in flight, for another connection to ``adopt``."""
        task = self._flying.pop(tag)
        assert isinstance(task, ScsiTask)
        return task

    def adopt(self, task: ScsiTask) -> None:
        """Wait for the answer to a command of another connection."""
        self._flying[task.tag] = task

    def manage(
        self, function: int, lun: int = 0, referenced_tag: int = NO_TAG, ref_cmd_sn: int = 0, exp_data_sn: int = 0
    ) -> int:
        """Send an immediate Task Management Function Request (section 11.5); its tag. The result is the response."""
        tag = self.numbering.new_tag()

        def send(cmd_sn: int) -> None:
            self.output.append(
                self.build(
                    Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=FINAL | function, lun=lun,
                    initiator_task_tag=tag, referenced_task_tag=referenced_tag, cmd_sn=cmd_sn,
                    ref_cmd_sn=ref_cmd_sn, exp_data_sn=exp_data_sn,
                )
            )  # fmt: skip

        return self._start(_Management(function, lun, referenced_tag), send, tag, immediate=True)

    def logout(self, reason: int = 0, cid: int = 0) -> int:
        """Send an immediate Logout Request (section 11.14), by default to close the session; its tag."""
        tag = self.numbering.new_tag()

        def send(cmd_sn: int) -> None:
            self.output.append(
                self.build(
                    Opcode.LOGOUT_REQUEST, immediate=True, flags=FINAL | reason, initiator_task_tag=tag, cid=cid,
                    cmd_sn=cmd_sn,
                )
            )  # fmt: skip

        return self._start(_Logout(), send, tag, immediate=True)

    # -- responses -------------------------------------------------------------------------------------------

    def handle(self, pdu: Pdu) -> None:
        """Judge one PDU, and those whose turn comes with it, and act on them. Raises TargetFault."""
        if self.mischief.lose(pdu):
            return
        if self.recovery is None:
            self._act(pdu)
            return
        for each in self.recovery.arrange(pdu):
            self._act(each, late=True)

    def _act(self, pdu: Pdu, *, late: bool = False) -> None:
        self.numbering.accept(pdu, late=late)
        if pdu.opcode not in _HANDLERS:
            raise TargetFault("7.4", f"a PDU that has no place in the full feature phase ({pdu})")
        _HANDLERS[pdu.opcode](self, pdu)
        self._release()

    def _find(self, pdu: Pdu, kind: type[Any]) -> Any:
        tag = pdu.header["initiator_task_tag"]
        request = self._flying.get(tag)
        if not isinstance(request, kind):
            raise TargetFault("11.2.1.8", f"no request in flight has this tag and takes this answer ({pdu})")
        return request

    def _end(self, tag: int, result: Any) -> None:
        del self._flying[tag]
        self.results[tag] = result

    def _on_scsi_response(self, pdu: Pdu) -> None:
        task = self._find(pdu, ScsiTask)
        self._end(task.tag, task.response(pdu))

    def _on_data_in(self, pdu: Pdu) -> None:
        task = self._find(pdu, ScsiTask)
        response: Response | None = task.data_in(pdu)
        if self.recovery is not None:
            acknowledge(self, task, pdu)
        if response is not None:
            self._end(task.tag, response)

    def _on_ready_to_transfer(self, pdu: Pdu) -> None:
        task = self._find(pdu, ScsiTask)
        for piece in ordered(task.ready_to_transfer(pdu), self.mischief.order):
            self._send_data(task.tag, piece)

    def _on_nop_in(self, pdu: Pdu) -> None:
        tag, transfer_tag = pdu.header["initiator_task_tag"], pdu.header["target_transfer_tag"]
        if tag == NO_TAG:
            self._answer_ping(pdu)
            return
        ping = self._find(pdu, _Ping)
        if transfer_tag != NO_TAG:
            raise TargetFault("11.19.1", f"a NOP-In that answers has Target Transfer Tag {transfer_tag:#x}")
        longest = self.parameters.max_recv_data_segment_length
        if pdu.data != ping.data[:longest]:
            raise TargetFault("11.19", f"NOP-In returned {len(pdu.data)} bytes that are not those of the NOP-Out")
        self._end(tag, pdu.data)

    def _answer_ping(self, pdu: Pdu) -> None:
        if pdu.data:
            raise TargetFault("11.19", f"a NOP-In of the target's own has {len(pdu.data)} bytes of data")
        transfer_tag = pdu.header["target_transfer_tag"]
        if transfer_tag == NO_TAG:
            return  # it only brings counters
        self.output.append(
            self.build(
                Opcode.NOP_OUT, immediate=True, flags=FINAL, lun=pdu.header["lun"], initiator_task_tag=NO_TAG,
                target_transfer_tag=transfer_tag, cmd_sn=self.numbering.take_cmd_sn(True),
            )
        )  # fmt: skip

    def _on_text_response(self, pdu: Pdu) -> None:
        exchange = self._find(pdu, _TextExchange)
        tag, transfer_tag = pdu.header["initiator_task_tag"], pdu.header["target_transfer_tag"]
        final, more = pdu.header["flags"] & FINAL, pdu.header["flags"] & CONTINUE
        if final and more:
            raise TargetFault("11.11.2", "a Text Response has both F and C set")
        if bool(final) != (transfer_tag == NO_TAG):
            raise TargetFault(
                "11.11.4", f"a Text Response with flags {pdu.header['flags']:#04x} has tag {transfer_tag:#x}"
            )
        exchange.answer += pdu.data
        if final:
            self._end(tag, exchange.answer)
        else:
            self._held.append(lambda: self._send_text(tag, transfer_tag, self.numbering.take_cmd_sn(False)))

    def _on_task_management_response(self, pdu: Pdu) -> None:
        request = self._find(pdu, _Management)
        information = pdu.header["information"]
        if any(information) and request.function != _QUERY_ASYNCHRONOUS_EVENT:
            raise TargetFault("11.6", f"function {request.function} is answered with information {information.hex()}")
        if pdu.header["response"] == 0 and request.function in _ENDS:
            ends = _ENDS[request.function]
            for member in self.members:
                for task in member.tasks.values():
                    if ends(task, request.lun, request.referenced):
                        member._end(task.tag, TaskAborted(f"command {task.tag:#x} was aborted by us"))
        self._end(pdu.header["initiator_task_tag"], pdu.header["response"])

    def _on_logout_response(self, pdu: Pdu) -> None:
        self._find(pdu, _Logout)
        header = pdu.header
        result = LogoutResult(header["response"], header["time2wait"], header["time2retain"])
        self._end(header["initiator_task_tag"], result)

    def _on_async_message(self, pdu: Pdu) -> None:
        header = pdu.header
        if header["initiator_task_tag"] != NO_TAG:
            raise TargetFault("11.9", f"an Asynchronous Message has tag {header['initiator_task_tag']:#x}")
        parameters = (header["parameter1"], header["parameter2"], header["parameter3"])
        sense = pdu.data[2 : 2 + int.from_bytes(pdu.data[:2], "big")]
        self.messages.append(
            AsyncMessage(header["async_event"], header["async_vcode"], parameters, header["lun"], sense)
        )

    def _on_reject(self, pdu: Pdu) -> None:
        if pdu.header["initiator_task_tag"] != NO_TAG:
            raise TargetFault("11.17", f"a Reject has tag {pdu.header['initiator_task_tag']:#x}")
        if len(pdu.data) < BHS_SIZE:
            raise TargetFault("11.17.4", f"a Reject brings {len(pdu.data)} bytes of the header it complains about")
        rejected = Rejected(pdu.header["reason"], pdu.data[:BHS_SIZE])
        tag = int.from_bytes(rejected.header[16:20], "big")
        if self.recovery is not None and is_mended(rejected.header):
            return
        if tag in self._flying and rejected.header[0] & OPCODE_MASK != Opcode.SNACK_REQUEST:
            self._end(tag, rejected)
        else:
            self.rejects.append(rejected)


_HANDLERS: Final[Mapping[int, Callable[[Session, Pdu], None]]] = {
    Opcode.NOP_IN: Session._on_nop_in,
    Opcode.SCSI_RESPONSE: Session._on_scsi_response,
    Opcode.TASK_MANAGEMENT_RESPONSE: Session._on_task_management_response,
    Opcode.TEXT_RESPONSE: Session._on_text_response,
    Opcode.DATA_IN: Session._on_data_in,
    Opcode.LOGOUT_RESPONSE: Session._on_logout_response,
    Opcode.READY_TO_TRANSFER: Session._on_ready_to_transfer,
    Opcode.ASYNC_MESSAGE: Session._on_async_message,
    Opcode.REJECT: Session._on_reject,
}
