"""What the daemon tells of its sessions and logical units, as the commands show it: pure functions of plain facts.

The daemon counts from the login on; how fast something is follows from two looks at it, or from its whole life.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ietpy.admin.proc import session_id
from ietpy.errors import UsageError

Facts = Mapping[str, Any]

#: What is counted of a session, all but the last also of a logical unit.
COUNTERS: Final = ("reads", "writes", "bytes_read", "bytes_written", "commands")
UNIT_COUNTERS: Final = COUNTERS[:-1]
#: Parts of all commands, by name, that were answered sooner than is said of each.
PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many took how long: ``counts[i]`` at most ``bounds[i]`` seconds and longer than the bound before; of one
    more count than bounds, the last are those that took longer than all."""

    bounds: Sequence[float] = ()
    counts: Sequence[int] = ()
    seconds: float | None = None  #: what all of them took together; None where that is not told

    @property
    def total(self) -> int:
        return sum(self.counts)

    def since(self, before: Histogram) -> Histogram:
        """What came after ``before``; all of it where that cannot be an earlier look at the same."""
        if list(before.bounds) != list(self.bounds) or len(before.counts) != len(self.counts):
            return self
        counts = [now - then for now, then in zip(self.counts, before.counts, strict=True)]
        seconds = None
        if self.seconds is not None and before.seconds is not None:
            seconds = max(0.0, self.seconds - before.seconds)
        return self if min(counts, default=0) < 0 else Histogram(self.bounds, counts, seconds)

    def quantile(self, part: float) -> float | None:
        """Seconds that ``part`` of all (0 to 1) took at most, between two bounds in proportion; None of nothing."""
        wanted, below = part * self.total, 0.0
        if not self.total or not self.bounds:
            return None
        for at, count in enumerate(self.counts):
            if count and below + count >= wanted:
                if at == len(self.bounds):
                    break
                low = self.bounds[at - 1] if at else 0.0
                return low + (self.bounds[at] - low) * (wanted - below) / count
            below += count
        return self.bounds[-1]


def histogram(facts: Facts | None) -> Histogram:
    """The histogram of what a daemon tells as ``latency``."""
    return Histogram() if not facts else Histogram(tuple(facts["le"]), tuple(facts["counts"]), facts.get("sum"))


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Counters are None where the daemon does not tell them.

    ``id`` is what a command calls it (its TSIH); ``sid`` is IET's number, ``tid`` that of its target, 0 of discovery.
    """

    id: int
    sid: int
    tid: int
    target: str
    connections: tuple[Facts, ...]
    counters: Mapping[str, int | None] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)

    @property
    def first(self) -> Facts:
        """What is said of its first connection, and so of the session."""
        return self.connections[0]

    @property
    def initiator(self) -> str:
        return str(self.first["initiator"])

    @property
    def address(self) -> str:
        return str(self.first["address"])

    @property
    def key(self) -> tuple[str, int]:
        """Of all sessions there are at a time."""
        return self.target, self.id

    @property
    def queue_depth(self) -> int | None:
        """Commands under way: that came, and are not answered."""
        depth: int | None = self.first.get("queue_depth")
        return depth

    def age(self, now: float) -> float | None:
        """Seconds since its login; ``now`` by ``time.time``."""
        since = self.first.get("since")
        return None if since is None else max(0.0, now - since)


def sessions(connections: Iterable[Facts], targets: Iterable[Facts] = ()) -> list[Session]:
    """Sessions in the order of their logins, of what the operations ``sessions`` and ``targets`` tell."""
    tids = {target["name"]: target["tid"] for target in targets}
    found: dict[tuple[str, int], list[Facts]] = {}
    for each in connections:
        found.setdefault((each["target"] or "", each["tsih"]), []).append(each)
    return [
        Session(
            tsih, session_id(bytes.fromhex(parts[0]["isid"]), tsih), tids.get(target, 0), target, tuple(parts),
            {name: parts[0].get(name) for name in COUNTERS}, histogram(parts[0].get("latency")),
        )
        for (target, tsih), parts in found.items()
    ]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a session is: over ``seconds``, how often in a second each counter moved, and how long that took."""

    seconds: float | None
    rates: Mapping[str, float | None]
    latency: Histogram
    compared: bool = False  #: with a look before

    @property
    def operations(self) -> float | None:
        """Reads and writes in a second."""
        return _both(self.rates.get("reads"), self.rates.get("writes"))

    @property
    def bytes(self) -> float | None:
        """Bytes read and written in a second."""
        return _both(self.rates.get("bytes_read"), self.rates.get("bytes_written"))

    @property
    def depth(self) -> float | None:
        """How many were under way on average (Little's law): a look at a moment finds none where all is quick.

        None where there was no look before: nobody knows for how long it was measured.
        """
        if not self.compared or not self.seconds or not self.latency.total or self.latency.seconds is None:
            return None
        return self.latency.seconds / self.seconds


def _both(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def pace(session: Session, now: float, before: Session | None = None, seconds: float = 0.0) -> Pace:
    """Since the look ``before``, ``seconds`` ago, if that was one at the same session; else since its login."""
    if before is None or seconds <= 0 or before.first.get("since") != session.first.get("since"):
        lived = session.age(now)
        return Pace(lived, {name: _per(count, lived) for name, count in session.counters.items()}, session.latency)
    rates = {
        name: None if count is None or (then := before.counters.get(name)) is None else _per(count - then, seconds)
        for name, count in session.counters.items()
    }
    return Pace(seconds, rates, session.latency.since(before.latency), compared=True)


def _per(count: int | None, seconds: float | None) -> float | None:
    return None if count is None or seconds is None else max(0, count) / max(seconds, 1e-3)


# Who is meant -----------------------------------------------------------------------------------------------------


def ends_with(name: str, word: str | None) -> bool:
    """Whether ``name`` is meant by ``word``: its last characters, in any letter case. None means all."""
    return word is None or name.lower().endswith(word.lower())


def chosen(found: Iterable[Session], target: str | None, initiator: str | None) -> list[Session]:
    """Those of ``found`` whose target and initiator are meant."""
    return [each for each in found if ends_with(each.target, target) and ends_with(each.initiator, initiator)]


def target_named(targets: Sequence[Facts], word: str) -> Facts:
    """The one target that ``word`` means: its whole name, its number, or the end of its name alone.

    Raises UsageError, which names those that come near.
    """
    for each in targets:
        if word.lower() == each["name"].lower() or word == str(each["tid"]):
            return each
    meant = [each for each in targets if ends_with(each["name"], word)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        names = ", ".join(each["name"] for each in meant)
        raise UsageError(f"{word!r} is the end of several targets: {names}; say more of the one you mean")
    raise UsageError(f"no target has the name {word!r}; {_near([each['name'] for each in targets], word)}")


def _near(names: Sequence[str], word: str) -> str:
    from difflib import get_close_matches

    if not names:
        return "none is served; ietpy add target makes one"
    close = get_close_matches(word, names, cutoff=0.5) or [name for name in names if word.lower() in name.lower()]
    if close:
        return f"similar: {', '.join(close[:3])}"
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
