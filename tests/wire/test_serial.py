"""Serial-number arithmetic of RFC 1982 with SERIAL_BITS = 32."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from ietpy.wire.serial import MASK, advance, before, distance

numbers = integers(0, MASK)
steps = integers(-(2**31) + 1, 2**31 - 1)


@pytest.mark.parametrize(("left", "right", "expected"), [
    pytest.param(0, 1, True, id="next"),
    pytest.param(1, 0, False, id="previous"),
    pytest.param(7, 7, False, id="equal"),
    pytest.param(MASK, 0, True, id="across the wrap"),
    pytest.param(0, MASK, False, id="back across the wrap"),
    pytest.param(0, 2**31 - 1, True, id="just under half the space"),
    pytest.param(0, 2**31, False, id="half the space apart is not ordered"),
    pytest.param(2**31, 0, False, id="nor the other way"),
    pytest.param(0, 2**31 + 1, False, id="just over half the space"),
])
def test_before(left: int, right: int, expected: bool) -> None:
    assert before(left, right) is expected


@pytest.mark.parametrize(("start", "end", "expected"), [
    (0, 0, 0), (5, 8, 3), (8, 5, -3), (MASK, 2, 3), (2, MASK, -3), (0, 2**31 - 1, 2**31 - 1), (0, 2**31, -(2**31)),
])
def test_distance(start: int, end: int, expected: int) -> None:
    assert distance(start, end) == expected


@given(numbers, steps)
def test_distance_undoes_advance(start: int, by: int) -> None:
    end = advance(start, by)
    assert 0 <= end <= MASK
    assert distance(start, end) == by


@given(numbers, steps)
def test_before_is_the_sign_of_the_distance(start: int, by: int) -> None:
    assert before(start, advance(start, by)) is (by > 0)


@given(numbers, numbers)
def test_at_most_one_comes_first(left: int, right: int) -> None:
    assert not (before(left, right) and before(right, left))


@given(numbers)
def test_one_step_is_the_default(start: int) -> None:
    assert advance(start) == advance(start, 1) == (start + 1) % 2**32
