"""tgt's access words: whom a line admits; how places and files use it is in test_rules.py and test_access.py."""

from __future__ import annotations

import pytest

from ietpy.config.block import Block
from ietpy.config.findings import Report
from ietpy.config.options import OPTION_BY_WORD
from ietpy.config.restrictions import restrict
from ietpy.config.syntax import Word, read


@pytest.mark.parametrize(
    ("line", "admitted", "codes"),
    [
        ("initiator-address 10.0.0.1", ["10.0.0.1@19"], []),
        ("initiator-address 10.0.0.1,10.0.0.2  ::1", ["10.0.0.1@19", "10.0.0.2@28", "::1@38"], []),
        ("initiator-address [2001:db8::]/32 # ALL", ["[2001:db8::]/32@19"], []),
        ("initiator-address ALL", ["ALL@19"], []),
        ("initiator-address ALL,ALL", ["ALL@19", "ALL@23"], []),
        ("initiator-address ALL 10.0.0.1", ["10.0.0.1@23"], ["access-everybody"]),
        ("initiator-address all", ["all@19"], ["empty-restriction"]),
        ("initiator-address fe80::1%eth0", ["fe80::1%eth0@19"], ["empty-restriction"]),
        ("initiator-name iqn.x,ALL", ["iqn.x@16"], ["access-everybody"]),
        ("initiator-name anything", ["anything@16"], []),
    ],
)
def test_restrict(line: str, admitted: list[str], codes: list[str]) -> None:
    (one,) = read(line + "\n", Report("f", "repair"))
    block, report = Block(Word("Target", 1, 1), "t"), Report("f", "repair")
    restrict(OPTION_BY_WORD[one.keyword.text], one, block, report)
    assert [f"{word.text}@{word.column}" for word in (*block.addresses, *block.initiators)] == admitted
    assert [found.code for found in report.diagnostics] == codes
    assert not block.closed


@pytest.mark.parametrize("rest", ["", " # 10.0.0.1", " ,,"])
def test_nobody(rest: str) -> None:
    (one,) = read(f"initiator-name{rest}\n", Report("f", "repair"))
    block, report = Block(Word("Target", 1, 1), "t"), Report("f", "repair")
    restrict(OPTION_BY_WORD["initiator-name"], one, block, report)
    assert block.closed == "line 1 is a restriction without a value"
    assert [found.code for found in report.diagnostics] == ["empty-restriction"]
