"""Log records for systemd's journal, with their facts as fields: its native protocol, without a library.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. Whoever started us has connected stderr to it (``is_ours``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import struct
import sys
from collections.abc import Mapping
from typing import Any, Final

from ietpy.events import Event

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "ietpy-daemon"  #: what journalctl shows before each line, and finds with -t
#: What of a record all have, and of syslog(3)'s priorities for it.
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_LONGEST: Final = 32 * 1024  #: bytes of one field; the journal would take more, a datagram may not
_FIELD: Final = re.compile(r"[^A-Z0-9_]")


def is_ours(environment: Mapping[str, str]) -> bool:
    """Whether stderr is a stream of the journal (systemd.exec(5), $JOURNAL_STREAM), which is to be spoken to."""
    try:
        found = os.fstat(2)
        return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}" and os.path.exists(SOCKET)
    except OSError:
        return False


def fields(record: logging.LogRecord, message: str) -> dict[str, str]:
    """What is told of a record: ``IETPY_CODE``, ``IETPY_PEER``, and ``IETPY_`` with the name of each fact."""
    event: Event | None = getattr(record, "event", None)
    told = {
        "MESSAGE": message,
        "PRIORITY": str(next(priority for level, priority in _PRIORITIES if record.levelno >= level)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "SYSLOG_PID": str(record.process),
    }
    if event is not None:
        told["IETPY_CODE"] = event.code
        if peer := getattr(record, "peer", ""):
            told["IETPY_PEER"] = peer
        facts: dict[str, Any] = getattr(record, "facts", {})
        told |= {f"IETPY_{_FIELD.sub('_', name.upper())}": str(value) for name, value in facts.items()}
    return told


def packed(told: Mapping[str, str]) -> bytes:
    """One datagram. A value with a line feed has its length before it, so nobody makes fields of his own."""
    parts = []
    for name, text in told.items():
        value = text.encode("utf-8", "backslashreplace")[:_LONGEST]
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)


class JournalHandler(logging.Handler):
    """To the journal; a line that it does not take goes to stderr, which it reads too."""

    def __init__(self) -> None:
        super().__init__()
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.sendto(packed(fields(record, message)), SOCKET)
        except OSError:
            with contextlib.suppress(OSError, ValueError):  # closed
                print(message, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        super().close()
