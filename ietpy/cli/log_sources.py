"""Where the daemon's log can be read: the journal of systemd, else the files that a syslog writes.

A source yields entries, oldest first, and goes on for ever where it follows. What a line says beside its sentence
(time, level, code) is found again in the forms that ``daemon.logs`` writes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from ietpy.errors import IetpyError, UsageError

#: By which name syslog knows the daemon (as IET's), and the journal; and systemd's units of it and of IET's packages.
IDENTIFIER: Final = "ietd"
IDENTIFIERS: Final = (IDENTIFIER, "ietpy-daemon")
UNITS: Final = ("ietpy.service", "iscsitarget.service", "iscsi-target.service")
JOURNAL: Final = "/run/systemd/journal"  #: is there while a journal is kept
#: Files that syslogs write by default, on Debian and Red Hat.
FILES: Final = ("/var/log/daemon.log", "/var/log/syslog", "/var/log/messages")

_CODE: Final = re.compile(r"^(.*) \[([a-z][a-z0-9-]+)\]$", re.DOTALL)
_FOREGROUND: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ([A-Z]+) (.*)", re.DOTALL)
#: The traditional form of RFC 3164, and the one with RFC 3339's time.
_SYSLOG: Final = re.compile(
    r"(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ "
    rf"{IDENTIFIER}\[(?P<pid>\d+)\]: (?P<text>.*)"
)
_LEVELS: Final = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")  # syslog(3)
_PIECE: Final = 1 << 20  #: bytes of a file that are searched at first for the last lines; then twice as many
_PAUSE: Final = 0.3  #: seconds between two looks at a file that is followed


class NoLog(IetpyError):
    """There is no log that can be read here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. ``time``: ISO 8601 where it can be known; a traditional syslog has neither year nor zone."""

    message: str
    time: str | None = None
    level: str | None = None
    code: str | None = None
    pid: int | None = None


def read(count: int, follow: bool, code: str | None) -> Iterator[Entry]:
    """The last ``count`` entries there are, and those to come if ``follow``. Raises NoLog, UsageError.

    ``code``: only those of this code, which are the last of their kind then.
    """
    program = shutil.which("journalctl")
    if program is not None and os.path.isdir(JOURNAL):
        return journal([program], count, follow, code)
    for path in FILES:
        if os.path.exists(path):
            return log_file(path, count, follow, code)
    raise NoLog(
        "there is no journal, and none of " + ", ".join(FILES) + ". A daemon that was started with -f writes to its"
        " standard error: look where who started it keeps that (docker logs, say); else start a syslog"
    )


# The journal ------------------------------------------------------------------------------------------------------


def journal(words: list[str], count: int, follow: bool, code: str | None) -> Iterator[Entry]:
    """Entries of the journal, asked by ``words`` (journalctl). Raises UsageError where it may not be read."""
    ours = [f"SYSLOG_IDENTIFIER={name}" for name in IDENTIFIERS] + [f"_SYSTEMD_UNIT={unit}" for unit in UNITS]
    matches = " + ".join(ours).split()  # one of these
    # A code is no field in every form, so all are read where one is wanted.
    lines = ["--lines", "all" if code else str(count)]
    command = [*words, "--no-pager", "--quiet", "--output", "json", *lines, *(["--follow"] if follow else []), *matches]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    entries = (_of_journal(json.loads(line)) for line in child.stdout)
    try:
        if follow:
            yield from _of_code(entries, code)
        else:
            yield from deque(_of_code(entries, code), count)
        said = b"" if child.stderr is None else child.stderr.read()
        if child.wait():
            reason = said.decode("utf-8", "replace").strip() or f"journalctl ended with status {child.returncode}"
            raise UsageError(f"the journal cannot be read: {reason}")
    finally:
        if child.poll() is None:
            child.terminate()
        child.wait()
        child.stdout.close()
        if child.stderr is not None:
            child.stderr.close()


def _of_journal(fields: Mapping[str, Any]) -> Entry:
    text = fields.get("MESSAGE") or ""
    if isinstance(text, list):  # bytes that are not UTF-8
        text = bytes(text).decode("utf-8", "replace")
    moment = datetime.fromtimestamp(int(fields["__REALTIME_TIMESTAMP"]) / 1e6, timezone.utc)
    priority = str(fields.get("PRIORITY", "6"))
    level = _LEVELS[int(priority)] if priority in "01234567" else None
    pid = str(fields.get("SYSLOG_PID") or fields.get("_PID") or "")
    return parsed(text, moment.isoformat(timespec="milliseconds"), level, int(pid) if pid.isdigit() else None)


# Files ------------------------------------------------------------------------------------------------------------


def log_file(path: str, count: int, follow: bool, code: str | None) -> Iterator[Entry]:
    """The daemon's entries in a file that syslog writes. Raises UsageError where it may not be read."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; ask as root, or as a member of its group") from None
    try:
        yield from _last(file, count, code)
        rest = b""
        while follow:
            data = file.read()
            if not data:
                time.sleep(_PAUSE)
                if _rotated(file, path):
                    fresh = open(path, "rb")  # noqa: SIM115
                    file.close()
                    file, rest = fresh, b""
                continue
            *lines, rest = (rest + data).split(b"\n")
            yield from _of_code(_of_syslog(lines), code)
    finally:
        file.close()


def _last(file: Any, count: int, code: str | None) -> Iterator[Entry]:
    """The last entries of a file, which is at its end afterwards."""
    end = file.seek(0, os.SEEK_END)
    size = _PIECE
    while True:
        start = max(0, end - size)
        file.seek(start)
        lines = file.read(end - start).split(b"\n")[1 if start else 0 :]
        found = deque(_of_code(_of_syslog(lines), code), count)
        if len(found) == count or not start:
            return iter(found)
        size *= 2


def _rotated(file: Any, path: str) -> bool:
    """Whether another file has the name now, or this one was emptied."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    here = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) or there.st_size < file.tell()


def _of_syslog(lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        match = _SYSLOG.fullmatch(line.decode("utf-8", "replace"))
        if match:
            yield parsed(match["text"], match["time"], None, int(match["pid"]))


# Lines ------------------------------------------------------------------------------------------------------------


def parsed(text: str, time: str | None, level: str | None, pid: int | None) -> Entry:
    """An entry of a line in one of the forms of ``daemon.logs``; what the line says goes before what is known of it."""
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict) and "message" in found:
            return Entry(
                str(found["message"]), found.get("time", time), found.get("level", level), found.get("code"),
                found.get("pid", pid),
            )
    match = _FOREGROUND.fullmatch(text)
    if match:
        time, level, text = time or match[1].replace(",", "."), match[2].lower(), match[3]
    code = _CODE.fullmatch(text)
    return Entry(code[1] if code else text, time, level, code[2] if code else None, pid)


def _of_code(entries: Iterable[Entry], code: str | None) -> Iterator[Entry]:
    return (entry for entry in entries if code is None or entry.code == code)
