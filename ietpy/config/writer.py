"""A running configuration written back into the file it came from (``ietpy save``).

What did not change keeps its bytes: comments, order, indentation, line ends, bytes that are no UTF-8. Changes are those
that ietadm can make: they come behind what was there. Whatever is wrong with a file, the outcome is read back,
and nothing is returned that would mean something else than what runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from difflib import SequenceMatcher
from typing import Any, Final, TypeVar

from ietpy.config.block import Block
from ietpy.config.edited import Lines
from ietpy.config.findings import Report, printable
from ietpy.config.load import loads, parsed
from ietpy.config.lun import read_lun
from ietpy.config.lun_option import UNSAID, rendered, said
from ietpy.config.model import (
    Account,
    Configuration,
    InitiatorConfig,
    LunConfig,
    PortalConfig,
    TargetConfig,
    effective_nop_timeout,
    meaning,
)
from ietpy.config.options import Option, Reader, Scope
from ietpy.config.outline import Entry, outline
from ietpy.config.portals import groups_line, portal_lines
from ietpy.config.render import (
    TARGET_KEYS,
    UnwritableError,
    account_line,
    initiator_line,
    key_line,
    key_value,
    lun_line,
    target_lines,
)
from ietpy.config.syntax import BLANKS, Statement
from ietpy.config.values import AUTO, is_comment
from ietpy.errors import ConfigError, Diagnostic, Span
from ietpy.schema import WordList

_INCOMING: Final = (Reader.INCOMING, Reader.INCOMING_FILE)
_OUTGOING: Final = (Reader.OUTGOING, Reader.OUTGOING_FILE)
_NOTHING: Final = re.compile("")
_WORD: Final = re.compile(f"[^{BLANKS}]+")
_TWO_WORDS: Final = re.compile(f"[^{BLANKS}]+[{BLANKS}]+[^{BLANKS}]+")
_UP_TO_COMMENT: Final = re.compile(f".+?(?=[{BLANKS}]+#|[{BLANKS}]*$)")
_ALL: Final = re.compile("[^\r]+")
_INDENTATION: Final = "    "  #: of a block where nothing shows what is usual in a file

T = TypeVar("T")


def rewrite(text: str, running: Configuration, *, compat: str | None = None, file: str = "") -> str:
    """``text`` with what changed in ``running`` since it was read; ``text`` itself if nothing did.

    ``compat`` is the mode to read it in, by default that of ``running``; ``file`` its name in messages. Raises
    ConfigError where that is impossible, because of mistakes in the file or because it cannot be said in one.
    """
    mode, file = compat or running.compat, file or running.file
    rewriter = _Rewriter(text, file, mode)
    if meaning(rewriter.old) == meaning(running):
        return text
    try:
        rewriter.follow(meaning(running))
    except UnwritableError as error:
        raise _refusal(Span(file, 1, 1), str(error), "then save again") from None
    result = rewriter.lines.text()
    _check(text, rewriter.old.refused, result, running, file, mode)
    return result


def _check(before: str, refused: bool, after: str, running: Configuration, file: str, mode: str) -> None:
    """Read ``after`` back. Raises ConfigError unless it means what runs, in the mode the file had.

    ``refused``: so was ``before``.
    """
    found = loads(after, file, mode)
    different = _difference(meaning(found), meaning(running))
    if parsed(after, file, None)[0].mode != parsed(before, file, None)[0].mode:
        different = "the Compat line"
    elif not different and found.refused and not refused:
        different = found.errors[0].problem
    if different:
        raise _refusal(
            Span(file, 1, 1),
            f"the changes cannot be written into this file without changing what else it means ({different})",
            f"mend what ietpy check -c {printable(file)} finds, and save again",
        )


def _difference(found: Configuration, wanted: Configuration) -> str:
    """Where two meanings differ, in a few words; empty if nowhere."""
    others = {target.name: target for target in found.targets}
    for target in wanted.targets:
        other = others.get(target.name)
        names = [] if other is None else [name for name in _fields(target) if _differs(name, target, other)]
        if other is None or names:
            return f"target {printable(target.name)}" + "".join(f", {name}" for name in names)
    return ", ".join(name for name in _fields(wanted) if _differs(name, found, wanted))


def _fields(model: Any) -> list[str]:
    return [field.name for field in fields(model) if field.compare]


def _differs(name: str, one: Any, other: Any) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _refusal(span: Span, problem: str, hint: str) -> ConfigError:
    return ConfigError([Diagnostic(span, "error", "not-written", problem, hint)])


class _Rewriter:
    """One file being changed towards a meaning."""

    def __init__(self, text: str, file: str, mode: str) -> None:
        self.lines = Lines(text)
        self.outline, self.old = outline(text, file, mode)
        self.entries = self.outline.entries
        self.at = {entry.first: entry for entry in reversed(self.entries)}
        self._below: dict[int, list[Entry]] = {}
        for entry in self.entries:
            for block in filter(None, (entry.block, entry.block.heir)):
                self._below.setdefault(id(block), []).append(entry)
        self.scratch = Report(file, mode)

    def follow(self, new: Configuration) -> None:
        """Make every change that leads to ``new``."""
        old, discovery = self.old, self.outline.discovery
        self.incoming(discovery, old.discovery_incoming, new.discovery_incoming)
        self.outgoing(discovery, old.discovery_outgoing, new.discovery_outgoing)
        if old.portals != new.portals:
            self.portals(old.portals or (), new.portals or ())
        if old.processes == 1 != new.processes:
            self.put(discovery, self.keyed(discovery), f"Processes {new.processes or AUTO}")
        if old.metrics != new.metrics and not old.metrics:
            self.put(discovery, self.keyed(discovery), f"Metrics {new.metrics}")
        plain = meaning(old).targets
        matches = _matches(plain, new.targets, _frame)
        for target, match in zip(new.targets, matches, strict=True):
            if match is not None and plain[match] != target:
                self.target(old.targets[match], target)
        for index, target in enumerate(old.targets):
            if index not in matches:
                self.drop(self.block(target))
        for target, match in zip(new.targets, matches, strict=True):
            if match is None:
                head, *rest = target_lines(target)
                self.lines.add_paragraph([head, *(self.indentation(None) + line for line in rest)])

    def below(self, block: Block) -> list[Entry]:
        """The entries of a block and of those it inherits accounts from."""
        return self._below.get(id(block), [])

    # -- targets ------------------------------------------------------------------------------------------------

    def block(self, target: TargetConfig) -> Block:
        return self.outline.targets[target.name.lower()]

    def target(self, old: TargetConfig, new: TargetConfig) -> None:
        """Change what stands below a Target line."""
        block = self.block(old)
        self.incoming(block, old.incoming, new.incoming)
        self.outgoing(block, old.outgoing, new.outgoing)
        self.luns(block, old.luns, new.luns)
        self.lun_options(block, old.luns, new.luns)
        self.initiators(block, old.initiators, new.initiators)
        if old.portal_groups != new.portal_groups:
            self.sole(block, Reader.PORTAL_GROUPS, groups_line(new.portal_groups) if new.portal_groups else "")
        if old.alias != new.alias:
            self.sole(block, Reader.TEXT, f"Alias {new.alias}" if new.alias else "")
        for option in TARGET_KEYS:
            have, wanted = key_value(old, option), key_value(new, option)
            if option.attribute == "nop_timeout":
                have = effective_nop_timeout(new.nop_interval, block.values.get(option.name, 0))
            if have != wanted:
                self.key(block, option, wanted)

    def drop(self, block: Block) -> None:
        """Remove a target, from each of its Target lines to the last statement below; what introduces the next stays.

        So do lines that hold wherever they stand. Of blank lines on both sides those above go.
        """
        for segment in self.outline.segments():
            again = segment[0].is_of(Reader.TARGET) and segment[0].block.heir is block
            if segment[0].block is block or again:
                stay = {entry.first for entry in segment if _holds_anywhere(entry)}
                self.lines.remove(set(range(segment[0].first, segment[-1].last + 1)) - stay)
                if not stay and self.lines.blank(segment[-1].last + 1):
                    self.lines.remove_blank_above(segment[0].first)

    def key(self, block: Block, option: Option, value: Any) -> None:
        """Set a key on its last line, or on a new one; without a value remove it."""
        entries = [entry for entry in self.below(block) if entry.block is block and entry.option is option]
        if value is None:
            self.lines.remove(entry.first for entry in entries)
        elif entries:
            self.set_value(entries[-1].statement, option, option.value.render(value))
        else:
            self.put(block, self.keyed(block), key_line(option, value))

    def set_value(self, statement: Statement, option: Option, text: str) -> None:
        keyword, words = statement.keyword, statement.words
        if not words or is_comment(words[0]):
            self.lines.change(statement.line, keyword.column + len(keyword.text), _NOTHING, f" {text}")
        else:
            extent = _UP_TO_COMMENT if isinstance(option.value, WordList) else _WORD
            self.lines.change(statement.line, words[0].column, extent, text)

    # -- accounts -----------------------------------------------------------------------------------------------

    def incoming(self, block: Block, old: tuple[Account, ...], new: tuple[Account, ...]) -> None:
        owner = block.name or "discovery"
        places = [self.at[account.span.line] for account in old]
        self.items(block, places, _matches(old, new), new, lambda one: account_line("IncomingUser", one, owner))
        gone = {account.name for account in old} - {account.name for account in new}
        for entry in self.below(block):  # a line that another one outranked would come to light
            if _speaks_for(block, entry, _INCOMING) and entry.statement.words[0].text in gone:
                self.lines.remove([entry.first])

    def outgoing(self, block: Block, old: Account | None, new: Account | None) -> None:
        if new is None:
            speaking = (entry for entry in self.below(block) if _speaks_for(block, entry, _OUTGOING))
            self.lines.remove(entry.first for entry in speaking if old is not None)
        elif new != old:
            line = account_line("OutgoingUser", new, block.name or "discovery")
            if old is None or bool(old.file) is not bool(new.file):
                self.put(block, self.keyed(block), line)
                self.lines.remove([] if old is None else [old.span.line])
            else:
                self.lines.change(old.span.line, old.span.column, _TWO_WORDS, line.partition(" ")[2])

    # -- logical units ------------------------------------------------------------------------------------------

    def luns(self, block: Block, old: tuple[LunConfig, ...], new: tuple[LunConfig, ...]) -> None:
        places = [self.at[lun.span.line] for lun in old]
        matches = _matches(old, new, lambda lun: replace(lun, **UNSAID))
        self.items(block, places, matches, new, lun_line)
        gone = {lun.number for index, lun in enumerate(old) if index not in matches}
        for entry in self.below(block):  # a second line for the same number would come to light
            if entry.block is block and entry.is_of(Reader.LUN):
                lun = read_lun(entry.statement, self.scratch)
                if lun is not None and lun.number in gone:
                    self.lines.remove(range(entry.first, entry.last + 1))

    def lun_options(self, block: Block, old: tuple[LunConfig, ...], new: tuple[LunConfig, ...]) -> None:
        """Lines about a LUN that is no more go with it; those that never were about one stay."""
        have = block.lun_options
        luns = {lun.number: lun for lun in new}
        for number in sorted({lun.number for lun in old} | luns.keys()):
            wanted = said(luns[number]) if number in luns else None
            if wanted == have.of(number):
                continue
            self.lines.remove(place.line for other, place in have.lines if other == number)
            if wanted not in (None, UNSAID):
                self.put(block, self.keyed(block), rendered(luns[number]))

    # -- who may use a target, and where it is --------------------------------------------------------------------

    def initiators(self, block: Block, old: tuple[InitiatorConfig, ...], new: tuple[InitiatorConfig, ...]) -> None:
        """Their order counts: a line that changed stays where it is, and a new one comes behind the one before it."""
        if not block.admitted:  # what it has stands above all targets, and is for others, too
            old = ()
        places = [self.at[line.span.line] for line in old]
        for what, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if what == "equal":
                continue
            texts = [initiator_line(line, block.name) for line in new[first:last]]
            for place, text in zip(places[start:end], texts, strict=False):
                self.lines.change(place.first, place.statement.keyword.column, _UP_TO_COMMENT, text)
            self.lines.remove(place.first for place in places[start + len(texts) : end])
            for text in texts[end - start :]:
                if places and not end:
                    self.lines.add(places[0].first - 1, self.indentation(block, places[0]) + text)
                else:
                    self.put(block, places[end - 1] if places else self.keyed(block), text)

    def sole(self, block: Block, reader: Reader, text: str) -> None:
        """Have one line of a kind in a block, or none."""
        entries = [entry for entry in self.below(block) if entry.is_of(reader) and entry.block is block]
        self.lines.remove(entry.first for entry in (entries[1:] if text else entries))
        if text and entries:
            extent = _ALL if reader is Reader.TEXT else _UP_TO_COMMENT
            self.lines.change(entries[0].first, entries[0].statement.keyword.column, extent, text)
        elif text:
            self.put(block, self.keyed(block), text)

    def portals(self, old: tuple[PortalConfig, ...], new: tuple[PortalConfig, ...]) -> None:
        """A line that loses portals keeps the others; new ones go to the last line of their group."""
        left: dict[int, list[PortalConfig]] = {}  # by line
        for portal in old:
            left.setdefault(portal.span.line, []).extend([portal] if portal in new else [])
        fresh: dict[int, list[PortalConfig]] = {}  # by group
        for portal in (portal for portal in new if portal not in old):
            fresh.setdefault(portal.group, []).append(portal)
        had = {line: [portal for portal in old if portal.span.line == line] for line in left}
        for group, portals in fresh.items():
            line = max((line for line in left if had[line][0].group == group), default=0)
            if line:
                left[line] += portals
            else:
                anchor = self.at[max(left)] if left else self.keyed(self.outline.discovery)
                for text in portal_lines(portals):
                    self.put(self.outline.discovery, anchor, text)
        for line, portals in left.items():
            if not portals:
                self.lines.remove([line])
            elif portals != had[line]:
                (text,) = portal_lines(portals)
                self.lines.change(line, self.at[line].statement.keyword.column, _UP_TO_COMMENT, text)

    # -- where --------------------------------------------------------------------------------------------------

    def items(
        self,
        block: Block,
        places: list[Entry],
        matches: list[int | None],
        new: Sequence[T],
        line_of: Callable[[T], str],
    ) -> None:
        """Remove the lines of what has no match; write what is new behind the last line of its kind."""
        for index, place in enumerate(places):
            if index not in matches:
                self.lines.remove(range(place.first, place.last + 1))
        for item, match in zip(new, matches, strict=True):
            if match is None:
                self.put(block, places[-1] if places else self.keyed(block), line_of(item))

    def keyed(self, block: Block) -> Entry | None:
        """The last line of a block that was understood; None for discovery without any."""
        return next((entry for entry in reversed(self.below(block)) if entry.block is block and entry.option), None)

    def put(self, block: Block, anchor: Entry | None, line: str) -> None:
        """Write a new line behind ``anchor``; the first one of discovery above the comments of what comes first."""
        if anchor is not None:
            self.lines.add(anchor.last, self.indentation(block, anchor) + line)
        elif not self.entries:
            self.lines.add(self.lines.last, line)
        else:
            number = self.entries[0].first - 1
            while self.lines[number].lstrip(BLANKS).startswith("#"):
                number -= 1
            self.lines.add_above(number, line)

    def indentation(self, block: Block | None, anchor: Entry | None = None) -> str:
        """That of ``anchor`` if it is not at the head of its block, else of the block's lines, else of any target's."""
        discovery = self.outline.discovery
        like = anchor if anchor is not None and anchor.indented else None
        if like is None and block is not None:
            like = next((entry for entry in self.below(block) if entry.block is block and entry.indented), None)
        if like is None and block is not discovery:
            like = next((entry for entry in self.entries if entry.block is not discovery and entry.indented), None)
        if like is None:
            return "" if block is discovery else _INDENTATION
        line = self.lines[like.first]
        return line[: len(line) - len(line.lstrip(" \t"))]


def _matches(old: Sequence[T], new: Sequence[T], key: Callable[[T], Any] = lambda item: item) -> list[int | None]:
    """For each of ``new`` its place among ``old``, or None for what is to be written.

    Both are in the same order. What follows something new is new, too: new lines go behind those that stay.
    """
    keys = [key(item) for item in old]
    found: list[int | None] = []
    start = 0
    for item in new:
        wanted = key(item)
        match = next((index for index in range(start, len(keys)) if keys[index] == wanted), None)
        found.append(match)
        start = len(keys) if match is None else match + 1
    return found


def _frame(target: TargetConfig) -> tuple[Any, ...]:
    """What cannot change while a target stays the same one."""
    who = target.initiator_addresses, target.initiator_names, target.chap_algorithms
    return target.name, target.closed, *who


def _holds_anywhere(entry: Entry) -> bool:
    return entry.option is not None and entry.option.scope is Scope.ANYWHERE and not entry.is_of(Reader.TARGET)


def _speaks_for(block: Block, entry: Entry, readers: tuple[Reader, ...]) -> bool:
    """Whether this is a whole account line of ``block``, in IET's second block of a target, too."""
    own = entry.block is block or bool(block.name)  # what discovery inherits is not its own
    return own and any(map(entry.is_of, readers)) and len(entry.statement.words) > 1
