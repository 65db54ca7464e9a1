"""What one command may ask for."""

from __future__ import annotations

from ietpy.scsi import limits


def test_limits_fit_each_other_and_any_block_size() -> None:
    assert limits.EXTENT_MINIMUM <= limits.OPTIMAL_TRANSFER <= limits.MAXIMUM_TRANSFER
    for number in (limits.CHUNK, limits.MAXIMUM_TRANSFER, limits.MAXIMUM_WRITE_SAME, limits.MAXIMUM_UNMAP):
        assert number % 4096 == 0
