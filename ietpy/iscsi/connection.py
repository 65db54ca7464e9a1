"""One iSCSI connection without I/O: the only class of this package a server sees (RFC 7143 sections 4.2, 7.2).

    space()            -> where the next received bytes shall land
    received(count)    -> tasks now ready to execute
    complete(task)     -> its answer is in the outbox (``data_in.complete``)
    defer(task)        -> one that cannot be executed now (``deferred``); when a worker has, finish(task)
    take_outbox()      -> what to send, in order; then sent()

One thread at a time calls any of it: the holder of the server's lock for this connection. ``stage`` alone may be
called by anybody. Buffers are lent, never copied; see ``wire.buffers``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ietpy.errors import FormatError, Reject
from ietpy.iscsi import full_feature, pings
from ietpy.iscsi.discovery import TextExchange
from ietpy.iscsi.framing import Framer, Request
from ietpy.iscsi.function import Function
from ietpy.iscsi.keys import RECOVERS_CONNECTIONS, Parameters
from ietpy.iscsi.login import Login, LoginResult
from ietpy.iscsi.outbox import Outbox, Piece
from ietpy.iscsi.pdu import BHS_SIZE, FINAL, IMMEDIATE, NO_TAG, OPCODE_MASK, REJECT, UNNUMBERED, Opcode
from ietpy.iscsi.retention import Retention
from ietpy.iscsi.session import Session, establish
from ietpy.iscsi.tally import Tally
from ietpy.iscsi.target import Asker, IscsiNode
from ietpy.iscsi.transfer import CROWDED, Turn, r2t_limit
from ietpy.scsi.limits import EXTENT_MINIMUM
from ietpy.scsi.task import Task
from ietpy.wire.buffers import ReceiveWindow
from ietpy.wire.serial import MASK, before

#: Data-In up to this length lies right behind its header in the slab (2026-11: one buffer to send per batch).
INLINE_LIMIT: Final = 32 * 1024
#: What a Login Request may carry (section 13.12's default, which holds during login).
LOGIN_DATA_LIMIT: Final = 8192
_BEHIND: Final = 0x80000000  #: set in the difference of two serial numbers if the first comes before the second


class Connection(Outbox):
    """See the module's text.

    ``on_login(session, replaced)`` hears of the session a login made or joined, and of the connections it ends.
    """

    def __init__(
        self,
        node: IscsiNode,
        asker: Asker,
        local_port: int,
        entropy: Callable[[int], bytes],
        on_login: Callable[[Session, Sequence[Connection]], None],
        window: ReceiveWindow | None = None,
    ) -> None:
        super().__init__()
        self.transmit_limit = LOGIN_DATA_LIMIT
        self.node = node
        self.asker = asker
        self.local_port = local_port
        self.on_login = on_login
        self.window = window or ReceiveWindow(free=node.chunks)
        self.login: Login | None = Login(
            node, asker.peer, asker.local, local_port, entropy, self._establish, asker.group
        )
        self.framer: Framer
        self.requests: Callable[[], Iterator[Request]]
        self.session: Session | None = None
        self.text: TextExchange
        self.parameters: Parameters  #: the session's, and this connection's own digests and segment lengths
        self.handlers: Sequence[full_feature.Handler] = ()
        self.cid = 0
        self.free: list[Task] = []
        #: These are common to the connections of a session: the batch at hand; of anybody's tasks, those whose turn has
        #: come with the end of ours, places in task sets and writes that waited for memory; functions that wait for
        #: other sessions. The last two are for the server.
        self.ready: list[Task] = []
        self.enabled: deque[Turn] = deque()
        self.functions: deque[Function] = deque()
        self.tally: Tally
        #: No more requests are taken; once the outbox is sent the connection closes.
        self.closing = False
        #: Why it closes, for a log line; empty for an orderly logout.
        self.problem = ""
        self.stat_sn = 0
        self.immediate_limit = 0  #: the longest immediate data of a plain write, which needs no digest
        self.r2t_limit = 1
        self.crowded = CROWDED
        self.next_tag = 0
        #: Data may be promised by a file: it needs no digest, will not have to be sent again, and goes in long PDUs.
        self.extents = True
        #: Whether its tasks outlive it, whether they do, and whether they may be reassigned (``recovery``).
        self.recoverable = self.stranded = self.released = False
        #: The command window was opened, and no PDU says so yet.
        self.untold = False
        #: Whoever moves this connection's bytes, and who holds what its session shares; opaque here.
        self.owner: Any = None
        self.line: Any = None
        #: Whether anything came since the clock was looked at last.
        self.heard = True
        self.pings = pings.Pings()

    # Receiving ----------------------------------------------------------------------------------------------------

    def space(self) -> memoryview:
        """Where the next received bytes shall land; never empty."""
        return self.window.space()

    def received(self, count: int) -> list[Task]:
        """Take ``count`` bytes that came into ``space()``; tasks now ready to execute, in order.

        ``count`` may be 0. Raises FormatError when the connection must drop without an answer. Of a session with
        several connections all have this list, and tasks in it may be of others. Clear it when its tasks were executed
        or deferred.
        """
        self.window.end += count
        self.heard = True
        ready = self.ready
        if self.login is not None:
            self._receive_login(self.login)
            return ready  # what follows a login comes after its last answer: the next call takes it
        closed = self.closing
        if closed:
            return ready  # another connection has logged it out, and may have been told so
        session, handlers = self.session, self.handlers
        assert session is not None
        if self.plain and not (session.held or self.framer.cut) and full_feature.take_plain(self, session):
            return ready
        for opcode, flags, lun, tag, word20, cmd_sn, tail, data, length in self.requests():
            try:
                if data is None:
                    full_feature.refuse_unfit(self, opcode, flags, tag, word20, tail, length)
                    continue
                if opcode & IMMEDIATE or opcode & OPCODE_MASK in UNNUMBERED:
                    pass
                elif cmd_sn == session.exp_cmd_sn and not (session.max_cmd_sn - cmd_sn) & _BEHIND:
                    session.exp_cmd_sn = (cmd_sn + 1) & MASK
                else:
                    self._hold(session, (opcode, flags, lun, tag, word20, cmd_sn, tail), data, length)
                    continue
                handlers[opcode & OPCODE_MASK](self, opcode, flags, lun, tag, word20, cmd_sn, tail, data, length)
            except Reject as problem:
                if not (opcode & IMMEDIATE or opcode & OPCODE_MASK in UNNUMBERED):
                    session.exp_cmd_sn = cmd_sn  # a rejected request was not received (section 7.3)
                self.reject(problem.reason, self.framer.header(), problem.data_sn, str(problem))
            if session.held:
                self._release_held(session)
            if self.closing:
                break
        return ready

    def _receive_login(self, login: Login) -> None:
        window = self.window
        while not (login.done or login.failed):
            start, unread = window.start, window.end - window.start
            if unread and window.chunk.buffer[start] & OPCODE_MASK != Opcode.LOGIN_REQUEST:
                answer = login.interrupted()
                if answer is None:
                    raise FormatError("a PDU other than a Login Request before login")
                self.append(answer)
                break
            if unread < BHS_SIZE:
                window.need = BHS_SIZE
                return
            view = window.chunk.view
            lengths = int.from_bytes(view[start + 4 : start + 8], "big")
            if lengths > LOGIN_DATA_LIMIT:  # additional headers count too: login PDUs have none (section 11.12)
                raise FormatError(
                    f"a Login Request with {lengths >> 24} words of additional headers and {lengths & 0xFFFFFF} bytes"
                    f" of data; none and {LOGIN_DATA_LIMIT} are the most"
                )
            size = BHS_SIZE + lengths + (-lengths & 3)
            if unread < size:
                window.need = size
                return
            first = start + BHS_SIZE
            self.append(login.receive(view[start:first], view[first : first + lengths]))
            window.start += size
            window.need = 0
        if login.failed:
            self.problem = login.problem
            self.closing = True
            return
        self.login = None
        assert login.result is not None
        self._enter_full_feature(login.result)

    def _establish(self, result: LoginResult) -> int:
        self.asker = replace(self.asker, initiator=result.initiator_name)
        session, replaced = establish(self.node, result, self, self.asker)
        self.session, self.cid = session, result.cid
        self.line, self.ready = session.line, session.ready
        self.enabled, self.functions = session.enabled, session.functions
        self.tally = session.tally
        self.on_login(session, replaced)
        return session.tsih

    def _enter_full_feature(self, result: LoginResult) -> None:
        parameters = result.parameters
        self.header_digest = parameters.header_digest
        self.data_digest = parameters.data_digest
        self.header_size = BHS_SIZE + (4 if self.header_digest else 0)
        self.framer = Framer(
            self.window, self.header_digest, self.data_digest, parameters.max_recv_data_segment_length
        )
        self.requests = self.framer.requests
        self.stat_sn = result.stat_sn
        if parameters.error_recovery_level and result.target is not None:
            self.retention = Retention(self)
            self.requests = partial(self.retention.requests, self.framer)
            self.recoverable = parameters.error_recovery_level >= RECOVERS_CONNECTIONS
        if self.retention is None:  # which has a bound of its own, and keeps memory as long as the initiator likes
            self.pool.budget, self.pool.owner = self.node.staging, self.node.source(self.asker.peer)
        self.plain = not self.header_digest and self.retention is None
        assert self.session is not None
        self.r2t_limit = r2t_limit(parameters)
        self.handlers = full_feature.handlers(self.session)
        self.text = full_feature.text_exchange(self, result)
        self.parameters = parameters
        self.follow_parameters()

    def follow_parameters(self) -> None:
        """Take over what the full feature phase may redeclare: the initiator's MaxRecvDataSegmentLength."""
        parameters = self.parameters
        self.transmit_limit = parameters.max_xmit_data_segment_length
        inline_limit = INLINE_LIMIT if self.retention is None else 0  # the slab's bytes are not there for long
        segment = min(self.transmit_limit, parameters.max_burst_length)
        self.inline_limit = min(segment, inline_limit)
        assert self.session is not None
        # What shares a lock must not wait for a disk while it is sent; short PDUs cost more in calls than a copy.
        self.extents = (
            segment >= EXTENT_MINIMUM and not (self.data_digest or self.session.shared) and self.retention is None
        )
        immediate = parameters.immediate_data and not self.data_digest
        self.immediate_limit = min(parameters.first_burst_length, self.framer.limit) if immediate else 0

    # Command numbering (section 4.2.2.1) --------------------------------------------------------------------------

    def _hold(self, session: Session, fields: tuple[Any, ...], data: Sequence[memoryview], length: int) -> None:
        """Keep a request that came before its turn; ignore one outside the window, or a second of one number."""
        cmd_sn = fields[5]
        if before(cmd_sn, session.exp_cmd_sn) or before(session.max_cmd_sn, cmd_sn) or cmd_sn in session.held:
            return
        copies = [memoryview(bytes(view)) for view in data]
        session.held[cmd_sn] = self, (*fields, copies, length), self.framer.header()

    def _release_held(self, session: Session) -> None:
        """Take the requests whose turn has come, on the connections they came by (section 4.2.2.1).

        One that was aborted while held only fills its number. One that is rejected leaves a gap, which is the
        initiator's to fill (section 7.3).
        """
        while True:
            self._release_functions(session)
            if self.closing or session.exp_cmd_sn not in session.held:
                return
            held = session.held.pop(session.exp_cmd_sn)
            session.exp_cmd_sn = (session.exp_cmd_sn + 1) & MASK
            if held is None:
                session.max_cmd_sn = (session.max_cmd_sn + 1) & MASK
                continue
            connection, request, header = held
            try:
                connection.handlers[request[0] & OPCODE_MASK](connection, *request)
            except Reject as problem:
                session.exp_cmd_sn = request[5]
                connection.reject(problem.reason, header, why=str(problem))

    def _release_functions(self, session: Session) -> None:
        """Have functions act for which all commands before them have come, and none behind them (``ordering``)."""
        for key in [key for key in session.held if type(key) is tuple and not before(session.exp_cmd_sn, key[0])]:
            connection, request, header = session.held.pop(key)
            try:
                connection.handlers[request[0] & OPCODE_MASK](connection, *request)
            except Reject as problem:  # its tag became a command's meanwhile
                session.managing.discard(key[1])
                connection.reject(problem.reason, header, why=str(problem))

    # Sending ------------------------------------------------------------------------------------------------------

    def next_stat_sn(self) -> int:
        """The StatSN of an answer that carries status; each is used once (section 4.2.2.2)."""
        stat_sn = self.stat_sn
        self.stat_sn = (stat_sn + 1) & MASK
        return stat_sn

    def reject(self, reason: int, header: bytes, data_sn: int = 0, why: str = "") -> None:
        """Queue a Reject for the request with this header (section 11.17; ``data_sn``: 11.17.2)."""
        self.node.rejected(self.asker.peer, reason, why)
        session = self.session
        assert session is not None
        self.send(
            REJECT.pack(
                opcode=Opcode.REJECT, flags=FINAL, reason=reason, initiator_task_tag=NO_TAG,
                stat_sn=self.next_stat_sn(), exp_cmd_sn=session.exp_cmd_sn, max_cmd_sn=session.max_cmd_sn,
                data_sn=data_sn,
            ),
            header,
        )

    def take_outbox(self) -> list[Piece]:
        """What to send now, in order. Call ``sent`` when the last byte has left."""
        if self.untold:
            self.untold = False
            if not self.closing:
                pings.ping(self, NO_TAG)
        if self.mark != self.used:
            self.outbox.append(self.slab_view[self.mark : self.used])
            self.mark = self.used
        outbox, self.outbox = self.outbox, []
        return outbox

    def nothing_queued(self) -> bool:
        """Whether everything queued was taken."""
        return self.mark == self.used and not self.outbox and not self.untold

    def let_go(self) -> None:
        """Give back memory that nothing lies in; it comes back with the next request."""
        super().let_go()
        self.window.let_go()

    # Time and loss ------------------------------------------------------------------------------------------------

    @property
    def named(self) -> dict[str, Any]:
        """Whose it is and of which target, by name, as far as that is known; for machines that read a log."""
        session = self.session
        if session is None or session.target is None:
            return {} if self.login is None else self.login.named
        return {"initiator": session.initiator, "target": session.target.name}

    def tick(self, now: float) -> None:
        """Look at the clock (``pings.tick``); ``now`` counts seconds."""
        if self.session is not None and self.session.target is not None and not self.closing:
            pings.tick(self, now)

    def new_tag(self) -> int:
        """A Target Transfer Tag not in use; never the reserved one."""
        self.next_tag = (self.next_tag + 1) % NO_TAG
        return self.next_tag
