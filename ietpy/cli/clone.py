"""``ietpy clone``: a second disk that begins as the first is now."""

from __future__ import annotations

import click

from ietpy.cli.mkimage import serving_lines
from ietpy.cli.snapshot import image_of, make


@click.command("clone")
@click.argument("source", metavar="PATH|TARGET/LUN")
@click.argument("path", metavar="NEW")
@click.option("--copy", "by_copy", is_flag=True, help="Copy the blocks, where they cannot be shared.")
@click.option("--force", is_flag=True, help="Replace an existing file that is not being served.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
@click.pass_context
def command(ctx: click.Context, source: str, path: str, by_copy: bool, force: bool, as_json: bool) -> None:
    """Make the image NEW of what PATH, or a LUN that is served, holds at this moment, and print what serves it.

    As with ietpy snapshot blocks are shared until one side writes them, and it may be in use meanwhile. To initiators
    it is another disk; what is on it has the same names as before: labels and UUIDs of file systems and volumes.
    """
    make(ctx, image_of(source), path, by_copy, force, as_json)
    if not as_json:
        serving_lines(path, lambda sentence: click.echo(f"ietpy clone: {sentence}", err=True))
