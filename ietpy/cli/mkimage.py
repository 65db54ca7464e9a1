"""``ietpy mkimage``: words, progress and exit statuses around ``ietpy.images``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from ietpy import images
from ietpy.cli.stopping import Stopped, stoppable
from ietpy.errors import StoreError, UsageError

_STOPPED: Final = "stopped; no partial image is left"


@click.command()
@click.option("--size", required=True, metavar="SIZE", help="Bytes, or a number with K, M, G or T: 10G.")
@click.option("--preallocate", is_flag=True, help="Give the image all its space now, not as it fills.")
@click.option("--force", is_flag=True, help="Replace an existing image that is not being served.")
@click.argument("path", default="./ietpy.img")
@click.pass_context
def mkimage(ctx: click.Context, size: str, preallocate: bool, force: bool, path: str) -> None:
    """Make a disk image of zeros at PATH (./ietpy.img) and print the lines of ietd.conf that serve it.

    The image is sparse unless --preallocate is given, and readable by its owner only. Exit status: 0 made,
    1 the system failed (no space), 2 wrong size or path, 130 stopped by Ctrl-C; no partial image stays.
    """
    try:
        count = images.parse_size(size)
        with stoppable(), _progress(count, preallocate) as progress:
            images.make_image(path, count, preallocate=preallocate, force=force, progress=progress)
        _report(path, count, preallocate)
    except UsageError as error:
        _say(str(error))
        ctx.exit(2)
    except StoreError as error:
        _say(str(error))
        ctx.exit(1)
    except KeyboardInterrupt:
        _say(_STOPPED)
        ctx.exit(128 + signal.SIGINT)
    except Stopped as stop:
        _say(_STOPPED)
        ctx.exit(128 + stop.number)


def _say(sentence: str) -> None:
    click.echo(f"ietpy mkimage: {sentence}", err=True)


@contextmanager
def _progress(size: int, preallocate: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error while space is allocated, if somebody looks at it."""
    if not preallocate or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("Allocating"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=size)
        yield lambda done, total: bar.update(task, completed=done)


def _report(path: str, size: int, preallocate: bool) -> None:
    """Say on standard error what was made; on standard output, alone, what to put into ietd.conf."""
    how = "all space allocated" if preallocate else "sparse"
    _say(f"made {path}: {images.in_words(size)}, {how}")
    if not preallocate and (free := images.free_space(path)) < size:
        _say(f"note: only {images.in_words(free)} are free there; writes fail when they are used up")
    try:
        lines = images.target_lines(path, os.uname().nodename)
    except UsageError as error:
        _say(f"note: {error}")
        return
    click.echo("To serve it, add to ietd.conf:", err=True)
    click.echo(os.fsencode(lines), nl=False)
