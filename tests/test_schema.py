"""Value types: what they accept comes back as it was, what they refuse is said in words."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.schema import Choice, Number, Text, Value, WordList, YesNo


@pytest.mark.parametrize(
    ("value", "word", "parsed", "rendered"),
    [
        (Number(0, 3600), "2", 2, "2"),
        (Number(512, 16777215), "0x1000", 4096, "4096"),
        (Number(512, 16777215), "0XfF00", 65280, "65280"),
        (YesNo(), "Yes", True, "Yes"),
        (YesNo(), "No", False, "No"),
        (Choice(("wt", "wb")), "wb", "wb", "wb"),
        (WordList(("CRC32C", "None")), "None,CRC32C", ("None", "CRC32C"), "None,CRC32C"),
        (Text(4), "äb", "äb", "äb"),
    ],
)
def test_an_accepted_word_comes_back(value: Value, word: str, parsed: Any, rendered: str) -> None:
    assert value.parse(word) == parsed
    assert value.render(parsed) == rendered


@pytest.mark.parametrize(
    ("value", "word", "accepts"),
    [
        pytest.param(Number(1, 9), "0", "a number from 1 to 9", id="too small"),
        pytest.param(Number(1, 9), "10", "a number from 1 to 9", id="too large"),
        pytest.param(Number(1, 9), "-1", "a number from 1 to 9", id="a sign"),
        pytest.param(Number(1, 9), "1k", "a number from 1 to 9", id="trailing letters"),
        pytest.param(Number(1, 9), "0" * 32 + "1", "a number from 1 to 9", id="too long a number"),
        pytest.param(YesNo(), "yes", "Yes or No", id="another case"),
        pytest.param(Choice(("wt", "wb")), "ro", "wt or wb", id="no choice"),
        pytest.param(WordList(("None",)), "None,", "a list of None,", id="an empty item"),
        pytest.param(Text(4), "", "a word of 1 to 4 bytes", id="nothing"),
        pytest.param(Text(4), "äää", "a word of 1 to 4 bytes", id="too many bytes"),
    ],
)
def test_a_refused_word_is_answered_with_what_is_accepted(value: Value, word: str, accepts: str) -> None:
    with pytest.raises(ValueError, match=accepts):
        value.parse(word)
    assert accepts in value.accepts
