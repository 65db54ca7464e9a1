"""A hostile initiator: sessions that begin as they should and go on as ``Choices`` have it.

``run(data)`` is one execution: one node, one target with two disks, up to three connections. What each of them says is
judged (``judge``), and at the end nothing may be left: no task, no memory, no session, no open challenge.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

from ietpy.errors import FormatError
from ietpy.iscsi import deferred, logout, recovery, task_management
from ietpy.iscsi.chap import response
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.pdu import BHS_SIZE, IMMEDIATE, LAYOUTS, NO_TAG, OPCODE_MASK, REQUEST, Opcode
from ietpy.iscsi.pings import hold_back
from ietpy.iscsi.session import Session
from ietpy.iscsi.streaming import StreamedStatus
from ietpy.iscsi.target import Accounts, Asker, IscsiNode, TargetNode
from ietpy.iscsi.text import TEXT_LIMIT, encode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.status import TaskAttribute
from ietpy.scsi.store import Extent
from ietpy.scsi.task import Task
from ietpy.wire.buffers import Chunk, ReceiveWindow
from ietpy.wire.crc32c import crc32c
from tests.fuzz.choices import Choices
from tests.fuzz.judge import Judge, Pdu
from tests.iscsi.conftest import BLOCK, MemoryStore

NAME: Final = "iqn.2026-11.test:t"
BLOCKS: Final = 160
QUEUED: Final = 4
WINDOW: Final = 16384  # a login request fits
USER, SECRET, OWN_SECRET = "user", "secret of 16 byt", "another of 16 by"

#: Values next to which mistakes live.
EDGES: Final = (0, 1, 2, 3, 4, 5, 7, 8, 47, 48, 255, 511, 512, 513, 1023, 1024, 8191, 8192, 8193, 65535, 65536,
                0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
KEYS: Final = (
    "HeaderDigest", "DataDigest", "MaxConnections", "TargetName", "InitiatorName", "InitiatorAlias", "TargetAddress",
    "InitialR2T", "ImmediateData", "MaxRecvDataSegmentLength", "MaxBurstLength", "FirstBurstLength",
    "DefaultTime2Wait", "DefaultTime2Retain", "MaxOutstandingR2T", "DataPDUInOrder", "DataSequenceInOrder",
    "ErrorRecoveryLevel", "SessionType", "TaskReporting", "iSCSIProtocolLevel", "IFMarker", "OFMarkInt", "AuthMethod",
    "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R", "SendTargets", "X-com.example.key", "X#NodeArchitecture", "k",
)
VALUES: Final = (
    "None", "CRC32C", "CRC32C,None", "None,CRC32C", "CHAP", "CHAP,None", "Yes", "No", "yes", "", "All", "Discovery",
    "Normal", "0", "1", "2", "5", "8", "512", "511", "0x200", "4096", "8192", "262144", "16777215", "16777216",
    "RFC3720", "RFC3720,FastAbort,ResponseFence", "NotUnderstood", "Irrelevant", "Reject", NAME, "iqn.2026-11.test:i",
    "0x" + 32 * "00", "0b" + 8 * "AAAA", "5,6,7,8", "-1", "1" * 30, "a" * 300, "\udc80\udcff", "a=b",
)
#: What sessions that are to get far say first.
OPENINGS: Final = (
    {}, {"InitialR2T": "No", "MaxConnections": "8"}, {"HeaderDigest": "CRC32C", "MaxConnections": "2"},
    {"DataDigest": "CRC32C", "InitialR2T": "No"},
    {"HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}, {"MaxRecvDataSegmentLength": "512"},
    {"MaxBurstLength": "1024", "FirstBurstLength": "512", "InitialR2T": "No"}, {"ImmediateData": "No"},
    {"ErrorRecoveryLevel": "1", "MaxConnections": "4"},
    {"ErrorRecoveryLevel": "2", "HeaderDigest": "CRC32C", "DataDigest": "CRC32C", "MaxConnections": "4"},
    {"ErrorRecoveryLevel": "1", "DataDigest": "CRC32C", "InitialR2T": "No", "MaxBurstLength": "1024"},
    {"DataPDUInOrder": "No", "DataSequenceInOrder": "No", "MaxOutstandingR2T": "4", "MaxBurstLength": "1024"},
    {"MaxConnections": "4", "ErrorRecoveryLevel": "2"}, {"iSCSIProtocolLevel": "2"},
)
#: What a target has configured and its initiators mostly say: whether several connections, both.
PROFILES: Final[tuple[tuple[bool, dict[str, Any], dict[str, str]], ...]] = (
    (False, {}, {}), (False, {}, {"InitialR2T": "No"}), (False, {"InitialR2T": False, "FirstBurstLength": 512}, {}),
    (False, {"MaxBurstLength": 512, "MaxOutstandingR2T": 8}, {"MaxOutstandingR2T": "4"}),
    (False, {"DataPDUInOrder": False, "DataSequenceInOrder": False, "MaxOutstandingR2T": 4, "MaxBurstLength": 1024},
     {"DataPDUInOrder": "No", "DataSequenceInOrder": "No", "MaxOutstandingR2T": "3"}),
    (False, {"ErrorRecoveryLevel": 1}, {"ErrorRecoveryLevel": "1", "DataDigest": "CRC32C"}),
    (False, {"ErrorRecoveryLevel": 1, "DataPDUInOrder": False, "MaxBurstLength": 1024},
     {"ErrorRecoveryLevel": "1", "DataPDUInOrder": "No", "MaxRecvDataSegmentLength": "512"}),
    (True, {"MaxConnections": 4}, {"MaxConnections": "3"}),
    (True, {"MaxConnections": 8, "InitialR2T": False}, {"MaxConnections": "8", "InitialR2T": "No"}),
    (True, {"MaxConnections": 2, "ErrorRecoveryLevel": 2, "DefaultTime2Retain": 20},
     {"MaxConnections": "2", "ErrorRecoveryLevel": "2"}),
    (True, {"ErrorRecoveryLevel": 2, "DefaultTime2Retain": 20},
     {"ErrorRecoveryLevel": "2", "DataDigest": "CRC32C", "DefaultTime2Retain": "20"}),
)
CDBS: Final = tuple(bytes.fromhex(text).ljust(16, b"\0") for text in (
    "00", "03000000fc", "12000000ff", "12010083ff", "1a003f00ff", "5a003f0000000000ff", "2500",
    "9e10" + 22 * "0" + "20", "a0000000000000000400", "5e00000000000000ff", "5f000000000000001800", "16", "17", "3500",
    "4d00400000000000ff", "42000000000000001800", "9300" + 22 * "0" + "0400", "8900" + 22 * "0" + "0100",
    "8300" + 20 * "0" + "0100", "1b", "0400", "4800" + 14 * "0" + "0004", "a30c" + 12 * "0" + "01000000",
    "5501" + 12 * "0" + "0c00",
))


class World:
    """A node with one target, and everything that must be whole again at the end."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = 0.0
        self.node = IscsiNode(threading.RLock())
        self.store = MemoryStore(BLOCKS)
        self.store.streams = choices.rarely(4)
        device = ScsiDevice(NAME, threading.RLock())
        self.units = [
            LogicalUnit(self.store, iet_identity(NAME, number), device=device, number=number, write_cache=True)
            for number in ((0, 1) if choices.rarely(4) else (0,))
        ]
        for number, unit in enumerate(self.units):
            device.add(number, unit)
        chap = choices.rarely(4)
        accounts = Accounts({USER: SECRET}, ("target", OWN_SECRET)) if chap else Accounts()
        self.several, configured, self.opening = choices.pick(PROFILES)
        self.target = TargetNode(
            NAME, device, accounts=accounts, key_values=dict(configured), queued_commands=QUEUED, nop_interval=10
        )
        if chap:
            self.node.let_discover(accounts)
        self.node.add(self.target)
        self.peers: list[Peer] = []

    def add_peer(self) -> None:
        self.peers.append(Peer(self, self.choices))

    def sweep(self) -> None:
        """What the clock and the server do with connections whose tasks another one may take over."""
        gone = [peer for peer in self.peers if peer.gone and peer.connection.session is not None]
        for session in {id(peer.connection.session): peer.connection.session for peer in gone}.values():
            recovery.tick(session, self.now)
        for peer in gone:
            if not peer.connection.stranded:
                peer.leave()

    def end(self) -> None:
        """Every connection is lost, and nobody comes for what they had; nothing may be left."""
        for peer in self.peers:
            peer.lose()
        for peer in self.peers:
            peer.end()
        for _ in range(3):
            self.now += 10_000
            self.sweep()
        assert not self.node.open_challenges, "an open challenge"
        assert not self.target.sessions, "a session"
        assert not self.target.ending, "a session that was replaced"
        assert not self.node._tsihs, "a TSIH"
        for unit in self.units:
            tasks = unit.tasks
            assert tasks is None or not tasks._places, "a place in a task set"
        for peer in self.peers:
            assert peer.broken or not any(chunk.pins for chunk in peer.window.chunks), "pinned memory"


