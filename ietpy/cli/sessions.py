"""``ietpy sessions``: who is connected, by what, and how fast."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from ietpy.cli.completing import initiators, targets
from ietpy.cli.control import NotRunning, ask_daemon
from ietpy.cli.facts import COUNTERS, PERCENTILES, Pace, Session, chosen, pace, sessions
from ietpy.cli.output import (
    UNKNOWN,
    Column,
    age,
    counted,
    in_bytes,
    latency,
    number,
    per_second,
    show_json,
    show_table,
)
from ietpy.errors import AdminError

DISCOVERY: Final = "(discovery)"  #: stands for the target of a session that has none

_COLUMNS: Final = (
    number("ID"), Column("INITIATOR"), Column("ADDRESS"), Column("TARGET"), number("LUNS"), number("IOPS"),
    number("BYTES/S"), number("P99"), number("DEPTH"), number("AGE"),
)


@click.command("sessions")
@click.option("--target", metavar="NAME", shell_complete=targets, help="Only of targets whose name ends so.")
@click.option("--initiator", metavar="NAME", shell_complete=initiators, help="Only of initiators whose name ends so.")
@click.option(
    "-i", "--interval", type=click.FloatRange(0.1, 3600), metavar="SECONDS",
    help="Look twice, so far apart, and tell how fast they were meanwhile; else since their login.",
)
@click.option("-v", "--verbose", is_flag=True, help="Everything of each, with its negotiated keys.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    target: str | None, initiator: str | None, interval: float | None, verbose: bool, as_json: bool
) -> None:
    """Print who is connected.

    ID is what ietpy kick takes. IOPS are reads and writes, BYTES/S goes both ways, P99 is what 99 of 100 commands took
    at most, DEPTH how many are under way: now, or on average with --interval. How long commands take is measured from
    the first look on, and for five minutes after the last.
    """
    found = [(each, how) for each, how in measured(interval) if chosen([each], target, initiator)]
    now = time.time()
    if as_json:
        show_json({"sessions": [as_document(each, how, now, keys(each)) for each, how in found]})
    elif verbose and found:
        click.echo("\n\n".join("\n".join(in_full(each, how, now, keys(each))) for each, how in found))
    else:
        show_table(_COLUMNS, [row(each, how, now) for each, how in found], "no session that fits")


def measured(interval: float | None) -> list[tuple[Session, Pace]]:
    """All sessions, and how fast they were, over ``interval`` seconds or since their login. Raises AdminError."""
    begun, first = time.monotonic(), look() if interval else []
    if interval:
        time.sleep(interval)
    found, seconds = look(), time.monotonic() - begun
    before = {each.key: each for each in first}
    now = time.time()
    return [(each, pace(each, now, before.get(each.key), seconds)) for each in found]


def look() -> list[Session]:
    """All sessions there are now. Raises AdminError."""
    return sessions(ask_daemon("sessions"), ask_daemon("targets"))


def keys(session: Session) -> dict[str, str] | None:
    """What was negotiated, by key; None of a session of discovery, or one that has just gone. Raises AdminError."""
    if not session.tid:
        return None
    try:
        told: dict[str, str] = ask_daemon("show-session", tid=session.tid, sid=session.sid)
    except AdminError as problem:
        if isinstance(problem, NotRunning) or problem.code != errno.ENOENT:
            raise
        return None
    return told


def row(session: Session, how: Pace, now: float) -> tuple[str, ...]:
    """A session's cells in the table."""
    luns = session.first.get("luns")
    return (
        str(session.id), session.initiator, session.address, session.target or DISCOVERY,
        UNKNOWN if luns is None else str(len(luns)), per_second(how.operations), in_bytes(how.bytes),
        latency(how.latency.quantile(PERCENTILES["p99"])), depth(session, how), age(session.age(now)),
    )


def in_full(session: Session, how: Pace, now: float, negotiated: Mapping[str, str] | None) -> Iterator[str]:
    """The lines ``--verbose`` prints of a session, those of what is known."""
    first = session.first
    yield f"session {session.id}: {session.initiator}"
    facts = {
        "target": session.target or DISCOVERY,
        "user": first["user"] or "none: it was not asked for a secret",
        "age": age(session.age(now)),
        "LUNs": ", ".join(map(str, first.get("luns") or ())) or UNKNOWN,
        "IET's sid": str(session.sid),
    }
    for each in session.connections:
        digests = " and ".join(kind for kind in ("header", "data") if each[f"{kind}_digest"])
        where = f"from {each['address']} to {each['portal']} (portal group {each['portal_group']})"
        facts[f"connection {each['cid']}"] = f"{where}, {digests + ' digests' if digests else 'no digests'}"
    if session.counters.get("commands") is not None:
        total = session.counters
        facts["commands"] = f"{total['commands']} ({total['reads']} reads, {total['writes']} writes)"
        facts["bytes"] = f"{in_bytes(total['bytes_read'])} read, {in_bytes(total['bytes_written'])} written"
        facts["pace"] = (
            f"{per_second(how.rates['reads'])} reads/s, {per_second(how.rates['writes'])} writes/s,"
            f" {in_bytes(how.rates['bytes_read'])}/s read, {in_bytes(how.rates['bytes_written'])}/s written,"
            f" over {age(how.seconds)}"
        )
        facts["depth"] = depth(session, how)
    if how.latency.total:
        times = (f"{name} {latency(how.latency.quantile(part))}" for name, part in PERCENTILES.items())
        facts["latency"] = f"{', '.join(times)} of {counted(how.latency.total, 'command')}"
    if errors := first.get("errors"):
        facts["errors"] = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in errors.items())
    facts["keys"] = " ".join(f"{name}={value}" for name, value in (negotiated or {}).items()) or UNKNOWN
    width = max(map(len, facts)) + 1
    for name, value in facts.items():
        yield f"  {name + ':':<{width}} {value}"


def as_document(session: Session, how: Pace, now: float, negotiated: Mapping[str, str] | None) -> dict[str, Any]:
    """A session in ``--json``; null is what the daemon does not tell."""
    first = session.first
    return {
        "id": session.id,
        "sid": session.sid,
        "tid": session.tid or None,
        "target": session.target or None,
        "initiator": session.initiator,
        "isid": first["isid"],
        "user": first["user"] or None,
        "connections": [
            {
                name: each[name]
                for name in ("cid", "address", "portal", "portal_group", "header_digest", "data_digest", "closing")
            }
            for each in session.connections
        ],
        "since": first.get("since"),
        "age": session.age(now),
        "luns": first.get("luns"),
        "keys": negotiated,
        "queue_depth": session.queue_depth,
        "counters": {name: session.counters.get(name) for name in COUNTERS},
        "errors": first.get("errors"),
        "header_digest_errors": first.get("header_digest_errors"),
        "data_digest_errors": first.get("data_digest_errors"),
        "pace": {
            "seconds": how.seconds, **{name: how.rates.get(name) for name in COUNTERS}, "queue_depth": how.depth,
        },
        "latency": {
            "count": how.latency.total,
            **{name: how.latency.quantile(part) for name, part in PERCENTILES.items()},
            "le": list(how.latency.bounds),
            "counts": list(how.latency.counts),
        },
    }


def depth(session: Session, how: Pace) -> str:
    """Commands under way: on average where that is known, else now."""
    if how.depth is not None:
        return per_second(how.depth)
    return UNKNOWN if session.queue_depth is None else str(session.queue_depth)
