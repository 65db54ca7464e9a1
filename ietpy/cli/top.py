"""``ietpy top``: who does how much, now, until somebody has seen enough."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ietpy.cli import completing, kick
from ietpy.cli.control import ask_daemon
from ietpy.cli.facts import Session, chosen, pace, sessions
from ietpy.cli.output import console
from ietpy.cli.stopping import Stopped, stoppable
from ietpy.cli.terminal import Terminal
from ietpy.cli.top_view import SMALLEST, Action, Look, Row, View
from ietpy.errors import IetpyError

if TYPE_CHECKING:
    from rich.text import Text


@dataclass
class Watcher:
    """Looks at the daemon again and again; each look is compared with the one before."""

    target: str | None = None
    initiator: str | None = None
    ask: Callable[[str], Any] = ask_daemon
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _before: dict[tuple[str, int], Session] = field(default_factory=dict)
    _at: float = 0.0

    def look(self) -> Look:
        """Everything as it is now. Raises AdminError."""
        told, targets = self.ask("sessions"), self.ask("targets")
        at, now = self.clock(), self.now()
        found = chosen(sessions(told, targets), self.target, self.initiator)
        rows = [
            Row(each, pace(each, now, self._before.get(each.key), at - self._at), each.age(now)) for each in found
        ]
        self._before, self._at = {each.key: each for each in found}, at
        return Look(rows, len(targets))


@click.command("top")
@click.option(
    "-i", "--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, metavar="SECONDS",
    help="Between two looks.",
)
@click.option("--target", metavar="NAME", shell_complete=completing.targets, help="Only of targets whose name ends so.")
@click.option(
    "--initiator", metavar="NAME", shell_complete=completing.initiators,
    help="Only of initiators whose name ends so.",
)
@click.option("--once", is_flag=True, help="Print what one interval brings, for a pipe or a file, and end.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="The same N times.")
@click.pass_context
def command(
    ctx: click.Context, interval: float, target: str | None, initiator: str | None, once: bool, batch: int | None
) -> None:
    """Watch the sessions: who reads and writes how much, how long that takes, what is under way.

    Arrow keys select one; x ends it, after a question. i, b, l, d, a and n say by what they are sorted, p has the
    screen stand still, q ends. For programs there is ietpy sessions --json --interval.
    """
    watcher = Watcher(target, initiator)
    try:
        with stoppable():
            if once or batch:
                _print(watcher, interval, batch or 1)
            else:
                _watch(watcher, View(interval=interval))
    except Stopped as stop:
        ctx.exit(128 + stop.number)


def _print(watcher: Watcher, interval: float, count: int) -> None:
    """Looks for a pipe: no keys, no colours there, every session on a line of its own. Raises AdminError."""
    watcher.look()
    view = View(interval=interval)
    width = console().width if sys.stdout.isatty() else 132
    for number in range(count):
        time.sleep(interval)
        view.look = watcher.look()
        count_of_lines = max(1, len(view.look.rows)) + 3
        lines = view.lines(width, count_of_lines + SMALLEST[1])[:count_of_lines]
        click.echo("\n".join((*([""] if number else []), *(line.plain.rstrip() for line in lines))))


def _watch(watcher: Watcher, view: View) -> None:
    """Until q. Raises AdminError where no daemon answers the first time; later that is only said."""
    view.look = watcher.look()
    with Terminal() as terminal:
        due = time.monotonic() + min(1.0, view.interval)  # the first comparison comes soon
        while True:
            _draw(terminal, view)
            try:
                pressed = terminal.wait(due - time.monotonic() if not view.paused else view.interval)
            except EOFError:
                return
            actions = [_act(terminal, view, key) for key in pressed]
            if Action.QUIT in actions:
                return
            if Action.LOOK in actions or (not view.paused and time.monotonic() >= due):
                _refresh(watcher, view)
                due = time.monotonic() + view.interval


def _act(terminal: Terminal, view: View, key: str) -> Action:
    action = view.press(key)
    if action is Action.SUSPEND:
        terminal.suspend()
    elif action is Action.END and view.chosen is not None:
        view.message = f"asking {view.chosen.initiator} to log out"
        _draw(terminal, view)
        try:
            view.message = "; ".join(kick.lines(kick.end([view.chosen], politely=True), now=False)[:1])
        except IetpyError as problem:
            view.message = str(problem)
        return Action.LOOK
    return action


def _refresh(watcher: Watcher, view: View) -> None:
    """The next look; where the daemon does not answer, the last one stays, and why is said."""
    try:
        view.look = watcher.look()
    except IetpyError as problem:
        view.look = Look(view.look.rows, view.look.targets, str(problem))


def _draw(terminal: Terminal, view: View) -> None:
    width, height = terminal.size
    terminal.show(drawn(view.lines(width, height), width))


def drawn(lines: list[Text], width: int) -> list[str]:
    """Lines with their styles as a terminal takes them."""
    out = console()
    out.width = width + 1  # a full line is not wrapped
    with out.capture() as captured:
        for line in lines:
            out.print(line, soft_wrap=True)
    return captured.get().split("\n")[: len(lines)]
