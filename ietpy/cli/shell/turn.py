"""One command under way: what it starts from, what it changes, and what it says. Ports to the world are here, too.

A command changes copies; ``core`` has the daemon serve them, and only then they count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ietpy.cli.facts import Session
from ietpy.cli.shell.access import Kept
from ietpy.cli.shell.book import Book
from ietpy.cli.shell.tree import Kind, Node, Tree
from ietpy.config.findings import printable
from ietpy.config.model import Configuration, TargetConfig
from ietpy.errors import UsageError

_TRUE: Final = ("true", "yes", "on", "1", "enable")
_FALSE: Final = ("false", "no", "off", "0", "disable")
#: What people write for no value.
UNSET: Final = ("", "NULL")


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path. ``kind``: "file", "block", "directory" or "other"; ``size``: bytes."""

    kind: str
    size: int = 0


class Host(Protocol):
    """All that the shell does to the world. Raises IetpyError, sentences."""

    live: bool  #: whether a daemon serves what is changed

    def text(self) -> tuple[str, str, str | None]:
        """The file's name, the text that is to be changed, and the mode to read it in, if the file does not say."""

    def serve(self, text: str, expected: frozenset[str]) -> None:
        """Have it served at once, or not at all. ``expected``: codes of problems that come of it and are meant."""

    def end(self, target: str, initiator: str | None, purge: bool) -> int:
        """End the sessions of a target, or those of one initiator with it; how many. ``purge``: it is to go."""

    def sessions(self) -> list[Session]: ...
    def status(self) -> list[str]:
        """What is going on, in lines."""

    def listening(self) -> tuple[str, int]:
        """What the daemon listens on by default: address and port."""

    def save(self, path: str) -> str:
        """Write the file, or a copy of it to ``path``; what was done, in a sentence."""

    def unsaved(self) -> bool: ...
    def load(self, path: str) -> str:
        """The text of another file."""

    def look(self, path: str) -> Found | None: ...
    def absolute(self, path: str) -> str: ...
    def make_image(self, path: str, size: int, sparse: bool) -> None: ...
    def node_name(self) -> str:
        """A new name for a target."""

    def files(self, prefix: str) -> list[str]:
        """For completion: paths that begin so."""

    def read_book(self) -> Book: ...
    def write_book(self, book: Book) -> str:
        """Keep it; why that was not possible, or nothing."""

    def read_history(self) -> list[str]: ...
    def write_history(self, lines: list[str]) -> None: ...
    def exclusive(self) -> AbstractContextManager[None]:
        """While this holds, no other shell changes anything."""

    def width(self) -> int:
        """Characters of a line of the terminal."""


Values = dict[str, str]
Ask = Callable[[str], str]


@dataclass
class Turn:
    """``kept`` is by target, in lower case."""

    host: Host
    tree: Tree
    here: Node
    before: Node  #: where it was before the last cd
    configuration: Configuration
    book: Book
    kept: dict[str, Kept]
    ask: Ask | None = None  #: a question to whoever types, if somebody does
    lasting: bool = True  #: whether more commands follow in this session
    lines: list[str] = field(default_factory=list)
    goal: str = ""  #: where to go when it is done
    ended: list[tuple[str, str | None]] = field(default_factory=list)  #: targets, and initiators, whose sessions end
    purged: list[str] = field(default_factory=list)  #: targets whose sessions end before they go
    expected: set[str] = field(default_factory=set)
    text: str | None = None  #: in the place of the whole configuration
    over: bool = False  #: the shell ends

    def say(self, line: str) -> None:
        self.lines.append(printable(line))

    def go(self, node: Node | str) -> None:
        self.goal = node if isinstance(node, str) else node.path

    def go_new(self, path: str) -> None:
        """Go to what was just made, as targetcli does."""
        if self.book.preferences.get("auto_cd_after_create", True):
            self.go(path)

    def target_changed(self, old: TargetConfig, new: TargetConfig) -> None:
        targets = tuple(new if one is old else one for one in self.configuration.targets)
        self.configuration = replace(self.configuration, targets=targets)

    def kept_of(self, target: TargetConfig) -> Kept:
        return self.kept.setdefault(target.name.lower(), Kept())


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row: a parameter of a verb. ``candidates``: what to complete it with."""

    name: str
    help: str
    required: bool = False
    candidates: Callable[[Turn, Node], Sequence[str]] | Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verb:
    """One row: what may be typed where. No ``kinds``: everywhere. ``free``: it takes any words."""

    name: str
    kinds: tuple[Kind, ...]
    run: Callable[[Turn, Node, Values], None]
    help: str
    parameters: tuple[Parameter, ...] = ()
    free: bool = False

    @property
    def usage(self) -> str:
        words = [each.name if each.required else f"[{each.name}]" for each in self.parameters]
        more = [] if not self.free else ["NAME=VALUE..."] if self.name == "set" else ["NAME..."]
        return " ".join([self.name, *words, *more])


def boolean(values: Values, name: str, default: bool) -> bool:
    """A parameter that is true or false. Raises UsageError."""
    text = values.get(name)
    return default if text is None else truth(name, text)


def truth(name: str, text: str) -> bool:
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise UsageError(f"{printable(text[:60])} is no value of {name}; write true or false, or 1 or 0")


def number(name: str, text: str, highest: int) -> int:
    """A number that is part of a path, with its word or without: ``lun3``, ``3``. Raises UsageError."""
    digits = text.lower().removeprefix("mapped_lun").removeprefix("lun")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and int(digits) <= highest):
        raise UsageError(f"{printable(text[:60])} is no {name}; write a number from 0 to {highest}")
    return int(digits)


def free_number(taken: Iterable[int]) -> int:
    numbers = set(taken)
    return next(each for each in range(len(numbers) + 1) if each not in numbers)


def as_lines(facts: dict[str, Any]) -> list[str]:
    """Facts one below the other, as info prints them."""
    return [f"{name}: {value}" for name, value in facts.items()]
