"""The text of SCST's scst.conf as scstadmin's Perl reader sees it, oddities included.

No grammar file: the reader goes by characters, not by tokens. A comment takes the character before it along,
backslashes go before quotes count, a brace in quotes is a brace, and a closing one throws away the entry that it ends.
What is lost so is reported where it stands, as it was lost to SCST, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ietpy.errors import ConfigError, Span
from ietpy.migrate.model import Kind, Note, refusal

DEEPEST: Final = 16
_COMMENT: Final = re.compile(r"[^\\]#.*")
_ESCAPE: Final = re.compile(r"\\(.)")
_WORD: Final = re.compile(r'"([^"]*)"?|([^\s"]+)')


@dataclass(slots=True)
class Entry:
    """A line: its words, and the entries in the braces behind it, if there are any."""

    words: tuple[str, ...]
    span: Span
    entries: list[Entry] = field(default_factory=list)
    braces: bool = False

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    def word(self, place: int) -> str:
        """One of its words, empty where there are fewer."""
        return self.words[place] if place < len(self.words) else ""

    def all(self, name: str) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.name == name)

    def value(self, name: str, default: str = "") -> str:
        """The value of an attribute; of several the last."""
        found = [entry.word(1) for entry in self.all(name)]
        return found[-1] if found else default

    def flag(self, name: str, default: str = "0") -> bool:
        return self.value(name, default) not in ("", "0")


def parse_scst(text: str, file: str, notes: list[Note]) -> Entry:
    """The entries of a file, below one that has no words. Raises ConfigError for braces too deep."""
    return _Parser(file, notes).run(text)


@dataclass(slots=True)
class _Parser:
    file: str
    notes: list[Note]
    open: list[Entry] = field(default_factory=list)
    pending: str = ""
    start: Span = field(init=False)

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def run(self, text: str) -> Entry:
        root = Entry((), Span(self.file, 1, 1))
        self.open = [root]
        for number, line in enumerate(text.split("\n"), 1):
            if not self.line(self.stripped(line, number), number):
                return root
        if len(self.open) > 1:
            last = self.open[-1]
            self.note(Kind.WARNING, last.span, f"{' '.join(last.words)[:60]}", "its braces are not closed")
        return root

    def stripped(self, line: str, number: int) -> str:
        """A line without comments and backslashes."""
        if line.lstrip()[:1] == "#":
            return ""
        match = _COMMENT.search(line)
        if match is not None:
            before = line[match.start()]
            if not before.isspace():
                span = Span(self.file, number, match.start() + 2)
                why = f"a trailing comment eats the character before the hash: {before!r} is gone, as in SCST"
                self.note(Kind.WARNING, span, "comment behind a value", why)
            line = line[: match.start()]
        return _ESCAPE.sub(r"\1", line)

    def line(self, line: str, number: int) -> bool:
        """Take a line; whether reading goes on."""
        quotes = False
        for column, character in enumerate(line, 1):
            span = Span(self.file, number, column)
            quotes ^= character == '"'
            if character in "{}" and quotes:
                why = "a brace in a quoted value is a brace to SCST's reader: it ends or begins a block"
                self.note(Kind.REFUSED, span, "brace in a quoted value", why)
            if character == "{":
                self.begin(span)
            elif character == "}":
                if not self.end(span):
                    return False
            else:
                if not self.pending.strip():
                    self.start = span
                self.pending += character
        self.flush()
        return True

    def words(self) -> tuple[str, ...]:
        found = tuple(match[1] if match[1] is not None else match[2] for match in _WORD.finditer(self.pending))
        self.pending = ""
        return found

    def flush(self) -> None:
        words = self.words()
        if words:
            self.open[-1].entries.append(Entry(words, self.start))

    def begin(self, span: Span) -> None:
        if len(self.open) > DEEPEST:
            raise ConfigError([refusal(span, f"more than {DEEPEST} braces within each other", "close some")])
        words = self.words()
        if words:
            entry = Entry(words, self.start, braces=True)
            self.open[-1].entries.append(entry)
        elif self.open[-1].entries:  # the brace stands on a line of its own
            entry = self.open[-1].entries[-1]
            entry.braces = True
        else:
            entry = Entry((), span, braces=True)
        self.open.append(entry)

    def end(self, span: Span) -> bool:
        if self.pending.strip():
            what = " ".join(self.pending.split())[:60]
            if self.pending.lstrip().startswith(("IncomingUser", "OutgoingUser")):
                what = self.pending.split()[0]
            why = "a closing brace on the same line throws it away, as it did in SCST; write it on a line of its own"
            self.note(Kind.REFUSED, self.start, what, why)
        self.pending = ""
        if len(self.open) == 1:
            self.note(Kind.REFUSED, span, "a closing brace too many", "SCST's reader stops here; so does this one")
            return False
        self.open.pop()
        return True
