"""What the adversarial cases share: one served disk, a hostile connection, and the check that nobody else noticed.

A case is a name and a function that takes an ``Attacker``: it sends what no initiator sends and says what must come
back. Every PDU that comes back is judged by the initiator's own rules, too. After each case ``World.verify`` compares
the whole disk by a session that was there before and by one that logs in anew.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, decode_sense
from ietpy.initiator.framing import Pdu, build_pdu
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.initiator.text import decode, encode
from ietpy.iscsi.pdu import BHS_SIZE, FINAL, NO_TAG, Opcode
from ietpy.scsi.status import SenseKey, Status
from ietpy.server.listener import Server
from ietpy.server.portals import bind

OPEN, PLAIN = "iqn.2026-01.test:open", "iqn.2026-01.test:plain"
LOCKED, BOTH_WAYS = "iqn.2026-01.test:locked", "iqn.2026-01.test:both"
MANY, GUARDED = "iqn.2026-01.test:many", "iqn.2026-01.test:guarded"
#: In the order of discovery: the newest first.
TARGETS = (GUARDED, MANY, BOTH_WAYS, LOCKED, PLAIN, OPEN)
SECRET, MUTUAL = "secretsecret12", "mutualmutual12"
PATIENCE = 20.0  #: seconds; bounds a failure, no case waits for it
BLOCK = 512
BLOCKS = 256
MAX_BURST, FIRST_BURST = 16384, 4096
INTRUDER, ISID = "iqn.2026-01.test:intruder", b"\x80\0\0\0\0\x07"
ABORTED, ILLEGAL = int(SenseKey.ABORTED_COMMAND), int(SenseKey.ILLEGAL_REQUEST)

CONFIGURATION = f"""
Target {OPEN}
    Lun 0 Path={{path}},Type=fileio
    Lun 1 Type=nullio,Blocks=2048
    InitialR2T No
    MaxBurstLength {MAX_BURST}
    FirstBurstLength {FIRST_BURST}
Target {PLAIN}
    Lun 0 Path={{path}},Type=fileio
Target {LOCKED}
    IncomingUser joe {SECRET}
    Lun 0 Path={{path}},Type=fileio
Target {BOTH_WAYS}
    IncomingUser joe {SECRET}
    OutgoingUser itself {MUTUAL}
    Lun 0 Type=nullio
Target {MANY}
    Lun 0 Path={{path}},Type=fileio
    MaxConnections 4
    ErrorRecoveryLevel 2
    DefaultTime2Wait 0
    DefaultTime2Retain 20
    InitialR2T No
Target {GUARDED}
    IncomingUser joe {SECRET}
    Lun 0 Path={{path}},Type=fileio
    MaxConnections 2
