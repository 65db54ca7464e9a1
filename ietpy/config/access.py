"""initiators.allow, initiators.deny and targets.allow: who may use which target (iet-compat section 3).

The files are read again at every question, so edits are live. Anything that cannot be read denies. Items match as
in IET but for its accidents across address families, which no mode copies. In ``repair`` an item IET never matched
is understood if it names hosts or a bounded network; what would admit everybody stays closed. Deny lines are read
as widely as they can be.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from ietpy.config.bre import BadExpressionError, compile_bre
from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.model import TargetConfig
from ietpy.config.syntax import BLANKS, LONGEST_LINE, Word, split_blanks, to_bytes, to_text
from ietpy.config.values import strtol
from ietpy.errors import Diagnostic
from ietpy.iscsi.target import Asker

DIRECTORIES: Final = ("/etc/iet", "/etc")  #: each file falls back on its own
_EVERYBODY: Final = "ALL"
#: What inet_aton takes, without the blanks and what follows them that it takes, too.
_DOTTED: Final = re.compile("[0-9a-fA-FxX.]+")
#: An initiator's name without any of an expression's powers, but with dots that may be escaped.
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9:_-]|\\?\.)+")


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses of one family whose first ``prefix`` bits are those of ``base``."""

    version: int
    base: int
    prefix: int

    @property
    def bits(self) -> int:
        return 32 if self.version == 4 else 128

    def holds(self, address: Network) -> bool:
        """Whether a single address (a network of itself) lies within; never across families."""
        shift = self.bits - self.prefix
        return self.version == address.version and self.base >> shift == address.base >> shift


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a line: everybody, or a network, or names."""

    everybody: bool = False
    network: Network | None = None
    name: Callable[[str], bool] | None = None

    def matches(self, initiator: str, address: Network | None) -> bool:
        if self.everybody or (self.name is not None and self.name(initiator)):
            return True
        return self.network is not None and address is not None and self.network.holds(address)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: the target's name in lower case, or ``ALL``, and whom it means."""

    target: str
    items: tuple[Item, ...]


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


