"""The walk over a file's lines: whose they are, what each does, what of IET's surprises applies (iet-compat 1.2-1.8).

One loader reads one file in one mode. Keywords come from ``options``, single values from ``values``, a Lun line from
``lun``; here is what depends on the lines around.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final

from ietpy.config.accounts import half_account, whole_account
from ietpy.config.block import Block, usable_name
from ietpy.config.findings import MODES, Finding, Report, quoted
from ietpy.config.lun import ALIKE, continues, joined, read_lun
from ietpy.config.model import Configuration, TargetConfig
from ietpy.config.options import ELSEWHERE, OPTION_BY_WORD, Option, Origin, Reader, Scope
from ietpy.config.syntax import BLANKS, Statement, Word
from ietpy.config.values import is_comment, read_value

#: Keywords that change what the lines below them mean; a misspelt one is reported, never guessed.
_NEVER_GUESSED: Final = (Reader.TARGET, Reader.LUN, Reader.COMPAT)


class Loader:
    """The state of reading one file: whose lines these are, and what has been found."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.discovery = Block(Word("", 1, 1))
        self.current = self.discovery
        self.targets: dict[str, Block] = {}  #: by lower-case name
        self.isns: dict[str, Any] = {}
        self.stray: Word | None = None  #: an account that IET gave to discovery
        self.lost = False  #: IET saw no Target, or no name, on the Target line we are below
        self.after_half_account = False
        self.first = True

    @property
    def iet(self) -> bool:
        return self.report.mode == "iet"

    @property
    def repair(self) -> bool:
        return self.report.mode == "repair"

    # -- the walk over the lines --------------------------------------------------------------------------------

    def run(self, statements: list[Statement]) -> Configuration:
        index = 0
        while index < len(statements):
            statement = statements[index]
            following = statements[index + 1] if index + 1 < len(statements) else None
            index += 1
            option = OPTION_BY_WORD.get(statement.keyword.text.lower())
            if option is None:
                self.unknown(statement)
            elif option.reader is Reader.LUN and not self.iet and following and continues(statement, following):
                index += 1
                self.known(option, joined(statement, following, self.report))
            else:
                self.known(option, statement)
            self.first = False
        return self.finished()

    def known(self, option: Option, statement: Statement) -> None:
        """A line whose keyword is in the vocabulary."""
        keyword = statement.keyword
        if option.origin is Origin.BORROWED:
            if not self.repair:
                return self.not_ours(keyword, option.prose)
            self.report.add(
                Finding.BORROWED, keyword, f"{quoted(keyword.text)} is no keyword of ietd.conf", option.prose
            )
        if not keyword.complete:
            self.report.add(
                Finding.NO_NEWLINE,
                keyword,
                "the file ends right after this keyword",
                "end the last line with a newline",
                "ignored the keyword",
            )
            if self.iet:
                return None
        return _READERS[option.reader](self, option, statement)

    def unknown(self, statement: Statement) -> None:
        """A line whose keyword is not: repaired if it can only mean one thing (decisions 1)."""
        keyword = statement.keyword
        head, joint, tail = (
            re.split("([=:])", keyword.text, maxsplit=1) if re.search("[=:]", keyword.text) else (keyword.text, "", "")
        )
        option = OPTION_BY_WORD.get(head.lower())
        near = [] if option else get_close_matches(head.lower(), OPTION_BY_WORD, n=1)
        sure = bool(near) and bool(get_close_matches(head.lower(), near, cutoff=ALIKE))
        if near:
            option = OPTION_BY_WORD[near[0]]
        if option is None or not (sure or not near) or not self.repair:
            return self.not_ours(keyword, f"did you mean {option.name}?" if option else "")
        if option.reader in _NEVER_GUESSED:
            return self.unclear(option, statement, head)
        if near:
            self.report.add(
                Finding.MISSPELT,
                keyword,
                f"{quoted(head)} is a misspelt {option.name}",
                f"write {option.name}",
            )
        if joint:
            self.report.add(
                Finding.JOINED,
                keyword,
                f"{quoted(head)} is joined to its value",
                f"write {option.name}, a blank, and the value",
            )
            statement = _parted(statement, tail)
        return self.known(option, statement)

    def not_ours(self, keyword: Word, hint: str) -> None:
        """Pass over a line. What may be a secret, after a '=' or below half an account, is not repeated."""
        head = re.split("[=:]", keyword.text, maxsplit=1)[0]
        if self.after_half_account:
            problem = "unknown keyword below an account line without a secret"
        elif head.startswith("\ufeff"):
            problem = "unknown keyword, because of the byte order mark"
        else:
            problem = f"unknown keyword {quoted(head)}"
        self.report.add(
            Finding.UNKNOWN_KEYWORD,
            keyword,
            problem,
            ELSEWHERE.get(keyword.text.lower()) or hint or "the line is ignored",
        )

    def unclear(self, option: Option, statement: Statement, head: str) -> None:
        """A misspelt Target, Lun or Compat: the writer must say it himself."""
        self.report.add(
            Finding.UNCLEAR_KEYWORD,
            statement.keyword,
            f"{quoted(head)} is no keyword; {_CONSEQUENCE[option.reader]}",
            f"did you mean {option.name}?",
        )
        if option.reader is Reader.TARGET:
            heir = self.current.heir or self.current
            self.current = Block(statement.keyword, heir=heir)

    # -- readers, one for each kind of line ---------------------------------------------------------------------

    def read_compat(self, option: Option, statement: Statement) -> None:
        words = statement.words
        if not self.first:
            self.report.add(
                Finding.COMPAT,
                statement.keyword,
                "Compat counts only on the first line",
                "move it to the top",
            )
        elif not words or words[0].text.lower() not in MODES:
            self.report.add(
                Finding.COMPAT,
                statement.keyword,
                "Compat needs a mode",
                f"write {option.value.accepts}; {self.report.mode} is used",
            )

    def read_target(self, option: Option, statement: Statement) -> None:
        words = self.words(statement, 1, "lost the name and ignored the lines that follow")
        if not words:
            self.report.add(
                Finding.TARGET_NAME,
                statement.keyword,
                "a Target line without a name; nothing below it is served",
                "write the name",
                "took accounts below it as discovery accounts",
            )
            self.current, self.lost = Block(statement.keyword, heir=self.discovery), False
            return
        self.surplus(option, words, 1)
        self.lost = not words[0].complete or self.behind_mark(statement)
        name = usable_name(words[0], self.report)
        if name is None:
            self.current = Block(words[0], heir=Block(words[0]))
            return
        first = self.targets.get(name.lower())
        if first is None:
            self.current = self.targets[name.lower()] = Block(statement.keyword, name)
            return
        self.report.add(
            Finding.DUPLICATE_TARGET,
            words[0],
            f"target {name} has a block already, at {self.report.span(first.place)}",
            "its lines are ignored but for accounts" if self.iet else "both are read as one; join them",
        )
        self.current = Block(words[0], heir=first) if self.iet else first

    def read_lun(self, option: Option, statement: Statement) -> None:
        if self.in_target(option, statement.keyword):
            lun = read_lun(statement, self.report)
            if lun is not None:
                self.current.add_lun(lun, self.report, statement.keyword)

    def read_account(self, option: Option, statement: Statement) -> None:
        owner = self.owner(statement.keyword)
        words = self.words(statement, 2, "ignored the line")
        self.after_half_account = len(words) < 2
        outgoing = option.reader is Reader.OUTGOING
        if self.after_half_account:
            half_account(owner, statement.keyword, outgoing, bool(words), self.report)
        else:
            self.surplus(option, words, 2)
            whole_account(owner, statement.keyword, words[0], words[1], outgoing, self.report)

    def read_value(self, option: Option, statement: Statement) -> None:
        if option.scope is Scope.TARGET and not self.in_target(option, statement.keyword):
            return
        words = self.value_words(option, statement)
        value = read_value(option, words, self.report) if words else None
        if value is None:
            return
        values = self.isns if option.scope is Scope.ANYWHERE else self.current.values
        if values.get(option.name, value) != value:
            self.report.add(
                Finding.REPEATED,
                statement.keyword,
                f"{option.name} is here twice with different values",
                "leave one of them",
            )
            if option.attribute == "isns_access_control":  # Yes anywhere switches it on, for good
                value = True
        values[option.name] = value

    def value_words(self, option: Option, statement: Statement) -> tuple[Word, ...]:
        """The words of a value; for IET a key of a target without any was 0."""
        if not option.tokenised:
            words = statement.words
        else:
            words = self.words(statement, 1, "crashed at start", keep=True)
        if words and not (is_comment(words[0]) and not self.iet):
            return words
        place = statement.keyword
        self.report.add(
            Finding.MISSING_VALUE,
            place,
            f"{option.name} has no value",
            f"write {option.value.accepts}",
            "" if option.crash else "took 0",
        )
        return (Word("0", place.line, place.column),) if self.iet and not option.crash else ()

    def read_text(self, option: Option, statement: Statement) -> None:
        if self.in_target(option, statement.keyword):
            self.current.alias = statement.rest.text

    def read_restriction(self, option: Option, statement: Statement) -> None:
        """tgt's access words; several lines, or several words, widen each other."""
        if not self.in_target(option, statement.keyword):
            return
        items = [item for word in statement.words for item in word.text.split(",") if item]
        if not items:
            self.report.add(
                Finding.EMPTY_RESTRICTION,
                statement.keyword,
                f"{option.name} names nobody; the target is closed",
                "write whom it admits",
            )
            self.current.closed = self.current.closed or f"line {statement.line} is a restriction without a value"
            return
        address = option.reader is Reader.ADDRESS
        (self.current.addresses if address else self.current.initiators).extend(items)

    # -- what the readers share ---------------------------------------------------------------------------------

    def words(self, statement: Statement, needed: int, iet: str, keep: bool = False) -> tuple[Word, ...]:
        """The words of a line; IET lost the last one of a file without a final newline."""
        words = statement.words
        if words and len(words) <= needed and not words[-1].complete:
            self.report.add(
                Finding.NO_NEWLINE,
                words[-1],
                "the file ends here, without a newline",
                "end the last line with a newline",
                iet,
            )
            if self.iet and not keep:
                return words[:-1]
        return words

    def surplus(self, option: Option, words: tuple[Word, ...], used: int) -> None:
        if len(words) > used and not is_comment(words[used]):
            self.report.add(
                Finding.SURPLUS,
                words[used],
                f"words follow the value of {option.name}; they are ignored",
                "remove them, or put '#' before a comment",
            )

    def in_target(self, option: Option, keyword: Word) -> bool:
        """Whether a line has a target to belong to; those of an orphan were reported with its Target line."""
        if self.current is self.discovery:
            self.report.add(
                Finding.SCOPE,
                keyword,
                f"{option.name} stands before the first Target; it is ignored",
                "move it below a Target line",
            )
        return self.current is not self.discovery and self.current.heir is None

    def owner(self, keyword: Word) -> Block:
        """Who gets the accounts of the current block.

        Target accounts never fall into discovery (decisions 1); but where they did under IET they closed it, so
        it must not be open now.
        """
        heir = self.current.heir
        if heir is self.discovery or self.lost:
            self.stray = self.stray or keyword
            return self.current
        return heir or self.current

    def behind_mark(self, statement: Statement) -> bool:
        """Whether a byte order mark hid this line from IET."""
        return statement.line == 1 and any(one.code == Finding.BOM.code for one in self.report.diagnostics)

    # -- the end ------------------------------------------------------------------------------------------------

    def finished(self) -> Configuration:
        discovery = self.discovery
        if self.stray is not None and not discovery.incoming:
            discovery.closed = (
                discovery.closed or f"line {self.stray.line} is an account below a Target line that IET did not see"
            )
            self.report.add(
                Finding.CLOSED_DISCOVERY,
                self.stray,
                "IET did not see the Target line above this account; discovery is closed until it is corrected",
                "correct that line, or write an account for discovery at the top",
            )
        targets: tuple[TargetConfig, ...] = tuple(block.finished(self.report) for block in self.targets.values())
        return Configuration(
            self.report.file,
            self.report.mode,
            targets,
            tuple(discovery.incoming),
            discovery.outgoing,
            discovery.closed,
            self.isns.get("iSNSServer", ""),
            self.isns.get("iSNSAccessControl", False),
            self.report.in_order(),
        )


def _parted(statement: Statement, tail: str) -> Statement:
    """``Key=value`` as ``Key value``."""
    keyword, rest = statement.keyword, statement.rest
    head = len(keyword.text) - len(tail) - 1
    if not tail:
        return statement
    text = f"{tail} {rest.text}".rstrip(BLANKS)
    return Statement(
        Word(keyword.text[:head], keyword.line, keyword.column),
        Word(text, keyword.line, keyword.column + head + 1, rest.complete),
    )


_CONSEQUENCE: Final = {
    Reader.TARGET: "nothing below it is served, and accounts hold for the target above",
    Reader.LUN: "no LUN is served for it",
    Reader.COMPAT: "the mode does not change",
}

_READERS: Final[dict[Reader, Callable[[Loader, Option, Statement], None]]] = {
    Reader.COMPAT: Loader.read_compat,
    Reader.TARGET: Loader.read_target,
    Reader.LUN: Loader.read_lun,
    Reader.INCOMING: Loader.read_account,
    Reader.OUTGOING: Loader.read_account,
    Reader.VALUE: Loader.read_value,
    Reader.TEXT: Loader.read_text,
    Reader.ADDRESS: Loader.read_restriction,
    Reader.INITIATOR: Loader.read_restriction,
}
