"""Where lines of the shell come from and go to: a terminal with readline, or a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Final

import click

from ietpy.cli.shell.core import Shell, holds_secret
from ietpy.config.findings import printable
from ietpy.errors import ConfigError, IetpyError

_HISTORY_LENGTH: Final = 1000
_LONGEST: Final = 65536  #: characters of a line
_WELCOME: Final = "ietpy shell; help says what may be typed, exit leaves."


def tell(error: IetpyError, lead: str = "") -> None:
    """Print an error as a sentence."""
    if isinstance(error, ConfigError):
        for one in error.diagnostics:
            click.echo(printable(lead + "; ".join(part for part in (one.problem, one.hint) if part)), err=True)
    else:
        click.echo(printable(f"{lead}{error}"), err=True)


def run_piped(shell: Shell) -> int:
    """Do the lines of standard input up to the first that fails; the exit status."""
    for number, raw in enumerate(() if sys.stdin is None else sys.stdin.buffer, 1):
        line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
        try:
            if len(line) > _LONGEST:
                raise click.UsageError(f"a line of more than {_LONGEST} characters")
            outcome = shell.run(line)
        except click.UsageError as error:
            click.echo(f"line {number}: {error.message}", err=True)
            return 1
        except IetpyError as error:
            tell(error, f"line {number}: ")
            return 1
        show(outcome.lines)
        if outcome.over:
            return 0
    return _end_of_input(shell)


def _end_of_input(shell: Shell) -> int:
    try:
        if not shell.host.unsaved():
            return 0
        if shell.host.live:
            click.echo("served, but not saved: saveconfig writes it into ietd.conf", err=True)
            return 0
        click.echo("nothing is written: no daemon runs, and there was no saveconfig", err=True)
    except IetpyError as error:
        tell(error)
    return 1


def show(lines: list[str]) -> None:
    """Print lines; what is no text was escaped before."""
    for line in lines:
        click.echo(line)


def run_interactive(shell: Shell) -> int:
    """Talk to whoever sits there, until he leaves."""
    import readline

    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    _prepare(shell)
    shell.ask = input
    click.echo(_WELCOME)
    with contextlib.suppress(IetpyError):
        if not shell.host.live:
            show(shell.host.status())
    try:
        while True:
            try:
                line = input(shell.prompt)
            except EOFError:
                click.echo()
                line = "exit"
            except KeyboardInterrupt:
                click.echo()
                continue
            _remember(line)
            try:
                outcome = shell.run(line)
            except IetpyError as error:
                tell(error)
                continue
            except KeyboardInterrupt:
                click.echo("\nstopped; ls shows what is served now", err=True)
                continue
            except EOFError:  # where a question was to be answered
                click.echo()
                continue
            show(outcome.lines)
            if outcome.over:
                return 0
    finally:
        readline.set_completer(None)
        count = readline.get_current_history_length()
        first = max(count - _HISTORY_LENGTH, 0)
        shell.host.write_history([readline.get_history_item(number + 1) or "" for number in range(first, count)])


def _prepare(shell: Shell) -> None:
    import readline

    readline.set_auto_history(False)
    readline.set_completer_delims(" \t")
    readline.set_completer(completer(shell, readline.get_line_buffer, readline.get_endidx))
    readline.parse_and_bind("tab: complete")
    readline.clear_history()
    for line in shell.host.read_history():
        if "\0" not in line:
            readline.add_history(line)


def completer(
    shell: Shell, line: Callable[[], str], end: Callable[[], int]
) -> Callable[[str, int], str | None]:
    """readline's function: the n-th word that fits. It never fails, as readline would say nothing."""
    found: list[str] = []

    def complete(word: str, number: int) -> str | None:
        if number == 0:
            found.clear()
            with contextlib.suppress(IetpyError):
                found.extend(shell.complete(line()[: end()], word))
        return found[number] if number < len(found) else None

    return complete


def _remember(line: str) -> None:
    """Put a line into the history, if it has no secret."""
    import readline

    last = readline.get_history_item(readline.get_current_history_length())
    if line.strip() and line != last and not holds_secret(line):
        readline.add_history(line)
