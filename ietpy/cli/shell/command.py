"""``ietpy shell``: targetcli's tree and words, on ietd.conf and the daemon that serves it."""

from __future__ import annotations

import sys

import click

from ietpy.cli.exits import Exit
from ietpy.cli.shell.core import Shell
from ietpy.cli.shell.host import host
from ietpy.cli.shell.terminal import run_interactive, run_piped, show, tell
from ietpy.cli.shell.words import from_arguments
from ietpy.errors import IetpyError


@click.command("shell", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-c", "--config", metavar="FILE", default="", help="Without a daemon: the file to change.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
@click.pass_context
def command(ctx: click.Context, config: str, words: tuple[str, ...]) -> None:
    """Set targets up as with targetcli: ls, cd, create, delete, set, get, saveconfig.

    With a COMMAND it does that alone, and ends: ietpy shell /iscsi ls. Commands from a pipe are done one by one, up to
    the first that fails. What changes is served at once; saveconfig writes it into ietd.conf. Without a daemon the
    file is changed, by a COMMAND at once, else by saveconfig.
    """
    shell = Shell(host(config), lasting=not words)
    if words:
        ctx.exit(_once(shell, words))
    interactive = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    ctx.exit(run_interactive(shell) if interactive else run_piped(shell))


def _once(shell: Shell, words: tuple[str, ...]) -> int:
    """One command. Without a daemon nothing would be left of it but what is written."""
    try:
        outcome = shell.do(from_arguments(words))
        if not shell.host.live and shell.host.unsaved():
            outcome.lines.append(shell.host.save(""))
    except IetpyError as error:
        tell(error)
        return Exit.FAILED
    show(outcome.lines)
    return Exit.DONE
