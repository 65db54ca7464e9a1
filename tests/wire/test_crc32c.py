"""CRC32C against the examples of RFC 7143 appendix A (as sent: least significant byte first)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import binary, lists

from ietpy.wire.crc32c import crc32c, digest

READ_10 = bytes.fromhex(
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)


@pytest.mark.rfc7143("13.1-4")
@pytest.mark.parametrize(("data", "sent"), [
    pytest.param(bytes(32), "aa36918a", id="32 bytes of zeroes"),
    pytest.param(b"\xff" * 32, "43aba862", id="32 bytes of ones"),
    pytest.param(bytes(range(32)), "4e79dd46", id="32 bytes of incrementing 00..1f"),
    pytest.param(bytes(reversed(range(32))), "5cdb3f11", id="32 bytes of decrementing 1f..00"),
    pytest.param(READ_10, "563a96d9", id="an iSCSI SCSI Read (10) Command PDU"),
])
def test_examples_of_the_standard(data: bytes, sent: str) -> None:
    assert crc32c(data).to_bytes(4, "little").hex() == sent
    assert digest([data]) == crc32c(data)


@given(lists(binary()))
def test_how_data_is_cut_makes_no_difference(pieces: list[bytes]) -> None:
    assert digest(memoryview(piece) for piece in pieces) == crc32c(b"".join(pieces))
