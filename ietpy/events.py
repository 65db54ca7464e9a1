"""What the log says of refusals and faults: one row for each, with a code that stays the same.

Imports nothing of ietpy. ``docs/reference/events.md`` is made from the rows; ``daemon.logs`` writes the code of every
line behind it.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any, Final, NamedTuple

_I, _W, _E, _C = logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL


class _Row(NamedTuple):
    """``limited``: whether it is suppressed when it comes too often, as who is no friend could cause it."""

    code: str
    level: int
    meaning: str
    remedy: str
    limited: bool = True


_NETWORK: Final = "look at the network, and at the initiator's log"
_REPORT: Final = "report it, with the log of `ietpy-daemon start -f -d 1`"
_THREADS: Final = "raise the limit of threads (`TasksMax=`, `ulimit -u`), or add memory"


class Event(Enum):
    """``EVENT.tell(log, sentence, ...)`` logs one."""

    # Logins and connections
    LOGIN_REFUSED = _Row(
        "login-refused", _W, "A login was answered with a failure; the line says which.",
        "`ietpy explain` says what decides about an initiator; mend its name or secret, or ietd.conf")
    SECRETS_GUESSED = _Row(
        "secrets-guessed", _W, "So many wrong secrets came from one address that it is heard at growing intervals.",
        "if it is nobody you know, keep it out with a firewall or `initiators.deny`")
    LOGIN_TIMEOUT = _Row("login-timeout", _W, "A connection did not log in in time and was closed.", _NETWORK)
    LOGIN_LIMIT = _Row(
        "login-limit", _W, "A connection that had not logged in made room for another one.",
        "if it is nobody you know, keep it out with a firewall")
    LOGIN_LOST = _Row("login-lost", _I, "A connection ended before its login was over.", "nothing; scanners do this")
    LOGIN_DROPPED = _Row("login-dropped", _I, "A portal was closed while somebody logged in by it.", "log in again")
    DISCOVERY_LIMIT = _Row(
        "discovery-limit", _W, "An address began one discovery session too many and lost its oldest.",
        "find out what discovers there without logging out")
    CONNECTION_DROPPED = _Row(
        "connection-dropped", _W, "What a peer sent breaks RFC 7143 in a way that no answer is possible to.",
        "report it with the initiator's name and version, unless it is an attack")
    CONNECTION_CLOSED = _Row(
        "connection-closed", _W, "A connection was closed for the reason the line gives: no answer to a ping, say.",
        _NETWORK)
    CONNECTION_LOST = _Row("connection-lost", _I, "The network or the peer ended a connection.", _NETWORK)
    PEER_NOT_READING = _Row(
        "peer-not-reading", _W, "A peer took no answer for so long that its connection was closed.", _NETWORK)
    REQUEST_REJECTED = _Row(
        "request-rejected", _I, "A request was answered with a Reject PDU; the connection goes on.",
        "report it with the initiator's name and version if commands fail there")
    HANDOVER_FAILED = _Row(
        "handover-failed", _W, "A login could not be passed to the process that serves its target.",
        "`ietpy-daemon status` says whether that runs; the initiator tries again by itself")

    # Media and what is kept
    IO_FAILED = _Row(
        "io-failed", _E, "A command failed because the file or device behind a LUN did.",
        "look at the kernel's log, the disk and its free space; the initiator was told")
    IO_STUCK = _Row(
        "io-stuck", _E, "A command has been waiting for the file or device behind a LUN for ten seconds or more.",
        "look at the device and the kernel's log; other LUNs are served meanwhile")
    IO_MOVES = _Row("io-moves", _W, "A LUN of which commands were stuck has ended them.", "find out what held it up")
    STATE_NOT_KEPT = _Row(
        "state-not-kept", _E, "Persistent reservations or mode pages of a LUN cannot be written; the command failed.",
        "make room, or let the daemon's user write in the state directory")
    STATE_KEPT = _Row("state-kept", _W, "What a LUN keeps can be written again.", "nothing")
    FLUSH_FAILED = _Row(
        "flush-failed", _E, "A file or device could not be flushed or closed when it was let go.",
        "check what is on it: what was written last may be lost")
    FLUSH_HANGS = _Row(
        "flush-hangs", _E, "A file or device did not finish flushing before the daemon had to end.",
        "check what is on it: what was written last may be lost")
    LUN_TRIED_AGAIN = _Row(
        "lun-tried-again", _I, "A LUN whose file or device was in use has been tried again.",
        "`ietpy-daemon status` says what came of it")

    # Configuration
    FINDING = _Row(
        "configuration", _W, "Something in the configuration is wrong or not served; `finding` is its own code.",
        "as the line says; see [messages](messages.md)", False)
    RELOAD_REFUSED = _Row(
        "reload-refused", _E, "The configuration cannot be used, so nothing has changed.",
        "mend it (`ietpy check`) and reload again", False)
    RELOAD_INCOMPLETE = _Row(
        "reload-incomplete", _W, "A part of the new configuration could not take effect.",
        "as the line says, then reload again", False)
    NOT_PUBLISHED = _Row(
        "not-published", _W, "The files that stand for /proc/net/iet cannot be written.",
        "make room in /run, or use `--control` for another place")

    # The daemon
    STARTED = _Row("started", _I, "The daemon serves.", "nothing", False)
    WATCHED = _Row("watched", _I, "Metrics and the status page are served.", "nothing", False)
    RELOAD_STEP = _Row("reload-step", _I, "What a reload changes, and who notices.", "nothing")
    RELOADED = _Row("reloaded", _I, "The configuration was read again and is served.", "nothing", False)
    ENDING = _Row("ending", _I, "The daemon was told to end and finishes what is under way.", "nothing", False)
    ENDED = _Row("ended", _I, "The daemon has ended.", "nothing", False)
    COMMANDS_CUT = _Row(
        "commands-cut", _W, "Commands did not end in time before the daemon did.",
        "look at the device they waited for; initiators send them again")
    PORTAL_NOT_LEFT = _Row(
        "portal-not-left", _W, "A portal that the configuration no longer has could not be closed at once.",
        "nothing; it is closed later")
    CONTROL_REFUSED = _Row(
        "control-refused", _W, "A user asked on the control socket who may not.", "use root, or the daemon's user")
    CONTROL_LOST = _Row("control-lost", _I, "Who asked on the control socket did not wait for the answer.", "nothing")
    CONTROL_FAILED = _Row("control-failed", _W, "The control socket cannot be accepted on.", "see what the line says")
    DESCRIPTORS = _Row(
        "no-descriptor", _W, "No file descriptor is left for something that was to be opened or accepted.",
        "raise the limit (`LimitNOFILE=`, `ulimit -n`), or find out who has so many connections")
    THREADS = _Row("no-thread", _W, "The system has no thread left for something that needs one.", _THREADS)
    WORKER_STARTED = _Row("worker-started", _I, "A worker process serves its targets.", "nothing")
    WORKER_ENDED = _Row(
        "worker-ended", _E, "A worker process died, and its sessions with it; another one is started.",
        "look for what killed it (the kernel's log says so of memory); initiators log in again")
    WORKER_FAILED = _Row(
        "worker-failed", _E, "A worker process cannot be started, or did not do what it was asked.",
        "see what the line says; `ietpy-daemon status` shows the others")
    WORKER_SILENT = _Row(
        "worker-silent", _W, "A worker process does not answer.",
        "if it stays so, restart the daemon; under systemd the watchdog does")
    NOT_ALIVE = _Row(
        "not-alive", _E, "A part of the daemon does not answer, and so the supervisor's watchdog hears nothing.",
        "nothing; the supervisor restarts it if it stays so")
    INTERNAL = _Row("internal-error", _C, "A mistake of ietpy's own; it cost one connection or request.", _REPORT)
    GROUP_IS_ROOT = _Row(
        "group-is-root", _W, "The daemon became a user with -u but kept root's group, as no -g was given.",
        "add `-g`", False)
    SUPPRESSED = _Row(
        "suppressed", _W, "So many lines with the code in `of` were left out as too many came.",
        "see the lines before it", False)

    # iSNS
    ISNS_TROUBLE = _Row(
        "isns-trouble", _W, "The iSNS server cannot be reached, refuses, or breaks RFC 4171.",
        "look at the server; what depends on it is in the line")
    ISNS_STATE = _Row("isns-state", _I, "How things stand with the iSNS server has changed.", "nothing")
    ISNS_REFUSED = _Row(
        "isns-refused", _I, "Somebody who is not the iSNS server connected to where that notifies us.",
        "if it is nobody you know, keep it out with a firewall")

    @property
    def code(self) -> str:
        return self.value.code

    @property
    def level(self) -> int:
        return self.value.level

    def tell(
        self, log: logging.Logger, sentence: str, *values: object, peer: str = "", level: int = 0,
        exc_info: Any = None, **facts: Any,
    ) -> None:
        """Log it. ``peer``: a numeric address whose doing it is; ``facts``: for machines, and what makes two different.

        ``level`` where it is another than the row's.
        """
        log.log(
            level or self.level, sentence, *values, exc_info=exc_info, stacklevel=2,
            extra={"event": self, "peer": peer, "facts": facts},
        )


def confess(log: logging.Logger, sentence: str, *values: object) -> None:
    """Log a mistake of ours, from an exception handler; with where it was made to who asked for details."""
    Event.INTERNAL.tell(log, sentence, *values, exc_info=log.isEnabledFor(logging.DEBUG))
