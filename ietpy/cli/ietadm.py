"""``ietadm``: IET's administration command. Not ready yet; it says what to use instead."""

from __future__ import annotations

import sys

import click

import ietpy


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]})
@click.version_option(ietpy.__version__, "-v", "--version", prog_name="ietadm (ietpy)")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def main(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """IET's administration command; not ready yet. Use ietpy-daemon status, or edit ietd.conf and restart."""
    click.echo("ietadm: not ready yet; use ietpy-daemon status and restart", err=True)
    ctx.exit(2)


if __name__ == "__main__":
    sys.exit(main())
