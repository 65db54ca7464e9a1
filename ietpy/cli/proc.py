"""``ietpy proc``: the text that IET's /proc/net/iet had, of the daemon that runs."""

from __future__ import annotations

import click

from ietpy.cli.control import ask_daemon


@click.command()
@click.argument("file", type=click.Choice(("volume", "session")))
def proc(file: str) -> None:
    """Print what /proc/net/iet/volume or /proc/net/iet/session had under IET.

    The same text is kept current in /run/iet (ietpy-daemon status --json says where).
    """
    click.echo(ask_daemon(file).encode("utf-8", "surrogateescape"), nl=False)