"""


COUNTERS_ONLY = b"\xff" * 8  #: both tags of a NOP-In reserved


@dataclass(frozen=True)
class Case:
    """``attack`` sends and asserts."""

    name: str
    attack: Callable[[Attacker], object] = field(repr=False)

    def __str__(self) -> str:
        return self.name


class Listening(socket.socket):
    """A listening socket that keeps what it accepted, by the peer's address: the target's own ends of connections."""

    accepted: dict[Any, socket.socket]

    def accept(self) -> tuple[socket.socket, Any]:
        accepted, peer = super().accept()
        self.accepted[peer] = accepted
        return accepted, peer


class World:
    """One server on loopback with some targets, and a bystander whose session lasts over all cases."""

    def __init__(self, directory: Path) -> None:
        self.image = bytearray(b"".join(block.to_bytes(4, "big") * (BLOCK // 4) for block in range(BLOCKS)))
        path = directory / "disk.img"
        path.write_bytes(self.image)
        self.inventory = Inventory(loads(CONFIGURATION.format(path=path)), Media())
        assert not self.inventory.degraded, self.inventory.problems
        self.accepted: dict[Any, socket.socket] = {}
        sockets = [Listening(fileno=sock.detach()) for sock in bind("127.0.0.1", 0)]
        for sock in sockets:
            sock.accepted = self.accepted
        self.server = Server(self.inventory.node, sockets)
        self.port = self.server.portals()[0][1]
        self._changed = threading.Condition()
        self.server.sessions_changed = self._note
        self.log: list[logging.LogRecord] = []
        self._handler = logging.Handler()
        self._handler.emit = self.log.append  # type: ignore[method-assign]
        self._cases = 0

    def __enter__(self) -> World:
        logging.getLogger("ietpy").addHandler(self._handler)
        self.server.start()
        self.bystander = self.healthy("bystander")
        self.threads = set(threading.enumerate())
        self.sessions = len(self.server.sessions())
        return self

    def __exit__(self, *_: object) -> None:
        self.bystander.close()
        stopped, closed = self.server.stop(PATIENCE), self.inventory.close()
        logging.getLogger("ietpy").removeHandler(self._handler)
        assert stopped
        assert closed

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def dial(self, source: str = "") -> Client:
        """A TCP connection; each case comes from an address of its own, so none is taken for another."""
        source = source or f"127.1.{self._cases >> 8}.{self._cases & 255}"
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Client(sock, timeout=PATIENCE)

    def healthy(self, name: str) -> Client:
        client = self.dial("127.0.0.1")
        client.login(LoginPlan(target=OPEN, initiator=f"iqn.2026-01.test:{name}"))
        client.test_unit_ready(0)
        return client

    def run(self, case: Case) -> None:
        """Let the attack happen, then look after everybody else."""
        self._cases += 1
        with contextlib.ExitStack() as stack:
            case.attack(Attacker(self, stack))
        self.verify()

    def wait_for_sessions(self, count: int) -> None:
        """Wait until there are ``count`` sessions."""
        with self._changed:
            ended = self._changed.wait_for(lambda: len(self.server.sessions()) == count, PATIENCE)
        assert ended, self.server.sessions()

    def verify(self) -> None:
        """Nobody noticed: sessions, threads, log and every byte of the disk are as they should be."""
        self.wait_for_sessions(self.sessions)
        expected, found = bytes(self.image), self.bystander.read(0, 0, BLOCKS)
        self.image[:] = found  # so that the cases after a failed one begin with what is there
        assert found == expected
        client = self.healthy("passer-by")
        assert client.read(0, 0, BLOCKS) == expected
        client.logout()
        self.wait_for_sessions(self.sessions)
        assert all(thread.is_alive() for thread in self.threads)
        mistakes = [record.getMessage() for record in self.log if record.levelno >= logging.ERROR]
        assert mistakes == []


def each(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Parametrizes a test function by its ``case``."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


def names(target: str = OPEN, initiator: str = INTRUDER, **keys: str) -> dict[str, str]:
    """The keys of a first Login Request for a normal session."""
    return {"InitiatorName": initiator, "SessionType": "Normal", "TargetName": target, **keys}


def write_cdb(lba: int, blocks: int) -> bytes:
    return b"\x2a\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + bytes(7)


def read_cdb(lba: int, blocks: int) -> bytes:
    return b"\x28\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + bytes(7)


class Attacker:
    """A hostile connection. ``say`` and ``send`` attack; ``refused``, ``dropped`` and so on say what must follow."""

    def __init__(self, world: World, stack: contextlib.ExitStack, source: str = "") -> None:
        self.world = world
        self._stack = stack
        self.client = world.dial(source)
        stack.callback(self.client.close)

    def another(self, source: str = "") -> Attacker:
        """One more connection of the same attack."""
        return Attacker(self.world, self._stack, source)

    # Sending ------------------------------------------------------------------------------------------------------

    def send(self, *pdus: bytes) -> None:
        # It may be hung up before everything was taken: what came back before that is still there to be read.
        with contextlib.suppress(ConnectionLost):
            self.client.send_pdu(b"".join(pdus))

    def login_request(self, flags: int, text: Any = b"", **fields: Any) -> bytes:
        """A Login Request; ``text``: keys or raw bytes."""
        data = text if isinstance(text, bytes) else encode(text)
        fields = {"isid": ISID, "initiator_task_tag": 0x77, "cmd_sn": 1, "cid": 1, **fields}
        fields.setdefault("exp_stat_sn", self.client.session.numbering.exp_stat_sn)
        fields.setdefault("immediate", True)
        return build_pdu(Opcode.LOGIN_REQUEST, data, flags=flags, **fields)

    def say(self, flags: int, text: Any = b"", **fields: Any) -> Pdu:
        """Send a Login Request; its response, which must be a success."""
        self.send(self.login_request(flags, text, **fields))
        return self.answer(Opcode.LOGIN_RESPONSE, status=0)

    def keys(self, flags: int, text: Any = b"", **fields: Any) -> dict[str, str]:
        """``say``, and the keys of the response."""
        return dict(decode(self.say(flags, text, **fields).data))

    def log_in(self, target: str = OPEN, keys: dict[str, str | None] | None = None, chap: Chap | None = None,
               **plan: Any) -> Client:
        """A full feature phase session as anybody has it, its unit attention gone."""
        plan = {"initiator": INTRUDER, "isid": ISID, **plan}
        self.client.login(LoginPlan(target=target, keys=keys or {}, chap=chap, **plan))
        if target:
            self.client.test_unit_ready(0)
        return self.client

    def make(self, opcode: int, data: bytes = b"", **fields: Any) -> bytes:
        return self.client.make(opcode, data, **fields)

    def command(self, cdb: bytes, data: bytes = b"", *, flags: int = FINAL, expected: int = 0, **fields: Any) -> bytes:
        return self.make(
            Opcode.SCSI_COMMAND, data, flags=flags, cdb=cdb.ljust(16, b"\0"), expected_data_transfer_length=expected,
            **fields,
        )

    def write(self, lba: int, blocks: int, data: bytes = b"", *, flags: int = 0xA0, expected: int | None = None,
              **fields: Any) -> bytes:
        """A WRITE(10), W and F set unless told otherwise."""
        expected = blocks * BLOCK if expected is None else expected
        return self.command(write_cdb(lba, blocks), data, flags=flags, expected=expected, **fields)

    def read(self, lba: int, blocks: int, **fields: Any) -> bytes:
        """A READ(10)."""
        fields = {"flags": 0xC0, "expected": blocks * BLOCK, **fields}
        return self.command(read_cdb(lba, blocks), **fields)

    def data_out(self, tag: int, transfer_tag: int, data: bytes, offset: int, data_sn: int = 0, *, final: bool = True,
                 **fields: Any) -> bytes:
        return self.make(
            Opcode.DATA_OUT, data, flags=FINAL if final else 0, initiator_task_tag=tag,
            target_transfer_tag=transfer_tag, buffer_offset=offset, data_sn=data_sn, **fields,
        )

    def new_tag(self) -> int:
        return self.client.session.numbering.new_tag()

    # What must come back --------------------------------------------------------------------------------------------

    def answer(self, opcode: int, **fields: Any) -> Pdu:
        """The next PDU, with these fields. A NOP-In that only brings counters (11.19) may come any time before it."""
        pdu = self.client.receive_pdu()
        while pdu.opcode == Opcode.NOP_IN and pdu.raw[16:24] == COUNTERS_ONLY:
            pdu = self.client.receive_pdu()
        assert pdu.opcode == opcode, str(pdu)
        assert {name: pdu.header[name] for name in fields} == fields, str(pdu)
        return pdu

    def refused(self, status: int) -> None:
        """The login ends with this status, and the connection with it."""
        self.answer(Opcode.LOGIN_RESPONSE, status=status)
        self.dropped()

    def dropped(self) -> None:
        """The target hangs up without another byte."""
        assert self.client.closed_by_target()

    def rejected(self, reason: int, sent: bytes) -> None:
        """A Reject with the header of what was sent (section 11.17.4)."""
        pdu = self.answer(Opcode.REJECT, reason=reason)
        assert pdu.data[:BHS_SIZE] == sent[:BHS_SIZE], (pdu.data.hex(), sent.hex())

    def good(self, tag: int) -> Pdu:
        """The command ends well."""
        return self.answer(Opcode.SCSI_RESPONSE, initiator_task_tag=tag, status=Status.GOOD, response=0)

    def failed(self, tag: int, key: int, asc: int) -> Pdu:
        """The command ends with CHECK CONDITION and this sense (``asc``: ASC << 8 | ASCQ)."""
        pdu = self.answer(
            Opcode.SCSI_RESPONSE, initiator_task_tag=tag, status=Status.CHECK_CONDITION, response=0
        )
        length = int.from_bytes(pdu.data[:2], "big")
        assert len(pdu.data) == length + 2
        assert decode_sense(pdu.data[2:]) == (key, asc), pdu.data.hex()
        return pdu

    def ready(self, tag: int, offset: int, length: int) -> int:
        """An R2T for these bytes; its Target Transfer Tag."""
        pdu = self.answer(
            Opcode.READY_TO_TRANSFER, initiator_task_tag=tag, buffer_offset=offset,
            desired_data_transfer_length=length,
        )
        transfer_tag: int = pdu.header["target_transfer_tag"]
        return transfer_tag

    def quiet(self) -> None:
        """Nothing (more) was answered, and the connection lives: the next thing that comes answers a ping."""
        tag = self.new_tag()
        self.send(self.make(
            Opcode.NOP_OUT, b"quiet", immediate=True, initiator_task_tag=tag, target_transfer_tag=NO_TAG
        ))
        assert self.answer(Opcode.NOP_IN, initiator_task_tag=tag).data == b"quiet"

    def usable(self) -> None:
        """The session still executes numbered commands: its window and CmdSN are as both sides think."""
        self.quiet()
        response = self.client.command(0, read_cdb(0, 1), read=BLOCK)
        assert response.good
        assert response.data == self.world.image[:BLOCK]

    def waiting_write(self, lba: int) -> tuple[int, int, int]:
        """A write of one block that waits for its data: task tag, transfer tag, CmdSN."""
        tag, number = self.new_tag(), self.client.session.numbering.cmd_sn
        self.send(self.write(lba, 1, initiator_task_tag=tag))
        return tag, self.ready(tag, 0, BLOCK), number

    def finish(self, lba: int, tag: int, transfer_tag: int, data: bytes) -> None:
        """The write lives: it takes its data."""
        self.send(self.data_out(tag, transfer_tag, data, 0))
        self.good(tag)
        self.wrote(lba, data)

    def wrote(self, lba: int, data: bytes) -> None:
        """Say that this is on the disk now; all else must be as before."""
        self.world.image[lba * BLOCK : lba * BLOCK + len(data)] = data
