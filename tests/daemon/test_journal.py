"""Log records as systemd's journal takes them, at a socket that stands for its own."""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ietpy.daemon import journal, logs
from ietpy.daemon.journal import JournalHandler, fields, is_ours, packed
from ietpy.events import Event

log = logging.getLogger("ietpy.test")


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The journal, and stderr as one of its streams."""
    place = str(tmp_path / "socket")
    monkeypatch.setattr(journal, "SOCKET", place)
    stream = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{stream.st_ino}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(place)
        yield sock


@pytest.fixture
def restored() -> Iterator[None]:
    """The log as it was."""
    root = logging.getLogger("ietpy")
    before = root.handlers[:], root.propagate, root.level, logs.style
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.propagate = before[:2]
    root.setLevel(before[2])
    logs.style = before[3]


def unpacked(datagram: bytes) -> dict[str, str]:
    """Written from the protocol's page, by hand."""
    found = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length :]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        found[name.decode()] = value.decode()
        datagram = rest
    return found


def test_an_event_has_its_facts_as_fields(reader: socket.socket, restored: None) -> None:
    logs.set_up(True, 0, journal=True)
    Event.IO_FAILED.tell(log, "LUN %d of %s", 3, "iqn.x:t", peer="192.0.2.1", target="iqn.x:t", lun=3)
    assert unpacked(reader.recv(65536)) == {
        "MESSAGE": "LUN 3 of iqn.x:t [io-failed]", "PRIORITY": "3" if Event.IO_FAILED.level >= logging.ERROR else "4",
        "SYSLOG_IDENTIFIER": "ietpy-daemon", "SYSLOG_PID": str(os.getpid()), "IETPY_CODE": "io-failed",
        "IETPY_PEER": "192.0.2.1", "IETPY_TARGET": "iqn.x:t", "IETPY_LUN": "3",
    }


def test_nobody_makes_a_field_of_his_own(reader: socket.socket, restored: None) -> None:
    logs.set_up(True, 0, journal=True)
    hostile = "iqn.x\nPRIORITY=0\n\udcff"
    Event.LOGIN_REFUSED.tell(log, "refused: %s", hostile, peer="192.0.2.1", initiator=hostile)
    found = unpacked(reader.recv(65536))
    assert found["PRIORITY"] == "4"
    assert found["MESSAGE"] == "refused: iqn.x\nPRIORITY=0\n\\udcff [login-refused]"
    assert found["IETPY_INITIATOR"] == "iqn.x\nPRIORITY=0\n\\udcff"


@pytest.mark.parametrize(("level", "priority"), [
    (logging.CRITICAL, "2"), (logging.ERROR, "3"), (logging.WARNING, "4"), (logging.INFO, "6"), (logging.DEBUG, "7"),
    (1, "7"),
])
def test_priorities_are_syslogs(level: int, priority: str) -> None:
    record = logging.LogRecord("ietpy", level, "", 0, "text", None, None)
    assert fields(record, "text")["PRIORITY"] == priority
    assert "IETPY_CODE" not in fields(record, "text")


def test_a_field_is_bounded() -> None:
    assert len(packed({"MESSAGE": "x" * 10_000_000})) < 40_000


def test_what_the_journal_does_not_take_goes_to_stderr(
    reader: socket.socket, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(True, 0, journal=True)
    reader.close()
    log.warning("nobody reads")
    assert capsys.readouterr().err == "nobody reads\n"


def test_what_comes_too_often_is_counted_there_too(reader: socket.socket, restored: None) -> None:
    logs.set_up(True, 0, journal=True)
    for _ in range(1000):
        Event.LOGIN_REFUSED.tell(log, "refused", peer="192.0.2.1")
        reader.setblocking(False)
        try:
            reader.recv(65536)
        except BlockingIOError:
            break
    else:
        raise AssertionError("all thousand came")
    logs.settle()
    assert unpacked(reader.recv(65536))["IETPY_CODE"] == "suppressed"


@pytest.mark.parametrize("stream", [None, "", "1:2", "no"])
def test_stderr_that_is_no_stream_of_the_journal_gets_lines(
    reader: socket.socket, restored: None, stream: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stream is None:
        monkeypatch.delenv("JOURNAL_STREAM")
    else:
        monkeypatch.setenv("JOURNAL_STREAM", stream)
    assert not is_ours(os.environ)
    logs.set_up(True, 0, journal=True)
    assert not isinstance(logging.getLogger("ietpy").handlers[0], JournalHandler)


def test_who_asks_for_a_form_of_lines_gets_lines(reader: socket.socket, restored: None) -> None:
    logs.set_up(True, 0, as_json=True)
    assert not isinstance(logging.getLogger("ietpy").handlers[0], JournalHandler)


def test_without_a_stderr_there_is_no_journal(reader: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(descriptor: int) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(journal, "os", SimpleNamespace(fstat=closed, path=os.path))
    assert not is_ours(os.environ)