class AccessFiles:
    """The three files in ``directories``, the first of which that has a file counts for it."""

    def __init__(self, *directories: str, compat: str = "repair") -> None:
        self.directories = directories or DIRECTORIES
        self.compat = compat

    def admits(self, target: str, initiator: str, peer: str, local: str) -> bool:
        """Whether ``initiator`` at ``peer`` may use ``target`` by our address ``local`` (numeric addresses)."""
        return self._initiator_may(target, initiator, parse_address(peer)) and self._by_address(target, local)

    def rule(self, target: TargetConfig) -> Callable[[Asker], bool]:
        """The access rule of a configured target: these files, and the restrictions in its block."""
        restriction = restricted(target, self.compat)
        return lambda asker: restriction(asker) and self.admits(target.name, asker.initiator, asker.peer, asker.local)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the files as they are now."""
        found: list[Diagnostic] = []
        for kind in KINDS:
            path = self.path(kind)
            if path is None:
                continue
            report = Report(str(path), self.compat)
            self.rules(kind, report)
            found += report.in_order()
        return tuple(found)

    def path(self, kind: Kind) -> Path | None:
        """Where a file is; None where it is nowhere. One that may not be looked at counts as being there."""
        for directory in self.directories:
            path = Path(directory, kind.name)
            try:
                path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                pass
            return path
        return None

    def rules(self, kind: Kind, report: Report | None = None) -> list[Rule] | None:
        """The lines of a file: None if it is absent. One that cannot be read admits nobody and denies all."""
        path = self.path(kind)
        if path is None:
            return None
        report = report or Report(str(path), self.compat)
        try:
            text = to_text(path.read_bytes())
        except OSError as error:
            problem = f"cannot read this file: {error.strerror}; nobody is admitted"
            report.add(Finding.ACL_UNREADABLE, Word("", 1, 1), problem, "make it readable or remove it")
            return [Rule(_EVERYBODY, (Item(everybody=kind.denies),))]
        return read_rules(text, kind, report)

    def _initiator_may(self, target: str, initiator: str, peer: Network | None) -> bool:
        allow, deny = self.rules(INITIATORS_ALLOW), self.rules(INITIATORS_DENY)
        if deny is not None:  # the old mode: allow lines only lift what is denied
            return not decides(deny, target, initiator, peer) or decides(allow or [], target, initiator, peer)
        return allow is None or decides(allow, target, initiator, peer)

    def _by_address(self, target: str, local: str) -> bool:
        rules = self.rules(TARGETS_ALLOW)
        return rules is None or decides(rules, target, "", parse_address(local))


def decides(rules: list[Rule], target: str, initiator: str, address: Network | None) -> bool:
    """What the first line for ``target`` or ``ALL`` says; False without one (iet-compat 3.2)."""
    names = (_EVERYBODY, target.lower())
    first = next((rule for rule in rules if rule.target in names), None)
    return first is not None and any(item.matches(initiator, address) for item in first.items)


def restricted(target: TargetConfig, compat: str = "repair") -> Callable[[Asker], bool]:
    """tgt's words as a rule: if addresses are named the peer's must be among them, and so for names."""
    report = Report("", compat)
    addresses = [
        Item(everybody=True) if text == _EVERYBODY else Item(network=_network(Word(text, 1, 1), False, report))
        for text in target.initiator_addresses
    ]
    names = target.initiator_names

    def admits(asker: Asker) -> bool:
        peer = parse_address(asker.peer)
        known = not addresses or any(item.matches("", peer) for item in addresses)
        return known and (not names or asker.initiator in names or _EVERYBODY in names)

    return admits


def read_rules(text: str, kind: Kind, report: Report) -> list[Rule]:
    """All lines of a file that say something."""
    rules = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        before, nul, _ = line.partition("\0")
        size = len(to_bytes(before)) if len(line) > LONGEST_LINE // 4 else 0
        lost = bool(nul) or number == len(lines) or size >= LONGEST_LINE
        if lost and before.strip(BLANKS) and not before.strip(BLANKS).startswith("#"):
            problem = "the file ends without a newline" if number == len(lines) else "a NUL byte, or too long a line"
            hint = "end the line with a newline" if number == len(lines) else "write a plain, shorter line"
            report.add(Finding.ACL_LINE, Word("", number, 1), problem, hint)
            if report.mode != "repair" and not kind.denies:
                continue
        rule = _rule(Word(before, number, 1), kind, lost and not kind.denies, report)
        if rule is not None:
            rules.append(rule)
    return rules


def _rule(line: Word, kind: Kind, lost: bool, report: Report) -> Rule | None:
    """The rule on a line. ``lost``: IET did not see it, so it may only name hosts."""
    start = len(line.text) - len(line.text.lstrip(BLANKS))
    words = split_blanks(line.text)
    if not words or words[0].startswith("#"):
        return None
    name = words[0]
    after = start + len(name)
    if after == len(line.text):
        report.add(Finding.ACL_LINE, line, "a name without items", "write whom the line means")
        return None
    items: list[Item] = []
    rest = line.at(after, line.text[after:])
    for word in _split(rest, kind, report):
        if not _closed_bracket(word.text) and not kind.denies:
            report.add(Finding.ACL_ITEM, word, "'[' without ']'; the rest of the line is not read", "close it")
            break
        items.append(_item(word, kind, lost, report))
    return Rule(name if name == _EVERYBODY else _target(name, kind), tuple(items))


def _target(name: str, kind: Kind) -> str:
    """A target's name as it is compared; a deny line means everybody by ``all``, too."""
    return _EVERYBODY if kind.denies and name.lower() == "all" else name.lower()


def _closed_bracket(text: str) -> bool:
    return not (text.startswith("[") and ":" in text) or "]" in text


def _split(rest: Word, kind: Kind, report: Report) -> list[Word]:
    """The items of a line: between commas, and in ``repair`` between blanks."""
    words, start = [], 0
    for part in rest.text.split(","):
        bare = part.strip(BLANKS)
        word = rest.at(start + (part.index(bare) if bare else 0), bare)
        start += len(part) + 1
        pieces = split_blanks(bare)
        if len(pieces) > 1 and (kind.denies or report.mode == "repair"):
            report.add(Finding.ACL_REPAIRED, word, "blanks between items, or a comment", "join items by commas")
            ends = next((index for index, piece in enumerate(pieces) if piece.startswith("#")), len(pieces))
            words += [word.at(0, f"{piece} ") for piece in pieces[:ends]]
        elif bare:
            words.append(word)
        if any(piece.startswith("#") for piece in pieces):
            break
    return words


