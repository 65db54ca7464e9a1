"""``ietd``: IET's daemon command. Its options are not understood yet; it says what to use instead."""

from __future__ import annotations

import sys

import click

import ietpy


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]})
@click.version_option(ietpy.__version__, "-v", "--version", prog_name="ietd (ietpy)")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def main(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """IET's daemon command; not ready yet. Use ietpy-daemon start, which reads the same ietd.conf."""
    click.echo("ietd: not ready yet; use ietpy-daemon start (it reads the same ietd.conf)", err=True)
    ctx.exit(1)


if __name__ == "__main__":
    sys.exit(main())
