"""Who a guess is counted with, without a clock and without a socket."""

from __future__ import annotations

import pytest

from ietpy.server.throttle import source


@pytest.mark.parametrize(("address", "counted"), [
    pytest.param("192.0.2.7", "192.0.2.7", id="IPv4"),
    pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 on an IPv6 socket"),
    pytest.param("2001:db8:0:1::5", "2001:db8:0:1::", id="IPv6: its /64"),
    pytest.param("2001:db8:0:1:ffff::", "2001:db8:0:1::", id="another of this /64"),
    pytest.param("2001:db8:0:2::5", "2001:db8:0:2::", id="another /64"),
    pytest.param("::1", "::", id="loopback"),
    pytest.param("fe80::1", "fe80::", id="link-local"),
])
def test_sources(address: str, counted: str) -> None:
    assert source(address) == counted
