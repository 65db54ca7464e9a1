"""Text data: key=value pairs, each ended by a NUL, over as many PDUs as it takes (RFC 7143 section 6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ietpy.iscsi.keys import KEY_NAME_LIMIT

#: Limits of one text negotiation, so that no peer can make us keep or answer more (CVE-2026-63887's class).
KEYS_LIMIT: Final = 128
TEXT_LIMIT: Final = 64 * 1024
#: Longest value of any one key; binary values have 1024 bytes before encoding (section 6.1).
VALUE_LIMIT: Final = 8192

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9.\-+@_#]*")

Pairs = list[tuple[str, str]]

NOT_UNDERSTOOD: Final = "NotUnderstood"
IRRELEVANT: Final = "Irrelevant"
REJECT: Final = "Reject"
#: Answers that are no values (section 6.2).
REFUSALS: Final = frozenset((NOT_UNDERSTOOD, IRRELEVANT, REJECT))


def encode(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The pairs as text data. Bytes that are no UTF-8 travel as surrogate escapes."""
    return b"".join(f"{name}={value}\0".encode("utf-8", "surrogateescape") for name, value in pairs)


def decode(data: bytes) -> Pairs:
    """The pairs in order; empty items (padding some initiators count) are passed over.

    Raises ValueError with a sentence for what is no text data.
    """
    pairs: Pairs = []
    for item in data.split(b"\0"):
        if not item:
            continue
        name, separator, value = item.decode("utf-8", "surrogateescape").partition("=")
        if not separator:
            raise ValueError(f"text without '=': {item[:40]!r}")
        if len(name) > KEY_NAME_LIMIT or not _NAME.fullmatch(name):
            raise ValueError(f"{name[:KEY_NAME_LIMIT]!a} is no key name of at most {KEY_NAME_LIMIT} characters")
        if len(item) - len(name) - 1 > VALUE_LIMIT:
            raise ValueError(f"the value of {name} is longer than {VALUE_LIMIT} bytes")
        pairs.append((name, value))
    return pairs


class TextAssembler:
    """Joins the data segments of one negotiation; keys may be split at any byte (section 6.1).

    The limits count over all its steps: small steps must not add up to what one large step may not say.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._keys = 0

    def add(self, data: bytes | memoryview, more: bool) -> Pairs | None:
        """Take a data segment; all pairs once the last one came, None while ``more`` (the C bit) is set.

        Raises ValueError as ``decode`` does, for more than TEXT_LIMIT bytes or KEYS_LIMIT keys in all, and for a
        key that stands twice in one text (section 6.2).
        """
        self._size += len(data)
        if self._size > TEXT_LIMIT:
            raise ValueError(f"more than {TEXT_LIMIT} bytes of text in one negotiation")
        self._pieces.append(bytes(data))
        if more:
            return None
        text = b"".join(self._pieces)
        self._pieces = []
        pairs = decode(text)
        self._keys += len(pairs)
        if self._keys > KEYS_LIMIT:
            raise ValueError(f"more than {KEYS_LIMIT} keys in one negotiation")
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice in one text")
        return pairs


def split(text: bytes, limit: int) -> list[bytes]:
    """``text`` in data segments of at most ``limit`` bytes; one empty segment for no text."""
    return [text[start : start + limit] for start in range(0, len(text), limit)] or [b""]
