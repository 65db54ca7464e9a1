"""The text of an allow or deny file as rules: lines, items, addresses (iet-compat sections 3.2 and 3.3).

In ``iet`` and ``strict`` an item of an allow file means what IET took it for. In ``repair`` one that IET never
matched is understood if it names hosts or a bounded network; what would admit everybody stays closed. A deny file is
read as widely as it can be, in all modes: as IET did and as its writer meant it, and what is not understood denies
everybody. No mode copies that items matched across address families, or that an address was also taken for an
expression, so that an initiator could let itself in by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from ietpy.config.access_addresses import OCTAL, Network, Written, crossed, read_address
from ietpy.config.bre import BadExpressionError, branches, compile_bre
from ietpy.config.findings import Finding, Report, printable, quoted
from ietpy.config.syntax import BLANKS, LONGEST_LINE, Word, to_bytes, to_text
from ietpy.errors import Span

EVERYBODY: Final = "ALL"
_WORD: Final = re.compile(f"[^{BLANKS}]+")
_BOM: Final = "\ufeff"
#: An initiator's name without any of an expression's powers, but with dots that may be escaped.
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9:_-]|\\?\.)+")
#: What is written for an address or a host: no iSCSI name begins so (RFC 7143 section 4.2.7).
_LIKE_ADDRESS: Final = re.compile(r"[0-9]+\\?[.:/*]|\[[0-9a-fA-F]*:|[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:[/%]|$)")
_LIKE_HOST: Final = re.compile(r"(?!(?:iqn|eui|naa)\.)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a line, where it stands, and whom it means: everybody, or a network, or names, or nobody."""

    text: str
    span: Span
    everybody: bool = False
    network: Network | None = None
    name: Callable[[str], bool] | None = None

    def why(self, initiator: str, address: Network | None) -> str:
        """Why this initiator is meant, as a clause; empty if it is not."""
        if self.everybody:
            return f"{quoted(self.text)} {'means' if self.text == EVERYBODY else 'is taken for'} everybody"
        if self.name is not None and self.name(initiator):
            return f"{quoted(self.text)} matches the name {printable(initiator)}"
        if self.network is not None and address is not None and self.network.holds(address):
            return f"{quoted(self.text)} holds the address {address}"
        return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: the target's name in lower case, or ``ALL``, and whom it means."""

    target: str
    items: tuple[Item, ...]
    span: Span
    #: Reading stops here. Lines that only we understand deny, but hide no line that IET honoured.
    final: bool = True
    note: str = ""  #: said instead of what the items say

    def match(self, initiator: str, address: Network | None) -> Match:
        """Whether an initiator (of no name, if it is about our own addresses) is meant."""
        for item in self.items:
            why = item.why(initiator, address)
            if why:
                return Match(True, item.span, self.note or why)
        asked = " or ".join(quoted(printable(str(one))) for one in (initiator, address) if one)
        return Match(False, self.span, self.note or f"no item of this line matches {asked or 'any address'}")


@dataclass(frozen=True, slots=True)
class Match:
    """What some rules say of one initiator: whether it is meant, by what, and why, as a clause."""

    found: bool
    span: Span | None
    why: str


@dataclass(frozen=True, slots=True)
class Kind:
    """How one of the files is read."""

    name: str
    names: bool  #: items may be expressions for initiator names
    denies: bool = False


INITIATORS_ALLOW: Final = Kind("initiators.allow", names=True)
INITIATORS_DENY: Final = Kind("initiators.deny", names=True, denies=True)
TARGETS_ALLOW: Final = Kind("targets.allow", names=False)
KINDS: Final = (INITIATORS_ALLOW, INITIATORS_DENY, TARGETS_ALLOW)


def match(rules: Iterable[Rule], initiator: str, address: Network | None) -> Match | None:
    """What the first of some rules for one target says; None without any (iet-compat 3.2)."""
    found = None
    for rule in rules:
        found = rule.match(initiator, address)
        if found.found or rule.final:
            break
    return found


def read_rules(text: str, kind: Kind, report: Report, target: str = "") -> Iterator[Rule]:
    """The rules of a file; with ``target`` only those for it and for ``ALL``, so that others cost little."""
    names = (EVERYBODY, target.lower())
    for line in _lines(text, kind, report.mode):
        found = _WORD.search(line.word.text)
        if found is None or found.group().startswith("#"):
            continue
        first, lower = found.group(), found.group().lower()
        name = EVERYBODY if first == EVERYBODY or (kind.denies and lower == "all") else lower
        if target and name not in names:
            continue
        if line.problem:
            report.add(Finding.ACL_LINE, line.word, line.problem, *_ADVICE[line.problem])
        rule = _rule(line, line.word.at(found.start(), first), name, kind, report) if line.understood else None
        if rule is not None:
            yield rule


# -- lines --------------------------------------------------------------------------------------------------------

