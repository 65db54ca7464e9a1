"""The model to ietd.conf, with extensions where IET had no word, its allow file, and the report.

What is written is read back by ``config`` before it is returned, item by item: what would not mean the same is left out
and reported as lost. So no name, path or secret of a source can become a line of its own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from ietpy.config import model as ietd
from ietpy.config.findings import printable
from ietpy.config.load import loads
from ietpy.config.options import OPTION_BY_WORD
from ietpy.config.portals import portal_lines
from ietpy.config.render import TARGET_KEYS, UnwritableError, account_line, initiator_line, target_lines
from ietpy.migrate.ietd_access import Accounts, allow_file, initiator_lines, portals_file
from ietpy.migrate.ietd_luns import Units
from ietpy.migrate.ietd_portals import Listening, listening
from ietpy.migrate.model import (
    NOWHERE,
    Account,
    Discovery,
    Kind,
    Note,
    Source,
    Target,
    Written,
    in_order,
)

CONFIGURATION: Final = "ietd.conf"
ALLOW: Final = "initiators.allow"
PORTALS: Final = "targets.allow"
DIRECTORY: Final = "/etc/iet"
_SECRETS: Final = "secrets"
_ISNS_PORT: Final = 3205
_IET_SEGMENT: Final = 262144  #: bytes; more made IET take 512
_INDENTATION: Final = "    "
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_KEYS: Final = MappingProxyType({option.name.lower(): option for option in TARGET_KEYS if option.session_key})
_NO_USER: Final = "nobody"


def to_ietd(source: Source, directory: str = DIRECTORY) -> Written:
    """ietd.conf, initiators.allow and files of secrets; ``directory``, absolute, is where they are going to be."""
    return _Writer(source, directory).run()


@dataclass(slots=True)
class _Writer:
    source: Source
    directory: str
    notes: list[Note] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict, repr=False)
    listening: Listening = field(init=False)

    def note(self, kind: Kind, item: Any, what: str, why: str) -> None:
        self.notes.append(Note(kind, item.span, printable(what), printable(why)))

    def run(self) -> Written:
        source = self.source
        self.listening = listening(source)
        self.notes += [*source.notes, *self.listening.notes]
        lines = [*self.head(), *self.common()]
        restricted, local = [], []
        for target in source.targets:
            config = self.target(target)
            block = config and self.block(config, target)
            if config and block:
                lines += ["", f"# {printable(str(target.span))}", *block]
                restricted.append((config.name, config.initiators))
                local.append((config.name, target.local))
                if target.local:
                    what = f"own addresses of {target.name}: {', '.join(map(str, target.local))}"
                    self.note(Kind.TAKEN, target, what, f"{PORTALS}, which ietpy and IET read in {DIRECTORY}")
        files = {CONFIGURATION: "\n".join(lines) + "\n"}
        allow = allow_file(restricted)
        if allow:
            files[ALLOW] = allow
        portals = portals_file(local)
        if portals:
            files[PORTALS] = portals
        files.update(self.files)
        secret = frozenset({CONFIGURATION, *self.files})
        return Written("ietd", MappingProxyType(files), secret, in_order(self.notes))

    # -- above the targets -------------------------------------------------------------------------------------------

    def head(self) -> Iterator[str]:
        names = ", ".join(printable(file) for file in self.source.files) or "a model"
        yield f"# Written by ietpy import from {names} ({self.source.format})."

    def common(self) -> Iterator[str]:
        isns = self.source.isns
        if isns is not None:
            yield f"iSNSServer {isns.server}"
            yield f"iSNSAccessControl {'Yes' if isns.access_control else 'No'}"
            self.note(Kind.TAKEN, isns, f"iSNS server {isns.server}", "iSNSServer and iSNSAccessControl")
            if isns.port != _ISNS_PORT:
                self.note(Kind.LOST, isns, f"port {isns.port} of the iSNS server", f"it is {_ISNS_PORT} here")
        if self.listening.portals:
            yield from portal_lines(self.listening.portals)
            for portal in self.listening.portals:
                self.note(Kind.EXTENSION, portal, f"portal {portal}", f"Portal {portal.group}")
        yield from self.discovery()

    def discovery(self) -> Iterator[str]:
        said = [group.discovery for group in self.source.portal_groups if group.discovery is not None]
        found = _strictest(said or [self.source.discovery])
        if len(set(said)) > 1:
            first = self.source.portal_groups[0]
            what, why = "authentication per portal group, of discovery", "discovery has one rule here: the strictest"
            self.note(Kind.LOST, first, what, why)
        for limit in (*map(str, found.networks), *found.names):
            what, why = f"discovery for {limit} only", "it tells each initiator the targets that let it in"
            self.notes.append(Note(Kind.LOST, NOWHERE, what, why))
        if found.closed:
            place = next(iter(self.source.portal_groups), None)
            why = f"discovery has an account, {_NO_USER}, whose secret nobody knows"
            self.notes.append(Note(Kind.EXTENSION, place.span if place else NOWHERE, "discovery denied", why))
            yield f"IncomingUser {_NO_USER} {secrets.token_urlsafe(12)}"
            return
        for account in found.incoming:
            yield from self.account("IncomingUser", account, "discovery")
        if found.outgoing is not None:
            yield from self.account("OutgoingUser", found.outgoing, "discovery")

    def account(self, keyword: str, account: Account, owner: str) -> Iterator[str]:
        written = self.kept(account, keyword, owner)
        if written is not None:
            yield account_line(keyword, written, owner)

    def kept(self, account: Account, keyword: str, owner: str) -> ietd.Account | None:
        """An account as a line can say it: with its secret in a file of its own if it has blanks."""
        what = f"{'user' if keyword == 'IncomingUser' else 'mutual user'} {account.name} of {owner}"
        plain = ietd.Account(account.name, account.secret, account.span, account.file)
        if self.says_account(keyword, plain):
            self.note(Kind.TAKEN, account, what, keyword)
            return plain
        name = f"{_SECRETS}/{_UNSAFE.sub('_', owner)[-80:]}-{keyword[:2]}-{_UNSAFE.sub('_', account.name)[:40]}"
        filed = replace(plain, secret="", file=f"{self.directory}/{name}")
        if account.secret and "\n" not in account.secret and self.says_account(keyword, filed):
            self.files[name] = account.secret + "\n"
            what = f"a password with a blank: {what}"
            self.note(Kind.EXTENSION, account, what, f"{keyword}File names a file that holds it")
            return filed
        why = "a name or a secret that is empty, or has a blank or a line end where none can be said"
        self.note(Kind.LOST, account, what, why)
        return None

    def says_account(self, keyword: str, account: ietd.Account) -> bool:
        try:
            read = loads(f"Target t\n{account_line(keyword, account, 't')}\n").targets[0]
        except UnwritableError:
            return False
        return not read.closed and account in (*read.incoming, read.outgoing)

    # -- one target --------------------------------------------------------------------------------------------------

    def target(self, target: Target) -> ietd.TargetConfig | None:
        """The target as ietd.conf can have it; None for one whose name it cannot say."""
        closed = self.why_closed(target)
        accounts = Accounts(target)
        units = Units(target)
        lines = initiator_lines(target, accounts, units.mappings(), closed)
        self.notes += [*units.notes, *accounts.notes, *lines.notes]
        incoming = tuple(
            kept for one in accounts.incoming if (kept := self.kept(one, "IncomingUser", target.name)) is not None
        )
        ours = accounts.outgoing
        outgoing = None if ours is None else self.kept(ours, "OutgoingUser", target.name)
        initiators = tuple(
            replace(line, portal_groups=self.listening.of(line.portal_groups))
            for line in _possible(lines.lines, incoming) if self.says_initiator(line, target)
        )
        lost_user = len(incoming) < len(accounts.incoming) and not incoming
        if (lines.lines and not initiators) or lost_user:
            initiators = (ietd.InitiatorConfig("*", target.span, denies=True),)
        return ietd.TargetConfig(
            target.name, target.span,
            alias=self.alias(target),
            luns=units.configs(), incoming=incoming, outgoing=outgoing, initiators=initiators,
            portal_groups=self.listening.of_target(target),
            session_keys=self.keys(target),
            **self.limits(target),
        )

    def why_closed(self, target: Target) -> str:
        """Why nobody is to get in, which becomes a line that turns everybody away."""
        reasons = (
            (not target.enabled, "target not enabled", "an Initiator line turns everybody away until you remove it"),
            (bool(target.redirect), f"redirection to {target.redirect}",
             "a file cannot say it (ietadm can, while the daemon runs); an Initiator line turns everybody away"),
            (not target.grants, "the source lets nobody in", "an Initiator line turns everybody away"),
            (self.listening.nowhere(target), "portal groups without portals", "an Initiator line turns everybody away"),
        )
        closed = ""
        for holds, what, why in reasons:
            if holds:
                self.note(Kind.LOST if target.redirect in what and target.redirect else Kind.EXTENSION, target,
                          f"{target.name}: {what}", why)
                closed = closed or what
        return closed

    def says_initiator(self, line: ietd.InitiatorConfig, target: Target) -> bool:
        read = loads(f"Target t\n{initiator_line(line, 't')}\n").targets[0].initiators
        if read == (line,):
            return True
        what = f"initiator {line.name} of {target.name}"
        self.note(Kind.LOST, line, what, "an Initiator line cannot say this name or its addresses; it lets nobody in")
        return False

    def alias(self, target: Target) -> str:
        if not target.alias:
            return ""
        read = loads(f"Target t\nAlias {target.alias}\n")
        if len(read.targets) == 1 and read.targets[0] == ietd.TargetConfig("t", target.span, alias=target.alias):
            self.note(Kind.TAKEN, target, f"alias of {target.name}", "Alias, which IET read and did not use")
            return target.alias
        self.note(Kind.LOST, target, f"alias of {target.name}", "a line cannot say it")
        return ""

    def keys(self, target: Target) -> MappingProxyType[str, Any]:
        values = {}
        for name, word in target.keys.items():
            option = _KEYS.get(name.lower())
            try:
                if option is None:
                    raise ValueError("a key that can be configured")
                value = values[option.name] = option.value.parse(word)
            except ValueError as accepts:
                what, why = f"{name} {word} of {target.name}", f"ietd.conf takes {accepts}"
                self.note(Kind.LOST, target, what, why)
                continue
            if option.kernel_limit and isinstance(value, int) and value > _IET_SEGMENT:
                what = f"{name} above {_IET_SEGMENT}: {value} of {target.name}"
                self.note(Kind.EXTENSION, target, what, "IET took no more; ietpy does")
        return MappingProxyType(values)

    def limits(self, target: Target) -> dict[str, Any]:
        """Numbers that ietd.conf bounds."""
        rows = (
            ("MaxSessions", "max_sessions", target.max_sessions, OPTION_BY_WORD["maxsessions"].value),
            ("QueuedCommands", "queued_commands", target.queued_commands, OPTION_BY_WORD["queuedcommands"].value),
            ("NOPInterval", "nop_interval", target.nop_interval, OPTION_BY_WORD["nopinterval"].value),
            ("NOPTimeout", "nop_timeout", target.nop_timeout, OPTION_BY_WORD["noptimeout"].value),
            ("Wthreads", "wthreads", target.threads, OPTION_BY_WORD["wthreads"].value),
        )
        found: dict[str, Any] = {}
        for name, attribute, value, kind in rows:
            low, high = getattr(kind, "low", 0), getattr(kind, "high", 0)
            if value is None:
                continue
            found[attribute] = min(max(value, low), high)
            if found[attribute] != value:
                what = f"{name} {value} of {target.name}"
                self.note(Kind.LOST, target, what, f"{name} goes from {low} to {high}: it is {found[attribute]} now")
        if "nop_timeout" in found:
            found["nop_timeout"] = ietd.effective_nop_timeout(found.get("nop_interval", 0), found["nop_timeout"])
        return found

    # -- as text -----------------------------------------------------------------------------------------------------

    def block(self, config: ietd.TargetConfig, target: Target) -> list[str]:
        """The lines of the target, if they mean what they are to mean; else none, and the target is lost."""
        try:
            first, *rest = target_lines(config)
        except UnwritableError as error:
            self.note(Kind.LOST, target, f"target {target.name}", str(error))
            return []
        text = "\n".join([first, *rest]) + "\n"
        read = loads(text)
        if len(read.targets) != 1 or ietd.meaning(read).targets != (_bare(config),):
            self.note(Kind.LOST, target, f"target {target.name}", "ietd.conf cannot say it as it is")
            return []
        self.note(Kind.TAKEN, target, f"target {target.name}", f"Target, with {len(config.luns)} LUNs")
        return [first, *(f"{_INDENTATION}{line}" for line in rest)]


def _possible(
    lines: tuple[ietd.InitiatorConfig, ...], accounts: tuple[ietd.Account, ...]
) -> tuple[ietd.InitiatorConfig, ...]:
    """The lines, where those of users whose account is lost turn away."""
    users = {"", *(account.name for account in accounts)}
    return tuple(
        line if line.user in users else replace(line, user="", luns=None, read_only=False, denies=True)
        for line in lines
    )


def _bare(target: ietd.TargetConfig) -> ietd.TargetConfig:
    """As ``meaning`` has a target: without the secrets that files hold."""
    return ietd.meaning(ietd.Configuration("", targets=(target,))).targets[0]


def _strictest(rules: list[Discovery]) -> Discovery:
    """The one that lets in the fewest."""
    return max(rules, key=lambda rule: (rule.closed, bool(rule.incoming), bool(rule.networks or rule.names)))
