"""Text key=value data as an initiator writes it and as it must come back (RFC 7143 section 6.1).

Reading is stricter than the target's own reader on purpose: here every deviation is the other side's fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ietpy.initiator.errors import TargetFault
from ietpy.iscsi import text
from ietpy.iscsi.keys import KEY_NAME_LIMIT

_KEY: Final = re.compile(r"[A-Z][A-Za-z0-9.\-+@_]*|iSCSIProtocolLevel|X[#\-][A-Za-z0-9.\-+@_]*")


def encode(keys: Mapping[str, str]) -> bytes:
    """key=value pairs, each ended by a NUL; bytes that are not UTF-8 may be given as surrogate escapes."""
    return text.encode(keys.items())


def decode(data: bytes) -> list[tuple[str, str]]:
    """The pairs in order. Raises TargetFault for what is no list of key=value pairs."""
    if not data:
        return []
    if not data.endswith(b"\0"):
        raise TargetFault("6.1", f"text data does not end with a NUL: {data[-40:]!r}")
    pairs = []
    for item in data[:-1].split(b"\0"):
        try:
            name, separator, value = item.decode("utf-8").partition("=")
        except UnicodeDecodeError:
            raise TargetFault("6.1", f"text data is not UTF-8: {item[:40]!r}") from None
        if not separator or len(name) > KEY_NAME_LIMIT or not _KEY.fullmatch(name):
            raise TargetFault("6.1", f"{item[:80]!r} is no key=value pair")
        pairs.append((name, value))
    return pairs
