"""Addresses named on a wildcard portal (iet-compat 8.4)."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from ietpy.server import interfaces


@pytest.mark.parametrize("ipv6", [False, True])
def test_addresses_are_of_one_family_and_not_loopback(ipv6: bool) -> None:
    for address in interfaces.addresses_of_host(ipv6):
        parsed = ipaddress.ip_address(address)
        assert parsed.version == (6 if ipv6 else 4)
        assert not parsed.is_loopback


def test_ipv6_addresses_are_read_without_link_local_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "if_inet6"
    table.write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "20010db8000000000000000000000005 02 40 00 80     eth0\n"
        "fe800000000000000000000000000001 02 40 20 80     eth0\n"
    )
    monkeypatch.setattr(interfaces, "_IF_INET6", table)
    assert interfaces.addresses_of_host(True) == ["2001:db8::5"]


def test_no_ipv6_no_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "_IF_INET6", tmp_path / "missing")
    assert interfaces.addresses_of_host(True) == []
