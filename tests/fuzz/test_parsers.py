"""Readers of what strangers write, for a short while; tests/long/fuzz does so for long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.choices import corpus
from tests.fuzz.parsers import PARSERS


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=100)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    PARSERS[name](data)


@pytest.mark.parametrize("name", PARSERS)
def test_and_what_was_found_before(name: str) -> None:
    for data in corpus(name):
        PARSERS[name](data)
