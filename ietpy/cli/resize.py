"""``ietpy resize``: an image, or the file behind a LUN, becomes larger, and initiators are told."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final

import click

from ietpy.cli.completing import targets as known
from ietpy.cli.control import NotRunning, ask_daemon
from ietpy.cli.facts import Facts, target_named
from ietpy.cli.output import show_json
from ietpy.cli.targets import staying
from ietpy.errors import UsageError
from ietpy.images import in_words, parse_size, resize_image

PATIENCE: Final = 120.0  #: seconds; giving a large file its space takes time on some file systems
_PLACE: Final = re.compile(r"(?P<target>.+)/(?P<lun>[0-9]{1,5})")


@click.command("resize")
@click.argument("what", metavar="PATH|TARGET/LUN", shell_complete=known)
@click.argument("size", required=False)
@click.option("--force", is_flag=True, help="Also make it smaller: what is cut off is lost.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(what: str, size: str | None, force: bool, as_json: bool) -> None:
    """Give an image another size, and have the daemon, if it serves it, tell initiators.

    SIZE is a whole number of bytes, or one with K, M, G or T; +1G is that much more than now. New space is a hole in a
    sparse image, and allocated where all of the image is. Without SIZE the daemon looks how large the medium is now:
    after lvextend, say. TARGET is a target's name, its number, or the end of its name.

    Initiators with sessions are told CAPACITY DATA HAS CHANGED; most look again when their user says so (Linux:
    iscsiadm -m session --rescan). Exit status 1: it cannot be done, or it would lose something.
    """
    target, lun = _served(what)
    if target is None or lun is None:
        document = _alone(what, size, force)
    else:
        wanted = 0 if size is None else _bytes(size, lun["size"])
        place = {"tid": target["tid"], "lun": lun["number"]}
        result = ask_daemon("resize-lun", patience=PATIENCE, **place, size=wanted, force=force)
        document = {**result, "target": target["name"], "lun": lun["number"]}
    if as_json:
        show_json(document)
        return
    before, after = in_words(document["before"]), in_words(document["after"])
    if document["before"] == document["after"]:
        click.echo(f"{document['path']}: {after}, as before")
        return
    told = f"; {document['sessions']} session{'' if document['sessions'] == 1 else 's'} told" if lun else ""
    click.echo(f"{document['path']}: {after}, was {before}{told}")


def _served(what: str) -> tuple[Facts | None, Facts | None]:
    """The target and the logical unit that are meant; None where it is a path that no daemon serves."""
    place = _PLACE.fullmatch(what)
    path = place is None or os.path.exists(what) or what.startswith(("/", "./", "../"))
    try:
        targets: Sequence[Facts] = ask_daemon("targets")
    except NotRunning:
        if not path:
            raise
        return None, None
    if path:
        found = ((target, lun) for target in targets for lun in staying(target) if _same(lun["path"], what))
        return next(found, (None, None))
    assert place is not None
    target = target_named(targets, place["target"])
    for lun in staying(target):
        if lun["number"] == int(place["lun"]):
            return target, lun
    numbers = ", ".join(str(lun["number"]) for lun in staying(target)) or "none"
    raise UsageError(f"{target['name']} serves no LUN {place['lun']}; it has {numbers}")


def _same(one: str, other: str) -> bool:
    try:
        return bool(one) and os.path.samefile(one, other)
    except OSError:
        return False


def _bytes(size: str, now: int) -> int:
    """The size that is meant, where it is ``now``. Raises UsageError."""
    return now + parse_size(size[1:]) if size.startswith("+") else parse_size(size)


def _alone(path: str, size: str | None, force: bool) -> dict[str, Any]:
    """Resize an image that nobody serves."""
    if size is None:
        raise UsageError(f"no daemon serves {path}, so nobody is to be told of its size; name a SIZE to change it")
    before, after = resize_image(path, lambda now: _bytes(size, now), force)
    return {"path": path, "before": before, "after": after, "sessions": 0, "target": None, "lun": None}
