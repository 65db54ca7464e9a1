"""The status page: what ``status`` says, for people with a browser. Its script asks for ``status.json`` and keeps it
live; without a script it is a table of what has been counted, and loads itself again.

Initiators choose their names, so everything is escaped here, and is text and never HTML in the script. The page names
no other place: its style and script are beside it, and the server's headers allow nothing else.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from html import escape
from importlib.resources import files
from typing import Any, Final

Facts = dict[str, Any]

#: With so few LUNs all are shown at once.
_FEW: Final = 20
_UNITS: Final = (" B", " KiB", " MiB", " GiB", " TiB", " PiB")
#: What of a session the script needs.
_SESSION: Final = (
    "tsih", "initiator", "address", "target", "since", "reads", "writes", "bytes_read", "bytes_written", "latency",
    "queue_depth",
)
_USAGE: Final = (
    "process", "pid", "threads", "descriptors", "memory_resident", "memory_writes", "memory_reads", "memory_unsent",
)
_UNIT_HEAD: Final = (
    "#LUN", "Path", "Kind", "#Size", "#Reads/s", "#Writes/s", "#Read", "#Written", "#Latency", "#Last 2 min", "#Errors",
)
_SESSION_HEAD: Final = (
    "Initiator", "#Age", "#Reads/s", "#Writes/s", "#Read", "#Written", "#Latency", "#Last 2 min", "#Depth",
)
_STILL_UNITS: Final = ("#LUN", "Path", "Kind", "#Size", "#Reads", "#Writes", "#Read", "#Written", "#Errors")
_STILL_SESSIONS: Final = (
    "Initiator", "Address", "Target", "Since (UTC)", "#Reads", "#Writes", "#Read", "#Written", "#Depth",
)
_TILES: Final = (
    ("reads", "reads a second"), ("writes", "writes a second"), ("read", "read"), ("written", "written"),
    ("latency", "mean latency"), ("depth", "commands under way"),
)


def asset(name: str) -> bytes:
    """A file that the page needs. Raises FileNotFoundError."""
    return files("ietpy.daemon").joinpath("assets", name).read_bytes()


def as_json(facts: Facts) -> bytes:
    """What the script asks for: no contract; programs take metrics, or ``ietpy --json``."""
    logins: Counter[str] = Counter()
    for process in facts["usage"]:
        logins.update(process["logins"])
    shown = {
        "now": time.time(),
        "started": facts["started"],
        "degraded": facts["degraded"],
        "problems": [{key: each[key] for key in ("code", "severity", "text")} for each in facts["problems"]],
        "targets": [{key: each[key] for key in ("name", "sessions", "luns")} for each in facts["targets"]],
        "sessions": [{key: each[key] for key in _SESSION} for each in _once(facts["sessions"])],
        "usage": [{key: each[key] for key in _USAGE} for each in facts["usage"]],
        "logins": logins,
    }
    return json.dumps(shown, separators=(",", ":")).encode()


def page(facts: Facts) -> str:
    """The whole page, with what there is to say without a script."""
    name = escape(socket.gethostname())
    state, words = _state(facts)
    problems = "".join(
        f'<li class="{escape(each["severity"])}"><code>{escape(each["code"])}</code><span>{escape(each["text"])}</span>'
        "</li>"
        for each in facts["problems"]
    )
    tiles = "".join(
        f'<div class="tile" id="tile-{key}"><span class="soft">{label}</span><b>&ndash;</b><svg></svg></div>'
        for key, label in _TILES
    )
    hidden = "" if problems else " hidden"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>ietpy on {name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="status.css"><script src="status.js" defer></script>
<noscript><meta http-equiv="refresh" content="5"></noscript></head>
<body><header><h1>ietpy</h1><span class="soft">{escape(facts["version"])} on {name}</span>
<span id="state" class="pill {state}">{words}</span><span class="grow"></span>
<span class="soft" id="uptime"></span><span class="soft" id="live"></span></header>
<main>
<div class="tiles needs-script" hidden>{tiles}</div>
<section id="problem-part"{hidden}><h2>Problems <small id="problem-count">{len(facts["problems"])}</small></h2>
<div class="card"><ul class="problems" id="problems">{problems}</ul></div></section>
<div class="needs-script" hidden>
<div class="heading"><h2>Targets <small id="target-count"></small></h2>
<input type="search" id="filter" placeholder="Filter targets, LUNs and initiators" aria-label="Filter"></div>
<div id="targets"></div><div class="card empty" id="nothing-found" hidden>No target or LUN is called that.</div>
<h2>Sessions <small id="session-count"></small></h2>
<div class="card"><table id="session-table"><thead>{_head(_SESSION_HEAD)}</thead><tbody id="sessions"></tbody></table>
<div class="empty" id="no-session">Nobody is logged in.</div></div>
</div>
<div id="static">{_targets(facts["targets"])}{_sessions(facts["sessions"])}</div>
<template id="unit-head"><thead>{_head(_UNIT_HEAD)}</thead></template>
</main>
<footer class="needs-script" hidden><p>Logins: <span id="logins"></span>.</p><p id="usage"></p>
<p>Latency is from receiving a command to sending its answer. For Prometheus: <a href="metrics">metrics</a>.</p>
</footer></body></html>
"""