def _item(word: Word, kind: Kind, lost: bool, report: Report) -> Item:
    """What one item means; nobody if it means nothing."""
    text = word.text.strip(BLANKS)
    bounded = lost or (word.text.endswith(" ") and not kind.denies)
    if text == _EVERYBODY:
        if bounded:
            report.add(
                Finding.ACL_EVERYBODY,
                word,
                "ALL is not honoured here, as IET did not see it",
                "write the line with a final newline and commas",
            )
        return Item(everybody=not bounded)
    network = _network(Word(text, word.line, word.column), kind.denies, report)
    name = None
    if kind.names and network is None:
        name = _names(text, bounded)
    if network is None and name is None:
        effect = "denies everybody, to be safe" if kind.denies else "matches nobody"
        report.add(Finding.ACL_ITEM, word, f"{quoted(text)} {effect}", "write an address, or a name")
    return Item(everybody=kind.denies and network is None and name is None, network=network, name=name)


def _names(text: str, bounded: bool) -> Callable[[str], bool] | None:
    """The initiators an expression means; one that IET did not see must not mean any number of them."""
    if bounded:
        return text.replace("\\.", ".").__eq__ if _LITERAL.fullmatch(text) else None
    try:
        return compile_bre(text)
    except BadExpressionError:
        return None


def parse_address(text: str) -> Network | None:
    """A numeric address as the network of itself, without zone; None for anything else."""
    try:
        if ":" in text:
            return Network(6, int(IPv6Address(text.partition("%")[0])), 128)
        if _DOTTED.fullmatch(text):
            return Network(4, int.from_bytes(socket.inet_aton(text), "big"), 32)
    except (AddressValueError, OSError):
        pass
    return None


def _network(word: Word, denies: bool, report: Report) -> Network | None:
    """The addresses an item means, with IET's or the writer's reading of it (iet-compat 3.3)."""
    written, slash, suffix = word.text.partition("/")
    if written.startswith("["):
        written = written[1:].removesuffix("]")
    address = parse_address(written)
    if address is None or not slash:
        return address
    prefix = _prefix(suffix, address)
    if prefix is None:
        return None
    network = Network(address.version, address.base, prefix)
    if _iet_matches(network, suffix):
        return network
    if prefix == 0 and not denies:
        report.add(
            Finding.ACL_EVERYBODY,
            word,
            f"{quoted(word.text)} means everybody and is not honoured",
            "write ALL if you mean it",
        )
        return None
    report.add(
        Finding.ACL_REPAIRED,
        word,
        f"{quoted(word.text)} is not how a network is written",
        f"write {_as_written(network)}",
    )
    return network if denies or report.mode == "repair" else None


def _prefix(suffix: str, address: Network) -> int | None:
    """The number of bits after the slash: a number in C's notation, or an IPv4 mask."""
    if address.version == 4 and "." in suffix:
        mask = parse_address(suffix)
        ones = 0 if mask is None else bin(mask.base).count("1")
        return ones if mask is not None and mask.base == (0xFFFFFFFF << (32 - ones)) & 0xFFFFFFFF else None
    number, rest = strtol(suffix)
    return number if rest != suffix and 0 <= number <= address.bits else None


def _iet_matches(network: Network, suffix: str) -> bool:
    """Whether IET, too, took this for a network: not a whole address, nor with host bits in IPv4."""
    if network.version == 6:
        return network.prefix < 128
    host_bits = network.base & ((1 << (32 - network.prefix)) - 1)
    return 0 < network.prefix < 32 and not host_bits and "." not in suffix


def _as_written(network: Network) -> str:
    base = network.base >> (network.bits - network.prefix) << (network.bits - network.prefix)
    if network.version == 6:
        return f"[{IPv6Address(base)}]"
    return str(IPv4Address(base)) + (f"/{network.prefix}" if network.prefix < 32 else "")
