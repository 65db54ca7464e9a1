"""Addresses and networks: how they are read, and written back in a hint."""

from __future__ import annotations

import pytest

from ietpy.config.access_addresses import Network, parse_address, read_address


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (Network(4, 0x0A000005, 24), "10.0.0.0/24"),
        (Network(4, 0x0A000005, 32), "10.0.0.5"),
        (Network(6, 1, 64), "::/64"),
        (Network(6, 1, 128), "::1"),
    ],
)
def test_networks_are_written_as_they_should_be(network: Network, text: str) -> None:
    assert str(network) == text


@pytest.mark.parametrize("text", ["", "a.b", "10.0.0.256", "10.0.0.7 x", "10.0.0.7\n", ":::", "1.2.3.4.5", "[::1]"])
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None


def test_addresses_of_peers() -> None:
    assert parse_address("10.0.0.7") == Network(4, 0x0A000007, 32)
    assert parse_address("fe80::1%eth0") == Network(6, 0xFE80 << 112 | 1, 128)


#: Text: the network, and whether IET matched it too; None: neither an address nor a network.
WRITTEN = {
    "10.0.0.7": ("10.0.0.7", True),
    "10.0.0.0/8": ("10.0.0.0/8", True),
    "10.0.0.0/0x8": ("10.0.0.0/8", True),
    "10.0.0.5/24": ("10.0.0.0/24", False),
    "10.0.0.7/32": ("10.0.0.7", False),
    "10.0.0.7/0": ("0.0.0.0/0", False),
    "10.0.0.7/255.255.255.255": ("10.0.0.7", False),
    "10.0.0.7/0.0.0.0": ("0.0.0.0/0", False),
    "10.0.0.0/31.0.0.0": ("10.0.0.0/31", True),
    "[10.0.0.7]": ("10.0.0.7", False),
    "[::1]": ("::1", True),
    "::1": ("::1", True),
    "[::1": ("::1", True),
    "[3ffe::5]/64": ("3ffe::/64", True),
    "[3ffe::5]/128": ("3ffe::5", False),
    "[3ffe::5]/255.0.0.0": None,
    "fe80::1%eth0": ("fe80::1", False),
    "10.0.0.7/": None,
    "10.0.0.7/x": None,
    "10.0.0.7/33": None,
    "10.0.0.7/-1": None,
    "10.0.0.0/255.0.255.0": None,
    "/8": None,
    "iqn.a": None,
}


@pytest.mark.parametrize(("text", "expected"), WRITTEN.items())
def test_forms(text: str, expected: tuple[str, bool] | None) -> None:
    written = read_address(text)
    assert (None if written is None else (str(written.network), written.valid)) == expected
