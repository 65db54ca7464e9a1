"""Those who attack: each a function that goes on until its standard input ends, and then says what it did, as JSON.

    PYTHON crowds.py NAME PORT TARGET LUN COUNT

It prints ``ready`` when all are there. Who is thrown out comes again, so many times a second as ``AGAIN`` says: an
attack is as long as the measurement. All come from loopback, whoever logs in from one address of it, which is not the
healthy one's; ``spread`` ones from addresses of their own, so what is counted by address is nothing against them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import resource
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ietpy.initiator.client import Client
from ietpy.initiator.errors import InitiatorError, TimedOut
from ietpy.initiator.login import LoginPlan, exchange
from ietpy.initiator.numbering import Numbering
from ietpy.iscsi.pdu import Opcode
from ietpy.scsi.lun import encode

ADDRESS: Final = "127.0.0.1"
SOURCE: Final = "127.2.0.1"  #: of those who log in
AGAIN: Final = 500  #: connections a second, of those who were thrown out
MIB: Final = 1 << 20
BLOCK: Final = 512
WINDOW: Final = 128  #: commands a session has under way at most


@dataclass
class Site:
    """What is attacked, by how many, and until when; ``ready`` is told when all are there."""

    port: int
    target: str
    lun: int
    count: int
    stopped: Callable[[], bool]
    ready: Callable[[], object]


class Crowd:
    """``at.count`` sockets to a port. ``act(sock, now)`` says when it wants to act again; None: when something came."""

    def __init__(self, at: Site, act: Callable[[socket.socket, float], float | None], spread: bool) -> None:
        self.at, self.count, self.act, self.spread = at, at.count, act, spread
        self.poll = select.epoll()
        self.socks: dict[int, socket.socket] = {}
        self.due: dict[int, float] = {}
        self.counts = {"dialled": 0, "thrown out": 0, "most at once": 0}

    def dial(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        if self.spread:
            number = self.counts["dialled"] % 60000
            sock.bind((f"127.1.{number // 250}.{number % 250 + 1}", 0))
        else:
            sock.bind((SOURCE, 0))
        problem = sock.connect_ex((ADDRESS, self.at.port))
        if problem not in (0, errno.EINPROGRESS):
            sock.close()
            return
        self.counts["dialled"] += 1
        self.socks[sock.fileno()] = sock
        self.poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)
        self.due[sock.fileno()] = 0.0

    def drop(self, number: int) -> None:
        self.counts["thrown out"] += 1
        self.due.pop(number, None)
        self.socks.pop(number).close()

    def run(self) -> dict[str, Any]:
        credit, before, told = float(self.count), time.monotonic(), False
        while not self.at.stopped():
            now = time.monotonic()
            credit, before = min(credit + AGAIN * (now - before), max(credit, AGAIN / 10)), now
            for _ in range(200):  # in between, what came is looked at
                if credit < 1 or len(self.socks) >= self.count:
                    break
                credit -= 1
                self.dial()
            self.counts["most at once"] = max(self.counts["most at once"], len(self.socks))
            for number, events in self.poll.poll(0.02):
                self.heard(number, events)
            for number in [number for number, due in self.due.items() if due <= now]:
                self.turn(number, now)
            if not told and self.counts["dialled"] >= self.count:
                told = True
                self.at.ready()
        self.close()
        return self.counts

    def close(self) -> None:
        for sock in self.socks.values():
            sock.close()
        self.poll.close()

    def heard(self, number: int, events: int) -> None:
        sock = self.socks[number]
        gone = events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP)
        try:
            gone = gone or not sock.recv(65536)
        except BlockingIOError:
            pass
        except OSError:
            gone = 1
        if gone:
            self.drop(number)

    def turn(self, number: int, now: float) -> None:
        try:
            again = self.act(self.socks[number], now)
        except BlockingIOError:
            again = now + 0.05
        except OSError:
            self.drop(number)
            return
        if again is None:
            self.due.pop(number)
        else:
            self.due[number] = again


def login_request(target: str, initiator: str) -> bytes:
    plan = LoginPlan(target=target, initiator=initiator)
    return next(exchange(plan, Numbering(), os.urandom))


def half_open(at: Site) -> dict[str, Any]:
    """Connections on which nothing is ever said."""
    return Crowd(at, lambda sock, now: None, spread=True).run()


def half_open_at_one(at: Site) -> dict[str, Any]:
    """The same, all from one address, which is not the healthy one's."""
    return Crowd(at, lambda sock, now: None, spread=False).run()


