"""``ietpy-daemon``: start, stop, restart, reload, status. What a command uses is imported when it runs."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

import ietpy
from ietpy.errors import AdminError, ConfigError, IetpyError, UsageError

if TYPE_CHECKING:
    from ietpy.daemon.options import Places

#: Exit status by error; the first row that fits holds.
EXIT_STATUS: Final = ((ConfigError, 2), (UsageError, 2), (AdminError, 1), (IetpyError, 1))

Command = TypeVar("Command", bound=Callable[..., Any])

_PLACES: Final = (
    click.option("--pid-file", metavar="FILE", help="Pid file (root: /run/ietd.pid)."),
    click.option("--control", metavar="SOCKET", help="Control socket (root: /run/ietpy/control)."),
)
_START: Final = (
    click.option("-c", "--config", metavar="FILE", help="Configuration (default: /etc/iet/ietd.conf)."),
    click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground and log to stderr."),
    click.option("-a", "--address", metavar="ADDR", help="Listen on this address only."),
    click.option("-p", "--port", type=click.IntRange(0, 65535), help="Listen on this port (3260; 0: any)."),
    click.option("-u", "--uid", type=click.IntRange(0), help="Run as this user id (0: no change)."),
    click.option("-g", "--gid", type=click.IntRange(0), help="Run as this group id (0: no change)."),
    click.option("-d", "--debug", type=click.IntRange(0), metavar="LEVEL", help="Log more (1)."),
    click.option(
        "--compat", type=click.Choice(["repair", "iet", "strict"]), help="How mistakes in the file are taken."
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Log lines as text, or as JSON objects."),
    click.option("--core/--no-core", default=None, help="Allow a core file after a crash; secrets are in it."),
    click.option("--processes", metavar="N|auto", help="Serve with so many processes (default: Processes, or 1)."),
    click.option("--metrics", metavar="ADDR:PORT|off", help="Serve metrics and a status page here (default: Metrics)."),
    click.option("--state-dir", metavar="DIR", help="Keep what survives power loss here (root: /var/lib/ietpy)."),
)


def options(*rows: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Add click options in the order written."""

    def add(command: Command) -> Command:
        for row in reversed(rows):
            command = row(command)
        return command

    return add


