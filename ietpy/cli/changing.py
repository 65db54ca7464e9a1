"""What ``ietpy add`` and ``ietpy remove`` have in common: who is meant, and whether it holds beyond a restart.

A change is the running daemon's, at once. With ``--save`` it is written into ietd.conf, too, as ``ietpy save`` does:
whether that will be possible is asked before anything changes.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

import click

from ietpy.cli.control import ask_daemon
from ietpy.cli.facts import Facts, Session, sessions, target_named
from ietpy.cli.output import show_json
from ietpy.cli.save import count_changes, replace_file
from ietpy.config.findings import printable
from ietpy.errors import UsageError

#: What stands for a target where accounts of discovery are meant.
DISCOVERY: Final = "discovery"
_LONGEST: Final = 255  #: bytes of a secret (iet-compat 1.7)
_SHORTEST, _WINDOWS = 12, 16  #: bytes (RFC 7143 section 9.2.1), and what Windows takes at most

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, by the fields it is about."""

    change: str  #: ``added`` or ``removed``
    what: str  #: ``target``, ``lun``, ``user`` or ``portal``
    target: str | None = None
    tid: int | None = None
    lun: int | None = None
    path: str | None = None
    user: str | None = None
    outgoing: bool | None = None
    portal: str | None = None
    group: int | None = None


def options(command: Command) -> Command:
    """The options of every change."""
    save = click.option("--save", is_flag=True, help="Write it, and all else that was changed live, into ietd.conf.")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
    return save(as_json(command))


def prepare(save: bool) -> None:
    """Raise AdminError or ConfigError where the change could not be saved; then nothing has changed."""
    if save:
        ask_daemon("rewritten", force=False)


def finish(change: Change, sentence: str, save: bool, as_json: bool) -> None:
    """Say what was done, and save it or say how. Raises AdminError, ConfigError, UsageError."""
    file = _save() if save else ""
    if as_json:
        show_json({**asdict(change), "saved": save, "file": file or None})
        return
    click.echo(printable(sentence))
    if save:
        click.echo(printable(f"saved in {file}"))
        if change.what == "user" and os.stat(file).st_mode & 0o044:
            click.echo(printable(f"others can read {file}, and the secrets in it: chmod o-r,g-r {file}"), err=True)
    else:
        click.echo("it holds until the daemon is restarted; ietpy save writes it into ietd.conf", err=True)


def _save() -> str:
    answer = ask_daemon("rewritten", force=False)
    path: str = answer["file"]
    if any(count_changes(answer["before"], answer["after"])):
        replace_file(path, answer["before"], answer["after"])
    return path


# Who is meant -----------------------------------------------------------------------------------------------------


def served(word: str) -> Facts:
    """The target that ``word`` means (``facts.target_named``). Raises UsageError, AdminError."""
    return target_named(ask_daemon("targets"), word)


def scope(word: str) -> tuple[int, str]:
    """Number and name of the target whose accounts are meant; of discovery 0 and its word."""
    if word == DISCOVERY:
        return 0, DISCOVERY
    target = served(word)
    return target["tid"], target["name"]


def users_of(target: Facts, lun: int | None = None) -> list[Session]:
    """The sessions that have the target, or this LUN of it."""
    found = [each for each in sessions(ask_daemon("sessions"), [target]) if each.target == target["name"]]
    if lun is None:
        return found
    return [each for each in found if lun in each.first.get("luns", (lun,))]


def refuse_in_use(what: str, users: Sequence[Session]) -> None:
    """Raise UsageError if anybody is there, with who and with the way out."""
    if not users:
        return
    who = "".join(f"\n  {each.initiator} at {each.address} (session {each.id})" for each in users)
    raise UsageError(printable_lines(
        f"{what} is in use; nothing was removed. Its initiators should log out first, or --force ends their use:{who}"
    ))


def printable_lines(text: str) -> str:
    """``text`` with what could move a cursor escaped, but for line feeds."""
    return "\n".join(printable(line) for line in text.split("\n"))


# Secrets ----------------------------------------------------------------------------------------------------------


def secret_from(source: str | None, account: str, *, twice: bool = True) -> tuple[str, bool]:
    """A secret, and whether it was made just now. Never from a command line, which everybody can read.

    ``source``: None asks at the terminal, ``-`` is standard input, ``generated`` makes one, else a file; its first
    line counts. ``twice``: who types it does so again. Raises UsageError.
    """
    if source == "generated":
        return secrets.token_urlsafe(12), True
    if source is None:
        if not sys.stdin.isatty():
            raise UsageError(
                "there is no terminal to ask for the secret at; say --secret-from FILE, --secret-from - for standard"
                " input, or --secret-from generated"
            )
        words = f"secret of {printable(account)}"
        text: str = click.prompt(words, hide_input=True, confirmation_prompt=twice, err=True)
    elif source == "-":
        text = sys.stdin.readline()
    else:
        text = _first_line(source)
    return _checked(text.removesuffix("\n").removesuffix("\r")), False


def check_account(name: str, secret: str) -> None:
    """Raise UsageError unless a line of ietd.conf can say them; it does not repeat the secret."""
    from ietpy.config.load import loads

    read = loads(f"Target t\nIncomingUser {name} {secret}\n", "").targets[0].incoming
    if [(each.name, each.secret) for each in read] != [(name, secret)]:
        raise UsageError(
            "ietd.conf cannot hold this name and secret: each is one word, without blanks and # in front; choose others"
        )


def _first_line(path: str) -> str:
    from ietpy.config.files import read_file

    try:
        return read_file(path, regular=True).partition("\n")[0]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; write the secret into it, in one line") from None


def _checked(secret: str) -> str:
    size = len(secret.encode("utf-8", "surrogateescape"))
    if not size:
        raise UsageError("the secret is empty; ietpy secret makes a good one")
    if size > _LONGEST:
        raise UsageError(f"the secret has {size} bytes; at most {_LONGEST} can be used, and {_WINDOWS} with Windows")
    if size < _SHORTEST:
        note = f"below {_SHORTEST} it can be guessed (RFC 7143), and Windows refuses it"
        click.echo(f"note: the secret has {size} bytes; {note}", err=True)
    elif size > _WINDOWS:
        click.echo(f"note: the secret has {size} bytes; Windows takes {_WINDOWS} at most", err=True)
    return secret
