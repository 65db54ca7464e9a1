"""What is wrong now with what is served, as ``status`` tells it: a row for each code; what is stuck."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from ietpy.daemon.served import ServedTarget
from ietpy.errors import Diagnostic, Span
from ietpy.stores.state import StateDirectory


class _Row(NamedTuple):
    code: str
    severity: str
    meaning: str
    remedy: str  #: for the manual; what ``status`` says is more exact


class Trouble(Enum):
    """An error is something that is not served, or not kept: the daemon is degraded. Each says what to do about it."""

    LUN_NOT_SERVED = _Row(
        "lun-not-served", "error", "The file or device of a Lun line cannot be opened or used.",
        "mend the Lun line, or what it names; `ietpy-daemon reload` tries again")
    LUN_STUCK = _Row(
        "lun-stuck", "error", "A file or device has not answered a command for ten seconds or more.",
        "look at the device and the kernel's log; other LUNs are served meanwhile")
    CACHE_LOST = _Row(
        "lun-cache-lost", "error", "A LUN's write cache could not be flushed, and has lost something.",
        "when the device is well, remove the LUN and add it, or restart; have initiators check their file systems")
    STATE_NOT_KEPT = _Row(
        "state-not-kept", "error", "What a LUN was to keep the last time could not be written, so the command failed.",
        "make room, or let the daemon's user write in the state directory")
    NOTHING_KEPT = _Row(
        "nothing-kept", "error", "The state directory cannot be written; commands that would keep something fail.",
        "let the daemon's user write there, or name another with `--state-dir`")
    NOWHERE_KEPT = _Row(
        "nowhere-kept", "warning", "Nothing outlives a loss of power: this user has no place for it, and named none.",
        "name one with `--state-dir`")
    TARGET_NOT_SERVED = _Row(
        "target-not-served", "error", "A target is left out for a mistake in its lines.",
        "mend the lines that `ietpy check` names, then `ietpy-daemon reload`")
    PORTAL_NOT_OPENED = _Row(
        "portal-not-opened", "error", "A portal's address or port cannot be listened on.",
        "mend the Portal line, or have the address there, then `ietpy-daemon reload`")
    PORTAL_NOT_USED = _Row(
        "portal-not-used", "error", "A socket of the service manager is no portal's.",
        "name it in a Portal line, or take it out of the socket's unit")
    WORKER_ENDED = _Row(
        "worker-ended", "error", "A worker process has died and is not there again yet.",
        "the log says why; another one is started by itself")
    WORKER_SILENT = _Row(
        "worker-silent", "error", "A worker process does not answer.",
        "look at its devices and the log; restart the daemon if it lasts")
    MEDIUM_REPLACED = _Row(
        "medium-replaced", "warning", "Another file or device is at the path of a LUN now, or none.",
        "remove the LUN and add it again, or restart, if the new one is meant")
    SHARED_MEDIUM = _Row(
        "shared-medium", "warning", "Two LUNs have one file or device.",
        "leave one, unless a cluster's file system is on it")
    LUN_NOT_READY = _Row(
        "lun-not-ready", "warning", "A LUN is being formatted or sanitized, or that has failed.",
        "wait for its end, or format or sanitize it again, from an initiator")
    METRICS_NOT_SERVED = _Row(
        "metrics-not-served", "error", "Metrics and the status page cannot be served.",
        "install prometheus-client, or write another address or port, then restart")
    METRICS_OPEN = _Row(
        "metrics-open", "warning", "Metrics and the status page are served beyond this machine, without a password.",
        "write a loopback address with a proxy before it, or see to it with a firewall")
    WRITE_PROTECTED = _Row(
        "lun-write-protected", "warning", "An initiator has write protected a LUN.",
        "have an initiator clear SWP of the control mode page")

    @property
    def code(self) -> str:
        return self.value.code

    def at(self, span: Span, problem: str, hint: str = "", iet: str = "") -> Diagnostic:
        return Diagnostic(span, self.value.severity, self.value.code, problem, hint, iet)


_HINT: Final = "look at the device and the kernel's log; other LUNs are served"


def stuck(found: Iterable[dict[str, Any]], targets: Sequence[ServedTarget], file: str) -> list[Diagnostic]:
    """One problem for each unit of which commands are stuck (``server.stuck``), at its line, or that of ``file``."""
    by_unit: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for each in found:
        by_unit.setdefault((each["target"], each["lun"]), []).append(each)
    lines = {
        (target.config.name, number): unit.config.span
        for target in targets for number, unit in tuple(target.units.items())
    }
    problems = []
    for (target, lun), commands in by_unit.items():
        oldest, more = commands[0], len(commands) - 1
        problem = (
            f"LUN {lun} of {target} does not answer: {oldest['command']} of {oldest['initiator']} has been waiting for"
            f" its medium for {oldest['seconds']} s"
        ) + (f", and {more} more" if more else "")
        problems.append(Trouble.LUN_STUCK.at(lines.get((target, lun), Span(file, 1, 1)), problem, _HINT))
    return problems


def nothing_kept(file: str, states: StateDirectory | None) -> list[Diagnostic]:
    """Why logical units cannot keep anything, if they should."""
    if states is None or not states.problem:
        return []
    place = Span(states.path or file, 1, 1)
    ends = "persistent reservations, saved mode pages and the like end with the daemon"
    problem = f"{ends}, and those kept earlier cannot be changed: {states.problem}"
    hint = "start with another --state-dir, or as another user"
    return [(Trouble.NOTHING_KEPT if states.path else Trouble.NOWHERE_KEPT).at(place, problem, hint)]