class Group(click.Group):
    """A click group whose errors are one sentence each and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IetpyError as error:
            complain(str(error) if isinstance(error, ConfigError) else f"ietpy-daemon: {error}")
            ctx.exit(next(status for kind, status in EXIT_STATUS if isinstance(error, kind)))
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click knows what to do when nobody reads
            complain(f"ietpy-daemon: {error}")
            ctx.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ietpy.__version__, prog_name="ietpy-daemon")
def main() -> None:
    """Serve the iSCSI targets of an ietd.conf."""


@main.command()
@options(*_START, *_PLACES)
@click.pass_context
def start(ctx: click.Context, /, pid_file: str | None, control: str | None, **given: Any) -> None:
    """Start serving; returns when everything that can be served is."""
    ctx.exit(_start({}, _places(pid_file, control), given))


@main.command()
@options(*_PLACES)
def stop(pid_file: str | None, control: str | None) -> None:
    """Finish running commands, flush, and end."""
    click.echo(_stopped(_places(pid_file, control)))


@main.command()
@options(*_START, *_PLACES)
@click.pass_context
def restart(ctx: click.Context, /, pid_file: str | None, control: str | None, **given: Any) -> None:
    """Stop and start; options not given are those of the running daemon."""
    from ietpy.daemon import lifecycle, manage

    places = _places(pid_file, control)
    facts = manage.status(places) or {}
    if "silent" in facts and not given["config"]:
        raise IetpyError(f"the running daemon does not tell its options ({facts['silent']}); say -c FILE")
    before = facts.get("options", {})
    lifecycle.read_configuration(_options(before, given))  # a file that cannot be used must not end what runs
    click.echo(_stopped(places))
    ctx.exit(_start(before, places, given))


@main.command()
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would change; exit status 0.")
@options(*_PLACES)
@click.pass_context
def reload(ctx: click.Context, dry_run: bool, pid_file: str | None, control: str | None) -> None:
    """Serve what the configuration file says now, and print what that changed, and who notices.

    Target by target and LUN by LUN: sessions of what stays go on. A file that cannot be used changes nothing (exit
    status 2). Exit status 1: a target that is no longer in the file is in use and was kept.
    """
    from ietpy.daemon import manage

    places = _places(pid_file, control)
    facts = manage.plan(places) if dry_run else manage.reload(places)
    if facts is None:
        complain("ietpy-daemon is not running")
        ctx.exit(manage.NOT_RUNNING)
    unable = facts.get("unable", [])
    for sentence in (*facts["found"], *unable):
        complain(sentence)
    for line in manage.describe_plan(facts["steps"]):
        click.echo(line)
    if not dry_run:
        click.echo("ietpy-daemon: reloaded" if facts["steps"] else "ietpy-daemon: reloaded, nothing has changed")
    elif not facts["steps"]:
        click.echo("ietpy-daemon: nothing would change")
    ctx.exit(1 if unable else 0)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--health", is_flag=True, help="Exit with status 150 when it is degraded, and says why.")
@options(*_PLACES)
@click.pass_context
def status(
    ctx: click.Context, as_json: bool, health: bool, pid_file: str | None, control: str | None
) -> None:
    """Say whether the daemon runs (exit status 0, else 3) and what it serves."""
    from ietpy.daemon import manage

    ctx.exit(print_status(manage.status(_places(pid_file, control)), as_json, health))


def print_status(facts: dict[str, Any] | None, as_json: bool, health: bool) -> int:
    """Print and return the exit status: 0 running, 3 not running, 150 degraded if ``health`` is asked for."""
    from ietpy.daemon import manage

    if as_json:
        click.echo(json.dumps({"format": 1, "running": facts is not None, **(facts or {})}, indent=2))
    elif facts is None:
        click.echo("ietpy-daemon is not running")
    else:
        click.echo("\n".join(manage.describe(facts)))
    if facts is None:
        return manage.NOT_RUNNING
    return manage.DEGRADED if health and facts["degraded"] else 0


def complain(sentence: str) -> None:
    click.echo(sentence, err=True)


def _start(before: dict[str, Any], places: Places, given: dict[str, Any]) -> int:
    from ietpy.daemon import lifecycle

    return lifecycle.start(_options(before, given), places, click.echo, complain)


def _options(before: dict[str, Any], given: dict[str, Any]) -> Any:
    from ietpy.config.values import listening, processes
    from ietpy.daemon.options import OFF, StartOptions

    if given["processes"] is not None:
        try:
            given = {**given, "processes": processes(given["processes"])}
        except ValueError as accepts:
            raise UsageError(f"--processes {given['processes']}: {accepts} is accepted") from None
    if given["metrics"] not in (None, OFF):
        try:
            given = {**given, "metrics": listening(given["metrics"])}
        except ValueError as accepts:
            raise UsageError(f"--metrics {given['metrics']}: {accepts}, or {OFF} is accepted") from None
    for name in ("config", "state_dir"):
        if given[name] is not None:
            given = {**given, name: os.path.abspath(given[name])}  # IET looked below "/" once detached
    return StartOptions.from_facts(before, **given)


def _places(pid_file: str | None, control: str | None) -> Places:
    from ietpy.daemon.options import Places

    return Places.of(pid_file, control)


def _stopped(places: Places) -> str:
    from ietpy.daemon import manage

    pid = manage.stop(places)
    return "ietpy-daemon was not running" if pid is None else f"ietpy-daemon stopped (pid {pid})"


if __name__ == "__main__":
    sys.exit(main())
