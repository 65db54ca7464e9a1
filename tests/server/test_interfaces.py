"""Addresses of interfaces: what the system tells of this host, and what is made of its words."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest

from ietpy.server import interfaces
from ietpy.server.interfaces import InterfaceAddress, parse

LO = socket.if_nametoindex("lo")
PREFIX, TENTATIVE, FAILED, LINK, HOST = 24, 0x40, 0x08, 253, 254


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 7) + body + bytes(-len(body) % 4)


def told(family: int, index: int, *attributes: tuple[int, str], flags: int = 0, scope: int = 0) -> bytes:
    body = struct.pack("=BBBBI", family, PREFIX, flags, scope, index)
    return message(20, body + b"".join(attribute(kind, socket.inet_pton(family, text)) for kind, text in attributes))


FOUR = told(socket.AF_INET, 9, (1, "192.0.2.1"), (2, "192.0.2.1"))
DONE = message(3, bytes(4))


@pytest.mark.parametrize(("answer", "whole", "found"), [
    pytest.param(b"", False, [], id="nothing"),
    pytest.param(FOUR, False, [(9, "192.0.2.1")], id="IPv4"),
    pytest.param(FOUR + DONE + FOUR, True, [(9, "192.0.2.1")], id="up to the end"),
    pytest.param(told(socket.AF_INET, 9, (1, "192.0.2.2"), (2, "192.0.2.1")), False, [(9, "192.0.2.1")],
                 id="its own, not that of the other end"),
    pytest.param(told(socket.AF_INET6, 9, (1, "2001:db8::1")), False, [(9, "2001:db8::1")], id="IPv6"),
    pytest.param(told(socket.AF_INET6, LO, (1, "fe80::1"), scope=LINK), False, [(LO, "fe80::1%lo")], id="link-local"),
    pytest.param(told(socket.AF_INET, 9, (1, "169.254.0.1"), scope=LINK), False, [(9, "169.254.0.1")],
                 id="of IPv4, which has no zones"),
    pytest.param(told(socket.AF_INET6, 9, (1, "2001:db8::1"), flags=TENTATIVE), False, [], id="not yet"),
    pytest.param(told(socket.AF_INET6, 9, (1, "2001:db8::1"), flags=FAILED), False, [], id="another host has it"),
    pytest.param(told(socket.AF_INET, 9), False, [], id="no address"),
    pytest.param(message(20, struct.pack("=BBBBI", 28, 0, 0, 0, 9) + attribute(1, b"abcd")), False, [], id="a family"),
    pytest.param(message(16, b"abcd") + FOUR, False, [(9, "192.0.2.1")], id="another message"),
    pytest.param(bytes(16) + FOUR, False, [(9, "192.0.2.1")], id="a message without length"),
    pytest.param(message(20, struct.pack("=BBBBI", 2, 0, 0, 0, 9) + bytes(4)), False, [], id="an empty attribute"),
])
def test_what_the_system_tells(answer: bytes, whole: bool, found: list[tuple[int, str]]) -> None:
    assert parse(answer) == (whole, [InterfaceAddress(*each) for each in found])


def test_an_error_is_one() -> None:
    with pytest.raises(OSError, match="does not tell") as raised:
        parse(message(2, struct.pack("=i", -1) + bytes(16)))
    assert raised.value.errno == 1


@pytest.mark.parametrize("ipv6", [False, True])
def test_addresses_are_of_one_family_and_neither_loopback_nor_link_local(ipv6: bool) -> None:
    for address in interfaces.addresses_of_host(ipv6):
        parsed = ipaddress.ip_address(address)
        assert parsed.version == (6 if ipv6 else 4)
        assert not parsed.is_loopback
        assert not (ipv6 and parsed.is_link_local)


def test_all_addresses_of_an_interface() -> None:
    assert "127.0.0.1" in interfaces.addresses_of_interface("lo")
    with pytest.raises(OSError):
        interfaces.addresses_of_interface("nosuch0")


def test_a_host_that_does_not_tell_has_none_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(interfaces.socket, "socket", refuse)
    assert interfaces.addresses_of_host(False) == interfaces.addresses_of_host(True) == []


def test_order_of_the_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [InterfaceAddress(3, "192.0.2.3"), InterfaceAddress(2, "192.0.2.1"), InterfaceAddress(2, "192.0.2.2")]
    monkeypatch.setattr(interfaces, "_addresses", lambda: found)
    assert interfaces.addresses_of_host(False) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