def _state(facts: Facts) -> tuple[str, str]:
    if facts["degraded"]:
        return "bad", "degraded"
    return ("warn", "warnings") if facts["problems"] else ("good", "healthy")


def _once(sessions: list[Facts]) -> list[Facts]:
    """Sessions, of which facts has one for each connection."""
    return list({(each["target"], each["tsih"]): each for each in reversed(sessions)}.values())[::-1]


def _head(titles: tuple[str, ...]) -> str:
    return f"<tr>{''.join(_cell(title, 'th') for title in titles)}</tr>"


def _cell(text: str, name: str = "td", kind: str = "") -> str:
    """``text`` in a cell; a number, if it begins with #."""
    kind = "number" if text.startswith("#") else kind
    return f"<{name}{f' class={kind!r}' if kind else ''}>{escape(text.removeprefix('#'))}</{name}>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _targets(targets: list[Facts]) -> str:
    if not targets:
        return '<h2>Targets</h2><div class="card empty">No target is served.</div>'
    opened = " open" if sum(len(target["luns"]) for target in targets) <= _FEW else ""
    cards, head = [], _head(_STILL_UNITS)
    for target in targets:
        rows = "".join(_unit(unit) for unit in target["luns"])
        cards.append(
            f'<details class="card"{opened}><summary><b>{escape(target["name"])}</b><span class="grow"></span>'
            f'<span class="numbers"><span>{len(target["luns"])} LUNs</span><span>{target["sessions"]} sessions</span>'
            f'</span></summary><table class="units still"><thead>{head}</thead><tbody>{rows}</tbody></table></details>'
        )
    return f"<h2>Targets <small>{len(targets)}</small></h2>{''.join(cards)}"


def _unit(unit: Facts) -> str:
    leaving = " (leaving)" if unit["leaving"] else ""
    errors = sum(count for key, count in unit["errors"].items() if key != "unit_attention")
    return _row(
        _cell(f"#{unit['number']}"), _cell(unit["path"] or "\u2013", kind="name"),
        _cell(f"{unit['type']} {unit['mode']}{leaving}"), _cell(f"#{size(unit['size'])}"), *_counted(unit),
        _cell(f"#{errors}"),
    )


def _counted(of: Facts) -> tuple[str, ...]:
    return (
        _cell(f"#{of['reads']}"), _cell(f"#{of['writes']}"), _cell(f"#{size(of['bytes_read'])}"),
        _cell(f"#{size(of['bytes_written'])}"),
    )


def _sessions(sessions: list[Facts]) -> str:
    if not sessions:
        return '<h2>Sessions</h2><div class="card empty">Nobody is logged in.</div>'
    rows = "".join(
        _row(
            _cell(each["initiator"], kind="name"), _cell(each["address"]),
            _cell(each["target"] or "discovery", kind="name"),
            _cell(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each["since"]))), *_counted(each),
            _cell(f"#{each['queue_depth']}"),
        )
        for each in _once(sessions)
    )
    head = _head(_STILL_SESSIONS)
    return f'<h2>Sessions</h2><div class="card"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def size(count: float) -> str:
    """Bytes for people."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.{0 if not unit or count >= 100 else 1 if count >= 10 else 2}f}{_UNITS[unit]}"
