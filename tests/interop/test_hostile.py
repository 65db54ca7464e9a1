"""Whoever reaches the port may send anything: it costs him his connection, the log says why, others notice nothing."""

from __future__ import annotations

import contextlib
import random
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ietpy.daemon.limiting import PER_PEER
from ietpy.initiator.client import Client
from ietpy.initiator.framing import build_pdu
from ietpy.initiator.login import LoginPlan
from ietpy.initiator.text import encode
from ietpy.iscsi.pdu import Opcode

TARGET = "iqn.2001-04.com.example:hostile"
MIB = 1 << 20
REJECT = bytes((Opcode.REJECT,))
PATIENCE = 30.0  #: seconds; bounds a failure
KEYS = encode({"InitiatorName": "iqn.2001-04.com.example:intruder", "TargetName": TARGET, "SessionType": "Normal"})
#: A Login Request that leads to the full feature phase.
LOGIN = build_pdu(Opcode.LOGIN_REQUEST, KEYS, flags=0x87, immediate=True, cmd_sn=1, isid=b"\x80\0\0\0\0\1")


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


#: What is sent, and what the log must say about it.
BEFORE_LOGIN = {
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: storage.example\r\nAccept: text/html\r\n\r\n", "dropped"),
    "a TLS greeting": (bytes.fromhex("16030100c8010000c40303") + bytes(range(189)), "dropped|refused"),
    "an SSH greeting": (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n".ljust(64, b"\0"), "dropped|refused"),
    "nothing": (b"", "lost"),
    "one byte": (b"\x43", "lost"),
    "half a header": (LOGIN[:24], "lost"),
    "a login cut in its text": (LOGIN[:-20], "lost"),
    "a login with more data than a login may have": (patched(LOGIN, 5, b"\xff\xff\xff"), "dropped"),
    "a login that announces more than comes": (patched(LOGIN, 5, b"\x00\x10\x00"), "lost"),
    "a login that announces less than comes": (patched(LOGIN, 5, b"\x00\x00\x11") + bytes(64), "dropped|refused"),
    "a login with additional headers": (patched(LOGIN, 4, b"\xff") + bytes(1020), "dropped|refused"),
    "a login of text without a separator": (
        build_pdu(Opcode.LOGIN_REQUEST, b"x" * 4096, flags=0x87, immediate=True, cmd_sn=1), "dropped|refused",
    ),
    "a login that is no text": (
        build_pdu(Opcode.LOGIN_REQUEST, bytes(range(128, 256)), flags=0x87, immediate=True, cmd_sn=1),
        "dropped|refused",
    ),
    "a login of a reserved stage": (patched(LOGIN, 1, b"\x8a"), "dropped|refused"),
    "a login of another version": (patched(LOGIN, 2, b"\x63\x63"), "refused"),
    "a command before the login": (
        build_pdu(Opcode.SCSI_COMMAND, flags=0xC1, cmd_sn=1, cdb=bytes(16)), "dropped|refused",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def daemon(serve_module: Callable[..., Any], image: Callable[..., Any]) -> Any:
    path = image("disk.img", MIB)
    text = f"Target {TARGET}\n\tLun 0 Path={path},Type=fileio,IOMode=wb\n"
    return serve_module(text, "-d", "1")  # all lines, however many there are


@pytest.fixture
def log(daemon: Any) -> Callable[[], list[str]]:
    """Lines of the log since the test began."""
    before = len(daemon.log)
    return lambda: daemon.log[before:].splitlines()


@pytest.fixture
def bystander(daemon: Any) -> Iterator[Client]:
    """Somebody whose session must not notice anything."""
    with healthy(daemon, "bystander") as client:
        client.write(0, 0, b"mine".ljust(512))
        yield client
        assert client.read(0, 0, 1) == b"mine".ljust(512)
        client.logout()
    with healthy(daemon) as client:
        assert client.read(0, 0, 1) == b"mine".ljust(512)
        client.logout()


def healthy(daemon: Any, name: str = "passer-by") -> Client:
    # A name of its own: a second login of one initiator port ends the first one's session.
    client = Client.connect("127.0.0.1", daemon.port, timeout=PATIENCE)
    client.login(LoginPlan(target=TARGET, initiator=f"iqn.2001-04.com.example:{name}"))
    return client


def attack(daemon: Any, data: bytes) -> str:
    """Send ``data``, say that no more comes, and wait for the daemon to hang up. Returns our address."""
    with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as sock:
        name = "{}:{}".format(*sock.getsockname())
        with contextlib.suppress(ConnectionError):  # hung up before everything was sent
            sock.sendall(data)
        everything_from(sock)
    return name


def everything_from(sock: socket.socket) -> bytes:
    """What the daemon sends until it hangs up, after it was told that no more comes."""
    sock.settimeout(PATIENCE)
    found = b""
    with contextlib.suppress(ConnectionError, OSError):
        sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            found += data
    return found


@pytest.mark.parametrize("case", BEFORE_LOGIN)
def test_before_a_login(daemon: Any, log: Callable[[], list[str]], bystander: Client, case: str) -> None:
    data, word = BEFORE_LOGIN[case]
    name = attack(daemon, data)
    lines = [line for line in log() if f" {name}: " in line]
    assert len(lines) == 1, log()
    assert re.search(rf"{re.escape(name)}: (connection |login )({word})( during login)?: \S.*\S", lines[0]), lines


def test_random_bytes(daemon: Any, log: Callable[[], list[str]], bystander: Client) -> None:
    source = random.Random(3720)
    names = [attack(daemon, source.randbytes(source.choice((1, 47, 48, 49, 512, 65536)))) for _ in range(100)]
    said = [line for line in log() if any(f" {name}: " in line for name in names)]
    assert len(said) == len(names), said


def test_half_open_connections(daemon: Any, log: Callable[[], list[str]], bystander: Client) -> None:
    addresses = [f"127.0.0.{number % 4 + 1}" for number in range(200)]  # one address has fewer places
    sockets = [socket.create_connection(("127.0.0.1", daemon.port), PATIENCE, (each, 0)) for each in addresses]
    try:
        for count, sock in enumerate(sockets):
            sock.sendall(LOGIN[: count % 48])
        with healthy(daemon) as client:  # while all of them are open
            client.test_unit_ready(0)
            client.logout()
        for sock in sockets:
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
    finally:
        for sock in sockets:
            sock.close()
    assert len(log()) == len(sockets)
    assert len([line for line in log() if "connection lost during login" in line]) == len(sockets)


#: What an initiator that has logged in sends, made by its own session; what the log says, and what comes back.
AFTER_LOGIN: dict[str, tuple[Callable[[Client], bytes], str, bytes]] = {
    "an unknown opcode": (lambda client: b"\x4f" + bytes(47), "", REJECT),
    "a target's opcode": (lambda client: bytes((Opcode.DATA_IN | 0x40,)) + bytes(47), "", REJECT),
    "random bytes": (lambda client: random.Random(1).randbytes(4096), "connection dropped: ", b""),
    "a data segment of 16 MiB": (
        lambda client: patched(client.make(Opcode.NOP_OUT, immediate=True), 5, b"\xff\xff\xff"),
        "connection dropped: a data segment of 16777215 bytes", b"",
    ),
    "a second login": (lambda client: LOGIN, "connection dropped: a Login Request in the full feature phase", b""),
    "data nobody asked for": (  # might belong to an aborted task
        lambda client: client.make(Opcode.DATA_OUT, b"x" * 512, target_transfer_tag=7, initiator_task_tag=7), "", b"",
    ),
    "a command far outside the window": (  # to be ignored (RFC 7143 section 4.2.2.1)
        lambda client: client.make(Opcode.SCSI_COMMAND, flags=0xC1, cmd_sn=0x7FFFFFFF, cdb=bytes(16)), "", b"",
    ),
    "half a command": (lambda client: client.make(Opcode.SCSI_COMMAND, flags=0xC1, cdb=bytes(16))[:20], "", b""),
}  # fmt: skip


@pytest.mark.parametrize("case", AFTER_LOGIN)
def test_after_a_login(daemon: Any, log: Callable[[], list[str]], bystander: Client, case: str) -> None:
    make, sentence, answer = AFTER_LOGIN[case]
    with healthy(daemon) as client:
        name = "{}:{}".format(*client.socket.getsockname())
        client.send_pdu(make(client))
        assert everything_from(client.socket)[:1] == answer
    said = [line for line in log() if f" {name}: " in line]
    assert len(said) == bool(sentence), log()
    assert all(f" {name}: {sentence}" in line for line in said), said


def test_whoever_goes_on_is_counted_instead(serve: Callable[..., Any]) -> None:
    """The log does not grow with what is sent."""
    daemon = serve(f"Target {TARGET}\n\tLun 0 Type=nullio\n")
    for _ in range(PER_PEER + 50):
        attack(daemon, bytes(48))
    daemon.stop()
    dropped = [line for line in daemon.log.splitlines() if line.endswith("[connection-dropped]")]
    assert len(dropped) == PER_PEER
    assert "WARNING 50 more suppressed of connection-dropped about 127.0.0.1, in " in daemon.log
