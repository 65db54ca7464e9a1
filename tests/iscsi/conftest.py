"""A connection in the full feature phase with a disk in memory behind it, driven PDU by PDU without a socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.errors import LoginFailure, StoreError
from ietpy.iscsi import logout
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.deferred import defer, enable, finish, withdraw
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.login import Login, LoginResult
from ietpy.iscsi.pdu import CONTINUE, LAYOUTS, TRANSIT, Opcode
from ietpy.iscsi.pings import hold_back
from ietpy.iscsi.streaming import StreamedStatus
from ietpy.iscsi.target import UNRESTRICTED, Asker, IscsiNode, TargetNode
from ietpy.iscsi.text import Pairs, decode, encode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.status import TaskAttribute
from ietpy.scsi.store import Capabilities, Extent
from ietpy.scsi.task import Task
from ietpy.wire.buffers import ReceiveWindow
from ietpy.wire.crc32c import crc32c

BLOCK = 512


class MemoryStore:
    """A disk in a bytearray; ``waits`` makes everything look as if a device were asked."""

    block_size = physical_block_size = BLOCK

    def __init__(self, blocks: int = 8192) -> None:
        self.data = bytearray(blocks * BLOCK)
        self.waits = False
        self.streams = False
        self.errno = 0
        self.capabilities = Capabilities(immediate=True)

    @property
    def size(self) -> int:
        return len(self.data)

    def _check(self) -> None:
        if self.errno:
            raise StoreError(self.errno, "as told")

    def read(self, offset: int, buffer: memoryview) -> None:
        self._check()
        buffer[:] = self.data[offset : offset + len(buffer)]

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        if self.waits:
            return False
        self.read(offset, buffer)
        return True

    def extent(self, offset: int, length: int) -> Extent | None:
        return Extent(99, offset, length) if self.streams else None

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        self._check()
        for view in views:
            self.data[offset : offset + len(view)] = view
            offset += len(view)

    losses = 0

    def commit(self, mark: int) -> None:
        self._check()

    def flush(self) -> None:
        self._check()

    def discard(self, offset: int, length: int) -> None:
        self.zero(offset, length)

    def zero(self, offset: int, length: int) -> None:
        self.data[offset : offset + length] = bytes(length)

    def close(self) -> None:
        pass

    def fill(self) -> None:
        """Blocks that tell their number."""
        self.data[:] = bytes(range(256)) * (self.size // 256)
        for block in range(self.size // BLOCK):
            self.data[block * BLOCK : block * BLOCK + 4] = block.to_bytes(4, "big")


class Pdu:
    """A PDU the target sent; header fields are attributes."""

    def __init__(self, header: bytes, data: bytes) -> None:
        self.opcode = Opcode(header[0] & 0x3F)
        self.fields = LAYOUTS[self.opcode].unpack(header)
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return self.fields[name]

    def __repr__(self) -> str:
        return f"{self.opcode.name} {self.fields} {len(self.data)} bytes"


class Nexus:
    """An initiator's end of one session, as far as sending bytes and parsing answers goes."""

    def __init__(
        self, node: IscsiNode, target: TargetNode | None, isid: bytes = b"ISID01", group: int = 1, *, tsih: int = 0,
        cid: int = 0, user: str = "", initiator: str = "iqn.2026-11.test:i", peer: str = "10.0.0.2",
        **parameters: Any,
    ) -> None:
        self.replaced: list[Any] = []
        self.node, self.target = node, target
        self.connection = Connection(
            node, Asker("iqn.i", peer, "10.0.0.1", group), 3260, bytes,
            lambda session, old: self.replaced.append(old),
            parameters.pop("window", None) or ReceiveWindow(4096),
        )
        self.connection.owner = self
        self.parameters = Parameters(
            **({"initial_r2t": False, "max_xmit_data_segment_length": 8192, "max_recv_data_segment_length": 8192}
               | parameters)
        )
        result = SimpleNamespace(
            session_type="Normal" if target else "Discovery", target=target, initiator_name=initiator,
            named="",
            isid=isid, tsih_requested=tsih, tsih=0, cid=cid, parameters=self.parameters, cmd_sn=100, stat_sn=500,
            revision=0, user=user, terms=target.terms(self.connection.asker) if target else UNRESTRICTED,
        )
        self.connection._establish(result)  # type: ignore[arg-type]
        self.connection._enter_full_feature(result)  # type: ignore[arg-type]
        self.connection.login = None
        self.session = self.connection.session
        self.numbers = SimpleNamespace(cmd_sn=100, tag=1)
        self.deferred: list[Task] = []
        self.short_extents = False
        self.store: MemoryStore

    cmd_sn = property(lambda self: self.numbers.cmd_sn, lambda self, value: setattr(self.numbers, "cmd_sn", value))
    tag = property(lambda self: self.numbers.tag, lambda self, value: setattr(self.numbers, "tag", value))

    def join(self, cid: int, **options: Any) -> Nexus:
        """Another connection of its session; numbers and tags are common to both."""
        session = self.session
        assert session is not None
        settled = {each.name: getattr(session.parameters, each.name) for each in fields(session.parameters)}
        asked = {"isid": session.isid, "tsih": session.tsih, "cid": cid}
        joined = Nexus(self.node, self.target, **(asked | settled | options))
        joined.numbers, joined.store = self.numbers, self.store
        return joined

    def end(self) -> bool:
        """What a pump does when its connection has closed; whether the session has ended with that."""
        assert self.session is not None
        self.connection.closing = True
        withdraw(self.connection)
        ended = self.session.leave(self.connection)
        if not ended:
            logout.gone(self.connection)
        return ended

    def feed(self, stream: bytes, *, execute: bool = True) -> None:
        """Hand bytes to the connection and do what a pump does with the tasks."""
        position = 0
        while position < len(stream) and not self.connection.closing:
            space = self.connection.space()
            size = min(len(space), len(stream) - position)
            space[:size] = stream[position : position + size]
            position += size
            tasks = self.connection.received(size)
            for task in tasks if execute else ():
                connection = task.connection
                if task.attribute == TaskAttribute.ORDERED and connection.pings.streamed:
                    hold_back(connection, task)
                if task.nexus.lu.execute(task):
                    complete(connection, task)
                elif defer(connection, task):
                    connection.owner.deferred.append(task)
            tasks.clear()
        self.pass_on()

    def pass_on(self) -> None:
        """What a pump does with tasks whose turn has come: they are for their connections' workers."""
        enabled = self.connection.enabled
        while enabled:
            place = enabled.popleft()
            owner = place.task.connection.owner
            task = enable(owner.connection, place)
            if task is not None:
                owner.deferred.append(task)

    def work(self) -> list[Any]:
        """Run what went to workers; the functions that may be answered now."""
        functions = []
        tasks, self.deferred = self.deferred, []
        for task in tasks:
            if task.aborted_by is None:
                task.nexus.lu.execute(task)
            functions += finish(task.connection, task)
        self.pass_on()
        return functions

    def answers(self) -> list[Pdu]:
        """What the target sent since, parsed; digests are checked and taken off."""
        stream = bytearray()
        for piece in self.connection.take_outbox():
            if isinstance(piece, Extent):
                stream += self.store.data[piece.offset : piece.offset + piece.length]
                assert isinstance(piece.context, StreamedStatus)
                piece.context.short = self.short_extents
            elif isinstance(piece, StreamedStatus):
                stream += piece.pdu()
            else:
                stream += piece
        self.connection.sent()
        pdus = []
        while stream:
            header, stream = bytes(stream[:48]), stream[48:]
            if self.parameters.header_digest:
                assert int.from_bytes(stream[:4], "little") == crc32c(header)
                stream = stream[4:]
            length = int.from_bytes(header[5:8], "big")
            padded = length + -length % 4
            data, rest = bytes(stream[:length]), stream[padded:]
            assert not any(stream[length:padded])
            if length and self.parameters.data_digest:
                assert int.from_bytes(rest[:4], "little") == crc32c(bytes(stream[:padded]))
                rest = rest[4:]
            stream = rest
            pdus.append(Pdu(header, data))
        return pdus

    def request(self, opcode: Opcode, data: bytes = b"", *, immediate: bool = False, **fields: Any) -> bytes:
        """A request's bytes with digests, numbered unless told otherwise; consumes tag and CmdSN."""
        layout = LAYOUTS[opcode]
        fields.setdefault("initiator_task_tag", self.tag)
        self.tag += 1
        names = [name for name, _ in layout.fields]
        if "cmd_sn" in names and "cmd_sn" not in fields:
            fields["cmd_sn"] = self.cmd_sn
            self.cmd_sn += 0 if immediate else 1
        header = layout.pack(**({"flags": 0x80} | fields | {
            "opcode": opcode | (0x40 if immediate else 0), "lengths": len(data),
        }))
        if self.parameters.header_digest:
            header += crc32c(header).to_bytes(4, "little")
        body = data + bytes(-len(data) % 4)
        if data and self.parameters.data_digest:
            body += crc32c(body).to_bytes(4, "little")
        return header + body

    def command(
        self, cdb: str | bytes, data: bytes = b"", *, flags: int = 0x80, expected: int = 0, **fields: Any
    ) -> bytes:
        """A SCSI Command's bytes; ``cdb`` in hex."""
        raw = bytes.fromhex(cdb) if isinstance(cdb, str) else cdb
        return self.request(
            Opcode.SCSI_COMMAND, data, flags=flags, cdb=raw.ljust(16, b"\0"),
            expected_data_transfer_length=expected, **fields,
        )

    def read(
        self, lba: int, blocks: int, expected: int | None = None, *, attribute: int = 0, **fields: Any
    ) -> bytes:
        cdb = b"\x28\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"
        return self.command(
            cdb, flags=0xC0 | attribute, expected=blocks * BLOCK if expected is None else expected, **fields
        )

    def write(
        self, lba: int, blocks: int, data: bytes = b"", *, expected: int | None = None, flags: int = 0xA0,
        attribute: int = 0, **fields: Any,
    ) -> bytes:
        cdb = b"\x2a\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"
        return self.command(
            cdb, data, flags=flags | attribute, expected=blocks * BLOCK if expected is None else expected, **fields
        )

    def data_out(
        self, tag: int, transfer_tag: int, data: bytes, offset: int, data_sn: int = 0, *, final: bool = True,
        lun: int = 0,
    ) -> bytes:
        return self.request(
            Opcode.DATA_OUT, data, initiator_task_tag=tag, target_transfer_tag=transfer_tag, buffer_offset=offset,
            data_sn=data_sn, flags=0x80 if final else 0, lun=lun,
        )

    def ask(self, stream: bytes) -> list[Pdu]:
        """Feed and answer."""
        self.feed(stream)
        return self.answers()


