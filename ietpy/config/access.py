"""initiators.allow, initiators.deny and targets.allow: who may use which target, and which line says so.

The files are read again at every question, so edits are live (iet-compat section 3). What is there but cannot be
read admits nobody. How lines and items are read is ``access_rules``; here is which file is asked when, and the
restrictions in a target's block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from ietpy.config.access_addresses import parse_address
from ietpy.config.access_rules import (
    EVERYBODY,
    INITIATORS_ALLOW,
    INITIATORS_DENY,
    KINDS,
    TARGETS_ALLOW,
    Item,
    Kind,
    Match,
    Rule,
    match,
    read_restriction,
    read_rules,
)
from ietpy.config.files import read_file
from ietpy.config.findings import Finding, Report, printable, quoted
from ietpy.config.initiator_access import admits, deciding
from ietpy.config.model import TargetConfig
from ietpy.config.syntax import Word
from ietpy.errors import Diagnostic, Span
from ietpy.iscsi.target import Asker

DIRECTORIES: Final = ("/etc/iet", "/etc")  #: each file falls back on its own
_SHOWN: Final = 3  #: items of a restriction that a reason repeats


@dataclass(frozen=True, slots=True)
class Decision:
    """What one check says: the item or line that decided, if one did, and why, as a clause."""

    check: str  #: "restriction", "initiator", "initiators" or "targets.allow"
    allowed: bool
    where: Span | None
    reason: str


class AccessFiles:
    """The three files in ``directories``, the first of which that has a file counts for it."""

    def __init__(self, *directories: str, compat: str = "repair") -> None:
        self.directories = directories or DIRECTORIES
        self.compat = compat

    def admits(self, target: str, initiator: str, peer: str, local: str) -> bool:
        """Whether the files let ``initiator`` at ``peer`` use ``target`` by our address ``local`` (numeric ones)."""
        return decisive(self.files_say(target, Asker(initiator, peer, local))).allowed

    def rule(self, target: TargetConfig) -> Callable[[Asker], bool]:
        """The access rule of a configured target: these files, and the restrictions in its block."""
        groups = restrictions(target)
        return lambda asker: decisive(
            chain(restricted(groups, asker), admission(target, asker), self.files_say(target.name, asker))
        ).allowed

    def decide(self, target: TargetConfig, asker: Asker) -> Decision:
        """The check that lets ``asker`` use a configured target, or that does not."""
        return decisive(self.checks(target, asker))

    def checks(self, target: TargetConfig, asker: Asker) -> Iterator[Decision]:
        """All checks in the order of a login, each made when it is asked for; the first that denies decides."""
        groups = restrictions(target)
        return chain(restricted(groups, asker), admission(target, asker), self.files_say(target.name, asker))

    def files_say(self, target: str, asker: Asker) -> Iterator[Decision]:
        """The checks of the files: the initiator, then our own address (iet-compat 3.4)."""
        yield self._initiator(target, asker.initiator, asker.peer)
        yield self._local_address(target, asker.local)

    def diagnostics(self, target: str = "") -> tuple[Diagnostic, ...]:
        """What is wrong with the files as they are now; with ``target``, of its own lines and those for ``ALL``."""
        found: list[Diagnostic] = []
        for kind in KINDS:
            path = self.path(kind)
            report = Report(str(path), self.compat)
            if path is not None and kind.denies and not target:
                problem = "with this file, who is not in initiators.allow is admitted unless a line here denies him"
                hint = "name in initiators.allow whom to admit, and remove this file"
                report.add(Finding.ACL_OLD_MODE, Word("", 1, 1), problem, hint)
            for _ in self.rules(kind, target, report) or ():
                pass
            found += report.in_order()
        return tuple(found)

    def unreached(self, target: str) -> tuple[Span, ...]:
        """Lines that name ``target`` below the one where reading for it stops."""
        spans: list[Span] = []
        for kind in KINDS:
            stopped = False
            for rule in self.rules(kind, target) or ():
                if stopped and rule.target != EVERYBODY:
                    spans.append(rule.span)
                stopped = stopped or rule.final
        return tuple(spans)

    def path(self, kind: Kind) -> Path | None:
        """Where a file is; None where it is nowhere. One that may not be looked at counts as being there."""
        for directory in self.directories:
            path = Path(directory, kind.name)
            try:
                path.lstat()
            except FileNotFoundError:
                continue
            except OSError:
                pass
            return path
        return None

    def rules(self, kind: Kind, target: str = "", report: Report | None = None) -> Iterable[Rule] | None:
        """The lines of a file, or those for ``target``: None if it is absent.

        One that cannot be read admits nobody and denies all.
        """
        path = self.path(kind)
        if path is None:
            return None
        report = report or Report(str(path), self.compat)
        try:
            text = read_file(path, regular=True)
        except OSError as error:
            effect = "everybody is denied" if kind.denies else "nobody is admitted"
            problem = f"cannot read this file: {error.strerror}; {effect}"
            top = Word("", 1, 1)
            iet = "admitted everybody" if kind.denies else "denied"
            report.add(Finding.ACL_UNREADABLE, top, problem, "make it readable or remove it", iet)
            items = (Item(EVERYBODY, report.span(top), everybody=kind.denies),)
            return (Rule(EVERYBODY, items, report.span(top), note=problem),)
        return read_rules(text, kind, report, target)

    def _initiator(self, target: str, initiator: str, peer: str) -> Decision:
        """initiators.allow; or the old mode, where it only lifts what initiators.deny says (iet-compat 3.1)."""
        deny = self._match(INITIATORS_DENY, target, initiator, peer)
        if deny is not None and not deny.found:
            return Decision("initiators", True, deny.span, f"initiators.deny denies it nothing: {deny.why}")
        allow = self._match(INITIATORS_ALLOW, target, initiator, peer)
        if deny is not None:
            lifted = allow is not None and allow.found
            decider = allow if allow is not None and lifted else deny
            effect = ", which lifts what initiators.deny says" if lifted else "; initiators.allow does not lift it"
            return Decision("initiators", lifted, decider.span, decider.why + effect)
        if allow is None:
            return Decision("initiators", True, None, f"{self._nowhere(INITIATORS_ALLOW)}, so any initiator may use it")
        return Decision("initiators", allow.found, allow.span, allow.why)

    def _local_address(self, target: str, local: str) -> Decision:
        found = self._match(TARGETS_ALLOW, target, "", local)
        if found is None:
            reason = f"{self._nowhere(TARGETS_ALLOW)}, so it is there on any address of this machine"
            return Decision("targets.allow", True, None, reason)
        return Decision("targets.allow", found.found, found.span, found.why)

    def _match(self, kind: Kind, target: str, initiator: str, address: str) -> Match | None:
        """What a file says; None if it is absent."""
        rules = self.rules(kind, target)
        if rules is None:
            return None
        nothing = Match(False, None, f"no line of {self.path(kind)} names {printable(target)} or ALL")
        return match(rules, initiator, parse_address(address)) or nothing

    def _nowhere(self, kind: Kind) -> str:
        return f"there is no {kind.name} in {' or '.join(self.directories)}"


def admission(target: TargetConfig, asker: Asker) -> Iterator[Decision]:
    """What the Initiator lines of a target say; nothing if there are none."""
    if target.initiators:
        yield _admission(target, asker)


def _admission(target: TargetConfig, asker: Asker) -> Decision:
    line, who = deciding(target.initiators, asker), f"{quoted(printable(asker.initiator))} at {asker.peer}"
    if line is None:
        return Decision("initiator", False, target.span, f"no Initiator line of this target is about {who}")
    allowed, reason = admits(line, {account.name for account in target.incoming}), f"this line is about {who}"
    if line.closed:
        reason += " and has a mistake, so it admits nobody"
    elif line.denies:
        reason += ", whom it turns away"
    elif not allowed:
        reason += f" and asks for the user {quoted(printable(line.user))}, who has no account here"
    return Decision("initiator", allowed, line.span, reason)


def decisive(checks: Iterable[Decision]) -> Decision:
    """The first check that denies; if none does, the first that a line decided, else the first."""
    passed = []
    for check in checks:
        if not check.allowed:
            return check
        passed.append(check)
    return next((check for check in passed if check.where is not None), passed[0])


def restrictions(target: TargetConfig) -> tuple[tuple[Item, ...], ...]:
    """tgt's words as groups of items, of each of which one must mean an initiator."""
    addresses = _placed(target.initiator_addresses, target.address_spans, target.span)
    names = _placed(target.initiator_names, target.name_spans, target.span)
    groups = (
        tuple(read_restriction(text, span) for text, span in addresses),
        tuple(Item(text, span, everybody=text == EVERYBODY, name=text.__eq__) for text, span in names),
    )
    return tuple(group for group in groups if group)


def _placed(words: tuple[str, ...], spans: tuple[Span, ...], block: Span) -> Iterator[tuple[str, Span]]:
    return zip(words, spans or (block,) * len(words), strict=True)


def restricted(groups: Iterable[tuple[Item, ...]], asker: Asker) -> Iterator[Decision]:
    """What restrictions say of an initiator."""
    address = parse_address(asker.peer)
    for group in groups:
        found = Rule(EVERYBODY, group, group[0].span).match(asker.initiator, address)
        whom = ", ".join(item.text for item in group[:_SHOWN]) + (", ..." if len(group) > _SHOWN else "")
        reason = found.why if found.found else f"the block of the target admits {printable(whom)} only"
        yield Decision("restriction", found.found, found.span, reason)
