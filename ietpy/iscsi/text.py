"""key=value text of Login and Text PDUs: reading, writing, joining and splitting (RFC 7143 sections 6.1, 6.2).

What cannot be read raises a bare ``ProtocolError``: during login the caller answers it with a Login Response, later
with a Reject. Text is UTF-8; other bytes survive as surrogate escapes, so a name compares and echoes as it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ietpy.errors import ProtocolError
from ietpy.iscsi.keys import KEY_NAME_LIMIT

#: Longest value in bytes: a CHAP challenge of 1024 bytes in hex takes 2050 (section 12.1.3); the rest is far shorter.
VALUE_LIMIT: Final = 8192
#: Keys and bytes of one negotiation, however many PDUs carry it. A key of five bytes draws an answer of eighteen, so
#: a bound on bytes alone would not bound the answer (peers 2a).
KEY_COUNT_LIMIT: Final = 128
NEGOTIATION_LIMIT: Final = 65536

Pair = tuple[str, str]


def encode(pairs: Iterable[Pair]) -> bytes:
    """The pairs as ``name=value`` strings, each ended by a NUL."""
    return b"".join(f"{name}={value}\0".encode("utf-8", "surrogateescape") for name, value in pairs)


def decode(data: bytes) -> list[Pair]:
    """The pairs of a complete text, in order; empty strings between NULs are padding. Raises ProtocolError."""
    if data and not data.endswith(b"\0"):
        raise ProtocolError("a text whose last pair is not ended by a NUL; each must be (section 6.1)")
    return [_pair(item) for item in data.split(b"\0") if item]


def _pair(item: bytes) -> Pair:
    name, equals, value = item.partition(b"=")
    if not equals or not name:
        raise ProtocolError(f"{item[:80]!r} is no key=value pair")
    if len(name) > KEY_NAME_LIMIT:
        raise ProtocolError(f"a key name of {len(name)} bytes; {KEY_NAME_LIMIT} are the most (section 6.1)")
    if len(value) > VALUE_LIMIT:
        raise ProtocolError(f"a value of {len(value)} bytes; {VALUE_LIMIT} are the most")
    return name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")


def split(text: bytes, limit: int) -> list[bytes]:
    """``text`` in pieces of at most ``limit`` bytes, one per PDU; one empty piece for an empty text."""
    return [text[start : start + limit] for start in range(0, len(text), limit)] or [b""]


class TextAssembler:
    """Joins the data segments of one negotiation; the C bit may cut a text at any byte (sections 6.2, 11.10.2)."""

    __slots__ = ("_bytes", "_keys", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._bytes = 0
        self._keys = 0

    def feed(self, data: bytes | bytearray | memoryview, more: bool) -> list[Pair] | None:
        """The pairs of the text that ``data`` completes, or None while ``more`` (the C bit) says it goes on.

        Raises ProtocolError when the negotiation as a whole says too much, or the text cannot be read.
        """
        self._bytes += len(data)
        if self._bytes > NEGOTIATION_LIMIT:
            raise ProtocolError(f"a negotiation of more than {NEGOTIATION_LIMIT} bytes")
        self._parts.append(bytes(data))
        if more:
            return None
        text = b"".join(self._parts)
        self._parts.clear()
        pairs = decode(text)
        self._keys += len(pairs)
        if self._keys > KEY_COUNT_LIMIT:
            raise ProtocolError(f"a negotiation of more than {KEY_COUNT_LIMIT} keys")
        return pairs
