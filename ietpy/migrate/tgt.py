"""tgt's targets.conf, with its includes, and the output of ``tgt-admin --dump``, to the model.

The file is Perl's: Config::General's lexical rules, merging of blocks, includes of files, globs and directories.
Defaults, the order of LUNs and the numbers of targets are tgt-admin's, on which tgt's own names of disks rest. No file
but those named by includes is read, nothing is executed.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError

from ietpy.errors import ConfigError, Diagnostic, Span
from ietpy.migrate.common import Read, read_text, unreadable
from ietpy.migrate.model import refusal

MOST_FILES: Final = 256
DEEPEST_INCLUDE: Final = 16
DEEPEST_BLOCK: Final = 8
_HERE: Final = re.compile(r"(\S+)(?:\s*=\s*|\s+)<<\s*(\S+)\s*$")
_HASH: Final = re.compile(r"(?<!\\)#.*")
_INCLUDE: Final = re.compile(r"(?:<<\s*)?(include|includeoptional)\s+(.+?)(?:\s*>>)?$", re.IGNORECASE)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: comments gone, joined by backslashes, and where it begins."""

    text: str
    span: Span


@dataclass(slots=True)
class Block:
    """What stands between <NAME VALUE> and </NAME>: entries by key in their order, and blocks; equal ones merged."""

    name: str
    value: str
    span: Span
    entries: dict[str, list[Line]] = field(default_factory=dict)
    blocks: dict[str, dict[str, Block]] = field(default_factory=dict)

    def inner(self, name: str, value: str, span: Span) -> Block:
        return self.blocks.setdefault(name, {}).setdefault(value, Block(name, value, span))


@dataclass(slots=True)
class Files:
    """The files of a configuration, each read once, bounded in number and depth."""

    read: Read = read_text
    find: Callable[[str], list[str]] = glob.glob
    seen: list[str] = field(default_factory=list)

    def lines(self, path: str, depth: int = 0, span: Span | None = None) -> Iterator[Line]:
        """The logical lines of a file, those of its includes where they stand. Raises ConfigError."""
        if depth > DEEPEST_INCLUDE or len(self.seen) >= MOST_FILES:
            problem = f"more than {DEEPEST_INCLUDE} files within each other, or {MOST_FILES} in all"
            raise ConfigError([refusal(span or Span(path, 1, 1), problem, "remove the include that leads in a circle")])
        self.seen.append(path)
        try:
            text = self.read(path)
        except OSError as error:
            raise unreadable(path, error, span) from None
        for line in logical(text, path):
            match = _INCLUDE.fullmatch(line.text)
            if match is None:
                yield line
                continue
            for found in self.included(match[2].strip().strip('"'), path):
                yield from self.lines(found, depth + 1, line.span)

    def included(self, pattern: str, path: str) -> list[str]:
        """The files an include names, from the directory of the file it stands in; none is no mistake to tgt-admin."""
        place = os.path.join(os.path.dirname(path), pattern)
        if os.path.isdir(place):
            place = os.path.join(glob.escape(place), "*")
        return sorted(one for one in self.find(place) if not os.path.isdir(one))[:MOST_FILES]


def logical(text: str, file: str) -> Iterator[Line]:
    """Lines without comments, and joined where a backslash ends one."""
    text = _COMMENT.sub(lambda match: "\n" * match.group().count("\n"), text)
    joined, start, here, ended = "", 0, "", ""
    for number, raw in enumerate(text.split("\n"), 1):
        if here:  # the lines of a here-document
            if raw.strip() == ended:
                yield Line(here, Span(file, start, 1))
                here = ""
            else:
                here += f"\n{raw}" if here[-1:] != "=" else raw
            continue
        line = joined + _HASH.sub("", raw).rstrip()
        start = start if joined else number
        if line.endswith("\\") and not line.endswith("\\\\"):
            joined = line[:-1]
            continue
        joined, bare = "", line.strip()
        match = _HERE.fullmatch(bare)
        if match is not None:
            here, ended = f"{match[1]} =", match[2].strip("\"'")
        elif bare:
            yield Line(bare.replace("\\#", "#"), Span(file, start, len(line) - len(line.lstrip()) + 1))
    if joined.strip():
        yield Line(joined.strip(), Span(file, start, 1))


