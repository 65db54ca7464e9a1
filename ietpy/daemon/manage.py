"""Commands to a daemon that runs: stop it, ask how it is, say it in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ietpy.admin import client
from ietpy.daemon import pidfile
from ietpy.daemon.options import Places
from ietpy.errors import AdminError, UsageError
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG, portal_name

STOP_PATIENCE: Final = 15.0  #: seconds; the daemon allows itself 10
NOT_RUNNING: Final = 3  #: exit status of status (LSB, "program is not running")
DEGRADED: Final = 150  #: exit status of status --health; LSB leaves 150 to 199 to the application
RELOAD_PATIENCE: Final = 120.0  #: seconds; many devices may have to be opened


def stop(places: Places) -> int | None:
    """End the daemon and wait for it. Returns its pid, None if none ran; IetpyError if it does not end."""
    places.verify()
    return pidfile.terminate(places.pid_file, STOP_PATIENCE)


def status(places: Places) -> dict[str, Any] | None:
    """What the running daemon says of itself; None when none runs.

    One that runs but does not answer is ``{"pid": ..., "degraded": True, "silent": reason}``.
    """
    places.verify()
    pid = pidfile.running_pid(places.pid_file)
    if pid is None:
        return None
    try:
        facts: dict[str, Any] = client.ask(places.control, "status")
    except AdminError as error:
        return {"pid": pid, "degraded": True, "silent": str(error)}
    return facts


def reload(places: Places) -> dict[str, list[Any]] | None:
    """Have the daemon read its file again: the steps, what it found, and what it could not do; None when none runs.

    Raises UsageError when the file cannot be used: nothing has changed then.
    """
    places.verify()
    if pidfile.running_pid(places.pid_file) is None:
        return None
    try:
        facts: dict[str, list[Any]] = client.ask(places.control, "reload", patience=RELOAD_PATIENCE)
    except AdminError as error:
        if error.code == errno.EINVAL:
            raise UsageError(f"nothing has changed, as the configuration cannot be used: {error}") from None
        raise
    return facts


def plan(places: Places) -> dict[str, Any] | None:
    """What ``reload`` would do and what is wrong with the file; nothing is changed. As ``reload``."""
    places.verify()
    if pidfile.running_pid(places.pid_file) is None:
        return None
    try:
        facts: dict[str, Any] = client.ask(places.control, "plan", {"text": None})
    except AdminError as error:
        if error.code == errno.EINVAL:
            raise UsageError(f"nothing would change, as the configuration cannot be used: {error}") from None
        raise
    return facts


def describe_plan(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The lines ``reload`` and ``ietpy plan`` print of the steps of a plan: one each, and none without any."""
    for step in steps:
        yield step["text"] if step["line"] < 1 else f"line {step['line']}: {step['text']}"


def answer(control: str) -> dict[str, Any] | None:
    """As ``status``, of a daemon known by its control socket alone. Raises AdminError when it is no answer."""
    try:
        facts: dict[str, Any] = client.ask(control, "status")
    except AdminError as error:
        if isinstance(error, client.Unreachable) and error.code in (errno.ENOENT, errno.ECONNREFUSED):
            return None
        raise
    return facts


#: What is said of a session, as far as there is something to say.
_SESSION: Final = ("tsih", "initiator", "address", "portal", "target", "user")


def describe(facts: dict[str, Any]) -> Iterator[str]:
    """The lines ``status`` prints."""
    yield f"ietpy-daemon is running (pid {facts['pid']}){', degraded' if facts['degraded'] else ''}"
    if "silent" in facts:
        yield f"it does not answer: {facts['silent']}"
        return
    yield f"configuration: {facts['config']} ({facts['compat']})"
    grouped = any(portal["group"] != PORTAL_GROUP_TAG for portal in facts["portals"])
    for portal in facts["portals"]:
        group = f", group {portal['group']}" if grouped else ""
        yield f"portal: {portal_name(portal['address'], portal['port'])}{group}"
    if facts.get("isns"):
        yield f"iSNS: {facts['isns']['server']}, {facts['isns']['state']}"
    for process in facts.get("processes", ()):
        state = "ended" if process["pid"] is None else f"pid {process['pid']}"
        again = f", started {process['starts']} times" if process["starts"] > 1 else ""
        yield f"process {process['number']}: {state}, {_count(process['targets'], 'target')}{again}"
    for target in facts["targets"]:
        luns, sessions = _count(len(target["luns"]), "LUN"), _count(target["sessions"], "session")
        yield f"target: {target['name']} ({luns}, {sessions})"
    for session in facts["sessions"]:
        yield "session: " + ", ".join(f"{name} {session[name]}" for name in _SESSION if session.get(name))
    for problem in facts["problems"]:
        yield problem["text"]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
