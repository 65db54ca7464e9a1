"""Secrets in files: those that stand in files of their own, who else can read any of them, and what is wrong with them.

Nothing here puts a secret into a message. The text of ietd.conf alone says nothing of all this, so only ``load`` asks.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ietpy.config.files import read_file
from ietpy.config.findings import Finding, Place, Report, quoted
from ietpy.config.model import Account, Configuration, TargetConfig
from ietpy.config.syntax import Word, to_bytes

LONGEST: Final = 255  #: bytes of a name or a secret, iet-compat 1.7 and RFC 7143 section 12.1.3
SHORTEST: Final = 12  #: bytes; 96 bits, RFC 7143 section 9.2.1
DIRECTORY: Final = "CREDENTIALS_DIRECTORY"  #: systemd's variable, from which a relative path counts

_TOP: Final = Word("", 1, 1)


def check_directions(incoming: Iterable[Account], outgoing: Account | None, report: Report, *, files: bool) -> None:
    """Note a secret with which both sides would prove themselves: who knows it from one could play the other.

    ``files``: of pairs of which a file has one, which are known later; else of all others.
    """
    if outgoing is None:
        return
    for account in {account.name: account for account in incoming}.values():  # the later one counts
        if bool(account.file or outgoing.file) is files and account.secret == outgoing.secret != "":
            problem = f"the OutgoingUser has the secret of user {quoted(account.name)}, who cannot log in with it"
            report.add(Finding.SAME_SECRET, outgoing.span, problem, "give one of them another secret")


def resolved(configuration: Configuration, environment: Mapping[str, str]) -> Configuration:
    """The configuration with the secrets its files hold, and what was found about them.

    An account whose secret cannot be had keeps an empty one: nobody is let in by it (``daemon.assemble``).
    """
    return _Resolver(configuration, environment.get(DIRECTORY, "")).run()


@dataclass(slots=True)
class _Resolver:
    configuration: Configuration
    directory: str
    report: Report = field(init=False)
    texts: dict[str, str] = field(default_factory=dict, repr=False)  #: by path

    def run(self) -> Configuration:
        old = self.configuration
        self.report = Report(old.file, old.compat)
        accounts = [*_accounts(old.discovery_incoming, old.discovery_outgoing)]
        for target in old.targets:
            accounts += _accounts(target.incoming, target.outgoing)
        if any(not account.file for account in accounts):
            self.look(old.file, _TOP)
        discovery, outgoing = self.scope(old.discovery_incoming, old.discovery_outgoing)
        targets = tuple(self.target(target) for target in old.targets)
        found = sorted((*old.diagnostics, *self.report.in_order()), key=lambda one: one.span)
        return replace(
            old, targets=targets, discovery_incoming=discovery, discovery_outgoing=outgoing, diagnostics=tuple(found)
        )

    def target(self, target: TargetConfig) -> TargetConfig:
        incoming, outgoing = self.scope(target.incoming, target.outgoing)
        return replace(target, incoming=incoming, outgoing=outgoing)

    def scope(
        self, incoming: tuple[Account, ...], outgoing: Account | None
    ) -> tuple[tuple[Account, ...], Account | None]:
        known = tuple(self.account(account, "the user cannot log in") for account in incoming)
        ours = None if outgoing is None else self.account(outgoing, "the target cannot authenticate itself")
        check_directions(known, ours, self.report, files=True)
        return known, ours

    def account(self, account: Account, effect: str) -> Account:
        """``account`` with its secret."""
        if account.file:
            try:
                account = replace(account, secret=self.secret(account))
            except OSError as error:
                # Without a directory for it the word may be a secret where a path should stand.
                place = f" from {quoted(account.file)}" if os.path.isabs(account.file) or self.directory else ""
                problem = f"the secret of {quoted(account.name)} cannot be had{place}: {error.strerror}; {effect}"
                hint = f"write the path of a readable file that holds the secret alone, at most {LONGEST} bytes"
                self.report.add(Finding.SECRET_FILE, account.span, problem, hint)
        size = len(to_bytes(account.secret))
        if 0 < size < SHORTEST:
            problem = f"the secret of {quoted(account.name)} has {size} bytes, which can be guessed"
            hint = f"make one with ietpy secret; RFC 7143 wants {SHORTEST} at least"
            self.report.add(Finding.SHORT_SECRET, account.span, problem, hint)
        return account

    def secret(self, account: Account) -> str:
        """What the file holds, but for a newline at its end. Raises OSError with a reason."""
        if not os.path.isabs(account.file) and not self.directory:
            raise OSError(errno.ENOENT, f"a relative path counts from ${DIRECTORY}, which systemd sets for"
                          " LoadCredential= and is not set")
        path = os.path.join(self.directory, account.file)
        if path not in self.texts:
            self.texts[path] = read_file(path, regular=True).removesuffix("\n")
            self.look(path, account.span)
        size = len(to_bytes(self.texts[path]))
        if not 0 < size <= LONGEST:
            raise OSError(errno.EINVAL, f"it holds {size} bytes" if size else "it is empty")
        return self.texts[path]

    def look(self, path: str, place: Place) -> None:
        """Note who else can read or change a file that holds secrets."""
        try:
            found = os.stat(path)
        except OSError:
            return  # it was read a moment ago; whoever replaces it is read next time
        others = found.st_mode & (stat.S_IROTH | stat.S_IWOTH)
        group = found.st_mode & (stat.S_IRGRP | stat.S_IWGRP) and found.st_gid not in (0, os.getegid())
        if others or group:
            who = "everybody" if others else f"group {found.st_gid}"
            problem = f"{who} can read or change {quoted(path)}, which holds secrets"
            self.report.add(Finding.SECRETS_EXPOSED, place, problem, f"chmod {'o-rwx' if others else 'g-rwx'} it")


def _accounts(incoming: Iterable[Account], outgoing: Account | None) -> Iterator[Account]:
    yield from incoming
    if outgoing is not None:
        yield outgoing
