"""How a login begins: who asks, and for what kind of session (RFC 7143 sections 6.3.1, 11.12.10 and 13.4 to 13.21)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ietpy.errors import LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.keys import KEY_BY_NAME, KEYS, Use
from ietpy.iscsi.text import Pairs

FIRST_KEYS: Final = frozenset(row.name for row in KEYS if row.use is Use.FIRST)
ALIAS_LIMIT: Final = 255  #: bytes, sections 13.6 and 13.7
_SESSION_TYPES: Final = ("Normal", "Discovery")


def take_names(pairs: Pairs, known: dict[str, str]) -> None:
    """Move the keys of a first Login Request from ``pairs`` to ``known``; later they may be repeated, not changed.

    Raises LoginFailure.
    """
    opening = not known
    for name, value in [pair for pair in pairs if pair[0] in FIRST_KEYS]:
        pairs.remove((name, value))
        if known.get(name, value if opening else None) != value:
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"{name} changed during the login")
        known[name] = value


def identify(keys: Mapping[str, str]) -> tuple[str, bool]:
    """The initiator's name, and whether it wants to discover. Raises LoginFailure."""
    for name, value in keys.items():
        try:
            KEY_BY_NAME[name].value.parse(value)
        except ValueError as accepts:
            problem = f"{name}={value[:40]!a}: {accepts} is accepted"
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, problem) from None
        if not value.isprintable():  # names go to logs and lists
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"{name}={value[:40]!a} has control characters")
    initiator = keys.get("InitiatorName")
    if initiator is None:
        raise LoginFailure(LoginStatus.MISSING_PARAMETER, "InitiatorName is missing")
    session_type = keys.get("SessionType", "Normal")
    if session_type not in _SESSION_TYPES:
        raise LoginFailure(LoginStatus.SESSION_TYPE_NOT_SUPPORTED, f"SessionType={session_type[:40]!a}")
    return initiator, session_type == "Discovery"


def alias(text: str) -> str:
    """A name for people, as it may be told or kept: printable, and no longer than it may be; else empty."""
    if not text.isprintable():
        return ""
    return text.encode("utf-8")[:ALIAS_LIMIT].decode("utf-8", "ignore")
