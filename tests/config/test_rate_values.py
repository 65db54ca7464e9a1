"""Bytes in a second, with and without a unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.rate_values import FASTEST, SLOWEST, ByteRate


@pytest.mark.parametrize(("word", "rate", "shown"), [
    ("1024", 1024, "1K"), ("1025", 1025, "1025"), ("50M", 50 << 20, "50M"), ("1g", 1 << 30, "1G"),
    ("1024T", 1 << 50, "1024T"),
])
def test_rates(word: str, rate: int, shown: str) -> None:
    kind = ByteRate()
    assert kind.parse(word) == rate
    assert kind.render(rate) == shown


@pytest.mark.parametrize("word", ["", "x", "1.5M", "-1", "0", "1023", "1025T", "5 M", "5MB", "٣M"])
def test_no_rates(word: str) -> None:
    with pytest.raises(ValueError, match="with K, M, G or T as in 50M, from 1K to 1024T"):
        ByteRate().parse(word)


@given(st.integers(SLOWEST, FASTEST))
def test_what_is_rendered_reads_as_what_it_was(rate: int) -> None:
    assert ByteRate().parse(ByteRate().render(rate)) == rate
