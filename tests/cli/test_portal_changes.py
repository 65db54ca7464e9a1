"""Which portals can be named; how they come and go is in ``test_add`` and ``test_remove``."""

from __future__ import annotations

import pytest

from ietpy.cli import portal_changes
from ietpy.errors import UsageError


@pytest.mark.parametrize(
    ("word", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", None), ("192.0.2.1:860", "192.0.2.1", 860), ("2001:db8::1", "2001:db8::1", None),
        ("[2001:db8::1]:3261", "2001:db8::1", 3261),
        ("eth1", "eth1", None), ("*", "*", None),
    ],
)
def test_portals(word: str, host: str, port: int | None) -> None:
    found = portal_changes.portal(word, 7)
    assert (found.host, found.port, found.group) == (host, port, 7)


@pytest.mark.parametrize("word", ["", "a,b", "192.0.2.1:0x", "192.0.2.300", "10.0.0.1 10.0.0.2"])
def test_what_is_none(word: str) -> None:
    with pytest.raises(UsageError):
        portal_changes.portal(word, 1)
