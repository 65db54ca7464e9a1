"""Account lines (iet-compat 1.7). Nothing here puts a secret, or what may be one, into a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ietpy.config.block import Block
from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.model import Account
from ietpy.config.secret_files import LONGEST
from ietpy.config.syntax import Word, to_bytes, to_text

#: They begin a comment, or say that the line goes on: nobody chose them for a name or a secret.
_HOLLOW: Final = ("#", "\\")


def hollow(words: Iterable[Word]) -> Word | None:
    """The first word that cannot be meant as a name or a secret."""
    return next((word for word in words if word.text in _HOLLOW), None)


def note_quotes(word: Word, what: str, report: Report) -> None:
    """Names and secrets are never changed (decisions 1); say that quotes are part of one."""
    if word.text[0] in "\"'" or word.text[-1] in "\"'":
        report.add(Finding.QUOTES, word, f"quotes are part of the {what}", "remove them if they are not meant")


def whole_account(
    owner: Block, keyword: Word, name: Word, secret: Word, outgoing: bool, report: Report, *, read: bool = True
) -> None:
    """Give ``owner`` an account, exactly as written (decisions 1). ``read``: IET read this line, too."""
    values = []
    for what, word in (("name", name), ("secret", secret)):
        note_quotes(word, what, report)
        data = to_bytes(word.text)
        if len(data) > LONGEST:
            report.add(Finding.LONG_ACCOUNT, word, f"a {what} of {len(data)} bytes", f"use at most {LONGEST}")
        values.append(to_text(data[:LONGEST]) if report.mode == "iet" else word.text)
    account = Account(values[0], values[1], report.span(name))
    (owner.add_outgoing if outgoing else owner.add_incoming)(account, report, keyword, read=read)


def half_account(
    owner: Block, keyword: Word, outgoing: bool, named: bool, report: Report, stand_in: Word | None = None
) -> None:
    """An account without a secret closes its owner; only OutgoingUser with nothing at all harms nobody.

    ``iet`` ignores the line, as IET did, which may leave the target open to everybody; but a ``stand_in`` for the
    name or the secret IET took for one, and so does ``iet``.
    """
    literally = f"took {quoted(stand_in.text)} for one of them" if stand_in is not None else ""
    if outgoing and not named:
        problem = "OutgoingUser without name and secret; the target does not authenticate itself"
        report.add(Finding.EMPTY_OUTGOING, keyword, problem, "write both or remove the line", literally)
        return
    closes = report.mode != "iet"
    what = "the target" if owner.name else "discovery"
    effect = f"{what} is closed until it has both" if closes else "the line is read as IET read it"
    problem = f"an account is a name and a secret; {effect}"
    report.add(Finding.NO_SECRET, keyword, problem, "write both", literally)
    if closes:
        owner.close(f"line {keyword.line} is an account without a secret")