class Window(ReceiveWindow):
    """A receive window whose chunks are known."""

    def __init__(self) -> None:
        super().__init__(WINDOW)
        self.chunks: list[Chunk] = [self.chunk]

    def _move(self, unread: int) -> None:
        super()._move(unread)
        self._note()

    def fresh(self) -> None:
        super().fresh()
        self._note()

    def _note(self) -> None:
        if self.chunk not in self.chunks:
            self.chunks.append(self.chunk)


class Peer:
    """One connection: the initiator's end, and what a pump does with the tasks."""

    def __init__(self, world: World, choices: Choices) -> None:
        self.world, self.choices = world, choices
        self.judge = Judge()
        self.dead = self.gone = False
        self.broken = False  #: off in the middle of a batch, whose memory goes with the connection
        self.drawn = 0
        self.window = Window()
        self.connection = Connection(
            world.node, Asker("", "10.0.0.2", "10.0.0.1"), 3260, self._entropy, self._on_login, self.window
        )
        self.connection.owner = self
        self.working: list[Task] = []
        self.isid = choices.pick((b"\x80\0\0\0\0\1", b"\x80\0\0\0\0\1", b"\x80\0\0\0\0\2"))
        self.cid = choices.below(4)
        self.tsih = 0
        self.stage = 0
        self.tag = len(world.peers) << 12
        self.cmd_sn = 100
        self.r2ts: list[Pdu] = []
        self.tags: list[int] = [0]
        self.text_tag = NO_TAG
        self.ping_tag = NO_TAG
        self.challenge: dict[str, str] = {}
        self.digests = False, False

    def name_session(self) -> None:
        """Ask for a session that is there already, or for one that may have been."""
        choices = self.choices
        sessions = [peer.connection.session for peer in self.world.peers if peer.connection.session is not None]
        if sessions and (self.world.several or choices.rarely(4)) and not choices.rarely(4):
            named = choices.pick(sessions)
            self.isid, self.tsih = named.isid, named.tsih

    def _entropy(self, size: int) -> bytes:
        self.drawn += 1
        return (id(self) << 16 | self.drawn).to_bytes(max(size, 16), "little")[:size]

    def _on_login(self, session: Session, replaced: Sequence[Connection]) -> None:
        for each in replaced:
            each.recoverable = each.recoverable and each.session is session
            each.owner.lose()
            if each.stranded and not each.recoverable:
                recovery.give_up(each)
                self.world.sweep()
        for each in replaced:
            each.owner.end()

    # The server's part ------------------------------------------------------------------------------------------

    def feed(self, stream: bytes) -> None:
        """Send bytes in pieces, and judge what comes back for each."""
        at = 0
        while at < len(stream) and not (self.dead or self.connection.closing):
            space = self.connection.space()
            assert len(space)
            size = min(len(space), len(stream) - at)
            if self.choices.rarely(4):
                size = min(size, 1 + self.choices.below(64))
            space[:size] = stream[at : at + size]
            at += size
            logging_in = self.connection.login is not None
            self.receive(size)
            if logging_in and self.connection.login is None and not self.dead:
                self.enter_full_feature()
                self.hear(stream[at - size : at])
                self.receive(0)
                self.hear(b"")
            else:
                self.hear(stream[at - size : at])
        if self.connection.closing:
            self.lose()

    def receive(self, count: int) -> None:
        connection = self.connection
        try:
            tasks = connection.received(count)
        except FormatError:
            self.broken = True
            self.lose()
        else:
            self.execute(tasks)
        self.spread()
        self.pass_on()

    def execute(self, tasks: list[Task]) -> None:
        """What the thread that received a batch does with it; the tasks are of any connection of the session."""
        for task in tuple(tasks):
            if task not in tasks:
                continue  # ended by one before it
            if task.attribute == TaskAttribute.ORDERED and task.connection.pings.streamed:
                hold_back(task.connection, task)
            if task.nexus.lu.execute(task):
                complete(task.connection, task)
            elif deferred.defer(task.connection, task):
                task.connection.owner.working.append(task)
        tasks.clear()

    def enter_full_feature(self) -> None:
        connection, session = self.connection, self.connection.session
        assert session is not None
        if connection.recoverable:
            recovery.release(session, connection.cid)
        self.digests = connection.header_digest, connection.data_digest
        self.judge.full_feature(*self.digests, session.parameters.error_recovery_level)

    def spread(self) -> None:
        """Have other sessions abort their part of functions, and answer those that are finished."""
        functions = self.connection.functions
        while functions:
            function = functions.popleft()
            for other in list(function.others):
                if task_management.abort(function, other):
                    self.answer(function)

    def answer(self, function: Any) -> None:
        owner = function.connection.owner
        if function.author is not None:
            for each in deferred.finish(function.author.connection, function.author):
                self.answer(each)
            return
        if not (owner.connection.closing or owner.gone):
            task_management.answer(function)
        for closed in function.closing:
            closed.owner.lose()

    def pass_on(self) -> None:
        enabled = self.connection.enabled
        while enabled:
            place = enabled.popleft()
            owner = place.task.connection.owner
            task = deferred.enable(owner.connection, place)
            if task is not None:
                owner.working.append(task)

    def work(self) -> None:
        """What workers do with the tasks they have."""
        tasks, self.working = self.working, []
        for task in tasks:
            if task.aborted_by is None:
                task.nexus.lu.execute(task)
            session: Any = self.connection.session
            functions = task_management.author_executed(task) if session.begun else None
            if functions is None:
                functions = deferred.finish(task.connection, task)
            for function in functions:
                self.answer(function)
        self.pass_on()
        self.spread()

    def lose(self) -> None:
        """The connection is lost, or closed: nothing is sent any more."""
        self.dead = self.connection.closing = True

    def end(self) -> None:
        """What a pump does in the end."""
        if self.gone:
            return
        self.gone = True
        connection = self.connection
        if connection.login is not None:
            connection.login.abandoned()
        connection.take_outbox()
        connection.sent()
        session = connection.session
        if session is None:
            return
        if connection.recoverable:
            connection.stranded, connection.closing = True, False
            recovery.suspend(connection)
        self.settle()
        connection.framer._forget()  # a segment of which only a part has come
        if connection.stranded:
            recovery.mute(connection)
            recovery.strand(connection)
            logout.gone(connection)
        else:
            self.leave()

    def settle(self) -> None:
        """Wait until nothing of it executes."""
        session: Any = self.connection.session
        for _ in range(3):  # the end of one task is the turn of another, whose connection has closed
            if not self.connection.stranded:
                deferred.withdraw(self.connection)
            self.execute(session.ready)
            self.pass_on()
            self.work()

    def leave(self) -> None:
        """Nothing is kept for another connection."""
        connection: Any = self.connection
        session = connection.session
        self.settle()
        waiting = [*session.tasks.values(), *session.dormant, *session.running, *session.ready]
        assert not [task for task in waiting if task.connection is connection], "a task of a connection that closed"
        if connection in session.present and not session.leave(connection):
            logout.gone(connection)

    # What it says -----------------------------------------------------------------------------------------------

    def hear(self, sent: bytes) -> None:
        connection = self.connection
        stream = bytearray()
        for piece in connection.take_outbox():
            if isinstance(piece, Extent):
                stream += self.world.store.data[piece.offset : piece.offset + piece.length]
                assert isinstance(piece.context, StreamedStatus)
                piece.context.short = self.choices.rarely(64)
            elif isinstance(piece, StreamedStatus):
                stream += piece.pdu()
            else:
                stream += piece
        connection.sent()
        limit = connection.transmit_limit
        for pdu in self.judge.hear(sent, bytes(stream), limit):
            self.learn(pdu)
        session = connection.session
        if session is not None:
            assert len(session.held) <= QUEUED, "more requests held than the window has"
            assert len(deferred.tasks_of(session)) <= QUEUED + 100, "more tasks than window and immediate ones"

    def learn(self, pdu: Pdu) -> None:
        if pdu.opcode is Opcode.READY_TO_TRANSFER:
            self.r2ts.append(pdu)
        elif pdu.opcode is Opcode.TEXT_RESPONSE:
            self.text_tag = pdu.target_transfer_tag
        elif pdu.opcode is Opcode.NOP_IN and pdu.target_transfer_tag != NO_TAG:
            self.ping_tag = pdu.target_transfer_tag
        elif pdu.opcode is Opcode.LOGIN_RESPONSE:
            assert len(pdu.data) <= TEXT_LIMIT
            pairs = (item.partition("=") for item in pdu.data.decode("utf-8", "surrogateescape").split("\0"))
            self.challenge |= {name: value for name, _, value in pairs if name.startswith("CHAP_")}
            if pdu.flags & 0x80 and not pdu.status:
                self.stage = pdu.flags & 3

    # What it sends ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing more."""
        choices = self.choices
        if choices.rarely(48):
            self.feed(choices.data(1 + choices.below(96)))
        elif self.connection.login is not None:
            self.feed(self.login_request())
        elif self.world.several and choices.rarely(24):
            self.lose()
        elif choices.rarely(12):
            self.work()
            self.hear(b"")
        elif choices.rarely(24):
            self.world.now += choices.pick((0.5, 5, 11, 31))
            self.connection.tick(self.world.now)
            self.world.sweep()
            self.hear(b"")
        elif choices.rarely(16):
            self.world.store.waits = not self.world.store.waits
        elif choices.rarely(32):
            self.world.store.errno = choices.pick((0, 0, 5, 28))
        else:
            self.feed(self.request())

    def login_request(self) -> bytes:
        choices = self.choices
        stage = self.stage if not choices.rarely(24) else choices.below(4)
        following = 3 if stage == 1 or choices.rarely(4) else 1
        flags = stage << 2 | 0x80 | following
        first = not self.judge.login_responses
        if first:
            self.name_session()
        keys: list[tuple[str, str]] = []
        if first and not choices.rarely(32):
            keys.append(("InitiatorName", "iqn.2026-11.test:i"))
            keys.append(("SessionType", "Discovery") if choices.rarely(6) else ("TargetName", NAME))
        if stage == 0:
            keys += self.authentication(first)
            if "CHAP_C" in self.challenge or first:
                flags &= 0x0C if self.world.target.accounts.required and "CHAP_C" not in self.challenge else 0xFF
        elif stage == 1:
            keys += (self.world.opening if not choices.rarely(4) else choices.pick(OPENINGS)).items()
        for _ in range(choices.below(4) if choices.rarely(3) else 0):
            keys.append((choices.pick(KEYS), choices.pick(VALUES)))
        text = encode(keys)
        if choices.rarely(16):
            text = self.damaged(text)
        if choices.rarely(12) and text:
            cut = choices.below(len(text))
            self.feed(self.login_pdu(stage << 2 | 0x40, text[:cut]))
            text = text[cut:]
        if choices.rarely(24):
            flags = choices.below(256)
        return self.login_pdu(flags, text)

    def authentication(self, first: bool) -> list[tuple[str, str]]:
        choices, challenge = self.choices, self.challenge
        if first:
            return [("AuthMethod", choices.pick(("CHAP,None", "None,CHAP", "CHAP", "None")))]
        if "CHAP_C" not in challenge:
            return [("CHAP_A", choices.pick(("7", "5,6,7,8", "8", "6", "4")))]
        secret = SECRET if not choices.rarely(8) else choices.pick((OWN_SECRET, "", "x"))
        mine = response(
            int(challenge["CHAP_A"]), int(challenge["CHAP_I"]), secret, bytes.fromhex(challenge["CHAP_C"][2:])
        )
        keys = [("CHAP_N", USER), ("CHAP_R", "0x" + mine.hex())]
        if choices.rarely(3):
            keys += [("CHAP_I", choices.pick(("1", "255", "256"))),
                     ("CHAP_C", choices.pick(("0x" + 32 * "11", challenge["CHAP_C"], "0x0")))]
        return keys

    def login_pdu(self, flags: int, text: bytes) -> bytes:
        choices = self.choices
        header = LAYOUTS[Opcode.LOGIN_REQUEST].pack(
            opcode=Opcode.LOGIN_REQUEST | IMMEDIATE, flags=flags, lengths=len(text), isid=self.isid, tsih=self.tsih,
            cid=self.cid, cmd_sn=self.cmd_sn, exp_stat_sn=500,
        )
        if choices.rarely(24):
            header = self.damaged_header(header)
        return header + text + bytes(-len(text) % 4)

    def damaged(self, data: bytes) -> bytes:
        choices = self.choices
        damaged = bytearray(data)
        for _ in range(1 + choices.below(3)):
            if damaged:
                damaged[choices.below(len(damaged))] = choices.pick((0, 0x3D, 0x2C, 0x80, 0xFF, 0x41, 0x20))
        return bytes(damaged)

    def damaged_header(self, header: bytes) -> bytes:
        choices = self.choices
        damaged = bytearray(header)
        for _ in range(1 + choices.below(3)):
            if choices.rarely(2):
                at = choices.pick((4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44))
                damaged[at : at + 4] = choices.pick(EDGES).to_bytes(4, "big")
            else:
                damaged[choices.below(BHS_SIZE)] = choices.below(256)
        return bytes(damaged)

    def request(self) -> bytes:
        choices = self.choices
        fields, data = choices.pick(KINDS)(self)
        opcode = fields["opcode"]
        immediate = choices.rarely(12) or bool(opcode & IMMEDIATE)
        session: Any = self.connection.session
        self.cmd_sn = session.exp_cmd_sn if not choices.rarely(8) else session.exp_cmd_sn + choices.below(6) - 1
        exp_stat_sn = (self.judge.stat_sn or 0) if not choices.rarely(8) else choices.pick(EDGES)
        segments = b""
        if choices.rarely(64):
            segments = choices.pick((b"\0\x05\1\0ABCD", b"\0\x05\2\0\0\0\2\0", b"\xff\xff\1\0", b"\0\x02\1\0"))
        header = REQUEST.pack(**({
            "flags": 0x80, "lengths": len(segments) // 4 << 24 | len(data), "initiator_task_tag": self.new_tag(),
            "lun": choices.pick((0, 0, 0, 1 << 48, 5 << 48)), "word20": 0, "cmd_sn": self.cmd_sn & 0xFFFFFFFF,
            "exp_stat_sn": exp_stat_sn, "tail": bytes(16), "byte2": 0, "byte3": 0,
        } | fields | {"opcode": opcode | (IMMEDIATE if immediate else 0)}))
        if choices.rarely(10):
            header = self.damaged_header(header)
        header += segments
        header_digest, data_digest = self.digests
        body = data + bytes(-len(data) % 4)
        if header_digest:
            header += (crc32c(header) ^ choices.rarely(64)).to_bytes(4, "little")
        if data_digest and data:
            body += (crc32c(body) ^ choices.rarely(12)).to_bytes(4, "little")
        return header + body

    def new_tag(self) -> int:
        choices = self.choices
        if choices.rarely(12):
            return choices.pick((NO_TAG, *self.tags[-4:]))
        self.tag += 1
        self.tags.append(self.tag)
        return self.tag

    def command(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        return {
            "opcode": Opcode.SCSI_COMMAND, "flags": choices.pick((0xC0, 0xC0, 0x80, 0xA0, 0xE0)) | choices.below(8),
            "word20": choices.pick((0, 4, 24, 255, 512, 65536)), "tail": choices.pick(CDBS),
        }, choices.data(choices.pick((0, 0, 0, 24, 512)))

    def read(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        blocks = choices.below(6) if not choices.rarely(8) else 129
        expected = blocks * BLOCK if not choices.rarely(6) else choices.pick(EDGES)
        return {
            "opcode": Opcode.SCSI_COMMAND, "flags": 0xC0 | choices.pick((0, 1, 1, 2, 3)), "word20": expected,
            "tail": bytes((0x28, 0, 0, 0, 0, choices.below(BLOCKS + 4), 0, 0, blocks)) + bytes(7),
        }, b""

    def write(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        blocks = choices.below(8)
        expected = blocks * BLOCK if not choices.rarely(6) else choices.pick(EDGES)
        data = bytes(min(choices.pick((0, 0, 512, 1024, expected)), 4096))
        return {
            "opcode": Opcode.SCSI_COMMAND, "flags": choices.pick((0xA0, 0xA0, 0x20)) | choices.pick((0, 1, 1, 2, 3)),
            "word20": expected, "tail": bytes((0x2A, 0, 0, 0, 0, choices.below(BLOCKS), 0, 0, blocks)) + bytes(7),
        }, data

    def data_out(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        if not self.r2ts or choices.rarely(6):
            size = choices.pick((0, 1, 512, 1024))
            offset = choices.pick((0, 512, 1024, 2048))
            tail = bytes(4) + choices.below(3).to_bytes(4, "big") + offset.to_bytes(4, "big") + bytes(4)
            return {
                "opcode": Opcode.DATA_OUT, "flags": choices.pick((0x80, 0)), "word20": NO_TAG, "tail": tail,
                "initiator_task_tag": choices.pick(self.tags[-4:]),
            }, bytes(size)
        r2t = choices.pick(self.r2ts) if choices.rarely(4) else self.r2ts[0]
        size = min(r2t.desired_data_transfer_length, 4096)
        final = 0x80
        if choices.rarely(4):
            size, final = choices.pick((0, 1, 512, size // 2, size + 1)), choices.pick((0x80, 0))
        elif r2t in self.r2ts:
            self.r2ts.remove(r2t)
        offset = r2t.buffer_offset + (choices.pick((0, 512)) if choices.rarely(8) else 0)
        tail = bytes(4) + (choices.below(3) if choices.rarely(8) else 0).to_bytes(4, "big")
        return {
            "opcode": Opcode.DATA_OUT, "flags": final, "word20": r2t.target_transfer_tag, "lun": r2t.lun,
            "tail": tail + offset.to_bytes(4, "big") + bytes(4), "initiator_task_tag": r2t.initiator_task_tag,
        }, bytes(size)

    def nop(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        fields: dict[str, Any] = {"opcode": Opcode.NOP_OUT, "word20": NO_TAG}
        if choices.rarely(3):
            fields |= {"opcode": Opcode.NOP_OUT | IMMEDIATE, "word20": self.ping_tag, "initiator_task_tag": NO_TAG}
        return fields, choices.data(choices.pick((0, 5, 600)))

    def text(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        pairs = [("SendTargets", choices.pick(("All", "", NAME, "x")))]
        if choices.rarely(2):
            pairs = [(choices.pick(KEYS), choices.pick(VALUES)) for _ in range(choices.below(4))]
        text = encode(pairs)
        if choices.rarely(8):
            text = self.damaged(text)
        return {
            "opcode": Opcode.TEXT_REQUEST, "flags": choices.pick((0x80, 0x80, 0, 0x40, 0xC0)),
            "word20": self.text_tag if choices.rarely(2) else NO_TAG,
            "initiator_task_tag": self.tags[-1] if choices.rarely(2) else self.new_tag(), "lun": 0,
        }, text

    def function(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        number = (self.cmd_sn + choices.below(6) - 2) & 0xFFFFFFFF
        return {
            "opcode": Opcode.TASK_MANAGEMENT_REQUEST | choices.pick((0, IMMEDIATE)),
            "flags": 0x80 | choices.pick((1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 13)),
            "word20": choices.pick((NO_TAG, *self.tags[-4:])), "tail": number.to_bytes(4, "big") + bytes(12),
        }, b""

    def logout(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        reason = 1 if not choices.rarely(2) else choices.below(4)
        return {
            "opcode": Opcode.LOGOUT_REQUEST, "flags": 0x80 | reason, "word20": choices.below(3) << 16,
        }, b""

    def snack(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        kind = choices.below(5)
        begin, length = choices.pick((0, 1, 2, 500, self.judge.stat_sn or 0)), choices.pick((0, 1, 2, NO_TAG))
        return {
            "opcode": Opcode.SNACK_REQUEST, "flags": 0x80 | kind, "word20": choices.pick((NO_TAG, 0, 1, 7)),
            "initiator_task_tag": choices.pick((NO_TAG, *self.tags[-4:])),
            "tail": bytes(8) + begin.to_bytes(4, "big") + length.to_bytes(4, "big"),
        }, b""

    def anything(self) -> tuple[dict[str, Any], bytes]:
        choices = self.choices
        return {
            "opcode": choices.below(OPCODE_MASK + 1), "flags": choices.below(256), "word20": choices.pick(EDGES),
            "tail": choices.data(16),
        }, choices.data(choices.below(32))


KINDS: Final = (
    *(8 * [Peer.read]), *(8 * [Peer.write]), *(10 * [Peer.data_out]), *(5 * [Peer.command]), *(3 * [Peer.nop]),
    *(3 * [Peer.text]), *(4 * [Peer.function]), *(3 * [Peer.snack]), Peer.logout, Peer.anything,
)


def run(data: bytes) -> None:
    """One execution. Raises AssertionError, or whatever a mistake of ours raises."""
    choices = Choices(data)
    world = World(choices)
    world.add_peer()
    while not choices.over:
        if len(world.peers) < 4 and choices.rarely(6 if world.several else 24):
            world.add_peer()
        peer = choices.pick(world.peers)
        if peer.dead:
            peer.end()
            if all(each.dead for each in world.peers):
                if len(world.peers) == 4:
                    break
                world.add_peer()
            continue
        peer.step()
        for each in world.peers:
            if not each.gone:
                each.hear(b"")  # what others of its session made it say
                if each.connection.closing:
                    each.lose()
    world.end()

