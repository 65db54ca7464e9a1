"""Additional sense codes."""

from __future__ import annotations

from ietpy.scsi.asc import Asc


def test_codes_are_two_bytes_in_order_with_a_name_in_words() -> None:
    assert all(0 <= code <= 0xFFFF for code in Asc)
    assert list(Asc) == sorted(Asc)
    assert Asc(0x2900).text == "POWER ON RESET OR BUS DEVICE RESET OCCURRED"
