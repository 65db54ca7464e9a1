"""The screen of ``ietpy top``: what is on it, and what a key does to it. No terminal, no daemon, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ietpy.cli.facts import PERCENTILES, Pace, Session
from ietpy.cli.output import age, counted, in_bytes, latency, per_second
from ietpy.cli.sessions import DISCOVERY, depth
from ietpy.config.findings import printable

if TYPE_CHECKING:
    from rich.text import Text

SMALLEST: Final = (40, 8)  #: columns and lines; below that there is nothing to see


class Row(NamedTuple):
    """A session, how fast it is, and how long it is there."""

    session: Session
    pace: Pace
    age: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the daemon brought. ``problem``: why it brought nothing new, or empty."""

    rows: Sequence[Row] = ()
    targets: int = 0
    problem: str = ""


class Action(Enum):
    """What a key asks of whoever has the terminal."""

    NOTHING = "draw again"
    LOOK = "look at the daemon now"
    END = "end the selected session"
    SUSPEND = "give the terminal back for a while"
    QUIT = "end"


@dataclass(frozen=True, slots=True)
class Sort:
    """One order of the rows, the largest first unless ``upwards``."""

    key: str
    name: str
    of: Callable[[Row], Any]
    upwards: bool = False


def _depth(row: Row) -> float | None:
    return row.session.queue_depth if row.pace.depth is None else row.pace.depth


def _p99(row: Row) -> float:
    return row.pace.latency.quantile(PERCENTILES["p99"]) or 0.0


