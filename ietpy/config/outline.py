"""Where the lines stand that a configuration was read from: what the writer needs and the model does not keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ietpy.config.block import Block
from ietpy.config.findings import Report
from ietpy.config.load import parsed
from ietpy.config.loader import Loader
from ietpy.config.model import Configuration
from ietpy.config.options import Option, Reader
from ietpy.config.syntax import Statement

_LONELY: Final = (Reader.TARGET, Reader.COMPAT)  #: lines that do not tell how a block is indented


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One statement as it was read. ``option`` is None for what was not understood.

    ``block``: whose line it is; a Target line is the first of the block it begins.
    """

    statement: Statement
    option: Option | None
    block: Block

    @property
    def first(self) -> int:
        return self.statement.line

    @property
    def last(self) -> int:
        """The line it ends on: not the first where backslashes continue a Lun line."""
        return self.statement.line + self.statement.lines - 1

    @property
    def indented(self) -> bool:
        """Whether its indentation is that of its block's lines."""
        return self.option is not None and self.option.reader not in _LONELY

    def is_of(self, reader: Reader) -> bool:
        return self.option is not None and self.option.reader is reader


class Outline(Loader):
    """A loader that remembers its walk."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.entries: list[Entry] = []

    def known(self, option: Option, statement: Statement) -> None:
        super().known(option, statement)
        self.entries.append(Entry(statement, option, self.current))

    def unknown(self, statement: Statement) -> None:
        before = len(self.entries)
        super().unknown(statement)
        if len(self.entries) == before:
            self.entries.append(Entry(statement, None, self.current))

    def segments(self) -> Iterator[list[Entry]]:
        """The entries, parted where a block begins; of one target there may be several."""
        segment: list[Entry] = []
        for entry in self.entries:
            if segment and (entry.is_of(Reader.TARGET) or entry.block is not segment[-1].block):
                yield segment
                segment = []
            segment.append(entry)
        if segment:
            yield segment


def outline(text: str, file: str, compat: str | None) -> tuple[Outline, Configuration]:
    """The walk over ``text``, and what it means."""
    report, statements = parsed(text, file, compat)
    walk = Outline(report)
    return walk, walk.run(statements)
