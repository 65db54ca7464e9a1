"""Account lines (iet-compat 1.7). Nothing here puts a secret, or what may be one, into a message."""

from __future__ import annotations

from ietpy.config.block import Block
from ietpy.config.findings import Finding, Report
from ietpy.config.model import Account
from ietpy.config.syntax import Word


def whole_account(owner: Block, keyword: Word, name: Word, secret: Word, outgoing: bool, report: Report) -> None:
    """Give ``owner`` an account, exactly as written (decisions 1)."""
    for what, word in (("name", name), ("secret", secret)):
        if word.text[0] in "\"'" or word.text[-1] in "\"'":
            report.add(Finding.QUOTES, word, f"quotes are part of the {what}", "remove them if they are not meant")
    account = Account(name.text, secret.text, report.span(name))
    (owner.add_outgoing if outgoing else owner.add_incoming)(account, report, keyword)


def half_account(owner: Block, keyword: Word, outgoing: bool, named: bool, report: Report) -> None:
    """An account without a secret closes its owner; only OutgoingUser with nothing at all harms nobody.

    ``iet`` ignores the line, as IET did, which may leave the target open to everybody.
    """
    if outgoing and not named:
        problem = "OutgoingUser without name and secret; the target does not authenticate itself"
        report.add(Finding.EMPTY_OUTGOING, keyword, problem, "write both or remove the line")
        return
    closes = report.mode != "iet"
    what = "the target" if owner.name else "discovery"
    effect = f"{what} is closed until it has both" if closes else "the line is ignored"
    report.add(Finding.NO_SECRET, keyword, f"an account needs a name and a secret; {effect}", "write both")
    if closes:
        owner.closed = owner.closed or f"line {keyword.line} is an account without a secret"