_BOM_PROBLEM: Final = "the file begins with a UTF-8 byte order mark"
_NUL_PROBLEM: Final = "a NUL byte stands in this line"
_LONG_PROBLEM: Final = f"this line has more than the {LONGEST_LINE - 1} bytes a line may have"
_END_PROBLEM: Final = "the file ends without a newline"
#: How to mend these, and what IET did.
_ADVICE: Final = {
    _BOM_PROBLEM: ("save it without one", "took it for a part of the target's name"),
    _NUL_PROBLEM: ("remove it", "ignored the line"),
    _LONG_PROBLEM: (
        "shorten it, by networks or expressions; a second line for the same target does not count",
        "ignored all but the tail, which it read as a line of its own",
    ),
    _END_PROBLEM: ("end the line with a newline", "ignored the line"),
}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line as somebody read it. One with a ``problem`` IET did not see."""

    word: Word
    problem: str = ""
    understood: bool = True


def _lines(text: str, kind: Kind, mode: str) -> Iterator[_Line]:
    """The lines as IET saw them, or as they were meant, or for a deny file both; the others to be reported."""
    meant = mode == "repair" or kind.denies
    *lines, unended = text.split("\n")
    for number, line in enumerate(lines, 1):
        mark = number == 1 and line.startswith(_BOM)
        long = len(line) > LONGEST_LINE // 4 and len(to_bytes(line)) >= LONGEST_LINE
        if not mark and not long and "\0" not in line:
            yield _Line(Word(line, number, 1))
            continue
        problem = _NUL_PROBLEM if "\0" in line else _LONG_PROBLEM if long else _BOM_PROBLEM
        yield _spoilt(line, number, mark, problem, meant)
        if long and (mode != "repair" or kind.denies):
            yield from _tail(line, number)
    yield _spoilt(unended, len(lines) + 1, not lines and unended.startswith(_BOM), _END_PROBLEM, meant)


def _spoilt(line: str, number: int, mark: bool, problem: str, understood: bool) -> _Line:
    """A line that IET did not see, up to a NUL byte and without a byte order mark."""
    return _Line(Word(line[mark:].partition("\0")[0], number, 1 + mark), problem, understood)


def _tail(line: str, number: int) -> Iterator[_Line]:
    """The line that IET took the end of too long a line for, having dropped its pieces without a newline."""
    data = to_bytes(line)
    tail = to_text(data[len(data) // LONGEST_LINE * LONGEST_LINE :])
    if "\0" not in tail:
        yield _Line(Word(tail, number, len(line) - len(tail) + 1))


def _words(word: Word) -> list[Word]:
    """What stands between blanks as C's isspace sees them; a no-break space is part of a word."""
    return [word.at(found.start(), found.group()) for found in _WORD.finditer(word.text)]


def _rule(line: _Line, first: Word, name: str, kind: Kind, report: Report) -> Rule | None:
    """The rule that a line makes of its target and its items; None if it has none, so IET passed over it."""
    text = line.word.text
    after = first.column - line.word.column + len(first.text)
    bare = after == len(text)
    lost = bool(line.problem) and not kind.denies
    items = tuple(_items(line.word.at(after, text[after:]), lost, kind, report))
    if not items:
        effect = "it denies everybody, to be safe" if kind.denies else "it admits nobody"
        problem = "a name without items" + ("" if bare and not kind.denies else f"; {effect}")
        iet = "" if bare else "took it for a line that means nobody"
        report.add(Finding.ACL_LINE, first, problem, "write whom the line means", iet)
        if kind.denies:
            items = (Item(first.text, report.span(first), everybody=True),)
        elif bare:
            return None
    renamed = name == EVERYBODY and first.text != EVERYBODY
    ours_alone = kind.denies and bool(line.problem or bare or renamed)
    return Rule(name, items, report.span(first), final=not ours_alone)


# -- items --------------------------------------------------------------------------------------------------------


def _items(rest: Word, lost: bool, kind: Kind, report: Report) -> Iterator[Item]:
    """The items of a line: between commas; where they were meant to be, also between blanks."""
    for word in _between_commas(rest):
        pieces = _words(word)
        if word.text.startswith("[") and "]" not in word.text and not kind.denies:
            report.add(Finding.ACL_ITEM, word, "'[' without ']'; the rest of the line is not read", "close it")
            yield Item(word.text, report.span(word))
            return
        if len(pieces) == 1 and not pieces[0].text.startswith("#"):
            yield _item(word, lost, kind, report)
            continue
        meant = list(takewhile(lambda piece: not piece.text.startswith("#"), pieces))
        commented = len(meant) < len(pieces)
        problem = "a comment behind items" if commented else "blanks between items"
        hint = "put it on a line of its own" if commented else "join items by commas"
        report.add(Finding.ACL_REPAIRED, word, problem, hint, "took it as part of an item" if commented else "")
        if kind.denies or report.mode != "repair":
            yield Item(word.text, report.span(word), name=_expression(word.text, kind))
        if kind.denies or report.mode == "repair":
            yield from (_item(piece, not kind.denies, kind, report) for piece in meant)
        if commented and report.mode == "repair" and not kind.denies:
            return


