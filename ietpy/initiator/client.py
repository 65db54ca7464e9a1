"""The blocking skin of the initiator: one socket, one session, a timeout on every wait.

Two doors: the polite one (``login``, ``command``, ``read`` ...) judges all the target says and raises
TargetFault; the raw one (``make``, ``send_pdu``, ``receive_pdu``) sends what real initiators never send and shows
what comes back.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final

from ietpy.initiator import recovery
from ietpy.initiator.errors import CommandFailed, ConnectionLost, InitiatorError, TargetFault, TimedOut
from ietpy.initiator.framing import Framer, Pdu
from ietpy.initiator.login import LOGIN_DATA_LIMIT, LoginPlan, Outcome, exchange
from ietpy.initiator.numbering import Numbering
from ietpy.initiator.session import LogoutResult, Session
from ietpy.initiator.tasks import Response
from ietpy.initiator.text import decode, encode
from ietpy.iscsi.keys import KEY_BY_NAME, Parameters, Use
from ietpy.iscsi.pdu import DEFAULT_PORT, IMMEDIATE, NO_TAG, Opcode
from ietpy.scsi import lun as lun_field
from ietpy.scsi.status import SenseKey, Status, TaskAttribute

_RECEIVE: Final = 262144  #: bytes asked of the socket at once
_UNNUMBERED: Final = frozenset((Opcode.DATA_OUT, Opcode.SNACK_REQUEST))
_ATTENTIONS: Final = 8  #: unit attentions a helper passes over before it gives up


@dataclass(frozen=True, slots=True)
class Capacity:
    """READ CAPACITY(16): ``blocks`` of ``block_size`` bytes; ``data`` is the whole answer (SBC-3 section 5.16)."""

    blocks: int
    block_size: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return self.blocks * self.block_size


class Client:
    """A connection to a target. Not for use by two threads at once. ``timeout``: seconds, for each wait."""

    def __init__(self, connected: socket.socket, *, timeout: float = 10.0) -> None:
        self.socket = connected
        self.timeout = timeout
        self.framer = Framer(LOGIN_DATA_LIMIT)
        self.session = Session(Numbering(), Parameters())
        #: How the login was done and what it brought; None before it.
        self.plan: LoginPlan | None = None
        self.outcome: Outcome | None = None

    @classmethod
    def connect(cls, address: str, port: int = DEFAULT_PORT, *, timeout: float = 10.0) -> Client:
        """Open the TCP connection; nothing is sent yet. Raises ConnectionLost or TimedOut."""
        try:
            connected = socket.create_connection((address, port), timeout)
        except TimeoutError:
            raise TimedOut(f"{address} port {port} did not accept a connection within {timeout:g} s") from None
        except OSError as problem:
            raise ConnectionLost(f"no connection to {address} port {port}: {problem.strerror or problem}") from None
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connected, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket without a logout; idempotent."""
        self.socket.close()

    # -- the polite door -------------------------------------------------------------------------------------

    def login(self, plan: LoginPlan, *, cmd_sn: int = 1) -> Outcome:
        """Log in as ``plan`` says. Raises LoginRefused, AuthenticationFailed, TargetFault, TimedOut, ConnectionLost."""
        return self._log_in(plan, Numbering(cmd_sn))

    def join(self, leader: Client, cid: int, **changes: Any) -> Outcome:
        """Become a connection of the session of ``leader`` (section 6.3.1), or reinstate the one that has this CID.

        ``changes`` to the plan ``leader`` logged in with; keys of the leading login are not said again.
        """
        assert leader.plan is not None
        assert leader.outcome is not None
        named = {name: word for name, word in leader.plan.keys.items() if KEY_BY_NAME[name].use is not Use.LOGIN}
        plan = replace(leader.plan, **{"tsih": leader.outcome.tsih, "keys": named, **changes}, cid=cid)
        return self._log_in(plan, Numbering(commands=leader.session.numbering.commands), leader.session)

    def _log_in(self, plan: LoginPlan, numbering: Numbering, leader: Session | None = None) -> Outcome:
        steps = exchange(plan, numbering, secrets.token_bytes)
        request = next(steps)
        while True:
            self.send_pdu(request)
            try:
                request = steps.send(self._next_pdu(self._deadline(None)))
            except StopIteration as end:
                outcome: Outcome = end.value
                break
        self.plan, self.outcome = plan, outcome
        if leader is not None:
            outcome.parameters.join(leader.parameters)
        self.session = Session(numbering, outcome.parameters, leader)
        self.framer.longest = outcome.parameters.max_recv_data_segment_length
        self.framer.header_digest = outcome.parameters.header_digest
        self.framer.data_digest = outcome.parameters.data_digest
        self.framer.forgiving = outcome.parameters.error_recovery_level > 0
        return outcome

    def discover(self, which: str = "All") -> list[tuple[str, list[str]]]:
        """SendTargets (RFC 7143 appendix C): names with their addresses, in the target's order."""
        found: list[tuple[str, list[str]]] = []
        answer = self.wait(self.session.text(encode({"SendTargets": which})))
        for name, value in decode(answer):
            if name == "TargetName":
                found.append((value, []))
            elif name == "TargetAddress" and found:
                found[-1][1].append(value)
            else:
                raise TargetFault("Appendix C", f"{name}={value} has no place in an answer to SendTargets")
        return found

    def submit(
        self,
        lun: int,
        cdb: bytes,
        *,
        read: int = 0,
        write: bytes = b"",
        attribute: int = TaskAttribute.SIMPLE,
        immediate: bool = False,
    ) -> int:
        """Start a command and return its tag at once; ``wait`` for it later. ``lun``: 0 to 16383."""
        tag = self.session.command(
            lun_field.encode(lun), cdb, read=read, write=write, attribute=attribute, immediate=immediate
        )
        self._flush()
        return tag

    def wait(self, tag: int, *, timeout: float | None = None) -> Any:
        """The result of a request: a Response for commands (see ``Session.results``). Raises what went wrong."""
        self._flush()
        deadline = self._deadline(timeout)
        results = self.session.results
        while tag not in results:
            self.session.handle(self._next_pdu(deadline))
            self._flush()
            if self.session.rejects:
                raise self.session.rejects.pop(0)
        result = results.pop(tag)
        if isinstance(result, InitiatorError):
            raise result
        return result

    def command(
        self,
        lun: int,
        cdb: bytes,
        *,
        read: int = 0,
        write: bytes = b"",
        attribute: int = TaskAttribute.SIMPLE,
        immediate: bool = False,
        timeout: float | None = None,
    ) -> Response:
        """Run one command to its end, whatever its status. ``read``: bytes wanted; ``write``: bytes to send."""
        tag = self.submit(lun, cdb, read=read, write=write, attribute=attribute, immediate=immediate)
        response: Response = self.wait(tag, timeout=timeout)
        return response

    def recover(self) -> None:
        """Ask for what may be lost (``Recovery.ask_for_all``). Raises ValueError at ErrorRecoveryLevel 0."""
        if self.session.recovery is None:
            raise ValueError("recovery needs ErrorRecoveryLevel 1")
        self.session.recovery.ask_for_all()
        self._flush()

    def ping(self, data: bytes = b"", *, immediate: bool = False) -> bytes:
        """NOP-Out and back; the data that returned."""
        answer: bytes = self.wait(self.session.ping(data, immediate=immediate))
        return answer

    def manage(self, function: int, lun: int = 0, referenced_tag: int = NO_TAG, ref_cmd_sn: int = 0) -> int:
        """A task management function; the response code (RFC 7143 section 11.6.1)."""
        answer: int = self.wait(self.session.manage(function, lun_field.encode(lun), referenced_tag, ref_cmd_sn))
        return answer

    def reassign(self, lost: Client, tag: int) -> int:
        """Have a command of a lost connection go on by this one, to ``wait`` for; the response (section 11.6.1)."""
        answer: int = self.wait(recovery.reassign(self.session, lost.session, tag))
        return answer

    def logout(self, reason: int = 0, cid: int | None = None) -> LogoutResult:
        """Log out, wait for the answer and close the socket; ``cid``: of another connection, which is closed."""
        own = self.plan.cid if self.plan is not None else 0
        result: LogoutResult = self.wait(self.session.logout(reason, own if cid is None else cid))
        if cid is None or cid == own:
            self.close()
        return result

    # -- SCSI helpers: GOOD or CommandFailed; unit attentions are passed over ----------------------------------

    def _good(self, operation: str, lun: int, cdb: bytes, *, read: int = 0, write: bytes = b"") -> bytes:
        for _ in range(_ATTENTIONS):
            response = self.command(lun, cdb.ljust(16, b"\0"), read=read, write=write)
            if response.good:
                return response.data
            failure = CommandFailed(operation, response.status, response.sense)
            if response.status != Status.CHECK_CONDITION or failure.key != SenseKey.UNIT_ATTENTION:
                break
        raise failure

    def test_unit_ready(self, lun: int) -> None:
        """TEST UNIT READY (SPC-4 section 6.47)."""
        self._good("TEST UNIT READY", lun, b"\x00")

    def inquiry(self, lun: int, page: int | None = None, length: int = 255) -> bytes:
        """Standard INQUIRY data, or a vital product data page (SPC-4 section 6.6)."""
        evpd, code = (0, 0) if page is None else (1, page)
        return self._good("INQUIRY", lun, bytes((0x12, evpd, code)) + length.to_bytes(2, "big"), read=length)

    def read_capacity(self, lun: int) -> Capacity:
        """READ CAPACITY(16) (SBC-3 section 5.16)."""
        cdb = b"\x9e\x10" + bytes(8) + (32).to_bytes(4, "big")
        data = self._good("READ CAPACITY(16)", lun, cdb, read=32)
        return Capacity(int.from_bytes(data[:8], "big") + 1, int.from_bytes(data[8:12], "big"), data)

    def report_luns(self, select: int = 0, length: int = 4096) -> list[int]:
        """REPORT LUNS (SPC-4 section 6.33): LUN numbers; those of no simple form stay eight-byte fields."""
        cdb = bytes((0xA0, 0, select, 0, 0, 0)) + length.to_bytes(4, "big")
        data = self._good("REPORT LUNS", 0, cdb, read=length)
        listed = data[8 : 8 + int.from_bytes(data[:4], "big")]
        fields = [int.from_bytes(listed[at : at + 8], "big") for at in range(0, len(listed), 8)]
        return [field if (number := lun_field.decode(field)) is None else number for field in fields]

    def read(self, lun: int, lba: int, blocks: int, *, block_size: int = 512) -> bytes:
        """READ(16) of whole blocks."""
        return self._good("READ(16)", lun, _transfer(0x88, lba, blocks), read=blocks * block_size)

    def write(self, lun: int, lba: int, data: bytes, *, block_size: int = 512, fua: bool = False) -> None:
        """WRITE(16); ``data`` is whole blocks. Raises ValueError for a fraction of a block."""
        if len(data) % block_size:
            raise ValueError(f"{len(data)} bytes are no whole blocks of {block_size}")
        self._good("WRITE(16)", lun, _transfer(0x8A, lba, len(data) // block_size, fua), write=data)

    def synchronize_cache(self, lun: int) -> None:
        """SYNCHRONIZE CACHE(10) of everything (SBC-3 section 5.22)."""
        self._good("SYNCHRONIZE CACHE(10)", lun, b"\x35")

    # -- the raw door ----------------------------------------------------------------------------------------

    def make(self, opcode: int, data: bytes = b"", **fields: Any) -> bytes:
        """A PDU as this session would send it next, but for the ``fields`` given (``framing.build_pdu``).

        A fresh tag, F set, the next CmdSN (taken, unless ``immediate`` or given) and the digests in force are filled
        in. ``lun`` is the eight-byte field. The session does not wait for its answer: read it with ``receive_pdu``.
        """
        immediate = bool(fields.get("immediate")) or bool(fields.get("opcode_byte", 0) & IMMEDIATE)
        fields.setdefault("flags", 0x80)
        fields.setdefault("initiator_task_tag", None)
        if fields["initiator_task_tag"] is None:
            fields["initiator_task_tag"] = self.session.numbering.new_tag()
        if opcode not in _UNNUMBERED and "cmd_sn" not in fields:
            fields["cmd_sn"] = self.session.numbering.take_cmd_sn(immediate)
        return self.session.build(opcode, data, **fields)

    def send_pdu(self, data: bytes, *, timeout: float | None = None) -> None:
        """Send these bytes as they are. Raises TimedOut, ConnectionLost."""
        self.socket.settimeout(self.timeout if timeout is None else timeout)
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise TimedOut(f"the target took no data for {self.timeout:g} s") from None
        except OSError as problem:
            raise ConnectionLost(f"the connection broke while sending: {problem}") from None

    def receive_pdu(self, timeout: float | None = None, *, strict: bool = True) -> Pdu:
        """The next PDU, not acted upon. ``strict``: header and counters are judged, else followed only.

        Raises TargetFault, TimedOut, and ConnectionLost when the target closed.
        """
        pdu = self._next_pdu(self._deadline(timeout))
        act: Callable[[Pdu], None] = self.session.numbering.accept if strict else self.session.numbering.follow
        act(pdu)
        return pdu

    def closed_by_target(self, timeout: float | None = None) -> bool:
        """Whether the target closes the connection without sending another byte; False if a byte comes first.

        Raises TimedOut if neither happens.
        """
        if self.framer.pending:
            return False
        try:
            self.framer.feed(self._receive(self._deadline(timeout)))
        except ConnectionLost:
            return True
        return False

    # -- sockets ---------------------------------------------------------------------------------------------

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def _flush(self) -> None:
        if self.session.output:
            pieces, self.session.output = self.session.output, []
            self.send_pdu(b"".join(pieces))

    def _next_pdu(self, deadline: float) -> Pdu:
        while (pdu := self.framer.next_pdu()) is None:
            self.framer.feed(self._receive(deadline))
        return pdu

    def _receive(self, deadline: float) -> bytes:
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(_RECEIVE)
        except TimeoutError:
            raise TimedOut("the target did not answer in time") from None
        except OSError as problem:
            raise ConnectionLost(f"the connection broke: {problem}") from None
        if not data:
            raise ConnectionLost("the target closed the connection")
        return data


def _transfer(operation: int, lba: int, blocks: int, fua: bool = False) -> bytes:
    """A READ(16) or WRITE(16) CDB."""
    return bytes((operation, 0x08 if fua else 0)) + lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + b"\0\0"
