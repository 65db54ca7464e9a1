"""``ietpy``: the commands beside the daemon, each imported when it is called: ``--help`` imports none."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from typing import Any, Final

import click

import ietpy
from ietpy.cli.exits import MEANINGS, Exit
from ietpy.errors import AdminError, ConfigError, IetpyError, UsageError


@dataclass(frozen=True, slots=True)
class SubCommand:
    """One row: where the click command is, and the line ``ietpy --help`` shows of it."""

    name: str
    place: str
    help: str


SUB_COMMANDS: Final = (
    SubCommand("add", "ietpy.cli.add:command", "Add a target, a LUN, a user or a portal, live; --save for good."),
    SubCommand("boot-line", "ietpy.cli.boot_line:boot_line", "Print the lines with which machines boot from LUNs."),
    SubCommand("check", "ietpy.cli.check:check", "Print everything noticed in an ietd.conf; serve nothing."),
    SubCommand("clone", "ietpy.cli.clone:command", "Make a second disk of an image as it is now, sharing blocks."),
    SubCommand("completion", "ietpy.cli.completion:command", "Print what has bash, zsh or fish complete our words."),
    SubCommand("demo", "ietpy.cli.demo:demo", "Make an image, serve it, and say how to connect."),
    SubCommand("explain", "ietpy.cli.explain:explain", "Say whether an initiator gets a target, and what decides."),
    SubCommand("export", "ietpy.cli.export:export", "Write the configuration for LIO, tgt, SCST or ctld."),
    SubCommand("import", "ietpy.cli.import_:command", "Make an ietd.conf of another target's configuration."),
    SubCommand("kick", "ietpy.cli.kick:command", "End sessions, having initiators log out where they do."),
    SubCommand("logs", "ietpy.cli.logs:command", "Print what the daemon has said, from journal or syslog."),
    SubCommand("luns", "ietpy.cli.luns:command", "Print the logical units: what is behind them, and their counters."),
    SubCommand("mkimage", "ietpy.cli.mkimage:mkimage", "Make a disk image."),
    SubCommand("plan", "ietpy.cli.plan:command", "Say what a reload would change, and who would notice."),
    SubCommand("probe", "ietpy.cli.probe:command", "Look at any iSCSI target from outside: what it has, how fast."),
    SubCommand("proc", "ietpy.cli.proc:proc", "Print what IET's /proc/net/iet/volume or session had."),
    SubCommand("remove", "ietpy.cli.remove:command", "Remove a target, LUN, user or portal, live; --save for good."),
    SubCommand("resize", "ietpy.cli.resize:command", "Give an image or a LUN another size, and tell initiators."),
    SubCommand("save", "ietpy.cli.save:save", "Write what was changed live into ietd.conf."),
    SubCommand("secret", "ietpy.cli.secret:secret", "Make a CHAP secret."),
    SubCommand("sessions", "ietpy.cli.sessions:command", "Print who is connected, and how fast they are."),
    SubCommand("setup", "ietpy.cli.setup:setup", "Install samples and the unit of this init system."),
    SubCommand("shell", "ietpy.cli.shell.command:command", "Set targets up with targetcli's words."),
    SubCommand("snapshot", "ietpy.cli.snapshot:command", "Keep an image as it is now, also while it is served."),
    SubCommand("status", "ietpy.cli.ietpy:status", "Say whether the daemon runs and what it serves."),
    SubCommand("targets", "ietpy.cli.targets:command", "Print the targets that are served."),
    SubCommand("top", "ietpy.cli.top:command", "Watch the sessions, live; end one."),
)


class LazyGroup(click.Group):
    """A click group that imports a sub-command when it is called, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [row.name for row in SUB_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = next((row for row in SUB_COMMANDS if row.name == cmd_name), None)
        if row is None:
            return None
        module, _, attribute = row.place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(row.name, row.help) for row in SUB_COMMANDS])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit status"):
            formatter.write_dl([(str(int(status)), meaning) for status, meaning in MEANINGS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IetpyError as error:
            click.echo(str(error) if isinstance(error, ConfigError) else f"ietpy: {error}", err=True)
            ctx.exit(_status(error))
        except KeyboardInterrupt:
            ctx.exit(Exit.INTERRUPTED)


def _status(error: IetpyError) -> Exit:
    if isinstance(error, (ConfigError, UsageError)):
        return Exit.USAGE
    if isinstance(error, AdminError):
        from ietpy.cli.control import NotRunning

        if isinstance(error, NotRunning):
            return Exit.NOT_RUNNING
    return Exit.FAILED


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ietpy.__version__, prog_name="ietpy")
def main() -> None:
    """Tools for ietpy, an iSCSI target. The daemon is ietpy-daemon."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--health", is_flag=True, help="Exit with status 150 when it is degraded, and says why.")
@click.pass_context
def status(ctx: click.Context, as_json: bool, health: bool) -> None:
    """Say whether the daemon runs (exit status 0, else 3) and what it serves.

    $IETPY_CONTROL names another control socket than the default one.
    """
    from ietpy.daemon import manage
    from ietpy.daemon.main import print_status
    from ietpy.daemon.options import Places

    named = os.environ.get("IETPY_CONTROL")
    facts = manage.answer(named) if named else manage.status(Places.of(None, None))
    ctx.exit(print_status(facts, as_json, health))


if __name__ == "__main__":
    sys.exit(main())