def _between_commas(rest: Word) -> Iterator[Word]:
    start = 0
    for part in rest.text.split(","):
        bare = part.strip(BLANKS)
        if bare:
            yield rest.at(start + part.index(bare), bare)
        start += len(part) + 1


def _item(word: Word, bounded: bool, kind: Kind, report: Report) -> Item:
    """What one item means. ``bounded``: IET did not see it, so it may name hosts but not everybody."""
    text, span = word.text, report.span(word)
    if text == EVERYBODY:
        if bounded:
            problem = "ALL is not honoured here, as IET did not see it"
            report.add(Finding.ACL_EVERYBODY, word, problem, "write it between commas, and end the line")
        return Item(text, span, everybody=not bounded)
    written = read_address(text)
    if written is not None:
        return _address_item(word, written, bounded, kind, report)
    name = None
    if not _LIKE_ADDRESS.match(text):
        name = _literal(text, kind) if bounded else _expression(text, kind)
    if name is None:
        finding, effect = Finding.ACL_ITEM, "matches nobody"
        if kind.denies:
            finding, effect = Finding.ACL_EVERYBODY, "is not understood and denies everybody, to be safe"
        accepted = (
            "an address, or an expression for names without a comma in it"
            if kind.names
            else "an address of this machine"
        )
        report.add(finding, word, f"{quoted(text)} {effect}", f"write {accepted}")
    elif _LIKE_HOST.fullmatch(text):
        problem = f"{quoted(text)} is compared with initiator names only; host names never match"
        report.add(Finding.ACL_ITEM, word, problem, "write the host's address", "took it so, too")
    elif not kind.denies and not bounded and branches(text):
        problem = f"each alternative of {quoted(text)} must match a whole name"
        hint = "write .* where more may stand"
        report.add(Finding.ACL_ITEM, word, problem, hint, "let the first end anyhow and the last begin anyhow")
    return Item(text, span, everybody=kind.denies and name is None, name=name)


def _expression(text: str, kind: Kind) -> Callable[[str], bool] | None:
    """The names an expression means, for a deny file with all that IET's anchors let through."""
    try:
        return compile_bre(text, kind.denies) if kind.names else None
    except BadExpressionError:
        return None


def _literal(text: str, kind: Kind) -> Callable[[str], bool] | None:
    return text.replace("\\.", ".").__eq__ if kind.names and _LITERAL.fullmatch(text) else None


def _address_item(word: Word, written: Written, bounded: bool, kind: Kind, report: Report) -> Item:
    """An item that is an address: with IET's or the writer's reading of it."""
    text, span, network = word.text, report.span(word), written.network
    unbounded = network.prefix == 0 and (network.version == 4 or bounded or kind.denies)
    if unbounded and not kind.denies:
        problem = f"{quoted(text)} means everybody and is not honoured"
        report.add(Finding.ACL_EVERYBODY, word, problem, "write ALL if you mean it")
        return Item(text, span)
    if unbounded:
        report.add(Finding.ACL_REPAIRED, word, f"{quoted(text)} is taken for everybody", "write ALL")
        return Item(text, span, everybody=True)
    if written.zone and not kind.denies:
        report.add(Finding.ACL_ITEM, word, f"{quoted(text)} names a zone, which is never compared", "leave it out")
        return Item(text, span)
    if not written.valid or written.junk:
        problem = f"{quoted(text)} is not how {'a network' if '/' in text else 'an address'} is written"
        iet = f"read {network.prefix} bits" if written.valid else ""
        report.add(Finding.ACL_REPAIRED, word, problem, f"write {network}", iet)
    elif crossed(network):
        own, other = ("IPv4", "IPv6") if network.version == 4 else ("IPv6", "IPv4")
        problem = f"{quoted(text)} holds {own} addresses only"
        report.add(Finding.ACL_ITEM, word, problem, f"name {other} addresses if you mean them", f"matched {other}, too")
    elif OCTAL[network.version].search(text):
        problem = f"{quoted(text)} has numbers that begin with 0 and are octal: it means {network}"
        report.add(Finding.OCTAL, word, problem, "remove the zeros")
    honoured = written.valid or kind.denies or report.mode == "repair"
    name = _expression(text, kind) if kind.denies else None
    return Item(text, span, network=network if honoured else None, name=name)


def read_restriction(text: str, span: Span) -> Item:
    """tgt's ``initiator-address`` as an item; whom IET let in anyway it may let in, so all forms are honoured."""
    written = read_address(text)
    network = None if written is None or written.zone else written.network
    return Item(text, span, everybody=text == EVERYBODY, network=network)
