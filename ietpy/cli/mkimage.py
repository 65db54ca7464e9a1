"""``ietpy mkimage``: words, progress and exit statuses around ``ietpy.images`` and ``ietpy.copies``."""

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
_QCOW2_NAME: Final = ".qcow2"
_HOW: Final = {
    "allocated": "all space allocated",
    "sparse": "sparse",
    "shared": "it shares its blocks with {source} until they are written",
    "copied": "copied from {source}, its holes kept",
    "converted": "converted from {source}",
}


@click.command()
@click.option("--size", metavar="SIZE", help="Bytes, or a number with K, M, G or T: 10G. With --from: enlarge to that.")
@click.option("--from", "source", metavar="FILE", help="Make it of another image or a block device, whose holes stay.")
@click.option(
    "--format", "form", type=click.Choice(["raw", "qcow2"]), help="What FILE is; otherwise raw, but for NAME.qcow2."
)
@click.option("--preallocate", is_flag=True, help="Give the image all its space now, not as it fills.")
@click.option("--force", is_flag=True, help="Replace an existing image that is not being served.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
@click.argument("path", default="./ietpy.img")
@click.pass_context
def mkimage(
    ctx: click.Context, size: str | None, source: str | None, form: str | None, preallocate: bool, force: bool,
    as_json: bool, path: str,
) -> None:
    """Make a disk image at PATH (./ietpy.img) and print the lines of ietd.conf that serve it.

    It has zeros, or with --from what another image has: raw, or qcow2, which qemu-img converts. It is sparse unless
    --preallocate is given, and readable by its owner only. Exit status: 0 made, 1 the system failed (no space), 2 wrong
    size or path, 130 stopped by Ctrl-C; no partial image stays.
    """
    try:
        count = None if size is None else images.parse_size(size)
        if source is None:
            how = _new(path, count, preallocate, force, form)
        else:
            how = _copy(source, path, count, preallocate, force, form)
        if as_json:
            _report_json(path, source, how)
        else:
            _report(path, source, how)
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


def _new(path: str, size: int | None, preallocate: bool, force: bool, form: str | None) -> str:
    """An image of zeros; how it was made, a word of ``_HOW``."""
    if size is None:
        raise UsageError("say --size, as in --size 10G, or --from FILE")
    if form is not None:
        raise UsageError("--format says what the file of --from is; without --from an image is raw")
    with stoppable(), progress("Allocating" if preallocate else "") as tell:
        images.make_image(path, size, preallocate=preallocate, force=force, progress=tell)
    return "allocated" if preallocate else "sparse"


def _copy(source: str, path: str, size: int | None, preallocate: bool, force: bool, form: str | None) -> str:
    """An image of another; how it was made, a word of ``_HOW``."""
    from ietpy import copies

    if preallocate:
        raise UsageError("--preallocate and --from exclude each other: the copy has the holes of its source")
    qcow2 = form == "qcow2"
    if form is None and copies.is_qcow2(source):
        # Whoever writes a raw disk can have it begin so: only together with the name is that a format.
        if not source.endswith(_QCOW2_NAME):
            raise UsageError(
                f"{source} begins as qcow2 images do, and its name does not end with {_QCOW2_NAME}; say --format qcow2,"
                " or --format raw for a disk that a client has made begin so"
            )
        qcow2 = True
    with stoppable(), progress("Converting" if qcow2 else "Copying") as tell:
        make = copies.convert if qcow2 else copies.copy
        how = make(source, path, size=size, force=force, progress=tell)
    return how.value


def _say(sentence: str) -> None:
    click.echo(f"ietpy mkimage: {sentence}", err=True)


@contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error while something is done, if somebody looks at it. It comes with the first news."""
    if not doing or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(doing), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _report_json(path: str, source: str | None, how: str) -> None:
    from ietpy.cli.output import show_json

    try:
        lines = images.target_lines(path, os.uname().nodename).splitlines()
    except UsageError:
        lines = None
    facts = {"path": os.path.abspath(path), "size": os.path.getsize(path), "how": how, "source": source}
    show_json({**facts, "lines": lines})


def _report(path: str, source: str | None, how: str) -> None:
    """Say on standard error what was made; on standard output, alone, what to put into ietd.conf."""
    size = os.path.getsize(path)
    _say(f"made {path}: {images.in_words(size)}, {_HOW[how].format(source=source)}")
    used = os.stat(path).st_blocks * 512
    if how != "allocated" and (free := images.free_space(path)) < size - used:
        _say(f"note: only {images.in_words(free)} are free there; writes fail when they are used up")
    serving_lines(path, _say)


def serving_lines(path: str, say: Callable[[str], None]) -> None:
    """Print what serves the image at ``path``, alone on standard output."""
    try:
        lines = images.target_lines(path, os.uname().nodename)
    except UsageError as error:
        say(f"note: {error}")
        return
    click.echo("To serve it, add to ietd.conf:", err=True)
    click.echo(os.fsencode(lines), nl=False)
