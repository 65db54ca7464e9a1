"""From text to located statements. The only module that knows Lark; it knows the shape and no option by name.

Lines end at LF and nowhere else. IET's reader saw at most 4095 bytes at a time and C strings, so a line has a
second reading (iet-compat 1.2); which one holds is the mode's business (decisions 1). ``repair`` gets both: IET's
slices of a long line as tails, since a door that one of them closed must not be open now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Final

from lark import Lark, Token, Transformer

from ietpy.config.findings import Finding, Report

BLANKS: Final = " \t\r\f\v"  #: C's isspace but for the line end
LONGEST_LINE: Final = 4095  #: bytes with the newline, iet-compat 1.2
_BOM: Final = "\ufeff"
_WORD: Final = re.compile(rf"[^{BLANKS}]+")


@dataclass(frozen=True, slots=True)
class Word:
    """Some characters at a place. ``complete``: a blank or a line end follows, so IET saw a word."""

    text: str
    line: int
    column: int
    complete: bool = True

    def at(self, index: int, text: str) -> Word:
        """The part ``text`` of this word, which begins at ``index``."""
        return Word(text, self.line, self.column + index, self.complete)


@dataclass(frozen=True, slots=True)
class Statement:
    """A keyword and the rest of its line, without blanks at either end."""

    keyword: Word
    rest: Word
    tail: bool = False  #: only IET saw it, at the end of a long line
    hidden: str = ""  #: what follows a NUL byte, which nobody sees
    lines: int = 1  #: more where a backslash continues it
    head: Statement | None = None  #: then its first line alone, as IET saw it

    @property
    def line(self) -> int:
        return self.keyword.line

    @property
    def words(self) -> tuple[Word, ...]:
        """The rest, split at blanks."""
        rest = self.rest
        return tuple(
            Word(
                match.group(),
                rest.line,
                rest.column + match.start(),
                rest.complete or match.end() < len(rest.text),
            )
            for match in _WORD.finditer(rest.text)
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """What was read as one line: where it stands, whether a line end follows, whether only IET read it so."""

    text: str
    line: int
    shift: int  #: characters of the physical line before it
    ended: bool
    tail: bool = False
    hidden: str = ""


def split_blanks(text: str) -> list[str]:
    """The words of a text as C's isspace sees them; a no-break space is part of a word."""
    return _WORD.findall(text)


def to_bytes(text: str) -> bytes:
    """The file's bytes again, also of what was not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """UTF-8, with a stand-in for every byte that is not."""
    return data.decode("utf-8", "surrogateescape")


def read(text: str, report: Report) -> list[Statement]:
    """All statements of a file, in order; oddities of its lines go to ``report``."""
    pieces = list(_pieces(text, report))
    source = "".join(piece.text + "\n" for piece in pieces)
    statements: list[Statement] = _parser().parse(source or "\n")  # type: ignore[assignment]
    return [_placed(statement, pieces[statement.line - 1]) for statement in statements]


def _pieces(text: str, report: Report) -> Iterator[_Piece]:
    lines = text.split("\n")
    last = len(lines)
    for number, line in enumerate(lines, 1):
        if number == last and not line:
            return
        shift = 0
        if number == 1 and line.startswith(_BOM):
            report.add(
                Finding.BOM,
                Word("", 1, 1),
                "the file begins with a UTF-8 byte order mark",
                "save it without one",
            )
            if report.mode != "iet":
                line, shift = line[1:], 1
        yield from _cut(_Piece(line, number, shift, number < last), report)


def _cut(piece: _Piece, report: Report) -> Iterator[_Piece]:
    """A physical line as the mode reads it: whole, or in IET's slices; never beyond a NUL."""
    # IET counted a byte order mark, too.
    data = to_bytes(_BOM * piece.shift + piece.text) if 4 * len(piece.text) + 3 >= LONGEST_LINE else b""
    slices = [piece]
    if len(data) >= LONGEST_LINE:
        report.add(
            Finding.LONG_LINE,
            Word("", piece.line, 1),
            f"this line has {len(data)} bytes, more than the {LONGEST_LINE - 1} a line may have",
            "shorten it",
        )
        legacy = list(_slices(piece, data))
        slices = legacy if report.mode == "iet" else [piece, *(replace(part, tail=True) for part in legacy[1:])]
    for part in slices:
        before, nul, hidden = part.text.partition("\0")
        if nul and not part.tail:
            report.add(
                Finding.NUL,
                Word("", part.line, part.shift + len(before) + 1),
                "a NUL byte stands here; what follows on the line is not read",
                "remove it",
            )
        yield replace(part, text=before, ended=part.ended and not nul, hidden=hidden)


def _slices(piece: _Piece, data: bytes) -> Iterator[_Piece]:
    """What fgets() returned for a long line: slices of 4095 bytes, the newline of the last one included."""
    total = len(data) + piece.ended
    shift = 0
    for start in range(0, total, LONGEST_LINE):
        end = start + LONGEST_LINE
        text = to_text(data[start:end])
        yield _Piece(text, piece.line, shift, piece.ended and end >= total)
        shift += len(text)


def _placed(statement: Statement, piece: _Piece) -> Statement:
    """The statement with places in the file; the parser saw pieces for lines."""
    text = piece.text
    ended = piece.ended or text[-1] in BLANKS
    keyword, rest = statement.keyword, statement.rest
    first = len(text) - len(text.lstrip(BLANKS))
    after = first + len(keyword.text)
    skipped = len(rest.text) - len(rest.text.lstrip(BLANKS))
    return Statement(
        Word(keyword.text, piece.line, piece.shift + first + 1, ended or after < len(text)),
        Word(rest.text[skipped:], piece.line, piece.shift + after + skipped + 1, ended),
        piece.tail,
        piece.hidden,
    )


class _ToStatements(Transformer[Token, list[Statement]]):
    """The parse tree's nodes as statements, with the parser's own line numbers."""

    start = list

    def statement(self, tokens: list[Token]) -> Statement:
        keyword = Word(str(tokens[0]), tokens[0].line or 0, 1)
        return Statement(keyword, Word(str(tokens[1]) if len(tokens) > 1 else "", keyword.line, 1))


@cache
def _parser() -> Lark:
    """Built once, when first used. ASCII: a no-break space is no blank to C's isspace either."""
    grammar = resources.files("ietpy.config").joinpath("ietd.lark").read_text("ascii")
    return Lark(grammar, parser="lalr", transformer=_ToStatements(), g_regex_flags=re.ASCII)
