"""``ietpy save``: what was changed in the running daemon (by ietadm) is written into its ietd.conf."""

from __future__ import annotations

import difflib
import os
from typing import Final

import click

from ietpy.cli.control import ask_daemon
from ietpy.cli.files import put
from ietpy.cli.output import show_json
from ietpy.errors import UsageError

FRESH_MODE: Final = 0o600  #: of a file that did not exist: it may get secrets


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Only say how much would change.")
@click.option("--force", is_flag=True, help="Also where the file was edited since it was read: what runs counts.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def save(dry_run: bool, force: bool, as_json: bool) -> None:
    """Write what was changed live, by ietadm or ietpy, into the ietd.conf that the running daemon has read.

    Comments, order and lines that did not change are kept. The file is replaced as a whole, with its owner and mode;
    redirections are not kept in it, as under IET. Exit status 1: the daemon says why not; 2: the file cannot be
    written.
    """
    answer = ask_daemon("rewritten", force=force)
    path, before, after = answer["file"], answer["before"], answer["after"]
    added, removed = count_changes(before, after)
    if before != after and not dry_run:
        replace_file(path, before, after)
    if as_json:
        saved = before != after and not dry_run
        show_json({"file": path, "changed": before != after, "saved": saved, "added": added, "removed": removed})
        return
    if before == after:
        click.echo(f"{path}: nothing has changed")
        return
    lines = f"{added} line{'' if added == 1 else 's'} added, {removed} removed"
    click.echo(f"{path}: {'would be saved' if dry_run else 'saved'}; {lines}")


def count_changes(before: str, after: str) -> tuple[int, int]:
    """Lines added and removed. The lines themselves are not shown: some hold secrets."""
    matcher = difflib.SequenceMatcher(None, before.split("\n"), after.split("\n"), autojunk=False)
    changes = [change[1:] for change in matcher.get_opcodes() if change[0] != "equal"]
    return sum(end - start for _, _, start, end in changes), sum(end - start for start, end, _, _ in changes)


def replace_file(path: str, before: str, after: str) -> None:
    """Put ``after`` in the place of ``before``, at once and for good. Raises UsageError."""
    real = os.path.realpath(path)  # a link stays one
    try:
        put(real, after, FRESH_MODE, _status_if_unchanged(real, before))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; nothing has changed") from None


def _status_if_unchanged(path: str, before: str) -> os.stat_result | None:
    """The file's owner and mode, None without a file. Raises UsageError if it is not what the daemon read just now."""
    try:
        with open(path, "rb") as file:
            if file.read() == before.encode("utf-8", "surrogateescape"):
                return os.fstat(file.fileno())
    except FileNotFoundError:
        if not before:
            return None
    raise UsageError(f"{path} was changed a moment ago by somebody else; look at it and try again")
