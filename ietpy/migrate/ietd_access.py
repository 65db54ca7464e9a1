"""Who may use a target, in ietd.conf's words: ``Initiator`` lines, and the lines of initiators.allow that IET reads.

The ``Initiator`` lines say exactly what the source said. IET passed over them, so the allow file, which must admit,
too, lets in whom they let in and as few others as it can: a file that comes back to IET is not open all of a sudden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from ietpy.config.model import InitiatorConfig, LunMapping
from ietpy.migrate.model import OPEN, Account, Grant, Kind, Network, Note, Target

NOBODY: Final = r"iqn\.1970-01\.invalid:nobody"  #: an item of initiators.allow that means no initiator
EVERYBODY: Final = "ALL"
_LONGEST_LINE: Final = 4094  #: bytes of a line of an allow file (iet-compat 1.2)
_SPECIAL: Final = re.compile(r"([\\.\[\]^$])")
_MANY: Final = "*"


@dataclass(slots=True)
class Accounts:
    """The accounts of a target: its own and those of its grants, each name once."""

    target: Target
    notes: list[Note] = field(default_factory=list)
    known: dict[str, Account] = field(default_factory=dict)
    outgoing: Account | None = None

    def __post_init__(self) -> None:
        self._add(self.target.incoming, "the target")
        for grant in self.target.grants:
            if not grant.denies:
                self._add(grant.incoming or (), whom(grant))
        self._choose_outgoing()

    @property
    def incoming(self) -> tuple[Account, ...]:
        return tuple(self.known.values())

    def _add(self, accounts: Iterable[Account], owner: str) -> None:
        for account in accounts:
            first = self.known.setdefault(account.name, account)
            if (first.secret, first.file) != (account.secret, account.file):
                why = f"the target has another secret for it, from {first.span}; an account has one here"
                self.notes.append(Note(Kind.LOST, account.span, f"user {account.name} of {owner}", why))

    def _choose_outgoing(self) -> None:
        """IET has one for all initiators."""
        grants = [grant for grant in self.target.grants if grant.outgoing is not None and not grant.denies]
        accounts = [self.target.outgoing] if self.target.outgoing else []
        accounts += [grant.outgoing for grant in grants if grant.outgoing is not None]
        if not accounts:
            return
        self.outgoing = accounts[0]
        if self.target.outgoing is None:
            why = "it is the target's now: whoever asks is answered as this user"
            what = f"per-initiator mutual user {self.outgoing.name} of {whom(grants[0])}"
            self.notes.append(Note(Kind.WARNING, self.outgoing.span, what, why))
        for other in accounts[1:]:
            if other != self.outgoing:
                why = f"a target has one OutgoingUser for all initiators, and this one has {self.outgoing.name}"
                self.notes.append(Note(Kind.LOST, other.span, f"per-initiator mutual user {other.name}", why))

    def user_of(self, grant: Grant) -> tuple[str, bool]:
        """As whom alone the grant's initiators may come, empty for any; and whether they come without CHAP."""
        allowed = self.target.incoming if grant.incoming is None else grant.incoming
        names = list(dict.fromkeys(account.name for account in allowed))
        if set(names) == set(self.known):
            return "", False
        if not names:
            what = f"login without CHAP for {whom(grant)}"
            self.notes.append(Note(Kind.EXTENSION, grant.span, what, "AuthMethod=None of the Initiator line"))
            return "", True
        if len(names) > 1:
            why = f"an Initiator line names one user; any of the target's {len(self.known)} will do here"
            self.notes.append(Note(Kind.WARNING, grant.span, f"users {', '.join(names)} of {whom(grant)}", why))
            return "", False
        what = f"per-initiator CHAP users: {names[0]} for {whom(grant)}"
        self.notes.append(Note(Kind.EXTENSION, grant.span, what, "User of the Initiator line"))
        return names[0], False


def whom(grant: Grant) -> str:
    """A grant in messages."""
    names = ", ".join(grant.names[:3]) + (", ..." if len(grant.names) > 3 else "")
    return f"group {grant.label} ({names})" if grant.label else names


@dataclass(frozen=True, slots=True)
class Lines:
    """``Initiator`` lines in their order, with what was said of them."""

    lines: tuple[InitiatorConfig, ...]
    notes: tuple[Note, ...]


