"""``ietpy import``: another target's configuration becomes an ietd.conf, and a report says what became of what."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from ietpy.cli.exits import Exit
from ietpy.cli.output import counted, show_json
from ietpy.errors import UsageError

if TYPE_CHECKING:
    from ietpy.migrate.model import Source, Written

_SOURCES: Final = ("lio", "tgt", "scst", "ctl", "istgt", "spdk", "gotgt", "auto")
_SECRET: Final = re.compile(r"^(\s*(?:Incoming|Outgoing)User \S+ ).*$", re.MULTILINE)
_OPEN_MODE: Final = 0o644
_SECRET_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


@click.command("import")
@click.option("--from", "source", type=click.Choice(_SOURCES), default="auto", show_default=True,
              help="Whose configuration it is.")
@click.option("-o", "--output", "directory", default=".", metavar="DIR", show_default=True,
              help="Where to write the files; it is made if it is not there.")
@click.option("-n", "--dry-run", is_flag=True, help="Write nothing; print the files, without secrets, and the report.")
@click.option("--force", is_flag=True, help="Replace files of these names.")
@click.option("--check-initiator-view", "view", is_flag=True,
              help="Serve it for a moment on loopback, and print what initiators saw and will see.")
@click.option("--scratch", is_flag=True, help="For that serve images of the stated sizes, not the disks themselves.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def command(
    ctx: click.Context, source: str, directory: str, dry_run: bool, force: bool, view: bool, scratch: bool,
    as_json: bool, files: tuple[str, ...],
) -> None:
    """Read the configuration of another iSCSI target and write an ietd.conf that means the same.

    FILE is LIO's saveconfig.json, or lio-utils' tcm_start.sh and lio_start.sh; tgt's targets.conf, whose includes
    are followed; SCST's scst.conf; FreeBSD's ctl.conf, plain or in UCL; istgt.conf, and its AuthFile behind it; SPDK's
    save_config; or gotgt's JSON. Nothing in them is executed.

    ietd.conf comes with initiators.allow, for IET, and a file of its own for each secret with a blank; where targets
    are limited to some of our own addresses, with targets.allow, which is read in /etc/iet only. Disks keep
    their LUNs and names. The report has a line for everything in the source: taken, said by an extension, lost, and
    why. A source that let nobody in makes a target that lets nobody in.

    Exit status 0: everything could be said. 1: the files are written, but something is lost, or was wrong in the
    source, or initiators will see something changed: the report says what. 2: a file cannot be read or written; nothing
    is written.
    """
    from ietpy.cli import initiator_view, migration
    from ietpy.migrate.reading import read
    from ietpy.migrate.to_ietd import to_ietd

    place = os.path.abspath(directory)
    found = read(files, source)
    made = to_ietd(found, place)
    written = [] if dry_run else list(put(made, place, force))
    notes = list(made.notes)
    looked = initiator_view.of_written(found, made, scratch=scratch) if view else None
    if as_json:
        seen = {"view": initiator_view.facts(looked), "unserved": list(map(str, looked.problems))} if looked else {}
        show_json({**document(found, made, written), **seen})
    else:
        if dry_run:
            for name, text in made.files.items():
                click.echo(f"# {os.path.join(directory, name)}\n{masked(name, text, made)}")
        for line in migration.lines(notes):
            click.echo(line, err=dry_run)
        where = f"{counted(len(written), 'file')} written to {directory}" if written else "nothing is written"
        click.echo(f"{where}; {migration.summary(notes)}", err=dry_run)
        if looked:
            initiator_view.show(looked)
    changed = looked is not None and not (looked.same and not looked.problems)
    ctx.exit(Exit.FAILED if migration.is_bad(notes) or changed else Exit.DONE)


def masked(name: str, text: str, made: Written) -> str:
    """The text of a file without secrets."""
    if name not in made.secret:
        return text
    return _SECRET.sub(r"\1********", text) if "\nTarget" in text or text.startswith("#") else "********\n"


def document(source: Source, made: Written, written: list[str]) -> dict[str, Any]:
    """The report for JSON."""
    from ietpy.cli import migration

    return {
        "source": source.format,
        "files": list(source.files),
        "targets": [target.name for target in source.targets],
        "written": written,
        **migration.facts(made.notes),
    }


def put(made: Written, directory: str, force: bool) -> Iterator[str]:
    """Write the files into ``directory``; none, if one is there and ``force`` is not given. Raises UsageError."""
    from ietpy.cli import files

    try:
        os.makedirs(directory, exist_ok=True)
        there = next((name for name in made.files if os.path.lexists(os.path.join(directory, name))), None)
        if there is not None and not force:
            path = os.path.join(directory, there)
            raise UsageError(f"{path} is there already; give another directory with -o, or --force to replace it")
        for name, text in made.files.items():
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), mode=_DIRECTORY_MODE, exist_ok=True)
            files.put(path, text, _SECRET_MODE if name in made.secret else _OPEN_MODE)
            yield path
    except OSError as error:
        raise UsageError(f"{error.filename or directory} cannot be written: {error.strerror}") from None
