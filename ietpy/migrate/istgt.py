"""istgt's istgt.conf and its AuthFile to the model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError

from ietpy.errors import ConfigError, Span
from ietpy.migrate import identities
from ietpy.migrate.common import SESSION_KEYS, Read, network, numbered, portal, read_text, unreadable
from ietpy.migrate.model import (
    ANYBODY,
    Account,
    Discovery,
    Disk,
    Grant,
    Kind,
    Lun,
    Network,
    Note,
    Portal,
    PortalGroup,
    Source,
    Store,
    Target,
    in_order,
    refusal,
)

_NUMBERED: Final = re.compile("([A-Za-z]+)([0-9]{1,9})")
_LUN: Final = re.compile("LUN([0-9]{1,5})", re.IGNORECASE)
_SIZE: Final = re.compile(r"([0-9]{1,15})([kmgt]?)b?", re.IGNORECASE)
_SHIFT: Final = MappingProxyType({"": 0, "k": 10, "m": 20, "g": 30, "t": 40})
_FULL_NAME: Final = re.compile(r"(?:iqn|eui|naa)\.", re.IGNORECASE)
_EVERYBODY: Final = "ALL"
_NODE_BASE: Final = "iqn.2007-09.jp.ne.peach.istgt"  #: istgt's own, where the file has none
_DISK: Final = "disk"


@dataclass(frozen=True, slots=True)
class Line:
    """The words of a line, and its place."""

    words: tuple[str, ...]
    span: Span

    @property
    def key(self) -> str:
        return self.words[0].lower()

    def word(self, place: int) -> str:
        return self.words[place] if place < len(self.words) else ""


@dataclass(slots=True)
class Section:
    """What stands below [NAME]."""

    name: str
    span: Span
    lines: list[Line] = field(default_factory=list)

    def all(self, key: str) -> Iterator[Line]:
        return (line for line in self.lines if line.key == key.lower())

    def value(self, key: str, default: str = "") -> str:
        return next((line.word(1) for line in self.all(key)), default)

    @property
    def number(self) -> int:
        match = _NUMBERED.fullmatch(self.name)
        return int(match[2]) if match else 0


def read_istgt(path: str, auth_file: str = "", read: Read = read_text) -> Source:
    """The configuration in ``path``, with accounts of ``auth_file`` or of the AuthFile it names. Raises ConfigError."""
    return _Reader(path, read).run(auth_file)


def parse_istgt(text: str, file: str) -> dict[str, Section]:
    """The sections of a file by name in lower case. Raises ConfigError."""
    found: dict[str, Section] = {}
    current: Section | None = None
    for text_line, span in _logical(text, file):
        try:
            made: Any = _parser().parse(text_line)
        except LarkError:
            raise _wrong(span, "quotes without an end stand here", "close them") from None
        if isinstance(made, str):
            current = found.setdefault(made.lower(), Section(made, span))
        elif current is None:
            raise _wrong(span, "no section stands above this line", "write [Global] above it, say")
        else:
            current.lines.append(Line(made, span))
    return found


def _logical(text: str, file: str) -> Iterator[tuple[str, Span]]:
    """Lines joined by backslashes, without comments and blank ones."""
    joined, start = "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        if not joined:
            start = number
            if raw.strip()[:1] in ("#", ";", ""):
                continue
        line = joined + raw.rstrip()
        if line.endswith("\\"):
            joined = line[:-1] + " "
            continue
        joined = ""
        yield line.strip(), Span(file, start, len(line) - len(line.lstrip()) + 1)
    if joined.strip():
        yield joined.strip(), Span(file, start, 1)


class _ToWords(Transformer[Token, Any]):
    def start(self, children: list[Any]) -> Any:
        return children[0]

    def section(self, tokens: list[Token]) -> str:
        return str(tokens[0])

    def entry(self, tokens: list[Token]) -> tuple[str, ...]:
        return tuple(str(token)[1:-1] if token.type == "QUOTED" else str(token) for token in tokens)


@cache
def _parser() -> Lark:
    grammar = resources.files("ietpy.migrate").joinpath("istgt.lark").read_text("ascii")
    return Lark(grammar, parser="lalr", transformer=_ToWords())


def _wrong(span: Span, problem: str, hint: str) -> ConfigError:
    return ConfigError([refusal(span, problem, hint)])


@dataclass(slots=True)
class _Reader:
    path: str
    read: Read
    notes: list[Note] = field(default_factory=list)
    sections: dict[str, Section] = field(default_factory=dict)
    accounts: dict[str, list[tuple[Account, Account | None]]] | None = None  #: by AuthGroup; None: no AuthFile

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def text(self, path: str) -> str:
        try:
            return self.read(path)
        except OSError as error:
            raise unreadable(path, error) from None

    def run(self, auth_file: str) -> Source:
        self.sections = parse_istgt(self.text(self.path), self.path)
        top = self.sections.get("global", Section("Global", Span(self.path, 1, 1)))
        files = (self.path, *self.auth(top, auth_file))
        targets: dict[str, Target] = {}
        for section in self.sections.values():
            if section.name.lower().startswith("logicalunit"):
                self.target(section, top, targets)
            elif section.name.lower() == "unitcontrol":
                why = "istgt's own control port; ietpy and ietadm have a socket of their own"
                self.note(Kind.WARNING, section.span, "UnitControl", why)
        groups = numbered([self.portals(each) for each in self.named("portalgroup")], self.notes)
        return Source(
            "istgt", tuple(targets.values()), groups, self.discovery(top), files=files, notes=in_order(self.notes)
        )

    def named(self, prefix: str) -> list[Section]:
        return [section for section in self.sections.values() if section.name.lower().startswith(prefix)]

    # -- accounts ----------------------------------------------------------------------------------------------------

    def auth(self, top: Section, auth_file: str) -> tuple[str, ...]:
        """Read the accounts; the file they were read from, if one was."""
        named = top.value("AuthFile")
        path = auth_file or (os.path.join(os.path.dirname(self.path), named) if named else "")
        if not path:
            return ()
        try:
            text = self.read(path)
        except OSError as error:
            if auth_file:
                raise unreadable(path, error) from None
            why = f"{path} cannot be read ({error.strerror}): nobody gets in by CHAP; give it as the second FILE"
            self.note(Kind.REFUSED, next(top.all("AuthFile")).span, "AuthFile", why)
            return ()
        self.accounts = {}
        for section in parse_istgt(text, path).values():
            self.accounts[section.name.lower()] = [
                (Account(line.word(1), line.word(2), line.span),
                 Account(line.word(3), line.word(4), line.span) if line.word(4) else None)
                for line in section.all("Auth")
            ]
        place = next((line.span for line in top.all("AuthFile")), top.span)
        self.note(Kind.WARNING, place, f"secrets live in the AuthFile ({os.path.basename(path)})", "it was read, too")
        return (path,)

    def users(self, group: str, span: Span) -> list[tuple[Account, Account | None]]:
        """The accounts of an AuthGroup; one that nobody can log in with where they are not known."""
        if group.lower() in ("", "none"):
            return []
        found = (self.accounts or {}).get(group.lower())
        if not found:
            why = "its accounts are in no AuthFile that was read; nobody gets in until they are added"
            self.note(Kind.REFUSED, span, f"{group}", why)
            return [(Account(group, "", span), None)]
        return found

    def required(self, section: Section, method: str, group: str, what: str) -> list[tuple[Account, Account | None]]:
        """The accounts one of which an initiator needs."""
        line = next(section.all(method), None)
        words = " ".join(line.words[1:]).lower() if line is not None else "auto"
        span = line.span if line is not None else section.span
        users = self.users(section.value(group, "None"), span) if words != "none" else []
        if words == "auto" and users:
            why = "istgt asked for an account only whom it pleased; here everybody needs one"
            self.note(Kind.WARNING, span, f"{method} Auto of {what}", why)
        elif words.startswith("chap") and not users:
            why = f"{method} {words} without accounts lets in nobody"
            self.note(Kind.WARNING, span, what, why)
            return [(Account("nobody", "", span), None)]
        return users

    def discovery(self, top: Section) -> Discovery:
        users = self.required(top, "DiscoveryAuthMethod", "DiscoveryAuthGroup", "discovery")
        mutual = [outgoing for _, outgoing in users if outgoing is not None]
        known = tuple(account for account, _ in users if account.secret)
        return Discovery(known, mutual[0] if mutual else None, closed=bool(users) and not known)

    # -- groups ------------------------------------------------------------------------------------------------------

    def portals(self, section: Section) -> PortalGroup:
        found: list[Portal] = []
        for line in section.all("Portal"):
            made = portal(line.word(2), line.span)
            if made is None:
                what = f"portal {line.word(2)[:60]} of {section.name}"
                self.note(Kind.LOST, line.span, what, "a portal needs a numeric address here")
            else:
                found.append(made)
        return PortalGroup(section.number, tuple(found), section.name, span=section.span)

    def grants(self, section: Section, tags: tuple[int, ...]) -> list[Grant]:
        """The names of an InitiatorGroup in their order, each from its networks."""
        nets: list[Network] = []
        lines = list(section.all("Netmask"))
        for line in lines:
            net = network(line.word(1))
            if net is not None:
                nets.append(net)
            elif line.word(1).upper() != _EVERYBODY:
                what = f"Netmask {line.word(1)[:60]} of {section.name}"
                self.note(Kind.REFUSED, line.span, what, "it is no network, and lets nobody in")
        if any(line.word(1).upper() == _EVERYBODY for line in lines):
            nets = []
        elif not nets:
            why = "no Netmask lets anybody in"
            self.note(Kind.WARNING, section.span, section.name, why)
            return []
        found = []
        for line in section.all("InitiatorName"):
            name = line.word(1)
            denies = name.startswith("!")
            name = name.lstrip("!")
            names = ANYBODY if name.upper() == _EVERYBODY else (name,)
            found.append(Grant(names, () if denies else tuple(nets), tags, denies, label=section.name, span=line.span))
        return found

    # -- targets -----------------------------------------------------------------------------------------------------

    def target(self, section: Section, top: Section, targets: dict[str, Target]) -> None:
        given = section.value("TargetName")
        name = given if _FULL_NAME.match(given) else f"{top.value('NodeBase', _NODE_BASE)}:{given}"
        if not given or name.lower() in targets:
            what = f"target {given}" if given else section.name
            self.note(Kind.REFUSED, section.span, what, "it has no TargetName" if not given else "there is one already")
            return
        users = self.required(section, "AuthMethod", "AuthGroup", name)
        mutual = list(dict.fromkeys(outgoing for _, outgoing in users if outgoing is not None))
        for other in mutual[1:]:
            why = "a target has one OutgoingUser, the first"
            self.note(Kind.LOST, other.span, f"mutual user {other.name} of {name}", why)
        mappings = list(section.all("Mapping"))
        tags = tuple(dict.fromkeys(self.tag(line) for line in mappings))
        grants = [grant for line in mappings for grant in self.mapped(line, len(mappings) > 1)]
        targets[name.lower()] = Target(
            name, self.luns(section, name), tuple(grants), tuple(account for account, _ in users),
            mutual[0] if mutual else None, tags, alias=section.value("TargetAlias"), keys=self.keys(section, top),
            max_sessions=_number(top.value("MaxSessions")), nop_interval=_number(top.value("NopInInterval")),
            queued_commands=_number(section.value("QueueDepth")) or None, span=section.span,
        )

    def tag(self, line: Line) -> int:
        section = self.sections.get(line.word(1).lower())
        if section is None:
            raise _wrong(line.span, f"there is no [{line.word(1)[:40]}]", "define it, or correct its name")
        return section.number

    def mapped(self, line: Line, several: bool) -> list[Grant]:
        section = self.sections.get(line.word(2).lower())
        if section is None:
            raise _wrong(line.span, f"there is no [{line.word(2)[:40]}]", "define it, or correct its name")
        return self.grants(section, (self.tag(line),) if several else ())

    def keys(self, section: Section, top: Section) -> MappingProxyType[str, str]:
        found = {
            SESSION_KEYS[line.key]: line.word(1) for part in (top, section) for line in part.lines
            if line.key in SESSION_KEYS
        }
        for line in section.all("UseDigest"):
            found.update({f"{word.capitalize()}Digest": "CRC32C" for word in line.words[1:] if word.lower() != "auto"})
        return MappingProxyType(found)

    def luns(self, section: Section, name: str) -> tuple[Lun, ...]:
        stores: dict[int, Line] = {}
        options: dict[int, dict[str, str]] = {}
        for line in section.lines:
            match = _LUN.fullmatch(line.words[0])
            if match is None:
                continue
            number, kind = int(match[1]), line.word(1).lower()
            if kind == "option":
                options.setdefault(number, {})[line.word(2).lower()] = line.word(3)
            elif number in stores:
                raise _wrong(line.span, f"LUN{number} has two stores", "leave one of them")
            else:
                stores[number] = line
        return tuple(
            Lun(number, self.disk(section, name, number, line, options.get(number, {})), span=line.span)
            for number, line in sorted(stores.items())
        )

    def disk(self, section: Section, name: str, number: int, line: Line, options: dict[str, str]) -> Disk:
        unit, kind = section.value("UnitType", _DISK).lower(), line.word(1).lower()
        path, *flags = line.word(2).split(",")
        inquiry = next((each.words[1:] for each in section.all("UnitInquiry")), ())
        vendor, product, revision, serial = (*inquiry, "", "", "", "")[:4]
        match = _SIZE.fullmatch(line.word(3))
        store = Store.DIRECT if path.startswith("/dev/") else Store.FILE
        foreign = unit != _DISK or kind != "storage"
        return Disk(
            Store.FOREIGN if foreign else store, path, f"{section.name} LUN{number}",
            int(match[1]) << _SHIFT[match[2].lower()] if match else None,
            _number(section.value("BlockLength")) or 512,
            write_cache=options.get("writecache", "enable").lower() != "disable", read_only="ro" in flags,
            removable=kind == "removable",
            identity=identities.istgt(
                name, section.number, number, vendor, product, revision, serial, options.get("serial", "")
            ),
            detail=f"{unit} {path}", span=line.span,
        )


def _number(word: str) -> int:
    return int(word) if re.fullmatch("[0-9]{1,9}", word) else 0
