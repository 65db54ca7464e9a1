"""``ietpy kick``: end sessions, having their initiators log out where they do."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

from ietpy.cli import completing
from ietpy.cli.control import ask_daemon
from ietpy.cli.facts import Session, ends_with
from ietpy.cli.output import counted, show_json
from ietpy.cli.sessions import look
from ietpy.config.findings import printable
from ietpy.errors import UsageError

_AGAIN: Final = (
    "they may log in again at once; an Initiator line of ietd.conf or initiators.deny keeps them out (ietpy explain"
    " says who may)"
)


@click.command("kick")
@click.argument("who", nargs=-1, shell_complete=completing.sessions, metavar="[SESSION|INITIATOR|ADDRESS]...")
@click.option("--target", metavar="NAME", shell_complete=completing.targets, help="Only of targets whose name ends so.")
@click.option("--all-of-target", metavar="NAME", shell_complete=completing.targets, help="All sessions of a target.")
@click.option("--now", is_flag=True, help="Ask nobody to log out, and wait for no command.")
@click.option("--json", "as_json", is_flag=True, help="Print what was ended as JSON.")
def command(who: tuple[str, ...], target: str | None, all_of_target: str | None, now: bool, as_json: bool) -> None:
    """End sessions: by ID (ietpy sessions), by the end of an initiator's name, or by an initiator's address.

    Initiators are asked to log out, and have two seconds for that; then connections are closed. What is written by
    then is written. Exit status 1: nobody fits.
    """
    if not who and all_of_target is None:
        raise UsageError("say who: the ID of a session (ietpy sessions), an initiator, an address, or --all-of-target")
    found = [each for each in look() if each.tid and ends_with(each.target, target)]
    meant = {each.key: each for word in who for each in chosen(found, word)}
    if all_of_target is not None:
        meant |= {each.key: each for each in found if ends_with(each.target, all_of_target)}
    ended = end(meant.values(), politely=not now)
    if as_json:
        show_json({"ended": [as_document(each, out) for each, out in ended]})
    else:
        for line in lines(ended, now):
            click.echo(line)
    if not ended:
        click.echo("ietpy kick: no session fits; ietpy sessions lists them", err=True)
        click.get_current_context().exit(1)


def chosen(found: Sequence[Session], word: str) -> list[Session]:
    """The sessions that ``word`` means: a number, an address, or the end of a name. Raises UsageError."""
    if word.isascii() and word.isdigit():
        meant = [each for each in found if int(word) in (each.id, each.sid)]
        if len(meant) > 1:
            names = ", ".join(each.target for each in meant)
            raise UsageError(f"there is a session {word} of several targets: {names}; say which with --target")
        return meant
    try:
        address = ipaddress.ip_address(word.strip("[]").partition("%")[0])
    except ValueError:
        return [each for each in found if ends_with(each.initiator, word)]
    return [each for each in found if any(_is(part["address"], address) for part in each.connections)]


def _is(shown: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.ip_address(shown.partition("%")[0]) == address
    except ValueError:
        return False


def end(meant: Iterable[Session], politely: bool) -> list[tuple[Session, bool]]:
    """End these sessions; of each, whether its initiator logged out. Raises AdminError."""
    by_target: dict[int, list[Session]] = {}
    for each in meant:
        by_target.setdefault(each.tid, []).append(each)
    ended = []
    for tid, group in by_target.items():
        sids = [each.sid for each in group]
        answer: Mapping[str, bool] = ask_daemon("end-sessions", tid=tid, sids=sids, politely=politely)
        ended += [(each, answer[str(each.sid)]) for each in group]
    return ended


def lines(ended: Sequence[tuple[Session, bool]], now: bool) -> list[str]:
    """What was ended, in words."""
    said = []
    for each, logged_out in ended:
        how = "it logged out" if logged_out else "its connection was closed"
        how += "" if logged_out or now else ", as it did not log out"
        said.append(printable(f"session {each.id} of {each.target}: {each.initiator} at {each.address}: {how}"))
    return [*said, f"{counted(len(ended), 'session')} ended; {_AGAIN}"] if said else []


def as_document(session: Session, logged_out: bool) -> dict[str, Any]:
    """An ended session in ``--json``."""
    return {
        "id": session.id,
        "sid": session.sid,
        "tid": session.tid,
        "target": session.target,
        "initiator": session.initiator,
        "address": session.address,
        "logged_out": logged_out,
    }
