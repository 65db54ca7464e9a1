"""Findings: severities by mode, order, and messages that can be printed anywhere."""

from __future__ import annotations

import pytest

from ietpy.config.findings import MODES, Finding, Report, printable, quoted
from ietpy.config.syntax import Word


@pytest.mark.parametrize("finding", Finding, ids=lambda finding: finding.code)
def test_a_row(finding: Finding) -> None:
    assert finding.code == finding.code.lower()
    assert finding.iet
    severities = [finding.severity(mode) for mode in MODES]
    assert severities[1] == "warning"
    assert set(severities) <= {"error", "warning"}
    assert severities[0] == "warning" or severities[2] == "error", "strict is never milder than repair"


def test_a_report_is_in_file_order() -> None:
    report = Report("f", "strict")
    for line, column in ((2, 5), (1, 9), (2, 1)):
        report.add(Finding.SURPLUS, Word("", line, column), "words")
    assert [str(one.span) for one in report.in_order()] == ["f:1:9", "f:2:1", "f:2:5"]
    assert str(report.in_order()[0]) == "f:1:9: error: words; IET: ignored the rest of the line"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("tab\t", "tab\\x09"), ("\udcff", "\\xff"), ("\x85", "\\u0085"), ("é", "é")],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_quoted_is_short() -> None:
    assert quoted("a") == "'a'"
    assert len(quoted("a" * 500)) < 70
