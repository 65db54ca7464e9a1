"""Verbs about the whole: what runs, who is connected, what is saved."""

from __future__ import annotations

import time
from dataclasses import replace

import ietpy
from ietpy.cli.output import age, in_bytes
from ietpy.cli.shell import access
from ietpy.cli.shell.book import Book
from ietpy.cli.shell.tree import Node
from ietpy.cli.shell.turn import Turn, Values, boolean
from ietpy.config.findings import printable
from ietpy.errors import UsageError

_ACTIONS = ("list", "detail")


def status(turn: Turn, node: Node, values: Values) -> None:
    for line in turn.host.status():
        turn.say(line)
    if turn.host.unsaved():
        turn.say("not saved: saveconfig writes what has changed")


def sessions(turn: Turn, node: Node, values: Values) -> None:
    action, wanted = values.get("action", "list"), values.get("sid")
    if action.isdigit() and wanted is None:
        action, wanted = "detail", action
    if action not in _ACTIONS:
        raise UsageError(f"{printable(action[:60])} is no action; write list or detail")
    found = [one for one in turn.host.sessions() if wanted in (None, str(one.id))]
    if not found:
        turn.say("(no open sessions)" if wanted is None else f"(no session {printable(wanted[:20])})")
    for one in found:
        turn.say(f"sid: {one.id} initiator: {one.initiator} target: {one.target or '(discovery)'} from: {one.address}")
        if action == "detail":
            first = one.first
            turn.say(f"    user: {first['user'] or '(no authentication)'}")
            turn.say(f"    mapped LUNs: {', '.join(map(str, first.get('luns') or ())) or '-'}")
            turn.say(f"    connections: {len(one.connections)}, portal: {first['portal']}")
            turn.say(f"    for: {age(one.age(time.time()))}, read: {in_bytes(one.counters.get('bytes_read'))},"
                     f" written: {in_bytes(one.counters.get('bytes_written'))}")


def saveconfig(turn: Turn, node: Node, values: Values) -> None:
    turn.say(turn.host.save(values.get("savefile", "")))


def restoreconfig(turn: Turn, node: Node, values: Values) -> None:
    path = values["savefile"]
    text = turn.host.load(path)
    if text.lstrip().startswith("{"):
        raise UsageError(f"{printable(path)} is JSON, as LIO's files are; ietpy import makes an ietd.conf of it")
    turn.text = text
    turn.kept.clear()
    turn.book = replace(turn.book, targets={})
    turn.say(f"Configuration restored from {path}")


def clearconfig(turn: Turn, node: Node, values: Values) -> None:
    if not boolean(values, "confirm", False):
        raise UsageError("clearconfig takes all targets and backstores away; clearconfig confirm=True does it")
    busy = [one for one in turn.host.sessions() if one.target]
    if busy and not boolean(values, "force", False):
        more = f" and {len(busy) - 1} more" if busy[1:] else ""
        raise UsageError(
            f"{busy[0].target} is in use by {busy[0].initiator} from {busy[0].address}{more}; log out there, or"
            " clearconfig confirm=True force=True ends the sessions"
        )
    turn.purged += sorted({one.target for one in busy})
    turn.configuration = replace(
        turn.configuration, targets=(), discovery_incoming=(), discovery_outgoing=None,
    )
    turn.book = Book(preferences=turn.book.preferences)
    turn.kept.clear()
    turn.say("All configuration cleared; disks and images stay as they are.")
    if turn.configuration.portals is not None:
        turn.say("Portal lines stay: they say what the daemon listens on.")
    turn.go("/")


def version(turn: Turn, node: Node, values: Values) -> None:
    turn.say(f"ietpy version {ietpy.__version__}")


def refresh(turn: Turn, node: Node, values: Values) -> None:
    """Nothing to do: every command looks at what is served now."""


def enable(turn: Turn, node: Node, values: Values) -> None:
    turn.say("The TPG is enabled; it always is.")


def disable(turn: Turn, node: Node, values: Values) -> None:
    acls = len(access.acls(node.target))
    raise UsageError(
        "a TPG cannot be disabled; portals delete takes it off the network"
        + (f", and acls delete turns away its {acls} initiators" if acls else "")
    )