class _Entries(Transformer[Token, tuple[str, str, str]]):
    def start(self, children: list[tuple[str, str, str]]) -> tuple[str, str, str]:
        return children[0]

    def end(self, tokens: list[Token]) -> tuple[str, str, str]:
        return "end", str(tokens[0]), ""

    def begin(self, tokens: list[Token]) -> tuple[str, str, str]:
        return "begin", str(tokens[0]), str(tokens[1]).strip() if len(tokens) > 1 else ""

    def entry(self, tokens: list[Token]) -> tuple[str, str, str]:
        value = str(tokens[1]) if len(tokens) > 1 else ""
        stripped = value.strip()
        return "entry", str(tokens[0]), _unquoted(stripped[1:].strip() if stripped[:1] == "=" else stripped)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' and '"' not in value[1:-1] else value


@cache
def _parser() -> Lark:
    grammar = resources.files("ietpy.migrate").joinpath("tgt.lark").read_text("ascii")
    return Lark(grammar, parser="lalr", transformer=_Entries())


def _entry(text: str) -> tuple[str, str, str]:
    found: Any = _parser().parse(text)
    kind, name, value = found
    return kind, name, value


def parse_tgt(path: str, files: Files | None = None) -> Block:
    """The tree of the blocks of a file and all it includes. Raises ConfigError with the place of what is wrong."""
    files = files or Files()
    root = Block("", "", Span(path, 1, 1))
    open_blocks = [root]
    for line in files.lines(path):
        try:
            kind, name, value = _entry(line.text)
        except LarkError:
            raise _wrong(line.span, "neither a key with a value nor a block stands here", "write key value") from None
        current = open_blocks[-1]
        if kind == "entry":
            current.entries.setdefault(name, []).append(Line(value, line.span))
        elif kind == "begin":
            if len(open_blocks) > DEEPEST_BLOCK:
                raise _wrong(line.span, f"more than {DEEPEST_BLOCK} blocks within each other", "close some")
            block = current.inner(name, value, line.span)
            _unmixed(current, block, line.span)
            open_blocks.append(block)
        elif len(open_blocks) == 1 or open_blocks[-1].name.lower() != name.lower():
            opened = f"<{open_blocks[-1].name}>" if len(open_blocks) > 1 else "nothing"
            raise _wrong(line.span, f"</{name}> ends what is not open, {opened} is", "remove it, or open the block")
        else:
            open_blocks.pop()
    if len(open_blocks) > 1:
        last = open_blocks[-1]
        problem = f"the block <{last.name} {last.value}> has no end"
        raise _wrong(last.span, problem, f"write </{last.name}> where it ends")
    _check_forms(root)
    return root


def _unmixed(outer: Block, block: Block, span: Span) -> None:
    if block.name in outer.entries:
        raise _mixed(block.name, span)


def _check_forms(root: Block) -> None:
    """Refuse a line and a block of one name at one level, in whatever order they stand."""
    for blocks in root.blocks.values():
        for block in blocks.values():
            for name in block.blocks:
                if name in block.entries:
                    raise _mixed(name, block.entries[name][0].span)
            _check_forms(block)


def _mixed(name: str, span: Span) -> ConfigError:
    problem = f"{name} stands both as a line and as a block in one target; tgt-admin refuses the file"
    return _wrong(span, problem, "use one of the two forms")


def _wrong(span: Span, problem: str, hint: str) -> ConfigError:
    return ConfigError([refusal(span, problem, hint)])


def refused(problems: list[Diagnostic]) -> None:
    """Raise ConfigError if there are any."""
    if problems:
        raise ConfigError(sorted(problems, key=lambda one: one.span))