class LoginAnswer:
    """A Login Response: header fields are attributes, ``keys`` its text (what stands twice fails)."""

    def __init__(self, raw: bytes) -> None:
        self.fields = LAYOUTS[Opcode.LOGIN_RESPONSE].unpack(raw)
        length = self.fields["lengths"]
        assert length >> 24 == 0
        assert len(raw) == 48 + length + -length % 4
        self.data = raw[48 : 48 + length]
        assert not any(raw[48 + length :])
        self.opcode = self.fields["opcode"]
        self.more = bool(self.flags & CONTINUE)
        self.csg = self.flags >> 2 & 3
        #: The stage the target agrees to move to, else None.
        self.nsg = self.flags & 3 if self.flags & TRANSIT else None

    def __getattr__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def pairs(self) -> Pairs:
        return decode(self.data)

    @property
    def keys(self) -> dict[str, str]:
        pairs = self.pairs
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)


class Dialogue:
    """The initiator's end of one login. ``say`` sends one Login Request and returns the answer."""

    initiator = "iqn.2026-11.test:i"
    peer, local = "10.0.0.2", "10.0.0.1"

    def __init__(
        self, node: IscsiNode, *, target: str = "iqn.2010-06.servername:desc", refuse: int = 0, group: int = 1
    ) -> None:
        self.drawn = 0
        self.refuse = refuse
        self.results: list[LoginResult] = []
        self.login = Login(node, self.peer, self.local, 3260, self.entropy, self._establish, group)
        self.names = {"InitiatorName": self.initiator, "TargetName": target}
        self.fields: dict[str, Any] = {
            "isid": b"\x80\0\0\0\0\1", "initiator_task_tag": 0x77, "cid": 1, "cmd_sn": 100, "exp_stat_sn": 500,
        }

    def entropy(self, size: int) -> bytes:
        """Bytes that never repeat; tests need no more."""
        self.drawn += 1
        return (id(self) << 16 | self.drawn).to_bytes(max(size, 16), "little")[:size]

    def _establish(self, result: LoginResult) -> int:
        if self.refuse:
            raise LoginFailure(self.refuse, "as told")
        self.results.append(result)
        return 0x1234

    def request(self, csg: int, keys: Any = (), to: int | None = None, *, more: bool = False, **fields: Any) -> bytes:
        """A Login Request; ``keys``: a dict, pairs, or raw text; ``to``: NSG with the T bit; ``more``: the C bit."""
        text = keys if isinstance(keys, bytes) else encode(keys.items() if isinstance(keys, dict) else keys)
        flags = csg << 2 | (CONTINUE if more else 0) | (0 if to is None else TRANSIT | to)
        header = LAYOUTS[Opcode.LOGIN_REQUEST].pack(**({
            "opcode": Opcode.LOGIN_REQUEST | 0x40, "flags": flags, "lengths": len(text),
        } | self.fields | fields))
        return header + text + bytes(-len(text) % 4)

    def say(self, csg: int, keys: Any = (), to: int | None = None, **fields: Any) -> LoginAnswer:
        raw = self.request(csg, keys, to, **fields)
        length = int.from_bytes(raw[5:8], "big")
        return LoginAnswer(self.login.receive(memoryview(raw)[:48], memoryview(raw)[48 : 48 + length]))


