"""The world the shell acts on: a daemon that runs, or, where none does, the file it would read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from ietpy.cli.control import NotRunning, ask_daemon
from ietpy.cli.facts import Session, sessions
from ietpy.cli.save import count_changes, replace_file
from ietpy.cli.shell.disks import Disks, beside
from ietpy.config.files import read_file
from ietpy.config.load import DEFAULT_PATHS, loads
from ietpy.daemon.manage import describe
from ietpy.errors import AdminError, UsageError
from ietpy.iscsi.pdu import DEFAULT_PORT

#: Seconds to wait for a change: disks may take long to be opened, and commands to end.
_PATIENCE: Final = 60.0
_EVERYWHERE: Final = "0.0.0.0"


@dataclass
class Live(Disks):
    """A daemon that runs."""

    live: bool = True
    _facts: dict[str, Any] = field(default_factory=dict)  #: as they were when the text was read
    _text: str = field(default="", repr=False)

    def text(self) -> tuple[str, str, str | None]:
        answer = ask_daemon("rewritten", force=True)
        self._facts, self._text = ask_daemon("status"), answer["after"]
        return answer["file"], self._text, self._facts["options"]["compat"] or None

    def listening(self) -> tuple[str, int]:
        facts = self._facts
        host = facts["options"]["address"] or _EVERYWHERE
        port = facts["options"]["port"] or next((each["port"] for each in facts["portals"]), DEFAULT_PORT)
        return host, port

    def serve(self, text: str, expected: frozenset[str]) -> None:
        before, old = _problems(self._facts), self._text
        answer = ask_daemon("adopt", patience=_PATIENCE, text=text)
        after = _problems(ask_daemon("status"))
        fresh = [sentence for key, sentence in after.items() if key not in before and key[0] not in expected]
        wrong = fresh or answer["unable"]
        if wrong:
            ask_daemon("adopt", patience=_PATIENCE, text=old)
            raise AdminError(errno.EIO, f"{wrong[0]}; nothing has changed")

    def end(self, target: str, initiator: str | None, purge: bool) -> int:
        facts = ask_daemon("targets")
        tid = next((each["tid"] for each in facts if each["name"].lower() == target.lower()), None)
        found = [one for one in self.sessions() if one.target.lower() == target.lower()]
        if initiator is not None:
            found = [one for one in found if one.initiator.lower() == initiator.lower()]
        if tid is None or not found:
            return 0
        if purge:
            ask_daemon("drain-target", patience=_PATIENCE, tid=tid)
        else:
            ask_daemon("end-sessions", patience=_PATIENCE, tid=tid, sids=[one.sid for one in found], politely=False)
        return len(found)

    def sessions(self) -> list[Session]:
        return sessions(ask_daemon("sessions"), ask_daemon("targets"))

    def status(self) -> list[str]:
        return list(describe(self._facts))

    def save(self, path: str) -> str:
        if path:
            return save_copy(self.absolute(path), ask_daemon("rewritten", force=True)["after"])
        answer = ask_daemon("rewritten", force=False)
        return saved(answer["file"], answer["before"], answer["after"])

    def unsaved(self) -> bool:
        answer = ask_daemon("rewritten", force=True)
        return bool(answer["before"] != answer["after"])


@dataclass
class Offline(Disks):
    """No daemon: changes are made to a text, which saveconfig writes into the file."""

    live: bool = False
    config: str = ""
    _file: str = ""
    _before: str = ""
    _now: str | None = None

    def text(self) -> tuple[str, str, str | None]:
        if self._now is None:
            there = (path for path in DEFAULT_PATHS if os.path.lexists(path))
            self._file = self.config or next(there, DEFAULT_PATHS[0])
            self._before = self._now = _content(self._file)
        elif not self.unsaved():
            self._before = self._now = _content(self._file)
        return self._file, self._now, None

    def listening(self) -> tuple[str, int]:
        return _EVERYWHERE, DEFAULT_PORT

    def serve(self, text: str, expected: frozenset[str]) -> None:
        self._now = text

    def end(self, target: str, initiator: str | None, purge: bool) -> int:
        return 0

    def sessions(self) -> list[Session]:
        return []

    def status(self) -> list[str]:
        self.text()
        count = len(loads(self._now or "", self._file).targets)
        return [
            f"no daemon runs; {self._file} names {count} target{'' if count == 1 else 's'}",
            "ietpy-daemon start serves it",
        ]

    def save(self, path: str) -> str:
        self.text()
        assert self._now is not None
        if path:
            return save_copy(self.absolute(path), self._now)
        done = saved(self._file, self._before, self._now)
        self._before = self._now
        return f"{done}; ietpy-daemon start serves it"

    def unsaved(self) -> bool:
        return self._now is not None and self._now != self._before


def host(config: str) -> Live | Offline:
    """A daemon if one runs, else the file: ``config``, or the one it would read. Raises IetpyError."""
    try:
        facts = ask_daemon("status")
    except NotRunning:
        return Offline(config=os.path.abspath(config) if config else "")
    if config and os.path.realpath(config) != os.path.realpath(facts["config"]):
        raise UsageError(
            f"a daemon runs, and has read {facts['config']}; leave -c away to change what it serves, or name another"
            " control socket with $IETPY_CONTROL"
        )
    directory = facts["options"].get("state_dir") or None
    return Live(beside(directory)) if directory else Live()


def saved(path: str, before: str, after: str) -> str:
    """Write a file; what was done, in a sentence."""
    if before == after:
        return f"{path}: nothing has changed"
    added, removed = count_changes(before, after)
    replace_file(path, before, after)
    lines = f"{added} line{'' if added == 1 else 's'} added, {removed} removed"
    return f"Configuration saved to {path} ({lines}){_exposed(path, after)}"


def _exposed(path: str, text: str) -> str:
    """What is to be said where others can read secrets."""
    found = loads(text, path)
    accounts = [account for target in found.targets for account in (*target.incoming, target.outgoing)]
    accounts += [*found.discovery_incoming, found.discovery_outgoing]
    secret = any(account is not None and account.secret for account in accounts)
    return f"; others can read the secrets in it: chmod 600 {path}" if secret and os.stat(path).st_mode & 0o044 else ""


def save_copy(path: str, text: str) -> str:
    """Write a copy, over what was there."""
    try:
        before = read_file(path, regular=True)
    except FileNotFoundError:
        before = ""
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; nothing has changed") from None
    replace_file(path, before, text)
    return f"Configuration saved to {path}{_exposed(path, text)}"


def _content(path: str) -> str:
    try:
        return read_file(path, regular=True)
    except FileNotFoundError:
        return ""
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
        raise UsageError(f"{problem}; name another with -c, or run as its owner") from None


def _problems(facts: dict[str, Any]) -> dict[tuple[str, str], str]:
    """What is wrong with what is served, by what does not change when lines move."""
    problems: Iterable[dict[str, Any]] = facts["problems"]
    return {
        (each["code"], each["problem"]): "; ".join(part for part in (each["problem"], each["hint"]) if part)
        for each in problems if each["severity"] == "error"
    }

