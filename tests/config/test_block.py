"""What gathers below a Target line."""

from __future__ import annotations

import pytest

from ietpy.config.block import Block, usable_name
from ietpy.config.findings import Report
from ietpy.config.model import Account, LunConfig
from ietpy.config.syntax import Word

PLACE = Word("Target", 3, 1)


def test_of_two_luns_with_one_number_the_first_stays() -> None:
    block, report = Block(PLACE, "t"), Report("f", "repair")
    first, second = (LunConfig(0, report.span(Word("Lun", line, 5)), path=f"/{line}") for line in (4, 5))
    block.add_lun(first, report, Word("Lun", 4, 5))
    block.add_lun(second, report, Word("Lun", 5, 5))
    assert block.finished(report).luns == (first,)
    (clash,) = report.diagnostics
    assert (clash.span.line, "f:4:5" in clash.problem) == (5, True)


def test_accounts_gather_and_the_last_outgoing_counts() -> None:
    block, report = Block(PLACE, "t"), Report("f", "repair")
    one, two = (Account("joe", secret, report.span(PLACE)) for secret in "ab")
    ours = [Account("us", secret, report.span(PLACE)) for secret in "cd"]
    for account, outgoing in zip((one, two), ours, strict=True):
        block.add_incoming(account, report, PLACE)
        block.add_outgoing(outgoing, report, PLACE)
    target = block.finished(report)
    assert (target.incoming, target.outgoing) == ((one, two), ours[1])
    assert [finding.code for finding in report.diagnostics] == ["same-user-twice", "second-outgoinguser"]


@pytest.mark.parametrize(
    ("interval", "timeout", "effective"),
    [
        (0, 0, 0),
        (0, 5, 0),
        (9, 0, 9),
        (9, 5, 5),
        (9, 9, 9),
        (9, 20, 9),
    ],
)
def test_nop_timeout(interval: int, timeout: int, effective: int) -> None:
    """0 or more than NOPInterval means NOPInterval (iet-compat 2.2)."""
    block = Block(PLACE, "t", values={"NOPInterval": interval, "NOPTimeout": timeout})
    assert block.finished(Report("f", "repair")).nop_timeout == effective


@pytest.mark.parametrize(
    ("length", "mode", "kept", "codes"),
    [
        (223, "repair", 223, []),
        (224, "repair", 224, ["long-target-name"]),
        (255, "iet", 255, ["long-target-name"]),
        (256, "repair", None, ["target-name"]),
        (256, "iet", 255, ["target-name"]),
    ],
)
def test_usable_name(length: int, mode: str, kept: int | None, codes: list[str]) -> None:
    report = Report("f", mode)
    name = usable_name(Word("x" * length, 1, 8), report)
    assert (None if name is None else len(name), [one.code for one in report.diagnostics]) == (kept, codes)