SORTS: Final = (
    Sort("i", "IOPS", lambda row: row.pace.operations or 0.0),
    Sort("b", "bytes", lambda row: row.pace.bytes or 0.0),
    Sort("l", "latency", _p99),
    Sort("d", "depth", lambda row: _depth(row) or 0.0),
    Sort("a", "age", lambda row: row.age or 0.0),
    Sort("n", "name", lambda row: (row.session.initiator, row.session.target), upwards=True),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One column: its heading, its width (0: names, which share what is left), the screens that are wide enough."""

    heading: str
    width: int
    text: Callable[[Row], str]
    wide: int = 0
    sort: str = ""


CELLS: Final = (
    Cell("ID", 4, lambda row: str(row.session.id)),
    Cell("INITIATOR", 0, lambda row: row.session.initiator, sort="n"),
    Cell("ADDRESS", 15, lambda row: row.session.address, wide=110),
    Cell("TARGET", 0, lambda row: row.session.target or DISCOVERY),
    Cell("IOPS", 5, lambda row: per_second(row.pace.operations), sort="i"),
    Cell("READ/S", 8, lambda row: in_bytes(row.pace.rates.get("bytes_read")), sort="b"),
    Cell("WRITE/S", 8, lambda row: in_bytes(row.pace.rates.get("bytes_written"))),
    Cell("P50", 7, lambda row: latency(row.pace.latency.quantile(PERCENTILES["p50"])), wide=100),
    Cell("P99", 7, lambda row: latency(row.pace.latency.quantile(PERCENTILES["p99"])), sort="l"),
    Cell("DEPTH", 5, lambda row: depth(row.session, row.pace), sort="d"),
    Cell("AGE", 7, lambda row: age(row.age), wide=90, sort="a"),
)
_GAP: Final = 1
_HELP: Final = "sort by i IOPS b bytes l latency d depth a age n name  x end  p pause  q quit"


@dataclass(slots=True)
class View:
    """What is chosen: the order, the session, whether it stands still; and what was said last."""

    look: Look = field(default_factory=Look)
    sort: Sort = SORTS[0]
    selected: tuple[str, int] | None = None
    paused: bool = False
    asking: bool = False  #: whether the selected session shall really end
    message: str = ""
    interval: float = 2.0

    # Keys -----------------------------------------------------------------------------------------------------------

    def press(self, key: str) -> Action:
        """What a key does. Where a question stands, only ``y`` is a yes."""
        if self.asking:
            self.asking = False
            self.message = "" if key == "y" else "nothing was ended"
            return Action.END if key == "y" else Action.NOTHING
        self.message = ""
        order = next((sort for sort in SORTS if sort.key == key), None)
        if order is not None:
            self.sort = order
        elif key in _MOVES:
            self._move(_MOVES[key])
        elif key in ("p", " "):
            self.paused = not self.paused
            return Action.NOTHING if self.paused else Action.LOOK
        elif key in ("x", "k"):
            self._ask()
        elif key in ("q", "Q", "\x04"):
            return Action.QUIT
        elif key == "\x1a":
            return Action.SUSPEND
        return Action.NOTHING

    def _ask(self) -> None:
        chosen = self.chosen
        if chosen is None:
            self.message = "select a session first, with the arrow keys"
        elif not chosen.tid:
            self.message = "a session of discovery ends by itself"
        else:
            self.asking = True

    def _move(self, step: int) -> None:
        keys = [row.session.key for row in self.rows]
        if not keys:
            return
        if self.selected not in keys:
            self.selected = keys[0] if step > 0 else keys[-1]
            return
        self.selected = keys[min(max(0, keys.index(self.selected) + step), len(keys) - 1)]

    @property
    def rows(self) -> list[Row]:
        """In the order that is chosen; those that are alike as they logged in."""
        return sorted(self.look.rows, key=self.sort.of, reverse=not self.sort.upwards)

    @property
    def chosen(self) -> Session | None:
        """The selected session, as long as it is there."""
        return next((row.session for row in self.look.rows if row.session.key == self.selected), None)

    # The screen -----------------------------------------------------------------------------------------------------

    def lines(self, width: int, height: int) -> list[Text]:
        """The screen, at most ``height`` lines of ``width`` columns."""
        from rich.text import Text

        if width < SMALLEST[0] or height < SMALLEST[1]:
            return [Text("too small"[:width])]
        rows = self.rows
        room = height - 4
        first = self._first(rows, room)
        shown = [Text(self._head(width), "bold"), Text(self._totals()[:width])]
        heads = [(cell.heading, cell.sort == self.sort.key) for cell in _cells(width)]
        shown.append(_line(heads, width, "bold white on blue"))
        for row in rows[first : first + room]:
            style = "reverse" if row.session.key == self.selected else ""
            shown.append(_line([(printable(cell.text(row)), False) for cell in _cells(width)], width, style))
        if not rows:
            shown.append(Text("nobody is connected", "dim"))
        shown += [Text("")] * (height - 1 - len(shown))
        return [*shown, self._foot(width, len(rows) - first - room)]

    def _first(self, rows: Sequence[Row], room: int) -> int:
        """The first row that is shown, so that the selected one is."""
        at = next((at for at, row in enumerate(rows) if row.session.key == self.selected), 0)
        return max(0, at - room + 1)

    def _head(self, width: int) -> str:
        state = "standing still" if self.paused else f"every {self.interval:g} s"
        left = f"ietpy top: {counted(self.look.targets, 'target')}, {counted(len(self.look.rows), 'session')}"
        right = f"by {self.sort.name}, {state}"
        return f"{left}{right:>{max(1, width - len(left))}}"[:width]

    def _totals(self) -> str:
        rows = self.look.rows
        read, written = (_total(row.pace.rates.get(name) for row in rows) for name in ("bytes_read", "bytes_written"))
        return (
            f"{per_second(_total(row.pace.operations for row in rows))} IOPS, {in_bytes(read)}/s read,"
            f" {in_bytes(written)}/s written, {per_second(_total(map(_depth, rows)))} commands under way"
        )

    def _foot(self, width: int, below: int) -> Text:
        from rich.text import Text

        chosen = self.chosen
        if self.asking and chosen is not None:
            name, end = printable(chosen.initiator), "? y, or any other key"
            room = width - len(f"end session {chosen.id} of {end}")
            return Text(f"end session {chosen.id} of {_tail(name, max(8, room))}{end}"[:width], "bold red")
        if self.message or self.look.problem:
            return Text(printable(self.message or self.look.problem)[:width], "bold yellow")
        more = f"{below} more below  " if below > 0 else ""
        return Text((more + _HELP)[:width], "dim")


_MOVES: Final = {"up": -1, "down": 1, "page up": -10, "page down": 10, "home": -(10**9), "end": 10**9}


def _total(values: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None where some are there and none is."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if known or not found else None


def _cells(width: int) -> list[Cell]:
    return [cell for cell in CELLS if width >= cell.wide]


def _line(cells: Sequence[tuple[str, bool]], width: int, style: str) -> Text:
    """One line of a table: cells and whether each is emphasized; names share the width that is left."""
    from rich.text import Text

    columns = _cells(width)
    names = [cell for cell in columns if not cell.width]
    left = width - sum(cell.width for cell in columns) - _GAP * (len(columns) - 1)
    share = max(4, left // len(names))
    line = Text(style=style)
    for at, ((text, emphasized), cell) in enumerate(zip(cells, columns, strict=True)):
        wide = cell.width or (share if cell is not names[0] else max(4, left - share * (len(names) - 1)))
        shown = _tail(text, wide)
        right = bool(cell.width) and cell.heading != "ADDRESS"
        line.append((" " * _GAP if at else "") + (f"{shown:>{wide}}" if right else f"{shown:<{wide}}"),
                    "underline" if emphasized else "")
    line.truncate(width, pad=True)
    return line


def _tail(text: str, width: int) -> str:
    """The end of a name says who it is: what is before it goes first."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]
