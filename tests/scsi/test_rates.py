"""Rates of several that hold together."""

from __future__ import annotations

import pytest

from ietpy.scsi.rates import UNLIMITED, Rates


@pytest.mark.parametrize(("one", "other", "both"), [
    (UNLIMITED, UNLIMITED, UNLIMITED), (Rates(5), UNLIMITED, Rates(5)), (Rates(5), Rates(3, 9), Rates(3, 9)),
    (Rates(2, 9), Rates(3, 7), Rates(2, 7)),
])
def test_the_stricter_of_each_holds(one: Rates, other: Rates, both: Rates) -> None:
    assert one.shared_with(other) == other.shared_with(one) == both