@pytest.fixture
def dialogue(node: IscsiNode, target: TargetNode) -> Callable[..., Dialogue]:
    """dialogue(target=..., refuse=status) -> a login about to begin."""

    def make(**options: Any) -> Dialogue:
        return Dialogue(node, **options)

    return make


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def node() -> IscsiNode:
    return IscsiNode(threading.RLock())


@pytest.fixture
def target(node: IscsiNode, store: MemoryStore) -> TargetNode:
    name = "iqn.2010-06.ServerName:desc"
    device = ScsiDevice(name, threading.RLock())
    for number in (0, 1):
        device.add(number, LogicalUnit(
            store, iet_identity(name, number), device=device, number=number, write_cache=True
        ))
    target = TargetNode(name, device, queued_commands=8)
    node.add(target)
    return target


@pytest.fixture
def connect(node: IscsiNode, target: TargetNode, store: MemoryStore) -> Callable[..., Nexus]:
    """connect(isid=..., **parameters) -> a session past its unit attention on LUN 0 (and discovery=True)."""

    def make(*, discovery: bool = False, attention: bool = False, **options: Any) -> Nexus:
        nexus = Nexus(node, None if discovery else target, **options)
        nexus.store = store
        if not discovery and not attention:
            for lun in (0, 1 << 48):
                (answer,) = nexus.ask(nexus.command("00", lun=lun))
                assert answer.status == 2
                assert answer.data[2 + 12] == 0x29
        return nexus

    return make


@pytest.fixture
def nexus(connect: Callable[..., Nexus]) -> Nexus:
    return connect()
