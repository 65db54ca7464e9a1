"""LUN fields (SAM-5 section 4.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from ietpy.scsi.lun import HIGHEST, decode, encode


@pytest.mark.parametrize(("field", "number"), [
    pytest.param("0000000000000000", 0, id="peripheral device addressing, LUN 0"),
    pytest.param("00FF000000000000", 255, id="peripheral device addressing, LUN 255"),
    pytest.param("0101000000000000", None, id="peripheral device addressing, bus 1"),
    pytest.param("4000000000000000", 0, id="flat space addressing, LUN 0"),
    pytest.param("412C000000000000", 300, id="flat space addressing, LUN 300"),
    pytest.param("7FFF000000000000", HIGHEST, id="flat space addressing, highest"),
    pytest.param("8001000000000000", None, id="logical unit addressing"),
    pytest.param("C101000000000000", None, id="extended addressing: REPORT LUNS well known logical unit"),
    pytest.param("0000000100000000", None, id="second level"),
    pytest.param("4000000000000001", None, id="fourth level"),
])
def test_decode(field: str, number: int | None) -> None:
    assert decode(int(field, 16)) == number


@pytest.mark.parametrize(("number", "field"), [
    pytest.param(0, "0000000000000000", id="0"),
    pytest.param(255, "00FF000000000000", id="255"),
    pytest.param(256, "4100000000000000", id="256 needs flat space addressing"),
    pytest.param(1024, "4400000000000000", id="1024, which IET reported wrongly"),
])
def test_encode(number: int, field: str) -> None:
    assert encode(number) == int(field, 16)


@given(integers(0, HIGHEST))
def test_what_is_encoded_is_decoded(number: int) -> None:
    assert decode(encode(number)) == number


@given(integers(0, 2**64 - 1))
def test_no_field_is_trouble(field: int) -> None:
    number = decode(field)
    assert number is None or 0 <= number <= HIGHEST