def initiator_lines(
    target: Target, accounts: Accounts, mappings: Sequence[tuple[LunMapping, ...] | None], closed: str,
) -> Lines:
    """What the grants say. ``mappings``: the LUNs of each; None: all of the target. ``closed``: why nobody gets in."""
    notes: list[Note] = []
    if closed:
        return Lines((InitiatorConfig(_MANY, target.span, denies=True),), ())
    if target.grants == (OPEN,) and mappings[0] is None:
        return Lines((), ())
    lines: list[InitiatorConfig] = []
    for grant, luns in zip(target.grants, mappings, strict=True):
        user, free = ("", False) if grant.denies else accounts.user_of(grant)
        denies = grant.denies or luns == ()
        if luns == () and not grant.denies:
            why = "an Initiator line cannot name no LUN; they are turned away"
            notes.append(Note(Kind.WARNING, grant.span, f"no LUN for {whom(grant)}", why))
        if grant.denies:
            what = f"negated initiator pattern: {whom(grant)} of {target.name}"
            notes.append(Note(Kind.EXTENSION, grant.span, what, "an Initiator line with Mode=none turns them away"))
        for name in grant.names:
            pattern = _pattern(name, grant, denies, notes)
            if pattern:
                lines.append(InitiatorConfig(
                    pattern, grant.span, addresses=grant.networks, portal_groups=grant.portal_groups,
                    luns=None if denies else luns, read_only=grant.read_only and not denies,
                    user="" if denies else user, denies=denies, free=free and not denies,
                ))
    if not lines:  # without any, everybody would get in
        lines.append(InitiatorConfig(_MANY, target.span, denies=True))
    return Lines(tuple(lines), tuple(notes))


def _pattern(name: str, grant: Grant, denies: bool, notes: list[Note]) -> str:
    """The pattern of an Initiator line; empty if it would admit more than the source did."""
    if "?" not in name:
        return name
    if denies:
        why = "an Initiator line knows only *; it turns away more than the source did"
        notes.append(Note(Kind.WARNING, grant.span, f"initiator pattern {name}", why))
        return name.replace("?", _MANY)
    why = "an Initiator line knows only *, which would let in more; it is left out"
    notes.append(Note(Kind.LOST, grant.span, f"initiator pattern {name}", why))
    return ""


# -- initiators.allow -------------------------------------------------------------------------------------------------


def allow_file(restricted: Iterable[tuple[str, Sequence[InitiatorConfig]]]) -> str:
    """The text of initiators.allow for targets and their Initiator lines; empty if none has any."""
    lines = [f"{name} {_items(lines)}\n" for name, lines in restricted if lines]
    if not lines:
        return ""
    return "".join([*lines, f"{EVERYBODY} {EVERYBODY}\n"])


def portals_file(targets: Iterable[tuple[str, Sequence[Network]]]) -> str:
    """The text of targets.allow for targets and their own addresses; empty if none has any."""
    lines = [f"{name} {', '.join(map(_network, networks))}\n" for name, networks in targets if networks]
    return "".join([*lines, f"{EVERYBODY} {EVERYBODY}\n"]) if lines else ""


def _items(lines: Sequence[InitiatorConfig]) -> str:
    reached = takewhile(lambda line: not (line.denies and _about_everybody(line)), lines)
    items = list(dict.fromkeys(item for line in reached if not line.denies for item in _of_line(line))) or [NOBODY]
    text = ", ".join(items)
    return text if len(text.encode("utf-8", "surrogateescape")) < _LONGEST_LINE - 256 else EVERYBODY


def _about_everybody(line: InitiatorConfig) -> bool:
    return line.name == _MANY and not line.addresses and not line.portal_groups


def _of_line(line: InitiatorConfig) -> Iterator[str]:
    """Items that mean whom the line means, and perhaps others: IET cannot want both a name and an address."""
    if line.addresses:
        yield from map(_network, line.addresses)
    elif line.name == _MANY:
        yield EVERYBODY
    else:
        yield _SPECIAL.sub(r"\\\1", line.name).replace(_MANY, ".*")


def _network(network: Network) -> str:
    bits = "" if network.prefixlen == network.max_prefixlen else f"/{network.prefixlen}"
    if not network.prefixlen:
        return EVERYBODY  # IET took /0 for everybody in IPv4, and ietpy honours neither
    return f"[{network.network_address}]{bits}" if network.version == 6 else f"{network.network_address}{bits}"
