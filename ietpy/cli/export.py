"""``ietpy export``: an ietd.conf as the configuration of another target, and a report of what that cannot say."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click

from ietpy.cli import migration
from ietpy.cli.exits import Exit
from ietpy.cli.files import put
from ietpy.cli.output import FORMAT
from ietpy.cli.save import FRESH_MODE
from ietpy.config.access import DIRECTORIES
from ietpy.config.access_rules import INITIATORS_ALLOW, INITIATORS_DENY, TARGETS_ALLOW
from ietpy.config.files import read_file
from ietpy.config.load import load
from ietpy.errors import ConfigError, UsageError
from ietpy.migrate.from_ietd import from_ietd
from ietpy.migrate.model import Disk, Grant, Lun, Source, Store, Target, Written, in_order

#: The writer of each format.
WRITERS: Final = MappingProxyType({
    "lio": "ietpy.migrate.to_lio:to_lio",
    "tgt": "ietpy.migrate.to_tgt:to_tgt",
    "scst": "ietpy.migrate.to_scst:to_scst",
    "ctl": "ietpy.migrate.to_ctl:to_ctl",
})
_WTHREADS: Final = 8  #: IET's default, which is nothing anybody asked for


@click.command()
@click.option("--to", "format_", required=True, type=click.Choice([*WRITERS]), help="Whose configuration to write.")
@click.option("-c", "--config", metavar="FILE", help="Read FILE and the allow file beside it, not those in /etc.")
@click.option("-o", "--output", metavar="FILE", help="Write into FILE, which only its owner may read.")
@click.option("--force", is_flag=True, help="Write over FILE where there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the report, and without -o the text, as JSON.")
@click.pass_context
def export(
    ctx: click.Context, format_: str, config: str | None, output: str | None, force: bool, as_json: bool
) -> None:
    """Write what ietd.conf says as the configuration of LIO, tgt, SCST or FreeBSD's ctld.

    Without -o it goes to standard output. What is written holds secrets. It is never more open than ietd.conf: a rule
    that cannot be written lets nobody in. The report goes to standard error: what is taken, what is lost, and why.

    Exit status 0: everything could be said. 1: it is written, but something is lost: the report says what. 2: ietd.conf
    has mistakes, or a file cannot be read or written.
    """
    written = exported(format_, config)
    (text,) = written.files.values()
    if output is not None:
        _write(output, text, force=force)
    if as_json:
        document: dict[str, Any] = {"to": format_, "file": output, "text": text if output is None else None}
        document |= migration.facts(written.notes)
        click.echo(json.dumps({"format": FORMAT, **document}, indent=2))  # escaped, and the text is still what it is
    else:
        if output is None:
            click.echo(text, nl=False)
        for line in (*migration.lines(written.notes), migration.summary(written.notes)):
            click.echo(line, err=True)
    ctx.exit(Exit.FAILED if migration.is_bad(written.notes) else Exit.DONE)


def exported(format_: str, config: str | None) -> Written:
    """The configuration in that format. Raises ConfigError, UsageError."""
    configuration = load(config)
    if configuration.errors:
        raise ConfigError(configuration.errors)
    directories = DIRECTORIES if config is None else (os.path.dirname(os.path.abspath(config)),)
    for name in (INITIATORS_DENY.name, TARGETS_ALLOW.name):
        path, text = _companion(directories, name)
        if text is not None and any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
            hint = "say with Initiator and PortalGroups lines what they say, and empty the file"
            raise UsageError(f"{path}: no other target has such rules, and without them more could get in; {hint}")
    path, allow = _companion(directories, INITIATORS_ALLOW.name)
    source = _measured(from_ietd(configuration, allow, path))
    module, _, function = WRITERS[format_].partition(":")
    written: Written = getattr(importlib.import_module(module), function)(source)
    return replace(written, notes=in_order((*source.notes, *written.notes)))


def _companion(directories: tuple[str, ...], name: str) -> tuple[str, str | None]:
    """A file beside ietd.conf, and its text; None where there is none. Raises UsageError."""
    for directory in directories:
        path = os.path.join(directory, name)
        try:
            return path, read_file(path, regular=True)
        except FileNotFoundError:
            continue
        except OSError as error:
            hint = "it may say who may use what, so it has to be read"
            raise UsageError(f"{path}: {error.strerror or error}; {hint}") from None
    return "", None


def _measured(source: Source) -> Source:
    """With the sizes of files, which some formats want, and without threads that nobody asked for."""

    def measured(luns: tuple[Lun, ...]) -> tuple[Lun, ...]:
        return tuple(replace(lun, disk=_sized(lun.disk)) for lun in luns)

    def given(grant: Grant) -> Grant:
        return replace(grant, luns=None if grant.luns is None else measured(grant.luns))

    def whole(target: Target) -> Target:
        threads = None if target.threads == _WTHREADS else target.threads
        grants = tuple(map(given, target.grants))
        return replace(target, luns=measured(target.luns), grants=grants, threads=threads)

    return replace(source, targets=tuple(map(whole, source.targets)))


def _sized(disk: Disk) -> Disk:
    if disk.store not in (Store.FILE, Store.DIRECT) or disk.size is not None:
        return disk
    try:
        with Path("/", disk.path).open("rb") as file:
            return replace(disk, size=file.seek(0, os.SEEK_END))
    except OSError:  # the report says that it is not known
        return disk


def _write(path: str, text: str, *, force: bool) -> None:
    """As a whole or not at all. Raises UsageError."""
    try:
        if os.path.lexists(path) and not force:
            raise UsageError(f"{path} is there already; name another file, or say --force")
        put(path, text, FRESH_MODE)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another file") from None
