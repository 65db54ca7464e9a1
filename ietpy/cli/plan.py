"""``ietpy plan``: what a reload would change, step by step, and who would notice."""

from __future__ import annotations

import errno

import click

from ietpy.cli.control import ask_daemon
from ietpy.cli.exits import Exit
from ietpy.cli.output import show_json
from ietpy.config.files import read_file
from ietpy.errors import AdminError, UsageError


@click.command("plan")
@click.option("-c", "--config", metavar="FILE", help="Plan for this file; default: the one the daemon has read.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def command(ctx: click.Context, config: str | None, as_json: bool) -> None:
    """Print what ietpy-daemon reload would change, and who would notice; nothing is changed.

    Exit status 0: nothing would change. 4: something would. 2: the file cannot be used, so a reload would change
    nothing.
    """
    from ietpy.daemon.manage import describe_plan

    text = None if config is None else _content(config)
    try:
        plan = ask_daemon("plan", text=text)
    except AdminError as error:
        if error.code == errno.EINVAL:
            raise UsageError(f"the configuration cannot be used: {error}") from None
        raise
    steps = plan["steps"]
    if as_json:
        show_json({"file": config or plan["file"], "steps": steps})
    else:
        for line in describe_plan(steps):
            click.echo(line)
        if not steps:
            click.echo("nothing would change")
    ctx.exit(Exit.CHANGES if steps else Exit.DONE)


def _content(path: str) -> str:
    try:
        return read_file(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
