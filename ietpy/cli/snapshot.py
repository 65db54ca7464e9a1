"""``ietpy snapshot``: an image as it is at this moment, beside it, also while it is served and written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

import click

from ietpy import copies
from ietpy.cli.changing import served
from ietpy.cli.control import NotRunning, ask_daemon
from ietpy.cli.facts import Facts
from ietpy.cli.mkimage import progress
from ietpy.cli.output import in_bytes, show_json
from ietpy.cli.stopping import Stopped, stoppable
from ietpy.config.findings import printable
from ietpy.copies import How
from ietpy.errors import AdminError, UsageError

_TIME: Final = "%Y%m%dT%H%M%SZ"
_HOW: Final[Mapping[How, str]] = {
    How.SHARED: "shares its blocks until they are written",
    How.COPIED: "a copy",
}


@dataclass(frozen=True, slots=True)
class Made:
    """A copy that was made, of what, and how."""

    source: str
    path: str
    size: int  #: bytes
    how: How
    users: int  #: sessions that have the source meanwhile


@click.command("snapshot")
@click.argument("source", metavar="PATH|TARGET/LUN")
@click.argument("name", required=False)
@click.option("--copy", "by_copy", is_flag=True, help="Copy the blocks, where they cannot be shared.")
@click.option("--force", is_flag=True, help="Replace an existing file that is not being served.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
@click.pass_context
def command(
    ctx: click.Context, source: str, name: str | None, by_copy: bool, force: bool, as_json: bool
) -> None:
    """Keep an image as it is at this moment, in a file beside it: disk.img as disk-NAME.img.

    NAME is the time unless it is said; one with a slash is a path. Blocks are shared with the image until one of them
    is written, so it takes a moment and no space, on btrfs and on xfs made with reflink=1. The image may be served and
    written meanwhile: the snapshot is what a loss of power at this moment would have left, and what file systems and
    databases recover from. What they have not yet written is not in it.
    """
    path = image_of(source)
    make(ctx, path, beside(path, name), by_copy, force, as_json)


def make(ctx: click.Context, source: str, path: str, by_copy: bool, force: bool, as_json: bool) -> None:
    """Make the copy, say so, and end with what was wrong if it could not be made."""
    users = users_of(source)
    try:
        with stoppable(), progress("Copying" if by_copy else "") as tell:
            how = copies.copy(source, path, share=not by_copy, force=force, progress=tell)
    except Stopped as stop:
        click.echo("ietpy: stopped; no partial image is left", err=True)
        ctx.exit(128 + stop.number)
    made = Made(source, os.path.abspath(path), os.path.getsize(path), how, users)
    if as_json:
        show_json(as_document(made))
        return
    click.echo(printable(f"{made.path}: {in_bytes(made.size)}, {_HOW[how]}, of {source}"))
    if users:
        click.echo("it was in use: this is what a loss of power would have left, which recovery deals with", err=True)


def image_of(word: str) -> str:
    """The path of an image, or of the LUN that TARGET/LUN names. Raises UsageError, AdminError."""
    if os.path.lexists(word):
        return word
    target, slash, number = word.rpartition("/")
    if not slash or not number.isdecimal() or not number.isascii() or not target:
        raise UsageError(f"there is no file {word}; name one, or a LUN that is served as TARGET/LUN")
    found = served(target)
    lun = next((each for each in found["luns"] if each["number"] == int(number)), None)
    if lun is None:
        raise UsageError(f"{found['name']} has no LUN {number}; ietpy luns lists all")
    if lun["type"] != "fileio":
        advice = "; lvcreate --snapshot and zfs snapshot take one of theirs" if lun["path"] else ""
        raise UsageError(f"LUN {number} of {found['name']} is {lun['type']}, no file that could share blocks{advice}")
    path: str = lun["path"]
    return path


def beside(path: str, name: str | None) -> str:
    """Where the snapshot ``name`` of the image at ``path`` is to be."""
    if name is not None and "/" in name:
        return name
    stem, suffix = os.path.splitext(path)
    return f"{stem}-{name or datetime.now(timezone.utc).strftime(_TIME)}{suffix}"


def users_of(path: str) -> int:
    """How many sessions may write the image meanwhile; 0 where no daemon tells."""
    try:
        targets, sessions = ask_daemon("targets"), ask_daemon("sessions")
    except (NotRunning, AdminError):
        return 0
    having = {each["name"] for each in targets if any(_is(lun, path) for lun in each["luns"])}
    return len({(each["target"], each["tsih"]) for each in sessions if each["target"] in having})


def _is(lun: Facts, path: str) -> bool:
    try:
        return bool(lun["path"]) and os.path.samefile(lun["path"], path)
    except OSError:
        return False


def as_document(made: Made) -> dict[str, Any]:
    """What was made, in ``--json``."""
    return {
        "source": made.source, "path": made.path, "size": made.size, "how": made.how.value, "sessions": made.users,
    }
