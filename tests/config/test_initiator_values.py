"""Addresses and LUNs of Initiator lines; what lines make of them is in ``test_initiator``."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ietpy.config.initiator_values import AddressOrNetwork, LunRange
from ietpy.config.model import LunMapping


@pytest.mark.parametrize(("word", "meant", "shown"), [
    ("192.0.2.7", "192.0.2.7", "192.0.2.7"), ("192.0.2.7/32", "192.0.2.7", "192.0.2.7"), ("[::1]", "::1", "::1"),
    ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"), ("2001:db8::/32", "2001:db8::/32", "2001:db8::/32"),
    ("::/0", "::/0", "::/0"), ("::/8", "::/8", "::/8"), ("::fffe:0:0/95", "::fffe:0:0/95", "::fffe:0:0/95"),
])
def test_addresses(word: str, meant: str, shown: str) -> None:
    kind = AddressOrNetwork()
    assert kind.parse(word) == ip_network(meant)
    assert kind.render(kind.parse(word)) == shown


@pytest.mark.parametrize(("word", "problem"), [
    ("192.0.2.7/24", "192.0.2.0/24, or the address of one host"), ("2001:db8::7/64", "2001:db8::/64, or"),
    ("::ffff:192.0.2.7", "192.0.2.7/32, or"), ("[::ffff:192.0.2.7]", "192.0.2.7/32, or"),
    ("::ffff:10.0.0.0/104", "10.0.0.0/8, or"), ("fe80::7%eth0", "fe80::7/128, or"), ("fe80::7%1/128", "fe80::7/128"),
    *((word, "an address such as") for word in ("x", "", "[]", "1.2.3", "012.0.0.7", "1.2.3.4/33")),
])
def test_no_addresses(word: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        AddressOrNetwork().parse(word)


@pytest.mark.parametrize(("word", "mappings"), [
    ("0", [(0, 0)]), ("7:12", [(7, 12)]), ("7:12/ro", [(7, 12, True)]), ("1-2", [(1, 1), (2, 2)]),
    ("1-2:0-1/ro", [(1, 0, True), (2, 1, True)]),
])
def test_luns(word: str, mappings: list[tuple[int, ...]]) -> None:
    kind = LunRange()
    assert kind.parse(word) == tuple(LunMapping(*each) for each in mappings)  # type: ignore[arg-type]
    assert kind.render(kind.parse(word)) == word


@pytest.mark.parametrize("word", [
    "", "x", "-1", "1-", "2-1", "0-1:0", "0:0-1", "16384", "0:16384", "0/rw", "0 /ro", "0x1",
])
def test_no_luns(word: str) -> None:
    with pytest.raises(ValueError, match="up to 16383"):
        LunRange().parse(word)