def loris(at: Site) -> dict[str, Any]:
    """Logins of a byte a second."""
    request = login_request(at.target, "iqn.2026-11.test:loris")
    said: dict[socket.socket, int] = {}

    def act(sock: socket.socket, now: float) -> float:
        at = said.get(sock, 0)
        sock.send(request[at : at + 1])
        said[sock] = at + 1 if at < len(request) - 2 else at  # the last is never said
        return now + random.uniform(0.5, 1.5)

    return Crowd(at, act, spread=True).run()


def noise(at: Site) -> dict[str, Any]:
    """Random bytes; of every other connection behind a header that says they are a Login Request's."""
    source = random.Random(7143)
    request = login_request(at.target, "iqn.2026-11.test:noise")

    def act(sock: socket.socket, now: float) -> float:
        data = source.randbytes(source.choice((1, 48, 500, 8192, 65536)))
        sock.send(request[:48] + data if source.random() < 0.5 else data)
        return now + source.uniform(0.05, 0.5)

    return Crowd(at, act, spread=True).run()


def session(at: Site, number: int, window: int, **keys: str) -> Client:
    """A session as anybody has it; ``window``: bytes of its receive buffer, 0 for the system's."""
    sock = socket.socket()
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.settimeout(10)
    sock.bind((SOURCE, 0))
    sock.connect((ADDRESS, at.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = Client(sock, timeout=10)
    try:
        log_in(client, at, number, **keys)
    except Exception:
        client.close()
        raise
    return client


def log_in(client: Client, at: Site, number: int, **keys: str) -> None:
    plan = LoginPlan(target=at.target, initiator=f"iqn.2026-11.test:crowd{number}", keys=keys)
    client.login(plan)
    while client.command(at.lun, bytes(6)).status:  # unit attentions
        pass


def command(client: Client, lun: int, cdb: bytes, flags: int, expected: int) -> bytes:
    return client.make(
        Opcode.SCSI_COMMAND, b"", flags=flags, cdb=cdb.ljust(16, b"\0"), expected_data_transfer_length=expected,
        lun=encode(lun),
    )


def ten(operation: int, lba: int, blocks: int) -> bytes:
    return bytes((operation, 0)) + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big")


def sessions(
    at: Site, count: int, begin: Callable[[Client], None], follow: Callable[[Client], None], window: int, every: float,
    **keys: str,
) -> dict[str, Any]:
    """``count`` sessions; ``begin`` each, then ``follow`` each one every so many seconds. Who is thrown out returns."""
    counts = {"sessions": 0, "thrown out": 0, "refused": 0}
    there: list[Client | None] = [None] * count
    told, late = False, time.monotonic() + 10  # where nobody is let in, that is all there will be
    while not at.stopped():
        for number, client in enumerate(there):
            try:
                if client is None:
                    client = session(at, number, window, **keys)
                    counts["sessions"] += 1
                    there[number] = client
                    begin(client)
                else:
                    poll = select.poll()
                    poll.register(client.socket, 0)
                    if poll.poll(0):
                        raise ConnectionResetError
                    follow(client)
            except (InitiatorError, OSError):
                counts["refused" if client is None else "thrown out"] += 1
                if client is not None:
                    client.close()
                there[number] = None
            if not told and time.monotonic() > late:
                told = True
                at.ready()
            if at.stopped():
                break
        if not told:
            told = True
            at.ready()
        time.sleep(every)
    for client in there:
        if client is not None:
            client.close()
    return {**counts, "there": sum(client is not None for client in there)}


def never_reads(at: Site) -> dict[str, Any]:
    """Sessions that ask for a window full of reads of 1 MiB, and take nothing."""

    def begin(client: Client) -> None:
        client.send_pdu(b"".join(
            command(client, at.lun, ten(0x28, number * 2048 % 16384, 2048), 0xC0, MIB) for number in range(WINDOW)
        ))

    return sessions(at, at.count, begin, lambda client: None, 4096, 0.2)


def slow_reads(at: Site) -> dict[str, Any]:
    """The same, and they take a few bytes a second, so they are not quite dead; with digests, so no file is sent."""

    def begin(client: Client) -> None:
        client.send_pdu(b"".join(
            command(client, at.lun, ten(0x28, number * 2048 % 16384, 2048), 0xC0, MIB) for number in range(WINDOW)
        ))

    def follow(client: Client) -> None:
        client.socket.recv(2000)

    return sessions(at, at.count, begin, follow, 4096, 0.5, DataDigest="CRC32C")


def r2ts(at: Site) -> dict[str, Any]:
    """Writes of 1 MiB, as many in all as ``count`` says, whose data never comes."""
    each = min(WINDOW, at.count)
    asked = 0

    def begin(client: Client) -> None:
        client.send_pdu(b"".join(
            command(client, at.lun, ten(0x2A, 16384 + number * 2048 % 16384, 2048), 0xA0, MIB) for number in range(each)
        ))

    def follow(client: Client) -> None:
        nonlocal asked
        with contextlib.suppress(BlockingIOError):
            data = client.socket.recv(MIB, socket.MSG_DONTWAIT)
            if not data:
                raise ConnectionResetError
            asked += len(data) // 48

    found = sessions(at, -(-at.count // each), begin, follow, 0, 0.05)
    return {**found, "R2Ts": asked}


def hoard(at: Site) -> dict[str, Any]:
    """Sessions with one write of 32 MiB each, of which all but the last block comes."""
    size = 32 * MIB
    sent = 0

    def begin(client: Client) -> None:
        cdb = b"\x8a\0" + (0).to_bytes(8, "big") + (size // BLOCK).to_bytes(4, "big")
        client.send_pdu(command(client, at.lun, cdb, 0xA0, size))

    def follow(client: Client) -> None:
        nonlocal sent
        poll = select.poll()
        poll.register(client.socket, select.POLLIN)
        if not poll.poll(0):
            return
        pdu = client.receive_pdu()
        if pdu.opcode != Opcode.READY_TO_TRANSFER:
            return
        offset = pdu.header["buffer_offset"]
        end = min(offset + pdu.header["desired_data_transfer_length"], size - BLOCK)
        pieces = []
        for number, start in enumerate(range(offset, end, 65536)):
            pieces.append(client.make(
                Opcode.DATA_OUT, bytes(min(65536, end - start)), lun=encode(at.lun), buffer_offset=start,
                data_sn=number, flags=0x80 if start + 65536 >= end and end < size - BLOCK else 0,
                initiator_task_tag=pdu.header["initiator_task_tag"],
                target_transfer_tag=pdu.header["target_transfer_tag"],
            ))
        client.send_pdu(b"".join(pieces))
        sent += end - offset

    found = sessions(at, at.count, begin, follow, 0, 0.0)
    return {**found, "MiB sent": sent // MIB}


def deaf(at: Site) -> dict[str, Any]:
    """Sessions that ask for 32 MiB with digests, four times, and take nothing."""

    def begin(client: Client) -> None:
        cdb = b"\x88\0" + (0).to_bytes(8, "big") + (32 * MIB // BLOCK).to_bytes(4, "big")
        client.send_pdu(b"".join(command(client, at.lun, cdb, 0xC0, 32 * MIB) for _ in range(4)))

    return sessions(at, at.count, begin, lambda client: None, 4096, 0.0, DataDigest="CRC32C")


def swarm(at: Site) -> dict[str, Any]:
    """As many sessions as can be had, which then do nothing."""
    return sessions(at, at.count, lambda client: None, lambda client: None, 0, 0.2)


def slow_writes(at: Site) -> dict[str, Any]:
    """As ``r2ts``, but some data comes all the time: a block a second of each session."""
    each = min(WINDOW, at.count)
    under_way: dict[Client, tuple[int, int, int, float]] = {}

    def begin(client: Client) -> None:
        client.send_pdu(b"".join(
            command(client, at.lun, ten(0x2A, 16384 + number * 2048 % 16384, 2048), 0xA0, MIB) for number in range(each)
        ))
        with contextlib.suppress(TimedOut):  # there may be no room for its writes
            first = client.receive_pdu(0.2)
            tags = first.header["initiator_task_tag"], first.header["target_transfer_tag"]
            under_way[client] = *tags, 0, time.monotonic()

    def follow(client: Client) -> None:
        if client not in under_way:
            return
        tag, transfer, data_sn, before = under_way[client]
        with contextlib.suppress(BlockingIOError):
            if not client.socket.recv(MIB, socket.MSG_DONTWAIT):
                raise ConnectionResetError
        if time.monotonic() - before > 1 and data_sn < 2000:
            under_way[client] = tag, transfer, data_sn + 1, time.monotonic()
            client.send_pdu(client.make(
                Opcode.DATA_OUT, bytes(BLOCK), flags=0, initiator_task_tag=tag, target_transfer_tag=transfer,
                buffer_offset=data_sn * BLOCK, data_sn=data_sn, lun=encode(at.lun),
            ))

    return sessions(at, -(-at.count // each), begin, follow, 0, 0.05)


ATTACKS: Final = {each.__name__: each for each in (
    half_open, half_open_at_one, loris, noise, swarm, never_reads, slow_reads, deaf, r2ts, slow_writes, hoard,
)}


def main() -> None:
    name, port, target, lun, count = sys.argv[1:]
    wanted = int(count) + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN | select.POLLHUP)
    site = Site(
        int(port), target, int(lun), int(count), lambda: bool(poll.poll(0)), lambda: print("ready", flush=True)
    )
    print(json.dumps(ATTACKS[name](site)), flush=True)


if __name__ == "__main__":
    main()
