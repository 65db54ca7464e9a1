"""Account lines: kept as written, and an unfinished one closes the door."""

from __future__ import annotations

import pytest

from ietpy.config.accounts import half_account, whole_account
from ietpy.config.block import Block
from ietpy.config.findings import MODES, Report
from ietpy.config.syntax import Word

KEYWORD = Word("IncomingUser", 7, 1)


@pytest.mark.parametrize(("name", "secret", "warned"), [("joe", "x", 0), ('"joe"', "x", 1), ("joe", "x'", 1)])
def test_names_and_secrets_are_kept(name: str, secret: str, warned: int) -> None:
    block, report = Block(KEYWORD, "t"), Report("f", "repair")
    whole_account(block, KEYWORD, Word(name, 7, 14), Word(secret, 7, 20), False, report)
    (account,) = block.incoming
    assert (account.name, account.secret, str(account.span)) == (name, secret, "f:7:14")
    assert [one.code for one in report.diagnostics] == ["quotes"] * warned


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("outgoing", "named", "closes"),
    [
        (False, False, True),
        (False, True, True),
        (True, True, True),
        (True, False, False),
    ],
)
def test_half_an_account(mode: str, outgoing: bool, named: bool, closes: bool) -> None:
    block, report = Block(KEYWORD, "t"), Report("f", mode)
    half_account(block, KEYWORD, outgoing, named, report)
    assert bool(block.closed) is (closes and mode != "iet")
    assert len(report.diagnostics) == 1


def test_the_first_reason_stays() -> None:
    block, report = Block(KEYWORD), Report("f", "repair")
    half_account(block, KEYWORD, False, True, report)
    half_account(block, Word("IncomingUser", 9, 1), False, True, report)
    assert block.closed == "line 7 is an account without a secret"
    assert "discovery is closed" in report.diagnostics[0].problem
