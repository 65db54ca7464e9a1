"""CRC32C (Castagnoli) for header and data digests (RFC 7143 section 13.1): the ``crc32c`` library's C function."""

from __future__ import annotations

from collections.abc import Iterable

from crc32c import crc32c

__all__ = ["crc32c", "digest"]


def digest(pieces: Iterable[bytes | bytearray | memoryview]) -> int:
    """CRC32C over the concatenation of ``pieces``. On the wire it is sent least significant byte first."""
    value = 0
    for piece in pieces:
        value = crc32c(piece, value)
    return value
