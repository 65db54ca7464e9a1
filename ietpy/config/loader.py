"""The walk over a file's lines: whose they are, what each does, what of IET's surprises applies (iet-compat 1.2-1.8).

One loader reads one file in one mode. Keywords come from ``options``, unknown ones are understood by ``strangers``,
single values by ``values``, a Lun line by ``lun``; here is what depends on the lines around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ietpy.config.accounts import half_account, hollow, note_quotes, whole_account
from ietpy.config.block import Block, usable_name
from ietpy.config.extensions import EXTENSIONS
from ietpy.config.findings import MODES, Finding, Report, quoted
from ietpy.config.isns import IsnsLines
from ietpy.config.lun import continued, read_lun
from ietpy.config.model import Configuration
from ietpy.config.options import OPTION_BY_WORD, RESTRICTING, Option, Origin, Reader, Scope
from ietpy.config.portals import PortalLines
from ietpy.config.restrictions import restrict
from ietpy.config.secret_files import check_directions
from ietpy.config.strangers import Guard, Stranger, behind, guard, in_one_word, joint_before, parted, seen, stranger
from ietpy.config.syntax import Statement, Word
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
        self.everywhere = Block(Word("", 1, 1))  #: restrictions above the first Target: they hold for all of them
        self.isns = IsnsLines()
        self.portals = PortalLines()
        self.processes: int | None = None
        self.metrics: str | None = None
        self.stray: Word | None = None  #: an account that IET gave to discovery
        self.lost = False  #: IET saw no Target, or no name, on the Target line we are below
        self.after_half_account = False
        self.unread = False  #: IET did not read this line; its keyword is misspelt or of somebody else's
        self.read_otherwise = False  #: IET did, but took an equals sign for one of its words
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
            index += 1
            self.unread = self.read_otherwise = False
            option = OPTION_BY_WORD.get(statement.keyword.text.lower())
            if statement.tail:
                self.tail(option, statement)
                continue
            if option is None:
                self.unknown(statement)
            else:
                if option.reader is Reader.LUN and not self.iet:
                    statement, used = continued(statement, statements[index:], self.report)
                    index += used
                self.known(option, statement)
            self.first = False
        return self.finished()

    def tail(self, option: Option | None, statement: Statement) -> None:
        """What only IET saw, the rest of a long line: read if it kept somebody out, so that he stays there."""
        if option is not None and option.reader is Reader.TARGET:
            self.lost = True
        elif option is not None and option.guards and seen(option, statement):
            problem = f"IET read the rest of this line as {option.name}, and it holds"
            self.report.add(Finding.LONG_LINE, statement.keyword, problem, "shorten the line")
            self.known(option, statement)

    def known(self, option: Option, statement: Statement) -> None:
        """A line whose keyword is in the vocabulary."""
        keyword = statement.keyword
        if option.origin is Origin.BORROWED:
            if not self.repair:
                return self.not_ours(stranger(keyword), keyword)
            self.unread = True
            problem = f"{self.shown(keyword.text)} is no keyword of ietd.conf"
            self.report.add(Finding.BORROWED, keyword, problem, option.prose)
        if not keyword.complete:
            problem, hint = "the file ends right after this keyword", "end the last line with a newline"
            self.report.add(Finding.NO_NEWLINE, keyword, problem, hint, "ignored the keyword")
            if self.iet:
                return None
        joint = joint_before(option, statement)
        if joint is not None:
            problem, hint = f"{quoted(joint.text)} stands before the value of {option.name}", "leave it out"
            self.report.add(Finding.JOINED, joint, problem, hint, "took it for the first word")
            if not self.iet:
                self.read_otherwise = self.unread = True
                statement = behind(statement, joint)
        return _READERS[option.reader](self, option, statement)

    def unknown(self, statement: Statement) -> None:
        """A line whose keyword is not: repaired if it can only mean one thing (decisions 1)."""
        keyword = statement.keyword
        unknown = stranger(keyword)
        option = unknown.option
        if not self.repair:
            return self.not_ours(unknown, keyword)
        whole = in_one_word(unknown, statement)
        if whole is not None and whole[0].reader not in _NEVER_GUESSED:
            option, statement = whole
            self.unread = True
            problem = f"{option.name} stands here as two words"
            self.report.add(Finding.MISSPELT, keyword, problem, f"write {option.name}")
            return self.known(option, statement)
        kept_out = guard(unknown, statement)
        if kept_out is not None and self.current.heir is None:
            return self.guarded(kept_out, unknown, keyword)
        if option is None or not unknown.sure:
            return self.not_ours(unknown, keyword)
        if option.reader in _NEVER_GUESSED:
            return self.unclear(option, statement, unknown)
        self.unread = True
        shown = self.shown(unknown.head)
        if not unknown.exact:
            problem = f"{shown} is a misspelt {option.name}"
            self.report.add(Finding.MISSPELT, keyword, problem, f"write {option.name}")
        if unknown.joint:
            problem, hint = f"{shown} is joined to its value", f"write {option.name}, a blank, and the value"
            self.report.add(Finding.JOINED, keyword, problem, hint)
            statement = parted(statement, unknown)
        return self.known(option, statement)

    def shown(self, head: str) -> str:
        """A keyword for a message; below half an account it may be the secret, and is not repeated."""
        return "this word" if self.after_half_account else quoted(head)

    def not_ours(self, unknown: Stranger, keyword: Word) -> None:
        """Pass over a line."""
        if self.after_half_account:
            problem = "unknown keyword below an account line without a secret"
        elif unknown.head.startswith("\ufeff"):
            problem = "unknown keyword, because of the byte order mark"
        else:
            problem = f"unknown keyword {quoted(unknown.head)}"
        self.report.add(Finding.UNKNOWN_KEYWORD, keyword, problem, unknown.hint)

    def guarded(self, kept_out: Guard, unknown: Stranger, keyword: Word) -> None:
        """A line that keeps somebody out in words that cannot be understood: close what it may be about."""
        problem = f"{self.shown(unknown.head)} is no keyword; {kept_out.effect}"
        self.report.add(Finding.UNCLEAR_KEYWORD, keyword, problem, kept_out.hint)
        if kept_out.isns:
            self.isns.values["iSNSAccessControl"] = True
            self.isns.control = self.isns.control or keyword
            return
        why = f"line {keyword.line} may say who is kept out, and is not understood"
        for block in (self.discovery, self.everywhere) if self.current is self.discovery else (self.current,):
            if kept_out.read_only:
                block.read_only = True
            elif kept_out.account:
                block.asks = block.asks or why
            else:
                block.close(why)

    def unclear(self, option: Option, statement: Statement, unknown: Stranger) -> None:
        """A misspelt Target, Lun or Compat: the writer must say it himself."""
        problem = f"{self.shown(unknown.head)} is no keyword; {_CONSEQUENCE[option.reader]}"
        self.report.add(Finding.UNCLEAR_KEYWORD, statement.keyword, problem, f"did you mean {option.name}?")
        if option.reader is Reader.TARGET:
            self.current = Block(statement.keyword, heir=self.current.heir or self.current)

    # -- readers, one for each kind of line ---------------------------------------------------------------------

    def read_compat(self, option: Option, statement: Statement) -> None:
        words = statement.words
        if not self.first:
            problem = "Compat counts only on the first line"
            self.report.add(Finding.COMPAT, statement.keyword, problem, "move it to the top")
        elif not words or words[0].text.lower() not in MODES:
            hint = f"write {option.value.accepts}; {self.report.mode} is used"
            self.report.add(Finding.COMPAT, statement.keyword, "Compat needs a mode", hint)

    def read_target(self, option: Option, statement: Statement) -> None:
        words = self.words(statement, 1, "lost the name and ignored the lines that follow")
        if not words:
            problem, iet = "a Target line without a name; nothing below it is served", "took accounts for discovery's"
            self.report.add(Finding.TARGET_NAME, statement.keyword, problem, "write the name", iet)
            # Below a keyword that IET missed, too, everything belonged to the target above.
            heir = self.discovery if statement.keyword.complete else self.current.heir or self.current
            self.current, self.lost = Block(statement.keyword, heir=heir), False
            return
        self.surplus(option, words, 1)
        note_quotes(words[0], "name", self.report)
        self.lost = not words[0].complete or self.behind_mark(statement)
        name = usable_name(words[0], self.report)
        if name is None:
            self.current = Block(words[0], heir=Block(words[0]))
            return
        first = self.targets.get(name.lower())
        if first is None:
            self.current = self.targets[name.lower()] = Block(statement.keyword, name)
            return
        problem = f"target {name} has a block already, at {self.report.span(first.place)}"
        hint = "its lines are ignored but for accounts" if self.iet else "both are read as one; join them"
        self.report.add(Finding.DUPLICATE_TARGET, words[0], problem, hint)
        self.current = Block(words[0], heir=first) if self.iet else first
        first.second = True

    def read_lun(self, option: Option, statement: Statement) -> None:
        if self.in_target(option, statement.keyword):
            lun = read_lun(statement, self.report)
            if lun is not None:
                self.current.add_lun(lun, self.report, statement.keyword)

    def read_account(self, option: Option, statement: Statement) -> None:
        owner = self.owner(option, statement)
        words = self.words(statement, 2, "ignored the line")
        stand_in = hollow(words[:2])
        outgoing, read = option.reader is Reader.OUTGOING, not self.unread and all(one.complete for one in words[:2])
        if stand_in is not None and not self.iet:
            words = words[: words.index(stand_in)]
        if self.unread and len(words) > 2 and not is_comment(words[2]):
            words = words[:1]  # repaired only where the line can mean one thing
        self.after_half_account = len(words) < 2 or stand_in is not None
        if self.after_half_account:
            half_account(owner, statement.keyword, outgoing, bool(words), self.report, stand_in)
        if len(words) >= 2:
            self.surplus(option, words, 2)
            whole_account(owner, statement.keyword, words[0], words[1], outgoing, self.report, read=read)

    def read_value(self, option: Option, statement: Statement) -> None:
        block = self.current
        if option.scope is Scope.TARGET and not self.in_target(option, statement.keyword):
            if not (option.guards and self.repair and block.heir is not None and block.heir.name):
                return
            block = block.heir  # below a misspelt Target line, where IET gave it to the target above
        words = self.value_words(option, statement)
        value = read_value(option, words, self.report) if words else None
        if value is None:
            return
        if option.attribute == "isns_access_control" and value:
            self.isns.control = self.isns.control or statement.keyword
        values = self.isns.values if option.scope is Scope.ANYWHERE else block.values
        unread = self.unread or block.second or block is not self.current
        if values.get(option.name, value) != value:
            value = self.of_two(option, statement, values[option.name], value, unread or option.name in block.unread)
        values[option.name] = value
        if unread:
            block.unread.add(option.name)

    def of_two(self, option: Option, statement: Statement, old: Any, new: Any, unread: bool) -> Any:
        """Which of two values counts: the later; but a door once closed stays so."""
        value = new
        if option.attribute == "isns_access_control":
            value = True  # Yes anywhere switches it on, for good
        elif option.guards and unread and self.repair:
            value = min(old or new, new or old)
        problem = f"{option.name} is here twice with different values"
        hint = f"leave one of them; {option.value.render(value)} is used"
        self.report.add(Finding.REPEATED, statement.keyword, problem, hint)
        return value

    def value_words(self, option: Option, statement: Statement) -> tuple[Word, ...]:
        """The words of a value; for IET a key of a target without any was 0."""
        words = self.words(statement, 1, "crashed at start", keep=True) if option.tokenised else statement.words
        commented = bool(words) and is_comment(words[0])
        if words and not commented:
            return words
        place, problem, hint = statement.keyword, f"{option.name} has no value", f"write {option.value.accepts}"
        iet = "took the comment for it" if commented else "" if option.crash else "took 0"
        self.report.add(Finding.MISSING_VALUE, place, problem, hint, iet)
        if commented and self.iet:
            return words
        if option.attribute == "isns_server":
            self.isns.lost = place
        elif option.guards and option.crash and not self.iet:
            return (Word("Yes", place.line, place.column),)
        return (Word("0", place.line, place.column),) if self.iet and not option.crash else ()

    def read_text(self, option: Option, statement: Statement) -> None:
        if self.in_target(option, statement.keyword):
            self.current.alias = statement.rest.text

    def read_restriction(self, option: Option, statement: Statement) -> None:
        top = self.current is self.discovery
        self.in_target(option, statement.keyword)
        block = self.everywhere if top else self.current.restricted(option)
        if block is not None:
            restrict(option, statement, block, self.report)

    # -- what the readers share ---------------------------------------------------------------------------------

    def words(self, statement: Statement, needed: int, iet: str, keep: bool = False) -> tuple[Word, ...]:
        """The words of a line; IET lost the last one of a file without a final newline."""
        words = statement.words
        if words and len(words) <= needed and not words[-1].complete:
            problem, hint = "the line ends here, but not with a newline", "end it with one"
            self.report.add(Finding.NO_NEWLINE, words[-1], problem, hint, iet)
            if self.iet and not keep:
                return words[:-1]
        return words

    def surplus(self, option: Option, words: tuple[Word, ...], used: int) -> None:
        if len(words) > used and not is_comment(words[used]):
            problem = f"words follow the value of {option.name}; they are ignored"
            self.report.add(Finding.SURPLUS, words[used], problem, "remove them, or put '#' before a comment")

    def in_target(self, option: Option, keyword: Word) -> bool:
        """Whether a line has a target to belong to; those of an orphan were reported with its Target line."""
        if self.current is self.discovery:
            restricts = option.reader in RESTRICTING
            effect = "it holds for every target without one of its own" if restricts else "it is ignored"
            problem = f"{option.name} stands before the first Target; {effect}"
            self.report.add(Finding.SCOPE, keyword, problem, "move it below a Target line")
        return self.current is not self.discovery and self.current.heir is None

    def owner(self, option: Option, statement: Statement) -> Block:
        """Who gets the accounts of the current block.

        Target accounts never fall into discovery (decisions 1); but where they did under IET they closed it, so
        it must not be open now.
        """
        heir = self.current.heir
        if heir is not self.discovery and not self.lost:
            return heir or self.current
        read = self.read_otherwise or (not self.unread and seen(option, statement))
        if option.reader is Reader.INCOMING and read:
            self.stray = self.stray or statement.keyword
        return self.current

    def behind_mark(self, statement: Statement) -> bool:
        """Whether a byte order mark hid this line from IET."""
        return statement.line == 1 and any(one.code == Finding.BOM.code for one in self.report.diagnostics)

    # -- the end ------------------------------------------------------------------------------------------------

    def finished(self) -> Configuration:
        discovery = self.discovery
        if self.stray is not None and not discovery.accounts():
            discovery.close(f"line {self.stray.line} is an account below a Target line that IET did not see")
            problem = "IET did not see the Target line above this account; discovery is closed until it is corrected"
            hint = "correct that line, or write an account for discovery at the top"
            self.report.add(Finding.CLOSED_DISCOVERY, self.stray, problem, hint)
        ours = discovery.outgoing or discovery.mended_outgoing
        check_directions(discovery.accounts(), ours, self.report, files=False)
        self.isns.check(self.everywhere, self.report)
        self.portals.check((self.everywhere, *self.targets.values()), self.report)
        portals = self.portals.portals(self.report)
        targets = tuple(block.finished(self.report, self.everywhere) for block in self.targets.values())
        return Configuration(
            self.report.file,
            self.report.mode,
            targets,
            discovery.accounts(),
            ours,
            discovery.why_closed(),
            self.isns.values.get("iSNSServer", ""),
            self.isns.values.get("iSNSAccessControl", False),
            portals,
            self.report.in_order(),
            discovery.algorithms,
            1 if self.processes is None else self.processes,
            self.metrics or "",
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
    Reader.ADMITTED: Loader.read_restriction,
    **EXTENSIONS,
    Reader.PORTAL_GROUPS: Loader.read_restriction,
}
