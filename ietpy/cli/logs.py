"""``ietpy logs``: what the daemon said, wherever this machine keeps it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from ietpy.cli.log_sources import Entry, read
from ietpy.cli.output import FORMAT, console
from ietpy.config.findings import printable
from ietpy.errors import UsageError
from ietpy.events import Event

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Final = {"critical": "bold red", "error": "red", "warning": "yellow", "debug": "dim"}


def _codes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [event.code for event in Event if event.code.startswith(incomplete)]


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", "count", type=click.IntRange(0), default=20, show_default=True, help="So many of the last."
)
@click.option("--code", metavar="CODE", shell_complete=_codes, help="Only lines that end with this code, in brackets.")
@click.option("--json", "as_json", is_flag=True, help="Print each line as a JSON object.")
def command(follow: bool, count: int, code: str | None, as_json: bool) -> None:
    """Print what the daemon has said: refused logins, faults, what it began and ended.

    It is read from systemd's journal, or where there is none from what syslog has written. A daemon in the foreground
    of something else (a container) writes to standard error, which that has.
    """
    if code is not None and code not in {event.code for event in Event}:
        raise UsageError(f"there is no code {code!r}; {_similar(code)}")
    out = None if as_json or not sys.stdout.isatty() else console()
    for entry in read(count, follow, code):
        _show(entry, as_json, out)


def _similar(code: str) -> str:
    from difflib import get_close_matches

    codes = [event.code for event in Event]
    close = get_close_matches(code, codes) or [known for known in codes if code in known]
    return f"similar: {', '.join(close[:3])}" if close else "docs/reference/events.md has them all"


def _show(entry: Entry, as_json: bool, out: Console | None) -> None:
    if as_json:
        line = {"format": FORMAT, **asdict(entry), "message": printable(entry.message)}
        click.echo(json.dumps(line, ensure_ascii=False))
        return
    level = f"{entry.level:<8} " if entry.level else ""
    code = f" [{entry.code}]" if entry.code else ""
    text = f"{entry.time or ''} {level}{printable(entry.message)}{code}".lstrip()
    if out is None:
        click.echo(text)
    else:
        out.print(text, style=_STYLES.get(entry.level or "", ""), soft_wrap=True)
