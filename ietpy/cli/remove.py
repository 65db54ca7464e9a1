"""``ietpy remove``: targets, LUNs, users and portals of the daemon that serves, at once and, if asked, for good."""

from __future__ import annotations

from typing import Final

import click

from ietpy.cli import completing
from ietpy.cli.changing import DISCOVERY, Change, finish, options, prepare, refuse_in_use, scope, served, users_of
from ietpy.cli.control import ask_daemon
from ietpy.errors import UsageError

_DRAIN: Final = 15.0  #: seconds to wait for a target whose sessions are ended first


@click.group("remove")
def command() -> None:
    """Remove a target, a LUN, a user or a portal from what the daemon serves. No file or device is touched.

    It takes effect at once, and holds until the daemon is restarted; with --save it is written into ietd.conf, too,
    whose comments stay.
    """


@command.command("target")
@click.argument("target", shell_complete=completing.targets)
@click.option("--force", is_flag=True, help="Also if somebody uses it: initiators are asked to log out, then cut off.")
@options
def target(target: str, force: bool, save: bool, as_json: bool) -> None:
    """Serve TARGET no more, which may be the end of its name."""
    found = served(target)
    prepare(save)
    if force:
        ask_daemon("drain-target", tid=found["tid"], patience=_DRAIN)
    else:
        refuse_in_use(found["name"], users_of(found))
        ask_daemon("delete-target", tid=found["tid"])
    change = Change("removed", "target", found["name"], found["tid"])
    finish(change, f"target {found['name']} is served no more", save, as_json)


@command.command("lun")
@click.argument("target", shell_complete=completing.targets)
@click.argument("number", type=click.IntRange(0))
@click.option("--force", is_flag=True, help="Also if somebody has it: commands that have begun are finished.")
@options
def lun(target: str, number: int, force: bool, save: bool, as_json: bool) -> None:
    """Serve LUN NUMBER of TARGET no more. Initiators that are logged in are told."""
    found = served(target)
    numbers = [each["number"] for each in found["luns"] if not each["leaving"]]
    if number not in numbers:
        there = f"its LUNs are {', '.join(map(str, numbers))}" if numbers else "it has none"
        raise UsageError(f"{found['name']} has no LUN {number}; {there}")
    prepare(save)
    if not force:
        refuse_in_use(f"LUN {number} of {found['name']}", users_of(found, number))
    path = next(each["path"] for each in found["luns"] if each["number"] == number)
    ask_daemon("delete-lun", tid=found["tid"], lun=number)
    change = Change("removed", "lun", found["name"], found["tid"], number, path)
    finish(change, f"LUN {number} of {found['name']} is served no more; {path or 'nothing'} stays", save, as_json)


@command.command("user")
@click.argument("target", shell_complete=completing.targets)
@click.argument("name")
@click.option("--outgoing", is_flag=True, help="The account by which the target authenticates itself.")
@click.option("--force", is_flag=True, help="Also the last one, without which nobody is asked for a secret any more.")
@options
def user(target: str, name: str, outgoing: bool, force: bool, save: bool, as_json: bool) -> None:
    """Have nobody log in to TARGET as NAME any more; sessions that are there stay. TARGET may be the word discovery."""
    tid, known = scope(target)
    accounts = ask_daemon("show-accounts", tid=tid)
    names = [accounts["outgoing"]] if outgoing else accounts["incoming"]
    if name not in names:
        there = ", ".join(dict.fromkeys(each for each in names if each)) or "none"
        raise UsageError(f"{known} has no {'outgoing ' if outgoing else ''}user {name!r}; there is {there}")
    last = not outgoing and len(names) == 1
    if last and not force:
        raise UsageError(
            f"{name} is the last account of {known}: without it nobody is asked for a secret, and everybody may log in"
            " whom nothing else keeps out. Add another one first, or remove it with --force"
        )
    prepare(save)
    ask_daemon("delete-account", tid=tid, outgoing=outgoing, name=name)
    note = "; no account is left, so no secret is asked for any more" if last else ""
    change = Change("removed", "user", None if known == DISCOVERY else known, tid or None, user=name, outgoing=outgoing)
    finish(change, f"{known} knows {name} no more{note}", save, as_json)


@command.command("portal")
@click.argument("portal", metavar="ADDR[:PORT]")
@options
def portal(portal: str, save: bool, as_json: bool) -> None:
    """Listen at ADDR no more; connections that came by it stay."""
    from ietpy.cli import portal_changes

    old = portal_changes.portal(portal, 1)
    prepare(save)
    portal_changes.remove(old)
    finish(Change("removed", "portal", portal=str(old)), f"the daemon listens at {old} no more", save, as_json)
