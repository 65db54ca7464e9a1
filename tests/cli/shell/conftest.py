"""The shell over a world that is a few variables: what it serves, what is at which path, who is connected."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ietpy.cli.facts import Session
from ietpy.cli.shell.book import Book
from ietpy.cli.shell.core import Shell
from ietpy.cli.shell.turn import Found
from ietpy.errors import AdminError, IetpyError, UsageError

T = "iqn.2001-04.com.example:t"
A = "iqn.1993-08.org.debian:01:a"
B = "iqn.1993-08.org.debian:01:b"


@dataclass
class World:
    """What the shell takes for a daemon and a machine."""

    served: str = ""
    file: str = ""
    live: bool = True
    mode: str | None = None
    address: tuple[str, int] = ("0.0.0.0", 3260)
    there: dict[str, Found] = field(default_factory=lambda: {
        "/dev/sda": Found("block", 1 << 30), "/dev/sdb": Found("block", 1 << 20), "/srv/a.img": Found("file", 3 << 20),
        "/srv": Found("directory"),
    })
    texts: dict[str, str] = field(default_factory=dict)
    who: list[Session] = field(default_factory=list)
    ended: list[tuple[str, str | None, bool]] = field(default_factory=list)
    book: Book = field(default_factory=Book)
    refusal: str = ""
    made: int = 0

    def text(self) -> tuple[str, str, str | None]:
        return "ietd.conf", self.served, self.mode

    def serve(self, text: str, expected: frozenset[str]) -> None:
        if self.refusal:
            raise AdminError(5, self.refusal)
        self.served = text

    def end(self, target: str, initiator: str | None, purge: bool) -> int:
        self.ended.append((target, initiator, purge))
        found = [one for one in self.who if one.target == target and initiator in (None, one.initiator)]
        self.who = [one for one in self.who if one not in found]
        return len(found)

    def sessions(self) -> list[Session]:
        return self.who

    def status(self) -> list[str]:
        return ["a daemon runs"]

    def listening(self) -> tuple[str, int]:
        return self.address

    def save(self, path: str) -> str:
        self.texts[path] = self.served
        if not path:
            self.file = self.served
        return f"Configuration saved to {path or 'ietd.conf'}"

    def unsaved(self) -> bool:
        return self.file != self.served

    def load(self, path: str) -> str:
        if path not in self.texts:
            raise UsageError(f"{path} cannot be read")
        return self.texts[path]

    def look(self, path: str) -> Found | None:
        return self.there.get(path)

    def absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"/cwd/{path}"

    def make_image(self, path: str, size: int, sparse: bool) -> None:
        self.there[path] = Found("file", size)

    def node_name(self) -> str:
        self.made += 1
        return f"iqn.2010-06.host:sn-{self.made}"

    def files(self, prefix: str) -> list[str]:
        return [f"{path} " for path in self.there if path.startswith(prefix)]

    def read_book(self) -> Book:
        return self.book

    def write_book(self, book: Book) -> str:
        self.book = book
        return ""

    def read_history(self) -> list[str]:
        return []

    def write_history(self, lines: list[str]) -> None:
        raise AssertionError("only terminals have a history")

    def exclusive(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def width(self) -> int:
        return 80


def session(target: str, initiator: str, number: int = 1) -> Session:
    facts = {"initiator": initiator, "address": "192.0.2.7", "portal": "192.0.2.1", "user": "", "luns": [0]}
    return Session(number, number, 1, target, (facts,))


class Typist:
    """Types lines, and reads what comes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shell = Shell(world)

    def __call__(self, *lines: str) -> list[str]:
        """What all of them print."""
        return [each for line in lines for each in self.shell.run(line).lines]

    def refused(self, line: str) -> str:
        """The sentence with which a line is refused, and nothing has changed."""
        before = self.world.served, self.world.book, self.shell.path
        with pytest.raises(IetpyError) as caught:
            self.shell.run(line)
        assert (self.world.served, self.world.book, self.shell.path) == before
        return str(caught.value)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def typed(world: World) -> Typist:
    return Typist(world)


@pytest.fixture
def served(world: World, typed: Typist) -> Callable[..., list[str]]:
    """served(line...): the lines of ietd.conf that are served after these were typed, without indentation."""

    def lines(*script: str) -> list[str]:
        typed(*script)
        return [line.strip() for line in world.served.splitlines() if line.strip()]

    return lines
